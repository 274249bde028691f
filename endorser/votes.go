package endorser

import (
	"encoding/hex"
	"fmt"

	"ltl/internal/identity"
	"ltl/internal/ledger"
	"ltl/internal/rules"
	ltlv1 "ltl/proto/ltl/v1"
)

// logVotes writes to the log how the operators of the own organisation vote, in the words that the rules make of the
// proposal in the own copy: so the organisation knows afterwards what its operators agreed to.
func (e *Endorser) logVotes(caller identity.Identity, transactions []*ltlv1.Transaction, verdicts []int32) error {
	if caller.Organisation != e.organisation {
		return nil
	}
	for i, tx := range transactions {
		what, id := "an operator approves a proposal", tx.GetApprove().GetProposalId()
		if tx.GetReject() != nil {
			what, id = "an operator rejects a proposal", tx.GetReject().GetProposalId()
		}
		if verdicts[i] != rules.OK || len(id) != len(ledger.Hash{}) {
			continue
		}
		p, err := rules.GetProposed(e.store, ledger.Hash(id))
		if p == nil || err != nil { // it is proposed in the same batch
			return err
		}
		words, err := rules.Words(e.store, p)
		if err != nil {
			return fmt.Errorf("words of proposal %x: %w", id, err)
		}
		e.log.Info(what, "operator", caller.String(), "proposal", hex.EncodeToString(id), "change", words)
	}
	return nil
}
