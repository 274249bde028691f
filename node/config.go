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

// Config says where a node lives and who it is. Zero timers and bounds take the defaults of DESIGN.md.
type Config struct {
	// Dir holds everything the node stores: ledger, Raft log and Raft snapshots. One node a directory.
	Dir string
	// Listen is host:port of the gRPC services; the port may be 0.
	Listen string
	// AdminListen is the loopback host:port of health, metrics and profiles; empty serves none.
	AdminListen string
	// Metrics is where the metrics are shown to other machines, beside AdminListen, which it needs; the zero value shows them to none.
	Metrics admin.Metrics
	// Tracer records what writes wait for; nil records nothing. Who opened it closes it.
	Tracer *tracing.Tracer
	// Credentials name the node: their identity's name is its Raft id.
	Credentials *identity.Credentials
	// Trust is the network's genesis.
	Trust *identity.Trust
	// Logger receives the node's events; the default is slog.Default.
	Logger *slog.Logger
	// Fatal is called when the node must not go on: a failed disk, a broken invariant. The default logs and exits the process.
	// It may be called more than once and from any goroutine; the node applies nothing more after the first call.
	Fatal func(error)

	// ScrubInterval is the pause between two readings of the whole stored ledger, which repair what is damaged.
	ScrubInterval time.Duration

	// HeartbeatTimeout, ElectionTimeout and LeaderLeaseTimeout are Raft's timers.
	HeartbeatTimeout, ElectionTimeout, LeaderLeaseTimeout time.Duration
	// SnapshotThreshold is the number of new entries after which the log is cut, TrailingLogs how many stay behind the cut,
	// SnapshotInterval how often that is looked at.
	SnapshotThreshold, TrailingLogs uint64
	SnapshotInterval                time.Duration
}

// ErrConfig is returned, wrapped, by Open for a configuration that cannot work.
var ErrConfig = errors.New("node configuration")

// withDefaults fills what is zero.
func (c Config) withDefaults() Config {
	setDefault(&c.HeartbeatTimeout, defaultHeartbeatTimeout)
	setDefault(&c.ElectionTimeout, defaultElectionTimeout)
	setDefault(&c.LeaderLeaseTimeout, defaultLeaderLeaseTimeout)
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

// check refuses what cannot work, in words.
func (c Config) check() error {
	switch {
	case c.Dir == "":
		return fmt.Errorf("%w: no data directory", ErrConfig)
	case c.Credentials == nil || c.Trust == nil:
		return fmt.Errorf("%w: no credentials or no trust", ErrConfig)
	}
	id := c.Credentials.Identity()
	if id.Role != identity.RoleNode {
		return fmt.Errorf("%w: the certificate is that of %s, not of a node", ErrConfig, id)
	}
	// A node that was added is not in the genesis: the others know it from the ledger, and it learns of itself from them.
	if known, ok := c.Trust.Node(id.Name); ok && known.GetOrganisation() != id.Organisation {
		return fmt.Errorf("%w: the network has no node %s of organisation %s", ErrConfig, id.Name, id.Organisation)
	}
	return nil
}
