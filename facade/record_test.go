package facade

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"testing"
	"time"

	"ltl/client"
	"ltl/client/proof"
	"ltl/internal/rules"
	ltlv1 "ltl/proto/ltl/v1"
)

// step is a call and the code that it must return.
type step struct {
	name, user, action string
	pairs              []string
	want               string
}

func data(key, productKey, v string, more ...string) []string {
	return append([]string{"Key", key, "ProductKey", productKey, "Value", v}, more...)
}

func read(key, productKey string, more ...string) []string {
	return append([]string{"Key", key, "ProductKey", productKey}, more...)
}

func runSteps(t *testing.T, f *testFacade, steps []step) {
	t.Helper()
	for _, s := range steps {
		r := f.act(t, s.user, s.action, s.pairs...)
		if r.code() != s.want {
			t.Errorf("%s: code %s, want %s: %s", s.name, r.code(), s.want, r.body)
			continue
		}
		_, text := r.json["Code"].(string)
		if text != (r.status != 200) {
			t.Errorf("%s: status %d with %s", s.name, r.status, r.body)
		}
		if !text && r.json["Success"] != (s.want == "200") {
			t.Errorf("%s: Success is %v", s.name, r.json["Success"])
		}
		if (r.json["Message"] == "") != (s.want == "200") {
			t.Errorf("%s: message %q", s.name, r.json["Message"])
		}
	}
}

const hex64 = "00000000000000000000000000000000000000000000000000000000000001aB"

func TestWriteCodes(t *testing.T) {
	f := newTestFacade(t)
	k := func(id string) string { return keyOf("0X58", id) }
	v256, v257 := strings.Repeat("值", 85)+"x", strings.Repeat("值", 85)+"xx"
	runSteps(t, f, []step{
		{"set", "member", "SetData", data(k("1"), chainA, "v"), "200"},
		{"set again", "member", "SetData", data(k("1"), chainA, "v"), "-317"},
		{"attach to a single key", "member", "AttachData", data(k("1"), chainA, "v"), "-317"},
		{"256 bytes", "member", "SetData", data(k("2"), chainA, v256), "200"},
		{"257 bytes", "member", "SetData", data(k("3"), chainA, v257), "-220"},
		{"empty value", "member", "SetData", data(k("3"), chainA, ""), "-103"},
		{"absent value", "member", "SetData", read(k("3"), chainA), "-103"},
		{"no Key", "member", "SetData", []string{"ProductKey", chainA, "Value", "v"}, "MissingKey"},
		{"no ProductKey", "member", "SetData", []string{"Key", k("3"), "Value", "v"}, "MissingProductKey"},
		{"empty ProductKey", "member", "SetData", data(k("3"), "", "v"), "-101"},
		{"15 characters", "member", "SetData", data(k("3"), chainA[:15], "v"), "-101"},
		{"17 characters", "member", "SetData", data(k("3"), chainA+"x", "v"), "-101"},
		{"empty Key", "member", "SetData", data("", chainA, "v"), "-102"},
		{"three parts", "member", "SetData", data("0001_"+chainA+"_0X58", chainA, "v"), "-102"},
		{"five parts", "member", "SetData", data(k("3")+"_x", chainA, "v"), "-102"},
		{"version 0002", "member", "SetData", data("0002"+k("3")[4:], chainA, "v"), "-102"},
		{"64 characters of ID", "member", "SetData", data(k(strings.Repeat("i", 64)), chainA, "v"), "200"},
		{"65 characters of ID", "member", "SetData", data(k(strings.Repeat("i", 65)), chainA, "v"), "-102"},
		{"other chain code", "member", "SetData", data(k("3"), chainB, "v"), "-105"},
		{"short chain code in Key", "member", "SetData", data("0001_short_0X58_3", chainA, "v"), "-105"},
		{"unknown type code", "member", "SetData", data(keyOf("ZZZZ", "3"), chainA, "v"), "-305"},
		{"no type code", "member", "SetData", data(keyOf("0x58", "3"), chainA, "v"), "-305"},
		{"another member's type code", "member", "SetData", data(keyOf("4R98", "3"), chainA, "v"), "-305"},
		{"type code of another chain", "member", "SetData", data(keyOf("BB01", "3"), chainA, "v"), "-115"},
		{"administrator under a member's type code", "admin", "SetData", data(k("3"), chainA, "v"), "-305"},
		{"administrator", "admin", "SetData", data(keyOf("AD01", "3"), chainA, "v"), "200"},
		{"no such chain", "member", "SetData", data("0001_Nowhere000000000_0X58_3", "Nowhere000000000", "v"), "404"},
		{"collaboration chain", "admin", "SetData", data("0001_"+chainCo+"_CC01_3", chainCo, "v"), "404"},
		{"chain of others", "member", "SetData", data("0001_"+chainB+"_0X58_3", chainB, "v"), "403"},
		{"on no chain", "none", "SetData", data(k("3"), chainA, "v"), "-339"},
		{"unknown account", "ghost", "SetData", data(k("3"), chainA, "v"), "-339"},
		{"main account as member", "root", "SetData", data(keyOf("RT01", "3"), chainA, "v"), "-104"},
		// Of several faults the first in the documented order gives the answer.
		{"type code before value", "member", "SetData", data(keyOf("BB01", "3"), chainA, ""), "-115"},
		{"unknown type code before value", "member", "SetData", data(keyOf("ZZZZ", "3"), chainA, v257), "-305"},
		{"foreign type code before value", "member", "SetData", data(keyOf("4R98", "3"), chainA, v257), "-305"},
		{"role before type code's form", "member", "SetData", data("0001_"+chainB+"_0x58_3", chainB, "v"), "403"},
		{"role before value", "member", "SetData", data("0001_"+chainB+"_0X58_3", chainB, ""), "403"},
		{"ApiVersion before account", "none", "SetData", data(k("3"), chainA, "v", "ApiVersion", "1.0.1"), "-113"},
		{"empty ApiVersion", "member", "SetData", data(k("3"), chainA, "v", "ApiVersion", ""), "-113"},
		{"no ApiVersion", "member", "SetData", data(k("3"), chainA, "v", "ApiVersion", "-"), "MissingApiVersion"},
		{"account before parameters", "none", "SetData", nil, "-339"},
		{"account type before parameters", "root", "SetData", []string{"ProductKey", chainA}, "-104"},
	})
}

func TestAttachCodes(t *testing.T) {
	f := newTestFacade(t)
	k := keyOf("0X58", "h")
	runSteps(t, f, []step{
		{"without BusinessId", "member", "AttachData", data(k, chainA, "1"), "200"},
		{"with BusinessId", "member", "AttachData", data(k, chainA, "2", "BusinessId", hex64), "200"},
		{"same in other case", "member", "AttachData", data(k, chainA, "3", "BusinessId", strings.ToUpper(hex64)), "-317"},
		{"empty BusinessId", "member", "AttachData", data(k, chainA, "4", "BusinessId", ""), "200"},
		{"63 characters", "member", "AttachData", data(k, chainA, "5", "BusinessId", hex64[1:]), "400"},
		{"65 characters", "member", "AttachData", data(k, chainA, "5", "BusinessId", hex64+"0"), "400"},
		{"not hexadecimal", "member", "AttachData", data(k, chainA, "5", "BusinessId", hex64[1:]+"g"), "400"},
		{"16 digits", "member", "AttachData", data(k, chainA, "5", "BusinessId", "0000000000000001"), "400"},
		{"value before BusinessId", "member", "AttachData", data(k, chainA, "", "BusinessId", "x"), "-103"},
		{"set on a repeatable key", "member", "SetData", data(k, chainA, "6"), "-317"},
	})
	for business, want := range map[string]string{"": "4", strings.ToUpper(hex64): "2", "0000000000000001": "1"} {
		if r := f.act(t, "member", "GetData", read(k, chainA, "BusinessId", business)...); r.json["Data"] != want {
			t.Errorf("BusinessId %q: %s, want %s", business, r.body, want)
		}
	}
}

func TestReadCodes(t *testing.T) {
	f := newTestFacade(t)
	k := keyOf("0X58", "r")
	if r := f.act(t, "member", "SetData", data(k, chainA, "v")...); r.code() != "200" {
		t.Fatal(r.body)
	}
	var steps []step
	for _, a := range []string{"GetData", "GetBlockChainInfo", "GetHistoryDataCount", "GetHistoryDataList"} {
		var page []string
		if a == "GetHistoryDataList" {
			page = []string{"CurrentPage", "1", "PageSize", "10"}
		}
		none := "404" // of a Key that was never written
		if page != nil || a == "GetHistoryDataCount" {
			none = "200"
		}
		key := func(key, productKey string) []string { return read(key, productKey, page...) }
		steps = append(steps, []step{
			{a + " own", "member", a, key(k, chainA), "200"},
			{a + " as administrator", "admin", a, key(k, chainA), "200"},
			{a + " of another member", "other", a, key(k, chainA), "403"},
			{a + " nothing there", "member", a, key(keyOf("0X58", "zz"), chainA), none},
			{a + " no chain", "member", a, key("0001_Nowhere000000000_0X58_3", "Nowhere000000000"), "404"},
			{a + " not on chain", "member", a, key("0001_"+chainB+"_BB01_3", chainB), "403"},
			{a + " type code", "member", a, key(keyOf("ZZZZ", "1"), chainA), "-305"},
			{a + " type code's form", "member", a, key(keyOf("ZZZ", "1"), chainA), "-305"},
			{a + " type code of another chain", "admin", a, key(keyOf("BB02", "1"), chainA), "-115"},
			{a + " chain code", "member", a, key(k, chainA[1:]), "-101"},
			{a + " Key", "member", a, key("x", chainA), "-102"},
			{a + " differs", "member", a, key(k, chainB), "-105"},
			{a + " on no chain", "none", a, key(k, chainA), "-339"},
			{a + " main account", "root", a, key(k, chainA), "-104"},
			{a + " version", "member", a, append(key(k, chainA), "ApiVersion", "2.0.0"), "-113"},
			{a + " no Key", "member", a, append(page, "ProductKey", chainA), "MissingKey"},
			{a + " no ProductKey", "member", a, append(page, "Key", k), "MissingProductKey"},
		}...)
	}
	runSteps(t, f, append(steps, []step{
		{"GetData, unused BusinessId", "member", "GetData", read(k, chainA, "BusinessId", hex64), "404"},
		{"GetData, BusinessId of 17 digits", "member", "GetData", read(k, chainA, "BusinessId", "00000000000000017"), "400"},
		{"GetData, type code before BusinessId", "member", "GetData", read(keyOf("ZZZZ", "1"), chainA, "BusinessId", "x"),
			"-305"},
	}...))
}

func TestHistoryBounds(t *testing.T) {
	f := newTestFacade(t)
	k := keyOf("0X58", "h")
	for i := range 3 {
		if r := f.act(t, "member", "AttachData", data(k, chainA, fmt.Sprint("v", i))...); r.code() != "200" {
			t.Fatal(r.body)
		}
	}
	list := func(more ...string) []string {
		return read(k, chainA, append([]string{"CurrentPage", "1", "PageSize", "2"}, more...)...)
	}
	const day = 24 * 3600 * 1000
	runSteps(t, f, []step{
		{"page 0", "member", "GetHistoryDataList", list("CurrentPage", "0"), "400"},
		{"page -1", "member", "GetHistoryDataList", list("CurrentPage", "-1"), "400"},
		{"largest page", "member", "GetHistoryDataList", list("CurrentPage", "2147483647"), "200"},
		{"page beyond 32 bits", "member", "GetHistoryDataList", list("CurrentPage", "2147483648"), "InvalidCurrentPage"},
		{"page no number", "member", "GetHistoryDataList", list("CurrentPage", "one"), "InvalidCurrentPage"},
		{"page empty", "member", "GetHistoryDataList", list("CurrentPage", ""), "InvalidCurrentPage"},
		{"page absent", "member", "GetHistoryDataList", list("CurrentPage", "-"), "MissingCurrentPage"},
		{"size 0", "member", "GetHistoryDataList", list("PageSize", "0"), "400"},
		{"size 1", "member", "GetHistoryDataList", list("PageSize", "1"), "200"},
		{"size 100", "member", "GetHistoryDataList", list("PageSize", "100"), "200"},
		{"size 101", "member", "GetHistoryDataList", list("PageSize", "101"), "400"},
		{"start alone", "member", "GetHistoryDataList", list("StartTime", "1"), "200"},
		{"end alone", "member", "GetHistoryDataCount", read(k, chainA, "EndTime", "1"), "200"},
		{"start alone before 1970", "member", "GetHistoryDataList", list("StartTime", "-1"), "400"},
		{"end alone before 1970", "member", "GetHistoryDataList", list("EndTime", "-1"), "400"},
		{"start after end", "member", "GetHistoryDataCount", read(k, chainA, "StartTime", "2", "EndTime", "1"), "400"},
		{"negative", "member", "GetHistoryDataCount", read(k, chainA, "StartTime", "-2", "EndTime", "1"), "400"},
		{"beyond 64 bits", "member", "GetHistoryDataCount", read(k, chainA, "StartTime", "9223372036854775808", "EndTime",
			"1"), "InvalidStartTime"},
		{"30 days", "member", "GetHistoryDataList", list("StartTime", "1600000000000", "EndTime", fmt.Sprint(1600000000000+30*day)), "200"},
		{"30 days and 1 ms", "member", "GetHistoryDataList", list("StartTime", "1600000000000", "EndTime", fmt.Sprint(1600000000001+30*day)),
			"400"},
		{"count has no limit", "member", "GetHistoryDataCount", read(k, chainA, "StartTime", "0", "EndTime", "9000000000000"),
			"200"},
		{"empty times are absent", "member", "GetHistoryDataList", list("StartTime", "", "EndTime", ""), "200"},
		{"permission before range", "other", "GetHistoryDataList", list("PageSize", "0"), "403"},
		{"account before type", "none", "GetHistoryDataList", list("PageSize", "x"), "-339"},
	})
	for window, want := range map[[2]string]string{
		{"", ""}: "3", {"0", "0"}: "0", {"1608005019001", ""}: "2", {"", "1608005019000"}: "1", {"", "0"}: "0",
		{"0", ""}: "3", {"1608005019000", "1608005019000"}: "1", {"1608005019001",
			"1608005021000"}: "2", {"1608005021001", "1608005021002"}: "0",
	} {
		if r := f.act(t, "member", "GetHistoryDataCount", read(k, chainA, "StartTime", window[0], "EndTime",
			window[1])...); r.json["Data"] != want {
			t.Errorf("window %v: %s, want %s", window, r.body, want)
		}
	}
}

func TestHistoryOver500Records(t *testing.T) {
	f := newTestFacade(t)
	k := keyOf("0X58", "many")
	record := func(i int) *ltlv1.Record {
		return &ltlv1.Record{Key: k, Value: "v", BusinessId: fmt.Sprintf("%016d", i), TimeMs: int64(1_000_000 + i)}
	}
	for i := range 500 {
		f.net.records = append(f.net.records, record(i))
	}
	args := read(k, chainA, "CurrentPage", "5", "PageSize", "100")
	if r := f.act(t, "member", "GetHistoryDataList", args...); r.code() != "200" || strings.Count(r.body, `"seq"`) != 100 {
		t.Errorf("500 records: %.300s", r.body)
	}
	f.net.records = append(f.net.records, record(500))
	if r := f.act(t, "member", "GetHistoryDataList", args...); r.code() != "400" ||
		!strings.Contains(r.body, "StartTime") {
		t.Errorf("501 records: %.300s", r.body)
	}
	if r := f.act(t, "member", "GetHistoryDataList",
		append(args, "StartTime", "0", "EndTime", "2000000")...); r.code() != "200" {
		t.Errorf("501 records with a window: %.300s", r.body)
	}
	for bound, code := range map[[2]string]string{{"StartTime", "1000000"}: "400", {"StartTime", "1000001"}: "200",
		{"EndTime", "1000500"}: "400", {"EndTime", "1000499"}: "200"} {
		if r := f.act(t, "member", "GetHistoryDataList", append(args, bound[:]...)...); r.code() != code {
			t.Errorf("501 records, %v: %.300s, want %s", bound, r.body, code)
		}
	}
}

func TestListProofChain(t *testing.T) {
	f := newTestFacade(t)
	list := func(more ...string) []string { return append([]string{"Num", "1", "Size", "10"}, more...) }
	runSteps(t, f, []step{
		{"all", "admin", "ListProofChain", list(), "200"},
		{"page 0", "admin", "ListProofChain", list("Num", "0"), "400"},
		{"size 101", "admin", "ListProofChain", list("Size", "101"), "400"},
		{"size 0", "admin", "ListProofChain", list("Size", "0"), "400"},
		{"no Num", "admin", "ListProofChain", list("Num", "-"), "MissingNum"},
		{"no Size", "admin", "ListProofChain", list("Size", "-"), "MissingSize"},
		{"Size no number", "admin", "ListProofChain", list("Size", "1.5"), "InvalidSize"},
		{"on no chain", "none", "ListProofChain", list(), "-339"},
		{"main account that is only a member", "root", "ListProofChain", list(), "-104"},
	})
	for _, c := range []struct {
		more []string
		rows int
		tot  float64
	}{{nil, 2, 2}, {[]string{"Name", "某业务链"}, 1, 1}, {[]string{"Name", ""}, 2, 2}, {[]string{"Name", "协同链"}, 0,
		0}, {[]string{"Size", "1", "Num", "2"}, 1, 2}, {[]string{"Num", "9"}, 0, 2}} {
		r := f.act(t, "admin", "ListProofChain", list(c.more...)...)
		d, _ := r.json["Data"].(map[string]any)
		rows, _ := d["PageData"].([]any)
		if rows == nil || len(rows) != c.rows || d["Total"] != c.tot {
			t.Errorf("%v: %s", c.more, r.body)
		}
	}
}

func TestMainAccountMayAdminister(t *testing.T) {
	f := newTestFacade(t)
	f.net.chains[0].members[rootUID] = membership{"ADMIN", "RT01"}
	runSteps(t, f, []step{{"main account as administrator", "root", "SetData", data(keyOf("RT01", "1"), chainA, "v"),
		"200"}})
}

func TestFirstCallAfterJoiningAChainSucceeds(t *testing.T) {
	f := newTestFacade(t)
	set := step{"none", "none", "SetData", data(keyOf("NN01", "1"), chainA, "v"), "-339"}
	runSteps(t, f, []step{set})
	f.net.chains[0].members[noneUID] = membership{"MEMBER", "NN01"}
	set.want = "200"
	runSteps(t, f, []step{set})
	// A chain that was created after the chain index was read.
	f.net.chains = append(f.net.chains, &fakeChain{id: "0000000000000014", code: "DDDDaaaa0000bbbb",
		service: ltlv1.ChainService_CHAIN_SERVICE_PROOF,
		members: map[string]membership{noneUID: {"MEMBER", "NN02"}}})
	runSteps(t, f, []step{{"new chain", "none", "SetData", data("0001_DDDDaaaa0000bbbb_NN02_1", "DDDDaaaa0000bbbb", "v"),
		"200"}})
}

func TestWriteCarriesTheSignedRequest(t *testing.T) {
	f := newTestFacade(t)
	v := f.params("member", "SetData", data(keyOf("0X58", "1"), chainA, "v")...)
	if r := f.get(t, v); r.code() != "200" {
		t.Fatal(r.body)
	}
	tx := f.net.last
	if tx.GetAccessKeyId() != "member" || tx.GetSignatureNonce() != v.Get("SignatureNonce") ||
		tx.GetAccountUid() != memberUID ||
		tx.GetChainId() != f.net.chains[0].id || tx.GetSubmitter() != "" {
		t.Errorf("transaction: %v", tx)
	}
}

func TestFailuresOfTheNetwork(t *testing.T) {
	f := newTestFacade(t)
	set := data(keyOf("0X58", "1"), chainA, "v")
	if r := f.act(t, "member", "SetData", set...); r.code() != "200" {
		t.Fatal(r.body)
	}
	for _, c := range []struct {
		err    error
		code   string
		status int
	}{
		{fmt.Errorf("x: %w", client.ErrOverloaded), "Throttling", 400},
		{fmt.Errorf("x: %w", client.ErrUnavailable), "ServiceUnavailable", 503},
		{client.ErrClosed, "ServiceUnavailable", 503},
		{fmt.Errorf("disk"), "InternalError", 500},
	} {
		f.net.submitErr = c.err
		if r := f.act(t, "member", "SetData", set...); r.status != c.status || r.code() != c.code ||
			strings.Contains(r.body, "disk") {
			t.Errorf("Submit fails with %v: %d %s", c.err, r.status, r.body)
		}
		f.net.submitErr, f.net.err = nil, c.err
		if r := f.act(t, "member", "GetData", set[:4]...); r.status != c.status || r.code() != c.code {
			t.Errorf("GetData fails with %v: %d %s", c.err, r.status, r.body)
		}
		f.net.err = nil
	}
	for code, want := range map[int32]string{
		rules.NonceUsed: "SignatureNonceUsed", rules.NotEndorsed: "403", rules.EndorsementExpired: "ServiceUnavailable",
		rules.Malformed: "InternalError", rules.Duplicate: "InternalError", rules.QuotaExceeded: "429", rules.Conflict: "409",
		rules.Forbidden: "403",
	} {
		f.net.code = code
		if r := f.act(t, "member", "SetData", set...); r.code() != want {
			t.Errorf("the ledger answers %d: %s", code, r.body)
		}
	}
}

func TestReadOfAKeyInFlight(t *testing.T) {
	f := newTestFacade(t)
	hold := make(chan struct{})
	f.net.set(func(n *fakeNetwork) { n.hold = hold })
	k := keyOf("0X58", "slow")
	done := make(chan reply)
	go func() { done <- f.act(t, "member", "AttachData", data(k, chainA, "v", "BusinessId", hex64)...) }()
	for deadline := time.Now().Add(5 * time.Second); !f.pending.has(k, ""); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("the write never began")
		}
	}
	runSteps(t, f, []step{
		{"newest", "member", "GetData", read(k, chainA), "-320"},
		{"that BusinessId", "member", "GetBlockChainInfo", read(k, chainA, "BusinessId", strings.ToUpper(hex64)), "-320"},
		{"another BusinessId", "member", "GetData", read(k, chainA, "BusinessId", strings.Repeat("0", 64)), "404"},
		{"another Key", "member", "GetData", read(k+"x", chainA), "404"},
		{"of another member", "other", "GetData", read(k, chainA), "403"},
	})
	close(hold)
	if r := <-done; r.code() != "200" {
		t.Fatal(r.body)
	}
	runSteps(t, f, []step{{"there", "member", "GetData", read(k, chainA), "200"},
		{"gone", "member", "GetData", read(k, chainA, "BusinessId", strings.Repeat("0", 64)), "404"}})
	for i := range f.pending.shards {
		if n := len(f.pending.shards[i].counts); n != 0 {
			t.Errorf("%d writes still pending", n)
		}
	}
}

func TestBlockChainInfoAndHistoryRows(t *testing.T) {
	f := newTestFacade(t)
	k := keyOf("0X58", "b")
	value := "某公司\u2028<&>\"\\"
	if r := f.act(t, "member", "AttachData", data(k, chainA, value)...); r.code() != "200" {
		t.Fatal(r.body)
	}
	r := f.act(t, "member", "GetBlockChainInfo", read(k, chainA)...)
	var info map[string]map[string]any
	if err := json.Unmarshal([]byte(r.json["Data"].(string)), &info); err != nil {
		t.Fatal(err)
	}
	b := info["blockChainInfo"]
	if len(info) != 1 || len(b) != 9 || b["blockHeight"] != 1.0 || b["timestamp"] != "1608005019000" ||
		b["endorsementNames"] != "某公司,某某公司" ||
		b["chainName"] != "某业务链" || b["iotId"] != "" || b["dataHash"] == "" || len(b["blockHash"].(string)) != 64 {
		t.Errorf("%v", info)
	}
	f.net.verified = &proof.Checkpoint{Origin: "ltl/0/1", Size: 7, Root: proof.Hash{1}}
	r = f.act(t, "member", "GetBlockChainInfo", read(k, chainA)...)
	want := `"checkpointOrigin":"ltl/0/1","checkpointSize":"7","checkpointRoot":"0100`
	if text := r.json["Data"].(string); !strings.Contains(text, want) {
		t.Errorf("a verified read answers %s, want %s", text, want)
	}
	r = f.act(t, "member", "GetHistoryDataList", read(k, chainA, "CurrentPage", "1", "PageSize", "1")...)
	row := r.json["Data"].(map[string]any)["Data"].([]any)[0].(map[string]any)
	for name, want := range map[string]string{"chainName": "某业务链", "code": "0X58", "blockHeight": "1",
		"businessId": "0000000000000001",
		"totalCount": "1", "value": value, "seq": "1", "timestamp": "1608005019000"} {
		if row[name] != want {
			t.Errorf("%s is %v, want %s", name, row[name], want)
		}
	}
	if len(row) != 9 {
		t.Errorf("row: %v", row)
	}
}

// TestCorrectionParameters: both or neither, in their form, after the refusals that all uploads have.
func TestCorrectionParameters(t *testing.T) {
	f := newTestFacade(t)
	with := func(hash, reason string) []string {
		return append(data(keyOf("0X58", "c"), chainA, "v"), correctsHash, hash, correctsReason, reason)
	}
	hash := strings.Repeat("ab", 32)
	runSteps(t, f, []step{
		{"both empty", "member", "AttachData", with("", ""), "200"},
		{"no reason", "member", "AttachData", with(hash, ""), "400"},
		{"no hash", "member", "AttachData", with("", "reason"), "400"},
		{"a short hash", "member", "AttachData", with(hash[2:], "reason"), "400"},
		{"no hexadecimal digits", "member", "AttachData", with("g"+hash[1:], "reason"), "400"},
		{"201 characters", "member", "AttachData", with(hash, strings.Repeat("错", 201)), "400"},
		{"no such record", "member", "AttachData", with(hash, strings.Repeat("错", 200)), "404"},
		{"an empty value and no reason", "member", "AttachData",
			append(data(keyOf("0X58", "c"), chainA, ""), correctsHash, hash), "-103"},
	})
}

// TestCorrectionMembers: what a corrected record's answers say, and what a correcting one's.
func TestCorrectionMembers(t *testing.T) {
	r := &ltlv1.Record{
		Corrects: &ltlv1.Correction{TransactionId: []byte{1, 2}, Reason: "<wrong>"},
		DeclaredWrong: &ltlv1.DeclaredWrong{TransactionHash: []byte{3}, Key: "k", Reason: "又错", TimeMs: 1608005018000,
			ByAdministrator: true},
	}
	v := object(correctionFields(r)...)
	want := `{"corrects":"0102","correctsReason":"<wrong>","correctedBy":"03","correctedKey":"k","correctedReason":"又错",` +
		`"correctedTimestamp":"1608005018000","correctedByAdministrator":"true"}`
	if got := string(v.appendJSON(nil)); got != want {
		t.Errorf("%s\nwant\n%s", got, want)
	}
	note := declaredWrong(r)
	if note != "This record was declared wrong by the chain's administrator on 2020-12-15T04:03:38Z, and replaced by "+
		"transaction 03 under Key k: 又错" {
		t.Error(note)
	}
	if declaredWrong(&ltlv1.Record{}) != "" || correctionFields(&ltlv1.Record{}) != nil {
		t.Error("a record that is right has members of corrections")
	}
}

func TestAPanicAnswersInternalError(t *testing.T) {
	f := newTestFacade(t)
	set := data(keyOf("0X58", "1"), chainA, "v")
	f.net.set(func(n *fakeNetwork) { n.panics = true })
	r := f.act(t, "member", "SetData", set...)
	wants(t, "panic", r, 500, "InternalError")
	f.net.set(func(n *fakeNetwork) { n.panics = false })
	wants(t, "afterwards", f.act(t, "member", "SetData", set...), 200, "200")
	if f.pending.has(set[1], "") || f.active.Load() != 0 {
		t.Error("the panic left a pending write or an active call")
	}
}

func TestTheLogTellsNeitherValuesNorSecrets(t *testing.T) {
	f := newTestFacade(t)
	var out bytes.Buffer
	f.logger = slog.New(slog.NewTextHandler(&out, &slog.HandlerOptions{Level: slog.LevelDebug}))
	f.net.set(func(n *fakeNetwork) { n.submitErr = io.ErrUnexpectedEOF })
	v := f.params("member", "SetData", data(keyOf("0X58", "1"), chainA, "the-value")...)
	r := f.get(t, v)
	f.net.set(func(n *fakeNetwork) { n.submitErr = nil })
	f.act(t, "member", "SetData", data(keyOf("0X58", "1"), chainA, "the-value")...)
	s := out.String()
	for _, want := range []string{"requestId=" + r.json["RequestId"].(string), "action=SetData", "code=InternalError",
		"code=200", "ms="} {
		if !strings.Contains(s, want) {
			t.Errorf("the log lacks %s: %s", want, s)
		}
	}
	for _, secret := range []string{"the-value", "secret", v.Get("Signature"), v.Get("SignatureNonce") + " "} {
		if strings.Contains(s, secret) {
			t.Errorf("the log contains %s: %s", secret, s)
		}
	}
}

func TestKnownAccountsServeWhileTheNetworkIsSilent(t *testing.T) {
	f := newTestFacade(t)
	set := data(keyOf("0X58", "1"), chainA, "v")
	wants(t, "first", f.act(t, "member", "SetData", set...), 200, "200")
	known := *f.accounts.entry(memberUID).known.Load()
	known.at = time.Now().Add(-2 * accountAge)
	f.accounts.entry(memberUID).known.Store(&known)
	f.net.set(func(n *fakeNetwork) { n.err = client.ErrUnavailable })
	if a, err := f.accounts.get(context.Background(), memberUID); err != nil || a.total == 0 {
		t.Errorf("%v %v", a, err)
	}
	if _, err := f.accounts.get(context.Background(), otherUID); !errors.Is(err, client.ErrUnavailable) {
		t.Errorf("an account that is not cached: %v", err)
	}
	f.net.set(func(n *fakeNetwork) { n.err = nil })
	if a, err := f.accounts.get(context.Background(), memberUID); err != nil || time.Since(a.at) > accountAge {
		t.Errorf("after the network is back: %v %v", a, err)
	}
}
