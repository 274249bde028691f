package node

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"slices"

	"github.com/hashicorp/raft"
	"google.golang.org/protobuf/proto"

	"ltl/internal/ledger"
	"ltl/internal/store"
	ltlv1 "ltl/proto/ltl/v1"
)

const (
	targetVersion = 1
	// maxTarget bounds an encoded catch-up target in bytes: 64 for each chain, some hundred for each sealed AccessKey.
	maxTarget = 256 << 20
	// targetHeaderBytes is version, network id, applied index, sequence, number of tips, number of AccessKeys.
	targetHeaderBytes = 1 + 32 + 8 + 8 + 4 + 4
	targetTipBytes    = ledger.ChainIDLen + 8 + 32
	targetSumBytes    = 4
	// accessKeyPage is how many AccessKeys are read at a time.
	accessKeyPage = 1000
)

// errTarget is wrapped for bytes that are not a snapshot of this program.
var errTarget = errors.New("malformed snapshot")

// catchUpTarget is the content of a Raft snapshot: what a ledger holds once every entry up to applied is executed. It
// contains the AccessKeys, because they are replicated outside the chains and no block has them.
//
// applied is the newest entry that changed the ledger. Raft's index of the snapshot may be higher: entries that elect
// a leader or change Raft's configuration never reach the ledger.
type catchUpTarget struct {
	network    ledger.Hash
	applied    uint64
	sequence   uint64
	tips       []targetTip
	accessKeys []*ltlv1.SealedKey
}

// targetTip is the newest block of one chain.
type targetTip struct {
	id     string
	height uint64
	hash   ledger.Hash
}

// newTarget describes the ledger's present state. No entry may be executed while it runs.
func newTarget(s *store.Store) (*catchUpTarget, error) {
	p := &catchUpTarget{network: s.NetworkID(), applied: s.AppliedIndex(), sequence: s.Sequence()}
	for _, t := range s.Tips() {
		p.tips = append(p.tips, targetTip{id: t.ChainID, height: t.Header.Height, hash: t.Hash})
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

// encode returns the catch-up target's bytes, followed by their CRC-32C.
func (p *catchUpTarget) encode() []byte {
	b := make([]byte, 0, targetHeaderBytes+len(p.tips)*targetTipBytes+len(p.accessKeys)*256+targetSumBytes)
	b = append(b, targetVersion)
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
		b, _ = proto.MarshalOptions{}.MarshalAppend(b, k) // it fails only on invalid UTF-8, which no stored key has
	}
	return binary.BigEndian.AppendUint32(b, crc32.Checksum(b, crc32.MakeTable(crc32.Castagnoli)))
}

// readTarget reads one catch-up target and nothing after it.
func readTarget(r io.Reader) (*catchUpTarget, error) {
	b, err := io.ReadAll(io.LimitReader(r, maxTarget+1))
	if err != nil {
		return nil, err
	}
	return decodeTarget(b)
}

// decodeTarget reads what encode wrote. Every count is compared with the bytes that are there before memory is
// allocated.
func decodeTarget(b []byte) (*catchUpTarget, error) {
	if len(b) < targetHeaderBytes+targetSumBytes || len(b) > maxTarget {
		return nil, fmt.Errorf("%w: %d bytes", errTarget, len(b))
	}
	if b[0] != targetVersion {
		return nil, fmt.Errorf("%w: version %d, this program knows version %d", errTarget, b[0], targetVersion)
	}
	body, sum := b[:len(b)-targetSumBytes], binary.BigEndian.Uint32(b[len(b)-targetSumBytes:])
	if crc32.Checksum(body, crc32.MakeTable(crc32.Castagnoli)) != sum {
		return nil, fmt.Errorf("%w: checksum differs", errTarget)
	}
	p := &catchUpTarget{network: ledger.Hash(body[1:33]), applied: binary.BigEndian.Uint64(body[33:]),
		sequence: binary.BigEndian.Uint64(body[41:])}
	tips, keys := int(binary.BigEndian.Uint32(body[49:])), int(binary.BigEndian.Uint32(body[53:]))
	body = body[targetHeaderBytes:]
	if tips > len(body)/targetTipBytes {
		return nil, fmt.Errorf("%w: %d chains in %d bytes", errTarget, tips, len(body))
	}
	for range tips {
		t := targetTip{id: string(body[:ledger.ChainIDLen]), height: binary.BigEndian.Uint64(body[ledger.ChainIDLen:]),
			hash: ledger.Hash(body[ledger.ChainIDLen+8 : targetTipBytes])}
		if !ledger.ValidChainID(t.id) {
			return nil, fmt.Errorf("%w: chain id %q", errTarget, t.id)
		}
		p.tips = append(p.tips, t)
		body = body[targetTipBytes:]
	}
	for range keys {
		if len(body) < 4 || uint64(len(body)-4) < uint64(binary.BigEndian.Uint32(body)) {
			return nil, fmt.Errorf("%w: it ends within an AccessKey", errTarget)
		}
		n := int(binary.BigEndian.Uint32(body))
		k := &ltlv1.SealedKey{}
		if err := proto.Unmarshal(body[4:4+n], k); err != nil {
			return nil, fmt.Errorf("%w: AccessKey: %w", errTarget, err)
		}
		p.accessKeys = append(p.accessKeys, k)
		body = body[4+n:]
	}
	if len(body) != 0 {
		return nil, fmt.Errorf("%w: %d bytes after its end", errTarget, len(body))
	}
	return p, nil
}

// check compares the catch-up target with a ledger that has reached it: same network, and the same block at each tip.
func (p *catchUpTarget) check(s *store.Store) error {
	if p.network != s.NetworkID() {
		return fmt.Errorf("the snapshot is of network %x, this ledger of %x", p.network, s.NetworkID())
	}
	for _, t := range p.tips {
		block, err := s.Block(t.id, t.height)
		if err != nil {
			return fmt.Errorf("block %d of chain %s, which the snapshot names: %w", t.height, t.id, err)
		}
		if h := ledger.BlockHash(block.GetHeader()); h != t.hash {
			return fmt.Errorf("block %d of chain %s is %x here and %x on the leader: the ledgers differ", t.height, t.id, h,
				t.hash)
		}
	}
	return nil
}

// placeholder is the type of the entry that stands for an entry that a snapshot replaced. Raft knows no such type: if
// it ever tried to execute one, it would stop instead of holding another ledger than the others.
const placeholder = raft.LogType(255)

// snapshotLogStore is the log as raft sees it: an entry at the index of a kept snapshot counts as present.
//
// After a snapshot at index S was installed and S+1 and later were appended, raft v1.8.0 finds no entry at S. A
// leader that did not get the answer to those appends asks again for what follows S. Raft then looks for entry S,
// refuses because it is missing, and is sent the snapshot again, forever. The simulation found this: one lost answer
// after a snapshot and no new writes are enough. Raft reads only the term of that entry, and the snapshot has it.
//
// Every kept snapshot counts, not only the newest: the follower may have taken a snapshot of its own since, while the
// leader still sends entries from behind the older one.
//
// A follower is never sent the placeholder: raft reads the entry before the first one that it sends, and below S
// there is none, so it sends the snapshot. For the same reason only the lower of two snapshots at neighbouring
// indexes counts, and none at index 1, before which raft reads nothing.
type snapshotLogStore struct {
	raft.LogStore
	snaps raft.SnapshotStore
}

// GetLog implements raft.LogStore.
func (l *snapshotLogStore) GetLog(index uint64, out *raft.Log) error {
	err := l.LogStore.GetLog(index, out)
	if !errors.Is(err, raft.ErrLogNotFound) || index <= 1 {
		return err
	}
	list, listErr := l.snaps.List()
	if listErr != nil {
		return err
	}
	at := slices.IndexFunc(list, func(m *raft.SnapshotMeta) bool { return m.Index == index })
	below := slices.ContainsFunc(list, func(m *raft.SnapshotMeta) bool { return m.Index == index-1 })
	if at < 0 || below {
		return err
	}
	if err := l.LogStore.GetLog(index-1, &raft.Log{}); !errors.Is(err, raft.ErrLogNotFound) {
		return raft.ErrLogNotFound // a gap within the log is damage, not truncation
	}
	*out = raft.Log{Index: index, Term: list[at].Term, Type: placeholder}
	return nil
}

// targetSnapshot writes a catch-up target that was taken on raft's goroutine. It is a raft.FSMSnapshot.
type targetSnapshot struct{ encoded []byte }

// Persist implements raft.FSMSnapshot.
func (s *targetSnapshot) Persist(sink raft.SnapshotSink) error {
	if _, err := sink.Write(s.encoded); err != nil {
		return errors.Join(err, sink.Cancel())
	}
	return sink.Close()
}

// Release implements raft.FSMSnapshot.
func (s *targetSnapshot) Release() {}
