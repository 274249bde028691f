package chaos

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// Where the kernel has its control groups: all controllers in one tree (version 2), or one tree a controller (version
// 1).
const (
	cgroupRoot   = "/sys/fs/cgroup"
	cgroupMemory = cgroupRoot + "/memory"
)

// memoryGroup is a control group of one process, which may take so much memory and no more: what it took before is not
// counted. Who asks for more is killed by the kernel.
type memoryGroup struct {
	pid       int
	dir, home string // the group, and the one that the process came from
}

// newMemoryGroup moves a process into a group of its own.
func newMemoryGroup(name string, pid, megabytes int) (_ *memoryGroup, err error) {
	tree, limit, entry := cgroupMemory, "memory.limit_in_bytes", ":memory:"
	if _, err := os.Stat(filepath.Join(cgroupRoot, "cgroup.controllers")); err == nil {
		tree, limit, entry = cgroupRoot, "memory.max", "0::"
		if err := os.WriteFile(filepath.Join(tree, "cgroup.subtree_control"), []byte("+memory"), 0); err != nil {
			return nil, fmt.Errorf("couldn't have memory limited: %w", err)
		}
	}
	raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/cgroup", pid))
	if err != nil {
		return nil, fmt.Errorf("couldn't read the control group of %s: %w", name, err)
	}
	g := &memoryGroup{pid: pid, dir: filepath.Join(tree, name)}
	for line := range bytes.Lines(raw) {
		if _, path, found := strings.Cut(string(bytes.TrimSpace(line)), entry); found {
			g.home = filepath.Join(tree, path)
		}
	}
	if g.home == "" {
		return nil, fmt.Errorf("%s has no control group for memory in %q", name, raw)
	}
	if err := os.Mkdir(g.dir, 0o755); err != nil {
		return nil, fmt.Errorf("couldn't make a control group: %w", err)
	}
	err = os.WriteFile(filepath.Join(g.dir, limit), []byte(strconv.Itoa(megabytes<<20)), 0)
	if err == nil {
		err = g.move(g.dir)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("couldn't limit the memory of %s: %w", name, err), g.close())
	}
	return g, nil
}

func (g *memoryGroup) move(to string) error {
	err := os.WriteFile(filepath.Join(to, "cgroup.procs"), []byte(strconv.Itoa(g.pid)), 0)
	if errors.Is(err, syscall.ESRCH) {
		return nil // it has ended
	}
	return err
}

// close gives the process back to where it was, if it still runs, and removes the group.
func (g *memoryGroup) close() error {
	return errors.Join(g.move(g.home), os.Remove(g.dir))
}
