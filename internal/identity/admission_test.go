package identity_test

import (
	"context"
	"net"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"ltl/internal/identity"
	ltlv1 "ltl/proto/ltl/v1"
	"ltl/test/testkit/hostile"
)

// attack speaks HTTP/2 with the certificate in a directory of the network.
func (f fixture) attack(t *testing.T, sub string) *hostile.Caller {
	t.Helper()
	c, err := hostile.New(f.addr, filepath.Join(f.dir, sub))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

// metric is the value of one of the gate's metrics.
func (f fixture) metric(t *testing.T, name string) float64 {
	t.Helper()
	all := gather(t, f.own.Gate().Collectors())
	value, ok := all[name]
	if !ok {
		t.Fatalf("no metric %s in %v", name, all)
	}
	return value
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func eventually(t *testing.T, what string, condition func() bool) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); !condition(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%s: not within 10 s", what)
		}
	}
}

// TestSilentConnections: connections that say nothing do not keep others out, and their number is bounded.
func TestSilentConnections(t *testing.T) {
	f := start(t)
	for range 720 {
		c, err := net.Dial("tcp", f.addr)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = c.Close() })
	}
	if _, err := f.ledger(t, "clients/bench").Status(testContext(t), &ltlv1.StatusRequest{}); err != nil {
		t.Errorf("a call beside 720 silent connections: %v", err)
	}
	if n := f.metric(t, "ltl_admission_handshakes"); n > 512 {
		t.Errorf("%v connections of one address have shown no certificate; the bound is 512", n)
	}
	if n := f.metric(t, `ltl_admission_refused_total{handshakes}`); n < 200 {
		t.Errorf("%v of 720 silent connections were refused", n)
	}
	if n := strings.Count(f.log.String(), "a caller takes too much"); n != 1 {
		t.Errorf("%d log lines for one kind of refusal: %s", n, f.log)
	}
}

// TestConnectionsOfAnIdentity: one certificate cannot take all connections.
func TestConnectionsOfAnIdentity(t *testing.T) {
	if testing.Short() {
		t.Skip("under the race detector 520 handshakes take longer than a server keeps connections that answer no ping")
	}
	f := start(t)
	for range 520 { // a quarter of all and eight more, which may end while they begin HTTP/2
		if c, err := hostile.New(f.addr, filepath.Join(f.dir, "clients/bench")); err == nil {
			t.Cleanup(func() { _ = c.Close() })
		}
	}
	eventually(t, "8 connections are refused", func() bool {
		return f.metric(t, `ltl_admission_refused_total{identity}`) == 8
	})
	if _, err := f.ledger(t, "facades/f1").Status(testContext(t), &ltlv1.StatusRequest{}); err != nil {
		t.Errorf("another identity: %v", err)
	}
}

// TestUnfinishedMessagesOfOtherRoles: nothing is kept of a message to a method that the role may not call.
func TestUnfinishedMessagesOfOtherRoles(t *testing.T) {
	f := start(t)
	h := f.attack(t, "operator")
	for range 64 {
		id, err := h.Begin(ltlv1.Ledger_Status_FullMethodName, 200<<10)
		must(t, err)
		must(t, h.Send(id, 30<<10, 16<<10))
	}
	if _, err := f.ledger(t, "operator").Status(testContext(t), &ltlv1.StatusRequest{}); status.Code(err) !=
		codes.PermissionDenied {
		t.Errorf("%v, want PermissionDenied", err)
	}
	if n := f.metric(t, "ltl_admission_unfinished_bytes"); n != 0 {
		t.Errorf("%v bytes of refused calls are kept", n)
	}
}

// TestUnfinishedMessagesAreBounded: messages that are never finished count as they arrive, whatever the size of their
// frames. A caller beyond its part loses its connection, others are served, and all is given back.
func TestUnfinishedMessagesAreBounded(t *testing.T) {
	for name, frame := range map[string]int{"full frames": 16 << 10, "frames of one byte": 1} {
		t.Run(name, func(t *testing.T) {
			f := start(t)
			h := f.attack(t, "clients/bench")
			var err error
			for sent, id := 0, uint32(0); err == nil && sent < 64<<20; sent += 60 << 10 {
				if id, err = h.Begin(ltlv1.Ledger_Status_FullMethodName, 255<<10); err == nil {
					err = h.Send(id, 60<<10, frame)
				}
				if n := f.metric(t, "ltl_admission_unfinished_bytes"); n > 17<<20 {
					t.Fatalf("%v bytes of one caller are kept; the bound is 16 MiB", n)
				}
				if frame == 1 && sent > 1<<20 {
					break // each byte counts as 513
				}
			}
			if !h.Ended() {
				t.Error("the connection of a caller beyond its part stays open")
			}
			if f.metric(t, `ltl_admission_refused_total{unfinished_messages}`) == 0 {
				t.Error("the refusal is not counted")
			}
			if _, err := f.ledger(t, "facades/f1").Status(testContext(t), &ltlv1.StatusRequest{}); err != nil {
				t.Errorf("another caller: %v", err)
			}
			eventually(t, "all is given back", func() bool { return f.metric(t, "ltl_admission_unfinished_bytes") == 0 })
		})
	}
}

// TestSmallMethodsTakeSmallMessages: a message above its method's bound is refused for its announced length, also where
// the server's own bound is higher, and the connection stays open.
func TestSmallMethodsTakeSmallMessages(t *testing.T) {
	f := start(t)
	conn, err := grpc.NewClient(f.addr, f.credentials(t, "clients/bench").DialOptions(identity.RoleNode, "n1")...)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	for _, size := range []int{256<<10 - 16, 256 << 10, 4 << 20} {
		in := &ltlv1.StatusResponse{Fault: strings.Repeat("x", size)}
		err := conn.Invoke(testContext(t), ltlv1.Ledger_Status_FullMethodName, in, &ltlv1.StatusResponse{})
		if want := map[bool]codes.Code{true: codes.OK, false: codes.ResourceExhausted}[size < 256<<10]; status.Code(err) !=
			want {
			t.Errorf("%d bytes: %v, want %v", size, err, want)
		}
	}
	if n := f.metric(t, "ltl_admission_connections"); n != 1 {
		t.Errorf("%v connections, want the one", n)
	}
}

// TestSecondMessage: what follows the one message of a method is not kept.
func TestSecondMessage(t *testing.T) {
	f := start(t)
	h := f.attack(t, "orgs/org1/endorser")
	id, err := h.Begin(ltlv1.Ledger_Blocks_FullMethodName, 0)
	must(t, err)
	must(t, h.WriteData(id, false, make([]byte, 5)))
	if !h.Ended() {
		t.Error("the connection stays open")
	}
}

// TestManyCallsOnOneConnection: frames of many calls that are split anywhere are followed without a mistake.
func TestManyCallsOnOneConnection(t *testing.T) {
	f := start(t)
	client := f.ledger(t, "clients/bench")
	ctx, done := context.WithTimeout(t.Context(), 20*time.Second)
	defer done()
	errs := make(chan error)
	for range 32 {
		go func() {
			var err error
			for range 50 {
				if _, err = client.Status(ctx, &ltlv1.StatusRequest{}); err != nil {
					break
				}
			}
			errs <- err
		}()
	}
	for range 32 {
		if err := <-errs; err != nil {
			t.Error(err)
		}
	}
	eventually(t, "no call and no byte is counted", func() bool {
		return f.metric(t, "ltl_admission_calls") == 0 && f.metric(t, "ltl_admission_unfinished_bytes") == 0
	})
}
