package client_test

import (
	"cmp"
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"ltl/client"
	"ltl/internal/identity"
	"ltl/internal/ledger"
	"ltl/internal/policy"
	"ltl/internal/rules"
	ltlv1 "ltl/proto/ltl/v1"
)

const (
	testChain = "1000000000000001"
	testCode  = "ABCDEFGHIJKLMNOP"
	testUID   = "1234567890123456"
)

// fake is a network of test doubles: real connections and certificates, made-up behaviour.
type fake struct {
	t         *testing.T
	dir       string
	trust     *identity.Trust
	orgs      []string
	onChain   []string // the organisations of the chain where they are not all; guarded by mu
	policy    string
	holder    string                // the organisation that must endorse what a device signed; empty for none
	joined    []*ltlv1.Organisation // after the genesis
	unlisted  atomic.Bool           // GetNetwork leaves the chain out, as one of too many
	asked     atomic.Int32          // how often GetChain was called
	nodes     []*fakeNode
	endorsers []*fakeEndorser

	leader atomic.Int32 // -1 for none
	term   atomic.Uint64

	mu        sync.Mutex
	committed map[ledger.Hash]*ltlv1.Result
	count     map[ledger.Hash]int // how often it was executed, which must stay 1
	batches   []*ltlv1.Batch
	keys      []*ltlv1.SealedKey
	executes  int32         // the code that execution gives when it is not 0
	refusal   *ltlv1.Result // what the leader answers every batch with, unless it is nil
	refused   int           // how many batches it answered so
}

// startFake starts n nodes and n organisations with one endorser each; node 0 leads.
func startFake(t *testing.T, n int, policy string) *fake {
	t.Helper()
	f := &fake{t: t, dir: filepath.Join(t.TempDir(), "net"), policy: policy, committed: map[ledger.Hash]*ltlv1.Result{},
		count: map[ledger.Hash]int{}}
	f.term.Store(1)
	spec := identity.NetworkSpec{Network: "fake", Facades: []string{"f1"}}
	var listeners []net.Listener
	listen := func() string {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		listeners = append(listeners, l)
		return l.Addr().String()
	}
	for i := range n {
		org := fmt.Sprintf("org%d", i+1)
		f.orgs = append(f.orgs, org)
		spec.Organisations = append(spec.Organisations, identity.OrgSpec{ID: org, Name: org, EndorserAddress: listen()})
		spec.Nodes = append(spec.Nodes, identity.NodeSpec{ID: fmt.Sprintf("n%d", i+1), Organisation: org, Address: listen()})
	}
	if err := identity.CreateNetwork(f.dir, spec); err != nil {
		t.Fatal(err)
	}
	var err error
	if f.trust, err = identity.LoadTrust(filepath.Join(f.dir, "trust.json")); err != nil {
		t.Fatal(err)
	}
	for i := range n {
		key, err := identity.LoadKey(filepath.Join(f.dir, "orgs", f.orgs[i], "endorser", "sign.key"))
		if err != nil {
			t.Fatal(err)
		}
		e := &fakeEndorser{f: f, org: f.orgs[i], key: key}
		e.server = f.serve(filepath.Join("orgs", f.orgs[i], "endorser"), listeners[2*i],
			func(s *grpc.Server) {
				ltlv1.RegisterEndorserServer(s, e)
				ltlv1.RegisterLedgerServer(s, &fakeCopy{f: f, silent: &e.silent})
			})
		f.endorsers = append(f.endorsers, e)
		node := &fakeNode{f: f, i: i}
		node.server = f.serve(filepath.Join("nodes", fmt.Sprintf("n%d", i+1)), listeners[2*i+1], func(s *grpc.Server) {
			ltlv1.RegisterOrdererServer(s, node)
			ltlv1.RegisterLedgerServer(s, node)
			ltlv1.RegisterOperatorServer(s, node)
		})
		f.nodes = append(f.nodes, node)
	}
	return f
}

func (f *fake) credentials(dir string) *identity.Credentials {
	f.t.Helper()
	c, err := identity.LoadCredentials(filepath.Join(f.dir, dir), f.trust)
	if err != nil {
		f.t.Fatal(err)
	}
	return c
}

// serve starts a server on which every role may call every method.
func (f *fake) serve(dir string, l net.Listener, register func(*grpc.Server)) *grpc.Server {
	acl := identity.ACL{}
	for _, d := range []grpc.ServiceDesc{ltlv1.Orderer_ServiceDesc, ltlv1.Ledger_ServiceDesc, ltlv1.Operator_ServiceDesc,
		ltlv1.Endorser_ServiceDesc} {
		for _, m := range d.Methods {
			acl["/"+d.ServiceName+"/"+m.MethodName] = identity.Roles()
		}
		for _, s := range d.Streams {
			acl["/"+d.ServiceName+"/"+s.StreamName] = identity.Roles()
		}
	}
	s := grpc.NewServer(append(f.credentials(dir).ServerOptions(acl), grpc.WaitForHandlers(true))...)
	register(s)
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := s.Serve(l); err != nil && !errors.Is(err, grpc.ErrServerStopped) {
			f.t.Errorf("serve %s: %v", dir, err)
		}
	}()
	f.t.Cleanup(func() {
		s.Stop()
		<-done
	})
	return s
}

// client opens a client; change may alter its configuration.
func (f *fake) client(change func(*client.Config)) *client.Client {
	f.t.Helper()
	cfg := client.Config{Credentials: f.credentials("facades/f1"), Trust: f.trust, Logger: slog.New(slog.DiscardHandler)}
	if change != nil {
		change(&cfg)
	}
	c, err := client.Open(cfg)
	if err != nil {
		f.t.Fatal(err)
	}
	f.t.Cleanup(func() {
		if err := c.Close(); err != nil {
			f.t.Errorf("close client: %v", err)
		}
	})
	return c
}

// stored counts distinct transactions, and fails the test if one was executed twice.
func (f *fake) stored() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	for id, n := range f.count {
		if n != 1 {
			f.t.Errorf("transaction %x was executed %d times", id, n)
		}
	}
	return len(f.committed)
}

// lastBatch is the batch that was ordered last.
func (f *fake) lastBatch() *ltlv1.Batch {
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.batches) == 0 {
		f.t.Fatal("nothing was ordered")
	}
	return f.batches[len(f.batches)-1]
}

// commit executes a batch exactly as far as a client can see: unknown transactions that enough organisations signed get
// a result, and one that lacks a signature makes the whole batch refused.
func (f *fake) commit(b *ltlv1.Batch) []*ltlv1.Result {
	f.mu.Lock()
	defer f.mu.Unlock()
	parsed, err := policy.Parse(f.policy)
	if err != nil {
		f.t.Errorf("policy: %v", err)
	}
	var results []*ltlv1.Result
	if f.refusal != nil {
		f.refused++
		for range b.GetTransactions() {
			results = append(results, f.refusal)
		}
		return results
	}
	ordered := false
	allEndorsed := f.endorsed(b, parsed)
	for i, payload := range b.GetTransactions() {
		id := ledger.TransactionID(payload)
		if first := f.committed[id]; first != nil {
			results = append(results, first)
			continue
		}
		if !allEndorsed {
			results = append(results, &ltlv1.Result{Code: rules.NotEndorsed})
			continue
		}
		ordered = true
		r := &ltlv1.Result{Code: cmp.Or(f.executes, rules.OK), ChainId: b.GetChainId(),
			BlockHeight: uint64(len(f.batches) + 1), TransactionIndex: uint32(i), Output: fmt.Sprintf("%x", id[:4])}
		f.committed[id] = r
		f.count[id]++
		results = append(results, r)
	}
	if ordered {
		f.batches = append(f.batches, b)
	}
	return results
}

// satisfies reports whether the endorsements of the organisations in signed satisfy the policy.
func satisfies(p policy.Policy, submitter string, organisations []string, signed map[string]bool) bool {
	q := p.Quorum(organisations)
	var set policy.Set
	for i, o := range organisations {
		if signed[o] {
			set = set.With(i)
		}
	}
	return q.Satisfied(policy.Subject{Submitter: q.Set("org1"), Account: q.Set(submitter)}, set)
}

// endorsed reports whether every transaction of a batch is known or endorsed. f.mu is held.
func (f *fake) endorsed(b *ltlv1.Batch, p policy.Policy) bool {
	for i, payload := range b.GetTransactions() {
		tx, err := rules.Decode(payload)
		if err != nil {
			f.t.Errorf("a transaction does not decode: %v", err)
			return false
		}
		if f.committed[ledger.TransactionID(payload)] != nil {
			continue
		}
		signed := f.signed(b, i)
		needed := f.holder == "" || rules.DeviceProofOf(tx) == nil || signed[f.holder]
		if !needed || !satisfies(p, f.submitter(tx), f.orgs, signed) {
			return false
		}
	}
	return true
}

func (f *fake) submitter(tx *ltlv1.Transaction) string {
	if tx.GetAccountUid() == testUID {
		return "org1"
	}
	return "org2"
}

// signed verifies a batch's endorsements as a node does.
func (f *fake) signed(b *ltlv1.Batch, i int) map[string]bool {
	ids := make([]ledger.Hash, len(b.GetTransactions()))
	for j, t := range b.GetTransactions() {
		ids[j] = ledger.TransactionID(t)
	}
	signed := map[string]bool{}
	for _, e := range b.GetEndorsements() {
		s, err := ledger.ParseEndorsement(e, b.GetChainId(), ledger.BatchRoot(ids), len(ids))
		if err != nil {
			f.t.Errorf("the client passed on an endorsement of another form or batch: %v", err)
			continue
		}
		o, _ := f.trust.Organisation(s.Organisation)
		if err := ledger.VerifyEndorsement(o.GetEndorserKey(), e); err != nil {
			f.t.Errorf("the client passed on an endorsement of %s that does not count", s.Organisation)
			continue
		}
		if s.Accepts(i) {
			signed[s.Organisation] = true
		}
	}
	return signed
}

// fakeNode is a test double of a node.
type fakeNode struct {
	ltlv1.UnimplementedOrdererServer
	ltlv1.UnimplementedLedgerServer
	ltlv1.UnimplementedOperatorServer
	f      *fake
	i      int
	server *grpc.Server

	submits, reads atomic.Int32
	// before and after run around a commit; an error of before replaces it, one of after replaces its answer.
	before, after atomic.Pointer[func(ctx context.Context, n int32) error]
	readError     atomic.Pointer[error]
	sequence      atomic.Uint64
	hang          atomic.Bool
	follow        atomic.Pointer[func(*ltlv1.FollowRequest, ltlv1.Ledger_FollowServer) error]
	// lie changes the node's status, submit takes the place of its answer to a batch.
	lie    atomic.Pointer[func(*ltlv1.StatusResponse)]
	submit atomic.Pointer[func(ctx context.Context) error]
	// network changes what it says of the network.
	network atomic.Pointer[func(*ltlv1.GetNetworkResponse)]
	// watch takes the place of its stream of sealed secrets.
	watch atomic.Pointer[func(ltlv1.Operator_WatchSealedServer) error]
}

func (n *fakeNode) name() string { return fmt.Sprintf("n%d", n.i+1) }

func (n *fakeNode) notLeader() error {
	st := status.New(codes.FailedPrecondition, "not the leader")
	d := &ltlv1.NotLeader{}
	if l := n.f.leader.Load(); l >= 0 {
		d.Leader = n.f.nodes[l].name()
	}
	st, err := st.WithDetails(d)
	if err != nil {
		n.f.t.Errorf("details: %v", err)
	}
	return st.Err()
}

func (n *fakeNode) Submit(ctx context.Context, in *ltlv1.SubmitRequest) (*ltlv1.SubmitResponse, error) {
	count := n.submits.Add(1)
	if lie := n.submit.Load(); lie != nil {
		return nil, (*lie)(ctx)
	}
	if n.f.leader.Load() != int32(n.i) {
		return nil, n.notLeader()
	}
	if hook := n.before.Load(); hook != nil {
		if err := (*hook)(ctx, count); err != nil {
			return nil, err
		}
	}
	results := n.f.commit(in.GetBatch())
	if hook := n.after.Load(); hook != nil {
		if err := (*hook)(ctx, count); err != nil {
			return nil, err
		}
	}
	return &ltlv1.SubmitResponse{Results: results}, nil
}

func (n *fakeNode) Status(ctx context.Context, _ *ltlv1.StatusRequest) (*ltlv1.StatusResponse, error) {
	if n.hang.Load() {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	out := &ltlv1.StatusResponse{Id: n.f.orgs[n.i] + "/node/" + n.name(), Role: "follower", Term: n.f.term.Load(),
		Sequence: n.sequence.Load()}
	leader := n.f.leader.Load()
	if leader >= 0 {
		out.Leader = n.f.nodes[leader].name()
	}
	if leader == int32(n.i) {
		out.Role = "leader"
	}
	if lie := n.lie.Load(); lie != nil {
		(*lie)(out)
	}
	return out, nil
}

func (n *fakeNode) readable() error {
	n.reads.Add(1)
	if err := n.readError.Load(); err != nil {
		return *err
	}
	return nil
}

func (n *fakeNode) GetAccount(_ context.Context, in *ltlv1.GetAccountRequest) (*ltlv1.GetAccountResponse, error) {
	if err := n.readable(); err != nil {
		return nil, err
	}
	org := "org2"
	if in.GetUid() == testUID {
		org = "org1"
	}
	return &ltlv1.GetAccountResponse{Code: rules.OK, Accounts: []*ltlv1.AccountInfo{{Uid: in.GetUid(),
		Organisation: org}}}, nil
}

func (n *fakeNode) PutSealed(_ context.Context, in *ltlv1.PutSealedRequest) (*ltlv1.PutSealedResponse, error) {
	if n.f.leader.Load() != int32(n.i) {
		return nil, n.notLeader()
	}
	n.f.mu.Lock()
	defer n.f.mu.Unlock()
	k := &ltlv1.SealedKey{AccessKeyId: in.GetAccessKeyId(), Version: uint64(len(n.f.keys) + 1)}
	n.f.keys = append(n.f.keys, k)
	return &ltlv1.PutSealedResponse{Code: rules.OK}, nil
}

func (n *fakeNode) WatchSealed(in *ltlv1.WatchSealedRequest, s ltlv1.Operator_WatchSealedServer) error {
	if lie := n.watch.Load(); lie != nil {
		return (*lie)(s)
	}
	n.f.mu.Lock()
	keys := n.f.keys[min(in.GetAfterVersion(), uint64(len(n.f.keys))):]
	n.f.mu.Unlock()
	for i, k := range keys {
		if i == 2 {
			return status.Error(codes.Unavailable, "this node breaks off after two")
		}
		if err := s.Send(&ltlv1.WatchSealedResponse{Sealed: k}); err != nil {
			return err
		}
	}
	if err := s.Send(&ltlv1.WatchSealedResponse{}); err != nil {
		return err
	}
	<-s.Context().Done()
	return s.Context().Err()
}

// fakeEndorser is a test double of an endorser: it accepts everything unless a test changes that.
type fakeEndorser struct {
	ltlv1.UnimplementedEndorserServer
	f      *fake
	org    string
	key    ed25519.PrivateKey
	server *grpc.Server
	calls  atomic.Int32
	silent atomic.Bool // its copy of the ledger answers nothing

	mu      sync.Mutex
	verdict func(in *ltlv1.EndorseRequest, tx *ltlv1.Transaction) int32 // 0 for OK
	// required names the organisation that a transaction needs, reason why one is refused.
	required func(tx *ltlv1.Transaction) string
	reason   string
	forge    func(s *ltlv1.Endorsement, out *ltlv1.EndorseResponse, st *ledger.Endorsement)
	block    func(ctx context.Context) error
	skew     time.Duration // by how much its clock is ahead
}

func (e *fakeEndorser) set(change func(e *fakeEndorser)) {
	e.mu.Lock()
	defer e.mu.Unlock()
	change(e)
}

func (e *fakeEndorser) Endorse(ctx context.Context, in *ltlv1.EndorseRequest) (*ltlv1.EndorseResponse, error) {
	e.calls.Add(1)
	e.mu.Lock()
	verdict, forge, block, required, reason, skew := e.verdict, e.forge, e.block, e.required, e.reason, e.skew
	e.mu.Unlock()
	if block != nil {
		if err := block(ctx); err != nil {
			return nil, err
		}
	}
	out := &ltlv1.EndorseResponse{}
	var ids []ledger.Hash
	var accepted []bool
	any := false
	for i, payload := range in.GetTransactions() {
		ids = append(ids, ledger.TransactionID(payload))
		code := rules.OK
		tx, err := rules.Decode(payload)
		if err != nil {
			e.f.t.Errorf("a proposal does not decode: %v", err)
		}
		if len(in.GetOpenings()) > 0 {
			tx.Openings = in.GetOpenings()[i]
		}
		if code, reason := rules.CheckOpenings(tx, tx.GetOpenings()); code != rules.OK {
			e.f.t.Errorf("a proposal has wrong openings: %s", reason)
		}
		if verdict != nil {
			if c := verdict(in, tx); c != 0 {
				code = c
			}
		}
		if required != nil {
			out.Required = append(out.Required, required(tx))
		}
		out.Reasons = append(out.Reasons, map[bool]string{false: reason}[code == rules.OK])
		out.Codes = append(out.Codes, code)
		accepted = append(accepted, code == rules.OK)
		any = any || code == rules.OK
	}
	if !any {
		return out, nil
	}
	st := &ledger.Endorsement{
		NetworkID: e.f.trust.NetworkID(), ChainID: in.GetChainId(), Root: ledger.BatchRoot(ids), Count: uint32(len(ids)),
		ClockMs: time.Now().Add(skew).UnixMilli(), KeyID: ledger.KeyID(e.key.Public().(ed25519.PublicKey)),
		Organisation: e.org,
		Accepted:     ledger.Bitmap(accepted),
	}
	out.Endorsement = st.Sign(e.key)
	if forge != nil {
		forge(out.Endorsement, out, st)
	}
	return out, nil
}

// record makes an AttachData.
func record(id, value string) *ltlv1.Transaction {
	return &ltlv1.Transaction{
		ChainId: testChain, AccountUid: testUID,
		Action:   &ltlv1.Transaction_AttachData{AttachData: &ltlv1.AttachData{Key: "0001_" + testCode + "_AAAA_" + id}},
		Openings: client.Values(value),
	}
}

// valueOf is the value that a transaction's openings hold.
func valueOf(tx *ltlv1.Transaction) string {
	value, _ := client.ValueOf(tx)
	return value
}

// upload makes an AttachData that a device signed.
func upload(id, value string) *ltlv1.Transaction {
	tx := record(id, value)
	digest := sha256.Sum256([]byte(value))
	tx.GetAttachData().Device = &ltlv1.DeviceProof{
		AuthType: "ID2", IotId: "device", ProductKey: "product", DataDigest: strings.ToUpper(hex.EncodeToString(digest[:])),
		Source:    "1",
		Signature: "3~2~ABABABABABABABAB~1512022279204~3vxizdS0JVOKSqnsR8VsZd0xUnL7Uo2S4ojSgXnoxI6XnA1nt3r97vPi1Bnh6fF1",
	}
	return tx
}
