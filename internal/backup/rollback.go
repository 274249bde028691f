package backup

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"google.golang.org/protobuf/proto"

	"ltl/internal/store"
	ltlv1 "ltl/proto/ltl/v1"
)

// rejectedReason is in the manifest while blocks are being removed.
const rejectedReason = "a source was wrong"

// rollBack removes all blocks beyond the last complete run. A store cannot remove blocks, so the blocks to keep are
// executed once more, into a new ledger that replaces the old one. The manifest records the rollback, so that the next
// run finishes it after a crash. What a crash leaves, and how the next run goes on:
//
//	ledger.new is being filled        → it is filled again
//	ledger was renamed to ledger.old  → ledger.new is renamed to ledger
//	ledger.new was renamed to ledger  → ledger.old is removed
func (r *run) rollBack() error {
	r.manifest.Rejected = rejectedReason
	if last, err := loadManifest(r.cfg.Dir); err == nil {
		last.Rejected, r.manifest = rejectedReason, last // without the changes of this run
	}
	if err := r.manifest.save(r.cfg.Dir); err != nil {
		return err
	}
	if err := r.replaceLedger(filepath.Join(r.cfg.Dir, ledgerName)); err != nil {
		return fmt.Errorf("couldn't remove the rejected blocks; the next run tries again: %w", err)
	}
	r.manifest.Rejected = ""
	return r.manifest.save(r.cfg.Dir)
}

// replaceLedger does the steps of a rollback that are not done yet.
func (r *run) replaceLedger(ledger string) error {
	fresh, old := ledger+unfinished, ledger+".old"
	interrupted, err := exists(old)
	if err != nil {
		return err
	}
	if !interrupted {
		if r.manifest.Blocks > 0 {
			if done, err := r.rebuild(ledger, fresh); done || err != nil {
				return err
			}
		}
		if err := rename(ledger, old); err != nil {
			return err
		}
	}
	replaced, err := exists(ledger)
	if err == nil && !replaced {
		err = rename(fresh, ledger)
	}
	if err != nil {
		return err
	}
	return errors.Join(os.RemoveAll(old), syncDir(r.cfg.Dir))
}

// rebuild fills a new ledger with the blocks to keep; done means that the old one holds no other blocks.
func (r *run) rebuild(ledger, fresh string) (done bool, err error) {
	if err := os.RemoveAll(fresh); err != nil {
		return false, err
	}
	from, err := openStore(ledger)
	if err != nil {
		return false, err
	}
	defer func() { err = errors.Join(err, from.Close()) }()
	if from.Sequence() == r.manifest.Blocks {
		return true, nil
	}
	to, err := openStore(fresh)
	if err != nil {
		return false, err
	}
	defer func() { err = errors.Join(err, to.Close()) }()
	if err := to.Init(r.cfg.Trust.GenesisPayload()); err != nil {
		return false, err
	}
	return false, errors.Join(copyBlocks(from, to, r.manifest.Blocks), copyAccessKeys(from, to))
}

// copyBlocks appends the blocks up to a sequence number.
func copyBlocks(from, to *store.Store, until uint64) error {
	var group []*ltlv1.Block
	size := 0
	for next := to.Sequence(); next < until; next++ {
		b, err := from.BlockAt(next)
		if err == nil {
			err = from.AddOpenings(b)
		}
		if err != nil {
			return err
		}
		group = append(group, b)
		if size += proto.Size(b); len(group) < groupBlocks && size < groupBytes {
			continue
		}
		if err := to.Append(group); err != nil {
			return err
		}
		group, size = group[:0], 0
	}
	return to.Append(group)
}

func copyAccessKeys(from, to *store.Store) error {
	var all []*ltlv1.SealedKey
	for after := uint64(0); ; {
		keys, newest, err := from.AccessKeys(after, groupBlocks)
		if err != nil {
			return err
		}
		all = append(all, keys...)
		if len(keys) == 0 || keys[len(keys)-1].GetVersion() >= newest {
			return to.RestoreAccessKeys(all)
		}
		after = keys[len(keys)-1].GetVersion()
	}
}

// rename renames a directory, durably; it may be absent.
func rename(from, to string) error {
	if err := os.Rename(from, to); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return syncDir(filepath.Dir(from))
}

func exists(path string) (bool, error) {
	_, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return err == nil, err
}
