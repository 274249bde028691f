package node

import (
	"bufio"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// dropPageCacheEvery is the number of stored bytes after which the pages of the log's mapping are dropped.
const dropPageCacheEvery = 4 << 20

// fileMapping is the memory mapping of the Raft log's file. Pages that bbolt has read would count as this process's
// memory forever; dropPageCache gives them back, as the ledger's store does with its own. raft-boltdb does not expose
// its database, so the mapping is looked up once, right after the file was opened. bbolt remaps a file only when the
// file outgrows the initial size. Dropping ends at half of that size, because after a remap the address would no
// longer be the log's.
type fileMapping struct {
	path          string
	start, length uintptr
	limit         int64 // of the file's size in bytes
}

// findMapping returns nil when the mapping cannot be found; then the process uses more memory, and nothing else
// changes.
func findMapping(path string, mapped int) *fileMapping {
	path, err := filepath.Abs(path)
	if err != nil {
		return nil
	}
	if path, err = filepath.EvalSymlinks(path); err != nil {
		return nil
	}
	f, err := os.Open("/proc/self/maps")
	if err != nil {
		return nil
	}
	defer f.Close() // read only
	for lines := bufio.NewScanner(f); lines.Scan(); {
		// address range, permissions, offset, device, inode, path
		fields := strings.SplitN(lines.Text(), "/", 2)
		if len(fields) != 2 || "/"+fields[1] != path {
			continue
		}
		from, to, _ := strings.Cut(strings.Fields(fields[0])[0], "-")
		start, err1 := strconv.ParseUint(from, 16, 64)
		end, err2 := strconv.ParseUint(to, 16, 64)
		if err1 != nil || err2 != nil || end-start < uint64(mapped) {
			return nil // smaller than asked for at open: perhaps one of several mappings
		}
		return &fileMapping{path: path, start: uintptr(start), length: uintptr(end - start), limit: int64(mapped) / 2}
	}
	return nil
}

// dropPageCache lets the kernel take back the mapping's pages. The caller holds the lock that Close takes.
func (r *fileMapping) dropPageCache() {
	if r == nil {
		return
	}
	st, err := os.Stat(r.path)
	if err != nil || st.Size() >= r.limit {
		return
	}
	// an error means only that the memory is not given back
	_, _, _ = syscall.Syscall(syscall.SYS_MADVISE, r.start, r.length, syscall.MADV_DONTNEED)
}
