package admin_test

import (
	"crypto/tls"
	"crypto/x509"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"ltl/internal/admin"
	"ltl/internal/identity"
)

// organisations is a directory with the keys of a network of two organisations, with a process of org1 that may show
// its metrics.
func organisations(t *testing.T) (dir string, own *identity.Credentials) {
	t.Helper()
	dir = filepath.Join(t.TempDir(), "pki")
	err := identity.CreateNetwork(dir, identity.NetworkSpec{Network: "test", Facades: []string{"f1"},
		Organisations: []identity.OrgSpec{{ID: "org1", Name: "One", EndorserAddress: "127.0.0.1:1"},
			{ID: "org2", Name: "Two", EndorserAddress: "127.0.0.1:2"}},
		Nodes: []identity.NodeSpec{{ID: "node1", Organisation: "org1", Address: "127.0.0.1:3"}}})
	if err != nil {
		t.Fatal(err)
	}
	trust, err := identity.LoadTrust(filepath.Join(dir, "trust.json"))
	if err != nil {
		t.Fatal(err)
	}
	if own, err = identity.LoadCredentials(filepath.Join(dir, "nodes", "node1"), trust); err != nil {
		t.Fatal(err)
	}
	return dir, own
}

// reader is what a monitoring system is: it knows an authority and a name, and has a certificate or none.
func reader(t *testing.T, authority, name, identityDir string) *http.Client {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join(authority, "ca.pem"))
	if err != nil {
		t.Fatal(err)
	}
	c := &tls.Config{MinVersion: tls.VersionTLS13, RootCAs: x509.NewCertPool(), ServerName: name}
	if !c.RootCAs.AppendCertsFromPEM(raw) {
		t.Fatal("no authority")
	}
	if identityDir != "" {
		pair, err := tls.LoadX509KeyPair(filepath.Join(identityDir, "tls.pem"), filepath.Join(identityDir, "tls.key"))
		if err != nil {
			t.Fatal(err)
		}
		c.Certificates = []tls.Certificate{pair}
	}
	transport := &http.Transport{TLSClientConfig: c, DisableKeepAlives: true}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport, Timeout: 10 * time.Second}
}

// TestMetricsOverTLS: metrics, and nothing else, are for operators and clients of the own organisation; and a
// monitoring system can verify, with what every one of them has, that it reads a process of that organisation.
func TestMetricsOverTLS(t *testing.T) {
	dir, own := organisations(t)
	if _, err := own.MetricsTLS(); err == nil || !strings.Contains(err.Error(), "ltl pki metrics") {
		t.Errorf("without a certificate for metrics: %v", err)
	}
	ca1, ca2 := filepath.Join(dir, "orgs", "org1"), filepath.Join(dir, "orgs", "org2")
	if err := identity.IssueMetrics(ca1, filepath.Join(dir, "nodes", "node1"), time.Now()); err != nil {
		t.Fatal(err)
	}
	for of, ca := range map[string]string{"org1": ca1, "org2": ca2} {
		id := identity.Identity{Organisation: of, Role: identity.RoleClient, Name: "prometheus"}
		if err := identity.Issue(ca, filepath.Join(dir, of+"-client"), id, time.Now()); err != nil {
			t.Fatal(err)
		}
	}
	if err := identity.Issue(ca2, filepath.Join(dir, "org2-operator"),
		identity.Identity{Organisation: "org2", Role: identity.RoleOperator, Name: "o"}, time.Now()); err != nil {
		t.Fatal(err)
	}
	config, err := own.MetricsTLS()
	if err != nil {
		t.Fatal(err)
	}
	reg := prometheus.NewRegistry()
	s, err := admin.Serve(t.Context(), "127.0.0.1:0", admin.Metrics{Listen: "127.0.0.1:0", TLS: config}, nil, reg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
		if c, err := net.Dial("tcp", s.MetricsAddr()); err == nil {
			c.Close()
			t.Error("metrics are still served after Close")
		}
	})
	name := identity.MetricsName("org1")
	const page = "/metrics"
	for _, c := range []struct {
		what, authority, name, identity, path string
		status                                int // 0 for a connection that does not come about
	}{
		{"client of the organisation", ca1, name, filepath.Join(dir, "org1-client"), page, http.StatusOK},
		{"operator of the organisation", ca1, name, filepath.Join(dir, "operator"), page, http.StatusOK},
		{"a profile", ca1, name, filepath.Join(dir, "operator"), "/debug/pprof/heap", http.StatusNotFound},
		{"health", ca1, name, filepath.Join(dir, "operator"), "/healthz", http.StatusNotFound},
		{"no certificate", ca1, name, "", page, 0},
		{"client of another organisation", ca1, name, filepath.Join(dir, "org2-client"), page, 0},
		{"operator of another organisation", ca1, name, filepath.Join(dir, "org2-operator"), page, 0},
		{"node", ca1, name, filepath.Join(dir, "nodes", "node1"), page, 0},
		{"endorser", ca1, name, filepath.Join(dir, "orgs", "org1", "endorser"), page, 0},
		{"facade", ca1, name, filepath.Join(dir, "facades", "f1"), page, 0},
		{"another authority expected", ca2, name, filepath.Join(dir, "org1-client"), page, 0},
		{"another name expected", ca1, identity.MetricsName("org2"), filepath.Join(dir, "org1-client"), page, 0},
	} {
		res, err := reader(t, c.authority, c.name, c.identity).Get("https://" + s.MetricsAddr() + c.path)
		if err != nil {
			if c.status != 0 {
				t.Errorf("%s: %v", c.what, err)
			}
			continue
		}
		body, err := io.ReadAll(res.Body)
		res.Body.Close()
		if res.StatusCode != c.status || err != nil || c.status == http.StatusOK &&
			!strings.Contains(string(body), "\nltl_ready 1\n") {
			t.Errorf("%s: status %d, %v, %s", c.what, res.StatusCode, err, body)
		}
	}
}

// TestMetricsNeverOpen: a configuration without client certificates is refused, and so is an address that is taken.
func TestMetricsNeverOpen(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	for what, m := range map[string]admin.Metrics{
		"no TLS":                     {Listen: "127.0.0.1:0"},
		"no demand of a certificate": {Listen: "127.0.0.1:0", TLS: &tls.Config{MinVersion: tls.VersionTLS13}},
		"optional certificate": {Listen: "127.0.0.1:0",
			TLS: &tls.Config{MinVersion: tls.VersionTLS13, ClientAuth: tls.RequestClientCert}},
		"address that is taken": {Listen: taken.Addr().String(),
			TLS: &tls.Config{MinVersion: tls.VersionTLS13, ClientAuth: tls.RequireAnyClientCert}},
	} {
		if s, err := admin.Serve(t.Context(), "127.0.0.1:0", m, nil, nil); err == nil {
			t.Errorf("%s: served on %s", what, s.MetricsAddr())
		}
	}
}
