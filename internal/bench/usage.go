package bench

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"ltl/internal/localnet"
)

// clockTick is the unit of CPU times in /proc; the kernel's ABI fixes it at 100 a second.
const clockTick = time.Second / 100

// sectorBytes is the unit in which stat counts the space that a file occupies.
const sectorBytes = 512

// loadName names the process of the load itself among those that are measured.
const loadName = "bench"

// processes lists the network's processes by name.
func processes(n *localnet.Network) []Process {
	var all []Process
	for _, p := range n.Nodes {
		all = append(all, Process{Name: p.ID, PID: p.PID})
	}
	for _, p := range n.Endorsers {
		all = append(all, Process{Name: "endorser-" + p.Organisation, PID: p.PID})
	}
	for i, p := range n.Facades {
		all = append(all, Process{Name: "facade" + strconv.Itoa(i+1), PID: p.PID})
	}
	return all
}

// cpuTimes reads the CPU time used so far by each process of the network, and by this one ("bench"). It leaves out
// processes that it cannot read.
func cpuTimes(n *localnet.Network) map[string]time.Duration {
	out := map[string]time.Duration{}
	for _, p := range append(processes(n), Process{Name: loadName, PID: os.Getpid()}) {
		raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", p.PID))
		if err != nil {
			continue
		}
		_, rest, found := bytes.Cut(raw, []byte(") ")) // the name in parentheses may hold spaces
		fields := strings.Fields(string(rest))
		if !found || len(fields) < 13 {
			continue
		}
		user, userErr := strconv.ParseInt(fields[11], 10, 64)
		system, systemErr := strconv.ParseInt(fields[12], 10, 64)
		if userErr == nil && systemErr == nil {
			out[p.Name] = time.Duration(user+system) * clockTick
		}
	}
	return out
}

// memory reads the resident memory of each process of the network. It leaves out processes that have ended.
func memory(n *localnet.Network) []Process {
	var out []Process
	for _, p := range processes(n) {
		raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.PID))
		if err != nil {
			continue
		}
		p.RSSBytes, p.PeakRSSBytes = statusKB(raw, "VmRSS:"), statusKB(raw, "VmHWM:")
		out = append(out, p)
	}
	return out
}

// statusKB finds a field of /proc/PID/status that counts in kB.
func statusKB(status []byte, field string) int64 {
	for line := range strings.Lines(string(status)) {
		parts := strings.Fields(line)
		if len(parts) >= 2 && parts[0] == field {
			if kb, err := strconv.ParseInt(parts[1], 10, 64); err == nil {
				return kb << 10
			}
		}
	}
	return 0
}

// occupied is the mean size of the nodes' directories.
type occupied struct{ all, ledger int64 }

// disk measures the nodes' directories.
func disk(dir string, n *localnet.Network) (occupied, error) {
	var sum occupied
	for _, node := range n.Nodes {
		path := localnet.Path(dir, node.Dir)
		all, err := sizeOf(path)
		if err != nil {
			return sum, err
		}
		ledger, err := sizeOf(filepath.Join(path, "ledger"))
		if err != nil {
			return sum, err
		}
		sum.all += all
		sum.ledger += ledger
	}
	count := int64(max(1, len(n.Nodes)))
	return occupied{all: sum.all / count, ledger: sum.ledger / count}, nil
}

// sizeOf sums what the files below a directory occupy on disk. Files may appear and disappear during the walk.
func sizeOf(dir string) (int64, error) {
	var sum int64
	err := filepath.WalkDir(dir, func(_ string, d fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil || d.IsDir() {
			return err
		}
		info, err := d.Info()
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil {
			return err
		}
		if st, ok := info.Sys().(*syscall.Stat_t); ok {
			sum += st.Blocks * sectorBytes
		}
		return nil
	})
	if err != nil {
		return 0, fmt.Errorf("couldn't measure %s: %w", dir, err)
	}
	return sum, nil
}
