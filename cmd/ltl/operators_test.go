package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"net"
	"os/exec"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"ltl/client"
	"ltl/internal/localnet"
	"ltl/internal/rules"
)

// TestChainsOfOperators: a chain is created as the options say, and a change affects exactly the named options.
func TestChainsOfOperators(t *testing.T) {
	admin := account(t, common.file(t), localnet.RoleAdmin)
	id := jsonOf[map[string]string](t, "chain", "create", "modified", "--administrator", admin.UID, "--effective",
		"2026-01-01", "--expires", "2027-12-31T23:59:59+08:00",
		"--capacity-quota", "800GB", "--count-quota", "7", "--member-quota", "3", "--phase-group-quota", "4",
		"--phase-quota", "5",
		"--service", "collaboration", "--edition", "enterprise", "--region", "cn-hangzhou", "--policy", "any", "--organisations", "org2,org1", "--remark", "first")["bizChainId"]
	want := chainRow{
		ChainID: id, Name: "modified", Remark: "first", Service: "collaboration", Edition: "enterprise",
		Region: "cn-hangzhou", State: stateActive,
		CountQuota: 7, CapacityQuotaBytes: 800_000_000_000, MemberQuota: 3, PhaseGroupQuota: 4, PhaseQuota: 5, Policy: "any",
		Organisations: []string{"org2", "org1"}, Administrator: admin.UID, Members: new(uint64), PhaseGroups: new(uint64),
		Effective: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC), Expires: time.Date(2027, 12, 31, 15, 59, 59, 0, time.UTC), Time: timeRefuse,
	}
	got := jsonOf[chainRow](t, "chain", "show", "modified")
	want.ChainCode = got.ChainCode
	if !reflect.DeepEqual(got, want) {
		t.Fatalf("created as\n%+v, want\n%+v", got, want)
	}
	guest := account(t, common.file(t), localnet.RoleNone)
	for _, c := range []struct {
		args   []string
		change func(*chainRow)
	}{
		{[]string{"--name", "renamed", "--capacity-quota", "1.5TB", "--expires", "2020-01-01", "--effective",
			"2019-01-01"}, func(r *chainRow) {
			r.Name, r.CapacityQuotaBytes, r.State = "renamed", 1_500_000_000_000, stateExpired
			r.Effective, r.Expires = time.Date(2019, 1, 1, 0, 0, 0, 0, time.UTC), time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC)
		}},
		{[]string{"--edition", "standard", "--region", "cn-beijing", "--remark", ""},
			func(r *chainRow) { r.Edition, r.Region, r.Remark = "standard", "cn-beijing", "" }},
		{[]string{"--organisations", "org1,org2,org3", "--policy", "submitter & majority"}, func(r *chainRow) {
			r.Organisations, r.Policy = []string{"org1", "org2", "org3"}, "submitter & majority"
		}},
		{[]string{"--count-quota", "8", "--member-quota", "9", "--phase-group-quota", "10", "--phase-quota", "11"},
			func(r *chainRow) {
				r.CountQuota, r.MemberQuota, r.PhaseGroupQuota, r.PhaseQuota = 8, 9, 10, 11
			}},
		{[]string{"--administrator", guest.UID, "--expires", "2099-01-01"}, func(r *chainRow) {
			r.Administrator, r.Expires, r.State = guest.UID, time.Date(2099, 1, 1, 0, 0, 0, 0, time.UTC), stateActive
		}},
	} {
		c.change(&want)
		if got := jsonOf[chainRow](t, append([]string{"chain", "modify", id}, c.args...)...); !reflect.DeepEqual(got, want) {
			t.Errorf("after modify %v it is\n%+v, want\n%+v", c.args, got, want)
		}
	}
	for _, r := range jsonOf[[]chainRow](t, "chain", "list", "--service", "proof") {
		if r.Service != "proof" || r.ChainID == id {
			t.Errorf("--service proof lists %+v", r)
		}
	}
}

// TestMembersOfOperators: an operator manages the members of its own organisation's chain.
func TestMembersOfOperators(t *testing.T) {
	f := common.file(t)
	admin, guest := account(t, f, localnet.RoleAdmin), account(t, f, localnet.RoleNone)
	chain := jsonOf[map[string]string](t, "chain", "create", "members-chain", "--administrator", admin.UID,
		"--organisations", "org1,org2")["bizChainId"]
	member := jsonOf[map[string]string](t, "member", "add", chain, guest.UID, "--name", "first-name", "--phone",
		"010-1234")["memberId"]
	one := jsonOf[memberRow](t, "member", "show", "members-chain", member)
	want := memberRow{MemberID: member, UID: guest.UID, Name: "first-name", Contact: "contact", Phone: "010-1234",
		Role: "MEMBER", Status: "UNLOCK", DataTypeCode: one.DataTypeCode}
	if one != want || len(one.DataTypeCode) != 4 {
		t.Fatalf("the member is %+v, want %+v", one, want)
	}
	change := func(change func(*memberRow), args ...string) {
		change(&want)
		if got := jsonOf[memberRow](t, args...); got != want {
			t.Errorf("%v gives %+v, want %+v", args, got, want)
		}
	}
	change(func(m *memberRow) { m.Status = "LOCK" }, "member", "lock", chain, guest.UID)
	change(func(*memberRow) {}, "member", "lock", chain, member)
	change(func(m *memberRow) { m.Name, m.Remark = "another", "note" }, "member", "modify", chain, member, "--name",
		"another", "--remark", "note")
	change(func(m *memberRow) { m.Status = "UNLOCK" }, "member", "unlock", chain, member)
	change(func(m *memberRow) { m.Remark = "" }, "member", "modify", chain, member, "--remark", "")

	all := jsonOf[[]memberRow](t, "member", "list", chain)
	if len(all) != 2 || all[0].UID != admin.UID || all[0].Role != "ADMIN" || all[1] != want {
		t.Errorf("the members are %+v", all)
	}
	for i, code := range jsonOf[[]typeCodeRow](t, "chain", "type-codes", chain) {
		if m := all[i]; code != (typeCodeRow{DataTypeCode: m.DataTypeCode, Of: "member", Name: m.Name,
			MemberID: m.MemberID, UID: m.UID, Status: m.Status}) {
			t.Errorf("type code %d is %+v, the member %+v", i, code, m)
		}
	}
	shown := jsonOf[accountRow](t, "account", "show", guest.UID)
	if shown.Organisation != "org3" || len(shown.AccessKeys) != 1 || shown.AccessKeys[0].AccessKeySecret != "" ||
		!slices.Contains(shown.Chains,
			accountChain{ChainID: chain, Name: "members-chain", Role: "MEMBER", DataTypeCode: want.DataTypeCode}) {
		t.Errorf("the account is shown as %+v", shown)
	}
	// guest is of org3, which does not endorse here: adding such a member gives a warning.
	another := jsonOf[map[string]string](t, "account", "create", "outsider", "--organisation", "org3")["uid"]
	if _, warned, err := ltlCommand(t, "member", "add", chain, another, "--dir", common.dir); err != nil ||
		!strings.Contains(warned, "can read and not write") {
		t.Errorf("adding a member that cannot write says %q, %v", warned, err)
	}
}

// TestAccessKeysOfManyOperators: when many operators give an account AccessKeys at the same time, it has at most two
// enabled ones.
func TestAccessKeysOfManyOperators(t *testing.T) {
	uid := jsonOf[map[string]string](t, "account", "create", "in-demand")["uid"]
	var group sync.WaitGroup
	for range 5 {
		group.Go(func() {
			_, said, err := ltlCommand(t, "account", "key", "create", uid, "--dir", common.dir)
			if err != nil && !strings.Contains(said, "at the same moment") && !strings.Contains(said, "disable one") {
				t.Errorf("%v: %s", err, said)
			}
		})
	}
	group.Wait()
	enabled := 0
	for _, k := range jsonOf[[]keyResult](t, "account", "key", "list", uid) {
		if !k.Disabled {
			enabled++
		}
	}
	if enabled > rules.MaxActiveAccessKeys {
		t.Errorf("the account has %d enabled AccessKeys", enabled)
	}
}

// TestTypeCodesOfPhases: on a collaboration chain phases have type codes too.
func TestTypeCodesOfPhases(t *testing.T) {
	chain := collaborationChain(t)
	made := func(action string, args ...string) string {
		var answer struct{ Data string }
		out := mustLTL(t, append([]string{"call", action, "--dir", common.dir, "BizChainId=" + chain.BizChainID}, args...)...)
		if err := json.Unmarshal([]byte(out), &answer); err != nil {
			t.Fatal(err)
		}
		return answer.Data
	}
	group := made("CreateMPCoSPhaseGroup", "Name=codes")
	phase := made("CreateMPCoSPhase", "Name=sowing", "PhaseGroupId="+group)
	codes, found := map[string]bool{}, 0
	for _, r := range jsonOf[[]typeCodeRow](t, "chain", "type-codes", chain.BizChainID) {
		if codes[r.DataTypeCode] || len(r.DataTypeCode) != 4 {
			t.Errorf("%q is listed twice, or is no type code", r.DataTypeCode)
		}
		codes[r.DataTypeCode] = true
		if r.PhaseID == phase && r.PhaseGroupID == group && r.Of == "phase" && r.Name == "sowing" {
			found++
		}
	}
	if found != 1 || len(codes) < 3 {
		t.Errorf("the phase is listed %d times, among %d type codes", found, len(codes))
	}
}

// TestWrongEndorserAddress: an operator who gave a wrong address of the organisation's endorser corrects it, although
// the ledger no longer says where the endorser is whose endorsement that needs.
func TestWrongEndorserAddress(t *testing.T) {
	right := jsonOf[orgRow](t, "org", "show", "org3").Endorser
	const wrong = "127.0.0.1:9"
	if got := jsonOf[orgRow](t, "org", "modify", "org3", "--endorser", wrong).Endorser; got != wrong {
		t.Fatalf("the address is %s, want %s", got, wrong)
	}
	if said := refusedLTL(t, "org", "modify", "org3", "--endorser", right, "--dir", common.dir, "--reach",
		jsonOf[orgRow](t, "org", "show", "org1").Endorser); !strings.Contains(said, "certificate") {
		t.Errorf("at another organisation's endorser: %q", said)
	}
	if got := jsonOf[orgRow](t, "org", "modify", "org3", "--endorser", right, "--reach", right).Endorser; got != right {
		t.Errorf("the address is %s, want %s", got, right)
	}
}

// TestOperatorsRefusals: a refusal is one line that says what to do next.
func TestOperatorsRefusals(t *testing.T) {
	dir := common.dir
	admin := account(t, common.file(t), localnet.RoleAdmin).UID
	for _, c := range []struct {
		args []string
		want string
	}{
		{[]string{"org", "show", "org9"}, "`ltl org list`"},
		{[]string{"org", "add", filepath.Join(dir, "pki", "trust.json")}, "does not describe an organisation"},
		{[]string{"org", "add", filepath.Join(dir, "nothing")}, "no such file"},
		{[]string{"org", "modify", "org1"}, "--endorser"},
		{[]string{"org", "modify", "org9", "--name", "x"}, "--identity DIRECTORY"},
		{[]string{"org", "modify", "org2", "--name", "x", "--identity", filepath.Join(dir, "pki", "operator")},
			"organisation org2: only one of its operators"},
		{[]string{"org", "remove", "org9"}, "`ltl org list`"},
		{[]string{"org", "rotate-endorser-key", "org2", "--endorser-dir",
			filepath.Join(dir, "pki", "orgs", "org3", "endorser")}, "not of org2/endorser/org2"},
		{[]string{"org", "retire-ca", "org1", "first"}, "`ltl org show org1`"},
		{[]string{"org", "retire-ca", "org1", strings.Repeat("0", 64)}, "no certificate authority with this SHA-256"},
		{[]string{"cert", "revoke", "unknown"}, "nor an identity"},
		{[]string{"cert", "revoke", "org1/client/x", "--key-only"}, "give its file"},
		{[]string{"cert", "revoke", filepath.Join(dir, "pki", "nodes", "node1")}, "--key-only"},
		{[]string{"account", "show", "1"}, "`ltl account list`"},
		{[]string{"account", "create", "a"}, "2 to 30"},
		{[]string{"account", "create", "again", "--uid", admin}, "leave it out"},
		{[]string{"account", "create", "lost", "--organisation", "org9"}, "`ltl org list`"},
		{[]string{"account", "create", "odd", "--type", "king"}, "ram"},
		{[]string{"account", "key", "list", "1"}, "`ltl account list`"},
		{[]string{"account", "key", "enable", "LTAInothing"}, "`ltl account key list`"},
		{[]string{"chain", "create", "bad", "--administrator", admin, "--expires", "soon"}, "2027-12-31"},
		{[]string{"chain", "create", "bad", "--administrator", admin, "--capacity-quota", "much"}, "powers of 1000"},
		{[]string{"chain", "create", "bad", "--administrator", admin, "--count-quota", "0"}, "at least 1"},
		{[]string{"chain", "create", "bad", "--administrator", admin, "--service", "both"}, "proof or collaboration"},
		{[]string{"chain", "create", "bad", "--administrator", admin, "--edition", "gold"}, "standard or enterprise"},
		{[]string{"chain", "create", "bad", "--administrator", admin, "--years", "1", "--expires", "2030-01-01"}, "years"},
		{[]string{"chain", "create", "bad", "--administrator", "1234567890123456"}, "`ltl account list`"},
		{[]string{"chain", "create", "bad", "--administrator", admin, "--policy", "org(org9)"}, "policy"},
		{[]string{"chain", "modify", "proof"}, "--help"},
		{[]string{"chain", "modify", "nothing", "--name", "name"}, "`ltl chain list`"},
		{[]string{"chain", "modify", "proof", "--organisations", "org9"}, "`ltl org list`"},
		{[]string{"chain", "type-codes", "nothing"}, "`ltl chain list`"},
		{[]string{"member", "list", "nothing"}, "`ltl chain list`"},
		{[]string{"member", "show", "proof", "1"}, "`ltl member list"},
		{[]string{"member", "lock", "proof", "1"}, "`ltl member list"},
		{[]string{"member", "modify", "proof", admin}, "--contact"},
		{[]string{"member", "add", "proof", admin}, "409"},
		{[]string{"member", "add", "proof", "1234567890123456"}, "`ltl account list`"},
	} {
		if said := refusedLTL(t, append(c.args, "--dir", dir)...); !strings.Contains(said, c.want) ||
			strings.Count(strings.TrimSpace(said), "\n") > 0 {
			t.Errorf("ltl %s says %q, want one line with %q", strings.Join(c.args, " "), said, c.want)
		}
	}
	out := filepath.Join(t.TempDir(), "x")
	if said := refusedLTL(t, "pki", "issue", "org3/operator/x", "--ca", filepath.Join(dir, "pki", "orgs", "org1"),
		"--out", out); !strings.Contains(said, "use the authority of org3") {
		t.Errorf("a certificate of org3 by org1's authority: %q", said)
	}
}

// TestOrganisationJoins: an organisation joins a running network, endorses there, and takes a chain of its own.
func TestOrganisationJoins(t *testing.T) {
	n := start(t, filepath.Join(t.TempDir(), "net"), "--nodes", "1", "--orgs", "1")
	pki, with := filepath.Join(n.dir, "pki"), []string{"--dir", n.dir, "--output", "json"}
	run := func(args ...string) string { return mustLTL(t, append(args, with...)...) }
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := l.Addr().String()
	l.Close()
	mustLTL(t, "pki", "organisation", "joiner", "--trust", filepath.Join(pki, "trust.json"), "--dir", pki,
		"--name", "Joiner Ltd", "--endorser", address)
	own := filepath.Join(pki, "orgs", "joiner")
	if added := run("org", "add", filepath.Join(own, "organisation.json")); !strings.Contains(added, `"invited"`) {
		t.Errorf("after it was added: %s", added)
	}
	var log bytes.Buffer
	cmd := exec.Command(binary, "endorser", "--trust", filepath.Join(pki, "trust.json"), "--identity",
		filepath.Join(own, "endorser"), "--dir", filepath.Join(n.dir, "joiner"), "--listen", address)
	cmd.Stderr, cmd.SysProcAttr = &log, &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
			t.Error(err)
		}
		if err := cmd.Wait(); err != nil || t.Failed() {
			t.Errorf("the joined endorser: %v\n%s", err, log.String())
		}
	})
	if list := run("org", "list"); !strings.Contains(list, `"invited"`) {
		t.Errorf("before it accepts: %s", list)
	}
	run("org", "accept", "joiner")
	// Both endorse the system chain from now on.
	uid := strings.Split(run("account", "create", "joined", "--organisation", "joiner"), `"`)[3]
	chain := strings.Split(run("chain", "create", "joint", "--administrator", uid, "--policy", "all"), `"`)[3]
	if shown := run("chain", "show", chain); !strings.Contains(shown, `"joiner"`) || !strings.Contains(shown, `"org1"`) {
		t.Errorf("the chain of both is %s", shown)
	}
	operator := filepath.Join(t.TempDir(), "operator")
	mustLTL(t, "pki", "issue", "joiner/operator/ops", "--ca", own, "--out", operator)
	member, admin := account(t, n.file(t), localnet.RoleMember), account(t, n.file(t), localnet.RoleAdmin)
	run("member", "add", chain, member.UID, "--identity", operator)

	run("chain", "modify", chain, "--administrator", admin.UID)
	run("org", "leave", "joiner")
	if list := run("org", "list"); strings.Contains(list, "joiner") {
		t.Errorf("after it has left: %s", list)
	}
	// The answer may be lost with the connection, which the nodes end.
	leave, _, err := newRoot().Find([]string{"org", "leave"})
	if err == nil {
		err = leave.ParseFlags([]string{"--dir", n.dir})
	}
	if err != nil {
		t.Fatal(err)
	}
	leave.SetContext(t.Context())
	if err := hasLeft(leave, "joiner", client.ErrUnavailable); err != nil {
		t.Errorf("one that has left, without an answer: %v", err)
	}
	if err := hasLeft(leave, "org1", client.ErrUnavailable); !errors.Is(err, client.ErrUnavailable) {
		t.Errorf("one that has not left, without an answer: %v", err)
	}
}
