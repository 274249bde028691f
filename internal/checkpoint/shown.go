package checkpoint

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"ltl/client/proof"
	"ltl/internal/ledger"
)

// Bounds on what others show.
const (
	// maxShown is the largest note that is taken, in bytes: that of a network of hundreds of signers.
	maxShown = 64 << 10
	// maxPlaces is the number of signers, each counted for each of its chains, whose checkpoints are kept.
	maxPlaces = 1 << 14
	// maxOpen is the number of checkpoints of one signer and chain that are kept while nothing is proved by them.
	maxOpen = 8
	// askTimeout bounds one question to another signer.
	askTimeout = 3 * time.Second
)

// ErrShown is returned, wrapped, for a checkpoint that says nothing about this network's chains.
var ErrShown = errors.New("no checkpoint that can be judged here")

// Others are the signers that a process can ask for their checkpoints.
type Others struct {
	// Names returns who can be asked: "node/" or "org/" and an id.
	Names func() []string
	// Chains returns the chains of the copy.
	Chains func() []string
	// Ask returns the checkpoint of a chain that one of them signs, of so many blocks or more.
	Ask func(ctx context.Context, name, chainID string, size uint64) ([]byte, error)
}

// shown are the checkpoints that others signed, as far as this process has seen them since its start.
type shown struct {
	mu   sync.Mutex
	seen map[place]*seen
}

// place is one signer's log of a chain; another log begins after a restoration.
type place struct{ origin, signer string }

// seen is what one signer signed of a chain.
type seen struct {
	// right is the largest checkpoint that this copy has too; nil before the first.
	right *signedBy
	// open are the smallest that it has not, as it has other blocks or fewer, the smallest first.
	open []*signedBy
}

// signedBy is a checkpoint with one signature.
type signedBy struct {
	*proof.Checkpoint
	text string
}

// Show takes a checkpoint that others signed, and returns the misbehaviour files that it makes together with what they
// signed before. Signers whose checkpoint this copy cannot confirm, and that can be asked, are asked for another one at
// once: one that lied to a caller either repeats the lie to a process that knows better, or contradicts itself.
func (s *Signer) Show(ctx context.Context, text []byte) (files [][]byte, err error) {
	if len(text) > maxShown {
		return nil, fmt.Errorf("%w: it has %d bytes; the limit is %d", ErrShown, len(text), maxShown)
	}
	trust, err := s.source.Trust()
	if err != nil {
		return nil, err
	}
	c, chainID, err := s.readShown(trust, string(text))
	if err != nil {
		return nil, err
	}
	files, open, err := s.take(ctx, trust, c, chainID)
	if err != nil {
		return files, err
	}
	for _, name := range open {
		again, err := s.askFor(ctx, trust, name, chainID)
		if err != nil {
			s.log.Warn("a signer of a checkpoint that is not this copy's does not sign another one", "signer", name,
				"error", err)
		}
		files = append(files, again...)
	}
	return files, nil
}

// readShown reads a checkpoint that is one of a chain that this copy has, signed by a signer that the ledger names.
func (s *Signer) readShown(trust *proof.Trust, text string) (c *proof.Checkpoint, chainID string, err error) {
	c, err = trust.Checkpoint(text)
	if err != nil {
		return nil, "", fmt.Errorf("%w: %w", ErrShown, err)
	}
	chainID, _ = trust.ChainOf(c.Origin)
	at, err := s.source.Restored()
	if err != nil {
		return nil, "", err
	}
	_, ok := s.source.Chain(chainID)
	if !ok || c.Origin != Origin(s.source.Network, chainID, at.Number) || len(c.Signers) == 0 {
		return nil, "", fmt.Errorf("%w: it is of %.120q, which is no chain here after the last restoration, or no signer that "+
			"the ledger names signed it", ErrShown, c.Origin)
	}
	return c, chainID, nil
}

// askFor asks one signer for its checkpoint of a chain and takes it.
func (s *Signer) askFor(ctx context.Context, trust *proof.Trust, name, chainID string) ([][]byte, error) {
	have, ok := s.source.Chain(chainID)
	if s.source.Others == nil || !ok {
		return nil, nil
	}
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	text, err := s.source.Others.Ask(ctx, name, chainID, have.Blocks)
	if err != nil || len(text) > maxShown {
		return nil, err
	}
	c, chainID, err := s.readShown(trust, string(text))
	if err != nil {
		return nil, err
	}
	files, _, err := s.take(ctx, trust, c, chainID)
	return files, err
}

// take compares a checkpoint with this copy and with what its signers signed before. open are the signers of whom
// nothing is proved yet although this copy does not have their checkpoint.
func (s *Signer) take(ctx context.Context, trust *proof.Trust, c *proof.Checkpoint, chainID string) (
	files [][]byte, open []string, err error,
) {
	right, err := s.has(ctx, chainID, c)
	if err != nil {
		return nil, nil, err
	}
	s.shown.mu.Lock()
	defer s.shown.mu.Unlock()
	for i, signer := range c.Signers {
		at := place{c.Origin, signer.Name}
		known := s.shown.seen[at]
		if known == nil {
			if len(s.shown.seen) >= maxPlaces {
				return files, open, fmt.Errorf("%w: too many are kept already", ErrShown)
			}
			known = &seen{}
			s.shown.seen[at] = known
		}
		if own := s.ownOf(trust, chainID, at); own != nil && (known.right == nil || own.Size > known.right.Size) {
			known.right = own
		}
		found, err := s.judge(ctx, trust, chainID, known, &signedBy{c, c.SignedBy(i)}, right)
		if err != nil {
			return files, open, err
		}
		files = append(files, found...)
		if !right && len(found) == 0 {
			open = append(open, signer.Name)
		}
	}
	return files, open, nil
}

// ownOf is the largest checkpoint that this process signed itself under the origin and name of a place; nil when it
// signed none. Another one that signs with its key is convicted by it, and this process stops.
func (s *Signer) ownOf(trust *proof.Trust, chainID string, at place) *signedBy {
	s.mu.Lock()
	own, ok := s.latch.held[chainID]
	s.mu.Unlock()
	if !ok || own.origin != at.origin {
		return nil
	}
	c, err := trust.Checkpoint(string(own.note))
	if err != nil || len(c.Signers) != 1 || c.Signers[0].Name != at.signer {
		return nil
	}
	return &signedBy{c, string(own.note)}
}

// has reports whether this copy has a checkpoint's blocks.
func (s *Signer) has(ctx context.Context, chainID string, c *proof.Checkpoint) (bool, error) {
	if have, ok := s.source.Chain(chainID); !ok || c.Size > have.Blocks {
		return false, nil
	}
	root, err := s.root(ctx, chainID, c.Size)
	return err == nil && proof.Hash(root) == c.Root, err
}

// judge compares a checkpoint with what its signer signed before, and keeps it. Of those that are not this copy's the
// smallest are kept: a larger one that is this copy's is soon asked for, so sizes of the signer's invention hide
// nothing.
func (s *Signer) judge(
	ctx context.Context, trust *proof.Trust, chainID string, known *seen, next *signedBy, right bool,
) (files [][]byte, err error) {
	if right && (known.right == nil || next.Size > known.right.Size) {
		known.right = next
	}
	if !right {
		for _, o := range known.open {
			files = append(files, s.convict(trust, o, next, nil, nil)...)
		}
		if !slices.ContainsFunc(known.open, func(o *signedBy) bool { return o.Size == next.Size && o.Root == next.Root }) {
			known.open = append(known.open, next)
		}
		slices.SortStableFunc(known.open, func(a, b *signedBy) int { return cmp.Compare(a.Size, b.Size) })
		known.open = known.open[:min(len(known.open), maxOpen)]
	}
	var left []*signedBy
	for i, o := range known.open {
		if known.right == nil || o.Size > known.right.Size {
			left = append(left, o)
			continue
		}
		found, err := s.contradict(ctx, trust, chainID, o, known.right)
		if err != nil {
			known.open = append(left, known.open[i:]...)
			return files, err
		}
		files = append(files, found...)
	}
	known.open = left
	return files, nil
}

// contradict makes the files for a checkpoint that was not this copy's and one, not smaller, that is. There is none
// when this copy only lacked the blocks then.
func (s *Signer) contradict(
	ctx context.Context, trust *proof.Trust, chainID string, open, right *signedBy,
) ([][]byte, error) {
	own, err := s.has(ctx, chainID, open.Checkpoint)
	if err != nil || own {
		return nil, err
	}
	if open.Size == right.Size {
		return s.convict(trust, open, right, nil, nil), nil
	}
	root, err := s.root(ctx, chainID, open.Size)
	if err != nil {
		return nil, err
	}
	path, err := s.Consistency(ctx, chainID, open.Size, right.Size)
	if err != nil {
		return nil, err
	}
	return s.convict(trust, open, right, root[:], path), nil
}

// convict makes and keeps the files that two checkpoints of one signer make.
func (s *Signer) convict(trust *proof.Trust, a, b *signedBy, root, path []byte) (files [][]byte) {
	for _, m := range trust.Misbehaviours(a.text, b.text, root, path) {
		file, err := m.Encode()
		if err != nil {
			s.log.Error("a misbehaviour file cannot be encoded", "error", err)
			continue
		}
		v := proof.VerifyMisbehaviour(file, trust)
		if err := s.found.keep(v, file); err != nil {
			s.log.Error("a misbehaviour file cannot be kept; it follows", "error", err, "file", string(file))
		}
		if name, key, err := s.source.Key(); err == nil && strings.TrimPrefix(name, prefix(s.source.Network)) == v.Signer {
			s.stopFor(s.found.against(v.Signer, key))
		}
		s.log.Error("a signer of checkpoints signed two histories", "signer", v.Signer, "kind", v.Kind, "chain", v.Chain,
			"directory", s.found.dir)
		files = append(files, file)
	}
	return files
}

func (s *Signer) root(ctx context.Context, chainID string, size uint64) (ledger.Hash, error) {
	c := s.chain(chainID)
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.tree.root(ctx, size)
}
