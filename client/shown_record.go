package client

import (
	"bytes"
	"strings"

	"ltl/client/proof"
	"ltl/internal/ledger"
	"ltl/internal/rules"
	ltlv1 "ltl/proto/ltl/v1"
)

// shownRecord is what an answer says of a record, as far as a signed history can confirm it.
type shownRecord struct {
	chainID string
	height  uint64
	index   uint32
	timeMs  int64

	id, blockHash, previous, dataHash []byte

	// key and businessID are the data key and the DataSeq of a record of a phase. askedID is the businessID that was asked
	// for, empty for the newest; phase is empty for a proof.
	key, askedKey, businessID, askedID, phase string
	value, device, account                    string
	corrects                                  *ltlv1.Correction
	// wrong is set where the record is said to be declared wrong.
	wrong bool
}

// answeredRecord is what an answer to GetRecord says; nil where it has no record.
func answeredRecord(in *ltlv1.GetRecordRequest, out *ltlv1.GetRecordResponse) *shownRecord {
	r := out.GetRecord()
	if out.GetCode() != rules.OK || r == nil {
		return nil
	}
	return &shownRecord{chainID: r.GetChainId(), height: r.GetBlockHeight(), index: r.GetTransactionIndex(), timeMs: r.GetTimeMs(),
		id: r.GetTransactionHash(), blockHash: r.GetBlockHash(), previous: r.GetPreviousHash(), dataHash: r.GetDataHash(),
		key: r.GetKey(), askedKey: in.GetKey(), businessID: r.GetBusinessId(), askedID: in.GetBusinessId(),
		value: r.GetValue(), device: r.GetIotId(), account: r.GetAccountUid(), corrects: r.GetCorrects(),
		wrong: r.GetDeclaredWrong() != nil}
}

// answeredPhase is what an answer to GetPhaseRecord says; nil where it has no record.
func answeredPhase(in *ltlv1.GetPhaseRecordRequest, out *ltlv1.GetPhaseRecordResponse) *shownRecord {
	r := out.GetRecord()
	if out.GetCode() != rules.OK || r == nil {
		return nil
	}
	return &shownRecord{chainID: in.GetChainId(), height: r.GetBlockHeight(), index: r.GetTransactionIndex(), timeMs: r.GetTimeMs(),
		id: r.GetTransactionHash(), blockHash: r.GetBlockHash(), previous: r.GetPreviousHash(), dataHash: r.GetDataHash(),
		phase: in.GetPhaseId(), value: r.GetDataValue(), device: r.GetIotId(), account: r.GetAccountUid(),
		corrects: r.GetCorrects(), wrong: r.GetDeclaredWrong() != nil,
		businessID: r.GetDataSeq(), askedID: in.GetDataSeq(), key: r.GetDataKey(),
		askedKey: in.GetDataKey()[strings.LastIndexByte(in.GetDataKey(), '_')+1:]} // it may be a whole Key
}

// at reports whether both are of one place.
func (c *shownRecord) at(other *shownRecord) bool {
	return c.height == other.height && c.index == other.index
}

// after reports whether a record is newer than another one of its chain.
func (c *shownRecord) after(other *shownRecord) bool {
	return c.height > other.height || c.height == other.height && c.index > other.index
}

// differs compares an answer with what was proved, and names the first thing that is another; empty where nothing is.
func (c *shownRecord) differs(made *proof.Certificate, v *proof.Verdict, header *ledger.Header) string {
	r := v.Transaction.Record
	if r == nil {
		return "content: it is no record"
	}
	key, businessID, value, ok := c.proved(made, v)
	if !ok {
		return "content: it holds no such record"
	}
	hash := ledger.DataHash(value)
	for _, check := range []struct {
		what string
		ok   bool
	}{
		{"chain", v.Transaction.Chain == c.chainID},
		{"result", v.Result == rules.OK},
		{"Key", key == c.key && key == c.askedKey && r.Phase == c.phase},
		{"BusinessId", businessID == c.businessID && (c.askedID == "" || strings.EqualFold(c.askedID, businessID))},
		{"value", value == c.value},
		{"data hash", bytes.Equal(hash[:], c.dataHash)},
		{"time", header.TimeMs == c.timeMs},
		{"previous hash", bytes.Equal(header.Previous[:], c.previous)},
		{"place", v.Place == uint64(c.index)},
		{"device", r.Device == c.device},
		{"account", v.Transaction.Account == c.account},
		{"correction", sameCorrection(r.Corrects, c.corrects)},
	} {
		if !check.ok {
			return check.what
		}
	}
	return ""
}

// proved is the name and the value of the record that was proved. A name that the ledger assigned follows from the
// transaction; of a text that a device signed as a list it is one of the records in it.
func (c *shownRecord) proved(made *proof.Certificate, v *proof.Verdict) (key, businessID, value string, ok bool) {
	id := ledger.Hash(v.Transaction.ID)
	tx, err := rules.Decode(made.Payload)
	if err != nil {
		return "", "", "", false
	}
	if key, _, businessID, ok := rules.ProofRecord(tx, id); ok {
		return key, businessID, string(v.Value), true
	}
	items := tx.GetUploadPhaseData().GetItems()
	if v.Transaction.Record.List {
		if items, err = rules.ParsePhaseDataList(string(v.Value)); err != nil {
			return "", "", "", false
		}
	}
	for i, seq := range rules.DataSeqs(id, items) {
		switch item := items[i]; {
		case v.Transaction.Record.List && item.GetDataKey() == c.key && seq == c.businessID:
			return c.key, seq, item.GetPhaseData(), true
		case !v.Transaction.Record.List && i == made.Item:
			return item.GetDataKey(), seq, string(v.Value), true
		}
	}
	return "", "", "", false
}

func sameCorrection(proved *proof.Correction, claimed *ltlv1.Correction) bool {
	if proved == nil || claimed == nil {
		return proved == nil && claimed == nil
	}
	return bytes.Equal(proved.TransactionID, claimed.GetTransactionId()) && proved.Key == claimed.GetKey() &&
		strings.EqualFold(proved.BusinessID, claimed.GetBusinessId()) && proved.Reason == claimed.GetReason()
}
