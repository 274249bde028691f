package facade

import (
	"fmt"
	"strconv"
	"strings"

	"ltl/internal/rules"
	ltlv1 "ltl/proto/ltl/v1"
)

// itemNames are the names that a record's parts have in a request.
type itemNames struct{ dataKey, phaseData, dataSeq, related string }

// check judges the records of an upload by their form.
func (u phaseUpload) check(items []*ltlv1.PhaseItem) error {
	if !u.batch {
		return u.checkItem(items[0], itemNames{"DataKey", "PhaseData", "DataSeq", "RelatedDataList"})
	}
	if len(items) == 0 {
		return malformed("PhaseDataList must hold 1 to 50 items.")
	}
	type name struct{ dataKey, dataSeq string }
	seen := make(map[name]struct{}, len(items))
	repeated := false
	for i, item := range items {
		at := "Item " + strconv.Itoa(i+1) + " of PhaseDataList: "
		if err := u.checkItem(item, itemNames{at + "dataKey", at + "phaseData", at + "dataSeq", at + "relatedDataList"}); err != nil {
			return err
		}
		if item.GetDataSeq() != "" {
			one := name{item.GetDataKey(), item.GetDataSeq()}
			_, known := seen[one]
			seen[one], repeated = struct{}{}, repeated || known
		}
	}
	if repeated {
		return &formError{refuseBecause(rules.BatchRepeatedKey, "PhaseDataList must not hold the same dataKey and dataSeq twice.")}
	}
	return nil
}

// checkItem judges one record by its form.
func (u phaseUpload) checkItem(item *ltlv1.PhaseItem, names itemNames) error {
	data := item.GetPhaseData()
	switch {
	case !dataName(item.GetDataKey()):
		return malformed(names.dataKey + " must be 1 to 64 letters and digits.")
	case data == "":
		return &formError{refuseBecause(rules.BadValue, names.phaseData+" must not be empty.")}
	case u.form == ltlv1.DataForm_DATA_FORM_DIGEST && !hexadecimal(data, rules.PhaseDigestLen):
		return malformed(names.phaseData + " must be a SHA-256 digest of 64 hexadecimal characters.")
	case u.form == ltlv1.DataForm_DATA_FORM_TEXT && rules.PhaseDataLength(data) > rules.MaxPhaseData:
		return u.tooLong(names.phaseData)
	case item.GetDataSeq() != "" && !dataName(item.GetDataSeq()):
		return malformed(names.dataSeq + " must be 1 to 64 letters and digits.")
	}
	for i, d := range item.GetRelated() {
		if err := u.checkRelated(d, fmt.Sprintf("%s, element %d: ", names.related, i+1)); err != nil {
			return err
		}
	}
	return nil
}

// checkRelated judges a reference to another record by its form; at says where it stands.
func (u phaseUpload) checkRelated(d *ltlv1.RelatedData, at string) error {
	switch {
	case !identifies(d.GetPhaseId()):
		return &formError{refuseBecause(rules.NotFound, at+"relatedPhaseId is no identifier of a phase.")}
	case !dataName(d.GetDataKey()) && !fullDataKey(d.GetDataKey()):
		return malformed(at + "relatedDataKey must be 1 to 64 letters and digits, or a key in the form that reading returns.")
	case d.GetPhaseData() == "":
		return &formError{refuseBecause(rules.BadValue, at+"relatedPhaseData must not be empty.")}
	case rules.PhaseDataLength(d.GetPhaseData()) > rules.MaxPhaseData:
		return u.tooLong(at + "relatedPhaseData")
	case d.GetDataSeq() != "" && !dataName(d.GetDataSeq()):
		return malformed(at + "relatedDataSeq must be 1 to 64 letters and digits.")
	}
	return nil
}

// tooLong is the error of phase data beyond its bound.
func (u phaseUpload) tooLong(name string) error {
	code := rules.ValueTooLong
	if u.batch {
		code = rules.SubValueTooLong
	}
	return &formError{refuseBecause(code,
		fmt.Sprintf("%s is too long: at most %d are allowed, where a character of ASCII counts 1 and any other 2.", name, rules.MaxPhaseData))}
}

// dataName reports whether s may be a DataKey or a DataSeq: 1 to 64 letters and digits.
func dataName(s string) bool {
	if s == "" || len(s) > rules.MaxDataKey {
		return false
	}
	for i := range len(s) {
		c := s[i]
		if (c < '0' || c > '9') && (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') {
			return false
		}
	}
	return true
}

// fullDataKey reports whether s is a data key with chain code and type code before it, as reading returns it.
func fullDataKey(s string) bool {
	parts := strings.Split(s, "_")
	return len(parts) == 4 && parts[0] == rules.PhaseKeyVersion && len(parts[1]) == rules.ChainCodeLen && len(parts[2]) == rules.TypeCodeLen &&
		dataName(parts[3])
}
