package client_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"ltl/client"
	"ltl/endorser"
	"ltl/internal/identity"
	"ltl/internal/ledger"
	"ltl/internal/rules"
	ltlv1 "ltl/proto/ltl/v1"
	"ltl/test/testkit"
)

// The tests of this file run against a whole network. Each ends with a comparison of all ledgers, byte for byte.

// TestNetwork shares one network between tests that leave it as it was.
func TestNetwork(t *testing.T) {
	n := testkit.Start(t, testkit.Options{})
	t.Run("one key, many writers", func(t *testing.T) { testOneKeyManyWriters(t, n) })
	t.Run("created, then used", func(t *testing.T) { testCreatedThenUsed(t, n) })
	t.Run("follow", func(t *testing.T) { testFollow(t, n) })
	t.Run("one of many is first", func(t *testing.T) { testOneOfManyIsFirst(t, n) })
	t.Run("wrong address of the own endorser", func(t *testing.T) { testWrongEndorserAddress(t, n) })
}

// TestOwnRules: an organisation's own rule decides its signature, and the chain's policy the result. A refused caller
// gets the reason.
func TestOwnRules(t *testing.T) {
	n := testkit.Start(t, testkit.Options{Endorser: func(i int, cfg *endorser.Config) {
		cfg.Rule = []string{`!value.startsWith("not 1")`, `!value.startsWith("not 2")`, `!value.endsWith("not 3")`}[i]
	}})
	for _, tc := range []struct {
		value, refuses string
	}{
		{value: "agreeable"},
		{value: "not 2"},
		{value: "not 3"},
		{value: "not 2, not 3", refuses: "organisation org2's own rule refuses: !value.startsWith"},
		{value: "not 1", refuses: "organisation org1's own rule refuses"},
	} {
		r, err := n.Client(identity.RoleFacade).Submit(t.Context(), n.AttachData(n.Admin, "ruled", tc.value))
		want := rules.OK
		if tc.refuses != "" {
			want = rules.Forbidden
		}
		if err != nil || r.GetCode() != want || !strings.Contains(r.GetReason(), tc.refuses) ||
			(r.GetReason() == "") != (tc.refuses == "") {
			t.Errorf("%q: %v %v, want code %d and a reason with %q", tc.value, r, err, want, tc.refuses)
		}
	}
}

// testWrongEndorserAddress: an organisation whose endorser has a wrong address on the ledger writes nothing, as nothing
// is written without that endorser, until one of its operators corrects the address by reaching it where it is.
func testWrongEndorserAddress(t *testing.T, n *testkit.Network) {
	const wrong = "127.0.0.1:9"
	right := n.Trust().Genesis().GetOrganisations()[1].GetEndorserAddress()
	address := func(to string) *ltlv1.Transaction {
		return &ltlv1.Transaction{ChainId: ledger.SystemChain, Action: &ltlv1.Transaction_ModifyOrganisation{
			ModifyOrganisation: &ltlv1.ModifyOrganisation{Id: "org2", EndorserAddress: &to}}}
	}
	operator := n.Operator("org2")
	n.SubmitAs(operator, address(wrong))
	testkit.WaitFor(t, 30*time.Second, "org2's operator asks at the wrong address", func() bool {
		_, err := operator.Submit(t.Context(), address(wrong))
		return errors.Is(err, client.ErrUnavailable) && strings.Contains(err.Error(), wrong)
	})
	trust := n.Trust()
	for _, tc := range []struct{ reach, wants string }{
		{n.Trust().Genesis().GetOrganisations()[0].GetEndorserAddress(), "wanted role endorser and name"}, {right, ""},
	} {
		c, err := client.Open(client.Config{Credentials: n.Credentials("operators/org2", trust), Trust: trust,
			OwnEndorser: tc.reach})
		if err != nil {
			t.Fatal(err)
		}
		r, err := c.Submit(t.Context(), address(right))
		if tc.wants == "" && (err != nil || r.GetCode() != client.CodeOK) ||
			tc.wants != "" && (err == nil || !strings.Contains(err.Error(), tc.wants)) {
			t.Errorf("reached at %s: %v, %v; want %q", tc.reach, r, err, tc.wants)
		}
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	}
	testkit.WaitFor(t, 30*time.Second, "org2's operator asks at the right address", func() bool {
		r, err := operator.Submit(t.Context(), address(right))
		return err == nil && r.GetCode() == client.CodeOK
	})
}

// testOneKeyManyWriters: writers of one Key are ordered, all succeed, and every reader sees the same order.
func testOneKeyManyWriters(t *testing.T, n *testkit.Network) {
	c := n.Client(identity.RoleFacade)
	const writers = 100
	values := make([]string, writers)
	var wg sync.WaitGroup
	for i := range writers {
		values[i] = fmt.Sprint("value ", i)
		wg.Go(func() {
			r, err := c.Submit(t.Context(), n.AttachData(n.Admin, "hot", values[i]))
			if err != nil || r.GetCode() != rules.OK {
				t.Errorf("writer %d: %v %v", i, r, err)
			}
		})
	}
	wg.Wait()
	out, err := c.Ledger().ListHistory(t.Context(), &ltlv1.ListHistoryRequest{
		ChainCode: n.ChainCode, Key: n.Key(n.Admin, "hot"), AccountUid: n.Admin.UID, Page: 1, Size: 100,
	})
	if err != nil || out.GetCode() != rules.OK || out.GetTotal() != writers {
		t.Fatalf("history: code %d, total %d, error %v", out.GetCode(), out.GetTotal(), err)
	}
	seen := map[string]bool{}
	for i, r := range out.GetRecords() {
		if int(r.GetVersion()) != writers-i {
			t.Errorf("record %d has version %d, want %d", i, r.GetVersion(), writers-i)
		}
		seen[r.GetValue()] = true
	}
	for _, v := range values {
		if !seen[v] {
			t.Errorf("%s is not in the history", v)
		}
	}
}

// testCreatedThenUsed: what was answered with success can be built on at once, though endorsers learn of it a moment
// later.
func testCreatedThenUsed(t *testing.T, n *testkit.Network) {
	facade := n.Client(identity.RoleFacade)
	for i := range 5 {
		create := &ltlv1.Transaction{ChainId: ledger.SystemChain,
			Action: &ltlv1.Transaction_CreateAccount{CreateAccount: &ltlv1.CreateAccount{
				Name: fmt.Sprint("account", i), Type: ltlv1.AccountType_ACCOUNT_TYPE_RAM, Organisation: "org3",
			}}}
		r, err := n.Operator("org3").Submit(t.Context(), create)
		wantOK(t, r, err)
		uid := r.GetOutput()
		member := &ltlv1.Transaction{ChainId: n.ChainID, AccountUid: n.Admin.UID,
			Action: &ltlv1.Transaction_CreateMember{CreateMember: &ltlv1.CreateMember{
				MemberUid: uid, Name: "member", Contact: "contact", Phone: "123456",
			}}}
		r, err = facade.Submit(t.Context(), member)
		wantOK(t, r, err)
		chains, err := facade.Ledger().ListChains(t.Context(), &ltlv1.ListChainsRequest{AccountUid: uid, Page: 1, Size: 1})
		if err != nil || len(chains.GetChains()) != 1 {
			t.Fatalf("%v %v", chains, err)
		}
		account := testkit.Account{UID: uid, Organisation: "org3", TypeCode: chains.GetChains()[0].GetDataTypeCode()}
		r, err = facade.Submit(t.Context(), n.SetData(account, "first", "1"))
		wantOK(t, r, err)
		r, err = facade.Submit(t.Context(), n.SetData(account, "first", "2"))
		if err != nil || r.GetCode() != rules.DuplicateKey {
			t.Errorf("the same Key again: %v %v, want DuplicateKey", r, err)
		}
		got, err := facade.Ledger().GetRecord(t.Context(),
			&ltlv1.GetRecordRequest{ChainCode: n.ChainCode, Key: n.Key(account, "first"), AccountUid: uid})
		if err != nil || got.GetRecord().GetValue() != "1" {
			t.Errorf("%v %v", got, err)
		}
	}
}

// testOneOfManyIsFirst: of many SetData on one Key, in the same batches, exactly one succeeds.
func testOneOfManyIsFirst(t *testing.T, n *testkit.Network) {
	c := n.Client(identity.RoleFacade)
	var won, lost atomic.Int32
	var wg sync.WaitGroup
	for i := range 40 {
		wg.Go(func() {
			r, err := c.Submit(t.Context(), n.SetData(n.Member, "once", fmt.Sprint(i)))
			switch {
			case err != nil:
				t.Error(err)
			case r.GetCode() == rules.OK:
				won.Add(1)
			case r.GetCode() == rules.DuplicateKey:
				lost.Add(1)
			default:
				t.Errorf("code %d", r.GetCode())
			}
		})
	}
	wg.Wait()
	if won.Load() != 1 || lost.Load() != 39 {
		t.Errorf("%d won, %d lost; want 1 and 39", won.Load(), lost.Load())
	}
}

// TestFaultsUnderLoad: the leader goes, an endorser goes, both come back, all while writers write. Every transaction
// that was acknowledged is on the chain exactly once, and nothing is there twice.
func TestFaultsUnderLoad(t *testing.T) {
	n := testkit.Start(t, testkit.Options{})
	c := n.Client(identity.RoleFacade)
	var acked sync.Map // id of an acknowledged transaction → its result
	var writes, slowest, unknown atomic.Int64
	stop := make(chan struct{})
	var wg sync.WaitGroup
	for i := range 24 {
		wg.Go(func() { write(t, n, c, i, stop, &acked, &writes, &slowest, &unknown) })
	}
	progress := func(what string) {
		t.Helper()
		before := writes.Load()
		testkit.WaitFor(t, 20*time.Second, what, func() bool { return writes.Load() > before+200 })
	}
	progress("writes at the beginning")
	leader := n.Leader()
	n.StopNode(leader)
	progress("writes without the old leader")
	n.StopEndorser(1)
	progress("writes without an endorser")
	n.RestartNode(leader)
	n.RestartEndorser(1)
	progress("writes with all of them again")
	close(stop)
	wg.Wait()
	t.Logf("%d writes, the slowest took %v, %d were submitted again", writes.Load(), time.Duration(slowest.Load()),
		unknown.Load())
	n.CheckLedgers(t) // also waits: blocks are streamed from whatever a node has
	count := map[ledger.Hash]int{}
	for _, b := range n.Blocks(n.ChainID) {
		i := 0
		for _, batch := range b.GetBatches() {
			for _, payload := range batch.GetTransactions() {
				if code := b.GetResults()[i]; code == rules.OK {
					count[ledger.TransactionID(payload)]++
				}
				i++
			}
		}
	}
	for id, times := range count {
		if times != 1 {
			t.Errorf("transaction %x is on the chain %d times", id, times)
		}
	}
	acked.Range(func(id, _ any) bool {
		if count[id.(ledger.Hash)] == 0 {
			t.Errorf("transaction %x was acknowledged and is not on the chain", id)
		}
		return !t.Failed() // one is enough to know
	})
}

// write submits one record after the other; a transaction whose outcome is unknown is submitted again until it is
// known.
func write(t *testing.T, n *testkit.Network, c *client.Client, worker int, stop chan struct{}, acked *sync.Map, writes,
	slowest, unknown *atomic.Int64) {
	for i := 0; ; i++ {
		select {
		case <-stop:
			return
		default:
		}
		tx := n.AttachData(n.Admin, fmt.Sprint("w", worker), fmt.Sprint(i))
		started := time.Now()
		r, err := c.Submit(context.Background(), tx)
		for attempts := 0; errors.Is(err, client.ErrUnavailable) && attempts < 5; attempts++ {
			t.Logf("worker %d submits again: %v", worker, err)
			unknown.Add(1)
			r, err = c.Submit(context.Background(), tx)
		}
		if err != nil || r.GetCode() != rules.OK {
			t.Errorf("worker %d: %v %v", worker, r, err)
			return
		}
		got, err := c.Ledger().GetTransaction(context.Background(),
			&ltlv1.GetTransactionRequest{TransactionHash: transactionID(t, tx)})
		if err != nil || got.GetResult() != rules.OK || got.GetBlockHeight() != r.GetBlockHeight() {
			t.Errorf("worker %d: acknowledged in block %d, but read as %v (error %v)", worker, r.GetBlockHeight(), got, err)
			return
		}
		acked.Store(ledger.Hash(transactionID(t, tx)), true)
		writes.Add(1)
		if took := int64(time.Since(started)); took > slowest.Load() {
			slowest.Store(took)
		}
	}
}

// testFollow: what is written is followed, block by block from the genesis on.
func testFollow(t *testing.T, n *testkit.Network) {
	c := n.Client(identity.RoleClient)
	tx := n.AttachData(n.Admin, "followed", "v")
	r, err := c.Submit(t.Context(), tx)
	wantOK(t, r, err)
	id, err := client.TransactionID(tx)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	next := uint64(0)
	found := false
	err = c.Ledger().Follow(ctx, 0, func(sequence uint64, b *client.Block) error {
		if sequence != next {
			t.Errorf("block %d after %d", sequence, next)
		}
		next++
		for _, x := range b.Transactions {
			if x.ID == id {
				found = x.Code == client.CodeOK && b.Height == r.GetBlockHeight() && b.ChainID == n.ChainID
				cancel()
			}
		}
		return nil
	})
	if !errors.Is(err, context.Canceled) || !found {
		t.Errorf("error %v, found %v after %d blocks", err, found, next)
	}
}

// wantOK fails the test unless the submit succeeded.
func wantOK(t *testing.T, r *ltlv1.Result, err error) {
	t.Helper()
	if err != nil || r.GetCode() != rules.OK {
		t.Fatalf("result %v, error %v; want success", r, err)
	}
}

// transactionID is the id of a transaction that Submit has filled in.
func transactionID(t *testing.T, tx *ltlv1.Transaction) []byte {
	t.Helper()
	id, err := client.TransactionID(tx)
	if err != nil {
		t.Error(err)
	}
	return id[:]
}
