package endorser_test

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
	"google.golang.org/grpc"

	"google.golang.org/protobuf/proto"
	"ltl/endorser"

	"ltl/internal/identity"
	"ltl/internal/ledger"
	"ltl/internal/query"
	"ltl/internal/rules"
	"ltl/internal/store"
	ltlv1 "ltl/proto/ltl/v1"
	"ltl/test/testkit/offline"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	facadeName   = "org1/facade/f1"
	operatorName = "org1/operator/operator"
	adminUID     = "1000000000000001"
)

// world is a ledger without consensus: one store that tests write to directly, and nodes that serve it, honestly or
// not.
type world struct {
	t      testing.TB
	dir    string
	trust  *identity.Trust
	keys   map[string]ed25519.PrivateKey
	store  *store.Store
	index  uint64
	nodes  []*liar
	values offline.Values

	chainID, chainCode, typeCode string
}

// newWorld makes a ledger of three organisations with one proof chain, and two nodes that serve it.
func newWorld(t testing.TB) *world {
	t.Helper()
	w := &world{t: t, dir: filepath.Join(t.TempDir(), "pki"), keys: map[string]ed25519.PrivateKey{},
		values: offline.Values{}}
	var listeners []net.Listener
	spec := identity.NetworkSpec{Network: "test", Facades: []string{"f1"}}
	for i := range 3 {
		spec.Organisations = append(spec.Organisations, identity.OrgSpec{ID: fmt.Sprint("org", i+1), Name: fmt.Sprint("Org ",
			i+1), EndorserAddress: fmt.Sprint("127.0.0.1:", i+1)})
	}
	for i := range 2 {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		listeners = append(listeners, l)
		spec.Nodes = append(spec.Nodes, identity.NodeSpec{ID: fmt.Sprint("n", i+1), Organisation: fmt.Sprint("org", i+1),
			Address: l.Addr().String()})
	}
	var err error
	if err = identity.CreateNetwork(w.dir, spec); err != nil {
		t.Fatal(err)
	}
	if w.trust, err = identity.LoadTrust(filepath.Join(w.dir, "trust.json")); err != nil {
		t.Fatal(err)
	}
	for _, o := range spec.Organisations {
		if w.keys[o.ID], err = identity.LoadKey(filepath.Join(w.dir, "orgs", o.ID, "endorser", "sign.key")); err != nil {
			t.Fatal(err)
		}
	}
	w.store, err = store.Open(filepath.Join(t.TempDir(), "ledger"), store.Options{NoSync: true,
		Fatal: func(err error) { t.Errorf("store: %v", err) }})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := w.store.Close(); err != nil {
			t.Errorf("close store: %v", err)
		}
	})
	if err := w.store.Init(w.trust.GenesisPayload()); err != nil {
		t.Fatal(err)
	}
	for i, l := range listeners {
		w.serve(fmt.Sprint("n", i+1), l)
	}
	w.bootstrap()
	return w
}

// bootstrap creates an account and a chain.
func (w *world) bootstrap() {
	w.t.Helper()
	w.order(w.tx(operatorName, "", ledger.SystemChain,
		&ltlv1.Transaction_CreateAccount{CreateAccount: &ltlv1.CreateAccount{
			Uid: adminUID, Name: "admin", Type: ltlv1.AccountType_ACCOUNT_TYPE_RAM, Organisation: "org1",
		}}))
	w.chainID = w.order(w.tx(operatorName, "", ledger.SystemChain,
		&ltlv1.Transaction_CreateChain{CreateChain: &ltlv1.CreateChain{
			Name: "proof", Service: ltlv1.ChainService_CHAIN_SERVICE_PROOF, AdministratorUid: adminUID,
			Organisations: []string{"org1", "org2"},
		}}))[0].GetOutput()
	chain, err := rules.GetChain(w.store, w.chainID)
	if err != nil || chain == nil {
		w.t.Fatalf("chain %q: %v %v", w.chainID, chain, err)
	}
	w.chainCode, w.typeCode = chain.Code, chain.AdministratorTypeCode
}

// tx encodes a transaction; action is one of the oneof's wrappers.
func (w *world) tx(submitter, uid, chainID string, action any) []byte {
	w.t.Helper()
	tx := &ltlv1.Transaction{Version: 1, ChainId: chainID, AccountUid: uid, Submitter: submitter,
		Nonce: make([]byte, rules.NonceLen), CreatedMs: 1}
	if _, err := rand.Read(tx.Nonce); err != nil {
		w.t.Fatal(err)
	}
	offline.SetAction(tx, action)
	return offline.Encode(w.t, w.values.Commit(tx))
}

// attach encodes an AttachData of the facade on the proof chain.
func (w *world) attach(id, value string) []byte {
	return w.tx(facadeName, adminUID, w.chainID,
		&ltlv1.Transaction_AttachData{AttachData: &ltlv1.AttachData{Key: w.key(id), Value: offline.Text(value)}})
}

// set encodes a SetData of the facade on the proof chain.
func (w *world) set(id, value string) []byte {
	return w.tx(facadeName, adminUID, w.chainID, &ltlv1.Transaction_SetData{SetData: &ltlv1.SetData{Key: w.key(id),
		Value: offline.Text(value)}})
}

func (w *world) key(id string) string {
	return rules.KeyVersion + "_" + w.chainCode + "_" + w.typeCode + "_" + id
}

// order writes a batch with the endorsements of all organisations of its chain.
func (w *world) order(payloads ...[]byte) []*ltlv1.Result {
	w.t.Helper()
	return w.orderAt(time.Now(), payloads...)
}

// orderAt is order with the clock that the endorsements state.
func (w *world) orderAt(clock time.Time, payloads ...[]byte) []*ltlv1.Result {
	w.t.Helper()
	tx, err := rules.Decode(payloads[0])
	if err != nil {
		w.t.Fatal(err)
	}
	organisations := []string{"org1", "org2", "org3"}
	chain, err := rules.GetChain(w.store, tx.GetChainId())
	if err != nil {
		w.t.Fatal(err)
	}
	if chain != nil {
		organisations = chain.Organisations
	}
	var signers []offline.Signer
	for _, o := range organisations {
		signers = append(signers, offline.Signer{Organisation: o, Key: w.keys[o]})
	}
	batch := w.values.Open(offline.Batch(w.trust.NetworkID(), tx.GetChainId(), clock.UnixMilli(), payloads, signers))
	w.index++
	out, err := w.store.Apply([]store.Entry{{Index: w.index, Entry: &ltlv1.Entry{Entry: &ltlv1.Entry_Batches{
		Batches: &ltlv1.OrderedBatches{Batches: []*ltlv1.Batch{batch}},
	}}}})
	if err != nil {
		w.t.Fatal(err)
	}
	for _, r := range out[0].Results[0] {
		if r.GetCode() != rules.OK {
			w.t.Fatalf("refused: %v: %s", r, rules.Message(r.GetCode()))
		}
	}
	return out[0].Results[0]
}

// liar serves the world's store as a node; lie may change what Follow sends.
type liar struct {
	ltlv1.LedgerServer
	server *grpc.Server

	mu  sync.Mutex
	lie func(out *ltlv1.FollowResponse) error
	// height replaces the sequence in the status when it is not 0.
	height uint64
	// follows counts the streams of blocks.
	follows int
	// hash makes the status report other block hashes.
	hash bool
	// below is a chain of which the status reports the block below the tip, by its height alone.
	below string
}

func (l *liar) set(change func(l *liar)) {
	l.mu.Lock()
	defer l.mu.Unlock()
	change(l)
}

// Follow sends what the honest service sends, changed by the lie.
func (l *liar) Follow(in *ltlv1.FollowRequest, stream ltlv1.Ledger_FollowServer) error {
	l.set(func(l *liar) { l.follows++ })
	return l.LedgerServer.Follow(in, &lyingStream{Ledger_FollowServer: stream, l: l})
}

// Status reports the sequence, or a wrong one.
func (l *liar) Status(ctx context.Context, in *ltlv1.StatusRequest) (*ltlv1.StatusResponse, error) {
	out, err := l.LedgerServer.Status(ctx, in)
	l.mu.Lock()
	defer l.mu.Unlock()
	if err == nil && l.height != 0 {
		out.Sequence = l.height
	}
	if err == nil && l.hash {
		for _, c := range out.GetChains() {
			c.BlockHash[0] ^= 1
		}
	}
	if err == nil {
		for _, c := range out.GetChains() {
			if c.GetChainId() == l.below {
				c.Height, c.BlockHash = c.GetHeight()-1, nil
			}
		}
	}
	return out, err
}

type lyingStream struct {
	ltlv1.Ledger_FollowServer
	l *liar
}

func (s *lyingStream) Send(out *ltlv1.FollowResponse) error {
	s.l.mu.Lock()
	lie := s.l.lie
	s.l.mu.Unlock()
	if lie != nil {
		if err := lie(out); err != nil {
			return err
		}
	}
	return s.Ledger_FollowServer.Send(out)
}

// credentials loads the credentials in a directory of the network.
func (w *world) credentials(dir string) *identity.Credentials {
	w.t.Helper()
	c, err := identity.LoadCredentials(filepath.Join(w.dir, dir), w.trust)
	if err != nil {
		w.t.Fatal(err)
	}
	return c
}

// serve starts a node on the listener.
func (w *world) serve(name string, listener net.Listener) {
	w.t.Helper()
	l := &liar{LedgerServer: query.New(w.store, query.Options{})}
	l.server = grpc.NewServer(append(w.credentials(filepath.Join("nodes", name)).ServerOptions(endorser.AccessControl()),
		grpc.WaitForHandlers(true))...)
	ltlv1.RegisterLedgerServer(l.server, l)
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := l.server.Serve(listener); err != nil && !errors.Is(err, grpc.ErrServerStopped) {
			w.t.Errorf("serve: %v", err)
		}
	}()
	w.t.Cleanup(func() {
		l.server.Stop()
		<-done
	})
	w.nodes = append(w.nodes, l)
}

// logBuffer collects log lines.
type logBuffer struct {
	mu   sync.Mutex
	text strings.Builder
}

func (b *logBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(p)
}

func (b *logBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}

// running is an endorser of org1 with connections to it as each role.
type running struct {
	*endorser.Endorser
	w   *world
	log *logBuffer
}

// start starts the endorser of org1 on a directory. change may alter its configuration.
func (w *world) start(dir string, change func(*endorser.Config)) *running {
	w.t.Helper()
	r := &running{w: w, log: &logBuffer{}}
	cfg := endorser.Config{
		Dir: dir, Listen: "127.0.0.1:0", AdminListen: "127.0.0.1:0", Credentials: w.credentials("orgs/org1/endorser"),
		SignKey: w.keys["org1"], Trust: w.trust,
		Logger: slog.New(slog.NewTextHandler(r.log, nil)), Fatal: func(err error) { w.t.Errorf("fatal: %v", err) },
	}
	if change != nil {
		change(&cfg)
	}
	var err error
	if r.Endorser, err = endorser.Open(context.Background(), cfg); err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() {
		if err := r.Close(); err != nil {
			w.t.Errorf("close endorser: %v", err)
		}
	})
	return r
}

// dial connects to the endorser with the credentials of a directory, for example "facades/f1".
func (r *running) dial(dir string) *grpc.ClientConn {
	r.w.t.Helper()
	conn, err := grpc.NewClient(r.Addr(), r.w.credentials(dir).DialOptions(identity.RoleEndorser, "org1")...)
	if err != nil {
		r.w.t.Fatal(err)
	}
	r.w.t.Cleanup(func() {
		if err := conn.Close(); err != nil {
			r.w.t.Errorf("close connection: %v", err)
		}
	})
	return conn
}

// facade is the endorser as facade f1 sees it.
func (r *running) facade() ltlv1.EndorserClient {
	return opening{ltlv1.NewEndorserClient(r.dial("facades/f1")), r.w}
}

// opening proposes with the openings that the proposal lacks.
type opening struct {
	ltlv1.EndorserClient
	w *world
}

func (o opening) Endorse(ctx context.Context, in *ltlv1.EndorseRequest, opts ...grpc.CallOption) (*ltlv1.EndorseResponse,
	error) {
	in = proto.CloneOf(in)
	if in.Openings == nil {
		in.Openings = o.w.values.Openings(in.GetTransactions()...)
	}
	return o.EndorserClient.Endorse(ctx, in, opts...)
}

// caughtUp waits until the endorser has everything that is in the world's store.
func (r *running) caughtUp() {
	r.w.t.Helper()
	waitFor(r.w.t, "the endorser has caught up", func() bool { return r.Sequence() == r.w.store.Sequence() })
}

func waitFor(t testing.TB, what string, condition func() bool) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !condition(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%s: not within 20 s", what)
		}
	}
}
