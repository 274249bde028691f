package rules

import (
	"crypto/sha256"
	"fmt"
	"slices"

	"ltl/internal/ledger"
	ltlv1 "ltl/proto/ltl/v1"
)

// Bounds on the AccessKeys of an account.
const (
	// MaxActiveAccessKeys is the largest number of active AccessKeys of an account.
	MaxActiveAccessKeys = 2
	// MaxAccessKeys is the largest number of AccessKeys that an account ever has, deleted ones included.
	MaxAccessKeys = 64
)

// AccessKey is an AccessKey as the ledger has it. Its sealed secret is not on the ledger.
type AccessKey struct {
	// ID is not part of the stored value; it is in the key.
	ID, AccountUID, Organisation string
	State                        ltlv1.AccessKeyState
	Version                      uint64
	// SealedVersion is the version at which the secret was sealed: the last one that changed the commitment.
	SealedVersion uint64
	// Commitment is that to the sealed secret; see ledger.SealedCommitment.
	Commitment ledger.Hash
	// Height and Index are those of the transaction that changed it last.
	Height uint64
	Index  uint32
}

func accessKeyKey(id string) string { return prefixAccessKey + id }

func accessKeysOfKey(uid string) string { return prefixAccessKeysOf + uid }

// ValidAccessKeyID reports whether s may be the id of an AccessKey: 1 to 128 letters and digits.
func ValidAccessKeyID(s string) bool {
	for i := range len(s) {
		if c := s[i]; (c < '0' || c > '9') && (c < 'A' || c > 'Z') && (c < 'a' || c > 'z') {
			return false
		}
	}
	return len(s) > 0 && len(s) <= MaxAccessKeyID
}

// GetAccessKey returns an AccessKey; nil when there is none.
func GetAccessKey(v View, id string) (*AccessKey, error) {
	k, err := load(v, ledger.SystemChain, accessKeyKey(id), parseAccessKey)
	if k != nil {
		k.ID = id
	}
	return k, err
}

// ListAccessKeys returns the AccessKeys of an account in the order in which they were made; with an empty uid those of
// all accounts, in the order of their ids.
func ListAccessKeys(v Reader, uid string) ([]*AccessKey, error) {
	if uid != "" {
		return accessKeysOf(v, uid)
	}
	var all []*AccessKey
	err := v.Scan(ledger.SystemChain, []byte(prefixAccessKey), func(key, value []byte) error {
		k, err := parseAccessKey(value)
		if err == nil {
			k.ID = string(key[len(prefixAccessKey):])
			all = append(all, k)
		}
		return err
	})
	return all, err
}

// accessKeysOf returns the AccessKeys of an account, deleted ones too.
func accessKeysOf(v View, uid string) ([]*AccessKey, error) {
	list, err := load(v, ledger.SystemChain, accessKeysOfKey(uid), parseIDs)
	if list == nil || err != nil {
		return nil, err
	}
	all := make([]*AccessKey, len(list.ids))
	for i, id := range list.ids {
		if all[i], err = GetAccessKey(v, id); err != nil {
			return nil, err
		}
		if all[i] == nil {
			return nil, fmt.Errorf("%w: account %s lists AccessKey %s, which there is not", ErrState, uid, id)
		}
	}
	return all, nil
}

func ownerOfAccessKey(e *exec, tx *ltlv1.Transaction) (string, error) {
	return e.ownerOfUID(tx.GetPutAccessKey().GetAccountUid())
}

func checkPutAccessKey(tx *ltlv1.Transaction) int32 {
	p := tx.GetPutAccessKey()
	if !ValidAccessKeyID(p.GetId()) || !ValidUID(p.GetAccountUid()) || len(p.GetCommitment()) != sha256.Size ||
		p.GetVersion() == 0 {
		return OutOfRange
	}
	switch p.GetState() {
	case ltlv1.AccessKeyState_ACCESS_KEY_STATE_ACTIVE, ltlv1.AccessKeyState_ACCESS_KEY_STATE_DISABLED,
		ltlv1.AccessKeyState_ACCESS_KEY_STATE_DELETED:
		return OK
	}
	return OutOfRange
}

// putAccessKey creates or changes an AccessKey. Its account never changes, and the version says which state the change
// was made for, so that of two changes at the same moment one is refused.
func (e *exec) putAccessKey(act action) (int32, string, error) {
	p := act.tx.GetPutAccessKey()
	a, err := GetAccount(e, p.GetAccountUid())
	if err != nil {
		return 0, "", err
	}
	if a == nil {
		return NotFound, "", nil
	}
	old, err := GetAccessKey(e, p.GetId())
	if err != nil {
		return 0, "", err
	}
	switch {
	case old != nil && old.AccountUID != a.UID:
		return e.refuse(Conflict, fmt.Sprintf(reasonKeyUID, p.GetId(), old.AccountUID)), "", nil
	case old != nil && old.State == ltlv1.AccessKeyState_ACCESS_KEY_STATE_DELETED:
		return e.refuse(Conflict, fmt.Sprintf(reasonKeyDeleted, p.GetId())), "", nil
	case old == nil && p.GetVersion() != 1:
		return e.refuse(NotFound, fmt.Sprintf(reasonNoKey, p.GetId())), "", nil
	case old != nil && p.GetVersion() != old.Version+1:
		return e.refuse(Conflict, fmt.Sprintf(reasonKeyVersion, p.GetId(), old.Version)), "", nil
	}
	all, err := accessKeysOf(e, a.UID)
	if err != nil {
		return 0, "", err
	}
	if reason := roomForKey(all, old, p); reason != "" {
		return e.refuse(QuotaExceeded, reason), "", nil
	}
	k := &AccessKey{
		ID: p.GetId(), AccountUID: a.UID, Organisation: a.Organisation, State: p.GetState(), Version: p.GetVersion(),
		SealedVersion: p.GetVersion(), Commitment: ledger.Hash(p.GetCommitment()), Height: act.here.Height,
		Index: act.here.Index,
	}
	if old != nil && old.Commitment == k.Commitment {
		k.SealedVersion = old.SealedVersion
	}
	e.put(accessKeyKey(k.ID), k.encode())
	if old == nil {
		list := &ids{}
		for _, have := range all {
			list.ids = append(list.ids, have.ID)
		}
		list.ids = append(list.ids, k.ID)
		e.put(accessKeysOfKey(a.UID), list.encode())
	}
	return OK, "", nil
}

// roomForKey returns why an account with these AccessKeys may not have one more or one more active one; empty when it
// may. old is the AccessKey to be changed, nil for a new one.
func roomForKey(all []*AccessKey, old *AccessKey, p *ltlv1.PutAccessKey) string {
	if old == nil && len(all) >= MaxAccessKeys {
		return reasonKeysEver
	}
	if p.GetState() != ltlv1.AccessKeyState_ACCESS_KEY_STATE_ACTIVE {
		return ""
	}
	others := slices.DeleteFunc(slices.Clone(all), func(k *AccessKey) bool {
		return k.State != ltlv1.AccessKeyState_ACCESS_KEY_STATE_ACTIVE || k.ID == p.GetId()
	})
	if len(others) >= MaxActiveAccessKeys {
		return reasonActiveKeys
	}
	return ""
}

func (k *AccessKey) encode() []byte {
	e := encoder{[]byte{stateVersion}}
	e.strings(k.AccountUID, k.Organisation)
	e.u32(uint32(k.State))
	e.u64(k.Version)
	e.u64(k.SealedVersion)
	e.bytes(k.Commitment[:])
	e.u64(k.Height)
	e.u32(k.Index)
	return e.b
}

func parseAccessKey(b []byte) (*AccessKey, error) {
	k, d := &AccessKey{}, begin(b)
	d.strings(&k.AccountUID, &k.Organisation)
	k.State = ltlv1.AccessKeyState(d.u32())
	k.Version = d.u64()
	k.SealedVersion = d.u64()
	commitment := d.bytes()
	k.Height = d.u64()
	k.Index = d.u32()
	if d.bad = d.bad || len(commitment) != len(k.Commitment); !d.bad {
		k.Commitment = ledger.Hash(commitment)
	}
	return k, d.end("AccessKey")
}

// ids is a list of identifiers.
type ids struct{ ids []string }

func (l *ids) encode() []byte {
	e := encoder{[]byte{stateVersion}}
	e.list(l.ids)
	return e.b
}

func parseIDs(b []byte) (*ids, error) {
	l, d := &ids{}, begin(b)
	l.ids = d.list()
	return l, d.end("list of identifiers")
}
