package proof

import (
	"bytes"
	"crypto/ed25519"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
)

// maxTrust is the largest trust file that is read, in bytes.
const maxTrust = 16 << 20

// Trust is a network's trust file: whose signatures count, and at which heights of the system chain.
type Trust struct {
	// Network is the network's name, NetworkID its identity.
	Network   string
	NetworkID Hash
	// Height is the height of the system chain up to which the file knows the keys.
	Height uint64
	// Predecessor is the network that this one continues; nil for nearly all networks.
	Predecessor *Predecessor

	organisations []organisationKeys
	nodes         []nodeKeys
	// restorations are those of the network, oldest first.
	restorations []restoration
}

// span is a range of heights of the system chain: from the first on, and below until. until 0 means that it has not
// ended.
type span struct{ from, until uint64 }

func (s span) holds(height uint64) bool {
	return s.from <= height && (s.until == 0 || height < s.until)
}

// follows reports whether a range begins where the one before it ended, or after that.
func (s span) follows(before span) bool { return before.until != 0 && s.from >= before.until }

type organisationKeys struct {
	id   string
	keys []organisationKey
}

type organisationKey struct {
	span
	public ed25519.PublicKey
	// untilMs is the clock up to which what was signed before the key ended still counts; 0 for none.
	untilMs int64
}

type nodeKeys struct {
	id, organisation string
	public           ed25519.PublicKey
	// voter are the ranges in which the node voted.
	voter []span
}

// ParseTrust reads a trust file. The genesis in it is authoritative. A file without a history knows the keys of the
// genesis, height 0.
func ParseTrust(b []byte) (*Trust, error) {
	if len(b) > maxTrust {
		return nil, fmt.Errorf("the trust file has %d bytes; the limit is %d", len(b), maxTrust)
	}
	n, err := parseJSON(b)
	if err != nil {
		return nil, fmt.Errorf("the trust file is no JSON of the form that docs/evidence.md asks for: %w", err)
	}
	t := &Trust{}
	var id string
	var genesis []byte
	err = form(func() {
		t.Network, id, genesis = n.string("network"), n.string("networkId"), n.base64("genesis")
		for _, name := range []string{"organisations", "nodes", "learned", "history"} {
			n.field(name)
		}
		n.closed()
	})
	if err == nil {
		err = t.readGenesis(genesis)
	}
	if err == nil && id != hex.EncodeToString(t.NetworkID[:]) {
		err = fmt.Errorf("networkId is not that of the genesis")
	}
	if err == nil && n.has("history") {
		err = form(func() { t.readHistory(n.object("history")) })
	}
	if err != nil {
		return nil, fmt.Errorf("the trust file does not have its form; take one from the network's operator: %w", err)
	}
	return t, nil
}

// readGenesis takes the network's id and first keys from the payload of the genesis transaction.
func (t *Trust) readGenesis(payload []byte) error {
	t.NetworkID = hashOf(domainGenesis, payload)
	m, err := parseMessage(payload)
	if err != nil {
		return err
	}
	if len(m) == 0 || m[len(m)-1].number != actionGenesis {
		return errPayload
	}
	genesis := m[len(m)-1].data
	g, err := parseMessage(genesis, 3, 4, 7)
	if err != nil {
		return err
	}
	f := fields{message: g}
	f.number(2)
	f.text(5)
	if name := f.text(1); name != t.Network {
		return fmt.Errorf("network is %.80q, the genesis has %.80q", t.Network, name)
	}
	for _, b := range f.messages(3) {
		m, err := parseMessage(b)
		if err != nil {
			return err
		}
		o := fields{message: m}
		id, key := o.text(1), o.bytes(4)
		o.text(2)
		o.bytes(3)
		o.text(5)
		f.bad = f.bad || !o.done()
		t.organisations = append(t.organisations, organisationKeys{id, []organisationKey{{public: key}}})
	}
	for _, b := range f.messages(4) {
		m, err := parseMessage(b)
		if err != nil {
			return err
		}
		n := fields{message: m}
		t.nodes = append(t.nodes, nodeKeys{n.text(1), n.text(2), n.bytes(4), []span{{}}})
		n.text(3)
		n.bytes(5)
		f.bad = f.bad || !n.done()
	}
	predecessors, successions := f.messages(6), f.messages(7)
	if !f.done() {
		return errPayload
	}
	if err := t.check(); err != nil {
		return err
	}
	return t.readSuccession(payload, genesis, predecessors, successions)
}

// readHistory replaces the keys of the genesis by those of the history, which must contain them.
func (t *Trust) readHistory(h *node) {
	first := *t
	t.Height, t.organisations, t.nodes = h.count("height"), nil, nil
	for _, o := range h.array("organisations") {
		made := organisationKeys{id: o.string("id")}
		for _, k := range o.array("keys") {
			key := organisationKey{readSpan(k), readKey(k), k.optional("untilMs")}
			if k.has("untilMs") && (key.untilMs <= 0 || key.until == 0) {
				badForm("%q is not above 0, or stands without %q", "untilMs", "until")
			}
			made.keys = append(made.keys, key)
			k.closed()
		}
		o.closed()
		t.organisations = append(t.organisations, made)
	}
	for _, n := range h.array("nodes") {
		made := nodeKeys{id: n.string("id"), organisation: n.string("organisation"), public: readKey(n)}
		for _, v := range n.array("voter") {
			made.voter = append(made.voter, readSpan(v))
			v.closed()
		}
		n.closed()
		t.nodes = append(t.nodes, made)
	}
	t.readRestorations(h)
	h.closed()
	if err := t.check(); err != nil {
		badForm("%v", err)
	}
	for _, o := range first.organisations {
		if now := t.organisation(o.id); now == nil || !bytes.Equal(now.keys[0].public, o.keys[0].public) {
			badForm("the history lacks the first key of organisation %q", o.id)
		}
	}
	for _, n := range first.nodes {
		if now := t.node(n.id); now == nil || !bytes.Equal(now.public, n.public) {
			badForm("the history lacks node %q of the genesis, or has another key of it", n.id)
		}
	}
}

func readSpan(n *node) span {
	s := span{from: n.count("from"), until: natural("until", n.optional("until"))}
	if n.has("until") && s.until <= s.from {
		badForm("%q is not after %q", "until", "from")
	}
	return s
}

func readKey(n *node) ed25519.PublicKey {
	text := n.string("key")
	b, err := hex.DecodeString(text)
	if err != nil || len(b) != ed25519.PublicKeySize || hex.EncodeToString(b) != text {
		badForm("%q is not 64 hexadecimal characters in lower case", "key")
	}
	return b
}

// check checks what holds for genesis and history: every id once, every key sound and once, and ranges in order.
func (t *Trust) check() error {
	ids, keys := map[string]bool{}, map[string]bool{}
	take := func(kind, id string, key []byte) error {
		if id == "" || !soundKey(key) || keys[string(key)] {
			return fmt.Errorf("%s %.40q has no id, no sound key, or a key that stands there twice", kind, id)
		}
		keys[string(key)] = true
		return nil
	}
	for _, o := range t.organisations {
		if ids["o"+o.id] || len(o.keys) == 0 {
			return fmt.Errorf("organisation %.40q stands there twice, or without a key", o.id)
		}
		ids["o"+o.id] = true
		for i, k := range o.keys {
			if err := take("organisation", o.id, k.public); err != nil {
				return err
			}
			if i > 0 && !k.follows(o.keys[i-1].span) {
				return fmt.Errorf("the keys of organisation %.40q overlap", o.id)
			}
		}
	}
	for _, n := range t.nodes {
		if ids["n"+n.id] {
			return fmt.Errorf("node %.40q stands there twice", n.id)
		}
		ids["n"+n.id] = true
		if err := take("node", n.id, n.public); err != nil {
			return err
		}
		for i := 1; i < len(n.voter); i++ {
			if !n.voter[i].follows(n.voter[i-1]) {
				return fmt.Errorf("the ranges in which node %.40q voted overlap", n.id)
			}
		}
	}
	if len(t.organisations) == 0 || len(t.nodes) == 0 {
		return fmt.Errorf("it names no organisation or no node")
	}
	return nil
}

// soundKey reports whether a key has the form that docs/bytes.md asks of public keys: a y coordinate below 2^255-19
// that is none of a point of small order, under which a signature made without a private key verifies.
func soundKey(key []byte) bool {
	if len(key) != ed25519.PublicKeySize {
		return false
	}
	y := bytes.Clone(key) // least byte first, with the sign of x in the highest bit
	slices.Reverse(y)
	y[0] &= 0x7f
	const prime = "7fffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffed"
	text := hex.EncodeToString(y)
	switch text {
	case strings.Repeat("0", 64), strings.Repeat("0", 63) + "1", prime[:62] + "ec",
		"7a03ac9277fdc74ec6cc392cfa53202a0f67100d760b3cba4fd84d3d706a17c7",
		"05fc536d880238b13933c6d305acdfd5f098eff289f4c345b027b2c28f95e826":
		return false
	}
	return text < prime
}

func (t *Trust) organisation(id string) *organisationKeys {
	for i := range t.organisations {
		if t.organisations[i].id == id {
			return &t.organisations[i]
		}
	}
	return nil
}

func (t *Trust) node(id string) *nodeKeys {
	for i := range t.nodes {
		if t.nodes[i].id == id {
			return &t.nodes[i]
		}
	}
	return nil
}

// key finds the key of an organisation by its id; nil when it has none with it.
func (o *organisationKeys) key(id [8]byte) *organisationKey {
	for i := range o.keys {
		if keyID(o.keys[i].public) == id {
			return &o.keys[i]
		}
	}
	return nil
}
