package node

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"

	"github.com/hashicorp/raft"
	raftboltdb "github.com/hashicorp/raft-boltdb/v2"
)

// uint64Bytes is the length of a number's value.
const uint64Bytes = 8

// stableStore is a raft.StableStore, raft's term and vote, that fails stop together with the log of the same file. Each
// value has a checksum behind it: a vote that reads as another vote would be a second vote.
type stableStore struct {
	inner raft.StableStore
	stop  *failStop
}

// Set implements raft.StableStore.
func (s *stableStore) Set(key, value []byte) error {
	sealed := make([]byte, 0, len(value)+entrySumBytes)
	sealed = append(sealed, value...)
	sealed = binary.BigEndian.AppendUint32(sealed, stableSum(key, value))
	return s.stop.write("set "+string(key), func() error { return s.inner.Set(key, sealed) })
}

// Get implements raft.StableStore. Raft knows a missing key by the text of raftboltdb.ErrKeyNotFound.
func (s *stableStore) Get(key []byte) ([]byte, error) {
	if err := s.stop.err(); err != nil {
		return nil, err
	}
	var sealed []byte
	err := s.stop.watched("get "+string(key), func() (err error) {
		sealed, err = s.inner.Get(key)
		return err
	})
	if isKeyNotFound(err) {
		return nil, raftboltdb.ErrKeyNotFound
	}
	if err != nil {
		return nil, s.stop.fail(fmt.Errorf("node: raft log: get %s: %w", key, err))
	}
	n := len(sealed) - entrySumBytes
	if n < 0 || binary.BigEndian.Uint32(sealed[n:]) != stableSum(key, sealed[:n]) {
		return nil, s.stop.fail(fmt.Errorf("%w: checksum of %s is wrong", errLogCorrupt, key))
	}
	return sealed[:n:n], nil
}

// isKeyNotFound knows the missing key of raftboltdb and of raft.InmemStore, which has no sentinel.
func isKeyNotFound(err error) bool {
	return err != nil && (errors.Is(err, raftboltdb.ErrKeyNotFound) || err.Error() == raftboltdb.ErrKeyNotFound.Error())
}

// SetUint64 implements raft.StableStore.
func (s *stableStore) SetUint64(key []byte, value uint64) error {
	return s.Set(key, binary.BigEndian.AppendUint64(nil, value))
}

// GetUint64 implements raft.StableStore.
func (s *stableStore) GetUint64(key []byte) (uint64, error) {
	value, err := s.Get(key)
	if err != nil {
		return 0, err
	}
	if len(value) != uint64Bytes {
		return 0, s.stop.fail(fmt.Errorf("%w: %s has %d bytes", errLogCorrupt, key, len(value)))
	}
	return binary.BigEndian.Uint64(value), nil
}

// stableSum is CRC-32C over length of the key, key and value.
func stableSum(key, value []byte) uint32 {
	table := crc32.MakeTable(crc32.Castagnoli)
	sum := crc32.Update(0, table, binary.BigEndian.AppendUint32(nil, uint32(len(key))))
	sum = crc32.Update(sum, table, key)
	return crc32.Update(sum, table, value)
}
