package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"ltl/internal/localnet"
)

const (
	startTimeout = 2 * time.Minute
	stopTimeout  = time.Minute
	hookTimeout  = 20 * time.Second
)

// network is a running `ltl up` of the program with counters.
type network struct {
	*localnet.Network
	cmd    *exec.Cmd
	hooks  string // the directory of the processes' sockets
	output bytes.Buffer
	ended  chan error
}

// start runs `ltl up` on dir and returns when it is ready.
func start(ctx context.Context, binary, dir string) (*network, error) {
	n := &network{ended: make(chan error, 1)}
	var err error
	// A socket's path has at most 107 bytes, too few for a directory below that of a test.
	if n.hooks, err = os.MkdirTemp("", "trace"); err != nil {
		return nil, err
	}
	n.cmd = exec.CommandContext(ctx, binary, "up", "--dir", dir, "--http", "127.0.0.1:0")
	n.cmd.Env = append(os.Environ(), "LTL_TRACE_DIR="+n.hooks, "GOCOVERDIR="+n.hooks)
	n.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGTERM}
	n.cmd.Cancel = func() error { return n.cmd.Process.Signal(syscall.SIGTERM) }
	n.cmd.Stderr = &n.output
	stdout, err := n.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := n.cmd.Start(); err != nil {
		return nil, err
	}
	ready := make(chan struct{})
	go func() {
		lines := bufio.NewScanner(stdout)
		for lines.Scan() {
			if lines.Text() == "ready" {
				close(ready)
			}
		}
		n.ended <- n.cmd.Wait()
	}()
	select {
	case <-ready:
		n.Network, err = localnet.Load(dir)
	case ended := <-n.ended:
		return nil, errors.Join(fmt.Errorf("ltl up ended before it was ready: %w\n%s", ended, &n.output),
			os.RemoveAll(n.hooks))
	case <-time.After(startTimeout):
		err = fmt.Errorf("ltl up was not ready in %s", startTimeout)
	}
	if err != nil {
		return nil, errors.Join(err, n.stop())
	}
	return n, nil
}

// stop ends all processes and waits for them.
func (n *network) stop() error {
	if err := n.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		return err
	}
	select {
	case err := <-n.ended:
		return errors.Join(err, os.RemoveAll(n.hooks))
	case <-time.After(stopTimeout):
		return errors.Join(fmt.Errorf("ltl up did not stop in %s", stopTimeout), n.cmd.Process.Kill())
	}
}

// processes returns the id of every process that holds a role of the network.
func (n *network) processes() []int {
	var all []int
	for _, p := range n.Nodes {
		all = append(all, p.PID)
	}
	for _, p := range n.Endorsers {
		all = append(all, p.PID)
	}
	for _, p := range n.Facades {
		all = append(all, p.PID)
	}
	return all
}

// clear sets the counters of all processes to zero.
func (n *network) clear() error {
	for _, pid := range n.processes() {
		if err := n.command(pid, "clear"); err != nil {
			return err
		}
	}
	return nil
}

// counters reads the counters of all processes, by process.
func (n *network) counters(ctx context.Context) (map[int]profile, error) {
	all := map[int]profile{}
	for _, pid := range n.processes() {
		dir, err := os.MkdirTemp(n.hooks, "counters")
		if err != nil {
			return nil, err
		}
		if err := n.command(pid, "write "+dir); err != nil {
			return nil, err
		}
		text := filepath.Join(dir, "profile")
		if out, err := exec.CommandContext(ctx, "go", "tool", "covdata", "textfmt", "-i", dir, "-o",
			text).CombinedOutput(); err != nil {
			return nil, fmt.Errorf("go tool covdata: %w\n%s", err, out)
		}
		if all[pid], err = readProfile(text); err != nil {
			return nil, err
		}
	}
	return all, nil
}

// command sends one command to the hook of a process.
func (n *network) command(pid int, command string) error {
	conn, err := net.Dial("unix", filepath.Join(n.hooks, fmt.Sprint(pid)))
	if err != nil {
		return fmt.Errorf("couldn't reach the hook of process %d: %w", pid, err)
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(hookTimeout)); err != nil {
		return err
	}
	if _, err := fmt.Fprintln(conn, command); err != nil {
		return fmt.Errorf("couldn't send %q to process %d: %w", command, pid, err)
	}
	answer, err := io.ReadAll(conn)
	if err != nil {
		return fmt.Errorf("no answer to %q from process %d: %w", command, pid, err)
	}
	if text := strings.TrimSpace(string(answer)); text != "ok" {
		return fmt.Errorf("process %d refused %q: %s", pid, command, text)
	}
	return nil
}
