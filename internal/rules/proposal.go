package rules

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	"ltl/internal/ledger"
	ltlv1 "ltl/proto/ltl/v1"
)

// proposable is what the rules know of a kind that can be proposed.
type proposable struct {
	// object names what is changed: an organisation has one open proposal for a kind and an object.
	object func(*ltlv1.Transaction) string
	// basis are the keys of the state that the change rests on. None of them may be one that an organisation which the
	// change takes something from can write by itself: it would make its own removal stale. nil for none.
	basis func(*ltlv1.Transaction) []string
	// words say what the change is. The view may be nil.
	words func(View, *ltlv1.Transaction) (string, error)
	// fresh judges what is asked of a new proposal only; nil for nothing.
	fresh func(*exec, *ltlv1.Transaction) int32
}

// ProposeOf returns a proposal of the action of tx, without network, expiry and basis; nil when actions of its kind
// cannot be proposed.
func ProposeOf(tx *ltlv1.Transaction) *ltlv1.Propose {
	p := &ltlv1.Propose{}
	if !moveAction(p.ProtoReflect(), tx.ProtoReflect()) {
		return nil
	}
	return p
}

// proposedBy returns the action of a proposal as a transaction of the proposer; it has no action when the proposal has
// none.
func proposedBy(proposer string, p *ltlv1.Propose) *ltlv1.Transaction {
	tx := &ltlv1.Transaction{Version: transactionVersion, ChainId: ledger.SystemChain, Submitter: proposer}
	moveAction(tx.ProtoReflect(), p.ProtoReflect())
	return tx
}

// moveAction sets the action of one message to that of the other, which has a field of the same name for it.
func moveAction(to, from protoreflect.Message) bool {
	set := from.WhichOneof(from.Descriptor().Oneofs().ByName("action"))
	if set == nil {
		return false
	}
	field := to.Descriptor().Oneofs().ByName("action").Fields().ByName(set.Name())
	if field == nil {
		return false
	}
	to.Set(field, from.Get(set))
	return true
}

// NeedsProposal reports whether the action of tx, a transaction of the system chain, concerns several organisations by
// the present state, so that it must be proposed. Otherwise it is an act, and is sent directly.
func NeedsProposal(v View, tx *ltlv1.Transaction) (bool, error) {
	k := kindOf(tx)
	if k == nil || k.proposable == nil {
		return false, nil
	}
	n, err := newExec(&Input{ChainID: ledger.SystemChain}, v, 0).needOf(k, tx)
	return n.ballot != nil, err
}

// BasisOf returns the basis of a proposal by the present state.
func BasisOf(v View, p *ltlv1.Propose) ([]*ltlv1.Basis, error) {
	tx := proposedBy("", p)
	k := kindOf(tx)
	if k == nil {
		return nil, nil
	}
	return basisOf(v, k, tx)
}

func basisOf(v View, k *kind, tx *ltlv1.Transaction) (basis []*ltlv1.Basis, err error) {
	if k.proposable == nil || k.proposable.basis == nil {
		return nil, nil
	}
	for _, key := range k.proposable.basis(tx) {
		value, err := v.Get(ledger.SystemChain, []byte(key))
		if err != nil {
			return nil, err
		}
		sum := sha256.Sum256(value)
		basis = append(basis, &ltlv1.Basis{Key: []byte(key), Hash: sum[:]})
	}
	return basis, nil
}

// BallotOf returns whose votes decide on a proposal of this proposer by the present state; nil when it can no longer
// be executed.
func BallotOf(v View, proposer string, p *ltlv1.Propose) (*Ballot, error) {
	tx := proposedBy(proposer, p)
	k := kindOf(tx)
	if k == nil {
		return nil, nil
	}
	n, err := newExec(&Input{ChainID: ledger.SystemChain}, v, 0).needOf(k, tx)
	if err != nil || n.refusal != "" {
		return nil, err
	}
	return n.ballot, nil
}

// Words says what a proposal changes, for people. The present values of v are part of it, unless v is nil.
func Words(v View, p *ltlv1.Propose) (string, error) {
	tx := proposedBy("", p)
	k := kindOf(tx)
	if k == nil || k.proposable == nil {
		return "nothing that this program knows", nil
	}
	return k.proposable.words(v, tx)
}

// checkPropose checks all but the action, which formOf checks.
func checkPropose(tx *ltlv1.Transaction) int32 {
	p := tx.GetPropose()
	if len(p.GetNetworkId()) != len(ledger.Hash{}) || p.GetExpiryMs() <= 0 || p.GetExpiryMs() > maxTimeMs ||
		proto.Size(p) > MaxProposal {
		return OutOfRange
	}
	for _, b := range p.GetBasis() {
		if len(b.GetKey()) == 0 || len(b.GetHash()) != sha256.Size {
			return OutOfRange
		}
	}
	return OK
}

func checkApprove(tx *ltlv1.Transaction) int32 { return checkVote(tx.GetApprove()) }

func checkReject(tx *ltlv1.Transaction) int32 { return checkVote(tx.GetReject()) }

func checkWithdraw(tx *ltlv1.Transaction) int32 { return checkVote(tx.GetWithdraw()) }

// ofProposal is what Approve, Reject and Withdraw have in common.
type ofProposal interface {
	GetNetworkId() []byte
	GetProposalId() []byte
}

func checkVote(m ofProposal) int32 {
	if len(m.GetNetworkId()) != len(ledger.Hash{}) || len(m.GetProposalId()) != len(ledger.Hash{}) {
		return OutOfRange
	}
	return OK
}

// proposeOutput is the proposal's id, which is that of the transaction.
func proposeOutput(_ *ltlv1.Transaction, id ledger.Hash) string { return hex.EncodeToString(id[:]) }

// propose records a proposal that could be executed now if it had the votes.
func (e *exec) propose(act action) (int32, string, error) {
	p := act.tx.GetPropose()
	tx := proposedBy(act.tx.GetSubmitter(), p)
	k := act.kindOf(tx)
	if k == nil || k.proposable == nil {
		return OutOfRange, "", nil
	}
	if code, err := e.mayPropose(p, act.submitter.organisation); code != OK || err != nil {
		return code, "", err
	}
	open, code, err := e.roomForProposal(act.submitter.organisation, k.name, k.proposable.object(tx))
	if code != OK || err != nil {
		return code, "", err
	}
	if code, err := e.executable(act, k, tx); code != OK || err != nil {
		return code, "", err
	}
	basis, err := basisOf(e, k, tx)
	if err != nil {
		return 0, "", err
	}
	if !slices.EqualFunc(basis, p.GetBasis(), func(a, b *ltlv1.Basis) bool {
		return bytes.Equal(a.GetKey(), b.GetKey()) && bytes.Equal(a.GetHash(), b.GetHash())
	}) {
		return e.refuse(Conflict, reasonBasis), "", nil
	}
	content, err := encodeProposed(p)
	if err != nil {
		return 0, "", err
	}
	made := Proposal{Proposer: act.tx.GetSubmitter(), State: ltlv1.ProposalState_PROPOSAL_STATE_OPEN,
		ExpiryMs: p.GetExpiryMs(), Created: act.here}
	open = append(open, openProposal{act.id, k.name, k.proposable.object(tx), p.GetExpiryMs()})
	e.put(proposalKey(act.id), made.encode())
	e.put(proposedKey(act.id), content)
	e.put(openProposalsKey(act.submitter.organisation), encodeOpenProposals(open))
	return OK, proposeOutput(act.tx, act.id), nil
}

// encodeProposed returns the one encoding of a proposal's content. What the protobuf library writes is checked, since
// nodes with different releases of it must write the same state.
func encodeProposed(p *ltlv1.Propose) ([]byte, error) {
	b, err := proto.MarshalOptions{Deterministic: true}.Marshal(p)
	if err == nil && !canonical(b, p.ProtoReflect().Descriptor()) {
		err = fmt.Errorf("%w: the protobuf library does not encode a proposal canonically", ErrInvariant)
	}
	return b, err
}

// mayPropose judges network and expiry of a proposal, and whether the organisation has a voice.
func (e *exec) mayPropose(p *ltlv1.Propose, organisation string) (int32, error) {
	if [32]byte(p.GetNetworkId()) != e.in.NetworkID {
		return e.refuse(Forbidden, reasonOtherNetwork), nil
	}
	if d := p.GetExpiryMs() - e.latestMs(); d < MinProposalMs || d > MaxProposalMs {
		return e.refuse(OutOfRange, reasonProposalExpiry), nil
	}
	n, err := e.network()
	if err != nil {
		return 0, err
	}
	if !slices.Contains(n.Organisations, organisation) {
		return e.refuse(Forbidden, fmt.Sprintf(reasonNoVote, organisation)), nil
	}
	return OK, nil
}

// roomForProposal returns the organisation's open proposals, without those that expired, if one more may be added for a
// kind and an object.
func (e *exec) roomForProposal(organisation, kind, object string) ([]openProposal, int32, error) {
	known, err := load(e, ledger.SystemChain, openProposalsKey(organisation), parseOpenProposals)
	if known == nil || err != nil {
		return nil, OK, err
	}
	open := slices.DeleteFunc(*known, func(p openProposal) bool { return e.timeMs >= p.expiryMs })
	for _, p := range open {
		if p.kind == kind && p.object == object {
			return nil, e.refuse(Conflict, fmt.Sprintf(reasonProposedAlready, hex.EncodeToString(p.id[:]))), nil
		}
	}
	if len(open) >= MaxOpenProposals {
		return nil, e.refuse(QuotaExceeded, fmt.Sprintf(reasonOpenProposals, organisation, MaxOpenProposals)), nil
	}
	return open, OK, nil
}

// executable judges whether the action of a proposal would be executed now if it had the votes. It runs the rules on a
// copy of the state, so it writes nothing.
func (e *exec) executable(act action, k *kind, tx *ltlv1.Transaction) (int32, error) {
	n, err := e.needOf(k, tx)
	switch {
	case err != nil:
		return 0, err
	case n.refusal != "":
		return e.refuse(Forbidden, n.refusal), nil
	case n.ballot == nil && n.owner != "":
		return e.refuse(Forbidden, fmt.Sprintf(reasonAct, n.owner)), nil
	}
	trial := newExec(e.in, e, 1)
	trial.timeMs, trial.medianMs = e.timeMs, e.medianMs
	code, _, err := k.apply(trial, action{tx: tx, id: act.id, here: act.here, submitter: act.submitter})
	if errors.Is(err, ErrNewerRules) {
		return OK, nil // to be proposed does no harm: this program stops when the change is made
	}
	e.reason = trial.reason
	if code == OK && err == nil && k.proposable.fresh != nil {
		code = k.proposable.fresh(e, tx)
	}
	if code == OK && n.ballot == nil {
		code = NotFound // what it names does not exist, so no organisation decides on it
	}
	return code, err
}

// openProposal returns the proposal that a vote is about, if it takes votes.
func (e *exec) openProposal(m ofProposal) (id ledger.Hash, p *Proposal, code int32, err error) {
	if [32]byte(m.GetNetworkId()) != e.in.NetworkID {
		return id, nil, e.refuse(Forbidden, reasonOtherNetwork), nil
	}
	id = ledger.Hash(m.GetProposalId())
	p, err = GetProposal(e, id)
	switch {
	case err != nil:
		return id, nil, 0, err
	case p == nil:
		return id, nil, e.refuse(NotFound, reasonNoProposal), nil
	case p.State != ltlv1.ProposalState_PROPOSAL_STATE_OPEN:
		return id, nil, e.refuse(Conflict, fmt.Sprintf(reasonProposalClosed, stateWord(p))), nil
	case !p.Open(e.latestMs()):
		return id, nil, e.refuse(Conflict, reasonProposalExpired), nil
	}
	return id, p, OK, nil
}

func (e *exec) approve(act action) (int32, string, error) {
	return e.vote(act, act.tx.GetApprove(), true)
}

func (e *exec) reject(act action) (int32, string, error) {
	return e.vote(act, act.tx.GetReject(), false)
}

// vote records a vote and looks what follows from all votes. The change is made here, inside the Approve that completes
// what the proposal needs. When what it rests on has changed, the vote closes the proposal and does not count.
func (e *exec) vote(act action, m ofProposal, approve bool) (int32, string, error) {
	id, p, code, err := e.openProposal(m)
	if code != OK || err != nil {
		return code, "", err
	}
	content, err := GetProposed(e, id)
	if content == nil || err != nil {
		return 0, "", errors.Join(err, fmt.Errorf("%w: proposal %x has no content", ErrState, id))
	}
	tx := proposedBy(p.Proposer, content)
	k := act.kindOf(tx)
	if k == nil {
		return 0, "", fmt.Errorf("%w: proposal %x has no action", ErrState, id)
	}
	n, err := e.needOf(k, tx)
	if err != nil {
		return 0, "", err
	}
	if n.ballot != nil && !n.ballot.HasVote(act.submitter.organisation) {
		return e.refuse(Forbidden, fmt.Sprintf(reasonNoVote, act.submitter.organisation)), "", nil
	}
	stale, err := e.stale(content)
	if err != nil {
		return 0, "", err
	}
	if stale || n.ballot == nil {
		return e.close(id, p, ltlv1.ProposalState_PROPOSAL_STATE_STALE, Conflict, act.here)
	}
	p.setVote(Vote{act.submitter.organisation, approve, act.here})
	switch {
	case n.refusal != "" || !n.ballot.Possible(p.Votes):
		return e.close(id, p, ltlv1.ProposalState_PROPOSAL_STATE_REJECTED, 0, act.here)
	case approve && n.ballot.Complete(p.Votes):
		return e.executeProposal(id, p, k, tx, act.here)
	}
	e.put(proposalKey(id), p.encode())
	return OK, openWords(n.ballot, p.Votes), nil
}

// stale reports whether what the proposal rests on has changed.
func (e *exec) stale(p *ltlv1.Propose) (bool, error) {
	for _, b := range p.GetBasis() {
		value, err := e.Get(ledger.SystemChain, b.GetKey())
		if err != nil {
			return false, err
		}
		if sum := sha256.Sum256(value); !bytes.Equal(sum[:], b.GetHash()) {
			return true, nil
		}
	}
	return false, nil
}

// executeProposal makes the change, by the same code as for a transaction of its own.
func (e *exec) executeProposal(id ledger.Hash, p *Proposal, k *kind, tx *ltlv1.Transaction, here Locator) (int32, string,
	error) {
	code, _, err := k.apply(e, action{tx: tx, id: id, here: here, submitter: e.identity(p.Proposer)})
	if err != nil {
		return 0, "", err
	}
	state := ltlv1.ProposalState_PROPOSAL_STATE_EXECUTED
	if code != OK {
		state = ltlv1.ProposalState_PROPOSAL_STATE_FAILED
	}
	return e.close(id, p, state, code, here)
}

// withdraw closes a proposal in the name of the organisation that made it.
func (e *exec) withdraw(act action) (int32, string, error) {
	id, p, code, err := e.openProposal(act.tx.GetWithdraw())
	if code != OK || err != nil {
		return code, "", err
	}
	if owner := e.identity(p.Proposer).organisation; owner != act.submitter.organisation {
		return e.refuse(Forbidden, fmt.Sprintf(reasonOwner, owner)), "", nil
	}
	return e.close(id, p, ltlv1.ProposalState_PROPOSAL_STATE_WITHDRAWN, 0, act.here)
}

// close ends a proposal and takes it from the list of those that are open. It is OK for the transaction that closes it;
// output says how.
func (e *exec) close(id ledger.Hash, p *Proposal, state ltlv1.ProposalState, code int32, here Locator) (int32, string,
	error) {
	key := openProposalsKey(e.identity(p.Proposer).organisation)
	open, err := load(e, ledger.SystemChain, key, parseOpenProposals)
	if open == nil || err != nil {
		return 0, "", errors.Join(err, fmt.Errorf("%w: open proposal %x is in no list", ErrState, id))
	}
	p.State, p.Code, p.Closed = state, code, here
	e.put(proposalKey(id), p.encode())
	e.put(key, encodeOpenProposals(slices.DeleteFunc(*open, func(o openProposal) bool { return o.id == id })))
	return OK, stateWord(p), nil
}

// stateWord says what became of a proposal.
func stateWord(p *Proposal) string {
	switch p.State {
	case ltlv1.ProposalState_PROPOSAL_STATE_EXECUTED:
		return "executed"
	case ltlv1.ProposalState_PROPOSAL_STATE_REJECTED:
		return "rejected"
	case ltlv1.ProposalState_PROPOSAL_STATE_WITHDRAWN:
		return "withdrawn"
	case ltlv1.ProposalState_PROPOSAL_STATE_STALE:
		return "stale"
	case ltlv1.ProposalState_PROPOSAL_STATE_FAILED:
		return fmt.Sprintf("failed %d", p.Code)
	}
	return "open"
}

// openWords say how far an open proposal is.
func openWords(b *Ballot, votes []Vote) string {
	s := fmt.Sprintf("open %d of %d", b.Approved(votes), b.Quorum)
	if asked := b.Asked(votes); len(asked) > 0 {
		s += ", asked: " + strings.Join(asked, " ")
	}
	return s
}
