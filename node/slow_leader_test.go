package node

import (
	"context"
	"crypto/ed25519"
	"math/rand/v2"
	"testing"
	"time"

	"ltl/internal/ledger"
	"ltl/internal/rules"
	ltlv1 "ltl/proto/ltl/v1"
	"ltl/test/testkit/offline"
)

// endorsedAt is a batch whose endorsers had seen the chain at a height.
func (w *world) endorsedAt(t *testing.T, height uint64, payload []byte) *ltlv1.Batch {
	b := w.batch(w.chain, payload)
	for i, e := range b.GetEndorsements() {
		s := offline.Read(t, b.GetChainId(), b.GetTransactions(), e)
		s.Height = height
		if s.KeyID != ledger.KeyID(w.key(s.Organisation).Public().(ed25519.PublicKey)) {
			t.Fatal("the key has changed")
		}
		b.Endorsements[i] = s.Sign(w.key(s.Organisation))
	}
	return b
}

// A leader with a slow disk has executed less than its followers, and so less than endorsers have seen. It does not
// refuse what they endorsed: it waits until it has seen as much.
func TestSlowLeaderRefusesNothing(t *testing.T) {
	c := newCluster(t, nil)
	rng := rand.New(rand.NewPCG(8, 8))
	c.write(rng)
	c.settle()
	leader := c.node(c.leader())
	behind := c.node((c.leader() + 1) % 3)
	tip, _ := leader.store.Tip(c.world.chain)
	leader.replica.fsm.mu.Lock() // it executes nothing more
	released := false
	release := func() {
		if !released {
			released = true
			leader.replica.fsm.mu.Unlock()
		}
	}
	defer release()
	first := make(chan error, 1)
	go func() {
		_, err := leader.replica.order.submit(t.Context(), c.world.batch(c.world.chain,
			c.world.record(rand.New(rand.NewPCG(9, 9)), "one")))
		first <- err
	}()
	eventually(t, 10*time.Second, "a follower executes it", func() bool {
		now, _ := behind.store.Tip(c.world.chain)
		return now.Header.Height > tip.Header.Height
	})
	now, _ := leader.store.Tip(c.world.chain)
	if now.Header.Height != tip.Header.Height {
		t.Fatal("the leader has executed it too: this test tests nothing")
	}
	b := c.world.endorsedAt(t, tip.Header.Height+2, c.world.record(rng, "one"))
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	if results, err := leader.replica.order.submit(ctx, b); err == nil {
		t.Errorf("a leader that is behind answers %v", results)
	}
	release()
	if err := <-first; err != nil {
		t.Error(err)
	}
	results, err := c.submit(b)
	if err != nil || results[0].GetCode() != rules.OK {
		t.Errorf("the same batch once it has seen as much: %v, %v", results, err)
	}
}
