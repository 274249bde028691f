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
	checkpointVersion = 1
	// maxCheckpoint bounds an encoded checkpoint in bytes: 64 for each chain, some hundred for each sealed AccessKey.
	maxCheckpoint = 256 << 20
	// checkpointHeaderBytes is version, network id, applied index, sequence, number of tips, number of AccessKeys.
	checkpointHeaderBytes = 1 + 32 + 8 + 8 + 4 + 4
	checkpointTipBytes    = ledger.ChainIDLen + 8 + 32
	checkpointSumBytes    = 4
	// accessKeyPage is how many AccessKeys are read at a time.
	accessKeyPage = 1000
)

// errCheckpoint is wrapped for bytes that are not a snapshot of this program.
var errCheckpoint = errors.New("malformed snapshot")

// checkpoint is the content of a Raft snapshot: what a ledger holds once every entry up to applied is executed. It
// contains the AccessKeys, because they are replicated outside the chains and no block has them.
//
// applied is the newest entry that changed the ledger. Raft's index of the snapshot may be higher: entries that elect
// a leader or change Raft's configuration never reach the ledger.
type checkpoint struct {
	network    ledger.Hash
	applied    uint64
	sequence   uint64
	tips       []checkpointTip
	accessKeys []*ltlv1.AccessKey
}

// checkpointTip is the newest block of one chain.
type checkpointTip struct {
	id     string
	height uint64
	hash   ledger.Hash
}

// newCheckpoint describes the ledger's present state. No entry may be executed while it runs.
func newCheckpoint(s *store.Store) (*checkpoint, error) {
	p := &checkpoint{network: s.NetworkID(), applied: s.AppliedIndex(), sequence: s.Sequence()}
	for _, t := range s.Tips() {
		p.tips = append(p.tips, checkpointTip{id: t.ChainID, height: t.Header.Height, hash: t.Hash})
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

// encode returns the checkpoint's bytes, followed by their CRC-32C.
func (p *checkpoint) encode() []byte {
	b := make([]byte, 0, checkpointHeaderBytes+len(p.tips)*checkpointTipBytes+len(p.accessKeys)*256+checkpointSumBytes)
	b = append(b, checkpointVersion)
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

// readCheckpoint reads one checkpoint and nothing after it.
func readCheckpoint(r io.Reader) (*checkpoint, error) {
	b, err := io.ReadAll(io.LimitReader(r, maxCheckpoint+1))
	if err != nil {
		return nil, err
	}
	return decodeCheckpoint(b)
}

// decodeCheckpoint reads what encode wrote. Every count is compared with the bytes that are there before memory is
// allocated.
func decodeCheckpoint(b []byte) (*checkpoint, error) {
	if len(b) < checkpointHeaderBytes+checkpointSumBytes || len(b) > maxCheckpoint {
		return nil, fmt.Errorf("%w: %d bytes", errCheckpoint, len(b))
	}
	if b[0] != checkpointVersion {
		return nil, fmt.Errorf("%w: version %d, this program knows version %d", errCheckpoint, b[0], checkpointVersion)
	}
	body, sum := b[:len(b)-checkpointSumBytes], binary.BigEndian.Uint32(b[len(b)-checkpointSumBytes:])
	if crc32.Checksum(body, crc32.MakeTable(crc32.Castagnoli)) != sum {
		return nil, fmt.Errorf("%w: checksum differs", errCheckpoint)
	}
	p := &checkpoint{network: ledger.Hash(body[1:33]), applied: binary.BigEndian.Uint64(body[33:]),
		sequence: binary.BigEndian.Uint64(body[41:])}
	tips, keys := int(binary.BigEndian.Uint32(body[49:])), int(binary.BigEndian.Uint32(body[53:]))
	body = body[checkpointHeaderBytes:]
	if tips > len(body)/checkpointTipBytes {
		return nil, fmt.Errorf("%w: %d chains in %d bytes", errCheckpoint, tips, len(body))
	}
	for range tips {
		t := checkpointTip{id: string(body[:ledger.ChainIDLen]), height: binary.BigEndian.Uint64(body[ledger.ChainIDLen:]),
			hash: ledger.Hash(body[ledger.ChainIDLen+8 : checkpointTipBytes])}
		if !ledger.ValidChainID(t.id) {
			return nil, fmt.Errorf("%w: chain id %q", errCheckpoint, t.id)
		}
		p.tips = append(p.tips, t)
		body = body[checkpointTipBytes:]
	}
	for range keys {
		if len(body) < 4 || uint64(len(body)-4) < uint64(binary.BigEndian.Uint32(body)) {
			return nil, fmt.Errorf("%w: it ends within an AccessKey", errCheckpoint)
		}
		n := int(binary.BigEndian.Uint32(body))
		k := &ltlv1.AccessKey{}
		if err := proto.Unmarshal(body[4:4+n], k); err != nil {
			return nil, fmt.Errorf("%w: AccessKey: %w", errCheckpoint, err)
		}
		p.accessKeys = append(p.accessKeys, k)
		body = body[4+n:]
	}
	if len(body) != 0 {
		return nil, fmt.Errorf("%w: %d bytes after its end", errCheckpoint, len(body))
	}
	return p, nil
}

// check compares the checkpoint with a ledger that has reached it: same network, and the same block at each tip.
func (p *checkpoint) check(s *store.Store) error {
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

// checkpointSnapshot writes a checkpoint that was taken on raft's goroutine. It is a raft.FSMSnapshot.
type checkpointSnapshot struct{ encoded []byte }

// Persist implements raft.FSMSnapshot.
func (s *checkpointSnapshot) Persist(sink raft.SnapshotSink) error {
	if _, err := sink.Write(s.encoded); err != nil {
		return errors.Join(err, sink.Cancel())
	}
	return sink.Close()
}

// Release implements raft.FSMSnapshot.
func (s *checkpointSnapshot) Release() {}
