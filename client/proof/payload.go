package proof

import (
	"math"
	"strings"
)

// Bounds of docs/bytes.md on a payload.
const (
	maxPayload = 983_040
	nonceLen   = 16
	saltLen    = 16
)

// Numbers of the fields of a Transaction that hold its action.
const (
	firstAction       = 20
	actionSetData     = 20
	actionAttachData  = 21
	actionUploadPhase = 33
	actionPropose     = 54
	actionWithdraw    = 57
	actionGenesis     = 60
	actionAccept      = 61
	actionRecover     = 63
)

// Transaction is what a certificate says of its payload.
type Transaction struct {
	// ID is the transaction id; the LTL API calls it transactionHash.
	ID Hash
	// Chain is the 16-digit identifier of the chain that the payload names.
	Chain string
	// Account is the account on whose behalf it was written; empty for acts of operators.
	Account string
	// Submitter is the identity "organisation/role/name" of the process that authenticated the caller.
	Submitter string
	// CreatedMs is the submitter's clock, in milliseconds since 1970; informative.
	CreatedMs int64
	// AccessKeyID names the AccessKey of the request that it came from; empty when there was none.
	AccessKeyID string
	// Action is the number of the action's field in docs/bytes.md's Transaction.
	Action int
	// Record is the record that it holds; nil for an action that is none.
	Record *Record
}

// Record is a record as its payload states it.
type Record struct {
	// Key is the Key of a proof; for a record of a phase it is the data key.
	Key string
	// BusinessID is the BusinessId, or the DataSeq of a record of a phase; empty when the ledger assigned one.
	BusinessID string
	// Phase is the id of the phase; empty for a proof.
	Phase string
	// Device is the IotId of the device whose signature is in the payload; empty when none is.
	Device string
	// List is set when the values are one text that a device signed; Value is then that text.
	List bool
	// Corrects is the record that this one declares wrong and replaces; nil for none.
	Corrects *Correction

	// Bytes is the length of the value that a proof commits to; 0 for a record of a phase.
	Bytes uint64

	proof      bool   // the payload holds a commitment and not the value
	commitment []byte // of the value
	slot       uint64
	value      string // of a record of a phase
}

// Correction names the record that another one replaces, and says why.
type Correction struct {
	// TransactionID is the transaction of the record that is declared wrong.
	TransactionID []byte
	// Key and BusinessID are those of that record.
	Key, BusinessID string
	// Reason is the text that the author gave; it may be empty.
	Reason string
	// ByAdministrator is set when it says that the chain's administrator declares another one's record wrong.
	ByAdministrator bool
}

// readTransaction reads a payload. item chooses the record of an upload of several. It returns errPayload for bytes
// that are not in canonical form as far as they are read, which is all of a record and the envelope of other actions.
func readTransaction(payload []byte, item int) (*Transaction, error) {
	if len(payload) == 0 || len(payload) > maxPayload {
		return nil, errPayload
	}
	m, err := parseMessage(payload)
	if err != nil {
		return nil, err
	}
	f := fields{message: m}
	version := f.number(1)
	t := &Transaction{ID: TransactionID(payload), Chain: f.text(2), Account: f.text(3), Submitter: f.text(4)}
	nonce := f.bytes(5)
	t.CreatedMs, t.AccessKeyID = int64(f.number(6)), f.text(7)
	f.text(8)
	if version != 1 || !validChain(t.Chain) || t.Submitter == "" || len(nonce) != nonceLen || len(m) == 0 ||
		m[len(m)-1].number < firstAction || m[len(m)-1].data == nil {
		return nil, errPayload
	}
	f.used++ // the action, which is the last field
	if !f.done() {
		return nil, errPayload
	}
	action := m[len(m)-1]
	t.Action = action.number
	if item != 0 && action.number != actionUploadPhase {
		return nil, errPayload
	}
	switch action.number {
	case actionSetData, actionAttachData:
		t.Record, err = readProof(action)
	case actionUploadPhase:
		t.Record, err = readUpload(action.data, item)
	}
	return t, err
}

// readProof reads SetData and AttachData.
func readProof(action wireField) (*Record, error) {
	m, err := parseMessage(action.data)
	if err != nil {
		return nil, err
	}
	f := fields{message: m}
	r := &Record{Key: f.text(1), proof: true}
	if err := r.readValue(f.messages(2)); err != nil {
		return nil, err
	}
	device := 3
	if action.number == actionAttachData {
		r.BusinessID = f.text(3)
		device = 4
		if err := r.readCorrection(f.messages(5)); err != nil {
			return nil, err
		}
		if c := r.Corrects; c != nil { // of an upload to a phase the payload says it; here the Keys do
			c.ByAdministrator = c.ByAdministrator || typeCode(c.Key) != typeCode(r.Key)
		}
	}
	if err := r.readDevice(f.messages(device)); err != nil || !f.done() {
		return nil, errPayload
	}
	return r, nil
}

// readValue reads what stands for the value, which is there at most once.
func (r *Record) readValue(all [][]byte) error {
	for _, b := range all {
		m, err := parseMessage(b)
		if err != nil {
			return err
		}
		f := fields{message: m}
		r.commitment, r.Bytes = f.bytes(1), f.number(2)
		if length := f.number(3); !f.done() || r.Bytes > math.MaxUint32 || length > math.MaxUint32 {
			return errPayload
		}
	}
	return nil
}

// typeCode is the data type code of a Key, which is that of the account that may write under it.
func typeCode(key string) string {
	if parts := strings.SplitN(key, "_", 4); len(parts) == 4 {
		return parts[2]
	}
	return ""
}

// readCorrection reads which record this one replaces, of which there is at most one.
func (r *Record) readCorrection(all [][]byte) error {
	for _, b := range all {
		m, err := parseMessage(b)
		if err != nil {
			return err
		}
		f := fields{message: m}
		r.Corrects = &Correction{TransactionID: f.bytes(1), Key: f.text(2), BusinessID: f.text(3), Reason: f.text(4)}
		by := f.number(5)
		r.Corrects.ByAdministrator = by == 1
		if !f.done() || by > 1 {
			return errPayload
		}
	}
	return nil
}

// readDevice reads the device's proof, of which there is at most one.
func (r *Record) readDevice(all [][]byte) error {
	for _, b := range all {
		m, err := parseMessage(b)
		if err != nil {
			return err
		}
		f := fields{message: m}
		f.text(1)
		r.Device = f.text(2)
		for n := 3; n <= 6; n++ {
			f.text(n)
		}
		if !f.done() {
			return errPayload
		}
	}
	return nil
}

// readUpload reads one record of an UploadPhaseData.
func readUpload(b []byte, item int) (*Record, error) {
	m, err := parseMessage(b, 5)
	if err != nil {
		return nil, err
	}
	f := fields{message: m}
	f.text(1)
	r := &Record{Phase: f.text(2)}
	form, batch := f.number(3), f.number(4)
	if int64(form) != int64(int32(form)) || batch > 1 {
		return nil, errPayload // beyond its type: an int32 and a truth value
	}
	items, list := f.messages(5), f.text(6)
	if err := r.readCorrection(f.messages(8)); err != nil {
		return nil, err
	}
	if err := r.readDevice(f.messages(7)); err != nil || !f.done() {
		return nil, errPayload
	}
	if list != "" {
		if len(items) > 0 || item != 0 {
			return nil, errPayload
		}
		r.List, r.value = true, list
		return r, nil
	}
	for i, b := range items {
		m, err := parseMessage(b, 4)
		if err != nil {
			return nil, err
		}
		f := fields{message: m}
		key, value, seq := f.text(1), f.text(2), f.text(3)
		f.messages(4)
		if !f.done() {
			return nil, errPayload
		}
		if i == item {
			r.Key, r.value, r.BusinessID, r.slot = key, value, seq, uint64(i)
		}
	}
	if item >= len(items) {
		return nil, errPayload
	}
	return r, nil
}

func validChain(id string) bool {
	if len(id) != len(systemChain) {
		return false
	}
	for i := range len(id) {
		if id[i] < '0' || id[i] > '9' {
			return false
		}
	}
	return true
}
