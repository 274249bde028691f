package conformance

import (
	"encoding/json"
	"net/http"
	"reflect"
	"testing"

	"github.com/aliyun/alibaba-cloud-sdk-go/sdk/requests"
	"github.com/aliyun/alibaba-cloud-sdk-go/services/ltl"
)

// sdk is the official Go client of a user. Only its address is changed.
func (w *world) sdk(t *testing.T, u *user) *ltl.Client {
	t.Helper()
	c, err := ltl.NewClientWithAccessKey("cn-shanghai", u.key, u.secret)
	if err != nil {
		t.Fatal(err)
	}
	c.Domain = w.facade.Addr()
	transport := &http.Transport{}
	c.SetTransport(transport)
	t.Cleanup(func() { transport.CloseIdleConnections(); c.Shutdown() })
	return c
}

// testSDK: every Action works through its method of the official Go client, which decodes every member of the
// response.
func (w *world) testSDK(t *testing.T) {
	client := reflect.ValueOf(w.sdk(t, w.admin))
	for _, a := range w.table {
		method := client.MethodByName(a.Name)
		if !method.IsValid() {
			t.Errorf("the official client has no method %s", a.Name)
			continue
		}
		p := w.call(a, w.admin, nil)
		if a.byDevice() && a.batch() { // the device must sign the exact text that the client makes of the list
			list, err := json.Marshal(asMap(t, p["PhaseDataList"]))
			if err != nil {
				t.Fatal(err)
			}
			p = w.call(a, w.admin, params{"PhaseDataList": string(list)})
		}
		out := method.Call([]reflect.Value{sdkRequest(t, a, method.Type().In(0).Elem(), p)})
		if err, failed := out[1].Interface().(error); failed {
			t.Errorf("%s: %v", a.Name, err)
			continue
		}
		r := out[0].Elem()
		raw := out[0].MethodByName("GetHttpContentBytes").Call(nil)[0].Bytes()
		if !r.FieldByName("Success").Bool() || r.FieldByName("Code").Int() != 200 ||
			len(r.FieldByName("RequestId").String()) != 36 {
			t.Errorf("%s: %s", a.Name, raw)
			continue
		}
		typed, err := json.Marshal(r.FieldByName("Data").Interface())
		if err != nil {
			t.Fatal(err)
		}
		var sent struct{ Data any }
		var read any
		if err := json.Unmarshal(raw, &sent); err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(typed, &read); err != nil {
			t.Fatal(err)
		}
		if !holds(read, sent.Data) {
			t.Errorf("%s: the client decodes %s of %s", a.Name, typed, raw)
		}
	}
}

// sdkRequest is the client's request of an Action, made by its constructor, with its typed fields filled in.
func sdkRequest(t *testing.T, a *action, kind reflect.Type, p params) reflect.Value {
	t.Helper()
	request := reflect.New(kind)
	rpc := &requests.RpcRequest{}
	rpc.InitWithApiInfo("ltl", "2019-05-10", a.Name, "", "")
	rpc.Method = requests.POST
	request.Elem().FieldByName("RpcRequest").Set(reflect.ValueOf(rpc))
	for name, text := range p.without(corrections...).with("ApiVersion", "1.0.0") {
		field := request.Elem().FieldByName(name)
		switch {
		case !field.IsValid():
			t.Errorf("the official client's %s has no parameter %s", a.Name, name)
		case field.Type() == reflect.TypeFor[requests.Integer]():
			field.Set(reflect.ValueOf(requests.Integer(text)))
		case field.Type() == reflect.TypeFor[map[string]any]():
			field.Set(reflect.ValueOf(asMap(t, text)))
		default:
			field.SetString(text)
		}
	}
	return request
}

// asMap is a list in the form of this client: a map from numbers.
func asMap(t *testing.T, list string) map[string]any {
	t.Helper()
	root, err := parseJSON([]byte(list))
	if err != nil {
		t.Fatal(err)
	}
	members := map[string]any{}
	if err := json.Unmarshal([]byte(numbered(root, 0)), &members); err != nil {
		t.Fatal(err)
	}
	return members
}

// holds reports whether everything in part is in whole, which may have more members.
func holds(whole, part any) bool {
	switch p := part.(type) {
	case map[string]any:
		m, ok := whole.(map[string]any)
		for name, v := range p {
			ok = ok && holds(m[name], v)
		}
		return ok
	case []any:
		l, ok := whole.([]any)
		ok = ok && len(l) == len(p)
		for i := 0; ok && i < len(p); i++ {
			ok = holds(l[i], p[i])
		}
		return ok
	}
	return reflect.DeepEqual(whole, part)
}
