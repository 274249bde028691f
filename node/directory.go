package node

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/hashicorp/raft"

	"ltl/internal/rules"
)

const (
	storeIDLen = rules.StoreIDLen
	// positionInterval is how often a peer's position is written to disk. A peer that goes back by less than this while
	// this node restarts is not detected.
	positionInterval = 10 * time.Second
)

// Keys beside Raft's term and vote.
const (
	// The spelling of the keys is the stored format, from before the present names.
	keyStoreID      = "Incarnation"
	keyRestoreEpoch = "Lineage"
	keyRestored     = "RestoredBlocks"
	keyJoined       = "Admitted"
	keyPeerPrefix   = "Peer/"
	// keySignedPrefix has a peer's signatures, beside keyPeerPrefix, whose value older programs read.
	keySignedPrefix = "PeerSigned/"
)

// directory is what a node's data directory records about itself and about the peers' directories. The store id is
// made with the directory and lost with it. The records are in the file of the Raft log, because that is the file
// whose loss must be detected. Methods may be called concurrently.
type directory struct {
	stable   raft.StableStore
	storeID  []byte
	founders []raft.ServerID // in the directory of a founder of a restored network; empty otherwise

	mu     sync.Mutex
	epoch  []byte
	blocks uint64 // with which the restored network began; 0 when it was never restored
	joined bool
	peers  map[raft.ServerID]*peerRecord
}

// peerRecord is what is known of a peer.
type peerRecord struct {
	storeID []byte
	position
	// The peer's signatures over its highest term and commit; empty where it sent none.
	termSignature, commitSignature []byte
	saved                          time.Time
}

// openDirectory reads or makes the records of a directory. used says that the directory has Raft state; Raft state
// without a store id was written by a version that made none.
func openDirectory(stable raft.StableStore, used bool) (*directory, error) {
	d := &directory{stable: stable, peers: map[raft.ServerID]*peerRecord{}}
	var err error
	if d.storeID, err = optional(stable, keyStoreID); err != nil {
		return nil, err
	}
	made := d.storeID == nil
	if made {
		d.storeID = make([]byte, storeIDLen)
		if _, err := rand.Read(d.storeID); err != nil {
			return nil, fmt.Errorf("random bytes: %w", err)
		}
		if err := stable.Set([]byte(keyStoreID), d.storeID); err != nil {
			return nil, err
		}
	}
	if len(d.storeID) != storeIDLen {
		return nil, fmt.Errorf("%w: the store id has %d bytes", errLogCorrupt, len(d.storeID))
	}
	if d.epoch, err = optional(stable, keyRestoreEpoch); err != nil {
		return nil, err
	}
	restored, err := optional(stable, keyRestored)
	if err != nil {
		return nil, err
	}
	if len(restored) == uint64Bytes {
		d.blocks = binary.BigEndian.Uint64(restored)
	}
	founders, err := optional(stable, keyFounders)
	if err != nil {
		return nil, err
	}
	if founders != nil {
		for _, id := range strings.Split(string(founders), "\n") {
			d.founders = append(d.founders, raft.ServerID(id))
		}
	}
	joined, err := optional(stable, keyJoined)
	d.joined = joined != nil || made && used
	return d, err
}

// optional reads a value that may be absent.
func optional(stable raft.StableStore, key string) ([]byte, error) {
	b, err := stable.Get([]byte(key))
	if isKeyNotFound(err) {
		return nil, nil
	}
	return b, err
}

// Prepare makes the directory of a node that is to be added to a network, and returns its store id: 16 bytes that
// distinguish it from any other directory. The transaction that adds the node contains them. Prepare refuses a
// directory that has a Raft log.
func Prepare(dir string) (storeID []byte, err error) {
	path := filepath.Join(dir, raftLogName)
	if _, err := os.Lstat(path); !errors.Is(err, fs.ErrNotExist) {
		return nil, errors.Join(err, fmt.Errorf("%s exists already: a node's directory can be prepared only once", path))
	}
	if err := os.MkdirAll(dir, dirMode); err != nil {
		return nil, err
	}
	log, err := openLog(path, logOptions{fatal: func(error) {}})
	if err != nil {
		return nil, err
	}
	d, err := openDirectory(log.stable, false)
	if err := errors.Join(err, log.Close()); err != nil {
		return nil, err
	}
	return d.storeID, syncDir(dir)
}

func (d *directory) hasJoined() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.joined
}

// markJoined records that this directory takes part in consensus.
func (d *directory) markJoined() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.joined {
		return nil
	}
	if err := d.stable.Set([]byte(keyJoined), []byte{1}); err != nil {
		return err
	}
	d.joined = true
	return nil
}

func (d *directory) restoreEpoch() []byte {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.epoch
}

// restoredBlocks is the number of blocks with which the restored network began; 0 when it was never restored.
func (d *directory) restoredBlocks() uint64 {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.blocks
}

// adoptEpoch takes the restore epoch of the network that a new directory joins, and the number of blocks with which
// that network began. It reports whether it did.
func (d *directory) adoptEpoch(epoch []byte, blocks uint64) (bool, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.joined || len(d.epoch) != 0 || len(epoch) != storeIDLen {
		return false, nil
	}
	if err := d.stable.Set([]byte(keyRestored), binary.BigEndian.AppendUint64(nil, blocks)); err != nil {
		return false, err
	}
	if err := d.stable.Set([]byte(keyRestoreEpoch), epoch); err != nil {
		return false, err
	}
	d.epoch, d.blocks = bytes.Clone(epoch), blocks
	return true, nil
}

// recordPeer stores a peer's store id durably at the first handshake, and reports whether the given store id is that
// one.
func (d *directory) recordPeer(peer raft.ServerID, storeID []byte) (same bool, err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	a, err := d.peerRecord(peer)
	if err != nil {
		return false, err
	}
	if a.storeID == nil {
		known := *a
		known.storeID = bytes.Clone(storeID)
		if err := d.save(peer, &known); err != nil {
			return false, err
		}
		*a = known
	}
	return bytes.Equal(a.storeID, storeID), nil
}

// recordPosition stores the position that a peer reports with its signatures, and returns the highest that it has
// reported, including this one.
func (d *directory) recordPosition(peer raft.ServerID, at position, term, commit []byte) (peerRecord, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	a, err := d.peerRecord(peer)
	if err != nil {
		return peerRecord{}, err
	}
	if at.term > a.term || len(a.termSignature) == 0 && at.term == a.term {
		a.term, a.termSignature = at.term, signatureOrNone(term)
	}
	if at.commit > a.commit || len(a.commitSignature) == 0 && at.commit == a.commit {
		a.commit, a.commitSignature = at.commit, signatureOrNone(commit)
	}
	if time.Since(a.saved) >= positionInterval {
		if err := d.save(peer, a); err != nil {
			return peerRecord{}, err
		}
	}
	return *a, nil
}

// lastReport returns what a peer reported.
func (d *directory) lastReport(peer raft.ServerID) (peerRecord, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	a, err := d.peerRecord(peer)
	if err != nil {
		return peerRecord{}, err
	}
	return *a, nil
}

// signatureOrNone drops what cannot be a signature, so that a record has a bounded size.
func signatureOrNone(b []byte) []byte {
	if len(b) != ed25519.SignatureSize {
		return nil
	}
	return bytes.Clone(b)
}

// peerRecord reads what is known of a peer. The caller holds mu.
func (d *directory) peerRecord(peer raft.ServerID) (*peerRecord, error) {
	if a := d.peers[peer]; a != nil {
		return a, nil
	}
	b, err := optional(d.stable, keyPeerPrefix+string(peer))
	if err != nil {
		return nil, err
	}
	a := &peerRecord{}
	if b != nil {
		if len(b) != storeIDLen+2*uint64Bytes {
			return nil, fmt.Errorf("%w: %d bytes about peer %s", errLogCorrupt, len(b), peer)
		}
		a.storeID = b[:storeIDLen]
		a.term, a.commit = binary.BigEndian.Uint64(b[storeIDLen:]), binary.BigEndian.Uint64(b[storeIDLen+uint64Bytes:])
	}
	signed, err := optional(d.stable, keySignedPrefix+string(peer))
	if err != nil {
		return nil, err
	}
	a.addSignatures(signed)
	d.peers[peer] = a
	return a, nil
}

func (d *directory) save(peer raft.ServerID, a *peerRecord) error {
	if a.storeID == nil {
		return nil
	}
	b := bytes.Clone(a.storeID)
	b = binary.BigEndian.AppendUint64(b, a.term)
	b = binary.BigEndian.AppendUint64(b, a.commit)
	if err := d.stable.Set([]byte(keyPeerPrefix+string(peer)), b); err != nil {
		return err
	}
	if err := d.stable.Set([]byte(keySignedPrefix+string(peer)), a.signatures()); err != nil {
		return err
	}
	a.saved = time.Now()
	return nil
}

// signatures encodes what was signed, each with its value: a program that knows no signatures may have raised the
// record meanwhile.
func (a *peerRecord) signatures() (b []byte) {
	for _, s := range []struct {
		value     uint64
		signature []byte
	}{{a.term, a.termSignature}, {a.commit, a.commitSignature}} {
		b = binary.BigEndian.AppendUint64(b, s.value)
		b = append(b, s.signature...)
		b = append(b, make([]byte, ed25519.SignatureSize-len(s.signature))...) // no signature: one that proves nothing
	}
	return b
}

// addSignatures adds the encoded signatures that are over the values of the record.
func (a *peerRecord) addSignatures(b []byte) {
	const each = uint64Bytes + ed25519.SignatureSize
	if len(b) != 2*each {
		return
	}
	none := make([]byte, ed25519.SignatureSize)
	if s := b[uint64Bytes:each]; binary.BigEndian.Uint64(b) == a.term && !bytes.Equal(s, none) {
		a.termSignature = s
	}
	if s := b[each+uint64Bytes:]; binary.BigEndian.Uint64(b[each:]) == a.commit && !bytes.Equal(s, none) {
		a.commitSignature = s
	}
}

// storeIDOf returns the store id of a peer; nil before the first handshake.
func (d *directory) storeIDOf(peer raft.ServerID) ([]byte, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	a, err := d.peerRecord(peer)
	if err != nil {
		return nil, err
	}
	return a.storeID, nil
}

// writeDurably replaces a file. After a crash the file has either all of b or its previous content.
func writeDurably(path string, b []byte) error {
	f, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".*")
	if err != nil {
		return err
	}
	_, err = f.Write(b)
	if err == nil {
		err = f.Sync()
	}
	if err := errors.Join(err, f.Close()); err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	if err := os.Rename(f.Name(), path); err != nil {
		return err
	}
	return syncDir(filepath.Dir(path))
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
