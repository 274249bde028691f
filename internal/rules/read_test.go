package rules

import (
	"errors"
	"strings"
	"testing"

	"ltl/internal/ledger"
	ltlv1 "ltl/proto/ltl/v1"
)

func TestCanRead(t *testing.T) {
	w := newWorld(t)
	own, other, admins := w.key(m1UID, "k"), w.key(m2UID, "k"), w.key(rootUID, "k")
	unknown := "0001_" + w.chain.Code + "_ZZZZ_k"
	read := func(uid, key string, want int32) {
		t.Helper()
		if got, err := CanRead(w.state, w.chain, uid, key); err != nil || got != want {
			t.Errorf("%q reads %q: %d, %v, want %d", uid, key, got, err, want)
		}
	}
	for _, c := range []struct {
		uid                         string
		own, other, admins, unknown int32
	}{
		{m1UID, OK, Forbidden, Forbidden, BadTypeCode}, {rootUID, OK, OK, OK, BadTypeCode}, {"", OK, OK, OK, BadTypeCode},
		{freeUID, Forbidden, Forbidden, Forbidden, Forbidden}, {ghostUID, UnknownUID, UnknownUID, UnknownUID,
			UnknownUID}, {"x", UnknownUID, UnknownUID, UnknownUID, UnknownUID},
	} {
		read(c.uid, own, c.own)
		read(c.uid, other, c.other)
		read(c.uid, admins, c.admins)
		read(c.uid, unknown, c.unknown)
	}
	read(m1UID, "x", BadKey)
	read("", strings.Replace(own, w.chain.Code, "short", 1), BadChainCode)
	read(rootUID, strings.Replace(own, w.chain.Code, swapCase(w.chain.Code), 1), ChainCodeDiffers)

	w.now = w.chain.ExpiredMs + 1
	read(m1UID, own, OK) // evidence stays readable
	m, err := GetMember(w.state, w.chain, m1UID)
	if err != nil {
		t.Fatal(err)
	}
	m.Status = StatusLock
	w.state[w.chain.ID][prefixMember+m1UID] = m.encode()
	read(m1UID, own, Forbidden)
	read(rootUID, own, OK)
	a, err := GetAccount(w.state, m1UID)
	if err != nil {
		t.Fatal(err)
	}
	a.Type = ltlv1.AccountType_ACCOUNT_TYPE_ROOT
	w.state[ledger.SystemChain][prefixAccount+m1UID] = a.encode()
	read(m1UID, own, NotRAM)

	for n := range 3 {
		left := n
		if _, err := CanRead(failing{w.state, &left}, w.chain, m2UID, own); !errors.Is(err, errDisk) {
			t.Errorf("read %d failed: %v", n, err)
		}
	}
}

// TestReadersReport: the typed readers tell absence from corruption.
func TestReadersReport(t *testing.T) {
	w := newWorld(t)
	empty := memory{}
	if n, err := GetNetwork(empty); n != nil || err != nil {
		t.Error(n, err)
	}
	if l, err := ListNodes(empty); l != nil || err != nil {
		t.Error(l, err)
	}
	if l, err := Locate(empty, w.chain.ID, NewestKey("k")); l != nil || err != nil {
		t.Error(l, err)
	}
	if u, err := GetUsage(empty, w.chain.ID, ""); u != (Usage{}) || err != nil {
		t.Error(u, err)
	}
	bad := func(what string, err error) {
		t.Helper()
		if !errors.Is(err, ErrState) {
			t.Errorf("%s: %v", what, err)
		}
	}
	_, err := ChainByCode(memory{ledger.SystemChain: {prefixChainCode + "c": []byte("1")}}, "c")
	bad("a code without its chain", err)
	_, err = ListOrganisations(memory{ledger.SystemChain: {keyNetwork: (&Network{Organisations: []string{"o1"}}).encode()}})
	bad("an organisation that is missing", err)
	_, err = LocateVersion(memory{"1": {"Kk": Locator{Extra: 2}.Append(nil)}}, "1", "k", 1)
	bad("a version that is missing", err)
	for _, prefix := range []string{prefixChain, prefixAccount} {
		w.state[ledger.SystemChain][prefix+"zz"] = nil
	}
	_, err = ListChains(w.state)
	bad("a chain", err)
	_, err = ListAccounts(w.state)
	bad("an account", err)
	w.state[w.chain.ID][prefixMember+"zz"] = []byte{stateVersion}
	_, err = ListMembers(w.state, w.chain)
	bad("a member", err)
}
