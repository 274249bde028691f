package endorser_test

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"ltl/endorser"
	"ltl/internal/ledger"
	"ltl/internal/rules"
	"ltl/internal/store"
	ltlv1 "ltl/proto/ltl/v1"
	"ltl/test/access"
	"ltl/test/testkit/offline"
)

func TestOnlyAllowedRolesMayCall(t *testing.T) {
	w := newWorld(t)
	r := w.start(t.TempDir(), nil)
	access.WalkRPCs(t, r.Server(), r.Addr(), w.dir, endorser.AccessControl())
}

// TestDocumentedAccess: the documented roles are those that may call each method.
func TestDocumentedAccess(t *testing.T) {
	access.CheckTable(t, "../docs/security.md", "endorsers", endorser.AccessControl(), ltlv1.File_ltl_v1_services_proto,
		ltlv1.File_ltl_v1_ledger_proto)
}

// TestEndorseSignsWhatItAccepts: the signature covers exactly what was proposed, and the bits are the verdicts.
func TestEndorseSignsWhatItAccepts(t *testing.T) {
	w := newWorld(t)
	stored := w.attach("stored", "0")
	w.order(stored)
	r := w.start(t.TempDir(), nil)
	r.caughtUp()
	attached := func(id string) *ltlv1.Transaction_AttachData {
		return &ltlv1.Transaction_AttachData{AttachData: &ltlv1.AttachData{Key: w.key(id), Value: offline.Text("1")}}
	}
	for _, tc := range []struct {
		name    string
		payload []byte
		want    int32
	}{
		{"good", w.attach("a", "1"), rules.OK},
		{"foreign submitter", w.tx("org2/facade/f9", adminUID, w.chainID,
			attached("b")), rules.Forbidden},
		{"the operator's", w.tx(operatorName, adminUID, w.chainID,
			attached("b")), rules.Forbidden},
		{"other chain", w.tx(facadeName, adminUID, "9999999999999999",
			attached("b")), rules.Malformed},
		{"no transaction", []byte("no transaction"), rules.Malformed},
		{"empty", nil, rules.Malformed},
		{"value too long", w.attach("c", strings.Repeat("x", rules.MaxValue+1)), rules.ValueTooLong},
		{"on the chain already", stored, rules.Duplicate},
		{"unknown account", w.tx(facadeName, "1000000000000009", w.chainID,
			attached("d")), rules.UnknownUID},
	} {
		t.Run(tc.name, func(t *testing.T) {
			good := w.attach("beside", tc.name)
			in := &ltlv1.EndorseRequest{ChainId: w.chainID, Transactions: [][]byte{good, tc.payload, good}}
			before := time.Now()
			out, err := r.facade().Endorse(t.Context(), in)
			if err != nil {
				t.Fatal(err)
			}
			if got := fmt.Sprint(out.GetCodes()); got != fmt.Sprint([]int32{rules.OK, tc.want, rules.Duplicate}) {
				t.Errorf("codes %s, want OK, %d, Duplicate (reasons %q)", got, tc.want, out.GetReasons())
			}
			checkStatement(t, w, in, out, before)
			alone, err := r.facade().Endorse(t.Context(), &ltlv1.EndorseRequest{ChainId: w.chainID,
				Transactions: [][]byte{tc.payload}})
			if err != nil || (alone.GetEndorsement() != nil) != (tc.want == rules.OK) {
				t.Errorf("alone: endorsement %v, error %v", alone.GetEndorsement(), err)
			}
		})
	}
}

// checkStatement verifies the signature as a node would and compares every field.
func checkStatement(t *testing.T, w *world, in *ltlv1.EndorseRequest, out *ltlv1.EndorseResponse, before time.Time) {
	t.Helper()
	e := out.GetEndorsement()
	public := w.keys["org1"].Public().(ed25519.PublicKey)
	if err := ledger.VerifyEndorsement(public, e); err != nil {
		t.Fatal(err)
	}
	s := offline.Read(t, in.GetChainId(), in.GetTransactions(), e)
	var ids []ledger.Hash
	for i, p := range in.GetTransactions() {
		ids = append(ids, ledger.TransactionID(p))
		if s.Accepts(i) != (out.GetCodes()[i] == rules.OK) {
			t.Errorf("transaction %d: signed is %v, code is %d", i, s.Accepts(i), out.GetCodes()[i])
		}
	}
	tip, _ := w.store.Tip(w.chainID)
	system, _ := w.store.Tip(ledger.SystemChain)
	if s.NetworkID != w.trust.NetworkID() || s.ChainID != in.GetChainId() || s.Root != ledger.BatchRoot(ids) ||
		int(s.Count) != len(ids) ||
		s.Height != tip.Header.Height || s.SystemHeight != system.Header.Height || s.KeyID != ledger.KeyID(public) ||
		s.Organisation != "org1" {
		t.Errorf("statement %+v", s)
	}
	if life := time.UnixMilli(s.ClockMs).Sub(before); life < -time.Second || life > 10*time.Second {
		t.Errorf("the endorsement states a clock %v after the call, want the time of the call", life)
	}
}

func TestEndorseBounds(t *testing.T) {
	w := newWorld(t)
	r := w.start(t.TempDir(), nil)
	r.caughtUp()
	good := w.attach("a", "1")
	many := make([][]byte, rules.MaxBatchTransactions+1)
	for i := range many {
		many[i] = good
	}
	big := make([][]byte, rules.MaxBatch/rules.MaxTransaction+1)
	for i := range big {
		big[i] = make([]byte, rules.MaxTransaction)
	}
	for name, in := range map[string]*ltlv1.EndorseRequest{
		"none":         {ChainId: w.chainID},
		"too many":     {ChainId: w.chainID, Transactions: many},
		"too large":    {ChainId: w.chainID, Transactions: big},
		"bad chain id": {ChainId: "x", Transactions: [][]byte{good}},
	} {
		if _, err := r.facade().Endorse(t.Context(), in); status.Code(err) != codes.InvalidArgument {
			t.Errorf("%s: %v, want InvalidArgument", name, err)
		}
	}
	out, err := r.facade().Endorse(t.Context(), &ltlv1.EndorseRequest{ChainId: "9999999999999999",
		Transactions: [][]byte{good}})
	if err != nil || out.GetEndorsement() != nil || out.GetCodes()[0] != rules.NotFound {
		t.Errorf("unknown chain: %v %v", out, err)
	}
}

// TestEndorseOnlyOwnChains: a signature that could not count is not made.
func TestEndorseOnlyOwnChains(t *testing.T) {
	w := newWorld(t)
	other := w.order(w.tx(operatorName, "", ledger.SystemChain,
		&ltlv1.Transaction_CreateChain{CreateChain: &ltlv1.CreateChain{
			Name: "theirs", Service: ltlv1.ChainService_CHAIN_SERVICE_PROOF, AdministratorUid: adminUID,
			Organisations: []string{"org2", "org3"}, Policy: "any",
		}}))[0].GetOutput()
	r := w.start(t.TempDir(), nil)
	r.caughtUp()
	payload := w.tx(facadeName, adminUID, other,
		&ltlv1.Transaction_AttachData{AttachData: &ltlv1.AttachData{Key: w.key("a"), Value: offline.Text("1")}})
	_, err := r.facade().Endorse(t.Context(), &ltlv1.EndorseRequest{ChainId: other, Transactions: [][]byte{payload}})
	if status.Code(err) != codes.FailedPrecondition || !strings.Contains(err.Error(), "does not endorse") {
		t.Errorf("%v, want FailedPrecondition", err)
	}
	// The operator acts on the system chain, which every organisation endorses.
	account := w.tx(operatorName, "", ledger.SystemChain,
		&ltlv1.Transaction_CreateAccount{CreateAccount: &ltlv1.CreateAccount{
			Name: "new", Type: ltlv1.AccountType_ACCOUNT_TYPE_RAM, Organisation: "org1",
		}})
	operator := ltlv1.NewEndorserClient(r.dial("operator"))
	out, err := operator.Endorse(t.Context(), &ltlv1.EndorseRequest{ChainId: ledger.SystemChain,
		Transactions: [][]byte{account}})
	if err != nil || out.GetEndorsement() == nil {
		t.Errorf("system chain: %v %v", out, err)
	}
}

// TestMinSequence: a proposal waits for the block it builds on, but not for ever.
func TestMinSequence(t *testing.T) {
	w := newWorld(t)
	r := w.start(t.TempDir(), nil)
	r.caughtUp()
	in := &ltlv1.EndorseRequest{ChainId: w.chainID, Transactions: [][]byte{w.attach("a", "1")},
		MinSequence: w.store.Sequence() + 1}
	started := time.Now()
	if _, err := r.facade().Endorse(t.Context(), in); status.Code(err) != codes.Unavailable {
		t.Errorf("%v, want Unavailable", err)
	}
	if took := time.Since(started); took < time.Second || took > 10*time.Second {
		t.Errorf("it waited %v", took)
	}
	done := make(chan error, 1)
	go func() {
		out, err := r.facade().Endorse(t.Context(), in)
		if err == nil && out.GetEndorsement() == nil {
			err = errors.New("no endorsement")
		}
		done <- err
	}()
	waitFor(t, "the proposal waits", func() bool { return r.Waiting() == 1 })
	w.order(w.attach("b", "2"))
	if err := <-done; err != nil {
		t.Error(err)
	}
}

// TestWaitingTakesNoPlace: one caller whose proposals ask for blocks that no copy has keeps no other from endorsements.
// A value that no copy can reach in time is refused at once; those that wait are bounded for each caller.
func TestWaitingTakesNoPlace(t *testing.T) {
	w := newWorld(t)
	r := w.start(t.TempDir(), nil)
	r.caughtUp()
	payload := w.attach("a", "1")
	attacker, victim := ltlv1.NewEndorserClient(r.dial("operator")), r.facade()
	for _, want := range []uint64{1 << 62, w.store.Sequence() + 1} {
		var refused, waited atomic.Int32
		var flood sync.WaitGroup
		const beyond = 10
		began := time.Now()
		for range endorser.MaxWaiting + beyond {
			flood.Go(func() {
				_, err := attacker.Endorse(t.Context(), &ltlv1.EndorseRequest{ChainId: w.chainID,
					Transactions: [][]byte{payload}, MinSequence: want})
				switch status.Code(err) {
				case codes.ResourceExhausted:
					refused.Add(1)
				case codes.Unavailable:
					waited.Add(1)
				default:
					t.Errorf("min_sequence %d: %v", want, err)
				}
			})
		}
		if want < 1<<62 {
			waitFor(t, "the flood waits", func() bool { return r.Waiting() == endorser.MaxWaiting })
		}
		for range 3 {
			out, err := victim.Endorse(t.Context(), &ltlv1.EndorseRequest{ChainId: w.chainID, Transactions: [][]byte{payload}})
			if err != nil || out.GetEndorsement() == nil {
				t.Errorf("beside the flood with min_sequence %d: %v %v", want, out, err)
			}
		}
		flood.Wait()
		switch took := time.Since(began); {
		case want == 1<<62 && (refused.Load() != 0 || took > time.Second):
			t.Errorf("what cannot be reached: %d refused for want of a place, %v", refused.Load(), took)
		case want < 1<<62 && (refused.Load() != beyond || waited.Load() != endorser.MaxWaiting):
			t.Errorf("%d refused, %d waited; want %d and %d", refused.Load(), waited.Load(), beyond, endorser.MaxWaiting)
		}
	}
}

// TestUnsoundCopyEndsSigning: a copy whose bytes are not what was stored is no ground to sign on.
func TestUnsoundCopyEndsSigning(t *testing.T) {
	for _, reason := range []error{store.ErrCorrupt, store.ErrFailed, rules.ErrState, rules.ErrInvariant} {
		t.Run(reason.Error(), func(t *testing.T) {
			w := newWorld(t)
			r := w.start(t.TempDir(), nil)
			r.caughtUp()
			if err := r.Fail(errors.New("a passing trouble")); status.Code(err) != codes.Unavailable {
				t.Errorf("%v, want Unavailable", err)
			}
			in := &ltlv1.EndorseRequest{ChainId: w.chainID, Transactions: [][]byte{w.attach("a", "1")}}
			if _, err := r.facade().Endorse(t.Context(), in); err != nil {
				t.Fatal(err)
			}
			if err := r.Fail(fmt.Errorf("page 7: %w", reason)); status.Code(err) != codes.FailedPrecondition {
				t.Errorf("%v, want FailedPrecondition", err)
			}
			r.wantStopped(t, "page 7")
		})
	}
}

// wantStopped checks that the endorser does not sign, and says why everywhere.
func (r *running) wantStopped(t *testing.T, why string) {
	t.Helper()
	in := &ltlv1.EndorseRequest{ChainId: r.w.chainID, Transactions: [][]byte{r.w.attach("after", "1")}}
	if out, err := r.facade().Endorse(t.Context(), in); status.Code(err) != codes.FailedPrecondition ||
		!strings.Contains(err.Error(), why) {
		t.Errorf("endorse: %v %v, want FailedPrecondition with %q", out, err, why)
	}
	st, err := ltlv1.NewLedgerClient(r.dial("operator")).Status(t.Context(), &ltlv1.StatusRequest{})
	if err != nil || !strings.Contains(st.GetFault(), why) {
		t.Errorf("status: %v %v, want a fault with %q", st, err, why)
	}
	if code, body := r.admin(t, "/readyz"); code != 503 || !strings.Contains(body, why) {
		t.Errorf("readyz: %d %s, want 503 with %q", code, body, why)
	}
	if _, body := r.admin(t, "/metrics"); !strings.Contains(body, "ltl_endorser_fault 1") {
		t.Error("the metric does not show the fault")
	}
	if !strings.Contains(r.log.String(), why) || !strings.Contains(r.log.String(), "has stopped signing") {
		t.Errorf("the log does not say why: %s", r.log.String())
	}
}

// BenchmarkEndorse is one proposal of 500 records, over the network.
func BenchmarkEndorse(b *testing.B) {
	w := newWorld(b)
	r := w.start(b.TempDir(), nil)
	r.caughtUp()
	in := &ltlv1.EndorseRequest{ChainId: w.chainID}
	for i := range 500 {
		in.Transactions = append(in.Transactions, w.attach(fmt.Sprint("k", i), strings.Repeat("v", 256)))
	}
	conn := r.facade()
	for b.Loop() {
		out, err := conn.Endorse(context.Background(), in)
		if err != nil || out.GetEndorsement() == nil {
			b.Fatal(out, err)
		}
	}
}

// TestOwnSignatureInABlock: the endorser knows its own signature again when it executes the block that holds it.
func TestOwnSignatureInABlock(t *testing.T) {
	w := newWorld(t)
	r := w.start(t.TempDir(), nil)
	r.caughtUp()
	payload := w.attach("own", "1")
	out, err := r.facade().Endorse(t.Context(), &ltlv1.EndorseRequest{ChainId: w.chainID, Transactions: [][]byte{payload}})
	if err != nil || out.GetEndorsement() == nil {
		t.Fatal(out, err)
	}
	batch := offline.Batch(w.trust.NetworkID(), w.chainID, time.Now().UnixMilli(), [][]byte{payload},
		[]offline.Signer{{Organisation: "org2", Key: w.keys["org2"]}})
	batch.Endorsements = append(batch.Endorsements, out.GetEndorsement())
	w.index++
	applied, err := w.store.Apply([]store.Entry{{Index: w.index, Entry: &ltlv1.Entry{Entry: &ltlv1.Entry_Batches{
		Batches: &ltlv1.OrderedBatches{Batches: []*ltlv1.Batch{batch}}}}}})
	if err != nil || applied[0].Results[0][0].GetCode() != rules.OK {
		t.Fatal(applied, err)
	}
	r.caughtUp()
	if n := r.OwnSignatures(); n != 1 {
		t.Errorf("%d signatures were known as its own, want the one", n)
	}
}
