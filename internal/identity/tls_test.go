package identity

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"log/slog"
	"math/big"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	ltlv1 "ltl/proto/ltl/v1"
)

// forgery describes a certificate that may or may not be right; the zero value of a field takes what is right for the
// identity.
type forgery struct {
	id        Identity
	uris      []string // instead of the identity's
	authority string   // organisation whose authority signs, instead of the identity's; "self" for a new one of the same name
	usage     []x509.ExtKeyUsage
	ca        bool
	ecdsa     bool
	start     time.Time
	validity  time.Duration
	chain     bool // send the authority's certificate too
	spoil     bool // change one bit of the signature
}

func (f forgery) make(t *testing.T, dir string) tls.Certificate {
	t.Helper()
	signer := f.id.Organisation
	if f.authority != "" {
		signer = f.authority
	}
	var authority *x509.Certificate
	var authorityKey crypto.Signer
	if signer == "self" {
		authority, authorityKey = newAuthority(t, f.id.Organisation)
	} else {
		authority, authorityKey = loadAuthority(t, filepath.Join(dir, "orgs", signer))
	}
	if f.start.IsZero() {
		f.start = time.Now().Add(-time.Hour)
	}
	if f.validity == 0 {
		f.validity = LeafValidity
	}
	if f.usage == nil {
		f.usage = extKeyUsage(f.id.Role)
	}
	if f.uris == nil {
		f.uris = []string{f.id.URI()}
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotBefore: f.start, NotAfter: f.start.Add(f.validity),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: f.usage, BasicConstraintsValid: true, IsCA: f.ca,
	}
	for _, s := range f.uris {
		u, err := url.Parse(s)
		if err != nil {
			t.Fatal(err)
		}
		template.URIs = append(template.URIs, u)
	}
	key := newKey(t, f.ecdsa)
	der, err := x509.CreateCertificate(rand.Reader, template, authority, key.Public(), authorityKey)
	if err != nil {
		t.Fatal(err)
	}
	if f.spoil {
		der[len(der)-1] ^= 1
	}
	cert := tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
	if f.chain {
		cert.Certificate = append(cert.Certificate, authority.Raw)
	}
	return cert
}

func newKey(t *testing.T, p256 bool) crypto.Signer {
	t.Helper()
	if p256 {
		key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		return key
	}
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func newAuthority(t *testing.T, organisation string) (*x509.Certificate, crypto.Signer) {
	t.Helper()
	dir := t.TempDir()
	if _, err := createAuthority(dir, OrgSpec{ID: organisation}, time.Now()); err != nil {
		t.Fatal(err)
	}
	return loadAuthority(t, dir)
}

func loadAuthority(t *testing.T, dir string) (*x509.Certificate, crypto.Signer) {
	t.Helper()
	cert, err := loadCertificate(filepath.Join(dir, "ca.pem"))
	if err != nil {
		t.Fatal(err)
	}
	key, err := LoadKey(filepath.Join(dir, "ca.key"))
	if err != nil {
		t.Fatal(err)
	}
	return cert, key
}

// handshake runs one TLS handshake and returns what each side made of it.
func handshake(t *testing.T, server, client *tls.Config) (serverErr, clientErr error) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	var wait sync.WaitGroup
	wait.Go(func() {
		raw, err := listener.Accept()
		if err != nil {
			serverErr = err
			return
		}
		conn := tls.Server(raw, server)
		defer conn.Close()
		serverErr = conn.HandshakeContext(t.Context())
		if serverErr == nil {
			_, serverErr = conn.Write([]byte{1})
		}
	})
	raw, err := net.Dial("tcp", listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	conn := tls.Client(raw, client)
	clientErr = conn.HandshakeContext(t.Context())
	if clientErr == nil {
		// In TLS 1.3 the client learns of the server's refusal only here.
		_, clientErr = conn.Read(make([]byte, 1))
	}
	conn.Close()
	wait.Wait()
	return serverErr, clientErr
}

func credentialsOf(t *testing.T, dir, sub string, trust *Trust, options ...Option) *Credentials {
	t.Helper()
	c, err := LoadCredentials(filepath.Join(dir, sub), trust, options...)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// TestHandshakeRefuses shows every wrong certificate to a right server, and, where it claims a role that serves, as a
// server to a right client.
func TestHandshakeRefuses(t *testing.T) {
	dir, trust := newNetwork(t, time.Time{})
	node := credentialsOf(t, dir, "nodes/n1", trust)
	client := Identity{"org1", RoleClient, "x"}
	peer := Identity{"org2", RoleNode, "n2"}
	both := []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}
	for name, f := range map[string]forgery{
		"another authority":             {id: client, authority: "self"},
		"another authority, chain sent": {id: client, authority: "self", chain: true},
		"another organisation's":        {id: client, authority: "org2"},
		"another organisation's, node":  {id: peer, authority: "org1"},
		"unknown organisation":          {id: Identity{"org9", RoleClient, "x"}, authority: "org1"},
		"unknown node":                  {id: Identity{"org2", RoleNode, "n9"}},
		"node of another organisation":  {id: Identity{"org2", RoleNode, "n1"}},
		"endorser of another name":      {id: client, uris: []string{"ltl://org1/endorser/org2"}},
		"no URI":                        {id: client, uris: []string{}},
		"two identities":                {id: client, uris: []string{"ltl://org1/client/x", "ltl://org1/operator/x"}},
		"the same identity twice":       {id: client, uris: []string{"ltl://org1/client/x", "ltl://org1/client/x"}},
		"another URI beside it":         {id: client, uris: []string{"ltl://org1/client/x", "https://org1/"}},
		"another scheme":                {id: client, uris: []string{"spiffe://org1/client/x"}},
		"no name":                       {id: client, uris: []string{"ltl://org1/client"}},
		"unknown role":                  {id: client, uris: []string{"ltl://org1/root/x"}},
		"escaped name":                  {id: client, uris: []string{"ltl://org1/client/x%2fy"}},
		"query":                         {id: client, uris: []string{"ltl://org1/client/x?a=b"}},
		"port":                          {id: client, uris: []string{"ltl://org1:1/client/x"}},
		"user":                          {id: client, uris: []string{"ltl://org2@org1/client/x"}},
		"client that may serve":         {id: client, usage: both},
		"node that may not serve":       {id: peer, usage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}},
		"node that may only serve":      {id: peer, usage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}},
		"any usage":                     {id: client, usage: []x509.ExtKeyUsage{x509.ExtKeyUsageAny}},
		"code signing too": {id: client,
			usage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth, x509.ExtKeyUsageCodeSigning}},
		"no usage":                        {id: client, usage: []x509.ExtKeyUsage{}},
		"an authority":                    {id: client, ca: true},
		"another kind of key":             {id: client, ecdsa: true},
		"a chain instead of one":          {id: client, chain: true},
		"signature changed":               {id: client, spoil: true},
		"signature of an expired changed": {id: client, spoil: true, validity: time.Minute},
		"another authority, expired":      {id: client, authority: "org2", validity: time.Minute},
	} {
		t.Run(name, func(t *testing.T) {
			cert := f.make(t, dir)
			wrong := &tls.Config{Certificates: []tls.Certificate{cert}, InsecureSkipVerify: true, MinVersion: tls.VersionTLS13}
			serverErr, clientErr := handshake(t, node.serverTLS(), wrong)
			if serverErr == nil || clientErr == nil {
				t.Errorf("as a client: accepted (server %v, client %v)", serverErr, clientErr)
			}
			_, clientErr = handshake(t, &tls.Config{Certificates: []tls.Certificate{cert}, MinVersion: tls.VersionTLS13},
				node.clientTLS(f.id.Role, ""))
			if clientErr == nil {
				t.Error("as a server: accepted")
			}
		})
	}
}

func TestHandshakeVersionsAndMissingCertificate(t *testing.T) {
	dir, trust := newNetwork(t, time.Time{})
	node := credentialsOf(t, dir, "nodes/n1", trust)
	good := forgery{id: Identity{"org1", RoleClient, "x"}}.make(t, dir)
	base := func() *tls.Config {
		return &tls.Config{InsecureSkipVerify: true, Certificates: []tls.Certificate{good}}
	}
	if serverErr, clientErr := handshake(t, node.serverTLS(), base()); serverErr != nil || clientErr != nil {
		t.Fatalf("a right certificate is refused: %v, %v", serverErr, clientErr)
	}
	none := base()
	none.Certificates = nil
	if serverErr, clientErr := handshake(t, node.serverTLS(), none); serverErr == nil || clientErr == nil {
		t.Errorf("no certificate: server %v, client %v", serverErr, clientErr)
	}
	old := base()
	old.MaxVersion = tls.VersionTLS12
	if serverErr, clientErr := handshake(t, node.serverTLS(), old); serverErr == nil || clientErr == nil ||
		!strings.Contains(serverErr.Error(), "version") {
		t.Errorf("TLS 1.2 client: server %v, client %v", serverErr, clientErr)
	}
	peer := forgery{id: Identity{"org2", RoleNode, "n2"}}.make(t, dir)
	oldServer := &tls.Config{Certificates: []tls.Certificate{peer}, MaxVersion: tls.VersionTLS12}
	if _, clientErr := handshake(t, oldServer, node.clientTLS(RoleNode, "n2")); clientErr == nil ||
		!strings.Contains(clientErr.Error(), "version") {
		t.Errorf("TLS 1.2 server: %v", clientErr)
	}
	weak := node.serverTLS()
	weak.MinVersion = tls.VersionTLS12 // verifyPeer refuses on its own, should the configuration ever lose its bound
	if serverErr, _ := handshake(t, weak, old); serverErr == nil {
		t.Error("verifyPeer accepts TLS 1.2")
	}
}

// TestClientVerifiesServer dials right servers under wrong expectations, and servers whose role does not serve.
func TestClientVerifiesServer(t *testing.T) {
	dir, trust := newNetwork(t, time.Time{})
	client := credentialsOf(t, dir, "clients/bench", trust)
	for _, c := range []struct {
		server string
		role   Role
		name   string
		ok     bool
	}{
		{"nodes/n1", RoleNode, "n1", true},
		{"nodes/n1", RoleNode, "", true},
		{"nodes/n1", RoleNode, "n2", false},
		{"nodes/n1", RoleEndorser, "", false},
		{"nodes/n1", "", "", false},
		{"orgs/org2/endorser", RoleEndorser, "org2", true},
		{"orgs/org2/endorser", RoleEndorser, "", true},
		{"orgs/org2/endorser", RoleEndorser, "org1", false},
		{"orgs/org2/endorser", RoleNode, "org2", false},
		{"facades/f1", RoleFacade, "f1", false},
		{"operator", RoleOperator, "", false},
		{"clients/bench", RoleClient, "", false},
	} {
		server := credentialsOf(t, dir, c.server, trust)
		_, err := handshake(t, server.serverTLS(), client.clientTLS(c.role, c.name))
		if (err == nil) != c.ok {
			t.Errorf("%s dialled as role %q name %q: %v, want accepted %v", c.server, c.role, c.name, err, c.ok)
		}
	}
}

// TestAnotherNetworkIsRefused connects processes of two networks whose names are all the same.
func TestAnotherNetworkIsRefused(t *testing.T) {
	dir, trust := newNetwork(t, time.Time{})
	otherDir, otherTrust := newNetwork(t, time.Time{})
	node := credentialsOf(t, dir, "nodes/n1", trust)
	stranger := credentialsOf(t, otherDir, "nodes/n2", otherTrust)
	if serverErr, _ := handshake(t, node.serverTLS(), stranger.clientTLS(RoleNode, "")); serverErr == nil {
		t.Error("a server believes a node of another network")
	}
	if _, clientErr := handshake(t, stranger.serverTLS(), node.clientTLS(RoleNode, "n2")); clientErr == nil {
		t.Error("a client believes a node of another network")
	}
	if _, err := LoadCredentials(filepath.Join(otherDir, "nodes/n1"), trust); err == nil {
		t.Error("a process starts with credentials of another network")
	}
}

// TestExpiryDoesNotStopTheNetwork runs networks whose certificates have all expired, or are not valid yet.
func TestExpiryDoesNotStopTheNetwork(t *testing.T) {
	for name, created := range map[string]time.Time{
		"certificates expired":           time.Now().Add(-LeafValidity - 24*time.Hour),
		"authorities expired too":        time.Now().Add(-CAValidity - 24*time.Hour),
		"clocks before the network":      time.Now().Add(48 * time.Hour),
		"clocks far before":              time.Now().Add(CAValidity),
		"certificates valid, no warning": time.Now(),
	} {
		t.Run(name, func(t *testing.T) {
			dir, trust := newNetwork(t, created)
			var log bytes.Buffer
			n1 := credentialsOf(t, dir, "nodes/n1", trust, WithLogger(slog.New(slog.NewTextHandler(&log, nil))))
			quiet := slog.New(slog.DiscardHandler)
			n2 := credentialsOf(t, dir, "nodes/n2", trust, WithLogger(quiet))
			log.Reset()
			for range 3 {
				if serverErr, clientErr := handshake(t, n1.serverTLS(), n2.clientTLS(RoleNode, "n1")); serverErr != nil ||
					clientErr != nil {
					t.Fatalf("server %v, client %v", serverErr, clientErr)
				}
			}
			warnings := strings.Count(log.String(), "outside its validity")
			if name == "certificates valid, no warning" {
				if warnings != 0 {
					t.Errorf("warned: %s", &log)
				}
				return
			}
			expiry := n2.CertificateExpiry().UTC().Format("2006-01-02")
			if warnings != 1 || !strings.Contains(log.String(), "org2/node/n2") || !strings.Contains(log.String(), expiry) {
				t.Errorf("%d warnings in three handshakes, want one that names the peer and %s: %s", warnings, expiry, &log)
			}
		})
	}
}

func TestOwnExpiryIsAnnounced(t *testing.T) {
	dir, trust := newNetwork(t, time.Time{})
	at := func(now time.Time) string {
		var log bytes.Buffer
		clock := func() time.Time { return now }
		credentialsOf(t, dir, "nodes/n1", trust, withClock(clock), WithLogger(slog.New(slog.NewTextHandler(&log, nil))))
		return log.String()
	}
	if got := at(time.Now().Add(LeafValidity - 29*24*time.Hour)); !strings.Contains(got, "org1/node/n1") {
		t.Errorf("29 days before its end: %q", got)
	}
	if got := at(time.Now()); got != "" {
		t.Errorf("ten years before its end: %q", got)
	}
}

func TestWarningsAreBounded(t *testing.T) {
	dir, trust := newNetwork(t, time.Time{})
	var log bytes.Buffer
	now := time.Now()
	c := credentialsOf(t, dir, "nodes/n1", trust, WithLogger(slog.New(slog.NewTextHandler(&log, nil))),
		withClock(func() time.Time { return now }))
	cert := &x509.Certificate{Subject: pkix.Name{}}
	for i := range 3 * maxWarned {
		c.warn(Identity{"org1", RoleClient, strings.Repeat("a",
			i%60+1) + string(rune('a'+i%26)) + string(rune('a'+i/26%26)) + string(rune('a'+i/676))}, cert)
		if len(c.warned) > maxWarned {
			t.Fatalf("%d identities remembered", len(c.warned))
		}
	}
	log.Reset()
	id := Identity{"org1", RoleClient, "again"}
	c.warn(id, cert)
	c.warn(id, cert)
	now = now.Add(warnAgain)
	c.warn(id, cert)
	if got := strings.Count(log.String(), "again"); got != 2 {
		t.Errorf("%d warnings, want one now and one an hour later", got)
	}
}

func TestRenewAndReload(t *testing.T) {
	created := time.Now().Add(-CAValidity - 100*24*time.Hour) // everything has expired, the authorities too
	dir, trust := newNetwork(t, created)
	quiet := WithLogger(slog.New(slog.DiscardHandler))
	c := credentialsOf(t, dir, "nodes/n1", trust, quiet)
	before := c.CertificateExpiry()
	if err := Renew(filepath.Join(dir, "orgs/org1"), filepath.Join(dir, "nodes/n1"), time.Now()); err != nil {
		t.Fatal(err)
	}
	if !c.CertificateExpiry().Equal(before) {
		t.Error("renewed without Reload")
	}
	if err := c.Reload(); err != nil {
		t.Fatal(err)
	}
	if !c.CertificateExpiry().After(time.Now()) {
		t.Errorf("after the renewal it expires at %v", c.CertificateExpiry())
	}
	peer := credentialsOf(t, dir, "nodes/n2", trust, quiet)
	if serverErr, clientErr := handshake(t, c.serverTLS(), peer.clientTLS(RoleNode, "n1")); serverErr != nil ||
		clientErr != nil {
		t.Errorf("with the renewed certificate: %v, %v", serverErr, clientErr)
	}
	for _, name := range []string{"tls.pem", "tls.key"} {
		moveFile(t, filepath.Join(dir, "nodes/n1", name), filepath.Join(dir, name))
		moveFile(t, filepath.Join(dir, "nodes/n2", name), filepath.Join(dir, "nodes/n1", name))
	}
	if err := c.Reload(); !errors.Is(err, ErrCertificate) || c.Identity().Name != "n1" {
		t.Errorf("reloaded the certificate of another node: %v", err)
	}
	for _, name := range []string{"tls.pem", "tls.key"} {
		moveFile(t, filepath.Join(dir, name), filepath.Join(dir, "nodes/n1", name))
	}
	// The authority of another organisation makes nothing, and one that only has the organisation's name makes nothing
	// that counts.
	if err := Renew(filepath.Join(dir, "orgs/org2"), filepath.Join(dir, "nodes/n1"), time.Now()); !errors.Is(err,
		ErrAuthority) {
		t.Errorf("another organisation's authority renews: %v", err)
	}
	impostor, kept := t.TempDir(), c.CertificateExpiry()
	if _, err := createAuthority(impostor, OrgSpec{ID: "org1"}, time.Now()); err != nil {
		t.Fatal(err)
	}
	if err := Renew(impostor, filepath.Join(dir, "nodes/n1"), time.Now()); err != nil {
		t.Fatal(err)
	}
	if err := c.Reload(); err == nil || !c.CertificateExpiry().Equal(kept) {
		t.Errorf("reloaded a certificate of another authority: %v", err)
	}
}

// TestOrganisationThatJoinedLater: its processes start before they can know themselves, and others believe them only
// after the ledger has told them.
func TestOrganisationThatJoinedLater(t *testing.T) {
	dir, trust := newNetwork(t, time.Time{})
	late, lateKey := t.TempDir(), t.TempDir()
	der, err := createAuthority(late, OrgSpec{ID: "org4"}, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	if err := Issue(late, lateKey, Identity{"org4", RoleClient, "x"}, time.Now()); err != nil {
		t.Fatal(err)
	}
	c, err := LoadCredentials(lateKey, trust, WithLogger(slog.New(slog.DiscardHandler)))
	if err != nil || c.Identity() != (Identity{"org4", RoleClient, "x"}) {
		t.Fatalf("%v", err)
	}
	nodeTrust, err := LoadTrust(filepath.Join(dir, "trust.json"))
	if err != nil {
		t.Fatal(err)
	}
	node := credentialsOf(t, dir, "nodes/n1", nodeTrust)
	if serverErr, _ := handshake(t, node.serverTLS(), c.clientTLS(RoleNode, "n1")); serverErr == nil {
		t.Error("believed before the ledger knows the organisation")
	}
	public, _, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	added := &ltlv1.Organisation{Id: "org4", Name: "Fourth", CaCertificate: der, EndorserKey: public,
		EndorserAddress: "127.0.0.1:7104"}
	if err := nodeTrust.AddOrganisation(added); err != nil {
		t.Fatal(err)
	}
	if serverErr, clientErr := handshake(t, node.serverTLS(), c.clientTLS(RoleNode, "n1")); serverErr != nil ||
		clientErr != nil {
		t.Errorf("refused although the ledger knows the organisation: %v, %v", serverErr, clientErr)
	}
}

func moveFile(t *testing.T, from, to string) {
	t.Helper()
	if err := os.Rename(from, to); err != nil {
		t.Fatal(err)
	}
}

// TestServersAllowTheClientsPings guards against ENHANCE_YOUR_CALM: a server hangs up on pings that come faster than
// its policy.
func TestServersAllowTheClientsPings(t *testing.T) {
	const grpcLeast = 10 * time.Second // gRPC raises a client's smaller value to this, silently
	if pingMinTime > keepaliveTime || keepaliveTime < grpcLeast {
		t.Errorf("clients ping every %v, servers allow every %v", keepaliveTime, pingMinTime)
	}
}

// withClock replaces the clock that decides about warnings.
func withClock(now func() time.Time) Option { return func(c *Credentials) { c.now = now } }
