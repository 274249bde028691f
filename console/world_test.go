package console_test

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"
	"golang.org/x/net/html"

	"ltl/client"
	"ltl/console"
	"ltl/facade"
	"ltl/internal/identity"
	"ltl/internal/ledger"
	"ltl/internal/localnet"
	ltlv1 "ltl/proto/ltl/v1"
	"ltl/test/testkit"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// person is an account with an AccessKey, and a browser of its own.
type person struct {
	name, uid, key, secret string
	caller                 *localnet.Caller
	browser                *http.Client
}

// world is a network with a facade that serves the console, and accounts on its chains.
type world struct {
	*testkit.Network
	t      *testing.T
	facade *facade.Facade
	origin string
	ahead  atomic.Int64 // by how much the console's clock is ahead

	admin, member, other, locked, outsider, none, fresh *person
	// proof and group are chains with records, empty is one without.
	proof, group, empty *ltlv1.ChainInfo
	phaseGroup, phase   string
	// sourceGroup is a device group of the member, aMember the MemberId of one on the proof chain.
	sourceGroup, aMember string
	client               *client.Client // the facade's
	// own is what the member may read, foreign what it may not: texts that stand nowhere else.
	own, foreign []string
	serial       int
}

func (w *world) clock() time.Time { return time.Now().Add(time.Duration(w.ahead.Load())) }

func newWorld(t *testing.T) *world {
	w := &world{Network: testkit.Start(t, testkit.Options{}), t: t, sourceGroup: "none", aMember: "none"}
	sealing, err := os.ReadFile(filepath.Join(w.Dir, "facades", "f1", "sealing.key"))
	if err != nil {
		t.Fatal(err)
	}
	trust := w.Trust()
	w.client, err = client.Open(client.Config{Credentials: w.Credentials("facades/f1", trust), Trust: trust,
		Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	w.facade, err = facade.Open(context.Background(), facade.Config{
		Listen: "127.0.0.1:0", Client: w.client, Network: w.Trust().NetworkID(), SealingKey: sealing,
		Console: &console.Options{Trust: w.Trust(), Hosts: []string{"console.example"}}, Clock: w.clock,
		Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		http.DefaultClient.CloseIdleConnections()
		if err := errors.Join(w.facade.Close(), w.client.Close()); err != nil {
			t.Error(err)
		}
	})
	w.origin = "http://" + w.facade.Addr()
	for name, p := range map[string]**person{"admin": &w.admin, "member": &w.member, "other": &w.other,
		"locked": &w.locked, "outsider": &w.outsider, "none": &w.none, "fresh": &w.fresh} {
		*p = w.person(name)
	}
	w.fill()
	return w
}

func (w *world) submit(tx *ltlv1.Transaction) string {
	tx.ChainId = ledger.SystemChain
	return w.Submit(identity.RoleOperator, tx).GetOutput()
}

func (w *world) person(name string) *person {
	uid := w.submit(&ltlv1.Transaction{Action: &ltlv1.Transaction_CreateAccount{CreateAccount: &ltlv1.CreateAccount{
		Name: name, Type: ltlv1.AccountType_ACCOUNT_TYPE_RAM, Organisation: "org1"}}})
	p := &person{name: name, uid: uid, key: "LTAIkeyof" + name, secret: "the secret of " + name}
	w.PutAccessKey(testkit.Account{UID: uid, Organisation: "org1"}, p.key, p.secret)
	p.caller = &localnet.Caller{Endpoint: w.origin, AccessKeyID: p.key, Secret: p.secret}
	p.browser = browser(w.t)
	return p
}

// browser keeps cookies and follows no redirect.
func browser(t *testing.T) *http.Client {
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	transport := &http.Transport{}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Jar: jar, Transport: transport, Timeout: time.Minute,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
}

func (w *world) chain(name string, service ltlv1.ChainService, admin *person) *ltlv1.ChainInfo {
	id := w.submit(&ltlv1.Transaction{Action: &ltlv1.Transaction_CreateChain{CreateChain: &ltlv1.CreateChain{Name: name,
		Service: service, AdministratorUid: admin.uid, Edition: ltlv1.Edition_EDITION_ENTERPRISE, MemberQuota: 100,
		PhaseGroupQuota: 10, PhaseQuota: 10, CountQuota: 1000, Organisations: []string{"org1", "org2", "org3"}}}})
	out, err := w.Client(identity.RoleOperator).Ledger().GetChain(w.t.Context(), &ltlv1.GetChainRequest{ChainId: id,
		AccountUid: admin.uid})
	if err != nil {
		w.t.Fatal(err)
	}
	return out.GetChain()
}

// call calls an Action over the API and returns its Data.
func (w *world) call(p *person, action string, parameters map[string]string) string {
	w.t.Helper()
	ahead := w.ahead.Swap(0) // the API compares the clock with that of its callers
	defer w.ahead.Store(ahead)
	_, body, err := p.caller.Call(w.t.Context(), action, parameters)
	var out struct {
		Success bool
		Data    any
	}
	if err != nil || json.Unmarshal(body, &out) != nil || !out.Success {
		w.t.Fatalf("%s by %s: %v, %s", action, p.name, err, body)
	}
	return fmt.Sprint(out.Data)
}

// secretText is a text that stands nowhere else.
func (w *world) secretText(name string) string {
	w.serial++
	return fmt.Sprintf("%s-%08x", name, sha256.Sum256(fmt.Append(nil, name, w.serial)))[:len(name)+17]
}

func (w *world) code(c *ltlv1.ChainInfo, p *person) string {
	out, err := w.Client(identity.RoleOperator).Ledger().GetChain(w.t.Context(), &ltlv1.GetChainRequest{
		ChainId: c.GetChainId(), AccountUid: p.uid})
	if err != nil {
		w.t.Fatal(err)
	}
	return out.GetChain().GetDataTypeCode()
}

func (w *world) keyOf(p *person, id string) string {
	return "0001_" + w.proof.GetChainCode() + "_" + w.code(w.proof, p) + "_" + id
}

// fill makes chains, members, records and phases.
func (w *world) fill() {
	proof, group := ltlv1.ChainService_CHAIN_SERVICE_PROOF, ltlv1.ChainService_CHAIN_SERVICE_COLLABORATION
	w.proof, w.group = w.chain("proofs", proof, w.admin), w.chain("shared", group, w.admin)
	w.empty = w.chain("empty", proof, w.admin)
	for _, c := range []*ltlv1.ChainInfo{w.proof, w.group} {
		for _, p := range []*person{w.member, w.other, w.locked} {
			contact, remark := "c"+p.key[len(p.key)-4:], w.secretText("remark")
			id := w.call(w.admin, "CreateMember", map[string]string{"BizChainId": c.GetChainId(), "MemberUid": p.uid,
				"MemberName": p.name, "MemberContact": contact, "MemberPhone": "555-0199", "Remark": remark})
			w.foreign = append(w.foreign, remark)
			if p == w.locked {
				w.call(w.admin, "LockMember", map[string]string{"BizChainId": c.GetChainId(), "MemberId": id})
			}
		}
	}
	w.foreign = append(w.foreign, "555-0199")
	for _, p := range []*person{w.admin, w.member, w.other} {
		for i := range 3 {
			text := w.secretText(p.name)
			w.call(p, "AttachData", map[string]string{"ProductKey": w.proof.GetChainCode(), "Key": w.keyOf(p, "a"),
				"Value": text, "BusinessId": fmt.Sprintf("%064x", w.serial+i)})
			if p == w.member {
				w.own = append(w.own, text)
			} else {
				w.foreign = append(w.foreign, text)
			}
		}
		if p != w.member { // what a Key is called is foreign, too
			id := w.secretText("key")
			w.foreign = append(w.foreign, id)
			w.call(p, "SetData", map[string]string{"ProductKey": w.proof.GetChainCode(), "Key": w.keyOf(p, id), "Value": "x"})
		}
	}
	on := map[string]string{"BizChainId": w.group.GetChainId()}
	with := func(more map[string]string) map[string]string {
		all := map[string]string{}
		for _, m := range []map[string]string{on, more} {
			for k, v := range m {
				all[k] = v
			}
		}
		return all
	}
	w.phaseGroup = w.call(w.admin, "CreateMPCoSPhaseGroup", with(map[string]string{"Name": "deliveries"}))
	w.phase = w.call(w.admin, "CreateMPCoSPhase", with(map[string]string{"Name": "loading", "PhaseGroupId": w.phaseGroup}))
	w.call(w.admin, "UploadMPCoSPhaseTextInfo", with(map[string]string{"PhaseGroupId": w.phaseGroup, "PhaseId": w.phase,
		"DataKey": "lorry-1", "PhaseData": `{"load": "shared by all members"}`}))
}

// page is an answer of the console.
type page struct {
	status int
	header http.Header
	body   string
}

// get reads a page; a nil browser has no cookies.
func (w *world) get(b *http.Client, path string, header ...string) *page {
	w.t.Helper()
	return w.do(b, http.MethodGet, path, nil, header...)
}

func (w *world) do(b *http.Client, method, path string, form url.Values, header ...string) *page {
	w.t.Helper()
	req, err := http.NewRequestWithContext(w.t.Context(), method, w.origin+path, strings.NewReader(form.Encode()))
	if err != nil {
		w.t.Fatal(err)
	}
	if form != nil {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		req.Header.Set("Origin", w.origin)
	}
	for i := 0; i+1 < len(header); i += 2 {
		if header[i] == "Host" {
			req.Host = header[i+1]
		}
		req.Header.Set(header[i], header[i+1])
	}
	if b == nil {
		b = browser(w.t)
	}
	res, err := b.Do(req)
	if err != nil {
		w.t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		w.t.Fatal(err)
	}
	return &page{res.StatusCode, res.Header, string(body)}
}

// form is what the browser sends to sign in, with the challenge of a page that it read.
func (w *world) form(key, secret string) url.Values {
	w.t.Helper()
	p := w.get(nil, "/console/sign-in")
	inputs := map[string]string{}
	network := ""
	for n := range parsed(w.t, p.body).Descendants() {
		if n.Data == "input" {
			inputs[attribute(n, "name")] = attribute(n, "value")
		}
		if n.Data == "form" && attribute(n, "id") == "sign-in" {
			network = attribute(n, "data-network")
		}
	}
	if inputs["challenge"] == "" {
		w.t.Fatalf("the page for signing in has no challenge: %d\n%s", p.status, p.body)
	}
	return url.Values{"id": {key}, "challenge": {inputs["challenge"]},
		"mac": {mac(secret, console.SignInMessage(network, w.origin, inputs["challenge"], key))}}
}

func mac(secret, message string) string {
	m := hmac.New(sha256.New, []byte(secret))
	m.Write([]byte(message))
	return hex.EncodeToString(m.Sum(nil))
}

// signIn signs a person in.
func (w *world) signIn(p *person) {
	w.t.Helper()
	if w.signedIn(p.browser) {
		return
	}
	if got := w.post(p.browser, w.form(p.key, p.secret)); got.status != 303 {
		w.t.Fatalf("%s cannot sign in: %d\n%s", p.name, got.status, got.body)
	}
}

func parsed(t *testing.T, body string) *html.Node {
	t.Helper()
	n, err := html.Parse(strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func attribute(n *html.Node, name string) string {
	for _, a := range n.Attr {
		if a.Key == name {
			return a.Val
		}
	}
	return ""
}
