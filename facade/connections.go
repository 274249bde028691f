package facade

import (
	"context"
	"io"
	"net"
	"net/http"
	"strconv"
	"sync"
	"sync/atomic"
	"time"
)

// gate bounds what callers that nobody has authenticated yet can make the facade keep: the number of connections, and the memory of
// long requests that are being read. Requests may be long because the official clients send batches in the query.
type gate struct {
	net.Listener
	// slots holds one element for each open connection.
	slots chan struct{}
	// long is the sum of what the headers now in memory have beyond maxSmallHeader; limit bounds it.
	long  atomic.Int64
	limit int64
	// keepAlive has the server keep connections between requests, or close those that are idle.
	keepAlive func(bool)
	// refused counts the requests that were cut off.
	refused func(code string)

	once sync.Once
	done chan struct{}
}

func newGate(l net.Listener, connections int, limit int64) *gate {
	return &gate{Listener: l, slots: make(chan struct{}, connections), limit: limit, done: make(chan struct{}),
		keepAlive: func(bool) {}, refused: func(string) {}}
}

// Accept waits until there is room for another connection. While there is none, connections that are idle are given up for new ones.
func (g *gate) Accept() (net.Conn, error) {
	select {
	case g.slots <- struct{}{}:
		if len(g.slots) <= cap(g.slots)*3/4 {
			g.keepAlive(true)
		}
	default:
		g.keepAlive(false)
		select {
		case g.slots <- struct{}{}:
		case <-g.done:
			return nil, net.ErrClosed
		}
	}
	c, err := g.Listener.Accept()
	if err != nil {
		<-g.slots
		return nil, err
	}
	return &connection{Conn: c, gate: g}, nil
}

// Close ends Accept.
func (g *gate) Close() error {
	g.once.Do(func() { close(g.done) })
	return g.Listener.Close()
}

// connection counts what is read of a request until its handler begins: net/http keeps all of that in memory.
type connection struct {
	net.Conn
	gate *gate

	mu sync.Mutex
	// header is what was read of the request so far; reserved is what it holds of the gate's limit.
	header, reserved int64
	// serving is set while a handler runs: what is read then is a body, which the handler bounds itself.
	serving, closed bool
}

// Read reads, unless too much is read already.
func (c *connection) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	if code := c.count(int64(n)); code != "" {
		c.gate.refused(code)
		c.refuse(code)
		return 0, io.EOF
	}
	return n, err
}

// count adds to the header, and says with what error it is refused.
func (c *connection) count(n int64) (code string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.serving || c.closed {
		return ""
	}
	c.header += n
	more := c.header - maxSmallHeader - c.reserved
	switch {
	case c.header > maxHeaderBytes:
		return codeURLTooLong
	case more <= 0:
		return ""
	case c.gate.long.Add(more) > c.gate.limit:
		c.gate.long.Add(-more)
		return codeThrottling
	}
	c.reserved += more
	return ""
}

// begin says that the request's header has been read. What it reserved stays reserved until idle: the handler works on it.
func (c *connection) begin() {
	c.mu.Lock()
	c.serving = true
	c.mu.Unlock()
}

// idle says that the request is over, and what was left of its body thrown away.
func (c *connection) idle() {
	c.mu.Lock()
	c.serving = false
	c.release()
	c.mu.Unlock()
}

// release forgets the request. Call it with mu held.
func (c *connection) release() {
	c.gate.long.Add(-c.reserved)
	c.header, c.reserved = 0, 0
}

// Close closes the connection and makes room for another.
func (c *connection) Close() error {
	err := c.Conn.Close()
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.closed {
		c.closed = true
		c.release()
		<-c.gate.slots
	}
	return err
}

// CloseWrite tells the caller that there is no more to read; net/http uses it to have a last answer arrive.
func (c *connection) CloseWrite() error {
	if w, ok := c.Conn.(interface{ CloseWrite() error }); ok {
		return w.CloseWrite()
	}
	return nil
}

// refuse answers a request that nobody will read to its end, in the form of every gateway error. What the caller still sends is thrown
// away for a moment, since closing at once would have its answer thrown away.
func (c *connection) refuse(code string) {
	a := answer{gateway: gateway(code), host: c.LocalAddr().String()}
	newRequestID(&a.requestID)
	body := a.appendBody(nil)
	head := "HTTP/1.1 " + strconv.Itoa(a.status()) + " " + http.StatusText(a.status()) + "\r\nContent-Type: application/json;charset=utf-8\r\n" +
		"Content-Length: " + strconv.Itoa(len(body)) + "\r\nConnection: close\r\n\r\n"
	c.mu.Lock()
	c.release()
	c.mu.Unlock()
	_ = c.SetDeadline(time.Now().Add(refusedTimeout))
	if _, err := c.Write(append([]byte(head), body...)); err != nil {
		return
	}
	_ = c.CloseWrite()
	_, _ = io.CopyN(io.Discard, c.Conn, maxHeaderBytes) // whatever comes of it, the connection is closed next
}

// connState is http.Server.ConnState.
func connState(c net.Conn, state http.ConnState) {
	if c, ok := c.(*connection); ok && state == http.StateIdle {
		c.idle()
	}
}

// connectionKey finds a request's connection in its context.
type connectionKey struct{}

// withConnection is http.Server.ConnContext.
func withConnection(ctx context.Context, c net.Conn) context.Context {
	return context.WithValue(ctx, connectionKey{}, c)
}

// beginRequest says that the request with this context has a handler now.
func beginRequest(ctx context.Context) {
	if c, ok := ctx.Value(connectionKey{}).(*connection); ok {
		c.begin()
	}
}
