package faults

import (
	"bufio"
	"fmt"
	"log"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync"
	"syscall"
	"testing"
	"time"
)

// How long the tests wait for what must happen.
const (
	startTimeout = 2 * time.Minute
	waitTimeout  = 60 * time.Second
)

// The program under test and a network that has been set up and stopped, both made once; every world begins with a copy
// of it.
var (
	scratch  string
	binary   string
	template = sync.OnceValues(makeTemplate)
)

func TestMain(m *testing.M) {
	os.Exit(func() int {
		if err := ownMounts(); err != nil {
			log.Print(err)
			return 1
		}
		var err error
		if scratch, err = os.MkdirTemp("", "ltl-faults-"); err != nil {
			log.Print(err)
			return 1
		}
		defer os.RemoveAll(scratch)
		return m.Run()
	}())
}

// ownMounts begins again in a mount namespace of its own: no other process can hold what is mounted here, and all of it
// goes with this one.
func ownMounts() error {
	const mark = "LTL_FAULTS_OWN_MOUNTS"
	unshare, err := exec.LookPath("unshare")
	if os.Getuid() != 0 || os.Getenv(mark) != "" || err != nil {
		return nil
	}
	return syscall.Exec(unshare, append([]string{"unshare", "--mount", "--propagation", "private"}, os.Args...),
		append(os.Environ(), mark+"=1"))
}

// need skips the test where it cannot run, and says why.
func need(t *testing.T) {
	t.Helper()
	switch {
	case raceDetector:
		t.Skip("the binary under test is built without the race detector")
	case os.Getuid() != 0:
		t.Skip("it mounts file systems and traces processes: it needs root")
	}
	for _, tool := range []string{"losetup", "mkfs.ext4", "mount", "strace", "prlimit", "unshare"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skipf("%s is not installed; scripts/install-deps.sh installs it", tool)
		}
	}
}

// rounds is how often a fault is injected: once or as LTL_FAULT_ROUNDS says.
func rounds(t *testing.T) int {
	t.Helper()
	text := os.Getenv("LTL_FAULT_ROUNDS")
	if text == "" {
		return 1
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 {
		t.Fatalf("LTL_FAULT_ROUNDS is %q", text)
	}
	return n
}

// victims are those of the given processes that a fault is tried on: the first alone where it is tried once.
func victims(t *testing.T, names ...string) []string {
	t.Helper()
	if rounds(t) == 1 {
		return names[:1]
	}
	return names
}

// makeTemplate builds the program, and starts and stops a network.
func makeTemplate() (string, error) {
	binary = filepath.Join(scratch, "ltl")
	build := exec.Command("go", "build", "-buildvcs=false", "-o", binary, "ltl/cmd/ltl")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		return "", fmt.Errorf("go build: %w\n%s", err, out)
	}
	dir := filepath.Join(scratch, "template")
	cmd := exec.Command(binary, "up", "--dir", dir, "--http", "127.0.0.1:0")
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGTERM}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return "", err
	}
	if err := cmd.Start(); err != nil {
		return "", err
	}
	late := time.AfterFunc(startTimeout, func() { _ = cmd.Process.Kill() })
	defer late.Stop()
	ready := false
	for lines := bufio.NewScanner(stdout); lines.Scan(); {
		if lines.Text() == "ready" {
			ready = true
			if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
				return "", err
			}
		}
	}
	if err := cmd.Wait(); err != nil || !ready {
		return "", fmt.Errorf("ltl up: ready %v, %w", ready, err)
	}
	return dir, nil
}
