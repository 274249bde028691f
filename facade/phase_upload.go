package facade

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"google.golang.org/protobuf/proto"

	"ltl/internal/rules"
	ltlv1 "ltl/proto/ltl/v1"
)

// phaseUpload is one of the eight Actions that put records on a phase.
type phaseUpload struct {
	name string
	form ltlv1.DataForm
	// batch is set for those that take a list of records, device for those that a device signed.
	batch, device bool
}

// params are the Action's parameters.
func (u phaseUpload) params() []parameter {
	all := []parameter{{name: bizChainID}, {name: "PhaseGroupId"}, {name: "PhaseId"}}
	if u.batch {
		all = append(all, parameter{name: "PhaseDataList", kind: typeRecords})
	} else {
		all = append(all, parameter{name: "DataKey"}, parameter{name: "PhaseData", payload: true},
			parameter{name: "DataSeq", optional: true}, parameter{name: "RelatedDataList", kind: typeRecords, optional: true})
		for _, name := range []string{correctsHash, correctsReason, correctsDataKey, correctsDataSeq} {
			all = append(all, parameter{name: name, optional: true})
		}
	}
	if u.device {
		all = append(all, deviceParameters()...)
	}
	return all
}

// run is the Action. One call is one transaction, so that a batch is on the chain as a whole or not at all.
func (u phaseUpload) run(c *call) (value, error) {
	items, payload, err := u.read(c)
	if err != nil {
		return value{}, err
	}
	if err := u.check(items); err != nil {
		return value{}, err
	}
	upload := &ltlv1.UploadPhaseData{
		PhaseGroupId: c.text("PhaseGroupId"), PhaseId: c.text("PhaseId"), Form: u.form, Batch: u.batch,
	}
	if u.device && u.batch {
		upload.List = payload // the exact text that the device signed; the ledger reads it with the same parser as read
	} else {
		upload.Items = items
	}
	if u.device {
		upload.Device = c.deviceProof()
		if err := checkDeviceProof(upload.Device, payload, u.form == ltlv1.DataForm_DATA_FORM_DIGEST && !u.batch); err != nil {
			return value{}, err
		}
	}
	if !u.batch {
		if upload.Corrects, err = c.phaseCorrection(); err != nil {
			return value{}, err
		}
	}
	if err := checkSize(proto.Size(upload)); err != nil {
		return value{}, err
	}
	return text(""), c.upload(upload, items)
}

// checkSize checks the size of an upload in bytes.
func checkSize(size int) error {
	if size <= maxUploadBytes {
		return nil
	}
	return newFormErrorMessage(rules.BatchTooLong,
		fmt.Sprintf("The upload is too large: %d bytes, at most %d are allowed; send it in parts.", size, maxUploadBytes))
}

// upload submits an upload and waits until it is committed and executed. Its records are pending until then.
func (c *call) upload(in *ltlv1.UploadPhaseData, items []*ltlv1.PhaseItem) error {
	for _, item := range items {
		for _, name := range c.phaseRecordNames(in.GetPhaseId(), item) {
			c.f.pending.begin(name, "")
			defer c.f.pending.end(name, "")
		}
	}
	_, err := c.submit(&ltlv1.Transaction{Action: &ltlv1.Transaction_UploadPhaseData{UploadPhaseData: in}})
	err = withMessage(err, rules.DuplicateKey, "A record with this DataKey and DataSeq is on the chain already.")
	err = withMessage(err, rules.BatchDuplicateKey,
		"A record with the dataKey and dataSeq of an item is on the chain already.")
	return withMessage(err, rules.NotFound,
		"The phase, or a record that related data or a correction refers to, is not on this chain.")
}

// phaseRecordNames are the names under which a record is pending: that of its data key, and its own if it has a
// DataSeq.
func (c *call) phaseRecordNames(phase string, item *ltlv1.PhaseItem) []string {
	names := []string{c.phaseRecordName(phase, item.GetDataKey(), "")}
	if item.GetDataSeq() != "" {
		names = append(names, c.phaseRecordName(phase, item.GetDataKey(), item.GetDataSeq()))
	}
	return names
}

// phaseRecordName names the records of a data key, or the one with a DataSeq. The zero byte keeps the parts apart:
// none of them contains one, and no Key of the proof service does.
func (c *call) phaseRecordName(phase, dataKey, dataSeq string) string {
	name := c.chainID + "\x00" + phase + "\x00" + dataKey
	if dataSeq != "" {
		name += "\x00" + dataSeq
	}
	return name
}

// checkDeviceProof checks the device parameters as far as that needs no ledger. payload is the text that the device
// digested; digest is set for one that is a digest already. It is empty for a list in flattened form, which has no text that a device could have signed.
func checkDeviceProof(p *ltlv1.DeviceProof, payload string, digest bool) error {
	code := rules.CheckPhaseProof(p, payload, digest)
	if code == rules.OK && payload == "" {
		code = rules.BadDigest
	}
	if code == rules.OK {
		return nil
	}
	if code == rules.BadDigest {
		return newFormErrorMessage(code,
			"IotDataDigest must be the upper-case hexadecimal SHA-256 of PhaseData, or of the JSON text of PhaseDataList, "+
				"or for a digest PhaseData itself in capitals; a flattened list cannot be signed.")
	}
	return newFormError(code)
}

// read decodes the records of the request. payload is the text that a device digests: PhaseData or PhaseDataList as
// received.
func (u phaseUpload) read(c *call) (items []*ltlv1.PhaseItem, payload string, err error) {
	if u.batch {
		return readList(c.q, "PhaseDataList", u.device, rules.ParsePhaseDataList, phaseItem, rules.ErrPhaseListLong)
	}
	related, _, err := readList(c.q, "RelatedDataList", false, rules.ParseRelatedDataList, relatedData, rules.ErrPhaseList)
	payload = c.text("PhaseData")
	item := &ltlv1.PhaseItem{DataKey: c.text("DataKey"), PhaseData: payload, DataSeq: c.text("DataSeq"), Related: related}
	return []*ltlv1.PhaseItem{item}, payload, err
}

// readList reads a list of objects. With strict its text must be JSON: a device has signed it, and the ledger reads it
// too. parse is the ledger's own parser of its JSON text, which also reads what devices
// signed, so that every form of a list gives the same records. element decodes an element of a flattened list. text
// is empty for a flattened or absent list. long is the error of more elements than the ledger's parser accepts.
func readList[T any](
	q *request, name string, strict bool, parse func(string) ([]T, error), element func(*node) (T, bool), long error,
) (all []T, text string, err error) {
	text, whole := q.get(name)
	if whole && len(q.under(name)) > 0 {
		return nil, "", invalid(name)
	}
	if whole && text != "" {
		if err := checkSize(len(text)); err != nil {
			return nil, text, err
		}
		if all, err = parse(text); err == nil || strict || errors.Is(err, rules.ErrPhaseListLong) {
			return all, text, listError(name, err)
		}
	}
	if whole && text == "" {
		return nil, "", nil
	}
	l, _, bad := q.decodeList(name)
	switch {
	case bad != nil && err != nil:
		return nil, "", listError(name, err) // which says what should stand where
	case bad != nil:
		return nil, "", bad
	}
	if len(l.items) > rules.MaxPhaseItems {
		return nil, "", listError(name, long)
	}
	for i := range l.items {
		one, ok := element(&l.items[i])
		if !ok {
			if err != nil {
				return nil, "", listError(name, err)
			}
			return nil, "", invalidBecause(name, fmt.Sprintf("element %d has a member of the wrong type", i+1))
		}
		all = append(all, one)
	}
	return all, "", nil
}

// listError is the error of a list that cannot be read: a parameter of the wrong type, or a batch with too many items.
func listError(name string, err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, rules.ErrPhaseListLong):
		return newFormError(rules.BatchTooLong)
	}
	e := invalid(name)
	e.message = strings.TrimSuffix(e.message, ".") + ": " + err.Error() + "."
	return e
}

// textMember is the name of a member that is a text, and where to store it.
type textMember struct {
	name string
	to   *string
}

// texts stores the members of an object; false when n is no object, or when a member is no text.
func (n *node) texts(members ...textMember) (ok bool) {
	ok = n.form == nodeObject
	for _, m := range members {
		s, fits := n.string(m.name)
		*m.to, ok = s, ok && fits
	}
	return ok
}

// phaseItem decodes an element of a flattened PhaseDataList; false when a member has the wrong type.
func phaseItem(n *node) (*ltlv1.PhaseItem, bool) {
	item := &ltlv1.PhaseItem{}
	if !n.texts(textMember{"dataKey", &item.DataKey}, textMember{"phaseData", &item.PhaseData},
		textMember{"dataSeq", &item.DataSeq}) {
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

// relatedData decodes an element of a flattened list of related data; false when a member has the wrong type.
func relatedData(n *node) (*ltlv1.RelatedData, bool) {
	d := &ltlv1.RelatedData{}
	return d, n.texts(textMember{"relatedPhaseId", &d.PhaseId}, textMember{"relatedDataKey", &d.DataKey},
		textMember{"relatedPhaseData", &d.PhaseData}, textMember{"relatedDataSeq", &d.DataSeq})
}

// itemNames are the names of a record's parts in a request, for messages.
type itemNames struct{ dataKey, phaseData, dataSeq, related string }

// check checks the form of the records of an upload.
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
		names := itemNames{at + "dataKey", at + "phaseData", at + "dataSeq", at + "relatedDataList"}
		if err := u.checkItem(item, names); err != nil {
			return err
		}
		if item.GetDataSeq() != "" {
			one := name{item.GetDataKey(), item.GetDataSeq()}
			_, known := seen[one]
			seen[one], repeated = struct{}{}, repeated || known
		}
	}
	if repeated {
		return newFormErrorMessage(rules.BatchRepeatedKey, "PhaseDataList must not hold the same dataKey and dataSeq twice.")
	}
	return nil
}

// checkItem checks the form of one record.
func (u phaseUpload) checkItem(item *ltlv1.PhaseItem, names itemNames) error {
	data := item.GetPhaseData()
	switch {
	case !dataName(item.GetDataKey()):
		return malformed(names.dataKey + " must be 1 to 64 letters, digits, - and ..")
	case data == "":
		return newFormErrorMessage(rules.BadValue, names.phaseData+" must not be empty.")
	case u.form == ltlv1.DataForm_DATA_FORM_DIGEST && !hexadecimal(data, rules.PhaseDigestLen):
		return malformed(names.phaseData + " must be a SHA-256 digest of 64 hexadecimal characters.")
	case u.form == ltlv1.DataForm_DATA_FORM_TEXT && rules.PhaseDataLength(data) > rules.MaxPhaseData:
		return u.tooLong(names.phaseData)
	case item.GetDataSeq() != "" && !dataName(item.GetDataSeq()):
		return malformed(names.dataSeq + " must be 1 to 64 letters, digits, - and ..")
	}
	for i, d := range item.GetRelated() {
		if err := u.checkRelated(d, fmt.Sprintf("%s, element %d: ", names.related, i+1)); err != nil {
			return err
		}
	}
	return nil
}

// checkRelated checks the form of a reference to another record; at names it in messages.
func (u phaseUpload) checkRelated(d *ltlv1.RelatedData, at string) error {
	switch {
	case !isAssignedID(d.GetPhaseId()):
		return newFormErrorMessage(rules.NotFound, at+"relatedPhaseId is no identifier of a phase.")
	case !dataName(d.GetDataKey()) && !fullDataKey(d.GetDataKey()):
		return malformed(at + "relatedDataKey must be 1 to 64 letters, digits, - and ., or a key in the form that reading returns.")
	case d.GetPhaseData() == "":
		return newFormErrorMessage(rules.BadValue, at+"relatedPhaseData must not be empty.")
	case rules.PhaseDataLength(d.GetPhaseData()) > rules.MaxPhaseData:
		return u.tooLong(at + "relatedPhaseData")
	case d.GetDataSeq() != "" && !dataName(d.GetDataSeq()):
		return malformed(at + "relatedDataSeq must be 1 to 64 letters, digits, - and ..")
	}
	return nil
}

// tooLong is the error of phase data over its bound.
func (u phaseUpload) tooLong(name string) error {
	code := rules.ValueTooLong
	if u.batch {
		code = rules.SubValueTooLong
	}
	return newFormErrorMessage(code,
		fmt.Sprintf("%s is too long: at most %d are allowed, where a character of ASCII counts 1 and any other 2.",
			name, rules.MaxPhaseData))
}

// dataName reports whether s can be a DataKey or a DataSeq: 1 to 64 letters, digits, - and ..
func dataName(s string) bool {
	if s == "" || len(s) > rules.MaxDataKey {
		return false
	}
	for i := range len(s) {
		c := s[i]
		if (c < '0' || c > '9') && (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && c != '-' && c != '.' {
			return false
		}
	}
	return true
}

// fullDataKey reports whether s is a data key preceded by chain code and type code, as a read returns it.
func fullDataKey(s string) bool {
	parts := strings.Split(s, "_")
	return len(parts) == 4 && parts[0] == rules.PhaseKeyVersion && len(parts[1]) == rules.ChainCodeLen &&
		len(parts[2]) == rules.TypeCodeLen && dataName(parts[3])
}
