package console_test

import (
	"context"
	"encoding/hex"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync/atomic"
	"time"

	"google.golang.org/protobuf/proto"

	"ltl/client"
	"ltl/console"
	"ltl/internal/identity"
	"ltl/internal/ledger"
	ltlv1 "ltl/proto/ltl/v1"
)

// ownConsole is the console of an organisation for one reader.
type ownConsole struct {
	*world
	browser *http.Client
	address string
	// votes are the proposals on which the console voted, refusal what a vote is refused with.
	votes   []string
	refusal atomic.Pointer[console.Refusal]
	console *console.Console
}

// startOwn serves the console of org2, whose operator votes; a client does not.
func (w *world) startOwn(role identity.Role) *ownConsole {
	w.t.Helper()
	dir := "console-" + string(role)
	id := identity.Identity{Organisation: "org2", Role: role, Name: "reader"}
	w.Issue(dir, id)
	o := &ownConsole{browser: browser(w.t)}
	cfg := console.OrganisationConfig{Client: w.OpenClient(dir), Trust: w.Trust(), Identity: id,
		Expires: time.Now().Add(24 * time.Hour)}
	if role == identity.RoleOperator {
		cfg.Vote = func(_ context.Context, id string, approve bool) error {
			if refusal := o.refusal.Load(); refusal != nil {
				return refusal
			}
			o.votes = append(o.votes, id+map[bool]string{true: " approve", false: " reject"}[approve])
			return nil
		}
	}
	c, err := console.NewOrganisation(cfg)
	if err != nil {
		w.t.Fatal(err)
	}
	server := httptest.NewServer(c)
	w.t.Cleanup(func() {
		c.Close()
		server.Close()
	})
	o.world = &world{Network: w.Network, t: w.t, origin: server.URL, admin: w.admin, member: w.member, proof: w.proof,
		group: w.group, empty: w.empty, own: w.own}
	o.address, o.console = server.URL+console.Prefix, c
	return o
}

// enter uses a link.
func (o *ownConsole) enter(link string) *page {
	_, fragment, _ := strings.Cut(link, "#")
	form, err := url.ParseQuery(fragment)
	if err != nil {
		o.t.Fatal(err)
	}
	return o.do(o.browser, http.MethodPost, "/console/sign-in", form)
}

// propose makes a proposal of org1 to which org2 has not said anything.
func (w *world) propose(words string) string {
	w.t.Helper()
	c := w.Client(identity.RoleOperator)
	payload, err := proto.Marshal(&ltlv1.Transaction{ChainId: ledger.SystemChain,
		Action: &ltlv1.Transaction_RemoveOrganisation{RemoveOrganisation: &ltlv1.RemoveOrganisation{Id: words}}})
	if err != nil {
		w.t.Fatal(err)
	}
	prepared, err := c.Ledger().PrepareProposal(w.t.Context(), &ltlv1.PrepareProposalRequest{Transaction: payload})
	if err != nil || !prepared.GetProposal() {
		w.t.Fatalf("%v, error %v", prepared, err)
	}
	propose := prepared.GetPropose()
	propose.ExpiryMs = time.Now().Add(time.Hour).UnixMilli()
	tx := &ltlv1.Transaction{ChainId: ledger.SystemChain, Action: &ltlv1.Transaction_Propose{Propose: propose}}
	w.Submit(identity.RoleOperator, tx)
	id, err := client.TransactionID(tx)
	if err != nil {
		w.t.Fatal(err)
	}
	return hex.EncodeToString(id[:])
}

// organisation reads every page of an organisation's console in both languages, as an operator and as an auditor.
func (w *world) organisation() {
	id := w.propose("org3")
	w.signIn(w.admin)
	tx := w.transactions(w.proof.GetChainId())[0]
	for _, role := range []identity.Role{identity.RoleOperator, identity.RoleClient} {
		o := w.startOwn(role)
		o.links()
		o.ownPages(id, tx)
		o.vote(id)
		if role == identity.RoleClient {
			o.silent()
		}
	}
}

// silent: an endorser that is stopped is pointed out; without the own one there is no page, and no other copy is shown.
func (o *ownConsole) silent() {
	o.StopEndorser(2)
	for _, path := range []string{"/console/", "/console/health"} {
		if p := o.get(o.browser, path, "Accept-Language", "en"); p.status != http.StatusOK ||
			strings.Count(p.body, "does not answer") != 1 {
			o.t.Errorf("%s does not say that an endorser is silent: %d\n%s", path, p.status, p.body)
		}
	}
	o.RestartEndorser(2)
	o.StopEndorser(1)
	for _, path := range []string{"/console/", "/console/accounts", "/console/c/" + o.proof.GetChainId() + "/blocks"} {
		if p := o.get(o.browser, path, "Accept-Language", "en"); p.status != http.StatusServiceUnavailable ||
			!strings.Contains(p.body, "The endorser of org2 does not answer") {
			o.t.Errorf("%s without the own endorser: %d\n%s", path, p.status, p.body)
		}
	}
	o.RestartEndorser(1)
}

// links: without a link nothing is shown, each signs in once, and one of another console does not.
func (o *ownConsole) links() {
	for _, r := range console.OwnRows(o.console.Votes()) {
		p := o.do(nil, r.Method, strings.NewReplacer("{chain}", o.proof.GetChainId(), "{id}", strings.Repeat("ab", 32),
			"{uid}", o.admin.uid).Replace(r.Path), nil)
		o.checkHeaders(r.Path, p)
		if r.Scope != "open" && p.status != http.StatusSeeOther && p.status != http.StatusMethodNotAllowed {
			o.t.Errorf("%s %s without a session: %d", r.Method, r.Path, p.status)
		}
	}
	link := o.console.Link(o.address)
	if p := o.enter(strings.Replace(link, "mac=", "mac=00", 1)); p.status != http.StatusForbidden {
		o.t.Errorf("a forged link: %d", p.status)
	}
	if p := o.enter(o.console.Link("http://127.0.0.1:1/console/")); p.status != http.StatusForbidden {
		o.t.Errorf("a link to another address: %d", p.status)
	}
	if p := o.enter(link); p.status != http.StatusSeeOther {
		o.t.Fatalf("a link: %d\n%s", p.status, p.body)
	}
	if p := o.enter(link); p.status != http.StatusForbidden {
		o.t.Errorf("a link that is used again: %d", p.status)
	}
	if p := o.get(o.browser, "/console/", "Host", "evil.example"); p.status != http.StatusMisdirectedRequest {
		o.t.Errorf("under another name: %d", p.status)
	}
	if p := o.get(o.admin.browser, "/console/"); p.status != http.StatusSeeOther {
		o.t.Errorf("a session of a facade's console is taken: %d", p.status)
	}
}

// ownPages reads every page, and looks for what it has to say.
func (o *ownConsole) ownPages(proposal, tx string) {
	wanted := map[string][]string{
		"/console/":                        {"org3", "org2"},
		"/console/health":                  {"endorser/org1", "endorser/org3", "0000000000000000"},
		"/console/proposals":               {"org3", proposal[:12]},
		"/console/proposals?all=1":         {"org3", proposal[:12]},
		"/console/proposals/" + proposal:   {proposal, "org1/operator/", "org3"},
		"/console/organisations":           {"org1", "org2", "org3"},
		"/console/certificates":            {"org2/", "org1"},
		"/console/accounts":                {o.admin.uid},
		"/console/accounts?value=" + "0":   {},
		"/console/accounts/" + o.admin.uid: {o.admin.key, o.proof.GetChainId()},
		"/console/enrolments":              {},
		"/console/chains":                  {o.proof.GetChainId(), o.empty.GetChainId()},
		"/console/search?q=nothing":        {},
		"/console/verify":                  {},
		"/console/sign-in":                 nil,
	}
	for _, chain := range []string{o.proof.GetChainId(), o.group.GetChainId(), o.empty.GetChainId(), ledger.SystemChain} {
		for _, rest := range []string{"/", "/endorsers", "/blocks", "/blocks/0"} {
			wanted["/console/c/"+chain+rest] = nil
		}
	}
	proof := "/console/c/" + o.proof.GetChainId()
	wanted[proof+"/endorsers"] = []string{"org1", "org2", "org3"}
	wanted[proof+"/records?key="+o.keyOf(o.member, "a")] = o.own
	wanted[proof+"/r/"+tx] = []string{tx}
	for path, texts := range wanted {
		for _, lang := range []string{"zh-CN", "en"} {
			p := o.get(o.browser, path, "Accept-Language", lang)
			o.checkHeaders(path, p)
			if path == "/console/sign-in" && p.status == http.StatusSeeOther { // it has a session
				continue
			}
			if p.status != http.StatusOK {
				o.t.Errorf("%s: %d\n%s", path, p.status, p.body)
				continue
			}
			if !strings.Contains(path, "verify") {
				o.checkHTML(path, p, lang)
			}
			for _, text := range texts {
				if !strings.Contains(p.body, text) {
					o.t.Errorf("%s does not have %q:\n%s", path, text, p.body)
				}
			}
			if strings.Contains(p.body, o.admin.secret) {
				o.t.Errorf("%s has a secret in it", path)
			}
		}
	}
	for _, path := range []string{"/console/proposals/" + strings.Repeat("ab", 32), "/console/proposals/x",
		"/console/accounts/1", "/console/c/9999999999999999/", proof + "/members", proof + "/sources", "/console/nothing",
		"/console/c/" + ledger.SystemChain + "/records"} {
		if p := o.get(o.browser, path); p.status != http.StatusNotFound {
			o.t.Errorf("%s: %d, want 404", path, p.status)
		}
	}
}

// vote: an operator's form votes once on what the page showed, and shows a refusal; an auditor has no form.
func (o *ownConsole) vote(proposal string) {
	path := "/console/proposals/" + proposal
	shown := o.get(o.browser, path)
	may := o.console.Votes()
	if strings.Contains(shown.body, `name="vote"`) != may {
		o.t.Errorf("the form of a vote is shown: %v, want %v", !may, may)
	}
	approve := url.Values{"vote": {"approve"}}
	if !may {
		if p := o.do(o.browser, http.MethodPost, path, approve); p.status == http.StatusSeeOther || len(o.votes) > 0 {
			o.t.Errorf("an auditor votes: %d", p.status)
		}
		return
	}
	for _, c := range []struct {
		path   string
		form   url.Values
		header []string
		want   int
	}{
		{path, url.Values{}, nil, http.StatusBadRequest},
		{path, url.Values{"vote": {"perhaps"}}, nil, http.StatusBadRequest},
		{"/console/proposals/" + proposal[:12], approve, nil, http.StatusBadRequest},
		{path, approve, []string{"Origin", "http://evil.example"}, http.StatusForbidden},
	} {
		if p := o.do(o.browser, http.MethodPost, c.path, c.form, c.header...); p.status != c.want {
			o.t.Errorf("a vote %v on %s: %d, want %d", c.form, c.path, p.status, c.want)
		}
	}
	if p := o.do(nil, http.MethodPost, path, approve); p.status != http.StatusSeeOther ||
		!strings.Contains(p.header.Get("Location"), "sign-in") {
		o.t.Errorf("a vote without a session: %d", p.status)
	}
	if len(o.votes) > 0 {
		o.t.Fatalf("it voted %v", o.votes)
	}
	o.refusal.Store(&console.Refusal{Code: "refused", Message: "the quorum <b>is lost</b>"})
	if p := o.do(o.browser, http.MethodPost, path, approve); p.status != http.StatusConflict ||
		!strings.Contains(p.body, "the quorum &lt;b&gt;is lost") {
		o.t.Errorf("a refused vote: %d\n%s", p.status, p.body)
	}
	o.refusal.Store(nil)
	for _, vote := range []string{"approve", "reject"} {
		p := o.do(o.browser, http.MethodPost, path, url.Values{"vote": {vote}})
		if p.status != http.StatusSeeOther || len(o.votes) == 0 || o.votes[len(o.votes)-1] != proposal+" "+vote {
			o.t.Errorf("%s: %d, voted %v", vote, p.status, o.votes)
		}
		said := o.get(o.browser, p.header.Get("Location"), "Accept-Language", "en")
		if !strings.Contains(said.body, "The vote is on the ledger") {
			o.t.Errorf("after it voted to %s the page says\n%s", vote, said.body)
		}
	}
}
