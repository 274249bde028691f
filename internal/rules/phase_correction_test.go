package rules

import (
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"
	"pgregory.net/rapid"

	"ltl/internal/ledger"
	ltlv1 "ltl/proto/ltl/v1"
)

// uploaded commits an upload of one record and returns what a correction names it by.
func (c *collaboration) uploaded(uid string, u *ltlv1.UploadPhaseData) *ltlv1.Correction {
	c.t.Helper()
	tx := c.act(uid, u)
	c.must(tx)
	id := ledger.TransactionID(marshal(c.t, tx))
	phase, err := GetPhase(c.state, c.chain.ID, u.GetPhaseId())
	if err != nil {
		c.t.Fatal(err)
	}
	return &ltlv1.Correction{TransactionId: id[:], Key: PhaseKey(c.chain.Code, phase.Code, u.GetItems()[0].GetDataKey()),
		BusinessId: DataSeqs(id, u.GetItems())[0], Reason: "读数错误"}
}

// correcting is an upload that declares another record wrong.
func (c *collaboration) correcting(of *ltlv1.Correction, change func(*ltlv1.Correction)) *ltlv1.UploadPhaseData {
	u := c.upload("right", "data", "")
	u.Corrects = proto.CloneOf(of)
	change(u.Corrects)
	return u
}

func none(*ltlv1.Correction) {}

func byAdministrator(c *ltlv1.Correction) { c.ByAdministrator = true }

// TestPhaseCorrection: a member declares wrong what its entry uploaded, the administrator who says so whatever there is,
// and no other member does, even one that may write to the same phase.
func TestPhaseCorrection(t *testing.T) {
	c := newCollaboration(t)
	given := c.uploaded(m1UID, c.upload("key", "wrong", "s"))
	assigned := c.uploaded(m1UID, c.upload("key", "wrong", ""))
	for what, of := range map[string]*ltlv1.Correction{"a DataSeq": given, "an assigned one": assigned} {
		c.want(what, c.act(m1UID, c.correcting(of, none)), OK)
		c.want(what+" by the administrator", c.act(rootUID, c.correcting(of, byAdministrator)), OK)
		c.refused(what+" by the administrator as its own", c.act(rootUID, c.correcting(of, none)), Forbidden,
			reasonPhaseCorrectsForeign)
		c.refused(what+" by its owner as the administrator", c.act(m1UID, c.correcting(of, byAdministrator)), Forbidden,
			reasonPhaseCorrectsForeign)
	}
	c.must(c.act(rootUID, &ltlv1.AuthorizePhases{PhaseGroupId: c.group, MemberId: c.m2, PhaseIds: []string{c.first}}))
	c.refused("by another member", c.act(m2UID, c.correcting(given, none)), Forbidden, reasonPhaseCorrectsForeign)
	for what, change := range map[string]func(*ltlv1.Correction){
		"no reason":       func(x *ltlv1.Correction) { x.Reason = "" },
		"a long reason":   func(x *ltlv1.Correction) { x.Reason = strings.Repeat("错", MaxReason+1) },
		"a short id":      func(x *ltlv1.Correction) { x.TransactionId = x.TransactionId[1:] },
		"no Key":          func(x *ltlv1.Correction) { x.Key = "" },
		"a plain key":     func(x *ltlv1.Correction) { x.Key = "key" },
		"a Key of proofs": func(x *ltlv1.Correction) { x.Key = "0001" + x.Key[4:] },
		"no DataSeq":      func(x *ltlv1.Correction) { x.BusinessId = "" },
	} {
		c.refused(what, c.act(m1UID, c.correcting(given, change)), OutOfRange, reasonPhaseCorrectionForm)
	}
	for what, change := range map[string]func(*ltlv1.Correction){
		"another transaction": func(x *ltlv1.Correction) { x.TransactionId = assigned.TransactionId },
		"no transaction":      func(x *ltlv1.Correction) { x.TransactionId = make([]byte, 32) },
		"another Key":         func(x *ltlv1.Correction) { x.Key += "x" },
		"another DataSeq":     func(x *ltlv1.Correction) { x.BusinessId = assigned.BusinessId },
		"another case":        func(x *ltlv1.Correction) { x.BusinessId = "S" },
	} {
		c.refused(what, c.act(m1UID, c.correcting(given, change)), NotFound, reasonCorrectsNothing)
	}
	proof := c.tx(m1UID, attach(c.key(m1UID, "c"), "right", ""))
	proof.GetAttachData().Corrects = given
	c.want("an AttachData there", proof, NotFound)
	batch := c.correcting(given, none)
	batch.Batch = true
	c.refused("a batch", c.act(m1UID, batch), OutOfRange, reasonPhaseCorrectionForm)
	c.must(c.act(m1UID, c.correcting(given, none)), c.act(rootUID, c.correcting(given, byAdministrator)))
	at, err := LocatePhaseCorrection(c.state, c.chain.ID, given.GetKey(), given.GetBusinessId())
	if err != nil || at == nil || at.Extra != 2 {
		t.Errorf("declared wrong: %+v, %v", at, err)
	}
}

// TestPhaseCorrectionOfCorrection: a correction is a record as others are. Its own owner corrects it; none corrects a
// record of its own block, a refused one, or one of another chain; and what an entry uploaded stays its own when the
// entry passes to another account.
func TestPhaseCorrectionOfCorrection(t *testing.T) {
	c := newCollaboration(t)
	c.must(c.act(rootUID, &ltlv1.AuthorizePhases{PhaseGroupId: c.group, MemberId: c.m2, PhaseIds: []string{c.first}}))
	wrong := c.uploaded(m1UID, c.upload("key", "wrong", "s"))
	byAdmin := c.uploaded(rootUID, c.correcting(wrong, byAdministrator))
	c.refused("the administrator's correction by the owner of the record", c.act(m1UID, c.correcting(byAdmin, none)),
		Forbidden, reasonPhaseCorrectsForeign)
	c.want("the administrator's own", c.act(rootUID, c.correcting(byAdmin, none)), OK)

	twin := c.act(m1UID, c.upload("key", "wrong", "twin"))
	id := ledger.TransactionID(marshal(t, twin))
	right := c.act(m1UID, c.correcting(wrong, func(x *ltlv1.Correction) {
		x.TransactionId, x.BusinessId = id[:], "twin"
	}))
	if r := c.apply(twin, right); r[0].GetCode() != OK || r[1].GetCode() != NotFound {
		t.Errorf("in one block: %v", r)
	}
	again := c.act(m1UID, c.upload("key", "again", "s"))
	c.apply(again)
	id = ledger.TransactionID(marshal(t, again))
	c.refused("a transaction that was refused", c.act(m1UID, c.correcting(wrong, func(x *ltlv1.Correction) {
		x.TransactionId = id[:]
	})), NotFound, reasonCorrectsNothing)

	m := member(freeUID).CreateMember
	c.must(c.act(rootUID, &ltlv1.ModifyMember{MemberId: c.m1, MemberUid: freeUID, Name: m.Name, Contact: m.Contact,
		Phone: m.Phone}))
	c.want("by the account that has the entry now", c.act(freeUID, c.correcting(wrong, none)), OK)
	c.want("by the account that had it", c.act(m1UID, c.correcting(wrong, none)), Forbidden)

	code := c.chain.Code
	c.onChain(c.must(c.operator(&ltlv1.Transaction_CreateChain{CreateChain: collaborationChain()}))[0].GetOutput())
	c.group = c.must(c.act(rootUID, &ltlv1.CreatePhaseGroup{Name: "other"}))[0].GetOutput()
	c.first = c.must(c.act(rootUID, &ltlv1.CreatePhase{PhaseGroupId: c.group, Name: "other"}))[0].GetOutput()
	for what, change := range map[string]func(*ltlv1.Correction){
		"a record of another chain": byAdministrator,
		"under a Key of this one": func(x *ltlv1.Correction) {
			x.ByAdministrator, x.Key = true, strings.Replace(x.Key, code, c.chain.Code, 1)
		},
	} {
		c.refused(what, c.act(rootUID, c.correcting(wrong, change)), NotFound, reasonCorrectsNothing)
	}
}

// TestPhaseCorrectionProperty: whatever accounts correct in whatever blocks, and whatever transaction and record they
// name together, what counts is the newest correction by the record's owner, or by the administrator who says so.
func TestPhaseCorrectionProperty(t *testing.T) {
	base := newCollaboration(t)
	base.must(base.act(rootUID, &ltlv1.AuthorizePhases{PhaseGroupId: base.group, MemberId: base.m2,
		PhaseIds: []string{base.first}}))
	type wrong struct {
		*ltlv1.Correction
		owner string
	}
	var records []wrong
	accounts := []string{rootUID, m1UID, m2UID}
	for _, uid := range accounts {
		u := base.batchOf(&ltlv1.PhaseItem{DataKey: "key", PhaseData: "a"}, &ltlv1.PhaseItem{DataKey: "key",
			PhaseData: "b"}, &ltlv1.PhaseItem{DataKey: "other", PhaseData: "c", DataSeq: "s" + uid})
		first := base.uploaded(uid, u)
		for i, seq := range DataSeqs(ledger.Hash(first.GetTransactionId()), u.GetItems()) {
			of := proto.CloneOf(first)
			of.BusinessId = seq
			if i == 2 {
				of.Key = strings.TrimSuffix(of.Key, "key") + "other"
			}
			records = append(records, wrong{of, uid})
		}
	}
	rapid.Check(t, func(rt *rapid.T) {
		c := *base
		c.world = base.copy()
		times := map[int]uint32{}
		for range rapid.IntRange(1, 5).Draw(rt, "blocks") {
			var txs []*ltlv1.Transaction
			var want []int32
			for range rapid.IntRange(1, 4).Draw(rt, "n") {
				by, of := rapid.SampledFrom(accounts).Draw(rt, "by"), rapid.IntRange(0, len(records)-1).Draw(rt, "of")
				says := rapid.Bool().Draw(rt, "says that it is the administrator")
				named := of
				if rapid.IntRange(0, 3).Draw(rt, "another transaction") == 0 {
					named = rapid.IntRange(0, len(records)-1).Draw(rt, "which")
				}
				code := Forbidden
				switch {
				case records[named].owner != records[of].owner: // one transaction an owner
					code = NotFound
				case says && by == rootUID, !says && by == records[of].owner:
					code = OK
					times[of]++
				}
				txs = append(txs, c.act(by, c.correcting(records[of].Correction, func(x *ltlv1.Correction) {
					x.TransactionId, x.ByAdministrator = records[named].TransactionId, says
				})))
				want = append(want, code)
			}
			for i, r := range c.apply(txs...) {
				if r.GetCode() != want[i] {
					rt.Fatalf("%d: %d, want %d", i, r.GetCode(), want[i])
				}
			}
		}
		for i, r := range records {
			at, err := LocatePhaseCorrection(c.state, c.chain.ID, r.GetKey(), r.GetBusinessId())
			if err != nil || at == nil && times[i] > 0 || at != nil && at.Extra != times[i] {
				rt.Fatalf("record %d: %+v, %v, want %d", i, at, err, times[i])
			}
		}
	})
}
