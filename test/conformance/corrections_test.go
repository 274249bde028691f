package conformance

import (
	"strings"
	"testing"
)

// testCorrections: a record is declared wrong by its account or the administrator, and by no other member; reads of it
// and of what replaced it say so.
func (w *world) testCorrections(t *testing.T) {
	on := params{"ProductKey": w.proof.code}
	first, second := w.freshKey(w.member.as), w.freshKey(w.member.as)
	w.must(t, w.member, "SetData", on.with("Key", first, "Value", "12.5"))
	wrong := w.transaction(w.member, first)
	correct := func(u *user, key, hash, reason string) params {
		return on.with("Key", key, "Value", "21.5", "CorrectsTransactionHash", hash, "CorrectsReason", reason)
	}
	w.must(t, w.member, "AttachData", correct(w.member, second, wrong, "digits swapped"))
	right := w.transaction(w.member, second)
	w.wantsMembers(t, w.member, first, map[string]string{"correctedBy": right, "correctedKey": second,
		"correctedReason": "digits swapped", "correctedByAdministrator": "false"})
	w.wantsMembers(t, w.member, second, map[string]string{"corrects": wrong, "correctsReason": "digits swapped"})
	r := w.must(t, w.member, "GetData", on.with("Key", first))
	if r.text() != "12.5" || !strings.Contains(r.message, "declared wrong by its owner") ||
		!strings.Contains(r.message, right) {
		t.Errorf("GetData of the wrong record: %s", r)
	}

	byAdmin := w.freshKey(w.admin.as)
	w.must(t, w.admin, "AttachData", correct(w.admin, byAdmin, right, "still wrong"))
	w.wantsMembers(t, w.member, second, map[string]string{"corrects": wrong, "correctsReason": "digits swapped",
		"correctedBy": w.transaction(w.admin, byAdmin), "correctedKey": byAdmin, "correctedReason": "still wrong",
		"correctedByAdministrator": "true"})
	admins := w.freshKey(w.admin.as)
	w.must(t, w.admin, "SetData", on.with("Key", admins, "Value", "1"))
	w.wants(t, w.member, "AttachData", "a member corrects the administrator's record",
		correct(w.member, w.freshKey(w.member.as), w.transaction(w.admin, admins), "mine"), "403")
	w.wants(t, w.member, "AttachData", "a transaction that is no record",
		correct(w.member, w.freshKey(w.member.as), strings.Repeat("0", 64), "none"), "404")
}

// wantsMembers checks members of a record in GetBlockChainInfo and in its newest row of GetHistoryDataList, and that
// there are no others about corrections.
func (w *world) wantsMembers(t *testing.T, u *user, key string, want map[string]string) {
	t.Helper()
	on := params{"ProductKey": w.proof.code, "Key": key}
	info, err := parseJSON([]byte(w.must(t, u, "GetBlockChainInfo", on).text()))
	if err != nil {
		t.Fatal(err)
	}
	list := w.must(t, u, "GetHistoryDataList", on.with("CurrentPage", "1", "PageSize", "1")).data().get("Data")
	for what, n := range map[string]*node{"GetBlockChainInfo": info.get("blockChainInfo"), "a row": list.items[0]} {
		for name, text := range want {
			if got := n.get(name); got == nil || got.text != text {
				t.Errorf("%s of %s: %s is %v, want %q", what, key, name, got, text)
			}
		}
		for _, name := range n.names {
			if _, known := want[name]; !known && strings.HasPrefix(name, "correct") && name != "correctedTimestamp" {
				t.Errorf("%s of %s has the member %s", what, key, name)
			}
		}
	}
}

// testPhaseCorrections: the same on a collaboration chain, where a transaction holds several records and a phase has
// those of several members.
func (w *world) testPhaseCorrections(t *testing.T) {
	on := params{"BizChainId": w.collaboration.id, "PhaseGroupId": w.group, "PhaseId": w.phase}
	gross, net := w.fresh("Data"), w.fresh("Data")
	w.must(t, w.member, "BatchUploadMPCoSPhaseTextInfo", on.with("PhaseDataList", `[{"dataKey":"`+gross+
		`","phaseData":"21","dataSeq":"a"},{"dataKey":"`+gross+`","phaseData":"22","dataSeq":"b"},{"dataKey":"`+net+
		`","phaseData":"12","dataSeq":"a"}]`))
	read := func(key, seq string) *node {
		return w.must(t, w.member, "DescribeMPCoSPhaseInfo", on.with("DataKey", key, "DataSeq", seq)).data()
	}
	wrong := read(gross, "a").str("TransactionHash")
	correct := func(key, seq string, more ...string) params {
		return on.with("DataKey", key, "DataSeq", seq, "PhaseData", "12", "CorrectsTransactionHash", wrong, "CorrectsReason",
			"digits swapped").with(more...)
	}
	upload := "UploadMPCoSPhaseTextInfo"
	for what, more := range map[string][]string{"one of three": nil, "one of two": {"CorrectsDataKey", gross},
		"one of two by their DataSeq": {"CorrectsDataSeq", "a"}} {
		r := w.wants(t, w.member, upload, what, correct(gross, "c", more...), "400")
		if !strings.Contains(r.message, "CorrectsDataKey and CorrectsDataSeq") {
			t.Errorf("%s: %s", what, r)
		}
	}
	w.wants(t, w.member, upload, "none of three", correct(gross, "c", "CorrectsDataKey", w.fresh("Data")), "404")
	w.wants(t, w.member, upload, "a record of a proof chain", correct(gross, "c", "CorrectsTransactionHash",
		w.member.as.wrong), "404")
	w.wants(t, w.member, upload, "only a DataKey", on.with("DataKey", gross, "PhaseData", "1", "CorrectsDataKey", gross), "400")
	w.must(t, w.member, upload, correct(gross, "c", "CorrectsDataKey", gross, "CorrectsDataSeq", "a"))
	right := read(gross, "c")
	wants := func(what string, n *node, want map[string]string) {
		t.Helper()
		for name, text := range want {
			if got := n.get(name); got == nil || got.text != text {
				t.Errorf("%s: %s is %v, want %q", what, name, got, text)
			}
		}
		for _, name := range n.names {
			if _, known := want[name]; !known && strings.HasPrefix(name, "Correct") && name != "CorrectedTimestamp" {
				t.Errorf("%s has the member %s", what, name)
			}
		}
	}
	of := map[string]string{"Corrects": wrong, "CorrectsDataSeq": "a", "CorrectsReason": "digits swapped"}
	full := right.get("CorrectsKey").text
	if !strings.HasPrefix(full, "0002_"+w.collaboration.code+"_") || !strings.HasSuffix(full, "_"+gross) {
		t.Errorf("it corrects the Key %s", full)
	}
	of["CorrectsKey"] = full
	wants("the new record", right, of)
	declared := map[string]string{"CorrectedBy": right.str("TransactionHash"), "CorrectedKey": full,
		"CorrectedDataSeq": "c", "CorrectedReason": "digits swapped", "CorrectedByAdministrator": "false"}
	wants("the wrong record", read(gross, "a"), declared)
	wants("one of the same upload", read(gross, "b"), nil)
	wants("another of the same upload", read(net, "a"), nil)
	rows := w.must(t, w.member, "ListMPCoSPhaseHistory", on.with("DataKey", gross, "StartTime", "0", "EndTime",
		"9000000000000", "Num", "1", "Size", "9")).rows()
	wants("the wrong record in the history", rows[0], declared)
	wants("the new record in the history", rows[2], of)

	w.must(t, w.admin, upload, correct(gross, "d", "CorrectsDataKey", gross, "CorrectsDataSeq", "a", "CorrectsReason", "no"))
	declared["CorrectedBy"], declared["CorrectedDataSeq"] = read(gross, "d").str("TransactionHash"), "d"
	declared["CorrectedReason"], declared["CorrectedByAdministrator"] = "no", "true"
	wants("the wrong record", read(gross, "a"), declared)
	w.wants(t, w.member, upload, "the administrator's correction", correct(gross, "e", "CorrectsTransactionHash",
		declared["CorrectedBy"]), "403")
	w.must(t, w.admin, upload, correct(gross, "f", "CorrectsTransactionHash", declared["CorrectedBy"]))
	if got := read(gross, "d").str("CorrectedByAdministrator"); got != "false" {
		t.Errorf("the administrator's own record was corrected by the administrator: %s", got)
	}
}
