// Package hostile is a gRPC caller that does not behave: it has a certificate of the network and speaks HTTP/2 frame by
// frame.
package hostile

import (
	"bytes"
	"crypto/tls"
	"encoding/binary"
	"io"
	"net"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// Caller is a connection of a hostile caller. Its methods must not be called concurrently.
type Caller struct {
	*http2.Framer
	conn  net.Conn
	block bytes.Buffer
	hpack *hpack.Encoder
	next  uint32
}

// Connect connects to addr with the certificate in dir and does no more than the TLS handshake.
func Connect(addr, dir string) (net.Conn, error) {
	pair, err := tls.LoadX509KeyPair(filepath.Join(dir, "tls.pem"), filepath.Join(dir, "tls.key"))
	if err != nil {
		return nil, err
	}
	return tls.Dial("tcp", addr, &tls.Config{InsecureSkipVerify: true, Certificates: []tls.Certificate{pair},
		NextProtos: []string{"h2"}})
}

// New connects to addr with the certificate in dir and begins HTTP/2.
func New(addr, dir string) (*Caller, error) {
	conn, err := Connect(addr, dir)
	if err != nil {
		return nil, err
	}
	c := &Caller{Framer: http2.NewFramer(conn, conn), conn: conn, next: 1}
	c.hpack = hpack.NewEncoder(&c.block)
	if _, err = io.WriteString(conn, http2.ClientPreface); err == nil {
		err = c.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: 1 << 30})
	}
	if err != nil {
		_ = conn.Close()
		return nil, err
	}
	return c, nil
}

// Begin begins a call of a method and announces a message of length bytes. It returns the number of the call.
func (c *Caller) Begin(method string, length uint32) (id uint32, err error) {
	id = c.next
	c.next += 2
	c.block.Reset()
	for _, field := range [][2]string{{":method", "POST"}, {":scheme", "https"}, {":path", method}, {":authority", "x"},
		{"content-type", "application/grpc"}, {"te", "trailers"}} {
		if err := c.hpack.WriteField(hpack.HeaderField{Name: field[0], Value: field[1]}); err != nil {
			return id, err
		}
	}
	if err := c.WriteHeaders(http2.HeadersFrameParam{StreamID: id, BlockFragment: c.block.Bytes(),
		EndHeaders: true}); err != nil {
		return id, err
	}
	return id, c.WriteData(id, false, binary.BigEndian.AppendUint32([]byte{0}, length))
}

// Send sends n bytes of a call's message in frames of that size.
func (c *Caller) Send(id uint32, n, frame int) error {
	for b := make([]byte, frame); n > 0; n -= frame {
		if err := c.WriteData(id, false, b[:min(n, frame)]); err != nil {
			return err
		}
	}
	return nil
}

// Ended waits up to five seconds for the server to close the connection, and reports whether it did.
func (c *Caller) Ended() bool {
	_ = c.conn.SetReadDeadline(time.Now().Add(5 * time.Second))
	_, err := io.Copy(io.Discard, c.conn)
	return err == nil || !strings.Contains(err.Error(), "timeout")
}

// Close closes the connection.
func (c *Caller) Close() error { return c.conn.Close() }
