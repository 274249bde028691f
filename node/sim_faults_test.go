package node

import (
	"math/rand/v2"
	"time"

	"github.com/hashicorp/raft"

	"ltl/internal/ledger"
	"ltl/internal/store"
)

// fault makes something go wrong.
func (s *sim) fault() {
	n := s.nodes[s.random(3)]
	other := s.nodes[(s.random(2)+1+int(n.id[1]-'1'))%3]
	n.mu.Lock()
	h := n.handle
	n.mu.Unlock()
	later := func(d time.Duration, fn func()) {
		s.timers.Go(func() {
			time.Sleep(d)
			fn()
		})
	}
	switch s.random(10) {
	case 0, 1:
		s.note("fault: crash of %s", n.id)
		s.crash(n, h)
		time.Sleep(s.between(0, 5*time.Second))
		s.revive(n)
	case 2:
		s.note("fault: crash of all")
		for _, o := range s.nodes {
			o.mu.Lock()
			oh := o.handle
			o.mu.Unlock()
			s.crash(o, oh)
		}
		for _, o := range s.nodes {
			s.revive(o)
		}
	case 3, 4:
		s.note("fault: %s is cut off", n.id)
		for _, o := range s.nodes {
			s.net.setCut(n.id, o.id, true)
			s.net.setCut(o.id, n.id, true)
		}
	case 5:
		s.note("fault: %s does not reach %s", n.id, other.id)
		s.net.setCut(n.id, other.id, true)
	case 6:
		d := s.between(20*time.Millisecond, 1500*time.Millisecond)
		s.note("fault: disk of %s takes %v", n.id, d)
		h.set(d)
		later(s.between(time.Second, 5*time.Second), func() { h.set(0) })
	case 7:
		s.note("fault: disk of %s fails", n.id)
		h.breakNow()
		time.Sleep(s.between(0, 4*time.Second))
	case 8:
		s.hangLeader()
	case 9:
		s.note("the network is whole")
		s.net.heal()
		for _, o := range s.nodes {
			s.revive(o)
		}
	}
}

// hangLeader is what a pause of the leader's process looks like to the other nodes and to its readers
// afterwards: raft's loop is blocked in a write, so the lease does not run out, while the others elect a new
// leader.
func (s *sim) hangLeader() {
	for _, n := range s.nodes {
		n.mu.Lock()
		r, h, alive := n.replica, n.handle, n.alive
		n.mu.Unlock()
		if !alive || r.state().state != raft.Leader {
			continue
		}
		s.note("fault: leader %s hangs and is cut off", n.id)
		h.set(s.between(3*time.Second, 6*time.Second))
		for _, o := range s.nodes {
			s.net.setCut(n.id, o.id, o != n)
			s.net.setCut(o.id, n.id, o != n)
		}
		time.Sleep(s.between(2*time.Second, 6*time.Second))
		h.set(0)
		s.net.heal()
	}
}

// heal ends all faults.
func (s *sim) heal() {
	s.note("heal")
	s.net.heal()
	for _, n := range s.nodes {
		n.mu.Lock()
		h := n.handle
		n.mu.Unlock()
		h.set(0)
		h.mu.Lock()
		h.broken = false
		h.mu.Unlock()
	}
	for _, n := range s.nodes {
		s.revive(n)
	}
}

// check waits until all nodes agree, and holds the invariants against them.
func (s *sim) check() {
	begin := time.Now()
	s.answer(s.world.batch(ledger.SystemChain, s.world.account(rand.New(rand.NewPCG(s.seed, 3)), "")))
	if took := time.Since(begin); took > simRecovery {
		s.t.Errorf("I8: the first write after healing took %v", took)
	}
	stores := make(map[string]*store.Store)
	for _, n := range s.nodes {
		_, db := n.now()
		if db == nil {
			s.t.Fatalf("%s is down after healing", n.id)
		}
		stores[string(n.id)] = db
	}
	same := func() bool {
		first := stores["n1"]
		return stores["n2"].Sequence() == first.Sequence() && stores["n3"].Sequence() == first.Sequence() &&
			stores["n2"].AppliedIndex() == first.AppliedIndex() && stores["n3"].AppliedIndex() == first.AppliedIndex()
	}
	for end := time.Now().Add(simSettle); !same(); time.Sleep(50 * time.Millisecond) {
		if time.Now().After(end) {
			for id, db := range stores {
				s.t.Errorf("%s: sequence %d, applied %d", id, db.Sequence(), db.AppliedIndex())
			}
			s.t.Fatal("the nodes do not come together")
		}
	}
	checkAcked(s.t, s.acked, compareLedgers(s.t, s.world, s.endorsements.Verify, stores))
}
