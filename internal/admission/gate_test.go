package admission

import (
	"bytes"
	"fmt"
	"io"
	"log/slog"
	"net"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/net/http2"
)

// madeConn is a connection of an address that was made up.
type madeConn struct {
	net.Conn
	address string
}

func (c madeConn) RemoteAddr() net.Addr { return &net.TCPAddr{IP: net.ParseIP(c.address), Port: 1} }
func (c madeConn) Close() error         { return nil }

func testGate() *Gate { return NewGate(slog.New(slog.NewTextHandler(io.Discard, nil))) }

// TestOrganisationsShareConnections: where two organisations have all the connections that they can get, from two
// addresses and with many certificates, a third one still connects.
func TestOrganisationsShareConnections(t *testing.T) {
	g := testGate()
	connect := func(address, caller, organisation string) bool {
		c := g.admit(madeConn{address: address})
		if c == nil {
			return false
		}
		if _, err := g.Identify(c, c, caller, organisation, false); err != nil {
			_ = c.Close()
			return false
		}
		return true
	}
	got := 0
	for i := range 2 * maxConnections {
		if o := 1 + i%2; connect(fmt.Sprint("192.0.2.", o), fmt.Sprint("org", o, "/", i%64), fmt.Sprint("org", o)) {
			got++
		}
	}
	if got > maxConnections*3/4+2*maxConnections/256 {
		t.Errorf("two organisations have %d connections", got)
	}
	for i := range ownConnections {
		if !connect("192.0.2.3", "org3/node/n3", "org3") {
			t.Errorf("connection %d of a third organisation is refused", i)
		}
	}
}

// TestFullAddressClosesNoOthers: an address that has its part of the connections does not end the handshakes of others.
func TestFullAddressClosesNoOthers(t *testing.T) {
	g := testGate()
	for g.addresses.Take("192.0.2.1", "", 1) {
	}
	other := g.admit(madeConn{address: "192.0.2.2"})
	if g.admit(madeConn{address: "192.0.2.1"}) != nil {
		t.Error("a connection beyond the address' part is admitted")
	}
	if other == nil || len(g.pending) != 1 || g.pending[0] != other {
		t.Errorf("%d handshakes are left of another address, want its one", len(g.pending))
	}
}

// TestSlowMessagesEnd: a message that is not whole MessageTimeout after its first byte ends its connection. One that
// came whole ends nothing, however long its call takes.
func TestSlowMessagesEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := testGate()
		inner, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		listener := g.Listen(inner)
		defer listener.Close()
		slow, whole := newTalk(t, g), newTalk(t, g)
		whole.write([]byte{0, 0, 0, 0, 2, 1, 2})
		slow.write([]byte{0, 0, 0, 0, 2, 1})
		time.Sleep(MessageTimeout - sweepInterval)
		synctest.Wait()
		if slow.ended.Load() || whole.ended.Load() {
			t.Fatal("a connection ended before the time")
		}
		time.Sleep(3 * sweepInterval)
		synctest.Wait()
		if !slow.ended.Load() || whole.ended.Load() {
			t.Errorf("the slow one ended: %v, the other one: %v", slow.ended.Load(), whole.ended.Load())
		}
		if n := g.messages.Used(); n != 0 {
			t.Errorf("%d bytes are counted afterwards", n)
		}
	})
}

// talk is a connection with one call.
type talk struct {
	t      *testing.T
	client net.Conn
	ended  atomic.Bool
}

// newTalk begins a call on a connection and reads what comes, as gRPC does.
func newTalk(t *testing.T, g *Gate) *talk {
	client, server := net.Pipe()
	in, err := g.Identify(server, server, "org1/client/c", "org1", false)
	if err != nil {
		t.Fatal(err)
	}
	k := &talk{t: t, client: client}
	t.Cleanup(func() { _ = in.Close() })
	begun := make(chan struct{})
	go func() {
		b := make([]byte, 1024)
		for first := true; ; {
			if _, err := in.Read(b); err != nil {
				k.ended.Store(true)
				return
			}
			if in.begun != 0 && first {
				first = false
				if _, err := in.Begin(1024, false); err != nil {
					t.Error(err)
				}
				close(begun)
			}
		}
	}()
	var out bytes.Buffer
	out.WriteString(preface)
	if err := http2.NewFramer(&out, nil).WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: []byte{0x83},
		EndHeaders: true}); err != nil {
		t.Fatal(err)
	}
	if _, err := client.Write(out.Bytes()); err != nil {
		t.Fatal(err)
	}
	<-begun
	return k
}

// write sends bytes of the call's messages.
func (k *talk) write(b []byte) {
	k.t.Helper()
	if err := http2.NewFramer(k.client, nil).WriteData(1, false, b); err != nil {
		k.t.Fatal(err)
	}
}
