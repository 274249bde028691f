package chaos

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"path/filepath"
	"strings"
	"sync"
	"time"

	ltlv1 "ltl/proto/ltl/v1"
	"ltl/test/testkit/hostile"
)

const (
	// swampPause lies between the pieces of what one connection sends, and before it connects again.
	swampPause = 200 * time.Millisecond
	// swampMessage is how long a message is said to be, swampOversize for those that no method takes; swampPiece is sent at
	// a time.
	swampMessage  = 2 << 20
	swampOversize = 1 << 30
	swampPiece    = 16 << 10
	swampDial     = 2 * time.Second
)

// swamp holds so many connections to each target until lasting ends: silent ones, handshakes without a certificate, calls
// whose messages do not end or are too large, of methods that the caller may and may not call. The certificate is that of
// the malicious organisation, or of the last one. It does what a caller can who waits for no answer.
func (f *faults) swamp(lasting context.Context, n int, targets []string, r *rand.Rand) *effect {
	var group sync.WaitGroup
	for _, name := range targets {
		for i := range n {
			seed := r.Uint64()
			group.Go(func() {
				own := rand.New(rand.NewPCG(seed, uint64(i)))
				for lasting.Err() == nil {
					f.swampOnce(lasting, name, own)
					_ = wait(lasting, swampPause)
				}
			})
		}
	}
	return &effect{targets: targets, undo: func(context.Context) error { group.Wait(); return nil }}
}

// swampOnce is one connection. That it is refused or closed is what should happen.
func (f *faults) swampOnce(ctx context.Context, name string, r *rand.Rand) {
	address := f.in.Address(name)
	if strings.HasPrefix(name, "facade") {
		swampHTTP(ctx, address, r)
		return
	}
	switch r.IntN(4) {
	case 0:
		conn, err := net.DialTimeout("tcp", address, swampDial)
		if err != nil {
			return
		}
		hold(ctx, conn)
	case 1:
		d := tls.Dialer{NetDialer: &net.Dialer{Timeout: swampDial}, Config: &tls.Config{InsecureSkipVerify: true, NextProtos: []string{"h2"}}}
		conn, err := d.DialContext(ctx, "tcp", address)
		if err != nil {
			return
		}
		hold(ctx, conn)
	default:
		f.swampCall(ctx, address, r)
	}
}

// swampCall begins calls with a certificate, and does not finish their messages.
func (f *faults) swampCall(ctx context.Context, address string, r *rand.Rand) {
	c, err := hostile.New(address, f.certificate)
	if err != nil {
		return
	}
	stop := context.AfterFunc(ctx, func() { _ = c.Close() }) // what is under way ends with an error
	defer func() {
		if stop() {
			_ = c.Close() // the other side may have closed it
		}
	}()
	methods := []string{ltlv1.Orderer_Submit_FullMethodName, ltlv1.Endorser_Endorse_FullMethodName,
		ltlv1.RaftTransport_AppendEntries_FullMethodName, ltlv1.Ledger_GetRecord_FullMethodName,
		ltlv1.Endorser_WatchAccessKeys_FullMethodName, "/no.such/Method"}
	for ctx.Err() == nil {
		length := uint32(swampMessage)
		if r.IntN(4) == 0 {
			length = swampOversize
		}
		id, err := c.Begin(methods[r.IntN(len(methods))], length)
		if err != nil {
			return
		}
		for range r.IntN(32) {
			if c.Send(id, swampPiece, swampPiece) != nil || wait(ctx, swampPause) != nil {
				return
			}
		}
	}
}

// swampHTTP sends a facade nothing, a header that does not end, a body that comes slowly, or one that is too large.
func swampHTTP(ctx context.Context, address string, r *rand.Rand) {
	conn, err := net.DialTimeout("tcp", address, swampDial)
	if err != nil {
		return
	}
	defer hold(ctx, conn)
	length := []int{0, 1000, swampMessage, swampOversize}[r.IntN(4)]
	if length == 0 {
		return
	}
	head := fmt.Sprintf("POST / HTTP/1.1\r\nHost: %s\r\nContent-Type: %s\r\nContent-Length: %d\r\n", address, formType, length)
	if r.IntN(4) > 0 {
		head += "\r\nAction=SetData&Value="
	}
	_, err = io.WriteString(conn, head)
	for err == nil && ctx.Err() == nil && r.IntN(64) > 0 {
		_, err = conn.Write(make([]byte, 1+r.IntN(swampPiece)))
		_ = wait(ctx, swampPause)
	}
}

// hold keeps a connection until the other side closes it or ctx ends.
func hold(ctx context.Context, conn net.Conn) {
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
	_, _ = io.Copy(io.Discard, conn) // it ends by an error in any case
	if stop() {
		_ = conn.Close() // the other side may have closed it
	}
}

// swampCertificate is the directory of the certificate with which a swamp calls.
func swampCertificate(dir string, s *Scenario) string {
	organisation := s.Malicious
	if organisation == "" {
		organisation = fmt.Sprint("org", s.Organisations)
	}
	if s.Organisations == 1 {
		return filepath.Join(dir, "pki", "operator")
	}
	return filepath.Join(dir, "pki", "operators", organisation)
}
