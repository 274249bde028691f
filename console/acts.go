package console

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strconv"
)

// act is an Action that a page's form asks for.
type act struct {
	action string
	// params are those that the form has; list is one of them whose values become a JSON list, empty for none.
	params []string
	list   string
	// fixed are further parameters.
	fixed map[string]string
}

// memberFields are the fields of a member in forms.
func memberFields() []string {
	return []string{"MemberName", "MemberUid", "MemberContact", "MemberPhone", "Remark"}
}

// acts are all that the console changes. Each is an Action of the API, with its checks, limits and refusals.
func acts() []act {
	return []act{
		{action: "CreateMember", params: memberFields()},
		{action: "ModifyMember", params: append(memberFields(), "MemberId")},
		{action: "LockMember", params: []string{"MemberId"}},
		{action: "UnLockMember", params: []string{"MemberId"}},
		{action: "RegisterDeviceGroup", params: []string{"DeviceGroupName", "ProductKey", "Remark"},
			fixed: map[string]string{"AuthorizeType": "ID2"}},
		{action: "AuthorizeDeviceGroup", params: []string{"DeviceGroupId"}},
		{action: "UnAuthorizeDeviceGroup", params: []string{"DeviceGroupId"}},
		{action: "AuthorizeDevice", params: []string{"DeviceGroupId", "DeviceId"}},
		{action: "UnAuthorizeDevice", params: []string{"DeviceGroupId", "DeviceId"}},
		{action: "CreateMPCoSPhaseGroup", params: []string{"Name", "Remark"}},
		{action: "ModifyMPCoSPhaseGroup", params: []string{"Name", "PhaseGroupId"}},
		{action: "CreateMPCoSPhase", params: []string{"Name", "PhaseGroupId", "Remark"}},
		{action: "ModifyMPCoSPhase", params: []string{"Name", "PhaseId"}},
		{action: "UpdateMPCoSAuthorizedInfo", params: []string{"MemberId", "PhaseGroupId"}, list: "AuthorizedPhaseList"},
	}
}

// doneView says what an Action did that has more to say than the block it is in.
type doneView struct {
	Text   string
	Height uint64
	Back   string
}

// change is the answer to a form of a page: it runs the Action that the form names, one of those given. After success the
// browser is sent to the page again, which names the block; after a refusal the page is shown with what was typed.
func change(page func(*visit) (*view, error), actions ...string) func(*visit) (*view, error) {
	return func(v *visit) (*view, error) {
		form := v.r.PostForm
		i := slices.IndexFunc(acts(), func(a act) bool { return a.action == form.Get("action") })
		if i < 0 || !slices.Contains(actions, form.Get("action")) {
			return nil, &failure{status: http.StatusBadRequest, key: "error.form"}
		}
		out, err := v.act(acts()[i], form)
		if refusal := new(Refusal); errors.As(err, &refusal) {
			v.refused, v.sent = refusal, form
			shown, err := page(v)
			if err != nil {
				return nil, err
			}
			v.render(http.StatusConflict, shown)
			return nil, errAnswered
		}
		if err != nil {
			return nil, err
		}
		if out.Text != "" && form.Get("action") == "ModifyMember" {
			return &view{name: "done", title: "done.title", data: &doneView{Text: out.Text, Height: out.Height,
				Back: v.r.URL.Path}}, nil
		}
		http.Redirect(v.w, v.r, v.r.URL.Path+"?done="+strconv.FormatUint(out.Height, 10), http.StatusSeeOther)
		return nil, errAnswered
	}
}

// act runs an Action as the session's account. The form's nonce has it executed once, however often it is sent.
func (v *visit) act(a act, form url.Values) (Outcome, error) {
	nonce := form.Get("nonce")
	if raw, err := hex.DecodeString(nonce); err != nil || len(raw) != nonceBytes {
		return Outcome{}, &failure{status: http.StatusBadRequest, key: "error.form"}
	}
	parameters := map[string]string{"BizChainId": v.chain.ID()}
	for name, value := range a.fixed {
		parameters[name] = value
	}
	for _, name := range a.params {
		parameters[name] = form.Get(name)
	}
	if a.list != "" {
		list, err := json.Marshal(append([]string{}, form[a.list]...))
		if err != nil {
			return Outcome{}, err
		}
		parameters[a.list] = string(list)
	}
	v.leave() // the Action counts for the account itself
	// What was sent is not taken back because the visitor goes away.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(v.r.Context()), requestTime)
	defer cancel()
	return v.cfg.Facade.Act(ctx, Act{UID: v.session.uid, KeyID: v.session.token.KeyID, Nonce: "console-" + nonce,
		Action: a.action, Parameters: parameters})
}

// nonceBytes is the number of random bytes of a form.
const nonceBytes = 16

// newNonce makes a form different from all others.
func newNonce() string {
	b := make([]byte, nonceBytes)
	rand.Read(b) // never fails: it ends the process instead
	return hex.EncodeToString(b)
}
