package facade

import (
	"net/http"
	"strings"
	"testing"
	"unicode/utf8"

	"google.golang.org/protobuf/proto"

	"ltl/client"
	"ltl/internal/rules"
	ltlv1 "ltl/proto/ltl/v1"
)

// iot are valid device parameters for a payload. The ledger verifies the signature, not the facade.
func iot(payload string) []string {
	return []string{"IotAuthType", "ID2", "IotId", "00CCCC098D98F2BDD8BB0001", "IotIdServiceProvider", "kKpACh5aBcD",
		"IotIdSource", "2",
		"IotDataDigest", digestOf(payload), "IotSignature", "3~2~0102532570400001~1599722505821~50sZwIXt9jtTTIoG"}
}

func signedData(key, productKey, v string, more ...string) []string {
	return append(append(data(key, productKey, v), iot(v)...), more...)
}

func TestSignedUploads(t *testing.T) {
	proof := &ltlv1.DeviceProof{AuthType: "ID2", IotId: "00CCCC098D98F2BDD8BB0001", ProductKey: "kKpACh5aBcD", Source: "2",
		DataDigest: digestOf("某公司某业务数据。"), Signature: "3~2~0102532570400001~1599722505821~50sZwIXt9jtTTIoG"}
	key := keyOf("0X58", "1")
	f := newTestFacade(t)
	for action, want := range map[string]*ltlv1.Transaction{
		"SetDataWithSignature": {Action: &ltlv1.Transaction_SetData{SetData: &ltlv1.SetData{Key: key, Device: proof}},
			Openings: client.Values("某公司某业务数据。")},
		"AttachDataWithSignature": {Action: &ltlv1.Transaction_AttachData{AttachData: &ltlv1.AttachData{
			Key: key + "2", BusinessId: hex64, Device: proof}}, Openings: client.Values("某公司某业务数据。")},
	} {
		pairs := signedData(key, chainA, "某公司某业务数据。")
		if action == "AttachDataWithSignature" {
			pairs = signedData(key+"2", chainA, "某公司某业务数据。", "BusinessId", hex64)
		}
		v := f.params("member", action, pairs...)
		r := f.get(t, v)
		if r.code() != "200" || r.json["Data"] != "" {
			t.Errorf("%s: %s", action, r.body)
		}
		want.ChainId, want.AccountUid, want.AccessKeyId, want.SignatureNonce = proofID, memberUID, "member", v.Get("SignatureNonce")
		if !proto.Equal(f.net.last, want) {
			t.Errorf("%s writes %v, want %v", action, f.net.last, want)
		}
		if r := f.act(t, "member", action, pairs...); r.code() != "-317" {
			t.Errorf("%s again: %s", action, r.body)
		}
		if r := f.act(t, "member", "GetData", read(key, chainA)...); action == "SetDataWithSignature" &&
			r.json["Data"] != "某公司某业务数据。" {
			t.Error(r.body)
		}
	}
}

// TestDeviceCodesOfProofs: faults of device parameters have codes of their own. They are refused in the documented
// order, after faults of chain, Key and value, and before duplicates.
func TestDeviceCodesOfProofs(t *testing.T) {
	f := newTestFacade(t)
	k := keyOf("0X58", "1")
	short := digestOf("v")[1:]
	for _, a := range []string{"SetDataWithSignature", "AttachDataWithSignature"} {
		good := signedData(k, chainA, "v")
		if r := f.act(t, "member", a, signedData(k+a, chainA, "v")...); r.code() != "200" {
			t.Fatal(r.body)
		}
		var steps []step
		for _, name := range []string{"IotAuthType", "IotId", "IotIdServiceProvider", "IotDataDigest", "IotSignature"} {
			for what, v := range map[string]string{" absent": "-", " empty": ""} {
				steps = append(steps,
					step{a + " " + name + what, "member", a, with(good, name, v), "-106"},
					step{a + " " + name + what + " before the source", "member", a, with(with(good, "IotIdSource", "3"), name, v),
						"-106"},
				)
			}
		}
		for _, v := range []string{"-", "", "0", "3", "22", "2 "} {
			steps = append(steps,
				step{a + " source " + v, "member", a, with(good, "IotIdSource", v), "-118"},
				step{a + " source before type", "member", a, with(with(good, "IotIdSource", v), "IotAuthType", "x"), "-118"},
			)
		}
		steps = append(steps,
			step{a + " type", "member", a, with(good, "IotAuthType", "ID3"), "-107"},
			step{a + " type before digest", "member", a, with(with(good, "IotAuthType", "id2"), "IotDataDigest", short), "-107"},
			step{a + " digest of 63 characters", "member", a, with(good, "IotDataDigest", short), "-110"},
			step{a + " digest of 65 characters", "member", a, with(good, "IotDataDigest", "A"+digestOf("v")), "-110"},
			step{a + " digest in lower case", "member", a, with(good, "IotDataDigest", strings.ToLower(digestOf("v"))), "-111"},
			step{a + " digest of something else", "member", a, with(good, "IotDataDigest", digestOf("w")), "-111"},
			step{a + " digest before duplicate", "member", a, with(signedData(k+a, chainA, "v"), "IotDataDigest", digestOf("w")),
				"-111"},
			step{a + " Key before device", "member", a, with(good, "Key", "x"), "-102"},
			step{a + " type code before device", "member", a, signedData(keyOf("4R98", "1"), chainA, "v", "IotId", ""), "-305"},
			step{a + " foreign type code before device", "member", a,
				signedData(keyOf("BB01", "1"), chainA, "v", "IotDataDigest", ""), "-115"},
			step{a + " role before device", "member", a, signedData("0001_"+chainB+"_0X58_3", chainB, "v", "IotId", ""), "403"},
			step{a + " value before device", "member", a, with(with(good, "Value", ""), "IotId", ""), "-103"},
			step{a + " long value before device", "member", a, with(with(good, "Value", strings.Repeat("v", 257)), "IotId", ""),
				"-220"},
			step{a + " absent value before device", "member", a, with(with(good, "Value", "-"), "IotId", "-"), "-103"},
			step{a + " missing Key before device", "member", a, with(with(good, "Key", "-"), "IotId", "-"), "MissingKey"},
			step{a + " unknown chain before device", "member", a, signedData("0001_Nowhere000000000_0X58_3", "Nowhere000000000",
				"v", "IotId", ""), "404"},
		)
		runSteps(t, f, steps)
	}
	if r := f.act(t, "member", "AttachDataWithSignature",
		signedData(k, chainA, "v", "BusinessId", "x")...); r.code() != "400" || !strings.Contains(r.body, "BusinessId") {
		t.Error(r.body)
	}
}

// TestEndorsersReasons: when an organisation refuses a device, its reason is the message.
func TestEndorsersReasons(t *testing.T) {
	f := newTestFacade(t)
	f.net.code, f.net.reason = rules.Forbidden, "The device is not enrolled: check IotId and IotIdServiceProvider."
	r := f.act(t, "member", "SetDataWithSignature", signedData(keyOf("0X58", "1"), chainA, "v")...)
	if r.code() != "403" || r.json["Message"] != f.net.reason || r.json["Data"] != "" {
		t.Error(r.body)
	}
}

// TestOrderOfKeyAndChainCode: of several faults of Key and ProductKey the first in the documented order gives the
// answer.
func TestOrderOfKeyAndChainCode(t *testing.T) {
	f := newTestFacade(t)
	bytes16 := "五个汉字呢a" // 16 bytes, 6 characters
	runes16 := strings.Repeat("链", 16)
	runSteps(t, f, []step{
		{"16 bytes are not 16 characters", "member", "SetData", data("0001_"+bytes16+"_0X58_1", bytes16, "v"), "-101"},
		{"16 characters that are no code", "member", "SetData", data(keyOf("0X58", "1"), runes16, "v"), "-105"},
		{"ProductKey before Key", "member", "SetData", data("x", "short", "v"), "-101"},
		{"wrong ID and wrong chain code", "member", "SetData", data("0001_short_0X58_a*b", chainA, "v"), "-102"},
		{"wrong version and wrong chain code", "member", "GetData", read("0009_short_0X58_1", chainA), "-102"},
		{"wrong ID and other chain code", "member", "GetHistoryDataCount", read("0001_"+chainB+"_0X58_", chainA), "-102"},
		{"wrong chain code only", "member", "GetBlockChainInfo", read("0001_short_0X58_1", chainA), "-105"},
	})
}

// FuzzActions: no parameters of any Action cause an internal error or a response without a code.
func FuzzActions(f *testing.F) {
	all := actions()
	for i := range all {
		f.Add(uint8(i), "BizChainId", proofID, "Num", "1", "Size", "100")
		f.Add(uint8(i), "Key", keyOf("0X58", "1"), "ProductKey", chainA, "Value", "v")
		f.Add(uint8(i), "BizChainId", coID, "PhaseDataList.1.relatedDataList.1.relatedPhaseId", "1", "RelatedDataList",
			`{"1":{}}`)
	}
	f.Fuzz(func(t *testing.T, which uint8, n1, v1, n2, v2, n3, v3 string) {
		tf := newTestFacade(t)
		a := &all[int(which)%len(all)]
		v := tf.params("admin", a.name)
		for _, p := range a.params {
			switch p.kind {
			case typeInteger, typeLong:
				v.Set(p.name, "1")
			default:
				v.Set(p.name, "[]")
			}
		}
		v.Set("BizChainId", proofID)
		if a.service == ltlv1.ChainService_CHAIN_SERVICE_COLLABORATION {
			v.Set("BizChainId", coID)
		}
		for _, p := range [][2]string{{n1, v1}, {n2, v2}, {n3, v3}} {
			if _, common := tf.params("admin", a.name)[p[0]]; !common && p[0] != "" && p[0] != "Format" &&
				utf8.ValidString(p[0]+p[1]) {
				v.Set(p[0], p[1])
			}
		}
		r := tf.get(t, v)
		if r.status == http.StatusInternalServerError || r.code() == "" || r.code() == "SignatureDoesNotMatch" {
			t.Fatalf("%s %v: %d %s", a.name, v, r.status, r.body)
		}
	})
}
