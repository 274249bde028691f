package faults

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	ltlv1 "ltl/proto/ltl/v1"
	"ltl/test/testkit/hostile"
)

// TestFloods: callers that take what they can, from a node and an endorser under limits like those of deploy. Both go
// on, within the limits, and records are written meanwhile.
func TestFloods(t *testing.T) {
	need(t)
	w := newWorld(t)
	w.startAll()
	victims := []string{w.follower(), w.endorsers[0]}
	for _, name := range victims {
		w.kill(name)
		w.start(name, "env", "GOMEMLIMIT=400MiB", "prlimit", "--nofile=256:256")
		w.awaitReady(name)
	}
	stop := w.write()
	defer stop()
	w.awaitAcks(30)
	for name, flood := range map[string]func(*world, string){"silent connections": silent, "methods of others": foreign,
		"unfinished messages": unfinished, "small frames": smallFrames} {
		t.Run(name, func(t *testing.T) {
			outer := w.t
			w.t = t
			defer func() { w.t = outer }()
			for _, name := range victims {
				flood(w, name)
				if !w.running(name) || !w.ready(name) {
					t.Errorf("%s has ended or is not ready", name)
				}
				if st := w.status(name); st == nil {
					t.Errorf("%s does not answer", name)
				}
				if got := w.peakMemory(name); got > 300<<20 {
					t.Errorf("%s has taken %d MiB", name, got>>20)
				}
			}
			w.awaitAcks(30)
		})
	}
	stop()
}

// peakMemory is the most memory that a process has had, in bytes.
func (w *world) peakMemory(name string) int64 {
	w.t.Helper()
	raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", w.processes[name].cmd.Process.Pid))
	if err != nil {
		w.t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(raw), "VmHWM:")
	n, err := strconv.ParseInt(strings.Fields(rest)[0], 10, 64)
	if err != nil {
		w.t.Fatal(err)
	}
	return n << 10
}

// silent opens more connections than the process may have descriptors, and says nothing on them.
func silent(w *world, name string) {
	for range 500 {
		if c, err := net.DialTimeout("tcp", w.processes[name].listen, time.Second); err == nil {
			w.t.Cleanup(func() { _ = c.Close() })
		}
	}
	w.awaitAcks(30)
	open, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", w.processes[name].cmd.Process.Pid))
	if err != nil || len(open) > 256-32 {
		w.t.Errorf("%d of 256 descriptors are taken, %v; some are for files", len(open), err)
	}
}

// pour opens connections with the bench client's certificate and sends unfinished messages of a method on each, until
// each is closed or has sent 24 MiB.
func pour(w *world, name, method string, length uint32, frame int) {
	for range 8 {
		c, err := hostile.New(w.processes[name].listen, filepath.Join(w.dir, "pki", "clients", "bench"))
		if err != nil {
			continue // refused
		}
		w.t.Cleanup(func() { _ = c.Close() })
		for sent := 0; sent < 24<<20 && err == nil; sent += 60 << 10 {
			var id uint32
			if id, err = c.Begin(method, length); err == nil {
				err = c.Send(id, 60<<10, frame)
			}
			if frame == 1 && sent > 256<<10 {
				break // it costs the attacker most
			}
		}
	}
}

// foreign sends messages to a method that the role may not call.
func foreign(w *world, name string) {
	pour(w, name, ltlv1.RaftTransport_AppendEntries_FullMethodName, 15<<20, 16<<10)
	pour(w, name, ltlv1.Endorser_PutDeviceKey_FullMethodName, 15<<20, 16<<10)
}

// unfinished sends messages to a method that the role may call.
func unfinished(w *world, name string) {
	pour(w, name, ltlv1.Ledger_GetRecord_FullMethodName, 250<<10, 16<<10)
}

// smallFrames does the same in frames of one byte.
func smallFrames(w *world, name string) {
	pour(w, name, ltlv1.Ledger_GetRecord_FullMethodName, 250<<10, 1)
}
