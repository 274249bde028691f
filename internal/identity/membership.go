package identity

import (
	"crypto/ed25519"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"slices"

	"google.golang.org/protobuf/proto"

	"ltl/internal/ledger"
	"ltl/internal/rules"
	ltlv1 "ltl/proto/ltl/v1"
)

// Membership is what the system chain says at a height about organisations and certificates.
type Membership struct {
	// Height is that of the system chain.
	Height uint64
	// Organisations are those of the network, in the order in which they joined, and then those that were invited; each
	// definition names the newest authority.
	Organisations []*ltlv1.Organisation
	// Authorities are all authorities of the organisations that changed theirs.
	Authorities []*ltlv1.Authorities
	// Revocations are all certificates and identities that were revoked.
	Revocations []*ltlv1.RevokeCertificate
	// Removed are the ids of the organisations that were removed.
	Removed []string
}

// ReadMembership reads what a copy of the ledger says.
func ReadMembership(r rules.Reader, height uint64) (*Membership, error) {
	m := &Membership{Height: height}
	organisations, err := rules.ListOrganisations(r)
	if err != nil {
		return nil, err
	}
	invited, err := rules.ListInvited(r)
	if err != nil {
		return nil, err
	}
	for _, o := range append(organisations, invited...) {
		m.Organisations = append(m.Organisations, &ltlv1.Organisation{
			Id: o.ID, Name: o.Name, CaCertificate: o.CACertificate, EndorserKey: o.EndorserKey,
			EndorserAddress: o.EndorserAddress,
		})
		credentials, err := rules.GetCredentials(r, o.ID)
		if err != nil {
			return nil, err
		}
		if credentials != nil && len(credentials.Authorities) > 0 {
			m.Authorities = append(m.Authorities, &ltlv1.Authorities{Organisation: o.ID, Certificates: credentials.Authorities})
		}
	}
	revocations, err := rules.ListRevocations(r)
	if err != nil {
		return nil, err
	}
	for _, v := range revocations {
		m.Revocations = append(m.Revocations, &ltlv1.RevokeCertificate{Identity: v.Identity, KeyHash: v.KeyHash,
			KeyOnly: v.KeyOnly})
	}
	m.Removed, err = rules.ListRemoved(r)
	return m, err
}

// MembershipOf reads the membership from a node's answer.
func MembershipOf(in *ltlv1.GetNetworkResponse) *Membership {
	m := &Membership{
		Organisations: in.GetOrganisations(), Authorities: in.GetAuthorities(), Revocations: in.GetRevocations(),
		Removed: in.GetRemoved(),
	}
	for _, c := range in.GetChains() {
		if c.GetChainId() == ledger.SystemChain {
			m.Height = c.GetHeight()
		}
	}
	return m
}

// authoritiesOf returns all authorities of an organisation, oldest first.
func (m *Membership) authoritiesOf(o *ltlv1.Organisation) [][]byte {
	for _, a := range m.Authorities {
		if a.GetOrganisation() == o.GetId() && len(a.GetCertificates()) > 0 {
			return a.GetCertificates()
		}
	}
	return [][]byte{o.GetCaCertificate()}
}

// revocations are the revoked identities and keys, in the form in which certificates are compared with them.
type revocations struct {
	identities map[string]bool // with any key
	keys       map[string]bool // organisation, "/", SHA-256 of the public key
}

func newRevocations(list []*ltlv1.RevokeCertificate) revocations {
	r := revocations{identities: map[string]bool{}, keys: map[string]bool{}}
	for _, v := range list {
		id, err := Parse(v.GetIdentity())
		if err != nil {
			continue // no certificate with such an identity is accepted
		}
		if !v.GetKeyOnly() {
			r.identities[v.GetIdentity()] = true
		}
		if len(v.GetKeyHash()) > 0 {
			r.keys[id.Organisation+"/"+string(v.GetKeyHash())] = true
		}
	}
	return r
}

func (r revocations) equal(other revocations) bool {
	return maps.Equal(r.identities, other.identities) && maps.Equal(r.keys, other.keys)
}

// has reports whether a certificate's identity or key was revoked.
func (r revocations) has(id Identity, cert *x509.Certificate) bool {
	hash := sha256.Sum256(cert.PublicKey.(ed25519.PublicKey)) // verify has checked its type
	return r.identities[id.String()] || r.keys[id.Organisation+"/"+string(hash[:])]
}

// Update replaces what is known of organisations and certificates by what the system chain says, unless that is older
// than what is known. An organisation that cannot be trusted keeps its former definition, and Update goes on with the
// others; it returns all errors. Peers that the trust refuses from now on can call nothing when it returns; their connections end
// within farewellTime.
func (t *Trust) Update(m *Membership) error {
	t.mu.Lock()
	if m.Height < t.height {
		t.mu.Unlock()
		return nil
	}
	organisations, revoked, removed := maps.Clone(t.organisations), t.revoked, []string(nil)
	if t.membership != nil {
		removed = t.membership.Removed
	}
	var err error
	for _, id := range m.Removed {
		t.forgetOrganisation(id)
	}
	for _, o := range m.Organisations {
		err = errors.Join(err, t.setOrganisation(o, m.authoritiesOf(o)))
	}
	t.revoked = newRevocations(m.Revocations)
	t.height, t.membership = m.Height, m
	// Processes learn the same membership again and again, and each connection costs a signature to judge.
	same := maps.Equal(organisations, t.organisations) && revoked.equal(t.revoked) && slices.Equal(removed, m.Removed)
	t.mu.Unlock()
	if !same {
		t.closeRefused()
	}
	return err
}

// forgetOrganisation deletes a removed organisation, unless a node of it is still known: consensus may need that for a
// moment longer. The caller holds the lock.
func (t *Trust) forgetOrganisation(id string) {
	for _, n := range t.nodes {
		if n.GetOrganisation() == id {
			return
		}
	}
	delete(t.organisations, id)
}

// setOrganisation replaces what is known of an organisation. The caller holds the lock.
func (t *Trust) setOrganisation(o *ltlv1.Organisation, authorities [][]byte) error {
	known := t.organisations[o.GetId()]
	if known != nil && proto.Equal(known.definition, o) && known.has(authorities) {
		return nil
	}
	made, err := newOrganisation(proto.CloneOf(o), authorities...)
	if err != nil {
		return fmt.Errorf("%w: organisation %q: %w", ErrTrust, o.GetId(), err)
	}
	for id, other := range t.organisations {
		if id == o.GetId() {
			continue
		}
		if err := made.conflict(other); err != nil {
			return err
		}
	}
	t.organisations[o.GetId()] = made
	return nil
}

// has reports whether the organisation has exactly these authorities.
func (o *organisation) has(authorities [][]byte) bool {
	if len(authorities) != len(o.authorities) {
		return false
	}
	for i, a := range o.authorities {
		if string(a.certificate.Raw) != string(authorities[i]) {
			return false
		}
	}
	return true
}

// CheckAuthority returns the error with which Update would refuse one more authority of an organisation.
func (t *Trust) CheckAuthority(id string, der []byte) error {
	t.mu.RLock()
	defer t.mu.RUnlock()
	known := t.organisations[id]
	if known == nil {
		return fmt.Errorf("%w: organisation %q is not known", ErrTrust, id)
	}
	made, err := newOrganisation(known.definition, der)
	if err != nil {
		return fmt.Errorf("%w: organisation %q: %w", ErrTrust, id, err)
	}
	for other, o := range t.organisations {
		if other != id {
			if err := made.conflict(o); err != nil {
				return err
			}
		}
	}
	return nil
}

// OnUnknownPeer sets a function that is called, on any goroutine, each time a peer is refused that the ledger may know
// and this trust does not know yet: its organisation or its authority is new. A process without a copy of the ledger
// reads the membership from a node then. fn must not block.
func (t *Trust) OnUnknownPeer(fn func()) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.onUnknownPeer = fn
}

// reportUnknown calls the function of OnUnknownPeer when err refuses a peer that the ledger may know.
func (t *Trust) reportUnknown(err error) {
	if !errors.Is(err, errAuthority) && !errors.Is(err, errUnknownOrganisation) {
		return
	}
	t.mu.RLock()
	fn := t.onUnknownPeer
	t.mu.RUnlock()
	if fn != nil {
		fn()
	}
}

// Height is the height of the system chain that the trust was updated from; 0 when it knows the genesis alone.
func (t *Trust) Height() uint64 {
	t.mu.RLock()
	defer t.mu.RUnlock()
	return t.height
}

// Fingerprint is the SHA-256 of a certificate's DER in hexadecimal digits, for people who compare authorities.
func Fingerprint(der []byte) string {
	hash := sha256.Sum256(der)
	return hex.EncodeToString(hash[:])
}
