package ledger

import (
	"bytes"
	"crypto/ed25519"
)

// Tags of the DER elements on the way to a certificate's key.
const (
	tagInteger  = 0x02
	tagSequence = 0x30
	tagVersion  = 0xa0
)

// ed25519KeyInfo is the DER of a SubjectPublicKeyInfo with an Ed25519 key (RFC 8410), but for the key's 32 bytes.
const ed25519KeyInfo = "\x30\x2a\x30\x05\x06\x03\x2b\x65\x70\x03\x21\x00"

// AuthorityKey reads the Ed25519 key from the DER of a certificate authority's certificate; false for other bytes. It
// does not use the library for certificates: what that one accepts changes with its releases, and the rules must decide
// alike in all of them.
func AuthorityKey(der []byte) (ed25519.PublicKey, bool) {
	certificate, rest, ok := element(der, tagSequence)
	if !ok || len(rest) > 0 {
		return nil, false
	}
	b, _, ok := element(certificate, tagSequence)
	if !ok {
		return nil, false
	}
	if len(b) > 0 && b[0] == tagVersion {
		if _, b, ok = element(b, tagVersion); !ok {
			return nil, false
		}
	}
	// The serial number; then the signature's algorithm, issuer, validity and subject.
	for _, tag := range []byte{tagInteger, tagSequence, tagSequence, tagSequence, tagSequence} {
		if _, b, ok = element(b, tag); !ok {
			return nil, false
		}
	}
	b, ok = bytes.CutPrefix(b, []byte(ed25519KeyInfo))
	if !ok || len(b) < ed25519.PublicKeySize {
		return nil, false
	}
	key := ed25519.PublicKey(b[:ed25519.PublicKeySize])
	return key, ValidKey(key)
}

// element reads one DER element with the tag and a length of the shortest form in at most three bytes.
func element(b []byte, tag byte) (content, rest []byte, ok bool) {
	if len(b) < 2 || b[0] != tag {
		return nil, nil, false
	}
	n, head := int(b[1]), 2
	switch {
	case n == 0x81 && len(b) > 2 && b[2] >= 0x80:
		n, head = int(b[2]), 3
	case n == 0x82 && len(b) > 3 && b[2] > 0:
		n, head = int(b[2])<<8|int(b[3]), 4
	case n >= 0x80:
		return nil, nil, false
	}
	if len(b) < head+n {
		return nil, nil, false
	}
	return b[head : head+n], b[head+n:], true
}

// SignAuthority signs, with the key of a certificate authority, that it is the organisation's in this network. So no
// organisation can enter another one's authority.
func SignAuthority(key ed25519.PrivateKey, network Hash, organisation string, der []byte) []byte {
	return ed25519.Sign(key, authorityBytes(network, organisation, der))
}

// VerifyAuthority checks a signature of SignAuthority by the key in the certificate. It returns ErrSignature when it is
// wrong.
func VerifyAuthority(der, signature []byte, network Hash, organisation string) error {
	key, ok := AuthorityKey(der)
	if !ok {
		return ErrSignature
	}
	return verifyText(key, authorityBytes(network, organisation, der), signature)
}

// authorityBytes is what SignAuthority signs.
func authorityBytes(network Hash, organisation string, der []byte) []byte {
	b := append([]byte(domainAuthority), network[:]...)
	b = appendLong(b, []byte(organisation))
	return appendLong(b, der)
}
