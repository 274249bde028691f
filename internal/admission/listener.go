package admission

import (
	"net"
	"slices"
	"sync"
	"syscall"
	"time"
)

// listener bounds the connections that it accepts.
type listener struct {
	net.Listener
	gate *Gate
	done chan struct{}
	once sync.Once
	wg   sync.WaitGroup
}

// Listen bounds the connections of a listener: in all, of one address, and those that have not shown a certificate
// yet. Its connections are of type *Conn.
func (g *Gate) Listen(l net.Listener) net.Listener {
	bounded := &listener{Listener: l, gate: g, done: make(chan struct{})}
	bounded.wg.Go(bounded.sweep)
	return bounded
}

// Accept waits for a connection within the bounds. One beyond them is closed.
func (l *listener) Accept() (net.Conn, error) {
	for {
		raw, err := l.Listener.Accept()
		if err != nil {
			return nil, err // of descriptors that ran out too: gRPC tries again
		}
		if c := l.gate.admit(raw); c != nil {
			return c, nil
		}
		_ = raw.Close() // nothing was sent on it
	}
}

// Close ends Accept and the sweeping.
func (l *listener) Close() error {
	err := l.Listener.Close()
	l.once.Do(func() { close(l.done) })
	l.wg.Wait()
	return err
}

// sweep ends connections whose messages come too slowly.
func (l *listener) sweep() {
	tick := time.NewTicker(sweepInterval)
	defer tick.Stop()
	for {
		select {
		case now := <-tick.C:
			l.gate.sweep(now)
		case <-l.done:
			return
		}
	}
}

// Conn is an admitted connection.
type Conn struct {
	net.Conn
	gate    *Gate
	address string
	once    sync.Once
}

// admit counts a new connection. It returns nil for one beyond a bound.
func (g *Gate) admit(raw net.Conn) *Conn {
	address := raw.RemoteAddr().String()
	if host, _, err := net.SplitHostPort(address); err == nil {
		address = host
	}
	setUserTimeout(raw)
	c := &Conn{Conn: raw, gate: g, address: address}
	for !g.addresses.Take(address, "", 1) {
		// Connections that have shown no certificate make room, those of the same address first. An address that has its part
		// closes none of others: they would never get through a handshake beside it.
		reason, oldest := reasonAddress, g.oldest(address)
		if g.addresses.Used() >= g.addresses.total {
			reason = reasonConnections
			if oldest == nil {
				oldest = g.oldest("")
			}
		}
		if oldest != nil {
			g.refuse(reasonHandshakes, "address", oldest.address)
			_ = oldest.Close()
			continue
		}
		g.refuse(reason, "address", address)
		return nil
	}
	g.mu.Lock()
	g.pending = append(g.pending, c)
	same := 0
	for _, p := range g.pending {
		if p.address == address {
			same++
		}
	}
	all := len(g.pending)
	g.mu.Unlock()
	if same > g.perAddress || all > g.handshakes {
		if same <= g.perAddress {
			address = ""
		}
		if oldest := g.oldest(address); oldest != nil && oldest != c {
			g.refuse(reasonHandshakes, "address", oldest.address)
			_ = oldest.Close()
		}
	}
	return c
}

// setUserTimeout ends a connection whose peer acknowledges nothing that was sent to it. gRPC sets it on connections that
// it has accepted itself.
func setUserTimeout(raw net.Conn) {
	c, ok := raw.(*net.TCPConn)
	if !ok {
		return
	}
	control, err := c.SyscallConn()
	if err != nil {
		return // it is closed
	}
	_ = control.Control(func(fd uintptr) { // without it keepalive ends the connection, seconds later
		_ = syscall.SetsockoptInt(int(fd), syscall.IPPROTO_TCP, tcpUserTimeout, int(userTimeout/time.Millisecond))
	})
}

// oldest is the oldest connection without a certificate of an address, or of any where address is empty; nil for none.
func (g *Gate) oldest(address string) *Conn {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, p := range g.pending {
		if address == "" || p.address == address {
			return p
		}
	}
	return nil
}

// identify takes the connection off those without a certificate.
func (c *Conn) identify() {
	c.gate.mu.Lock()
	defer c.gate.mu.Unlock()
	if i := slices.Index(c.gate.pending, c); i >= 0 {
		c.gate.pending = slices.Delete(c.gate.pending, i, i+1)
	}
}

// Close closes the connection and gives back its place.
func (c *Conn) Close() error {
	c.once.Do(func() {
		c.identify()
		c.gate.addresses.Give(c.address, "", 1)
	})
	return c.Conn.Close()
}
