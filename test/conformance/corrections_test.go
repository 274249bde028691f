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
