package node

import (
	"math/rand/v2"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hashicorp/raft"
)

// TestLeaderWithoutBlocksHandsOver: a node whose Raft log is complete while its blocks are not is elected, and cannot execute
// anything; writes must go on all the same.
func TestLeaderWithoutBlocksHandsOver(t *testing.T) {
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
		write := func(within time.Duration) {
			t.Helper()
			if _, err := s.submit(s.world.batch("0000000000000000", s.world.account(rng, "")), within); err != nil {
				t.Fatal(err)
			}
		}
		behind := s.nodes[2]
		s.crash(behind, behind.handle)
		for range 40 {
			write(simSettle)
			time.Sleep(200 * time.Millisecond)
		}
		s.net.mu.Lock()
		s.net.starved = behind.id
		s.net.mu.Unlock()
		s.revive(behind)
		waitFor(t, func() bool { return behind.replica.fsm.catchUp.busy() })
		leader := simLeader(t, s)
		transfer := leader.replica.current.raft.LeadershipTransferToServer(behind.id, raft.ServerAddress(behind.id))
		if err := transfer.Error(); err != nil {
			t.Fatalf("transfer: %v", err)
		}
		waitFor(t, func() bool { return behind.replica.state().state == raft.Leader })
		begin := time.Now()
		write(5 * time.Second)
		t.Logf("writes went on after %v", time.Since(begin))
		if !behind.replica.fsm.catchUp.busy() {
			t.Error("the node has its blocks: this test tests nothing")
		}
		s.net.mu.Lock()
		s.net.starved = ""
		s.net.mu.Unlock()
		waitFor(t, func() bool { return behind.store.AppliedIndex() == leader.store.AppliedIndex() })
	})
}

func waitFor(t *testing.T, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(simSettle); !ok(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("not within %v", simSettle)
		}
	}
}

func simLeader(t *testing.T, s *sim) (leader *simNode) {
	t.Helper()
	waitFor(t, func() bool {
		for _, n := range s.nodes {
			if r, _ := n.now(); r != nil && r.state().state == raft.Leader {
				leader = n
			}
		}
		return leader != nil
	})
	return leader
}
