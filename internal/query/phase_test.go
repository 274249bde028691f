package query_test

import (
	"bytes"
	"fmt"
	"slices"
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

// workflow is a collaboration chain with one group of three phases; the member may write to the first two.
type workflow struct {
	n       *testkit.Network
	ledger  *client.Ledger
	chainID string
	code    string
	group   string
	phases  []string
	codes   []string
	// memberID is that of n.Member.
	memberID string
}

func newWorkflow(t *testing.T) *workflow {
	t.Helper()
	n := testkit.Start(t, testkit.Options{})
	f := &workflow{n: n, ledger: n.Client(identity.RoleFacade).Ledger()}
	f.chainID = n.Submit(identity.RoleOperator, &ltlv1.Transaction{ChainId: ledger.SystemChain,
		Action: &ltlv1.Transaction_CreateChain{
			CreateChain: &ltlv1.CreateChain{
				Name: "collaboration", Service: ltlv1.ChainService_CHAIN_SERVICE_COLLABORATION, AdministratorUid: n.Admin.UID,
			},
		}}).GetOutput()
	f.memberID = f.submit(n.Admin, &ltlv1.Transaction{Action: &ltlv1.Transaction_CreateMember{
		CreateMember: &ltlv1.CreateMember{MemberUid: n.Member.UID, Name: "member", Contact: "contact", Phone: "123456"},
	}})
	f.group = f.submit(n.Admin, &ltlv1.Transaction{Action: &ltlv1.Transaction_CreatePhaseGroup{
		CreatePhaseGroup: &ltlv1.CreatePhaseGroup{Name: "大米", Remark: "remark"},
	}})
	for _, name := range []string{"种植", "加工", "运输"} {
		f.phases = append(f.phases, f.submit(n.Admin, &ltlv1.Transaction{Action: &ltlv1.Transaction_CreatePhase{
			CreatePhase: &ltlv1.CreatePhase{PhaseGroupId: f.group, Name: name},
		}}))
	}
	f.submit(n.Admin, &ltlv1.Transaction{Action: &ltlv1.Transaction_AuthorizePhases{
		AuthorizePhases: &ltlv1.AuthorizePhases{PhaseGroupId: f.group, MemberId: f.memberID,
			PhaseIds: []string{f.phases[1], f.phases[0]}},
	}})
	out, err := f.ledger.GetChain(t.Context(), &ltlv1.GetChainRequest{ChainId: f.chainID, AccountUid: n.Member.UID})
	if err != nil || out.GetUsedPhaseGroups() != 1 {
		t.Fatal(out, err)
	}
	f.code = out.GetChain().GetChainCode()
	return f
}

func (f *workflow) submit(who testkit.Account, tx *ltlv1.Transaction) string {
	tx.ChainId, tx.AccountUid = f.chainID, who.UID
	return f.n.Submit(identity.RoleFacade, tx).GetOutput()
}

// upload puts a batch on a phase and returns the DataSeqs.
func (f *workflow) upload(phase int, items ...*ltlv1.PhaseItem) []string {
	return strings.Split(f.submit(f.n.Member, &ltlv1.Transaction{Action: &ltlv1.Transaction_UploadPhaseData{
		UploadPhaseData: &ltlv1.UploadPhaseData{
			PhaseGroupId: f.group, PhaseId: f.phases[phase], Form: ltlv1.DataForm_DATA_FORM_TEXT, Batch: true, Items: items,
		},
	}}), ",")
}

func TestPhases(t *testing.T) {
	f := newWorkflow(t)
	t.Run("lists", f.lists)
	t.Run("record", f.record)
	t.Run("history", f.history)
	t.Run("related", f.related)
	t.Run("newest then", f.newestThen)
	t.Run("largest", f.largest)
	t.Run("refusals", f.refusals)
	t.Run("corrections", f.corrections)
	t.Run("access", f.access)
}

func (f *workflow) lists(t *testing.T) {
	n := f.n
	groups, err := f.ledger.ListPhaseGroups(t.Context(),
		&ltlv1.ListPhaseGroupsRequest{ChainId: f.chainID, AccountUid: n.Member.UID, Page: 1, Size: 1})
	want := &ltlv1.PhaseGroupInfo{PhaseGroupId: f.group, Name: "大米", Remark: "remark", UsedPhases: 3}
	if err != nil || groups.GetTotal() != 1 || !proto.Equal(groups.GetGroups()[0], want) {
		t.Errorf("groups %v, %v", groups, err)
	}
	groups, err = f.ledger.ListPhaseGroups(t.Context(),
		&ltlv1.ListPhaseGroupsRequest{ChainId: f.chainID, Name: "大", Page: 1, Size: 1})
	if err != nil || groups.GetTotal() != 0 {
		t.Errorf("a part of a name finds %v, %v", groups, err)
	}
	for uid, permissions := range map[string][]uint32{n.Admin.UID: {3, 3, 3}, n.Member.UID: {3, 3, 1}, "": {1, 1, 1}} {
		out, err := f.ledger.ListPhases(t.Context(),
			&ltlv1.ListPhasesRequest{ChainId: f.chainID, AccountUid: uid, PhaseGroupId: f.group, Page: 1, Size: 100})
		if err != nil || out.GetTotal() != 3 || len(out.GetPhases()) != 3 {
			t.Fatal(out, err)
		}
		f.codes = nil
		for i, p := range out.GetPhases() {
			if p.GetPhaseId() != f.phases[i] || p.GetPermission() != permissions[i] || len(p.GetDataTypeCode()) != 4 {
				t.Errorf("phase %d as %q sees it: %v", i, uid, p)
			}
			f.codes = append(f.codes, p.GetDataTypeCode())
		}
	}
	page, err := f.ledger.ListPhases(t.Context(),
		&ltlv1.ListPhasesRequest{ChainId: f.chainID, PhaseGroupId: f.group, Page: 2, Size: 2})
	if err != nil || page.GetTotal() != 3 || len(page.GetPhases()) != 1 ||
		page.GetPhases()[0].GetPhaseId() != f.phases[2] {
		t.Errorf("second page %v, %v", page, err)
	}
	named, err := f.ledger.ListPhases(t.Context(),
		&ltlv1.ListPhasesRequest{ChainId: f.chainID, PhaseGroupId: f.group, Name: "加工", Page: 1, Size: 2})
	if err != nil || named.GetTotal() != 1 || named.GetPhases()[0].GetPhaseId() != f.phases[1] {
		t.Errorf("by name %v, %v", named, err)
	}
	ids := func(list []*ltlv1.PhaseInfo) (all []string) {
		for _, p := range list {
			all = append(all, p.GetPhaseId())
		}
		return all
	}
	right, err := f.ledger.GetPhaseAuthorization(t.Context(), &ltlv1.GetPhaseAuthorizationRequest{
		ChainId: f.chainID, AccountUid: n.Admin.UID, PhaseGroupId: f.group, MemberId: f.memberID,
	})
	if err != nil || !slices.Equal(ids(right.GetAuthorized()), f.phases[:2]) ||
		!slices.Equal(ids(right.GetUnauthorized()), f.phases[2:]) {
		t.Errorf("authorisation %v, %v: want the first two in the order of creation", right, err)
	}
}

// get reads one record as the administrator.
func (f *workflow) get(t *testing.T, phase int, dataKey, seq string) *ltlv1.PhaseRecord {
	t.Helper()
	out, err := f.ledger.GetPhaseRecord(t.Context(), &ltlv1.GetPhaseRecordRequest{
		ChainId: f.chainID, AccountUid: f.n.Admin.UID, PhaseGroupId: f.group, PhaseId: f.phases[phase], DataKey: dataKey,
		DataSeq: seq,
	})
	if err != nil || out.GetCode() != rules.OK {
		t.Fatalf("%s %s: %v %v", dataKey, seq, out, err)
	}
	return out.GetRecord()
}

// record reads what was uploaded, and checks every hash against the block itself.
func (f *workflow) record(t *testing.T) {
	const value = "某公司某业务数据。<&>'\""
	seqs := f.upload(0, &ltlv1.PhaseItem{DataKey: "a", PhaseData: "first"},
		&ltlv1.PhaseItem{DataKey: "b", PhaseData: "other"},
		&ltlv1.PhaseItem{DataKey: "a", PhaseData: value, DataSeq: "S"})
	got := f.get(t, 0, "a", "")
	f.n.CheckLedgers(t) // blocks are read from any node, also from one that is a little behind
	block := f.n.Blocks(f.chainID)[got.GetBlockHeight()]
	header, err := ledger.ParseHeader(block.GetHeader())
	if err != nil {
		t.Fatal(err)
	}
	hash, digest := ledger.BlockHash(block.GetHeader()), ledger.DataHash(value)
	payload := block.GetBatches()[0].GetTransactions()[got.GetTransactionIndex()]
	id := ledger.TransactionID(payload)
	want := &ltlv1.PhaseRecord{
		DataKey: "a", DataSeq: "S", DataValue: value, Form: ltlv1.DataForm_DATA_FORM_TEXT, PhaseId: f.phases[0],
		BlockHeight:      got.GetBlockHeight(),
		TransactionIndex: got.GetTransactionIndex(), TransactionHash: id[:], BlockHash: hash[:],
		PreviousHash: header.Previous[:],
		DataHash:     digest[:], TimeMs: header.TimeMs, AccountUid: f.n.Member.UID, EndorsementNames: signers(t, block,
			payload), Key: rules.PhaseKey(f.code, f.codes[0], "a"), Own: got.GetOwn(), // corrections checks who owns what
	}
	if !proto.Equal(got, want) {
		t.Errorf("record\n%v\nits block says\n%v", got, want)
	}
	for i, data := range []string{"first", "other", value} {
		if got := f.get(t, 0, []string{"a", "b", "a"}[i], seqs[i]); got.GetDataValue() != data ||
			got.GetDataSeq() != seqs[i] {
			t.Errorf("item %d: %v", i, got)
		}
	}
	if whole := f.get(t, 0, rules.PhaseKey(f.code, f.codes[0], "b"), ""); whole.GetDataValue() != "other" ||
		whole.GetDataKey() != "b" {
		t.Errorf("by the whole key: %v", whole)
	}
}

// history pages through single uploads and batches of one data key.
func (f *workflow) history(t *testing.T) {
	var want []string
	times := map[int64]int{}
	for i := range 12 {
		var items []*ltlv1.PhaseItem
		for j := range i%3 + 1 {
			items = append(items, &ltlv1.PhaseItem{DataKey: "h", PhaseData: fmt.Sprint(i, ".", j)},
				&ltlv1.PhaseItem{DataKey: fmt.Sprintf("x%dy%d", i, j), PhaseData: "x"})
			want = append(want, fmt.Sprint(i, ".", j))
		}
		f.upload(0, items...)
		times[f.get(t, 0, "h", "").GetTimeMs()] += i%3 + 1
	}
	ask := func(start, end int64, page, size uint32) *ltlv1.ListPhaseRecordsResponse {
		out, err := f.ledger.ListPhaseRecords(t.Context(), &ltlv1.ListPhaseRecordsRequest{
			ChainId: f.chainID, AccountUid: f.n.Member.UID, PhaseGroupId: f.group, PhaseId: f.phases[0], DataKey: "h",
			StartMs: start, EndMs: end, Page: page, Size: size,
		})
		if err != nil || out.GetCode() != rules.OK {
			t.Fatal(out, err)
		}
		return out
	}
	for _, size := range []uint32{1, 5, 100} {
		var got []string
		for page := uint32(1); len(got) < len(want); page++ {
			out := ask(1, 1<<50, page, size)
			if out.GetTotal() != uint64(len(want)) || len(out.GetRecords()) == 0 {
				t.Fatalf("page %d of size %d: %d of %d", page, size, len(out.GetRecords()), out.GetTotal())
			}
			for _, r := range out.GetRecords() {
				got = append(got, r.GetDataValue())
				seq := f.get(t, 0, "h", r.GetDataSeq())
				seq.Own = r.GetOwn() // another account asks
				if !proto.Equal(seq, r) {
					t.Errorf("by its DataSeq:\n%v\nin the list:\n%v", seq, r)
				}
			}
		}
		if !slices.Equal(got, want) {
			t.Errorf("size %d: %v, want oldest first: %v", size, got, want)
		}
	}
	for at, count := range times {
		if out := ask(at, at, 1, 100); out.GetTotal() != uint64(count) || len(out.GetRecords()) != count {
			t.Errorf("at %d: %d records, want %d", at, out.GetTotal(), count)
		}
	}
	if out := ask(1<<50, 1<<51, 1, 100); out.GetTotal() != 0 || len(out.GetRecords()) != 0 {
		t.Errorf("a window in the future: %v", out)
	}
}

// related follows references: to a named record, and to what was the newest one then, by the names that phases have
// now.
func (f *workflow) related(t *testing.T) {
	first := f.upload(0, &ltlv1.PhaseItem{DataKey: "r", PhaseData: "v1"}, &ltlv1.PhaseItem{DataKey: "r", PhaseData: "v2"})
	f.upload(1, &ltlv1.PhaseItem{DataKey: "uses", PhaseData: "p", DataSeq: "s", Related: []*ltlv1.RelatedData{
		{PhaseId: f.phases[0], DataKey: "r", PhaseData: "v2"},
		{PhaseId: f.phases[0], DataKey: rules.PhaseKey(f.code, f.codes[0], "r"), PhaseData: "not v1", DataSeq: first[0]},
	}})
	own := f.upload(0, &ltlv1.PhaseItem{DataKey: "r", PhaseData: "v3"},
		&ltlv1.PhaseItem{DataKey: "r", PhaseData: "v4", Related: []*ltlv1.RelatedData{
			{PhaseId: f.phases[0], DataKey: "r", PhaseData: "v2"},
		}})
	for range 5 {
		f.upload(0, &ltlv1.PhaseItem{DataKey: "r", PhaseData: "later"})
	}
	f.submit(f.n.Admin, &ltlv1.Transaction{Action: &ltlv1.Transaction_ModifyPhase{ModifyPhase: &ltlv1.ModifyPhase{PhaseId: f.phases[0], Name: "new-name"}}})
	check := func(got *ltlv1.RelatedRecord, seq, data string) {
		t.Helper()
		digest := ledger.DataHash(data)
		if got.GetPhaseId() != f.phases[0] || got.GetPhaseName() != "new-name" ||
			got.GetDataKey() != rules.PhaseKey(f.code, f.codes[0], "r") ||
			got.GetDataSeq() != seq || !bytes.Equal(got.GetPhaseDataHash(), digest[:]) {
			t.Errorf("related %v, want %s of %q", got, seq, data)
		}
	}
	uses := f.get(t, 1, "uses", "s").GetRelated()
	if len(uses) != 2 {
		t.Fatal(uses)
	}
	check(uses[0], first[1], "v2")
	check(uses[1], first[0], "not v1")
	check(f.get(t, 0, "r", own[1]).GetRelated()[0], first[1], "v2")
}

// access reads as those who may not, and what is not there.
func (f *workflow) access(t *testing.T) {
	n := f.n
	seq := strings.Repeat("a", 65)
	for _, c := range []struct {
		what                          string
		chain, uid, group, phase, key string
		seq                           string
		want                          int32
	}{
		{"the member", f.chainID, n.Member.UID, f.group, f.phases[0], "a", "", rules.OK},
		{"a phase that it may not write to", f.chainID, n.Member.UID, f.group, f.phases[2], "a", "", rules.NotFound},
		{"an auditor", f.chainID, "", f.group, f.phases[0], "a", "", rules.OK},
		{"no account", f.chainID, "9999999999999999", f.group, f.phases[0], "a", "", rules.UnknownUID},
		{"no chain", "1111222233334444", n.Member.UID, f.group, f.phases[0], "a", "", rules.NotFound},
		{"a proof chain", n.ChainID, n.Member.UID, f.group, f.phases[0], "a", "", rules.NotFound},
		{"another group", f.chainID, n.Member.UID, f.phases[0], f.phases[0], "a", "", rules.NotFound},
		{"no phase", f.chainID, n.Member.UID, f.group, f.group, "a", "", rules.NotFound},
		{"bad data key", f.chainID, n.Member.UID, f.group, f.phases[0], "a_b", "", rules.OutOfRange},
		{"data key of another phase", f.chainID, n.Member.UID, f.group, f.phases[0], rules.PhaseKey(f.code, f.codes[1], "a"),
			"", rules.OutOfRange},
		{"bad data seq", f.chainID, n.Member.UID, f.group, f.phases[0], "a", seq, rules.OutOfRange},
		{"data seq in other letters", f.chainID, n.Member.UID, f.group, f.phases[0], "a", "s", rules.NotFound},
	} {
		out, err := f.ledger.GetPhaseRecord(t.Context(), &ltlv1.GetPhaseRecordRequest{
			ChainId: c.chain, AccountUid: c.uid, PhaseGroupId: c.group, PhaseId: c.phase, DataKey: c.key, DataSeq: c.seq,
		})
		if err != nil || out.GetCode() != c.want || (c.want != rules.OK) != (out.GetRecord() == nil) {
			t.Errorf("%s: %v %v, want %d", c.what, out, err, c.want)
		}
	}
	forbidden, err := f.ledger.GetPhaseAuthorization(t.Context(), &ltlv1.GetPhaseAuthorizationRequest{
		ChainId: f.chainID, AccountUid: n.Member.UID, PhaseGroupId: f.group, MemberId: f.memberID,
	})
	if err != nil || forbidden.GetCode() != rules.Forbidden || forbidden.GetAuthorized() != nil {
		t.Errorf("a member asks for an authorisation: %v %v", forbidden, err)
	}
	f.submit(n.Admin, &ltlv1.Transaction{Action: &ltlv1.Transaction_LockMember{LockMember: &ltlv1.LockMember{MemberId: f.memberID, Locked: true}}})
	groups, err := f.ledger.ListPhaseGroups(t.Context(),
		&ltlv1.ListPhaseGroupsRequest{ChainId: f.chainID, AccountUid: n.Member.UID, Page: 1, Size: 1})
	if err != nil || groups.GetCode() != rules.Forbidden || groups.GetGroups() != nil {
		t.Errorf("a locked member: %v %v", groups, err)
	}
}

// newestThen has many writers refer to the newest record of a data key that others write at the same time. What each
// of them gets later is what stood in front of it, as a walk over the blocks finds.
func (f *workflow) newestThen(t *testing.T) {
	related := []*ltlv1.RelatedData{{PhaseId: f.phases[0], DataKey: "busy", PhaseData: "?"}}
	f.upload(0, &ltlv1.PhaseItem{DataKey: "busy", PhaseData: "first"})
	c := f.n.Client(identity.RoleFacade)
	var group sync.WaitGroup
	for i := range 60 {
		items := []*ltlv1.PhaseItem{{DataKey: "busy", PhaseData: "a"}, {DataKey: "other", PhaseData: "b"},
			{DataKey: "busy", PhaseData: "c"}}[i%2:]
		items[0].Related = related
		group.Go(func() {
			r, err := c.Submit(t.Context(), &ltlv1.Transaction{ChainId: f.chainID, AccountUid: f.n.Member.UID,
				Action: &ltlv1.Transaction_UploadPhaseData{
					UploadPhaseData: &ltlv1.UploadPhaseData{
						PhaseGroupId: f.group, PhaseId: f.phases[0], Form: ltlv1.DataForm_DATA_FORM_TEXT, Batch: true, Items: items,
					},
				}})
			if err != nil || r.GetCode() != rules.OK {
				t.Errorf("upload %d: %v %v", i, r, err)
			}
		})
	}
	group.Wait()
	f.n.CheckLedgers(t) // blocks are read from any node, also from one that is a little behind
	newest, checked := "", 0
	for _, block := range f.n.Blocks(f.chainID) {
		at := 0
		for _, b := range block.GetBatches() {
			for _, payload := range b.GetTransactions() {
				tx, err := rules.Decode(payload)
				if err != nil {
					t.Fatal(err)
				}
				items := tx.GetUploadPhaseData().GetItems()
				if block.GetResults()[at] != rules.OK {
					items = nil
				}
				at++
				seqs := rules.DataSeqs(ledger.TransactionID(payload), items)
				before := newest
				for i, item := range items {
					if len(item.GetRelated()) == 1 && item.GetRelated()[0].GetDataKey() == "busy" {
						checked++
						if got := f.get(t, 0, item.GetDataKey(), seqs[i]).GetRelated()[0].GetDataSeq(); got != before {
							t.Errorf("in block %d: refers to %s, want %s", at, got, before)
						}
					}
					if item.GetDataKey() == "busy" {
						newest = seqs[i]
					}
				}
			}
		}
	}
	if checked != 60 {
		t.Errorf("%d references were found in the blocks, want 60", checked)
	}
}

// refusals: what does not exist, and pages that are none.
func (f *workflow) refusals(t *testing.T) {
	const nothing = "0000000000000000"
	uid := f.n.Admin.UID
	for what, ask := range map[string]func() (interface{ GetCode() int32 }, error){
		"groups of no chain": func() (interface{ GetCode() int32 }, error) {
			return f.ledger.ListPhaseGroups(t.Context(),
				&ltlv1.ListPhaseGroupsRequest{ChainId: nothing, AccountUid: uid, Page: 1, Size: 1})
		},
		"groups of a proof chain": func() (interface{ GetCode() int32 }, error) {
			return f.ledger.ListPhaseGroups(t.Context(),
				&ltlv1.ListPhaseGroupsRequest{ChainId: f.n.ChainID, AccountUid: uid, Page: 1, Size: 1})
		},
		"phases of no group": func() (interface{ GetCode() int32 }, error) {
			return f.ledger.ListPhases(t.Context(), &ltlv1.ListPhasesRequest{ChainId: f.chainID, AccountUid: uid,
				PhaseGroupId: nothing, Page: 1, Size: 1})
		},
		"authorisation in no group": func() (interface{ GetCode() int32 }, error) {
			return f.ledger.GetPhaseAuthorization(t.Context(), &ltlv1.GetPhaseAuthorizationRequest{
				ChainId: f.chainID, AccountUid: uid, PhaseGroupId: nothing, MemberId: f.memberID,
			})
		},
		"authorisation of no member": func() (interface{ GetCode() int32 }, error) {
			return f.ledger.GetPhaseAuthorization(t.Context(), &ltlv1.GetPhaseAuthorizationRequest{
				ChainId: f.chainID, AccountUid: uid, PhaseGroupId: f.group, MemberId: nothing,
			})
		},
		"records of no phase": func() (interface{ GetCode() int32 }, error) {
			return f.ledger.ListPhaseRecords(t.Context(), &ltlv1.ListPhaseRecordsRequest{
				ChainId: f.chainID, AccountUid: uid, PhaseGroupId: f.group, PhaseId: nothing, DataKey: "a", Page: 1, Size: 1,
			})
		},
	} {
		if out, err := ask(); err != nil || out.GetCode() != rules.NotFound {
			t.Errorf("%s: %v %v, want %d", what, out, err, rules.NotFound)
		}
	}
	none, err := f.ledger.ListPhaseRecords(t.Context(), &ltlv1.ListPhaseRecordsRequest{
		ChainId: f.chainID, AccountUid: uid, PhaseGroupId: f.group, PhaseId: f.phases[2], DataKey: "none", EndMs: 1 << 50,
		Page: 1, Size: 1,
	})
	if err != nil || none.GetCode() != rules.OK || none.GetTotal() != 0 {
		t.Errorf("a data key without records: %v %v, want an empty list", none, err)
	}
	for _, p := range []struct{ page, size uint32 }{{0, 1}, {1, 0}, {1, 101}} {
		_, err1 := f.ledger.ListPhaseGroups(t.Context(),
			&ltlv1.ListPhaseGroupsRequest{ChainId: f.chainID, Page: p.page, Size: p.size})
		_, err2 := f.ledger.ListPhases(t.Context(), &ltlv1.ListPhasesRequest{ChainId: f.chainID, PhaseGroupId: f.group,
			Page: p.page, Size: p.size})
		_, err3 := f.ledger.ListPhaseRecords(t.Context(),
			&ltlv1.ListPhaseRecordsRequest{ChainId: f.chainID, Page: p.page, Size: p.size})
		for _, err := range []error{err1, err2, err3} {
			if status.Code(err) != codes.InvalidArgument {
				t.Errorf("page %d of size %d: %v, want InvalidArgument", p.page, p.size, err)
			}
		}
	}
}

// largest puts the largest uploads there are through the network, and reads the largest page there is.
func (f *workflow) largest(t *testing.T) {
	const longest = rules.MaxPhaseData / 2
	f.upload(0, &ltlv1.PhaseItem{DataKey: "referred", PhaseData: "x"})
	var items []*ltlv1.PhaseItem
	for i := range rules.MaxPhaseItems {
		items = append(items, &ltlv1.PhaseItem{
			DataKey: "large", PhaseData: strings.Repeat(string(rune(0x20000+i)), longest), Related: []*ltlv1.RelatedData{
				{PhaseId: f.phases[0], DataKey: "referred", PhaseData: strings.Repeat("𠀀", longest)},
			},
		})
	}
	f.upload(0, items...)
	few := []*ltlv1.RelatedData{}
	for range rules.MaxRelated {
		few = append(few, &ltlv1.RelatedData{PhaseId: f.phases[0], DataKey: "referred", PhaseData: "x"})
	}
	for _, item := range items {
		item.Related = few
	}
	f.upload(0, items...)
	out, err := f.ledger.ListPhaseRecords(t.Context(), &ltlv1.ListPhaseRecordsRequest{
		ChainId: f.chainID, AccountUid: f.n.Member.UID, PhaseGroupId: f.group, PhaseId: f.phases[0], DataKey: "large",
		Page: 1, Size: 100,
	})
	if err != nil || len(out.GetRecords()) != 100 {
		t.Fatalf("%d records, %v, want 100", len(out.GetRecords()), err)
	}
	for i, r := range out.GetRecords() {
		if r.GetDataValue() != items[i%len(items)].GetPhaseData() ||
			len(r.GetRelated()) != []int{1, rules.MaxRelated}[i/len(items)] {
			t.Fatalf("record %d: %d bytes, %d related", i, len(r.GetDataValue()), len(r.GetRelated()))
		}
	}
}

// corrections: a record that was declared wrong says by which one and why, read alone and in its history, and the one in
// its place says what it corrects.
func (f *workflow) corrections(t *testing.T) {
	upload := func(seq string, c *ltlv1.Correction) *ltlv1.Transaction {
		return &ltlv1.Transaction{Action: &ltlv1.Transaction_UploadPhaseData{UploadPhaseData: &ltlv1.UploadPhaseData{
			PhaseGroupId: f.group, PhaseId: f.phases[0], Form: ltlv1.DataForm_DATA_FORM_TEXT, Corrects: c,
			Items: []*ltlv1.PhaseItem{{DataKey: "corrected", PhaseData: "data of " + seq, DataSeq: seq}}}}}
	}
	read := func(seq string) *ltlv1.PhaseRecord {
		t.Helper()
		r, err := f.ledger.GetPhaseRecord(t.Context(), &ltlv1.GetPhaseRecordRequest{ChainId: f.chainID,
			AccountUid: f.n.Member.UID, PhaseGroupId: f.group, PhaseId: f.phases[0], DataKey: "corrected", DataSeq: seq})
		if err != nil || r.GetCode() != rules.OK {
			t.Fatal(r, err)
		}
		return r.GetRecord()
	}
	key := rules.PhaseKey(f.code, f.codes[0], "corrected")
	f.submit(f.n.Member, upload("wrong", nil))
	of := func(seq string, byAdministrator bool) *ltlv1.Correction {
		return &ltlv1.Correction{TransactionId: read(seq).GetTransactionHash(), Key: key, BusinessId: seq,
			Reason: "transposed", ByAdministrator: byAdministrator}
	}
	f.submit(f.n.Member, upload("right", of("wrong", false)))
	f.submit(f.n.Admin, upload("better", of("right", true)))
	wrong, right, better := read("wrong"), read("right"), read("better")
	if d := wrong.GetDeclaredWrong(); !bytes.Equal(d.GetTransactionHash(), right.GetTransactionHash()) ||
		d.GetKey() != key || d.GetBusinessId() != "right" || d.GetReason() != "transposed" || d.GetByAdministrator() ||
		d.GetTimes() != 1 || d.GetTimeMs() != right.GetTimeMs() {
		t.Errorf("the wrong record: %v", d)
	}
	if d := right.GetDeclaredWrong(); !d.GetByAdministrator() || d.GetBusinessId() != "better" ||
		!bytes.Equal(right.GetCorrects().GetTransactionId(), wrong.GetTransactionHash()) {
		t.Errorf("the one in its place: %v", right)
	}
	if wrong.GetKey() != key || !wrong.GetOwn() || better.GetOwn() {
		t.Errorf("as the member asks: %v, %v", wrong, better)
	}
	if better.GetDeclaredWrong() != nil || wrong.GetCorrects() != nil {
		t.Error("the first corrects something, or the last was declared wrong")
	}
	r, err := f.ledger.ListPhaseRecords(t.Context(), &ltlv1.ListPhaseRecordsRequest{ChainId: f.chainID,
		AccountUid: f.n.Member.UID, PhaseGroupId: f.group, PhaseId: f.phases[0], DataKey: "corrected", Page: 1, Size: 10})
	if err != nil || len(r.GetRecords()) != 3 || !proto.Equal(r.GetRecords()[0], wrong) ||
		!proto.Equal(r.GetRecords()[1], right) {
		t.Errorf("the history: %v, %v", r, err)
	}
}
