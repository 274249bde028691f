package localnet

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"time"
)

// How children are stopped and restarted.
const (
	stopGrace       = 20 * time.Second       // from the first SIGTERM to SIGKILL, for all together
	orderGrace      = 5 * time.Second        // how long, of that, children are stopped one after the other
	restartDelayMin = 100 * time.Millisecond // doubles with every quick end
	restartDelayMax = 5 * time.Second
	steadyAfter     = 10 * time.Second // a child that ran this long is restarted with the shortest delay
)

// errStopping is returned when a process is to be started while all are being stopped.
var errStopping = errors.New("the network is being stopped")

// program is a child process to run.
type program struct {
	// name is unique among the children; its log is <name>.log.
	name string
	// role is the subcommand that it runs: of each role, more than half must start.
	role string
	args []string
	// admin is the address of its health and metrics.
	admin string
}

// child is a program with its process.
type child struct {
	program
	// process is the newest one; guarded by children.mu.
	process *os.Process
	// done is closed when no process of this child runs and none will be started.
	done chan struct{}
}

// children starts processes and, with restart, restarts those that end. Methods may be called concurrently.
type children struct {
	binary  string
	logDir  string
	restart bool
	// share is GOMAXPROCS of each process.
	share  int
	logger *slog.Logger
	// changed is called after a process was replaced.
	changed func()

	// spawn carries work to the one thread that starts every process, see startThread.
	spawn chan func()
	// stopping is closed, with mu held, when no process may be started any more.
	stopping chan struct{}
	// grace and order are stopGrace and orderGrace, except in tests.
	grace, order time.Duration

	mu  sync.Mutex
	all []*child
}

func newChildren(binary, logDir string, restart bool, share int, logger *slog.Logger, changed func()) *children {
	c := &children{
		binary: binary, logDir: logDir, restart: restart, share: share, logger: logger, changed: changed,
		spawn: make(chan func()), stopping: make(chan struct{}), grace: stopGrace, order: orderGrace,
	}
	go c.startThread()
	return c
}

// startThread runs every start on one operating system thread, which lives as long as this process: the kernel sends
// the signal of Pdeathsig when the *thread* that started the child ends, and Go ends threads as it likes unless they
// are locked. stop ends it, after the last child.
func (c *children) startThread() {
	runtime.LockOSThread()
	for f := range c.spawn {
		f()
	}
}

// run starts a program and watches it.
func (c *children) run(p program) (*child, error) {
	ch := &child{program: p, done: make(chan struct{})}
	cmd, err := c.start(ch)
	if err != nil {
		return nil, err
	}
	c.mu.Lock()
	c.all = append(c.all, ch)
	c.mu.Unlock()
	go c.watch(ch, cmd)
	return ch, nil
}

// start starts the process of ch and stores its pid.
func (c *children) start(ch *child) (*exec.Cmd, error) {
	logFile, err := os.OpenFile(c.logPath(ch.name), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return nil, fmt.Errorf("couldn't open the log of %s: %w", ch.name, err)
	}
	defer logFile.Close()
	cmd := exec.Command(c.binary, ch.args...)
	cmd.Stdout, cmd.Stderr = logFile, logFile
	cmd.Env = environment(os.Environ(), c.share)
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Setpgid:   true, // Ctrl-C in a terminal reaches this process only, which then stops the children in order
		Pdeathsig: syscall.SIGKILL,
	}
	c.mu.Lock() // held throughout: stop sees every process that was started, and none is started after it
	defer c.mu.Unlock()
	if c.isStopping() {
		return nil, errStopping
	}
	started := make(chan error)
	c.spawn <- func() { started <- cmd.Start() }
	if err := <-started; err != nil {
		return nil, fmt.Errorf("couldn't start %s: %w", ch.name, err)
	}
	ch.process = cmd.Process
	return cmd, nil
}

// environment adds the number of threads that a child computes with, unless the environment sets it already. A whole
// network on one machine shares its processors: if every process had a thread for each of them, they would spend a
// fifth of the time looking for work that another process is doing (ltl bench on two cores, with and without).
func environment(env []string, share int) []string {
	for _, e := range env {
		if strings.HasPrefix(e, "GOMAXPROCS=") {
			return env
		}
	}
	return append(env, fmt.Sprint("GOMAXPROCS=", share))
}

// shareOf is each process's part of the machine: twice an equal share, as the processes are never all busy at once.
func shareOf(processors, processes int) int { return max(1, 2*processors/max(1, processes)) }

func (c *children) isStopping() bool {
	select {
	case <-c.stopping:
		return true
	default:
		return false
	}
}

// watch waits for the process of ch, and starts the next one when restarts are wanted. It returns when no process runs.
func (c *children) watch(ch *child, cmd *exec.Cmd) {
	defer close(ch.done)
	delay := restartDelayMin
	for {
		began := time.Now()
		err := cmd.Wait()
		if c.isStopping() {
			return
		}
		if !c.restart {
			c.logger.Warn("a process ended and stays down; start it by hand, or use --restart",
				"process", ch.name, "pid", cmd.Process.Pid, "state", exitState(err), "log", c.logPath(ch.name))
			return
		}
		if time.Since(began) > steadyAfter {
			delay = restartDelayMin
		}
		c.logger.Warn("a process ended and is restarted",
			"process", ch.name, "pid", cmd.Process.Pid, "state", exitState(err), "after", delay)
		if cmd = c.startAgain(ch, &delay); cmd == nil {
			return
		}
		c.changed()
	}
}

// startAgain starts ch after a delay, and retries until it succeeds; nil when the children are being stopped.
func (c *children) startAgain(ch *child, delay *time.Duration) *exec.Cmd {
	for {
		timer := time.NewTimer(*delay)
		select {
		case <-c.stopping:
			timer.Stop()
			return nil
		case <-timer.C:
		}
		*delay = min(*delay*2, restartDelayMax)
		cmd, err := c.start(ch)
		if err == nil {
			return cmd
		}
		if errors.Is(err, errStopping) {
			return nil
		}
		c.logger.Error("couldn't restart a process, retrying", "process", ch.name, "error", err)
	}
}

// stop ends all children: the last started first, as each uses those before it. A child that does not end delays the
// others by orderGrace at most, and all that have not ended within stopGrace are killed. It is called once.
func (c *children) stop() {
	c.mu.Lock()
	close(c.stopping)
	all := append([]*child(nil), c.all...)
	c.mu.Unlock()
	grace, order := time.NewTimer(c.grace), time.NewTimer(c.order)
	defer grace.Stop()
	defer order.Stop()
	inOrder := true
	for i := len(all) - 1; i >= 0; i-- {
		c.signal(all[i], syscall.SIGTERM)
		c.signal(all[i], syscall.SIGCONT) // a suspended process cannot handle SIGTERM
		if !inOrder {
			continue
		}
		select {
		case <-all[i].done:
		case <-order.C:
			inOrder = false
		}
	}
	expired := false
	for _, ch := range all {
		if !expired {
			select {
			case <-ch.done:
				continue
			case <-grace.C:
				expired = true
			}
		}
		c.kill(ch)
	}
	for _, ch := range all {
		<-ch.done
	}
	close(c.spawn)
}

// kill ends a child that did not stop in time.
func (c *children) kill(ch *child) {
	select {
	case <-ch.done:
	default:
		c.logger.Warn("a process did not stop in time and is killed", "process", ch.name, "log", c.logPath(ch.name))
		c.signal(ch, syscall.SIGKILL)
	}
}

// signal sends a signal to the present process of a child; one that has ended is no error.
func (c *children) signal(ch *child, sig syscall.Signal) {
	c.mu.Lock()
	process := ch.process
	c.mu.Unlock()
	if err := process.Signal(sig); err != nil && !errors.Is(err, os.ErrProcessDone) {
		c.logger.Error("couldn't signal a process; it may keep running, check its pid", "process", ch.name, "signal", sig,
			"error", err)
	}
}

// pid returns the process id of a child, 0 when there is no such child.
func (c *children) pid(name string) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, ch := range c.all {
		if ch.name == name {
			return ch.process.Pid
		}
	}
	return 0
}

func (c *children) logPath(name string) string { return filepath.Join(c.logDir, name+".log") }

func exitState(err error) string {
	if err == nil {
		return "exit status 0"
	}
	return err.Error()
}
