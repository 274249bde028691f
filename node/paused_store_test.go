package node

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"syscall"
	"testing"
	"time"

	"ltl/test/testkit/quick"
)

// The child of TestPausedStore.
const (
	pausedChild = "LTL_TEST_PAUSED_STORE"
	pausedLimit = time.Second
	pausedStore = 600 * time.Millisecond
	pausedFor   = 3 * time.Second
)

// TestPausedStore stops a process, as `docker pause` and a frozen virtual machine do, for longer than a store may
// take, while it stores. Its disk did not hang, so it must go on.
func TestPausedStore(t *testing.T) {
	quick.Skip(t)
	if os.Getenv(pausedChild) != "" {
		stop := &failStop{hangLimit: pausedLimit, fatal: func(err error) { fmt.Println("fatal:", err); os.Exit(1) }}
		fmt.Println("storing")
		if err := stop.write("store", func() error { time.Sleep(pausedStore); return nil }); err != nil {
			t.Error(err)
		}
		time.Sleep(pausedLimit) // time for a timer that fires too late to be of use
		return
	}
	child := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestPausedStore$", "-test.v")
	child.Env = append(os.Environ(), pausedChild+"=1")
	out, err := child.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	said := make([]byte, 0, 4096)
	for buffer := make([]byte, 1024); !bytes.Contains(said, []byte("storing")); {
		n, err := out.Read(buffer)
		if err != nil {
			t.Fatalf("the child said %q and no more: %v", said, err)
		}
		said = append(said, buffer[:n]...)
	}
	time.Sleep(pausedStore / 3)
	err = child.Process.Signal(syscall.SIGSTOP)
	time.Sleep(pausedFor)
	if err := errors.Join(err, child.Process.Signal(syscall.SIGCONT)); err != nil {
		t.Fatal(err)
	}
	rest := make([]byte, 4096)
	n, _ := out.Read(rest) // logged below if the test fails
	if err := child.Wait(); err != nil {
		t.Errorf("the child ended with %v, and said %s%s", err, said, rest[:n])
	}
}
