package offline

import (
	"crypto/sha256"

	"google.golang.org/protobuf/proto"

	"ltl/internal/ledger"
	ltlv1 "ltl/proto/ltl/v1"
)

// Values are the openings of transactions, by their commitments.
type Values map[string]*ltlv1.Opening

// Text is a value as it is, until Commit puts the commitment in its place.
func Text(value string) *ltlv1.Value { return &ltlv1.Value{Commitment: []byte(value)} }

// Commit puts commitments in the place of a transaction's texts, or of the values in its openings, and keeps the
// openings. The salt follows from the text. It returns the transaction, whose encoding is a payload then.
func (v Values) Commit(tx *ltlv1.Transaction) *ltlv1.Transaction {
	for _, o := range tx.GetOpenings().GetOpenings() {
		if set := tx.GetSetData(); set != nil {
			set.Value = Text(string(o.GetValue()))
		} else if attached := tx.GetAttachData(); attached != nil {
			attached.Value = Text(string(o.GetValue()))
		}
	}
	tx.Openings = nil
	value := committed(tx)
	if value == nil || v[string(value.GetCommitment())] != nil {
		return tx
	}
	salt := sha256.Sum256(append([]byte("salt of "), value.GetCommitment()...))
	o := &ltlv1.Opening{Salt: salt[:ledger.SaltLen], Value: value.GetCommitment()}
	c := ledger.Commitment(tx.GetChainId(), o.GetSlot(), o.GetSalt(), o.GetValue())
	value.Commitment, value.Bytes = c[:], uint32(len(o.GetValue()))
	v[string(c[:])] = o
	return tx
}

// Openings returns the openings of payloads, as batches and proposals carry them: nil where none commits to a value.
func (v Values) Openings(payloads ...[]byte) []*ltlv1.Openings {
	all := make([]*ltlv1.Openings, len(payloads))
	some := false
	for i, p := range payloads {
		all[i] = &ltlv1.Openings{}
		tx := &ltlv1.Transaction{}
		if proto.Unmarshal(p, tx) != nil {
			continue
		}
		if o := v[string(committed(tx).GetCommitment())]; o != nil {
			all[i].Openings, some = []*ltlv1.Opening{o}, true
		}
	}
	if !some {
		return nil
	}
	return all
}

// Open adds the openings of its transactions to a batch, and returns it.
func (v Values) Open(b *ltlv1.Batch) *ltlv1.Batch {
	b.Openings = v.Openings(b.GetTransactions()...)
	return b
}

// committed returns the value that a transaction commits to.
func committed(tx *ltlv1.Transaction) *ltlv1.Value {
	if v := tx.GetSetData().GetValue(); v != nil {
		return v
	}
	return tx.GetAttachData().GetValue()
}
