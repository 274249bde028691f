package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"log"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/aliyun/alibaba-cloud-sdk-go/services/ltl"

	"ltl/internal/localnet"
)

// How long the tests wait for an event.
const (
	startTimeout = 2 * time.Minute
	waitTimeout  = 60 * time.Second
)

// The program under test, built once, and a network that read-mostly tests share.
var (
	binary string
	common *network
)

func TestMain(m *testing.M) {
	os.Exit(func() int {
		dir, err := os.MkdirTemp("", "ltl-test-")
		if err != nil {
			log.Print(err)
			return 1
		}
		defer os.RemoveAll(dir)
		binary = filepath.Join(dir, "ltl")
		build := exec.Command("go", "build", "-buildvcs=false", "-o", binary, ".")
		build.Env = append(os.Environ(), "CGO_ENABLED=0")
		if out, err := build.CombinedOutput(); err != nil {
			log.Printf("go build: %v\n%s", err, out)
			return 1
		}
		if common, err = up(filepath.Join(dir, "common")); err != nil {
			log.Print(err)
			return 1
		}
		code := m.Run()
		if err := common.stop(); err != nil {
			log.Print(err)
			return 1
		}
		return code
	}())
}

// network is a running `ltl up`.
type network struct {
	dir    string
	cmd    *exec.Cmd
	ended  chan error
	mu     sync.Mutex
	output bytes.Buffer // guarded by mu
}

// up starts a network in dir and waits until it says that it is ready.
func up(dir string, args ...string) (*network, error) { return upWith(binary, dir, args...) }

// upWith is up with another program than the one under test.
func upWith(program, dir string, args ...string) (*network, error) {
	n := &network{dir: dir, ended: make(chan error, 1)}
	n.cmd = exec.Command(program, append([]string{"up", "--dir", dir, "--http", "127.0.0.1:0"}, args...)...)
	n.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGTERM}
	stdout, err := n.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	n.cmd.Stderr = lockedWriter{n}
	if err := n.cmd.Start(); err != nil {
		return nil, err
	}
	ready := make(chan struct{})
	go func() {
		lines := bufio.NewScanner(stdout)
		for lines.Scan() {
			fmt.Fprintln(lockedWriter{n}, lines.Text())
			if lines.Text() == "ready" {
				close(ready)
			}
		}
		n.ended <- n.cmd.Wait()
	}()
	select {
	case <-ready:
		return n, nil
	case err := <-n.ended:
		return nil, fmt.Errorf("ltl up ended before it was ready: %w\n%s", err, n.said())
	case <-time.After(startTimeout):
		return nil, errors.Join(fmt.Errorf("ltl up was not ready in %s:\n%s", startTimeout, n.said()), n.stop())
	}
}

type lockedWriter struct{ n *network }

func (w lockedWriter) Write(p []byte) (int, error) {
	w.n.mu.Lock()
	defer w.n.mu.Unlock()
	return w.n.output.Write(p)
}

// said is everything that `ltl up` has printed.
func (n *network) said() string {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.output.String()
}

// stop sends SIGTERM and waits for the end.
func (n *network) stop() error {
	if err := n.cmd.Process.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	select {
	case err := <-n.ended:
		n.ended <- nil // stopping twice is no error
		if err != nil {
			return fmt.Errorf("ltl up: %w\n%s", err, n.said())
		}
		return nil
	case <-time.After(waitTimeout):
		return errors.Join(fmt.Errorf("ltl up did not stop in %s:\n%s", waitTimeout, n.said()), n.cmd.Process.Kill())
	}
}

// start starts a network that lives as long as the test.
func start(t *testing.T, dir string, args ...string) *network {
	t.Helper()
	return startWith(t, binary, dir, args...)
}

// startWith is start with another program than the one under test.
func startWith(t *testing.T, program, dir string, args ...string) *network {
	t.Helper()
	n, err := upWith(program, dir, args...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := n.stop(); err != nil {
			t.Error(err)
		}
		if t.Failed() {
			t.Logf("ltl up said:\n%s", n.said())
			logTails(t, dir)
		}
	})
	return n
}

func logTails(t *testing.T, dir string) {
	logs, err := filepath.Glob(filepath.Join(dir, "logs", "*.log"))
	if err != nil {
		t.Error(err)
	}
	for _, path := range logs {
		if raw, err := os.ReadFile(path); err == nil {
			t.Logf("%s:\n%s", path, raw[max(0, len(raw)-1500):])
		}
	}
}

func (n *network) file(t *testing.T) *localnet.Network {
	t.Helper()
	file, err := localnet.Load(n.dir)
	if err != nil {
		t.Fatal(err)
	}
	return file
}

// pids are the processes of a network by name.
func pids(f *localnet.Network) map[string]int {
	out := map[string]int{}
	for _, p := range f.Nodes {
		out[p.ID] = p.PID
	}
	for _, p := range f.Endorsers {
		out["endorser-"+p.Organisation] = p.PID
	}
	for _, p := range f.Facades {
		out["facade1"] = p.PID
	}
	return out
}

func alive(pid int) bool { return syscall.Kill(pid, 0) == nil }

// ltlCommand runs the program and returns what it printed.
func ltlCommand(t *testing.T, args ...string) (stdout, stderr string, err error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), startTimeout)
	defer cancel()
	var out, errs bytes.Buffer
	cmd := exec.CommandContext(ctx, binary, args...)
	cmd.Stdout, cmd.Stderr = &out, &errs
	err = cmd.Run()
	return out.String(), errs.String(), err
}

// mustLTL runs the program, which must succeed.
func mustLTL(t *testing.T, args ...string) string {
	t.Helper()
	out, errs, err := ltlCommand(t, args...)
	if err != nil {
		t.Fatalf("ltl %s: %v\n%s%s", strings.Join(args, " "), err, out, errs)
	}
	return out
}

// refusedLTL runs the program, which must fail with a sentence on standard error.
func refusedLTL(t *testing.T, args ...string) string {
	t.Helper()
	out, errs, err := ltlCommand(t, args...)
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.ExitCode() != 1 {
		t.Fatalf("ltl %s ends with %v, want exit status 1\n%s%s", strings.Join(args, " "), err, out, errs)
	}
	if !strings.HasPrefix(errs, "ltl: ") {
		t.Errorf("ltl %s says %q on standard error", strings.Join(args, " "), errs)
	}
	return errs
}

// await waits for a condition.
func await(t *testing.T, what string, f func() bool) {
	t.Helper()
	deadline := time.Now().Add(waitTimeout)
	for !f() {
		if time.Now().After(deadline) {
			t.Fatalf("waited %s in vain for %s", waitTimeout, what)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// sdkClient is the official client of an account; only its Domain is set.
func sdkClient(t *testing.T, f *localnet.Network, a localnet.Account) *ltl.Client {
	t.Helper()
	c, err := ltl.NewClientWithAccessKey(f.Region, a.AccessKeyID, a.AccessKeySecret)
	if err != nil {
		t.Fatal(err)
	}
	c.Domain = strings.TrimPrefix(f.Endpoint, "http://")
	transport := &http.Transport{}
	c.SetTransport(transport)
	t.Cleanup(func() { transport.CloseIdleConnections(); c.Shutdown() })
	return c
}

// account returns the account of a role, and chain the chain of a service.
func account(t *testing.T, f *localnet.Network, role string) localnet.Account {
	t.Helper()
	a, ok := f.Account(role)
	if !ok {
		t.Fatalf("no account has the role %s", role)
	}
	return a
}

func proofChain(t *testing.T, f *localnet.Network) localnet.Chain {
	t.Helper()
	c, ok := f.Chain(localnet.ServiceProof)
	if !ok {
		t.Fatal("there is no proof chain")
	}
	return c
}

func collaborationChain(t *testing.T) localnet.Chain {
	t.Helper()
	c, ok := common.file(t).Chain(localnet.ServiceCollaboration)
	if !ok {
		t.Fatal("there is no collaboration chain")
	}
	return c
}

// keyOf makes the Key with a number of an account.
func keyOf(c localnet.Chain, a localnet.Account, id string) string {
	return fmt.Sprintf("0001_%s_%s_%032s", c.BizChainCode, a.DataTypeCode, id)
}

// copyDir copies a directory tree.
func copyDir(t *testing.T, from, to string) {
	t.Helper()
	if err := os.CopyFS(to, os.DirFS(from)); err != nil {
		t.Fatal(err)
	}
}
