// Package scrub finds and repairs damage of a stored ledger. It reads all of the ledger again and again in the
// background, at a bounded rate, and replaces damaged blocks from other copies. Damage that cannot be repaired in
// place it reports to its owner. Corrupt data is never returned meanwhile: every read checks what it reads.
package scrub

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"ltl/internal/store"
	ltlv1 "ltl/proto/ltl/v1"
)

const (
	// DefaultInterval is the pause between two scrubs.
	DefaultInterval = time.Hour
	// firstPause is the longest pause before the first one.
	firstPause = time.Minute
	// bytesPerSecond bounds the rate of reading. It spares the processor rather than the disk: every record is hashed and
	// looked up in the index. 50 GB take seven hours.
	bytesPerSecond = 2 << 20
	// paceBytes is how much is read between two pauses.
	paceBytes = bytesPerSecond / 20
	// retryPause is the pause before another attempt to repair, and before a read that meets damage may begin another
	// scrub.
	retryPause = 10 * time.Second
	// fetchTimeout bounds the wait for one block from one source.
	fetchTimeout = 5 * time.Second
	// maxNamed bounds the damaged blocks that Fault names.
	maxNamed = 3
)

// Source is another copy of the ledger.
type Source struct {
	Name   string
	Ledger ltlv1.LedgerClient
}

// Config configures a Scrubber. All fields but Interval are required.
type Config struct {
	Store *store.Store
	// Interval is the pause between two scrubs; DefaultInterval when zero. A read that meets damage begins a scrub at
	// once.
	Interval time.Duration
	// Sources returns the copies that a damaged block may be repaired from. They need not be trusted: their blocks are
	// verified.
	Sources func() []Source
	// Reads reports whether this process may read the values of a chain: what it lacks of them is fetched.
	Reads func(chainID string) bool
	// Damaged is called, on the scrubber's goroutine, each time damage is found that is more than that of single blocks:
	// of the state, the index, or the structure of the database.
	Damaged func(error)
	Logger  *slog.Logger
}

// Scrubber scrubs one store. Its methods may be called concurrently.
type Scrubber struct {
	Config
	metrics *metrics

	mu sync.Mutex
	// blocks are the damaged blocks that are not repaired yet, of each chain the highest first; other is damage of
	// anything else. Both are guarded by mu.
	blocks []store.Damage
	other  error
	// lacking is what is lacking of the chains' openings; guarded by mu.
	lacking map[string]*lacking
}

// New returns a scrubber that does nothing until Run.
func New(cfg Config) *Scrubber {
	if cfg.Interval == 0 {
		cfg.Interval = DefaultInterval
	}
	s := &Scrubber{Config: cfg}
	s.metrics = newMetrics(s)
	return s
}

// Fault describes the known damage that is not repaired; it is empty when there is none.
func (s *Scrubber) Fault() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var parts []string
	for i, d := range s.blocks {
		if i == maxNamed {
			parts = append(parts, fmt.Sprintf("and %d more blocks", len(s.blocks)-i))
			break
		}
		parts = append(parts, fmt.Sprintf("block %d of chain %s is damaged, and no other copy has given it",
			d.Height, d.ChainID))
	}
	if s.other != nil {
		parts = append(parts, fmt.Sprintf("the ledger is damaged: %v", s.other))
	}
	return strings.Join(parts, "; ")
}

// Run scrubs until ctx ends or the store can no longer be read.
func (s *Scrubber) Run(ctx context.Context) {
	timer := time.NewTimer(min(s.Interval, firstPause))
	defer timer.Stop()
	suspects := s.Store.Suspects()
	var pause <-chan time.Time // after a scrub: reads may meet the same unrepaired damage again and again
	for {
		select {
		case <-ctx.Done():
			return
		case <-pause:
			pause, suspects = nil, s.Store.Suspects()
			if s.unrepaired() > 0 {
				s.repair(ctx)
				pause = time.After(retryPause)
			}
			continue
		case <-suspects:
		case <-timer.C:
		}
		if err := s.scrub(ctx); err != nil {
			if ctx.Err() == nil && !errors.Is(err, store.ErrClosed) {
				s.Logger.Error("scrubbing the ledger ends", "error", err)
			}
			return
		}
		s.repair(ctx)
		select {
		case <-s.Store.Suspects(): // from the scrub's own reads
		default:
		}
		suspects, pause = nil, time.After(retryPause)
		timer.Reset(s.Interval)
	}
}

// unrepaired is the number of known damages that are not repaired.
func (s *Scrubber) unrepaired() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := len(s.blocks)
	if s.other != nil {
		n++
	}
	return n
}

// scrub reads everything once and records what is damaged.
func (s *Scrubber) scrub(ctx context.Context) error {
	began := time.Now()
	var blocks []store.Damage
	var other error
	err := s.Store.Scrub(ctx, pacer(ctx), func(d store.Damage) {
		s.metrics.damages.Inc()
		s.Logger.Error("stored bytes are damaged", "chain", d.ChainID, "height", d.Height, "error", d.Err)
		if d.ChainID != "" {
			blocks = append(blocks, d)
		} else if other == nil {
			other = d.Err
		}
	})
	if err != nil {
		return err
	}
	slices.SortFunc(blocks, func(a, b store.Damage) int {
		return cmp.Or(strings.Compare(a.ChainID, b.ChainID), -cmp.Compare(a.Height, b.Height))
	})
	s.mu.Lock()
	s.blocks, s.other = blocks, other
	s.mu.Unlock()
	s.metrics.scrubs.Inc()
	s.metrics.seconds.Set(time.Since(began).Seconds())
	return nil
}

// pacer keeps a scrub at bytesPerSecond.
func pacer(ctx context.Context) func(bytes int) error {
	owed := 0
	return func(bytes int) error {
		if owed += bytes; owed < paceBytes {
			return ctx.Err()
		}
		wait := time.Duration(owed) * time.Second / bytesPerSecond
		owed = 0
		select {
		case <-time.After(wait):
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// repair tries to replace every damaged block, and reports all other damage.
func (s *Scrubber) repair(ctx context.Context) {
	s.mu.Lock()
	blocks, other := s.blocks, s.other
	s.mu.Unlock()
	var left []store.Damage
	for _, d := range blocks {
		if ctx.Err() != nil {
			return
		}
		err := s.repairBlock(ctx, d)
		switch {
		case err == nil:
		case errors.Is(err, store.ErrCorrupt) && !aboveIsDamaged(left, d):
			other = errors.Join(other, err) // damage of more than the block's own bytes
		default:
			left = append(left, d)
			s.Logger.Error("a damaged block could not be repaired", "chain", d.ChainID, "height", d.Height, "error", err)
		}
	}
	s.mu.Lock()
	s.blocks, s.other = left, other
	s.mu.Unlock()
	if other != nil {
		s.Damaged(other)
	}
}

// aboveIsDamaged reports whether the block above d, which has d's hash, is damaged too: then d cannot be verified.
func aboveIsDamaged(left []store.Damage, d store.Damage) bool {
	return slices.ContainsFunc(left, func(o store.Damage) bool { return o.ChainID == d.ChainID && o.Height == d.Height+1 })
}

// repairBlock replaces a damaged block, trying one source after the other.
func (s *Scrubber) repairBlock(ctx context.Context, d store.Damage) error {
	err := errors.New("there is no other copy")
	for i, source := range s.Sources() {
		if i == 0 {
			err = nil
		}
		block, failed := fetch(ctx, source, d)
		if failed == nil {
			failed = s.Store.RepairBlock(block)
		}
		if failed == nil {
			s.metrics.repaired.Inc()
			s.Logger.Warn("a damaged block was repaired from another copy", "chain", d.ChainID, "height", d.Height, "from",
				source.Name)
			return nil
		}
		err = errors.Join(err, fmt.Errorf("from %s: %w", source.Name, failed))
	}
	return err
}

// fetch reads one block from another copy.
func fetch(ctx context.Context, source Source, d store.Damage) (*ltlv1.Block, error) {
	ctx, cancel := context.WithTimeout(ctx, fetchTimeout)
	defer cancel() // ends the stream after its first block
	stream, err := source.Ledger.Blocks(ctx, &ltlv1.BlocksRequest{ChainId: d.ChainID, FromHeight: d.Height})
	if err != nil {
		return nil, err
	}
	m, err := stream.Recv()
	if err != nil {
		return nil, err
	}
	return m.GetBlock(), nil
}
