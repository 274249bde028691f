package chaos

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// The short run of `make test`.
const (
	shortSeed   = 20
	shortBudget = 4 * time.Minute
	dialBudget  = time.Second
)

// TestShortRun runs the real program under mixed faults for some time, and wants every check to hold.
func TestShortRun(t *testing.T) {
	if testing.Short() {
		t.Skip("the race detector sees nothing of other processes; the run without -short has them")
	}
	if err := CanIsolate(); err != nil {
		t.Skipf("no network of one's own can be made: %v", err)
	}
	dir := t.TempDir()
	binary := filepath.Join(dir, "ltl")
	build := exec.Command("go", "build", "-buildvcs=false", "-o", binary, "ltl/cmd/ltl")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	s, err := Open("short")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), shortBudget)
	defer cancel()
	in := NewProcesses(binary, filepath.Join(dir, "network"), s)
	results, err := Run(ctx, Options{
		Name: "short", Scenario: s, Seed: shortSeed, Out: filepath.Join(dir, "out"), Injector: in,
		Command: "make chaos SCENARIO=short", Logger: slog.New(slog.NewTextHandler(t.Output(), nil)),
	})
	if err != nil {
		t.Fatal(err)
	}
	Summary(t.Output(), results)
	if err := results.Wrong(); err != nil {
		t.Error(err)
	}
	if left := namespaces(t, in.subnet); len(left) > 0 {
		t.Errorf("these namespaces are left: %q", left)
	}
	raw, err := os.Open(filepath.Join(dir, "out", historyFile))
	if err != nil {
		t.Fatal(err)
	}
	defer raw.Close()
	if ops, err := ReadHistory(raw); err != nil || len(ops) != results.Calls {
		t.Errorf("the history has %d calls, the results %d: %v", len(ops), results.Calls, err)
	}
}

func namespaces(t *testing.T, s *subnet) []string {
	t.Helper()
	entries, err := os.ReadDir(netnsDir)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), s.prefix()+"-") {
			names = append(names, e.Name())
		}
	}
	return names
}

// TestSubnet: links work, are cut in the directions that are asked for and in no other, and can be restored; two runs
// do not meet; what a killed run has left is removed.
func TestSubnet(t *testing.T) {
	if err := CanIsolate(); err != nil {
		t.Skipf("no network of one's own can be made: %v", err)
	}
	ctx := t.Context()
	names := []string{"a", "b"}
	s, err := newSubnet(ctx, names)
	if err != nil {
		t.Fatal(err)
	}
	other, err := newSubnet(ctx, names)
	if err != nil {
		t.Fatal(err)
	}
	if other.id == s.id {
		t.Error("two runs have the same subnet")
	}
	if err := other.close(); err != nil {
		t.Error(err)
	}
	reaches := func(from, to string) bool {
		dial, cancel := context.WithTimeout(ctx, dialBudget)
		defer cancel()
		conn, err := s.dial(from)(dial, "tcp", s.address(to)+":1")
		if err == nil {
			conn.Close()
		}
		// No process listens there: a refused connection is an answer.
		return err == nil || !errors.Is(dial.Err(), context.DeadlineExceeded) && !isTimeout(err)
	}
	for _, c := range []struct {
		links []Link
		works bool
	}{
		{nil, true},
		{[]Link{{From: "a", To: "b", How: Block}}, false},
		{[]Link{{From: "b", To: "a", How: Block}}, false}, // the answer is lost
		{[]Link{{From: "a", To: "b", How: Reset}}, true},  // refused at once
		{nil, true},
		{[]Link{{From: "a", To: "b", How: Lose, Amount: 1}, {From: "a", To: "b", How: Limit, Amount: 1000}}, true},
	} {
		if err := s.apply(ctx, c.links); err != nil {
			t.Fatal(err)
		}
		got := reaches("a", "b")
		for tries := 1; c.works && !got && tries < 4; tries++ { // the link that loses may lose a connection's first packets
			got = reaches("a", "b")
		}
		if got != c.works {
			t.Errorf("with %v a reaches b: %t, want %t", c.links, got, c.works)
		}
	}
	// A run that is killed frees its lock and nothing else.
	if err := s.lock.Close(); err != nil {
		t.Fatal(err)
	}
	again, err := takeSubnet(ctx, s.id, names[:1])
	if err != nil || again == nil {
		t.Fatalf("subnet %d was not taken again: %v", s.id, err)
	}
	if left := namespaces(t, again); len(left) != 2 {
		t.Errorf("the run that was killed has left %q", left)
	}
	if err := again.close(); err != nil {
		t.Error(err)
	}
	if left := namespaces(t, s); len(left) > 0 {
		t.Errorf("these namespaces are left: %q", left)
	}
}

func isTimeout(err error) bool {
	var n net.Error
	return errors.As(err, &n) && n.Timeout()
}
