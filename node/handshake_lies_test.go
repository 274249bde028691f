package node

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"testing"
	"time"

	"github.com/hashicorp/raft"

	ltlv1 "ltl/proto/ltl/v1"
)

// lies are refusals that end a node which believes them: with signatures by another node than the one that is
// refused, and with what it signed, which proves nothing against it.
func lies(t *testing.T, m *testPeers, victim raft.ServerID) []*ltlv1.IntroduceResponse {
	g := m.nodes[victim]
	record, err := m.nodes["n1"].dir.lastReport(victim)
	if err != nil || len(record.termSignature) == 0 {
		t.Fatal(record, err)
	}
	other := bytes.Repeat([]byte{7}, storeIDLen)
	forged := (&positionSigner{self: victim, keys: []ed25519.PrivateKey{m.keys["n1"]}})
	twin := (&positionSigner{network: [32]byte{1}, self: victim, keys: []ed25519.PrivateKey{m.keys[victim]}})
	var all []*ltlv1.IntroduceResponse
	for _, l := range []struct {
		verdict ltlv1.Verdict
		known   []byte
		term    uint64
		proof   []byte
	}{
		{ltlv1.Verdict_VERDICT_REMOVED, nil, 0, nil},
		{ltlv1.Verdict_VERDICT_EPOCH_MISMATCH, nil, 0, nil},
		{ltlv1.Verdict_VERDICT_DIRECTORY_MISMATCH, other, 9, nil},
		{ltlv1.Verdict_VERDICT_DIRECTORY_MISMATCH, other, 9, forged.sign(signedTerm, other, nil, 9)},
		{ltlv1.Verdict_VERDICT_DIRECTORY_MISMATCH, other, record.term, record.termSignature},
		{ltlv1.Verdict_VERDICT_DIRECTORY_MISMATCH, record.storeID, record.term, record.termSignature},
		{ltlv1.Verdict_VERDICT_DIRECTORY_MISMATCH, other, 9, twin.sign(signedTerm, other, nil, 9)},
		{ltlv1.Verdict_VERDICT_DIRECTORY_MISMATCH, other, 9, g.signer.sign(signedTerm, other, other, 9)},
		{ltlv1.Verdict_VERDICT_ROLLED_BACK, nil, record.term + 1, record.termSignature},
		{ltlv1.Verdict_VERDICT_ROLLED_BACK, nil, record.term, record.termSignature},
		{ltlv1.Verdict_VERDICT_ROLLED_BACK, nil, 9, g.signer.sign(signedCommit, g.dir.storeID, nil, 9)},
	} {
		all = append(all, &ltlv1.IntroduceResponse{Verdict: l.verdict, StoreId: m.nodes["n1"].dir.storeID,
			KnownStoreId: l.known, Term: l.term, TermSignature: l.proof, Commit: l.term})
	}
	return all
}

// TestOneLyingNodeEndsNoOther: whatever one organisation's nodes answer, however many it has, a running node goes on
// and one that starts again takes part.
func TestOneLyingNodeEndsNoOther(t *testing.T) {
	m := newTestPeers(t, 3)
	for _, id := range []raft.ServerID{"n1", "n4", "n5", "n6"} {
		m.organisations[id] = "liar"
	}
	m.nodes["n3"].at = position{term: 3, commit: 50, last: 50}
	m.handshakeAll()
	m.wantOpen("n1", "n2", "n3")
	for _, id := range []raft.ServerID{"n4", "n5", "n6"} {
		m.start(id, raft.NewInmemStore(), position{})
	}
	for _, lie := range lies(t, m, "n3") {
		for _, id := range []raft.ServerID{"n1", "n4", "n5", "n6"} {
			m.nodes[id].lies = lie
		}
		for what, g := range map[string]*testPeer{"a running node": m.nodes["n3"],
			"one that starts again": m.start("n3", m.nodes["n3"].stable, m.nodes["n3"].at)} {
			for _, peer := range []raft.ServerID{"n1", "n4", "n5", "n6", "n2", "n1"} {
				_ = g.handshakeWith(peer) // refused by all but n2
			}
			if len(g.fatals) > 0 || !g.isOpen() {
				t.Errorf("%s, refused with %v: takes part: %v, ended by %v", what, lie, g.isOpen(), g.fatals)
			}
		}
	}
}

// TestRelayedPosition: one organisation holds back the answer of one node until another of its nodes has a newer position
// with the signature of the node that asked. That is no proof that this one went back.
func TestRelayedPosition(t *testing.T) {
	m := newTestPeers(t, 3)
	m.organisations["n1"], m.organisations["n4"] = "liar", "liar"
	n3 := m.nodes["n3"]
	n3.at = position{term: 3, commit: 50, last: 50}
	m.handshakeAll()
	m.wantOpen("n1", "n2", "n3")
	m.start("n4", raft.NewInmemStore(), position{})
	n3.call = func(ctx context.Context, _ raft.ServerID, _ *ltlv1.IntroduceRequest) (*ltlv1.IntroduceResponse, error) {
		n3.at = position{term: 3, commit: 51, last: 51}
		var newer *ltlv1.IntroduceRequest
		n3.call = func(_ context.Context, _ raft.ServerID, in *ltlv1.IntroduceRequest) (*ltlv1.IntroduceResponse, error) {
			newer = in
			return nil, errors.New("n4 does not answer")
		}
		_ = n3.handshake(ctx, "n4", false)
		return &ltlv1.IntroduceResponse{Verdict: ltlv1.Verdict_VERDICT_ROLLED_BACK, StoreId: m.nodes["n1"].dir.storeID,
			Term: newer.GetTerm(), Commit: newer.GetCommit(), CommitSignature: newer.GetCommitSignature()}, nil
	}
	if err := n3.handshake(t.Context(), "n1", false); !errors.Is(err, errRolledBack) {
		t.Errorf("the refusal: %v", err)
	}
	if len(n3.fatals) > 0 {
		t.Errorf("a running node was ended: %v", n3.fatals)
	}
}

// TestNewNodeJudgesNoEpoch: a new node of the own organisation, which does not know the restore epoch yet, ends no node
// that starts.
func TestNewNodeJudgesNoEpoch(t *testing.T) {
	m := newTestPeers(t, 3)
	epoch := make([]byte, storeIDLen)
	epoch[0] = 1
	for _, id := range m.genesis {
		stable := raft.NewInmemStore()
		if err := stable.Set([]byte(keyRestoreEpoch), epoch); err != nil {
			t.Fatal(err)
		}
		m.start(id, stable, position{})
	}
	m.handshakeAll()
	m.organisations["n1"], m.organisations["n4"] = "own", "own"
	stable := raft.NewInmemStore()
	dir, err := openDirectory(stable, false)
	if err != nil {
		t.Fatal(err)
	}
	m.ledgerIDs["n4"] = dir.storeID
	m.nodes["n1"].down = true
	_ = m.start("n4", stable, position{}).handshakeWith("n2") // one organisation is too few for it to take the epoch
	n1 := m.start("n1", m.nodes["n1"].stable, position{})
	if err := n1.handshakeWith("n4"); err == nil || len(n1.fatals) > 0 {
		t.Errorf("the new node answers %v, and ends %v", err, n1.fatals)
	}
}

// TestProvenRefusals: a refusal with what the node itself has signed ends it by the word of one peer, also when the
// peer was started again meanwhile, and an older record without signatures by the word of more than half.
func TestProvenRefusals(t *testing.T) {
	for _, c := range []struct {
		what  string
		wiped bool
		at    position
	}{
		{"a wiped directory", true, position{}},
		{"an older term", false, position{6, 100, 120}},
		{"a lost entry", false, position{9, 90, 99}},
	} {
		for _, signed := range []bool{true, false} {
			m := newTestPeers(t, 3)
			unsigned := func(g *testPeer) *testPeer {
				if !signed {
					g.signer.keys = nil
				}
				return g
			}
			unsigned(m.nodes["n3"]).at = position{term: 7, commit: 100, last: 120}
			m.handshakeAll()
			m.nodes["n1"].dir.peers["n3"].saved = time.Time{} // as ten seconds later
			m.handshakeAll()
			m.start("n1", m.nodes["n1"].stable, position{})
			stable := m.nodes["n3"].stable
			if c.wiped {
				stable = raft.NewInmemStore()
			}
			n3 := unsigned(m.start("n3", stable, c.at))
			if err := n3.handshakeWith("n1"); err == nil || (len(n3.fatals) > 0) != signed {
				t.Errorf("%s, signed %v: %v, ended by %v", c.what, signed, err, n3.fatals)
			}
			if err := n3.handshakeWith("n2"); err == nil || len(n3.fatals) == 0 || n3.isOpen() {
				t.Errorf("%s, signed %v: %v, takes part: %v, ended by %v", c.what, signed, err, n3.isOpen(), n3.fatals)
			}
		}
	}
}

// TestLyingEpoch: one organisation's word gives a node that joins no wrong restore epoch, neither another one nor none.
func TestLyingEpoch(t *testing.T) {
	epoch := make([]byte, storeIDLen)
	_, _ = rand.Read(epoch) // it never fails
	for _, restored := range []bool{false, true} {
		m := newTestPeers(t, 3)
		told := bytes.Repeat([]byte{9}, storeIDLen)
		if restored {
			told = nil
			for _, id := range m.genesis {
				stable := raft.NewInmemStore()
				if err := stable.Set([]byte(keyRestoreEpoch), epoch); err != nil {
					t.Fatal(err)
				}
				m.start(id, stable, position{})
			}
		}
		m.handshakeAll()
		stable := raft.NewInmemStore()
		d, err := openDirectory(stable, false)
		if err != nil {
			t.Fatal(err)
		}
		m.ledgerIDs["n4"] = d.storeID
		m.nodes["n1"].lies = &ltlv1.IntroduceResponse{Verdict: ltlv1.Verdict_VERDICT_ACCEPTED,
			StoreId: m.nodes["n1"].dir.storeID, RestoreEpoch: told, RestoredBlocks: 3}
		n4 := m.start("n4", stable, position{})
		if _ = n4.handshakeWith("n1"); n4.isOpen() {
			t.Errorf("restored %v: it takes part by the word of one", restored)
		}
		_ = n4.handshakeWith("n2", "n3", "n2") // the first tells it the epoch
		if got := string(n4.dir.restoreEpoch()); !n4.isOpen() || (got == string(epoch)) != restored ||
			(got == "") == restored || len(n4.fatals) > 0 {
			t.Errorf("restored %v: takes part: %v, epoch %x, ended by %v", restored, n4.isOpen(), got, n4.fatals)
		}
	}
}
