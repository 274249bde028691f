package store

import (
	"fmt"
	"syscall"

	"go.etcd.io/bbolt"
)

// relieveEvery is the number of blocks' bytes after which the pages of the database that lookups left in memory are given back.
const relieveEvery = 4 << 20

// relieve gives back the memory of the mappings of database and index. bbolt maps the whole file and every lookup leaves its
// neighbourhood resident; over a long run all of the ledger would count as this process's memory, though hardly any of it is read
// again. The pages stay in the system's cache, so that the next look at one costs a minor fault and no disk.
//
// The read transaction keeps bbolt from mapping the file anew meanwhile. The mappings are shared and never written through, so
// nothing can be lost; a kernel that refuses changes nothing but the figure.
func (s *Store) relieve() {
	if v, err := s.index.acquire(); err == nil {
		for _, r := range v.runs {
			_ = syscall.Madvise(r.data, syscall.MADV_DONTNEED) // a kernel that refuses changes nothing but the figure
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
		s.log.Debug("memory of the database's mapping is not given back", "error", err)
	}
}
