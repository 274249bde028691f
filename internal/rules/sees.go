package rules

import (
	"ltl/internal/ledger"
	ltlv1 "ltl/proto/ltl/v1"
)

// Viewer is an account as it reads one business chain, of which it is a member that is not locked, or the administrator.
type Viewer struct {
	UID                string
	ChainID, ChainCode string
	// TypeCode is the data type code of the account on the chain; empty on chains of the collaboration service.
	TypeCode string
	// Proof is set on chains of the proof service.
	Proof         bool
	Administrator bool
}

// Sees reports whether the account may see the content of a transaction of the chain. The administrator sees all. A
// member sees
//
//   - records of a proof chain under its own data type code, also those of an account that held that code before,
//   - all records of a collaboration chain, which its members share,
//   - what it sent itself and the ledger refused, and
//   - what it changed itself.
//
// A refused record is its sender's alone: the ledger put it under no Key.
func (v *Viewer) Sees(id ledger.Hash, tx *ltlv1.Transaction, result int32) bool {
	if tx.GetChainId() != v.ChainID {
		return false
	}
	if v.Administrator {
		return true
	}
	own := tx.GetAccountUid() == v.UID
	if result != OK {
		return own
	}
	if key, _, _, ok := ProofRecord(tx, id); ok {
		code, result := CheckKey(v.ChainCode, key)
		return result == OK && code != "" && code == v.TypeCode
	}
	return own || tx.GetUploadPhaseData() != nil && !v.Proof
}
