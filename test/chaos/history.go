package chaos

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"time"
)

// Outcome is what a caller knows of its call when it stops trying.
type Outcome string

// The outcomes of a call.
const (
	// OK is an answer with success. For a write it means: it is on the chain.
	OK Outcome = "ok"
	// Exists is the answer that the record is there already. After a repeated write it means that one of the attempts was
	// written, or another caller's.
	Exists Outcome = "exists"
	// Absent is the answer that there is no such record.
	Absent Outcome = "absent"
	// Unknown is no answer that says whether the call took effect.
	Unknown Outcome = "unknown"
	// Wrong is an answer that the API's contract does not have for such a call; Detail holds it.
	Wrong Outcome = "wrong"
)

// The Actions that callers use.
const (
	SetData   = "SetData"
	Attach    = "AttachData"
	GetData   = "GetData"
	Count     = "GetHistoryDataCount"
	List      = "GetHistoryDataList"
	ChainInfo = "GetBlockChainInfo"
)

// Evidence is where GetBlockChainInfo says that a record stands.
type Evidence struct {
	Height          uint64 `json:"height"`
	BlockHash       string `json:"blockHash"`
	TransactionHash string `json:"transactionHash"`
}

// Op is one call of a caller, all its attempts together. Times are nanoseconds since the history began.
type Op struct {
	ID     int    `json:"id"`
	Client int    `json:"client"`
	Action string `json:"action"`
	Key    string `json:"key"`
	// Node is the node that was asked directly, not through a facade.
	Node       string  `json:"node,omitempty"`
	BusinessID string  `json:"businessId,omitempty"`
	Value      string  `json:"value,omitempty"`
	Call       int64   `json:"call"`
	Return     int64   `json:"return,omitempty"` // 0 while there was none
	Outcome    Outcome `json:"outcome,omitempty"`
	Attempts   int     `json:"attempts,omitempty"`
	// Twice says that an attempt was sent twice at the same time, to two facades.
	Twice bool `json:"twice,omitempty"`
	// Replayed says that the request was sent once more, some time after its answer.
	Replayed bool `json:"replayed,omitempty"`
	// Read is what a reading call was told: a value, or of List all values, the oldest first; Count the number.
	Read   []string  `json:"read,omitempty"`
	Number int       `json:"number,omitempty"`
	Proof  *Evidence `json:"proof,omitempty"`
	Detail string    `json:"detail,omitempty"`
}

// writes reports whether the call is one that adds a record.
func (o *Op) writes() bool { return o.Action == SetData || o.Action == Attach }

// History collects calls, in memory and in a file outside the network's directory: one line when a call begins and one
// when it returns, so that after a crash of this program a line without the other is a call with an unknown outcome. It
// may be used concurrently.
type History struct {
	began time.Time

	mu   sync.Mutex
	file *os.File      // nil for a history in memory only
	out  *bufio.Writer // guarded by mu
	ops  []*Op
	err  error // the first failure to write
}

// NewHistory begins a history in a new file.
func NewHistory(path string) (*History, error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, fmt.Errorf("couldn't create the history: %w", err)
	}
	return &History{began: time.Now(), file: f, out: bufio.NewWriter(f)}, nil
}

// now is the time of the history; it never goes back.
func (h *History) now() time.Duration { return time.Since(h.began) }

// begin notes that a call is about to be made.
func (h *History) begin(o *Op) {
	h.mu.Lock()
	defer h.mu.Unlock()
	o.ID = len(h.ops)
	o.Call = int64(h.now())
	h.ops = append(h.ops, o)
	h.write(o)
}

// end notes what came of a call; complete fills it in under the lock.
func (h *History) end(o *Op, complete func()) {
	h.mu.Lock()
	defer h.mu.Unlock()
	complete()
	o.Return = int64(h.now())
	h.write(o)
}

func (h *History) write(o *Op) {
	line, err := json.Marshal(o)
	if err == nil {
		_, err = h.out.Write(append(line, '\n'))
	}
	h.err = errors.Join(h.err, err)
	if len(h.ops)%64 == 0 {
		h.err = errors.Join(h.err, h.out.Flush())
	}
}

// all are the calls so far.
func (h *History) all() []*Op {
	h.mu.Lock()
	defer h.mu.Unlock()
	return append([]*Op(nil), h.ops...)
}

// Close writes what is not written yet, and returns all calls.
func (h *History) Close() ([]*Op, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, o := range h.ops {
		if o.Outcome == "" {
			o.Outcome = Unknown
		}
	}
	if err := errors.Join(h.err, h.out.Flush(), h.file.Sync(), h.file.Close()); err != nil {
		return nil, fmt.Errorf("couldn't write the history: %w", err)
	}
	return h.ops, nil
}

// ReadHistory reads the calls of a file; one that never returned has the outcome Unknown.
func ReadHistory(r io.Reader) ([]*Op, error) {
	var ops []*Op
	d := json.NewDecoder(r)
	for {
		var o Op
		err := d.Decode(&o)
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) { // the last line may be half of one
			break
		}
		if err != nil {
			return nil, fmt.Errorf("couldn't read call %d of the history: %w", len(ops), err)
		}
		switch {
		case o.ID == len(ops):
			ops = append(ops, &o)
		case o.ID >= 0 && o.ID < len(ops):
			*ops[o.ID] = o
		default:
			return nil, fmt.Errorf("couldn't read the history: call %d follows call %d", o.ID, len(ops)-1)
		}
	}
	for _, o := range ops {
		if o.Outcome == "" {
			o.Outcome = Unknown
		}
	}
	return ops, nil
}
