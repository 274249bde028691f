package conformance

import (
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	"ltl/client/device"
	"ltl/internal/rules"
	ltlv1 "ltl/proto/ltl/v1"
	"ltl/test/testkit"
)

// listForms are the forms in which the official clients send the list of a JSON array.
func listForms(t *testing.T, name, array string) map[string]params {
	t.Helper()
	root, err := parseJSON([]byte(array))
	if err != nil {
		t.Fatal(err)
	}
	forms := map[string]params{"array": {name: array}}
	for _, from := range []int{0, 1} {
		forms[fmt.Sprintf("object from %d", from)] = params{name: numbered(root, from)}
	}
	flat := params{}
	flatten(flat, name, root)
	forms["flattened"] = flat
	return forms
}

// numbered turns arrays into objects with numbers as names, in an order other than that of the elements.
func numbered(n *node, from int) string {
	var parts []string
	switch n.kind {
	case '[':
		for i := range n.items {
			parts = append(parts, fmt.Sprintf("%q:%s", strconv.Itoa(from+i), numbered(n.items[i], from)))
		}
		for i, j := 0, len(parts)-1; i < j; i, j = i+1, j-1 {
			parts[i], parts[j] = parts[j], parts[i]
		}
	case '{':
		for i := range n.items {
			parts = append(parts, fmt.Sprintf("%q: %s", n.names[i], numbered(n.items[i], from)))
		}
	default:
		return strconv.Quote(n.text)
	}
	return "{" + strings.Join(parts, " , ") + "}"
}

// flatten writes Name.1=, and Name.1.member= for objects.
func flatten(p params, at string, n *node) {
	for i := range n.items {
		switch n.kind {
		case '[':
			flatten(p, at+"."+strconv.Itoa(i+1), n.items[i])
		case '{':
			flatten(p, at+"."+n.names[i], n.items[i])
		}
	}
	if n.kind == '"' {
		p[at] = n.text
	}
}

// stored is the transaction of the request with that SignatureNonce, without the fields that differ for every request.
func (w *world) stored(t *testing.T, c chain, nonce string) *ltlv1.Transaction {
	t.Helper()
	var found *ltlv1.Transaction
	testkit.WaitFor(t, 10*time.Second, "the node that is asked has the block", func() bool {
		for _, block := range w.Blocks(c.id) {
			for _, batch := range block.GetBatches() {
				for _, payload := range batch.GetTransactions() {
					if tx, err := rules.Decode(payload); err == nil && tx.GetSignatureNonce() == nonce {
						found = tx
					}
				}
			}
		}
		return found != nil
	})
	found.Nonce, found.CreatedMs, found.SignatureNonce = nil, 0, ""
	return found
}

// testLists: all forms of a list put the same transaction on the chain.
func (w *world) testLists(t *testing.T) {
	related := strings.Repeat(","+w.related(), 12)[1:] // more than nine, so that 10 must not come before 2
	items := func(data string) string {
		var all []string
		for i := range 12 {
			all = append(all, fmt.Sprintf(`{"dataKey":"List%d","phaseData":%q,"relatedDataList":[%s]}`, i, data, w.related()))
		}
		return "[" + strings.Join(all, ",") + "]"
	}
	for _, x := range []struct{ action, name, list string }{
		{"UpdateMPCoSAuthorizedInfo", "AuthorizedPhaseList", `["` + w.phase2 + `","` + w.phase + `"]`},
		{"UploadMPCoSPhaseTextInfo", "RelatedDataList", "[" + related + "]"},
		{"UploadMPCoSPhaseDigestInfo", "RelatedDataList", "[" + related + "]"},
		{"UploadMPCoSPhaseTextInfoByDevice", "RelatedDataList", "[" + related + "]"},
		{"UploadMPCoSPhaseDigestInfoByDevice", "RelatedDataList", "[" + related + "]"},
		{"BatchUploadMPCoSPhaseTextInfo", "PhaseDataList", items("中 \t&+%")},
		{"BatchUploadMPCoSPhaseDigestInfo", "PhaseDataList", items(device.Digest("x"))},
	} {
		a := w.action(x.action)
		var first *ltlv1.Transaction
		for form, list := range listForms(t, x.name, x.list) {
			p := w.call(a, w.admin, nil).without(x.name, "DataSeq")
			if a.rule("dataKey") != nil {
				p["DataKey"] = "List"
			}
			nonce := w.fresh("nonce")
			w.must(t, w.admin, a.Name, p.with(list.pairs()...).with("SignatureNonce", nonce))
			tx := w.stored(t, w.collaboration, nonce)
			if u := tx.GetUploadPhaseData(); u.GetDevice() != nil {
				u.Device.Signature = "" // a device signature differs each time
			}
			if first == nil {
				first = tx
			}
			if !proto.Equal(first, tx) {
				t.Errorf("%s with the list as %s is %v, want %v", a.Name, form, tx, first)
			}
		}
	}
	for _, name := range []string{"BatchUploadMPCoSPhaseTextInfoByDevice", "BatchUploadMPCoSPhaseDigestInfoByDevice"} {
		w.signedLists(t, w.action(name), items(device.Digest("x")))
	}
}

// signedLists: a device signs the text of a list, so that the text is stored. All JSON forms give the same records. A
// flattened list has no text and is refused.
func (w *world) signedLists(t *testing.T, a *action, list string) {
	t.Helper()
	var first []*ltlv1.PhaseItem
	for form, list := range listForms(t, "PhaseDataList", list) {
		if form == "flattened" {
			p := w.call(a, w.admin, nil).without("PhaseDataList")
			w.wants(t, w.admin, a.Name, "a flattened list", p.with(list.pairs()...), "-111")
			continue
		}
		nonce := w.fresh("nonce")
		w.must(t, w.admin, a.Name, w.call(a, w.admin, list).with("SignatureNonce", nonce))
		items, code := rules.PhaseItems(w.stored(t, w.collaboration, nonce).GetUploadPhaseData())
		if first == nil {
			first = items
		}
		if code != rules.OK || len(items) != 12 || !proto.Equal(&ltlv1.UploadPhaseData{Items: first},
			&ltlv1.UploadPhaseData{Items: items}) {
			t.Errorf("%s with the list as %s is %v (%d), want %v", a.Name, form, items, code, first)
		}
	}
}
