package query_test

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/dynamicpb"

	"ltl/client"
	"ltl/internal/identity"
	"ltl/internal/ledger"
	"ltl/internal/rules"
	ltlv1 "ltl/proto/ltl/v1"
	"ltl/test/testkit"
)

// marker is a value that stands in nothing else.
const marker = "MARKER-2f9c-what-outsiders-must-not-read"

// walkTimeout bounds a call of the walk; a stream that goes on for ever ends at the record's block.
const walkTimeout = 20 * time.Second

// secret is a record on a chain of the first organisation alone.
type secret struct {
	n      *testkit.Network
	chain  *ltlv1.ChainInfo
	key    string
	result *ltlv1.Result
	id     ledger.Hash
}

func newSecret(t *testing.T, n *testkit.Network) *secret {
	t.Helper()
	id := n.Submit(identity.RoleOperator, &ltlv1.Transaction{ChainId: ledger.SystemChain,
		Action: &ltlv1.Transaction_CreateChain{CreateChain: &ltlv1.CreateChain{Name: "confined",
			Service: ltlv1.ChainService_CHAIN_SERVICE_PROOF, AdministratorUid: n.Admin.UID,
			Organisations: []string{n.Admin.Organisation}}}}).GetOutput()
	facade := n.Client(identity.RoleFacade)
	out, err := facade.Ledger().ListChains(t.Context(),
		&ltlv1.ListChainsRequest{AccountUid: n.Admin.UID, Page: 1, Size: 10})
	if err != nil {
		t.Fatal(err)
	}
	s := &secret{n: n}
	for _, c := range out.GetChains() {
		if c.GetChainId() == id {
			s.chain = c
		}
	}
	s.key = strings.Join([]string{"0001", s.chain.GetChainCode(), s.chain.GetDataTypeCode(), "secret"}, "_")
	s.result = n.Submit(identity.RoleFacade, &ltlv1.Transaction{ChainId: id, AccountUid: n.Admin.UID,
		Action:   &ltlv1.Transaction_AttachData{AttachData: &ltlv1.AttachData{Key: s.key}},
		Openings: client.Values(marker)})
	if s.result.GetCode() != rules.OK {
		t.Fatal(s.result)
	}
	for _, b := range n.Blocks(id) {
		for _, batch := range b.GetBatches() {
			for _, payload := range batch.GetTransactions() {
				s.id = ledger.TransactionID(payload) // the newest block is the record's
			}
		}
	}
	return s
}

// request fills in what a caller knows of the record, by the names of the fields.
func (s *secret) request(d protoreflect.MessageDescriptor) proto.Message {
	m := dynamicpb.NewMessage(d)
	for i := range d.Fields().Len() {
		f := d.Fields().Get(i)
		switch f.Name() {
		case "chain_id":
			m.Set(f, protoreflect.ValueOfString(s.chain.GetChainId()))
		case "chain_code":
			m.Set(f, protoreflect.ValueOfString(s.chain.GetChainCode()))
		case "key":
			m.Set(f, protoreflect.ValueOfString(s.key))
		case "account_uid":
			m.Set(f, protoreflect.ValueOfString(s.n.Admin.UID))
		case "transaction_hash":
			m.Set(f, protoreflect.ValueOfBytes(s.id[:]))
		case "heights":
			m.Mutable(f).List().Append(protoreflect.ValueOfUint64(s.result.GetBlockHeight()))
		case "page", "size":
			m.Set(f, protoreflect.ValueOfUint32(1))
		case "openings":
			m.Set(f, protoreflect.ValueOfBool(true))
		}
	}
	return m
}

// walk calls every method of the Ledger service at a process, and returns those whose answers have the marker.
func (s *secret) walk(t *testing.T, conn *grpc.ClientConn) (tell []string) {
	t.Helper()
	found, err := protoregistry.GlobalFiles.FindDescriptorByName("ltl.v1.Ledger")
	if err != nil {
		t.Fatal(err)
	}
	methods := found.(protoreflect.ServiceDescriptor).Methods()
	for i := range methods.Len() {
		m := methods.Get(i)
		answers, err := s.call(t, conn, m)
		if strings.Contains(fmt.Sprint(err), marker) || bytes.Contains(answers, []byte(marker)) {
			tell = append(tell, string(m.Name()))
		}
	}
	return tell
}

// call returns everything that a method answers, of a stream up to the record's block, and the error that ended it.
func (s *secret) call(t *testing.T, conn *grpc.ClientConn, m protoreflect.MethodDescriptor) ([]byte, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), walkTimeout)
	defer cancel()
	name := "/ltl.v1.Ledger/" + string(m.Name())
	out := func() *dynamicpb.Message { return dynamicpb.NewMessage(m.Output()) }
	if !m.IsStreamingServer() {
		answer := out()
		err := conn.Invoke(ctx, name, s.request(m.Input()), answer)
		b, _ := proto.Marshal(answer)
		return b, err
	}
	stream, err := conn.NewStream(ctx, &grpc.StreamDesc{ServerStreams: true}, name)
	if err != nil {
		return nil, err
	}
	if err := stream.SendMsg(s.request(m.Input())); err != nil {
		return nil, err
	}
	var all []byte
	for {
		answer := out()
		if err := stream.RecvMsg(answer); err != nil {
			return all, err
		}
		b, err := proto.Marshal(answer)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, b...)
		if bytes.Contains(b, s.result.GetBlockHash()) {
			return all, nil
		}
		if block := blockIn(b); block != nil && ledger.BlockHash(block.GetHeader()) == ledger.Hash(s.result.GetBlockHash()) {
			return all, nil
		}
	}
}

// blockIn reads the block of an answer of Follow or Blocks.
func blockIn(b []byte) *ltlv1.Block {
	follow, blocks := &ltlv1.FollowResponse{}, &ltlv1.BlocksResponse{}
	if proto.Unmarshal(b, follow) == nil && follow.GetBlock() != nil {
		return follow.GetBlock()
	}
	if proto.Unmarshal(b, blocks) == nil {
		return blocks.GetBlock()
	}
	return nil
}

// dial connects to a process with a certificate of an identity.
func (s *secret) dial(t *testing.T, id identity.Identity, role identity.Role, name, address string) *grpc.ClientConn {
	t.Helper()
	dir := filepath.Join("walkers", id.Organisation+"-"+string(id.Role))
	if _, err := os.Stat(filepath.Join(s.n.Dir, dir)); err != nil {
		s.n.Issue(dir, id)
	}
	conn, err := grpc.NewClient(address, s.n.Credentials(dir, s.n.Trust()).DialOptions(role, name)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return conn
}

// A process of an organisation that is not one of the chain's reads a value by no method of Ledger, of a node or of an endorser;
// one of the chain's reads it. On disk it is in the files of openings and the nodes' Raft logs, and nowhere at the
// endorsers of other organisations. What an endorser has lost it fetches from a node, and a node from an endorser.
func TestOutsidersReadNoValue(t *testing.T) {
	n := testkit.Start(t, testkit.Options{Nodes: 1, Orgs: 2})
	s := newSecret(t, n)
	n.CheckLedgers(t)
	g := n.Trust().Genesis()
	node, own := g.GetNodes()[0], g.GetOrganisations()[0]
	readers := []string{"Blocks", "Follow", "GetRecord", "ListHistory", "GetTransaction", "Openings"}
	slices.Sort(readers)
	for _, role := range []identity.Role{identity.RoleClient, identity.RoleOperator, identity.RoleFacade,
		identity.RoleEndorser} {
		for _, o := range g.GetOrganisations() {
			id := identity.Identity{Organisation: o.GetId(), Role: role, Name: "walker"}
			if role == identity.RoleEndorser {
				id.Name = o.GetId()
			}
			var want []string
			if o == own {
				want = readers
			}
			for process, conn := range map[string]*grpc.ClientConn{
				"node":     s.dial(t, id, identity.RoleNode, node.GetId(), node.GetAddress()),
				"endorser": s.dial(t, id, identity.RoleEndorser, own.GetId(), own.GetEndorserAddress()),
			} {
				tell := s.walk(t, conn)
				slices.Sort(tell)
				if !slices.Equal(tell, want) {
					t.Errorf("%s as %s: these methods gave the value: %v, want %v", process, id, tell, want)
				}
			}
		}
	}
	n.StopEndorser(0)
	path := filepath.Join(n.EndorserDir(0), "openings", "00000000.openings")
	if held := filesWith(t, n.EndorserDir(0), marker); !slices.Equal(held, []string{path}) {
		t.Errorf("the endorser of the chain's organisation has the value in %v", held)
	}
	if held := filesWith(t, n.EndorserDir(1), marker); len(held) > 0 {
		t.Errorf("the endorser of another organisation has the value in %v", held)
	}
	for _, held := range filesWith(t, n.NodeDir(0), marker) {
		if filepath.Ext(held) != ".openings" && !strings.Contains(filepath.Base(held), "raft") {
			t.Errorf("a node has the value in %s", held)
		}
	}
	if err := os.Truncate(path, 0); err != nil { // as a power cut does
		t.Fatal(err)
	}
	n.RestartEndorser(0)
	conn := s.dial(t, identity.Identity{Organisation: own.GetId(), Role: identity.RoleClient, Name: "walker"},
		identity.RoleEndorser, own.GetId(), own.GetEndorserAddress())
	testkit.WaitFor(t, time.Minute, "the endorser fetches the lost value", func() bool {
		out, err := ltlv1.NewLedgerClient(conn).Openings(t.Context(), &ltlv1.OpeningsRequest{ChainId: s.chain.GetChainId(),
			Heights: []uint64{s.result.GetBlockHeight()}})
		return err == nil && strings.Contains(fmt.Sprint(out), marker)
	})
	lost := filepath.Join(n.NodeDir(0), "ledger", "openings", "00000000.openings") // of the only node
	held, err := os.ReadFile(lost)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(lost, make([]byte, len(held)), 0o600); err != nil {
		t.Fatal(err)
	}
	testkit.WaitFor(t, time.Minute, "the node fetches what no node has from the endorser", func() bool {
		out, err := n.Client(identity.RoleFacade).Ledger().GetRecord(t.Context(),
			&ltlv1.GetRecordRequest{ChainCode: s.chain.GetChainCode(), Key: s.key})
		return err == nil && out.GetRecord().GetValue() == marker
	})
}

// filesWith returns the files below a directory that have a text.
func filesWith(t *testing.T, dir, text string) (found []string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		b, err := os.ReadFile(path)
		if bytes.Contains(b, []byte(text)) {
			found = append(found, path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}
