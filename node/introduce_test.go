package node

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"testing"

	"github.com/hashicorp/raft"

	ltlv1 "ltl/proto/ltl/v1"
)

// meeting is a number of nodes that introduce themselves to one another, without a network.
type meeting struct {
	t       *testing.T
	genesis []raft.ServerID
	nodes   map[raft.ServerID]*guest
	// disks are what the ledger names of added nodes; gone are those that it removed.
	disks map[raft.ServerID][]byte
	gone  map[raft.ServerID]bool
}

// guest is one node of a meeting.
type guest struct {
	*introducer
	stable raft.StableStore
	at     position
	down   bool
	fatals []error
}

func newMeeting(t *testing.T, genesis int) *meeting {
	m := &meeting{t: t, nodes: map[raft.ServerID]*guest{}, disks: map[raft.ServerID][]byte{}, gone: map[raft.ServerID]bool{}}
	for i := range genesis {
		m.genesis = append(m.genesis, raft.ServerID(fmt.Sprintf("n%d", i+1)))
	}
	for _, id := range m.genesis {
		m.start(id, raft.NewInmemStore(), position{})
	}
	return m
}

// start starts a node on a disk.
func (m *meeting) start(id raft.ServerID, stable raft.StableStore, at position) *guest {
	m.t.Helper()
	d, err := openDisk(stable, false)
	if err != nil {
		m.t.Fatal(err)
	}
	g := &guest{stable: stable, at: at}
	g.introducer = &introducer{
		self: id, disk: d, founders: m.genesis, logger: slog.New(slog.DiscardHandler),
		peers: func() []raft.ServerID {
			var ids []raft.ServerID
			for other := range m.nodes {
				if other != id {
					ids = append(ids, other)
				}
			}
			return ids
		},
		incarnation: func(id raft.ServerID) ([]byte, error) { return m.disks[id], nil },
		removed:     func(id raft.ServerID) bool { return m.gone[id] },
		position:    func() (position, error) { return g.at, nil },
		call: func(_ context.Context, peer raft.ServerID, in *ltlv1.IntroduceRequest) (*ltlv1.IntroduceResponse, error) {
			if other := m.nodes[peer]; other != nil && !other.down {
				return other.answer(id, in)
			}
			return nil, errors.New("it is down")
		},
		fatal:   func(err error) { g.fatals = append(g.fatals, err) },
		welcome: map[raft.ServerID]bool{}, running: map[raft.ServerID]context.CancelFunc{},
	}
	m.nodes[id] = g
	return g
}

// introduceTo introduces a node to others, as the first time in its process.
func (g *guest) introduceTo(peers ...raft.ServerID) (err error) {
	for _, peer := range peers {
		err = errors.Join(err, g.introduce(context.Background(), peer, true))
	}
	return err
}

// everybody lets all nodes that run introduce themselves to all others.
func (m *meeting) everybody() {
	for _, g := range m.nodes {
		for _, peer := range g.peers() {
			if !g.down {
				_ = g.introduceTo(peer) // some are down
			}
		}
	}
}

func (m *meeting) wantOpen(open ...raft.ServerID) {
	m.t.Helper()
	for id, g := range m.nodes {
		if got, want := g.isOpen(), slices.Contains(open, id); got != want {
			m.t.Errorf("node %s takes part: %v, want %v", id, got, want)
		}
	}
}

// TestFirstStartNeedsMajorityOfOthers: two disks under one id never both take part, because the groups that welcome them share a member.
func TestFirstStartNeedsMajorityOfOthers(t *testing.T) {
	for _, c := range []struct{ nodes, up, open int }{{1, 1, 1}, {2, 1, 0}, {2, 2, 2}, {3, 2, 0}, {3, 3, 3}, {4, 2, 0}, {4, 3, 3}, {5, 3, 0}, {5, 4, 4}} {
		m := newMeeting(t, c.nodes)
		for _, id := range m.genesis[c.up:] {
			m.nodes[id].down = true
		}
		m.everybody()
		m.nodes["n1"].follow0()
		open := 0
		for _, g := range m.nodes {
			if g.isOpen() {
				open++
			}
		}
		if open != c.open {
			t.Errorf("%d of %d nodes up: %d take part, want %d", c.up, c.nodes, open, c.open)
		}
	}
}

// follow0 is follow without the goroutines.
func (g *guest) follow0() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.openLocked()
}

func TestWipedDiskIsRefused(t *testing.T) {
	m := newMeeting(t, 3)
	m.everybody()
	m.wantOpen("n1", "n2", "n3")
	for _, peer := range []raft.ServerID{"n1", "n2"} {
		wiped := m.start("n3", raft.NewInmemStore(), position{})
		if err := wiped.introduceTo(peer); !errors.Is(err, errOtherDisk) || len(wiped.fatals) != 1 {
			t.Errorf("%s says %v to a wiped disk; told to the process: %v", peer, err, wiped.fatals)
		}
		m.wantOpen("n1", "n2")
	}
	// Nobody calls it either.
	wiped := m.start("n3", raft.NewInmemStore(), position{})
	if err := m.nodes["n1"].introduceTo("n3"); err == nil {
		t.Error("n1 and the wiped n3 are introduced")
	}
	if wiped.isOpen() {
		t.Error("a wiped node takes part")
	}
}

// TestRestartKeepsWhatWasHeard: a peer that itself was restarted still knows the disks of others, and how far they were.
func TestRestartKeepsWhatWasHeard(t *testing.T) {
	m := newMeeting(t, 3)
	m.nodes["n3"].at = position{term: 7, commit: 100, last: 120}
	m.everybody()
	for _, id := range []raft.ServerID{"n1", "n2"} {
		m.start(id, m.nodes[id].stable, position{})
	}
	for _, c := range []struct {
		what string
		at   position
		want error
	}{
		{"as it was", position{7, 100, 120}, nil},
		{"the uncommitted tail is cut", position{7, 100, 100}, nil},
		{"not told what is committed", position{8, 0, 100}, nil},
		{"older term", position{6, 100, 120}, errRolledBack},
		{"committed entry gone", position{9, 90, 99}, errRolledBack},
	} {
		g := m.start("n3", m.nodes["n3"].stable, c.at)
		if err := g.introduceTo("n2"); !errors.Is(err, c.want) || (c.want == nil) != (err == nil) || (len(g.fatals) == 0) != (c.want == nil) {
			t.Errorf("%s: %v (told: %v), want %v", c.what, err, g.fatals, c.want)
		}
		if open := g.isOpen(); open != (c.want == nil) {
			t.Errorf("%s: it takes part: %v", c.what, open)
		}
	}
}

// TestLateIntroductionIsNotJudged: one that comes after newer ones says nothing about the disk.
func TestLateIntroductionIsNotJudged(t *testing.T) {
	m := newMeeting(t, 2)
	g := m.nodes["n2"]
	g.at = position{term: 3, commit: 50, last: 50}
	m.everybody()
	g.at = position{term: 3, commit: 40, last: 40}
	if err := g.introduce(t.Context(), "n1", false); err != nil {
		t.Error(err)
	}
}

func TestAddedNodeIsKnownByTheLedger(t *testing.T) {
	m := newMeeting(t, 3)
	m.everybody()
	stable := raft.NewInmemStore()
	d, err := openDisk(stable, false)
	if err != nil {
		t.Fatal(err)
	}
	m.disks["n4"] = d.incarnation
	other := m.start("n4", raft.NewInmemStore(), position{})
	if err := other.introduceTo("n1"); !errors.Is(err, errOtherDisk) {
		t.Errorf("another disk than the ledger's: %v", err)
	}
	n4 := m.start("n4", stable, position{})
	if err := n4.introduceTo("n1"); err != nil || !n4.isOpen() {
		t.Errorf("the ledger's disk: %v, takes part: %v", err, n4.isOpen())
	}
	m.gone["n4"] = true
	if err := n4.introduceTo("n1"); !errors.Is(err, errRemoved) {
		t.Errorf("a removed node: %v", err)
	}
}

func TestLineages(t *testing.T) {
	m := newMeeting(t, 3)
	lineage := make([]byte, incarnationLen)
	_, _ = rand.Read(lineage) // it never fails
	for _, id := range []raft.ServerID{"n1", "n2"} {
		stable := raft.NewInmemStore()
		if err := stable.Set([]byte(keyLineage), lineage); err != nil {
			t.Fatal(err)
		}
		m.start(id, stable, position{})
	}
	m.nodes["n3"].down = true
	m.everybody()
	// One that has taken part in the old network is refused; a disk that the ledger names takes the lineage of the network.
	old := m.start("n3", raft.NewInmemStore(), position{term: 4})
	if err := old.disk.admit(); err != nil {
		t.Fatal(err)
	}
	if err := old.introduceTo("n1"); !errors.Is(err, errOtherLineage) || old.isOpen() {
		t.Errorf("a node of the old lineage: %v, takes part: %v", err, old.isOpen())
	}
	if empty := m.start("n3", raft.NewInmemStore(), position{}); !errors.Is(empty.introduceTo("n1"), errOtherLineage) {
		t.Error("an empty disk of a founder of the old lineage is let in")
	}
	added := raft.NewInmemStore()
	d, err := openDisk(added, false)
	if err != nil {
		t.Fatal(err)
	}
	m.disks["n9"] = d.incarnation
	fresh := m.start("n9", added, position{})
	if err := fresh.introduceTo("n1", "n2"); err != nil || !fresh.isOpen() || string(fresh.disk.lineageNow()) != string(lineage) {
		t.Errorf("a new disk: %v, takes part: %v, lineage %x", err, fresh.isOpen(), fresh.disk.lineageNow())
	}
	if again := m.start("n9", fresh.stable, position{}); string(again.disk.lineageNow()) != string(lineage) {
		t.Error("the lineage is not on the disk")
	}
}

func TestPrepareOnce(t *testing.T) {
	dir := t.TempDir()
	first, err := Prepare(dir)
	if err != nil || len(first) != incarnationLen {
		t.Fatal(first, err)
	}
	if _, err := Prepare(dir); err == nil {
		t.Error("a directory is prepared twice")
	}
}
