package device_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"log"
	"os"
	"path/filepath"
	"strings"
	"time"

	"ltl/client/device"
)

// A device makes its key once, gives its public part to the operator that enrols it, and signs what it measures.
func Example() {
	key, err := device.Generate(device.ECC)
	if err != nil {
		fmt.Println(err)
		return
	}
	public, err := key.EncodePublic() // for `ltl device enroll --public-key`
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(strings.SplitN(string(public), "\n", 2)[0])

	d, err := device.New("00FFFF098598F3BDD8221234", key.Sign)
	if err != nil {
		fmt.Println(err)
		return
	}
	p, err := d.Sign("Proof-Data", "hKpHMh2abcd", time.UnixMilli(1599722505821))
	if err != nil {
		fmt.Println(err)
		return
	}
	// The business system sends these with Key, Value and IotIdSource, as SetDataWithSignature for example.
	fmt.Println(p.IotAuthType, p.IotID, p.IotIDServiceProvider)
	fmt.Println(p.IotDataDigest)
	fmt.Println(p.IotSignature[:4], strings.Count(p.IotSignature, "~"))
	// Output:
	// -----BEGIN PUBLIC KEY-----
	// ID2 00FFFF098598F3BDD8221234 hKpHMh2abcd
	// 8240AB492AA29413C13D742F42AF258EBB835EBA8783FF8B812D6E117855EA2F
	// 3~2~ 4
}

// A key that stays in a secure element is used through whatever reaches it; most offer a crypto.Signer.
func ExampleSigner() {
	var element crypto.Signer
	element, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader) // in place of the secure element
	if err != nil {
		fmt.Println(err)
		return
	}
	d, err := device.New("00FFFF098598F3BDD8221234", func(text []byte) ([]byte, error) {
		digest := sha256.Sum256(text)
		return element.Sign(rand.Reader, digest[:], crypto.SHA256)
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	p, err := d.Sign("Proof-Data", "hKpHMh2abcd", time.Now())
	fmt.Println(p.IotAuthType, err)
	// Output: ID2 <nil>
}

// exampleKey is an AES-128 key as a key file holds it.
const exampleKey = "2122232425262728292a2b2c2d2e2f30"

// parse reads the key of the examples.
func parse() *device.Key {
	key, err := device.Parse([]byte(exampleKey))
	if err != nil {
		log.Fatal(err)
	}
	return key
}

// The IotId is the one under which the device is enrolled.
func ExampleNew() {
	_, err := device.New("a device", parse().Sign)
	fmt.Println(errors.Is(err, device.ErrInput))
	// Output: true
}

func ExampleDevice_Sign() {
	d, err := device.New("00FFFF098598F3BDD8221234", parse().Sign)
	if err != nil {
		log.Fatal(err)
	}
	p, err := d.Sign("Proof-Data", "hKpHMh2abcd", time.Now()) // again for each upload: the ledger takes a signature once
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(p.IotAuthType, p.IotID)
	// Output: ID2 00FFFF098598F3BDD8221234
}

// The parameters go into the request beside Key and Value.
func ExampleParameters_Map() {
	d, err := device.New("00FFFF098598F3BDD8221234", parse().Sign)
	if err != nil {
		log.Fatal(err)
	}
	p, err := d.Sign("Proof-Data", "hKpHMh2abcd", time.Now())
	if err != nil {
		log.Fatal(err)
	}
	request := p.Map()
	request["IotIdSource"] = "1"
	fmt.Println(len(request), request["IotIdServiceProvider"])
	// Output: 6 hKpHMh2abcd
}

func ExampleDigest() {
	fmt.Println(device.Digest("Proof-Data"))
	// Output: 8240AB492AA29413C13D742F42AF258EBB835EBA8783FF8B812D6E117855EA2F
}

func ExampleGenerate() {
	key, err := device.Generate(device.AES)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(key.Type(), len(key.Secret()))
	// Output: aes 32
}

// A key is written to a file that only the device's program can read.
func ExampleLoad() {
	dir, err := os.MkdirTemp("", "device")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	path := filepath.Join(dir, "device.pem")
	key, err := device.Generate(device.ECC)
	if err != nil {
		log.Fatal(err)
	}
	encoded, err := key.Encode()
	if err != nil {
		log.Fatal(err)
	}
	if err := os.WriteFile(path, encoded, 0o600); err != nil {
		log.Fatal(err)
	}
	loaded, err := device.Load(path)
	fmt.Println(loaded.Type(), err)
	// Output: ecc <nil>
}

func ExampleParse() {
	key, err := device.Parse([]byte(exampleKey))
	fmt.Println(key.Type(), err)
	// Output: aes <nil>
}

// An operator reads the public key of a device to enrol it. A certificate is accepted for its key.
func ExampleParsePublic() {
	key, err := device.Generate(device.ECC)
	if err != nil {
		log.Fatal(err)
	}
	public, err := key.EncodePublic()
	if err != nil {
		log.Fatal(err)
	}
	kind, der, err := device.ParsePublic(public)
	fmt.Println(kind, len(der), err)
	// Output: ecc 91 <nil>
}

func ExampleKey_Type() {
	fmt.Println(parse().Type())
	// Output: aes
}

// Only an AES key has a secret to give to the endorser.
func ExampleKey_Secret() {
	fmt.Printf("%x\n", parse().Secret())
	// Output: 2122232425262728292a2b2c2d2e2f30
}

func ExampleKey_Encode() {
	encoded, err := parse().Encode()
	fmt.Println(string(encoded), err)
	// Output:
	// 2122232425262728292a2b2c2d2e2f30
	//  <nil>
}

func ExampleKey_EncodePublic() {
	_, err := parse().EncodePublic()
	fmt.Println(errors.Is(err, device.ErrKey)) // an AES key has no public part
	// Output: true
}

func ExampleKey_Sign() {
	signature, err := parse().Sign([]byte("text"))
	fmt.Println(len(signature), err)
	// Output: 48 <nil>
}

func ExampleRotation_Text() {
	former, err := device.Generate(device.ECC) // the key in force
	if err != nil {
		log.Fatal(err)
	}
	made, err := device.Generate(device.ECC)
	if err != nil {
		log.Fatal(err)
	}
	pem, err := made.EncodePublic()
	if err != nil {
		log.Fatal(err)
	}
	kind, public, err := device.ParsePublic(pem)
	if err != nil {
		log.Fatal(err)
	}
	change := device.Rotation{NetworkID: make([]byte, 32), ProductKey: "hKpHMh2abcd", IotID: "meter", Number: 2, Type: kind,
		Public: public}
	text, err := change.Text()
	if err != nil {
		log.Fatal(err)
	}
	_, err1 := former.Sign(text)
	_, err2 := made.Sign(text)
	fmt.Println(len(text), err1, err2)
	// Output: 176 <nil> <nil>
}
