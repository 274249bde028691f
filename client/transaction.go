package client

import (
	"ltl/internal/ledger"
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
		Action: &ltlv1.Transaction_SetData{SetData: &ltlv1.SetData{Key: key, Value: value}},
	}
}

// AttachData returns a transaction that adds a record to a Key. Earlier records of the Key stay: Ledger.ListHistory
// returns all.
func AttachData(chainID, accountUID, key, value string) *ltlv1.Transaction {
	return &ltlv1.Transaction{
		ChainId: chainID, AccountUid: accountUID,
		Action: &ltlv1.Transaction_AttachData{AttachData: &ltlv1.AttachData{Key: key, Value: value}},
	}
}

// TransactionID returns the id of a transaction that Submit has filled in, which the API calls transactionHash.
// Ledger.GetTransaction finds the transaction by it.
func TransactionID(tx *ltlv1.Transaction) ([32]byte, error) {
	payload, err := encode(tx)
	if err != nil {
		return [32]byte{}, err
	}
	return ledger.TransactionID(payload), nil
}
