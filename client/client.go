package client

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"google.golang.org/protobuf/proto"

	"ltl/internal/identity"
	"ltl/internal/ledger"
	"ltl/internal/rules"
	"ltl/internal/tracing"
	ltlv1 "ltl/proto/ltl/v1"
)

// Config says what a client runs with. Only Credentials and Trust are required; zero values mean the defaults of limits.go.
type Config struct {
	// Credentials are the caller's TLS identity; every transaction carries it as its submitter.
	Credentials *identity.Credentials
	// Trust is the network's genesis: where its nodes and endorsers are, and by which keys they are known.
	Trust *identity.Trust
	// Logger gets one line an event; by default slog.Default().
	Logger *slog.Logger
	// Tracer records what transactions wait for; nil records nothing. Who opened it closes it, after the client.
	Tracer *tracing.Tracer
	// PreferNode is the id of the node to read from while it answers; by default the trust's first.
	PreferNode string
	// SubmitTimeout bounds a Submit whose context has no deadline.
	SubmitTimeout time.Duration
	// MaxInFlight bounds the batches of one chain that are under way at the same time.
	MaxInFlight int
	// MaxBatchTransactions and MaxBatchBytes bound one batch.
	MaxBatchTransactions int
	MaxBatchBytes        int
	// MaxPending and MaxPendingBytes bound what waits and is under way over all chains; beyond them Submit answers ErrOverloaded.
	MaxPending      int
	MaxPendingBytes int
}

// Client submits transactions and reads the ledger. It may be used by any number of goroutines.
type Client struct {
	cfg       Config
	submitter string
	log       *slog.Logger
	peers     *peers
	directory *directory

	base   context.Context // ends with Close
	cancel context.CancelFunc
	wg     sync.WaitGroup

	leader   atomic.Pointer[string] // id of the node that led when last heard of
	statuses flight[*standing]

	mu           sync.Mutex
	closed       bool
	lanes        map[string]*lane
	pending      int
	pendingBytes int
	ordered      time.Time // when the leader last answered for a batch
}

// CertificateExpiry is the end of the validity of the client's own certificate, for a metric that warns people in time.
func (c *Client) CertificateExpiry() time.Time { return c.cfg.Credentials.CertificateExpiry() }

// Open makes a client. It connects lazily: an unreachable network is reported by the calls.
func Open(cfg Config) (*Client, error) {
	if cfg.Credentials == nil || cfg.Trust == nil {
		return nil, errors.New("client: credentials and trust are required")
	}
	cfg.setDefaults()
	if cfg.MaxBatchTransactions > rules.MaxBatchTransactions || cfg.MaxBatchBytes > rules.MaxBatch {
		return nil, fmt.Errorf("client: batches of %d transactions and %d bytes are beyond the ledger's bounds of %d and %d",
			cfg.MaxBatchTransactions, cfg.MaxBatchBytes, rules.MaxBatchTransactions, rules.MaxBatch)
	}
	c := &Client{cfg: cfg, submitter: cfg.Credentials.Identity().String(), log: cfg.Logger, lanes: map[string]*lane{}}
	c.base, c.cancel = context.WithCancel(context.Background())
	c.peers = newPeers(cfg.Credentials, cfg.PreferNode)
	c.statuses.spawn, c.statuses.run = c.spawn, c.askStanding
	var err error
	if c.directory, err = newDirectory(c, cfg.Trust); err != nil {
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

// Close ends every pending call with ErrClosed and waits for the client's goroutines. A transaction that was under way may still
// be written.
func (c *Client) Close() error {
	c.mu.Lock()
	if c.closed {
		c.mu.Unlock()
		return nil
	}
	c.closed = true
	var waiting []*call
	for _, l := range c.lanes {
		waiting = append(waiting, l.queue...)
		l.queue = nil
	}
	c.mu.Unlock()
	c.cancel()
	for _, k := range waiting {
		c.answer(k, nil, ErrClosed)
	}
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

// Submit writes a transaction and waits until it is committed and executed. It fills version, nonce, submitter and created_ms in tx
// when they are unset, so that submitting the same tx again after an error is a retry and not a second intent.
//
// A refusal is a result, not an error: see Result.Code, and Result.Reason where organisations refused by rules of their own. Errors wrap ErrOverloaded (nothing was written),
// ErrUnavailable (the outcome may be unknown; submitting the same tx again tells) or ErrClosed.
func (c *Client) Submit(ctx context.Context, tx *ltlv1.Transaction) (*ltlv1.Result, error) {
	if err := c.fill(tx); err != nil {
		return nil, err
	}
	if code := rules.Check(tx); code != rules.OK {
		return &ltlv1.Result{Code: code, ChainId: tx.GetChainId()}, nil
	}
	payload, err := proto.MarshalOptions{Deterministic: true}.Marshal(tx)
	if err != nil {
		return nil, fmt.Errorf("encode transaction: %w", err)
	}
	if len(payload) > rules.MaxTransaction {
		return &ltlv1.Result{Code: rules.Malformed, ChainId: tx.GetChainId()}, nil
	}
	if _, ok := ctx.Deadline(); !ok {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, c.cfg.SubmitTimeout)
		defer cancel()
	}
	k := &call{payload: payload, id: ledger.TransactionID(payload), done: make(chan answer, 1), device: rules.NeedsOne(tx)}
	k.deadline, _ = ctx.Deadline()
	// The network's part ends a little earlier than the caller's patience, so that the caller hears what went wrong.
	k.deadline = k.deadline.Add(-time.Until(k.deadline) / graceShare)
	if err := c.reserve(k); err != nil {
		return nil, err
	}
	k.queued = time.Now()
	ctx, k.span = c.cfg.Tracer.Start(ctx, "submit")
	defer k.span.End()
	if err := c.admit(ctx, k, tx); err != nil {
		c.answer(k, nil, err)
	}
	select {
	case a := <-k.done:
		return a.result, a.err
	case <-ctx.Done():
		return nil, c.leave(k, ctx.Err())
	}
}

// admit finds out what must be known of a transaction before it can share a batch, and queues it.
func (c *Client) admit(ctx context.Context, k *call, tx *ltlv1.Transaction) error {
	chain, err := c.directory.chain(ctx, tx.GetChainId())
	if err != nil {
		return err
	}
	if chain == nil {
		c.answer(k, &ltlv1.Result{Code: rules.NotFound, ChainId: tx.GetChainId()}, nil)
		return nil
	}
	if k.organisation, err = c.directory.submitterOrganisation(ctx, tx); err != nil {
		return err
	}
	return c.enqueue(tx.GetChainId(), k)
}

// fill completes the transaction; what is set stays.
func (c *Client) fill(tx *ltlv1.Transaction) error {
	if tx == nil {
		return errors.New("client: no transaction")
	}
	if tx.Version == 0 {
		tx.Version = 1
	}
	if tx.Submitter == "" {
		tx.Submitter = c.submitter
	}
	if tx.CreatedMs == 0 {
		tx.CreatedMs = time.Now().UnixMilli()
	}
	if len(tx.Nonce) == 0 {
		tx.Nonce = make([]byte, nonceLen)
		if _, err := rand.Read(tx.Nonce); err != nil {
			return fmt.Errorf("nonce: %w", err)
		}
	}
	return nil
}
