package facade

import (
	"strings"
	"sync"
	"testing"

	"google.golang.org/protobuf/proto"

	"ltl/internal/rules"
	ltlv1 "ltl/proto/ltl/v1"
)

// TestPhaseManagementBounds: each parameter accepts values at its bound and refuses those past it.
func TestPhaseManagementBounds(t *testing.T) {
	f := newCollaboration(t)
	named := []struct {
		action string
		ids    []string
	}{
		{"CreateMPCoSPhaseGroup", nil}, {"CreateMPCoSPhase", []string{"PhaseGroupId", groupID}},
		{"ModifyMPCoSPhaseGroup", []string{"PhaseGroupId", groupID}}, {"ModifyMPCoSPhase", []string{"PhaseId", phaseID}},
	}
	for _, a := range named {
		with := func(pairs ...string) []string { return on(append(a.ids, pairs...)...) }
		runSteps(t, f, []step{
			{a.action + " 2 characters", "admin", a.action, with("Name", "值a"), "200"},
			{a.action + " 1 character", "admin", a.action, with("Name", "值"), "400"},
			{a.action + " 30 characters", "admin", a.action, with("Name", strings.Repeat("值", 30)), "200"},
			{a.action + " 31 characters", "admin", a.action, with("Name", strings.Repeat("值", 31)), "400"},
			{a.action + " every sign", "admin", a.action, with("Name", "aZ09_-.()"), "200"},
			{a.action + " blank", "admin", a.action, with("Name", "a b"), "400"},
			{a.action + " full-width", "admin", a.action, with("Name", "阶段（一）"), "400"},
			{a.action + " empty name", "admin", a.action, with("Name", ""), "400"},
			{a.action + " no name", "admin", a.action, with(), "MissingName"},
			{a.action + " 100 of remark", "admin", a.action, with("Name", "ab", "Remark", strings.Repeat("值", 100)), "200"},
			{a.action + " 101 of remark", "admin", a.action, with("Name", "ab", "Remark", strings.Repeat("值", 101)), "400"},
			{a.action + " role before name", "member", a.action, with("Name", ""), "403"},
			{a.action + " chain before name", "other", a.action, with("Name", ""), "403"},
			{a.action + " account before name", "none", a.action, with("Name", ""), "-339"},
			{a.action + " main account as member", "root", a.action, with("Name", ""), "-104"},
			{a.action + " no chain", "admin", a.action, []string{"Name", "ab", "PhaseId", phaseID, "PhaseGroupId", groupID},
				"MissingBizChainId"},
			{a.action + " unknown chain", "admin", a.action, with("Name", "ab", "BizChainId", "9999999999999999"), "404"},
			{a.action + " proof chain", "admin", a.action, with("Name", "ab", "BizChainId", "0000000000000011"), "404"},
		})
		if len(a.ids) > 0 {
			runSteps(t, f, []step{
				{a.action + " no " + a.ids[0], "admin", a.action, on("Name", "ab"), "Missing" + a.ids[0]},
				{a.action + " 15 digits", "admin", a.action, with("Name", "ab", a.ids[0], phaseID[1:]), "404"},
				{a.action + " 17 digits", "admin", a.action, with("Name", "ab", a.ids[0], phaseID+"1"), "404"},
			})
		}
	}
	for code, want := range map[int32]string{rules.Forbidden: "403", rules.QuotaExceeded: "429", rules.NotFound: "404",
		rules.UnknownUID: "-339"} {
		f.net.set(func(n *fakeNetwork) { n.code = code })
		for _, a := range named {
			runSteps(t, f, []step{{a.action, "admin", a.action, on(append(a.ids, "Name", "ab")...), want}})
		}
	}
}

// TestAuthorizationBounds: the bounds of AuthorizedPhaseList and of MemberId.
func TestAuthorizationBounds(t *testing.T) {
	f := newCollaboration(t)
	update, describe := "UpdateMPCoSAuthorizedInfo", "DescribeMPCoSAuthorizedInfo"
	with := func(list string, pairs ...string) []string {
		return on(append([]string{"PhaseGroupId", groupID, "MemberId", memberID, "AuthorizedPhaseList", list}, pairs...)...)
	}
	runSteps(t, f, []step{
		{"one", "admin", update, with(`["` + phaseID + `"]`), "200"},
		{"twice", "admin", update, with(`["` + phaseID + `","` + phaseID + `"]`), "400"},
		{"no identifier", "admin", update, with(`["x"]`), "404"},
		{"a number", "admin", update, with(`[1964875128110001]`), "200"},
		{"an object", "admin", update, with(`[{"phaseId":"1"}]`), "InvalidAuthorizedPhaseList"},
		{"no list", "admin", update, with(phaseID), "InvalidAuthorizedPhaseList"},
		{"empty", "admin", update, with(""), "InvalidAuthorizedPhaseList"},
		{"absent", "admin", update, with("-"), "MissingAuthorizedPhaseList"},
		{"no member", "admin", update, with("[]", "MemberId", "-"), "MissingMemberId"},
		{"member's form", "admin", update, with("[]", "MemberId", "7"), "404"},
		{"group's form", "admin", update, with("[]", "PhaseGroupId", "7"), "404"},
		{"role first", "member", update, with(`["x"]`), "403"},
		{"describe: member's form", "admin", describe, with("-", "MemberId", "7"), "404"},
		{"describe: group's form", "admin", describe, with("-", "PhaseGroupId", "7"), "404"},
		{"describe: role first", "member", describe, with("-", "MemberId", "7"), "403"},
		{"resources are the administrator's", "member", "DescribeMPCoSResourceInfo", on(), "403"},
		{"resources of another chain", "other", "DescribeMPCoSResourceInfo", on(), "403"},
	})
	for code, want := range map[int32]string{rules.NotFound: "404", rules.Forbidden: "403"} {
		f.net.answer(&ltlv1.GetPhaseAuthorizationResponse{Code: code})
		r := f.act(t, "admin", describe, with("-")...)
		if _, has := r.json["Data"]; r.code() != want || has {
			t.Errorf("%d: %s", code, r.body)
		}
	}
}

// TestPhaseReadBounds: bounds of pages, windows and names of records, and refusals by the ledger.
func TestPhaseReadBounds(t *testing.T) {
	f := newCollaboration(t)
	f.net.answer(&ltlv1.ListPhaseGroupsResponse{Code: rules.OK})
	f.net.answer(&ltlv1.ListPhaseRecordsResponse{Code: rules.OK})
	f.net.answer(&ltlv1.GetPhaseRecordResponse{Code: rules.OK, Record: &ltlv1.PhaseRecord{}})
	k64 := strings.Repeat("aZ09", 16)
	base := map[string][]string{
		"ListMultiPartyCollaborationChain": {}, "ListMPCoSPhaseGroup": on(), "ListMPCoSPhase": on("PhaseGroupId", groupID),
		"ListMPCoSPhaseHistory": in("DataKey", "a", "StartTime", "1", "EndTime", "2"), "DescribeMPCoSPhaseInfo": in("DataKey",
			"a"),
	}
	for action, pairs := range base {
		with := func(more ...string) []string {
			return append(append([]string{"Num", "1", "Size", "1"}, pairs...), more...)
		}
		steps := []step{{action, "member", action, with(), "200"}}
		if strings.HasPrefix(action, "List") {
			steps = append(steps, []step{
				{action + " size 100", "member", action, with("Size", "100"), "200"}, {action + " size 101", "member", action,
					with("Size", "101"), "400"},
				{action + " size 0", "member", action, with("Size", "0"), "400"}, {action + " page 0", "member", action,
					with("Num", "0"), "400"},
				{action + " size -1", "member", action, with("Size", "-1"), "400"}, {action + " page x", "member", action,
					with("Num", "x"), "InvalidNum"},
				{action + " no size", "member", action, with("Size", "-"), "MissingSize"}, {action + " no page", "member", action,
					with("Num", "-"), "MissingNum"},
				{action + " last page", "member", action, with("Num", "2147483647"), "200"}, {action + " beyond", "member", action,
					with("Num", "2147483648"), "InvalidNum"},
			}...)
		}
		if strings.Contains(strings.Join(pairs, " "), "DataKey") {
			steps = append(steps, []step{
				{action + " longest key", "member", action, with("DataKey", k64), "200"}, {action + " long key", "member", action,
					with("DataKey", k64+"a"), "400"},
				{action + " empty key", "member", action, with("DataKey", ""), "400"}, {action + " no key", "member", action,
					with("DataKey", "-"), "MissingDataKey"},
				{action + " whole key", "member", action, with("DataKey", "0002_"+chainCo+"_5E9A_"+k64), "200"},
				{action + " whole key, long", "member", action, with("DataKey", "0002_"+chainCo+"_5E9A_"+k64+"a"), "400"},
				{action + " key of a proof", "member", action, with("DataKey", "0001_"+chainCo+"_5E9A_a"), "400"},
				{action + " phase's form", "member", action, with("PhaseId", "1"), "404"}, {action + " no phase", "member", action,
					with("PhaseId", "-"), "MissingPhaseId"},
				{action + " group's form", "member", action, with("PhaseGroupId", "1"), "404"},
				{action + " chain first", "other", action, with("DataKey", ""), "403"},
			}...)
		}
		runSteps(t, f, steps)
	}
	history := func(start, end string) []string {
		return append(base["ListMPCoSPhaseHistory"], "Num", "1", "Size", "1", "StartTime", start, "EndTime", end)
	}
	runSteps(t, f, []step{
		{"longest seq", "member", "DescribeMPCoSPhaseInfo", in("DataKey", "a", "DataSeq", k64), "200"},
		{"long seq", "member", "DescribeMPCoSPhaseInfo", in("DataKey", "a", "DataSeq", k64+"a"), "400"},
		{"empty seq is none", "member", "DescribeMPCoSPhaseInfo", in("DataKey", "a", "DataSeq", ""), "200"},
		{"no start", "member", "ListMPCoSPhaseHistory", history("-", "1"), "MissingStartTime"},
		{"no end", "member", "ListMPCoSPhaseHistory", history("1", "-"), "MissingEndTime"},
		{"empty start", "member", "ListMPCoSPhaseHistory", history("", "1"), "InvalidStartTime"},
		{"start after end", "member", "ListMPCoSPhaseHistory", history("2", "1"), "400"},
		{"one moment", "member", "ListMPCoSPhaseHistory", history("1", "1"), "200"},
		{"before 1970", "member", "ListMPCoSPhaseHistory", history("-1", "1"), "400"},
		{"all time", "member", "ListMPCoSPhaseHistory", history("0", "9223372036854775807"), "200"},
	})
	if in := f.net.lastRead.(*ltlv1.ListPhaseRecordsRequest); in.GetStartMs() != 0 || in.GetEndMs() != 1<<63-2 {
		t.Errorf("the largest window becomes %v", in)
	}
	for code, want := range map[int32]string{rules.NotFound: "404", rules.Forbidden: "403", rules.UnknownUID: "-339",
		rules.OutOfRange: "400"} {
		for _, answer := range []proto.Message{&ltlv1.ListPhaseGroupsResponse{Code: code},
			&ltlv1.ListPhasesResponse{Code: code},
			&ltlv1.ListPhaseRecordsResponse{Code: code}, &ltlv1.GetPhaseRecordResponse{Code: code}} {
			f.net.answer(answer)
		}
		for action, pairs := range base {
			if action == "ListMultiPartyCollaborationChain" {
				continue
			}
			r := f.act(t, "member", action, append([]string{"Num", "1", "Size", "1"}, pairs...)...)
			if _, has := r.json["Data"]; r.code() != want || has {
				t.Errorf("%s, %d: %s", action, code, r.body)
			}
		}
	}
}

// TestPhaseRecordInFlight: reading a record while its upload through this facade is pending returns -320 if the
// ledger does not have it yet, by its data key and by its DataSeq if it has one. Other records are not affected.
func TestPhaseRecordInFlight(t *testing.T) {
	list := `[{"dataKey":"k","phaseData":"d","dataSeq":"s1"},{"dataKey":"k2","phaseData":"d"}]`
	for _, u := range []struct {
		action string
		pairs  []string
	}{
		{"UploadMPCoSPhaseTextInfo", in("DataKey", "k", "DataSeq", "s1", "PhaseData", "d")},
		{"BatchUploadMPCoSPhaseTextInfo", in("PhaseDataList", list)},
		{"BatchUploadMPCoSPhaseTextInfoByDevice", in(signedBy(list, "PhaseDataList", list)...)},
	} {
		f := newCollaboration(t)
		f.net.answer(&ltlv1.GetPhaseRecordResponse{Code: rules.NotFound})
		hold := make(chan struct{})
		f.net.set(func(n *fakeNetwork) { n.hold = hold })
		call := f.params("member", u.action, u.pairs...)
		var running sync.WaitGroup
		running.Go(func() { f.post(t, call) })
		read := func(pairs ...string) string {
			return f.act(t, "member", "DescribeMPCoSPhaseInfo", append(on("PhaseGroupId", groupID, "PhaseId", phaseID),
				pairs...)...).code()
		}
		eventually(t, u.action, func() bool { return read("DataKey", "k") == "-320" })
		for _, s := range []struct {
			pairs []string
			want  string
		}{
			{[]string{"DataKey", "k", "DataSeq", "s1"}, "-320"}, {[]string{"DataKey", "0002_" + chainCo + "_5E9A_k"},
				"-320"}, {[]string{"DataKey", "k", "DataSeq", "S1"}, "404"}, {[]string{"DataKey", "k", "DataSeq", "s2"}, "404"},
			{[]string{"DataKey", "K"}, "404"}, {[]string{"DataKey", "ks1"}, "404"}, {[]string{"DataKey", "k", "PhaseId",
				phaseTwo}, "404"},
		} {
			if got := read(s.pairs...); got != s.want {
				t.Errorf("%s: %q answers %s, want %s", u.action, s.pairs, got, s.want)
			}
		}
		if batch := strings.HasPrefix(u.action, "Batch"); batch != (read("DataKey", "k2") == "-320") {
			t.Errorf("%s: the other item answers %s", u.action, read("DataKey", "k2"))
		}
		f.net.answer(&ltlv1.GetPhaseRecordResponse{Code: rules.OK, Record: coRecords()[0]})
		if got := read("DataKey", "k"); got != "200" {
			t.Errorf("%s: an older record of the data key answers %s", u.action, got)
		}
		f.net.answer(&ltlv1.GetPhaseRecordResponse{Code: rules.NotFound})
		close(hold)
		running.Wait()
		if got := read("DataKey", "k"); got != "404" {
			t.Errorf("%s: %s after its outcome", u.action, got)
		}
	}
}

// TestPhaseDataSurvives: the bytes of PhaseData reach the ledger and come back unchanged, in raw UTF-8.
func TestPhaseDataSurvives(t *testing.T) {
	f := newCollaboration(t)
	for _, s := range hardTexts() {
		if r := f.post(t, f.params("member", "UploadMPCoSPhaseTextInfo",
			in("DataKey", "a", "PhaseData", s)...)); r.code() != "200" {
			t.Fatalf("%.40q: %s", s, r.body)
		}
		stored := f.net.last.GetUploadPhaseData().GetItems()[0].GetPhaseData()
		record := &ltlv1.PhaseRecord{DataKey: "a", DataValue: stored}
		f.net.answer(&ltlv1.GetPhaseRecordResponse{Code: rules.OK, Record: record})
		f.net.answer(&ltlv1.ListPhaseRecordsResponse{Code: rules.OK, Total: 1, Records: []*ltlv1.PhaseRecord{record}})
		r := f.act(t, "member", "DescribeMPCoSPhaseInfo", in("DataKey", "a")...)
		if data := r.json["Data"].(map[string]any); stored != s || data["DataValue"] != s {
			t.Errorf("%.40q comes back as %.40q", s, data["DataValue"])
		}
		if strings.Contains(r.body, `\u`) && !strings.ContainsFunc(s, func(c rune) bool { return c < ' ' || c == '\\' }) {
			t.Errorf("%.40q is not raw UTF-8: %.200s", s, r.body)
		}
		r = f.act(t, "member", "ListMPCoSPhaseHistory", in("DataKey", "a", "Num", "1", "Size", "1", "StartTime", "0",
			"EndTime", "1")...)
		if row := r.json["Data"].(map[string]any)["PageData"].([]any)[0].(map[string]any); row["DataValue"] != s {
			t.Errorf("%.40q is listed as %.40q", s, row["DataValue"])
		}
	}
}
