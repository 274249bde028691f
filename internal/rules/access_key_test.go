package rules

import (
	"fmt"
	"maps"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"ltl/internal/ledger"
	ltlv1 "ltl/proto/ltl/v1"
)

const (
	keyActive   = ltlv1.AccessKeyState_ACCESS_KEY_STATE_ACTIVE
	keyDisabled = ltlv1.AccessKeyState_ACCESS_KEY_STATE_DISABLED
	keyDeleted  = ltlv1.AccessKeyState_ACCESS_KEY_STATE_DELETED
)

// putKey is an act that puts a version of an AccessKey; secret stands for its sealed secret.
func (w *world) putKey(id, uid string, state ltlv1.AccessKeyState, version uint64, secret string) *ltlv1.Transaction {
	c := ledger.SealedCommitment([]byte(secret))
	return w.operator(&ltlv1.Transaction_PutAccessKey{PutAccessKey: &ltlv1.PutAccessKey{
		Id: id, AccountUid: uid, State: state, Version: version, Commitment: c[:]}})
}

// TestPutAccessKey: what is refused, by whom it may be done, and what is stored.
func TestPutAccessKey(t *testing.T) {
	w := newWorld(t)
	const id = "LTAI1"
	w.must(w.putKey(id, m1UID, keyActive, 1, "s1"))
	w.refused("another account", w.putKey(id, m2UID, keyActive, 2, "s1"), Conflict, fmt.Sprintf(reasonKeyUID, id, m1UID))
	w.refused("by another organisation", by("o2", w.putKey(id, m1UID, keyActive, 2, "s1")), Forbidden,
		fmt.Sprintf(reasonOwner, "o1"))
	w.refused("the version again", w.putKey(id, m1UID, keyDisabled, 1, "s1"), Conflict,
		fmt.Sprintf(reasonKeyVersion, id, 1))
	w.want("a version left out", w.putKey(id, m1UID, keyDisabled, 3, "s1"), Conflict)
	w.want("an unknown one, not from its first version", w.putKey("LTAI2", m1UID, keyActive, 2, "s1"), NotFound)
	w.want("an account that there is not", w.putKey("LTAI2", ghostUID, keyActive, 1, "s1"), NotFound)
	for _, bad := range []string{"", "a-b", "a b", "é", string(make([]byte, MaxAccessKeyID+1))} {
		w.want(fmt.Sprintf("the id %q", bad), w.putKey(bad, m1UID, keyActive, 1, "s1"), OutOfRange)
	}
	w.want("no state", w.putKey("LTAI2", m1UID, 0, 1, "s1"), OutOfRange)
	w.want("a state to come", w.putKey("LTAI2", m1UID, keyDeleted+1, 1, "s1"), OutOfRange)

	w.must(w.putKey(id, m1UID, keyDisabled, 2, "s1"))
	k, err := GetAccessKey(w.state, id)
	if err != nil || k.Version != 2 || k.SealedVersion != 1 || k.Organisation != "o1" || k.State != keyDisabled {
		t.Errorf("disabled: %+v, %v; the secret is still that of version 1", k, err)
	}
	w.must(w.putKey(id, m1UID, keyActive, 3, "s3"))
	if k, err = GetAccessKey(w.state, id); err != nil || k.SealedVersion != 3 {
		t.Errorf("sealed again: %+v, %v", k, err)
	}
	w.must(w.putKey(id, m1UID, keyDeleted, 4, "s3"))
	w.refused("a deleted one", w.putKey(id, m1UID, keyActive, 5, "s3"), Conflict, fmt.Sprintf(reasonKeyDeleted, id))
}

// TestAccessKeyLimits: two active ones, and 64 ever.
func TestAccessKeyLimits(t *testing.T) {
	w := newWorld(t)
	for i := range MaxAccessKeys {
		state := keyDisabled
		if i < MaxActiveAccessKeys {
			state = keyActive
		}
		w.must(w.putKey(fmt.Sprint("k", i), m1UID, state, 1, "s"))
	}
	w.refused("a third active one", w.putKey("k5", m1UID, keyActive, 2, "s"), QuotaExceeded, reasonActiveKeys)
	w.want("an active one again", w.putKey("k0", m1UID, keyActive, 2, "s"), OK)
	w.refused("a 65th", w.putKey("more", m1UID, keyDisabled, 1, "s"), QuotaExceeded, reasonKeysEver)
	w.must(w.putKey("k0", m1UID, keyDeleted, 2, "s"))
	w.refused("a 65th after a deletion", w.putKey("more", m1UID, keyDisabled, 1, "s"), QuotaExceeded, reasonKeysEver)
	w.want("another account's", w.putKey("more", m2UID, keyActive, 1, "s"), OK)
	all, err := ListAccessKeys(w.state, m1UID)
	if err != nil || len(all) != MaxAccessKeys || all[7].ID != "k7" {
		t.Errorf("%d AccessKeys, %v", len(all), err)
	}
}

// TestKeyOfRequest: an AccessKey is good for its own account and while it is active, and a refusal uses up no nonce.
func TestKeyOfRequest(t *testing.T) {
	w := newWorld(t)
	request := func(uid, id string) *ltlv1.Transaction {
		tx := w.tx(uid, set(w.key(uid, "a"), "v"))
		tx.AccessKeyId, tx.SignatureNonce = id, "n"
		return tx
	}
	own := keyOf(m1UID)
	w.refused("another account's AccessKey", request(m2UID, own), NotEntitled, fmt.Sprintf(reasonKeyAccount, own))
	w.refused("an unknown one", request(m1UID, "unknown"), NotEntitled, fmt.Sprintf(reasonNoKey, "unknown"))
	system := w.operator(account("", "o1", ltlv1.AccountType_ACCOUNT_TYPE_RAM))
	system.AccessKeyId, system.SignatureNonce = own, "n"
	w.want("on the system chain", system, NotEntitled)
	w.must(w.putKey(own, m1UID, keyDisabled, 2, "s"))
	stale := request(m1UID, own)
	w.refused("a disabled one", stale, NotEntitled, fmt.Sprintf(reasonKeyState, own))
	if r := w.apply(stale); r[0].GetCode() != NotEntitled {
		t.Fatal(r)
	}
	w.must(w.putKey(own, m1UID, keyActive, 3, "s"))
	w.must(stale) // the same bytes, the same nonce
	w.want("its nonce again", request(m1UID, own), NonceUsed)
}

// keyModel is the simplest model of an AccessKey.
type keyModel struct {
	uid     string
	state   ltlv1.AccessKeyState
	version uint64
}

// TestAccessKeyProperty: whatever is put in whatever order, an account has at most two active AccessKeys, none changes
// its account, versions have no gaps, and a deleted one stays so.
func TestAccessKeyProperty(t *testing.T) {
	base := newWorld(t)
	for _, uid := range []string{m1UID, m2UID} { // those of the worlds are not in the account's list
		delete(base.state[ledger.SystemChain], accessKeyKey(keyOf(uid)))
	}
	rapid.Check(t, func(rt *rapid.T) {
		w := base.copy()
		model := map[string]keyModel{}
		for range rapid.IntRange(1, 30).Draw(rt, "n") {
			id := rapid.SampledFrom([]string{"a", "b", "c", "d"}).Draw(rt, "id")
			uid := rapid.SampledFrom([]string{m1UID, m2UID}).Draw(rt, "uid")
			state := rapid.SampledFrom([]ltlv1.AccessKeyState{keyActive, keyActive, keyDisabled, keyDeleted}).Draw(rt, "state")
			old, known := model[id]
			version := old.version + uint64(rapid.IntRange(0, 2).Draw(rt, "version"))
			active := 0
			for other, k := range model {
				if k.uid == uid && k.state == keyActive && other != id {
					active++
				}
			}
			want := version == old.version+1 && (!known || old.uid == uid && old.state != keyDeleted) &&
				(state != keyActive || active < MaxActiveAccessKeys)
			code := w.apply(w.putKey(id, uid, state, version, "s"))[0].GetCode()
			if (code == OK) != want {
				rt.Fatalf("%s of %s in state %v, version %d over %+v: %d", id, uid, state, version, old, code)
			}
			if want {
				model[id] = keyModel{uid, state, version}
			}
		}
		for _, id := range slices.Sorted(maps.Keys(model)) {
			k, err := GetAccessKey(w.state, id)
			if want := model[id]; err != nil || k.AccountUID != want.uid || k.State != want.state || k.Version != want.version {
				rt.Fatalf("%s: %+v, %v, want %+v", id, k, err, want)
			}
		}
	})
}
