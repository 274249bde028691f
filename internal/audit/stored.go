package audit

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"

	"ltl/internal/identity"
	"ltl/internal/store"
	"ltl/internal/verify"
)

const (
	// databaseFile is the file by which a store is recognised; ledgerDir is its directory in the data directory of a
	// process.
	databaseFile = "ledger.db"
	ledgerDir    = "ledger"
)

// ErrNoStore is returned, wrapped, when a directory holds no ledger.
var ErrNoStore = errors.New("there is no ledger in it")

// Stored audits the ledger of a stopped process, or a backup of it: dir is the process's data directory or the
// ledger's own. The directory is opened as the process would open it, under the same lock, so the directory of a
// running process is refused. The copy is compared with others, whose status is read now.
func Stored(ctx context.Context, dir string, trust *identity.Trust, others ...Other) (*Report, error) {
	return stored(ctx, dir, trust, nil, others...)
}

// stored is Stored that also reads a head of the ledger; nil for none.
func stored(ctx context.Context, dir string, trust *identity.Trust, head *headReader, others ...Other) (_ *Report,
	err error) {
	path, err := FindStore(dir)
	if err != nil {
		return nil, err
	}
	silent := slog.New(slog.NewTextHandler(io.Discard, nil))
	s, err := store.Open(path, store.Options{Logger: silent, Fatal: func(error) {}})
	if err != nil {
		return nil, wrong(path, err)
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	answers := Ask(ctx, others)
	if err := s.Verify(ctx, nil); err != nil {
		return nil, wrong(path, err)
	}
	a, err := newAuditor(trust)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, a.close()) }()
	a.head = head
	if err := a.takeAll(ctx, s, path); err != nil {
		return nil, err
	}
	if err := a.compareState(s); err != nil {
		return nil, err
	}
	compared, err := Compare(ctx, a.store, answers)
	if err != nil {
		return nil, err
	}
	report := a.report(path)
	report.Compared = compared
	if report.Lacking, err = lacking(a.store); err != nil {
		return nil, fmt.Errorf("couldn't count missing values: %w", err)
	}
	return report, nil
}

// lacking counts the blocks that lack openings, by a copy that got those of the audited directory and checked them.
func lacking(s *store.Store) (n int, err error) {
	const page = 1000
	for _, t := range s.Tips() {
		for from := uint64(0); ; {
			heights, err := s.ListLacking(t.ChainID, from, page)
			if err != nil {
				return 0, err
			}
			if n += len(heights); len(heights) < page {
				break
			}
			from = heights[page-1] + 1
		}
	}
	return n, nil
}

// takeAll executes all blocks of a store, whose path is for messages.
func (a *auditor) takeAll(ctx context.Context, s *store.Store, path string) error {
	for sequence := range s.Sequence() {
		if err := ctx.Err(); err != nil {
			return err
		}
		block, err := s.BlockAt(sequence)
		if err == nil {
			err = s.AddOpenings(block)
		}
		if err != nil {
			return errors.Join(a.flush(), wrong(path, err))
		}
		if err := a.take(block); err != nil {
			return err
		}
	}
	if err := a.flush(); err != nil {
		return err
	}
	if a.head.isAt(0) {
		return a.head.read(a.store)
	}
	return nil
}

// FindStore returns the directory of the ledger in dir, which is that of a process, of a backup, or the ledger's own.
// For a wrong path it returns ErrNoStore (wrapped), so that no new, empty store is made there.
func FindStore(dir string) (string, error) {
	for _, path := range []string{dir, filepath.Join(dir, ledgerDir)} {
		_, err := os.Stat(filepath.Join(path, databaseFile))
		if err == nil {
			return path, nil
		}
		if !errors.Is(err, fs.ErrNotExist) {
			return "", fmt.Errorf("couldn't look for a ledger: %w", err)
		}
	}
	return "", fmt.Errorf("%s: %w", dir, ErrNoStore)
}

// wrong wraps the error of a store that could not be read to its end. Damage makes the ledger wrong; other errors do
// not.
func wrong(path string, err error) error {
	if errors.Is(err, store.ErrCorrupt) || errors.Is(err, verify.ErrBadBlock) || errors.Is(err, store.ErrFailed) {
		return fmt.Errorf("%w: %w", ErrWrong, err)
	}
	return fmt.Errorf("couldn't read the ledger in %s: %w", path, err)
}

// compareState compares the ordinary state of the copy with the state that its blocks make. Entries of the index point
// into the blocks, and Verify has followed them.
func (a *auditor) compareState(copied *store.Store) error {
	for _, tip := range a.store.Tips() {
		for class := byte('a'); class <= 'z'; class++ {
			if err := a.compareClass(copied, tip.ChainID, []byte{class}); err != nil {
				return err
			}
		}
	}
	return nil
}

// compareClass compares the values of one chain whose keys begin with prefix, and their number.
func (a *auditor) compareClass(copied *store.Store, chainID string, prefix []byte) error {
	missing := 0
	err := a.store.Scan(chainID, prefix, func([]byte, []byte) error { missing++; return nil })
	if err != nil {
		return fmt.Errorf("couldn't read the state again: %w", err)
	}
	err = copied.Scan(chainID, prefix, func(key, value []byte) error {
		missing--
		want, err := a.store.Get(chainID, key)
		if err != nil {
			return fmt.Errorf("couldn't read the state again: %w", err)
		}
		if !bytes.Equal(value, want) {
			return fmt.Errorf("%w: state %q of chain %s is not what the blocks make of it", ErrWrong, key, chainID)
		}
		return nil
	})
	if err != nil {
		return err
	}
	if missing != 0 {
		return fmt.Errorf("%w: the state of chain %s lacks %d entries that the blocks make", ErrWrong, chainID, missing)
	}
	return nil
}
