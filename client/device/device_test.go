package device_test

import (
	"bytes"
	"crypto"
	"crypto/aes"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"math/big"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"ltl/client/device"
)

// form is what every IotSignature looks like.
var form = regexp.MustCompile(`^3~2~([0-9A-F]{16})~([0-9]{13})~([A-Za-z0-9+/]+=*)$`)

// verify checks a signature by means of its own, apart from the package's.
func verify(t *testing.T, key *device.Key, text string, signature []byte) bool {
	t.Helper()
	digest := sha256.Sum256([]byte(text))
	if key.Type() == device.AES {
		block, err := aes.NewCipher(key.Secret())
		if err != nil {
			t.Fatal(err)
		}
		if len(signature) != 48 {
			return false
		}
		plain := make([]byte, 48)
		for i := 0; i < 48; i += 16 {
			block.Decrypt(plain[i:], signature[i:])
		}
		return bytes.Equal(plain, append(digest[:], bytes.Repeat([]byte{16}, 16)...))
	}
	raw, err := key.EncodePublic()
	if err != nil {
		t.Fatal(err)
	}
	kind, der, err := device.ParsePublic(raw)
	if err != nil || kind != key.Type() {
		t.Fatalf("own public key: %q %v", kind, err)
	}
	public, err := x509.ParsePKIXPublicKey(der)
	if err != nil {
		t.Fatal(err)
	}
	switch public := public.(type) {
	case *ecdsa.PublicKey:
		return ecdsa.VerifyASN1(public, digest[:], signature)
	case *rsa.PublicKey:
		return rsa.VerifyPKCS1v15(public, crypto.SHA256, digest[:], signature) == nil
	}
	return false
}

// TestSign: what is signed is id, random number, time and digest, under every type of key, and a key survives its file.
func TestSign(t *testing.T) {
	for _, kind := range []device.Type{device.ECC, device.RSA, device.AES} {
		t.Run(string(kind), func(t *testing.T) {
			made, err := device.Generate(kind)
			if err != nil {
				t.Fatal(err)
			}
			raw, err := made.Encode()
			if err != nil {
				t.Fatal(err)
			}
			path := filepath.Join(t.TempDir(), "key")
			if err := os.WriteFile(path, raw, 0o600); err != nil {
				t.Fatal(err)
			}
			key, err := device.Load(path)
			if err != nil || key.Type() != kind {
				t.Fatalf("%v %v", key, err)
			}
			d, err := device.New("00FFFF098598F3BDD8221234", key.Sign)
			if err != nil {
				t.Fatal(err)
			}
			at := time.UnixMilli(1599722505821)
			p, err := d.Sign("某公司某业务数据。", "hKpHMh2abcd", at)
			if err != nil {
				t.Fatal(err)
			}
			if p.IotAuthType != "ID2" || p.IotID != "00FFFF098598F3BDD8221234" || p.IotIDServiceProvider != "hKpHMh2abcd" {
				t.Errorf("%+v", p)
			}
			if want := "ADD85AA7D23FA2846B31544B7ABFD06FBB24CA2F0CD85D46624FE4E5C7CC45FA"; p.IotDataDigest != want {
				t.Errorf("digest %s, want %s", p.IotDataDigest, want)
			}
			m := form.FindStringSubmatch(p.IotSignature)
			if m == nil || m[2] != strconv.FormatInt(at.UnixMilli(), 10) {
				t.Fatalf("signature %q", p.IotSignature)
			}
			signature, err := base64.StdEncoding.DecodeString(m[3])
			if err != nil {
				t.Fatal(err)
			}
			if !verify(t, made, p.IotID+m[1]+m[2]+p.IotDataDigest, signature) {
				t.Error("the signature is not over id, random number, time and digest")
			}
			if verify(t, made, p.IotID+m[1]+m[2]+device.Digest("another"), signature) {
				t.Error("the signature holds for other data too")
			}
			again, err := d.Sign("某公司某业务数据。", "hKpHMh2abcd", at)
			if err != nil || again.IotSignature == p.IotSignature {
				t.Errorf("the same data signed again has the same signature; error %v", err)
			}
			for name, value := range p.Map() {
				if value == "" {
					t.Errorf("%s is empty", name)
				}
			}
		})
	}
}

// TestForms: every form in which a key may lie in a file gives the same key, and what is none is refused without being
// quoted.
func TestForms(t *testing.T) {
	ecc, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	sec1, err := x509.MarshalECPrivateKey(ecc)
	if err != nil {
		t.Fatal(err)
	}
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	small, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		t.Fatal(err)
	}
	p384, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	p384DER, err := x509.MarshalECPrivateKey(p384)
	if err != nil {
		t.Fatal(err)
	}
	_, edKey, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	ed, err := x509.MarshalPKCS8PrivateKey(edKey)
	if err != nil {
		t.Fatal(err)
	}
	block := func(kind string, der []byte) []byte { return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}) }
	bare := bytes.Repeat([]byte{0xfe}, 32)
	for name, tc := range map[string]struct {
		raw  []byte
		want device.Type // empty: refused
	}{
		"SEC 1": {block("EC PRIVATE KEY", sec1), device.ECC},
		"openssl ecparam -genkey": {append(block("EC PARAMETERS", []byte{6, 8, 42, 134, 72, 206, 61, 3, 1, 7}),
			block("EC PRIVATE KEY", sec1)...), device.ECC},
		"PKCS 1":                   {block("RSA PRIVATE KEY", x509.MarshalPKCS1PrivateKey(rsaKey)), device.RSA},
		"bare AES":                 {bare, device.AES},
		"bare AES-192":             {bare[:24], device.AES},
		"AES in hexadecimal":       {[]byte(hex.EncodeToString(bare) + "\n"), device.AES},
		"RSA-1024":                 {block("RSA PRIVATE KEY", x509.MarshalPKCS1PrivateKey(small)), ""},
		"P-384":                    {block("EC PRIVATE KEY", p384DER), ""},
		"Ed25519":                  {block("PRIVATE KEY", ed), ""},
		"an encrypted key":         {block("ENCRYPTED PRIVATE KEY", sec1), ""},
		"damaged":                  {block("EC PRIVATE KEY", sec1[:len(sec1)-9]), ""},
		"a public key":             {block("PUBLIC KEY", sec1), ""},
		"nothing":                  {nil, ""},
		"AES of a wrong length":    {bare[:20], ""},
		"AES with an odd digit":    {[]byte(hex.EncodeToString(bare)[:63]), ""},
		"parameters without a key": {block("EC PARAMETERS", []byte{6, 8, 42, 134, 72, 206, 61, 3, 1, 7}), ""},
	} {
		key, err := device.Parse(tc.raw)
		switch {
		case tc.want == "" && !errors.Is(err, device.ErrKey):
			t.Errorf("%s: %v, want ErrKey", name, err)
		case tc.want == "" && len(tc.raw) > 0 && strings.Contains(err.Error(), strings.TrimSpace(string(tc.raw))):
			t.Errorf("%s: the error quotes the key: %v", name, err)
		case tc.want != "" && (err != nil || key.Type() != tc.want):
			t.Errorf("%s: %v, error %v", name, key, err)
		case tc.want == device.AES && !bytes.Equal(key.Secret(), bare[:len(key.Secret())]):
			t.Errorf("%s: another key", name)
		}
	}
}

// TestPublic: a public key and a certificate of it give the same bytes; other things are refused.
func TestPublic(t *testing.T) {
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1)}
	certificate, err := x509.CreateCertificate(rand.Reader, template, template, private.Public(), private)
	if err != nil {
		t.Fatal(err)
	}
	want, err := x509.MarshalPKIXPublicKey(private.Public())
	if err != nil {
		t.Fatal(err)
	}
	for kind, der := range map[string][]byte{"PUBLIC KEY": want, "CERTIFICATE": certificate} {
		got, spki, err := device.ParsePublic(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}))
		if err != nil || got != device.ECC || !bytes.Equal(spki, want) {
			t.Errorf("%s: %q %x, error %v", kind, got, spki, err)
		}
	}
	for _, raw := range [][]byte{nil, []byte("key"), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: want}),
		pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: want[:40]}),
		pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: want})} {
		if _, _, err := device.ParsePublic(raw); !errors.Is(err, device.ErrKey) {
			t.Errorf("%q: %v, want ErrKey", raw, err)
		}
	}
}

// TestRefusals: what the ledger would refuse is not signed, and a secure element's failure is passed on.
func TestRefusals(t *testing.T) {
	broken := errors.New("the secure element does not answer")
	sign := func([]byte) ([]byte, error) { return nil, broken }
	for _, id := range []string{"", strings.Repeat("x", 65), "\xff", "号", "a b", "a~b", "a/b", "a[b"} {
		if _, err := device.New(id, sign); !errors.Is(err, device.ErrInput) {
			t.Errorf("id %q: %v", id, err)
		}
	}
	if _, err := device.New("d", nil); !errors.Is(err, device.ErrInput) {
		t.Errorf("no signer: %v", err)
	}
	d, err := device.New(strings.Repeat("Z9:@", 16), sign)
	if err != nil {
		t.Fatal(err)
	}
	now := time.UnixMilli(1599722505821)
	for _, tc := range []struct {
		payload, productKey string
		at                  time.Time
	}{{"", "pk", now}, {"data", "", now}, {"data", "p:k", now}, {"data", strings.Repeat("p", 65), now},
		{"data", "pk", time.Time{}}, {"data", "pk", time.UnixMilli(999999999999)}, {"data", "pk", time.UnixMilli(1e13)}} {
		if _, err := d.Sign(tc.payload, tc.productKey, tc.at); !errors.Is(err, device.ErrInput) {
			t.Errorf("%+v: %v", tc, err)
		}
	}
	if _, err := d.Sign("data", "pk", now); !errors.Is(err, broken) {
		t.Errorf("%v, want the signer's error", err)
	}
	if _, err := device.Generate("des"); !errors.Is(err, device.ErrKey) {
		t.Errorf("type des: %v", err)
	}
	aesKey, err := device.Generate(device.AES)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := aesKey.EncodePublic(); !errors.Is(err, device.ErrKey) {
		t.Errorf("public part of an AES key: %v", err)
	}
	if _, err := device.Load(filepath.Join(t.TempDir(), "none")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a missing file: %v", err)
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte("2122232425262728292a2b2c2d2e2f30"))
	f.Add([]byte("-----BEGIN EC PRIVATE KEY-----\n-----END EC PRIVATE KEY-----\n"))
	f.Fuzz(func(t *testing.T, raw []byte) {
		key, err := device.Parse(raw)
		if err != nil {
			return
		}
		encoded, err := key.Encode()
		if err != nil {
			t.Fatal(err)
		}
		again, err := device.Parse(encoded)
		if err != nil || again.Type() != key.Type() || !bytes.Equal(again.Secret(), key.Secret()) {
			t.Errorf("%v comes back as %v, error %v", key.Type(), again, err)
		}
	})
}

// TestPublicKeysAsPoints: a P-256 key as a secure element gives it is the key that its PEM is.
func TestPublicKeysAsPoints(t *testing.T) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	want, err := x509.MarshalPKIXPublicKey(&key.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	point, err := key.PublicKey.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	text := pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: want})
	for what, raw := range map[string][]byte{"X and Y": point[1:], "with the byte 4": point,
		"hexadecimal": []byte(hex.EncodeToString(point[1:]) + "\n"), "hexadecimal, with the byte 4": []byte(hex.EncodeToString(point)),
		"PEM after a byte order mark": append([]byte("\ufeff"), text...)} {
		kind, der, err := device.ParsePublic(raw)
		if err != nil || kind != device.ECC || !bytes.Equal(der, want) {
			t.Errorf("%s: %v %x %v", what, kind, der, err)
		}
	}
	if _, _, err := device.ParsePublic(bytes.Repeat([]byte{0xff}, 64)); !errors.Is(err, device.ErrKey) ||
		!strings.Contains(err.Error(), "no point") {
		t.Errorf("64 bytes that are no point: %v", err)
	}
}
