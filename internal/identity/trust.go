package identity

import (
	"crypto/ed25519"
	"crypto/x509"
	"errors"
	"fmt"
	"maps"
	"net"
	"slices"
	"sync"

	"google.golang.org/protobuf/proto"

	"ltl/internal/ledger"
	"ltl/internal/rules"
	ltlv1 "ltl/proto/ltl/v1"
)

// ErrTrust is returned, wrapped, for a genesis, trust file, organisation or node that cannot be trusted.
var ErrTrust = errors.New("not to be trusted")

// Trust is what a process knows of its network before any message arrives: the genesis, and the organisations and
// nodes that the ledger added since. Certificates are verified under it.
type Trust struct {
	payload []byte
	genesis *ltlv1.Genesis
	id      ledger.Hash

	mu            sync.RWMutex
	organisations map[string]*organisation
	nodes         map[string]*ltlv1.Node
	// membership is what the system chain said last, at height; nil before the first Update.
	membership *Membership
	height     uint64
	revoked    revocations
	// history is nil before the first LearnKeys.
	history *KeyHistory
	// connections are the open ones whose peers were verified under this trust.
	connections map[*peerConn]struct{}
	// onUnknownPeer is called when a peer is refused that the ledger may know; it may be nil.
	onUnknownPeer func()
}

// organisation is a party with its certificate authorities ready for use.
type organisation struct {
	definition  *ltlv1.Organisation
	authorities []authority // oldest first
}

// authority is a certificate authority; roots hold it and nothing else.
type authority struct {
	certificate *x509.Certificate
	roots       *x509.CertPool
}

// NewTrust makes the trust of a network from the payload of its genesis transaction.
func NewTrust(genesisPayload []byte) (*Trust, error) {
	// The ledger's own checks come first: a genesis that the ledger refuses is never trusted.
	if _, err := rules.GenesisBlock(genesisPayload); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrTrust, err)
	}
	genesis, err := parseGenesis(genesisPayload)
	if err != nil {
		return nil, fmt.Errorf("%w: genesis: %w", ErrTrust, err)
	}
	t := &Trust{
		payload:       append([]byte(nil), genesisPayload...),
		genesis:       genesis,
		id:            ledger.NetworkID(genesisPayload),
		organisations: make(map[string]*organisation),
		nodes:         make(map[string]*ltlv1.Node),
		connections:   make(map[*peerConn]struct{}),
	}
	for _, o := range genesis.GetOrganisations() {
		if _, known := t.organisations[o.GetId()]; known {
			return nil, fmt.Errorf("%w: genesis names organisation %q twice", ErrTrust, o.GetId())
		}
		if err := t.AddOrganisation(o); err != nil {
			return nil, err
		}
	}
	for _, n := range genesis.GetNodes() {
		if _, known := t.nodes[n.GetId()]; known {
			return nil, fmt.Errorf("%w: genesis names node %q twice", ErrTrust, n.GetId())
		}
		if err := t.AddNode(n); err != nil {
			return nil, err
		}
	}
	return t, nil
}

// parseGenesis reads a genesis transaction that the ledger accepts. It must have no submitter, and it must have a
// nonce: two networks with the same description are two networks.
func parseGenesis(payload []byte) (*ltlv1.Genesis, error) {
	tx, err := rules.Decode(payload)
	if err != nil {
		return nil, err
	}
	switch g := tx.GetGenesis(); {
	case tx.GetSubmitter() != "" || tx.GetAccessKeyId() != "" || tx.GetSignatureNonce() != "":
		return nil, errors.New("it has a submitter or an AccessKey")
	case len(tx.GetNonce()) != rules.NonceLen:
		return nil, fmt.Errorf("nonce of %d bytes, want %d", len(tx.GetNonce()), rules.NonceLen)
	case g.GetCreatedMs() != tx.GetCreatedMs():
		return nil, fmt.Errorf("created at %d in the genesis and %d in the transaction", g.GetCreatedMs(), tx.GetCreatedMs())
	default:
		return g, nil
	}
}

// Genesis is the content of the genesis transaction; a copy.
func (t *Trust) Genesis() *ltlv1.Genesis { return proto.CloneOf(t.genesis) }

// GenesisPayload is the payload of the genesis transaction; a copy.
func (t *Trust) GenesisPayload() []byte { return append([]byte(nil), t.payload...) }

// NetworkID is the identity of the network.
func (t *Trust) NetworkID() ledger.Hash { return t.id }

// Organisation returns an organisation of the network, from the genesis or added later; a copy.
func (t *Trust) Organisation(id string) (*ltlv1.Organisation, bool) {
	o, ok := t.organisation(id)
	if !ok {
		return nil, false
	}
	return proto.CloneOf(o.definition), true
}

func (t *Trust) organisation(id string) (*organisation, bool) {
	t.mu.RLock()
	defer t.mu.RUnlock()
	o, ok := t.organisations[id]
	return o, ok
}

// Node returns a node of the network, from the genesis or added later; a copy.
func (t *Trust) Node(id string) (*ltlv1.Node, bool) {
	n, ok := t.node(id)
	if !ok {
		return nil, false
	}
	return proto.CloneOf(n), true
}

func (t *Trust) node(id string) (*ltlv1.Node, bool) {
	t.mu.RLock()
	defer t.mu.RUnlock()
	n, ok := t.nodes[id]
	return n, ok
}

// AddOrganisation adds an organisation that the system chain added. Adding the same again changes nothing. Another
// definition under a known id is refused with ErrTrust, and so is a certificate authority or key that another
// organisation has.
func (t *Trust) AddOrganisation(o *ltlv1.Organisation) error {
	added, err := newOrganisation(proto.CloneOf(o))
	if err != nil {
		return fmt.Errorf("%w: organisation %q: %w", ErrTrust, o.GetId(), err)
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if known, ok := t.organisations[o.GetId()]; ok && proto.Equal(known.definition, o) {
		return nil
	}
	if err := t.conflict(added); err != nil {
		return err
	}
	t.organisations[o.GetId()] = added
	return nil
}

// CheckOrganisation returns the error with which AddOrganisation would refuse an organisation, if it knew those in
// beside too.
func (t *Trust) CheckOrganisation(o *ltlv1.Organisation, beside ...*ltlv1.Organisation) error {
	added, err := newOrganisation(proto.CloneOf(o))
	if err != nil {
		return fmt.Errorf("%w: organisation %q: %w", ErrTrust, o.GetId(), err)
	}
	for _, b := range beside {
		other, err := newOrganisation(proto.CloneOf(b))
		if err != nil {
			return fmt.Errorf("%w: organisation %q: %w", ErrTrust, b.GetId(), err)
		}
		if err := added.conflict(other); err != nil {
			return err
		}
	}
	t.mu.RLock()
	defer t.mu.RUnlock()
	return t.conflict(added)
}

// conflict returns why an organisation cannot be added to those that are known. The caller holds the lock.
func (t *Trust) conflict(added *organisation) error {
	for _, other := range t.organisations {
		if err := added.conflict(other); err != nil {
			return err
		}
	}
	return nil
}

// conflict returns why two organisations cannot both be trusted.
func (o *organisation) conflict(other *organisation) error {
	id, taken := o.definition.GetId(), other.definition.GetId()
	switch {
	case id == taken:
		return fmt.Errorf("%w: organisation %q is known with another definition", ErrTrust, id)
	case o.shares(other):
		// Two organisations with one authority could issue certificates for each other.
		return fmt.Errorf("%w: organisation %q has the certificate authority of %q", ErrTrust, id, taken)
	case string(o.definition.GetEndorserKey()) == string(other.definition.GetEndorserKey()):
		return fmt.Errorf("%w: organisation %q has the endorser key of %q", ErrTrust, id, taken)
	}
	return nil
}

// shares reports whether two organisations have a certificate authority in common.
func (o *organisation) shares(other *organisation) bool {
	for _, a := range o.authorities {
		for _, b := range other.authorities {
			if a.certificate.PublicKey.(ed25519.PublicKey).Equal(b.certificate.PublicKey) { // parseAuthority checked it
				return true
			}
		}
	}
	return false
}

// Learn takes organisations and nodes from a copy of the ledger at a height: it adds what the system chain names and
// removes what it removed, except nodes for which keep returns true, which consensus may need for a moment longer.
// keep may be nil. An entry that cannot be trusted does not stop it; it returns all errors.
func (t *Trust) Learn(v rules.Reader, height uint64, keep func(node string) bool) error {
	m, err := ReadMembership(v, height)
	if err != nil {
		return err
	}
	return errors.Join(t.Update(m), t.learnNodes(v, keep))
}

// learnNodes adds the nodes of the ledger and removes those that it removed.
func (t *Trust) learnNodes(v rules.View, keep func(node string) bool) error {
	nodes, err := rules.ListNodes(v)
	for _, s := range nodes {
		if s.Membership == ltlv1.NodeMembership_NODE_MEMBERSHIP_REMOVED {
			if keep == nil || !keep(s.ID) {
				t.RemoveNode(s.ID)
			}
			continue
		}
		err = errors.Join(err, t.AddNode(&ltlv1.Node{
			Id: s.ID, Organisation: s.Organisation, Address: s.Address, Key: s.Key, StoreId: s.StoreID,
		}))
	}
	return err
}

// RemoveNode removes a node that the system chain removed: its certificates are refused from now on, and its
// connections are closed.
func (t *Trust) RemoveNode(id string) {
	t.mu.Lock()
	n, known := t.nodes[id]
	delete(t.nodes, id)
	if known && t.membership != nil && slices.Contains(t.membership.Removed, n.GetOrganisation()) {
		t.forgetOrganisation(n.GetOrganisation())
	}
	t.mu.Unlock()
	if known {
		t.closeRefused()
	}
}

// NodeIDs are the ids of the nodes that are known, in alphabetical order.
func (t *Trust) NodeIDs() []string {
	t.mu.RLock()
	defer t.mu.RUnlock()
	return slices.Sorted(maps.Keys(t.nodes))
}

// newOrganisation checks an organisation. It has the authority of its definition, unless others are given.
func newOrganisation(o *ltlv1.Organisation, authorities ...[]byte) (*organisation, error) {
	if !ValidOrganisationID(o.GetId()) {
		return nil, fmt.Errorf("its id must be 1 to %d characters of a-z, 0-9 and -", MaxOrganisationID)
	}
	if err := checkAddress(o.GetEndorserAddress()); err != nil {
		return nil, err
	}
	if !ledger.ValidKey(o.GetEndorserKey()) {
		return nil, fmt.Errorf("endorser key of %d bytes is no sound Ed25519 key; make a new one with ltl pki",
			len(o.GetEndorserKey()))
	}
	if len(authorities) == 0 {
		authorities = [][]byte{o.GetCaCertificate()}
	}
	made := &organisation{definition: o}
	for _, der := range authorities {
		a, err := parseAuthority(der)
		if err != nil {
			return nil, err
		}
		made.authorities = append(made.authorities, *a)
	}
	return made, nil
}

func parseAuthority(der []byte) (*authority, error) {
	ca, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, fmt.Errorf("certificate authority: %w", err)
	}
	if _, ok := ca.PublicKey.(ed25519.PublicKey); !ok {
		return nil, errors.New("certificate authority: its key is not Ed25519")
	}
	if !ca.IsCA || !ca.BasicConstraintsValid || ca.KeyUsage&x509.KeyUsageCertSign == 0 {
		return nil, errors.New("certificate authority: the certificate may not sign others")
	}
	if err := ca.CheckSignatureFrom(ca); err != nil {
		return nil, fmt.Errorf("certificate authority: it does not sign itself: %w", err)
	}
	roots := x509.NewCertPool()
	roots.AddCert(ca)
	return &authority{certificate: ca, roots: roots}, nil
}

// AddNode adds a node that the system chain added, or takes the address to which it moved. Any other definition under a
// known id is refused with ErrTrust.
func (t *Trust) AddNode(n *ltlv1.Node) error {
	refuse := func(format string, args ...any) error {
		return fmt.Errorf("%w: node %q: %w", ErrTrust, n.GetId(), fmt.Errorf(format, args...))
	}
	if !ValidName(n.GetId()) {
		return refuse("its id is not a name")
	}
	if err := checkAddress(n.GetAddress()); err != nil {
		return refuse("%w", err)
	}
	if !ledger.ValidKey(n.GetKey()) {
		return refuse("key of %d bytes is no sound Ed25519 key; make a new one with ltl pki", len(n.GetKey()))
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if _, ok := t.organisations[n.GetOrganisation()]; !ok {
		return refuse("unknown organisation %q", n.GetOrganisation())
	}
	for id, other := range t.nodes {
		if id == n.GetId() && sameNode(other, n) {
			break // at most its address is another one
		}
		if id == n.GetId() {
			return refuse("it is known with another definition")
		}
		if string(other.GetKey()) == string(n.GetKey()) {
			return refuse("it has the key of node %q", id)
		}
	}
	t.nodes[n.GetId()] = proto.CloneOf(n)
	return nil
}

// sameNode reports whether two definitions of a node differ at most in its address.
func sameNode(a, b *ltlv1.Node) bool {
	moved := proto.CloneOf(b)
	moved.Address = a.GetAddress()
	return proto.Equal(a, moved)
}

func checkAddress(address string) error {
	host, port, err := net.SplitHostPort(address)
	if err != nil || host == "" || port == "" || len(address) > rules.MaxAddress {
		return fmt.Errorf("address %q is not host:port", address)
	}
	return nil
}
