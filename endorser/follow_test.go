package endorser_test

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"ltl/endorser"
	"ltl/internal/ledger"
	"ltl/internal/rules"
	ltlv1 "ltl/proto/ltl/v1"
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
		Key: rules.KeyVersion + "_" + chain.Code + "_" + chain.AdministratorTypeCode + "_b", Value: "1"}}))
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

// TestBadBlockEndsSigning: whatever one bit a node changes in a block, the endorser notices, keeps the blocks below,
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
			r.wantStopped(t, "following node n1")
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

// badBlocks changes each part of a block.
func badBlocks() map[string]func(b *ltlv1.Block) {
	header := func(at int) func(*ltlv1.Block) { return func(b *ltlv1.Block) { b.Header[at] ^= 1 } }
	return map[string]func(b *ltlv1.Block){
		"version":       header(0),
		"network id":    header(1),
		"chain id":      header(33),
		"height":        header(56),
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

// TestForkedCopyEndsSigning: a block with another time executes to the same results. Only the other nodes show that
// it is not the one that was committed.
func TestForkedCopyEndsSigning(t *testing.T) {
	w := newWorld(t)
	w.order(w.attach("a", "1"))
	target := w.store.Sequence() - 1
	for _, n := range w.nodes {
		n.set(func(l *liar) {
			l.lie = func(out *ltlv1.FollowResponse) error {
				if out.GetSequence() == target {
					out.Block = proto.CloneOf(out.GetBlock())
					// Its time and reference time: later by a millisecond, since an earlier one might not execute at all.
					for _, later := range [][]byte{out.Block.Header[57:65], out.Block.Header[213:221]} {
						binary.BigEndian.PutUint64(later, binary.BigEndian.Uint64(later)+1)
					}
				}
				return nil
			}
		})
	}
	r := w.start(t.TempDir(), nil)
	waitFor(t, "the fault", func() bool { return strings.Contains(r.log.String(), "has stopped signing") })
	r.wantStopped(t, "another history")
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
