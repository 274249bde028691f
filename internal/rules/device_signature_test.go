package rules

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/base64"
	"encoding/hex"
	"math/big"
	"strings"
	"testing"

	ltlv1 "ltl/proto/ltl/v1"
)

const keyAES = ltlv1.DeviceKeyType_DEVICE_KEY_TYPE_AES

// TestPublicVectors: the four authentication codes that are published for ID2, of the device 2122…2C with the AES key
// 2122…2F30.
func TestPublicVectors(t *testing.T) {
	key, err := hex.DecodeString("2122232425262728292A2B2C2D2E2F30")
	if err != nil {
		t.Fatal(err)
	}
	const challenge, stamp, extra = "55B83408399FA660F05C82E4F25333DC", "1512022279204", "abcd1234"
	for _, c := range []struct{ code, fresh, extra string }{
		{"0~2~ABABABABABABABAB~" + challenge + "~4sx4q/vZtJeBciBhpfzBwLaw7kXg4s2mmZxSoehsKtyXnA1nt3r97vPi1Bnh6fF1",
			challenge, ""},
		{"2~2~ABABABABABABABAB~" + challenge + "~PdEkTetZVHtD3+o64apuEnsgzwkqbJMfTJSMaHTSYFKXnA1nt3r97vPi1Bnh6fF1",
			challenge, extra},
		{"1~2~ABABABABABABABAB~" + stamp + "~8WFAQalYm+5++M4OKMtH2JOqsvOlS67rsX9ccSRpvWSXnA1nt3r97vPi1Bnh6fF1", stamp, ""},
		{"3~2~ABABABABABABABAB~" + stamp + "~3vxizdS0JVOKSqnsR8VsZd0xUnL7Uo2S4ojSgXnoxI6XnA1nt3r97vPi1Bnh6fF1", stamp, extra},
	} {
		sign, err := base64.StdEncoding.DecodeString(c.code[strings.LastIndexByte(c.code, '~')+1:])
		if err != nil {
			t.Fatal(err)
		}
		text := deviceSignature{random: "ABABABABABABABAB", time: c.fresh}.text(iotID, c.extra)
		if !verifyDevice(keyAES, key, text, sign) {
			t.Errorf("%s is refused", c.code)
		}
		if verifyDevice(keyAES, key, text+"x", sign) || verifyDevice(keyAES, key[1:], text, sign) ||
			verifyDevice(keyAES, append(key[1:], 0), text, sign) {
			t.Errorf("%s is taken for another text or by another key", c.code)
		}
	}
	// The one of the four that has the form LTL takes, with what LTL signs as its extra.
	p := &ltlv1.DeviceProof{IotId: iotID, DataDigest: extra,
		Signature: "3~2~ABABABABABABABAB~" + stamp + "~3vxizdS0JVOKSqnsR8VsZd0xUnL7Uo2S4ojSgXnoxI6XnA1nt3r97vPi1Bnh6fF1"}
	if !VerifyDeviceSignature(keyAES, key, p) {
		t.Error("the whole code is refused")
	}
}

// TestVerifyDeviceSignature: every kind of key takes its own signature and no other, in no other spelling.
func TestVerifyDeviceSignature(t *testing.T) {
	ecc, rsa2048 := eccDevice(t, iotID), rsaDevice(t, iotID, 2048)
	for _, d := range []*device{ecc, rsa2048} {
		p := d.proof(t, "payload")
		if !VerifyDeviceSignature(d.kind, d.public, p) {
			t.Errorf("%v refuses its own signature", d.kind)
		}
		for what, change := range map[string]func(*ltlv1.DeviceProof){
			"device": func(p *ltlv1.DeviceProof) { p.IotId += "0" },
			"digest": func(p *ltlv1.DeviceProof) { p.DataDigest = strings.Repeat("0", 64) },
			"random": func(p *ltlv1.DeviceProof) { p.Signature = strings.Replace(p.Signature, "~0", "~1", 1) },
			"time":   func(p *ltlv1.DeviceProof) { p.Signature = strings.Replace(p.Signature, "~17", "~18", 1) },
			"form":   func(p *ltlv1.DeviceProof) { p.Signature += "=" },
		} {
			q := d.proof(t, "payload")
			change(q)
			if VerifyDeviceSignature(d.kind, d.public, q) {
				t.Errorf("%v takes another %s", d.kind, what)
			}
		}
		for _, other := range []*device{eccDevice(t, iotID), rsa2048, ecc} {
			if other != d && VerifyDeviceSignature(other.kind, other.public, p) {
				t.Errorf("%v: another key takes it", d.kind)
			}
		}
		if VerifyDeviceSignature(0, d.public, p) || VerifyDeviceSignature(d.kind, nil, p) {
			t.Errorf("%v: taken without a kind or a key", d.kind)
		}
	}
}

// TestCanonicalDER: nothing but the one encoding of two positive numbers passes.
func TestCanonicalDER(t *testing.T) {
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	hash := make([]byte, 32)
	for range 200 { // short and long numbers among them
		sign, err := ecdsa.SignASN1(rand.Reader, k, hash)
		if err != nil || !canonicalDER(sign) {
			t.Fatalf("%x, %v", sign, err)
		}
	}
	big33 := append([]byte{0x02, 33, 0}, new(big.Int).Lsh(big.NewInt(255), 248).Bytes()...)
	for _, bad := range []string{
		"", "3006020101", "300602010102010100", "3007020101020101", "3006020100020101", "3006020181020101",
		"300702020001020101", "3006030101020101",
		"30060201010200", "3106020101020101", "308106020101020101",
	} {
		b, err := hex.DecodeString(bad)
		if err != nil {
			t.Fatal(err)
		}
		if canonicalDER(b) {
			t.Errorf("%s passes", bad)
		}
	}
	good := append(append([]byte{0x30, byte(2 * len(big33))}, big33...), big33...)
	if !canonicalDER(good) {
		t.Errorf("%x is refused", good)
	}
}

// FuzzDeviceSignature: whatever is taken has exactly one spelling, and verifying never fails otherwise than by false.
func FuzzDeviceSignature(f *testing.F) {
	d := eccDevice(f, iotID)
	f.Add(d.proof(f, "v").GetSignature(), []byte("key"))
	f.Add("3~2~ABABABABABABABAB~1512022279204~AA==", d.public)
	f.Add("2~2~abababababababab~9999999999999~AAA=", []byte{})
	f.Fuzz(func(t *testing.T, text string, key []byte) {
		s, ok := parseDeviceSignature(text)
		if ok {
			back := text[:4] + s.random + "~" + s.time + "~" + base64.StdEncoding.EncodeToString(s.sign)
			if back != text || len(s.random) != 16 || len(s.time) != 13 || s.timeMs < 0 {
				t.Fatalf("%q became %q", text, back)
			}
		}
		p := &ltlv1.DeviceProof{IotId: iotID, DataDigest: strings.Repeat("0", 64), Signature: text}
		for kind := ltlv1.DeviceKeyType(0); kind < 5; kind++ {
			if VerifyDeviceSignature(kind, key, p) && !ok {
				t.Fatalf("%q verifies", text)
			}
		}
	})
}
