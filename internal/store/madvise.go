package store

import (
	"fmt"
	"syscall"

	"go.etcd.io/bbolt"
)

// dropCacheEvery is how many bytes of blocks are written between two calls of dropPageCache.
const dropCacheEvery = 4 << 20

// dropPageCache unloads the mapped pages of database and index from this process. bbolt maps the whole file, and every
// lookup leaves pages resident; over a long run all of the ledger would count as this process's memory, though hardly
// any of it is read again. The pages stay in the system's page cache, so the next read of one costs a minor fault and
// no disk.
//
// The read transaction keeps bbolt from replacing the mapping meanwhile. The mappings are shared and never written
// through, so nothing can be lost. Where the kernel refuses, only the memory figure changes.
func (s *Store) dropPageCache() {
	if v, err := s.index.acquire(); err == nil {
		for _, r := range v.runs {
			_ = syscall.Madvise(r.data, syscall.MADV_DONTNEED) // advice only
		}
		v.release()
	}
	err := s.db.View(func(tx *bbolt.Tx) error {
		info := tx.DB().Info()
		size := uintptr(tx.Size()) // never more than is mapped
		if info.Data == 0 || size == 0 {
			return nil
		}
		if _, _, errno := syscall.Syscall(syscall.SYS_MADVISE, info.Data, size, syscall.MADV_DONTNEED); errno != 0 {
			return fmt.Errorf("madvise: %w", errno)
		}
		return nil
	})
	if err != nil {
		s.log.Debug("the database's mapped pages cannot be unloaded", "error", err)
	}
}
