package proof

import (
	"strconv"
	"strings"
)

// restoration is a restoration of the network that its ledger records: what had been executed after so many blocks,
// over all chains, is lost.
type restoration struct{ number, blocks uint64 }

// readRestorations reads the list of a history: numbers and blocks rise.
func (t *Trust) readRestorations(h *node) {
	t.restorations = nil
	if !h.has("restorations") {
		return
	}
	var last restoration
	for _, r := range h.array("restorations") {
		next := restoration{r.count("number"), r.count("blocks")}
		r.closed()
		if next.number <= last.number || next.blocks <= last.blocks || next.number >= 1<<32 {
			badForm("%q are not in order, or have a number of 0 or above 32 bits", "restorations")
		}
		t.restorations = append(t.restorations, next)
		last = next
	}
}

// originAfter is the first line of the checkpoints of a chain after a restoration; 0 is none.
func (t *Trust) originAfter(chain string, number uint64) string {
	origin := t.prefix() + chain
	if number > 0 {
		origin += "/r" + strconv.FormatUint(number, 10)
	}
	return origin
}

// Origin is the first line of the checkpoints of a chain that are signed now, as far as the trust file knows.
func (t *Trust) Origin(chain string) string {
	var last uint64
	for _, r := range t.restorations {
		last = r.number
	}
	return t.originAfter(chain, last)
}

// lostTo looks up the restoration after which the checkpoints of an origin are: ok says that the trust file knows it.
// by is the restoration that lost a block with this sequence number of that history; 0 when it was kept.
func (t *Trust) lostTo(origin, chain string, sequence uint64) (by uint64, ok bool) {
	ok = origin == t.originAfter(chain, 0)
	for _, r := range t.restorations {
		switch {
		case ok && by == 0 && sequence >= r.blocks:
			by = r.number
		case !ok && origin == t.originAfter(chain, r.number):
			ok = true
		}
	}
	return by, ok
}

// ChainOf is the chain whose checkpoints have an origin, before or after any restoration; ok says that it is one of
// this network.
func (t *Trust) ChainOf(origin string) (chain string, ok bool) {
	local, _ := strings.CutPrefix(origin, t.prefix())
	chain, after, _ := strings.Cut(local, "/r")
	number, _ := strconv.ParseUint(after, 10, 32) // of a number there is one spelling, compared below
	return chain, validChain(chain) && origin == t.originAfter(chain, number)
}
