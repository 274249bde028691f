package console

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"sync"
	"time"

	"ltl/client"
)

// hub hands on which blocks are made, to the streams of all browsers. It follows the network while there are any.
type hub struct {
	// follow calls fn with each new block of any chain, until ctx ends.
	follow func(ctx context.Context, fn func(client.BlockHeader)) error

	mu      sync.Mutex
	streams map[*stream]bool
	stop    context.CancelFunc // ends following; nil while nothing is followed
	closed  bool
	running sync.WaitGroup
}

// stream is one browser that watches one chain.
type stream struct {
	chain string
	// newest holds the newest block that was not sent yet: a browser that is slow misses some, and no memory grows.
	newest chan client.BlockHeader
	// ended is closed when the console closes.
	ended chan struct{}
}

func newHub(follow func(context.Context, func(client.BlockHeader)) error) *hub {
	return &hub{follow: follow, streams: map[*stream]bool{}}
}

// join begins a stream; nil when there are too many, or the console closes.
func (h *hub) join(chain string) *stream {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closed || len(h.streams) >= maxStreams {
		return nil
	}
	s := &stream{chain: chain, newest: make(chan client.BlockHeader, 1), ended: make(chan struct{})}
	h.streams[s] = true
	if h.stop == nil {
		ctx, cancel := context.WithCancel(context.Background())
		h.stop = cancel
		h.running.Go(func() { h.run(ctx) })
	}
	return s
}

// leave ends a stream. With the last one following ends.
func (h *hub) leave(s *stream) {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.streams, s)
	if len(h.streams) == 0 && h.stop != nil {
		h.stop()
		h.stop = nil
	}
}

// run follows the network until ctx ends. When that fails it tries again after a pause.
func (h *hub) run(ctx context.Context) {
	for ctx.Err() == nil {
		// The error is that of ctx, or the network does not answer, which the pages say.
		_ = h.follow(ctx, h.deliver)
		wait(ctx, followAgain)
	}
}

// deliver hands a block to the streams of its chain.
func (h *hub) deliver(b client.BlockHeader) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for s := range h.streams {
		if s.chain != b.ChainID {
			continue
		}
		select {
		case <-s.newest: // the one before was not sent
		default:
		}
		s.newest <- b
	}
}

// close ends all streams and waits until nothing is followed.
func (h *hub) close() {
	h.mu.Lock()
	if !h.closed {
		h.closed = true
		for s := range h.streams {
			close(s.ended)
		}
		if h.stop != nil {
			h.stop()
		}
	}
	h.mu.Unlock()
	h.running.Wait()
}

// followNetwork is hub.follow: it begins at the newest block of the system chain.
func (c *Console) followNetwork(ctx context.Context, fn func(client.BlockHeader)) error {
	next, err := c.nextSequence(ctx)
	if err != nil {
		return err
	}
	return c.ledger.FollowHeaders(ctx, next, func(b client.BlockHeader) error {
		fn(b)
		return nil
	})
}

// nextSequence is the sequence number of the next block, as the first node says that answers.
func (c *Console) nextSequence(ctx context.Context) (next uint64, err error) {
	ctx, cancel := context.WithTimeout(ctx, requestTime)
	defer cancel()
	if c.own != nil {
		st, err := c.ledger.Status(ctx, c.own.endorser())
		return st.GetSequence(), err
	}
	for _, n := range c.cfg.Trust.Genesis().GetNodes() {
		st, failed := c.ledger.Status(ctx, n.GetId())
		if failed == nil {
			return st.GetSequence(), nil
		}
		err = failed
	}
	return 0, err
}

// Close ends the streams of all browsers and waits for what the console started.
func (c *Console) Close() { c.hub.close() }

// liveBlock is what a stream sends of a block.
type liveBlock struct {
	Height        uint64   `json:"height"`
	Time          string   `json:"time"`
	Hash          string   `json:"hash"`
	Transactions  int      `json:"transactions"`
	Refused       int      `json:"refused"`
	Organisations []string `json:"organisations"`
}

// live sends the blocks of a chain as they are made, as server-sent events, at most two a second: the newest, and not all
// that were made meanwhile. It is no activity of the session, and ends with it and with the right to see the chain.
func (v *visit) live() (*view, error) {
	v.release() // a stream has a bound of its own
	v.leave()
	s := v.hub.join(v.chain.ID())
	if s == nil {
		return nil, &failure{status: http.StatusServiceUnavailable, key: "error.busy"}
	}
	defer v.hub.leave(s)
	out := http.NewResponseController(v.w)
	h := v.w.Header()
	h.Set("Content-Type", "text/event-stream")
	_ = out.SetReadDeadline(time.Time{})
	check := time.NewTicker(checkStream)
	defer check.Stop()
	send := func(text string) bool {
		_ = out.SetWriteDeadline(time.Now().Add(requestTime))
		_, err := v.w.Write([]byte(text))
		return err == nil && out.Flush() == nil
	}
	if !send("retry: 3000\n\n") {
		return nil, errAnswered
	}
	for {
		select {
		case b := <-s.newest:
			event, err := v.event(b)
			if err != nil || !send(event) {
				return nil, errAnswered
			}
			wait(v.r.Context(), streamPause)
		case <-check.C:
			if !v.stillSees() || !send(": here\n\n") {
				return nil, errAnswered
			}
		case <-s.ended:
			return nil, errAnswered
		case <-v.r.Context().Done():
			return nil, errAnswered
		}
	}
}

// stillSees reports whether the session and the account's right on the chain are still there.
func (v *visit) stillSees() bool {
	now, err := v.resume()
	if err != nil || now == nil {
		return false
	}
	_, err = v.readChain(v.chain.ID())
	return err == nil
}

// event is a block as an event.
func (v *visit) event(b client.BlockHeader) (string, error) {
	ctx, cancel := context.WithTimeout(v.r.Context(), requestTime)
	defer cancel()
	inner := *v
	inner.r = v.r.WithContext(ctx)
	rows, err := inner.readBlocks(b.Height, 1)
	if err != nil || len(rows) == 0 {
		return "", err
	}
	row := rows[0]
	data, err := json.Marshal(liveBlock{Height: row.Height, Time: row.Time.UTC().Format(time.RFC3339Nano), Hash: row.Hash,
		Transactions: row.Transactions, Refused: row.Refused, Organisations: append([]string{}, slices.Clone(row.Organisations)...)})
	return fmt.Sprintf("event: block\nid: %d\ndata: %s\n\n", row.Height, data), err
}
