package facade

import (
	"errors"
	"fmt"

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
		all = append(all, parameter{name: "DataKey"}, parameter{name: "PhaseData", payload: true}, parameter{name: "DataSeq", optional: true},
			parameter{name: "RelatedDataList", kind: typeRecords, optional: true})
	}
	if u.device {
		all = append(all, iotParams()...)
	}
	return all
}

// run is the Action: one call is one transaction, so that a batch is on the chain as a whole or not at all.
func (u phaseUpload) run(c *call) (value, error) {
	items, payload, err := u.read(c)
	if err != nil && !errors.As(err, new(*formError)) {
		return value{}, err
	}
	upload := &ltlv1.UploadPhaseData{PhaseGroupId: c.text("PhaseGroupId"), PhaseId: c.text("PhaseId"), Form: u.form, Batch: u.batch}
	if u.device && u.batch {
		upload.List = payload // the very text that the device signed; the ledger reads it as it was read here
	} else {
		upload.Items = items
	}
	if err == nil {
		err = u.check(items)
	}
	if u.device {
		upload.Device = c.deviceProof()
		if err == nil {
			err = checkDevice(upload.Device, payload)
		}
	}
	if err == nil {
		err = checkSize(proto.Size(upload))
	}
	var form *formError
	if errors.As(err, &form) {
		// What is wrong with the phase or with the right to write to it is told before what is wrong with the data.
		if err := c.mayUpload(); err != nil {
			return value{}, err
		}
		return value{}, form.refusal
	}
	return text(""), c.upload(upload, items)
}

// checkSize judges the bytes of an upload.
func checkSize(size int) error {
	if size <= maxUploadBytes {
		return nil
	}
	return &formError{refuseBecause(rules.BatchTooLong,
		fmt.Sprintf("The upload is too large: %d bytes, at most %d are allowed; send it in parts.", size, maxUploadBytes))}
}

// upload submits an upload and waits until it is committed and executed. Its records are in flight meanwhile.
func (c *call) upload(in *ltlv1.UploadPhaseData, items []*ltlv1.PhaseItem) error {
	for _, item := range items {
		for _, name := range c.phaseRecordNames(in.GetPhaseId(), item) {
			c.f.inflight.begin(name, "")
			defer c.f.inflight.end(name, "")
		}
	}
	_, err := c.submit(&ltlv1.Transaction{Action: &ltlv1.Transaction_UploadPhaseData{UploadPhaseData: in}})
	err = because(err, rules.DuplicateKey, "A record with this DataKey and DataSeq is on the chain already.")
	err = because(err, rules.BatchDuplicateKey, "A record with the dataKey and dataSeq of an item is on the chain already.")
	return because(err, rules.NotFound, "The phase, or a record that related data refers to, is not on this chain.")
}

// phaseRecordNames are the names under which a record is in flight: that of its data key, and its own if it has a DataSeq.
func (c *call) phaseRecordNames(phase string, item *ltlv1.PhaseItem) []string {
	names := []string{c.phaseRecordName(phase, item.GetDataKey(), "")}
	if item.GetDataSeq() != "" {
		names = append(names, c.phaseRecordName(phase, item.GetDataKey(), item.GetDataSeq()))
	}
	return names
}

// phaseRecordName names the records of a data key, or the one of a DataSeq. None of its parts holds a zero byte, and no Key of a proof
// record does.
func (c *call) phaseRecordName(phase, dataKey, dataSeq string) string {
	name := c.chainID + "\x00" + phase + "\x00" + dataKey
	if dataSeq != "" {
		name += "\x00" + dataSeq
	}
	return name
}

// mayUpload tells what is wrong with the phase, or with the caller's right to write to it, without writing.
func (c *call) mayUpload() error {
	for number := uint32(1); ; number++ {
		r, err := c.phases(&ltlv1.ListPhasesRequest{Page: number, Size: maxPageSize})
		if err != nil {
			return err
		}
		for _, phase := range r.GetPhases() {
			if phase.GetPhaseId() != c.text("PhaseId") {
				continue
			}
			if phase.GetPermission() != rules.PermissionReadWrite {
				return refuseBecause(rules.Forbidden, "This account may not write to this phase; the administrator can authorise it.")
			}
			return nil
		}
		if len(r.GetPhases()) < maxPageSize {
			return refuseBecause(rules.NotFound, noPhase)
		}
	}
}

// checkDevice judges what the request says of the device, as far as that goes without the ledger. The payload is the text that the
// device digested; it is empty for a list in flattened form, and a digest of nothing is not that of the list.
func checkDevice(p *ltlv1.DeviceProof, payload string) error {
	code := rules.CheckDeviceProof(p, payload)
	if code == rules.OK && payload == "" {
		code = rules.BadDigest
	}
	if code == rules.OK {
		return nil
	}
	if code == rules.BadDigest {
		return &formError{refuseBecause(code,
			"IotDataDigest must be the upper-case hexadecimal SHA-256 of PhaseData, or of the JSON text of PhaseDataList; a flattened list cannot be signed.")}
	}
	return malformedAs(code)
}
