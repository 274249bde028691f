package admin

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func serve(t *testing.T, ready func() error, reg *prometheus.Registry) *Server {
	t.Helper()
	s, err := Serve(t.Context(), "127.0.0.1:0", Metrics{}, ready, reg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// request makes a request over a connection of its own and returns the status and the body.
func request(t *testing.T, method, url, host string) (int, string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, method, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	if host != "" {
		r.Host = host
	}
	transport := &http.Transport{DisableKeepAlives: true}
	defer transport.CloseIdleConnections()
	answer, err := (&http.Client{Transport: transport}).Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	b, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer.StatusCode, string(b)
}

func TestPages(t *testing.T) {
	reg := prometheus.NewRegistry()
	counter := prometheus.NewCounter(prometheus.CounterOpts{Name: "ltl_test_total", Help: "for the test"})
	reg.MustRegister(counter)
	counter.Add(3)
	var reason atomic.Pointer[error]
	s := serve(t, func() error {
		if err := reason.Load(); err != nil {
			return *err
		}
		return nil
	}, reg)
	base := "http://" + s.Addr()
	for _, c := range []struct {
		path string
		code int
		want string
	}{
		{"/healthz", 200, "ok\n"},
		{"/readyz", 200, "ready\n"},
		{"/metrics", 200, "ltl_test_total 3\n"},
		{"/metrics", 200, "go_goroutines "},
		{"/metrics", 200, "process_open_fds "},
		{"/debug/pprof/", 200, "goroutine"},
		{"/debug/pprof/goroutine?debug=1", 200, "goroutine profile"},
		{"/debug/pprof/heap?debug=1", 200, "heap profile"},
		{"/debug/pprof/cmdline", 200, "test"},
		{"/debug/pprof/symbol", 200, "num_symbols"},
		{"/", 404, ""},
		{"/healthz/x", 404, ""},
	} {
		if code, body := request(t, http.MethodGet, base+c.path, ""); code != c.code || !strings.Contains(body, c.want) {
			t.Errorf("%s: %d %q, want %d with %q", c.path, code, body, c.code, c.want)
		}
	}
	if code, _ := request(t, http.MethodPost, base+"/healthz", ""); code != http.StatusMethodNotAllowed {
		t.Errorf("POST: %d", code)
	}
	why := errors.New("follower is 12 blocks behind")
	reason.Store(&why)
	if code, body := request(t, http.MethodGet, base+"/readyz", ""); code != 503 || body != why.Error()+"\n" {
		t.Errorf("not ready: %d %q", code, body)
	}
	if code, _ := request(t, http.MethodGet, base+"/healthz", ""); code != 200 {
		t.Errorf("alive but not ready: %d", code)
	}
}

func TestRefusesForeignHostNames(t *testing.T) {
	s := serve(t, func() error { return nil }, nil)
	for host, want := range map[string]int{
		"evil.example": 403, "evil.example:80": 403, "127.0.0.1.evil.example": 403, "10.0.0.1": 403,
		"localhost": 200, "localhost:1": 200, "127.0.0.1": 200, "[::1]:80": 200, "[::1]": 200,
	} {
		if code, _ := request(t, http.MethodGet, "http://"+s.Addr()+"/metrics", host); code != want {
			t.Errorf("Host %q: %d, want %d", host, code, want)
		}
	}
}

func TestRefusesOtherAddresses(t *testing.T) {
	for _, addr := range []string{"", ":0", "0.0.0.0:0", "[::]:0", "192.0.2.1:0", "example.org:0", "127.0.0.1",
		"localhost", "[::ffff:10.0.0.1]:0"} {
		s, err := Serve(t.Context(), addr, Metrics{}, nil, nil)
		if !errors.Is(err, ErrNotLoopback) {
			t.Errorf("%q: %v, want ErrNotLoopback", addr, err)
		}
		if s != nil {
			s.Close()
		}
	}
}

func TestTwoServersMayShareARegistry(t *testing.T) {
	reg := prometheus.NewRegistry()
	for range 2 {
		s := serve(t, func() error { return nil }, reg)
		if code, _ := request(t, http.MethodGet, "http://"+s.Addr()+"/metrics", ""); code != 200 {
			t.Errorf("/metrics: %d", code)
		}
	}
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	if _, err := Serve(t.Context(), taken.Addr().String(), Metrics{}, nil, reg); err == nil {
		t.Error("listens on a taken port")
	}
}

// TestCloseCutsProfilesOff closes while a profile of a minute is under way.
func TestCloseCutsProfilesOff(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	s, err := Serve(ctx, "127.0.0.1:0", Metrics{}, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	conn, err := net.Dial("tcp", s.Addr())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := io.WriteString(conn, "GET /debug/pprof/trace?seconds=60 HTTP/1.1\r\nHost: localhost\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	start := time.Now()
	cancel() // the context ends it as Close does
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	if err := s.Close(); err != nil {
		t.Errorf("closing again: %v", err)
	}
	if took := time.Since(start); took > 10*closeTimeout {
		t.Errorf("Close took %v", took)
	}
	if _, err := net.Dial("tcp", s.Addr()); err == nil {
		t.Error("still listening")
	}
}
