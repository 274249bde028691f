package facade

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"time"

	sdkerrors "github.com/aliyun/alibaba-cloud-sdk-go/sdk/errors"
	"github.com/aliyun/alibaba-cloud-sdk-go/sdk/requests"
	"github.com/aliyun/alibaba-cloud-sdk-go/services/ltl"
	"go.uber.org/goleak"

	"ltl/client"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// openFake starts a listening facade over a fake network, with the clock of the machine.
func openFake(t *testing.T, n *fakeNetwork) *Facade {
	t.Helper()
	i := uint64(0)
	for id, uid := range userKeys() {
		i++
		n.keys <- sealed(t, id, uid, id+"-secret", i)
	}
	f, err := open(context.Background(), Config{Listen: "127.0.0.1:0", AdminListen: "127.0.0.1:0",
		SealingKey: sealingKey(), Logger: slog.New(slog.DiscardHandler)}, n)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		http.DefaultClient.CloseIdleConnections()
		if err := f.Close(); err != nil {
			t.Error(err)
		}
	})
	return f
}

// sdk is the official client for a user of the tests.
func sdk(t *testing.T, addr, id, secret string) *ltl.Client {
	t.Helper()
	c, err := ltl.NewClientWithAccessKey("cn-shanghai", id, secret)
	if err != nil {
		t.Fatal(err)
	}
	c.Domain = addr
	transport := &http.Transport{}
	c.SetTransport(transport)
	t.Cleanup(func() { transport.CloseIdleConnections(); c.Shutdown() })
	return c
}

func TestOfficialSDK(t *testing.T) {
	n := newFakeNetwork()
	f := openFake(t, n)
	exerciseSDK(t, f.Addr(), "member", "member-secret", chainA, "0X58")
	c := sdk(t, f.Addr(), "none", "none-secret")
	list := ltl.CreateListProofChainRequest()
	list.ApiVersion, list.Num, list.Size = "1.0.0", requests.NewInteger(1), requests.NewInteger(10)
	if r, err := c.ListProofChain(list); err != nil || r.Code != -339 || r.Success || r.Message == "" ||
		len(r.Data.PageData) != 0 {
		t.Errorf("%+v %v", r, err)
	}
	for _, e := range []struct {
		err    error
		code   string
		status int
	}{{client.ErrOverloaded, "Throttling", 400}, {client.ErrUnavailable, "ServiceUnavailable", 503}, {io.ErrUnexpectedEOF,
		"InternalError", 500}} {
		n.set(func(n *fakeNetwork) { n.submitErr = fmt.Errorf("x: %w", e.err) })
		set := ltl.CreateSetDataRequest()
		set.ApiVersion, set.Key, set.ProductKey, set.Value = "1.0.0", keyOf("0X58", "e"), chainA, "v"
		_, err := sdk(t, f.Addr(), "member", "member-secret").SetData(set)
		var s *sdkerrors.ServerError
		if !errors.As(err, &s) || s.ErrorCode() != e.code || s.HttpStatus() != e.status || s.RequestId() == "" ||
			s.HostId() != f.Addr() {
			t.Errorf("%v: %v", e.err, err)
		}
	}
}

// exerciseSDK calls every Action through the typed client.
func exerciseSDK(t *testing.T, addr, id, secret, chainCode, typeCode string) {
	t.Helper()
	c := sdk(t, addr, id, secret)
	key := func(s string) string { return "0001_" + chainCode + "_" + typeCode + "_" + s }
	value := "某公司某业务数据。 a b+c*d~e/f&g=h'(!)\u2028"

	list := ltl.CreateListProofChainRequest()
	list.ApiVersion, list.Num, list.Size = "1.0.0", requests.NewInteger(1), requests.NewInteger(10)
	chains, err := c.ListProofChain(list)
	if err != nil || !chains.Success || len(chains.Data.PageData) != 1 || chains.Data.Total != 1 ||
		chains.Data.PageData[0].BizChainCode != chainCode ||
		chains.Data.PageData[0].DataTypeCode != typeCode || chains.Data.PageData[0].RoleType != "MEMBER" {
		t.Fatalf("%+v %v", chains, err)
	}
	set := ltl.CreateSetDataRequest()
	set.ApiVersion, set.Key, set.ProductKey, set.Value = "1.0.0", key("sdk1"), chainCode, value
	if r, err := c.SetData(set); err != nil || !r.Success || r.Code != 200 || r.Data != "" || len(r.RequestId) != 36 {
		t.Fatalf("%+v %v", r, err)
	}
	if r, err := c.SetData(set); err != nil || r.Success || r.Code != -317 || r.Message == "" {
		t.Fatalf("%+v %v", r, err)
	}
	get := ltl.CreateGetDataRequest()
	get.ApiVersion, get.Key, get.ProductKey = "1.0.0", key("sdk1"), chainCode
	if r, err := c.GetData(get); err != nil || !r.Success || r.Data != value {
		t.Fatalf("%+v %v", r, err)
	}
	info := ltl.CreateGetBlockChainInfoRequest()
	info.ApiVersion, info.Key, info.ProductKey = "1.0.0", key("sdk1"), chainCode
	if r, err := c.GetBlockChainInfo(info); err != nil || !r.Success ||
		!strings.HasPrefix(r.Data, `{"blockChainInfo":{"chainName":"`) {
		t.Fatalf("%+v %v", r, err)
	}
	for i := range 3 {
		attach := ltl.CreateAttachDataRequest()
		attach.ApiVersion, attach.Key, attach.ProductKey, attach.Value = "1.0.0", key("sdk2"), chainCode, fmt.Sprint(value, i)
		if r, err := c.AttachData(attach); err != nil || !r.Success {
			t.Fatalf("%+v %v", r, err)
		}
	}
	count := ltl.CreateGetHistoryDataCountRequest()
	count.ApiVersion, count.Key, count.ProductKey = "1.0.0", key("sdk2"), chainCode
	if r, err := c.GetHistoryDataCount(count); err != nil || !r.Success || r.Data != "3" {
		t.Fatalf("%+v %v", r, err)
	}
	history := ltl.CreateGetHistoryDataListRequest()
	history.ApiVersion, history.Key, history.ProductKey = "1.0.0", key("sdk2"), chainCode
	history.CurrentPage, history.PageSize = requests.NewInteger(1), requests.NewInteger(2)
	rows, err := c.GetHistoryDataList(history)
	if err != nil || !rows.Success || len(rows.Data.Data) != 2 || rows.Data.Data[0]["value"] != value+"2" ||
		rows.Data.Data[0]["seq"] != "1" ||
		rows.Data.Data[1]["totalCount"] != "3" || len(rows.Data.Data[0]["businessId"].(string)) != 16 {
		t.Fatalf("%+v %v", rows, err)
	}
	get.BusinessId, get.Key = rows.Data.Data[1]["businessId"].(string), key("sdk2")
	if r, err := c.GetData(get); err != nil || r.Data != value+"1" {
		t.Fatalf("%+v %v", r, err)
	}
	exerciseSDKErrors(t, addr, id, chainCode, set, history)
}

// exerciseSDKErrors provokes errors. No response may make the client panic.
func exerciseSDKErrors(t *testing.T, addr, id, chainCode string, set *ltl.SetDataRequest, history *ltl.GetHistoryDataListRequest) {
	t.Helper()
	c := sdk(t, addr, id, id+"-secret")
	history.PageSize = requests.NewInteger(101)
	if r, err := c.GetHistoryDataList(history); err != nil || r.Success || r.Code != 400 || r.Message == "" {
		t.Fatalf("%+v %v", r, err)
	}
	keyless := ltl.CreateSetDataRequest()
	keyless.ApiVersion, keyless.ProductKey, keyless.Value = "1.0.0", chainCode, "v"
	_, err := c.SetData(keyless)
	var s *sdkerrors.ServerError
	if !errors.As(err, &s) || s.ErrorCode() != "MissingKey" || s.HttpStatus() != 400 {
		t.Fatalf("%v", err)
	}
	_, err = sdk(t, addr, id, "wrong").SetData(set)
	if !errors.As(err, &s) || s.ErrorCode() != "SignatureDoesNotMatch" ||
		!strings.Contains(s.Recommend(), "InvalidAccessKeySecret") {
		t.Fatalf("%v", err)
	}
	_, err = sdk(t, addr, "unknown", "wrong").SetData(set)
	if !errors.As(err, &s) || s.ErrorCode() != "InvalidAccessKeyId.NotFound" || s.HttpStatus() != 404 {
		t.Fatalf("%v", err)
	}
}

func TestKeysArriveWhileServing(t *testing.T) {
	n := newFakeNetwork()
	f := openFake(t, n)
	eventually(t, "ready", func() bool { return f.Ready() == nil })
	n.keys <- sealed(t, "fresh", memberUID, "fresh-secret", 100)
	get := ltl.CreateGetDataRequest()
	get.ApiVersion, get.Key, get.ProductKey = "1.0.0", keyOf("0X58", "none"), chainA
	if r, err := sdk(t, f.Addr(), "fresh", "fresh-secret").GetData(get); err != nil || r.Code != 404 {
		t.Fatalf("%+v %v", r, err)
	}
	r, err := http.Get("http://" + f.AdminAddr() + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	b, err := io.ReadAll(r.Body)
	if err = errors.Join(err, r.Body.Close()); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(b), `ltl_facade_calls_total{action="GetData",code="404"} 1`) {
		t.Errorf("metrics: %s", b)
	}
}

// eventually waits for a condition.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); !ok(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("never %s", what)
		}
	}
}

func TestCloseAnswersCallsUnderWay(t *testing.T) {
	n := newFakeNetwork()
	n.hold = make(chan struct{})
	f := openFake(t, n)
	eventually(t, "ready", func() bool { return f.Ready() == nil })
	set := ltl.CreateSetDataRequest()
	set.ApiVersion, set.Key, set.ProductKey, set.Value = "1.0.0", keyOf("0X58", "last"), chainA, "v"
	c := sdk(t, f.Addr(), "member", "member-secret")
	answered := make(chan error, 1)
	go func() {
		r, err := c.SetData(set)
		if err == nil && !r.Success {
			err = errors.New(r.Message)
		}
		answered <- err
	}()
	eventually(t, "in flight", func() bool { return f.pending.has(keyOf("0X58", "last"), "") })
	closed := make(chan error, 1)
	go func() { closed <- f.Close() }()
	eventually(t, "closing", func() bool { return f.Ready() != nil })
	close(n.hold)
	if err := <-answered; err != nil {
		t.Errorf("the call under way: %v", err)
	}
	if err := <-closed; err != nil {
		t.Error(err)
	}
	if _, err := c.SetData(set); err == nil {
		t.Error("a closed facade answers")
	}
}
