package rules

import (
	"unicode/utf8"

	"ltl/internal/ledger"
	ltlv1 "ltl/proto/ltl/v1"
)

// A payload holds commitments in place of values. Execution reads payloads only, so that a node which executes blocks
// again after a value was erased gets the same results. What needs a value is judged here, before endorsers sign and before
// the leader orders. See DESIGN.md, "Commitments".

// SlotValue is the slot of the value of SetData and AttachData. MaxValues is how many values a transaction commits to at
// most.
const (
	SlotValue = 0
	MaxValues = 1
)

// CommittedValue returns the value in slot SlotValue of a transaction; nil when the transaction commits to none.
func CommittedValue(tx *ltlv1.Transaction) *ltlv1.Value {
	if at := valueAt(kindOf(tx), tx); at != nil {
		return *at
	}
	return nil
}

// Committed returns the values that a transaction commits to, in the order of their slots, which count from 0.
func Committed(tx *ltlv1.Transaction) []*ltlv1.Value {
	if v := CommittedValue(tx); v != nil {
		return []*ltlv1.Value{v}
	}
	return nil
}

// valueAt returns where the value in slot SlotValue is; nil for kinds that commit to none.
func valueAt(k *kind, tx *ltlv1.Transaction) **ltlv1.Value {
	if k == nil || k.value == nil {
		return nil
	}
	return k.value(tx)
}

// Commit fills in the values of a transaction by its openings, whose salts are set. A value that is set stays. It does
// not check the openings; CheckOpenings does.
func Commit(tx *ltlv1.Transaction) {
	at := valueAt(kindOf(tx), tx)
	if at == nil || *at != nil {
		return
	}
	for _, o := range tx.GetOpenings().GetOpenings() {
		if o.GetSlot() == SlotValue {
			c := ledger.Commitment(tx.GetChainId(), SlotValue, o.GetSalt(), o.GetValue())
			*at = &ltlv1.Value{Commitment: c[:], Bytes: uint32(len(o.GetValue()))}
			return
		}
	}
}

// Opens reports whether an opening is the one of a value in a transaction of the chain.
func Opens(chainID string, v *ltlv1.Value, o *ltlv1.Opening) bool {
	if len(o.GetSalt()) != ledger.SaltLen || len(o.GetValue()) != int(v.GetBytes()) {
		return false
	}
	c := ledger.Commitment(chainID, o.GetSlot(), o.GetSalt(), o.GetValue())
	return string(c[:]) == string(v.GetCommitment())
}

// UnknownInOpenings reports whether openings have fields that this program does not know, which no commitment covers.
func UnknownInOpenings(o *ltlv1.Openings) bool {
	unknown := len(o.ProtoReflect().GetUnknown()) > 0
	for _, one := range o.GetOpenings() {
		unknown = unknown || len(one.ProtoReflect().GetUnknown()) > 0
	}
	return unknown
}

// CheckOpenings judges a transaction that was decoded together with its openings: each value must be opened, and
// nothing else; the commitments and the stated lengths must be right, and what the rules say of the values themselves must
// hold. The code is OK, BadDigest or Malformed with a reason. It does not judge what execution judges by the payload.
func CheckOpenings(tx *ltlv1.Transaction, openings *ltlv1.Openings) (code int32, reason string) {
	k, given := kindOf(tx), openings.GetOpenings()
	v := valueAt(k, tx)
	if v == nil || *v == nil {
		if len(given) > 0 {
			return Malformed, reasonOpeningOfNothing
		}
		return OK, ""
	}
	if len(given) != 1 || given[0].GetSlot() != SlotValue {
		return Malformed, reasonOpeningMissing
	}
	value := given[0].GetValue()
	if !Opens(tx.GetChainId(), *v, given[0]) || !utf8.Valid(value) || UnknownInOpenings(openings) {
		return Malformed, reasonOpeningWrong
	}
	if p := k.device(tx); p != nil && CheckDeviceProof(p, string(value)) == BadDigest {
		return BadDigest, ""
	}
	return OK, ""
}

// checkCommitted judges the form of a transaction's values: what is wrong here no client of the network makes.
func checkCommitted(k *kind, tx *ltlv1.Transaction) int32 {
	at := valueAt(k, tx)
	if at == nil || *at == nil {
		return OK
	}
	if len((*at).GetCommitment()) != len(ledger.Hash{}) || (*at).GetLength() != 0 {
		return Malformed
	}
	return OK
}

// openingsOf returns the openings of transaction i of a batch that has openings for all transactions or for none.
func openingsOf(b *ltlv1.Batch, i int) *ltlv1.Openings {
	if len(b.GetOpenings()) == 0 {
		return nil
	}
	return b.GetOpenings()[i]
}
