package node

import (
	"context"
	"math/rand/v2"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hashicorp/raft"
)

// TestLeaderWithoutBlocksConfirmsNoRead: a node that leads while it is fetching blocks has nothing to say about what
// was answered before: its barrier passes the state machine when no entry lies behind the snapshot, and its ledger is
// that of long ago.
func TestLeaderWithoutBlocksConfirmsNoRead(t *testing.T) {
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
		behind := s.nodes[2]
		s.crash(behind, behind.handle)
		for range 40 {
			if _, err := s.submit(s.world.batch("0000000000000000", s.world.account(rng, "")), simSettle); err != nil {
				t.Fatal(err)
			}
			time.Sleep(200 * time.Millisecond)
		}
		leader := simLeader(t, s)
		if err := leader.replica.current.raft.Snapshot().Error(); err != nil {
			t.Logf("snapshot: %v", err) // one of this moment may be there already
		}
		answered := leader.store.AppliedIndex()
		s.net.mu.Lock()
		s.net.starved = behind.id
		s.net.mu.Unlock()
		s.revive(behind)
		waitFor(t, func() bool { return behind.replica.fsm.catchUp.busy() })
		if err := leader.replica.current.raft.LeadershipTransferToServer(behind.id,
			raft.ServerAddress(behind.id)).Error(); err != nil {
			t.Fatalf("transfer: %v", err)
		}
		waitFor(t, func() bool { return behind.replica.state().state == raft.Leader })
		ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
		defer cancel()
		index, err := behind.replica.reads.leading.join(ctx)
		if !behind.replica.fsm.catchUp.busy() {
			t.Error("the node has its blocks: this test tests nothing")
		}
		if err == nil && index < answered {
			t.Errorf("reads are confirmed at Raft index %d, but %d was answered before", index, answered)
		}
		t.Logf("index %d, %v", index, err)
		s.net.mu.Lock()
		s.net.starved = ""
		s.net.mu.Unlock()
		waitFor(t, func() bool { return behind.store.AppliedIndex() == leader.store.AppliedIndex() })
	})
}
