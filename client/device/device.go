// Package device is the device's side of a trusted upload: a device signs its data, and its business system sends the
// data with the signature to the LTL API, as SetDataWithSignature, AttachDataWithSignature or an upload ByDevice.
//
// The signature is that of an ID2 auth code with a time stamp: it binds the device's id, a random number, the time and
// the digest of the data. docs/devices.md says how a device is enrolled and what the ledger checks.
//
// The key is in a file (Load) or in a secure element (a Signer that the caller writes). The package uses only the
// standard library, so firmware can include it alone. All of it may be used concurrently, as far as the Signer may.
package device

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
)

const (
	// AuthType is the only IotAuthType that the ledger accepts.
	AuthType = "ID2"
	// MaxNameLength bounds an IotId and a product key, in characters.
	MaxNameLength = 64

	// timestampWithExtra is the auth code's type: a time stamp is signed, followed by more text (the digest).
	timestampWithExtra = 3
	// hashSHA256 is the auth code's hash.
	hashSHA256 = 2
	// firstMs and lastMs bound the times that have 13 digits: September 2001 to November 2286.
	firstMs, lastMs = 1_000_000_000_000, 9_999_999_999_999
	// randomLen is the size of the random number in bytes; the auth code has it in hexadecimal.
	randomLen = 8
)

// ErrInput is returned, wrapped, for input that the ledger would refuse.
var ErrInput = errors.New("cannot be signed")

// Signer signs a text of some 120 bytes with the device's key. It returns, for a key of type
//
//	ECC  an ECDSA signature over the text's SHA-256 on P-256, in DER
//	RSA  a PKCS #1 v1.5 signature over the text's SHA-256
//	AES  the text's SHA-256, padded by sixteen bytes of 0x10 (PKCS #5), encrypted in ECB mode: 48 bytes
//
// A Key's Sign method is one. Write another for a key that does not leave a secure element; with a crypto.Signer, see
// the example.
type Signer func(text []byte) (signature []byte, err error)

// Device signs in the name of one device.
type Device struct {
	id   string
	sign Signer
}

// New makes the device whose IotId is id, as it is enrolled: 1 to 64 letters, digits, "-", ".", "_", ":" and "@".
func New(id string, sign Signer) (*Device, error) {
	if !validName(id, "-._:@") {
		return nil, fmt.Errorf("the IotId %q %w: it must be 1 to %d letters, digits, \"-\", \".\", \"_\", \":\" and \"@\"",
			id, ErrInput, MaxNameLength)
	}
	if sign == nil {
		return nil, fmt.Errorf("data of device %q %w: it has no key", id, ErrInput)
	}
	return &Device{id: id, sign: sign}, nil
}

// Parameters are the parameters of an upload that prove the origin of its data, by their names in the API. The business
// system adds IotIdSource, which says where the device is registered: "1" the device authentication platform, "2" the
// IoT platform.
type Parameters struct {
	IotAuthType          string `json:"IotAuthType"`
	IotID                string `json:"IotId"`
	IotIDServiceProvider string `json:"IotIdServiceProvider"`
	IotDataDigest        string `json:"IotDataDigest"`
	IotSignature         string `json:"IotSignature"`
}

// Map returns the parameters by their names.
func (p *Parameters) Map() map[string]string {
	return map[string]string{
		"IotAuthType": p.IotAuthType, "IotId": p.IotID, "IotIdServiceProvider": p.IotIDServiceProvider,
		"IotDataDigest": p.IotDataDigest, "IotSignature": p.IotSignature,
	}
}

// Sign signs a payload with a time. The payload is the one parameter's text that is uploaded, to the byte: Value,
// PhaseData, or the whole PhaseDataList in the very spelling in which it is sent. productKey is that of the device's
// group.
//
// Each call gives another signature, and the ledger takes each one once: sign again to upload again. The time may lie
// in the past, for data that a device kept, but at most ten minutes ahead of the ledger's.
func (d *Device) Sign(payload, productKey string, at time.Time) (*Parameters, error) {
	switch {
	case payload == "":
		return nil, fmt.Errorf("an empty payload %w", ErrInput)
	case !validName(productKey, "-._"):
		return nil, fmt.Errorf("data for the product key %q %w: it must be 1 to %d letters, digits, \"-\", \".\" and \"_\"",
			productKey, ErrInput, MaxNameLength)
	case at.UnixMilli() < firstMs || at.UnixMilli() > lastMs:
		return nil, fmt.Errorf("data of the time %v %w: set the device's clock", at, ErrInput)
	}
	random := make([]byte, randomLen)
	if _, err := rand.Read(random); err != nil {
		return nil, fmt.Errorf("random number: %w", err)
	}
	digest := Digest(payload)
	code, err := authCode(timestampWithExtra, d.id, strings.ToUpper(hex.EncodeToString(random)),
		strconv.FormatInt(at.UnixMilli(), 10), digest, d.sign)
	if err != nil {
		return nil, err
	}
	return &Parameters{IotAuthType: AuthType, IotID: d.id, IotIDServiceProvider: productKey, IotDataDigest: digest,
		IotSignature: code}, nil
}

// validName reports whether s is 1 to MaxNameLength letters, digits and characters of also.
func validName(s, also string) bool {
	if s == "" || len(s) > MaxNameLength {
		return false
	}
	for _, c := range []byte(s) {
		letter := 'a' <= c|0x20 && c|0x20 <= 'z'
		if !letter && (c < '0' || c > '9') && strings.IndexByte(also, c) < 0 {
			return false
		}
	}
	return true
}

// Digest is the IotDataDigest of a payload: its SHA-256, 64 characters of upper-case hexadecimal.
func Digest(payload string) string {
	sum := sha256.Sum256([]byte(payload))
	return strings.ToUpper(hex.EncodeToString(sum[:]))
}

// authCode is an ID2 auth code: kind~hash~random~stamp~signature. Only the texts are signed, with nothing between them;
// so the stamp and what follows it could be cut elsewhere, were the digest not always 64 characters.
func authCode(kind int, id, random, stamp, extra string, sign Signer) (string, error) {
	signature, err := sign([]byte(id + random + stamp + extra))
	if err != nil {
		return "", fmt.Errorf("sign for device %q: %w", id, err)
	}
	return fmt.Sprintf("%d~%d~%s~%s~%s", kind, hashSHA256, random, stamp, base64.StdEncoding.EncodeToString(signature)),
		nil
}
