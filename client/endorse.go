package client

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"ltl/internal/ledger"
	"ltl/internal/policy"
	"ltl/internal/rules"
	ltlv1 "ltl/proto/ltl/v1"
)

// errInvalidResponse is returned, wrapped, for an endorser's answer that is not an endorsement of what was proposed.
var errInvalidResponse = errors.New("invalid response of an endorser")

// errNotAsked is the reason of a missing vote that was not asked for.
var errNotAsked = errors.New("it was not asked")

// propose asks the endorsers of the chain for their votes on a group, all at the same time. It returns as soon as no
// open vote can change what becomes of any submission. A request whose answer is not needed ends in the background.
func (c *Client) propose(ctx context.Context, ch *chain, g *group) *voteCount {
	in := &ltlv1.EndorseRequest{ChainId: ch.id, MinSequence: g.minSequence,
		Transactions: make([][]byte, len(g.submissions)), Openings: g.openings()}
	ids := make([]ledger.Hash, len(g.submissions))
	askAll := false // votes were missing last time: those that failed lately are asked too
	for i, s := range g.submissions {
		in.Transactions[i], ids[i] = s.payload, s.id
		s.proposals++
		askAll = askAll || s.unendorsed > 0 || s.tooFewClocks
	}
	v := newVoteCount(ch, c.credentials.Identity(), g.submissions)
	if v.absent && (!g.refreshed || v.needs == nil) {
		return v // what is known of the chain is looked up again first; on other chains no vote changes it
	}
	ctx, span := c.tracer.Start(ctx, "propose")
	defer span.End()
	v.open = ch.quorum.All()
	if !askAll {
		v.open = c.selectEndorsers(v)
	}
	votes := make(chan vote, len(ch.organisations)) // has room for all, so a late answer never blocks
	root := ledger.BatchRoot(ids)
	for o := range ch.organisations {
		if v.open.Has(o) && !c.spawn(func() { votes <- c.requestEndorsement(ctx, ch, o, in, root) }) {
			v.add(vote{organisation: o, err: ErrClosed})
		}
	}
	for !v.decided() {
		select {
		case one := <-votes:
			v.add(one)
		case <-ctx.Done():
			v.fail(ctx.Err())
		}
	}
	for {
		select {
		case one := <-votes: // arrived meanwhile: one more signature for the batch
			v.add(one)
			continue
		default:
		}
		if v.open == 0 || ch.id != ledger.SystemChain && v.dated() || !v.witness(ctx, votes) {
			v.dropClocks(c.clock.Now())
			return v
		}
	}
}

// witness waits a little for one more vote than the policy needs, so that a majority dates the batch. Transactions of
// the system chain mostly need one organisation's endorsement, and all others are waited for: they show that they saw
// it in time. It reports whether a vote came.
func (v *voteCount) witness(ctx context.Context, votes <-chan vote) bool {
	if v.witnesses.IsZero() {
		v.witnesses = time.Now().Add(witnessWait)
	}
	timer := time.NewTimer(time.Until(v.witnesses))
	defer timer.Stop()
	select {
	case one := <-votes:
		v.add(one)
		return true
	case <-timer.C:
	case <-ctx.Done():
	}
	return false
}

// selectEndorsers returns the organisations whose endorsers work, or all of them when those are not enough for the
// policy.
func (c *Client) selectEndorsers(v *voteCount) policy.Set {
	var usable policy.Set
	for o, name := range v.chain.organisations {
		if p := c.peers.endorser(name); p != nil && p.breaker.usable() {
			usable = usable.With(o)
		}
	}
	for i := range v.submissions {
		if !v.enough(i, usable) {
			return v.chain.quorum.All()
		}
	}
	return usable
}

// requestEndorsement asks one endorser for its vote, for at most endorseTimeout. It takes the trace of the proposal's
// context and not its end, so that an endorser that is slow for one proposal is still known to work.
func (c *Client) requestEndorsement(
	proposal context.Context, ch *chain, o int, in *ltlv1.EndorseRequest, root ledger.Hash,
) vote {
	v := vote{organisation: o}
	p := c.peers.endorser(ch.organisations[o])
	if p == nil {
		v.err = errors.New("the address of its endorser is not known")
		return v
	}
	if !p.breaker.begin() {
		v.err = fmt.Errorf("%d earlier requests to it are unanswered", maxOutstanding)
		return v
	}
	defer p.breaker.end()
	ctx, cancel := context.WithTimeout(c.base, endorseTimeout)
	defer cancel()
	ctx, span := c.tracer.Call(ctx, proposal, "ask endorser")
	span.Text("ltl.organisation", ch.organisations[o])
	out, err := ltlv1.NewEndorserClient(p.conn).Endorse(ctx, in)
	span.Failed(err)
	span.End()
	if err == nil {
		v.accepted, v.clockMs, err = c.verify(ctx, ch, o, in, out, root)
		v.codes, v.required = out.GetCodes(), out.GetRequired()
		if slices.Contains(v.accepted, true) { // one that accepts nothing is no vote for the ledger, and dates nothing
			v.endorsement = out.GetEndorsement()
		}
		v.needs = out.GetNeeds()
		if len(out.GetReasons()) == len(v.codes) {
			v.reasons = out.GetReasons()
		}
	}
	v.err = err
	// An endorser that answers that it is busy, or that its clock is wrong, works: it is asked again at once.
	answered := err == nil || status.Code(err) == codes.ResourceExhausted || status.Code(err) == codes.Aborted
	if status.Code(err) == codes.Unavailable {
		p.redial()
	}
	if c.base.Err() == nil && p.breaker.record(answered) {
		if answered {
			c.log.Info("endorser answers again", "organisation", p.name)
		} else {
			c.log.Warn("endorser does not answer", "organisation", p.name, "address", p.address, "error", err)
		}
	}
	v.silence = p.breaker.silence()
	return v
}

// verify checks that a response holds the organisation's signature over exactly what was proposed, and returns which
// transactions it accepts and the clock that it states. What the response says beside its signed statement counts only as the reason of a refusal.
func (c *Client) verify(
	ctx context.Context, ch *chain, o int, in *ltlv1.EndorseRequest, out *ltlv1.EndorseResponse, root ledger.Hash,
) (accepted []bool, clockMs int64, err error) {
	n := len(in.GetTransactions())
	if len(out.GetCodes()) != n {
		return nil, 0, fmt.Errorf("%w: %d codes for %d transactions", errInvalidResponse, len(out.GetCodes()), n)
	}
	accepted = make([]bool, n)
	e := out.GetEndorsement()
	if e == nil {
		return accepted, 0, nil
	}
	s, err := ledger.ParseEndorsement(e, ch.id, root, n)
	if err != nil {
		return nil, 0, fmt.Errorf("%w: %w", errInvalidResponse, err)
	}
	key := ch.keys[o]
	if s.KeyID != ledger.KeyID(key) { // it was replaced lately
		if key, err = c.network.key(ctx, ch.organisations[o], s.KeyID); err != nil {
			return nil, 0, err
		}
	}
	if s.NetworkID != c.network.id || s.Organisation != ch.organisations[o] || s.KeyID != ledger.KeyID(key) {
		return nil, 0, fmt.Errorf("%w: its statement is about something else", errInvalidResponse)
	}
	if err := ledger.VerifyEndorsement(key, e); err != nil {
		return nil, 0, fmt.Errorf("%w: %w", errInvalidResponse, err)
	}
	for i := range accepted {
		accepted[i] = s.Accepts(i)
		if !accepted[i] && out.GetCodes()[i] == rules.OK {
			return nil, 0, fmt.Errorf("%w: transaction %d is accepted but not signed", errInvalidResponse, i)
		}
	}
	return accepted, s.ClockMs, nil
}
