package node

import (
	"errors"
	"math/rand/v2"
	"reflect"
	"testing"
	"testing/synctest"
	"time"
	"unsafe"

	"github.com/hashicorp/raft"
)

// TestLeaderWithoutBlocksHandsOver: a node whose Raft log is complete while its blocks are not is elected, and cannot
// execute anything; writes must go on all the same.
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

// TestStuckTransfer: a leader asks a node that it cannot reach to take over, twice, and then loses its leadership. In
// raft a goroutine may hang for ever, so that the node refuses every write when it leads again
// (https://github.com/hashicorp/raft/issues/696). The watchdog ends such a node, and writes go on elsewhere.
func TestStuckTransfer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSim(t, 1)
		s.mayStop = "hashicorp/raft#696"
		for _, n := range s.nodes {
			s.start(n)
		}
		var hanging []reflect.Value
		defer func() {
			for _, n := range s.nodes {
				s.crash(n, n.handle)
				<-n.gone
			}
			time.Sleep(2 * simTimeout)
			for _, c := range hanging { // no bubble ends while a goroutine waits in it
				for {
					synctest.Wait()
					if _, ok := c.TryRecv(); !ok {
						break
					}
				}
			}
		}()
		rng := rand.New(rand.NewPCG(1, 1))
		write := func(within time.Duration) {
			t.Helper()
			if _, err := s.submit(s.world.batch("0000000000000000", s.world.account(rng, "")), within); err != nil {
				t.Fatal(err)
			}
		}
		// Which of two messages a goroutine of raft takes first is left to chance: half of the attempts leave nothing behind.
		const attempts = 40
		var stuck *simNode
		for range attempts {
			write(simSettle)
			leader := simLeader(t, s)
			hanging = append(hanging, s.failTransfer(t, leader, write))
			if s.leadsAgain(t, leader) {
				stuck = leader
				break
			}
		}
		if stuck == nil {
			t.Fatalf("no leader refuses writes after %d failed transfers: raft may no longer have the defect, and the "+
				"watchdog one reason less", attempts)
		}
		old, begin := stuck.handle, time.Now()
		write(2 * maxStuck)
		if took := time.Since(begin); took > maxStuck+simRecovery {
			t.Errorf("writes went on after %v", took)
		}
		waitFor(t, func() bool { return s.dead(old) })
		s.revive(stuck)
		write(simSettle)
	})
}

// failTransfer has the leader ask a node that it cannot reach to lead, twice, and cuts it off until it leads no more.
// It returns the channel on which the goroutine hangs if it does.
func (s *sim) failTransfer(t *testing.T, leader *simNode, write func(time.Duration)) reflect.Value {
	var others []*simNode
	cut := func(n *simNode) {
		s.net.setCut(leader.id, n.id, true)
		s.net.setCut(n.id, leader.id, true)
	}
	for _, n := range s.nodes {
		if n != leader {
			others = append(others, n)
		}
	}
	target, r := others[0], leader.replica.current.raft
	cut(target)
	write(simSettle)             // the target lacks this one
	time.Sleep(40 * time.Second) // the leader tries at longer and longer intervals
	channel := transferChannel(r, target.id)
	for range 2 { // the first leaves its message behind, the second one hangs behind that
		synctest.Wait() // raft takes the next transfer a little after it has answered the last
		if err := r.LeadershipTransferToServer(target.id, raft.ServerAddress(target.id)).Error(); err == nil ||
			errors.Is(err, raft.ErrLeadershipTransferInProgress) {
			t.Fatalf("asking a node that is out of reach to take over gives %v", err)
		}
	}
	cut(others[1])
	waitFor(t, func() bool { return leader.replica.state().state != raft.Leader })
	time.Sleep(20 * time.Second) // the last interval ends
	s.net.heal()
	return channel
}

// leadsAgain has a node lead once more, and reports whether it refuses to.
func (s *sim) leadsAgain(t *testing.T, n *simNode) bool {
	for end := time.Now().Add(simSettle); n.replica.state().state != raft.Leader; time.Sleep(time.Second) {
		if time.Now().After(end) {
			t.Fatalf("%s does not lead again", n.id)
		}
		// tried until it works
		_ = simLeader(t, s).replica.current.raft.LeadershipTransferToServer(n.id, raft.ServerAddress(n.id)).Error()
	}
	time.Sleep(5 * time.Second) // a transfer that is only slow is over by then
	return errors.Is(n.replica.current.raft.Barrier(time.Second).Error(), raft.ErrLeadershipTransferInProgress)
}

// transferChannel is the channel from the goroutine that transfers the leadership to the one that replicates to a
// node. Only a change of raft's internal state ends that wait.
func transferChannel(r *raft.Raft, id raft.ServerID) reflect.Value {
	peers := reflect.ValueOf(r).Elem().FieldByName("leaderState").FieldByName("replState")
	field := peers.MapIndex(reflect.ValueOf(id)).Elem().FieldByName("triggerDeferErrorCh")
	return reflect.NewAt(field.Type(), unsafe.Pointer(field.UnsafeAddr())).Elem()
}
