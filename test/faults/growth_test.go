package faults

import (
	"context"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"testing"
	"time"

	"ltl/client"
	"ltl/internal/localnet"
	"ltl/internal/rules"
)

// maxStart is how long a node with a million records may take to start.
const maxStart = 30 * time.Second

// TestGrowth writes LTL_FAULT_RECORDS records and measures, at each tenth and at the end, what a node takes to start
// again and what a record takes on its disk. Then it damages a page of the index, which only a ledger of this size has
// on disk, and sees it rebuilt.
func TestGrowth(t *testing.T) {
	need(t)
	total, err := strconv.Atoi(os.Getenv("LTL_FAULT_RECORDS"))
	if err != nil {
		t.Skip("set LTL_FAULT_RECORDS to the number of records to be written, 100000 for a few minutes")
	}
	w := newWorld(t)
	w.startAll()
	name := w.nodes[2]
	for _, records := range []int{total / 10, total} {
		began := time.Now()
		written := w.fill(records)
		took := time.Since(began)
		w.settled()
		w.kill(name)
		ledger, log := size(t, filepath.Join(w.processes[name].dir, "ledger")),
			size(t, filepath.Join(w.processes[name].dir, "raft.db"))
		w.start(name)
		ready := w.awaitReady(name)
		t.Logf("ROW | %d | %d | %.0f | %.1f MB | %.2f s |", records, ledger/int64(records), float64(written)/took.Seconds(),
			float64(log)/1e6, ready.Seconds())
		if ready > maxStart {
			t.Errorf("a node with %d records takes %v to start", records, ready)
		}
	}
	w.damageIndex(name)
}

// fill writes until so many records are there, many at the same time, and returns how many it wrote.
func (w *world) fill(total int) (written int64) {
	w.t.Helper()
	c, err := client.Open(client.Config{Credentials: w.operator, Trust: w.trust, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		w.t.Fatal(err)
	}
	defer c.Close()
	chain, _ := w.file.Chain(localnet.ServiceProof)
	admin, _ := w.file.Account(localnet.RoleAdmin)
	ctx, cancel := context.WithTimeout(w.t.Context(), time.Hour)
	defer cancel()
	before := w.journal.next.Load()
	var callers sync.WaitGroup
	for range 256 {
		callers.Go(func() {
			for n := w.journal.next.Add(1); n <= int64(total); n = w.journal.next.Add(1) {
				key := fmt.Sprintf("0001_%s_%s_%032d", chain.BizChainCode, admin.DataTypeCode, n)
				tx := client.SetData(chain.BizChainID, admin.UID, key, fmt.Sprintf("%0200d", n))
				if r, err := c.Submit(ctx, tx); err != nil || r.GetCode() != rules.OK {
					w.t.Errorf("record %d: %v, %v", n, r, err)
					return
				}
			}
		})
	}
	callers.Wait()
	w.journal.next.Store(int64(total))
	return int64(total) - before
}

// size is the number of bytes below a path.
func size(t *testing.T, path string) (total int64) {
	t.Helper()
	err := filepath.WalkDir(path, func(_ string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		info, err := d.Info()
		total += info.Size()
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return total
}

// damageIndex flips a bit in the largest run of a running node. The node ends, and rebuilds its ledger.
func (w *world) damageIndex(name string) {
	w.t.Helper()
	runs, err := filepath.Glob(filepath.Join(w.processes[name].dir, "ledger", "index", "*.run"))
	if err != nil || len(runs) == 0 {
		w.t.Fatalf("the index has no run: %v", err)
	}
	f, err := os.OpenFile(runs[0], os.O_RDWR, 0)
	if err != nil {
		w.t.Fatal(err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		w.t.Fatal(err)
	}
	at, b := info.Size()/4096/2*4096+100, []byte{0}
	if _, err := f.ReadAt(b, at); err != nil {
		w.t.Fatal(err)
	}
	b[0] ^= 1
	if _, err := f.WriteAt(b, at); err != nil {
		w.t.Fatal(err)
	}
	began := time.Now()
	deadline := began.Add(30 * time.Minute)
	for !w.said(name, "the ledger is rebuilt") {
		if time.Now().After(deadline) || !w.running(name) {
			w.t.Fatalf("%s does not rebuild its ledger", name)
		}
		time.Sleep(100 * time.Millisecond)
	}
	w.t.Logf("ROW | index page damaged, ledger rebuilt | %.1f s |", time.Since(began).Seconds())
	w.settled()
}
