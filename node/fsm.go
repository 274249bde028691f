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
	"google.golang.org/protobuf/proto"

	"ltl/internal/rules"
	"ltl/internal/store"
	"ltl/internal/tracing"
	ltlv1 "ltl/proto/ltl/v1"
)

// errStopped answers an entry that was committed while this node was stopping. It is executed after the next start.
var errStopped = errors.New("node is stopping")

// fsm executes committed entries. Raft calls ApplyBatch, Snapshot and Restore from one goroutine. The fsm outlives a
// restart of raft inside the process.
//
// No entry can be skipped. Whatever fails here is a bug, a broken disk or a program that is too old, and each of them
// must stop the node before its ledger differs from the others.
type fsm struct {
	ctx     context.Context // ends when the node stops; after that no entry is executed
	store   *store.Store
	logger  *slog.Logger
	fatal   func(error)
	catchUp *catchUp
	observe func(entries int, took time.Duration)
	// committed hears of each committed entry before it is executed; nil where it is not needed.
	committed func(index, term uint64)
	// executed is nil when traces are off.
	executed *executions

	mu     sync.Mutex
	halted error
}

// Apply implements raft.FSM. Raft calls ApplyBatch instead.
func (f *fsm) Apply(l *raft.Log) any { return f.ApplyBatch([]*raft.Log{l})[0] }

// ApplyBatch implements raft.BatchingFSM: one database transaction for the whole group. A response is a
// *store.EntryResult or an error.
func (f *fsm) ApplyBatch(logs []*raft.Log) []any {
	responses := make([]any, len(logs))
	if newest := logs[len(logs)-1]; f.committed != nil {
		f.committed(newest.Index, newest.Term)
	}
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
			continue // an entry of raft itself, such as a configuration
		}
		e, err := decodeEntry(l.Data)
		if err != nil {
			return f.halt(fmt.Errorf("entry %d of the Raft log cannot be executed, and this ledger would differ from the "+
				"others without it: %w; "+
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

// ready waits until the ledger has every block below the next entry. It returns an error once the node stops.
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

// halt stops execution for good and reports the first error to the process. It returns err.
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

// Snapshot implements raft.FSM. A snapshot is a catch-up target: it names what was executed and contains no blocks.
func (f *fsm) Snapshot() (raft.FSMSnapshot, error) {
	if f.catchUp.busy() {
		return nil, errors.New("this node is fetching blocks; it makes no snapshot until it has them")
	}
	if err := f.ready(); err != nil {
		return nil, err
	}
	// The log may be cut below the snapshot, and it is where openings come from that a power cut takes.
	if err := f.store.SyncOpenings(); err != nil {
		return nil, f.halt(fmt.Errorf("make openings durable for a snapshot: %w", err))
	}
	p, err := newTarget(f.store)
	if err != nil {
		return nil, f.halt(fmt.Errorf("read the ledger for a snapshot: %w", err))
	}
	return &targetSnapshot{encoded: p.encode()}, nil
}

// Restore implements raft.FSM. It only records the catch-up target that the ledger must reach, and returns: blocks are
// fetched in the background while raft goes on voting and storing entries. If it waited here, two nodes could wait
// for each other: one for a block that the other can serve only after a commit, and the other for the vote that the
// commit needs.
func (f *fsm) Restore(r io.ReadCloser) error {
	p, err := readTarget(r)
	if closeErr := r.Close(); err == nil {
		err = closeErr
	}
	if err != nil {
		return fmt.Errorf("read snapshot: %w", err)
	}
	return f.catchUp.start(p)
}

// entryVersion is the format of Raft entries that this program writes, and the only one that it reads.
const entryVersion = 1

// errEntry is wrapped by the errors of decodeEntry for bytes that this program does not understand.
var errEntry = errors.New("unknown Raft entry")

// encodeEntry returns the bytes of a Raft entry: one byte of version, then the Entry message.
func encodeEntry(e *ltlv1.Entry) ([]byte, error) {
	b := make([]byte, 1, 1+proto.Size(e))
	b[0] = entryVersion
	b, err := proto.MarshalOptions{}.MarshalAppend(b, e)
	if err != nil {
		return nil, fmt.Errorf("encode entry: %w", err)
	}
	return b, nil
}

// decodeEntry reads a Raft entry. It is strict: a field that this program does not know may change the meaning of the
// entry, and a node that ignores what others execute gets another ledger.
func decodeEntry(b []byte) (*ltlv1.Entry, error) {
	if len(b) == 0 {
		return nil, fmt.Errorf("%w: it is empty", errEntry)
	}
	if b[0] != entryVersion {
		return nil, fmt.Errorf("%w: it has format version %d, this program knows version %d; a newer program is needed",
			errEntry, b[0], entryVersion)
	}
	e := &ltlv1.Entry{}
	if err := proto.Unmarshal(b[1:], e); err != nil {
		return nil, fmt.Errorf("%w: %w", errEntry, err)
	}
	switch content := e.GetEntry().(type) {
	case *ltlv1.Entry_Batches:
		if unknownFields(e, content.Batches) || unknownInBatches(content.Batches.GetBatches()) {
			return nil, fmt.Errorf("%w: its batches have fields that this program does not know", errEntry)
		}
	case *ltlv1.Entry_Sealed:
		if unknownFields(e, content.Sealed) {
			return nil, fmt.Errorf("%w: its sealed secret has fields that this program does not know", errEntry)
		}
	default:
		return nil, fmt.Errorf("%w: it is of a type that this program does not know", errEntry)
	}
	return e, nil
}

func unknownFields(messages ...proto.Message) bool {
	for _, m := range messages {
		if len(m.ProtoReflect().GetUnknown()) > 0 {
			return true
		}
	}
	return false
}

func unknownInBatches(batches []*ltlv1.Batch) bool {
	for _, b := range batches {
		if unknownFields(b) {
			return true
		}
		for _, e := range b.GetEndorsements() {
			if unknownFields(e) {
				return true
			}
		}
		for _, o := range b.GetOpenings() {
			if rules.UnknownInOpenings(o) {
				return true
			}
		}
	}
	return false
}

// executions remembers when the newest groups of entries were executed, for the traces of their callers. A nil
// *executions remembers nothing.
type executions struct {
	mu     sync.Mutex
	newest [16]execution
	next   int
}

// execution is a group of entries that were executed in one database transaction.
type execution struct {
	first, last uint64
	began, over time.Time
}

// newExecutions returns nil when traces are off.
func newExecutions(t *tracing.Tracer) *executions {
	if t == nil {
		return nil
	}
	return &executions{}
}

func (x *executions) note(first, last uint64, began time.Time, took time.Duration) {
	if x == nil {
		return
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	x.newest[x.next%len(x.newest)] = execution{first, last, began, began.Add(took)}
	x.next++
}

// of returns the execution that contains an entry, if it is remembered.
func (x *executions) of(index uint64) (execution, bool) {
	if x == nil {
		return execution{}, false
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	for _, e := range x.newest {
		if e.first <= index && index <= e.last {
			return e, true
		}
	}
	return execution{}, false
}
