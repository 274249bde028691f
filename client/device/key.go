package device

import (
	"bytes"
	"crypto"
	"crypto/aes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
)

// Type is the kind of a device's key.
type Type string

// The types of keys.
const (
	// ECC is ECDSA on P-256: the default, and the one to choose for new devices. Its signatures can be verified with the
	// public key.
	ECC Type = "ecc"
	// RSA is RSA with 2048 bits.
	RSA Type = "rsa"
	// AES is AES with 128, 192 or 256 bits, as in ID2 chips. Only a holder of the key can verify its signatures.
	AES Type = "aes"
)

// ErrKey is returned, wrapped, for a key that cannot be used. Its text never quotes the key.
var ErrKey = errors.New("unusable device key")

const (
	rsaBits = 2048
	// generatedAES is the size of a generated AES key in bytes.
	generatedAES = 32
	// maxKeyFile bounds what is read of a key file, in bytes.
	maxKeyFile = 64 << 10
)

const (
	pemPKCS8       = "PRIVATE KEY"
	pemSEC1        = "EC PRIVATE KEY"
	pemPKCS1       = "RSA PRIVATE KEY"
	pemParameters  = "EC PARAMETERS"
	pemPublic      = "PUBLIC KEY"
	pemCertificate = "CERTIFICATE"
)

// Key is a device's key in memory. Its Sign method is a Signer.
type Key struct {
	kind    Type
	private crypto.Signer // nil for AES
	secret  []byte        // nil for others
}

// Generate makes a new key of a type; AES has 256 bits.
func Generate(kind Type) (*Key, error) {
	switch kind {
	case ECC:
		private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			return nil, fmt.Errorf("generate key: %w", err)
		}
		return &Key{kind: ECC, private: private}, nil
	case RSA:
		private, err := rsa.GenerateKey(rand.Reader, rsaBits)
		if err != nil {
			return nil, fmt.Errorf("generate key: %w", err)
		}
		return &Key{kind: RSA, private: private}, nil
	case AES:
		secret := make([]byte, generatedAES)
		if _, err := rand.Read(secret); err != nil {
			return nil, fmt.Errorf("generate key: %w", err)
		}
		return &Key{kind: AES, secret: secret}, nil
	}
	return nil, fmt.Errorf("%w: the type is %q; it can be ecc, rsa or aes", ErrKey, kind)
}

// Load reads a key file; see Parse for its forms.
func Load(path string) (*Key, error) {
	raw, err := readKeyFile(path)
	if err != nil {
		return nil, err
	}
	key, err := Parse(raw)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return key, nil
}

// readKeyFile reads a file of bounded size.
func readKeyFile(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("device key: %w", err)
	}
	defer f.Close() // nothing was written
	raw, err := io.ReadAll(io.LimitReader(f, maxKeyFile+1))
	if err != nil {
		return nil, fmt.Errorf("device key: %w", err)
	}
	if len(raw) > maxKeyFile {
		return nil, fmt.Errorf("%w: %s is larger than %d bytes", ErrKey, path, maxKeyFile)
	}
	return raw, nil
}

// Parse reads a key: a private key in PEM (PKCS #8, SEC 1 for ECC, PKCS #1 for RSA; not encrypted), or an AES key as
// 32, 48 or 64 hexadecimal digits with space around them, or as its bare 16, 24 or 32 bytes. Thirty-two bytes that are
// all hexadecimal digits are taken for digits.
func Parse(raw []byte) (*Key, error) {
	for rest := raw; ; {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			break
		}
		if block.Type != pemParameters { // openssl puts the name of the curve before the key
			return parsePrivate(block)
		}
	}
	text := strings.TrimSpace(string(raw))
	if secret, err := hex.DecodeString(text); err == nil && validAES(len(secret)) {
		return &Key{kind: AES, secret: secret}, nil
	}
	if validAES(len(raw)) {
		return &Key{kind: AES, secret: append([]byte(nil), raw...)}, nil
	}
	return nil, fmt.Errorf("%w: it is no PEM private key and no AES key of 16, 24 or 32 bytes, bare or in hexadecimal",
		ErrKey)
}

func validAES(n int) bool { return n == 16 || n == 24 || n == 32 }

// parsePrivate reads a private key. Errors of the parsers are not passed on: they may quote the key.
func parsePrivate(block *pem.Block) (*Key, error) {
	var parsed any
	var err error
	switch block.Type {
	case pemPKCS8:
		parsed, err = x509.ParsePKCS8PrivateKey(block.Bytes)
	case pemSEC1:
		parsed, err = x509.ParseECPrivateKey(block.Bytes)
	case pemPKCS1:
		parsed, err = x509.ParsePKCS1PrivateKey(block.Bytes)
	default:
		return nil, fmt.Errorf("%w: it is a PEM block %q, not an unencrypted private key", ErrKey, block.Type)
	}
	if err != nil {
		return nil, fmt.Errorf("%w: the PEM block %q holds no key that can be read; an encrypted key must be decrypted first",
			ErrKey, block.Type)
	}
	private, ok := parsed.(crypto.Signer)
	if !ok {
		return nil, fmt.Errorf("%w: %T", ErrKey, parsed)
	}
	kind, err := typeOf(private.Public())
	if err != nil {
		return nil, err
	}
	return &Key{kind: kind, private: private}, nil
}

// typeOf refuses public keys that no device may have.
func typeOf(public crypto.PublicKey) (Type, error) {
	switch public := public.(type) {
	case *ecdsa.PublicKey:
		if public.Curve != elliptic.P256() {
			return "", fmt.Errorf("%w: it is on the curve %s; use P-256", ErrKey, public.Curve.Params().Name)
		}
		return ECC, nil
	case *rsa.PublicKey:
		if public.N.BitLen() != rsaBits {
			return "", fmt.Errorf("%w: it is an RSA key of %d bits; use %d", ErrKey, public.N.BitLen(), rsaBits)
		}
		return RSA, nil
	}
	return "", fmt.Errorf("%w: it is neither ECC P-256 nor RSA-2048", ErrKey)
}

// point reads a point of P-256 as secure elements give it: the 64 bytes X and Y, with or without a byte 4 before them,
// bare or in hexadecimal digits. It returns the point with that byte; ok is false for anything else.
func point(raw []byte) (uncompressed []byte, ok bool) {
	if text, err := hex.DecodeString(strings.TrimSpace(string(raw))); err == nil {
		raw = text
	}
	switch {
	case len(raw) == 64:
		return append([]byte{4}, raw...), true
	case len(raw) == 65 && raw[0] == 4:
		return raw, true
	}
	return nil, false
}

// ParsePublic reads a public key in PEM, as SubjectPublicKeyInfo or in a certificate, or a P-256 key as the 64 bytes X
// and Y, bare or in hexadecimal digits, with or without a byte 4 before them. It returns its type and the DER of its
// SubjectPublicKeyInfo. Nothing but the key of a certificate counts.
func ParsePublic(raw []byte) (Type, []byte, error) {
	if p, ok := point(raw); ok {
		key, err := ecdsa.ParseUncompressedPublicKey(elliptic.P256(), p)
		if err != nil {
			return "", nil, fmt.Errorf("%w: its 64 bytes are no point X, Y of P-256", ErrKey)
		}
		der, err := x509.MarshalPKIXPublicKey(key)
		return ECC, der, err
	}
	block, _ := pem.Decode(bytes.TrimPrefix(raw, []byte("\ufeff")))
	if block == nil {
		return "", nil, fmt.Errorf("%w: it is not a public key in PEM, and not the 64 bytes X and Y of a P-256 key", ErrKey)
	}
	var public any
	switch block.Type {
	case pemPublic:
		parsed, err := x509.ParsePKIXPublicKey(block.Bytes)
		if err != nil {
			return "", nil, fmt.Errorf("%w: the PEM block %q holds no key that can be read", ErrKey, block.Type)
		}
		public = parsed
	case pemCertificate:
		certificate, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return "", nil, fmt.Errorf("%w: the certificate cannot be read", ErrKey)
		}
		public = certificate.PublicKey
	default:
		return "", nil, fmt.Errorf("%w: it is a PEM block %q; a public key or a certificate is needed", ErrKey, block.Type)
	}
	kind, err := typeOf(public)
	if err != nil {
		return "", nil, err
	}
	der, err := x509.MarshalPKIXPublicKey(public)
	if err != nil {
		return "", nil, fmt.Errorf("%w: %w", ErrKey, err)
	}
	return kind, der, nil
}

// Type returns the key's type.
func (k *Key) Type() Type { return k.kind }

// Secret returns an AES key's bytes; nil for others. They are not to be changed.
func (k *Key) Secret() []byte { return k.secret }

// Encode returns what a key file holds: PKCS #8 in PEM, or the hexadecimal digits of an AES key on a line. It is
// secret.
func (k *Key) Encode() ([]byte, error) {
	if k.kind == AES {
		return []byte(hex.EncodeToString(k.secret) + "\n"), nil
	}
	der, err := x509.MarshalPKCS8PrivateKey(k.private)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrKey, err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: pemPKCS8, Bytes: der}), nil
}

// EncodePublic returns the public key in PEM. An AES key has none.
func (k *Key) EncodePublic() ([]byte, error) {
	if k.kind == AES {
		return nil, fmt.Errorf("%w: an AES key has no public part", ErrKey)
	}
	der, err := x509.MarshalPKIXPublicKey(k.private.Public())
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrKey, err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: pemPublic, Bytes: der}), nil
}

// Sign is the key's Signer.
func (k *Key) Sign(text []byte) ([]byte, error) {
	digest := sha256.Sum256(text)
	if k.kind == AES {
		return encryptDigest(k.secret, digest)
	}
	// ECDSA gives DER and RSA PKCS #1 v1.5.
	return k.private.Sign(rand.Reader, digest[:], crypto.SHA256)
}

// encryptDigest is AES-ECB of the padded digest: three blocks. ECB is ID2's choice; no two blocks of a digest are
// alike, and the last one, all padding, reveals only which key it was.
func encryptDigest(secret []byte, digest [sha256.Size]byte) ([]byte, error) {
	block, err := aes.NewCipher(secret)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrKey, err)
	}
	out := make([]byte, sha256.Size+aes.BlockSize)
	n := copy(out, digest[:])
	for ; n < len(out); n++ {
		out[n] = aes.BlockSize
	}
	for at := 0; at < len(out); at += aes.BlockSize {
		block.Encrypt(out[at:at+aes.BlockSize], out[at:at+aes.BlockSize])
	}
	return out, nil
}
