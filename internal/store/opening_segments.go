package store

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"google.golang.org/protobuf/proto"

	ltlv1 "ltl/proto/ltl/v1"
)

// segments are the files that hold openings, in the order in which they were written. Only the newest is written to.
// What is behind the end that the head record names was never committed, and is written over.
type segments struct {
	dir    string
	size   uint32 // of a file, before the next one begins
	noSync bool
	// file is the newest one, guarded by Store.writing; it is nil until the first write.
	file *os.File
	at   uint32
}

// position is a place in the segment files.
type position struct{ segment, offset uint32 }

// extent is where the openings of a block are, or a part of them.
type extent struct {
	position
	length uint32
}

const (
	extentLen = 12
	// frameHeader is length of the body, index of the transaction, sequence number of the block, and checksum.
	frameHeader = 4 + 4 + 8 + crcLen
)

// appendExtents encodes the value of the bucket of openings.
func appendExtents(b []byte, all []extent) []byte {
	for _, e := range all {
		b = binary.BigEndian.AppendUint32(b, e.segment)
		b = binary.BigEndian.AppendUint32(b, e.offset)
		b = binary.BigEndian.AppendUint32(b, e.length)
	}
	return b
}

// parseExtents reads the value of the bucket of openings; nil, nil for none.
func parseExtents(key, sealed []byte) ([]extent, error) {
	if sealed == nil {
		return nil, nil
	}
	b, err := unseal(placeOpenings, "", key, sealed)
	if err != nil {
		return nil, err
	}
	if len(b)%extentLen != 0 {
		return nil, fmt.Errorf("%w: the places of openings take %d bytes", ErrCorrupt, len(b))
	}
	all := make([]extent, 0, len(b)/extentLen)
	for ; len(b) > 0; b = b[extentLen:] {
		all = append(all, extent{position{binary.BigEndian.Uint32(b), binary.BigEndian.Uint32(b[4:])},
			binary.BigEndian.Uint32(b[8:])})
	}
	return all, nil
}

// appendFrame encodes the openings of one transaction. Each has a checksum of its own over its place, so that damage of
// one, or later the erasure of one, leaves the others.
func appendFrame(b []byte, sequence uint64, index uint32, o *ltlv1.Openings) ([]byte, error) {
	start := len(b)
	b = binary.BigEndian.AppendUint32(b, 0)
	b = binary.BigEndian.AppendUint32(b, index)
	b = binary.BigEndian.AppendUint64(b, sequence)
	b = append(b, 0, 0, 0, 0)
	b, err := proto.MarshalOptions{}.MarshalAppend(b, o)
	if err != nil {
		return nil, fmt.Errorf("encode openings: %w", err)
	}
	body := b[start+frameHeader:]
	binary.BigEndian.PutUint32(b[start:], uint32(len(body)))
	binary.BigEndian.PutUint32(b[start+frameHeader-crcLen:],
		checksum(placeOpenings, "", b[start:start+frameHeader-crcLen], body))
	return b, nil
}

// eachFrame calls fn with the openings of each transaction in an extent's bytes that are good. It reports whether all
// were: behind a frame whose own header is damaged nothing more can be found.
func eachFrame(b []byte, sequence uint64, fn func(index uint32, body []byte) error) (whole bool, err error) {
	whole = true
	for len(b) > 0 {
		if len(b) < frameHeader {
			return false, nil
		}
		header, sum := b[:frameHeader-crcLen], binary.BigEndian.Uint32(b[frameHeader-crcLen:])
		n := binary.BigEndian.Uint32(header)
		if uint64(n) > uint64(len(b)-frameHeader) {
			return false, nil
		}
		body := b[frameHeader : frameHeader+n : frameHeader+n]
		b = b[frameHeader+n:]
		if sum != checksum(placeOpenings, "", header, body) || binary.BigEndian.Uint64(header[8:]) != sequence {
			whole = false
			continue
		}
		if err := fn(binary.BigEndian.Uint32(header[4:]), body); err != nil {
			return whole, err
		}
	}
	return whole, nil
}

func segmentName(n uint32) string { return fmt.Sprintf("%08x.openings", n) }

// isSegmentFile reports whether a name is that of a segment.
func isSegmentFile(name string) bool {
	var n uint32
	_, err := fmt.Sscanf(name, "%08x.openings", &n)
	return err == nil && name == segmentName(n)
}

// discard deletes what was never committed: the bytes behind end, and the files after its own.
func (g *segments) discard(end position) error {
	names, err := os.ReadDir(g.dir)
	if err != nil {
		return fmt.Errorf("read the directory of openings: %w", err)
	}
	for _, n := range names {
		path := filepath.Join(g.dir, n.Name())
		switch {
		case !isSegmentFile(n.Name()) || n.Name() < segmentName(end.segment):
		case n.Name() > segmentName(end.segment):
			err = os.Remove(path)
		default:
			var info os.FileInfo
			if info, err = n.Info(); err == nil && info.Size() > int64(end.offset) {
				err = os.Truncate(path, int64(end.offset))
			}
		}
		if err != nil {
			return fmt.Errorf("discard openings that were not committed: %w", err)
		}
	}
	return nil
}

// open opens the newest file.
func (g *segments) open(segment uint32) error {
	if g.file != nil && g.at == segment {
		return nil
	}
	if err := g.close(); err != nil {
		return err
	}
	f, err := openFile(filepath.Join(g.dir, segmentName(segment)), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return fmt.Errorf("open a file of openings: %w", err)
	}
	g.file, g.at = f, segment
	return nil
}

// write writes frames at a position.
func (g *segments) write(at position, frames []byte) error {
	if err := g.open(at.segment); err != nil {
		return err
	}
	if !g.noSync && at.offset == 0 {
		if err := syncDir(g.dir); err != nil {
			return err
		}
	}
	if _, err := g.file.WriteAt(frames, int64(at.offset)); err != nil {
		return fmt.Errorf("write openings: %w", err)
	}
	return nil
}

// sync makes what was written durable. Files before the newest are durable already.
func (g *segments) sync() error {
	if g.file == nil || g.noSync {
		return nil
	}
	if err := g.file.Sync(); err != nil {
		return fmt.Errorf("sync openings: %w", err)
	}
	return nil
}

// close makes the newest file durable and closes it.
func (g *segments) close() error {
	if g.file == nil {
		return nil
	}
	err := errors.Join(g.sync(), g.file.Close())
	g.file = nil
	return err
}

// read returns the bytes of an extent; fewer when the file is missing or ends before.
func (g *segments) read(e extent) ([]byte, error) {
	f, err := openFile(filepath.Join(g.dir, segmentName(e.segment)), os.O_RDONLY, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("open a file of openings: %w", err)
	}
	defer func() { _ = f.Close() }() // only read from
	info, err := f.Stat()
	if err != nil {
		return nil, fmt.Errorf("read openings: %w", err)
	}
	there := max(0, info.Size()-int64(e.offset))
	b := make([]byte, min(int64(e.length), there))
	n, err := f.ReadAt(b, int64(e.offset))
	if err != nil {
		return b[:n], nil //nolint:nilerr // a sector that cannot be read is damage, like a file that is cut
	}
	return b, nil
}

// wipe overwrites the bytes of an extent with zeros.
func (g *segments) wipe(e extent) error {
	f, err := openFile(filepath.Join(g.dir, segmentName(e.segment)), os.O_RDWR, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("open a file of openings: %w", err)
	}
	_, err = f.WriteAt(make([]byte, e.length), int64(e.offset))
	if err == nil && !g.noSync {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return fmt.Errorf("overwrite openings: %w", err)
	}
	return nil
}

// collect reads the openings of a block by transaction. damaged are the extents of which not every byte is good. Of two
// openings of one transaction the newer counts.
func (g *segments) collect(sequence uint64, all []extent) (
	found map[uint32]*ltlv1.Openings, damaged []extent, err error,
) {
	found = map[uint32]*ltlv1.Openings{}
	for _, e := range slices.Backward(all) {
		b, err := g.read(e)
		if err != nil {
			return nil, nil, err
		}
		good, err := eachFrame(b, sequence, func(index uint32, body []byte) error {
			if found[index] != nil {
				return nil
			}
			o := &ltlv1.Openings{}
			if err := proto.Unmarshal(body, o); err != nil {
				return fmt.Errorf("%w: openings of transaction %d of sequence %d: %w", ErrCorrupt, index, sequence, err)
			}
			found[index] = o
			return nil
		})
		if err != nil {
			return nil, nil, err
		}
		if !good || len(b) != int(e.length) {
			damaged = append(damaged, e)
		}
	}
	return found, damaged, nil
}
