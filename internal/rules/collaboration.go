package rules

import (
	"ltl/internal/ledger"
	ltlv1 "ltl/proto/ltl/v1"
)

// applyCollaboration runs the rules of the actions of collaboration chains.
func (e *exec) applyCollaboration(*actor, *ltlv1.Transaction, ledger.Hash, Locator) (code int32, output string, err error) {
	return Malformed, "", nil
}

// checkCollaboration is Check for the actions of collaboration chains.
func checkCollaboration(*ltlv1.Transaction) int32 { return Malformed }
