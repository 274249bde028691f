package node

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
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

	"ltl/internal/checkpoint"
	"ltl/internal/identity"
	"ltl/internal/ledger"
	"ltl/internal/rules"
	"ltl/internal/store"
	ltlv1 "ltl/proto/ltl/v1"
)

const (
	// The Raft log of a restored network begins after a snapshot that every restored node makes alike. Its term is above
	// that of a first configuration, so that no log that began otherwise fits on it.
	restoredIndex = 1
	restoredTerm  = 2
	// keyFounders has the ids of the nodes that a restore epoch began with.
	keyFounders = "Founders"
	// restoreBlocks and restoreBytes bound the blocks that are stored together.
	restoreBlocks = 256
	restoreBytes  = 4 << 20
)

// ErrRestore is wrapped by the errors of Restore for a copy that cannot be restored, or must not be.
var ErrRestore = errors.New("nothing was restored")

// RestoreConfig says which node is made from which copy of the ledger.
type RestoreConfig struct {
	// Dir is the node's directory, which must not exist or be empty. ID is the node's id.
	Dir, ID string
	// Source is a copy of the ledger: a backup, or the ledger of a stopped node or endorser.
	Source *store.Store
	// AccessKeys is a copy that has the AccessKeys; nil means Source. An endorser's ledger has none.
	AccessKeys *store.Store
	Trust      *identity.Trust
	// Voters are the ids of the nodes that the restored network begins with; empty means all voters of the ledger. All
	// of them must be restored from copies of the same blocks, with the same Voters and Label.
	Voters []string
	// Label distinguishes two restorations of the same blocks.
	Label string
	// Logger receives events; nil means slog.Default.
	Logger *slog.Logger
}

// Restored describes what Restore made.
type Restored struct {
	Blocks uint64   `json:"blocks"`
	Voters []string `json:"voters"`
	// RestoreEpoch distinguishes this network from the one whose nodes were lost, in hexadecimal digits. It is the same
	// for all nodes of a restoration.
	RestoreEpoch string `json:"lineage"`
	// AccessKeys is the number of AccessKeys.
	AccessKeys int `json:"accessKeys"`
}

// Restore makes the directory of a node for a network whose nodes were lost. It executes every block of the copy
// again. The network continues after the copy's newest block with a new restore epoch: a node that survived
// elsewhere, with a Raft log of the old epoch, is refused.
//
// Restore is for the loss of a majority of the nodes' disks. A single node that lost its disk must be replaced:
// restoring it would give it blocks, but not the votes and acknowledgements that it gave to the others.
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
	if err := s.SyncOpenings(); err != nil {
		return nil, err
	}
	if err := s.SetApplied(restoredIndex); err != nil {
		return nil, err
	}
	return cfg.beginEpoch(s)
}

// unused refuses a directory that is not empty.
func unused(dir string) error {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err == nil && len(entries) > 0 {
		err = fmt.Errorf("%w: %s is not empty. It may be the newest copy of the ledger: move it away, and restore into an "+
			"empty directory", ErrRestore, dir)
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
		if err := from.AddOpenings(b); err != nil {
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

// copyAccessKeys stores the AccessKeys of a copy.
func copyAccessKeys(from, to *store.Store) error {
	p, err := newTarget(from)
	if err != nil {
		return err
	}
	return to.RestoreAccessKeys(p.accessKeys)
}

// beginEpoch writes the Raft state from which the restored nodes continue.
func (cfg RestoreConfig) beginEpoch(s *store.Store) (*Restored, error) {
	nodes, err := rules.ListNodes(s)
	if err != nil {
		return nil, err
	}
	configuration, voters, err := cfg.founders(nodes)
	if err != nil {
		return nil, err
	}
	p, err := newTarget(s)
	if err != nil {
		return nil, err
	}
	epoch := epochOf(p, voters, cfg.Label)
	n := &Node{cfg: Config{Dir: cfg.Dir, Logger: cfg.Logger}}
	snaps, err := n.snapshots()
	if err != nil {
		return nil, err
	}
	names := NewTransport(TransportConfig{ID: raft.ServerID(cfg.ID)}) // raft uses it to encode ids; it makes no connection
	sink, err := snaps.Create(raft.SnapshotVersionMax, restoredIndex, restoredTerm, configuration, restoredIndex, names)
	if err != nil {
		return nil, fmt.Errorf("write the first Raft snapshot: %w", err)
	}
	if err := (&targetSnapshot{encoded: p.encode()}).Persist(sink); err != nil {
		return nil, fmt.Errorf("write the first Raft snapshot: %w", err)
	}
	if err := cfg.writeIdentity(nodes, epoch, voters, s.Sequence()); err != nil {
		return nil, err
	}
	// This directory has signed no checkpoint. Until the restoration is recorded it signs none, and then under an origin
	// under which its key has signed none either.
	if err := os.Mkdir(filepath.Join(cfg.Dir, checkpoint.Directory), dirMode); err != nil {
		return nil, err
	}
	return &Restored{Blocks: s.Sequence(), Voters: voters, RestoreEpoch: hex.EncodeToString(epoch),
		AccessKeys: len(p.accessKeys)}, syncDir(cfg.Dir)
}

// founders returns the Raft configuration of the restored network and its voters' ids.
func (cfg RestoreConfig) founders(nodes []*rules.Node) (raft.Configuration, []string, error) {
	var c raft.Configuration
	var voters []string
	for _, n := range nodes {
		if n.Membership == ltlv1.NodeMembership_NODE_MEMBERSHIP_VOTER && (len(cfg.Voters) == 0 || slices.Contains(cfg.Voters,
			n.ID)) {
			voters = append(voters, n.ID)
			c.Servers = append(c.Servers, raft.Server{Suffrage: raft.Voter, ID: raft.ServerID(n.ID),
				Address: raft.ServerAddress(n.ID)})
		}
	}
	for _, id := range cfg.Voters {
		if !slices.Contains(voters, id) {
			return c, nil, fmt.Errorf("%w: %s is not a voter in the copy; its voters are %s", ErrRestore, id,
				strings.Join(voters, ", "))
		}
	}
	if !slices.Contains(voters, cfg.ID) {
		return c, nil, fmt.Errorf("%w: node %s is not among the voters %s", ErrRestore, cfg.ID, strings.Join(voters, ", "))
	}
	return c, voters, nil
}

// epochOf is a hash over everything in which two nodes of a restoration must not differ.
func epochOf(p *catchUpTarget, voters []string, label string) []byte {
	h := sha256.New()
	h.Write([]byte("ltl/lineage/v1\x00"))
	h.Write(p.encode())
	for _, part := range append([]string{label}, voters...) {
		sum := ledger.Hash(sha256.Sum256([]byte(part)))
		h.Write(sum[:])
	}
	return h.Sum(nil)[:storeIDLen]
}

// writeIdentity gives the directory its identity. A node that was added keeps the store id that the ledger names; no
// other directory of the new epoch has it.
func (cfg RestoreConfig) writeIdentity(nodes []*rules.Node, epoch []byte, voters []string, blocks uint64) (err error) {
	log, err := openLog(filepath.Join(cfg.Dir, raftLogName), logOptions{fatal: func(error) {}, logger: cfg.Logger})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, log.Close()) }()
	storeID := make([]byte, storeIDLen)
	if _, err := rand.Read(storeID); err != nil {
		return fmt.Errorf("random bytes: %w", err)
	}
	for _, n := range nodes {
		if n.ID == cfg.ID && len(n.StoreID) > 0 {
			storeID = n.StoreID
		}
	}
	for _, v := range []struct {
		key   string
		value []byte
	}{{keyRestored, binary.BigEndian.AppendUint64(nil, blocks)}, {keyRestoreEpoch, epoch}, {keyFounders, []byte(strings.Join(voters, "\n"))}, {keyStoreID, storeID}} {
		if err := log.stable.Set([]byte(v.key), v.value); err != nil {
			return err
		}
	}
	return log.stable.SetUint64([]byte(currentTermKey), restoredTerm)
}
