package rules

import (
	"errors"
	"strings"
	"unicode/utf8"

	ltlv1 "ltl/proto/ltl/v1"
)

// PhaseItems returns the records of an upload: its items, or those of the list that a device signed. The code is not
// OK for a list that cannot be read, and for an upload that has both or has a list without a device's proof.
func PhaseItems(u *ltlv1.UploadPhaseData) ([]*ltlv1.PhaseItem, int32) {
	if u.GetList() == "" {
		return u.GetItems(), OK
	}
	if len(u.GetItems()) != 0 || !u.GetBatch() || u.GetDevice() == nil {
		return nil, OutOfRange
	}
	items, err := ParsePhaseDataList(u.GetList())
	switch {
	case errors.Is(err, ErrPhaseListLong):
		return nil, BatchTooLong
	case err != nil:
		return nil, OutOfRange
	}
	return items, OK
}

// CheckPhaseUpload checks an upload without any state: its form, then its device's proof.
func CheckPhaseUpload(u *ltlv1.UploadPhaseData) int32 {
	items, code := PhaseItems(u)
	if code == OK {
		code = checkPhaseItems(u, items)
	}
	if code == OK {
		code = checkPhaseCorrection(u)
	}
	if code != OK || u.GetDevice() == nil {
		return code
	}
	payload, signed := signedPayload(u)
	if code = CheckPhaseProof(u.GetDevice(), payload, itself(u)); code == OK && !signed {
		code = BadDigest
	}
	return code
}

// signedPayload returns the text that a device's digest must be of: the phase data of a single upload, the list of a
// batch. ok is false for a batch that was not sent as a text; no digest is right for it.
func signedPayload(u *ltlv1.UploadPhaseData) (text string, ok bool) {
	if !u.GetBatch() && len(u.GetItems()) > 0 {
		return u.GetItems()[0].GetPhaseData(), true
	}
	return u.GetList(), u.GetList() != ""
}

// itself reports whether a device may sign the payload itself in the place of its digest: for one item that is a
// digest already.
func itself(u *ltlv1.UploadPhaseData) bool {
	return u.GetForm() == ltlv1.DataForm_DATA_FORM_DIGEST && !u.GetBatch()
}

// checkPhaseItems checks the values of an upload in the order of its items, then that no two items name the same
// record.
func checkPhaseItems(u *ltlv1.UploadPhaseData, items []*ltlv1.PhaseItem) int32 {
	switch {
	case u.GetForm() != ltlv1.DataForm_DATA_FORM_TEXT && u.GetForm() != ltlv1.DataForm_DATA_FORM_DIGEST:
		return OutOfRange
	case len(items) == 0, !u.GetBatch() && len(items) != 1:
		return OutOfRange
	case len(items) > MaxPhaseItems:
		return BatchTooLong
	}
	tooLong := ValueTooLong
	if u.GetBatch() {
		tooLong = SubValueTooLong
	}
	for _, item := range items {
		if code := checkPhaseItem(item, u.GetForm(), tooLong); code != OK {
			return code
		}
	}
	for i, item := range items {
		for _, other := range items[:i] {
			if item.GetDataSeq() != "" && item.GetDataSeq() == other.GetDataSeq() && item.GetDataKey() == other.GetDataKey() {
				return BatchRepeatedKey
			}
		}
	}
	return OK
}

func checkPhaseItem(item *ltlv1.PhaseItem, form ltlv1.DataForm, tooLong int32) int32 {
	if !validDataName(item.GetDataKey(), MaxDataKey) {
		return OutOfRange
	}
	code := checkPhaseText(item.GetPhaseData(), tooLong)
	if form == ltlv1.DataForm_DATA_FORM_DIGEST && item.GetPhaseData() != "" {
		code = checkDigest(item.GetPhaseData())
	}
	switch {
	case code != OK:
		return code
	case item.GetDataSeq() != "" && !ValidDataSeq(item.GetDataSeq()), len(item.GetRelated()) > MaxRelated:
		return OutOfRange
	}
	for _, r := range item.GetRelated() {
		if code := checkRelated(r, tooLong); code != OK {
			return code
		}
	}
	return OK
}

func checkRelated(r *ltlv1.RelatedData, tooLong int32) int32 {
	dataKey := r.GetDataKey()
	if version, _, typeCode, rest, ok := splitKey(dataKey); ok && version == PhaseKeyVersion &&
		len(typeCode) == TypeCodeLen {
		dataKey = rest
	}
	if !validDataName(dataKey, MaxDataKey) {
		return OutOfRange
	}
	if code := checkPhaseText(r.GetPhaseData(), tooLong); code != OK {
		return code
	}
	if r.GetDataSeq() != "" && !ValidDataSeq(r.GetDataSeq()) {
		return OutOfRange
	}
	return OK
}

// checkPhaseText checks that the length of s is 1 to MaxPhaseData, as PhaseDataLength counts.
func checkPhaseText(s string, tooLong int32) int32 {
	switch {
	case s == "":
		return BadValue
	case PhaseDataLength(s) > MaxPhaseData:
		return tooLong
	}
	return OK
}

// PhaseDataLength returns the length that MaxPhaseData bounds: an ASCII character counts 1, any other counts 2.
func PhaseDataLength(s string) int {
	n := 2 * utf8.RuneCountInString(s)
	for i := range len(s) {
		if s[i] < utf8.RuneSelf {
			n--
		}
	}
	return n
}

func checkDigest(s string) int32 {
	if len(s) != PhaseDigestLen || strings.ContainsFunc(s, func(r rune) bool {
		return (r < '0' || r > '9') && (r < 'a' || r > 'f') && (r < 'A' || r > 'F')
	}) {
		return OutOfRange
	}
	return OK
}
