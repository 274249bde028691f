package chaos

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"ltl/internal/identity"
	"ltl/test/chaos/liar"
)

// What every process of a run listens on, in a namespace of its own.
const (
	portRPC      = "7000"
	portHTTP     = "8800"
	addressAdmin = "127.0.0.1:7900"
	startBudget  = 60 * time.Second
	lookEvery    = 100 * time.Millisecond
	lastLine     = 2000
)

// Processes is the injector with real processes, each in a network namespace of its own. It needs root, ip and nft.
type Processes struct {
	binary, dir string
	clocks      string // directory of what the clocks are moved by; empty when the scenario moves none
	lying       string // the node that lies; empty for none
	cast        Cast
	org         map[string]string // of each node
	subnet      *subnet
	admin       map[string]*http.Client
	// spawn carries work to the one thread that starts every process: the kernel kills a child when the thread that
	// started it ends.
	spawn chan func()

	mu      sync.Mutex
	running map[string]*process
	memory  map[string]*memoryGroup
	endings []Ending
}

// process is one running process; killed and files are guarded by the mutex of Processes.
type process struct {
	cmd    *exec.Cmd
	killed bool
	files  *unix.Rlimit // what it may open, before SetLimit changed it
	done   chan struct{}
}

// NewProcesses makes the injector for a network of the size of a scenario, which the program at binary runs with its
// data below dir.
func NewProcesses(binary, dir string, s *Scenario) *Processes {
	p := &Processes{
		binary: binary, dir: dir, org: map[string]string{}, admin: map[string]*http.Client{}, running: map[string]*process{},
		memory: map[string]*memoryGroup{}, spawn: make(chan func()), lying: s.Lying,
	}
	if s.movesClocks() {
		p.clocks = filepath.Join(dir, "clocks")
	}
	for i := range s.Nodes {
		name := "node" + strconv.Itoa(i+1)
		p.cast.Nodes = append(p.cast.Nodes, name)
		p.org[name] = "org" + strconv.Itoa(i%s.Organisations+1)
	}
	for i := range s.Organisations {
		p.cast.Endorsers = append(p.cast.Endorsers, "endorser-org"+strconv.Itoa(i+1))
	}
	for i := range s.Facades {
		p.cast.Facades = append(p.cast.Facades, "facade"+strconv.Itoa(i+1))
	}
	return p
}

// Name is processes.
func (p *Processes) Name() string { return injectProcesses }

// How says how faults are made.
func (p *Processes) How(v Verb) string {
	switch v {
	case Kill:
		return "kill -9"
	case Pause, Stutter:
		return "SIGSTOP, SIGCONT"
	case Isolate, Partition, Block, Swizzle:
		return "network namespaces, nft drop"
	case Lose:
		return "network namespaces, nft numgen random drop"
	case Limit:
		return "network namespaces, nft limit rate"
	case Reset:
		return "network namespaces, nft reject with tcp reset"
	case Descriptors:
		return "prlimit RLIMIT_NOFILE"
	case Memory:
		return "cgroup"
	case Swamp:
		return "connections with and without a certificate"
	case Clock, Creep:
		return "a build whose time.Now is moved"
	}
	return "callers of another account, without a pause"
}

// Dir holds pki and network.json.
func (p *Processes) Dir() string { return p.dir }

// Cast returns the processes of the network.
func (p *Processes) Cast() Cast { return p.cast }

// Supports accepts every fault, but for memory where the kernel has no control groups for it.
func (p *Processes) Supports(a Action) error {
	if a.Verb != Memory {
		return nil
	}
	for _, path := range []string{filepath.Join(cgroupRoot, "cgroup.controllers"), cgroupMemory} {
		if _, err := os.Stat(path); err == nil {
			return nil
		}
	}
	return fmt.Errorf("%w: there are no control groups for memory in %s", ErrUnsupported, cgroupRoot)
}

// Dial connects to a node or endorser from the driver's place at the switch.
func (p *Processes) Dial(ctx context.Context, name string) (net.Conn, error) {
	var d net.Dialer
	return d.DialContext(ctx, "tcp", p.Address(name))
}

// Address is where a process serves.
func (p *Processes) Address(name string) string {
	port := portRPC
	if strings.HasPrefix(name, "facade") {
		port = portHTTP
	}
	return p.subnet.address(name) + ":" + port
}

// Start makes namespaces, keys, processes, accounts and chains.
func (p *Processes) Start(ctx context.Context) (err error) {
	go func() {
		runtime.LockOSThread()
		for f := range p.spawn {
			f()
		}
	}()
	if err := os.MkdirAll(filepath.Join(p.dir, "logs"), 0o700); err != nil {
		return fmt.Errorf("couldn't make the directory of the network: %w", err)
	}
	if err := p.builds(ctx); err != nil {
		return err
	}
	if p.subnet, err = newSubnet(ctx, p.cast.all()); err != nil {
		return err
	}
	for _, name := range p.cast.all() {
		p.admin[name] = adminClient(p.subnet.dial(name))
	}
	if err := p.keys(); err != nil {
		return err
	}
	for _, name := range p.cast.all() {
		if err := p.Restart(ctx, name); err != nil {
			return err
		}
	}
	setup := []string{p.binary, "setup", "--dir", p.dir}
	for _, f := range p.cast.Facades {
		setup = append(setup, "--endpoint", "http://"+p.subnet.address(f)+":"+portHTTP)
	}
	if _, err := run(ctx, "", setup...); err != nil {
		return err
	}
	return awaitReady(ctx, p)
}

// keys makes keys and genesis with the addresses of the namespaces.
func (p *Processes) keys() error {
	spec := identity.NetworkSpec{Network: "ltl-chaos", Facades: p.cast.Facades}
	for i, e := range p.cast.Endorsers {
		spec.Organisations = append(spec.Organisations, identity.OrgSpec{
			ID: auditName(e), Name: "Organisation " + strconv.Itoa(i+1), EndorserAddress: p.Address(e),
		})
	}
	for _, n := range p.cast.Nodes {
		spec.Nodes = append(spec.Nodes, identity.NodeSpec{ID: n, Organisation: p.org[n], Address: p.Address(n)})
	}
	return identity.CreateNetwork(filepath.Join(p.dir, "pki"), spec)
}

// arguments are those of the command that a process runs.
func (p *Processes) arguments(name string) []string {
	pki, ip := filepath.Join(p.dir, "pki"), p.subnet.address(name)
	common := func(role, identity, port string) []string {
		return []string{role, "--trust", filepath.Join(pki, "trust.json"), "--identity", filepath.Join(pki, identity),
			"--admin", addressAdmin, "--listen", ip + ":" + port}
	}
	switch {
	case strings.HasPrefix(name, "node"):
		return append(common("node", filepath.Join("nodes", name), portRPC), "--dir", filepath.Join(p.dir, "nodes", name))
	case strings.HasPrefix(name, "endorser"):
		return append(common("endorser", filepath.Join("orgs", auditName(name), "endorser"), portRPC), "--dir",
			filepath.Join(p.dir, "endorsers", auditName(name)))
	default:
		return common("facade", filepath.Join("facades", name), portHTTP)
	}
}

// Restart starts a process that does not run; one that runs is left alone.
func (p *Processes) Restart(_ context.Context, name string) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.running[name] != nil {
		return nil
	}
	log, err := os.OpenFile(p.logPath(name), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return fmt.Errorf("couldn't open the log of %s: %w", name, err)
	}
	defer log.Close()
	cmd := exec.Command("ip", append([]string{"netns", "exec", p.subnet.name(name), p.program(name)}, p.arguments(name)...)...)
	cmd.Stdout, cmd.Stderr = log, log
	cmd.Env = append(os.Environ(), "GOMAXPROCS=1") // they share the machine, as those of `ltl up` do
	if p.clocks != "" {
		cmd.Env = append(cmd.Env, clocksVariable+"="+p.clocks)
	}
	if name == p.lying {
		cmd.Env = append(cmd.Env, liar.Variable+"="+p.lies())
	}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	started := make(chan error)
	p.spawn <- func() { started <- cmd.Start() }
	if err := <-started; err != nil {
		return fmt.Errorf("couldn't start %s: %w", name, err)
	}
	pr := &process{cmd: cmd, done: make(chan struct{})}
	p.running[name] = pr
	go p.watch(name, pr)
	return nil
}

// watch notes how a process ends.
func (p *Processes) watch(name string, pr *process) {
	err := pr.cmd.Wait()
	p.mu.Lock()
	delete(p.running, name)
	if !pr.killed {
		how := "exit status 0"
		if err != nil {
			how = err.Error()
		}
		p.endings = append(p.endings, Ending{Name: name, How: how, Last: p.lastLine(name)})
	}
	p.mu.Unlock()
	close(pr.done)
}

// Kill ends a process with SIGKILL and waits until it is gone.
func (p *Processes) Kill(_ context.Context, name string) error {
	p.mu.Lock()
	pr := p.running[name]
	if pr != nil {
		pr.killed = true
	}
	p.mu.Unlock()
	if pr == nil {
		return nil // it ended by itself, which Endings tells
	}
	err := p.signal(name, syscall.SIGKILL)
	<-pr.done
	return err
}

// Pause stops a process where it is.
func (p *Processes) Pause(_ context.Context, name string) error {
	return p.signal(name, syscall.SIGSTOP)
}

// Resume lets a paused process go on.
func (p *Processes) Resume(_ context.Context, name string) error {
	return p.signal(name, syscall.SIGCONT)
}

func (p *Processes) signal(name string, s syscall.Signal) error {
	pid := p.pid(name)
	if pid == 0 {
		return nil // it ended by itself, which Endings tells
	}
	if err := syscall.Kill(pid, s); err != nil && !errors.Is(err, syscall.ESRCH) {
		return fmt.Errorf("couldn't signal %s: %w", name, err)
	}
	return nil
}

// SetLinks replaces the packet filters of all namespaces.
func (p *Processes) SetLinks(ctx context.Context, links []Link) error {
	return p.subnet.apply(ctx, links)
}

// SetLimit changes a limit of a running process.
func (p *Processes) SetLimit(name string, what Verb, n int) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if what == Memory {
		return p.limitMemory(name, n)
	}
	pr := p.running[name]
	if pr == nil {
		return nil // it ended by itself, which Endings tells
	}
	pid := pr.cmd.Process.Pid
	if pr.files == nil {
		pr.files = &unix.Rlimit{}
		if err := unix.Prlimit(pid, unix.RLIMIT_NOFILE, nil, pr.files); err != nil {
			return fmt.Errorf("couldn't read the limit on files of %s: %w", name, err)
		}
	}
	limit := *pr.files
	if n > 0 {
		limit.Cur = uint64(n)
	}
	if err := unix.Prlimit(pid, unix.RLIMIT_NOFILE, &limit, nil); err != nil && !errors.Is(err, unix.ESRCH) {
		return fmt.Errorf("couldn't limit the files of %s: %w", name, err)
	}
	return nil
}

// limitMemory is called with mu held.
func (p *Processes) limitMemory(name string, megabytes int) error {
	if g := p.memory[name]; g != nil {
		delete(p.memory, name)
		if err := g.close(); err != nil {
			return fmt.Errorf("couldn't give %s its memory back: %w", name, err)
		}
	}
	pr := p.running[name]
	if megabytes == 0 || pr == nil {
		return nil
	}
	g, err := newMemoryGroup(p.subnet.name(name), pr.cmd.Process.Pid, megabytes)
	if err != nil {
		return err
	}
	p.memory[name] = g
	return nil
}

// Admin asks a process at its loopback address.
func (p *Processes) Admin(ctx context.Context, name, path string) (int, []byte, error) {
	return get(ctx, p.admin[name], "http://"+addressAdmin+path)
}

// pid is the process id of a running process; 0 when there is none.
func (p *Processes) pid(name string) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	if pr := p.running[name]; pr != nil {
		return pr.cmd.Process.Pid
	}
	return 0
}

// Endings are the processes that ended by themselves.
func (p *Processes) Endings() []Ending {
	p.mu.Lock()
	defer p.mu.Unlock()
	return append([]Ending(nil), p.endings...)
}

// Audit runs `ltl audit`.
func (p *Processes) Audit(ctx context.Context, name string) (string, error) {
	return run(ctx, "", p.binary, "audit", "--dir", p.dir, "--from", auditName(name))
}

// Close kills every process and removes the namespaces.
func (p *Processes) Close() error {
	if p.subnet == nil {
		close(p.spawn)
		return nil
	}
	var errs []error
	for _, name := range p.cast.all() {
		errs = append(errs, p.Kill(context.Background(), name), p.SetLimit(name, Memory, 0))
	}
	close(p.spawn)
	for _, c := range p.admin {
		c.CloseIdleConnections()
	}
	return errors.Join(append(errs, p.subnet.close())...)
}

func (p *Processes) logPath(name string) string { return filepath.Join(p.dir, "logs", name+".log") }

// lastLine is the last line of a process's log.
func (p *Processes) lastLine(name string) string {
	raw, err := os.ReadFile(p.logPath(name))
	if err != nil {
		return err.Error()
	}
	raw = bytes.TrimSpace(raw)
	raw = raw[bytes.LastIndexByte(raw, '\n')+1:]
	return string(raw[:min(len(raw), lastLine)])
}

// wait waits, or returns why it could not.
func wait(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
