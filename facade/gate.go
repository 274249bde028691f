package facade

import (
	"context"
	"io"
	"net"
	"net/http"
	"strconv"
	"sync"
	"time"

	"ltl/internal/admission"
)

// gate bounds the resources that callers take before they are authenticated: the number of connections, and the
// memory of long requests while they are read. Requests may be long because the official clients send batches in the
// query.
type gate struct {
	net.Listener
	// slots holds one element for each open connection.
	slots chan struct{}
	// long is the bytes beyond maxSmallHeader of all headers in memory, by address.
	long *admission.Shares
	// keepAlive makes the server keep idle connections (true) or close them (false).
	keepAlive func(bool)
	// refused counts a request that was refused while it was read.
	refused func(code string)

	once sync.Once
	done chan struct{}
}

// newGate bounds the connections of l to that number, and their long headers together to limit bytes.
func newGate(l net.Listener, connections int, limit int64) *gate {
	return &gate{Listener: l, slots: make(chan struct{}, connections),
		long: admission.NewShares(limit, limit/4, limit, 0), done: make(chan struct{}), keepAlive: func(bool) {},
		refused: func(string) {}}
}

// Accept waits for a free slot, then for a connection. While no slot is free, idle connections are closed in favour
// of new ones.
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
	return &connection{Conn: c, gate: g, address: addressOf(c.RemoteAddr().String())}, nil
}

// Close ends Accept.
func (g *gate) Close() error {
	g.once.Do(func() { close(g.done) })
	return g.Listener.Close()
}

// connection counts the bytes that are read of a request until its handler begins, because net/http keeps all of them
// in memory.
type connection struct {
	net.Conn
	gate    *gate
	address string

	mu sync.Mutex
	// header is the number of bytes read of the request so far; reserved is its share of gate.long.
	header, reserved int64
	// serving is set while a handler runs. Bytes read then are a body, which the handler bounds.
	serving, closed bool
	// streams is set of a connection of HTTP/2, whose server bounds headers itself.
	streams bool
}

// Read reads from the connection. When the header is over a bound, it sends the error response and ends the connection.
func (c *connection) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	if code := c.count(int64(n)); code != "" {
		c.gate.refused(code)
		c.refuse(code)
		return 0, io.EOF
	}
	return n, err
}

// count adds n bytes to the header; code is the gateway error with which the request is refused, if it is.
func (c *connection) count(n int64) (code string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.serving || c.closed || c.streams {
		return ""
	}
	c.header += n
	more := c.header - maxSmallHeader - c.reserved
	switch {
	case c.header > maxHeaderBytes:
		return codeURLTooLong
	case more <= 0:
		return ""
	case !c.gate.long.Take(c.address, "", more):
		return codeThrottling
	}
	c.reserved += more
	return ""
}

// begin marks the end of the request's header. Its bytes stay reserved until idle, because the handler works on them.
func (c *connection) begin() {
	c.mu.Lock()
	c.serving = true
	c.mu.Unlock()
}

// idle marks the end of the request, after the rest of its body has been discarded.
func (c *connection) idle() {
	c.mu.Lock()
	c.serving = false
	c.release()
	c.mu.Unlock()
}

// release gives back the bytes of the request. The caller holds mu.
func (c *connection) release() {
	if c.reserved > 0 {
		c.gate.long.Give(c.address, "", c.reserved)
	}
	c.header, c.reserved = 0, 0
}

// Close closes the connection and frees its slot.
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

// CloseWrite ends the sending side; net/http calls it so that a last response arrives.
func (c *connection) CloseWrite() error {
	if w, ok := c.Conn.(interface{ CloseWrite() error }); ok {
		return w.CloseWrite()
	}
	return nil
}

// refuse sends a gateway error to a request that is not read to its end. For refusedTimeout it discards what the
// caller still sends: closing at once would reset the connection, and the caller would lose the response.
func (c *connection) refuse(code string) {
	a := response{gateway: gateway(code), host: c.LocalAddr().String()}
	newRequestID(&a.requestID)
	body := a.appendBody(nil)
	head := "HTTP/1.1 " + strconv.Itoa(a.status()) + " " + http.StatusText(a.status()) + "\r\n" +
		"Content-Type: application/json;charset=utf-8\r\n" +
		"Content-Length: " + strconv.Itoa(len(body)) + "\r\nConnection: close\r\n"
	if code == codeThrottling {
		head += "Retry-After: 1\r\n"
	}
	head += "\r\n"
	c.mu.Lock()
	c.release()
	c.mu.Unlock()
	_ = c.SetDeadline(time.Now().Add(refusedTimeout))
	if _, err := c.Write(append([]byte(head), body...)); err != nil {
		return
	}
	_ = c.CloseWrite()
	_, _ = io.CopyN(io.Discard, c.Conn, maxHeaderBytes) // errors do not matter: the connection is closed next
}

// connState is http.Server.ConnState.
func connState(c net.Conn, state http.ConnState) {
	if c, ok := c.(*connection); ok && state == http.StateIdle {
		c.idle()
	}
}

// connectionKey is the context key of a request's connection.
type connectionKey struct{}

// withConnection is http.Server.ConnContext.
func withConnection(ctx context.Context, c net.Conn) context.Context {
	return context.WithValue(ctx, connectionKey{}, c)
}

// beginRequest calls begin of the connection in a request's context.
func beginRequest(ctx context.Context) {
	if c, ok := ctx.Value(connectionKey{}).(*connection); ok {
		c.begin()
	}
}
