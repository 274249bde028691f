package conformance

import (
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"ltl/client/device"
	"ltl/internal/rules"
	ltlv1 "ltl/proto/ltl/v1"
	"ltl/test/testkit"
)

// loadApplies reads, by result code, which Actions must be able to answer with it: see answers. It fails unless these are
// exactly the codes of the API in the table of result codes.
func loadApplies(t testing.TB) map[int32]string {
	t.Helper()
	raw, err := os.ReadFile("testdata/codes.json")
	if err != nil {
		t.Fatal(err)
	}
	var applies map[int32]string
	if err := json.Unmarshal(raw, &applies); err != nil {
		t.Fatal(err)
	}
	for code := range applies {
		if rules.Describe(code).Answer != code {
			t.Fatalf("testdata/codes.json has %d, which is not a code that the API answers with", code)
		}
	}
	for _, c := range rules.Codes() {
		if c.Meaning != "" && applies[c.Code] == "" {
			t.Fatalf("testdata/codes.json does not say which Actions answer with %d", c.Code)
		}
	}
	return applies
}

// answers reports whether an Action can answer with the codes that apply in that way.
func (a *action) answers(applies string) bool {
	switch applies {
	case "all":
		return true
	case "none":
		return false
	case "key":
		return a.rule("key") != nil
	case "payload":
		return a.payload() != nil
	case "single":
		return a.payload() != nil && !a.batch()
	case "batch":
		return a.batch()
	case "device":
		return a.byDevice()
	case "memberUid":
		return a.rule("uid") != nil
	case "record":
		return a.Name == "GetData" || a.Name == "GetBlockChainInfo" || a.Name == "DescribeMPCoSPhaseInfo"
	case "bounded":
		return a.rule("name", "page", "time", "authorizeType", "businessIdRead", "businessId", "dataKey", "phaseTexts",
			"phaseDigests") != nil
	case "chain":
		return a.onChain() != nil
	case "conflict":
		return a.rule("uid", "productKey") != nil
	case "quota":
		return a.payload() != nil || a.Name == "CreateMember" || a.Name == "CreateMPCoSPhaseGroup" ||
			a.Name == "CreateMPCoSPhase"
	}
	panic("unknown: " + applies)
}

// testCodes provokes every code at every Action that can answer with it, and fails if a pair is missing.
func (w *world) testCodes(t *testing.T) {
	w.mu.Lock()
	w.codes = map[string]map[string]bool{}
	w.mu.Unlock()
	small := w.smallChains()
	root := w.account(ltlv1.AccountType_ACCOUNT_TYPE_ROOT)
	foreign := w.typeCode(w.outsider, w.chainOf(w.outsider))
	for _, a := range w.table {
		w.general(t, a)
		if a.rule("key") != nil {
			w.keyCodes(t, a, foreign)
		}
		if a.byDevice() {
			w.deviceCodes(t, a)
		}
		if a.payload() != nil {
			w.payloadCodes(t, a)
		}
		if a.rule("uid") != nil {
			w.wants(t, w.admin, a.Name, "a main account", w.call(a, w.admin, params{"MemberUid": root}), "-104")
			w.wants(t, w.admin, a.Name, "a member already", w.call(a, w.admin, params{"MemberUid": w.member.uid}), "409")
		}
		if a.rule("productKey") != nil {
			w.wants(t, w.admin, a.Name, "a group already", w.call(a, w.admin, params{"ProductKey": w.member.as.product}), "409")
		}
		if a.answers("quota") {
			w.wants(t, w.admin, a.Name, "over quota", small.call(a), "429")
		}
	}
	w.inFlight(t)
	for code, applies := range loadApplies(t) {
		for _, a := range w.table {
			if a.answers(applies) && !w.codes[a.Name][fmt.Sprint(code)] {
				t.Errorf("%s was never made to answer %d", a.Name, code)
			}
		}
	}
}

// general provokes the codes that almost every Action can answer with.
func (w *world) general(t *testing.T, a *action) {
	t.Helper()
	w.wants(t, w.admin, a.Name, "another ApiVersion", w.call(a, w.admin, params{"ApiVersion": "2.0.0"}), "-113")
	w.wants(t, w.unknown, a.Name, "by an account on no chain", w.call(a, w.unknown, nil), "-339")
	if a.onChain() != nil {
		w.wants(t, w.outsider, a.Name, "on a chain of others", w.call(a, w.outsider, nil), "403")
	}
	switch p := a.onChain(); {
	case p == nil:
	case p.Rule == "chain":
		w.wants(t, w.admin, a.Name, "no chain", w.call(a, w.admin, params{p.Name: "0000000000000001"}), "404")
		service := map[string]chain{"collaboration": w.proof, "proof": w.collaboration}[a.Service]
		if service.id != "" {
			w.wants(t, w.admin, a.Name, "a chain of the other service", w.call(a, w.admin, params{p.Name: service.id}), "404")
		}
	default:
		code := strings.Repeat("0", 16)
		w.wants(t, w.admin, a.Name, "no chain",
			w.call(a, w.admin, params{p.Name: code, "Key": "0001_" + code + "_" + w.admin.as.typeCode + "_a"}), "404")
	}
	for _, p := range a.Parameters {
		value := map[string]string{"name": "a", "page": "0", "time": "-1", "authorizeType": "x", "businessIdRead": "x",
			"businessId": "x", "dataKey": "a_b", "phaseTexts": "[]", "phaseDigests": "[]"}[p.Rule]
		if value != "" {
			w.wants(t, w.admin, a.Name, "a bad "+p.Name, w.call(a, w.admin, params{p.Name: value}), "400")
			break
		}
	}
}

// keyCodes provokes the codes of chain code and Key.
func (w *world) keyCodes(t *testing.T, a *action, foreign string) {
	t.Helper()
	code, own := w.proof.code, w.admin.as.typeCode
	key := func(version, chain, typeCode, id string) string {
		return version + "_" + chain + "_" + typeCode + "_" + id
	}
	for _, x := range []struct {
		what, chain, key, code string
	}{
		{"a short chain code", code[1:], key("0001", code[1:], own, "a"), "-101"},
		{"another version", code, key("0002", code, own, "a"), "-102"},
		{"another chain code in Key", code, key("0001", strings.Repeat("x", 16), own, "a"), "-105"},
		{"a type code of another chain", code, key("0001", code, foreign, "a"), "-115"},
		{"an unused type code", code, key("0001", code, "ZZZZ", "a"), "-305"},
	} {
		w.wants(t, w.admin, a.Name, x.what, w.call(a, w.admin, params{"ProductKey": x.chain, "Key": x.key}), x.code)
	}
	// The order of the checks: the chain, then the Key, then its type code, and the value last.
	if a.payload() != nil {
		w.wants(t, w.admin, a.Name, "everything wrong",
			w.call(a, w.admin, params{"ProductKey": "x", "Key": "x", "Value": ""}), "-101")
		w.wants(t, w.admin, a.Name, "Key and Value wrong", w.call(a, w.admin, params{"Key": "x", "Value": ""}), "-102")
		w.wants(t, w.admin, a.Name, "type code and Value wrong",
			w.call(a, w.admin, params{"Key": key("0001", code, foreign, "a"), "Value": ""}), "-115")
		w.wants(t, w.member, a.Name, "another member's type code",
			w.call(a, w.member, params{"Key": key("0001", code, own, "a")}), "-305")
	} else {
		r := w.wants(t, w.member, a.Name, "another member's type code",
			w.call(a, w.member, params{"Key": key("0001", code, own, "a")}), "403")
		if !strings.Contains(r.message, "another member's data type code, "+own) {
			t.Errorf("%s does not say whose type code was refused: %s", a.Name, r)
		}
	}
}

// deviceCodes provokes the codes of a device and its signature, in the order of the checks.
func (w *world) deviceCodes(t *testing.T, a *action) {
	t.Helper()
	wrong := func(what, code string, pairs ...string) {
		t.Helper()
		p := w.call(a, w.member, nil)
		w.wants(t, w.member, a.Name, what, p.with(pairs...), code)
	}
	digest := device.Digest("another")
	for _, name := range []string{"IotAuthType", "IotId", "IotIdServiceProvider", "IotDataDigest", "IotSignature"} {
		wrong("an empty "+name, "-106", name, "")
		wrong("an empty "+name+", and all else wrong", "-106", "IotIdSource", "3", "IotDataDigest", "x", "IotAuthType", "x",
			name, "")
	}
	wrong("an empty IotIdSource", "-118", "IotIdSource", "")
	wrong("another IotIdSource, and all else wrong", "-118", "IotIdSource", "3", "IotAuthType", "x", "IotDataDigest", "x")
	wrong("another IotAuthType, and a wrong digest", "-107", "IotAuthType", "id2", "IotDataDigest", "x")
	wrong("a digest of 63 characters", "-110", "IotDataDigest", digest[1:])
	wrong("a digest of 65 characters", "-110", "IotDataDigest", digest+"0")
	wrong("the digest of something else", "-111", "IotDataDigest", digest, "IotSignature", "x")
	p := w.call(a, w.member, nil)
	wrongCase := p.with("IotDataDigest", strings.ToLower(p["IotDataDigest"]))
	w.wants(t, w.member, a.Name, "a digest in lower case", wrongCase, "-111")
	wrong("a device that is not enrolled", "403", "IotId", "ABCDEF0123456789ABCDEF01")
	wrong("a product that is not registered", "403", "IotIdServiceProvider", "nothing")
	wrong("a product of another account", "403", "IotIdServiceProvider", w.admin.as.sourceOf(a).product)
	wrong("no signature", "403", "IotSignature", "3~2~x")
	other := w.call(a, w.member, nil)
	wrong("the signature of something else", "403", "IotSignature", other["IotSignature"][:30]+p["IotSignature"][30:])
	signed, err := w.member.as.sourceOf(a).sign(p[a.payload().Name], time.Now().Add(11*time.Minute))
	if err != nil {
		t.Fatal(err)
	}
	w.wants(t, w.member, a.Name, "signed in eleven minutes", p.with("IotSignature", signed.IotSignature), "403")
	w.wants(t, w.member, a.Name, "right", p.with("IotIdSource", "1"), "200")
	again := w.call(a, w.member, nil)
	for _, name := range []string{"IotSignature", "IotDataDigest", a.payload().Name} {
		again[name] = p[name]
	}
	if !a.batch() {
		w.wants(t, w.member, a.Name, "the same signature again", again, "403")
	}
}

// payloadCodes provokes the codes of uploaded data.
func (w *world) payloadCodes(t *testing.T, a *action) {
	t.Helper()
	name := a.payload().Name
	wrong := func(what, value, code string) {
		t.Helper()
		w.wants(t, w.admin, a.Name, what, w.call(a, w.admin, params{name: value}), code)
	}
	long := strings.Repeat("x", 4097)
	if !a.batch() {
		wrong("nothing", "", "-103")
		if a.rule("phaseDigest") != nil {
			related := strings.Replace(w.related(), `"first"`, `"`+long+`"`, 1)
			w.wants(t, w.admin, a.Name, "long related data", w.call(a, w.admin, params{"RelatedDataList": "[" + related + "]"}),
				"-220")
		} else {
			wrong("too much", long, "-220")
		}
		twice := w.call(a, w.admin, nil)
		w.wants(t, w.admin, a.Name, "once", twice, "200")
		if a.byDevice() {
			w.wants(t, w.admin, a.Name, "the same upload twice", twice, "-317")
			twice = twice.with(w.vouch(w.admin.as.sourceOf(a), twice[name]).pairs()...)
		}
		w.wants(t, w.admin, a.Name, "twice", twice, "-317")
		return
	}
	data := map[string]string{"phaseTexts": "text", "phaseDigests": device.Digest("x")}[a.payload().Rule]
	item := func(key, seq, data string) string {
		return `{"dataKey":"` + key + `","phaseData":"` + data + `","dataSeq":"` + seq + `"}`
	}
	wrong("an item of nothing", "["+item("a", "1", "")+"]", "-103")
	wrong("one record twice", "["+item("a", "1", data)+","+item("a", "1", data)+"]", "-219")
	wrong("51 items", w.items(data, 51), "-221")
	wrong("no item", "[]", "400")
	wrong("no list", `"x"`, "InvalidPhaseDataList")
	wrong("an item with a bad name", "["+item("a_b", "1", data)+"]", "400")
	related := `{"dataKey":"a","phaseData":"` + data + `","relatedDataList":[` + strings.Replace(w.related(), `"first"`,
		`"`+long+`"`, 1) + "]}"
	wrong("an item that is too long", "["+related+"]", "-222")
	if a.rule("phaseTexts") != nil {
		wrong("an item that is too long", "["+item("a", "1", long)+"]", "-222")
		wrong("an item at its bound", "["+item(w.fresh("a"), "1", strings.Repeat("中", 2048))+"]", "200")
	}
	wrong("50 items", w.items(data, 50), "200")
	twice := w.items(data, 2)
	wrong("once", twice, "200")
	wrong("twice", twice, "-318")
}

// pairs are the parameters as names and values.
func (p params) pairs() []string {
	var out []string
	for name, v := range p {
		out = append(out, name, v)
	}
	return out
}

// chainOf is the proof chain of a user that is on no other chain.
func (w *world) chainOf(u *user) chain {
	row := w.must(w.t, u, "ListProofChain", params{"Num": "1", "Size": "2"}).rows()[0]
	return chain{id: row.str("BizChainId"), code: row.str("BizChainCode"), name: row.str("Name")}
}

// small are chains whose quotas are used up.
type small struct {
	w                    *world
	proof, collaboration chain
	group, phase         string
	admin                *user
}

// smallChains creates chains with the smallest quotas and uses them up.
func (w *world) smallChains() *small {
	s := &small{w: w}
	tiny := func(service ltlv1.ChainService) *ltlv1.CreateChain {
		c := roomy("small", service, w.admin)
		c.MemberQuota, c.PhaseGroupQuota, c.PhaseQuota, c.CapacityQuotaBytes = 1, 1, 1, 1
		return c
	}
	s.proof, s.collaboration = w.chain(tiny(ltlv1.ChainService_CHAIN_SERVICE_PROOF)), w.chain(tiny(ltlv1.ChainService_CHAIN_SERVICE_COLLABORATION))
	as := *w.admin.as
	admin := *w.admin
	admin.as, s.admin = &as, &admin
	as.typeCode = w.typeCode(w.admin, s.proof)
	for _, c := range []chain{s.proof, s.collaboration} {
		w.join(w.admin, c, w.member.uid)
	}
	as.source, as.phase = w.source(w.admin, s.proof, device.ECC), w.source(w.admin, s.collaboration, device.ECC)
	on := params{"BizChainId": s.collaboration.id, "Name": "small"}
	s.group = w.must(w.t, w.admin, "CreateMPCoSPhaseGroup", on).text()
	s.phase = w.must(w.t, w.admin, "CreateMPCoSPhase", on.with("PhaseGroupId", s.group)).text()
	return s
}

// call is a valid call on the small chains.
func (s *small) call(a *action) params {
	at := params{}
	for i := range a.Parameters {
		p := &a.Parameters[i]
		switch p.Rule {
		case "chain":
			at[p.Name] = s.proof.id
			if a.Service == "collaboration" {
				at[p.Name] = s.collaboration.id
			}
		case "chainCode":
			at[p.Name] = s.proof.code
		case "key":
			at[p.Name] = "0001_" + s.proof.code + "_" + s.admin.as.typeCode + "_" + s.w.fresh("a")
		case "corrects", "correctsReason", "correctsDataKey", "correctsDataSeq":
			at[p.Name] = "" // the record is on another chain
		case "phaseGroupId":
			at[p.Name] = s.group
		case "phaseId":
			at[p.Name] = s.phase
		case "relatedDataList":
			at[p.Name] = "[]"
		case "phaseTexts", "phaseDigests":
			list := s.w.items(device.Digest("x"), 1)
			at[p.Name] = strings.Replace(list, s.w.related(), "", 1)
		}
	}
	return s.w.call(a, s.admin, at)
}

// inFlight reads records whose transactions wait for an organisation that does not answer, and again when it does.
func (w *world) inFlight(t *testing.T) {
	slow := func(service ltlv1.ChainService) *ltlv1.CreateChain {
		c := roomy("slow", service, w.admin)
		c.Policy = "all"
		return c
	}
	proof, collaboration := w.chain(slow(ltlv1.ChainService_CHAIN_SERVICE_PROOF)), w.chain(slow(ltlv1.ChainService_CHAIN_SERVICE_COLLABORATION))
	on := params{"BizChainId": collaboration.id, "Name": "slow"}
	group := w.must(t, w.admin, "CreateMPCoSPhaseGroup", on).text()
	phase := w.must(t, w.admin, "CreateMPCoSPhase", on.with("PhaseGroupId", group)).text()
	key := params{"ProductKey": proof.code, "Key": "0001_" + proof.code + "_" + w.typeCode(w.admin, proof) + "_slow"}
	record := params{"BizChainId": collaboration.id, "PhaseGroupId": group, "PhaseId": phase, "DataKey": "slow",
		"DataSeq": "1"}
	w.StopEndorser(2)
	answers := make(chan *response, 2)
	go func() { answers <- w.raw(t, w.admin, "SetData", key.with("Value", "v")) }()
	go func() { answers <- w.raw(t, w.admin, "UploadMPCoSPhaseTextInfo", record.with("PhaseData", "v")) }()
	reads := map[string]params{"GetData": key, "GetBlockChainInfo": key, "DescribeMPCoSPhaseInfo": record}
	for action, p := range reads {
		testkit.WaitFor(t, 10*time.Second, action+" says -320",
			func() bool { return w.raw(t, w.admin, action, p).code == "-320" })
	}
	w.RestartEndorser(2)
	for range 2 {
		if a := <-answers; a.code != "200" {
			t.Errorf("after the organisation came back: %s", a)
		}
	}
	for action, p := range reads {
		w.must(t, w.admin, action, p)
	}
}
