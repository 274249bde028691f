package store

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"

	"go.etcd.io/bbolt"
)

// A long value (a block, or the index entries of a block) is stored in parts under (number, part). Each part is one
// byte, lastPart in the last part and 0 in the others, then the bytes, then the checksum over both.
const lastPart = 1

// errNoValue says that a value's first part is absent. Whether that is corruption, the caller knows.
var errNoValue = errors.New("no value")

// putParts stores value under number. The bucket keeps references to what is written until the transaction ends.
func putParts(b *bbolt.Bucket, kind byte, chainID string, number uint64, value []byte, size int) error {
	buf := make([]byte, 0, len(value)+(len(value)/size+1)*partOverhead)
	for part := 0; ; part++ {
		n := min(size, len(value))
		start := len(buf)
		flag := byte(0)
		if n == len(value) {
			flag = lastPart
		}
		buf = append(buf, flag)
		buf = append(buf, value[:n]...)
		key := partKey(number, part)
		buf = binary.BigEndian.AppendUint32(buf, checksum(kind, chainID, key, buf[start:]))
		if err := b.Put(key, buf[start:len(buf):len(buf)]); err != nil {
			return err
		}
		if value = value[n:]; flag == lastPart {
			return nil
		}
	}
}

// getParts reads the value under number; with first it stops after the first part. The result is a copy.
func getParts(b *bbolt.Bucket, kind byte, chainID string, number uint64, first bool) ([]byte, error) {
	c := b.Cursor()
	want := partKey(number, 0)
	var parts [][]byte
	size := 0
	k, v := c.Seek(want)
	for part := 0; part < maxParts; part++ {
		if part > 0 {
			want = partKey(number, part)
			k, v = c.Next()
		}
		if !bytes.Equal(k, want) {
			if part == 0 {
				return nil, errNoValue
			}
			return nil, fmt.Errorf("%w: part %d of %c %q %d is missing", ErrCorrupt, part, kind, chainID, number)
		}
		data, err := unseal(kind, chainID, k, v)
		if err != nil || len(data) == 0 {
			return nil, fmt.Errorf("%w: checksum of %c %q %d part %d", ErrCorrupt, kind, chainID, number, part)
		}
		parts = append(parts, data[1:])
		size += len(data) - 1
		if first || data[0] == lastPart {
			value := make([]byte, 0, size)
			for _, p := range parts {
				value = append(value, p...)
			}
			return value, nil
		}
	}
	return nil, fmt.Errorf("%w: %c %q %d has no last part", ErrCorrupt, kind, chainID, number)
}
