package verify

import (
	"ltl/internal/ledger"
	"ltl/internal/rules"
)

// Tip is the newest block of a chain.
type Tip struct {
	ChainID string
	Header  ledger.Header
	Hash    ledger.Hash
}

// Log is what the blocks executed so far, over all chains, leave behind for the next one.
type Log struct {
	// Sequence is their number, ReferenceMs the reference time of the last of them.
	Sequence    uint64
	ReferenceMs int64
	// Corrected is the newest correction of the network's time.
	Corrected rules.TimeCorrection
}

// Add takes the next block. A correction of the time is the only block that sets the reference time back.
func (l *Log) Add(h *ledger.Header) {
	if h.ReferenceMs < l.ReferenceMs {
		l.Corrected = rules.TimeCorrection{Height: h.SystemHeight, ToMs: h.ReferenceMs}
	}
	l.Sequence, l.ReferenceMs = h.Sequence+1, h.ReferenceMs
}

// Next returns what the block above tip is executed from, without batches. systemHeight is the height of the
// system chain's newest block, and log what the blocks executed so far leave behind.
func Next(network ledger.Hash, tip *Tip, systemHeight uint64, log Log) rules.Input {
	in := rules.Input{NetworkID: network, ChainID: tip.ChainID, Height: tip.Header.Height + 1, Previous: tip.Hash,
		PreviousTimeMs: log.Corrected.Floor(&tip.Header), SystemHeight: systemHeight, Sequence: log.Sequence,
		PreviousReferenceMs: log.ReferenceMs}
	if tip.ChainID == ledger.SystemChain {
		in.SystemHeight = in.Height
	}
	return in
}

// Link checks that a header is the header of the block that is due, as Next describes it. Only a block of the system
// chain may set the reference time back; whether it corrects the time, its execution shows.
func Link(h *ledger.Header, due *rules.Input) error {
	switch {
	case h.NetworkID != due.NetworkID:
		return Bad(h, "it is of network %x, not of %x", h.NetworkID, due.NetworkID)
	case h.Sequence != due.Sequence:
		return Bad(h, "out of order: it is block %d in the order of execution, block %d is due", h.Sequence, due.Sequence)
	case h.Height != due.Height:
		return Bad(h, "out of order: block %d is due", due.Height)
	case h.Previous != due.Previous:
		return Bad(h, "it extends block %x, and the block below is %x", h.Previous, due.Previous)
	case h.TimeMs < due.PreviousTimeMs:
		return Bad(h, "its time is %d ms, before that of the block below, %d ms", h.TimeMs, due.PreviousTimeMs)
	case h.ReferenceMs < due.PreviousReferenceMs && h.ChainID != ledger.SystemChain:
		return Bad(h, "its reference time is %d ms, before that of the block executed before, %d ms", h.ReferenceMs,
			due.PreviousReferenceMs)
	case h.SystemHeight != due.SystemHeight:
		return Bad(h, "it was made at system height %d, the order of blocks gives %d", h.SystemHeight, due.SystemHeight)
	}
	return nil
}

// Order follows the headers of all chains in their order of execution and checks that each extends those before it. It
// is used by one goroutine.
type Order struct {
	network ledger.Hash
	tips    map[string]Tip
	log     Log
	// corrections are those that the ledger's state names, by height.
	corrections map[uint64]int64
	// unread are the chains whose newest block could not be read: only its height is known.
	unread map[string]bool
}

// NewOrder returns an Order that begins with the genesis block. corrections are those of the ledger whose headers it
// follows.
func NewOrder(network ledger.Hash, corrections []rules.TimeCorrection) *Order {
	o := &Order{network: network, tips: make(map[string]Tip), corrections: make(map[uint64]int64),
		unread: make(map[string]bool)}
	for _, c := range corrections {
		o.corrections[c.Height] = c.ToMs
	}
	return o
}

// Tip returns the newest block of a chain that was followed.
func (o *Order) Tip(chainID string) (Tip, bool) {
	t, ok := o.tips[chainID]
	return t, ok
}

// Due describes the next block of a chain, without batches; block 0 of a chain that is not known yet.
func (o *Order) Due(chainID string) rules.Input {
	system := o.tips[ledger.SystemChain].Header.Height
	tip, known := o.tips[chainID]
	if !known {
		return rules.Input{NetworkID: o.network, ChainID: chainID, SystemHeight: system, Sequence: o.log.Sequence,
			PreviousReferenceMs: o.log.ReferenceMs}
	}
	return Next(o.network, &tip, system, o.log)
}

// Add takes the next block. It returns ErrBadBlock, wrapped, and takes nothing when the block does not extend those
// before it.
func (o *Order) Add(h *ledger.Header, hash ledger.Hash) error {
	due := o.Due(h.ChainID)
	if o.unread[h.ChainID] {
		due.Previous = h.Previous
	}
	if err := Link(h, &due); err != nil {
		return err
	}
	to, corrects := o.corrections[h.Height]
	switch corrects = corrects && h.ChainID == ledger.SystemChain; {
	case corrects && h.ReferenceMs != to:
		return Bad(h, "its reference time is %d ms, and it corrects the time to %d ms", h.ReferenceMs, to)
	case !corrects && h.ReferenceMs < due.PreviousReferenceMs:
		return Bad(h, "its reference time is %d ms, before that of the block executed before, %d ms, and it corrects no time",
			h.ReferenceMs, due.PreviousReferenceMs)
	}
	o.tips[h.ChainID] = Tip{ChainID: h.ChainID, Header: *h, Hash: hash}
	o.log.Add(h)
	delete(o.unread, h.ChainID)
	return nil
}

// AddUnread takes the next block of a chain when it cannot be read. The block above it is then checked without its
// hash, and with the time of the newest block that was read.
func (o *Order) AddUnread(chainID string) {
	due := o.Due(chainID)
	h := ledger.Header{ChainID: chainID, Height: due.Height, TimeMs: due.PreviousTimeMs, SystemHeight: due.SystemHeight,
		Sequence: due.Sequence, ReferenceMs: due.PreviousReferenceMs}
	if to, corrects := o.corrections[h.Height]; corrects && chainID == ledger.SystemChain {
		h.ReferenceMs = to
	}
	o.tips[chainID] = Tip{ChainID: chainID, Header: h}
	o.log.Add(&h)
	o.unread[chainID] = true
}
