package rules

import (
	"bytes"

	"google.golang.org/protobuf/proto"

	"ltl/internal/ledger"
	ltlv1 "ltl/proto/ltl/v1"
)

// ProposalFits reports whether what a process says of a proposal is that of the proposal's id: the id is the hash of the
// transaction, and change and proposer are the transaction's. The words are not in it: they are the process's own.
func ProposalFits(p *ltlv1.ProposalInfo) bool {
	id := ledger.TransactionID(p.GetTransaction())
	tx, err := Decode(p.GetTransaction())
	return err == nil && bytes.Equal(id[:], p.GetProposalId()) && proto.Equal(tx.GetPropose(), p.GetPropose()) &&
		tx.GetSubmitter() == p.GetProposer()
}
