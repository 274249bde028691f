package endorser

import (
	"fmt"
	"slices"

	"ltl/internal/ledger"
	"ltl/internal/rules"
	ltlv1 "ltl/proto/ltl/v1"
)

// learn keeps the trust at what the system chain says, so that whoever belongs to an organisation that was added can connect.
// Whom the trust refuses can never connect, which is no reason to stop.
func (e *Endorser) learn() {
	tip, ok := e.store.Tip(ledger.SystemChain)
	if !ok || e.learned.Load() > tip.Header.Height {
		return
	}
	if err := e.cfg.Trust.Learn(e.store, tip.Header.Height, nil); err != nil {
		e.log.Error("cannot learn who belongs to the network", "error", err)
	}
	e.learned.Store(tip.Header.Height + 1)
	if wanted, err := e.wanted(); err != nil || !slices.EqualFunc(wanted, *e.sources.Load(), func(p Peer, s *source) bool { return p == s.Peer }) {
		e.newNodes.Store(true)
	}
}

// refuseOrganisations refuses organisations that nobody could trust: a certificate authority that cannot be read or is none with an
// Ed25519 key, or a key that another organisation has. Once on the ledger, such an organisation would have a name and no member that
// can connect.
//
// The ledger's rules take the certificate as bytes, because all nodes must execute a block alike for ever, and a parser of X.509 may
// change between versions of Go. An endorser is free to: its judgement only decides what it signs. Two organisations with one
// authority that are proposed at the same moment may both pass; the trust then knows the first only.
func (e *Endorser) refuseOrganisations(transactions []*ltlv1.Transaction, verdicts []int32, reasons []string) {
	var beside []*ltlv1.Organisation // earlier ones of this batch
	for i, tx := range transactions {
		if verdicts[i] != rules.OK {
			continue
		}
		if m := tx.GetModifyOrganisation(); m != nil {
			verdicts[i], reasons[i] = e.judgeChange(m)
			continue
		}
		o := tx.GetCreateOrganisation().GetOrganisation()
		if o == nil {
			continue
		}
		e.learn()
		if err := e.cfg.Trust.CheckOrganisation(o, beside...); err != nil {
			verdicts[i], reasons[i] = rules.Forbidden, shorten(err.Error())
			continue
		}
		beside = append(beside, o)
	}
}

// judgeChange refuses a certificate authority that nobody could trust, and for its own organisation a key that this endorser does not
// hold: with an operator's certificate alone nobody takes over an organisation's signature.
func (e *Endorser) judgeChange(m *ltlv1.ModifyOrganisation) (int32, string) {
	e.learn()
	if der := m.GetAddAuthority(); len(der) > 0 {
		if err := e.cfg.Trust.CheckAuthority(m.GetId(), der); err != nil {
			return rules.Forbidden, shorten(err.Error())
		}
	}
	if key := m.GetEndorserKey(); len(key) > 0 && m.GetId() == e.organisation && e.keys.of(key) == nil {
		return rules.Forbidden, fmt.Sprintf("The endorser of organisation %s does not hold the new key; put it beside sign.key first, as `ltl org rotate-endorser-key` does.", e.organisation)
	}
	return rules.OK, ""
}
