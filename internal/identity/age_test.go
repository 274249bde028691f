package identity_test

import (
	"crypto/tls"
	"errors"
	"io"
	"net"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/net/http2"
	"google.golang.org/grpc"

	ltlv1 "ltl/proto/ltl/v1"
)

// oneConnection is a listener that accepts one connection.
type oneConnection struct {
	conns  chan net.Conn
	closed chan struct{}
}

func (l oneConnection) Addr() net.Addr { return &net.TCPAddr{} }
func (l oneConnection) Close() error   { close(l.closed); return nil }
func (l oneConnection) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

// TestConnectionsAge: an hour after it was opened, give or take the tenth that gRPC varies it by, a server asks the caller
// to connect again, and then closes the connection.
func TestConnectionsAge(t *testing.T) {
	f := start(t)
	pair, err := tls.LoadX509KeyPair(filepath.Join(f.dir, "clients/bench/tls.pem"),
		filepath.Join(f.dir, "clients/bench/tls.key"))
	if err != nil {
		t.Fatal(err)
	}
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		own := f.credentials(t, "nodes/n1")
		server := grpc.NewServer(own.ServerOptions(testACL())...)
		ltlv1.RegisterLedgerServer(server, ledgerService{})
		l := oneConnection{make(chan net.Conn, 1), make(chan struct{})}
		done := make(chan error, 1)
		go func() { done <- server.Serve(own.Gate().Listen(l)) }()
		here, there := net.Pipe()
		l.conns <- there
		conn := tls.Client(here, &tls.Config{InsecureSkipVerify: true, Certificates: []tls.Certificate{pair},
			NextProtos: []string{"h2"}})
		asked, ended := converse(t, conn)
		server.Stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
		if age := asked.Sub(began); age < 54*time.Minute || age > 66*time.Minute {
			t.Errorf("the caller was asked to connect again after %v", age)
		}
		if left := ended.Sub(asked); left < 0 || left > 6*time.Minute {
			t.Errorf("the connection ended %v after that", left)
		}
	})
}

// converse answers what a server sends on an idle connection until it is closed, and returns when it asked to connect
// again, and when it closed the connection.
func converse(t *testing.T, conn net.Conn) (asked, ended time.Time) {
	f := http2.NewFramer(conn, conn)
	written := make(chan error, 1)
	go func() { // the server writes before it reads
		_, err := io.WriteString(conn, http2.ClientPreface)
		written <- errors.Join(err, f.WriteSettings())
	}()
	for {
		frame, err := f.ReadFrame()
		if err != nil {
			return asked, time.Now()
		}
		switch frame := frame.(type) {
		case *http2.SettingsFrame:
			if frame.IsAck() {
				continue
			}
			if err := <-written; err != nil {
				t.Error(err)
			}
			_ = f.WriteSettingsAck()
		case *http2.PingFrame:
			if !frame.IsAck() {
				_ = f.WritePing(true, frame.Data)
			}
		case *http2.GoAwayFrame:
			if asked.IsZero() {
				asked = time.Now()
			}
		}
	}
}
