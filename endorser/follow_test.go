package endorser_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"ltl/endorser"
	"ltl/internal/ledger"
	"ltl/internal/rules"
	ltlv1 "ltl/proto/ltl/v1"
	"ltl/test/testkit/offline"
)

// admin fetches a page of the admin server.
func (r *running) admin(t *testing.T, path string) (code int, body string) {
	t.Helper()
	transport := &http.Transport{DisableKeepAlives: true}
	defer transport.CloseIdleConnections()
	response, err := (&http.Client{Transport: transport}).Get("http://" + r.AdminAddr() + path)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	b, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response.StatusCode, string(b)
}

func TestFollowsAndRestarts(t *testing.T) {
	w := newWorld(t)
	dir := t.TempDir()
	r := w.start(dir, nil)
	for i := range 50 {
		w.order(w.attach("a", fmt.Sprint(i)))
	}
	r.caughtUp()
	waitFor(t, "ready", func() bool { code, _ := r.admin(t, "/readyz"); return code == 200 })
	if _, body := r.admin(t, "/metrics"); !strings.Contains(body, fmt.Sprintf("ltl_ledger_blocks %d",
		w.store.Sequence())) {
		t.Error("the metrics do not show the sequence")
	}
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	w.order(w.attach("a", "while it was down"))
	r = w.start(dir, nil)
	r.caughtUp()
	compare(t, w, r)
}

// compare reads the endorser's copy over the network and compares it with the world's store.
func compare(t *testing.T, w *world, r *running) {
	t.Helper()
	for _, chain := range []string{ledger.SystemChain, w.chainID} {
		stream, err := ltlv1.NewLedgerClient(r.dial("operator")).Blocks(t.Context(), &ltlv1.BlocksRequest{ChainId: chain})
		if err != nil {
			t.Fatal(err)
		}
		height := uint64(0)
		for ; ; height++ {
			out, err := stream.Recv()
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				t.Fatal(err)
			}
			want, err := w.store.Block(chain, height)
			if err != nil || !proto.Equal(want, out.GetBlock()) {
				t.Fatalf("block %d of chain %s differs (error %v)", height, chain, err)
			}
		}
		if tip, _ := w.store.Tip(chain); height != tip.Header.Height+1 {
			t.Errorf("chain %s has %d blocks, want %d", chain, height, tip.Header.Height+1)
		}
	}
}

func TestFollowFailsOver(t *testing.T) {
	w := newWorld(t)
	r := w.start(t.TempDir(), nil)
	r.caughtUp()
	w.nodes[0].server.Stop()
	w.order(w.attach("a", "1"))
	r.caughtUp()
	if err := r.Ready(); err != nil {
		t.Errorf("not ready beside one dead node: %v", err)
	}
	w.nodes[1].server.Stop()
	waitFor(t, "not ready without nodes", func() bool { return r.Ready() != nil })
	in := &ltlv1.EndorseRequest{ChainId: w.chainID, Transactions: [][]byte{w.attach("b", "1")}}
	if out, err := r.facade().Endorse(t.Context(), in); err != nil || out.GetEndorsement() == nil {
		t.Errorf("broken connections end the signing: %v %v", out, err)
	}
}

// TestLeavesNodeThatIsCutOff: a node whose stream stays open but brings nothing is left for one that has more.
func TestLeavesNodeThatIsCutOff(t *testing.T) {
	w := newWorld(t)
	have := w.store.Sequence()
	w.nodes[0].set(func(l *liar) {
		l.height = have
		l.lie = func(out *ltlv1.FollowResponse) error {
			if out.GetSequence() >= have {
				<-t.Context().Done() // ends before the cleanup of the servers
			}
			return nil
		}
	})
	r := w.start(t.TempDir(), nil)
	r.caughtUp()
	started := time.Now()
	w.order(w.attach("a", "1"))
	r.caughtUp()
	t.Logf("left the node after %v", time.Since(started))
	if took := time.Since(started); took > 8*time.Second {
		t.Errorf("it took %v", took)
	}
}

// TestSwappedBlocksAreTheirSendersFault: a node sends two good blocks of two chains in the other order and breaks off.
// The endorser leaves that node, names it, and signs on with what the other node sends.
func TestSwappedBlocksAreTheirSendersFault(t *testing.T) {
	w := newWorld(t)
	second := w.order(w.tx(operatorName, "", ledger.SystemChain,
		&ltlv1.Transaction_CreateChain{CreateChain: &ltlv1.CreateChain{Name: "second",
			Service: ltlv1.ChainService_CHAIN_SERVICE_PROOF, AdministratorUid: adminUID,
			Organisations: []string{"org1", "org2"}}}))[0].GetOutput()
	chain, err := rules.GetChain(w.store, second)
	if err != nil || chain == nil {
		t.Fatal(chain, err)
	}
	s := w.store.Sequence()
	w.order(w.attach("a", "1"))
	w.order(w.tx(facadeName, adminUID, second, &ltlv1.Transaction_AttachData{AttachData: &ltlv1.AttachData{
		Key: rules.KeyVersion + "_" + chain.Code + "_" + chain.AdministratorTypeCode + "_b", Value: offline.Text("1")}}))
	w.order(w.attach("a", "2"))
	swapped, err := w.store.BlockAt(s + 1)
	if err != nil {
		t.Fatal(err)
	}
	w.nodes[0].set(func(l *liar) {
		l.lie = func(out *ltlv1.FollowResponse) error {
			switch {
			case out.GetSequence() == s:
				out.Block = swapped
			case out.GetSequence() > s:
				return status.Error(codes.Unavailable, "broken off")
			}
			return nil
		}
	})
	r := w.start(t.TempDir(), nil)
	r.caughtUp()
	in := &ltlv1.EndorseRequest{ChainId: w.chainID, Transactions: [][]byte{w.attach("c", "1")}}
	if out, err := r.facade().Endorse(t.Context(), in); err != nil || out.GetEndorsement() == nil {
		t.Errorf("it does not sign any more: %v %v", out, err)
	}
	compare(t, w, r)
	want := fmt.Sprintf("as number %d", s)
	if log := r.log.String(); !strings.Contains(log, want) || !strings.Contains(log, "node=n1") {
		t.Errorf("the log does not name n1 for the block that it sent %s:\n%s", want, log)
	}
}

// TestWrongOrderIsNoBadBlock: a stream with gaps proves nothing about the ledger; the endorser goes elsewhere and signs
// on.
func TestWrongOrderIsNoBadBlock(t *testing.T) {
	w := newWorld(t)
	w.nodes[0].set(func(l *liar) {
		l.lie = func(out *ltlv1.FollowResponse) error { out.Sequence += 3; return nil }
	})
	w.nodes[1].set(func(l *liar) {
		n := 0
		l.lie = func(*ltlv1.FollowResponse) error {
			if n++; n%3 == 0 {
				return status.Error(codes.Unavailable, "breaks off now and then")
			}
			return nil
		}
	})
	for i := range 5 {
		w.order(w.attach("a", fmt.Sprint(i)))
	}
	r := w.start(t.TempDir(), nil)
	r.caughtUp()
	compare(t, w, r)
	if f := r.log.String(); strings.Contains(f, "has stopped signing") {
		t.Error(f)
	}
}

// TestBadBlockEndsSigning: whatever one bit all nodes change in a block, the endorser notices, keeps the blocks below,
// signs no more, and says why. Restarted beside an honest node, it follows and signs again.
func TestBadBlockEndsSigning(t *testing.T) {
	w := newWorld(t)
	w.order(w.attach("a", "1"), w.attach("a", "2"))
	target := w.store.Sequence()
	w.order(w.set("b", "3"), w.attach("c", "4"))
	w.order(w.attach("a", "5"))
	for name, change := range badBlocks() {
		t.Run(name, func(t *testing.T) {
			for _, n := range w.nodes {
				n.set(func(l *liar) {
					l.lie = func(out *ltlv1.FollowResponse) error {
						if out.GetSequence() == target {
							out.Block = proto.CloneOf(out.GetBlock())
							change(out.GetBlock())
						}
						return nil
					}
				})
			}
			dir := filepath.Join(t.TempDir(), "e")
			r := w.start(dir, nil)
			defer r.Close() // again in the cleanup, which reports an error
			waitFor(t, "the fault", func() bool { return strings.Contains(r.log.String(), "has stopped signing") })
			if r.Sequence() != target {
				t.Errorf("it keeps %d blocks, want the %d good ones", r.Sequence(), target)
			}
			r.wantStopped(t, "following node n")
			if name != "transaction" { // once is enough for what follows
				return
			}
			if err := r.Close(); err != nil {
				t.Fatal(err)
			}
			for _, n := range w.nodes {
				n.set(func(l *liar) { l.lie = nil })
			}
			r = w.start(dir, nil)
			r.caughtUp()
			in := &ltlv1.EndorseRequest{ChainId: w.chainID, Transactions: [][]byte{w.attach("after", "1")}}
			if out, err := r.facade().Endorse(t.Context(), in); err != nil || out.GetEndorsement() == nil {
				t.Errorf("started again: %v %v", out, err)
			}
		})
	}
}

// TestOneNodeWithBadBlocks: a node whose every block is bad, and which promises more than there are, costs the
// organisation nothing: its endorser takes the right ones from another node, names the liar, and signs.
func TestOneNodeWithBadBlocks(t *testing.T) {
	w := newWorld(t)
	n := 0
	w.nodes[0].set(func(l *liar) {
		l.height = 1 << 40
		l.lie = func(out *ltlv1.FollowResponse) error {
			if n++; n%2 == 0 {
				out.Block = proto.CloneOf(out.GetBlock())
				out.Block.Header[101] ^= 1
			}
			return nil
		}
	})
	r := w.start(t.TempDir(), nil)
	for i := range 5 {
		w.order(w.attach("a", fmt.Sprint(i)))
		r.caughtUp()
	}
	compare(t, w, r)
	in := &ltlv1.EndorseRequest{ChainId: w.chainID, Transactions: [][]byte{w.attach("after", "1")}}
	if out, err := r.facade().Endorse(t.Context(), in); err != nil || out.GetEndorsement() == nil {
		t.Errorf("it does not sign: %v %v", out, err)
	}
	if log := r.log.String(); strings.Contains(log, "has stopped signing") || !strings.Contains(log, "sent a bad block") ||
		!strings.Contains(log, "node=n1") {
		t.Errorf("the log does not name n1 alone:\n%s", log)
	}
}

// TestLearnersDoNotOutvote: more than half of the organisations speak for the network, each with more than half of its
// nodes, and learners that one organisation adds give it no more weight.
func TestLearnersDoNotOutvote(t *testing.T) {
	w := newWorld(t)
	nodes := []string{"n1", "n2"}
	for i := range 6 {
		id, organisation := fmt.Sprint("m", i), "org3"
		if i == 5 {
			organisation = "org1"
		}
		if err := w.trust.AddNode(&ltlv1.Node{Id: id, Organisation: organisation, Address: "127.0.0.1:9",
			Key: offline.PublicKey(id)}); err != nil {
			t.Fatal(err)
		}
		nodes = append(nodes, id)
	}
	for want, lists := range map[bool][][]string{
		false: {{}, {"n1"}, {"m0", "m1", "m2", "m3", "m4"}, {"m0", "m1", "m2", "m3", "m4", "n1"}, {"n2", "n1"}, {"n2", "m0", "m1"}},
		true:  {{"n1", "m5", "n2"}, {"n2", "m0", "m1", "m2"}},
	} {
		for _, some := range lists {
			if got := endorser.SpeakForNetwork(w.trust, nodes, some); got != want {
				t.Errorf("%v of %v speak for the network: %t, want %t", some, nodes, got, want)
			}
		}
	}
}

// badBlocks changes each part of a block.
func badBlocks() map[string]func(b *ltlv1.Block) {
	header := func(at int) func(*ltlv1.Block) { return func(b *ltlv1.Block) { b.Header[at] ^= 1 } }
	return map[string]func(b *ltlv1.Block){
		"version":       header(0),
		"network id":    header(1),
		"chain id":      header(33),
		"height":        header(56),
		"time":          header(64),
		"previous":      header(65),
		"count":         header(100),
		"tx root":       header(101),
		"batches hash":  header(133),
		"writes hash":   header(165),
		"system height": header(204),
		"reference":     header(220),
		"short header":  func(b *ltlv1.Block) { b.Header = b.Header[:len(b.Header)-1] },
		"no header":     func(b *ltlv1.Block) { b.Header = nil },
		"transaction":   func(b *ltlv1.Block) { b.Batches[0].Transactions[0][20] ^= 1 },
		"no batch":      func(b *ltlv1.Block) { b.Batches = nil },
		"one less": func(b *ltlv1.Block) {
			b.Batches[0].Transactions = b.Batches[0].Transactions[:1]
			b.Results = b.Results[:1]
		},
		"swapped":         func(b *ltlv1.Block) { t := b.Batches[0].Transactions; t[0], t[1] = t[1], t[0] },
		"result":          func(b *ltlv1.Block) { b.Results[1] = 403 },
		"no results":      func(b *ltlv1.Block) { b.Results = nil },
		"signature":       func(b *ltlv1.Block) { b.Batches[0].Endorsements[0].Signature[3] ^= 1 },
		"statement":       func(b *ltlv1.Block) { b.Batches[0].Endorsements[0].Statement[3] ^= 1 },
		"no endorsements": func(b *ltlv1.Block) { b.Batches[0].Endorsements = nil },
		"twice":           func(b *ltlv1.Block) { b.Batches = append(b.Batches, b.Batches[0]) },
	}
}

// TestForkedCopyEndsSigning: a block with an endorsement twice executes to the same results. Only the other
// nodes show that it is not the one that was committed.
func TestForkedCopyEndsSigning(t *testing.T) {
	w := newWorld(t)
	w.order(w.attach("a", "1"))
	target := w.store.Sequence() - 1
	for _, n := range w.nodes {
		n.set(func(l *liar) {
			l.lie = func(out *ltlv1.FollowResponse) error {
				if out.GetSequence() == target {
					out.Block = offline.Twin(t, out.GetBlock())
				}
				return nil
			}
		})
	}
	r := w.start(t.TempDir(), nil)
	waitFor(t, "the fault", func() bool { return strings.Contains(r.log.String(), "has stopped signing") })
	r.wantStopped(t, "another history")
}

// TestNodeThatPromisesTooMuch: a node of another organisation that reports blocks which there are not makes this copy
// look neither old nor unready.
func TestNodeThatPromisesTooMuch(t *testing.T) {
	w := newWorld(t)
	w.nodes[len(w.nodes)-1].set(func(l *liar) { l.height = math.MaxUint64 })
	r := w.start(t.TempDir(), nil)
	r.caughtUp()
	waitFor(t, "a pulse for the facades", func() bool {
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		stream, err := r.facade().WatchAccessKeys(ctx, &ltlv1.WatchAccessKeysRequest{})
		if err != nil {
			return false
		}
		for range 2 { // the second one comes after the nodes were asked
			if _, err := stream.Recv(); err != nil {
				return false
			}
		}
		return true
	})
}

// TestIdleLiar: a node that reports more blocks than it gives is followed once, and then left, so that it does not keep
// new blocks from the endorser.
func TestIdleLiar(t *testing.T) {
	w := newWorld(t)
	node := w.nodes[1]
	var idle atomic.Uint64
	idle.Store(math.MaxUint64)
	node.set(func(l *liar) {
		l.height = math.MaxUint64 - 1
		l.lie = func(out *ltlv1.FollowResponse) error {
			if out.GetSequence() >= idle.Load() {
				<-t.Context().Done() // ends before the cleanup of the servers
			}
			return nil
		}
	})
	r := w.start(t.TempDir(), nil)
	r.caughtUp()
	idle.Store(w.store.Sequence())
	followed := func() (n int) {
		node.set(func(l *liar) { n = l.follows })
		return n
	}
	waitFor(t, "the liar is followed", func() bool { return followed() > 0 })
	waitFor(t, "the liar is left", func() bool { return strings.Count(r.log.String(), "stopped following a node") > 1 })
	left := time.Now()
	for i := 0; i < 3 && time.Since(left) < 5*time.Second; i++ { // it is not believed for ten seconds
		before := followed()
		w.order(w.attach("a", fmt.Sprint(i)))
		r.caughtUp()
		time.Sleep(2500 * time.Millisecond) // longer than the polls after which a node that has more is followed
		if n := followed(); n != before {
			t.Errorf("round %d: the liar was followed again", i)
		}
	}
}

// TestOneForkedNodeIsNamed: one node of three that differs is an alarm, but no reason for the others to stop.
func TestOneForkedNodeIsNamed(t *testing.T) {
	w := newWorld(t)
	w.nodes[1].set(func(l *liar) { l.hash = true })
	r := w.start(t.TempDir(), nil)
	r.caughtUp()
	waitFor(t, "the warning", func() bool { return strings.Contains(r.log.String(), "another block than this copy") })
	in := &ltlv1.EndorseRequest{ChainId: w.chainID, Transactions: [][]byte{w.attach("a", "1")}}
	if out, err := r.facade().Endorse(t.Context(), in); err != nil || out.GetEndorsement() == nil {
		t.Errorf("%v %v", out, err)
	}
}

func TestOpenRefusesWrongKeys(t *testing.T) {
	w := newWorld(t)
	for name, change := range map[string]func(*endorser.Config){
		"other organisation's key": func(cfg *endorser.Config) { cfg.SignKey = w.keys["org2"] },
		"a cut key":                func(cfg *endorser.Config) { cfg.SignKey = cfg.SignKey[1:] },
		"no directory":             func(cfg *endorser.Config) { cfg.Dir = "" },
		"no trust":                 func(cfg *endorser.Config) { cfg.Trust = nil },
	} {
		cfg := endorser.Config{Dir: t.TempDir(), Listen: "127.0.0.1:0", Trust: w.trust, SignKey: w.keys["org1"],
			Credentials: w.credentials("orgs/org1/endorser")}
		change(&cfg)
		if _, err := endorser.Open(t.Context(), cfg); !errors.Is(err, endorser.ErrConfig) {
			t.Errorf("%s: %v, want ErrConfig", name, err)
		}
	}
	cfg := endorser.Config{Dir: t.TempDir(), Listen: "127.0.0.1:0", Trust: w.trust, SignKey: w.keys["org1"],
		Credentials: w.credentials("facades/f1")}
	if _, err := endorser.Open(t.Context(), cfg); !errors.Is(err, endorser.ErrConfig) {
		t.Errorf("a facade's certificate: %v, want ErrConfig", err)
	}
}
