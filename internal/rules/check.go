package rules

import (
	"strings"

	"ltl/internal/ledger"
	ltlv1 "ltl/proto/ltl/v1"
)

const (
	transactionVersion = 1
	maxQuota           = 1_000_000_000_000_000_000
	maxTimeMs          = 253_402_300_799_999 // the end of year 9999
)

// Check judges what can be judged from the transaction alone. It returns OK; Malformed for what no state could make
// valid and a correct encoder does not produce; or the code that execution would give.
func Check(tx *ltlv1.Transaction) int32 {
	if code := checkEnvelope(tx); code != OK {
		return code
	}
	return formOf(kindOf(tx), tx)
}

// formOf judges the action of a transaction, and the action inside a proposal.
func formOf(k *kind, tx *ltlv1.Transaction) int32 {
	if k.check != nil {
		if code := k.check(tx); code != OK {
			return code
		}
	}
	if tx.GetPropose() == nil {
		return OK
	}
	inner := proposedBy(tx.GetSubmitter(), tx.GetPropose())
	k = kindOf(inner)
	if k == nil {
		return OutOfRange // a proposal of nothing
	}
	return formOf(k, inner)
}

// checkEnvelope judges the fields that every transaction has. What it calls Malformed never touches state.
func checkEnvelope(tx *ltlv1.Transaction) int32 {
	k := kindOf(tx)
	if tx.GetVersion() != transactionVersion || !ledger.ValidChainID(tx.GetChainId()) || k == nil {
		return Malformed
	}
	if tx.GetCreatedMs() < 0 || len(tx.GetAccessKeyId()) > MaxAccessKeyID ||
		len(tx.GetSignatureNonce()) > MaxSignatureNonce ||
		strings.IndexByte(tx.GetAccessKeyId(), 0) >= 0 {
		return Malformed
	}
	if code := checkCommitted(k, tx); code != OK {
		return code
	}
	system := tx.GetChainId() == ledger.SystemChain
	if system != (k.chain == onSystem) {
		return Malformed
	}
	if k.apply == nil {
		return OK // the genesis transaction has no submitter and needs no nonce
	}
	if len(tx.GetNonce()) != NonceLen {
		return Malformed
	}
	if _, ok := parseIdentity(tx.GetSubmitter()); !ok {
		return Malformed
	}
	switch uid := tx.GetAccountUid(); {
	case system && uid != "":
		return Forbidden
	case !system && !ValidUID(uid):
		return UnknownUID
	}
	return OK
}
