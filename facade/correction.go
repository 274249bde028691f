package facade

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strconv"
	"time"
	"unicode/utf8"

	"ltl/internal/rules"
	ltlv1 "ltl/proto/ltl/v1"
)

// The parameters of AttachData that declare another record wrong. The manual does not have them, so older clients never
// send them.
const (
	correctsHash   = "CorrectsTransactionHash"
	correctsReason = "CorrectsReason"
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
	id, err := hex.DecodeString(hash)
	if n := utf8.RuneCountInString(reason); err != nil || len(id) != sha256.Size || n < 1 || n > rules.MaxReason {
		return nil, malformed(fmt.Sprintf("CorrectsTransactionHash must be 64 hexadecimal characters, and CorrectsReason 1 "+
			"to %d characters; give both or neither.", rules.MaxReason))
	}
	r, err := c.f.net.GetTransaction(c.ctx, &ltlv1.GetTransactionRequest{TransactionHash: id})
	if err != nil {
		return nil, err
	}
	if r.GetCode() != rules.OK || r.GetResult() != rules.OK {
		return nil, newRefusal(rules.NotFound, noCorrected)
	}
	tx, err := rules.Decode(r.GetTransaction())
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
