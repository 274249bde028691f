package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"ltl/internal/localnet"
	ltlv1 "ltl/proto/ltl/v1"
)

// operatorOf are the options of an operator of an organisation of the common network, as on a machine of its own.
func operatorOf(organisation string) []string {
	pki := filepath.Join(common.dir, "pki")
	dir := filepath.Join(pki, "operators", organisation)
	if organisation == "org1" {
		dir = filepath.Join(pki, "operator")
	}
	return []string{"--trust", filepath.Join(pki, "trust.json"), "--identity", dir}
}

// proposalBy runs a command as an operator of an organisation and reads the proposal that it prints.
func proposalBy(t *testing.T, organisation string, args ...string) *proposalRow {
	t.Helper()
	out := mustLTL(t, append(append(args, "--output", "json"), operatorOf(organisation)...)...)
	row := &proposalRow{}
	if err := json.Unmarshal([]byte(out), row); err != nil || len(row.ID) != 64 {
		t.Fatalf("ltl %s prints no proposal: %v\n%s", strings.Join(args, " "), err, out)
	}
	return row
}

// refusedBy runs a command as an operator of an organisation, which must fail.
func refusedBy(t *testing.T, organisation string, args ...string) string {
	t.Helper()
	_, said, err := ltlCommand(t, append(args, operatorOf(organisation)...)...)
	if err == nil || !strings.Contains(said, "ltl: ") {
		t.Fatalf("ltl %s as %s ends with %v and says %q, want an error", strings.Join(args, " "), organisation, err, said)
	}
	return said
}

// sharedChain makes a chain of org1's on which all organisations endorse.
func sharedChain(t *testing.T, name string) string {
	t.Helper()
	admin := account(t, common.file(t), localnet.RoleAdmin)
	return jsonOf[map[string]string](t, "chain", "create", name, "--administrator", admin.UID)["bizChainId"]
}

// TestProposal: org2 proposes a change of org1's chain. Its own approvals, by two operators and repeated, are one vote;
// it is made inside the approval of org1, the owner, and never before.
func TestProposal(t *testing.T) {
	chain := sharedChain(t, "decided-together")
	open := proposalBy(t, "org2", "chain", "modify", chain, "--policy", "any", "--wait", "0s")
	if open.State != stateOpen || !slices.Equal(open.Asked, []string{"org1", "org3"}) || open.Approvals != 1 ||
		!slices.Equal(open.Needed, []string{"org1"}) || !strings.HasPrefix(open.Proposer, "org2/operator/") ||
		!strings.Contains(open.Words, `"any"`) || !strings.Contains(open.Words, chain) {
		t.Fatalf("the proposal is %+v", open)
	}
	if days := time.Until(open.Expires).Hours() / 24; days < 6.9 || days > 7.1 {
		t.Errorf("it expires in %.1f days, want 7", days)
	}
	second := filepath.Join(t.TempDir(), "second")
	mustLTL(t, "pki", "issue", "org2/operator/second", "--ca", filepath.Join(common.dir, "pki", "orgs", "org2"), "--out",
		second)
	mustLTL(t, "approve", open.ID, "--trust", filepath.Join(common.dir, "pki", "trust.json"), "--identity", second)
	if again := proposalBy(t, "org2", "approve", open.ID); again.State != stateOpen || again.Approvals != 1 ||
		len(again.Votes) != 1 {
		t.Errorf("after three approvals of one organisation it is %+v", again)
	}
	if agreed := proposalBy(t, "org3", "approve", open.ID); agreed.State != stateOpen ||
		!slices.Equal(agreed.Asked, []string{"org1"}) {
		t.Errorf("without the owner it is %+v", agreed)
	}
	if got := jsonOf[chainRow](t, "chain", "show", chain).Policy; got != "submitter & majority" {
		t.Errorf("the policy is %q before the owner approved", got)
	}
	listed := false
	for _, r := range jsonOf[[]proposalRow](t, "proposals") {
		listed = listed || r.ID == open.ID && r.Words == open.Words
	}
	if !listed {
		t.Error("the open proposal is not listed")
	}
	table := mustLTL(t, append([]string{"proposals"}, operatorOf("org3")...)...)
	if !strings.Contains(table, open.ID[:shortestID]) || !strings.Contains(table, "open 2 of 2, asked: org1") {
		t.Errorf("the table of proposals is\n%s", table)
	}
	listedAll := func() string {
		for _, r := range jsonOf[[]proposalRow](t, "proposals", "--all") {
			if r.ID == open.ID {
				return r.State
			}
		}
		return "not listed"
	}
	if got := listedAll(); got != stateOpen {
		t.Errorf("among all proposals it is %s", got)
	}
	done := proposalBy(t, "org1", "approve", open.ID)
	if got := listedAll(); got != stateExecuted {
		t.Errorf("after its execution it is %s among all proposals", got)
	}
	if done.State != stateExecuted || done.Code != 200 || done.ClosedHeight <= done.BlockHeight || len(done.Asked) != 0 {
		t.Errorf("after the owner's approval it is %+v", done)
	}
	if got := jsonOf[chainRow](t, "chain", "show", chain).Policy; got != "any" {
		t.Errorf("the policy is %q after all approved", got)
	}
	if said := refusedBy(t, "org3", "reject", open.ID); !strings.Contains(said, "409") {
		t.Errorf("a vote on an executed proposal: %q", said)
	}
	log, err := os.ReadFile(filepath.Join(common.dir, "logs", "endorser-org1.log"))
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(log), open.ID) || !strings.Contains(string(log), chain) {
		t.Error("org1's endorser has not logged in words what its operator approved")
	}
}

// TestProposalIDs: an abbreviated id needs --yes to be approved, and at least twelve digits.
func TestProposalIDs(t *testing.T) {
	open := proposalBy(t, "org2", "node", "demote", "node3", "--wait", "0s")
	for _, c := range []struct {
		args []string
		want string
	}{
		{[]string{"approve", open.ID[:16]}, "repeat it with the whole id, " + open.ID},
		{[]string{"approve", open.ID[:11], "--yes"}, "at least the first 12 digits"},
		{[]string{"approve", "not-hexadecimal-digits"}, "names no proposal"},
		{[]string{"approve", strings.Repeat("0", 64)}, "there is no proposal"},
		{[]string{"proposals", strings.Repeat("0", 12)}, "there is no proposal"},
		{[]string{"node", "demote", "node3", "--wait", "0s"}, open.ID},
	} {
		organisation := "org1"
		if c.args[0] == "node" {
			organisation = "org2" // which has proposed the same
		}
		if said := refusedBy(t, organisation, c.args...); !strings.Contains(said, c.want) {
			t.Errorf("ltl %s says %q, want %q", strings.Join(c.args, " "), said, c.want)
		}
	}
	if said := refusedBy(t, "org1", "withdraw", open.ID); !strings.Contains(said, "org2") {
		t.Errorf("org1 withdraws what org2 proposed: %q", said)
	}
	if r := proposalBy(t, "org2", "withdraw", open.ID[:shortestID]); r.State != "withdrawn" {
		t.Errorf("the withdrawn proposal is %+v", r)
	}
	if r := proposalBy(t, "org1", "proposals", open.ID); r.State != "withdrawn" || len(r.Asked) != 0 {
		t.Errorf("a closed proposal is shown as %+v", r)
	}
}

// TestProposalRejected: a proposal that can no longer get what it needs is closed, and takes no votes.
func TestProposalRejected(t *testing.T) {
	open := proposalBy(t, "org2", "node", "demote", "node3", "--wait", "0s")
	if open.Excluded != "org3" || !slices.Equal(open.Asked, []string{"org1"}) {
		t.Errorf("the demotion of org3's node is %+v", open)
	}
	if said := refusedBy(t, "org3", "reject", open.ID); !strings.Contains(said, "403") {
		t.Errorf("the organisation that owns the node votes: %q", said)
	}
	if r := proposalBy(t, "org1", "reject", open.ID); r.State != "rejected" {
		t.Errorf("the rejected proposal is %+v", r)
	}
	if said := refusedBy(t, "org1", "approve", open.ID); !strings.Contains(said, "rejected") {
		t.Errorf("an approval of a rejected proposal: %q", said)
	}
}

// TestProposalStale: what was approved is not made when its chain has changed meanwhile.
func TestProposalStale(t *testing.T) {
	chain := sharedChain(t, "changed-meanwhile")
	open := proposalBy(t, "org2", "chain", "modify", chain, "--policy", "any", "--wait", "0s")
	mustLTL(t, append([]string{"chain", "modify", chain, "--remark", "new"}, operatorOf("org1")...)...)
	if said := refusedBy(t, "org1", "approve", open.ID); !strings.Contains(said, "stale") {
		t.Errorf("the approval of a stale proposal says %q", said)
	}
	if r := proposalBy(t, "org2", "proposals", open.ID); r.State != "stale" || r.Code != 409 {
		t.Errorf("the stale proposal is %+v", r)
	}
	if got := jsonOf[chainRow](t, "chain", "show", chain); got.Policy == "any" || got.Remark != "new" {
		t.Errorf("the chain is %+v", got)
	}
}

// TestProposalWaits: a command that waits in vain fails with the names of those that are asked; one that waits long
// enough sees the change made. An operator of another network has no vote.
func TestProposalWaits(t *testing.T) {
	chain := sharedChain(t, "waited-for")
	said := refusedBy(t, "org1", "chain", "modify", chain, "--policy", "any", "--wait", "1s")
	if !strings.Contains(said, "org2, org3 has not approved proposal ") {
		t.Errorf("waiting in vain says %q", said)
	}
	var id string
	for _, r := range jsonOf[[]proposalRow](t, "proposals") {
		if strings.Contains(r.Words, chain) {
			id = r.ID
		}
	}
	if id == "" {
		t.Fatal("the proposal is not listed")
	}
	other := filepath.Join(t.TempDir(), "other")
	mustLTL(t, "pki", "create", "--dir", other, "--org", "org2,Second Ltd,127.0.0.1:1", "--node",
		"node1,org2,127.0.0.1:2")
	if said := refusedLTL(t, "approve", id, "--trust", filepath.Join(common.dir, "pki", "trust.json"), "--identity",
		filepath.Join(other, "operator")); !strings.Contains(said, "org2") {
		t.Errorf("org2's operator of another network: %q", said)
	}
	all, said, err := ltlCommand(t, "approve", id[:shortestID], "--yes", "--all-of", filepath.Join(common.dir, "pki"))
	if err != nil || !strings.Contains(all, stateExecuted) || !strings.Contains(said, "org2/operator/") {
		t.Errorf("all operators approve: %v\n%s%s", err, all, said)
	}
	if strings.Contains(said, "org3/operator/") {
		t.Errorf("org3 approves although its approval is not wanted any more:\n%s", said)
	}
}

// TestApprovedForAll: on a network whose operators' keys are at hand a command approves for as many as are needed, and
// says so.
func TestApprovedForAll(t *testing.T) {
	chain := sharedChain(t, "all-at-hand")
	_, said, err := ltlCommand(t, "chain", "modify", chain, "--policy", "all", "--dir", common.dir)
	for _, want := range []string{"proposal ", "org1/operator/", " approves: open 1 of 2", "org2/operator/",
		" approves: executed"} {
		if err != nil || !strings.Contains(said, want) {
			t.Errorf("the change says %q, %v, want %q", said, err, want)
		}
	}
	if strings.Contains(said, "org3/operator/") {
		t.Errorf("org3 approves although its approval is not wanted any more:\n%s", said)
	}
}

// TestNetworkPolicy: how many organisations decide is itself proposed, and a policy that names organisations is refused.
func TestNetworkPolicy(t *testing.T) {
	for _, c := range []struct{ policy, want string }{
		{"org(org1)", "majority, all or N-of"}, {"4-of", "majority, all or N-of"}, {"", "--policy"},
	} {
		if said := refusedBy(t, "org1", "network", "modify", "--policy", c.policy); !strings.Contains(said, c.want) {
			t.Errorf("the policy %q: %q", c.policy, said)
		}
	}
	open := proposalBy(t, "org2", "network", "modify", "--policy", "all", "--wait", "0s")
	if !slices.Equal(open.Asked, []string{"org1", "org3"}) || open.Quorum != 2 || !strings.Contains(open.Words, `"all"`) {
		t.Errorf("the proposal is %+v", open)
	}
	if done := proposalBy(t, "org3", "approve", open.ID); done.State != stateExecuted {
		t.Errorf("after two of three approved it is %+v", done)
	}
	mustLTL(t, "network", "modify", "--policy", "majority", "--dir", common.dir)
}

// TestExpiredProposal: an open proposal whose time is over is shown as expired, and no organisation is asked.
func TestExpiredProposal(t *testing.T) {
	p := &ltlv1.ProposalInfo{State: ltlv1.ProposalState_PROPOSAL_STATE_OPEN, ExpiryMs: 1000, Asked: []string{"org1"}}
	if r := proposalRowOf(p, time.UnixMilli(999)); r.State != stateOpen || len(r.Asked) != 1 {
		t.Errorf("before its end it is %+v", r)
	}
	r := proposalRowOf(p, time.UnixMilli(1000))
	if r.State != stateExpired || len(r.Asked) != 0 || !strings.Contains(r.closedError().Error(), "it is expired") {
		t.Errorf("at its end it is %+v", r)
	}
}

// TestClosedChain: a chain whose owner was removed is closed, whatever its term.
func TestClosedChain(t *testing.T) {
	info := &ltlv1.ChainInfo{Chain: &ltlv1.CreateChain{ExpiredMs: time.Now().Add(time.Hour).UnixMilli()}}
	if got := chainRowOf(info).State; got != stateActive {
		t.Errorf("its state is %q", got)
	}
	info.Closed = true
	row := chainRowOf(info)
	if row.State != stateClosed {
		t.Errorf("its state is %q", row.State)
	}
	cmd, out := newRoot(), &strings.Builder{}
	cmd.SetOut(out)
	if err := showChain(cmd, &row); err != nil || !strings.Contains(out.String(), "ltl chain adopt") {
		t.Errorf("%v, %q", err, out)
	}
}

// TestKeepsQuorum: a voter is not removed when fewer than a majority of those that are left run, neither as an act nor by
// a proposal, also when they have failed since it was made.
func TestKeepsQuorum(t *testing.T) {
	n := start(t, filepath.Join(t.TempDir(), "net"))
	f := n.file(t)
	pki := filepath.Join(n.dir, "pki")
	var early proposalRow
	if err := json.Unmarshal([]byte(mustLTL(t, "node", "demote", "node2", "--wait", "0s", "--output", "json", "--trust",
		filepath.Join(pki, "trust.json"), "--identity", filepath.Join(pki, "operator"))), &early); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Kill(pids(f)["node3"], syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	const want = "this would leave 2 voters of which 1 answer"
	for _, args := range [][]string{
		{"node", "remove", "node2"}, {"node", "demote", "node2"}, {"org", "remove", "org2"},
		{"approve", early.ID, "--identity", filepath.Join(pki, "operators", "org3")},
		{"approve", early.ID, "--all-of", pki},
	} {
		var said string
		await(t, "a leader", func() bool {
			_, said, _ = ltlCommand(t, append(args, "--dir", n.dir)...)
			return !strings.Contains(said, "did not answer in time")
		})
		if !strings.Contains(said, want) || !strings.Contains(said, "node3") {
			t.Errorf("ltl %s says %q, want %q", strings.Join(args, " "), said, want)
		}
	}
	mustLTL(t, "node", "remove", "node3", "--dir", n.dir) // the dead one may go
	out, _, _ := ltlCommand(t, "status", "--dir", n.dir)  // an endorser of a removed node's organisation is well
	if !strings.Contains(out, "org1 holds 1 of 2 voters") {
		t.Errorf("status does not say that organisations hold half of the voters:\n%s", out)
	}
}
