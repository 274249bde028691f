package conformance

import (
	"strings"
	"testing"

	"ltl/client/device"
)

// bound is a value of a parameter and the code of the response.
type bound struct{ what, value, code string }

// rulesOf are the bounds of each rule: accepted values at the bound, and refused ones just past it. testCodes has the
// rules on devices, because a device must sign each value.
func rulesOf() map[string][]bound {
	r := strings.Repeat
	name := []bound{
		{"two characters", "ab", "200"}, {"thirty", r("链", 30), "200"}, {"everything allowed", "某aZ0_-.()", "200"},
		{"one character", "a", "400"}, {"thirty-one", r("链", 31), "400"}, {"a blank", "a b", "400"}, {"a full-width comma",
			"某，某", "400"},
		{"nothing", "", "400"}, {"an emoji", "😀😀", "400"}, {"a slash", "a/b", "400"},
	}
	number := []bound{
		{"no number", "x", "Invalid%s"}, {"a fraction", "1.0", "Invalid%s"}, {"nothing", "", "Invalid%s"}, {"beyond 32 bits",
			"2147483648", "Invalid%s"},
		{"zero", "0", "400"}, {"less than nothing", "-1", "400"},
	}
	letters := []bound{
		{"one", "%", "200"}, {"64 characters", "@64", "200"}, {"65 characters", "@65", "400"}, {"an underscore", "a_b",
			"400"}, {"Chinese", "数据", "400"}, {"a hyphen and a point", "%-.", "200"},
	}
	unknown := []bound{{"unknown", "0000000000000001", "404"}, {"no identifier", "x", "404"}, {"nothing", "", "404"},
		{"a letter more", "00000000000000001", "404"}}
	return map[string][]bound{
		"name": name,
		"phone": {{"one digit", "1", "200"}, {"twenty", r("1-", 10), "200"}, {"twenty-one", r("1", 21), "400"},
			{"nothing", "", "400"}, {"a letter", "12a", "400"}, {"a plus", "+86", "400"}},
		"uid": {{"15 digits", r("1", 15), "400"}, {"19 digits", r("1", 19), "400"}, {"letters", r("a", 16), "400"},
			{"nothing", "", "400"}, {"unused", r("9", 18), "404"}},
		"remark": {{"100 characters", r("备", 100), "200"}, {"101 characters", r("备", 101), "400"}, {"nothing", "", "200"}},
		"page":   append([]bound{{"the last", "2147483647", "200"}}, number...),
		"size": append([]bound{{"one", "1", "200"}, {"a hundred", "100", "200"}, {"a hundred and one", "101", "400"}},
			number...),
		"time": {{"no number", "x", "Invalid%s"}, {"beyond 64 bits", "9223372036854775808", "Invalid%s"},
			{"before 1970", "-1", "400"}},
		"chain": unknown, "memberId": unknown, "deviceGroupId": unknown, "deviceId": unknown, "phaseGroupId": unknown,
		"phaseId":       unknown,
		"authorizeType": {{"another", "ID1", "400"}, {"lower case", "id2", "400"}, {"nothing", "", "400"}},
		"productKey": {{"one character", "%", "200"}, {"64 characters", "@64", "200"}, {"65 characters", "@65", "400"},
			{"nothing", "", "400"}, {"a blank", "a b", "400"}},
		"chainCode": {{"15 characters", r("a", 15), "-101"}, {"17 characters", r("a", 17), "-101"},
			{"nothing", "", "-101"}, {"another", r("a", 16), "-105"}},
		"value": {{"256 bytes", text256(), "200"}, {"257 bytes", text256() + "x", "-220"},
			{"86 Chinese characters", r("中", 86), "-220"}, {"one byte", "x", "200"}, {"nothing", "", "-103"}},
		"businessId": {{"64 digits", "@x64", "200"}, {"capitals", "@X64", "200"}, {"63 digits", r("a", 63), "400"},
			{"65 digits", r("a", 65), "400"}, {"no digit", r("g", 64), "400"},
			{"16 digits", "0123456789012345", "400"}},
		"corrects": {{"63 digits", r("a", 63), "400"}, {"66 digits", r("a", 66), "400"}, {"no digit", r("g", 64), "400"},
			{"of no record", "@x64", "404"}, {"without a hash", "", "400"}},
		"correctsReason": {{"200 characters", r("错", 200), "200"}, {"201 characters", r("错", 201), "400"},
			{"nothing", "", "400"}},
		"correctsDataKey": {{"of no record", "%", "404"}, {"nothing", "", "200"}},
		"correctsDataSeq": {{"of no record", "%", "404"}, {"nothing", "", "200"}},
		"businessIdRead": {{"of no record", "@x64", "404"}, {"of the ledger's form", "0123456789012345", "404"},
			{"63 digits", r("a", 63), "400"}, {"15 digits", r("1", 15), "400"}},
		"phaseText": {{"4096 bytes", r("x", 4096), "200"}, {"4097 bytes", r("x", 4097), "-220"},
			{"2048 Chinese characters", r("中", 2048), "200"}, {"one byte more", r("中", 2048) + "x", "-220"},
			{"one byte", "x", "200"}, {"nothing", "", "-103"}},
		"phaseDigest": {{"lower case", strings.ToLower(device.Digest("x")), "200"},
			{"63 characters", device.Digest("x")[1:], "400"}, {"65 characters", device.Digest("x") + "0", "400"},
			{"no digits", r("g", 64), "400"}, {"nothing", "", "-103"}},
		"dataKey": append(letters, bound{"nothing", "", "400"}),
		"dataSeq": letters,
		"relatedDataList": {{"an empty list", "[]", "200"}, {"no list", `"x"`, "Invalid%s"}, {"no JSON", "[", "Invalid%s"},
			{"no objects", `["x"]`, "Invalid%s"}},
		"authorizedPhaseList": {{"none", "[]", "200"}, {"no list", `"x"`, "Invalid%s"}, {"no JSON", "[", "Invalid%s"},
			{"no texts", "[{}]", "Invalid%s"},
			{"an unknown phase", `["0000000000000001"]`, "404"}},
	}
}

// testBounds: every parameter accepts values at its bound and refuses those just past it.
func (w *world) testBounds(t *testing.T) {
	rules := rulesOf()
	for _, a := range w.table {
		t.Run(a.Name, func(t *testing.T) {
			for i := range a.Parameters {
				p := &a.Parameters[i]
				switch p.Rule {
				case "filter", "phaseTexts", "phaseDigests", "iotAuthType", "iotDataDigest", "iotId", "iotIdServiceProvider", "iotIdSource", "iotSignature":
					continue // filters accept every value; lists and devices have tests of their own
				case "key":
					w.keyBounds(t, a)
					continue
				}
				bounds := rules[p.Rule]
				if bounds == nil {
					t.Errorf("the rule %s of %s has no bounds", p.Rule, p.Name)
				}
				for _, b := range bounds {
					w.checkBound(t, a, p, b)
				}
			}
		})
	}
}

// checkBound makes one call with the value of a bound.
func (w *world) checkBound(t *testing.T, a *action, p *parameter, b bound) {
	t.Helper()
	value := b.value
	switch {
	case value == "%":
		value = w.fresh("a")
	case value == "%-.":
		value = w.fresh("a") + "-."
	case value == "@64", value == "@65":
		value = w.fresh(strings.Repeat("a", 52))
		value += strings.Repeat("b", map[string]int{"@64": 64, "@65": 65}[b.value]-len(value))
	case value == "@x64":
		value = w.freshHex()[6:] + "abcdef"
	case value == "@X64":
		value = w.freshHex()[6:] + "ABCDEF"
	}
	if a.payload() == nil && b.code == "200" && (p.Rule == "dataKey" || p.Rule == "dataSeq") {
		// A read accepts the form and finds no record; its history is empty.
		if a.Name == "DescribeMPCoSPhaseInfo" {
			b.code = "404"
		}
	}
	if p.Rule == "productKey" && b.code == "200" {
		w.claim(value)
	}
	if b.value == "" && p.Rule == "phaseDigest" {
		b.what = "an empty digest"
	}
	code := strings.ReplaceAll(b.code, "%s", p.Name)
	w.wants(t, w.admin, a.Name, p.Name+" is "+b.what, w.call(a, w.admin, params{p.Name: value}), code)
}

// keyBounds checks the bounds of each part of a Key.
func (w *world) keyBounds(t *testing.T, a *action) {
	t.Helper()
	r, code, typeCode := strings.Repeat, w.proof.code, w.admin.as.typeCode
	found := "200"
	if a.Name == "GetData" || a.Name == "GetBlockChainInfo" {
		found = "404"
	}
	long := w.fresh(r("k", 50))
	long += r("l", 64-len(long))
	for _, b := range []bound{
		{"with an ID of 64 characters", "0001_" + code + "_" + typeCode + "_" + long, found},
		{"with every character of an ID", "0001_" + code + "_" + typeCode + "_" + w.fresh("Ab-.9"), found},
		{"with an ID of 65 characters", "0001_" + code + "_" + typeCode + "_" + long + "x", "-102"},
		{"with an empty ID", "0001_" + code + "_" + typeCode + "_", "-102"},
		{"with a slash in the ID", "0001_" + code + "_" + typeCode + "_a/b", "-102"},
		{"with three parts", "0001_" + code + "_" + typeCode, "-102"},
		{"with five parts", "0001_" + code + "_" + typeCode + "_a_b", "-102"},
		{"of another version", "0002_" + code + "_" + typeCode + "_a", "-102"},
		{"without anything", "", "-102"},
		{"with another chain code", "0001_" + r("a", 16) + "_" + typeCode + "_a", "-105"},
		{"with a short chain code", "0001_" + r("a", 15) + "_" + typeCode + "_a", "-105"},
		{"with an unused type code", "0001_" + code + "_ZZZZ_a", "-305"},
		{"with a type code of three characters", "0001_" + code + "_ZZZ_a", "-305"},
		{"with a type code in lower case", "0001_" + code + "_" + strings.ToLower("zzzz") + "_a", "-305"},
	} {
		w.wants(t, w.admin, a.Name, "Key "+b.what, w.call(a, w.admin, params{"Key": b.value}).without("BusinessId"), b.code)
	}
}
