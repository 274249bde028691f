package ledger

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"math/bits"
	"testing"

	"pgregory.net/rapid"

	ltlv1 "ltl/proto/ltl/v1"
)

// naiveRoot is RFC 6962, section 2.1, word for word: a second implementation that shares nothing with the library.
func naiveRoot(leaves [][]byte) Hash {
	switch n := len(leaves); n {
	case 0:
		return sha256.Sum256(nil)
	case 1:
		return sha256.Sum256(append([]byte{0}, leaves[0]...))
	default:
		k := 1 << (bits.Len(uint(n-1)) - 1) // the largest power of two smaller than n
		left, right := naiveRoot(leaves[:k]), naiveRoot(leaves[k:])
		return sha256.Sum256(append(append([]byte{1}, left[:]...), right[:]...))
	}
}

func naiveOutcome(o Outcome) []byte {
	return append(binary.BigEndian.AppendUint32(append([]byte{}, o.ID[:]...), uint32(o.Code)), o.BatchRoot[:]...)
}

// checkRoots compares both roots over n leaves with the naive implementation.
func checkRoots(t testing.TB, ids []Hash, outcomes []Outcome) {
	t.Helper()
	var leaves, outcomeLeaves [][]byte
	for i := range ids {
		leaves = append(leaves, ids[i][:])
		outcomeLeaves = append(outcomeLeaves, naiveOutcome(outcomes[i]))
	}
	if got, want := BatchRoot(ids), naiveRoot(leaves); got != want {
		t.Fatalf("BatchRoot of %d ids = %x, want %x", len(ids), got, want)
	}
	if got, want := TransactionsRoot(outcomes), naiveRoot(outcomeLeaves); got != want {
		t.Fatalf("TransactionsRoot of %d = %x, want %x", len(ids), got, want)
	}
}

func TestRootsAtTheEdges(t *testing.T) {
	sizes := []int{0, 1, 2, 3, 5, 6, 7}
	for k := 4; k <= 1024; k *= 2 {
		sizes = append(sizes, k-1, k, k+1)
	}
	seen := make(map[Hash]int)
	for _, n := range sizes {
		ids, outcomes := make([]Hash, n), make([]Outcome, n)
		for i := range n {
			ids[i] = sha256.Sum256(fmt.Append(nil, i))
			outcomes[i] = Outcome{ID: ids[i], Code: int32(i) - 5, BatchRoot: sha256.Sum256(fmt.Append(nil, "root", i/7))}
		}
		checkRoots(t, ids, outcomes)
		if other, twice := seen[BatchRoot(ids)]; twice && other != n {
			t.Errorf("%d and %d leaves have one root", other, n)
		}
		seen[BatchRoot(ids)] = n
	}
	empty := Hash(sha256.Sum256(nil))
	if BatchRoot(nil) != empty || TransactionsRoot(nil) != empty {
		t.Error("the root of nothing is not SHA-256 of nothing")
	}
}

func TestRootsMatchTheNaiveOnes(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		outcomes := rapid.SliceOfN(rapid.Custom(drawOutcome), 0, 40).Draw(t, "outcomes")
		ids := make([]Hash, len(outcomes))
		leaves, outcomeLeaves := make([][]byte, len(outcomes)), make([][]byte, len(outcomes))
		for i, o := range outcomes {
			ids[i], leaves[i], outcomeLeaves[i] = o.ID, o.ID[:], naiveOutcome(o)
		}
		if BatchRoot(ids) != naiveRoot(leaves) || TransactionsRoot(outcomes) != naiveRoot(outcomeLeaves) {
			t.Fatal("another root than RFC 6962's")
		}
	})
}

func drawHash(t *rapid.T) Hash {
	return Hash(rapid.SliceOfN(rapid.Byte(), 32, 32).Draw(t, "hash"))
}

func drawOutcome(t *rapid.T) Outcome {
	return Outcome{ID: drawHash(t), Code: rapid.Int32().Draw(t, "code"), BatchRoot: drawHash(t)}
}

// TestEveryPartOfAnOutcomeCounts changes each bit of one outcome in turn; the root must change.
func TestEveryPartOfAnOutcomeCounts(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		outcomes := rapid.SliceOfN(rapid.Custom(drawOutcome), 1, 9).Draw(t, "outcomes")
		before := TransactionsRoot(outcomes)
		o := &outcomes[rapid.IntRange(0, len(outcomes)-1).Draw(t, "which")]
		flip := func(bit int) {
			switch {
			case bit < 256:
				o.ID[bit/8] ^= 1 << (bit % 8)
			case bit < 288:
				o.Code ^= 1 << (bit - 256)
			default:
				o.BatchRoot[(bit-288)/8] ^= 1 << (bit % 8)
			}
		}
		for bit := range 68 * 8 {
			flip(bit)
			if TransactionsRoot(outcomes) == before {
				t.Fatalf("bit %d does not count", bit)
			}
			flip(bit)
		}
	})
}

func TestDomainsAreSeparate(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		b := rapid.SliceOfN(rapid.Byte(), 0, 80).Draw(t, "bytes")
		id := KeyID(b)
		hashes := map[string][]byte{
			"transaction": hashBytes(TransactionID(b)), "network": hashBytes(NetworkID(b)),
			"data":  hashBytes(DataHash(string(b))),
			"block": hashBytes(BlockHash(b)), "writes": hashBytes(WritesHash([]Write{{Key: b}})),
			"batches": hashBytes(BatchesHash(nil)),
		}
		seen := make(map[string]string)
		for name, h := range hashes {
			if other, twice := seen[string(h)]; twice {
				t.Fatalf("%s and %s have one hash over %x", name, other, b)
			}
			seen[string(h)] = name
			if bytes.HasPrefix(h, id[:]) {
				t.Fatalf("the key id is the start of the %s hash", name)
			}
		}
	})
}

func hashBytes(h Hash) []byte { return h[:] }

func TestTransactionIDPrefix(t *testing.T) {
	want := sha256.Sum256([]byte("ltl/tx/v1\x00payload"))
	if TransactionID([]byte("payload")) != want {
		t.Error("the transaction id is not SHA-256 of its domain and payload")
	}
}

// injective fails t when two different inputs get one hash; drawn inputs come from a small alphabet so that
// boundaries are tried.
func injective[T any](t *testing.T, draw func(*rapid.T) T, hash func(T) Hash) {
	t.Helper()
	rapid.Check(t, func(t *rapid.T) {
		a, b := draw(t), draw(t)
		if same := fmt.Sprintf("%q", any(a)) == fmt.Sprintf("%q", any(b)); (hash(a) == hash(b)) != same {
			t.Fatalf("%q and %q: same %v, same hash %v", any(a), any(b), same, hash(a) == hash(b))
		}
	})
}

func drawSmall(t *rapid.T) []byte {
	return rapid.SliceOfN(rapid.SampledFrom([]byte{0, 1, 'a'}), 0, 3).Draw(t, "small")
}

func TestWritesHashIsInjective(t *testing.T) {
	injective(t, func(t *rapid.T) []Write {
		return rapid.SliceOfN(rapid.Custom(func(t *rapid.T) Write {
			return Write{Key: drawSmall(t),
				Value: drawSmall(t)}
		}), 0, 3).Draw(t, "writes")
	}, WritesHash)
	// Moving a byte over a boundary is what plain concatenation misses.
	a := WritesHash([]Write{{Key: []byte("ab"), Value: []byte("c")}})
	for name, w := range map[string][]Write{
		"key to value":   {{Key: []byte("a"), Value: []byte("bc")}},
		"value to key":   {{Key: []byte("abc")}},
		"two writes":     {{Key: []byte("ab")}, {Key: []byte("c")}},
		"one more empty": {{Key: []byte("ab"), Value: []byte("c")}, {}},
		"swapped":        {{Key: []byte("c"), Value: []byte("ab")}},
	} {
		if WritesHash(w) == a {
			t.Errorf("%s: the same hash", name)
		}
	}
}

type batchInput struct {
	Root         byte
	Count        int
	Endorsements [][2]string
}

func TestBatchHashIsInjective(t *testing.T) {
	injective(t, func(t *rapid.T) batchInput {
		return batchInput{
			Root:  rapid.SampledFrom([]byte{0, 1}).Draw(t, "root"),
			Count: rapid.IntRange(1, 3).Draw(t, "count"),
			Endorsements: rapid.SliceOfN(rapid.Custom(func(t *rapid.T) [2]string {
				return [2]string{string(drawSmall(t)), string(drawSmall(t))}
			}), 0, 3).Draw(t, "endorsements"),
		}
	}, func(in batchInput) Hash {
		var endorsements []*ltlv1.Endorsement
		for _, e := range in.Endorsements {
			endorsements = append(endorsements, &ltlv1.Endorsement{Statement: []byte(e[0]), Signature: []byte(e[1])})
		}
		return BatchHash(Hash{in.Root}, in.Count, endorsements)
	})
}

func TestBatchesHashIsInjective(t *testing.T) {
	injective(t, func(t *rapid.T) []byte {
		return rapid.SliceOfN(rapid.SampledFrom([]byte{0, 1, 2}), 0, 4).Draw(t, "batches")
	}, func(in []byte) Hash {
		hashes := make([]Hash, len(in))
		for i, b := range in {
			hashes[i] = Hash{b}
		}
		return BatchesHash(hashes)
	})
}

func TestValidChainID(t *testing.T) {
	for id, want := range map[string]bool{
		SystemChain: true, "9999999999999999": true, "0123456789012345": true,
		"": false, "000000000000000": false, "00000000000000000": false, "000000000000000a": false, "００００": false,
		"00000000 0000000": false,
		"-000000000000000": false, "000000000000000/": false, "000000000000000:": false,
	} {
		if ValidChainID(id) != want {
			t.Errorf("ValidChainID(%q) = %v", id, !want)
		}
	}
}
