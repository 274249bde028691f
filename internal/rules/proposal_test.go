package rules

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	"ltl/internal/ledger"
	ltlv1 "ltl/proto/ltl/v1"
	"ltl/test/testkit/offline"
)

// proposal is a Propose of the action by an operator of org, which expires after a day.
func (w *world) proposal(org string, action any) *ltlv1.Transaction {
	w.t.Helper()
	p := ProposeOf(w.plain(org, action))
	if p == nil {
		w.t.Fatalf("%T cannot be proposed", action)
		return nil
	}
	p.NetworkId, p.ExpiryMs = w.id[:], w.now+24*3_600_000
	basis, err := BasisOf(w.state, p)
	if err != nil {
		w.t.Fatal(err)
	}
	p.Basis = basis
	return w.propose(org, p)
}

func (w *world) propose(org string, p *ltlv1.Propose) *ltlv1.Transaction {
	return w.plain(org, &ltlv1.Transaction_Propose{Propose: p})
}

func (w *world) approval(org string, id []byte) *ltlv1.Transaction {
	return w.plain(org, &ltlv1.Transaction_Approve{Approve: &ltlv1.Approve{NetworkId: w.id[:], ProposalId: id}})
}

func (w *world) rejection(org string, id []byte) *ltlv1.Transaction {
	return w.plain(org, &ltlv1.Transaction_Reject{Reject: &ltlv1.Reject{NetworkId: w.id[:], ProposalId: id}})
}

func (w *world) withdrawal(org string, id []byte) *ltlv1.Transaction {
	return w.plain(org, &ltlv1.Transaction_Withdraw{Withdraw: &ltlv1.Withdraw{NetworkId: w.id[:], ProposalId: id}})
}

// proposed makes a proposal and returns its id.
func (w *world) proposed(org string, action any) []byte {
	w.t.Helper()
	r := w.apply(w.proposal(org, action))[0]
	id, err := hex.DecodeString(r.GetOutput())
	if r.GetCode() != OK || err != nil || len(id) != 32 {
		w.t.Fatal(r, err)
	}
	return id
}

// settled applies a transaction, and passes it if it is a proposal that was recorded.
func (w *world) settled(tx *ltlv1.Transaction) int32 {
	w.t.Helper()
	r := w.apply(tx)[0]
	if r.GetCode() == OK && tx.GetPropose() != nil {
		w.pass(r.GetOutput())
	}
	return r.GetCode()
}

// pass lets the organisations that are asked approve a proposal, each by its own endorsement alone, until it is executed.
func (w *world) pass(output string) {
	w.t.Helper()
	id, err := hex.DecodeString(output)
	if err != nil {
		w.t.Fatal(err)
	}
	w.endorsers(ledger.SystemChain) // makes the keys of those that joined
	said := ""
	for _, org := range w.approvers(ledger.Hash(id)) {
		r := w.alone(w.approval(org, id))
		if said = r.GetOutput(); r.GetCode() != OK {
			w.t.Fatalf("proposal %x: %d %s", id, r.GetCode(), r.GetReason())
		}
	}
	if said != "executed" {
		w.t.Fatalf("proposal %x: %s", id, said)
	}
}

// approvers are those that are asked to approve a proposal, as many as it still needs.
func (w *world) approvers(id ledger.Hash) (orgs []string) {
	w.t.Helper()
	p, err := GetProposal(w.state, id)
	content, err2 := GetProposed(w.state, id)
	if err != nil || err2 != nil || p == nil {
		w.t.Fatal(err, err2)
	}
	b, err := BallotOf(w.state, p.Proposer, content)
	if err != nil || b == nil {
		w.t.Fatal(b, err)
	}
	for !b.Complete(p.Votes) {
		asked := b.Asked(p.Votes)
		if len(asked) == 0 {
			w.t.Fatalf("proposal %x cannot be passed", id)
		}
		p.setVote(Vote{Organisation: asked[0], Approve: true})
		orgs = append(orgs, asked[0])
	}
	return orgs
}

// alone executes and commits a transaction that only its submitter's organisation endorsed.
func (w *world) alone(tx *ltlv1.Transaction) *ltlv1.Result {
	w.t.Helper()
	org, _, _ := strings.Cut(tx.GetSubmitter(), "/")
	x := w.execute(ledger.SystemChain, w.batch(ledger.SystemChain, [][]byte{marshal(w.t, tx)}, org))
	w.commit(ledger.SystemChain, x)
	return x.Results[0][0]
}

// says fails unless the transaction, endorsed by its submitter alone, is OK with this output.
func (w *world) says(tx *ltlv1.Transaction, output string) {
	w.t.Helper()
	if r := w.alone(tx); r.GetCode() != OK || r.GetOutput() != output {
		w.t.Errorf("%d %q %s, want %q", r.GetCode(), r.GetOutput(), r.GetReason(), output)
	}
}

func (w *world) joins(id string) *ltlv1.Transaction_CreateOrganisation {
	return &ltlv1.Transaction_CreateOrganisation{CreateOrganisation: offline.Invitation(w.id, offline.Organisation(id))}
}

// repolicy changes the policy of a chain.
func (w *world) repolicy(text string) any {
	return changed(&ltlv1.ModifyChain{ChainId: w.chain.ID, Policy: new(text)})
}

// TestProposables: a Propose holds every kind that can be proposed, and no other.
func TestProposables(t *testing.T) {
	fields := (&ltlv1.Propose{}).ProtoReflect().Descriptor().Oneofs().ByName("action").Fields()
	for _, k := range kindTable {
		if field := fields.ByName(protoreflect.Name(k.name)); (field != nil) != (k.proposable != nil) {
			t.Errorf("%s: in Propose: %v, proposable: %v", k.name, field != nil, k.proposable != nil)
		}
		if k.form > byAct && k.proposable == nil && k.apply != nil {
			t.Errorf("%s concerns several organisations and cannot be proposed", k.name)
		}
	}
	for i := range fields.Len() {
		p := &ltlv1.Propose{}
		p.ProtoReflect().Set(fields.Get(i), p.ProtoReflect().NewField(fields.Get(i)))
		if k := kindOf(proposedBy("o1/operator/x", p)); k == nil || k.name != string(fields.Get(i).Name()) {
			t.Errorf("%s is taken for %v", fields.Get(i).Name(), k)
		}
	}
}

// TestProposalIsExecutedOnce: a proposer's own approval counts when it is sent, a vote may change, the approval that
// completes it makes the change, and nothing after it does anything.
func TestProposalIsExecutedOnce(t *testing.T) {
	w := newWorld(t)
	id := w.proposed("o2", w.joins("o4"))
	w.says(w.approval("o2", id), "open 1 of 2, asked: o1 o3")
	w.says(w.approval("o2", id), "open 1 of 2, asked: o1 o3")
	w.says(w.rejection("o2", id), "open 0 of 2, asked: o1 o3")
	w.says(w.approval("o1", id), "open 1 of 2, asked: o3")
	if o, err := GetOrganisation(w.state, "o4"); o != nil || err != nil {
		t.Fatal("one vote of three was enough", o, err)
	}
	w.says(w.approval("o2", id), "executed")
	if o, err := GetOrganisation(w.state, "o4"); o == nil || err != nil {
		t.Fatal("not executed", err)
	}
	closed := fmt.Sprintf(reasonProposalClosed, "executed")
	for what, tx := range map[string]*ltlv1.Transaction{"approve": w.approval("o3", id), "reject": w.rejection("o3", id),
		"withdraw": w.withdrawal("o2", id)} {
		w.refused(what+" after it", tx, Conflict, closed)
	}
	p, err := GetProposal(w.state, ledger.Hash(id))
	if err != nil || p.State != ltlv1.ProposalState_PROPOSAL_STATE_EXECUTED || p.Code != OK || len(p.Votes) != 2 ||
		p.Closed.Height != w.tips[ledger.SystemChain].height {
		t.Errorf("%+v, %v", p, err)
	}
	if open, err := ListOpenProposals(w.state, w.now); len(open) != 0 || err != nil {
		t.Error("still open:", open, err)
	}
}

// TestProposalEnds: all other ways in which a proposal ends.
func TestProposalEnds(t *testing.T) {
	w := newWorld(t)
	majority := w.proposed("o1", w.joins("o4"))
	w.says(w.rejection("o2", majority), "open 0 of 2, asked: o1 o3")
	w.says(w.rejection("o3", majority), "rejected")

	needed := w.proposed("o2", w.repolicy("any"))
	w.says(w.approval("o2", needed), "open 1 of 2, asked: o1 o3")
	w.says(w.rejection("o1", needed), "rejected") // the chain is o1's

	w.refused("another's", w.withdrawal("o1", w.proposed("o2", w.joins("o4"))), Forbidden, fmt.Sprintf(reasonOwner, "o2"))
	own := w.proposed("o1", w.joins("o5"))
	w.says(w.withdrawal("o1", own), "withdrawn")

	stale := w.proposed("o2", w.repolicy("any"))
	w.says(w.approval("o2", stale), "open 1 of 2, asked: o1 o3")
	w.must(w.operator(changed(&ltlv1.ModifyChain{ChainId: w.chain.ID, Name: proto.String("renamed")})))
	w.says(w.approval("o1", stale), "stale")
	c, err := GetChain(w.state, w.chain.ID)
	if err != nil || c.Policy != w.chain.Policy {
		t.Fatal("a stale proposal was executed", c, err)
	}
	if p, _ := GetProposal(w.state, ledger.Hash(stale)); p.Code != Conflict {
		t.Errorf("%+v", p)
	}

	failed := w.proposed("o1", w.joins("o6"))
	key := w.rotation("o2", "o6", true) // o6's key becomes o2's
	w.must(w.operator(key))
	w.keys["o2"] = offline.Key("o6")
	w.says(w.approval("o1", failed), "open 1 of 2, asked: o2 o3")
	w.says(w.approval("o2", failed), "failed 409")
	if o, err := GetOrganisation(w.state, "o6"); o != nil || err != nil {
		t.Fatal("a failed proposal was executed", o, err)
	}

	late := w.proposed("o1", w.joins("o7"))
	w.now += 24 * 3_600_000
	w.refused("late", w.approval("o2", late), Conflict, reasonProposalExpired)
	if open, err := ListOpenProposals(w.state, w.now); len(open) != 0 || err != nil {
		t.Error("still open:", open, err)
	}
}

// TestVotesOfOthersDoNotCount: the target of a removal has no vote, nor has who is not on the chain.
func TestVotesOfOthersDoNotCount(t *testing.T) {
	w := newWorld(t)
	w.must(w.operator(w.joins("o4")))
	w.accepts("o4")
	w.must(w.operator(changed(&ltlv1.ModifyChain{ChainId: w.chain.ID, Organisations: []string{"o1", "o2"}})))
	w.keys["o4"] = offline.Key("o4")
	none := func(o string) string { return fmt.Sprintf(reasonNoVote, o) }
	remove := w.proposed("o3", removeOrg("o4"))
	w.refused("the target's vote", w.approval("o4", remove), Forbidden, none("o4"))
	w.refused("the target's rejection", w.rejection("o4", remove), Forbidden, none("o4"))
	policy := w.proposed("o1", w.repolicy("any"))
	w.refused("one not on the chain", w.approval("o3", policy), Forbidden, none("o3"))
	for _, o := range []string{"o1", "o2"} {
		w.alone(w.approval(o, remove))
	}
	w.says(w.approval("o3", remove), "executed")
	if r := w.alone(w.approval("o4", policy)); r.GetCode() == OK {
		t.Error("a removed organisation votes")
	}
	if r := w.alone(w.proposal("o4", w.joins("o5"))); r.GetCode() == OK {
		t.Error("a removed organisation proposes")
	}
}

// TestRemovedVotesDoNotCount: an approval no longer counts when its organisation was removed, and asking again is
// enough when the others' votes suffice then.
func TestRemovedVotesDoNotCount(t *testing.T) {
	w := newWorld(t)
	w.must(w.operator(w.joins("o4")), w.operator(w.joins("o5")))
	w.accepts("o4", "o5")
	w.must(w.operator(changed(&ltlv1.ModifyChain{ChainId: w.chain.ID, Organisations: []string{"o1", "o2"}})))
	id := w.proposed("o1", w.joins("o6"))
	for _, o := range []string{"o5", "o1"} {
		w.keys[o] = offline.Key(o)
		w.alone(w.approval(o, id))
	}
	w.says(w.approval("o5", id), "open 2 of 3, asked: o2 o3 o4")
	w.must(w.operator(removeOrg("o5")))
	w.says(w.approval("o1", id), "open 1 of 3, asked: o2 o3 o4")
	w.must(w.operator(removeOrg("o4")))
	w.says(w.rejection("o3", id), "open 1 of 2, asked: o2")
	w.says(w.approval("o2", id), "executed")
}

// TestProposalRefusals: what is not recorded as a proposal, and why.
func TestProposalRefusals(t *testing.T) {
	w := newWorld(t)
	valid := func() *ltlv1.Propose { return w.proposal("o2", w.repolicy("any")).GetPropose() }
	for what, row := range map[string]struct {
		spoil  func(*ltlv1.Propose)
		code   int32
		reason string
	}{
		"another network": {func(p *ltlv1.Propose) { p.NetworkId[0]++ }, Forbidden, reasonOtherNetwork},
		"too short":       {func(p *ltlv1.Propose) { p.ExpiryMs = w.now + MinProposalMs - 1 }, OutOfRange, reasonProposalExpiry},
		"too long":        {func(p *ltlv1.Propose) { p.ExpiryMs = w.now + MaxProposalMs + 1 }, OutOfRange, reasonProposalExpiry},
		"no basis":        {func(p *ltlv1.Propose) { p.Basis = nil }, Conflict, reasonBasis},
		"wrong basis":     {func(p *ltlv1.Propose) { p.Basis[0].Hash[0]++ }, Conflict, reasonBasis},
		"further basis":   {func(p *ltlv1.Propose) { p.Basis = append(p.Basis, p.Basis[0]) }, Conflict, reasonBasis},
		"short hash":      {func(p *ltlv1.Propose) { p.Basis[0].Hash = p.Basis[0].Hash[1:] }, OutOfRange, ""},
		"short network":   {func(p *ltlv1.Propose) { p.NetworkId = p.NetworkId[1:] }, OutOfRange, ""},
		"nothing":         {func(p *ltlv1.Propose) { p.Action = nil }, OutOfRange, ""},
		"wrong form":      {func(p *ltlv1.Propose) { p.GetModifyChain().Policy = proto.String("none") }, OutOfRange, ""},
		"too large": {func(p *ltlv1.Propose) {
			p.Basis[0].Key = make([]byte, MaxProposal)
		}, OutOfRange, ""},
		"an act": {func(p *ltlv1.Propose) { p.GetModifyChain().Policy, p.GetModifyChain().Name = nil, proto.String("name") },
			Forbidden, fmt.Sprintf(reasonAct, "o1")},
		"an unknown chain": {func(p *ltlv1.Propose) { p.GetModifyChain().ChainId = "1234123412341234" }, NotFound, ""},
		"what cannot be":   {func(p *ltlv1.Propose) { p.GetModifyChain().Policy = proto.String("org(o9)") }, OutOfRange, ""},
	} {
		p := valid()
		p.NetworkId = bytes.Clone(p.NetworkId)
		row.spoil(p)
		w.refused(what, w.propose("o2", p), row.code, row.reason)
	}
	w.want("it was valid", w.propose("o2", valid()), OK)
	id := make([]byte, 32)
	w.refused("an unknown id", w.approval("o1", id), NotFound, reasonNoProposal)
	w.want("a short id", w.approval("o1", id[1:]), OutOfRange)
}

// TestOpenProposals: an organisation has eight open proposals, and one for the same; another's do not count, and those
// that ended do not.
func TestOpenProposals(t *testing.T) {
	w := newWorld(t)
	var ids [][]byte
	for i := range MaxOpenProposals {
		ids = append(ids, w.proposed("o2", w.joins(fmt.Sprint("p", i))))
	}
	w.refused("the same", w.proposal("o2", w.joins("p3")), Conflict,
		fmt.Sprintf(reasonProposedAlready, hex.EncodeToString(ids[3])))
	w.refused("a ninth", w.proposal("o2", w.joins("p8")), QuotaExceeded,
		fmt.Sprintf(reasonOpenProposals, "o2", MaxOpenProposals))
	w.want("another's", w.proposal("o3", w.joins("p3")), OK)
	w.says(w.withdrawal("o2", ids[0]), "withdrawn")
	w.want("in the place of one that ended", w.proposal("o2", w.joins("p8")), OK)
	w.now += 24 * 3_600_000
	w.want("in the place of one that expired", w.proposal("o2", w.joins("p3")), OK)
}

// TestProposalInTwinNetwork: what one network's organisations signed does nothing in another of the same organisations.
func TestProposalInTwinNetwork(t *testing.T) {
	w, g := newWorld(t), offline.Genesis(organisations()...)
	g.Network = "twin"
	twin := bareOf(t, offline.GenesisPayload(t, g))
	if w.id == twin.id {
		t.Fatal("the twin is the same network")
	}
	propose := w.proposal("o1", w.joins("o4"))
	w.must(propose)
	id := ledger.TransactionID(marshal(t, propose))
	twin.refused("its proposal", propose, Forbidden, reasonOtherNetwork)
	twin.must(twin.propose("o1", func() *ltlv1.Propose {
		p := propose.GetPropose()
		p.NetworkId = twin.id[:]
		p.GetCreateOrganisation().AuthorityPossession = twin.joins("o4").CreateOrganisation.AuthorityPossession
		return p
	}()))
	twin.refused("its approval", w.approval("o2", id[:]), Forbidden, reasonOtherNetwork)
}

// TestProposeIsCanonical: the one encoding is asked for inside a proposal too.
func TestProposeIsCanonical(t *testing.T) {
	w := newWorld(t)
	tx := w.proposal("o1", w.joins("o4"))
	payload := marshal(t, tx)
	if _, err := Decode(payload); err != nil {
		t.Fatal(err)
	}
	id := []byte{0x0a, 2, 'o', '4'} // id of the organisation, in the innermost message
	at := bytes.Index(payload, id)
	if at < 0 {
		t.Fatal("the id was not found")
	}
	longer := bytes.Clone(payload)
	longer[at], longer[at+1] = 0x12, 2 // the id becomes a second name: fields out of order
	if _, err := Decode(longer); err == nil {
		t.Error("fields out of order inside a proposal were taken")
	}
}

// TestWords: the words name what the change sets, with the values of the state where that is known.
func TestWords(t *testing.T) {
	w := newWorld(t)
	for want, action := range map[string]any{
		"of chain " + w.chain.ID + " the policy becomes \"any\" instead of \"submitter & majority\"": w.repolicy("any"),
		"organisation o3, named \"公司 o3\", is removed from the network for good":                     removeOrg("o3"),
		"node n1 of organisation o1, now a voter, is removed from the network for good": changeNode("n1",
			ltlv1.NodeMembership_NODE_MEMBERSHIP_REMOVED),
	} {
		got, err := Words(w.state, ProposeOf(w.plain("o1", action)))
		if err != nil || got != want {
			t.Errorf("%q, %v, want %q", got, err, want)
		}
	}
	fields := (&ltlv1.Propose{}).ProtoReflect().Descriptor().Oneofs().ByName("action").Fields()
	for i := range fields.Len() {
		p := &ltlv1.Propose{}
		p.ProtoReflect().Set(fields.Get(i), p.ProtoReflect().NewField(fields.Get(i)))
		for _, v := range []View{nil, w.state} {
			if s, err := Words(v, p); s == "" || err != nil {
				t.Errorf("%s: %q, %v", fields.Get(i).Name(), s, err)
			}
		}
	}
}

// TestModifyNetwork: the policy of the network is changed by as many as the old one and the new one ask for, and never
// directly.
func TestModifyNetwork(t *testing.T) {
	w := newWorld(t)
	w.must(w.operator(w.joins("o4")))
	w.accepts("o4")
	to := func(policy, former string) *ltlv1.Transaction_ModifyNetwork {
		return &ltlv1.Transaction_ModifyNetwork{ModifyNetwork: &ltlv1.ModifyNetwork{Policy: policy, Former: former}}
	}
	before := mustNetwork(t, w).Policy
	w.refused("directly", w.plain("o1", to("2-of", before)), Forbidden, reasonProposal)
	w.refused("another former one", w.proposal("o1", to("2-of", "any")), Conflict, fmt.Sprintf(reasonFormerPolicy, before))
	for _, text := range []string{"", "submitter", "org(o1)", "2-of(o1,o2)", "any & all", "5-of", "none"} {
		w.want(text, w.proposal("o1", to(text, before)), OutOfRange)
	}
	id := w.proposed("o1", to("all", before))
	for _, o := range []string{"o1", "o2"} {
		w.alone(w.approval(o, id))
	}
	w.says(w.approval("o3", id), "executed")
	if got := mustNetwork(t, w).Policy; got != "all" {
		t.Errorf("the policy is %q", got)
	}
	id = w.proposed("o1", to("2-of", "all"))
	w.says(w.approval("o1", id), "open 1 of 3, asked: o2 o3 o4")
}

// TestProposalFits: what a process says of a proposal, with its true id, is compared with the transaction of the id.
func TestProposalFits(t *testing.T) {
	propose := func(reason string) *ltlv1.Propose {
		return &ltlv1.Propose{ExpiryMs: 5, Action: &ltlv1.Propose_RemoveOrganisation{
			RemoveOrganisation: &ltlv1.RemoveOrganisation{Id: reason}}}
	}
	w := newWorld(t)
	tx := w.tx("", nil)
	tx.ChainId, tx.Submitter = ledger.SystemChain, "o1/operator/olga"
	tx.Action = &ltlv1.Transaction_Propose{Propose: propose("o2")}
	payload := marshal(t, tx)
	id := ledger.TransactionID(payload)
	info := func() *ltlv1.ProposalInfo {
		return &ltlv1.ProposalInfo{ProposalId: id[:], Proposer: tx.GetSubmitter(), Propose: propose("o2"), Transaction: payload}
	}
	if !ProposalFits(info()) {
		t.Fatal("the true one does not fit")
	}
	for what, lie := range map[string]func(p *ltlv1.ProposalInfo){
		"another change":      func(p *ltlv1.ProposalInfo) { p.Propose = propose("o3") },
		"no change":           func(p *ltlv1.ProposalInfo) { p.Propose = nil },
		"another proposer":    func(p *ltlv1.ProposalInfo) { p.Proposer = "o3/operator/operator" },
		"another id":          func(p *ltlv1.ProposalInfo) { p.ProposalId = make([]byte, 32) },
		"another transaction": func(p *ltlv1.ProposalInfo) { p.Transaction = append(payload[:len(payload):len(payload)], 0) },
	} {
		p := info()
		lie(p)
		if ProposalFits(p) {
			t.Errorf("%s fits", what)
		}
	}
}
