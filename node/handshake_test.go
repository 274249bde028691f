package node

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"testing"
	"time"

	"github.com/hashicorp/raft"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	ltlv1 "ltl/proto/ltl/v1"
)

// testPeers is a group of nodes that perform handshakes with one another, without a network.
type testPeers struct {
	t       *testing.T
	genesis []raft.ServerID
	nodes   map[raft.ServerID]*testPeer
	// ledgerIDs has the store ids that the ledger names for added nodes; gone has the nodes that it removed.
	ledgerIDs map[raft.ServerID][]byte
	gone      map[raft.ServerID]bool
	// keys are the nodes' signing keys, organisations their organisations where those are not the nodes' own ids.
	keys          map[raft.ServerID]ed25519.PrivateKey
	organisations map[raft.ServerID]string
}

// testPeer is one node of testPeers.
type testPeer struct {
	*handshaker
	stable raft.StableStore
	at     position
	down   bool
	lies   *ltlv1.IntroduceResponse // answered to each peer
	fatals []error
}

func newTestPeers(t *testing.T, genesis int) *testPeers {
	m := &testPeers{t: t, nodes: map[raft.ServerID]*testPeer{}, ledgerIDs: map[raft.ServerID][]byte{},
		gone: map[raft.ServerID]bool{}, keys: map[raft.ServerID]ed25519.PrivateKey{},
		organisations: map[raft.ServerID]string{}}
	for i := range genesis {
		m.genesis = append(m.genesis, raft.ServerID(fmt.Sprintf("n%d", i+1)))
	}
	for _, id := range m.genesis {
		m.start(id, raft.NewInmemStore(), position{})
	}
	return m
}

// start starts a node on a directory.
func (m *testPeers) start(id raft.ServerID, stable raft.StableStore, at position) *testPeer {
	m.t.Helper()
	d, err := openDirectory(stable, false)
	if err != nil {
		m.t.Fatal(err)
	}
	g := &testPeer{stable: stable, at: at}
	if m.keys[id] == nil {
		if _, m.keys[id], err = ed25519.GenerateKey(rand.Reader); err != nil {
			m.t.Fatal(err)
		}
	}
	g.handshaker = &handshaker{
		self: id, dir: d, founders: m.genesis, logger: slog.New(slog.DiscardHandler),
		peers: func() []raft.ServerID {
			var ids []raft.ServerID
			for other := range m.nodes {
				if other != id {
					ids = append(ids, other)
				}
			}
			return ids
		},
		ledgerStoreID: func(id raft.ServerID) ([]byte, error) { return m.ledgerIDs[id], nil },
		removed:       func(id raft.ServerID) bool { return m.gone[id] },
		position:      func() (position, error) { return g.at, nil },
		call: func(_ context.Context, peer raft.ServerID,
			in *ltlv1.IntroduceRequest) (*ltlv1.IntroduceResponse, error) {
			other := m.nodes[peer]
			switch {
			case other == nil || other.down:
				return nil, errors.New("it is down")
			case other.lies != nil:
				return other.lies, nil
			}
			return other.handle(id, in)
		},
		fatal: func(err error) { g.fatals = append(g.fatals, err) },
		organisation: func(id raft.ServerID) string {
			if o, ok := m.organisations[id]; ok {
				return o
			}
			return string(id)
		},
		signer:   &positionSigner{self: id, keys: []ed25519.PrivateKey{m.keys[id]}},
		accepted: map[raft.ServerID]bool{}, verdicts: map[raft.ServerID]ltlv1.Verdict{},
		offers:  map[raft.ServerID]epochOffer{},
		running: map[raft.ServerID]context.CancelFunc{},
	}
	m.nodes[id] = g
	return g
}

// handshakeWith performs the first handshake of a process with each peer.
func (g *testPeer) handshakeWith(peers ...raft.ServerID) (err error) {
	for _, peer := range peers {
		err = errors.Join(err, g.handshake(context.Background(), peer, true))
	}
	return err
}

// handshakeAll lets all running nodes perform a handshake with all others.
func (m *testPeers) handshakeAll() {
	for _, g := range m.nodes {
		for _, peer := range g.peers() {
			if !g.down {
				_ = g.handshakeWith(peer) // some are down
			}
		}
	}
}

func (m *testPeers) wantOpen(open ...raft.ServerID) {
	m.t.Helper()
	for id, g := range m.nodes {
		if got, want := g.isOpen(), slices.Contains(open, id); got != want {
			m.t.Errorf("node %s takes part: %v, want %v", id, got, want)
		}
	}
}

// TestFirstStartNeedsMajorityOfOthers: two directories under one id never both take part, because the groups that
// accept them have a common member.
func TestFirstStartNeedsMajorityOfOthers(t *testing.T) {
	for _, c := range []struct{ nodes, up, open int }{{1, 1, 1}, {2, 1, 0}, {2, 2, 2}, {3, 2, 0}, {3, 3, 3}, {4, 2, 0},
		{4, 3, 3}, {5, 3, 0}, {5, 4, 4}} {
		m := newTestPeers(t, c.nodes)
		for _, id := range m.genesis[c.up:] {
			m.nodes[id].down = true
		}
		m.handshakeAll()
		m.nodes["n1"].openNow()
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

// openNow is follow without the goroutines.
func (g *testPeer) openNow() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.openLocked()
}

func TestWipedDirectoryIsRefused(t *testing.T) {
	m := newTestPeers(t, 3)
	m.handshakeAll()
	m.wantOpen("n1", "n2", "n3")
	for _, peer := range []raft.ServerID{"n1", "n2"} {
		wiped := m.start("n3", raft.NewInmemStore(), position{})
		if err := wiped.handshakeWith(peer); !errors.Is(err, errDirectoryMismatch) || len(wiped.fatals) != 1 {
			t.Errorf("%s answers %v to an empty directory; fatal errors: %v", peer, err, wiped.fatals)
		}
		m.wantOpen("n1", "n2")
	}
	// The others refuse it also when they perform the handshake.
	wiped := m.start("n3", raft.NewInmemStore(), position{})
	if err := m.nodes["n1"].handshakeWith("n3"); err == nil {
		t.Error("n1 and the wiped n3 have completed the handshake")
	}
	if wiped.isOpen() {
		t.Error("a wiped node takes part")
	}
}

// TestRestartKeepsPeerPositions: a peer that itself was restarted still knows the store ids and positions of others.
func TestRestartKeepsPeerPositions(t *testing.T) {
	m := newTestPeers(t, 3)
	m.nodes["n3"].at = position{term: 7, commit: 100, last: 120}
	m.handshakeAll()
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
		{"committed index not known yet", position{8, 0, 100}, nil},
		{"older term", position{6, 100, 120}, errRolledBack},
		{"committed entry gone", position{9, 90, 99}, errRolledBack},
	} {
		g := m.start("n3", m.nodes["n3"].stable, c.at)
		if err := g.handshakeWith("n2"); !errors.Is(err, c.want) || (c.want == nil) != (err == nil) ||
			(len(g.fatals) == 0) != (c.want == nil) {
			t.Errorf("%s: %v (fatal: %v), want %v", c.what, err, g.fatals, c.want)
		}
		if open := g.isOpen(); open != (c.want == nil) {
			t.Errorf("%s: it takes part: %v", c.what, open)
		}
	}
}

// TestLateHandshakeIsNotJudged: a handshake that arrives after newer ones proves nothing about the directory.
func TestLateHandshakeIsNotJudged(t *testing.T) {
	m := newTestPeers(t, 2)
	g := m.nodes["n2"]
	g.at = position{term: 3, commit: 50, last: 50}
	m.handshakeAll()
	g.at = position{term: 3, commit: 40, last: 40}
	if err := g.handshake(t.Context(), "n1", false); err != nil {
		t.Error(err)
	}
}

func TestAddedNodeIsKnownByTheLedger(t *testing.T) {
	m := newTestPeers(t, 3)
	m.handshakeAll()
	stable := raft.NewInmemStore()
	d, err := openDirectory(stable, false)
	if err != nil {
		t.Fatal(err)
	}
	m.ledgerIDs["n4"] = d.storeID
	other := m.start("n4", raft.NewInmemStore(), position{})
	if err := other.handshakeWith("n1"); !errors.Is(err, errDirectoryMismatch) {
		t.Errorf("another store id than the ledger's: %v", err)
	}
	n4 := m.start("n4", stable, position{})
	if err := n4.handshakeWith("n1"); err != nil || n4.isOpen() {
		t.Errorf("the ledger's store id: %v, takes part by the word of one organisation: %v", err, n4.isOpen())
	}
	if err := n4.handshakeWith("n2"); err != nil || !n4.isOpen() {
		t.Errorf("the ledger's store id: %v, takes part: %v", err, n4.isOpen())
	}
	m.gone["n4"] = true
	if err := n4.handshakeWith("n1"); !errors.Is(err, errRemoved) || len(n4.fatals) > 0 {
		t.Errorf("a removed node: %v; ended by one organisation's word: %v", err, n4.fatals)
	}
	if err := n4.handshakeWith("n2"); !errors.Is(err, errRemoved) || len(n4.fatals) != 1 {
		t.Errorf("a removed node: %v, fatal errors: %v", err, n4.fatals)
	}
}

func TestRestoreEpochs(t *testing.T) {
	m := newTestPeers(t, 3)
	epoch := make([]byte, storeIDLen)
	_, _ = rand.Read(epoch) // it never fails
	for _, id := range []raft.ServerID{"n1", "n2"} {
		stable := raft.NewInmemStore()
		if err := stable.Set([]byte(keyRestoreEpoch), epoch); err != nil {
			t.Fatal(err)
		}
		m.start(id, stable, position{})
	}
	m.nodes["n3"].down = true
	m.handshakeAll()
	// One that has taken part in the old network is refused; a directory that the ledger names takes the restore epoch
	// of the network.
	old := m.start("n3", raft.NewInmemStore(), position{term: 4})
	if err := old.dir.markJoined(); err != nil {
		t.Fatal(err)
	}
	if err := old.handshakeWith("n1"); !errors.Is(err, errEpochMismatch) || old.isOpen() {
		t.Errorf("a node of the old epoch: %v, takes part: %v", err, old.isOpen())
	}
	// Its own word ends none of the others: neither one that takes part, nor one that has just started.
	for _, n := range []*testPeer{m.nodes["n1"], m.start("n2", m.nodes["n2"].stable, position{})} {
		if err := n.handshakeWith("n3"); !errors.Is(err, errEpochMismatch) || len(n.fatals) > 0 {
			t.Errorf("%s by the word of a node of the old epoch: %v, ended by %v", n.self, err, n.fatals)
		}
	}
	if len(old.fatals) > 0 {
		t.Errorf("the word of one node of two ended it: %v", old.fatals)
	}
	m.handshakeAll()
	if len(old.fatals) == 0 || old.isOpen() {
		t.Errorf("a node of the old epoch goes on, takes part: %v", old.isOpen())
	}
	if empty := m.start("n3", raft.NewInmemStore(), position{}); !errors.Is(empty.handshakeWith("n1"), errEpochMismatch) {
		t.Error("an empty directory of a founder of the old epoch is accepted")
	}
	added := raft.NewInmemStore()
	d, err := openDirectory(added, false)
	if err != nil {
		t.Fatal(err)
	}
	m.ledgerIDs["n9"] = d.storeID
	fresh := m.start("n9", added, position{})
	if err := fresh.handshakeWith("n1"); err == nil || len(fresh.dir.restoreEpoch()) > 0 {
		t.Errorf("a new directory by the word of one: %v, epoch %x", err, fresh.dir.restoreEpoch())
	}
	if err := fresh.handshakeWith("n2", "n1"); err != nil || !fresh.isOpen() ||
		string(fresh.dir.restoreEpoch()) != string(epoch) {
		t.Errorf("a new directory: %v, takes part: %v, epoch %x", err, fresh.isOpen(), fresh.dir.restoreEpoch())
	}
	if again := m.start("n9", fresh.stable, position{}); string(again.dir.restoreEpoch()) != string(epoch) {
		t.Error("the epoch is not stored")
	}
}

func TestPrepareOnce(t *testing.T) {
	dir := t.TempDir()
	first, err := Prepare(dir)
	if err != nil || len(first) != storeIDLen {
		t.Fatal(first, err)
	}
	if _, err := Prepare(dir); err == nil {
		t.Error("a directory is prepared twice")
	}
}

// TestCallsNameStoreIDs: a node's certificate alone is not enough for what depends on a node's memory: the call must
// name the caller's store id, the store id that is meant and the restore epoch. A wiped node would confirm to an old
// leader that it still leads.
func TestCallsNameStoreIDs(t *testing.T) {
	c := newCluster(t, nil)
	c.leader()
	n1, n2 := c.node(0), c.node(1)
	eventually(t, 20*time.Second, "n1 takes part, so that it had a handshake with n2", n1.handshaker.isOpen)
	from, to := hex.EncodeToString(n2.handshaker.dir.storeID), hex.EncodeToString(n1.handshaker.dir.storeID)
	other := hex.EncodeToString(make([]byte, storeIDLen))
	orderer := ltlv1.NewOrdererClient(c.conn(0, "nodes", "n2"))
	for _, call := range []struct {
		what  string
		given []string
		want  codes.Code
	}{
		{"as it is", []string{metadataFrom, from, metadataTo, to, metadataRestoreEpoch, ""}, codes.OK},
		{"nothing named", nil, codes.FailedPrecondition},
		{"another store id of the caller", []string{metadataFrom, other, metadataTo, to, metadataRestoreEpoch, ""},
			codes.FailedPrecondition},
		{"another store id is meant", []string{metadataFrom, from, metadataTo, other, metadataRestoreEpoch, ""},
			codes.FailedPrecondition},
		{"another restore epoch", []string{metadataFrom, from, metadataTo, to, metadataRestoreEpoch, other},
			codes.FailedPrecondition},
		{"the caller's store id named twice", []string{metadataFrom, from, metadataFrom, from, metadataTo, to,
			metadataRestoreEpoch, ""}, codes.FailedPrecondition},
	} {
		ctx := metadata.AppendToOutgoingContext(context.Background(), call.given...)
		if _, err := orderer.ConfirmTerm(ctx, &ltlv1.ConfirmTermRequest{}); status.Code(err) != call.want {
			t.Errorf("%s: %v, want %v", call.what, err, call.want)
		}
	}
}
