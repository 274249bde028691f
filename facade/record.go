package facade

import (
	"encoding/hex"
	"hash/maphash"
	"slices"
	"strconv"
	"strings"
	"sync"

	"ltl/client"
	"ltl/client/proof"
	"ltl/internal/rules"
	ltlv1 "ltl/proto/ltl/v1"
)

// setData is the Action SetData.
func setData(c *call) (value, error) { return text(""), c.setData(nil) }

// setDataWithSignature is the Action SetDataWithSignature.
func setDataWithSignature(c *call) (value, error) { return text(""), c.setData(c.deviceProof()) }

// setData writes the only record of a Key; proof is nil for a record that no device signed.
func (c *call) setData(proof *ltlv1.DeviceProof) error {
	key, data := c.text("Key"), c.text("Value")
	tx := &ltlv1.Transaction{Action: &ltlv1.Transaction_SetData{
		SetData: &ltlv1.SetData{Key: key, Device: proof},
	}, Openings: client.Values(data)}
	return c.submitRecord(tx, key, data, "", proof)
}

// attachData is the Action AttachData.
func attachData(c *call) (value, error) { return text(""), c.attachData(nil) }

// attachDataWithSignature is the Action AttachDataWithSignature.
func attachDataWithSignature(c *call) (value, error) { return text(""), c.attachData(c.deviceProof()) }

// attachData adds a record to the history of a Key; proof is nil for a record that no device signed.
func (c *call) attachData(proof *ltlv1.DeviceProof) error {
	key, data, businessID := c.text("Key"), c.text("Value"), c.text("BusinessId")
	corrects, err := c.correction(data, businessID, proof)
	if err != nil {
		return err
	}
	tx := &ltlv1.Transaction{Action: &ltlv1.Transaction_AttachData{
		AttachData: &ltlv1.AttachData{Key: key, BusinessId: businessID, Device: proof, Corrects: corrects},
	}, Openings: client.Values(data)}
	return c.submitRecord(tx, key, data, businessID, proof)
}

// submitRecord writes one record and waits until it is committed and executed.
func (c *call) submitRecord(tx *ltlv1.Transaction, key, data, businessID string, proof *ltlv1.DeviceProof) error {
	if form := c.checkRecord(data, businessID, proof); form != nil {
		return form
	}
	c.f.pending.begin(key, businessID)
	defer c.f.pending.end(key, businessID)
	_, err := c.submit(tx)
	if err != nil && isRefusal(err, rules.BadTypeCode) {
		return c.typeCodeError()
	}
	return err
}

// checkRecord checks the form of a record; nil if it is right.
func (c *call) checkRecord(data, businessID string, proof *ltlv1.DeviceProof) error {
	switch {
	case data == "":
		return newFormError(rules.BadValue)
	case len(data) > maxValueBytes:
		return newFormError(rules.ValueTooLong)
	case businessID != "" && !hexadecimal(businessID, businessIDLen):
		return malformed("BusinessId must be 64 hexadecimal characters.")
	}
	if proof != nil {
		if code := rules.CheckDeviceProof(proof, data); code != rules.OK {
			return newFormError(code)
		}
	}
	if c.typeCode == "" {
		return newFormError(rules.BadTypeCode)
	}
	return nil
}

// record reads the record that Key and BusinessId name. Where reads are verified c.verified is the checkpoint.
func (c *call) record() (*ltlv1.Record, error) {
	key, businessID := c.text("Key"), c.text("BusinessId")
	if businessID != "" && !hexadecimal(businessID, businessIDLen) && !decimal(businessID, assignedIDLen) {
		return nil, malformed("BusinessId must be 64 hexadecimal characters, or 16 digits that the ledger assigned.")
	}
	// Look before the read: a write that ends during the read may be missed by it.
	pending := c.f.pending.has(key, businessID)
	r, by, err := c.f.net.VerifiedRecord(c.ctx, &ltlv1.GetRecordRequest{
		ChainCode: c.text(chainCode), Key: key, BusinessId: businessID, AccountUid: c.uid,
	})
	switch {
	case err != nil:
		return nil, err
	case r.GetCode() == rules.NotFound && pending:
		return nil, refuse(rules.InFlight)
	case r.GetCode() == rules.NotFound:
		return nil, newRefusal(rules.NotFound, "No record has this Key and BusinessId.")
	}
	c.verified = by
	return r.GetRecord(), ledgerError(r.GetCode())
}

// getData is the Action GetData.
func getData(c *call) (value, error) {
	r, err := c.record()
	if err != nil {
		return value{}, err
	}
	v := text(r.GetValue())
	v.note = declaredWrong(r)
	return v, nil
}

// getBlockChainInfo is the Action GetBlockChainInfo. Its Data is the JSON text of an object.
func getBlockChainInfo(c *call) (value, error) {
	r, err := c.record()
	if err != nil {
		return value{}, err
	}
	info := object(field{"blockChainInfo", object(slices.Concat([]field{
		textField("chainName", r.GetChainName()),
		{"blockHeight", integer(int64(r.GetBlockHeight()))},
		textField("transactionHash", hex.EncodeToString(r.GetTransactionHash())),
		textField("iotId", r.GetIotId()),
		textField("endorsementNames", strings.Join(r.GetEndorsementNames(), ",")),
		textField("timestamp", strconv.FormatInt(r.GetTimeMs(), 10)),
		textField("blockHash", hex.EncodeToString(r.GetBlockHash())),
		textField("previousHash", hex.EncodeToString(r.GetPreviousHash())),
		textField("dataHash", hex.EncodeToString(r.GetDataHash())),
	}, correctionFields(r), checkpointFields("checkpoint", c.verified))...)})
	v := text(string(info.appendJSON(nil)))
	v.note = declaredWrong(r)
	return v, nil
}

// checkpointFields name the checkpoint that a record was checked against; none where reads are not verified.
func checkpointFields(prefix string, c *proof.Checkpoint) []field {
	if c == nil {
		return nil
	}
	return []field{textField(prefix+"Origin", c.Origin), textField(prefix+"Size", strconv.FormatUint(c.Size, 10)),
		textField(prefix+"Root", hex.EncodeToString(c.Root[:]))}
}

// getHistoryDataCount is the Action GetHistoryDataCount.
func getHistoryDataCount(c *call) (value, error) {
	start, end, err := c.window(0)
	if err != nil {
		return value{}, err
	}
	r, err := c.f.net.CountHistory(c.ctx, &ltlv1.CountHistoryRequest{
		ChainCode: c.text(chainCode), Key: c.text("Key"), AccountUid: c.uid, StartMs: start, EndMs: end,
	})
	if err == nil {
		err = ledgerError(r.GetCode())
	}
	return text(strconv.FormatUint(r.GetCount(), 10)), err
}

// getHistoryDataList is the Action GetHistoryDataList.
func getHistoryDataList(c *call) (value, error) {
	p, err := c.pageOf("CurrentPage", "PageSize")
	if err != nil {
		return value{}, err
	}
	start, end, err := c.window(maxHistoryWindow)
	if err != nil {
		return value{}, err
	}
	r, err := c.f.net.ListHistory(c.ctx, &ltlv1.ListHistoryRequest{
		ChainCode: c.text(chainCode), Key: c.text("Key"), AccountUid: c.uid, StartMs: start, EndMs: end, Page: p.num,
		Size: p.size,
	})
	if err == nil {
		err = ledgerError(r.GetCode())
	}
	switch {
	case err != nil:
		return value{}, err
	case (c.text("StartTime") == "" || c.text("EndTime") == "") && r.GetTotal() > maxUnboundedHistory:
		return value{}, newRefusal(rules.OutOfRange, "There are more than 500 records; give StartTime and EndTime.")
	}
	rows := make([]value, 0, len(r.GetRecords()))
	total := strconv.FormatUint(r.GetTotal(), 10)
	before := int64(p.num-1) * int64(p.size)
	for i, record := range r.GetRecords() {
		rows = append(rows, historyRow(record, total, before+int64(i)+1))
	}
	return object(field{"Data", table(rows)}), nil
}

// historyRow is one row of GetHistoryDataList. Every member is a string; seq counts the whole result from 1.
func historyRow(r *ltlv1.Record, total string, seq int64) value {
	return object(append([]field{
		textField("chainName", r.GetChainName()),
		textField("code", r.GetDataTypeCode()),
		textField("blockHeight", strconv.FormatUint(r.GetBlockHeight(), 10)),
		textField("businessId", r.GetBusinessId()),
		textField("totalCount", total),
		textField("value", r.GetValue()),
		textField("transactionHash", hex.EncodeToString(r.GetTransactionHash())),
		textField("seq", strconv.FormatInt(seq, 10)),
		textField("timestamp", strconv.FormatInt(r.GetTimeMs(), 10)),
	}, correctionFields(r)...)...)
}

const pendingShards = 32

// pendingWrites counts the records that are being written through this facade, by Key and by Key with BusinessId. A
// read that does not find a record gets InFlight, not NotFound, while its write is pending.
type pendingWrites struct {
	seed   maphash.Seed
	shards [pendingShards]struct {
		mu     sync.Mutex
		counts map[string]int
	}
}

func newPendingWrites() *pendingWrites {
	p := &pendingWrites{seed: maphash.MakeSeed()}
	for i := range p.shards {
		p.shards[i].counts = map[string]int{}
	}
	return p
}

// recordName names one record of a Key. A Key never contains a zero byte.
func recordName(key, businessID string) string {
	if businessID == "" {
		return key
	}
	return key + "\x00" + strings.ToLower(businessID)
}

// add adds n to the count of a name, and removes the name when the count is 0.
func (p *pendingWrites) add(name string, n int) {
	s := &p.shards[maphash.String(p.seed, name)%pendingShards]
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.counts[name] += n; s.counts[name] == 0 {
		delete(s.counts, name)
	}
}

// begin counts a write; the caller must call end with the same arguments.
func (p *pendingWrites) begin(key, businessID string) {
	p.add(key, 1)
	if businessID != "" {
		p.add(recordName(key, businessID), 1)
	}
}

// end counts the end of a write, with success or not.
func (p *pendingWrites) end(key, businessID string) {
	p.add(key, -1)
	if businessID != "" {
		p.add(recordName(key, businessID), -1)
	}
}

// has reports whether a write of the Key, or of that BusinessId under it, is pending.
func (p *pendingWrites) has(key, businessID string) bool {
	name := recordName(key, businessID)
	s := &p.shards[maphash.String(p.seed, name)%pendingShards]
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.counts[name] > 0
}
