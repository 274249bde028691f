package format_test

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"testing"

	"ltl/internal/identity"
	"ltl/internal/ledger"
)

// sealedVectors seal with a nonce that is always the same, which only vectors may; the product must open them.
func sealedVectors(t *testing.T) (all []object) {
	key := bytes.Repeat([]byte{7}, identity.SealingKeyLen)
	for i, secret := range []string{"", "2Vtx9Kq0sExampleSecret0000000"} {
		seal := identity.AccessKeySeal{Network: hash("network"), Organisation: "org1", AccessKeyID: "LTAIvectors",
			UID: administrator, Version: uint64(i + 1)}
		id := ledger.SealKeyID(key)
		nonce := bytes.Repeat([]byte{byte(i)}, ledger.SealNonceLen)
		data := ledger.SealedData(seal.Network, seal.Organisation, seal.AccessKeyID, seal.UID, seal.Version)
		sealed := append([]byte{ledger.SealedVersion}, id[:]...)
		sealed = gcmOf(t, key).Seal(append(sealed, nonce...), nonce, []byte(secret), data)
		if got, _, err := seal.Open([][]byte{key}, sealed); err != nil || got != secret {
			t.Fatalf("the vector opens as %q, %v", got, err)
		}
		all = append(all, object{
			"key": h(key), "network": hh(seal.Network), "organisation": seal.Organisation, "id": seal.AccessKeyID,
			"uid": seal.UID, "version": seal.Version, "secret": secret, "keyId": h(id[:]), "sealed": h(sealed),
			"commitment": hh(ledger.SealedCommitment(sealed)),
		})
	}
	return all
}

func gcmOf(t *testing.T, key []byte) cipher.AEAD {
	t.Helper()
	block, err := aes.NewCipher(key)
	if err != nil {
		t.Fatal(err)
	}
	gcm, err := cipher.NewGCM(block)
	if err != nil {
		t.Fatal(err)
	}
	return gcm
}
