package facade

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"ltl/internal/rules"
	ltlv1 "ltl/proto/ltl/v1"
)

// digestOf is the IotDataDigest of a payload.
func digestOf(payload string) string { return fmt.Sprintf("%X", sha256.Sum256([]byte(payload))) }

// signedBy adds the device parameters for a payload.
func signedBy(payload string, pairs ...string) []string {
	return append([]string{"IotAuthType", "ID2", "IotId", "DFA7B98AD494FB98A491", "IotIdServiceProvider", "hfoi7GQabcd",
		"IotIdSource", "2",
		"IotDataDigest", digestOf(payload), "IotSignature", "3~2~0102030405060708~1608105171123~c2ln"}, pairs...)
}

// batch is the text of a PhaseDataList of n items with that data.
func batch(n int, data string) string {
	items := make([]map[string]string, n)
	for i := range items {
		items[i] = map[string]string{"dataKey": "k", "phaseData": data}
	}
	b, _ := json.Marshal(items)
	return string(b)
}

func related(phase, key, data, seq string) string {
	b, _ := json.Marshal([]map[string]string{{"relatedPhaseId": phase, "relatedDataKey": key, "relatedPhaseData": data,
		"relatedDataSeq": seq}})
	return string(b)
}

// TestUploadBounds: each parameter of an upload accepts values at its bound and refuses those past it.
func TestUploadBounds(t *testing.T) {
	f := newCollaboration(t)
	single, list := "UploadMPCoSPhaseTextInfo", "BatchUploadMPCoSPhaseTextInfo"
	digest, digests := "UploadMPCoSPhaseDigestInfo", "BatchUploadMPCoSPhaseDigestInfo"
	of := func(key, data string, more ...string) []string {
		return in(append([]string{"DataKey", key, "PhaseData", data}, more...)...)
	}
	items := func(text string) []string { return in("PhaseDataList", text) }
	k64, ascii, chinese := strings.Repeat("aZ09", 16), strings.Repeat("a", 4096), strings.Repeat("值", 2048)
	one := func(s string) string { return `[{"dataKey":"a","phaseData":"` + s + `"}]` }
	runUploads(t, f, []step{
		{"one letter", "member", single, of("a", "x"), "200"},
		{"64 letters and digits", "member", single, of(k64, "x", "DataSeq", k64), "200"},
		{"65 in DataKey", "member", single, of(k64+"a", "x"), "400"},
		{"65 in DataSeq", "member", single, of("a", "x", "DataSeq", k64+"a"), "400"},
		{"empty DataKey", "member", single, of("", "x"), "400"},
		{"hyphen and point", "member", single, of("a-b.c", "x", "DataSeq", "2026-11.27"), "200"},
		{"underscore in DataKey", "member", single, of("a_b", "x"), "400"},
		{"Chinese DataKey", "member", single, of("键", "x"), "400"},
		{"empty DataSeq is none", "member", single, of("a", "x", "DataSeq", ""), "200"},
		{"4096 of ASCII", "member", single, of("a", ascii), "200"},
		{"4097 of ASCII", "member", single, of("a", ascii+"a"), "-220"},
		{"2048 Chinese", "member", single, of("a", chinese), "200"},
		{"2048 Chinese and one letter", "member", single, of("a", chinese+"a"), "-220"},
		{"2048 beyond the basic plane", "member", single, of("a", strings.Repeat("𠀀", 2048)), "200"},
		{"2049 beyond the basic plane", "member", single, of("a", strings.Repeat("𠀀", 2049)), "-220"},
		{"empty data", "member", single, of("a", ""), "-103"},
		{"absent data", "member", single, in("DataKey", "a"), "MissingPhaseData"},
		{"digest", "member", digest, of("a", hex64), "200"},
		{"63 of a digest", "member", digest, of("a", hex64[1:]), "400"},
		{"65 of a digest", "member", digest, of("a", hex64+"0"), "400"},
		{"not hexadecimal", "member", digest, of("a", hex64[1:]+"g"), "400"},
		{"empty digest", "member", digest, of("a", ""), "-103"},
		{"1 item", "member", list, items(batch(1, "x")), "200"},
		{"50 items", "member", list, items(batch(50, "x")), "200"},
		{"51 items", "member", list, items(batch(51, "x")), "-221"},
		{"no items", "member", list, items("[]"), "400"},
		{"empty list", "member", list, items(""), "400"},
		{"absent list", "member", list, in(), "MissingPhaseDataList"},
		{"no list", "member", list, items("x"), "InvalidPhaseDataList"},
		{"a text", "member", list, items(`"x"`), "InvalidPhaseDataList"},
		{"an element that is no object", "member", list, items(`["x"]`), "InvalidPhaseDataList"},
		{"a number as data", "member", list, items(`[{"dataKey":"a","phaseData":1}]`), "200"},
		{"an unknown member", "member", list, items(`[{"dataKey":"a","phaseData":"1","x":[1,null,{}]}]`), "200"},
		{"4096 in an item", "member", list, items(one(ascii)), "200"},
		{"4097 in an item", "member", list, items(one(ascii + "a")), "-222"},
		{"empty item", "member", list, items(one("")), "-103"},
		{"item without data", "member", list, items(`[{"dataKey":"a"}]`), "-103"},
		{"item without key", "member", list, items(`[{"phaseData":"a"}]`), "400"},
		{"item with a long key", "member", list, items(`[{"dataKey":"` + k64 + `a","phaseData":"a"}]`), "400"},
		{"item with a long seq", "member", list, items(`[{"dataKey":"a","dataSeq":"` + k64 + `a","phaseData":"a"}]`), "400"},
		{"digest in a batch", "member", digests, items(one(hex64)), "200"},
		{"short digest in a batch", "member", digests, items(one(hex64[1:])), "400"},
		{"the same record twice", "member", list,
			items(`[{"dataKey":"a","dataSeq":"s","phaseData":"1"},{"dataKey":"a","dataSeq":"s","phaseData":"2"}]`), "-219"},
		{"the same data key twice", "member", list,
			items(`[{"dataKey":"a","phaseData":"1"},{"dataKey":"a","phaseData":"1"}]`), "200"},
		{"DataKeys that differ in case", "member", list,
			items(`[{"dataKey":"a","dataSeq":"s","phaseData":"1"},{"dataKey":"a","dataSeq":"S","phaseData":"1"}]`), "200"},
	})
}

// TestPhaseCorrectionParameters: hash and reason in their form, both or neither, after the refusals that all uploads
// have; DataKey and DataSeq only with them, and of a batch none.
func TestPhaseCorrectionParameters(t *testing.T) {
	f := newCollaboration(t)
	hash := strings.Repeat("ab", 32)
	with := func(hash, reason string, more ...string) []string {
		return in(append([]string{"DataKey", "a", "PhaseData", "x", correctsHash, hash, correctsReason, reason}, more...)...)
	}
	single := "UploadMPCoSPhaseTextInfo"
	runUploads(t, f, []step{
		{"all empty", "member", single, with("", "", correctsDataKey, "", correctsDataSeq, ""), "200"},
		{"no reason", "member", single, with(hash, ""), "400"},
		{"no hash", "member", single, with("", "reason"), "400"},
		{"only a DataKey", "member", single, with("", "", correctsDataKey, "a"), "400"},
		{"only a DataSeq", "member", single, with("", "", correctsDataSeq, "a"), "400"},
		{"a short hash", "member", single, with(hash[2:], "reason"), "400"},
		{"201 characters", "member", single, with(hash, strings.Repeat("错", 201)), "400"},
		{"no such record", "member", single, with(hash, strings.Repeat("错", 200)), "404"},
		{"an empty value and no reason", "member", single, in("DataKey", "a", "PhaseData", "", correctsHash, hash), "-103"},
		{"a batch takes none", "member", "BatchUploadMPCoSPhaseTextInfo", in("PhaseDataList", batch(1, "x"), correctsHash,
			"x"), "200"},
	})
}

// TestPhaseCorrectionMembers: what a corrected record's answers say, and what a correcting one's.
func TestPhaseCorrectionMembers(t *testing.T) {
	r := &ltlv1.PhaseRecord{
		Corrects: &ltlv1.Correction{TransactionId: []byte{1, 2}, Key: "w", BusinessId: "s", Reason: "<wrong>"},
		DeclaredWrong: &ltlv1.DeclaredWrong{TransactionHash: []byte{3}, Key: "k", BusinessId: "t", Reason: "又错",
			TimeMs: 1608005018000},
	}
	v := object(phaseCorrectionFields(r)...)
	want := `{"Corrects":"0102","CorrectsKey":"w","CorrectsDataSeq":"s","CorrectsReason":"<wrong>","CorrectedBy":"03",` +
		`"CorrectedKey":"k","CorrectedDataSeq":"t","CorrectedReason":"又错","CorrectedTimestamp":1608005018000,` +
		`"CorrectedByAdministrator":"false"}`
	if got := string(v.appendJSON(nil)); got != want {
		t.Errorf("%s\nwant\n%s", got, want)
	}
	if phaseCorrectionFields(&ltlv1.PhaseRecord{}) != nil {
		t.Error("a record that is right has members of corrections")
	}
}

// runUploads is runSteps with POST, because some uploads are too long for a URL.
func runUploads(t *testing.T, f *testFacade, steps []step) {
	t.Helper()
	for _, s := range steps {
		r := f.post(t, f.params(s.user, s.action, s.pairs...))
		if r.code() != s.want || (r.json["Message"] == "") != (s.want == "200") {
			t.Errorf("%s: code %s, want %s: %.300s", s.name, r.code(), s.want, r.body)
		}
		if strings.HasPrefix(s.want, "-") && r.json["Data"] != "" {
			t.Errorf("%s: Data of a refused upload is %v", s.name, r.json["Data"])
		}
	}
}

// TestRelatedBounds: the same for related data, in single uploads and in batches.
func TestRelatedBounds(t *testing.T) {
	f := newCollaboration(t)
	k64, long := strings.Repeat("aZ09", 16), strings.Repeat("值", 2048)
	full := "0002_" + chainCo + "_A050_" + k64
	many := "[" + strings.Repeat(related(phaseTwo, "a", "d", "")[1:len(related(phaseTwo, "a", "d", ""))-1]+",", 49)
	last := strings.Trim(related(phaseTwo, "a", "d", ""), "[]")
	for _, s := range []struct{ name, list, single, batch string }{
		{"none", "[]", "200", "200"},
		{"one", related(phaseTwo, "a", "d", "s"), "200", "200"},
		{"without seq", related(phaseTwo, "a", "d", ""), "200", "200"},
		{"its own phase", related(phaseID, "a", "d", ""), "200", "200"},
		{"longest", related(phaseTwo, k64, long, k64), "200", "200"},
		{"key as reading returns it", related(phaseTwo, full, "d", ""), "200", "200"},
		{"such a key of a proof", related(phaseTwo, "0001"+full[4:], "d", ""), "400", "400"},
		{"such a key that is too long", related(phaseTwo, full+"a", "d", ""), "400", "400"},
		{"long key", related(phaseTwo, k64+"a", "d", ""), "400", "400"},
		{"no key", related(phaseTwo, "", "d", ""), "400", "400"},
		{"long seq", related(phaseTwo, "a", "d", k64+"a"), "400", "400"},
		{"no data", related(phaseTwo, "a", "", ""), "-103", "-103"},
		{"long data", related(phaseTwo, "a", long+"a", ""), "-220", "-222"},
		{"15 digits of a phase", related(phaseTwo[1:], "a", "d", ""), "404", "404"},
		{"64 characters of a phase", related(hex64, "a", "d", ""), "404", "404"},
		{"50", many + last + "]", "200", "200"},
		{"51", many + last + "," + last + "]", "InvalidRelatedDataList", "InvalidPhaseDataList"},
		{"no list", `"a"`, "InvalidRelatedDataList", "InvalidPhaseDataList"},
	} {
		single := f.post(t, f.params("member", "UploadMPCoSPhaseTextInfo",
			in("DataKey", "a", "PhaseData", "d", "RelatedDataList", s.list)...))
		batch := f.post(t, f.params("member", "BatchUploadMPCoSPhaseTextInfo",
			in("PhaseDataList", `[{"dataKey":"a","phaseData":"d","relatedDataList":`+s.list+`}]`)...))
		if single.code() != s.single || batch.code() != s.batch {
			t.Errorf("%s: %s and %s, want %s and %s\n%s\n%s", s.name, single.code(), batch.code(), s.single, s.batch,
				single.body, batch.body)
		}
	}
	if r := f.act(t, "member", "UploadMPCoSPhaseTextInfo", in("DataKey", "a", "PhaseData", "d", "RelatedDataList",
		"")...); r.code() != "200" {
		t.Errorf("an empty RelatedDataList: %s", r.body)
	}
}

// TestUploadByDevice: signed data reaches the ledger with its proof, a list as the exact text that was signed.
func TestUploadByDevice(t *testing.T) {
	text := "[ {\"dataKey\":\"a\",\n\"phaseData\":\"\\u503c\"} ] "
	proof := &ltlv1.DeviceProof{AuthType: "ID2", IotId: "DFA7B98AD494FB98A491", ProductKey: "hfoi7GQabcd", Source: "2",
		Signature: "3~2~0102030405060708~1608105171123~c2ln"}
	for _, form := range []string{"Text", "Digest"} {
		data := map[string]string{"Text": "某公司某业务数据。", "Digest": hex64}[form]
		list := map[string]string{"Text": text, "Digest": `{"1":{"phaseData":"` + hex64 + `","dataKey":"a"}}`}[form]
		f := newCollaboration(t)
		if r := f.act(t, "member", "UploadMPCoSPhase"+form+"InfoByDevice",
			in(signedBy(data, "DataKey", "a", "PhaseData", data)...)...); r.code() != "200" {
			t.Error(r.body)
		}
		u := f.net.last.GetUploadPhaseData()
		proof.DataDigest = digestOf(data)
		if u.GetDevice().String() != proof.String() || len(u.GetItems()) != 1 || u.GetItems()[0].GetPhaseData() != data ||
			u.GetList() != "" || u.GetBatch() {
			t.Errorf("single upload: %v", u)
		}
		if r := f.act(t, "member", "BatchUploadMPCoSPhase"+form+"InfoByDevice",
			in(signedBy(list, "PhaseDataList", list)...)...); r.code() != "200" {
			t.Error(r.body)
		}
		u = f.net.last.GetUploadPhaseData()
		proof.DataDigest = digestOf(list)
		if u.GetDevice().String() != proof.String() || len(u.GetItems()) != 0 || u.GetList() != list || !u.GetBatch() {
			t.Errorf("batch: %v", u)
		}
		if code := rules.CheckPhaseUpload(u); code != rules.OK {
			t.Errorf("the ledger refuses it with %d", code)
		}
	}
}

// TestDigestItself: a device may sign a digest that is uploaded as such, in capitals; never a text or a list.
func TestDigestItself(t *testing.T) {
	f := newCollaboration(t)
	upper := strings.ToUpper(hex64)
	list := `[{"dataKey":"a","phaseData":"` + hex64 + `"}]`
	for _, c := range []struct{ action, name, payload, digest, want string }{
		{"UploadMPCoSPhaseDigestInfoByDevice", "PhaseData", hex64, upper, "200"},
		{"UploadMPCoSPhaseDigestInfoByDevice", "PhaseData", hex64, strings.ToLower(hex64), "-111"},
		{"UploadMPCoSPhaseTextInfoByDevice", "PhaseData", hex64, upper, "-111"},
		{"BatchUploadMPCoSPhaseDigestInfoByDevice", "PhaseDataList", list, upper, "-111"},
	} {
		p := with(signedBy(c.payload, "DataKey", "a", c.name, c.payload), "IotDataDigest", c.digest)
		if r := f.act(t, "member", c.action, in(p...)...); r.code() != c.want {
			t.Errorf("%s with IotDataDigest %s: %s, want %s", c.action, c.digest, r.body, c.want)
		}
	}
}

// TestDeviceCodes: the refusals of device parameters come in the documented order, and after those of the data.
func TestDeviceCodes(t *testing.T) {
	f := newCollaboration(t)
	list := batch(1, "x")
	for _, batched := range []bool{false, true} {
		name, data := "UploadMPCoSPhaseTextInfoByDevice", []string{"DataKey", "a", "PhaseData", "x"}
		payload := "x"
		if batched {
			name, data, payload = "Batch"+name, []string{"PhaseDataList", list}, list
		}
		with := func(pairs ...string) []string { return in(append(signedBy(payload, data...), pairs...)...) }
		steps := []step{{"right", "member", name, with(), "200"}}
		for _, p := range []string{"IotAuthType", "IotId", "IotIdServiceProvider", "IotDataDigest", "IotSignature"} {
			steps = append(steps, step{"empty " + p, "member", name, with(p, ""), "-106"},
				step{"absent " + p, "member", name, with(p, "-"), "-106"})
		}
		steps = append(steps, []step{
			{"source 1", "member", name, with("IotIdSource", "1"), "200"},
			{"source 3", "member", name, with("IotIdSource", "3"), "-118"},
			{"no source", "member", name, with("IotIdSource", ""), "-118"},
			{"absent source", "member", name, with("IotIdSource", "-"), "-118"},
			{"source after empty", "member", name, with("IotIdSource", "", "IotId", ""), "-106"},
			{"authentication", "member", name, with("IotAuthType", "ID3"), "-107"},
			{"source before authentication", "member", name, with("IotAuthType", "ID3", "IotIdSource", "0"), "-118"},
			{"63 characters", "member", name, with("IotDataDigest", digestOf(payload)[1:]), "-110"},
			{"65 characters", "member", name, with("IotDataDigest", digestOf(payload)+"0"), "-110"},
			{"lower case", "member", name, with("IotDataDigest", strings.ToLower(digestOf(payload))), "-111"},
			{"of something else", "member", name, with("IotDataDigest", digestOf(payload+" ")), "-111"},
		}...)
		if batched {
			flat := slices.DeleteFunc(with(), func(s string) bool { return s == "PhaseDataList" || s == list })
			steps = append(steps,
				step{"flattened", "member", name, append(flat, "PhaseDataList.1.dataKey", "k", "PhaseDataList.1.phaseData", "x"),
					"-111"},
				step{"flattened, digest of nothing", "member", name, append(flat, "PhaseDataList.1.dataKey", "k",
					"PhaseDataList.1.phaseData", "x", "IotDataDigest", digestOf("")), "-111"},
				step{"data before device", "member", name, with("PhaseDataList", batch(51, "x"), "IotId", ""), "-221"})
		} else {
			steps = append(steps, step{"data before device", "member", name, with("PhaseData", "", "IotId", ""), "-103"})
		}
		runUploads(t, f, steps)
	}
}

// TestUploadOrder: of several faults the first in the documented order gives the answer: chain, role, phase,
// permission, data.
func TestUploadOrder(t *testing.T) {
	f := newCollaboration(t)
	name := "UploadMPCoSPhaseTextInfo"
	bad := []string{"PhaseData", "", "DataKey", "_"}
	at := func(chain, group, phase string) []string {
		return append([]string{"BizChainId", chain, "PhaseGroupId", group, "PhaseId", phase}, bad...)
	}
	runUploads(t, f, []step{
		{"account first", "none", name, at("", "", ""), "-339"},
		{"main account as member", "root", name, at(coChain, groupID, phaseID), "-104"},
		{"no such chain", "member", name, at("9999999999999999", groupID, phaseID), "404"},
		{"chain of the proof service", "member", name, at("0000000000000011", groupID, phaseID), "404"},
		{"phase not in the group", "member", name, at(coChain, groupID, groupID), "404"},
		{"no permission", "member", name, at(coChain, groupID, phaseTwo), "403"},
		{"data", "member", name, at(coChain, groupID, phaseID), "400"},
	})
	f.net.answer(&ltlv1.ListPhasesResponse{Code: rules.Forbidden})
	runUploads(t, f, []step{{"not on the chain", "other", name, at(coChain, groupID, phaseID), "403"}})
	f.net.answer(&ltlv1.ListPhasesResponse{Code: rules.NotFound})
	r := f.post(t, f.params("member", name, at(coChain, groupID, phaseID)...))
	if r.code() != "404" || r.json["Message"] != noPhaseGroup {
		t.Errorf("no such group: %s", r.body)
	}
}

// TestUploadManyPhases: phases on every page of the ledger's list are found.
func TestUploadManyPhases(t *testing.T) {
	f := newCollaboration(t)
	full := make([]*ltlv1.PhaseInfo, maxPageSize)
	for i := range full {
		full[i] = &ltlv1.PhaseInfo{PhaseId: groupID}
	}
	f.Facade.net = &groupPages{fakeNetwork: f.net,
		phases: [][]*ltlv1.PhaseInfo{full, full, {{PhaseId: phaseID, Permission: 1}, {PhaseId: phaseTwo, Permission: 3}}}}
	at := func(phase string) []string {
		return on("PhaseGroupId", groupID, "PhaseId", phase, "DataKey", "", "PhaseData", "d")
	}
	runUploads(t, f, []step{
		{"permission", "member", "UploadMPCoSPhaseTextInfo", at(phaseID), "403"},
		{"data", "member", "UploadMPCoSPhaseTextInfo", at(phaseTwo), "400"},
		{"no phase", "member", "UploadMPCoSPhaseTextInfo", at(memberID), "404"},
	})
}

// TestUploadRefusals: a refusal by the ledger has a message that tells the caller what to do.
func TestUploadRefusals(t *testing.T) {
	f := newCollaboration(t)
	single, list := "UploadMPCoSPhaseTextInfo", "BatchUploadMPCoSPhaseTextInfo"
	pairs := in("DataKey", "a", "PhaseData", "d", "PhaseDataList", batch(1, "d"))
	for _, s := range []struct {
		action         string
		code           int32
		reason         string
		answer, prefix string
	}{
		{single, rules.DuplicateKey, "", "-317", "A record with this DataKey and DataSeq"},
		{list, rules.BatchDuplicateKey, "", "-318", "A record with the dataKey and dataSeq"},
		{single, rules.NotFound, "", "404", "The phase, or a record"},
		{single, rules.NotFound, "There is no such phase in this phase group.", "404",
			"There is no such phase in this phase group."},
		{single, rules.Forbidden, "", "403", rules.Message(rules.Forbidden)},
		{single, rules.Forbidden, "The device is not enrolled.", "403", "The device is not enrolled."},
		{list, rules.QuotaExceeded, "", "429", rules.Message(rules.QuotaExceeded)},
		{list, rules.NonceUsed, "", "SignatureNonceUsed", ""},
	} {
		f.net.set(func(n *fakeNetwork) { n.code, n.reason = s.code, s.reason })
		r := f.act(t, "member", s.action, pairs...)
		if message, _ := r.json["Message"].(string); r.code() != s.answer || !strings.HasPrefix(message, s.prefix) {
			t.Errorf("%s, %d: %s", s.action, s.code, r.body)
		}
	}
}

// TestUploadTooLarge: a batch that does not fit into a transaction is refused as the caller's error, not as an
// internal error.
func TestUploadTooLarge(t *testing.T) {
	f := newCollaboration(t)
	item := map[string]any{"dataKey": "a", "phaseData": "d"}
	data := strings.Repeat("a", 4096)
	refer := func(n int) []map[string]string {
		return slices.Repeat([]map[string]string{{"relatedPhaseId": phaseTwo, "relatedDataKey": "a",
			"relatedPhaseData": data}}, n)
	}
	for _, s := range []struct {
		related int
		want    string
	}{{4, "200"}, {5, "-221"}} {
		item["relatedDataList"] = refer(s.related)
		b, _ := json.Marshal(slices.Repeat([]any{item}, 48))
		if r := f.post(t, f.params("member", "BatchUploadMPCoSPhaseTextInfo",
			in("PhaseDataList", string(b))...)); r.code() != s.want {
			t.Errorf("%d bytes: %s", len(b), r.body)
		}
	}
}
