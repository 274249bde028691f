package node

import (
	"bufio"
	"errors"
	"fmt"
	"os"

	"github.com/hashicorp/raft"

	"ltl/internal/ledger"
	ltlv1 "ltl/proto/ltl/v1"
)

var (
	// errWrongBlocks is wrapped for blocks that do not lead to the snapshot: the peer that sent them is at fault.
	errWrongBlocks = errors.New("not the leader's history")
	// errDiverged is wrapped when the headers that lead to the snapshot do not begin at this ledger: this ledger is
	// wrong, or the leader's.
	errDiverged = errors.New("this ledger and the leader's snapshot have different histories")
	// errHeaderFile is wrapped by errors of the file with the header hashes.
	errHeaderFile = errors.New("file of the headers to be fetched")
)

// headerChain is the list of blocks between this ledger and a snapshot: the hash of every missing block, in order of
// sequence. Each header contains the hash of the one below and its place in the order of execution, so when the last
// ones are those that the snapshot names, all are right and in their order. The hashes are in a file, 32 bytes for
// each block, which has no name and disappears with the process.
type headerChain struct {
	from, until uint64
	file        *os.File
}

// close removes the file. It may be called on nil.
func (r *headerChain) close() {
	if r != nil {
		_ = r.file.Close() // the file has no name any more, and its content is not needed
	}
}

// check compares a block's header with the hash at its sequence number.
func (r *headerChain) check(sequence uint64, header []byte) error {
	var want ledger.Hash
	if sequence < r.from || sequence >= r.until {
		return fmt.Errorf("sequence %d is not between %d and %d", sequence, r.from, r.until)
	}
	if _, err := r.file.ReadAt(want[:], int64(sequence-r.from)*int64(len(want))); err != nil {
		return fmt.Errorf("%w: %w", errHeaderFile, err)
	}
	if got := ledger.BlockHash(header); got != want {
		return fmt.Errorf("%w: the block at sequence %d is %x, the block that leads to the snapshot is %x", errWrongBlocks,
			sequence, got, want)
	}
	return nil
}

// fetchHeaders reads the headers of all missing blocks from a peer, and checks that they lead to p.
func (c *catchUp) fetchHeaders(peer raft.ServerID, p *catchUpTarget) (*headerChain, error) {
	file, err := os.CreateTemp(c.dir, "headers.*")
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errHeaderFile, err)
	}
	r := &headerChain{from: c.store.Sequence(), until: p.sequence, file: file}
	if err := os.Remove(file.Name()); err != nil {
		r.close()
		return nil, fmt.Errorf("%w: %w", errHeaderFile, err)
	}
	l := newHeaderLinks(c.localTips())
	w := bufio.NewWriter(file)
	err = c.stream(peer, r.from, r.until, true, func(sequence uint64, block *ltlv1.Block) error {
		hash, err := l.add(sequence, block.GetHeader())
		if err != nil {
			return err
		}
		if _, err := w.Write(hash[:]); err != nil {
			return fmt.Errorf("%w: %w", errHeaderFile, err)
		}
		return nil
	})
	if err == nil {
		err = l.checkEnd(p.tips)
	}
	if err == nil {
		if err = w.Flush(); err != nil {
			err = fmt.Errorf("%w: %w", errHeaderFile, err)
		}
	}
	if err != nil {
		r.close()
		return nil, err
	}
	return r, nil
}

// localTips returns the newest block of each chain of this ledger.
func (c *catchUp) localTips() []targetTip {
	var tips []targetTip
	for _, t := range c.store.Tips() {
		tips = append(tips, targetTip{id: t.ChainID, height: t.Header.Height, hash: t.Hash})
	}
	return tips
}

// headerLinks checks that headers follow one another, in each chain and in the order of execution.
type headerLinks struct {
	at map[string]targetTip
	// local has the chains to which no header was added yet. diverged is set when a header does not fit on this
	// ledger's block.
	local    map[string]bool
	diverged error
}

func newHeaderLinks(tips []targetTip) *headerLinks {
	l := &headerLinks{at: map[string]targetTip{}, local: map[string]bool{}}
	for _, t := range tips {
		l.at[t.id], l.local[t.id] = t, true
	}
	return l
}

// add takes the header that was sent for a sequence number and returns its hash.
func (l *headerLinks) add(sequence uint64, header []byte) (ledger.Hash, error) {
	h, err := ledger.ParseHeader(header)
	if err != nil {
		return ledger.Hash{}, fmt.Errorf("%w: %w", errWrongBlocks, err)
	}
	if h.Sequence != sequence {
		return ledger.Hash{}, fmt.Errorf("%w: block %d of chain %s is number %d in the order of execution, it was sent as "+
			"number %d", errWrongBlocks, h.Height, h.ChainID, h.Sequence, sequence)
	}
	below, known := l.at[h.ChainID]
	next := uint64(0)
	if known {
		next = below.height + 1
	}
	switch {
	case h.Height != next:
		return ledger.Hash{}, fmt.Errorf("%w: block %d of chain %s, want block %d", errWrongBlocks, h.Height, h.ChainID, next)
	case h.Previous == below.hash: // zero below block 0
	case l.local[h.ChainID]:
		// This ledger is the wrong one only if the headers lead to the snapshot, so the error is kept until checkEnd.
		l.diverged = fmt.Errorf("%w: block %d of chain %s follows %x, and block %d here is %x", errDiverged, h.Height,
			h.ChainID, h.Previous, below.height, below.hash)
	default:
		return ledger.Hash{}, fmt.Errorf("%w: block %d of chain %s does not follow the block before it", errWrongBlocks,
			h.Height, h.ChainID)
	}
	hash := ledger.BlockHash(header)
	delete(l.local, h.ChainID)
	l.at[h.ChainID] = targetTip{id: h.ChainID, height: h.Height, hash: hash}
	return hash, nil
}

// checkEnd compares the last headers with the tips of the snapshot. Blocks that this ledger had before are compared
// by catchUpTarget.check.
func (l *headerLinks) checkEnd(tips []targetTip) error {
	for _, want := range tips {
		got := l.at[want.id]
		if got != want && !(l.local[want.id] && got.height >= want.height) {
			return fmt.Errorf("%w: chain %s ends at block %d, %x; the snapshot names block %d, %x", errWrongBlocks, want.id,
				got.height, got.hash, want.height, want.hash)
		}
	}
	return l.diverged
}
