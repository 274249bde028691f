package faults

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"google.golang.org/grpc"

	"ltl/client"
	"ltl/internal/identity"
	"ltl/internal/localnet"
	ltlv1 "ltl/proto/ltl/v1"
	"ltl/test/testkit/quick"
)

// process is a node or an endorser of the network.
type process struct {
	name, role, identity, listen, admin string
	dir                                 string // its data
	log                                 string // what it says
	peer                                string // the name in its certificate

	cmd   *exec.Cmd
	ended chan struct{} // closed when the process has ended
}

// world is a network of processes that the test starts, kills and starves one by one.
type world struct {
	t         *testing.T
	dir       string
	file      *localnet.Network
	trust     *identity.Trust
	operator  *identity.Credentials
	processes map[string]*process
	nodes     []string
	endorsers []string
	journal   *journal
	// more are arguments of every process.
	more []string
}

// newWorld makes a network from the template. It is not started yet.
func newWorld(t *testing.T) *world {
	t.Helper()
	quick.Skip(t)
	from, err := template()
	if err != nil {
		t.Fatal(err)
	}
	w := &world{t: t, dir: t.TempDir(), processes: map[string]*process{}, journal: newJournal(),
		more: []string{"--scrub-interval", "1s"}}
	w.run("cp", "-a", from+"/.", w.dir)
	if w.file, err = localnet.Load(w.dir); err != nil {
		t.Fatal(err)
	}
	pki := filepath.Join(w.dir, "pki")
	if w.trust, err = identity.LoadTrust(filepath.Join(pki, "trust.json")); err != nil {
		t.Fatal(err)
	}
	if w.operator, err = identity.LoadCredentials(filepath.Join(pki, "operator"), w.trust); err != nil {
		t.Fatal(err)
	}
	var ports struct{ Admin map[string]string }
	raw, err := os.ReadFile(filepath.Join(w.dir, "ports.json"))
	if err == nil {
		err = json.Unmarshal(raw, &ports)
	}
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range w.file.Nodes {
		w.nodes = append(w.nodes, n.ID)
		w.processes[n.ID] = &process{name: n.ID, role: "node", identity: filepath.Join(pki, "nodes", n.ID), listen: n.GRPC,
			admin: ports.Admin[n.ID],
			dir:   filepath.Join(w.dir, "nodes", n.ID), peer: n.ID}
	}
	for _, e := range w.file.Endorsers {
		name := "endorser-" + e.Organisation
		w.endorsers = append(w.endorsers, name)
		w.processes[name] = &process{name: name, role: "endorser",
			identity: filepath.Join(pki, "orgs", e.Organisation, "endorser"), listen: e.GRPC, admin: ports.Admin[name],
			dir: filepath.Join(w.dir, "endorsers", e.Organisation), peer: e.Organisation}
	}
	for name, p := range w.processes {
		p.log = filepath.Join(w.dir, name+".log")
	}
	t.Cleanup(w.close)
	return w
}

func (w *world) all() []string { return append(slices.Clone(w.nodes), w.endorsers...) }

func (w *world) close() {
	for _, name := range w.all() {
		w.kill(name)
	}
	if !w.t.Failed() {
		return
	}
	for _, name := range w.all() {
		w.t.Logf("%s: …%s", name, tail(w.processes[name].log, 3000))
	}
}

func tail(path string, n int) []byte {
	raw, _ := os.ReadFile(path)
	return raw[max(0, len(raw)-n):]
}

// start starts a process, under a wrapper if one is given, and does not wait for it.
func (w *world) start(name string, wrapper ...string) {
	w.t.Helper()
	p := w.processes[name]
	out, err := os.OpenFile(p.log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		w.t.Fatal(err)
	}
	defer out.Close()
	args := slices.Concat(wrapper, []string{binary, p.role, "--trust", filepath.Join(w.dir, "pki", "trust.json"),
		"--identity", p.identity,
		"--listen", p.listen, "--admin", p.admin, "--dir", p.dir}, w.more)
	p.cmd = exec.Command(args[0], args[1:]...)
	p.cmd.Stdout, p.cmd.Stderr = out, out
	p.cmd.Env = append(os.Environ(), "GOMAXPROCS=1")
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := p.cmd.Start(); err != nil {
		w.t.Fatal(err)
	}
	p.ended = make(chan struct{})
	go func(cmd *exec.Cmd, ended chan struct{}) {
		_ = cmd.Wait() // how it ended is in its ProcessState
		close(ended)
	}(p.cmd, p.ended)
}

func (w *world) startAll() {
	w.t.Helper()
	for _, name := range w.all() {
		w.start(name)
	}
	for _, name := range w.all() {
		w.awaitReady(name)
	}
}

// kill ends a process at once and waits for its end.
func (w *world) kill(name string) {
	p := w.processes[name]
	if p.cmd == nil {
		return
	}
	_ = p.cmd.Process.Kill() // it may have ended
	<-p.ended
}

func (w *world) running(name string) bool {
	select {
	case <-w.processes[name].ended:
		return false
	default:
		return true
	}
}

// awaitEnd waits until a process has ended by itself and returns its exit code.
func (w *world) awaitEnd(name string) int {
	w.t.Helper()
	p := w.processes[name]
	select {
	case <-p.ended:
	case <-time.After(waitTimeout):
		w.t.Fatalf("%s does not end", name)
	}
	return p.cmd.ProcessState.ExitCode()
}

// ready asks a process for its readiness.
func (w *world) ready(name string) bool {
	c := http.Client{Timeout: time.Second}
	res, err := c.Get("http://" + w.processes[name].admin + "/readyz")
	if err != nil {
		return false
	}
	defer res.Body.Close()
	return res.StatusCode == http.StatusOK
}

// awaitReady waits until a process is ready and returns how long that took.
func (w *world) awaitReady(name string) time.Duration {
	w.t.Helper()
	began := time.Now()
	w.await(name+" to be ready", func() bool {
		if !w.running(name) {
			w.t.Fatalf("%s ends with exit code %d:\n%s", name, w.processes[name].cmd.ProcessState.ExitCode(),
				tail(w.processes[name].log, 1500))
		}
		return w.ready(name)
	})
	return time.Since(began)
}

// await waits for a condition.
func (w *world) await(what string, f func() bool) {
	w.t.Helper()
	deadline := time.Now().Add(waitTimeout)
	for !f() {
		if time.Now().After(deadline) {
			w.t.Fatalf("waited %s in vain for %s", waitTimeout, what)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// said reports whether a process has logged a text.
func (w *world) said(name, text string) bool {
	return bytes.Contains(tail(w.processes[name].log, 1<<20), []byte(text))
}

// count is how often a process has logged a text.
func (w *world) count(name, text string) int {
	return bytes.Count(tail(w.processes[name].log, 1<<20), []byte(text))
}

// ledger is a connection to a process.
func (w *world) ledger(name string) (ltlv1.LedgerClient, func()) {
	w.t.Helper()
	p := w.processes[name]
	role := identity.RoleNode
	if p.role == "endorser" {
		role = identity.RoleEndorser
	}
	conn, err := grpc.NewClient(p.listen, w.operator.DialOptions(role, p.peer)...)
	if err != nil {
		w.t.Fatal(err)
	}
	return ltlv1.NewLedgerClient(conn), func() { _ = conn.Close() }
}

// status asks a process; nil when it does not answer.
func (w *world) status(name string) *ltlv1.StatusResponse {
	peer, done := w.ledger(name)
	defer done()
	ctx, cancel := context.WithTimeout(w.t.Context(), 2*time.Second)
	defer cancel()
	st, err := peer.Status(ctx, &ltlv1.StatusRequest{})
	if err != nil {
		return nil
	}
	return st
}

// leader waits for one.
func (w *world) leader() string {
	w.t.Helper()
	var leader string
	w.await("a leader", func() bool {
		for _, name := range w.nodes {
			if st := w.status(name); st.GetRole() == "leader" {
				leader = name
			}
		}
		return leader != ""
	})
	return leader
}

// follower is a node that does not lead.
func (w *world) follower() string {
	w.t.Helper()
	leader := w.leader()
	return w.nodes[(slices.Index(w.nodes, leader)+1)%len(w.nodes)]
}

// run runs a command that must succeed.
func (w *world) run(args ...string) {
	w.t.Helper()
	if out, err := exec.Command(args[0], args[1:]...).CombinedOutput(); err != nil {
		w.t.Fatalf("%s: %v\n%s", strings.Join(args, " "), err, out)
	}
}

// write writes from several callers until stop is called, and notes what was acknowledged. A call whose outcome is
// unknown is repeated with the same transaction, as the library tells its users to.
func (w *world) write() (stop func()) {
	w.t.Helper()
	c, err := client.Open(client.Config{Credentials: w.operator, Trust: w.trust, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		w.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(w.t.Context())
	var callers sync.WaitGroup
	for range 4 {
		callers.Go(func() {
			for ctx.Err() == nil {
				w.journal.write(ctx, w.t, c, w.file)
			}
		})
	}
	return sync.OnceFunc(func() {
		cancel()
		callers.Wait()
		if err := c.Close(); err != nil && !errors.Is(err, client.ErrClosed) {
			w.t.Error(err)
		}
	})
}

// awaitAcks waits for so many more acknowledgements, and returns how long that took.
func (w *world) awaitAcks(n int64) time.Duration {
	w.t.Helper()
	began := time.Now()
	want := w.journal.acks.Load() + n
	w.await(fmt.Sprint(n, " acknowledged records"), func() bool { return w.journal.acks.Load() >= want })
	return time.Since(began)
}
