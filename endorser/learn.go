package endorser

import (
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
	if err := e.cfg.Trust.Learn(e.store, tip.Header.Height); err != nil {
		e.log.Error("cannot learn who belongs to the network", "error", err)
	}
	e.learned.Store(tip.Header.Height + 1)
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
		o := tx.GetCreateOrganisation().GetOrganisation()
		if verdicts[i] != rules.OK || o == nil {
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
