package device_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"fmt"
	"strings"
	"time"

	"ltl/client/device"
)

// A device makes its key once, gives its public part to the operator who enrols it, and signs what it measures.
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
