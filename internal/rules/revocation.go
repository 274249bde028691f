package rules

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"

	"ltl/internal/ledger"
	ltlv1 "ltl/proto/ltl/v1"
)

// Revocation is a certificate or an identity that the network refuses.
type Revocation struct {
	// Identity is "organisation/role/name".
	Identity string
	// KeyHash is the SHA-256 of the certificate's public key; empty when the identity is revoked whatever the key.
	KeyHash []byte
	// KeyOnly is set when the identity may continue with another key.
	KeyOnly bool
	// Height is that of the system chain at which it was revoked.
	Height uint64
}

// revokedKey is the state key whose presence says that an identity was revoked, or an organisation removed.
func revokedKey(subject string) string { return prefixRevoked + subject }

func revocationKey(identity string, keyHash []byte) string {
	return prefixRevocation + identity + "/" + hex.EncodeToString(keyHash)
}

// IdentityRevoked reports whether an identity was revoked whatever its key. For the id of an organisation it reports
// whether that was removed.
func IdentityRevoked(v View, subject string) (bool, error) {
	b, err := v.Get(ledger.SystemChain, []byte(revokedKey(subject)))
	return b != nil, err
}

// ListRevocations returns all revoked certificates and identities, in the order of identity and key.
func ListRevocations(r Reader) ([]*Revocation, error) {
	return list(r, ledger.SystemChain, prefixRevocation, parseRevocation)
}

// ListRemoved returns the ids of all organisations that were removed, in order.
func ListRemoved(r Reader) ([]string, error) {
	var all []string
	err := r.Scan(ledger.SystemChain, []byte(prefixRevoked), func(key, _ []byte) error {
		if id := key[len(prefixRevoked):]; bytes.IndexByte(id, '/') < 0 {
			all = append(all, string(id))
		}
		return nil
	})
	return all, err
}

// revokeCertificate revokes a certificate or an identity; an operator of its organisation sends it. Repeating it
// changes nothing.
func (e *exec) revokeCertificate(act action) (int32, string, error) {
	r := act.tx.GetRevokeCertificate()
	key := revocationKey(r.GetIdentity(), r.GetKeyHash())
	known, err := load(e, ledger.SystemChain, key, parseRevocation)
	if err != nil {
		return 0, "", err
	}
	if known == nil {
		credentials, err := e.credentials(act.submitter.organisation)
		if err != nil {
			return 0, "", err
		}
		if credentials.Revocations >= MaxRevocations {
			return e.refuse(QuotaExceeded, reasonRevocations), "", nil
		}
		credentials.Revocations++
		e.put(credentialsKey(act.submitter.organisation), credentials.encode())
	}
	if known == nil || known.KeyOnly && !r.GetKeyOnly() {
		made := Revocation{Identity: r.GetIdentity(), KeyHash: r.GetKeyHash(), KeyOnly: r.GetKeyOnly(),
			Height: act.here.Height}
		e.put(key, made.encode())
	}
	if r.GetKeyOnly() {
		return OK, "", nil
	}
	if gone, err := IdentityRevoked(e, r.GetIdentity()); gone || err != nil {
		return OK, "", err
	}
	e.put(revokedKey(r.GetIdentity()), act.here.Append(nil))
	return OK, "", nil
}

func checkRevokeCertificate(tx *ltlv1.Transaction) int32 {
	r := tx.GetRevokeCertificate()
	id, ok := parseIdentity(r.GetIdentity())
	n := len(r.GetKeyHash())
	fixed := id.role == roleNode || id.role == roleEndorser // these have one fixed name
	if !ok || n != 0 && n != sha256.Size || n == 0 && r.GetKeyOnly() || fixed && !r.GetKeyOnly() {
		return OutOfRange
	}
	return OK
}

// barred reports whether a submitter may not write: its identity was revoked or its organisation removed. Most
// batches have one submitter, so the last result is kept for the block; not on the system chain, where this block may
// contain the revocation.
func (e *exec) barred(submitter string) (bool, error) {
	if e.chain != nil && submitter == e.lastBarred {
		return e.lastBarredIs, nil
	}
	is, err := IdentityRevoked(e, submitter)
	if err == nil && !is {
		is, err = Removed(e, e.identity(submitter).organisation)
	}
	e.lastBarred, e.lastBarredIs = submitter, is
	return is, err
}

func (r *Revocation) encode() []byte {
	e := encoder{[]byte{stateVersion}}
	e.strings(r.Identity)
	e.bytes(r.KeyHash)
	e.flag(r.KeyOnly)
	e.u64(r.Height)
	return e.b
}

func parseRevocation(b []byte) (*Revocation, error) {
	r, d := &Revocation{}, begin(b)
	d.strings(&r.Identity)
	r.KeyHash = d.bytes()
	r.KeyOnly = d.flag()
	r.Height = d.u64()
	return r, d.end("revocation")
}
