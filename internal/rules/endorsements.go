package rules

import (
	"fmt"
	"slices"
	"strings"

	"ltl/internal/ledger"
	"ltl/internal/policy"
	ltlv1 "ltl/proto/ltl/v1"
)

// endorsementSet is the verified endorsements of one batch, and the policy that they are counted against.
type endorsementSet struct {
	quorum        policy.Quorum
	organisations []string
	votes         []vote
	// invalid is set when one of the endorsements is not valid for this batch: then nothing in the batch is endorsed.
	invalid bool
	// date is what the clocks of the votes make of the batch's time.
	date batchDate
	// refusal is the code of every transaction when the clocks allow none to be executed; else 0. settle sets it.
	refusal int32
	// referenceMs is what the clocks were compared with.
	referenceMs int64

	last judgement // the last transaction's, which is nearly always that of the next one
}

// vote is the verified endorsement of one organisation. It accepts one transaction at least.
type vote struct {
	organisation policy.Set // the one that signed
	endorsement  *ledger.Endorsement
	timely       bool // the endorsement had not expired at the block's time; settle sets it
	inForce      bool // it is by the organisation's present key
}

// judgement is what the code of a transaction was computed from, and the code; 0 before the first.
type judgement struct {
	timely, any policy.Set
	by          asked
	code        int32
}

// asked are the organisations that a transaction of a business chain makes part of what it needs, beside the policy.
type asked struct {
	submitter string // that of the process that submitted it, which must endorse
	account   string // that of the account, which the policy's "submitter" means; empty when there is no such account
	holder    string // that which holds the key of the device that signed it, and must endorse; empty for none
}

// newEndorsementSet verifies the batch's endorsements. One that is not an organisation's valid statement about exactly
// this batch makes the whole set invalid. So every endorsement in a block names an organisation that signed it, and
// readers of blocks need not verify again. The heights of an endorsement are judged apart and affect only its own vote:
// no client can check them for an endorser, and a wrong one must not void the other organisations'. The first vote of
// an organisation counts: it has one clock in a batch.
func (e *exec) newEndorsementSet(b *ltlv1.Batch, root ledger.Hash, verify Verify) (*endorsementSet, error) {
	s := &endorsementSet{}
	text, organisations, err := e.policy()
	if err != nil {
		return nil, err
	}
	p, err := policy.Parse(text)
	if err != nil {
		return nil, err
	}
	s.quorum, s.organisations = p.Quorum(organisations), organisations
	if len(b.GetEndorsements()) > MaxEndorsements {
		s.invalid = true
		return s, nil
	}
	var voted policy.Set
	clocks := make([]int64, 0, len(b.GetEndorsements()))
	for _, en := range b.GetEndorsements() {
		v, err := e.verifyVote(&s.quorum, b, root, en, verify)
		if err != nil {
			return nil, err
		}
		if v.organisation == 0 {
			s.invalid = true
			return s, nil
		}
		if v.endorsement.Height > e.in.Height || v.endorsement.SystemHeight > e.in.SystemHeight {
			continue // it claims a block that does not exist yet; a client cannot check this, so the batch stays valid
		}
		if voted&v.organisation == 0 && v.endorsement.AcceptsAny() {
			voted |= v.organisation
			s.votes = append(s.votes, v)
			clocks = append(clocks, v.endorsement.ClockMs)
		}
	}
	s.date = e.bounds.date(clocks, len(organisations), e.in.PreviousReferenceMs, e.chain == nil || e.chain.TimeStands)
	return s, nil
}

// verifyVote checks one endorsement of the batch; the vote of an invalid one has no organisation.
func (e *exec) verifyVote(
	q *policy.Quorum, b *ltlv1.Batch, root ledger.Hash, en *ltlv1.Endorsement, verify Verify,
) (vote, error) {
	s, err := ledger.ParseEndorsement(en, e.in.ChainID, root, len(b.GetTransactions()))
	if err != nil || s.NetworkID != e.in.NetworkID {
		return vote{}, nil
	}
	organisation := q.Set(s.Organisation)
	if organisation == 0 {
		return vote{}, nil
	}
	key, inForce, err := e.endorserKey(s)
	if err != nil {
		return vote{}, err
	}
	if key == nil || verify(key, en) != nil {
		return vote{}, nil
	}
	return vote{organisation: organisation, endorsement: s, inForce: inForce}, nil
}

// policy returns the text of the policy in force on this chain, and the chain's organisations.
func (e *exec) policy() (text string, organisations []string, err error) {
	if e.chain != nil {
		return e.chain.Policy, e.chain.Organisations, nil
	}
	n, err := GetNetwork(e)
	if n == nil || err != nil {
		return "", nil, err
	}
	return n.Policy, n.Organisations, nil
}

// judge decides whether enough organisations accepted transaction i of the batch. The submitter's own must be one of them
// whatever the policy says, and the holder of the device's key if it is one of the chain's.
func (s *endorsementSet) judge(i int, by asked) int32 {
	if code := s.refused(); code != OK {
		return code
	}
	timely, any := s.accepting(i)
	if l := &s.last; l.code != 0 && timely == l.timely && any == l.any && by == l.by {
		return l.code
	}
	q := &s.quorum
	subject := policy.Subject{Submitter: q.Set(by.submitter), Account: q.Set(by.account), Required: q.Set(by.holder)}
	code := enough(q, subject, timely, any)
	s.last = judgement{timely, any, by, code}
	return code
}

// judgeAct decides, for transaction i of a batch of the system chain, whether enough organisations accepted it by a
// policy that takes the place of the network's. With unexpired the endorsements by keys in force count whenever they
// were made.
func (s *endorsementSet) judgeAct(i int, p policy.Policy, unexpired bool) int32 {
	if code := s.refused(); code != OK {
		return code
	}
	q := p.Act(s.organisations)
	timely, any := s.accepting(i)
	for _, v := range s.votes {
		if unexpired && v.inForce && v.endorsement.Accepts(i) {
			timely |= v.organisation
		}
	}
	return enough(&q, policy.Subject{}, timely, any)
}

// refused is the code of all transactions of the batch when none may be executed; else OK.
func (s *endorsementSet) refused() int32 {
	switch {
	case s.invalid:
		return NotEndorsed
	case s.refusal != 0:
		return s.refusal
	}
	return OK
}

// accepting returns the organisations that accepted transaction i of the batch, in time and at all.
func (s *endorsementSet) accepting(i int) (timely, any policy.Set) {
	for _, v := range s.votes {
		if v.endorsement.Accepts(i) {
			any |= v.organisation
			if v.timely {
				timely |= v.organisation
			}
		}
	}
	return timely, any
}

// enough is OK when the organisations that accepted in time satisfy the quorum.
func enough(q *policy.Quorum, subject policy.Subject, timely, any policy.Set) int32 {
	switch {
	case q.Satisfied(subject, timely):
		return OK
	case q.Satisfied(subject, any):
		return EndorsementExpired
	}
	return NotEndorsed
}

// endorsed decides whether enough organisations accepted transaction i of the batch for it to be executed.
func (e *exec) endorsed(set *endorsementSet, i int, tx *ltlv1.Transaction) (int32, error) {
	e.reason = ""
	submitter := e.identity(tx.GetSubmitter())
	if e.chain == nil {
		return e.endorsedAct(set, i, tx, submitter)
	}
	account, err := e.accountOrganisation(tx)
	if err != nil {
		return 0, err
	}
	holder, err := e.neededOrganisation(tx)
	if err != nil {
		return 0, err
	}
	return e.explain(set, i, submitter, set.judge(i, asked{submitter.organisation, account, holder})), nil
}

// endorsedAct is endorsed on the system chain.
func (e *exec) endorsedAct(set *endorsementSet, i int, tx *ltlv1.Transaction, submitter identity) (int32, error) {
	k := kindOf(tx)
	n, err := e.needOf(k, tx)
	if err != nil {
		return 0, err
	}
	unexpired := false
	if k.unexpired != nil {
		if unexpired, err = k.unexpired(e, tx); err != nil {
			return 0, err
		}
	}
	code := set.judgeAct(i, n.policy, unexpired)
	if n.signed { // the action itself shows the organisation's will
		return code, nil
	}
	return e.explain(set, i, submitter, code), nil
}

// explain says of a transaction that is not endorsed whether it lacks the endorsement of its submitter's organisation.
func (e *exec) explain(set *endorsementSet, i int, submitter identity, code int32) int32 {
	if code != NotEndorsed || set.invalid || submitter.organisation == "" {
		return code
	}
	own := set.quorum.Set(submitter.organisation)
	if _, any := set.accepting(i); own != 0 && any&own != 0 {
		return code
	}
	return e.refuse(code, e.unvouched(submitter))
}

// unvouched is why a transaction is refused that the organisation of its submitter has not endorsed.
func (e *exec) unvouched(submitter identity) string {
	org := submitter.organisation
	if e.chain != nil && !slices.Contains(e.chain.Organisations, org) {
		return SubmitterOffChain(org, submitter.role, e.chain.Organisations)
	}
	return fmt.Sprintf(reasonSubmitterSilent, org, submitter.role, org)
}

// SubmitterOffChain says why nothing is written that a process of an organisation submits to a chain with these
// organisations, of which it is none.
func SubmitterOffChain(organisation, role string, organisations []string) string {
	return fmt.Sprintf(reasonSubmitterOffChain, organisation, role, strings.Join(organisations, ", "), organisation)
}

// accountOrganisation is the organisation that the policy's "submitter" means: that of the account, or of the
// submitter where no account is named. Empty when there is none.
func (e *exec) accountOrganisation(tx *ltlv1.Transaction) (string, error) {
	uid := tx.GetAccountUid()
	if uid == "" {
		return e.identity(tx.GetSubmitter()).organisation, nil
	}
	a, err := e.actor(uid)
	if err != nil || a.account == nil {
		return "", err
	}
	return a.account.Organisation, nil
}

// DeviceProofOf returns the proof that a device signed the transaction's payload; nil when none did.
func DeviceProofOf(tx *ltlv1.Transaction) *ltlv1.DeviceProof {
	if k := kindOf(tx); k != nil && k.device != nil {
		return k.device(tx)
	}
	return nil
}

// neededOrganisation returns the organisation without whose endorsement the transaction cannot be executed, whatever
// the policy says: the one that holds the secret key of the device that signed it. Empty when there is none.
func (e *exec) neededOrganisation(tx *ltlv1.Transaction) (string, error) {
	p := DeviceProofOf(tx)
	if p == nil {
		return "", nil
	}
	d, err := GetEnrolment(e.view, p.GetProductKey(), p.GetIotId())
	if d == nil || err != nil || d.Revoked {
		return "", err
	}
	if k := d.KeyAt(e.in.SystemHeight); k == nil || k.Type != ltlv1.DeviceKeyType_DEVICE_KEY_TYPE_AES {
		return "", nil
	}
	return d.Organisation, nil
}
