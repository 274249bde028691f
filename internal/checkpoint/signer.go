package checkpoint

import (
	"cmp"
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"ltl/client/proof"
	"ltl/internal/ledger"
)

// Bounds on signing.
const (
	// signEvery is the pause between two new sizes of one chain.
	signEvery = time.Second
	// ahead is how far the newest block's time may be ahead of the own clock.
	ahead = 10 * time.Second
	// recent is how many signed checkpoints of a chain are kept to be given out again.
	recent = 16
)

// Errors of a signer. Each is wrapped with a sentence.
var (
	ErrBehind = errors.New("this copy has fewer blocks")
	ErrClock  = errors.New("clocks disagree")
	ErrFork   = errors.New("this copy is not the one that was signed before")
)

// Chain is what a signer reads of a chain.
type Chain struct {
	// Blocks is the number of blocks, TimeMs the time of the newest.
	Blocks uint64
	TimeMs int64
}

// Source is the copy of the ledger that a signer signs.
type Source struct {
	Network ledger.Hash
	// Chain returns what there is of a chain; false when there is no such chain.
	Chain func(chainID string) (Chain, bool)
	// BlockHash returns the hash of a block.
	BlockHash func(chainID string, height uint64) (ledger.Hash, error)
	// Sequence returns how many blocks, over all chains, were executed before a block.
	Sequence func(chainID string, height uint64) (uint64, error)
	// Restored returns the restoration after which is signed; an error that wraps ErrUnrecorded while there was one that
	// the ledger does not record, so that nothing may be signed.
	Restored func() (Restored, error)
	// Key returns the name to sign under and the key; an error, with what to do about it, when there is none.
	Key func() (name string, key ed25519.PrivateKey, err error)
	// Trust returns the keys of all signers, present and former.
	Trust func() (*proof.Trust, error)
	// Others are the signers that can be asked; nil when there are none.
	Others *Others
}

// Signer signs checkpoints of all chains. Its methods may be called concurrently.
type Signer struct {
	source Source
	log    *slog.Logger
	now    func() time.Time

	mu     sync.Mutex
	latch  *latch
	chains map[string]*signing
	fork   error // the last ErrFork or ErrConvicted; nil before

	found findings
	shown shown
}

// signing is the state of one chain. Its lock is taken before that of the signer.
type signing struct {
	mu     sync.Mutex
	tree   tree
	wanted uint64 // the largest size that was asked for
	last   time.Time
	given  []held // what was signed last, the newest at the end
}

// Open makes a signer that remembers in dir what it signed. fresh says that the ledger is new, so that nothing can have
// been signed. The caller closes it. Where what was signed is not known, the signer refuses to sign, and says so here.
func Open(dir string, fresh bool, source Source, log *slog.Logger) *Signer {
	l := openLatch(dir, fresh)
	if l.unusable != nil {
		log.Error("no checkpoints are signed", "error", l.unusable)
	}
	return &Signer{source: source, log: log, now: time.Now, latch: l, chains: map[string]*signing{},
		found: findings{filepath.Join(filepath.Dir(dir), FindingsDirectory)}, shown: shown{seen: map[place]*seen{}}}
}

// Close lets another process use the directory.
func (s *Signer) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.latch.close()
}

// chain returns the state of a chain that exists.
func (s *Signer) chain(id string) *signing {
	s.mu.Lock()
	defer s.mu.Unlock()
	c := s.chains[id]
	if c == nil {
		c = &signing{tree: tree{leaf: func(height uint64) (ledger.Hash, error) { return s.source.BlockHash(id, height) }}}
		if h, ok := s.latch.held[id]; ok {
			c.given = []held{h}
		}
		s.chains[id] = c
	}
	return c
}

// Cosign returns the signed checkpoint of a chain's first blocks, size of them, or of more when this process has signed
// more already. It returns ErrBehind when the copy has fewer, ErrClock when the newest block is dated after this
// process' clock, ErrFork when the copy contradicts what was signed, ErrLatchLost when that is not known, and
// ErrUnrecorded after a restoration until it is recorded.
func (s *Signer) Cosign(ctx context.Context, chainID string, size uint64) ([]byte, error) {
	have, ok := s.source.Chain(chainID)
	if !ok || size > have.Blocks || size == 0 {
		return nil, fmt.Errorf("%w: chain %s has %d blocks here, %d were asked for; ask again", ErrBehind, chainID,
			have.Blocks, size)
	}
	c := s.chain(chainID)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.wanted = max(c.wanted, size)
	for {
		at, err := s.source.Restored() // also after a pause, in which another caller may have signed after a restoration
		if err != nil {
			return nil, err
		}
		c.begin(Origin(s.source.Network, chainID, at.Number))
		if note := c.givenFor(size); note != nil {
			return note, nil
		}
		wait := signEvery - s.now().Sub(c.last)
		if wait <= 0 {
			return s.sign(ctx, chainID, c, at)
		}
		if err := c.pause(ctx, wait); err != nil {
			return nil, err
		}
	}
}

// givenFor returns a checkpoint that was signed already, of this size or, when the newest one is of more, that one.
func (c *signing) givenFor(size uint64) []byte {
	for _, h := range c.given {
		if h.size == size {
			return h.note
		}
	}
	if n := len(c.given); n > 0 && c.given[n-1].size > size {
		return c.given[n-1].note
	}
	return nil
}

// pause waits without the lock.
func (c *signing) pause(ctx context.Context, wait time.Duration) error {
	c.mu.Unlock()
	defer c.mu.Lock()
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// sign signs the largest size that was asked for. What was signed before is larger than none, so this is a larger one.
func (s *Signer) sign(ctx context.Context, chainID string, c *signing, at Restored) ([]byte, error) {
	now := s.now()
	if have, _ := s.source.Chain(chainID); have.TimeMs > now.Add(ahead).UnixMilli() {
		return nil, fmt.Errorf("%w: the newest block of chain %s is dated %d ms after this process' clock; set the clock",
			ErrClock, chainID, have.TimeMs-now.UnixMilli())
	}
	name, key, err := s.source.Key()
	if err != nil {
		return nil, err
	}
	against := s.found.against(strings.TrimPrefix(name, prefix(s.source.Network)), key)
	if s.stopFor(against); against != nil {
		return nil, against
	}
	root, err := c.tree.root(ctx, c.wanted)
	if err != nil {
		return nil, err
	}
	next := &body{origin: Origin(s.source.Network, chainID, at.Number), size: c.wanted, root: root}
	if err := s.allowed(ctx, chainID, c, next, at); err != nil {
		return nil, err
	}
	signed, err := next.sign(&cosigner{name, key, now})
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	err = s.latch.put(chainID, next, signed)
	s.mu.Unlock()
	if err != nil {
		return nil, err
	}
	c.last, c.given = now, append(c.given, held{*next, signed})
	c.given = c.given[max(0, len(c.given)-recent):]
	return signed, nil
}

// allowed decides whether a checkpoint may be signed after what was signed before: it must be of more blocks, and the
// tree that it is of must have the root that was signed before, at that size. By collision resistance the earlier
// blocks are then those that were signed, so no size ever gets two roots. After a restoration the origin is another
// one, and what was signed before it must be there as far as it was kept.
func (s *Signer) allowed(ctx context.Context, chainID string, c *signing, next *body, at Restored) error {
	s.mu.Lock()
	before, signed := s.latch.held[chainID]
	unusable := s.latch.unusable
	s.mu.Unlock()
	if unusable != nil || !signed {
		return unusable
	}
	if next.origin != before.origin {
		ok, err := s.continues(ctx, chainID, c, before, at)
		if err != nil || ok {
			return err
		}
		return s.forked(chainID, before.size)
	}
	if next.size <= before.size {
		return fmt.Errorf("%w: a checkpoint of %d blocks was signed, and one of %d is asked for", ErrFork, before.size,
			next.size)
	}
	root, err := c.tree.root(ctx, before.size)
	if err != nil {
		return err
	}
	if root != before.root {
		return s.forked(chainID, before.size)
	}
	return nil
}

// forked notes and returns that this copy is not the one that was signed.
func (s *Signer) forked(chainID string, blocks uint64) error {
	s.log.Error("this copy of the ledger is not the one that was signed; compare it with the other nodes by ltl audit",
		"chain", chainID, "blocks", blocks)
	fork := fmt.Errorf("%w: chain %s had another root at %d blocks; audit this process' ledger", ErrFork, chainID, blocks)
	s.stop(fork)
	return fork
}

// stop remembers why nothing is signed.
func (s *Signer) stop(why error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fork = why
}

// stopFor remembers what convicts the own key; nil when nothing does, or does any more.
func (s *Signer) stopFor(convicted error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if convicted != nil || errors.Is(s.fork, ErrConvicted) {
		s.fork = convicted
	}
}

// Fault says that this copy is not the one that was signed before, as far as that was found since the start, or that a
// signer signed two histories, and what to do; it is empty when nothing was found.
func (s *Signer) Fault() string {
	s.forgetMoved()
	s.mu.Lock()
	fork := s.fork
	s.mu.Unlock()
	if fork != nil {
		return fork.Error()
	}
	return s.found.text()
}

// forgetMoved forgets what convicted the own key once an operator has moved the files away.
func (s *Signer) forgetMoved() {
	if len(s.found.list()) == 0 {
		s.stopFor(nil)
	}
}

// Collectors are the metrics ltl_checkpoints_stopped, 1 when this process signs none, and ltl_misbehaviour_files, the
// number of keys that it has convicted.
func (s *Signer) Collectors() []prometheus.Collector {
	stopped := prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "ltl_checkpoints_stopped",
		Help: "1 when this process signs no checkpoints: it does not know what it signed, its ledger is another one, or its " +
			"key signed two histories."},
		func() float64 {
			s.forgetMoved()
			s.mu.Lock()
			defer s.mu.Unlock()
			if cmp.Or(s.fork, s.latch.unusable) != nil {
				return 1
			}
			return 0
		})
	found := prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "ltl_misbehaviour_files",
		Help: "Files in the directory misbehaviour beside the ledger, each of which convicts a signer of two histories."},
		func() float64 { return float64(len(s.found.list())) })
	return []prometheus.Collector{stopped, found}
}

// Inclusion returns the audit path of a block in the tree of size blocks.
func (s *Signer) Inclusion(ctx context.Context, chainID string, height, size uint64) ([]byte, error) {
	return s.path(chainID, size, func(t *tree) ([]byte, error) { return t.inclusion(ctx, height, size) })
}

// Consistency returns the proof that the tree of before blocks is the beginning of that of size blocks.
func (s *Signer) Consistency(ctx context.Context, chainID string, before, size uint64) ([]byte, error) {
	return s.path(chainID, size, func(t *tree) ([]byte, error) { return t.consistency(ctx, before, size) })
}

func (s *Signer) path(chainID string, size uint64, fn func(*tree) ([]byte, error)) ([]byte, error) {
	have, ok := s.source.Chain(chainID)
	if !ok || size > have.Blocks || size == 0 {
		return nil, fmt.Errorf("%w: chain %s has %d blocks here, %d were asked for; ask again", ErrBehind, chainID,
			have.Blocks, size)
	}
	c := s.chain(chainID)
	c.mu.Lock()
	defer c.mu.Unlock()
	return fn(&c.tree)
}
