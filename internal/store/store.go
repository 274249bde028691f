// Package store keeps a ledger on disk: the blocks of all chains, the state that they made, and the index that finds
// transactions and records by hash or by Key. Nodes write ordered entries (Apply); endorsers, backups and nodes that
// catch up write blocks from a peer (Append). Both execute the same rules and end in the same bytes.
//
// One bbolt file holds blocks and state; sorted run files beside it hold the index (DESIGN.md). A Store is fail-stop:
// after the first failed write or sync every call returns ErrFailed. Corrupt data is never returned, and never taken
// for absent.
package store

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"go.etcd.io/bbolt"

	"ltl/internal/ledger"
	"ltl/internal/rules"
	"ltl/internal/verify"
	ltlv1 "ltl/proto/ltl/v1"
)

// Errors that callers tell apart with errors.Is.
var (
	// ErrNotFound is returned for a block, transaction or sequence number that does not exist yet.
	ErrNotFound = errors.New("not found")
	// ErrCorrupt is returned, wrapped, when stored bytes fail their checksum or are missing where they must exist.
	ErrCorrupt = errors.New("stored data is corrupt")
	// ErrFailed is returned, wrapped, by every call after a write failed or damage was found while writing.
	ErrFailed = errors.New("store has failed")
	// ErrClosed is returned after Close.
	ErrClosed = errors.New("store is closed")
	// ErrOtherNetwork is returned, wrapped, by Init when the store belongs to another network.
	ErrOtherNetwork = errors.New("store belongs to another network")
	// ErrOtherFormat is returned, wrapped, for a directory that another version of this program wrote.
	ErrOtherFormat = errors.New("the ledger on disk is of another version of this program, and is not converted: run " +
		"the version that wrote it, or move the directory away and begin with an empty one, which is filled from the other nodes")
	// ErrNotInitialised is returned by calls that need the genesis block before Init.
	ErrNotInitialised = errors.New("store has no genesis block")
)

// Options configure a Store; the zero value is for production.
type Options struct {
	// Fatal is called once, from any goroutine, when the store has failed; the failure was logged before. The default
	// exits the process. It must not call the Store.
	Fatal func(error)
	// Logger receives the store's events; the default is slog.Default.
	Logger *slog.Logger
	// NoSync skips every fsync. For simulations and benchmarks only.
	NoSync bool
	// FlushEntries is the number of index entries that are kept in memory before they become a run file.
	FlushEntries int
	// Verify checks an endorsement's signature during execution; nil takes ledger.VerifyEndorsement. A node passes a
	// cache, so that what it verified at admission is not verified again here.
	Verify rules.Verify
}

// Store is a ledger on disk. Apply, Append, Init, SetApplied, RestoreAccessKeys and RepairBlock are serialised; reads
// may run concurrently with them and with one another.
type Store struct {
	db     *bbolt.DB
	lock   *os.File
	log    *slog.Logger
	fatal  func(error)
	verify rules.Verify
	index  *index
	with   seams
	// segments hold the openings; tookOpenings is set when Open found some of them lost.
	segments     *segments
	tookOpenings bool

	failOnce sync.Once
	failure  atomic.Pointer[error]
	closed   atomic.Bool
	// stop is closed when the store fails or closes.
	stop     chan struct{}
	stopOnce sync.Once
	// suspects holds a value after a read has met damage; see Suspects.
	suspects chan struct{}

	// writing serialises everything that changes the head.
	writing sync.Mutex
	// sinceDrop is the number of blocks' bytes written since dropPageCache was called; guarded by writing.
	sinceDrop int

	mu   sync.RWMutex
	head head           // guarded by mu
	tips map[string]Tip // guarded by mu
	// changed is closed and replaced whenever head changes; guarded by mu.
	changed chan struct{}
}

// Entry is one committed Raft log entry.
type Entry struct {
	Index uint64
	Entry *ltlv1.Entry
}

// EntryResult is the result of executing one entry.
type EntryResult struct {
	// Results has one result per batch and transaction; nil for a skipped entry.
	Results [][]*ltlv1.Result
	// SealedCode is the code of an entry with a sealed secret: OK, NotFound or Conflict; 0 for a skipped entry.
	SealedCode int32
}

// Tip is the newest block of a chain.
type Tip = verify.Tip

// Close waits for background work and closes the files. Calls in progress end with ErrClosed.
func (s *Store) Close() error {
	if s.closed.Swap(true) {
		return nil
	}
	s.end()
	s.index.stop()
	s.writing.Lock()
	defer s.writing.Unlock()
	err := s.db.Close()
	return errors.Join(err, s.segments.close(), s.lock.Close())
}

// end wakes all waiting calls.
func (s *Store) end() { s.stopOnce.Do(func() { close(s.stop) }) }

// fail ends the store: a write failed or met damage, and what the files hold now is known only after the next Open.
func (s *Store) fail(err error) {
	s.failOnce.Do(func() {
		s.failure.Store(&err)
		s.end()
		s.index.halt()
		s.log.Error("store failed", "error", err)
		s.fatal(err)
	})
}

// alive returns why the store has ended; nil while it is open.
func (s *Store) alive() error {
	if err := s.failure.Load(); err != nil {
		return fmt.Errorf("%w: %w", ErrFailed, *err)
	}
	if s.closed.Load() {
		return ErrClosed
	}
	return nil
}

// NetworkID is the identity of the network; zero before Init.
func (s *Store) NetworkID() ledger.Hash { return s.headNow().network }

// AppliedIndex is the index of the newest Raft entry whose effects are stored.
func (s *Store) AppliedIndex() uint64 { return s.headNow().applied }

// Sequence is the number of blocks executed over all chains.
func (s *Store) Sequence() uint64 { return s.headNow().sequence }

func (s *Store) headNow() head {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.head
}

// WaitSequence waits until Sequence is at least n.
func (s *Store) WaitSequence(ctx context.Context, n uint64) error {
	return s.wait(ctx, func(h *head) bool { return h.sequence >= n })
}

// WaitApplied waits until AppliedIndex is at least index.
func (s *Store) WaitApplied(ctx context.Context, index uint64) error {
	return s.wait(ctx, func(h *head) bool { return h.applied >= index })
}

// WaitAccessKeys waits until some AccessKey has a version above after.
func (s *Store) WaitAccessKeys(ctx context.Context, after uint64) error {
	return s.wait(ctx, func(h *head) bool { return h.keyVersion > after })
}

func (s *Store) wait(ctx context.Context, ready func(*head) bool) error {
	for {
		if err := s.alive(); err != nil {
			return err
		}
		s.mu.RLock()
		ok, changed := ready(&s.head), s.changed
		s.mu.RUnlock()
		if ok {
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-s.stop:
		case <-changed:
		}
	}
}

// Tip returns the newest block of a chain.
func (s *Store) Tip(chainID string) (Tip, bool) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	t, ok := s.tips[chainID]
	return t, ok
}

// Tips returns the newest blocks of all chains, ordered by chain id.
func (s *Store) Tips() []Tip {
	s.mu.RLock()
	defer s.mu.RUnlock()
	tips := make([]Tip, 0, len(s.tips))
	for _, t := range s.tips {
		tips = append(tips, t)
	}
	slices.SortFunc(tips, func(a, b Tip) int { return strings.Compare(a.ChainID, b.ChainID) })
	return tips
}

// Due describes the next block of a chain, without time and batches; false when there is no such chain.
func (s *Store) Due(chainID string) (in rules.Input, known bool) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	tip, known := s.tips[chainID]
	if !known {
		return rules.Input{}, false
	}
	return verify.Next(s.head.network, &tip, s.tips[ledger.SystemChain].Header.Height, s.head.log()), true
}

// SetApplied records the applied index after a snapshot install.
func (s *Store) SetApplied(index uint64) error {
	return s.change(func(w *writer) error {
		w.head.applied = index
		return nil
	})
}

// commit commits a transaction, and ends the store when that takes too long.
func (s *Store) commit(tx *bbolt.Tx) error {
	limit := s.with.commitLimit
	if limit == 0 {
		limit = commitLimit
	}
	hang := StartWatchdog(limit, func() { s.fail(fmt.Errorf("the disk hangs: a commit takes longer than %v", limit)) })
	defer hang.Stop()
	if s.with.beforeCommit != nil {
		s.with.beforeCommit()
	}
	if err := tx.Commit(); err != nil {
		return fmt.Errorf("commit: %w", err)
	}
	return s.alive() // a commit that ends after the limit is no success
}

// update runs fn in one write transaction and commits it. Only verify.ErrBadBlock leaves the store as it was; every
// other error ends it: bbolt would go on after a failed sync, and the next commit would build on pages that may not be
// on disk.
func (s *Store) update(fn func(*bbolt.Tx) error) error {
	if err := s.alive(); err != nil {
		return err
	}
	err := catchFault(func() error {
		tx, err := s.db.Begin(true)
		if err != nil {
			return fmt.Errorf("begin: %w", err)
		}
		defer func() {
			defer func() { _ = recover() }() // a transaction that panicked may panic again while it releases its lock
			_ = tx.Rollback()                // does nothing after a commit
		}()
		if err := fn(tx); err != nil {
			return err
		}
		if err := s.alive(); err != nil { // another goroutine failed meanwhile
			return err
		}
		return s.commit(tx)
	})
	if err == nil || errors.Is(err, verify.ErrBadBlock) || errors.Is(err, ErrClosed) || errors.Is(err, ErrFailed) {
		return err
	}
	s.fail(err)
	return fmt.Errorf("%w: %w", ErrFailed, err)
}
