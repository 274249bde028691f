package facade

import (
	"errors"
	"net/http"

	"ltl/internal/rules"
	ltlv1 "ltl/proto/ltl/v1"
)

// read takes the records out of the request, with the text that a device digests: PhaseData or PhaseDataList as received.
func (u phaseUpload) read(c *call) (items []*ltlv1.PhaseItem, payload string, err error) {
	if u.batch {
		return readList(c.q, "PhaseDataList", rules.ParsePhaseDataList, phaseItem, rules.ErrPhaseListLong)
	}
	related, _, err := readList(c.q, "RelatedDataList", rules.ParseRelatedDataList, relatedData, rules.ErrPhaseList)
	payload = c.text("PhaseData")
	return []*ltlv1.PhaseItem{{DataKey: c.text("DataKey"), PhaseData: payload, DataSeq: c.text("DataSeq"), Related: related}}, payload, err
}

// readList reads a list of objects. Its JSON text is read by the ledger's own reader, which reads what devices signed, so that every
// form of a list makes the same records. text is empty for a list in flattened form and for an absent one. long is the error of more
// elements than the ledger's reader takes.
func readList[T any](q *request, name string, parse func(string) ([]T, error), element func(*node) (T, bool), long error) (all []T, text string, err error) {
	text, whole := q.get(name)
	if whole && len(q.under(name)) > 0 {
		return nil, "", invalid(name)
	}
	if whole && text != "" {
		if err := checkSize(len(text)); err != nil {
			return nil, text, err
		}
		all, err = parse(text)
		return all, text, listError(name, err)
	}
	if whole {
		return nil, "", nil
	}
	l, _, bad := q.decodeList(name)
	if bad != nil {
		return nil, "", bad
	}
	if len(l.items) > rules.MaxPhaseItems {
		return nil, "", listError(name, long)
	}
	for i := range l.items {
		one, ok := element(&l.items[i])
		if !ok {
			return nil, "", invalid(name)
		}
		all = append(all, one)
	}
	return all, "", nil
}

// listError is the error of a list that cannot be read: a parameter of the wrong type, or a batch of too many items.
func listError(name string, err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, rules.ErrPhaseListLong):
		return malformedAs(rules.BatchTooLong)
	}
	return &gatewayError{status: http.StatusBadRequest, code: "Invalid" + name, message: "Specified parameter " + name + " is not valid: " + err.Error() + "."}
}

// textMember is a member of an object that is a text, and where it goes.
type textMember struct {
	name string
	to   *string
}

// texts takes members out of an object; false when it is none, or when a member is of the wrong type.
func (n *node) texts(members ...textMember) (ok bool) {
	ok = n.form == nodeObject
	for _, m := range members {
		s, fits := n.string(m.name)
		*m.to, ok = s, ok && fits
	}
	return ok
}

// phaseItem is an element of a flattened PhaseDataList; false when a member is of the wrong type.
func phaseItem(n *node) (*ltlv1.PhaseItem, bool) {
	item := &ltlv1.PhaseItem{}
	if !n.texts(textMember{"dataKey", &item.DataKey}, textMember{"phaseData", &item.PhaseData}, textMember{"dataSeq", &item.DataSeq}) {
		return nil, false
	}
	related := n.get("relatedDataList")
	if related == nil {
		return item, true
	}
	elements, ok := related.list()
	if !ok || len(elements) > rules.MaxRelated {
		return nil, false
	}
	for i := range elements {
		one, fits := relatedData(&elements[i])
		if !fits {
			return nil, false
		}
		item.Related = append(item.Related, one)
	}
	return item, true
}

// relatedData is an element of a flattened list of related data; false when a member is of the wrong type.
func relatedData(n *node) (*ltlv1.RelatedData, bool) {
	d := &ltlv1.RelatedData{}
	return d, n.texts(textMember{"relatedPhaseId", &d.PhaseId}, textMember{"relatedDataKey", &d.DataKey},
		textMember{"relatedPhaseData", &d.PhaseData}, textMember{"relatedDataSeq", &d.DataSeq})
}
