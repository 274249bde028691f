package rules

import (
	"bytes"
	"crypto"
	"crypto/aes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"math/big"
	"strconv"
	"strings"

	ltlv1 "ltl/proto/ltl/v1"
)

// deviceSignature is a device's signature string, authType~hashType~random~milliseconds~base64, taken apart.
type deviceSignature struct {
	random, time string
	timeMs       int64
	sign         []byte
}

// parseDeviceSignature reads the only accepted form: type 3 or 2 (a signature with a time), hash 2 (SHA-256), 16
// hexadecimal characters, 13 digits, and canonical base64 with padding.
func parseDeviceSignature(text string) (s deviceSignature, ok bool) {
	if len(text) > MaxDeviceSignature {
		return s, false
	}
	f := strings.Split(text, "~")
	if len(f) != 5 || (f[0] != "3" && f[0] != "2") || f[1] != "2" || len(f[2]) != 16 || !allHex(f[2]) ||
		len(f[3]) != 13 || !allDigits(f[3]) || f[4] == "" {
		return s, false
	}
	sign, err := base64.StdEncoding.DecodeString(f[4])
	if err != nil || base64.StdEncoding.EncodeToString(sign) != f[4] {
		return s, false
	}
	s.random, s.time, s.sign = f[2], f[3], sign
	s.timeMs, err = strconv.ParseInt(s.time, 10, 64)
	return s, err == nil
}

// text is what the device signs. Random part, time and digest have fixed lengths, so the text can be split in one way
// only.
func (s deviceSignature) text(iotID, digest string) string { return iotID + s.random + s.time + digest }

// hash is the SHA-256 of the text.
func (s deviceSignature) hash(p *ltlv1.DeviceProof) [sha256.Size]byte {
	return sha256.Sum256([]byte(s.text(p.GetIotId(), p.GetDataDigest())))
}

// VerifyDeviceSignature reports whether the proof's signature is by the key over the proof's identity, random part,
// time and digest. key is the DER of a SubjectPublicKeyInfo for ECC and RSA, and the key of 16, 24 or 32 bytes for
// AES. Nothing else is checked: not the time, and not that the digest is that of the payload. The rules check those.
func VerifyDeviceSignature(keyType ltlv1.DeviceKeyType, key []byte, p *ltlv1.DeviceProof) bool {
	s, ok := parseDeviceSignature(p.GetSignature())
	return ok && verifyDevice(keyType, key, s.text(p.GetIotId(), p.GetDataDigest()), s.sign)
}

// verifyDevice verifies a signature over a text.
func verifyDevice(keyType ltlv1.DeviceKeyType, key []byte, text string, sign []byte) bool {
	hash := sha256.Sum256([]byte(text))
	switch keyType {
	case ltlv1.DeviceKeyType_DEVICE_KEY_TYPE_ECC_P256:
		k := eccKey(key)
		return k != nil && canonicalDER(sign) && ecdsa.VerifyASN1(k, hash[:], sign)
	case ltlv1.DeviceKeyType_DEVICE_KEY_TYPE_RSA_2048:
		k := rsaKey(key)
		return k != nil && rsa.VerifyPKCS1v15(k, crypto.SHA256, hash[:], sign) == nil
	case ltlv1.DeviceKeyType_DEVICE_KEY_TYPE_AES:
		block, err := aes.NewCipher(key)
		if err != nil {
			return false
		}
		// PKCS #5 pads to a multiple of the block. A hash is two whole blocks, so the padding is one more block of 0x10.
		padded := append(hash[:], bytes.Repeat([]byte{aes.BlockSize}, aes.BlockSize)...)
		for at := 0; at < len(padded); at += aes.BlockSize {
			block.Encrypt(padded[at:], padded[at:])
		}
		return subtle.ConstantTimeCompare(padded, sign) == 1
	}
	return false
}

// canonicalDER reports whether b is a SEQUENCE of two positive INTEGERs of at most 33 bytes in DER. It is at least as
// strict as every release of the library that verifies afterwards, so that nodes built with different releases agree.
func canonicalDER(b []byte) bool {
	if len(b) < 8 || len(b) > 72 || b[0] != 0x30 || int(b[1]) != len(b)-2 {
		return false
	}
	rest := b[2:]
	for range 2 {
		if len(rest) < 3 || rest[0] != 0x02 {
			return false
		}
		n := int(rest[1])
		if n < 1 || n > 33 || n > len(rest)-2 {
			return false
		}
		v := rest[2 : 2+n]
		if v[0] >= 0x80 || v[0] == 0 && (n == 1 || v[1] < 0x80) {
			return false
		}
		rest = rest[2+n:]
	}
	return len(rest) == 0
}

// The bytes before, and after, the numbers in the DER encoding of a key. Each key has one encoding.
const (
	eccPrefix = "\x30\x59\x30\x13\x06\x07\x2a\x86\x48\xce\x3d\x02\x01\x06\x08\x2a\x86\x48\xce\x3d\x03\x01\x07\x03\x42\x00"
	eccPoint  = 65
	rsaPrefix = "\x30\x82\x01\x22\x30\x0d\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x01\x05\x00\x03\x82\x01\x0f\x00\x30\x82\x01\x0a\x02\x82\x01\x01\x00"
	rsaBytes  = 256
	rsaSuffix = "\x02\x03\x01\x00\x01"
	rsaE      = 65537
)

// eccKey reads the SubjectPublicKeyInfo of a P-256 key with an uncompressed point; nil for anything else.
func eccKey(der []byte) *ecdsa.PublicKey {
	point, ok := bytes.CutPrefix(der, []byte(eccPrefix))
	if !ok || len(point) != eccPoint {
		return nil
	}
	k, err := ecdsa.ParseUncompressedPublicKey(elliptic.P256(), point)
	if err != nil {
		return nil
	}
	return k
}

// rsaKey reads the SubjectPublicKeyInfo of an RSA key with an odd modulus of 2048 bits and the exponent 65537; nil
// for anything else.
func rsaKey(der []byte) *rsa.PublicKey {
	n, ok := bytes.CutPrefix(der, []byte(rsaPrefix))
	if !ok {
		return nil
	}
	n, ok = bytes.CutSuffix(n, []byte(rsaSuffix))
	if !ok || len(n) != rsaBytes || n[0] < 0x80 || n[rsaBytes-1]&1 == 0 {
		return nil
	}
	return &rsa.PublicKey{N: new(big.Int).SetBytes(n), E: rsaE}
}
