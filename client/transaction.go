package client

import (
	"ltl/internal/ledger"
	"ltl/internal/rules"
	ltlv1 "ltl/proto/ltl/v1"
)

// keyVersion is the version of the layout of a Key.
const keyVersion = "0001"

// RecordKey returns the Key of a record: version, chain code, type code and id, joined by "_". The type code is that of
// the account on the chain; Ledger.ListChains reports it. The id is 1 to 64 letters, digits, "-" or ".".
func RecordKey(chainCode, typeCode, id string) string {
	return keyVersion + "_" + chainCode + "_" + typeCode + "_" + id
}

// SetData returns a transaction that writes the first record of a Key. It is refused with CodeDuplicateKey when the Key
// has a record. For other kinds of transactions set another Action of ltlv1.Transaction.
func SetData(chainID, accountUID, key, value string) *ltlv1.Transaction {
	return &ltlv1.Transaction{
		ChainId: chainID, AccountUid: accountUID,
		Action:   &ltlv1.Transaction_SetData{SetData: &ltlv1.SetData{Key: key}},
		Openings: Values(value),
	}
}

// AttachData returns a transaction that adds a record to a Key. Earlier records of the Key stay: Ledger.ListHistory
// returns all.
func AttachData(chainID, accountUID, key, value string) *ltlv1.Transaction {
	return &ltlv1.Transaction{
		ChainId: chainID, AccountUid: accountUID,
		Action:   &ltlv1.Transaction_AttachData{AttachData: &ltlv1.AttachData{Key: key}},
		Openings: Values(value),
	}
}

// Values returns the openings of a transaction that commits to these values, in the order of their slots. A payload
// holds commitments in place of values, so a transaction that is made by hand has them in Transaction.Openings; SetData and
// AttachData have one. Submit makes the commitments.
func Values(values ...string) *ltlv1.Openings {
	all := &ltlv1.Openings{Openings: make([]*ltlv1.Opening, len(values))}
	for i, v := range values {
		all.Openings[i] = &ltlv1.Opening{Slot: uint32(i), Value: []byte(v)}
	}
	return all
}

// ValueOf returns the value of a record: of a transaction that SetData or AttachData made, or that ParseBlock read. It
// returns false where the transaction commits to no value, or the value was not given.
func ValueOf(tx *ltlv1.Transaction) (value string, ok bool) {
	for _, o := range tx.GetOpenings().GetOpenings() {
		if o.GetSlot() == rules.SlotValue {
			return string(o.GetValue()), true
		}
	}
	return "", false
}

// TransactionID returns the id of a transaction that Submit has filled in, or that has all of it but the commitments to
// its values, which TransactionID makes then. The API calls the id transactionHash. Ledger.GetTransaction finds the
// transaction by it.
func TransactionID(tx *ltlv1.Transaction) ([32]byte, error) {
	if err := commit(tx); err != nil {
		return [32]byte{}, err
	}
	payload, err := encode(tx)
	if err != nil {
		return [32]byte{}, err
	}
	return ledger.TransactionID(payload), nil
}
