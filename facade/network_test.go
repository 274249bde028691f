package facade

import (
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"ltl/internal/identity"
	"ltl/internal/ledger"
	ltlv1 "ltl/proto/ltl/v1"
	"ltl/test/testkit"
)

// liveNetwork is a real network with two facades.
type liveNetwork struct {
	*testkit.Network
	facades [2]*Facade
	// foreign is a type code of a second chain, secondChain its code.
	foreign, secondChain string
	nonce                atomic.Int64
}

func startLive(t *testing.T) *liveNetwork {
	n := &liveNetwork{Network: testkit.Start(t, testkit.Options{})}
	t.Cleanup(http.DefaultClient.CloseIdleConnections)
	operator := n.Client(identity.RoleOperator)
	dir := filepath.Join(n.Dir, "facades", "f1")
	sealing, err := os.ReadFile(filepath.Join(dir, "sealing.key"))
	if err != nil {
		t.Fatal(err)
	}
	for i := range n.facades {
		f, err := Open(context.Background(), Config{Listen: "127.0.0.1:0", Client: n.Client(identity.RoleFacade),
			Network: n.Trust().NetworkID(), SealingKey: sealing,
			SealingKeys: func() ([][]byte, error) { return identity.LoadSealingKeys(dir) }, Logger: slog.New(slog.DiscardHandler)})
		if err != nil {
			t.Fatal(err)
		}
		n.facades[i] = f
		t.Cleanup(func() {
			http.DefaultClient.CloseIdleConnections()
			if err := f.Close(); err != nil {
				t.Error(err)
			}
		})
	}
	account := func(name string, kind ltlv1.AccountType) string {
		return n.Submit(identity.RoleOperator, &ltlv1.Transaction{ChainId: ledger.SystemChain,
			Action: &ltlv1.Transaction_CreateAccount{
				CreateAccount: &ltlv1.CreateAccount{Name: name, Type: kind, Organisation: n.Admin.Organisation}}}).GetOutput()
	}
	none, root := account("none", ltlv1.AccountType_ACCOUNT_TYPE_RAM), account("root", ltlv1.AccountType_ACCOUNT_TYPE_ROOT)
	n.Submit(identity.RoleOperator, &ltlv1.Transaction{ChainId: ledger.SystemChain,
		Action: &ltlv1.Transaction_CreateChain{CreateChain: &ltlv1.CreateChain{
			Name: "second", Service: ltlv1.ChainService_CHAIN_SERVICE_PROOF, AdministratorUid: root, Organisations: []string{n.Admin.Organisation}}}})
	list, err := operator.Ledger().ListChains(context.Background(), &ltlv1.ListChainsRequest{AccountUid: root, Page: 1,
		Size: 10})
	if err != nil || len(list.GetChains()) != 1 {
		t.Fatalf("%v %v", list, err)
	}
	n.foreign, n.secondChain = list.GetChains()[0].GetDataTypeCode(), list.GetChains()[0].GetChainCode()
	for id, uid := range map[string]string{"admin": n.Admin.UID, "member": n.Member.UID, "none": none, "root": root} {
		organisation := n.Admin.Organisation
		if uid == n.Member.UID {
			organisation = n.Member.Organisation
		}
		n.PutAccessKey(testkit.Account{UID: uid, Organisation: organisation}, id, id+"-secret")
	}
	return n
}

// sign is a signed query.
func (n *liveNetwork) sign(user, action string, pairs ...string) url.Values {
	v := url.Values{}
	for _, p := range [][2]string{{"AccessKeyId", user}, {"Action", action}, {"Version", "2019-05-10"},
		{"ApiVersion", "1.0.0"}, {"SignatureMethod", "HMAC-SHA1"},
		{"SignatureVersion", "1.0"}, {"Timestamp", time.Now().UTC().Format("2006-01-02T15:04:05Z")}, {"SignatureNonce",
			"live" + strconv.FormatInt(n.nonce.Add(1), 10)}} {
		v.Set(p[0], p[1])
	}
	for i := 0; i < len(pairs); i += 2 {
		v.Set(pairs[i], pairs[i+1])
	}
	v.Set("Signature", signRPC(http.MethodGet, user+"-secret", v))
	return v
}

// get sends a signed query to a facade.
func (n *liveNetwork) get(t *testing.T, facade int, v url.Values) reply {
	t.Helper()
	r, err := http.Get("http://" + n.facades[facade].Addr() + "/?" + v.Encode())
	if err != nil {
		t.Fatal(err)
	}
	b, err := io.ReadAll(r.Body)
	_ = r.Body.Close() // it was read to its end
	if err != nil {
		t.Fatal(err)
	}
	out := reply{status: r.StatusCode, body: string(b)}
	if err := json.Unmarshal(b, &out.json); err != nil {
		t.Fatalf("%v: %s", err, b)
	}
	return out
}

// TestLiveNetwork calls a real network: three nodes, three endorsers, two facades.
func TestLiveNetwork(t *testing.T) {
	n := startLive(t)
	exerciseSDK(t, n.facades[0].Addr(), "member", "member-secret", n.ChainCode, n.Member.TypeCode)

	key := func(typeCode, id string) string { return "0001_" + n.ChainCode + "_" + typeCode + "_" + id }
	own, admin := n.Member.TypeCode, n.Admin.TypeCode
	second := func(typeCode string) string { return "0001_" + n.secondChain + "_" + typeCode + "_1" }
	for _, s := range []step{
		{"set", "member", "SetData", data(key(own, "1"), n.ChainCode, "某公司"), "200"},
		{"set again", "member", "SetData", data(key(own, "1"), n.ChainCode, "v"), "-317"},
		{"attach to a single key", "member", "AttachData", data(key(own, "1"), n.ChainCode, "v"), "-317"},
		{"BusinessId", "member", "AttachData", data(key(own, "2"), n.ChainCode, "v", "BusinessId", hex64), "200"},
		{"BusinessId again", "member", "AttachData", data(key(own, "2"), n.ChainCode, "v", "BusinessId",
			strings.ToUpper(hex64)), "-317"},
		{"257 bytes", "member", "SetData", data(key(own, "3"), n.ChainCode, strings.Repeat("v", 257)), "-220"},
		{"256 bytes", "member", "SetData", data(key(own, "3"), n.ChainCode, strings.Repeat("v", 256)), "200"},
		{"type code of another chain", "member", "SetData", data(key(n.foreign, "4"), n.ChainCode, "v"), "-115"},
		{"type code of another chain, no value", "member", "SetData", data(key(n.foreign, "4"), n.ChainCode, ""), "-115"},
		{"unused type code", "member", "SetData", data(key("ZZZZ", "4"), n.ChainCode, "v"), "-305"},
		{"administrator's type code", "member", "SetData", data(key(admin, "4"), n.ChainCode, "v"), "-305"},
		{"member's type code", "admin", "SetData", data(key(own, "4"), n.ChainCode, "v"), "-305"},
		{"chain of others", "member", "SetData", data(second(n.foreign), n.secondChain, "v"), "403"},
		{"no such chain", "member", "SetData", data("0001_Nowhere000000000_0X58_3", "Nowhere000000000", "v"), "404"},
		{"on no chain", "none", "SetData", data(key(own, "4"), n.ChainCode, "v"), "-339"},
		{"main account as administrator", "root", "SetData", data(second(n.foreign), n.secondChain, "v"), "200"},
		{"read own", "member", "GetData", read(key(own, "1"), n.ChainCode), "200"},
		{"administrator reads", "admin", "GetData", read(key(own, "1"), n.ChainCode), "200"},
		{"member reads another's", "member", "GetData", read(key(admin, "1"), n.ChainCode), "403"},
		{"read what is not there", "member", "GetData", read(key(own, "none"), n.ChainCode), "404"},
		{"read type code of another chain", "member", "GetBlockChainInfo", read(key(n.foreign, "1"), n.ChainCode), "-115"},
		{"count of nothing", "member", "GetHistoryDataCount", read(key(own, "none"), n.ChainCode), "200"},
		{"list of nothing", "member", "GetHistoryDataList", read(key(own, "none"), n.ChainCode, "CurrentPage", "1",
			"PageSize", "1"), "200"},
	} {
		if r := n.get(t, 0, n.sign(s.user, s.action, s.pairs...)); r.code() != s.want {
			t.Errorf("%s: %s, want %s", s.name, r.body, s.want)
		}
	}
	// A record that was written through one facade is read through the other at once.
	if r := n.get(t, 1, n.sign("member", "GetData", read(key(own, "1"), n.ChainCode)...)); r.json["Data"] != "某公司" {
		t.Errorf("the other facade: %s", r.body)
	}
	// A signed write takes effect once, also when it is sent to both facades.
	v := n.sign("member", "AttachData", data(key(own, "5"), n.ChainCode, "v")...)
	if r := n.get(t, 0, v); r.code() != "200" {
		t.Error(r.body)
	}
	for i := range n.facades {
		wants(t, "replay", n.get(t, i, v), 400, "SignatureNonceUsed")
	}
	if r := n.get(t, 0, n.sign("member", "GetHistoryDataCount",
		read(key(own, "5"), n.ChainCode)...)); r.json["Data"] != "1" {
		t.Errorf("after the replays: %s", r.body)
	}
	// The largest possible window is accepted.
	if r := n.get(t, 0, n.sign("member", "GetHistoryDataCount", read(key(own, "5"), n.ChainCode, "StartTime", "0",
		"EndTime", "9223372036854775807")...)); r.json["Data"] != "1" {
		t.Errorf("the largest window: %s", r.body)
	}
	checkBlockChainInfo(t, n.get(t, 0, n.sign("member", "GetBlockChainInfo", read(key(own, "1"), n.ChainCode)...)))
}

// checkBlockChainInfo recomputes the members that do not need the ledger.
func checkBlockChainInfo(t *testing.T, r reply) {
	t.Helper()
	var info struct {
		BlockChainInfo struct {
			ChainName, DataHash, BlockHash, PreviousHash, TransactionHash, EndorsementNames,
			Timestamp string
		}
	}
	if err := json.Unmarshal([]byte(r.json["Data"].(string)), &info); err != nil {
		t.Fatalf("%v: %s", err, r.body)
	}
	b := info.BlockChainInfo
	ms, err := strconv.ParseInt(b.Timestamp, 10, 64)
	if err != nil || time.Since(time.UnixMilli(ms)).Abs() > time.Hour || b.ChainName != "proof" ||
		len(b.BlockHash) != 64 || len(b.PreviousHash) != 64 ||
		len(b.TransactionHash) != 64 || b.BlockHash == b.PreviousHash ||
		!strings.HasPrefix(b.EndorsementNames, "Organisation ") {
		t.Errorf("%+v", b)
	}
	if want := ledger.DataHash("某公司"); b.DataHash != hexText(want[:]) {
		t.Errorf("dataHash %s", b.DataHash)
	}
}

func hexText(b []byte) string {
	var out strings.Builder
	for _, c := range b {
		out.WriteByte(hexLower[c>>4])
		out.WriteByte(hexLower[c&15])
	}
	return out.String()
}
