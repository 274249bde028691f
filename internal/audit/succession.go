package audit

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"ltl/internal/identity"
	"ltl/internal/ledger"
	"ltl/internal/rules"
	"ltl/internal/store"
	ltlv1 "ltl/proto/ltl/v1"
)

// ErrNoSuccession is returned, wrapped, for a genesis that does not continue the ledger that it is compared with.
var ErrNoSuccession = errors.New("the new network does not continue this ledger")

// Head is the end of a ledger, or of its first blocks, from which a successor may continue.
type Head struct {
	NetworkID string    `json:"networkId"`
	Network   string    `json:"network"`
	Blocks    uint64    `json:"blocks"`
	BlockHash string    `json:"blockHash"`
	Heads     string    `json:"heads"`
	Time      time.Time `json:"time"`
	// Organisations are those that decided for the network at that block.
	Organisations []string `json:"organisations"`
}

// Predecessor is the head as a genesis names it.
func (h *Head) Predecessor() (*ltlv1.Predecessor, error) {
	var parts [3][]byte
	var err error
	for i, text := range []string{h.NetworkID, h.BlockHash, h.Heads} {
		var bad error
		parts[i], bad = hex.DecodeString(text)
		err = errors.Join(err, bad)
	}
	return &ltlv1.Predecessor{NetworkId: parts[0], Blocks: h.Blocks, BlockHash: parts[1], Heads: parts[2]}, err
}

// Continues is what the genesis of a successor says of its predecessor.
type Continues struct {
	NetworkID string `json:"networkId"`
	Blocks    uint64 `json:"blocks"`
	BlockHash string `json:"blockHash"`
	Heads     string `json:"heads"`
	// Signed are the organisations with the keys of the predecessor by which they signed.
	Signed []SignedBy `json:"signed"`
}

// SignedBy is a signature under the genesis of a successor.
type SignedBy struct {
	Organisation string `json:"organisation"`
	FormerKey    string `json:"formerKey"`
	// Kind is "endorser key" or "recovery key", as the predecessor's ledger says; empty where that was not read.
	Kind string `json:"kind,omitempty"`
}

// ContinuesOf returns what a genesis says of its predecessor; nil when it has none.
func ContinuesOf(g *ltlv1.Genesis) *Continues {
	p := g.GetPredecessor()
	if p == nil {
		return nil
	}
	c := &Continues{NetworkID: hex.EncodeToString(p.GetNetworkId()), Blocks: p.GetBlocks(),
		BlockHash: hex.EncodeToString(p.GetBlockHash()), Heads: hex.EncodeToString(p.GetHeads()), Signed: []SignedBy{}}
	for _, s := range g.GetSuccessions() {
		c.Signed = append(c.Signed, SignedBy{Organisation: s.GetOrganisation(),
			FormerKey: hex.EncodeToString(s.GetFormerKey())})
	}
	return c
}

// Link is what a comparison of a successor's genesis with a copy of its predecessor's ledger found.
type Link struct {
	Continues
	// NotContinuing are the predecessor's organisations that are not in the successor's genesis.
	NotContinuing []string `json:"notContinuing"`
	// Keys is the endorser key that each organisation of the genesis had at the head, in hexadecimal; Recovery the recovery
	// key, empty for none.
	Keys     map[string]string `json:"-"`
	Recovery map[string]string `json:"-"`
	// Beyond is how many blocks the copy has after those that the genesis names: the successor does not continue them.
	Beyond uint64 `json:"beyond"`
}

// headReader reads a head, or compares a genesis with it, when so many blocks were executed; 0 is all that there are.
type headReader struct {
	blocks uint64
	read   func(s *store.Store) error
	done   bool
}

func (h *headReader) isAt(seen uint64) bool { return h != nil && h.blocks == seen }

// readHead reads the head if it ends with the blocks that were executed.
func (a *auditor) readHead() error {
	if !a.head.isAt(a.seen) {
		return nil
	}
	a.head.done = true
	return a.head.read(a.store)
}

// ReadHead audits a stored copy, as Stored does, and returns the end of its ledger.
func ReadHead(ctx context.Context, dir string, trust *identity.Trust) (*Head, error) {
	var head *Head
	_, err := stored(ctx, dir, trust, &headReader{read: headInto(&head, trust)})
	return head, err
}

func headInto(head **Head, trust *identity.Trust) func(*store.Store) error {
	return func(s *store.Store) (err error) {
		*head, err = headOf(s, trust)
		return err
	}
}

// headOf is the end of what a store holds.
func headOf(s *store.Store, trust *identity.Trust) (*Head, error) {
	last, err := s.BlockAt(s.Sequence() - 1)
	if err != nil {
		return nil, err
	}
	header, err := ledger.ParseHeader(last.GetHeader())
	if err != nil {
		return nil, err
	}
	var heads []ledger.Head
	for _, tip := range s.Tips() {
		heads = append(heads, ledger.Head{ChainID: tip.ChainID, Height: tip.Header.Height, Hash: tip.Hash})
	}
	slices.SortFunc(heads, func(a, b ledger.Head) int { return strings.Compare(a.ChainID, b.ChainID) })
	organisations, err := rules.ListOrganisations(s)
	if err != nil {
		return nil, err
	}
	id, hash, all := trust.NetworkID(), ledger.LeafHash(last.GetHeader()), ledger.HeadsHash(heads)
	h := &Head{NetworkID: hex.EncodeToString(id[:]), Network: trust.Genesis().GetNetwork(), Blocks: s.Sequence(),
		BlockHash: hex.EncodeToString(hash[:]), Heads: hex.EncodeToString(all[:]), Time: time.UnixMilli(header.TimeMs).UTC()}
	for _, o := range organisations {
		h.Organisations = append(h.Organisations, o.ID)
	}
	return h, nil
}

// Succession audits a stored copy of the predecessor's ledger, under the predecessor's trust file, and compares the
// genesis of a successor with it: the blocks that it names are those of the copy, its organisations were the
// predecessor's, each signature is by a key that the organisation had there at the last of these blocks, and no key of
// the predecessor is in use again. Signatures that are still to come are not asked for; those that there are have been
// verified by who made g. It returns ErrNoSuccession, wrapped, when one of these is wrong.
func Succession(ctx context.Context, dir string, old *identity.Trust, g *ltlv1.Genesis) (*Link, error) {
	c, id := ContinuesOf(g), old.NetworkID()
	switch {
	case c == nil:
		return nil, fmt.Errorf("%w: its genesis names no predecessor", ErrNoSuccession)
	case c.NetworkID != hex.EncodeToString(id[:]):
		return nil, fmt.Errorf("%w: it continues network %s, and the trust file is of network %x", ErrNoSuccession, c.NetworkID,
			id)
	}
	link := &Link{Continues: *c, NotContinuing: []string{}, Keys: map[string]string{}, Recovery: map[string]string{}}
	reader := &headReader{blocks: c.Blocks, read: func(s *store.Store) error { return link.compare(s, old, g) }}
	report, err := stored(ctx, dir, old, reader)
	if err != nil {
		return nil, err
	}
	if !reader.done {
		return nil, fmt.Errorf("the copy has %d blocks, and the new network continues %d; compare it with a copy that has them, "+
			"from an organisation that signed", report.Blocks, c.Blocks)
	}
	link.Beyond = report.Blocks - c.Blocks
	return link, nil
}

// compare compares a genesis with the state at the end of the blocks that it names.
func (l *Link) compare(s *store.Store, old *identity.Trust, g *ltlv1.Genesis) error {
	head, err := headOf(s, old)
	if err != nil {
		return err
	}
	if head.BlockHash != l.BlockHash || head.Heads != l.Heads {
		return fmt.Errorf("%w: after %d blocks the last one has the hash %s and the heads hash is %s; its genesis says %s and %s",
			ErrNoSuccession, l.Blocks, head.BlockHash, head.Heads, l.BlockHash, l.Heads)
	}
	for _, o := range g.GetOrganisations() {
		if !slices.Contains(head.Organisations, o.GetId()) {
			return fmt.Errorf("%w: organisation %q was none of the old network's", ErrNoSuccession, o.GetId())
		}
		if err := l.former(s, o); err != nil {
			return err
		}
	}
	for i := range l.Signed {
		signed := &l.Signed[i]
		switch signed.FormerKey {
		case l.Keys[signed.Organisation]:
			signed.Kind = "endorser key"
		case l.Recovery[signed.Organisation]:
			signed.Kind = "recovery key"
		default:
			return fmt.Errorf("%w: the key %s, which signed for organisation %q, was neither its endorser key nor its recovery key",
				ErrNoSuccession, signed.FormerKey, signed.Organisation)
		}
	}
	for _, id := range head.Organisations {
		if !slices.ContainsFunc(g.GetOrganisations(), func(o *ltlv1.Organisation) bool { return o.GetId() == id }) {
			l.NotContinuing = append(l.NotContinuing, id)
		}
	}
	return nil
}

// former reads the keys of an organisation in the predecessor, and refuses keys that are in use again.
func (l *Link) former(s *store.Store, o *ltlv1.Organisation) error {
	was, err := rules.GetOrganisation(s, o.GetId())
	if err != nil {
		return err
	}
	facts, err := rules.GetOrganisationFacts(s, o.GetId())
	if err != nil {
		return err
	}
	owner, err := rules.AuthorityOwner(s, o.GetCaCertificate())
	if err != nil {
		return err
	}
	if owner != "" || bytes.Equal(was.EndorserKey, o.GetEndorserKey()) {
		return fmt.Errorf("%w: organisation %q has a key of the old network there; what was revoked in the old one would count in "+
			"the new one", ErrNoSuccession, o.GetId())
	}
	l.Keys[o.GetId()] = hex.EncodeToString(was.EndorserKey)
	l.Recovery[o.GetId()] = hex.EncodeToString(facts.RecoveryKey)
	return nil
}
