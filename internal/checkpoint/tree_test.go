package checkpoint

import (
	"context"
	"encoding/binary"
	"errors"
	"math/rand/v2"
	"testing"

	"github.com/transparency-dev/merkle/proof"
	"github.com/transparency-dev/merkle/rfc6962"

	"ltl/internal/ledger"
)

// leafHash is the hash of a block of a made-up chain; fork numbers the chain.
func leafHash(fork byte, height uint64) ledger.Hash {
	return ledger.LeafHash(binary.BigEndian.AppendUint64([]byte{fork}, height))
}

func leavesOf(fork byte, n uint64) []ledger.Hash {
	out := make([]ledger.Hash, n)
	for i := range out {
		out[i] = leafHash(fork, uint64(i))
	}
	return out
}

// rootOf is the root by the definition of RFC 6962.
func rootOf(leaves []ledger.Hash) ledger.Hash {
	if len(leaves) == 1 {
		return leaves[0]
	}
	k := 1
	for 2*k < len(leaves) {
		k *= 2
	}
	left, right := rootOf(leaves[:k]), rootOf(leaves[k:])
	return ledger.Hash(rfc6962.DefaultHasher.HashChildren(left[:], right[:]))
}

func split(path []byte) (out [][]byte) {
	for ; len(path) > 0; path = path[32:] {
		out = append(out, path[:32])
	}
	return out
}

// TestTree: roots are those of the definition, and paths verify by the library, in whatever order sizes are asked for.
func TestTree(t *testing.T) {
	const most = 1100
	leaves := leavesOf(0, most)
	random := rand.New(rand.NewPCG(1, 2))
	for range 20 {
		tr := &tree{leaf: func(h uint64) (ledger.Hash, error) { return leaves[h], nil }}
		for range 20 {
			size := 1 + random.Uint64N(most)
			if random.IntN(4) == 0 {
				size = min(most, (size/tileSize+1)*tileSize)
			}
			root, err := tr.root(t.Context(), size)
			if err != nil || root != rootOf(leaves[:size]) {
				t.Fatalf("root of %d blocks: %x, %v", size, root, err)
			}
			height, before := random.Uint64N(size), 1+random.Uint64N(size)
			path, err := tr.inclusion(t.Context(), height, size)
			if err != nil {
				t.Fatal(err)
			}
			if err := proof.VerifyInclusion(rfc6962.DefaultHasher, height, size, leaves[height][:], split(path), root[:]); err != nil {
				t.Fatalf("block %d of %d: %v", height, size, err)
			}
			path, err = tr.consistency(t.Context(), before, size)
			if err != nil {
				t.Fatal(err)
			}
			first := rootOf(leaves[:before])
			if err := proof.VerifyConsistency(rfc6962.DefaultHasher, before, size, split(path), first[:], root[:]); err != nil {
				t.Fatalf("%d blocks and %d: %v", before, size, err)
			}
		}
	}
}

// TestTreeInterrupted: an end of the context or an error of the disk loses nothing of the tree, and adds nothing wrong.
func TestTreeInterrupted(t *testing.T) {
	const size = 5*tileSize + 7
	leaves, reads := leavesOf(0, size), 0
	broken := errors.New("the disk fails")
	tr := &tree{leaf: func(h uint64) (ledger.Hash, error) {
		if reads++; reads%300 == 0 {
			return ledger.Hash{}, broken
		}
		return leaves[h], nil
	}}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := tr.root(ended, size); !errors.Is(err, context.Canceled) {
		t.Fatalf("after the end: %v", err)
	}
	failures := 0
	for {
		root, err := tr.root(t.Context(), size)
		if errors.Is(err, broken) {
			failures++
			continue
		}
		if err != nil || root != rootOf(leaves) || failures == 0 {
			t.Fatalf("root %x after %d failures: %v", root, failures, err)
		}
		return
	}
}
