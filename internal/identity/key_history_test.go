package identity

import (
	"bytes"
	"crypto/ed25519"
	"encoding/hex"
	"slices"
	"testing"
	"time"

	"ltl/client/proof"
	ltlv1 "ltl/proto/ltl/v1"
)

// TestLearnKeys: the history follows a key that was replaced, an organisation that joined, and nodes that joined, were
// promoted and removed; and it is in the trust file as it was learned.
func TestLearnKeys(t *testing.T) {
	_, trust := newNetwork(t, time.Now())
	g := trust.Genesis()
	first, second := g.GetOrganisations()[0], bytes.Repeat([]byte{7}, 32)
	keys := func(height uint64, organisations []*ltlv1.OrganisationKey, nodes ...*ltlv1.NodeKey) {
		trust.LearnKeys(&ltlv1.GetKeysResponse{Height: height, OrganisationKeys: organisations, NodeKeys: nodes})
	}
	node := func(id byte, m ltlv1.NodeMembership, changed uint64) *ltlv1.NodeKey {
		return &ltlv1.NodeKey{Id: string(id), Organisation: first.GetId(), Key: bytes.Repeat([]byte{id}, 32), Membership: m,
			Changed: changed}
	}
	const voter, learner, removed = ltlv1.NodeMembership_NODE_MEMBERSHIP_VOTER,
		ltlv1.NodeMembership_NODE_MEMBERSHIP_LEARNER, ltlv1.NodeMembership_NODE_MEMBERSHIP_REMOVED
	original := &ltlv1.OrganisationKey{Organisation: first.GetId(), Key: first.GetEndorserKey()}
	keys(4, []*ltlv1.OrganisationKey{original}, node('a', learner, 3))
	original.Until, original.UntilMs = 9, 1000
	present := []*ltlv1.OrganisationKey{original, {Organisation: first.GetId(), Key: second},
		{Organisation: "joined", Key: bytes.Repeat([]byte{8}, 32)}}
	keys(12, present, node('a', voter, 11))
	keys(11, nil) // an older answer
	keys(20, present, node('a', removed, 17), node('b', removed, 18))
	h := trust.History()
	o := h.Organisations[0]
	if h.Height != 20 || len(o.Keys) != 2 || o.Keys[0].HeightSpan != (HeightSpan{0, 9}) || o.Keys[0].UntilMs != 1000 ||
		o.Keys[1].HeightSpan != (HeightSpan{9, 0}) || h.Organisations[1].Keys[0].From != 5 {
		t.Errorf("organisations %+v", h.Organisations)
	}
	if !slices.Equal(h.Nodes[0].Voter, []HeightSpan{{11, 17}}) || len(h.Nodes[1].Voter) != 0 {
		t.Errorf("nodes %+v", h.Nodes)
	}
	file, err := trust.Encode()
	if err != nil {
		t.Fatal(err)
	}
	again, err := parseTrust(file)
	if err != nil {
		t.Fatal(err)
	}
	if second, err := again.Encode(); err != nil || !bytes.Equal(file, second) {
		t.Errorf("the file that was read back differs: %v", err)
	}
}

// TestLearnKeysAfterRestoration: what the history says of blocks that a restoration lost is forgotten, though those had
// greater heights; an answer from before the restoration is an older one.
func TestLearnKeysAfterRestoration(t *testing.T) {
	_, trust := newNetwork(t, time.Now())
	first := trust.Genesis().GetOrganisations()[0]
	id, public := first.GetId(), bytes.Repeat([]byte{7}, 32)
	const voter, removed = ltlv1.NodeMembership_NODE_MEMBERSHIP_VOTER, ltlv1.NodeMembership_NODE_MEMBERSHIP_REMOVED
	learn := func(height uint64, replaced bool, node ltlv1.NodeMembership, changed uint64, r ...*ltlv1.Restoration) {
		keys := []*ltlv1.OrganisationKey{{Organisation: id, Key: first.GetEndorserKey()}}
		if replaced {
			keys[0].Until, keys[0].UntilMs = 25, 1000
			keys = append(keys, &ltlv1.OrganisationKey{Organisation: id, Key: public})
		}
		trust.LearnKeys(&ltlv1.GetKeysResponse{Height: height, OrganisationKeys: keys, Restorations: r, NodeKeys: []*ltlv1.NodeKey{
			{Id: "a", Organisation: id, Key: bytes.Repeat([]byte{9}, 32), Membership: node, Changed: changed}}})
	}
	learn(5, false, voter, 3)
	learn(30, true, removed, 27)
	restored := &ltlv1.Restoration{Number: 2, Blocks: 50, Height: 22, KeptHeight: 20}
	learn(23, false, voter, 3, restored)
	learn(30, true, removed, 27) // the former history again
	h := trust.History()
	if h.Height != 23 || len(h.Organisations[0].Keys) != 1 ||
		h.Organisations[0].Keys[0] != (KeySpan{Key: hex.EncodeToString(first.GetEndorserKey())}) ||
		!slices.Equal(h.Nodes[0].Voter, []HeightSpan{{3, 0}}) || !slices.Equal(h.Restorations, []RestorationMark{{2, 50}}) {
		t.Errorf("%+v", h)
	}
	learn(31, true, removed, 27, restored)
	h = trust.History()
	if h.Height != 31 || len(h.Organisations[0].Keys) != 2 || h.Organisations[0].Keys[1].From != 25 ||
		!slices.Equal(h.Nodes[0].Voter, []HeightSpan{{3, 27}}) {
		t.Errorf("%+v", h)
	}
}

// TestKeyOfNoHeight: an organisation that changes its key twice in one block, also in the one in which it joined, does
// not make the trust file one that a verifier refuses.
func TestKeyOfNoHeight(t *testing.T) {
	_, trust := newNetwork(t, time.Now())
	g := trust.Genesis()
	id := g.GetOrganisations()[0].GetId()
	public := func(seed byte) []byte {
		return ed25519.NewKeyFromSeed(bytes.Repeat([]byte{seed}, ed25519.SeedSize)).Public().(ed25519.PublicKey)
	}
	in := &ltlv1.GetKeysResponse{Height: 12, OrganisationKeys: []*ltlv1.OrganisationKey{
		{Organisation: id, Key: g.GetOrganisations()[0].GetEndorserKey(), Until: 9, UntilMs: 1000},
		{Organisation: id, Key: public(1), Until: 9, UntilMs: 1000}, {Organisation: id, Key: public(2)},
		{Organisation: "joined", Key: public(3), Until: 1, UntilMs: 1000}, {Organisation: "joined", Key: public(4)},
	}}
	for _, o := range g.GetOrganisations()[1:] {
		in.OrganisationKeys = append(in.OrganisationKeys, &ltlv1.OrganisationKey{Organisation: o.GetId(), Key: o.GetEndorserKey()})
	}
	for _, n := range g.GetNodes() {
		in.NodeKeys = append(in.NodeKeys, &ltlv1.NodeKey{Id: n.GetId(), Organisation: n.GetOrganisation(), Key: n.GetKey(),
			Membership: ltlv1.NodeMembership_NODE_MEMBERSHIP_VOTER})
	}
	slices.Reverse(in.OrganisationKeys[:2]) // a node gives keys that ended in one block in any order
	for range 2 {
		trust.LearnKeys(in)
		file, err := trust.Encode()
		if err == nil {
			_, err = proof.ParseTrust(file)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	o := trust.History().Organisations[0]
	if len(o.Keys) != 2 || o.Keys[1].Key != hex.EncodeToString(public(2)) || o.Keys[1].From != 9 {
		t.Errorf("keys %+v", o.Keys)
	}
}

// TestInventedKeysAreNotLearned: what one process says of keys today is in the file that With makes, and nowhere else: an
// invented height of it does not keep out the truth.
func TestInventedKeysAreNotLearned(t *testing.T) {
	_, trust := newNetwork(t, time.Now())
	before, err := trust.Encode()
	if err != nil {
		t.Fatal(err)
	}
	invented := &ltlv1.GetKeysResponse{Height: 1 << 62, OrganisationKeys: []*ltlv1.OrganisationKey{{
		Organisation: trust.Genesis().GetOrganisations()[0].GetId(), Key: bytes.Repeat([]byte{9}, 32)}}}
	with, err := trust.With(invented)
	if err != nil || bytes.Equal(with, before) {
		t.Fatalf("the file does not have what was said: %v", err)
	}
	if after, err := trust.Encode(); err != nil || !bytes.Equal(after, before) {
		t.Errorf("the trust has learned it: %v", err)
	}
}
