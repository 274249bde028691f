package facade

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strconv"
	"time"
	"unicode/utf8"

	"ltl/internal/rules"
	ltlv1 "ltl/proto/ltl/v1"
)

// The parameters of uploads that declare another record wrong. The manual does not have them, so older clients never
// send them.
const (
	correctsHash   = "CorrectsTransactionHash"
	correctsReason = "CorrectsReason"
	// correctsDataKey and correctsDataSeq choose one record of a batch on a collaboration chain.
	correctsDataKey = "CorrectsDataKey"
	correctsDataSeq = "CorrectsDataSeq"
)

const noCorrected = "CorrectsTransactionHash is of no record of this chain."

// correction is the record that an upload declares wrong; nil for none. The arguments are those of checkRecord, whose
// refusals come first.
func (c *call) correction(data, businessID string, proof *ltlv1.DeviceProof) (*ltlv1.Correction, error) {
	hash, reason := c.text(correctsHash), c.text(correctsReason)
	if hash == "" && reason == "" {
		return nil, nil
	}
	if form := c.checkRecord(data, businessID, proof); form != nil {
		return nil, form
	}
	id, tx, err := c.correctedTransaction(hash, reason)
	if err != nil {
		return nil, err
	}
	// Whether the record is on this chain, and the account's own, the ledger judges.
	key, _, business, ok := rules.ProofRecord(tx, [sha256.Size]byte(id))
	if !ok {
		return nil, newRefusal(rules.NotFound, noCorrected)
	}
	return &ltlv1.Correction{TransactionId: id, Key: key, BusinessId: business, Reason: reason}, nil
}

// correctedTransaction reads the transaction that wrote the wrong record, of any chain.
func (c *call) correctedTransaction(hash, reason string) ([]byte, *ltlv1.Transaction, error) {
	id, err := hex.DecodeString(hash)
	if n := utf8.RuneCountInString(reason); err != nil || len(id) != sha256.Size || n < 1 || n > rules.MaxReason {
		return nil, nil, malformed(fmt.Sprintf("CorrectsTransactionHash must be 64 hexadecimal characters, and CorrectsReason "+
			"1 to %d characters; give both or neither.", rules.MaxReason))
	}
	r, err := c.f.net.GetTransaction(c.ctx, &ltlv1.GetTransactionRequest{TransactionHash: id})
	if err != nil {
		return nil, nil, err
	}
	if r.GetCode() != rules.OK || r.GetResult() != rules.OK {
		return nil, nil, newRefusal(rules.NotFound, noCorrected)
	}
	tx, err := rules.Decode(r.GetTransaction())
	return id, tx, err
}

// phaseCorrection is the record of a phase that a single upload declares wrong; nil for none. The form of the upload
// was checked.
func (c *call) phaseCorrection() (*ltlv1.Correction, error) {
	hash, reason := c.text(correctsHash), c.text(correctsReason)
	dataKey, seq := c.text(correctsDataKey), c.text(correctsDataSeq)
	if hash == "" && reason == "" && dataKey == "" && seq == "" {
		return nil, nil
	}
	id, tx, err := c.correctedTransaction(hash, reason)
	if err != nil {
		return nil, err
	}
	u := tx.GetUploadPhaseData()
	items, _ := rules.PhaseItems(u) // none of another action
	var found []int
	seqs := rules.DataSeqs([sha256.Size]byte(id), items)
	for i, item := range items {
		if (dataKey == "" || item.GetDataKey() == dataKey) && (seq == "" || seqs[i] == seq) {
			found = append(found, i)
		}
	}
	switch {
	case len(found) == 0:
		return nil, newRefusal(rules.NotFound, noCorrected)
	case len(found) > 1:
		return nil, malformed("The transaction holds several such records: give CorrectsDataKey and CorrectsDataSeq.")
	}
	seq = seqs[found[0]]
	r, _, err := c.f.net.VerifiedPhaseRecord(c.ctx, &ltlv1.GetPhaseRecordRequest{ChainId: c.chainID, AccountUid: c.uid,
		PhaseGroupId: u.GetPhaseGroupId(), PhaseId: u.GetPhaseId(), DataKey: items[found[0]].GetDataKey(), DataSeq: seq})
	switch {
	case err != nil:
		return nil, err
	case r.GetCode() == rules.Forbidden: // by the chain
		return nil, ledgerError(r.GetCode())
	case r.GetCode() != rules.OK, !bytes.Equal(r.GetRecord().GetTransactionHash(), id): // of another chain
		return nil, newRefusal(rules.NotFound, noCorrected)
	}
	// Whether an account that is not the owner is the administrator the ledger judges.
	return &ltlv1.Correction{TransactionId: id, Key: r.GetRecord().GetKey(), BusinessId: seq, Reason: reason,
		ByAdministrator: !r.GetRecord().GetOwn()}, nil
}

// correctionFields are the members of an answer that say which record this one corrects, and how it was declared wrong;
// none for nearly all records.
func correctionFields(r *ltlv1.Record) (f []field) {
	if c := r.GetCorrects(); c != nil {
		f = append(f, textField("corrects", hex.EncodeToString(c.GetTransactionId())),
			textField("correctsReason", c.GetReason()))
	}
	if d := r.GetDeclaredWrong(); d != nil {
		f = append(f, textField("correctedBy", hex.EncodeToString(d.GetTransactionHash())),
			textField("correctedKey", d.GetKey()), textField("correctedReason", d.GetReason()),
			textField("correctedTimestamp", strconv.FormatInt(d.GetTimeMs(), 10)),
			textField("correctedByAdministrator", strconv.FormatBool(d.GetByAdministrator())))
	}
	return f
}

// phaseCorrectionFields are the same of a record of a phase, in the spelling of its other members.
func phaseCorrectionFields(r *ltlv1.PhaseRecord) (f []field) {
	if c := r.GetCorrects(); c != nil {
		f = append(f, textField("Corrects", hex.EncodeToString(c.GetTransactionId())), textField("CorrectsKey", c.GetKey()),
			textField("CorrectsDataSeq", c.GetBusinessId()), textField("CorrectsReason", c.GetReason()))
	}
	if d := r.GetDeclaredWrong(); d != nil {
		f = append(f, textField("CorrectedBy", hex.EncodeToString(d.GetTransactionHash())),
			textField("CorrectedKey", d.GetKey()), textField("CorrectedDataSeq", d.GetBusinessId()),
			textField("CorrectedReason", d.GetReason()), field{"CorrectedTimestamp", integer(d.GetTimeMs())},
			textField("CorrectedByAdministrator", strconv.FormatBool(d.GetByAdministrator())))
	}
	return f
}

// declaredWrong says that a record was declared wrong; empty for nearly all records.
func declaredWrong(r *ltlv1.Record) string {
	d := r.GetDeclaredWrong()
	if d == nil {
		return ""
	}
	by := either(d.GetByAdministrator(), "the chain's administrator", "its owner")
	return fmt.Sprintf("This record was declared wrong by %s on %s, and replaced by transaction %x under Key %s: %s", by,
		time.UnixMilli(d.GetTimeMs()).UTC().Format(time.RFC3339), d.GetTransactionHash(), d.GetKey(), d.GetReason())
}
