package store

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"go.etcd.io/bbolt"
	"google.golang.org/protobuf/proto"
	"pgregory.net/rapid"

	ltlv1 "ltl/proto/ltl/v1"
)

func drawBlock(t *rapid.T) *ltlv1.Block {
	blob := rapid.SliceOfN(rapid.Byte(), 0, 40)
	b := &ltlv1.Block{Header: blob.Draw(t, "header"), Results: rapid.SliceOfN(rapid.Int32(), 0, 300).Draw(t, "results")}
	for range rapid.IntRange(0, 3).Draw(t, "batches") {
		batch := &ltlv1.Batch{ChainId: rapid.SampledFrom([]string{"", "0000000000000000", "1234567890123456"}).Draw(t,
			"chain"), Transactions: rapid.SliceOfN(blob, 0, 5).Draw(t, "transactions")}
		for range rapid.IntRange(0, 3).Draw(t, "endorsements") {
			batch.Endorsements = append(batch.Endorsements,
				&ltlv1.Endorsement{Statement: blob.Draw(t, "statement"), Signature: blob.Draw(t, "signature"),
					Index: rapid.Uint32().Draw(t, "index"), Path: blob.Draw(t, "path"), Height: rapid.Uint64().Draw(t, "height"),
					Flags: rapid.Uint32().Draw(t, "flags"), Bitmap: blob.Draw(t, "bitmap")})
		}
		b.Batches = append(b.Batches, batch)
	}
	return b
}

// Our encoder writes what the protobuf library writes, byte for byte, in a buffer of the right size.
func TestEncodeBlockIsProtobuf(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		b := drawBlock(t)
		want, err := proto.MarshalOptions{Deterministic: true}.Marshal(b)
		if err != nil {
			t.Fatal(err)
		}
		got := encodeBlock(b)
		if !bytes.Equal(got, want) {
			t.Fatalf("%x\nwant %x", got, want)
		}
		if len(b.GetResults()) > 0 && cap(got) > len(got)+len(got)/4+32 {
			t.Fatalf("%d bytes in a buffer of %d", len(got), cap(got))
		}
		back, err := parseBlock(got)
		if err != nil || !proto.Equal(back, b) {
			t.Fatalf("%v\nwant %v: %v", back, b, err)
		}
	})
}

// FuzzBlockDecode: arbitrary bytes are a block or corrupt, and a block is encoded to what decodes to the same.
func FuzzBlockDecode(f *testing.F) {
	m := newMaker(f)
	s := m.filled(f.TempDir(), quiet(f), m.mixed(4))
	for _, b := range s.blocks(f, 0, s.Sequence()) {
		f.Add(encodeBlock(b), m.chains[0].ID, uint64(2))
	}
	f.Add([]byte{0x0a, 0xff}, "", uint64(0))
	f.Fuzz(func(t *testing.T, raw []byte, chainID string, height uint64) {
		if header, err := rawHeader(raw); err != nil {
			if !errors.Is(err, ErrCorrupt) {
				t.Fatal(err)
			}
		} else if _, err := checkHeader(chainID, height, header); err != nil && !errors.Is(err, ErrCorrupt) {
			t.Fatal(err)
		}
		if b, err := parseBlock(raw); err == nil {
			want := &ltlv1.Block{}
			if err := proto.Unmarshal(raw, want); err != nil || !proto.Equal(b, want) {
				t.Fatalf("%v\nwant %v: %v", b, want, err)
			}
		}
		b, h, err := decodeBlock(chainID, height, raw)
		if err != nil {
			if !errors.Is(err, ErrCorrupt) {
				t.Fatal(err)
			}
			return
		}
		if h.ChainID != chainID || h.Height != height {
			t.Fatal("another block was taken")
		}
		again, _, err := decodeBlock(chainID, height, encodeBlock(b))
		if err != nil || !bytes.Equal(encodeBlock(again), encodeBlock(b)) {
			t.Fatal("a decoded block does not survive encoding:", err)
		}
	})
}

// FuzzRecords: the small records of the database decode or are corrupt.
func FuzzRecords(f *testing.F) {
	f.Add((&head{sequence: 7}).encode())
	f.Add((&manifest{next: 3, flushed: 2, runs: []runInfo{{id: 1, to: 2}}}).encode())
	f.Add(encodeJournal([]entry{{testKey(1), testValue(1)}}))
	f.Fuzz(func(t *testing.T, b []byte) {
		if h, err := parseHead(b); err == nil && !bytes.Equal(h.encode(), b) {
			t.Fatal("head")
		}
		if m, err := parseManifest(b); err == nil && !bytes.Equal(m.encode(), b) {
			t.Fatal("manifest")
		}
		if m, err := parseManifest(seal(placeManifest, "", []byte(keyManifest), b)); err == nil &&
			!bytes.Equal(m.encode(), seal(placeManifest, "", []byte(keyManifest), b)) {
			t.Fatal("manifest behind its checksum")
		}
		if e, err := parseJournal(b); err == nil && !bytes.Equal(encodeJournal(e), b) {
			t.Fatal("journal")
		}
		_, err := parsePlace(key64(1), seal(placeSequence, "", key64(1), b))
		if err != nil && !errors.Is(err, ErrCorrupt) {
			t.Fatal(err)
		}
	})
}

// patch returns a copy of clean with bytes changed: each four bytes of changes are an offset and a value to add.
func patch(clean, changes []byte) []byte {
	b := bytes.Clone(clean)
	for ; len(changes) >= 4; changes = changes[4:] {
		at := (int(changes[0])<<16 | int(changes[1])<<8 | int(changes[2])) % len(b)
		b[at] += changes[3]
	}
	return b
}

// FuzzDatabase: a damaged database passes the check of its structure or is corrupt; nothing panics or loops, and what
// passes bbolt can walk too.
func FuzzDatabase(f *testing.F) {
	dir := f.TempDir()
	path := filepath.Join(dir, databaseName)
	if err := create(path, quiet(f)); err != nil {
		f.Fatal(err)
	}
	db, err := bbolt.Open(path, 0o600, boltOptions(quiet(f), seams{}))
	if err != nil {
		f.Fatal(err)
	}
	for i := range 3 { // a tree with branches, inline buckets and free pages
		if err := db.Update(func(tx *bbolt.Tx) error {
			for n := range 300 {
				if err := tx.Bucket([]byte(bucketJournal)).Put(key64(uint64(n)), make([]byte, 10+i)); err != nil {
					return err
				}
			}
			return nil
		}); err != nil {
			f.Fatal(err)
		}
	}
	if err := db.Close(); err != nil {
		f.Fatal(err)
	}
	raw, err := os.ReadFile(path)
	if err != nil {
		f.Fatal(err)
	}
	clean := bytes.Clone(raw[:(len(bytes.TrimRight(raw, "\x00"))/pageSize+1)*pageSize])
	if err := checkPages(clean); err != nil {
		f.Fatal(err)
	}
	f.Add([]byte{0, 0, 0, 0}, false)
	f.Add([]byte{0, 0, 72, 1}, false)
	f.Fuzz(func(t *testing.T, changes []byte, truncate bool) {
		b := patch(clean, changes)
		if truncate {
			b = b[:len(b)/2/pageSize*pageSize]
		}
		if err := checkPages(b); err != nil {
			if !errors.Is(err, ErrCorrupt) {
				t.Fatal(err)
			}
			return
		}
		broken := filepath.Join(t.TempDir(), databaseName)
		if err := os.WriteFile(broken, b, 0o600); err != nil {
			t.Fatal(err)
		}
		db, err := bbolt.Open(broken, 0o600, boltOptions(quiet(t), seams{}))
		if err != nil {
			t.Fatal(err)
		}
		defer db.Close()
		if err := db.View(func(tx *bbolt.Tx) error {
			return tx.ForEach(func(_ []byte, b *bbolt.Bucket) error { return b.ForEach(func(_, _ []byte) error { return nil }) })
		}); err != nil {
			t.Fatal(err)
		}
	})
}
