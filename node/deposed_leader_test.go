package node

import (
	"context"
	"math/rand/v2"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hashicorp/raft"
)

// TestDeposedLeaderRefusesNothing: a leader whose disk hangs does not learn that another one leads, and lacks what
// that one has executed since. Its answer about a chain that it does not know yet does not count.
func TestDeposedLeaderRefusesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSim(t, 1)
		for _, n := range s.nodes {
			s.start(n)
		}
		defer func() {
			for _, n := range s.nodes {
				s.crash(n, n.handle)
				<-n.gone
			}
			time.Sleep(2 * simTimeout)
		}()
		rng := rand.New(rand.NewPCG(1, 1))
		unknown := s.world.batch("9999999999999999", s.world.account(rng, ""))
		if _, err := s.submit(s.world.batch("0000000000000000", s.world.account(rng, "")), simSettle); err != nil {
			t.Fatal(err)
		}
		old := simLeader(t, s)
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		if results, err := old.replica.order.submit(ctx, unknown); err != nil || len(results) != 1 {
			t.Fatalf("the leader: %v, %v", results, err)
		}
		old.handle.set(time.Minute)
		// Something has to be written for the loop to block in.
		go func() {
			_, _ = old.replica.order.submit(ctx, s.world.batch("0000000000000000", s.world.account(rand.New(rand.NewPCG(2, 2)),
				"")))
		}()
		time.Sleep(100 * time.Millisecond)
		for _, o := range s.nodes {
			s.net.setCut(old.id, o.id, o != old)
			s.net.setCut(o.id, old.id, o != old)
		}
		waitFor(t, func() bool {
			for _, n := range s.nodes {
				if n != old && n.replica.state().state == raft.Leader {
					return true
				}
			}
			return false
		})
		s.net.heal()
		if old.replica.state().state != raft.Leader {
			t.Fatal("the deposed leader knows it: this test tests nothing")
		}
		if results, err := old.replica.order.submit(ctx, unknown); err == nil {
			t.Errorf("the deposed leader answers %v", results)
		} else {
			t.Log(err)
		}
		old.handle.set(0)
	})
}
