package client

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"

	"ltl/client/proof"
	ltlv1 "ltl/proto/ltl/v1"
)

// maxFound bounds the misbehaviour files that are taken from all processes together.
const maxFound = 64

// ForkError says that signers of checkpoints contradict each other. It wraps ErrTwoHistories.
type ForkError struct {
	error
	// Misbehaviours are files, verified under the trust file, each of which convicts one signer; there may be none, when
	// no process holds two checkpoints of one key.
	Misbehaviours [][]byte
}

// Unwrap returns what is wrapped.
func (e *ForkError) Unwrap() error { return e.error }

// withFiles adds what was found to the error of a collection.
func (l *Ledger) withFiles(err error, files [][]byte) error {
	if len(files) > 0 && !errors.Is(err, ErrTwoHistories) {
		err = errors.Join(err, fmt.Errorf("client: %w", ErrTwoHistories))
	}
	if errors.Is(err, ErrTwoHistories) {
		return &ForkError{error: err, Misbehaviours: files}
	}
	return err
}

// ShowCheckpoint shows a checkpoint to all nodes and endorsers, which compare it with their own copies and with what
// its signers signed before. It returns the misbehaviour files that they made, as far as they verify under t. A
// process that does not answer is left out.
func (l *Ledger) ShowCheckpoint(ctx context.Context, t *proof.Trust, note string) [][]byte {
	return l.showAll(ctx, t, []string{note})
}

// showAll shows checkpoints, and what comes of them also to those processes that held no other by the same signer.
func (l *Ledger) showAll(ctx context.Context, t *proof.Trust, notes []string) [][]byte {
	files := l.showOnce(ctx, t, notes)
	var both []string
	for _, file := range files {
		if m, err := proof.ParseMisbehaviour(file); err == nil {
			both = append(both, m.First, m.Second)
		}
	}
	l.showOnce(ctx, t, both)
	return files
}

func (l *Ledger) showOnce(ctx context.Context, t *proof.Trust, notes []string) [][]byte {
	ctx, cancel := context.WithTimeout(ctx, cosignTimeout)
	defer cancel()
	var mu sync.Mutex
	found := map[string][]byte{} // by what it is about: several processes make the same
	take := func(file []byte) {
		v := proof.VerifyMisbehaviour(file, t)
		mu.Lock()
		defer mu.Unlock()
		if about := v.Key + v.Chain; v.Failure == nil && (len(found) < maxFound || found[about] != nil) {
			found[about] = file
		}
	}
	var wg sync.WaitGroup
	for _, p := range append(l.c.peers.all(), l.c.peers.allEndorsers()...) {
		wg.Go(func() {
			for _, note := range notes {
				out, err := ltlv1.NewEvidenceClient(p.conn).ShowCheckpoint(ctx, &ltlv1.ShowCheckpointRequest{Note: []byte(note)})
				if err != nil {
					l.c.log.Warn("a process does not judge a checkpoint", "process", p.name, "error", err)
				}
				for _, file := range out.GetMisbehaviours() {
					take(file)
				}
			}
		})
	}
	wg.Wait()
	var files [][]byte
	for _, about := range slices.Sorted(maps.Keys(found)) {
		files = append(files, found[about])
	}
	return files
}

// Compare shows of two checkpoints of one chain, in any order, that one is the beginning of the other. Where it is
// not, it returns a *ForkError with a file for each key that signed both, or that the network's processes convict when
// they are shown the two. It connects to nothing when both are of one number of blocks and agree.
func (l *Ledger) Compare(ctx context.Context, t *proof.Trust, first, second string) (*proof.Consistency, error) {
	made, from, to, err := t.CompareAlone(first, second)
	if made != nil || err != nil {
		return made, err
	}
	last := fmt.Errorf("checkpoints of %d and %d blocks contradict each other: %w", from.Size, to.Size, ErrTwoHistories)
	if from.Size < to.Size {
		made, last = l.compare(ctx, t, from, to, first, second)
	}
	if made != nil {
		return made, nil
	}
	var fork *ForkError
	if errors.As(last, &fork) && len(fork.Misbehaviours) > 0 {
		return nil, fork
	}
	var files [][]byte
	for _, m := range t.Misbehaviours(first, second, nil, nil) {
		file, err := m.Encode()
		if err != nil {
			return nil, err
		}
		files = append(files, file)
	}
	if len(files) == 0 {
		files = l.showAll(ctx, t, []string{first, second})
	}
	if len(files) == 0 && !errors.Is(last, ErrTwoHistories) {
		return nil, last
	}
	return nil, &ForkError{error: fmt.Errorf("client: %w", last), Misbehaviours: files}
}

// compare asks each process for the proof between two checkpoints, until one has the blocks of the larger.
func (l *Ledger) compare(ctx context.Context, t *proof.Trust, from, to *proof.Checkpoint, first, second string) (
	*proof.Consistency, error,
) {
	chainID, _ := t.ChainOf(from.Origin)
	var last error
	for _, p := range append(l.c.peers.all(), l.c.peers.allEndorsers()...) {
		ctx, cancel := context.WithTimeout(ctx, cosignTimeout)
		out, err := ltlv1.NewEvidenceClient(p.conn).ProveConsistency(ctx,
			&ltlv1.ProveConsistencyRequest{ChainId: chainID, Before: from.Size, Size: to.Size})
		cancel()
		if err != nil {
			last = cmp.Or(last, fmt.Errorf("%s: %w", p.name, err))
			continue
		}
		if proof.VerifyConsistency(from, to, out.GetPath()) {
			return t.NewConsistency(first, second, out.GetPath()), nil
		}
		var files [][]byte
		for _, m := range t.Misbehaviours(first, second, out.GetRoot(), out.GetPath()) {
			file, err := m.Encode()
			if err != nil {
				return nil, err
			}
			files = append(files, file)
		}
		within := *from
		if len(out.GetRoot()) == len(within.Root) {
			within.Root = proof.Hash(out.GetRoot())
		}
		if proof.VerifyConsistency(&within, to, out.GetPath()) { // and so within has another root than from
			return nil, &ForkError{error: fmt.Errorf("the %d blocks of the smaller checkpoint are not the first %d of the "+
				"larger: %w", from.Size, from.Size, ErrTwoHistories), Misbehaviours: files}
		}
		last = fmt.Errorf("no process has the %d blocks of the larger checkpoint; %s has others: %w", to.Size, p.name,
			ErrTwoHistories)
	}
	return nil, cmp.Or(last, errNoCheckpoint)
}
