package scrub

import (
	"context"
	"errors"
	"fmt"
	"time"

	"ltl/internal/store"
	ltlv1 "ltl/proto/ltl/v1"
)

const (
	// openingsPause is the pause between two looks for openings that are lacking; it doubles up to openingsPauseMost
	// while no copy gives any.
	openingsPause     = 2 * time.Second
	openingsPauseMost = 30 * time.Second
	// openingsBlocks bounds the blocks that are asked for at once; every process answers for as many.
	openingsBlocks = 64
	// openingsPatience is how long openings may be lacking before Lacking says so. Blocks may be here before their
	// openings for some seconds, after a start.
	openingsPatience = time.Minute
)

// lacking is what a process lacks of the openings of a chain.
type lacking struct {
	// lowest is the lowest block that lacks some, and since when that one was known to.
	lowest uint64
	since  time.Time
	// blocks is their number.
	blocks int
}

// FetchOpenings fetches, until ctx ends, the openings that this copy lacks of the chains that this process may read. A
// lost opening is no damage: the block stands without it. What another copy gives checks itself against the
// commitments.
func (s *Scrubber) FetchOpenings(ctx context.Context) {
	pause := openingsPause
	for {
		select {
		case <-ctx.Done():
			return
		case <-time.After(pause):
		}
		got, left, err := s.fetchOpenings(ctx)
		switch {
		case ctx.Err() != nil || errors.Is(err, store.ErrClosed) || errors.Is(err, store.ErrFailed):
			return
		case err != nil:
			s.Logger.Error("lost values cannot be filled in", "error", err)
		case got > 0:
			if err := s.Store.SyncOpenings(); err != nil {
				s.Logger.Error("values that were fetched cannot be made durable", "error", err)
			}
			s.Logger.Info("values that were not here were fetched from other copies", "blocks", got, "left", left)
		}
		if got > 0 || left == 0 {
			pause = openingsPause
		} else {
			pause = min(2*pause, openingsPauseMost)
		}
	}
}

// fetchOpenings asks for everything that is lacking once. It returns of how many blocks nothing is lacking any more,
// and of how many something is.
func (s *Scrubber) fetchOpenings(ctx context.Context) (got, left int, err error) {
	now := map[string]*lacking{}
	for _, t := range s.Store.Tips() {
		if !s.Reads(t.ChainID) {
			continue
		}
		for from := uint64(0); ; {
			heights, err := s.Store.ListLacking(t.ChainID, from, openingsBlocks)
			if err != nil || ctx.Err() != nil {
				return got, left, errors.Join(err, ctx.Err())
			}
			if len(heights) == 0 {
				break
			}
			filled, err := s.fetchBlocks(ctx, t.ChainID, heights)
			if err != nil {
				return got, left, err
			}
			got += filled
			if lacks := len(heights) - filled; lacks > 0 {
				left += lacks
				if now[t.ChainID] == nil {
					now[t.ChainID] = &lacking{lowest: heights[0], since: time.Now()}
				}
				now[t.ChainID].blocks += lacks
			}
			from = heights[len(heights)-1] + 1
		}
	}
	s.noteLacking(now)
	return got, left, nil
}

// noteLacking replaces what is known to be lacking. A chain that goes on lacking without any progress keeps its time.
func (s *Scrubber) noteLacking(now map[string]*lacking) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for id, l := range now {
		if old := s.lacking[id]; old != nil && old.lowest == l.lowest {
			l.since = old.since
		}
	}
	s.lacking = now
}

// fetchBlocks asks one source after another for the openings of blocks, until none is left out. It returns how many of
// them are complete.
func (s *Scrubber) fetchBlocks(ctx context.Context, chainID string, heights []uint64) (filled int, err error) {
	for _, source := range s.Sources() {
		if len(heights) == 0 {
			break
		}
		in, err := askOpenings(ctx, source, chainID, heights)
		if err != nil {
			s.Logger.Debug("a copy gave no openings", "source", source.Name, "error", err)
			continue
		}
		n, err := s.Store.PutOpenings(chainID, in)
		if err != nil {
			return filled, fmt.Errorf("store openings of chain %s: %w", chainID, err)
		}
		filled += n
		s.metrics.openings.Add(float64(n))
		left, err := s.Store.ListLacking(chainID, heights[0], len(heights))
		if err != nil {
			return filled, err
		}
		last := heights[len(heights)-1]
		heights = heights[:0]
		for _, h := range left {
			if h <= last {
				heights = append(heights, h)
			}
		}
	}
	return filled, nil
}

// askOpenings asks one source. What was not asked for is left out.
func askOpenings(ctx context.Context, source Source, chainID string, heights []uint64) ([]*ltlv1.BlockOpenings, error) {
	ctx, cancel := context.WithTimeout(ctx, fetchTimeout)
	defer cancel()
	out, err := source.Ledger.Openings(ctx, &ltlv1.OpeningsRequest{ChainId: chainID, Heights: heights})
	if err != nil {
		return nil, err
	}
	asked := map[uint64]bool{}
	for _, h := range heights {
		asked[h] = true
	}
	var in []*ltlv1.BlockOpenings
	for _, b := range out.GetBlocks() {
		if asked[b.GetHeight()] && len(b.GetTransactions()) > 0 {
			in = append(in, b)
			asked[b.GetHeight()] = false
		}
	}
	if len(in) == 0 {
		return nil, errors.New("it has none of them")
	}
	return in, nil
}

// Lacking says which values have been lacking for longer than openingsPatience; it is empty for none. That is no fault:
// the ledger is sound without them.
func (s *Scrubber) Lacking() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	for id, l := range s.lacking {
		if time.Since(l.since) >= openingsPatience {
			return fmt.Sprintf("the values of %d blocks of chain %s, from block %d on, are not here, and no other "+
				"copy has given them", l.blocks, id, l.lowest)
		}
	}
	return ""
}

// lackingBlocks is the number of blocks that lack openings.
func (s *Scrubber) lackingBlocks() (n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, l := range s.lacking {
		n += l.blocks
	}
	return n
}
