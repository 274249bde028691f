package node

import (
	"bytes"
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
	incarnationLen = rules.IncarnationLen
	// positionInterval is how often what was heard of a peer's position is written down. A peer that falls back by less while this
	// node restarts is not noticed.
	positionInterval = 10 * time.Second
)

// Keys beside Raft's term and vote.
const (
	keyIncarnation = "Incarnation"
	keyLineage     = "Lineage"
	keyAdmitted    = "Admitted"
	keyPeerPrefix  = "Peer/"
)

// disk is what a node's directory knows of itself and of the disks of others: an identity that is made with the directory and gone
// with it. It stands in the Raft log's file, because that is what must not be lost. Its methods may be called concurrently.
type disk struct {
	stable      raft.StableStore
	incarnation []byte
	founders    []raft.ServerID // of the lineage, on the disk of one of them; empty in a network that was never restored

	mu       sync.Mutex
	lineage  []byte
	admitted bool
	peers    map[raft.ServerID]*acquaintance
}

// acquaintance is what is known of a peer.
type acquaintance struct {
	incarnation []byte
	position
	saved time.Time
}

// openDisk reads or makes the identity of a directory. used says that it holds Raft state; such a one without an identity is of a version
// that made none.
func openDisk(stable raft.StableStore, used bool) (*disk, error) {
	d := &disk{stable: stable, peers: map[raft.ServerID]*acquaintance{}}
	var err error
	if d.incarnation, err = optional(stable, keyIncarnation); err != nil {
		return nil, err
	}
	made := d.incarnation == nil
	if made {
		d.incarnation = make([]byte, incarnationLen)
		if _, err := rand.Read(d.incarnation); err != nil {
			return nil, fmt.Errorf("random bytes: %w", err)
		}
		if err := stable.Set([]byte(keyIncarnation), d.incarnation); err != nil {
			return nil, err
		}
	}
	if len(d.incarnation) != incarnationLen {
		return nil, fmt.Errorf("%w: an incarnation of %d bytes", errLogCorrupt, len(d.incarnation))
	}
	if d.lineage, err = optional(stable, keyLineage); err != nil {
		return nil, err
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
	admitted, err := optional(stable, keyAdmitted)
	d.admitted = admitted != nil || made && used
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

// Prepare makes the directory of a node that is to be added to a network, and returns the 16 bytes that tell it from any other. The
// transaction that adds the node names them. A directory that holds a Raft log is refused.
func Prepare(dir string) (incarnation []byte, err error) {
	path := filepath.Join(dir, raftLogName)
	if _, err := os.Lstat(path); !errors.Is(err, fs.ErrNotExist) {
		return nil, errors.Join(err, fmt.Errorf("%s exists already: a node's directory is prepared once", path))
	}
	if err := os.MkdirAll(dir, dirMode); err != nil {
		return nil, err
	}
	log, err := openLog(path, logOptions{fatal: func(error) {}})
	if err != nil {
		return nil, err
	}
	d, err := openDisk(log.stable, false)
	if err := errors.Join(err, log.Close()); err != nil {
		return nil, err
	}
	return d.incarnation, syncDir(dir)
}

func (d *disk) isAdmitted() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.admitted
}

// admit notes that this disk takes part in consensus.
func (d *disk) admit() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.admitted {
		return nil
	}
	if err := d.stable.Set([]byte(keyAdmitted), []byte{1}); err != nil {
		return err
	}
	d.admitted = true
	return nil
}

func (d *disk) lineageNow() []byte {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.lineage
}

// adopt takes the lineage of the network that a new disk joins.
func (d *disk) adopt(lineage []byte) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.admitted || len(d.lineage) != 0 || len(lineage) != incarnationLen {
		return nil
	}
	if err := d.stable.Set([]byte(keyLineage), lineage); err != nil {
		return err
	}
	d.lineage = bytes.Clone(lineage)
	return nil
}

// remember notes a peer's disk at the first meeting, durably, and reports whether it is that of the first meeting.
func (d *disk) remember(peer raft.ServerID, incarnation []byte) (same bool, err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	a, err := d.acquaintance(peer)
	if err != nil {
		return false, err
	}
	if a.incarnation == nil {
		known := acquaintance{incarnation: bytes.Clone(incarnation), position: a.position}
		if err := d.save(peer, &known); err != nil {
			return false, err
		}
		*a = known
	}
	return bytes.Equal(a.incarnation, incarnation), nil
}

// heard notes how far a peer says it is, and returns the farthest that it has said, this time included.
func (d *disk) heard(peer raft.ServerID, at position) (position, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	a, err := d.acquaintance(peer)
	if err != nil {
		return position{}, err
	}
	a.term, a.commit = max(a.term, at.term), max(a.commit, at.commit)
	if time.Since(a.saved) >= positionInterval {
		if err := d.save(peer, a); err != nil {
			return position{}, err
		}
	}
	return a.position, nil
}

// acquaintance reads what is known of a peer. The caller holds mu.
func (d *disk) acquaintance(peer raft.ServerID) (*acquaintance, error) {
	if a := d.peers[peer]; a != nil {
		return a, nil
	}
	b, err := optional(d.stable, keyPeerPrefix+string(peer))
	if err != nil {
		return nil, err
	}
	a := &acquaintance{}
	if b != nil {
		if len(b) != incarnationLen+2*uint64Bytes {
			return nil, fmt.Errorf("%w: %d bytes about peer %s", errLogCorrupt, len(b), peer)
		}
		a.incarnation = b[:incarnationLen]
		a.term, a.commit = binary.BigEndian.Uint64(b[incarnationLen:]), binary.BigEndian.Uint64(b[incarnationLen+uint64Bytes:])
	}
	d.peers[peer] = a
	return a, nil
}

func (d *disk) save(peer raft.ServerID, a *acquaintance) error {
	if a.incarnation == nil {
		return nil
	}
	b := bytes.Clone(a.incarnation)
	b = binary.BigEndian.AppendUint64(b, a.term)
	b = binary.BigEndian.AppendUint64(b, a.commit)
	if err := d.stable.Set([]byte(keyPeerPrefix+string(peer)), b); err != nil {
		return err
	}
	a.saved = time.Now()
	return nil
}

// of is the disk of a peer, nil when they never met.
func (d *disk) of(peer raft.ServerID) ([]byte, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	a, err := d.acquaintance(peer)
	if err != nil {
		return nil, err
	}
	return a.incarnation, nil
}
