package adversary

import (
	"errors"
	"strings"
	"testing"
	"time"

	"ltl/client"
	"ltl/internal/identity"
	"ltl/internal/ledger"
	"ltl/internal/rules"
	ltlv1 "ltl/proto/ltl/v1"
	"ltl/test/insider"
	"ltl/test/testkit"
)

const (
	keyActive   = ltlv1.AccessKeyState_ACCESS_KEY_STATE_ACTIVE
	keyDisabled = ltlv1.AccessKeyState_ACCESS_KEY_STATE_DISABLED
)

// refusedWith fails unless a transaction is refused with the code and words.
func refusedWith(t *testing.T, what string, c *client.Client, tx *ltlv1.Transaction, code int32, words string) {
	t.Helper()
	r, err := c.Submit(t.Context(), tx)
	if err != nil || r.GetCode() != code || !strings.Contains(r.GetReason(), words) {
		t.Errorf("%s: %v, error %v; want %d and %q", what, r, err, code, words)
	}
}

// TestAccessKeysOfOthers: an operator of org2, with its real key and its real sealing key, makes neither its own
// AccessKey one of org1's administrator nor one of org1's its own, and changes and disables none of org1's.
func TestAccessKeysOfOthers(t *testing.T) {
	n := testkit.Start(t, testkit.Options{})
	n.PutAccessKey(n.Admin, "LTAIadmin", "secret")
	n.PutAccessKey(n.Member, "LTAImember", "secret")
	org2 := n.Operator("org2")
	c := ledger.SealedCommitment(n.Seal(n.Member, "LTAImember", "known to org2", 2))
	refusedWith(t, "its own AccessKey with the administrator's uid", org2,
		insider.PutAccessKey(n.Admin.UID, "LTAImember", keyActive, 2, c), rules.Forbidden, "organisation org1:")
	refusedWith(t, "the administrator's AccessKey with its own uid", org2,
		insider.PutAccessKey(n.Member.UID, "LTAIadmin", keyActive, 2, c), rules.Conflict, "for good")
	refusedWith(t, "a new AccessKey of the administrator", org2,
		insider.PutAccessKey(n.Admin.UID, "LTAInew", keyActive, 1, c), rules.Forbidden, "organisation org1:")
	refusedWith(t, "the administrator's AccessKey disabled", org2,
		insider.PutAccessKey(n.Admin.UID, "LTAIadmin", keyDisabled, 2, c), rules.Forbidden, "organisation org1:")
	if err := org2.PutSealed(t.Context(), "LTAIadmin", n.Seal(n.Member, "LTAIadmin", "known to org2", 1)); err == nil ||
		!strings.Contains(err.Error(), "commits") {
		t.Errorf("another secret for the administrator's AccessKey: %v", err)
	}
	out, err := n.Client(identity.RoleFacade).Ledger().ListAccessKeys(t.Context(),
		&ltlv1.ListAccessKeysRequest{Page: 1, Size: 10})
	if err != nil || len(out.GetAccessKeys()) != 2 {
		t.Fatal(out, err)
	}
	for _, k := range out.GetAccessKeys() {
		if k.GetVersion() != 1 || k.GetState() != keyActive {
			t.Errorf("an AccessKey was changed: %v", k)
		}
	}
}

// TestNonceOfOthers: a client, an operator and a facade of org2 that name org1's AccessKey and nonce use up neither,
// also on a chain that needs no endorsement but org2's own, which its endorser's real key gives.
func TestNonceOfOthers(t *testing.T) {
	n := testkit.Start(t, testkit.Options{})
	n.PutAccessKey(n.Admin, "LTAIadmin", "secret")
	n.CheckLedgers(t) // every endorser knows it
	n.Issue("eve", identity.Identity{Organisation: "org2", Role: identity.RoleClient, Name: "eve"})
	n.Issue("evil", identity.Identity{Organisation: "org2", Role: identity.RoleFacade, Name: "evil"})
	of := func(account testkit.Account, id string) *ltlv1.Transaction {
		tx := n.SetData(account, id, "v")
		tx.AccessKeyId, tx.SignatureNonce = "LTAIadmin", "the nonce"
		return tx
	}
	refusedWith(t, "org2's client in its own account's record", n.OpenClient("eve"), of(n.Member, "eve"), rules.NotEntitled,
		"Only a facade")
	refusedWith(t, "org2's operator", n.Operator("org2"), of(n.Member, "olga"), rules.NotEntitled, "Only a facade")
	evil := n.OpenClient("evil")
	refusedWith(t, "org2's facade in its own account's record", evil, of(n.Member, "evil"), rules.NotEntitled,
		"another account")
	refusedWith(t, "org2's facade in the administrator's name", evil, of(n.Admin, "evil"), rules.NotEntitled,
		"may not write for accounts of organisation org1")
	n.Submit(identity.RoleFacade, of(n.Admin, "mine")) // the nonce is unused
	refusedWith(t, "its nonce again", n.Client(identity.RoleFacade), of(n.Admin, "again"), rules.NonceUsed, "")
}

// TestDisabledWhateverTheFacadeKnows: after an AccessKey was disabled no facade writes with it, whatever it knows: here
// one that does not ask. While the endorser of its own organisation is down, it writes nothing at all.
func TestDisabledWhateverTheFacadeKnows(t *testing.T) {
	n := testkit.Start(t, testkit.Options{})
	n.PutAccessKey(n.Member, "LTAImember", "secret")
	write := func(nonce string) *ltlv1.Transaction {
		tx := n.SetData(n.Member, nonce, "v")
		tx.AccessKeyId, tx.SignatureNonce = "LTAImember", nonce
		return tx
	}
	n.Submit(identity.RoleFacade, write("before"))
	n.StopEndorser(0)
	c := ledger.SealedCommitment(n.Seal(n.Member, "LTAImember", "secret", 1))
	n.SubmitAs(n.Operator("org2"), insider.PutAccessKey(n.Member.UID, "LTAImember", keyDisabled, 2, c))
	// The others' refusal is the answer where they have the change already, else the missing endorsement.
	r, err := n.Client(identity.RoleFacade).Submit(t.Context(), write("down"))
	if !errors.Is(err, client.ErrUnavailable) && (err != nil || r.GetCode() != rules.NotEntitled) {
		t.Errorf("without its own endorser: %v, error %v", r, err)
	}
	n.RestartEndorser(0)
	refusedWith(t, "a write after the AccessKey was disabled", n.Client(identity.RoleFacade), write("after"),
		rules.NotEntitled, "not active")
}

// TestWatchOfAccessKeys: a facade hears of a change from its own organisation's endorser at once, and of nothing else
// when that endorser is down: another organisation's is no substitute.
func TestWatchOfAccessKeys(t *testing.T) {
	n := testkit.Start(t, testkit.Options{})
	n.PutAccessKey(n.Member, "LTAImember", "secret")
	changes := make(chan *ltlv1.AccessKeyInfo, 16)
	ended := make(chan error, 1)
	watch := func() {
		ended <- n.Client(identity.RoleFacade).WatchAccessKeys(t.Context(), func(list []*ltlv1.AccessKeyInfo) {
			for _, k := range list {
				changes <- k
			}
		})
	}
	go watch()
	want := func(version uint64, state ltlv1.AccessKeyState) {
		t.Helper()
		select {
		case k := <-changes:
			if k.GetVersion() != version || k.GetState() != state || k.GetOrganisation() != "org2" ||
				k.GetAccountUid() != n.Member.UID {
				t.Errorf("heard of %v, want version %d in state %v", k, version, state)
			}
		case err := <-ended:
			t.Fatal(err)
		case <-time.After(20 * time.Second):
			t.Fatalf("version %d was not heard of", version)
		}
	}
	want(1, keyActive)
	c := ledger.SealedCommitment(n.Seal(n.Member, "LTAImember", "secret", 1))
	n.SubmitAs(n.Operator("org2"), insider.PutAccessKey(n.Member.UID, "LTAImember", keyDisabled, 2, c))
	want(2, keyDisabled)
	n.StopEndorser(0)
	select {
	case err := <-ended:
		if !strings.Contains(err.Error(), "organisation org1") {
			t.Errorf("the watch ended with %v", err)
		}
	case <-time.After(20 * time.Second):
		t.Fatal("the watch goes on without the endorser")
	}
	watch() // at once, with the reason
	if err := <-ended; err == nil {
		t.Error("a watch began without the endorser")
	}
	n.RestartEndorser(0)
}
