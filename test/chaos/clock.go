package chaos

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// Clocks are moved by a build of the unchanged program against a changed standard library: its time.Now adds the seconds
// that a file has, $LTL_CLOCKS/PID, which it reads every 50 milliseconds. Namespaces of time do not move the clock of the
// day.
const (
	clocksVariable = "LTL_CLOCKS"
	// creepSteps is in how many steps a creeping clock moves.
	creepSteps = 40
	maxClock   = 60 * 24 * time.Hour
)

// clockSource is what is added to package time.
const clockSource = `
var clockMoved atomic.Int64

func init() {
	dir, ok := syscall.Getenv("LTL_CLOCKS")
	if !ok {
		return
	}
	name := ""
	for pid := syscall.Getpid(); pid > 0; pid /= 10 {
		name = string(rune('0'+pid%10)) + name
	}
	clockMoved.Store(clockRead(dir + "/" + name))
	go func() {
		for {
			Sleep(50 * Millisecond)
			clockMoved.Store(clockRead(dir + "/" + name))
		}
	}()
}

func clockRead(path string) (seconds int64) {
	fd, err := syscall.Open(path, syscall.O_RDONLY|syscall.O_CLOEXEC, 0)
	if err != nil {
		return 0
	}
	var b [32]byte
	n, _ := syscall.Read(fd, b[:])
	syscall.Close(fd)
	sign := int64(1)
	for _, c := range b[:max(n, 0)] {
		switch {
		case c == '-':
			sign = -1
		case '0' <= c && c <= '9':
			seconds = seconds*10 + int64(c-'0')
		}
	}
	return sign * seconds
}
`

// movableClock is package time of the standard library with a clock that can be moved, by the path of its file.
func movableClock(ctx context.Context) (map[string]string, error) {
	root, err := run(ctx, "", "go", "env", "GOROOT")
	if err != nil {
		return nil, err
	}
	changed, err := replaced(filepath.Join(strings.TrimSpace(root), "src", "time", "time.go"), [][2]string{
		{"\t_ \"unsafe\" // for go:linkname\n", "\t\"sync/atomic\"\n\t\"syscall\"\n\t_ \"unsafe\" // for go:linkname\n"},
		{"sec, nsec, mono := runtimeNow()\n", "sec, nsec, mono := runtimeNow()\n\tsec += clockMoved.Load()\n"},
	})
	for path := range changed {
		changed[path] += clockSource
	}
	return changed, err
}

// movesClocks reports whether the scenario has a fault of a clock.
func (s *Scenario) movesClocks() bool {
	moves := func(f Fault) bool {
		for _, a := range f.Actions {
			if a.Verb == Clock || a.Verb == Creep {
				return true
			}
		}
		return false
	}
	for _, step := range s.Steps {
		if moves(step.Fault) {
			return true
		}
	}
	for _, w := range s.Mix {
		if moves(w.Fault) {
			return true
		}
	}
	return false
}

// SetClock moves the clock of a running process by whole seconds from the right time.
func (p *Processes) SetClock(_ context.Context, name string, by time.Duration) error {
	pid := p.pid(name)
	if pid == 0 {
		return nil // it ended by itself, which Endings tells
	}
	path := filepath.Join(p.clocks, strconv.Itoa(pid))
	if err := os.WriteFile(path+".new", []byte(strconv.Itoa(int(by.Seconds()))), 0o600); err != nil {
		return fmt.Errorf("couldn't move the clock of %s: %w", name, err)
	}
	if err := os.Rename(path+".new", path); err != nil {
		return fmt.Errorf("couldn't move the clock of %s: %w", name, err)
	}
	return nil
}

// moveClocks sets the targets' clocks at once, or has them creep over the time of the fault.
func (f *faults) moveClocks(ctx, lasting context.Context, a Action, targets []string) (*effect, error) {
	by := time.Duration(a.Amount) * time.Second
	set := func(d time.Duration) func(context.Context) error {
		return each(targets, func(ctx context.Context, name string) error { return f.in.SetClock(ctx, name, d) })
	}
	if a.Verb == Clock {
		return &effect{targets: targets, undo: set(0)}, set(by)(ctx)
	}
	deadline, _ := lasting.Deadline()
	pause := time.Until(deadline) / creepSteps
	done := make(chan error, 1)
	go func() {
		var errs []error
		for n := range creepSteps {
			errs = append(errs, set(by*time.Duration(n+1)/creepSteps)(ctx))
			if wait(lasting, pause) != nil {
				break
			}
		}
		done <- errors.Join(errs...)
	}()
	return &effect{targets: targets, undo: func(ctx context.Context) error { return errors.Join(<-done, set(0)(ctx)) }}, nil
}
