package format

import (
	"bytes"
	"crypto/ed25519"
	"encoding/binary"
	"strconv"
	"testing"
)

// signedText is one text that a key of an organisation signs. Fields that its kind does not have are empty.
type signedText struct {
	Kind                            string
	NetworkID, PublicKey, Signature hexed
	Organisation                    string
	Number                          uint32
	Former, EndorserKey, Authority  hexed
	RetireAuthorities               bool
	RecoveryKey                     hexed
	NodeID                          string
	StoreID                         hexed
	// LapsesMs is in decimal digits.
	LapsesMs string
	// Genesis is the payload of a genesis with all signatures; the text is over it without them.
	Genesis hexed
}

// text is what docs/bytes.md says is signed.
func (s *signedText) text(t *testing.T) []byte {
	parts := [][]byte{s.NetworkID, long([]byte(s.Organisation))}
	domain := ""
	switch s.Kind {
	case "newKey":
		domain = "ltl/newkey/v1\x00"
		parts = append(parts, keyID(s.Former))
	case "newAuthority":
		domain = "ltl/newauthority/v1\x00"
		key, err := authorityKey(s.Authority)
		if err != nil || !bytes.Equal(key, s.PublicKey) {
			t.Fatalf("the authority's key is %x, %v", key, err)
		}
		parts = append(parts, long(s.Authority))
	case "newNode":
		domain = "ltl/newnode/v1\x00"
		parts = append(parts, long([]byte(s.NodeID)), s.PublicKey, s.StoreID)
	case "accept":
		domain = "ltl/accept/v1\x00"
		lapses, err := strconv.ParseUint(s.LapsesMs, 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		parts = append(parts, u64(lapses))
	case "recover":
		domain = "ltl/recover/v1\x00"
		retire := byte(0)
		if s.RetireAuthorities {
			retire = 1
		}
		parts = append(parts, u32(s.Number), long(s.EndorserKey), long(s.Authority), []byte{retire})
	case "newRecoveryKey":
		domain = "ltl/newrecovery/v1\x00"
		parts = append(parts, u32(s.Number), s.RecoveryKey)
	case "succeed":
		domain = "ltl/succeed/v1\x00"
		parts = append(parts, long(unsignedGenesis(t, s.Genesis)))
	default:
		t.Fatalf("a signed text of kind %q", s.Kind)
	}
	return append([]byte(domain), bytes.Join(parts, nil)...)
}

func TestSignedTexts(t *testing.T) {
	v := loadVectors(t)
	if len(v.SignedTexts) == 0 {
		t.Fatal("no signed texts")
	}
	for _, s := range v.SignedTexts {
		if !ed25519.Verify(ed25519.PublicKey(s.PublicKey), s.text(t), s.Signature) {
			t.Errorf("%s: the signature is not over what docs/bytes.md says", s.Kind)
		}
	}
}

// unsignedGenesis is the payload of a genesis without field 7 of the genesis. Every field before it is copied as it is.
func unsignedGenesis(t *testing.T, payload []byte) []byte {
	var genesis []byte
	envelope := fieldsBefore(t, payload, 60, func(b []byte) { genesis = b })
	kept := fieldsBefore(t, genesis, 7, func([]byte) {})
	envelope = binary.AppendUvarint(envelope, 60<<3|2)
	return append(binary.AppendUvarint(envelope, uint64(len(kept))), kept...)
}

// fieldsBefore returns the bytes of the fields below a number, and gives the content of the first other one to found.
func fieldsBefore(t *testing.T, b []byte, number uint64, found func([]byte)) []byte {
	rest := b
	for len(rest) > 0 {
		tag, n := binary.Uvarint(rest)
		size, m := binary.Uvarint(rest[n:])
		if n <= 0 || m <= 0 {
			t.Fatal("no field")
		}
		end := n + m
		if tag&7 == 2 {
			end += int(size)
		}
		if tag>>3 >= number {
			found(rest[n+m : end])
			break
		}
		rest = rest[end:]
	}
	return append([]byte(nil), b[:len(b)-len(rest)]...)
}

// heads is a vector of the hash over the newest blocks.
type heads struct {
	Heads []struct {
		ChainID string
		Height  uint64
		Hash    hexed
	}
	Hash hexed
}

func TestHeadsHash(t *testing.T) {
	vectors := loadVectors(t).HeadsHash
	if len(vectors) == 0 {
		t.Fatal("no heads")
	}
	for _, v := range vectors {
		var leaves [][]byte
		for _, h := range v.Heads {
			leaves = append(leaves, bytes.Join([][]byte{[]byte(h.ChainID), u64(h.Height), h.Hash}, nil))
		}
		same(t, "heads hash", sum([]byte("ltl/heads/v1\x00"), u32(uint32(len(leaves))), treeRoot(leaves)), v.Hash)
	}
}
