package console_test

import (
	"bufio"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"ltl/client/device"
	ltlv1 "ltl/proto/ltl/v1"
)

// send sends a form of a page.
func (w *world) send(p *person, path, action string, fields ...string) *page {
	w.t.Helper()
	w.serial++
	form := url.Values{"action": {action}, "nonce": {fmt.Sprintf("%032x", w.serial)}}
	for i := 0; i+1 < len(fields); i += 2 {
		form.Add(fields[i], fields[i+1])
	}
	return w.do(p.browser, http.MethodPost, path, form)
}

// does sends a form that has to succeed, and checks that the page it leads to names the block.
func (w *world) does(p *person, path, action string, fields ...string) string {
	w.t.Helper()
	got := w.send(p, path, action, fields...)
	to := got.header.Get("Location")
	if got.status != http.StatusSeeOther || !strings.HasPrefix(to, path+"?done=") {
		w.t.Fatalf("%s on %s: %d, to %q\n%s", action, path, got.status, to, got.body)
	}
	shown := w.get(p.browser, to)
	if shown.status != http.StatusOK || !strings.Contains(shown.body, `role="status"`) {
		w.t.Errorf("after %s: %d\n%s", action, shown.status, shown.body)
	}
	return shown.body
}

// acts adds, edits, locks and unlocks members, sources and phases, as the manual's console does.
func (w *world) acts() {
	w.signIn(w.admin)
	w.signIn(w.member)
	w.memberActs()
	w.sourceActs()
	w.phaseActs()
}

func (w *world) memberActs() {
	at := "/console/c/" + w.proof.GetChainId() + "/members"
	fields := []string{"MemberUid", w.fresh.uid, "MemberName", "新成员", "MemberContact", "张三", "MemberPhone", "138-0000"}
	body := w.does(w.admin, at, "CreateMember", fields...)
	if !strings.Contains(body, "新成员") || !strings.Contains(body, w.fresh.uid) {
		w.t.Error("the new member is not in the list")
	}
	again := w.send(w.admin, at, "CreateMember", fields...)
	if again.status != http.StatusConflict || !strings.Contains(again.body, `value="138-0000"`) ||
		!strings.Contains(again.body, `role="alert"`) {
		w.t.Errorf("a member that is there already: %d\n%s", again.status, again.body)
	}
	w.checkHTML(at, again, "en")
	for by, value := range map[string]string{"name": "新成员", "contact": "张三", "uid": w.fresh.uid} {
		p := w.get(w.admin.browser, at+"?by="+by+"&value="+url.QueryEscape(value))
		if !strings.Contains(p.body, w.fresh.uid) || strings.Contains(p.body, w.other.uid) {
			w.t.Errorf("a search for %s %s does not find that member alone", by, value)
		}
	}
	id := w.memberID(w.fresh.uid)
	w.aMember = id
	w.does(w.admin, at, "LockMember", "MemberId", id)
	if p := w.get(w.admin.browser, at+"?by=uid&value="+w.fresh.uid); !strings.Contains(p.body, "UnLockMember") {
		w.t.Error("the member is not locked")
	}
	w.does(w.admin, at, "UnLockMember", "MemberId", id)
	edited := append([]string{"MemberId", id}, fields...)
	edited[len(edited)-1] = "139-0000"
	if body := w.does(w.admin, at+"/"+id, "ModifyMember", edited...); !strings.Contains(body, `value="139-0000"`) {
		w.t.Error("the member is not changed")
	}
	// The same form twice is one change.
	form := url.Values{"action": {"LockMember"}, "nonce": {strings.Repeat("ab", 16)}, "MemberId": {id}}
	w.do(w.admin.browser, http.MethodPost, at, form)
	if p := w.do(w.admin.browser, http.MethodPost, at, form); p.status != http.StatusConflict {
		w.t.Errorf("a form that was sent twice: %d", p.status)
	}
	for what, p := range map[string]*page{
		"a form without a nonce":         w.do(w.admin.browser, http.MethodPost, at, url.Values{"action": {"LockMember"}}),
		"an Action of another page":      w.send(w.admin, at, "CreateMPCoSPhase"),
		"an Action that there is not":    w.send(w.admin, at, "DeleteMember"),
		"an Action that changes nothing": w.send(w.admin, at, "ListMember"),
	} {
		if p.status != http.StatusBadRequest {
			w.t.Errorf("%s: %d", what, p.status)
		}
	}
	if p := w.send(w.member, at, "CreateMember", fields...); p.status != http.StatusNotFound {
		w.t.Errorf("a member adds a member: %d", p.status)
	}
}

// memberID is the MemberId of an account on the proof chain.
func (w *world) memberID(uid string) string {
	w.t.Helper()
	body := w.get(w.admin.browser, "/console/c/"+w.proof.GetChainId()+"/members?by=uid&value="+uid).body
	_, after, ok := strings.Cut(body, `name="MemberId" value="`)
	if !ok {
		w.t.Fatalf("no member %s:\n%s", uid, body)
	}
	id, _, _ := strings.Cut(after, `"`)
	return id
}

// sourceActs has a member register a device group, a device of it write, and the administrator withdraw both.
func (w *world) sourceActs() {
	at := "/console/c/" + w.proof.GetChainId() + "/sources"
	key, err := device.Generate(device.ECC)
	if err != nil {
		w.t.Fatal(err)
	}
	pem, err := key.EncodePublic()
	if err != nil {
		w.t.Fatal(err)
	}
	_, der, err := device.ParsePublic(pem)
	if err != nil {
		w.t.Fatal(err)
	}
	const product, iotID = "consoleProd", "00FFFF0000000000000000AB"
	w.submit(&ltlv1.Transaction{Action: &ltlv1.Transaction_ClaimProduct{ClaimProduct: &ltlv1.ClaimProduct{
		ProductKey: product, ChainId: w.proof.GetChainId()}}})
	w.submit(&ltlv1.Transaction{Action: &ltlv1.Transaction_EnrollDevice{EnrollDevice: &ltlv1.EnrollDevice{
		ProductKey: product, IotId: iotID, KeyType: ltlv1.DeviceKeyType_DEVICE_KEY_TYPE_ECC_P256, PublicKey: der}}})
	if body := w.does(w.member, at, "RegisterDeviceGroup", "DeviceGroupName", "scales", "ProductKey", product); !strings.
		Contains(body, "scales") {
		w.t.Error("the new device group is not in the list")
	}
	list := w.get(w.member.browser, at).body
	_, after, _ := strings.Cut(list, at+"/")
	group, _, _ := strings.Cut(after, `"`)
	w.sourceGroup = group
	d, err := device.New(iotID, key.Sign)
	if err != nil {
		w.t.Fatal(err)
	}
	signed, err := d.Sign("42.0 kg", product, time.Now())
	if err != nil {
		w.t.Fatal(err)
	}
	all := map[string]string{"ProductKey": w.proof.GetChainCode(), "Key": w.keyOf(w.member, "scale"), "Value": "42.0 kg",
		"IotIdSource": "1"}
	for name, value := range signed.Map() {
		all[name] = value
	}
	w.call(w.member, "SetDataWithSignature", all)
	devices := w.get(w.member.browser, at+"/"+group)
	if !strings.Contains(devices.body, iotID) || strings.Contains(devices.body, "UnAuthorizeDevice") {
		w.t.Errorf("a member's page of its devices:\n%s", devices.body)
	}
	if p := w.send(w.member, at, "UnAuthorizeDeviceGroup", "DeviceGroupId", group); p.status != http.StatusConflict {
		w.t.Errorf("a member withdraws its device group: %d", p.status)
	}
	if p := w.get(w.locked.browser, at+"/"+group); p.status == http.StatusOK {
		w.t.Error("another account sees the device group")
	}
	body := w.get(w.admin.browser, at+"/"+group).body
	_, after, _ = strings.Cut(body, `name="DeviceId" value="`)
	id, _, _ := strings.Cut(after, `"`)
	w.does(w.admin, at+"/"+group, "UnAuthorizeDevice", "DeviceGroupId", group, "DeviceId", id)
	for state, want := range map[string]bool{"on": false, "off": true} {
		if p := w.get(w.admin.browser, at+"/"+group+"?state="+state); strings.Contains(p.body, iotID) != want {
			w.t.Errorf("devices of the state %s:\n%s", state, p.body)
		}
	}
	w.does(w.admin, at+"/"+group, "AuthorizeDevice", "DeviceGroupId", group, "DeviceId", id)
	w.does(w.admin, at, "UnAuthorizeDeviceGroup", "DeviceGroupId", group)
	w.does(w.admin, at, "AuthorizeDeviceGroup", "DeviceGroupId", group)
}

// phaseActs makes a phase group with two phases, renames, and lets the member write to one of them.
func (w *world) phaseActs() {
	at := "/console/c/" + w.group.GetChainId() + "/groups"
	if body := w.does(w.admin, at, "CreateMPCoSPhaseGroup", "Name", "harvest"); !strings.Contains(body, "harvest") {
		w.t.Error("the new phase group is not in the list")
	}
	one := at + "/" + w.phaseGroup
	w.does(w.admin, one, "ModifyMPCoSPhaseGroup", "Name", "transport", "PhaseGroupId", w.phaseGroup)
	w.does(w.admin, one, "CreateMPCoSPhase", "Name", "unloading", "PhaseGroupId", w.phaseGroup)
	w.does(w.admin, one, "ModifyMPCoSPhase", "Name", "loaded", "PhaseId", w.phase)
	body := w.get(w.admin.browser, one).body
	if !strings.Contains(body, "transport") || !strings.Contains(body, "unloading") || !strings.Contains(body, "loaded") {
		w.t.Errorf("the phase group:\n%s", body)
	}
	row := body[strings.Index(body, "<bdi>member</bdi>"):]
	_, after, _ := strings.Cut(row, `name="MemberId" value="`)
	id, _, _ := strings.Cut(after, `"`)
	w.does(w.admin, one, "UpdateMPCoSAuthorizedInfo", "MemberId", id, "PhaseGroupId", w.phaseGroup, "AuthorizedPhaseList",
		w.phase)
	if mine := w.get(w.member.browser, one).body; strings.Count(mine, "read and write") != 1 ||
		strings.Contains(mine, "checkbox") {
		w.t.Errorf("the member's rights:\n%s", mine)
	}
	w.does(w.admin, one, "UpdateMPCoSAuthorizedInfo", "MemberId", id, "PhaseGroupId", w.phaseGroup)
	if mine := w.get(w.member.browser, one).body; strings.Contains(mine, "read and write") {
		w.t.Error("a right that was taken stays")
	}
	if p := w.send(w.member, one, "CreateMPCoSPhase", "Name", "mine", "PhaseGroupId", w.phaseGroup); p.status !=
		http.StatusNotFound {
		w.t.Errorf("a member makes a phase: %d", p.status)
	}
	if p := w.get(w.admin.browser, "/console/c/"+w.proof.GetChainId()+"/groups"); p.status != http.StatusNotFound {
		w.t.Errorf("phase groups of a proof chain: %d", p.status)
	}
}

// live watches a chain: a block that is made is seen, and of another chain none.
func (w *world) live() {
	w.signIn(w.member)
	w.signIn(w.none)
	at := "/console/c/" + w.proof.GetChainId() + "/live"
	if p := w.get(w.none.browser, at); p.status != http.StatusNotFound {
		w.t.Errorf("an account that is not on the chain watches it: %d", p.status)
	}
	res, err := w.member.browser.Get(w.origin + at)
	if err != nil {
		w.t.Fatal(err)
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK || res.Header.Get("Content-Type") != "text/event-stream" {
		w.t.Fatalf("watching: %s", res.Status)
	}
	events := make(chan string)
	go func() {
		defer close(events)
		for lines := bufio.NewScanner(res.Body); lines.Scan(); {
			if data, ok := strings.CutPrefix(lines.Text(), "data: "); ok {
				events <- data
			}
		}
	}()
	// The stream begins with the blocks that are made after the network is followed.
	deadline := time.After(20 * time.Second)
	for i := 0; ; i++ {
		w.call(w.admin, "UploadMPCoSPhaseTextInfo", map[string]string{"BizChainId": w.group.GetChainId(),
			"PhaseGroupId": w.phaseGroup, "PhaseId": w.phase, "DataKey": "live", "PhaseData": "x"})
		w.call(w.admin, "SetData", map[string]string{"ProductKey": w.proof.GetChainCode(),
			"Key": w.keyOf(w.admin, "live"+itoa(i)), "Value": "unseen value"})
		select {
		case data := <-events:
			if strings.Contains(data, "unseen") || !strings.Contains(data, `"organisations":["org`) {
				w.t.Errorf("an event has %s", data)
			}
			return
		case <-time.After(300 * time.Millisecond):
		case <-deadline:
			w.t.Fatal("no block was seen")
		}
	}
}

// broken has every page read while the facade reaches no node: the page says so, and has what it needs to be read again.
func (w *world) broken() {
	w.signIn(w.admin)
	if err := w.client.Close(); err != nil {
		w.t.Fatal(err)
	}
	for _, path := range []string{"/console/", "/console/chains", "/console/c/" + w.proof.GetChainId() + "/",
		"/console/c/" + w.proof.GetChainId() + "/members", "/console/trust.json", "/console/search?q=" + w.proof.GetChainId()} {
		for _, lang := range []string{"zh-CN", "en"} {
			p := w.get(w.admin.browser, path, "Accept-Language", lang)
			if p.status != http.StatusServiceUnavailable {
				w.t.Errorf("%s without a network: %d", path, p.status)
			}
			w.checkHTML(path, p, lang)
			w.checkHeaders(path, p)
		}
	}
}
