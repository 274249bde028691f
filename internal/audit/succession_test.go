package audit

import (
	"crypto/ed25519"
	"errors"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	"ltl/internal/identity"
	"ltl/internal/rules"
	ltlv1 "ltl/proto/ltl/v1"
	"ltl/test/testkit"
	"ltl/test/testkit/offline"
)

// successors drafts and signs genesis blocks that continue the ledger of a network of three organisations.
type successors struct {
	t       *testing.T
	network *testkit.Network
	trust   *identity.Trust
	dir     string
	members map[string]*identity.Continuing
}

func newSuccessors(t *testing.T) *successors {
	t.Helper()
	n := testkit.Start(t, testkit.Options{Nodes: 1, Orgs: 3})
	c := n.Client(identity.RoleOperator)
	for i := range 3 {
		r, err := c.Submit(t.Context(), n.AttachData(n.Admin, "key", string(rune('a'+i))))
		if err != nil || r.GetCode() != rules.OK {
			t.Fatalf("%v, %v", r, err)
		}
	}
	s := &successors{t: t, network: n, trust: n.Trust(), dir: n.NodeDir(0), members: map[string]*identity.Continuing{}}
	n.StopNode(0)
	for _, id := range []string{"org1", "org2", "org3", "org9"} {
		made, err := identity.CreateContinuing(t.TempDir(), &identity.ContinuingSpec{Created: time.Now(),
			OrgSpec: identity.OrgSpec{ID: id, Name: "next " + id, EndorserAddress: "127.0.0.1:1"},
			Nodes:   []identity.NodeSpec{{ID: "node-" + id, Address: "127.0.0.1:2"}}})
		if err != nil {
			t.Fatal(err)
		}
		s.members[id] = made
	}
	return s
}

// key is the endorser key of an organisation in the old network.
func (s *successors) key(id string) ed25519.PrivateKey {
	s.t.Helper()
	keys, err := identity.SignKeysIn(filepath.Join(s.network.Dir, "orgs", id, "endorser"))
	if err != nil || len(keys) == 0 {
		s.t.Fatalf("%d keys of %s: %v", len(keys), id, err)
	}
	return keys[0]
}

// genesis is signed by the organisations with the keys that key returns.
func (s *successors) genesis(p *ltlv1.Predecessor, key func(string) ed25519.PrivateKey, ids ...string) *ltlv1.Genesis {
	s.t.Helper()
	var all []*identity.Continuing
	for _, id := range ids {
		all = append(all, s.members[id])
	}
	made, err := identity.NewSuccession("next", time.Now(), p, all)
	if err != nil {
		s.t.Fatal(err)
	}
	for _, id := range ids {
		if err := made.Sign(id, key(id)); err != nil {
			s.t.Fatal(err)
		}
	}
	trust, err := made.Trust() // who gets the trust file has verified that the signatures are by the keys that it names
	if err != nil {
		s.t.Fatal(err)
	}
	return trust.Genesis()
}

// TestSuccession: a genesis is compared with a copy of the ledger that it says it continues. What it says of blocks,
// organisations or keys and is not so is found, and those who did not sign are named.
func TestSuccession(t *testing.T) {
	s := newSuccessors(t)
	head, err := ReadHead(t.Context(), s.dir, s.trust)
	if err != nil {
		t.Fatal(err)
	}
	good, err := head.Predecessor()
	if err != nil || !slices.Equal(head.Organisations, []string{"org1", "org2", "org3"}) {
		t.Fatal(head, err)
	}
	link, err := Succession(t.Context(), s.dir, s.trust, s.genesis(good, s.key, "org3"))
	if err != nil || !slices.Equal(link.NotContinuing, []string{"org1", "org2"}) || link.Beyond != 0 || len(link.Signed) != 1 ||
		link.Signed[0].Kind != "endorser key" {
		t.Fatalf("%+v, %v", link, err)
	}
	with := func(change func(p *ltlv1.Predecessor)) *ltlv1.Predecessor {
		p := proto.CloneOf(good)
		change(p)
		return p
	}
	stranger := func(string) ed25519.PrivateKey { return offline.Key("stranger") }
	for what, g := range map[string]*ltlv1.Genesis{
		"no predecessor":    s.trust.Genesis(),
		"another network":   s.genesis(offline.Predecessor("forged"), s.key, "org3"),
		"another block":     s.genesis(with(func(p *ltlv1.Predecessor) { p.BlockHash[0] ^= 1 }), s.key, "org3"),
		"other heads":       s.genesis(with(func(p *ltlv1.Predecessor) { p.Heads[0] ^= 1 }), s.key, "org3"),
		"a block less":      s.genesis(with(func(p *ltlv1.Predecessor) { p.Blocks-- }), s.key, "org3"),
		"the genesis alone": s.genesis(with(func(p *ltlv1.Predecessor) { p.Blocks = 1 }), s.key, "org3"),
		"a stranger's key":  s.genesis(good, stranger, "org3"),
		"another's key":     s.genesis(good, func(string) ed25519.PrivateKey { return s.key("org1") }, "org3"),
		"a stranger":        s.genesis(good, s.key9, "org3", "org9"),
	} {
		if link, err := Succession(t.Context(), s.dir, s.trust, g); !errors.Is(err, ErrNoSuccession) {
			t.Errorf("%s: %+v, %v", what, link, err)
		} else {
			t.Log(err)
		}
	}
	longer := s.genesis(with(func(p *ltlv1.Predecessor) { p.Blocks++ }), s.key, "org3")
	if _, err := Succession(t.Context(), s.dir, s.trust, longer); err == nil || errors.Is(err, ErrNoSuccession) {
		t.Errorf("a copy with fewer blocks: %v", err)
	}
}

func (s *successors) key9(id string) ed25519.PrivateKey {
	if id == "org9" {
		return offline.Key("org9")
	}
	return s.key(id)
}

// TestSuccessionKeysAreNew: a genesis with an authority or an endorser key of the old network is refused, and one that
// continues an earlier block is right, with the blocks that it leaves behind counted.
func TestSuccessionKeysAreNew(t *testing.T) {
	s := newSuccessors(t)
	head, err := ReadHead(t.Context(), s.dir, s.trust)
	if err != nil {
		t.Fatal(err)
	}
	p, err := head.Predecessor()
	if err != nil {
		t.Fatal(err)
	}
	old, _ := s.trust.Organisation("org3")
	for what, change := range map[string]func(*ltlv1.Organisation){
		"authority":    func(o *ltlv1.Organisation) { o.CaCertificate = old.GetCaCertificate() },
		"endorser key": func(o *ltlv1.Organisation) { o.EndorserKey = old.GetEndorserKey() },
	} {
		before := s.members["org3"].Organisation
		used := proto.CloneOf(before)
		change(used)
		s.members["org3"].Organisation = used
		if _, err := Succession(t.Context(), s.dir, s.trust, s.genesis(p, s.key, "org3")); !errors.Is(err, ErrNoSuccession) {
			t.Errorf("the %s is used again: %v", what, err)
		}
		s.members["org3"].Organisation = before
	}
	var earlier *Head
	reader := &headReader{blocks: head.Blocks - 2}
	reader.read = headInto(&earlier, s.trust)
	if _, err := stored(t.Context(), s.dir, s.trust, reader); err != nil {
		t.Fatal(err)
	}
	if p, err = earlier.Predecessor(); err != nil {
		t.Fatal(err)
	}
	link, err := Succession(t.Context(), s.dir, s.trust, s.genesis(p, s.key, "org2", "org3"))
	if err != nil || link.Beyond != 2 || !slices.Equal(link.NotContinuing, []string{"org1"}) {
		t.Errorf("%+v, %v", link, err)
	}
}
