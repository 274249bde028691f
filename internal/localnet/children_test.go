package localnet

import (
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
	c := newChildren("/bin/sh", t.TempDir(), restart, 1, slog.New(slog.NewTextHandler(io.Discard, nil)),
		func() { changes.Add(1) })
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
		if _, err := c.run(shell(name, script)); err != nil {
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
	one, err := c.run(shell("one", "exec sleep 100"))
	if err != nil {
		t.Fatal(err)
	}
	pid := c.pid("one")
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	<-one.done
	if alive(pid) || c.pid("one") != pid || changes.Load() != 0 {
		t.Errorf("after the kill: alive %v, pid %d (was %d), %d changes", alive(pid), c.pid("one"), pid, changes.Load())
	}
}

func TestKilledChildIsStartedAgain(t *testing.T) {
	defer goleak.VerifyNone(t)
	c, changes := newTestChildren(t, true)
	if _, err := c.run(shell("one", "exec sleep 100")); err != nil {
		t.Fatal(err)
	}
	for i := range int32(3) {
		pid := c.pid("one")
		if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
		await(t, "another process", func() bool { return changes.Load() == i+1 })
		if c.pid("one") == pid {
			t.Error("network.json still has the old process id")
		}
	}
	pid := c.pid("one")
	c.stop()
	if alive(pid) {
		t.Error("the restarted process outlived stop")
	}
}

// TestStopDuringRestarts: a child that ends at once is restarted repeatedly; stop ends that too.
func TestStopDuringRestarts(t *testing.T) {
	defer goleak.VerifyNone(t)
	c, changes := newTestChildren(t, true)
	for _, name := range []string{"a", "b", "c"} {
		if _, err := c.run(shell(name, "exit 1")); err != nil {
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

// TestStopOfFrozenChildren: a frozen child is thawed and stops in order; those that ignore the signal cost the
// bound once, all together, and the others get their signal long before.
func TestStopOfFrozenChildren(t *testing.T) {
	defer goleak.VerifyNone(t)
	c, _ := newTestChildren(t, false)
	c.order, c.grace = 50*time.Millisecond, 500*time.Millisecond
	told := filepath.Join(t.TempDir(), "told")
	for name, script := range map[string]string{
		"deaf-1": "trap '' TERM; echo up; while :; do sleep 0.01; done", "deaf-2": "trap '' TERM; echo up; while :; do " +
			"sleep 0.01; done",
		"deaf-3": "trap '' TERM; echo up; while :; do sleep 0.01; done",
		"frozen": "trap 'echo thawed >>" + told + "; exit 0' TERM; echo up; while :; do sleep 0.01; done",
	} {
		if _, err := c.run(shell(name, script)); err != nil {
			t.Fatal(err)
		}
		await(t, name+" traps the signal", func() bool { return strings.Contains(tail(c.logPath(name)), "up") })
	}
	if err := syscall.Kill(c.pid("frozen"), syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	c.stop()
	if took := time.Since(began); took > 2*c.grace {
		t.Errorf("stopping took %v, the bound for all is %v", took, c.grace)
	}
	for _, name := range []string{"deaf-1", "deaf-2", "deaf-3", "frozen"} {
		if alive(c.pid(name)) {
			t.Errorf("%s runs after stop", name)
		}
	}
	if raw, err := os.ReadFile(told); err != nil || string(raw) != "thawed\n" {
		t.Errorf("the frozen child did not stop by itself: %q, %v", raw, err)
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
