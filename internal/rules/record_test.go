package rules

import (
	"strings"
	"testing"

	"ltl/internal/ledger"
	ltlv1 "ltl/proto/ltl/v1"
)

func TestSetDataForm(t *testing.T) {
	w := newWorld(t)
	good := w.key(m1UID, "id")
	code := w.chain.Code
	mine := strings.Split(good, "_")[2]
	foreign := strings.Split(w.key(m2UID, "id"), "_")[2]
	unknown := "ZZZZ"
	for _, c := range []struct {
		what, key, value string
		want             int32
	}{
		{"good", good, "v", OK},
		{"value of 256 bytes", good, strings.Repeat("v", 256), OK},
		{"value of 257 bytes", good, strings.Repeat("v", 257), ValueTooLong},
		{"85 Chinese characters", good, strings.Repeat("数", 85), OK},
		{"86 Chinese characters", good, strings.Repeat("数", 86), ValueTooLong},
		{"empty value", good, "", BadValue},
		{"empty key", "", "v", BadKey},
		{"three parts", "0001_" + code + "_" + mine, "v", BadKey},
		{"five parts", good + "_x", "v", BadKey},
		{"empty ID", "0001_" + code + "_" + mine + "_", "v", BadKey},
		{"empty version", "_" + code + "_" + mine + "_id", "v", BadKey},
		{"version 0002", "0002_" + code + "_" + mine + "_id", "v", BadKey},
		{"ID of 64", "0001_" + code + "_" + mine + "_" + strings.Repeat("a", 64), "v", OK},
		{"ID of 65", "0001_" + code + "_" + mine + "_" + strings.Repeat("a", 65), "v", BadKey},
		{"ID of all characters", "0001_" + code + "_" + mine + "_azAZ09-.", "v", OK},
		{"ID with a blank", "0001_" + code + "_" + mine + "_a b", "v", BadKey},
		{"ID with a zero byte", "0001_" + code + "_" + mine + "_a\x00", "v", BadKey},
		{"ID in Chinese", "0001_" + code + "_" + mine + "_号", "v", BadKey},
		{"chain code of 15", "0001_" + code[1:] + "_" + mine + "_id", "v", BadChainCode},
		{"chain code of 17", "0001_" + code + "x_" + mine + "_id", "v", BadChainCode},
		{"other chain code", "0001_" + strings.Repeat("x", 16) + "_" + mine + "_id", "v", ChainCodeDiffers},
		{"chain code in other case", "0001_" + swapCase(code) + "_" + mine + "_id", "v", ChainCodeDiffers},
		{"type code of 3", "0001_" + code + "_" + mine[1:] + "_id", "v", BadTypeCode},
		{"type code of 5", "0001_" + code + "_" + mine + "A_id", "v", BadTypeCode},
		{"type code in lower case", "0001_" + code + "_abcd_id", "v", BadTypeCode},
		{"unknown type code", "0001_" + code + "_" + unknown + "_id", "v", BadTypeCode},
		{"type code of another", "0001_" + code + "_" + foreign + "_id", "v", BadTypeCode},
		{"key before value", "0001_" + code + "_" + foreign + "_id", "", BadTypeCode},
	} {
		w.want("SetData "+c.what, w.tx(m1UID, set(c.key, c.value)), c.want)
		w.want("AttachData "+c.what, w.tx(m1UID, attach(c.key, c.value, "")), c.want)
	}
	w.want("the administrator under its own code", w.tx(rootUID, set(w.key(rootUID, "id"), "v")), OK)
	w.want("the administrator under a member's code", w.tx(rootUID, set(good, "v")), BadTypeCode)
}

func swapCase(s string) string {
	return strings.Map(func(r rune) rune {
		if 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' {
			return r ^ 0x20
		}
		return r
	}, s)
}

func TestBusinessIDForm(t *testing.T) {
	w := newWorld(t)
	key := w.key(m1UID, "id")
	for _, c := range []struct {
		id   string
		want int32
	}{
		{"", OK}, {business, OK}, {business[1:], OutOfRange}, {business + "0", OutOfRange}, {"g" + business[1:], OutOfRange},
		{"1234567890123456", OutOfRange}, {"@" + business[1:], OutOfRange}, {"\x1a" + business[1:], OutOfRange},
	} {
		w.want("BusinessId "+c.id, w.tx(m1UID, attach(key, "v", c.id)), c.want)
	}
}

func TestDuplicates(t *testing.T) {
	w := newWorld(t)
	single, many := w.key(m1UID, "single"), w.key(m1UID, "many")
	w.must(w.tx(m1UID, set(single, "v")), w.tx(m1UID, attach(many, "v", business)))
	w.want("SetData again", w.tx(m1UID, set(single, "other")), DuplicateKey)
	w.want("AttachData on a single Key", w.tx(m1UID, attach(single, "v", "")), DuplicateKey)
	w.want("SetData on a repeatable Key", w.tx(m1UID, set(many, "v")), DuplicateKey)
	w.want("AttachData again with the same BusinessId", w.tx(m1UID, attach(many, "v", business)), DuplicateKey)
	w.want("… in lower case", w.tx(m1UID, attach(many, "v", strings.ToLower(business))), DuplicateKey)
	w.want("… in upper case", w.tx(m1UID, attach(many, "v", strings.ToUpper(business))), DuplicateKey)
	w.want("the same BusinessId under another Key", w.tx(m1UID, attach(w.key(m1UID, "other"), "v", business)), OK)
	w.want("no BusinessId", w.tx(m1UID, attach(many, "v", "")), OK)

	// The same within one block.
	a, b := w.key(m1UID, "a"), w.key(m1UID, "b")
	var got []int32
	for _, r := range w.apply(w.tx(m1UID, set(a, "1")), w.tx(m1UID, set(a, "1")), w.tx(m1UID, attach(a, "1", "")),
		w.tx(m1UID, attach(b, "1", business)), w.tx(m1UID, attach(b, "2", strings.ToLower(business))), w.tx(m1UID,
			attach(b, "3", "")),
		w.tx(m1UID, set(b, "1"))) {
		got = append(got, r.GetCode())
	}
	want := []int32{OK, DuplicateKey, DuplicateKey, OK, DuplicateKey, OK, DuplicateKey}
	if !equal(got, want) {
		t.Errorf("in one block: %v, want %v", got, want)
	}
}

func equal(a, b []int32) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if a[i] != b[i] {
			return false
		}
	}
	return true
}

func TestVersions(t *testing.T) {
	w := newWorld(t)
	key := w.key(m1UID, "k")
	r := w.must(w.tx(m1UID, attach(key, "1", business)), w.tx(m1UID, attach(key, "2", "")))
	r = append(r, w.must(w.tx(m1UID, attach(key, "3", "")))...)
	if r[0].GetOutput() != business || len(r[1].GetOutput()) != 16 || r[1].GetOutput() == r[2].GetOutput() {
		t.Errorf("outputs %q %q %q", r[0].GetOutput(), r[1].GetOutput(), r[2].GetOutput())
	}
	for v := range uint32(5) {
		l, err := LocateVersion(w.state, w.chain.ID, key, v)
		if err != nil || (l == nil) != (v == 0 || v == 4) {
			t.Fatalf("version %d: %v, %v", v, l, err)
		}
		if l != nil && (l.Height != r[v-1].GetBlockHeight() || l.Index != r[v-1].GetTransactionIndex() ||
			l.Version() != v || l.Single()) {
			t.Errorf("version %d is at %+v, want %v", v, l, r[v-1])
		}
	}
	for i, id := range []string{strings.ToLower(business), r[1].GetOutput(), r[2].GetOutput()} {
		l, err := Locate(w.state, w.chain.ID, BusinessKey(key, id))
		if err != nil || l == nil || l.Version() != uint32(i+1) {
			t.Errorf("business id %q: %+v, %v", id, l, err)
		}
	}
	single := w.key(m1UID, "s")
	w.must(w.tx(m1UID, set(single, "v")))
	if l, err := LocateVersion(w.state, w.chain.ID, single, 1); err != nil || l == nil || l.Version() != 1 || l.Single() {
		t.Errorf("the one version of a single Key: %+v, %v", l, err)
	}
	if l, err := Locate(w.state, w.chain.ID, NewestKey(single)); err != nil || l == nil || !l.Single() {
		t.Errorf("a single Key: %+v, %v", l, err)
	}
}

func TestWhoMayWrite(t *testing.T) {
	w := newWorld(t)
	own := func(submitter string) *ltlv1.Transaction {
		tx := w.tx(m1UID, set(w.key(m1UID, "id"), "v"))
		tx.Submitter = submitter
		return tx
	}
	for _, c := range []struct {
		submitter string
		want      int32
	}{
		{"o1/facade/f", OK}, {"o3/facade/f", NotEntitled}, {"o1/client/bench", OK}, {"o1/operator/olga", OK},
		{"o2/client/c", NotEntitled}, {"o2/operator/o", NotEntitled}, {"o1/node/n1", NotEntitled},
		{"o1/endorser/e", NotEntitled},
		{"o1/king/k", Malformed}, {"o1/client", Malformed}, {"/client/c", Malformed}, {"o1/client/",
			Malformed}, {"o1/client/a/b", Malformed},
		{"", Malformed}, {"O1/client/c", Malformed}, {"o1/client/" + strings.Repeat("x", 65), Malformed}, {"o1/client/a b",
			Malformed},
	} {
		w.want("submitter "+c.submitter, own(c.submitter), c.want)
	}
	w.want("an account on no chain", w.tx(freeUID, set(w.key(m1UID, "id"), "v")), Forbidden)

	// Without an account the policy has no submitter; the endorser's dry run names the account.
	for _, uid := range []string{ghostUID, "", "12", "100000000000001x"} {
		p := marshal(t, w.tx(uid, set(w.key(m1UID, "id"), "v")))
		codes, err := previewCodes(w.input(w.chain.ID), w.now, [][]byte{p}, w.state)
		if err != nil || codes[0] != UnknownUID {
			t.Errorf("account %q: %v, %v", uid, codes, err)
		}
	}

	m, err := GetMember(w.state, w.chain, m1UID)
	if err != nil {
		t.Fatal(err)
	}
	m.Status = StatusLock
	w.state[w.chain.ID][prefixMember+m1UID] = m.encode()
	w.want("a locked member", own("o1/facade/f"), Forbidden)
	m.Status = StatusUnlock
	w.state[w.chain.ID][prefixMember+m1UID] = m.encode()
	a, err := GetAccount(w.state, m1UID)
	if err != nil {
		t.Fatal(err)
	}
	a.Type = ltlv1.AccountType_ACCOUNT_TYPE_ROOT
	w.state[ledger.SystemChain][prefixAccount+m1UID] = a.encode()
	w.want("a main account as member", own("o1/facade/f"), NotRAM)
	w.want("a main account as administrator", w.tx(rootUID, set(w.key(rootUID, "id"), "v")), OK)
}

func TestTerm(t *testing.T) {
	w := newWorld(t)
	c := proofChain()
	c.EffectiveMs, c.ExpiredMs = startMs+1000, startMs+2000
	w.onChain(w.must(w.operator(&ltlv1.Transaction_CreateChain{CreateChain: c}))[0].Output)
	for _, k := range []struct {
		after       int64
		data, admin int32
	}{{0, Forbidden, OK}, {999, Forbidden, OK}, {1000, OK, OK}, {1999, OK, OK}, {2000, Forbidden, Forbidden}, {3000,
		Forbidden, Forbidden}} {
		w.now = startMs + k.after
		w.want("SetData", w.tx(rootUID, set(w.key(rootUID, "id"), "v")), k.data)
		w.want("AttachData", w.tx(rootUID, attach(w.key(rootUID, "id"), "v", "")), k.data)
		w.want("CreateMember", w.tx(rootUID, member(m1UID)), k.admin)
	}
}

// onChain makes another chain w.chain.
func (w *world) onChain(id string) {
	w.t.Helper()
	c, err := GetChain(w.state, id)
	if err != nil || c == nil {
		w.t.Fatal("no chain ", id, err)
	}
	w.chain = c
}

func TestServiceAndQuota(t *testing.T) {
	w := newWorld(t)
	c := proofChain()
	c.Service = ltlv1.ChainService_CHAIN_SERVICE_COLLABORATION
	w.onChain(w.must(w.operator(&ltlv1.Transaction_CreateChain{CreateChain: c}))[0].Output)
	w.want("SetData on a collaboration chain", w.tx(rootUID, set(w.key(rootUID, "id"), "v")), NotFound)
	w.want("a member of a collaboration chain", w.tx(rootUID, member(m1UID)), OK)

	c = proofChain()
	c.CountQuota, c.CapacityQuotaBytes, c.MemberQuota = 3, 10, 1
	w.onChain(w.must(w.operator(&ltlv1.Transaction_CreateChain{CreateChain: c}))[0].Output)
	w.must(w.tx(rootUID, member(m1UID)))
	w.want("a second member", w.tx(rootUID, member(m2UID)), QuotaExceeded)
	w.chain.MemberQuota = maxQuota
	w.state[ledger.SystemChain][prefixChain+w.chain.ID] = w.chain.encode()
	total := w.state[w.chain.ID][prefixUsage]
	w.state[w.chain.ID][prefixUsage] = (&Usage{Members: maxMembers}).append(nil)
	w.want("a member when half of the type codes are taken", w.tx(rootUID, member(m2UID)), QuotaExceeded)
	w.state[w.chain.ID][prefixUsage] = total
	w.must(w.tx(m1UID, set(w.key(m1UID, "1"), "12345")))
	w.want("six bytes of five left", w.tx(m1UID, set(w.key(m1UID, "2"), "123456")), QuotaExceeded)
	w.want("five bytes of five left", w.tx(m1UID, set(w.key(m1UID, "2"), "12345")), OK)
	w.must(w.tx(rootUID, attach(w.key(rootUID, "2"), "1", "")), w.tx(rootUID, attach(w.key(rootUID, "2"), "1", "")))
	w.want("a fourth record", w.tx(m1UID, set(w.key(m1UID, "3"), "1")), QuotaExceeded)
	w.want("what is there comes before the quota", w.tx(m1UID, set(w.key(m1UID, "1"), "1")), DuplicateKey)
	for uid, want := range map[string]Usage{"": {3, 7, 1}, m1UID: {1, 5, 0}, rootUID: {2, 2, 0}, m2UID: {}} {
		if got, err := GetUsage(w.state, w.chain.ID, uid); err != nil || got != want {
			t.Errorf("usage of %q: %+v, %v, want %+v", uid, got, err, want)
		}
	}
}

func TestNonce(t *testing.T) {
	w := newWorld(t)
	for _, id := range []string{"ak", "ak2", "a"} {
		w.state[ledger.SystemChain][accessKeyKey(id)] = activeKey(m1UID, "o1")
	}
	request := func(id, key, nonce string) *ltlv1.Transaction {
		tx := w.tx(m1UID, set(w.key(m1UID, id), "v"))
		tx.AccessKeyId, tx.SignatureNonce = key, nonce
		return tx
	}
	w.must(request("1", "ak", "n"))
	if r := w.apply(request("1", "ak", "refused")); r[0].GetCode() != DuplicateKey {
		t.Fatal(r)
	}
	w.want("the pair again", request("2", "ak", "n"), NonceUsed)
	w.want("the pair of a refused request", request("2", "ak", "refused"), NonceUsed)
	w.want("another key", request("2", "ak2", "n"), OK)
	w.want("another nonce", request("2", "ak", "n2"), OK)
	w.want("the pair cut elsewhere", request("2", "a", "kn"), OK)
	w.must(request("3", "ak", ""), request("4", "ak", ""))
	w.refused("a nonce without an AccessKey", request("5", "", "n"), NotEntitled, reasonNonceAlone)
	r := w.apply(request("7", "ak", "twice"), request("8", "ak", "twice"))
	if r[0].GetCode() != OK || r[1].GetCode() != NonceUsed {
		t.Errorf("in one block: %v", r)
	}
	w.want("a key with a zero byte", request("9", "a\x00k", "n"), Malformed)
	w.want("a long key", request("9", strings.Repeat("k", MaxAccessKeyID+1), "n"), Malformed)
	w.want("a long nonce", request("9", "ak", strings.Repeat("k", MaxSignatureNonce+1)), Malformed)
}
