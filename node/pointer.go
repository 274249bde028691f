package node

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"

	"google.golang.org/protobuf/proto"

	"ltl/internal/ledger"
	"ltl/internal/store"
	ltlv1 "ltl/proto/ltl/v1"
)

const (
	pointerVersion = 1
	// maxPointer bounds an encoded pointer: 64 bytes a chain, some hundred a sealed AccessKey.
	maxPointer = 256 << 20
	// pointerHeader is version, network id, applied index, sequence, number of tips, number of AccessKeys.
	pointerHeader = 1 + 32 + 8 + 8 + 4 + 4
	pointerTip    = ledger.ChainIDLen + 8 + 32
	pointerSum    = 4
	// accessKeyPage is how many AccessKeys are read at a time.
	accessKeyPage = 1000
)

// errPointer is wrapped for bytes that are not a snapshot of this program.
var errPointer = errors.New("malformed snapshot")

// pointer is the content of a Raft snapshot: what a ledger holds once every entry up to applied is executed. AccessKeys are in
// it because they are replicated beside the chains and no block holds them.
//
// applied is the newest entry that changed the ledger. Raft's own index of the snapshot may be higher: entries that elect a
// leader or change Raft's configuration never reach the ledger.
type pointer struct {
	network    ledger.Hash
	applied    uint64
	sequence   uint64
	tips       []pointerChain
	accessKeys []*ltlv1.AccessKey
}

// pointerChain is the newest block of one chain.
type pointerChain struct {
	id     string
	height uint64
	hash   ledger.Hash
}

// newPointer describes the ledger as it is. Nothing may be applied meanwhile.
func newPointer(s *store.Store) (*pointer, error) {
	p := &pointer{network: s.NetworkID(), applied: s.AppliedIndex(), sequence: s.Sequence()}
	for _, t := range s.Tips() {
		p.tips = append(p.tips, pointerChain{id: t.ChainID, height: t.Header.Height, hash: t.Hash})
	}
	for after := uint64(0); ; {
		keys, newest, err := s.AccessKeys(after, accessKeyPage)
		if err != nil {
			return nil, fmt.Errorf("read AccessKeys: %w", err)
		}
		p.accessKeys = append(p.accessKeys, keys...)
		if len(keys) == 0 || keys[len(keys)-1].GetVersion() >= newest {
			return p, nil
		}
		after = keys[len(keys)-1].GetVersion()
	}
}

// encode returns the pointer's bytes, a CRC32C last.
func (p *pointer) encode() []byte {
	b := make([]byte, 0, pointerHeader+len(p.tips)*pointerTip+len(p.accessKeys)*256+pointerSum)
	b = append(b, pointerVersion)
	b = append(b, p.network[:]...)
	b = binary.BigEndian.AppendUint64(b, p.applied)
	b = binary.BigEndian.AppendUint64(b, p.sequence)
	b = binary.BigEndian.AppendUint32(b, uint32(len(p.tips)))
	b = binary.BigEndian.AppendUint32(b, uint32(len(p.accessKeys)))
	for _, t := range p.tips {
		b = append(b, t.id...)
		b = binary.BigEndian.AppendUint64(b, t.height)
		b = append(b, t.hash[:]...)
	}
	for _, k := range p.accessKeys {
		b = binary.BigEndian.AppendUint32(b, uint32(proto.Size(k)))
		b, _ = proto.MarshalOptions{}.MarshalAppend(b, k) // it only fails on bad UTF-8, which no stored key has
	}
	return binary.BigEndian.AppendUint32(b, crc32.Checksum(b, crc32.MakeTable(crc32.Castagnoli)))
}

// readPointer reads one pointer and nothing more.
func readPointer(r io.Reader) (*pointer, error) {
	b, err := io.ReadAll(io.LimitReader(r, maxPointer+1))
	if err != nil {
		return nil, err
	}
	return decodePointer(b)
}

// decodePointer reads what encode wrote; every count is checked against the bytes that are there before anything is allocated.
func decodePointer(b []byte) (*pointer, error) {
	if len(b) < pointerHeader+pointerSum || len(b) > maxPointer {
		return nil, fmt.Errorf("%w: %d bytes", errPointer, len(b))
	}
	if b[0] != pointerVersion {
		return nil, fmt.Errorf("%w: version %d, this program knows version %d", errPointer, b[0], pointerVersion)
	}
	body, sum := b[:len(b)-pointerSum], binary.BigEndian.Uint32(b[len(b)-pointerSum:])
	if crc32.Checksum(body, crc32.MakeTable(crc32.Castagnoli)) != sum {
		return nil, fmt.Errorf("%w: checksum differs", errPointer)
	}
	p := &pointer{network: ledger.Hash(body[1:33]), applied: binary.BigEndian.Uint64(body[33:]), sequence: binary.BigEndian.Uint64(body[41:])}
	tips, keys := int(binary.BigEndian.Uint32(body[49:])), int(binary.BigEndian.Uint32(body[53:]))
	body = body[pointerHeader:]
	if tips > len(body)/pointerTip {
		return nil, fmt.Errorf("%w: %d chains in %d bytes", errPointer, tips, len(body))
	}
	for range tips {
		t := pointerChain{id: string(body[:ledger.ChainIDLen]), height: binary.BigEndian.Uint64(body[ledger.ChainIDLen:]), hash: ledger.Hash(body[ledger.ChainIDLen+8 : pointerTip])}
		if !ledger.ValidChainID(t.id) {
			return nil, fmt.Errorf("%w: chain id %q", errPointer, t.id)
		}
		p.tips = append(p.tips, t)
		body = body[pointerTip:]
	}
	for range keys {
		if len(body) < 4 || uint64(len(body)-4) < uint64(binary.BigEndian.Uint32(body)) {
			return nil, fmt.Errorf("%w: it ends within an AccessKey", errPointer)
		}
		n := int(binary.BigEndian.Uint32(body))
		k := &ltlv1.AccessKey{}
		if err := proto.Unmarshal(body[4:4+n], k); err != nil {
			return nil, fmt.Errorf("%w: AccessKey: %w", errPointer, err)
		}
		p.accessKeys = append(p.accessKeys, k)
		body = body[4+n:]
	}
	if len(body) != 0 {
		return nil, fmt.Errorf("%w: %d bytes behind its end", errPointer, len(body))
	}
	return p, nil
}

// check compares the pointer with a ledger that has reached it: same network, and the same block at each tip.
func (p *pointer) check(s *store.Store) error {
	if p.network != s.NetworkID() {
		return fmt.Errorf("the snapshot is of network %x, this ledger of %x", p.network, s.NetworkID())
	}
	for _, t := range p.tips {
		block, err := s.Block(t.id, t.height)
		if err != nil {
			return fmt.Errorf("block %d of chain %s, which the snapshot names: %w", t.height, t.id, err)
		}
		if h := ledger.BlockHash(block.GetHeader()); h != t.hash {
			return fmt.Errorf("block %d of chain %s is %x here and %x on the leader: the ledgers differ", t.height, t.id, h, t.hash)
		}
	}
	return nil
}
