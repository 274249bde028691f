package rules

import (
	"encoding/hex"
	"fmt"

	"ltl/internal/ledger"
	ltlv1 "ltl/proto/ltl/v1"
)

// validAuthority checks the certificate of a certificate authority; one that is not required may be empty.
func validAuthority(der []byte, required bool) bool {
	if len(der) == 0 {
		return !required
	}
	_, ok := ledger.AuthorityKey(der)
	return ok && len(der) <= MaxCertificate
}

// authorityKeyKey is the state key of the key of a certificate authority, which has the form of one.
func authorityKeyKey(der []byte) string {
	key, _ := ledger.AuthorityKey(der)
	return prefixAuthorityKey + hex.EncodeToString(key)
}

// AuthorityOwner returns the organisation that has or had a certificate authority with this one's key; empty for none.
func AuthorityOwner(v View, der []byte) (string, error) {
	owner, err := load(v, ledger.SystemChain, authorityKeyKey(der), parseAuthorityKey)
	if owner == nil || err != nil {
		return "", err
	}
	return *owner, nil
}

// newAuthority refuses a certificate authority that does not sign that it is the organisation's, or whose key any
// organisation has or had. Processes trust no two organisations with one authority and keep the one that they read first:
// without the signature an organisation could enter the authority of another one that is to be invited, and so keep that
// one out. A key is entered once for good, whatever certificates it signs: else a retired one would count again.
func (e *exec) newAuthority(id string, der, possession []byte) (int32, error) {
	owner, err := AuthorityOwner(e, der)
	switch {
	case err != nil:
		return 0, err
	case owner == id:
		return e.refuse(Conflict, reasonAuthorityKnown), nil
	case owner != "":
		return e.refuse(Conflict, fmt.Sprintf(reasonAuthorityForeign, owner)), nil
	}
	return e.possessesAuthority(id, der, possession), nil
}

// possessesAuthority refuses a certificate authority whose key does not sign that it is the organisation's.
func (e *exec) possessesAuthority(id string, der, possession []byte) int32 {
	if ledger.VerifyAuthority(der, possession, e.in.NetworkID, id) != nil {
		return e.refuse(Forbidden, reasonAuthorityPossession)
	}
	return OK
}

// putAuthorityKey records whose the key of a certificate authority is; it does nothing without one.
func (e *exec) putAuthorityKey(id string, der []byte) {
	if len(der) == 0 {
		return
	}
	e.put(authorityKeyKey(der), encodeAuthorityKey(id))
}

func encodeAuthorityKey(id string) []byte {
	b := encoder{[]byte{stateVersion}}
	b.strings(id)
	return b.b
}

func parseAuthorityKey(b []byte) (*string, error) {
	owner, d := new(string), begin(b)
	d.strings(owner)
	return owner, d.end("key of a certificate authority")
}

// sameAuthority reports whether the authorities of two organisations have one key.
func sameAuthority(a, b *ltlv1.Organisation) bool {
	return authorityKeyKey(a.GetCaCertificate()) == authorityKeyKey(b.GetCaCertificate())
}
