package node

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"testing"

	"google.golang.org/protobuf/proto"

	"ltl/internal/ledger"
	ltlv1 "ltl/proto/ltl/v1"
)

func samplePointer() *pointer {
	p := &pointer{network: ledger.Hash{1}, applied: 77, sequence: 12, tips: []pointerChain{{ledger.SystemChain, 5, ledger.Hash{2}}, {"0000000000000001", 3, ledger.Hash{3}}}}
	for i := range 3 {
		p.accessKeys = append(p.accessKeys, &ltlv1.AccessKey{AccessKeyId: fmt.Sprint("k", i), Sealed: []byte("s"), Version: uint64(i + 1)})
	}
	return p
}

// TestPointerBytes: what is written is read back, and every changed or missing byte is noticed.
func TestPointerBytes(t *testing.T) {
	b := samplePointer().encode()
	p, err := readPointer(bytes.NewReader(b))
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(p.encode(), b) || len(p.accessKeys) != 3 || p.tips[1].height != 3 {
		t.Errorf("read back %+v", p)
	}
	for i := range b {
		c := bytes.Clone(b)
		c[i] ^= 0x10
		if _, err := decodePointer(c); !errors.Is(err, errPointer) {
			t.Errorf("byte %d changed: %v", i, err)
		}
		if _, err := decodePointer(b[:i]); !errors.Is(err, errPointer) {
			t.Errorf("cut to %d bytes: %v", i, err)
		}
	}
	if _, err := readPointer(io.LimitReader(neverEnding{}, maxPointer+10)); err == nil {
		t.Error("an endless snapshot was read")
	}
}

type neverEnding struct{}

func (neverEnding) Read(b []byte) (int, error) { return len(b), nil }

// FuzzPointer: no bytes crash the decoder, and what it takes has one encoding. The checksum is made right, so that the fuzzer gets past it.
func FuzzPointer(f *testing.F) {
	f.Add(samplePointer().encode())
	f.Add((&pointer{}).encode())
	f.Fuzz(func(t *testing.T, b []byte) {
		if len(b) >= pointerSum {
			n := len(b) - pointerSum
			b = binary.BigEndian.AppendUint32(bytes.Clone(b[:n]), crc32.Checksum(b[:n], crc32.MakeTable(crc32.Castagnoli)))
		}
		p, err := decodePointer(b)
		if err != nil {
			return
		}
		again, err := decodePointer(p.encode())
		if err != nil || !bytes.Equal(again.encode(), p.encode()) {
			t.Errorf("%x: %v", b, err)
		}
	})
}

// FuzzEntry: no bytes crash the decoder, and what it takes says the same after another round.
func FuzzEntry(f *testing.F) {
	w := newWorld(f, 1)
	b, err := encodeEntry(&ltlv1.Entry{Entry: &ltlv1.Entry_Batches{Batches: &ltlv1.OrderedBatches{TimeMs: 5, Batches: []*ltlv1.Batch{w.batch(ledger.SystemChain, []byte("x"))}}}})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b)
	f.Add([]byte{entryVersion, 0x12, 0})
	f.Fuzz(func(t *testing.T, b []byte) {
		e, err := decodeEntry(b)
		if err != nil {
			if !errors.Is(err, errEntry) {
				t.Errorf("%x: %v", b, err)
			}
			return
		}
		c, err := encodeEntry(e)
		if err != nil {
			t.Fatal(err)
		}
		again, err := decodeEntry(c)
		if err != nil || !proto.Equal(e, again) {
			t.Errorf("%x: %v", b, err)
		}
	})
}
