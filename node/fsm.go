package node

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"sync"
	"time"

	"github.com/hashicorp/raft"

	"ltl/internal/store"
)

// errStopped answers an entry that was committed while this node was stopping: it is executed after the next start.
var errStopped = errors.New("node is stopping")

// fsm executes committed entries. Raft calls ApplyBatch, Snapshot and Restore from one goroutine; it outlives a restart of raft
// inside the process.
//
// There is no way to skip an entry: whatever goes wrong here is either a bug, a broken disk or a program that is too old, and
// each of them must stop the node before its ledger differs from the others'.
type fsm struct {
	ctx     context.Context // ends when the node stops; then nothing more is applied
	store   *store.Store
	logger  *slog.Logger
	fatal   func(error)
	catchUp *catchUp
	observe func(entries int, took time.Duration)
	// executed is nil where no traces are recorded.
	executed *executions

	mu     sync.Mutex
	halted error
}

// Apply implements raft.FSM; raft calls ApplyBatch instead.
func (f *fsm) Apply(l *raft.Log) any { return f.ApplyBatch([]*raft.Log{l})[0] }

// ApplyBatch implements raft.BatchingFSM: one database transaction for the whole group. Responses are *store.EntryResult or error.
func (f *fsm) ApplyBatch(logs []*raft.Log) []any {
	responses := make([]any, len(logs))
	if err := f.apply(logs, responses); err != nil {
		for i := range responses {
			responses[i] = err
		}
	}
	return responses
}

func (f *fsm) apply(logs []*raft.Log, responses []any) error {
	if err := f.ready(); err != nil {
		return err
	}
	entries := make([]store.Entry, 0, len(logs))
	positions := make([]int, 0, len(logs))
	for i, l := range logs {
		if l.Type != raft.LogCommand {
			continue // raft keeps its own configuration
		}
		e, err := decodeEntry(l.Data)
		if err != nil {
			return f.halt(fmt.Errorf("entry %d of the Raft log cannot be executed, and skipping it would part this ledger from the others': %w; "+
				"start this node again with the program version that the leader runs", l.Index, err))
		}
		entries = append(entries, store.Entry{Index: l.Index, Entry: e})
		positions = append(positions, i)
	}
	if len(entries) == 0 {
		return nil
	}
	began := time.Now()
	results, err := f.store.Apply(entries)
	if err != nil {
		return f.halt(fmt.Errorf("execute Raft entries %d to %d: %w", entries[0].Index, entries[len(entries)-1].Index, err))
	}
	if len(results) != len(entries) {
		return f.halt(fmt.Errorf("BUG: %d results for %d entries", len(results), len(entries)))
	}
	for i, at := range positions {
		responses[at] = &results[i]
	}
	took := time.Since(began)
	f.executed.note(entries[0].Index, entries[len(entries)-1].Index, began, took)
	f.observe(len(entries), took)
	return nil
}

// ready waits until the ledger holds everything below the next entry, and refuses once the node stops.
func (f *fsm) ready() error {
	if err := f.catchUp.wait(f.ctx); err != nil {
		return errStopped
	}
	if f.ctx.Err() != nil {
		return errStopped
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.halted
}

// halt stops execution for good and tells the process. It returns err.
func (f *fsm) halt(err error) error {
	f.mu.Lock()
	first := f.halted == nil
	if first {
		f.halted = err
	}
	f.mu.Unlock()
	if first && f.ctx.Err() == nil {
		f.fatal(err)
	}
	return err
}

// Snapshot implements raft.FSM. A snapshot is a pointer: it names what was executed and holds no blocks.
func (f *fsm) Snapshot() (raft.FSMSnapshot, error) {
	if f.catchUp.busy() {
		return nil, errors.New("this node is fetching blocks; it makes no snapshot until it has them")
	}
	if err := f.ready(); err != nil {
		return nil, err
	}
	p, err := newPointer(f.store)
	if err != nil {
		return nil, f.halt(fmt.Errorf("read the ledger for a snapshot: %w", err))
	}
	return &pointerSnapshot{encoded: p.encode()}, nil
}

// Restore implements raft.FSM. It only notes where the ledger must get to and returns: blocks are fetched beside raft, which
// goes on voting and storing entries meanwhile. Were it to wait here, a node that must be elected so that another can commit
// might wait for a block that this other cannot serve before it commits.
func (f *fsm) Restore(r io.ReadCloser) error {
	p, err := readPointer(r)
	if closeErr := r.Close(); err == nil {
		err = closeErr
	}
	if err != nil {
		return fmt.Errorf("read snapshot: %w", err)
	}
	return f.catchUp.start(p)
}

// pointerSnapshot writes a pointer that was taken on raft's goroutine.
type pointerSnapshot struct{ encoded []byte }

// Persist implements raft.FSMSnapshot.
func (s *pointerSnapshot) Persist(sink raft.SnapshotSink) error {
	if _, err := sink.Write(s.encoded); err != nil {
		return errors.Join(err, sink.Cancel())
	}
	return sink.Close()
}

// Release implements raft.FSMSnapshot.
func (s *pointerSnapshot) Release() {}
