package localnet

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"
)

// newTestChildren runs /bin/sh in place of ltl.
func newTestChildren(t *testing.T, restart bool) (*children, *atomic.Int32) {
	t.Helper()
	var changes atomic.Int32
	c := newChildren("/bin/sh", t.TempDir(), restart, 1, slog.New(slog.NewTextHandler(io.Discard, nil)), func() { changes.Add(1) })
	return c, &changes
}

func shell(name, script string) program { return program{name: name, args: []string{"-c", script}} }

// await waits for a condition.
func await(t *testing.T, what string, f func() bool) {
	t.Helper()
	deadline := time.Now().Add(20 * time.Second)
	for !f() {
		if time.Now().After(deadline) {
			t.Fatalf("waited in vain: %s", what)
		}
		time.Sleep(5 * time.Millisecond)
	}
}

func alive(pid int) bool { return syscall.Kill(pid, 0) == nil }

func TestStopEndsAllInReverseOrder(t *testing.T) {
	defer goleak.VerifyNone(t)
	c, _ := newTestChildren(t, false)
	order := filepath.Join(t.TempDir(), "order")
	for _, name := range []string{"first", "second", "third"} {
		script := "trap 'echo " + name + " >>" + order + "; exit 0' TERM; echo up; while :; do sleep 0.01; done"
		if err := c.run(shell(name, script)); err != nil {
			t.Fatal(err)
		}
		await(t, name+" traps the signal", func() bool { return strings.Contains(tail(c.logPath(name)), "up") })
	}
	pids := []int{c.pid("first"), c.pid("second"), c.pid("third")}
	c.stop()
	for _, pid := range pids {
		if alive(pid) {
			t.Errorf("process %d is there after stop", pid)
		}
	}
	raw, err := os.ReadFile(order)
	if err != nil || string(raw) != "third\nsecond\nfirst\n" {
		t.Errorf("stopped in the order %q, %v", raw, err)
	}
}

func TestKilledChildStaysDown(t *testing.T) {
	defer goleak.VerifyNone(t)
	c, changes := newTestChildren(t, false)
	defer c.stop()
	if err := c.run(shell("one", "exec sleep 100")); err != nil {
		t.Fatal(err)
	}
	pid := c.pid("one")
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	if name := <-c.ended; name != "one" {
		t.Errorf("%q ended, want one", name)
	}
	if alive(pid) || c.pid("one") != pid || changes.Load() != 0 {
		t.Errorf("after the kill: alive %v, pid %d (was %d), %d changes", alive(pid), c.pid("one"), pid, changes.Load())
	}
}

func TestKilledChildIsStartedAgain(t *testing.T) {
	defer goleak.VerifyNone(t)
	c, changes := newTestChildren(t, true)
	if err := c.run(shell("one", "exec sleep 100")); err != nil {
		t.Fatal(err)
	}
	for i := range int32(3) {
		pid := c.pid("one")
		if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
		await(t, "another process", func() bool { return changes.Load() == i+1 })
		if c.pid("one") == pid {
			t.Error("the old process id is still told")
		}
	}
	pid := c.pid("one")
	c.stop()
	if alive(pid) {
		t.Error("the restarted process outlived stop")
	}
}

// TestStopDuringRestarts: a child that cannot live is started again and again; stop ends that too.
func TestStopDuringRestarts(t *testing.T) {
	defer goleak.VerifyNone(t)
	c, changes := newTestChildren(t, true)
	for _, name := range []string{"a", "b", "c"} {
		if err := c.run(shell(name, "exit 1")); err != nil {
			t.Fatal(err)
		}
	}
	await(t, "some restarts", func() bool { return changes.Load() > 3 })
	c.stop()
	for _, name := range []string{"a", "b", "c"} {
		if alive(c.pid(name)) {
			t.Errorf("%s runs after stop", name)
		}
	}
}

func TestWaitReadyTellsWhyAChildEnded(t *testing.T) {
	defer goleak.VerifyNone(t)
	c, _ := newTestChildren(t, false)
	defer c.stop()
	p := shell("one", "echo the disk is on fire >&2; exit 3")
	if err := c.run(p); err != nil {
		t.Fatal(err)
	}
	err := c.waitReady(t.Context(), p, func(context.Context, string) error { return errors.New("not yet") })
	if err == nil || !strings.Contains(err.Error(), "the disk is on fire") {
		t.Errorf("waiting for a child that ended gives %v", err)
	}
}

func TestShare(t *testing.T) {
	for _, c := range []struct{ processors, processes, want int }{{2, 7, 1}, {1, 7, 1}, {8, 7, 2}, {64, 7, 18}, {4, 2, 4}} {
		if got := shareOf(c.processors, c.processes); got != c.want {
			t.Errorf("%d processors, %d processes: %d, want %d", c.processors, c.processes, got, c.want)
		}
	}
	if env := environment([]string{"A=b"}, 3); !slices.Contains(env, "GOMAXPROCS=3") {
		t.Errorf("a child gets %v", env)
	}
	if env := environment([]string{"GOMAXPROCS=9"}, 3); !slices.Equal(env, []string{"GOMAXPROCS=9"}) {
		t.Errorf("what the operator set is changed to %v", env)
	}
}
