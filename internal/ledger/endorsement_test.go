package ledger

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"errors"
	"fmt"
	"reflect"
	"testing"

	"google.golang.org/protobuf/proto"

	ltlv1 "ltl/proto/ltl/v1"
)

// goodEndorsement is about batch i; the chains take turns.
func goodEndorsement(i int) *Endorsement {
	return &Endorsement{
		ChainID: fmt.Sprintf("%016d", i%3), Root: sha256.Sum256(fmt.Append(nil, i)), Count: 9, Height: uint64(10 + i),
		ClockMs: 1, Organisation: "org1", Flags: byte(i % 2), Accepted: []byte{byte(i), 0x80},
	}
}

func testKey() ed25519.PrivateKey { return ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize)) }

func read(e *Endorsement, in *ltlv1.Endorsement) (*Endorsement, error) {
	return ParseEndorsement(in, e.ChainID, e.Root, int(e.Count))
}

// TestGather: trees of every allowed size, over several chains. Each batch's own leaf is read back, and no other's.
func TestGather(t *testing.T) {
	for size := 1; size <= MaxStatementLeaves; size++ {
		var all []*Endorsement
		for i := range size {
			all = append(all, goodEndorsement(i))
		}
		out := Gather(testKey(), all...)
		var leaves [][]byte
		for i, in := range out {
			if got, err := read(all[i], in); err != nil || !reflect.DeepEqual(got, all[i]) {
				t.Fatalf("%d of %d: %+v, %v, want %+v", i, size, got, err, all[i])
			}
			if err := VerifyEndorsement(testKey().Public().(ed25519.PublicKey), in); err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(in.GetStatement(), out[0].GetStatement()) {
				t.Fatal("two statements in one gathering")
			}
			other := all[(i+1)%size]
			if _, err := read(other, in); size > 1 && !errors.Is(err, ErrMalformed) {
				t.Fatalf("%d of %d counts for another batch: %v", i, size, err)
			}
			var leaf bytes.Buffer
			leaf.WriteString("ltl/batchleaf/v2\x00" + all[i].ChainID)
			leaf.Write(all[i].Root[:])
			leaf.Write([]byte{0, 0, 0, 9, 0, 0, 0, 0, 0, 0, 0, byte(10 + i), all[i].Flags, byte(i), 0x80})
			leaves = append(leaves, leaf.Bytes())
		}
		s, err := ParseStatement(out[0].GetStatement())
		if err != nil || s.TreeRoot != naiveRoot(leaves) || int(s.Leaves) != size {
			t.Fatalf("%d leaves: statement %+v, %v", size, s, err)
		}
	}
}

// TestEndorsementRefused changes each part of an endorsement that has a place in a tree of five.
func TestEndorsementRefused(t *testing.T) {
	var all []*Endorsement
	for i := range 5 {
		all = append(all, goodEndorsement(i))
	}
	out := Gather(testKey(), all...)
	for name, change := range map[string]func(e *ltlv1.Endorsement){
		"no statement":     func(e *ltlv1.Endorsement) { e.Statement = nil },
		"next index":       func(e *ltlv1.Endorsement) { e.Index++ },
		"index 5":          func(e *ltlv1.Endorsement) { e.Index = 5 },
		"huge index":       func(e *ltlv1.Endorsement) { e.Index += 1 << 31 },
		"path one longer":  func(e *ltlv1.Endorsement) { e.Path = append(e.Path, make([]byte, 32)...) },
		"path one shorter": func(e *ltlv1.Endorsement) { e.Path = e.Path[:len(e.Path)-32] },
		"no path":          func(e *ltlv1.Endorsement) { e.Path = nil },
		"a byte more":      func(e *ltlv1.Endorsement) { e.Path = append(e.Path, 0) },
		"another path":     func(e *ltlv1.Endorsement) { e.Path[40] ^= 1 },
		"height":           func(e *ltlv1.Endorsement) { e.Height++ },
		"flag":             func(e *ltlv1.Endorsement) { e.Flags ^= FlagOpened },
		"unknown flag":     func(e *ltlv1.Endorsement) { e.Flags |= 2 },
		"flag 256":         func(e *ltlv1.Endorsement) { e.Flags |= 256 },
		"bits":             func(e *ltlv1.Endorsement) { e.Bitmap[0] ^= 1 },
		"spare bit":        func(e *ltlv1.Endorsement) { e.Bitmap[1] |= 1 },
		"short bitmap":     func(e *ltlv1.Endorsement) { e.Bitmap = e.Bitmap[:1] },
		"long bitmap":      func(e *ltlv1.Endorsement) { e.Bitmap = append(e.Bitmap, 0) },
		"another tree": func(e *ltlv1.Endorsement) {
			e.Statement = Gather(testKey(), all[:4]...)[2].GetStatement()
		},
	} {
		e := proto.CloneOf(out[2])
		change(e)
		if _, err := read(all[2], e); !errors.Is(err, ErrMalformed) {
			t.Errorf("%s: %v, want ErrMalformed", name, err)
		}
	}
	for name, change := range map[string]func(e *Endorsement){
		"another chain": func(e *Endorsement) { e.ChainID = "0000000000000009" },
		"another root":  func(e *Endorsement) { e.Root[0] ^= 1 },
		"another count": func(e *Endorsement) { e.Count = 10 },
		"no count":      func(e *Endorsement) { e.Count = 0 },
		"huge count":    func(e *Endorsement) { e.Count = MaxBatchTransactions + 1 },
	} {
		e := *all[2]
		change(&e)
		if _, err := read(&e, out[2]); !errors.Is(err, ErrMalformed) {
			t.Errorf("%s: %v, want ErrMalformed", name, err)
		}
	}
}

// TestTreesOfOneHashAreNotAnother: a leaf, an inner node and the trees of other data do not pass for one another.
func TestTreesOfOneHashAreNotAnother(t *testing.T) {
	a, b := goodEndorsement(0), goodEndorsement(1)
	pair := Gather(testKey(), a, b)
	s, err := ParseStatement(pair[0].GetStatement())
	if err != nil {
		t.Fatal(err)
	}
	// The root of the pair as the leaf of a tree of one, and the root of other trees with the same content.
	if a.LeafHash() == s.TreeRoot || a.LeafHash() == BatchRoot([]Hash{a.Root}) ||
		s.TreeRoot == BatchRoot([]Hash{a.LeafHash(), b.LeafHash()}) ||
		s.TreeRoot == TransactionsRoot([]Outcome{{ID: a.Root, BatchRoot: b.Root}}) ||
		a.LeafHash() == WritesHash([]Write{{Key: a.Root[:]}}) {
		t.Error("two kinds of trees have one root")
	}
	s.Leaves = 1 // a tree of one, whose leaf would be the inner node
	short := proto.CloneOf(pair[0])
	short.Statement, short.Path = s.Encode(), nil
	if _, err := read(a, short); !errors.Is(err, ErrMalformed) {
		t.Errorf("an inner node passes for a leaf: %v", err)
	}
}

// TestBatchHashCoversEveryPart: no part of an endorsement can be changed without the batch hash.
func TestBatchHashCoversEveryPart(t *testing.T) {
	whole := func() *ltlv1.Endorsement {
		return &ltlv1.Endorsement{Statement: []byte("s"), Signature: []byte("g"), Index: 1, Path: []byte("p"), Height: 2,
			Flags: 1, Bitmap: []byte("b")}
	}
	before := BatchHash(Hash{}, 1, []*ltlv1.Endorsement{whole()})
	for name, change := range map[string]func(e *ltlv1.Endorsement){
		"statement": func(e *ltlv1.Endorsement) { e.Statement = []byte("t") },
		"signature": func(e *ltlv1.Endorsement) { e.Signature = nil },
		"index":     func(e *ltlv1.Endorsement) { e.Index = 0 },
		"path":      func(e *ltlv1.Endorsement) { e.Path = nil },
		"height":    func(e *ltlv1.Endorsement) { e.Height += 1 << 40 },
		"flags":     func(e *ltlv1.Endorsement) { e.Flags += 256 },
		"bitmap":    func(e *ltlv1.Endorsement) { e.Bitmap = []byte("bb") },
	} {
		e := whole()
		change(e)
		if BatchHash(Hash{}, 1, []*ltlv1.Endorsement{e}) == before {
			t.Errorf("another %s, the same batch hash", name)
		}
	}
}

// FuzzParseEndorsement: arbitrary parts are one endorsement or none, and no two have the same meaning.
func FuzzParseEndorsement(f *testing.F) {
	for i, e := range Gather(testKey(), goodEndorsement(0), goodEndorsement(1), goodEndorsement(2)) {
		f.Add(e.GetStatement(), e.GetIndex(), e.GetPath(), e.GetHeight(), e.GetFlags(), e.GetBitmap(), i)
	}
	f.Fuzz(func(t *testing.T, statement []byte, index uint32, path []byte, height uint64, flags uint32, bitmap []byte,
		i int) {
		in := &ltlv1.Endorsement{Statement: statement, Index: index, Path: path, Height: height, Flags: flags, Bitmap: bitmap}
		e := goodEndorsement(i & 3)
		got, err := read(e, in)
		if err != nil {
			if !errors.Is(err, ErrMalformed) {
				t.Fatalf("%v is not ErrMalformed", err)
			}
			return
		}
		s, err := ParseStatement(statement)
		if err != nil {
			t.Fatal(err)
		}
		root, ok := foldPath(got.LeafHash(), index, s.Leaves, path)
		if !ok || root != s.TreeRoot || len(path)/32 > 6 || got.Height != height || uint32(got.Flags) != flags {
			t.Fatalf("accepted %+v", in)
		}
	})
}
