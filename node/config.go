package node

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"time"

	"ltl/internal/admin"
	"ltl/internal/identity"
	"ltl/internal/tracing"
)

// Config is what a node runs with. A zero timer or bound means the default that DESIGN.md, section Timers, gives.
type Config struct {
	// Dir is the data directory: ledger, Raft log and Raft snapshots. Each node needs its own.
	Dir string
	// Listen is host:port of the gRPC services; port 0 takes a free one.
	Listen string
	// AdminListen is the loopback host:port of health, metrics and profiles; empty serves none.
	AdminListen string
	// Metrics says where metrics are served to other machines, beside AdminListen, which must be set too. The zero value
	// serves them to none.
	Metrics admin.Metrics
	// Tracer records how long each stage of a write takes; nil records nothing. The caller that opened it closes it.
	Tracer *tracing.Tracer
	// Credentials are the node's certificate and key. The name in the certificate is the node's Raft id.
	Credentials *identity.Credentials
	// Trust is the network's genesis. The node adds what the ledger says about organisations and nodes to it.
	Trust *identity.Trust
	// Logger receives the node's events; nil means slog.Default.
	Logger *slog.Logger
	// Fatal is called when the process must end: a failed disk, a broken invariant, a removed node. The default logs the
	// error and exits with status 1. It may be called more than once and from any goroutine. The node executes no entry
	// after the first call.
	Fatal func(error)

	// ScrubInterval is the pause between two reads of the whole stored ledger, which find and repair damaged blocks.
	ScrubInterval time.Duration

	// HeartbeatTimeout, ElectionTimeout, LeaderLeaseTimeout and CommitTimeout are Raft's timers: see limits.go.
	HeartbeatTimeout, ElectionTimeout, LeaderLeaseTimeout, CommitTimeout time.Duration
	// SnapshotThreshold is the number of entries after which Raft takes a snapshot and truncates its log. TrailingLogs
	// is how many entries before the snapshot stay in the log. SnapshotInterval is how often the threshold is checked.
	SnapshotThreshold, TrailingLogs uint64
	SnapshotInterval                time.Duration
}

// ErrConfig is wrapped by the errors that Open returns for a configuration that cannot work.
var ErrConfig = errors.New("node configuration")

// withDefaults returns c with defaults in place of zero values.
func (c Config) withDefaults() Config {
	setDefault(&c.HeartbeatTimeout, defaultHeartbeatTimeout)
	setDefault(&c.ElectionTimeout, defaultElectionTimeout)
	setDefault(&c.LeaderLeaseTimeout, defaultLeaderLeaseTimeout)
	setDefault(&c.CommitTimeout, defaultCommitTimeout)
	setDefault(&c.SnapshotThreshold, defaultSnapshotThreshold)
	setDefault(&c.TrailingLogs, defaultTrailingLogs)
	setDefault(&c.SnapshotInterval, defaultSnapshotInterval)
	if c.Logger == nil {
		c.Logger = slog.Default()
	}
	if c.Fatal == nil {
		logger := c.Logger
		c.Fatal = func(err error) {
			logger.Error("node stops", "error", err)
			os.Exit(1)
		}
	}
	return c
}

func setDefault[T comparable](v *T, d T) {
	var zero T
	if *v == zero {
		*v = d
	}
}

// check returns an error that wraps ErrConfig when a node cannot run with c.
func (c Config) check() error {
	switch {
	case c.Dir == "":
		return fmt.Errorf("%w: no data directory", ErrConfig)
	case c.Credentials == nil || c.Trust == nil:
		return fmt.Errorf("%w: no credentials or no trust", ErrConfig)
	}
	id := c.Credentials.Identity()
	if id.Role != identity.RoleNode {
		return fmt.Errorf("%w: the certificate is for %s, not for a node", ErrConfig, id)
	}
	// A node that was added later is not in the genesis: the ledger names it, and it reads that from its peers.
	if known, ok := c.Trust.Node(id.Name); ok && known.GetOrganisation() != id.Organisation {
		return fmt.Errorf("%w: the network has no node %s of organisation %s", ErrConfig, id.Name, id.Organisation)
	}
	return nil
}
