package rules

import (
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/hex"
	"slices"

	"ltl/internal/ledger"
	ltlv1 "ltl/proto/ltl/v1"
)

// FormerKeyGraceMs is how far, in milliseconds, the clock of a statement by a replaced endorser key may be after the
// time of the block that replaced the key, if the key was not compromised and signed before the replacement. So batches
// that are under way need not be endorsed again. What it signed ends EndorsementLifeMs later at most.
const FormerKeyGraceMs = 60_000

// Bounds on what an organisation may change.
const (
	// InvitationMs is how long, in milliseconds of block time, an invitation can be accepted.
	InvitationMs = 30 * 24 * 3_600_000
	// MaxAuthorities is the largest number of certificate authorities that an organisation has at one time.
	MaxAuthorities = 4
	// MaxRevocations is the largest number of certificates that an organisation can revoke. To revoke more, retire the
	// certificate authority.
	MaxRevocations = 10_000
)

// Credentials is what an organisation changed since it was added. An organisation that changed nothing has none.
type Credentials struct {
	// Authorities are all its certificate authorities, oldest first; empty while it has only the one of its definition.
	Authorities [][]byte
	// Revocations counts the certificates that it revoked.
	Revocations uint32
}

// FormerKey is an endorser key that was replaced, or whose organisation was removed. It is kept for ever, so that it
// cannot be used again.
type FormerKey struct {
	Organisation string
	Key          []byte
	// RetiredHeight is the height of the system chain at which it was replaced. Statements that it signed at this height
	// or later do not count.
	RetiredHeight uint64
	// UntilMs is the last clock with which statements signed before count; 0 if none count.
	UntilMs int64
}

func credentialsKey(id string) string { return prefixCredentials + id }

func formerKeyKey(id [8]byte) string { return prefixFormerKey + hex.EncodeToString(id[:]) }

// GetCredentials returns what changed of an organisation; nil when nothing did.
func GetCredentials(v View, id string) (*Credentials, error) {
	return load(v, ledger.SystemChain, credentialsKey(id), parseCredentials)
}

// Authorities returns the DER of all certificate authorities that an organisation has, oldest first.
func Authorities(v View, o *Organisation) ([][]byte, error) {
	a, err := GetCredentials(v, o.ID)
	if err != nil {
		return nil, err
	}
	if a == nil || len(a.Authorities) == 0 {
		return [][]byte{o.CACertificate}, nil
	}
	return a.Authorities, nil
}

// GetFormerKey returns the former endorser key with that id; nil when there is none.
func GetFormerKey(v View, keyID [8]byte) (*FormerKey, error) {
	return load(v, ledger.SystemChain, formerKeyKey(keyID), parseFormerKey)
}

// Removed reports whether an organisation was removed from the network.
func Removed(v View, id string) (bool, error) { return IdentityRevoked(v, id) }

func checkCreateOrganisation(tx *ltlv1.Transaction) int32 {
	c := tx.GetCreateOrganisation()
	if !validSignature(c.GetAuthorityPossession(), true) {
		return OutOfRange
	}
	return checkOrganisation(c.GetOrganisation())
}

func checkOrganisation(o *ltlv1.Organisation) int32 {
	if !ledger.ValidID(o.GetId(), MaxOrganisationID) || !validOrganisationName(o.GetName()) ||
		!validAuthority(o.GetCaCertificate(), true) ||
		!ledger.ValidKey(o.GetEndorserKey()) || !validAddress(o.GetEndorserAddress()) {
		return OutOfRange
	}
	return OK
}

func checkModifyOrganisation(tx *ltlv1.Transaction) int32 {
	m := tx.GetModifyOrganisation()
	key, added, hash := len(m.GetEndorserKey()), len(m.GetAddAuthority()), len(m.GetRetireAuthority())
	recovery := len(m.GetRecoveryKey())
	if !ledger.ValidID(m.GetId(), MaxOrganisationID) || m.Name != nil && !validOrganisationName(m.GetName()) ||
		m.EndorserAddress != nil && !validAddress(m.GetEndorserAddress()) {
		return OutOfRange
	}
	if (key == 0) != (len(m.GetPossession()) == 0) || key != 0 && len(m.GetPossession()) != ed25519.SignatureSize {
		return OutOfRange
	}
	if key != 0 && !ledger.ValidKey(m.GetEndorserKey()) || hash != 0 && hash != sha256.Size || key == 0 && m.GetCompromised() {
		return OutOfRange
	}
	if !validAuthority(m.GetAddAuthority(), false) || !validSignature(m.GetAuthorityPossession(), added != 0) ||
		added == 0 && len(m.GetAuthorityPossession()) != 0 {
		return OutOfRange
	}
	if recovery != 0 && !ledger.ValidKey(m.GetRecoveryKey()) ||
		!validSignature(m.GetRecoverySignature(), false) || recovery == 0 && len(m.GetRecoverySignature()) != 0 {
		return OutOfRange
	}
	if m.Name == nil && m.EndorserAddress == nil && key+added+hash+recovery == 0 {
		return OutOfRange // nothing to change
	}
	return OK
}

func (e *exec) putOrganisation(o *ltlv1.Organisation) {
	s := Organisation{
		ID: o.GetId(), Name: o.GetName(), CACertificate: o.GetCaCertificate(), EndorserKey: o.GetEndorserKey(),
		EndorserAddress: o.GetEndorserAddress(),
	}
	e.put(prefixOrganisation+s.ID, s.encode())
}

// endorserKey returns the key that a statement must be signed with to count in this block, and whether it is the one in
// force; nil when there is none.
func (e *exec) endorserKey(s *ledger.Endorsement) (key ed25519.PublicKey, inForce bool, err error) {
	o, err := GetOrganisation(e, s.Organisation)
	if o == nil || err != nil {
		return nil, false, err
	}
	if s.KeyID == ledger.KeyID(o.EndorserKey) {
		return o.EndorserKey, true, nil
	}
	former, err := GetFormerKey(e, s.KeyID)
	if former == nil || err != nil {
		return nil, false, err
	}
	until, err := e.formerUntil(former)
	if err != nil || former.Organisation != s.Organisation || s.SystemHeight >= former.RetiredHeight || s.ClockMs > until {
		return nil, false, err
	}
	return former.Key, false, nil
}

// modifyOrganisation changes an organisation in the name of its own operator.
func (e *exec) modifyOrganisation(act action) (int32, string, error) {
	m := act.tx.GetModifyOrganisation()
	o, err := GetOrganisation(e, m.GetId())
	if o == nil || err != nil {
		return NotFound, "", err
	}
	change := *o
	take(&change.Name, m.Name)
	take(&change.EndorserAddress, m.EndorserAddress)
	credentials, code, err := e.changeAuthorities(&change, m)
	if code != OK || err != nil {
		return code, "", err
	}
	facts, code, err := e.changeRecoveryKey(o.ID, m)
	if code != OK || err != nil {
		return code, "", err
	}
	if code, err := e.changeEndorserKey(&change, m.GetEndorserKey(), m.GetPossession(), m.GetCompromised(),
		act.here); code != OK || err != nil {
		return code, "", err
	}
	if facts != nil {
		e.putOrganisationFacts(o.ID, facts)
	}
	if credentials != nil {
		e.put(credentialsKey(o.ID), credentials.encode())
	}
	e.putAuthorityKey(o.ID, m.GetAddAuthority())
	e.put(prefixOrganisation+o.ID, change.encode())
	return OK, "", nil
}

// changeEndorserKey sets the new key, if there is one, in o and records the former one. It writes, so nothing after it
// may refuse.
func (e *exec) changeEndorserKey(o *Organisation, key, possession []byte, compromised bool, here Locator) (int32, error) {
	if len(key) == 0 {
		return OK, nil
	}
	if used, err := e.endorserKeyUsed(key); used || err != nil {
		return e.refuse(Conflict, reasonKeyUsed), err
	}
	if ledger.VerifyNewKey(key, possession, e.in.NetworkID, o.ID, ledger.KeyID(o.EndorserKey)) != nil {
		return e.refuse(Forbidden, reasonPossession), nil
	}
	former := FormerKey{Organisation: o.ID, Key: o.EndorserKey, RetiredHeight: here.Height}
	if !compromised {
		former.UntilMs = e.timeMs + FormerKeyGraceMs
	}
	e.put(formerKeyKey(ledger.KeyID(o.EndorserKey)), former.encode())
	o.EndorserKey = key
	return OK, nil
}

// endorserKeyUsed reports whether an organisation has or had the key, or one with its id.
func (e *exec) endorserKeyUsed(key []byte) (bool, error) {
	id := ledger.KeyID(key)
	former, err := GetFormerKey(e, id)
	if former != nil || err != nil {
		return true, err
	}
	all, err := e.organisationsAndInvited()
	return slices.ContainsFunc(all, func(o *Organisation) bool { return ledger.KeyID(o.EndorserKey) == id }), err
}

// changeAuthorities returns the credentials with the changed authorities; nil when they do not change. The
// organisation's definition holds the newest authority.
func (e *exec) changeAuthorities(o *Organisation, m *ltlv1.ModifyOrganisation) (*Credentials, int32, error) {
	if len(m.GetAddAuthority()) == 0 && len(m.GetRetireAuthority()) == 0 {
		return nil, OK, nil
	}
	credentials, err := e.credentials(o.ID)
	if err != nil {
		return nil, 0, err
	}
	all, err := Authorities(e, o)
	if err != nil {
		return nil, 0, err
	}
	all = slices.Clone(all)
	if added := m.GetAddAuthority(); len(added) > 0 {
		if code, err := e.newAuthority(o.ID, added, m.GetAuthorityPossession()); code != OK || err != nil {
			return nil, code, err
		}
		all = append(all, added)
	}
	if hash := m.GetRetireAuthority(); len(hash) > 0 {
		at := slices.IndexFunc(all, func(b []byte) bool { sum := sha256.Sum256(b); return string(sum[:]) == string(hash) })
		switch {
		case at < 0:
			return nil, e.refuse(NotFound, reasonNoAuthority), nil
		case len(all) == 1:
			return nil, e.refuse(Conflict, reasonLastAuthority), nil
		}
		all = slices.Delete(all, at, at+1)
	}
	if len(all) > MaxAuthorities {
		return nil, e.refuse(QuotaExceeded, reasonAuthorities), nil
	}
	credentials.Authorities = all
	o.CACertificate = all[len(all)-1]
	return credentials, OK, nil
}

// credentials returns an organisation's credentials, to be changed.
func (e *exec) credentials(id string) (*Credentials, error) {
	a, err := GetCredentials(e, id)
	if a == nil {
		a = &Credentials{}
	}
	return a, err
}

func (a *Credentials) encode() []byte {
	e := encoder{[]byte{stateVersion}}
	e.u32(uint32(len(a.Authorities)))
	for _, b := range a.Authorities {
		e.bytes(b)
	}
	e.u32(a.Revocations)
	return e.b
}

func parseCredentials(b []byte) (*Credentials, error) {
	a, d := &Credentials{}, begin(b)
	n := d.count(4)
	d.bad = d.bad || n > MaxAuthorities
	if d.bad {
		n = 0
	}
	for range n {
		a.Authorities = append(a.Authorities, d.bytes())
	}
	a.Revocations = d.u32()
	return a, d.end("credentials of an organisation")
}

func (k *FormerKey) encode() []byte {
	e := encoder{[]byte{stateVersion}}
	e.strings(k.Organisation)
	e.bytes(k.Key)
	e.u64(k.RetiredHeight)
	e.i64(k.UntilMs)
	return e.b
}

func parseFormerKey(b []byte) (*FormerKey, error) {
	k, d := &FormerKey{}, begin(b)
	d.strings(&k.Organisation)
	k.Key = d.bytes()
	k.RetiredHeight = d.u64()
	k.UntilMs = d.i64()
	return k, d.end("former endorser key")
}
