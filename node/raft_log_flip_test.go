package node

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/hashicorp/raft"
)

const (
	flipFileEnv = "LTL_TEST_FLIP_FILE" // set in the child: the good file
	flipFromEnv = "LTL_TEST_FLIP_FROM" // the first sample the child has to try
	flipSamples = 250
	flipEntries = 60
	// flipEntryBytes makes entries that span pages; flipHeadBytes is where a page's own structure lies.
	flipEntryBytes = 6000
	flipHeadBytes  = 96
	// flipPatience is how long the child may be busy with one sample.
	flipPatience = 4 * time.Second
)

// Bits of a stopped log are flipped one at a time (sampled): each is found at open or when read, or has changed
// nothing.
//
// A child process reads the damaged files, because bbolt looks at the pages on a goroutine of its own when it opens a
// file and a panic there cannot be recovered. That ends the process, which is a way of finding the damage.
func TestLogStoreFlippedBytes(t *testing.T) {
	if path := os.Getenv(flipFileEnv); path != "" {
		flipChild(t, path)
		return
	}
	path := filepath.Join(t.TempDir(), "log")
	l, err := openLog(path, flipOptions())
	if err != nil {
		t.Fatal(err)
	}
	// many transactions, so that there are free pages too
	for i, e := range raftTestEntries(1, flipEntries, flipEntryBytes) {
		if err := errors.Join(l.stable.SetUint64([]byte(currentTermKey), 1), l.stable.Set([]byte("LastVoteCand"),
			[]byte{byte(i)}), l.StoreLog(e)); err != nil {
			t.Fatal(err)
		}
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	counts := map[string]int{}
	for next := 0; next < flipSamples; {
		from := next
		next = flipRun(t, path, from, counts)
		if next < flipSamples { // the child died over this one
			counts["found"]++
			counts["died"]++
			next++
		}
	}
	t.Logf("%d flips: %d found (%d of them end the process), %d changed nothing", flipSamples, counts["found"],
		counts["died"], counts["same"])
	if counts["found"]+counts["same"] != flipSamples || counts["found"] < flipSamples/10 {
		t.Errorf("outcomes: %v", counts)
	}
}

// flipRun starts a child at a sample and returns the one it stopped at.
func flipRun(t *testing.T, path string, from int, counts map[string]int) int {
	child := exec.Command(os.Args[0], "-test.run=^TestLogStoreFlippedBytes$", "-test.timeout=5m")
	child.Env = append(os.Environ(), flipFileEnv+"="+path, flipFromEnv+"="+strconv.Itoa(from))
	out, err := child.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	stuck := time.AfterFunc(flipPatience, func() { _ = child.Process.Kill() })
	defer stuck.Stop()
	next := from
	for lines := bufio.NewScanner(out); lines.Scan(); {
		outcome, ok := bytes.CutPrefix(lines.Bytes(), []byte("flip "))
		if !ok {
			continue
		}
		stuck.Reset(flipPatience)
		if next++; string(outcome) == "" {
			counts["found"]++
		} else if counts[string(outcome)]++; string(outcome) != "same" {
			t.Errorf("sample %d: %s", next-1, outcome)
		}
	}
	_ = child.Wait()
	return next
}

func flipOptions() logOptions {
	return logOptions{noSync: true, initialMmapSize: 1 << 20, cacheBytes: 1, fatal: func(error) {}}
}

func flipChild(t *testing.T, path string) {
	good, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	from, err := strconv.Atoi(os.Getenv(flipFromEnv))
	if err != nil {
		t.Fatal(err)
	}
	o := flipOptions()
	o.minLast = flipEntries // what the ledger knows; a lost tail alone reads well
	for i := from; i < flipSamples; i++ {
		random := rand.New(rand.NewPCG(1, uint64(i)))
		bad := bytes.Clone(good)
		at := random.IntN(len(good))
		if i%2 == 0 {
			at = at/os.Getpagesize()*os.Getpagesize() + random.IntN(flipHeadBytes)
		}
		bad[at] ^= 1 << random.IntN(8)
		damaged := filepath.Join(t.TempDir(), strconv.Itoa(i)) // a new file, because bbolt may leave the last one locked
		if err := os.WriteFile(damaged, bad, 0o600); err != nil {
			t.Fatal(err)
		}
		fmt.Printf("flip %s\n", readBack(damaged, o, raftTestEntries(1, flipEntries, flipEntryBytes)))
		_ = os.Remove(damaged)
	}
}

// readBack returns "" when the damage was reported, "same" when everything reads as written, else what differs.
func readBack(path string, o logOptions, want []*raft.Log) string {
	l, err := openLog(path, o)
	if err != nil {
		return ""
	}
	defer func() { _ = shielded(l.Close) }()
	for _, w := range want {
		var e raft.Log
		if err := l.GetLog(w.Index, &e); err != nil {
			if errors.Is(err, raft.ErrLogNotFound) {
				return fmt.Sprintf("entry %d is said to be absent", w.Index)
			}
			return ""
		}
		if e.Index != w.Index || e.Term != w.Term || e.Type != w.Type || !bytes.Equal(e.Data, w.Data) ||
			len(e.Extensions) != 0 {
			return fmt.Sprintf("entry %d reads as %+v", w.Index, e)
		}
	}
	vote, err := l.stable.Get([]byte("LastVoteCand"))
	if err != nil && !isKeyNotFound(err) {
		return ""
	}
	if err != nil || !bytes.Equal(vote, []byte{byte(len(want) - 1)}) {
		return fmt.Sprintf("the vote reads as %v (%v)", vote, err)
	}
	return "same"
}
