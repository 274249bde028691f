package query_test

import (
	"bytes"
	"fmt"
	"math"
	"strings"
	"sync"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"ltl/client"
	"ltl/internal/identity"
	"ltl/internal/ledger"
	"ltl/internal/rules"
	ltlv1 "ltl/proto/ltl/v1"
	"ltl/test/testkit"
)

// history is a Key with more records than can be listed without a window.
const historyLength = 520

// fixture is one network for all tests of this package: they only add keys of their own.
type fixture struct {
	n       *testkit.Network
	ledger  *client.Ledger
	history string
	// results are those of the history's records, oldest first.
	results []*ltlv1.Result
}

func start(t *testing.T) *fixture {
	t.Helper()
	n := testkit.Start(t, testkit.Options{})
	f := &fixture{n: n, ledger: n.Client(identity.RoleFacade).Ledger(), history: n.Key(n.Member, "history")}
	c := n.Client(identity.RoleFacade)
	results := make([]*ltlv1.Result, historyLength)
	var group sync.WaitGroup
	for i := range results {
		group.Go(func() {
			r, err := c.Submit(t.Context(), n.AttachData(n.Member, "history", fmt.Sprint("value ", i)))
			if err != nil || r.GetCode() != rules.OK {
				t.Errorf("record %d: %v %v", i, r, err)
				return
			}
			results[i] = r
		})
	}
	group.Wait()
	if t.Failed() {
		t.FailNow()
	}
	f.results = results
	return f
}

func TestLedger(t *testing.T) {
	f := start(t)
	t.Run("record", f.record)
	t.Run("history", f.pages)
	t.Run("window", f.window)
	t.Run("access", f.access)
	t.Run("chains", f.chains)
	t.Run("transaction", f.transaction)
	t.Run("bad pages", f.badPages)
	t.Run("blocks", f.blocks)
}

// record reads what was written and checks every hash against the block itself.
func (f *fixture) record(t *testing.T) {
	n := f.n
	const value = "某公司某业务数据。<&>'\""
	r := n.Submit(identity.RoleFacade, n.SetData(n.Admin, "one", value))
	out, err := f.ledger.GetRecord(t.Context(), &ltlv1.GetRecordRequest{ChainCode: n.ChainCode,
		Key: n.Key(n.Admin, "one"), AccountUid: n.Admin.UID})
	if err != nil || out.GetCode() != rules.OK {
		t.Fatal(out, err)
	}
	got := out.GetRecord()
	n.CheckLedgers(t) // blocks are read from any node, also from one that is a little behind
	block := n.Blocks(n.ChainID)[r.GetBlockHeight()]
	header, err := ledger.ParseHeader(block.GetHeader())
	if err != nil {
		t.Fatal(err)
	}
	hash, digest := ledger.BlockHash(block.GetHeader()), ledger.DataHash(value)
	if got.GetValue() != value || !bytes.Equal(got.GetBlockHash(), hash[:]) ||
		!bytes.Equal(got.GetPreviousHash(), header.Previous[:]) ||
		!bytes.Equal(got.GetDataHash(), digest[:]) || got.GetBlockHeight() != r.GetBlockHeight() ||
		got.GetTimeMs() != header.TimeMs || got.GetVersion() != 1 {
		t.Errorf("record does not agree with its block: %v", got)
	}
	var payload []byte
	var opening *ltlv1.Openings
	for _, b := range block.GetBatches() {
		for i, p := range b.GetTransactions() {
			if id := ledger.TransactionID(p); bytes.Equal(id[:], got.GetTransactionHash()) {
				payload, opening = p, b.GetOpenings()[i]
			}
		}
	}
	if payload == nil || bytes.Contains(payload, []byte(value)) || string(opening.GetOpenings()[0].GetValue()) != value {
		t.Error("the transaction of that hash is not in the block, or its opening is not the value")
	}
	if want := signers(t, block, payload); strings.Join(got.GetEndorsementNames(), ",") != strings.Join(want, ",") {
		t.Errorf("endorsement names %v, the block's signatures are by %v", got.GetEndorsementNames(), want)
	}
}

// signers names, by the statements in the block, who accepted the payload; the names of testkit end in the
// organisation's number.
func signers(t *testing.T, block *ltlv1.Block, payload []byte) []string {
	t.Helper()
	by := map[string]bool{}
	for _, b := range block.GetBatches() {
		for i, p := range b.GetTransactions() {
			if !bytes.Equal(p, payload) {
				continue
			}
			for _, e := range b.GetEndorsements() {
				s, err := ledger.ParseStatement(e.GetStatement())
				if err != nil {
					t.Fatal(err)
				}
				by[s.Organisation] = by[s.Organisation] || ledger.Accepts(e.GetBitmap(), i)
			}
		}
	}
	var names []string
	for i := 1; i <= 3; i++ {
		if by[fmt.Sprintf("org%d", i)] {
			names = append(names, fmt.Sprintf("Organisation %d", i))
		}
	}
	return names
}

// pages walks a long history page by page, within a window that holds it all.
func (f *fixture) pages(t *testing.T) {
	request := &ltlv1.ListHistoryRequest{ChainCode: f.n.ChainCode, Key: f.history, AccountUid: f.n.Member.UID, Page: 1,
		Size: 100}
	out, err := f.ledger.ListHistory(t.Context(), request)
	if err != nil || out.GetCode() != rules.OutOfRange || len(out.GetRecords()) != 0 {
		t.Errorf("%d records without a window: %v %v, want the code for out of range", historyLength, out.GetCode(), err)
	}
	request.StartMs, request.EndMs = 1, 1<<50
	next := uint32(historyLength)
	for ; len(out.GetRecords()) > 0 || request.GetPage() == 1; request.Page++ {
		if out, err = f.ledger.ListHistory(t.Context(), request); err != nil || out.GetCode() != rules.OK ||
			out.GetTotal() != historyLength {
			t.Fatal(out, err)
		}
		for _, r := range out.GetRecords() {
			if r.GetVersion() != next {
				t.Fatalf("version %d where %d is expected: newest first, none twice, none left out", r.GetVersion(), next)
			}
			next--
		}
	}
	if next != 0 {
		t.Errorf("the pages end before version %d", next)
	}
	newest, err := f.ledger.GetRecord(t.Context(),
		&ltlv1.GetRecordRequest{ChainCode: f.n.ChainCode, Key: f.history, AccountUid: f.n.Member.UID})
	if err != nil || newest.GetRecord().GetVersion() != historyLength {
		t.Errorf("without BusinessId: %v %v, want the newest", newest, err)
	}
	for i, r := range f.results[:20] {
		got, err := f.ledger.GetRecord(t.Context(), &ltlv1.GetRecordRequest{
			ChainCode: f.n.ChainCode, Key: f.history, BusinessId: r.GetOutput(), AccountUid: f.n.Member.UID,
		})
		if err != nil || got.GetRecord().GetValue() != fmt.Sprint("value ", i) {
			t.Errorf("by BusinessId %q: %v %v", r.GetOutput(), got, err)
		}
	}
}

// window compares counts and lists with what the results' own times say, at every bound.
func (f *fixture) window(t *testing.T) {
	times := map[int64]bool{}
	for _, r := range f.results {
		times[r.GetTimeMs()] = true
	}
	within := func(start, end int64) (n uint64) {
		for _, r := range f.results {
			if r.GetTimeMs() >= start && r.GetTimeMs() <= end {
				n++
			}
		}
		return n
	}
	check := func(start, end int64) {
		t.Helper()
		out, err := f.ledger.CountHistory(t.Context(), &ltlv1.CountHistoryRequest{
			ChainCode: f.n.ChainCode, Key: f.history, AccountUid: f.n.Member.UID, StartMs: start, EndMs: end,
		})
		if err != nil || out.GetCode() != rules.OK || out.GetCount() != within(start, end) {
			t.Errorf("window %d to %d: %v %v, want %d", start, end, out, err, within(start, end))
		}
	}
	for at := range times {
		check(at, at)
		check(at-1, at)
		check(at+1, at+5)
		check(1, at-1)
	}
	check(1, 2)
	check(1<<49, 1<<50)
	check(1, math.MaxInt64)
}

// access reads under the type codes of others, of no chain, and of no account.
func (f *fixture) access(t *testing.T) {
	n := f.n
	for _, c := range []struct {
		what, uid, key string
		want           int32
	}{
		{"own type code", n.Member.UID, f.history, rules.OK},
		{"the administrator reads all", n.Admin.UID, f.history, rules.OK},
		{"an auditor reads all", "", f.history, rules.OK},
		{"a member reads another's", n.Member.UID, n.Key(n.Admin, "one"), rules.Forbidden},
		{"absent", n.Member.UID, n.Key(n.Member, "absent"), rules.NotFound},
		{"unknown type code", n.Member.UID, fmt.Sprintf("0001_%s_ZZZ9_1", n.ChainCode), rules.BadTypeCode},
		{"three parts", n.Member.UID, "0001_" + n.ChainCode + "_1", rules.BadKey},
		{"another chain in the key", n.Member.UID, "0001_AAAABBBBCCCCDDDD_ZZZ9_1", rules.ChainCodeDiffers},
	} {
		out, err := f.ledger.GetRecord(t.Context(), &ltlv1.GetRecordRequest{ChainCode: n.ChainCode, Key: c.key,
			AccountUid: c.uid})
		if err != nil || out.GetCode() != c.want {
			t.Errorf("%s: code %d, error %v, want %d", c.what, out.GetCode(), err, c.want)
		}
		if c.want != rules.OK && out.GetRecord() != nil {
			t.Errorf("%s: refused, and answered all the same", c.what)
		}
	}
	// A type code of another chain has another code than one that no chain has.
	other := n.Submit(identity.RoleOperator, &ltlv1.Transaction{
		ChainId: ledger.SystemChain, Action: &ltlv1.Transaction_CreateChain{CreateChain: &ltlv1.CreateChain{
			Name: "another-chain", Service: ltlv1.ChainService_CHAIN_SERVICE_PROOF, AdministratorUid: n.Admin.UID,
		}},
	})
	list, err := f.ledger.ListChains(t.Context(),
		&ltlv1.ListChainsRequest{AccountUid: n.Admin.UID, Page: 1, Size: 100, Name: "another-chain"})
	if err != nil || len(list.GetChains()) != 1 || list.GetChains()[0].GetChainId() != other.GetOutput() {
		t.Fatal(list, err)
	}
	key := fmt.Sprintf("0001_%s_%s_1", n.ChainCode, list.GetChains()[0].GetDataTypeCode())
	out, err := f.ledger.GetRecord(t.Context(), &ltlv1.GetRecordRequest{ChainCode: n.ChainCode, Key: key,
		AccountUid: n.Admin.UID})
	if err != nil || out.GetCode() != rules.ForeignTypeCode {
		t.Errorf("type code of another chain: %v %v, want %d", out, err, rules.ForeignTypeCode)
	}
}

func (f *fixture) chains(t *testing.T) {
	n := f.n
	for _, c := range []struct {
		what    string
		request *ltlv1.ListChainsRequest
		want    uint64
		role    string
	}{
		{"the member's", &ltlv1.ListChainsRequest{AccountUid: n.Member.UID}, 1, rules.RoleMember},
		{"the administrator's", &ltlv1.ListChainsRequest{AccountUid: n.Admin.UID}, 2, rules.RoleAdmin},
		{"of a service that no chain has", &ltlv1.ListChainsRequest{AccountUid: n.Admin.UID,
			Service: ltlv1.ChainService_CHAIN_SERVICE_COLLABORATION}, 0, ""},
		{"of a name that no chain has", &ltlv1.ListChainsRequest{AccountUid: n.Admin.UID, Name: "nothing"}, 0, ""},
		{"of a stranger", &ltlv1.ListChainsRequest{AccountUid: "9999999999999999"}, 0, ""},
		{"an operator's", &ltlv1.ListChainsRequest{}, 2, ""},
	} {
		c.request.Page, c.request.Size = 1, 100
		out, err := f.ledger.ListChains(t.Context(), c.request)
		if err != nil || out.GetTotal() != c.want || uint64(len(out.GetChains())) != c.want {
			t.Errorf("%s: %v %v, want %d chains", c.what, out, err, c.want)
			continue
		}
		for _, chain := range out.GetChains() {
			if chain.GetRole() != c.role {
				t.Errorf("%s: role %q, want %q", c.what, chain.GetRole(), c.role)
			}
		}
	}
	beyond, err := f.ledger.ListChains(t.Context(), &ltlv1.ListChainsRequest{AccountUid: n.Admin.UID, Page: 7, Size: 1})
	if err != nil || beyond.GetTotal() != 2 || len(beyond.GetChains()) != 0 {
		t.Errorf("a page beyond the end: %v %v, want it empty with the right total", beyond, err)
	}
}

func (f *fixture) transaction(t *testing.T) {
	r := f.results[7]
	record, err := f.ledger.GetRecord(t.Context(),
		&ltlv1.GetRecordRequest{ChainCode: f.n.ChainCode, Key: f.history, BusinessId: r.GetOutput()})
	if err != nil || record.GetCode() != rules.OK {
		t.Fatal(record, err)
	}
	out, err := f.ledger.GetTransaction(t.Context(),
		&ltlv1.GetTransactionRequest{TransactionHash: record.GetRecord().GetTransactionHash()})
	if err != nil || out.GetResult() != rules.OK || out.GetBlockHeight() != r.GetBlockHeight() ||
		out.GetTransactionIndex() != r.GetTransactionIndex() {
		t.Fatal(out, err)
	}
	if id := ledger.TransactionID(out.GetTransaction()); !bytes.Equal(id[:], record.GetRecord().GetTransactionHash()) {
		t.Error("the transaction does not hash to what was asked for")
	}
	none, err := f.ledger.GetTransaction(t.Context(), &ltlv1.GetTransactionRequest{TransactionHash: make([]byte, 32)})
	if err != nil || none.GetCode() != rules.NotFound {
		t.Errorf("an unknown hash: %v %v", none, err)
	}
	if _, err := f.ledger.GetTransaction(t.Context(),
		&ltlv1.GetTransactionRequest{TransactionHash: []byte("short")}); status.Code(err) != codes.InvalidArgument {
		t.Errorf("a short hash: %v", err)
	}
}

func (f *fixture) badPages(t *testing.T) {
	for _, p := range []struct{ page, size uint32 }{{0, 1}, {1, 0}, {1, 101}} {
		_, err := f.ledger.ListHistory(t.Context(), &ltlv1.ListHistoryRequest{ChainCode: f.n.ChainCode, Key: f.history,
			Page: p.page, Size: p.size})
		if status.Code(err) != codes.InvalidArgument {
			t.Errorf("page %d of size %d: %v, want InvalidArgument", p.page, p.size, err)
		}
	}
}

// blocks streams a chain from the middle, and asks for one that does not exist.
func (f *fixture) blocks(t *testing.T) {
	all := f.n.Blocks(f.n.ChainID)
	from := uint64(len(all) / 2)
	err := f.ledger.Blocks(t.Context(), &ltlv1.BlocksRequest{ChainId: f.n.ChainID, FromHeight: from},
		func(b *ltlv1.Block) error {
			bare := proto.CloneOf(all[from])
			for _, batch := range bare.GetBatches() {
				batch.Openings = nil // they were not asked for
			}
			if !proto.Equal(b, bare) {
				t.Errorf("block %d differs from the one that was read before", from)
			}
			from++
			return nil
		})
	if err != nil || from != uint64(len(all)) {
		t.Errorf("stream ended at height %d with %v, want %d", from, err, len(all))
	}
	err = f.ledger.Blocks(t.Context(), &ltlv1.BlocksRequest{ChainId: "1111222233334444"},
		func(*ltlv1.Block) error { return nil })
	if status.Code(err) != codes.NotFound {
		t.Errorf("a chain that does not exist: %v", err)
	}
}
