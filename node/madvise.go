package node

import (
	"bufio"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// dropPageCacheEvery is the number of stored bytes after which the memory of the log's mapping is given back.
const dropPageCacheEvery = 4 << 20

// relief gives back the memory of the Raft log's mapping, as the ledger's store does with its own: pages that bbolt has touched
// would otherwise count as this process's memory for ever. raft-boltdb does not show its database, so the mapping is looked up
// once, right after the file was opened. bbolt maps a file anew only when it outgrows the initial size; long before that relief ends, since
// the address would no longer be the log's.
type fileMapping struct {
	path          string
	start, length uintptr
	limit         int64 // of the file's size
}

// findMapping returns nil where the mapping cannot be found; nothing but a figure depends on it.
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
	defer f.Close() // only read from
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
			return nil // not what was asked for at open: perhaps one of several
		}
		return &fileMapping{path: path, start: uintptr(start), length: uintptr(end - start), limit: int64(mapped) / 2}
	}
	return nil
}

// give gives the memory back. The caller holds the lock that Close takes.
func (r *fileMapping) dropPageCache() {
	if r == nil {
		return
	}
	st, err := os.Stat(r.path)
	if err != nil || st.Size() >= r.limit {
		return
	}
	_, _, _ = syscall.Syscall(syscall.SYS_MADVISE, r.start, r.length, syscall.MADV_DONTNEED) // a refusal changes nothing but the figure
}
