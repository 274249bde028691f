package client

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/otel/trace"

	"ltl/client/proof"
	"ltl/internal/identity"
	"ltl/internal/rules"
	"ltl/internal/skew"
	"ltl/internal/tracing"
)

// Config configures a client. Only Credentials and Trust are required. Zero values mean the defaults of limits.go.
type Config struct {
	// Credentials are the caller's certificate and key; every transaction carries their identity as its submitter.
	// LoadCredentials returns them.
	Credentials Credentials
	// Trust is the trust file of the network: where its nodes and endorsers are, and by which keys they are known. It must
	// be the one that Credentials were loaded with. LoadTrust returns it.
	Trust Trust
	// Logger receives one line for each event; by default slog.Default().
	Logger *slog.Logger
	// TracerProvider records the steps of sampled requests as OpenTelemetry spans; nil records nothing. Its owner shuts it
	// down, after Close.
	TracerProvider trace.TracerProvider
	// PreferNode is the id of the node to read from while it answers; by default the first of the trust file.
	PreferNode string
	// OwnEndorser is HOST:PORT of the endorser of the caller's own organisation, in place of the address that the ledger
	// has: with it an operator corrects a wrong address, which without that endorser's endorsement cannot be changed. What
	// serves there must have that endorser's certificate. Empty takes the ledger's.
	OwnEndorser string
	// Verify has GetRecord and GetPhaseRecord check what a node answers: the record must be in a block under a
	// checkpoint that a majority of the nodes has signed (proof.Certified), or also a majority of the organisations
	// (proof.Witnessed), and that continues the one held before; and the own organisation's endorser must know of
	// no newer one. A node whose answer fails is left for another one, and named in the log. docs/evidence.md says
	// what is not found. Empty checks nothing.
	Verify proof.Level
	// SubmitTimeout bounds a Submit whose context has no deadline.
	SubmitTimeout time.Duration
	// MaxInFlight bounds the batches of one chain that are under way at the same time.
	MaxInFlight int
	// MaxBatchTransactions and MaxBatchBytes bound one batch.
	MaxBatchTransactions int
	MaxBatchBytes        int
	// MaxPending and MaxPendingBytes bound the transactions that wait or are under way on all chains, and their size.
	// Beyond them Submit returns ErrOverloaded.
	MaxPending      int
	MaxPendingBytes int
}

// Client submits transactions and reads the ledger. It may be used by any number of goroutines.
type Client struct {
	cfg         Config
	credentials *identity.Credentials
	submitter   string
	log         *slog.Logger
	tracer      *tracing.Tracer // nil records nothing
	peers       *peers
	network     *network
	clock       *skew.Meter

	base   context.Context // ends with Close
	cancel context.CancelFunc
	wg     sync.WaitGroup

	leader   atomic.Pointer[string] // id of the node that led last, as far as this client knows
	verifier *verifier              // nil unless reads are verified
	statuses flight[*clusterStatus]
	seen     atomic.Pointer[clusterStatus] // what the nodes reported last
	// sealedSilence is the constant of that name, except in tests.
	sealedSilence time.Duration

	mu           sync.Mutex
	closed       bool
	batchers     map[string]*batcher // by chain
	pending      int
	pendingBytes int
	lastOrdered  time.Time // when the leader last answered for a batch
}

// Open makes a client. It connects lazily: when the network cannot be reached, the calls report it.
func Open(cfg Config) (*Client, error) {
	credentials, err := credentialsOf(cfg.Credentials)
	if err != nil {
		return nil, err
	}
	trust, err := trustOf(cfg.Trust)
	if err != nil {
		return nil, err
	}
	cfg.setDefaults()
	if v := cfg.Verify; v != "" && v != proof.Certified && v != proof.Witnessed {
		return nil, errors.New("client: Config.Verify can be empty, proof.Certified or proof.Witnessed")
	}
	if cfg.MaxBatchTransactions > rules.MaxBatchTransactions || cfg.MaxBatchBytes > rules.MaxBatch {
		return nil, fmt.Errorf("client: batches of %d transactions and %d bytes are too large; "+
			"Config.MaxBatchTransactions may be at most %d and Config.MaxBatchBytes at most %d",
			cfg.MaxBatchTransactions, cfg.MaxBatchBytes, rules.MaxBatchTransactions, rules.MaxBatch)
	}
	c := &Client{
		cfg: cfg, credentials: credentials, submitter: credentials.Identity().String(), log: cfg.Logger,
		tracer: tracing.New(cfg.TracerProvider), batchers: map[string]*batcher{},
		sealedSilence: sealedSilence,
		clock:         skew.New(cfg.Logger, credentials.Identity().Organisation),
	}
	c.base, c.cancel = context.WithCancel(context.Background())
	c.peers = newPeers(credentials, cfg.PreferNode, cfg.OwnEndorser)
	if c.verifier, err = newVerifier(c, trust); err != nil {
		c.cancel()
		return nil, errors.Join(fmt.Errorf("client: %w", err), c.peers.close())
	}
	c.statuses.spawn, c.statuses.run = c.spawn, c.askStatus
	if c.network, err = newNetwork(c, trust); err != nil {
		c.cancel()
		return nil, errors.Join(fmt.Errorf("client: %w", err), c.peers.close())
	}
	return c, nil
}

func (cfg *Config) setDefaults() {
	if cfg.Logger == nil {
		cfg.Logger = slog.Default()
	}
	if cfg.SubmitTimeout <= 0 {
		cfg.SubmitTimeout = DefaultSubmitTimeout
	}
	for _, d := range []struct {
		field *int
		value int
	}{
		{&cfg.MaxInFlight, DefaultMaxInFlight},
		{&cfg.MaxBatchTransactions, DefaultMaxBatchTransactions}, {&cfg.MaxBatchBytes, DefaultMaxBatchBytes},
		{&cfg.MaxPending, DefaultMaxPending}, {&cfg.MaxPendingBytes, DefaultMaxPendingBytes},
	} {
		if *d.field <= 0 {
			*d.field = d.value
		}
	}
}

// CertificateExpiry returns the end of the validity of the client's own certificate.
func (c *Client) CertificateExpiry() time.Time { return c.credentials.CertificateExpiry() }

// Organisation is the one that the client's certificate names.
func (c *Client) Organisation() string { return c.credentials.Identity().Organisation }

// HearClocks asks all nodes and endorsers for their clocks and returns by how much the clock of this machine is ahead of
// their median, negative when it is behind, and how many clocks that is. Another organisation has one clock, whatever
// the number of its processes. A clock that is far off is logged. A program that runs for long calls it every ten seconds.
func (c *Client) HearClocks(ctx context.Context) (ahead time.Duration, heard int) {
	ctx, cancel := context.WithTimeout(ctx, statusTimeout)
	defer cancel()
	var asked sync.WaitGroup
	for _, p := range append(c.peers.all(), c.peers.allEndorsers()...) {
		asked.Go(func() {
			c.clock.Ask(c.network.organisationOf(p), string(p.role)+" "+p.name, func() int64 { return statusOf(ctx, p).GetClockMs() })
		})
	}
	asked.Wait()
	return c.clock.Skew()
}

// NetworkTime returns the median of the clocks that HearClocks has heard and of the own one; the own clock when fewer
// than two others are known.
func (c *Client) NetworkTime() time.Time { return c.clock.Now() }

// Close ends every pending call with ErrClosed and waits for the client's goroutines. A transaction that was under way
// may still be written.
func (c *Client) Close() error {
	c.mu.Lock()
	if c.closed {
		c.mu.Unlock()
		return nil
	}
	c.closed = true
	var waiting []*submission
	for _, b := range c.batchers {
		waiting = append(waiting, b.queue...)
		b.queue = nil
	}
	c.mu.Unlock()
	c.cancel()
	c.fail(waiting, ErrClosed)
	c.wg.Wait()
	return c.peers.close()
}

// spawn runs fn in a goroutine that Close waits for. It reports false when the client is closed.
func (c *Client) spawn(fn func()) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return false
	}
	c.wg.Go(fn)
	return true
}
