package faults

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"ltl/client"
	"ltl/internal/localnet"
	"ltl/internal/rules"
	ltlv1 "ltl/proto/ltl/v1"
)

// journal is what the callers know. It lives outside of the network.
type journal struct {
	next atomic.Int64
	acks atomic.Int64

	mu           sync.Mutex
	acknowledged map[string]string // Key to value
	unknown      map[string]string
	lastAck      time.Time
	gap          time.Duration // the longest between two acknowledgements since it was reset
}

func newJournal() *journal {
	return &journal{acknowledged: map[string]string{}, unknown: map[string]string{}}
}

// note notes the outcome of one record.
func (j *journal) note(key, value string, ok bool) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if !ok {
		j.unknown[key] = value
		return
	}
	now := time.Now()
	if !j.lastAck.IsZero() {
		j.gap = max(j.gap, now.Sub(j.lastAck))
	}
	j.lastAck = now
	j.acknowledged[key] = value
	j.acks.Add(1)
}

// resetGap starts a new measurement.
func (j *journal) resetGap() {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.gap, j.lastAck = 0, time.Now()
}

func (j *journal) longestGap() time.Duration {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.gap
}

// write writes one record and notes what became of it.
func (j *journal) write(ctx context.Context, t *testing.T, c *client.Client, f *localnet.Network) {
	chain, _ := f.Chain(localnet.ServiceProof)
	admin, _ := f.Account(localnet.RoleAdmin)
	n := j.next.Add(1)
	key, value := fmt.Sprintf("0001_%s_%s_%032d", chain.BizChainCode, admin.DataTypeCode, n),
		fmt.Sprint("value ", n, strings.Repeat(" of a record", 20))
	tx := client.SetData(chain.BizChainID, admin.UID, key, value)
	result, err := c.Submit(ctx, tx)
	for err != nil && ctx.Err() == nil && (errors.Is(err, client.ErrUnavailable) || errors.Is(err, client.ErrOverloaded)) {
		select {
		case <-ctx.Done():
		case <-time.After(20 * time.Millisecond):
		}
		result, err = c.Submit(ctx, tx)
	}
	if err != nil && ctx.Err() == nil {
		t.Errorf("Submit: %v", err)
	}
	if err == nil && result.GetCode() != rules.OK {
		t.Errorf("SetData of a new Key is refused with %d: %s", result.GetCode(), rules.Message(result.GetCode()))
	}
	j.note(key, value, err == nil && result.GetCode() == rules.OK)
}

// outcome is what one kind of fault did.
type outcome struct {
	fault      string
	runs       int
	gaps       []time.Duration // the longest time without an acknowledgement, a run
	recoveries []time.Duration // from the start of the faulty process until it was ready, a run
}

// tell logs the outcome as a row of docs/reliability.md.
func (w *world) tell(o outcome, lost, twice int) {
	w.t.Logf("ROW | %s | %d | %d | %d | %d | %s | %s |", o.fault, o.runs, w.journal.acks.Load(), lost, twice,
		spread(o.gaps), spread(o.recoveries))
}

// spread is median and maximum.
func spread(d []time.Duration) string {
	if len(d) == 0 {
		return "–"
	}
	slices.Sort(d)
	return fmt.Sprintf("%.1f s / %.1f s", d[len(d)/2].Seconds(), d[len(d)-1].Seconds())
}

// check waits until all copies are equal, and holds each against the journal: every acknowledged record is there once
// with its value, and nothing is there that was not written.
func (w *world) check(o outcome) {
	w.t.Helper()
	sequence := w.settled()
	lost, twice := 0, 0
	for _, name := range w.all() {
		found := w.records(name, sequence)
		w.journal.mu.Lock()
		for key, value := range w.journal.acknowledged {
			if got := found[key]; len(got) == 0 || got[0] != value {
				lost++
				w.t.Errorf("%s has %q under the acknowledged Key %s, want %q", name, got, key, value)
			}
		}
		for key, values := range found {
			want, known := w.journal.acknowledged[key]
			if !known {
				want, known = w.journal.unknown[key]
			}
			if !known || values[0] != want {
				w.t.Errorf("%s has %q under Key %s, want at most %q", name, values, key, want)
			}
			if len(values) > 1 {
				twice++
				w.t.Errorf("%s has %d records under Key %s", name, len(values), key)
			}
		}
		w.journal.mu.Unlock()
	}
	w.tell(o, lost, twice)
}

// audit executes every copy again.
func (w *world) audit() {
	w.t.Helper()
	var group sync.WaitGroup
	for _, name := range w.all() {
		group.Go(func() {
			from := strings.TrimPrefix(name, "endorser-")
			if out, err := exec.Command(binary, "audit", "--dir", w.dir, "--from", from).CombinedOutput(); err != nil {
				w.t.Errorf("audit of %s: %v\n%s", name, err, out)
			}
		})
	}
	group.Wait()
}

// settled waits until every copy has the same number of blocks and no fault, and returns it.
func (w *world) settled() (sequence uint64) {
	w.t.Helper()
	var last []string
	deadline := time.Now().Add(waitTimeout)
	for time.Now().Before(deadline) {
		last = last[:0]
		seen := map[uint64]bool{}
		for _, name := range w.all() {
			st := w.status(name)
			if st == nil || st.GetFault() != "" {
				seen[1<<63] = true
			}
			seen[st.GetSequence()] = true
			sequence = st.GetSequence()
			last = append(last, fmt.Sprintf("%s: %d blocks %s", name, st.GetSequence(), st.GetFault()))
		}
		if len(seen) == 1 {
			return sequence
		}
		time.Sleep(50 * time.Millisecond)
	}
	w.t.Fatalf("the copies do not become equal:\n%s", strings.Join(last, "\n"))
	return 0
}

// records reads a copy's blocks and returns all values of this test's Keys that were accepted, as soon as the copy has
// them all: it may have to fetch some after a power cut.
func (w *world) records(name string, sequence uint64) (found map[string][]string) {
	w.t.Helper()
	w.await(name+" to have all values", func() (all bool) {
		found, all = w.stored(name, sequence)
		return all
	})
	return found
}

// stored reads what records returns, and reports whether the copy has all values.
func (w *world) stored(name string, sequence uint64) (found map[string][]string, all bool) {
	w.t.Helper()
	peer, done := w.ledger(name)
	defer done()
	ctx, cancel := context.WithTimeout(w.t.Context(), waitTimeout)
	defer cancel()
	stream, err := peer.Follow(ctx, &ltlv1.FollowRequest{Openings: true})
	if err != nil {
		w.t.Fatal(err)
	}
	found, all = map[string][]string{}, true
	for range sequence {
		res, err := stream.Recv()
		if err != nil {
			w.t.Fatalf("%s: %v", name, err)
		}
		results := res.GetBlock().GetResults()
		for _, b := range res.GetBlock().GetBatches() {
			for i, payload := range b.GetTransactions() {
				code := results[0]
				results = results[1:]
				tx, err := rules.Decode(payload)
				if err != nil {
					w.t.Fatal(err)
				}
				if set := tx.GetSetData(); set != nil && code == rules.OK {
					if i >= len(b.GetOpenings()) || len(b.GetOpenings()[i].GetOpenings()) != 1 {
						all = false
						continue
					}
					value := string(b.GetOpenings()[i].GetOpenings()[0].GetValue())
					found[set.GetKey()] = append(found[set.GetKey()], value)
				}
			}
		}
	}
	return found, all
}
