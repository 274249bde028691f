// Package testkit runs a whole network inside a test: nodes, endorsers and clients in one process, over real TLS
// connections.
//
// Every network is checked when its test ends: all ledgers hold the same bytes, and every store verifies.
package testkit

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"ltl/client"
	"ltl/endorser"
	"ltl/internal/identity"
	"ltl/internal/ledger"
	"ltl/internal/rules"
	"ltl/node"
	ltlv1 "ltl/proto/ltl/v1"
	"ltl/test/testkit/quick"
)

// Bounds on waiting, generous for a busy machine with the race detector on.
const (
	readyTimeout = 60 * time.Second
	equalTimeout = 30 * time.Second
)

// Ports are taken from below the range of outgoing connections, so that a stopped process finds its address free again.
const (
	firstPort    = 10000
	lastPort     = 32000
	portAttempts = 1000
)

// Options say how large the network is and how it is configured.
type Options struct {
	// Nodes and Orgs default to 3 each.
	Nodes, Orgs int
	// Facades are the names of the facades that get credentials; "f1" is always among them.
	Facades []string
	// Created is the start of all certificates' validity; the zero value is the present.
	Created time.Time
	// Verbose sends the processes' logs to the test's log.
	Verbose bool
	// Node and Endorser may change the configurations before each start.
	Node     func(i int, cfg *node.Config)
	Endorser func(i int, cfg *endorser.Config)
	// Client may change the configuration of the shared clients.
	Client func(cfg *client.Config)
}

// Account is an account that Start created.
type Account struct{ UID, Organisation, TypeCode string }

// Network is a running network with one proof chain. Nodes, endorsers and organisations count from 0; organisation 0 is
// "org1".
type Network struct {
	// ChainID and ChainCode name the proof chain; Admin (organisation 1) manages it, Member (organisation 2) may write to
	// it.
	ChainID, ChainCode string
	Admin, Member      Account
	// Dir is what identity.CreateNetwork made.
	Dir string

	t         testing.TB
	options   Options
	genesis   *ltlv1.Genesis
	logger    *slog.Logger
	data      string
	nodes     []io.Closer
	endorsers []io.Closer

	mu        sync.Mutex
	clients   map[identity.Role]*client.Client
	operators map[string]*client.Client
	others    []*client.Client // that a test opened
}

// Start makes a network, waits until it takes writes, and creates its chain and accounts. The cleanup compares all
// ledgers and stops everything.
func Start(t testing.TB, o Options) *Network {
	t.Helper()
	quick.Skip(t)
	n := create(t, o)
	for i := range n.nodes {
		n.RestartNode(i)
	}
	for i := range n.endorsers {
		n.RestartEndorser(i)
	}
	n.bootstrap()
	return n
}

// create makes keys and genesis.
func create(t testing.TB, o Options) *Network {
	t.Helper()
	if o.Nodes == 0 {
		o.Nodes = 3
	}
	if o.Orgs == 0 {
		o.Orgs = 3
	}
	root := t.TempDir()
	n := &Network{
		Dir: filepath.Join(root, "pki"), data: filepath.Join(root, "data"), t: t, options: o,
		clients: map[identity.Role]*client.Client{}, operators: map[string]*client.Client{},
		nodes: make([]io.Closer, o.Nodes), endorsers: make([]io.Closer, o.Orgs), logger: slog.New(slog.DiscardHandler),
	}
	if o.Verbose {
		n.logger = slog.New(slog.NewTextHandler(&testWriter{t: t}, nil))
	}
	addresses := freeAddresses(t, o.Nodes+o.Orgs)
	spec := identity.NetworkSpec{Network: "test", Facades: append([]string{"f1"}, o.Facades...), Created: o.Created}
	for i := range o.Orgs {
		spec.Organisations = append(spec.Organisations, identity.OrgSpec{
			ID: fmt.Sprintf("org%d", i+1), Name: fmt.Sprintf("Organisation %d", i+1), EndorserAddress: addresses[o.Nodes+i],
		})
	}
	for i := range o.Nodes {
		spec.Nodes = append(spec.Nodes, identity.NodeSpec{
			ID: fmt.Sprintf("n%d", i+1), Organisation: spec.Organisations[i%o.Orgs].ID, Address: addresses[i],
		})
	}
	if err := identity.CreateNetwork(n.Dir, spec); err != nil {
		t.Fatalf("create network: %v", err)
	}
	trust, err := identity.LoadTrust(n.TrustPath())
	if err != nil {
		t.Fatalf("load trust: %v", err)
	}
	n.genesis = trust.Genesis()
	t.Cleanup(n.finish)
	return n
}

// TrustPath is the path of the network's trust file.
func (n *Network) TrustPath() string { return filepath.Join(n.Dir, "trust.json") }

// Trust returns the network's trust, as a process of its own would load it.
func (n *Network) Trust() *identity.Trust {
	n.t.Helper()
	trust, err := identity.LoadTrust(n.TrustPath())
	if err != nil {
		n.t.Fatalf("trust: %v", err)
	}
	return trust
}

// Credentials loads the credentials in a directory below Dir, for example "facades/f1".
func (n *Network) Credentials(dir string, trust *identity.Trust) *identity.Credentials {
	n.t.Helper()
	c, err := identity.LoadCredentials(filepath.Join(n.Dir, dir), trust)
	if err != nil {
		n.t.Fatalf("credentials: %v", err)
	}
	return c
}

// NodeDir is where node i keeps its data, EndorserDir where the endorser of organisation i does.
func (n *Network) NodeDir(i int) string { return filepath.Join(n.data, "node"+strconv.Itoa(i+1)) }

// EndorserDir is where the endorser of organisation i keeps its copy of the ledger.
func (n *Network) EndorserDir(i int) string {
	return filepath.Join(n.data, "endorser"+strconv.Itoa(i+1))
}

// RestartNode starts node i, on its directory and address.
func (n *Network) RestartNode(i int) {
	n.t.Helper()
	if n.nodes[i] != nil {
		n.t.Fatalf("node %d runs already", i)
	}
	trust := n.Trust()
	g := n.genesis.GetNodes()[i]
	cfg := node.Config{
		Dir: n.NodeDir(i), Listen: g.GetAddress(), Trust: trust, Logger: n.logger.With("process", g.GetId()),
		Fatal:       n.fatal(g.GetId()),
		Credentials: n.Credentials(filepath.Join("nodes", g.GetId()), trust),
	}
	if n.options.Node != nil {
		n.options.Node(i, &cfg)
	}
	running, err := node.Open(context.Background(), cfg)
	if err != nil {
		n.t.Fatalf("open node %d: %v", i, err)
	}
	n.nodes[i] = running
}

// RestartEndorser starts the endorser of organisation i.
func (n *Network) RestartEndorser(i int) {
	n.t.Helper()
	if n.endorsers[i] != nil {
		n.t.Fatalf("endorser %d runs already", i)
	}
	trust := n.Trust()
	g := n.genesis.GetOrganisations()[i]
	dir := filepath.Join("orgs", g.GetId(), "endorser")
	cfg := endorser.Config{
		Dir: n.EndorserDir(i), Listen: g.GetEndorserAddress(), Trust: trust, Credentials: n.Credentials(dir, trust),
		Logger: n.logger.With("process", "endorser "+g.GetId()), Fatal: n.fatal("endorser " + g.GetId()),
	}
	if n.options.Endorser != nil {
		n.options.Endorser(i, &cfg)
	}
	running, err := endorser.Open(context.Background(), cfg)
	if err != nil {
		n.t.Fatalf("open endorser %d: %v", i, err)
	}
	n.endorsers[i] = running
}

func (n *Network) fatal(process string) func(error) {
	return func(err error) { n.t.Errorf("%s stops: %v", process, err) }
}

// AdminAddresses are the addresses of health and metrics of the running nodes and endorsers; empty strings of those
// that Options gave none.
func (n *Network) AdminAddresses() []string {
	var addresses []string
	for _, one := range slices.Concat(n.nodes, n.endorsers) {
		if one, ok := one.(interface{ AdminAddr() string }); ok {
			addresses = append(addresses, one.AdminAddr())
		}
	}
	return addresses
}

// StopNode stops node i as a clean shutdown does.
func (n *Network) StopNode(i int) { n.stop(n.nodes, i) }

// StopEndorser stops the endorser of organisation i.
func (n *Network) StopEndorser(i int) { n.stop(n.endorsers, i) }

func (n *Network) stop(set []io.Closer, i int) {
	n.t.Helper()
	if set[i] == nil {
		return
	}
	if err := set[i].Close(); err != nil {
		n.t.Errorf("close: %v", err)
	}
	set[i] = nil
}

// Leader is the place of the node that leads; it waits for one.
func (n *Network) Leader() int {
	n.t.Helper()
	leader := -1
	WaitFor(n.t, readyTimeout, "a leader", func() bool {
		for i, g := range n.genesis.GetNodes() {
			if n.nodes[i] == nil {
				continue
			}
			if st := n.status(g.GetId()); st.GetRole() == "leader" {
				leader = i
				return true
			}
		}
		return false
	})
	return leader
}

// Client returns the shared client of a role: identity.RoleFacade, identity.RoleClient or identity.RoleOperator, all of
// organisation 1.
func (n *Network) Client(role identity.Role) *client.Client {
	n.t.Helper()
	n.mu.Lock()
	defer n.mu.Unlock()
	if c := n.clients[role]; c != nil {
		return c
	}
	dir := map[identity.Role]string{identity.RoleFacade: "facades/f1", identity.RoleClient: "clients/bench",
		identity.RoleOperator: "operator"}[role]
	n.clients[role] = n.open(dir)
	return n.clients[role]
}

// Operator returns the shared client of an operator of an organisation.
func (n *Network) Operator(organisation string) *client.Client {
	n.t.Helper()
	if organisation == n.genesis.GetOrganisations()[0].GetId() {
		return n.Client(identity.RoleOperator)
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.operators[organisation] == nil {
		dir := filepath.Join("operators", organisation)
		if _, err := os.Stat(filepath.Join(n.Dir, dir)); err != nil { // it joined later
			n.Issue(dir, identity.Identity{Organisation: organisation, Role: identity.RoleOperator, Name: "operator"})
		}
		n.operators[organisation] = n.open(dir)
		n.others = append(n.others, n.operators[organisation])
	}
	return n.operators[organisation]
}

// open makes a client with the credentials in a directory below Dir.
func (n *Network) open(dir string) *client.Client {
	n.t.Helper()
	trust := n.Trust()
	cfg := client.Config{Credentials: n.Credentials(dir, trust), Trust: trust, Logger: n.logger.With("process", dir)}
	if n.options.Client != nil {
		n.options.Client(&cfg)
	}
	c, err := client.Open(cfg)
	if err != nil {
		n.t.Fatalf("open client: %v", err)
	}
	return c
}

// Submit writes as a role and fails the test unless that succeeds; it is patient, for networks that have just started.
func (n *Network) Submit(role identity.Role, tx *ltlv1.Transaction) *ltlv1.Result {
	n.t.Helper()
	return n.submit(n.Client(role), tx)
}

func (n *Network) submit(c *client.Client, tx *ltlv1.Transaction) *ltlv1.Result {
	n.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), readyTimeout)
	defer cancel()
	for {
		r, err := c.Submit(ctx, tx)
		switch {
		case err == nil && r.GetCode() == rules.OK:
			return r
		case err == nil:
			n.t.Fatalf("refused with code %d: %s", r.GetCode(), rules.Message(r.GetCode()))
		case ctx.Err() != nil:
			n.t.Fatalf("submit: %v", err)
		}
		time.Sleep(50 * time.Millisecond)
	}
}

// bootstrap creates accounts, chain and member.
func (n *Network) bootstrap() {
	n.t.Helper()
	organisation := func(i int) string { return n.genesis.GetOrganisations()[min(i, len(n.endorsers)-1)].GetId() }
	n.Admin.Organisation, n.Member.Organisation = organisation(0), organisation(1)
	delegates := &ltlv1.SetDelegates{}
	for _, f := range slices.Sorted(slices.Values(append([]string{"f1"}, n.options.Facades...))) {
		delegates.Facades = append(delegates.Facades, organisation(0)+"/facade/"+f)
	}
	for _, o := range n.genesis.GetOrganisations()[1:] {
		n.submit(n.Operator(o.GetId()), &ltlv1.Transaction{ChainId: ledger.SystemChain,
			Action: &ltlv1.Transaction_SetDelegates{SetDelegates: delegates}})
	}
	account := func(a *Account, name string) {
		a.UID = n.submit(n.Operator(a.Organisation), &ltlv1.Transaction{ChainId: ledger.SystemChain,
			Action: &ltlv1.Transaction_CreateAccount{
				CreateAccount: &ltlv1.CreateAccount{Name: name, Type: ltlv1.AccountType_ACCOUNT_TYPE_RAM,
					Organisation: a.Organisation},
			}}).GetOutput()
	}
	account(&n.Admin, "admin")
	account(&n.Member, "member")
	chain := &ltlv1.CreateChain{
		Name: "proof", Service: ltlv1.ChainService_CHAIN_SERVICE_PROOF, Edition: ltlv1.Edition_EDITION_ENTERPRISE,
		AdministratorUid: n.Admin.UID,
	}
	for _, o := range n.genesis.GetOrganisations() {
		chain.Organisations = append(chain.Organisations, o.GetId())
	}
	n.ChainID = n.Submit(identity.RoleOperator, &ltlv1.Transaction{ChainId: ledger.SystemChain,
		Action: &ltlv1.Transaction_CreateChain{CreateChain: chain}}).GetOutput()
	n.Submit(identity.RoleFacade, &ltlv1.Transaction{ChainId: n.ChainID, AccountUid: n.Admin.UID,
		Action: &ltlv1.Transaction_CreateMember{
			CreateMember: &ltlv1.CreateMember{MemberUid: n.Member.UID, Name: "member", Contact: "contact", Phone: "123456"},
		}})
	for _, a := range []*Account{&n.Admin, &n.Member} {
		out, err := n.Client(identity.RoleFacade).Ledger().ListChains(context.Background(),
			&ltlv1.ListChainsRequest{AccountUid: a.UID, Page: 1, Size: 10})
		if err != nil || len(out.GetChains()) != 1 {
			n.t.Fatalf("chains of %s: %v, error %v", a.UID, out, err)
		}
		n.ChainCode, a.TypeCode = out.GetChains()[0].GetChainCode(), out.GetChains()[0].GetDataTypeCode()
	}
}

// Key makes a Key of an account on the proof chain.
func (n *Network) Key(a Account, id string) string {
	return rules.KeyVersion + "_" + n.ChainCode + "_" + a.TypeCode + "_" + id
}

// AttachData makes a transaction that adds a value to a Key.
func (n *Network) AttachData(a Account, id, value string) *ltlv1.Transaction {
	return client.AttachData(n.ChainID, a.UID, n.Key(a, id), value)
}

// SetData makes a transaction that puts a value under a Key.
func (n *Network) SetData(a Account, id, value string) *ltlv1.Transaction {
	return client.SetData(n.ChainID, a.UID, n.Key(a, id), value)
}

// WaitFor fails the test unless the condition becomes true in time.
func WaitFor(t testing.TB, timeout time.Duration, what string, condition func() bool) {
	t.Helper()
	for deadline := time.Now().Add(timeout); !condition(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%s: not within %v", what, timeout)
		}
	}
}

// freeAddresses returns addresses that no process listens on.
func freeAddresses(t testing.TB, count int) []string {
	t.Helper()
	var held []net.Listener // until all are chosen, so that no port is chosen twice
	defer func() {
		for _, l := range held {
			l.Close()
		}
	}()
	var addresses []string
	for range portAttempts {
		address := net.JoinHostPort("127.0.0.1", strconv.Itoa(firstPort+rand.IntN(lastPort-firstPort)))
		if l, err := net.Listen("tcp", address); err == nil {
			held, addresses = append(held, l), append(addresses, address)
		}
		if len(addresses) == count {
			return addresses
		}
	}
	t.Fatal("no free ports")
	return nil
}

// testWriter sends log lines to the test.
type testWriter struct{ t testing.TB }

// Write logs a line, without the newline at its end.
func (w *testWriter) Write(b []byte) (int, error) {
	w.t.Log(string(b[:len(b)-1]))
	return len(b), nil
}
