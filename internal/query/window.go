package query

import (
	"context"
	"sort"

	"ltl/internal/ledger"
	"ltl/internal/rules"
)

// versions are versions of a Key, in ascending order: spans that do not touch one another.
type versions []span

// span is the versions from first to last, both inclusive; there is one at least.
type span struct{ first, last uint32 }

// count is the number of versions.
func (v versions) count() (n uint64) {
	for _, s := range v {
		n += uint64(s.last-s.first) + 1
	}
	return n
}

// at returns version number i of count, from 0.
func (v versions) at(i uint64) uint32 {
	for _, s := range v {
		if n := uint64(s.last-s.first) + 1; i >= n {
			i -= n
			continue
		}
		return s.first + uint32(i)
	}
	return 0
}

// window returns the versions of a Key within start and end, both inclusive. The time of a chain goes back where the
// network's time was corrected, and nowhere else: so versions are in order of time between two corrections, and each such
// stretch is searched by halves.
func (s *server) window(ctx context.Context, chain *rules.Chain, key string, start, end int64) (versions, error) {
	newest, err := rules.Locate(s.store, chain.ID, rules.NewestKey(key))
	if err != nil || newest == nil {
		return nil, err
	}
	n := int(newest.Version())
	if start == 0 && end == 0 {
		return versions{{1, uint32(n)}}, nil
	}
	corrections, err := rules.ListTimeCorrections(s.store)
	if err != nil {
		return nil, err
	}
	w := &search{ctx: ctx, server: s, chain: chain, key: key}
	var found versions
	for from, i := 0, 0; from < n; i++ {
		to := n // the stretch is the versions above from, up to this one
		if i < len(corrections) {
			height := corrections[i].Height
			to = w.first(from, n, func(h *ledger.Header) bool { return h.SystemHeight >= height })
		}
		before := w.first(from, to, func(h *ledger.Header) bool { return h.TimeMs >= start })
		upTo := w.first(before, to, func(h *ledger.Header) bool { return h.TimeMs > end })
		if before < upTo {
			found = append(found, span{uint32(before) + 1, uint32(upTo)})
		}
		from = to
	}
	if w.failed == nil {
		w.failed = ctx.Err()
	}
	return found, w.failed
}

// search looks for versions by the headers of their blocks. The first error ends it.
type search struct {
	*server
	ctx    context.Context
	chain  *rules.Chain
	key    string
	failed error
}

// first returns how many versions there are up to the one before the first, above number from, whose block holds; at most
// to. The blocks that hold come after all others.
func (w *search) first(from, to int, holds func(*ledger.Header) bool) int {
	return from + sort.Search(to-from, func(i int) bool {
		if w.failed != nil || w.ctx.Err() != nil {
			return true
		}
		at, err := w.version(w.chain, w.key, uint32(from+i)+1)
		if err != nil {
			w.failed = err
			return true
		}
		_, _, _, header, _, err := w.store.Transaction(w.chain.ID, at.Height, at.Index)
		if err != nil {
			w.failed = err
		}
		return holds(&header)
	})
}
