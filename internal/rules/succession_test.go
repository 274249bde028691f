package rules

import (
	"bytes"
	"crypto/ed25519"
	"errors"
	"testing"

	"google.golang.org/protobuf/proto"

	"ltl/internal/ledger"
	ltlv1 "ltl/proto/ltl/v1"
	"ltl/test/testkit/offline"
)

// formerKeyOf is an organisation's key in the network before.
func formerKeyOf(organisation string) ed25519.PrivateKey {
	return offline.Key("former " + organisation)
}

func successor(t testing.TB, change func(*ltlv1.Genesis)) []byte {
	g := offline.Genesis("o1", "o2")
	g.Predecessor = offline.Predecessor("old")
	change(g)
	return offline.Successor(t, g, formerKeyOf)
}

// TestSuccession: the genesis of a successor is signed by every organisation in it, each over all of it.
func TestSuccession(t *testing.T) {
	good := successor(t, func(*ltlv1.Genesis) {})
	if _, err := GenesisBlock(good); err != nil {
		t.Fatal(err)
	}
	alone := offline.GenesisPayload(t, offline.Genesis("o1", "o2"))
	if cut, ok := withoutSuccessions(alone); !ok || !bytes.Equal(cut, alone) {
		t.Error("a genesis without signatures is another one without them")
	}
	if _, ok := withoutSuccessions([]byte("x")); ok {
		t.Error("no transaction has a genesis")
	}
	twin := successor(t, func(g *ltlv1.Genesis) { g.Network = "twin.net" })
	for what, spoil := range map[string]func(x *ltlv1.Transaction, g *ltlv1.Genesis){
		"no predecessor":       func(_ *ltlv1.Transaction, g *ltlv1.Genesis) { g.Predecessor = nil },
		"an empty predecessor": func(_ *ltlv1.Transaction, g *ltlv1.Genesis) { g.Predecessor = &ltlv1.Predecessor{} },
		"a short network id":   func(_ *ltlv1.Transaction, g *ltlv1.Genesis) { g.Predecessor.NetworkId = make([]byte, 31) },
		"another network id":   func(_ *ltlv1.Transaction, g *ltlv1.Genesis) { g.Predecessor.NetworkId[0] ^= 1 },
		"no blocks":            func(_ *ltlv1.Transaction, g *ltlv1.Genesis) { g.Predecessor.Blocks = 0 },
		"one block more":       func(_ *ltlv1.Transaction, g *ltlv1.Genesis) { g.Predecessor.Blocks++ },
		"a short block hash":   func(_ *ltlv1.Transaction, g *ltlv1.Genesis) { g.Predecessor.BlockHash = nil },
		"another block hash":   func(_ *ltlv1.Transaction, g *ltlv1.Genesis) { g.Predecessor.BlockHash[31] ^= 1 },
		"short heads":          func(_ *ltlv1.Transaction, g *ltlv1.Genesis) { g.Predecessor.Heads = make([]byte, 33) },
		"other heads":          func(_ *ltlv1.Transaction, g *ltlv1.Genesis) { g.Predecessor.Heads[5] ^= 1 },
		"no signature":         func(_ *ltlv1.Transaction, g *ltlv1.Genesis) { g.Successions = nil },
		"a signature missing":  func(_ *ltlv1.Transaction, g *ltlv1.Genesis) { g.Successions = g.Successions[:1] },
		"a signature too many": func(_ *ltlv1.Transaction, g *ltlv1.Genesis) { g.Successions = append(g.Successions, g.Successions[1]) },
		"another order": func(_ *ltlv1.Transaction, g *ltlv1.Genesis) {
			g.Successions[0], g.Successions[1] = g.Successions[1], g.Successions[0]
		},
		"one organisation twice": func(_ *ltlv1.Transaction, g *ltlv1.Genesis) { g.Successions[1] = g.Successions[0] },
		"of no organisation":     func(_ *ltlv1.Transaction, g *ltlv1.Genesis) { g.Successions[0].Organisation = "o3" },
		"a short signature":      func(_ *ltlv1.Transaction, g *ltlv1.Genesis) { g.Successions[0].Signature = make([]byte, 63) },
		"a wrong signature":      func(_ *ltlv1.Transaction, g *ltlv1.Genesis) { g.Successions[0].Signature[9] ^= 1 },
		"another key":            func(_ *ltlv1.Transaction, g *ltlv1.Genesis) { g.Successions[0].FormerKey = offline.PublicKey("x") },
		"a key of small order": func(_ *ltlv1.Transaction, g *ltlv1.Genesis) {
			g.Successions[0].FormerKey = append([]byte{1}, make([]byte, 31)...)
		},
		"signatures of a twin": func(_ *ltlv1.Transaction, g *ltlv1.Genesis) {
			x := &ltlv1.Transaction{}
			if err := proto.Unmarshal(twin, x); err != nil {
				t.Fatal(err)
			}
			g.Successions = x.GetGenesis().GetSuccessions()
		},
		"another nonce":    func(x *ltlv1.Transaction, _ *ltlv1.Genesis) { x.Nonce[0] ^= 1 },
		"no nonce":         func(x *ltlv1.Transaction, _ *ltlv1.Genesis) { x.Nonce = nil },
		"another time":     func(x *ltlv1.Transaction, _ *ltlv1.Genesis) { x.CreatedMs++ },
		"a new node":       func(_ *ltlv1.Transaction, g *ltlv1.Genesis) { g.Nodes[0].Key = offline.PublicKey("x") },
		"another policy":   func(_ *ltlv1.Transaction, g *ltlv1.Genesis) { g.Policy = "any" },
		"another endorser": func(_ *ltlv1.Transaction, g *ltlv1.Genesis) { g.Organisations[1].EndorserKey = offline.PublicKey("x") },
	} {
		x := &ltlv1.Transaction{}
		if err := proto.Unmarshal(good, x); err != nil {
			t.Fatal(err)
		}
		spoil(x, x.GetGenesis())
		if _, err := GenesisBlock(marshal(t, x)); !errors.Is(err, ErrMalformed) {
			t.Errorf("%s: %v", what, err)
		}
	}
	g := offline.Genesis("o1", "o2")
	g.Predecessor = offline.Predecessor("old")
	same := offline.Successor(t, g, func(string) ed25519.PrivateKey { return formerKeyOf("o1") })
	if _, err := GenesisBlock(same); !errors.Is(err, ErrMalformed) {
		t.Errorf("one key signs for two organisations: %v", err)
	}
}

// TestSuccessorIsAnotherNetwork: nothing that was endorsed in the predecessor counts in the successor, with the same
// organisations and keys too.
func TestSuccessorIsAnotherNetwork(t *testing.T) {
	old := newWorld(t)
	g := offline.Genesis(organisations()...)
	g.Predecessor = offline.Predecessor("old")
	next := bareOf(t, offline.Successor(t, g, formerKeyOf))
	payload := marshal(t, old.operator(account("12345678901234567", "o1", 1)))
	batch := old.batch(ledger.SystemChain, [][]byte{payload}, "o1", "o2", "o3")
	done, err := Execute(next.input(ledger.SystemChain, batch), next.state, ledger.VerifyEndorsement)
	if err != nil || done.Results[0][0].GetCode() != NotEndorsed {
		t.Errorf("what was endorsed for the predecessor: %v, %v", done, err)
	}
}
