package rules

import (
	"errors"
	"fmt"
	"math"
	"unicode/utf8"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"

	ltlv1 "ltl/proto/ltl/v1"
)

// ErrMalformed is returned, wrapped, for bytes that are not a transaction.
var ErrMalformed = errors.New("malformed transaction")

// Decode reads a transaction: it returns ErrMalformed, wrapped, for bytes that are not the one encoding of one (see
// canonical), and for more than MaxTransaction bytes. The result may refer to payload's bytes, which must not change
// any more.
func Decode(payload []byte) (*ltlv1.Transaction, error) {
	if len(payload) > MaxTransaction {
		return nil, fmt.Errorf("%w: %d bytes, at most %d are allowed", ErrMalformed, len(payload), MaxTransaction)
	}
	if tx := decodeRecord(payload); tx != nil {
		return tx, nil
	}
	return decodeAny(payload)
}

// decodeAny decodes any transaction, at the speed of the protobuf library.
func decodeAny(payload []byte) (*ltlv1.Transaction, error) {
	tx := &ltlv1.Transaction{}
	if err := proto.Unmarshal(payload, tx); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrMalformed, err)
	}
	if tx.GetOpenings() != nil {
		return nil, fmt.Errorf("%w: it holds openings, which travel beside it", ErrMalformed)
	}
	if !canonical(payload, tx.ProtoReflect().Descriptor()) {
		return nil, fmt.Errorf("%w: it is not in the canonical encoding; docs/bytes.md describes it", ErrMalformed)
	}
	return tx, nil
}

// Field numbers of transaction.proto that the fast decoder knows.
const (
	fieldVersion        = 1
	fieldChainID        = 2
	fieldAccountUID     = 3
	fieldSubmitter      = 4
	fieldNonce          = 5
	fieldCreatedMs      = 6
	fieldAccessKeyID    = 7
	fieldSignatureNonce = 8
	fieldSetData        = 20
	fieldAttachData     = 21

	fieldKey        = 1
	fieldValue      = 2
	fieldBusinessID = 3

	fieldCommitment = 1
	fieldBytes      = 2
)

type setDataTx struct {
	tx     ltlv1.Transaction
	action ltlv1.Transaction_SetData
	data   ltlv1.SetData
	value  ltlv1.Value
}

type attachDataTx struct {
	tx     ltlv1.Transaction
	action ltlv1.Transaction_AttachData
	data   ltlv1.AttachData
	value  ltlv1.Value
}

// decodeRecord is the fast path for nearly all transactions: SetData or AttachData with the fields in ascending
// order, each at most once. It makes two allocations where the library makes a dozen. For anything else it returns
// nil and the library decodes; when it does not return nil, the result is the library's (FuzzDecode).
func decodeRecord(payload []byte) *ltlv1.Transaction {
	text := string(payload) // one copy; all strings are parts of it
	r := reader{b: payload, s: text}
	var tx *ltlv1.Transaction
	var head [fieldSignatureNonce + 1]string
	var version, created uint64
	var nonce []byte
	for r.next() {
		switch r.field {
		case fieldVersion:
			version = r.varint()
		case fieldCreatedMs:
			created = r.varint()
		case fieldNonce:
			at, n := r.bytes()
			if n == 0 {
				return nil
			}
			nonce = payload[at : at+n : at+n]
		case fieldChainID, fieldAccountUID, fieldSubmitter, fieldAccessKeyID, fieldSignatureNonce:
			head[r.field] = r.text()
		case fieldSetData:
			x := &setDataTx{}
			x.tx.Action, x.action.SetData = &x.action, &x.data
			inner := r.message()
			if decodeFields(&inner, &r, &x.data.Key, &x.value, nil) {
				x.data.Value = &x.value
			}
			tx = &x.tx
		case fieldAttachData:
			if tx != nil {
				return nil // two actions: the library merges them
			}
			x := &attachDataTx{}
			x.tx.Action, x.action.AttachData = &x.action, &x.data
			inner := r.message()
			if decodeFields(&inner, &r, &x.data.Key, &x.value, &x.data.BusinessId) {
				x.data.Value = &x.value
			}
			tx = &x.tx
		default:
			return nil
		}
	}
	if r.bad || tx == nil || version > math.MaxUint32 {
		return nil
	}
	tx.Version, tx.CreatedMs, tx.Nonce = uint32(version), int64(created), nonce
	tx.ChainId, tx.AccountUid, tx.Submitter = head[fieldChainID], head[fieldAccountUID], head[fieldSubmitter]
	tx.AccessKeyId, tx.SignatureNonce = head[fieldAccessKeyID], head[fieldSignatureNonce]
	return tx
}

// decodeFields reads the fields of a SetData or AttachData, and reports whether there is a value. It sets outer.bad
// when it meets anything else.
func decodeFields(r, outer *reader, key *string, value *ltlv1.Value, businessID *string) (present bool) {
	for r.next() {
		switch {
		case r.field == fieldKey:
			*key = r.text()
		case r.field == fieldValue:
			present = true
			inner := r.message()
			decodeValue(&inner, r, value)
		case r.field == fieldBusinessID && businessID != nil:
			*businessID = r.text()
		default:
			r.bad = true
		}
	}
	outer.bad = outer.bad || r.bad
	return present
}

// decodeValue reads a Value, and sets outer.bad as decodeFields does.
func decodeValue(r, outer *reader, value *ltlv1.Value) {
	for r.next() {
		switch r.field {
		case fieldCommitment:
			at, n := r.bytes()
			r.bad = r.bad || n == 0
			value.Commitment = r.b[at : at+n : at+n]
		case fieldBytes:
			v := r.varint()
			r.bad = r.bad || v > math.MaxUint32
			value.Bytes = uint32(v)
		default:
			r.bad = true
		}
	}
	outer.bad = outer.bad || r.bad
}

// reader walks over encoded fields with ascending numbers. b and s are the same bytes; at is the position in both.
type reader struct {
	b     []byte
	s     string
	at    int
	field protowire.Number
	typ   protowire.Type
	bad   bool
}

// next moves to the next field; false at the end, and for anything that the fast path does not handle.
func (r *reader) next() bool {
	if r.bad || r.at == len(r.b) {
		return false
	}
	tag, n := shortVarint(r.b[r.at:])
	field := protowire.Number(tag >> 3)
	if n == 0 || tag>>3 > math.MaxInt32 || field <= r.field {
		r.bad = true
		return false
	}
	r.at += n
	r.field, r.typ = field, protowire.Type(tag&7)
	return true
}

func (r *reader) varint() uint64 {
	if r.typ != protowire.VarintType {
		r.bad = true
		return 0
	}
	v, n := shortVarint(r.b[r.at:])
	if n == 0 || v == 0 {
		r.bad = true
		return 0
	}
	r.at += n
	return v
}

// bytes moves over a length-delimited field and returns where its content is.
func (r *reader) bytes() (at, n int) {
	if r.typ != protowire.BytesType {
		r.bad = true
		return r.at, 0
	}
	size, used := shortVarint(r.b[r.at:])
	if used == 0 || size > uint64(len(r.b)-r.at-used) {
		r.bad = true
		return r.at, 0
	}
	at, n = r.at+used, int(size)
	r.at = at + n
	return at, n
}

func (r *reader) text() string {
	at, n := r.bytes()
	s := r.s[at : at+n]
	if n == 0 || !utf8.ValidString(s) {
		r.bad = true
	}
	return s
}

func (r *reader) message() reader {
	at, n := r.bytes()
	return reader{b: r.b[at : at+n], s: r.s[at : at+n]}
}
