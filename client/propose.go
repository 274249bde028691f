package client

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"ltl/internal/ledger"
	"ltl/internal/policy"
	"ltl/internal/rules"
	ltlv1 "ltl/proto/ltl/v1"
)

// errGarbage is what an endorser's answer is called that does not hold what it must.
var errGarbage = errors.New("answer of an endorser is not an endorsement of what was asked")

// orgSet is a set of a chain's organisations: bit i is the i-th. rules.MaxOrganisations is 64.
type orgSet uint64

func (s orgSet) has(i int) bool { return s&(1<<i) != 0 }
func (s *orgSet) add(i int)     { *s |= 1 << i }
func (s *orgSet) remove(i int)  { *s &^= 1 << i }

// vote is one endorser's answer.
type vote struct {
	organisation int // its place in the chain's list
	endorsement  *ltlv1.Endorsement
	accepted     []bool
	codes        []int32
	reasons      []string // beside the codes; empty when it gave none
	required     []string // the organisations that it names; see required.go
	err          error    // it did not answer, or answered garbage
}

// tally counts the votes on one proposal.
type tally struct {
	chain *chain
	calls []*call
	// open are the organisations that were asked and have not answered.
	open orgSet
	// signed and refused stand per call.
	signed, refused []orgSet
	needs           []need     // per call; nil when no device signed any
	codes           [][]int32  // per organisation; nil if it did not answer
	reasons         [][]string // per organisation; nil if it gave none
	endorsements    []*ltlv1.Endorsement
	errs            []error // per organisation
	met             map[question]bool
	last            question // remembered apart: neighbouring calls mostly ask the same
	lastMet         bool
}

// question is what the policy is asked: whether these signatures are enough for that submitter.
type question struct {
	organisation string
	signed       orgSet
}

func newTally(ch *chain, calls []*call) *tally {
	n := len(ch.organisations)
	return &tally{
		chain: ch, calls: calls, signed: make([]orgSet, len(calls)), refused: make([]orgSet, len(calls)), needs: newNeeds(calls),
		codes: make([][]int32, n), reasons: make([][]string, n), errs: make([]error, n), met: map[question]bool{},
	}
}

// add counts a vote.
func (t *tally) add(v vote) {
	t.open.remove(v.organisation)
	if v.err != nil {
		t.errs[v.organisation] = v.err
		return
	}
	t.codes[v.organisation], t.reasons[v.organisation] = v.codes, v.reasons
	t.hear(v)
	for i, ok := range v.accepted {
		if ok {
			t.signed[i].add(v.organisation)
		} else {
			t.refused[i].add(v.organisation)
		}
	}
	if v.endorsement != nil {
		t.endorsements = append(t.endorsements, v.endorsement)
	}
}

// enough reports whether the policy accepts call i with these signatures.
func (t *tally) enough(i int, signed orgSet) bool {
	q := question{organisation: t.calls[i].organisation, signed: signed}
	if q == t.last && q.signed != 0 {
		return t.lastMet
	}
	met, known := t.met[q]
	if !known {
		quorum := t.chain.policy.Quorum(t.chain.organisations)
		met = quorum.Satisfied(policy.Subject{Submitter: quorum.Set(q.organisation)}, policy.Set(signed))
		t.met[q] = met
	}
	t.last, t.lastMet = q, met
	return met
}

// decided reports whether no vote that is still open can change any call's fate: each has enough signatures or cannot get them. While an
// organisation that was named is missing, any answer may still contradict that. And where some refused and others do not answer, whoever
// is still open is waited for: with its refusal too the caller is told why, and not that the network is unavailable.
func (t *tally) decided() bool {
	if t.open == 0 {
		return true
	}
	for i, k := range t.calls {
		reach := t.signed[i] | t.open
		switch {
		case k.patient:
			return false
		case t.complete(i, t.signed[i]):
		case t.enough(i, reach) && (t.complete(i, reach) || !k.disputed):
			return false
		case t.refused[i] != 0 && t.possible(i) && !t.enough(i, t.everybody()&^(t.refused[i]|t.open)):
			return false
		}
	}
	return true
}

// everybody is the set of all organisations of the chain.
func (t *tally) everybody() orgSet {
	n := len(t.chain.organisations)
	if n == 64 {
		return ^orgSet(0)
	}
	return 1<<n - 1
}

// refusal is the code to answer call i with, which cannot get enough signatures because of refusals: the submitter's organisation's
// if it refused, else that of who alone can verify a device's signature, else the most common one, and of those the first
// organisation's.
func (t *tally) refusal(i int) int32 {
	count := map[int32]int{}
	holder := int32(0)
	for o, codes := range t.codes {
		if codes == nil || !t.refused[i].has(o) {
			continue
		}
		if t.chain.organisations[o] == t.calls[i].organisation {
			return codes[i]
		}
		if t.need(i).named.has(o) {
			holder = codes[i]
		}
		count[codes[i]]++
	}
	if holder != 0 {
		return holder
	}
	best := rules.NotEndorsed
	for o, codes := range t.codes {
		if codes != nil && t.refused[i].has(o) && count[codes[i]] > count[best] {
			best = codes[i]
		}
	}
	return best
}

// reason is why organisations refused call i with this code, in the words of the first that gave one: the codes of the ledger's rules
// speak for themselves.
func (t *tally) reason(i int, code int32) string {
	for o, reasons := range t.reasons {
		if reasons != nil && t.refused[i].has(o) && t.codes[o][i] == code && reasons[i] != "" {
			return strings.ToValidUTF8(reasons[i][:min(len(reasons[i]), maxReason)], "")
		}
	}
	return ""
}

// missing says which organisations' signatures call i lacks, and why.
func (t *tally) missing(i int) error {
	if t.need(i).named&^(t.signed[i]|t.refused[i]) != 0 {
		return t.withoutHolder(i)
	}
	var lacking []string
	overloaded := false
	for o, name := range t.chain.organisations {
		if t.signed[i].has(o) || t.refused[i].has(o) {
			continue
		}
		overloaded = overloaded || status.Code(t.errs[o]) == codes.ResourceExhausted
		reason := "it was not asked"
		if t.errs[o] != nil {
			reason = t.errs[o].Error()
		}
		lacking = append(lacking, name+" ("+reason+")")
	}
	kind := ErrUnavailable
	if overloaded {
		kind = ErrOverloaded
	}
	return fmt.Errorf("%w: policy %q of chain %s is not met without the endorsement of %s; nothing was written",
		kind, t.chain.policy, t.chain.id, strings.Join(lacking, ", "))
}

// propose asks the endorsers of the chain, all at once, and returns as soon as every call's fate is decided. Nobody waits for an
// endorser whose answer is not needed: its request ends in the background.
func (c *Client) propose(ctx context.Context, ch *chain, calls []*call, minSequence uint64) *tally {
	in := &ltlv1.EndorseRequest{ChainId: ch.id, MinSequence: minSequence, Transactions: make([][]byte, len(calls))}
	ids := make([]ledger.Hash, len(calls))
	insist := false // somebody was missing last time: ask also those who failed lately
	for i, k := range calls {
		in.Transactions[i], ids[i] = k.payload, k.id
		k.proposals++
		insist = insist || k.unendorsed > 0
	}
	t := newTally(ch, calls)
	ctx, span := c.cfg.Tracer.Start(ctx, "propose")
	defer span.End()
	t.open = c.toAsk(t, insist)
	votes := make(chan vote, len(ch.organisations)) // never blocks those who answer late
	root := ledger.BatchRoot(ids)
	for o := range ch.organisations {
		if t.open.has(o) && !c.spawn(func() { votes <- c.ask(ctx, ch, o, in, root) }) {
			t.add(vote{organisation: o, err: ErrClosed})
		}
	}
	for !t.decided() {
		select {
		case v := <-votes:
			t.add(v)
		case <-ctx.Done():
			t.giveUp(ctx.Err())
		}
	}
	for {
		select {
		case v := <-votes: // answered meanwhile: its signature is welcome
			t.add(v)
		default:
			return t
		}
	}
}

// giveUp counts those who have not answered as failed.
func (t *tally) giveUp(why error) {
	for o := range t.chain.organisations {
		if t.open.has(o) {
			t.add(vote{organisation: o, err: why})
		}
	}
}

// toAsk chooses the endorsers: those that work, or everybody when the policy cannot do without the others.
func (c *Client) toAsk(t *tally, insist bool) orgSet {
	if insist {
		return t.everybody()
	}
	var usable orgSet
	for o, name := range t.chain.organisations {
		if p := c.peers.endorser(name); p != nil && p.breaker.usable() {
			usable.add(o)
		}
	}
	for i := range t.calls {
		if !t.enough(i, usable) {
			return t.everybody()
		}
	}
	return usable
}

// ask gets one endorser's vote, for however long that takes: of the proposal's context it takes the trace and not the end.
func (c *Client) ask(proposal context.Context, ch *chain, o int, in *ltlv1.EndorseRequest, root ledger.Hash) vote {
	v := vote{organisation: o}
	p := c.peers.endorser(ch.organisations[o])
	if p == nil {
		v.err = errors.New("its endorser's address is not known")
		return v
	}
	if !p.breaker.begin() {
		v.err = fmt.Errorf("it has not answered %d earlier requests", maxOutstanding)
		return v
	}
	defer p.breaker.end()
	ctx, cancel := context.WithTimeout(c.base, endorseTimeout)
	defer cancel()
	ctx, span := c.cfg.Tracer.Call(ctx, proposal, "ask endorser")
	span.Text("ltl.organisation", ch.organisations[o])
	out, err := ltlv1.NewEndorserClient(p.conn).Endorse(ctx, in)
	span.Failed(err)
	span.End()
	if err == nil {
		v.accepted, err = c.verify(ctx, ch, o, in, out, root)
		v.endorsement, v.codes, v.required = out.GetEndorsement(), out.GetCodes(), out.GetRequired()
		if len(out.GetReasons()) == len(v.codes) {
			v.reasons = out.GetReasons()
		}
	}
	v.err = err
	// An endorser that says that it is busy or still catching up is alive; it is asked again at once.
	answered := err == nil || status.Code(err) == codes.ResourceExhausted
	if c.base.Err() == nil && p.breaker.record(answered) {
		if answered {
			c.log.Info("endorser answers again", "organisation", p.name)
		} else {
			c.log.Warn("endorser does not answer", "organisation", p.name, "address", p.address, "error", err)
		}
	}
	return v
}

// verify checks that an answer holds the organisation's signature over exactly what was proposed, and returns what it accepts. What
// the answer says beside its signed statement counts only as the reason of a refusal.
func (c *Client) verify(ctx context.Context, ch *chain, o int, in *ltlv1.EndorseRequest, out *ltlv1.EndorseResponse, root ledger.Hash) ([]bool, error) {
	n := len(in.GetTransactions())
	if len(out.GetCodes()) != n {
		return nil, fmt.Errorf("%w: %d verdicts on %d transactions", errGarbage, len(out.GetCodes()), n)
	}
	accepted := make([]bool, n)
	e := out.GetEndorsement()
	if e == nil {
		return accepted, nil
	}
	s, err := ledger.ParseStatement(e.GetStatement())
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errGarbage, err)
	}
	key := ch.keys[o]
	if s.KeyID != ledger.KeyID(key) { // it was replaced lately
		if key, err = c.directory.key(ctx, ch.organisations[o], s.KeyID); err != nil {
			return nil, err
		}
	}
	want := ledger.Statement{
		NetworkID: c.directory.network, ChainID: ch.id, Root: root, Count: uint32(n), Organisation: ch.organisations[o],
		KeyID: ledger.KeyID(key), Height: s.Height, SystemHeight: s.SystemHeight, ExpiryMs: s.ExpiryMs, Accepted: s.Accepted,
	}
	// Only one encoding exists for each statement, so equal bytes mean equal fields.
	if !bytes.Equal(want.Encode(), e.GetStatement()) {
		return nil, fmt.Errorf("%w: the statement is about something else", errGarbage)
	}
	if err := ledger.VerifyEndorsement(key, e); err != nil {
		return nil, fmt.Errorf("%w: %w", errGarbage, err)
	}
	for i := range accepted {
		accepted[i] = s.Accepts(i)
		if !accepted[i] && out.GetCodes()[i] == rules.OK {
			return nil, fmt.Errorf("%w: transaction %d is accepted but not signed", errGarbage, i)
		}
	}
	return accepted, nil
}
