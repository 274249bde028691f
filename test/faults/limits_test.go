package faults

import (
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"
)

// TestLimits takes descriptors and memory away from one node. The others go on, and it comes back when it has them
// again.
func TestLimits(t *testing.T) {
	need(t)
	w := newWorld(t)
	w.startAll()
	for name, f := range map[string]func(*world) outcome{"Descriptors": descriptorsOut, "Memory": memoryOut} {
		t.Run(name, func(t *testing.T) {
			outer := w.t
			w.t = t
			defer func() { w.t = outer }()
			w.journal.acks.Store(0)
			stop := w.write()
			defer stop()
			w.awaitAcks(30)
			o := f(w)
			w.awaitAcks(30)
			stop()
			w.check(o)
		})
	}
	w.audit()
}

// descriptorsOut lets a node have 64 descriptors, opens more connections that say nothing, and then takes away those that
// it has left: it gets no new one until the limit is as before.
func descriptorsOut(w *world) outcome {
	o := outcome{fault: "descriptors out (64), one node", runs: 1}
	name := w.follower()
	w.kill(name)
	w.start(name, "prlimit", "--nofile=64:64")
	w.awaitReady(name)
	w.journal.resetGap()
	var conns []net.Conn
	for range 200 {
		if c, err := net.DialTimeout("tcp", w.processes[name].listen, time.Second); err == nil {
			conns = append(conns, c)
		}
	}
	w.awaitAcks(30)
	if !w.ready(name) {
		w.t.Errorf("%s is not ready beside connections that say nothing", name)
	}
	pid := strconv.Itoa(w.processes[name].cmd.Process.Pid)
	w.run("prlimit", "--pid", pid, "--nofile=8:64") // fewer than it has
	w.awaitAcks(100)
	if !w.running(name) {
		w.t.Errorf("%s ends without descriptors", name)
	}
	w.run("prlimit", "--pid", pid, "--nofile=64:64")
	for _, c := range conns {
		_ = c.Close()
	}
	o.recoveries = append(o.recoveries, w.awaitReady(name))
	o.gaps = append(o.gaps, w.journal.longestGap())
	return o
}

// memoryOut gives a node less memory than it needs: the kernel kills it.
func memoryOut(w *world) outcome {
	o := outcome{fault: "memory out (OOM kill), one node", runs: 1}
	name := w.follower()
	w.journal.resetGap()
	limit, procs, remove := memoryGroup(w)
	defer remove()
	if err := os.WriteFile(limit, []byte("12582912"), 0o600); err != nil {
		w.t.Fatal(err)
	}
	w.kill(name)
	w.start(name, "sh", "-c", "echo $$ > "+procs+" && exec \"$@\"", "sh")
	w.awaitEnd(name)
	w.awaitAcks(30)
	o.gaps = append(o.gaps, w.journal.longestGap())
	w.start(name)
	o.recoveries = append(o.recoveries, w.awaitReady(name))
	return o
}

// memoryGroup makes a control group, of either version.
func memoryGroup(w *world) (limit, procs string, remove func()) {
	w.t.Helper()
	for _, v := range []struct{ root, limit string }{{"/sys/fs/cgroup/memory", "memory.limit_in_bytes"},
		{"/sys/fs/cgroup", "memory.max"}} {
		dir := filepath.Join(v.root, fmt.Sprintf("ltl-faults-%d", os.Getpid()))
		if err := os.Mkdir(dir, 0o700); err != nil {
			continue
		}
		remove := func() {
			if err := os.Remove(dir); err != nil {
				w.t.Error(err)
			}
		}
		if _, err := os.Stat(filepath.Join(dir, v.limit)); err == nil {
			return filepath.Join(dir, v.limit), filepath.Join(dir, "cgroup.procs"), remove
		} else if !os.IsNotExist(err) {
			w.t.Fatal(err)
		}
		remove()
	}
	w.t.Skip("no control group for memory can be made here: ", fs.ErrPermission)
	return "", "", nil
}
