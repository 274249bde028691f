package format

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"go/parser"
	"go/token"
	"os"
	"strconv"
	"strings"
	"testing"
)

// This package is the second implementation of docs/bytes.md: it was written from that document, and uses the
// standard library only. Slowness is no concern.

const vectorsFile = "../../internal/ledger/testdata/vectors.json"

// hexed is a byte string that stands as hexadecimal in JSON.
type hexed []byte

func (b *hexed) UnmarshalJSON(text []byte) error {
	var s string
	if err := json.Unmarshal(text, &s); err != nil {
		return err
	}
	raw, err := hex.DecodeString(s)
	*b = raw
	return err
}

// openGCM opens AES-256-GCM.
func openGCM(t *testing.T, key, nonce, ciphertext, data []byte) []byte {
	t.Helper()
	block, err := aes.NewCipher(key)
	if err != nil {
		t.Fatal(err)
	}
	gcm, err := cipher.NewGCM(block)
	if err != nil {
		t.Fatal(err)
	}
	plain, err := gcm.Open(nil, nonce, ciphertext, data)
	if err != nil {
		t.Fatalf("a sealed secret does not open: %v", err)
	}
	return plain
}

type endorsement struct {
	Statement, Signature, Path, Bitmap hexed
	Index, Flags                       uint32
	Height                             uint64
}

type write struct{ Key, Value hexed }

type vectors struct {
	TransactionID []struct{ Payload, Hash hexed } `json:"transactionId"`
	NetworkID     []struct{ Payload, Hash hexed } `json:"networkId"`
	KeyID         []struct {
		PublicKey hexed
		KeyID     hexed `json:"keyId"`
	} `json:"keyId"`
	Sealed []struct {
		Key, Network          hexed
		Organisation, ID, UID string
		Version               uint64
		Secret                string
		KeyID                 hexed `json:"keyId"`
		Sealed, Commitment    hexed
	}
	DataHash []struct {
		Value string
		Hash  hexed
	}
	Commitments []struct {
		ChainID string
		opening
		Commitment hexed
	}
	BatchRoot []struct {
		IDs  []hexed
		Root hexed
	}
	Outcomes []struct {
		Outcomes []struct {
			ID              hexed
			Code            int32
			BatchRoot, Leaf hexed
		}
		Root hexed
	}
	Statements []struct {
		NetworkID                 hexed
		Organisation              string
		SystemHeight              uint64
		ClockMs                   uint64
		PublicKey, PrivateKeySeed hexed
		Leaves                    []struct {
			ChainID     string
			Root        hexed
			Accepted    []bool
			Endorsement endorsement
		}
	}
	BatchHash []struct {
		Root         hexed
		Count        uint32
		Endorsements []endorsement
		Hash         hexed
	}
	BatchesHash []struct {
		Batches []hexed
		Hash    hexed
	}
	WritesHash []struct {
		Writes []write
		Hash   hexed
	}
	HeadsHash []heads
	Headers   []struct {
		NetworkID, Previous, TxRoot, BatchesHash, WritesHash, Header, BlockHash hexed
		ChainID                                                                 string
		Height, TimeMs, SystemHeight, Sequence, ReferenceMs                     string
		Count                                                                   uint32
	}
	// Floors are headers with the newest correction of the time.
	Floors []struct {
		Header        hexed
		Height        uint64
		ToMs, FloorMs string
	}
	// SignedTexts are what keys of organisations sign beside endorsements.
	SignedTexts []signedText
	// DeviceKeys are what the former and the new key of a device sign.
	DeviceKeys []deviceKeyText
	Ledger     struct {
		NetworkID hexed
		Blocks    []block
	}
}

type block struct {
	Header, BlockHash hexed
	Batches           []batch
	Results           []int32
	Writes            []write
}

type batch struct {
	Transactions []hexed
	Endorsements []endorsement
	Openings     [][]opening
}

// opening is a value beside a transaction.
type opening struct {
	Slot  uint32
	Salt  hexed
	Value string
}

// commitment is what the payload holds in the place of an opening's value.
func (o opening) commitment(chainID string) []byte {
	return sum([]byte("ltl/value/v1\x00"), []byte(chainID), u32(o.Slot), o.Salt, long(o.Value))
}

func loadVectors(t *testing.T) vectors {
	t.Helper()
	raw, err := os.ReadFile(vectorsFile)
	if err != nil {
		t.Fatal(err)
	}
	var v vectors
	decoder := json.NewDecoder(bytes.NewReader(raw))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&v); err != nil {
		t.Fatal(err)
	}
	return v
}

func sum(parts ...[]byte) []byte {
	h := sha256.Sum256(bytes.Join(parts, nil))
	return h[:]
}

func u32(n uint32) []byte { return binary.BigEndian.AppendUint32(nil, n) }

func u64(n uint64) []byte { return binary.BigEndian.AppendUint64(nil, n) }

// long is a byte string behind its length.
func long[T string | []byte | hexed](b T) []byte { return append(u32(uint32(len(b))), b...) }

func transactionID(payload []byte) []byte { return sum([]byte("ltl/tx/v1\x00"), payload) }

func networkID(payload []byte) []byte { return sum([]byte("ltl/genesis/v1\x00"), payload) }

func keyID(public []byte) []byte { return sum([]byte("ltl/key/v1\x00"), public)[:8] }

// treeRoot is RFC 6962, section 2.1.
func treeRoot(leaves [][]byte) []byte {
	if len(leaves) == 0 {
		return sum()
	}
	if len(leaves) == 1 {
		return sum([]byte{0}, leaves[0])
	}
	k := 1
	for 2*k < len(leaves) {
		k *= 2
	}
	return sum([]byte{1}, treeRoot(leaves[:k]), treeRoot(leaves[k:]))
}

func outcomeLeaf(id []byte, code int32, batchRoot []byte) []byte {
	return bytes.Join([][]byte{id, u32(uint32(code)), batchRoot}, nil)
}

func batchHash(root []byte, count uint32, endorsements []endorsement) []byte {
	parts := [][]byte{[]byte("ltl/batch/v1\x00"), root, u32(count), u32(uint32(len(endorsements)))}
	for _, e := range endorsements {
		parts = append(parts, long(e.Statement), long(e.Signature), u32(e.Index), long(e.Path), u64(e.Height), u32(e.Flags),
			long(e.Bitmap))
	}
	return sum(parts...)
}

func batchesHash(batches [][]byte) []byte {
	return sum(append([][]byte{[]byte("ltl/batches/v1\x00"), u32(uint32(len(batches)))}, batches...)...)
}

func writesHash(writes []write) []byte {
	var leaves [][]byte
	for _, w := range writes {
		leaves = append(leaves, append(long(w.Key), long(w.Value)...))
	}
	return sum([]byte("ltl/writes/v1\x00"), u32(uint32(len(writes))), treeRoot(leaves))
}

func bitmap(accepted []bool) []byte {
	b := make([]byte, (len(accepted)+7)/8)
	for i, yes := range accepted {
		if yes {
			b[i/8] |= 1 << (7 - i%8)
		}
	}
	return b
}

func signed(statement []byte) []byte {
	return append([]byte("ltl/endorsement/v2\x00"), statement...)
}

func same(t *testing.T, what string, got, want []byte) {
	t.Helper()
	if !bytes.Equal(got, want) {
		t.Errorf("%s\ngot  %x\nwant %x", what, got, want)
	}
}

func TestHashes(t *testing.T) {
	v := loadVectors(t)
	counts := []int{len(v.TransactionID), len(v.NetworkID), len(v.KeyID), len(v.DataHash), len(v.BatchRoot), len(v.Commitments),
		len(v.Outcomes), len(v.BatchHash), len(v.BatchesHash), len(v.WritesHash)}
	for i, n := range counts {
		if n == 0 {
			t.Errorf("no vectors of kind %d", i)
		}
	}
	for _, x := range v.TransactionID {
		same(t, "transaction id", transactionID(x.Payload), x.Hash)
	}
	for _, x := range v.NetworkID {
		same(t, "network id", networkID(x.Payload), x.Hash)
	}
	for _, x := range v.KeyID {
		same(t, "key id", keyID(x.PublicKey), x.KeyID)
	}
	for _, x := range v.Sealed {
		same(t, "sealing key's id", sum([]byte("ltl/sealkey/v1\x00"), x.Key)[:8], x.KeyID)
		same(t, "commitment", sum([]byte("ltl/accesskey/v1\x00"), x.Sealed), x.Commitment)
		same(t, "head of a sealed secret", append([]byte{2}, x.KeyID...), x.Sealed[:9])
		data := bytes.Join([][]byte{[]byte("ltl/seal/v2\x00"), x.Network, long(x.Organisation), long(x.ID), long(x.UID),
			u64(x.Version)}, nil)
		same(t, "secret", openGCM(t, x.Key, x.Sealed[9:21], x.Sealed[21:], data), []byte(x.Secret))
	}
	for _, x := range v.DataHash {
		same(t, "data hash", sum([]byte(x.Value)), x.Hash)
	}
	for _, x := range v.Commitments {
		same(t, "commitment", x.commitment(x.ChainID), x.Commitment)
	}
	for _, x := range v.BatchRoot {
		var leaves [][]byte
		for _, id := range x.IDs {
			leaves = append(leaves, id)
		}
		same(t, "batch root", treeRoot(leaves), x.Root)
	}
	for _, x := range v.Outcomes {
		var leaves [][]byte
		for _, o := range x.Outcomes {
			leaf := outcomeLeaf(o.ID, o.Code, o.BatchRoot)
			same(t, "outcome leaf", leaf, o.Leaf)
			leaves = append(leaves, leaf)
		}
		same(t, "transactions root", treeRoot(leaves), x.Root)
	}
	for _, x := range v.BatchHash {
		same(t, "batch hash", batchHash(x.Root, x.Count, x.Endorsements), x.Hash)
	}
	for _, x := range v.BatchesHash {
		var hashes [][]byte
		for _, b := range x.Batches {
			hashes = append(hashes, b)
		}
		same(t, "batches hash", batchesHash(hashes), x.Hash)
	}
	for _, x := range v.WritesHash {
		same(t, "writes hash", writesHash(x.Writes), x.Hash)
	}
}

func batchLeaf(chainID string, root []byte, accepted []bool, height uint64, flags byte) []byte {
	return bytes.Join([][]byte{[]byte("ltl/batchleaf/v2\x00"), []byte(chainID), root, u32(uint32(len(accepted))),
		u64(height), {flags}, bitmap(accepted)}, nil)
}

func statement(network, root []byte, leaves uint32, systemHeight, clockMs uint64, public []byte, org string) []byte {
	return bytes.Join([][]byte{{2}, network, root, u32(leaves), u64(systemHeight), u64(clockMs), keyID(public),
		{byte(len(org))}, []byte(org)}, nil)
}

// climb computes a tree's root from a leaf's hash, its index, the number of leaves and its path; nil when the path has
// not the length that RFC 6962, section 2.1.1, gives it.
func climb(leaf []byte, index, leaves int, path []byte) []byte {
	if leaves == 1 {
		if index != 0 || len(path) != 0 {
			return nil
		}
		return leaf
	}
	if len(path) < 32 {
		return nil
	}
	k := 1
	for 2*k < leaves {
		k *= 2
	}
	rest, sibling := path[:len(path)-32], path[len(path)-32:]
	if index < k {
		if left := climb(leaf, index, k, rest); left != nil {
			return sum([]byte{1}, left, sibling)
		}
		return nil
	}
	if right := climb(leaf, index-k, leaves-k, rest); right != nil {
		return sum([]byte{1}, sibling, right)
	}
	return nil
}

func TestStatements(t *testing.T) {
	v := loadVectors(t)
	if len(v.Statements) == 0 {
		t.Error("no vectors")
	}
	for _, x := range v.Statements {
		var leaves [][]byte
		for _, l := range x.Leaves {
			leaves = append(leaves, batchLeaf(l.ChainID, l.Root, l.Accepted, l.Endorsement.Height, byte(l.Endorsement.Flags)))
		}
		n := len(leaves)
		root := treeRoot(leaves)
		signs := statement(x.NetworkID, root, uint32(n), x.SystemHeight, x.ClockMs, x.PublicKey, x.Organisation)
		private := ed25519.NewKeyFromSeed(x.PrivateKeySeed)
		same(t, "public key", private.Public().(ed25519.PublicKey), x.PublicKey)
		for i, l := range x.Leaves {
			e := l.Endorsement
			same(t, "statement", e.Statement, signs)
			same(t, "signature", e.Signature, ed25519.Sign(private, signed(signs)))
			same(t, "bitmap", e.Bitmap, bitmap(l.Accepted))
			same(t, "root of the path", climb(sum([]byte{0}, leaves[i]), i, n, e.Path), root)
			if int(e.Index) != i {
				t.Errorf("index %d, want %d", e.Index, i)
			}
		}
	}
}

func TestHeaders(t *testing.T) {
	v := loadVectors(t)
	if len(v.Headers) == 0 {
		t.Error("no vectors")
	}
	number := func(s string) uint64 {
		n, err := strconv.ParseUint(s, 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	for _, x := range v.Headers {
		header := bytes.Join([][]byte{
			{2}, x.NetworkID, []byte(x.ChainID), u64(number(x.Height)), u64(number(x.TimeMs)), x.Previous, u32(x.Count),
			x.TxRoot,
			x.BatchesHash, x.WritesHash, u64(number(x.SystemHeight)), u64(number(x.Sequence)), u64(number(x.ReferenceMs)),
		}, nil)
		same(t, "header", header, x.Header)
		same(t, "block hash", sum([]byte{0}, header), x.BlockHash)
	}
}

// TestThisImplementationIsIndependent: nothing of this package but its name is shared with the product.
func TestThisImplementationIsIndependent(t *testing.T) {
	for _, name := range []string{"simple_test.go", "ledger_test.go"} {
		f, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.ImportsOnly)
		if err != nil {
			t.Fatal(err)
		}
		for _, i := range f.Imports {
			path := strings.Trim(i.Path.Value, `"`)
			if first, _, _ := strings.Cut(path, "/"); first == "ltl" || strings.Contains(first, ".") {
				t.Errorf("%s imports %s", name, path)
			}
		}
	}
}

// TestLayoutsOfTheDocument: in every table of offsets each field begins where the one before ends.
func TestLayoutsOfTheDocument(t *testing.T) {
	raw, err := os.ReadFile("../../docs/bytes.md")
	if err != nil {
		t.Fatal(err)
	}
	var ends []int
	end, inside := 0, false
	for line := range strings.SplitSeq(string(raw)+"\n", "\n") {
		cells := strings.Split(line, "|")
		if len(cells) < 4 || strings.HasPrefix(line, "|---") {
			if inside && !strings.HasPrefix(line, "|---") {
				ends = append(ends, end)
				inside = false
			}
			continue
		}
		if strings.TrimSpace(cells[1]) == "offset" {
			end, inside = 0, true
			continue
		}
		offset, err1 := strconv.Atoi(strings.TrimSpace(cells[1]))
		size, err2 := strconv.Atoi(strings.TrimSpace(cells[2]))
		if !inside || err1 != nil { // another table, or an offset that depends on a length
			continue
		}
		if offset != end {
			t.Errorf("%s begins at %d, the field before it ends at %d", line, offset, end)
		}
		if err2 == nil {
			end = offset + size
		}
	}
	if got := [3]int(append(ends, 0, 0, 0)[:3]); got != [3]int{94, 68, 221} || len(ends) != 3 {
		t.Errorf("the layouts end at %v, want the statement's fixed part 94, the outcome 68, the header 221", ends)
	}
}
