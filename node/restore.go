package node

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/hashicorp/raft"
	"google.golang.org/protobuf/proto"

	"ltl/internal/identity"
	"ltl/internal/ledger"
	"ltl/internal/rules"
	"ltl/internal/store"
	ltlv1 "ltl/proto/ltl/v1"
)

const (
	// A restored network's Raft log begins behind a snapshot, which every restored node makes alike. Its term is above that of a first
	// configuration, so that no log of another beginning fits on it.
	restoredIndex = 1
	restoredTerm  = 2
	// keyFounders holds the ids of the nodes that a lineage began with.
	keyFounders = "Founders"
	// restoreBlocks and restoreBytes bound the blocks that are stored together.
	restoreBlocks = 256
	restoreBytes  = 4 << 20
)

// ErrRestore is returned, wrapped, by Restore for what cannot be restored, or must not be.
var ErrRestore = errors.New("nothing was restored")

// RestoreConfig says which node is made from which copy of the ledger.
type RestoreConfig struct {
	// Dir is the node's directory, which must not exist, or be empty. ID is the node's id.
	Dir, ID string
	// Source is a copy of the ledger whose owner is stopped: a backup's, a node's or an endorser's.
	Source *store.Store
	// AccessKeys is a copy that holds the AccessKeys; nil takes those of Source. An endorser's holds none.
	AccessKeys *store.Store
	Trust      *identity.Trust
	// Voters are the ids of the nodes that the restored network begins with; empty takes all voters of the ledger. All of them are
	// restored from copies of the same blocks, with the same Voters and Label.
	Voters []string
	// Label tells two restorations of the same blocks apart.
	Label string
	// Logger receives events; the default is slog.Default.
	Logger *slog.Logger
}

// Restored is what Restore made.
type Restored struct {
	Blocks uint64   `json:"blocks"`
	Voters []string `json:"voters"`
	// Lineage tells this network from the one whose nodes were lost, in hexadecimal digits. It is the same for all nodes of a restoration.
	Lineage string `json:"lineage"`
	// AccessKeys is the number of AccessKeys.
	AccessKeys int `json:"accessKeys"`
}

// Restore makes the directory of a node of a network whose nodes were lost. It executes every block of the copy again. The network goes on
// behind the copy's newest block as another lineage: a node that survived elsewhere, with a Raft log of the old one, is refused.
//
// It is for when a majority of the nodes' disks is gone. One node that lost its disk is replaced; restoring it would give it blocks, and
// not the votes and the acknowledgements that it owes the others.
func Restore(ctx context.Context, cfg RestoreConfig) (_ *Restored, err error) {
	if cfg.Logger == nil {
		cfg.Logger = slog.Default()
	}
	if err := unused(cfg.Dir); err != nil {
		return nil, err
	}
	if err := os.MkdirAll(filepath.Join(cfg.Dir, "snapshots"), dirMode); err != nil {
		return nil, err
	}
	s, err := store.Open(filepath.Join(cfg.Dir, "ledger"), store.Options{Fatal: func(error) {}, Logger: cfg.Logger})
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	if err := s.Init(cfg.Trust.GenesisPayload()); err != nil {
		return nil, err
	}
	if err := copyBlocks(ctx, cfg.Source, s); err != nil {
		return nil, err
	}
	keys := cfg.AccessKeys
	if keys == nil {
		keys = cfg.Source
	}
	if err := copyAccessKeys(keys, s); err != nil {
		return nil, err
	}
	if err := s.SetApplied(restoredIndex); err != nil {
		return nil, err
	}
	return cfg.beginEpoch(s)
}

// unused refuses a directory with anything in it.
func unused(dir string) error {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err == nil && len(entries) > 0 {
		err = fmt.Errorf("%w: %s holds something; a node is restored into an empty directory, and what is there may be the newest copy of all: move it away", ErrRestore, dir)
	}
	return err
}

// copyBlocks executes all blocks of a copy.
func copyBlocks(ctx context.Context, from, to *store.Store) error {
	if from.NetworkID() != to.NetworkID() {
		return fmt.Errorf("%w: the copy is of network %x, the trust file of %x", ErrRestore, from.NetworkID(), to.NetworkID())
	}
	var held []*ltlv1.Block
	size := 0
	for sequence := to.Sequence(); sequence < from.Sequence(); sequence++ {
		if err := ctx.Err(); err != nil {
			return err
		}
		b, err := from.BlockAt(sequence)
		if err != nil {
			return fmt.Errorf("%w: read the copy: %w", ErrRestore, err)
		}
		held = append(held, b)
		if size += proto.Size(b); len(held) < restoreBlocks && size < restoreBytes && sequence+1 < from.Sequence() {
			continue
		}
		if err := to.Append(held); err != nil {
			return fmt.Errorf("%w: the copy is wrong: %w", ErrRestore, err)
		}
		held, size = nil, 0
	}
	return nil
}

// copyAccessKeys takes the AccessKeys of a copy.
func copyAccessKeys(from, to *store.Store) error {
	p, err := newCheckpoint(from)
	if err != nil {
		return err
	}
	return to.RestoreAccessKeys(p.accessKeys)
}

// beginEpoch writes the Raft state from which the restored nodes go on.
func (cfg RestoreConfig) beginEpoch(s *store.Store) (*Restored, error) {
	nodes, err := rules.ListNodes(s)
	if err != nil {
		return nil, err
	}
	configuration, voters, err := cfg.founders(nodes)
	if err != nil {
		return nil, err
	}
	p, err := newCheckpoint(s)
	if err != nil {
		return nil, err
	}
	lineage := epochOf(p, voters, cfg.Label)
	n := &Node{cfg: Config{Dir: cfg.Dir, Logger: cfg.Logger}}
	snaps, err := n.snapshots()
	if err != nil {
		return nil, err
	}
	names := NewTransport(TransportConfig{ID: raft.ServerID(cfg.ID)}) // raft wants one to write ids with; it connects to nobody
	sink, err := snaps.Create(raft.SnapshotVersionMax, restoredIndex, restoredTerm, configuration, restoredIndex, names)
	if err != nil {
		return nil, fmt.Errorf("write the first Raft snapshot: %w", err)
	}
	if err := (&checkpointSnapshot{encoded: p.encode()}).Persist(sink); err != nil {
		return nil, fmt.Errorf("write the first Raft snapshot: %w", err)
	}
	if err := cfg.writeIdentity(nodes, lineage, voters); err != nil {
		return nil, err
	}
	return &Restored{Blocks: s.Sequence(), Voters: voters, Lineage: hex.EncodeToString(lineage), AccessKeys: len(p.accessKeys)}, syncDir(cfg.Dir)
}

// founders are the configuration of the restored network.
func (cfg RestoreConfig) founders(nodes []*rules.Node) (raft.Configuration, []string, error) {
	var c raft.Configuration
	var voters []string
	for _, n := range nodes {
		if n.Standing == ltlv1.NodeStanding_NODE_STANDING_VOTER && (len(cfg.Voters) == 0 || slices.Contains(cfg.Voters, n.ID)) {
			voters = append(voters, n.ID)
			c.Servers = append(c.Servers, raft.Server{Suffrage: raft.Voter, ID: raft.ServerID(n.ID), Address: raft.ServerAddress(n.ID)})
		}
	}
	for _, id := range cfg.Voters {
		if !slices.Contains(voters, id) {
			return c, nil, fmt.Errorf("%w: %s is no voter of the network in the copy, which has %s", ErrRestore, id, strings.Join(voters, ", "))
		}
	}
	if !slices.Contains(voters, cfg.ID) {
		return c, nil, fmt.Errorf("%w: node %s is not among the voters %s", ErrRestore, cfg.ID, strings.Join(voters, ", "))
	}
	return c, voters, nil
}

// epochOf depends on everything in which two nodes of a restoration must not differ.
func epochOf(p *checkpoint, voters []string, label string) []byte {
	h := sha256.New()
	h.Write([]byte("ltl/lineage/v1\x00"))
	h.Write(p.encode())
	for _, part := range append([]string{label}, voters...) {
		sum := ledger.Hash(sha256.Sum256([]byte(part)))
		h.Write(sum[:])
	}
	return h.Sum(nil)[:storeIDLen]
}

// writeIdentity gives the directory its identity. A node that was added keeps the one that the ledger names: there is no other of this lineage.
func (cfg RestoreConfig) writeIdentity(nodes []*rules.Node, lineage []byte, voters []string) (err error) {
	log, err := openLog(filepath.Join(cfg.Dir, raftLogName), logOptions{fatal: func(error) {}, logger: cfg.Logger})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, log.Close()) }()
	incarnation := make([]byte, storeIDLen)
	if _, err := rand.Read(incarnation); err != nil {
		return fmt.Errorf("random bytes: %w", err)
	}
	for _, n := range nodes {
		if n.ID == cfg.ID && len(n.Incarnation) > 0 {
			incarnation = n.Incarnation
		}
	}
	for _, v := range []struct {
		key   string
		value []byte
	}{{keyRestoreEpoch, lineage}, {keyFounders, []byte(strings.Join(voters, "\n"))}, {keyStoreID, incarnation}} {
		if err := log.stable.Set([]byte(v.key), v.value); err != nil {
			return err
		}
	}
	return log.stable.SetUint64([]byte(currentTermKey), restoredTerm)
}
