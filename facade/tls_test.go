package facade

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"io"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// certificateFor writes a certificate with a serial number for the loopback addresses, and its key.
func certificateFor(t *testing.T, dir string, serial int64) *x509.CertPool {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	template := &x509.Certificate{SerialNumber: big.NewInt(serial), NotBefore: now.Add(-time.Hour),
		NotAfter: now.Add(time.Hour), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1), net.IPv6loopback},
		IsCA: true, BasicConstraintsValid: true}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	for name, block := range map[string]*pem.Block{
		"cert.pem": {Type: "CERTIFICATE", Bytes: der}, "key.pem": {Type: "PRIVATE KEY", Bytes: private},
	} {
		if err := os.WriteFile(filepath.Join(dir, name), pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	c, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AddCert(c)
	return pool
}

// openHTTPS opens a facade with a certificate in dir.
func openHTTPS(t *testing.T, dir, listen string) (*testFacade, error) {
	n := newFakeNetwork()
	f, err := open(context.Background(), Config{Listen: listen, SealingKey: sealingKey(), Clock: clockAt(t, testClock),
		TLSCert: filepath.Join(dir, "cert.pem"), TLSKey: filepath.Join(dir, "key.pem"),
		Logger: slog.New(slog.DiscardHandler)}, n)
	if err != nil {
		return nil, err
	}
	t.Cleanup(func() {
		if err := f.Close(); err != nil {
			t.Error(err)
		}
	})
	for id, uid := range userKeys() {
		sealed(t, id, uid, id+"-secret", 1).to(f.keys)
	}
	f.keys.take(nil)
	return &testFacade{Facade: f, net: n}, f.keys.takeSealed(nil)
}

// secureClient is a client that trusts a pool, of HTTP/2 or HTTP/1.1 alone.
func secureClient(t *testing.T, pool *x509.CertPool, http2 bool) *http.Client {
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool}, Protocols: new(http.Protocols)}
	transport.Protocols.SetHTTP1(!http2)
	transport.Protocols.SetHTTP2(http2)
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport, Timeout: 30 * time.Second}
}

// TestHTTPS: the API is served over TLS, by HTTP/1.1 and HTTP/2, on IPv4 and IPv6, with the bounds of plain HTTP; a caller
// without TLS, or without an end to its handshake, disturbs neither others nor Close.
func TestHTTPS(t *testing.T) {
	dir := t.TempDir()
	pool := certificateFor(t, dir, 1)
	for _, listen := range []string{"127.0.0.1:0", "[::1]:0"} {
		f, err := openHTTPS(t, dir, listen)
		if err != nil {
			if listen == "[::1]:0" {
				t.Log("this machine has no IPv6")
				continue
			}
			t.Fatal(err)
		}
		dial(t, f.Addr()) // says nothing
		if _, err := http.Get("http://" + f.Addr() + probePath); err == nil {
			if r, _ := http.Get("http://" + f.Addr() + probePath); r.StatusCode == http.StatusOK {
				t.Error("plain HTTP is served")
			}
		}
		for major, c := range map[int]*http.Client{1: secureClient(t, pool, false), 2: secureClient(t, pool, true)} {
			call := func(more ...string) (*http.Response, string, error) {
				v := f.params("member", "ListProofChain", append([]string{"Num", "1", "Size", "1"}, more...)...)
				v.Set("Signature", signRPC(http.MethodGet, "member-secret", v))
				r, err := c.Get("https://" + f.Addr() + "/?" + v.Encode())
				if err != nil {
					return nil, "", err
				}
				defer r.Body.Close()
				body, err := io.ReadAll(r.Body)
				return r, string(body), err
			}
			var all sync.WaitGroup
			for range 20 {
				all.Go(func() {
					if r, body, err := call(); err != nil || r.ProtoMajor != major || !strings.Contains(body, `"Code":200`) {
						t.Errorf("HTTP/%d: %v, %v, %s", major, r, err, body)
					}
				})
			}
			all.Wait()
			long := strings.Repeat("x", maxStreamHeader+1000)
			switch r, body, err := call("Extra", long); {
			case major == 1 && (err != nil || !strings.Contains(body, `"Code":200`)):
				t.Errorf("a query of %d bytes: %v, %s", len(long), err, body)
			case major == 2 && err == nil && r.StatusCode != http.StatusRequestHeaderFieldsTooLarge:
				t.Errorf("HTTP/2, a header of %d bytes: %d, %s", len(long), r.StatusCode, body)
			}
			if r, body, err := call("Extra", strings.Repeat("x", maxHeaderBytes)); major == 1 &&
				(err != nil || !strings.Contains(body, codeURLTooLong)) {
				t.Errorf("a URL that is too long: %v, %v, %.300s", r, err, body)
			}
			if _, body, err := call(); err != nil || !strings.Contains(body, `"Code":200`) {
				t.Errorf("HTTP/%d, afterwards: %v, %s", major, err, body)
			}
			c.CloseIdleConnections()
		}
		g := entrance(t, f.Facade)
		eventually(t, "all but the silent connection and the next are gone", func() bool {
			return len(g.slots) <= 2 && g.long.Used() == 0
		})
	}
}

// TestCertificateIsReadAgain: a new certificate is shown without a restart; one that cannot be used is not, and half a
// renewal neither.
func TestCertificateIsReadAgain(t *testing.T) {
	dir := t.TempDir()
	certificateFor(t, dir, 1)
	c, err := loadCertificate(filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem"),
		slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	shown := func() int64 {
		c.looked = time.Time{}
		pair, err := c.get(nil)
		if err != nil {
			t.Fatal(err)
		}
		return pair.Leaf.SerialNumber.Int64()
	}
	next := t.TempDir()
	certificateFor(t, next, 2)
	replace := func(name string) {
		if err := os.Rename(filepath.Join(next, name), filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	if got := shown(); got != 1 {
		t.Errorf("at first %d", got)
	}
	replace("cert.pem")
	if got := shown(); got != 1 {
		t.Errorf("with half a renewal %d", got)
	}
	replace("key.pem")
	if got := shown(); got != 2 {
		t.Errorf("renewed %d", got)
	}
	if err := os.WriteFile(filepath.Join(dir, "cert.pem"), []byte("nothing"), 0o600); err != nil {
		t.Fatal(err)
	}
	if got := shown(); got != 2 {
		t.Errorf("broken %d", got)
	}
	if _, err := openHTTPS(t, dir, "127.0.0.1:0"); err == nil {
		t.Error("a facade starts with a broken certificate")
	}
}

// TestHalfClosed: a caller that closes its sending side behind its request gets the answer, however long it takes.
func TestHalfClosed(t *testing.T) {
	f := openFake(t, newFakeNetwork())
	tf := &testFacade{Facade: f}
	eventually(t, "keys arrive", func() bool { return f.Ready() == nil })
	hold := make(chan struct{})
	n, ok := f.net.(*fakeNetwork)
	if !ok {
		t.Fatal("another network")
	}
	n.set(func(n *fakeNetwork) { n.hold = hold })
	v := tf.params("member", "SetData", data(keyOf("0X58", "half"), chainA, "v", "Timestamp",
		time.Now().UTC().Format(time.RFC3339))...)
	v.Set("Signature", signRPC(http.MethodGet, "member-secret", v))
	c := dial(t, f.Addr())
	if _, err := io.WriteString(c, "GET /?"+v.Encode()+" HTTP/1.1\r\nHost: h\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	if err := c.(*net.TCPConn).CloseWrite(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the call is under way", func() bool { return f.active.Load() == 1 })
	time.Sleep(50 * time.Millisecond) // in which the server reads the end
	close(hold)
	_ = c.SetReadDeadline(time.Now().Add(20 * time.Second))
	if got, err := io.ReadAll(c); err != nil || !strings.Contains(string(got), `"Code":200`) {
		t.Errorf("%v: %s", err, got)
	}
}

// TestProbe: a balancer gets 200 while writes work, and the network is not asked by each probe.
func TestProbe(t *testing.T) {
	f := newTestFacade(t)
	ask := func(method string) reply {
		w := httptest.NewRecorder()
		f.dispatch(w, httptest.NewRequest(method, probePath, nil))
		return reply{status: w.Code, body: w.Body.String(), header: w.Header()}
	}
	var all sync.WaitGroup
	for range 50 {
		all.Go(func() {
			if r := ask(http.MethodGet); r.status != http.StatusOK || r.header.Get("Cache-Control") != "no-store" {
				t.Errorf("%+v", r)
			}
		})
	}
	all.Wait()
	if f.net.probes > 5 {
		t.Errorf("50 probes ask the network %d times", f.net.probes)
	}
	if r := ask(http.MethodPost); r.status != http.StatusMethodNotAllowed {
		t.Errorf("POST: %+v", r)
	}
	f.net.set(func(n *fakeNetwork) { n.err = errNoEndorser })
	f.probed.Store(nil) // as if it were old
	if r := ask(http.MethodHead); r.status != http.StatusServiceUnavailable {
		t.Errorf("without an endorser: %+v", r)
	}
	f.active.Store(maxActive) // busy is not broken
	f.net.set(func(n *fakeNetwork) { n.err = nil })
	f.probed.Store(nil)
	if r := ask(http.MethodGet); r.status != http.StatusOK {
		t.Errorf("busy: %+v", r)
	}
}

// TestCallerBehindProxies: a trusted proxy says who calls; others cannot, and nor can what the caller says itself.
func TestCallerBehindProxies(t *testing.T) {
	f := newTestFacade(t)
	f.proxies = []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("::1/128")}
	for _, c := range []struct{ remote, said, want string }{
		{"10.1.2.3:4", "192.0.2.7", "192.0.2.7"},
		{"[::1]:4", "198.51.100.1, 192.0.2.7", "192.0.2.7"}, // the caller made up the first
		{"10.1.2.3:4", "198.51.100.1, 192.0.2.7, 10.9.9.9", "192.0.2.7"},
		{"10.1.2.3:4", "::ffff:192.0.2.7", "192.0.2.7"},
		{"10.1.2.3:4", "2001:db8::7", "2001:db8::7"},
		{"192.0.2.1:4", "198.51.100.1", "192.0.2.1"}, // no proxy
		{"10.1.2.3:4", "", "10.1.2.3"},
		{"10.1.2.3:4", "unknown", "10.1.2.3"},
		{"10.1.2.3:4", "198.51.100.1, unknown", "10.1.2.3"},
		{"10.1.2.3:4", strings.Repeat("10.0.0.1,", 1000) + "10.0.0.2", "10.0.0.1"},
	} {
		r := &http.Request{RemoteAddr: c.remote, URL: &url.URL{}, Header: http.Header{}}
		if c.said != "" {
			r.Header.Set("X-Forwarded-For", c.said)
		}
		f.callerOf(r)
		if got := addressOf(r.RemoteAddr); got != c.want {
			t.Errorf("%s saying %.60q is taken for %s, want %s", c.remote, c.said, got, c.want)
		}
	}
}
