package facade

import (
	"encoding/hex"
	"math"
	"strconv"
	"strings"
	"unicode/utf8"

	"ltl/internal/rules"
	ltlv1 "ltl/proto/ltl/v1"
)

// proofActions is the table of the Actions of the proof service.
func proofActions() []action {
	key := parameter{name: "Key"}
	productKey := parameter{name: "ProductKey"}
	value := parameter{name: "Value", payload: true, absent: rules.BadValue}
	businessID := parameter{name: "BusinessId", optional: true}
	start := parameter{name: "StartTime", kind: typeLong, optional: true}
	end := parameter{name: "EndTime", kind: typeLong, optional: true}
	signed := func(params ...parameter) []parameter { return append(iotParams(), params...) }
	return []action{
		{name: "ListProofChain", data: kindObject, run: listProofChain, params: append(pageParams(), parameter{name: "Name", optional: true})},
		{name: "ListPSMemberDataTypeCode", data: kindObject, run: listPSMemberDataTypeCode, chain: bizChainID, admin: true,
			service: ltlv1.ChainService_CHAIN_SERVICE_PROOF,
			params:  append(append([]parameter{{name: bizChainID}}, pageParams()...), parameter{name: "MemberUid", optional: true})},
		{name: "SetDataWithSignature", data: kindString, run: setDataWithSignature, chain: "ProductKey", params: signed(key, productKey, value)},
		{name: "AttachDataWithSignature", data: kindString, run: attachDataWithSignature, chain: "ProductKey",
			params: signed(key, productKey, value, businessID)},
		{name: "SetData", data: kindString, run: setData, chain: "ProductKey", params: []parameter{key, productKey, value}},
		{name: "GetData", data: kindString, run: getData, chain: "ProductKey", params: []parameter{businessID, key, productKey}},
		{name: "GetBlockChainInfo", data: kindString, run: getBlockChainInfo, chain: "ProductKey", params: []parameter{key, productKey, businessID}},
		{name: "AttachData", data: kindString, run: attachData, chain: "ProductKey", params: []parameter{key, productKey, value, businessID}},
		{name: "GetHistoryDataCount", data: kindString, run: getHistoryDataCount, chain: "ProductKey", params: []parameter{key, productKey, start, end}},
		{name: "GetHistoryDataList", data: kindObject, run: getHistoryDataList, chain: "ProductKey", params: []parameter{
			{name: "CurrentPage", kind: typeInteger}, key, {name: "PageSize", kind: typeInteger}, productKey, start, end}},
	}
}

// setData is the Action SetData; with a proof, SetDataWithSignature.
func setData(c *call) (value, error) { return text(""), c.setData(nil) }

// setDataWithSignature is the Action SetDataWithSignature.
func setDataWithSignature(c *call) (value, error) { return text(""), c.setData(c.deviceProof()) }

func (c *call) setData(proof *ltlv1.DeviceProof) error {
	key, data := c.text("Key"), c.text("Value")
	tx := &ltlv1.Transaction{Action: &ltlv1.Transaction_SetData{SetData: &ltlv1.SetData{Key: key, Value: data, Device: proof}}}
	return c.write(tx, key, data, "")
}

// attachData is the Action AttachData.
func attachData(c *call) (value, error) { return text(""), c.attachData(nil) }

// attachDataWithSignature is the Action AttachDataWithSignature.
func attachDataWithSignature(c *call) (value, error) {
	return text(""), c.attachData(c.deviceProof())
}

func (c *call) attachData(proof *ltlv1.DeviceProof) error {
	key, data, businessID := c.text("Key"), c.text("Value"), c.text("BusinessId")
	tx := &ltlv1.Transaction{Action: &ltlv1.Transaction_AttachData{
		AttachData: &ltlv1.AttachData{Key: key, Value: data, BusinessId: businessID, Device: proof},
	}}
	return c.write(tx, key, data, businessID)
}

// iotParams are the parameters of a call whose payload a device signed. Each has a code of its own, absent or empty.
func iotParams() []parameter {
	return []parameter{
		{name: "IotAuthType", absent: rules.BadIoT}, {name: "IotDataDigest", absent: rules.BadIoT}, {name: "IotId", absent: rules.BadIoT},
		{name: "IotIdServiceProvider", absent: rules.BadIoT}, {name: "IotIdSource", absent: rules.BadIoTSource},
		{name: "IotSignature", absent: rules.BadIoT},
	}
}

// deviceProof is what iotParams say. Judge it with rules.CheckDeviceProof against the text that the device signed.
func (c *call) deviceProof() *ltlv1.DeviceProof {
	return &ltlv1.DeviceProof{
		AuthType: c.text("IotAuthType"), IotId: c.text("IotId"), ProductKey: c.text("IotIdServiceProvider"),
		DataDigest: c.text("IotDataDigest"), Signature: c.text("IotSignature"), Source: c.text("IotIdSource"),
	}
}

// write submits one record and waits until it is committed and executed.
func (c *call) write(tx *ltlv1.Transaction, key, data, businessID string) error {
	chainCode := c.text("ProductKey")
	chainID, typeCode, err := c.locate(chainCode, key)
	if err != nil {
		return err
	}
	bad := checkValue(data)
	if bad == nil && businessID != "" && !hexadecimal(businessID, businessIDLen) {
		bad = refuseBecause(rules.OutOfRange, "BusinessId must be 64 hexadecimal characters.")
	}
	if proof := rules.DeviceProofOf(tx); bad == nil && proof != nil {
		if code := rules.CheckDeviceProof(proof, data); code != rules.OK {
			bad = refuse(code)
		}
	}
	if bad != nil || typeCode == "" {
		// Something else may be wrong that is to be told first: it cannot be left to the ledger, which looks at the form first.
		if err := c.mayWrite(chainCode, key, typeCode); err != nil {
			return err
		}
		if bad != nil {
			return bad
		}
	}
	tx.ChainId, tx.AccountUid, tx.AccessKeyId, tx.SignatureNonce = chainID, c.uid, c.key, c.nonce
	c.f.inflight.begin(key, businessID)
	defer c.f.inflight.end(key, businessID)
	result, err := c.f.net.Submit(c.ctx, tx)
	if err != nil {
		return err
	}
	if result.GetCode() == rules.BadTypeCode {
		return c.typeCodeError(chainCode, key)
	}
	return resultError(result)
}

// checkValue judges the form of a value.
func checkValue(data string) *businessError {
	switch {
	case data == "":
		return refuse(rules.BadValue)
	case len(data) > maxValueBytes:
		return refuse(rules.ValueTooLong)
	}
	return nil
}

// hexadecimal reports whether s is n hexadecimal digits of either case.
func hexadecimal(s string, n int) bool {
	if len(s) != n {
		return false
	}
	for i := range len(s) {
		if unhex(s[i]) > 15 {
			return false
		}
	}
	return true
}

// decimal reports whether s is n decimal digits.
func decimal(s string, n int) bool {
	if len(s) != n {
		return false
	}
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return false
		}
	}
	return true
}

// locate judges chain code and Key by their form and finds the chain. typeCode is empty when its form is wrong: that is told only
// after what concerns the chain.
func (c *call) locate(chainCode, key string) (chainID, typeCode string, err error) {
	if utf8.RuneCountInString(chainCode) != rules.ChainCodeLen {
		return "", "", refuse(rules.BadChainCode)
	}
	typeCode, code := rules.CheckKey(chainCode, key)
	switch code {
	case rules.OK, rules.BadTypeCode:
	case rules.BadChainCode: // of the Key; that of the parameter is long enough, so the two differ
		return "", "", refuse(rules.ChainCodeDiffers)
	default:
		return "", "", refuse(code)
	}
	chainID, err = c.f.directory.chainID(c.ctx, chainCode)
	if err == nil && chainID == "" {
		err = refuseBecause(rules.NotFound, "No business chain of the proof service has the code given in ProductKey.")
	}
	return chainID, typeCode, err
}

// readCode asks the ledger whether the caller may read a Key: 200 or 404 when it may.
func (c *call) readCode(chainCode, key string) (int32, error) {
	r, err := c.f.net.GetRecord(c.ctx, &ltlv1.GetRecordRequest{ChainCode: chainCode, Key: key, AccountUid: c.uid})
	return r.GetCode(), err
}

// mayWrite tells what is wrong with chain and type code for a write, without writing.
func (c *call) mayWrite(chainCode, key, typeCode string) error {
	code, err := c.readCode(chainCode, key)
	if err != nil {
		return err
	}
	switch code {
	case rules.OK, rules.NotFound, rules.Forbidden:
		// An account writes under its own type code only, while it may read more. Without an entry there is nothing to compare.
		m, ok := c.account.chains[chainCode]
		if ok && m.typeCode != typeCode && code == rules.Forbidden {
			// Another member's Key is one reason; that this member was locked a moment ago is told first.
			if code, err = c.readCode(chainCode, rules.KeyVersion+"_"+chainCode+"_"+m.typeCode+"_0"); err != nil {
				return err
			}
		}
		switch {
		case code == rules.Forbidden:
			return refuse(code)
		case ok && m.typeCode != typeCode:
			return refuse(rules.BadTypeCode)
		}
		return nil
	}
	return ledgerError(code)
}

// typeCodeError tells a type code of another chain from one that this account may not use or nobody has.
func (c *call) typeCodeError(chainCode, key string) error {
	code, err := c.readCode(chainCode, key)
	if err != nil {
		return err
	}
	if code == rules.ForeignTypeCode {
		return refuse(rules.ForeignTypeCode)
	}
	return refuse(rules.BadTypeCode)
}

// getData is the Action GetData.
func getData(c *call) (value, error) {
	r, err := c.record()
	if err != nil {
		return value{}, err
	}
	return text(r.GetValue()), nil
}

// record reads the record that Key and BusinessId name.
func (c *call) record() (*ltlv1.Record, error) {
	chainCode, key, businessID := c.text("ProductKey"), c.text("Key"), c.text("BusinessId")
	if _, _, err := c.locate(chainCode, key); err != nil {
		return nil, err
	}
	pending := c.f.inflight.pending(key, businessID) // before the read: a write that ends meanwhile may be missed by it
	r, err := c.f.net.GetRecord(c.ctx, &ltlv1.GetRecordRequest{
		ChainCode: chainCode, Key: key, BusinessId: businessID, AccountUid: c.uid,
	})
	if err != nil {
		return nil, err
	}
	switch code := r.GetCode(); {
	case code == rules.OK || code == rules.NotFound:
		if businessID != "" && !hexadecimal(businessID, businessIDLen) && !decimal(businessID, assignedIDLen) {
			return nil, refuseBecause(rules.OutOfRange, "BusinessId must be 64 hexadecimal characters, or 16 digits that the ledger assigned.")
		}
		if code == rules.OK {
			return r.GetRecord(), nil
		}
		if pending {
			return nil, refuse(rules.InFlight)
		}
		return nil, refuseBecause(rules.NotFound, "No record has this Key and BusinessId.")
	default:
		return nil, ledgerError(code)
	}
}

// getBlockChainInfo is the Action GetBlockChainInfo.
func getBlockChainInfo(c *call) (value, error) {
	r, err := c.record()
	if err != nil {
		return value{}, err
	}
	info := object(field{"blockChainInfo", object(
		textField("chainName", r.GetChainName()),
		field{"blockHeight", integer(int64(r.GetBlockHeight()))},
		textField("transactionHash", hex.EncodeToString(r.GetTransactionHash())),
		textField("iotId", r.GetIotId()),
		textField("endorsementNames", strings.Join(r.GetEndorsementNames(), ",")),
		textField("timestamp", strconv.FormatInt(r.GetTimeMs(), 10)),
		textField("blockHash", hex.EncodeToString(r.GetBlockHash())),
		textField("previousHash", hex.EncodeToString(r.GetPreviousHash())),
		textField("dataHash", hex.EncodeToString(r.GetDataHash())),
	)})
	return text(string(info.appendJSON(nil))), nil
}

// window reads StartTime and EndTime; both are 0 when there is no window. limit bounds its length in milliseconds, 0 does not.
func (c *call) window(limit int64) (start, end int64, err *businessError) {
	start, hasStart := c.number("StartTime")
	end, hasEnd := c.number("EndTime")
	switch {
	case hasStart != hasEnd:
		return 0, 0, refuseBecause(rules.OutOfRange, "StartTime and EndTime must be given together, or neither.")
	case !hasStart:
		return 0, 0, nil
	case start < 0 || end < 0 || start > end:
		return 0, 0, refuseBecause(rules.OutOfRange, "StartTime must not lie after EndTime, and neither before 1970.")
	case limit > 0 && end-start > limit:
		return 0, 0, refuseBecause(rules.OutOfRange, "The window from StartTime to EndTime must not exceed 30 days.")
	}
	// Two zeros would ask the ledger for everything, and nothing was recorded in 1970. It looks for the first record after end, so
	// that there must be a number after end.
	return start, min(max(end, 1), math.MaxInt64-1), nil
}

// getHistoryDataCount is the Action GetHistoryDataCount.
func getHistoryDataCount(c *call) (value, error) {
	chainCode, key := c.text("ProductKey"), c.text("Key")
	if _, _, err := c.locate(chainCode, key); err != nil {
		return value{}, err
	}
	start, end, bad := c.window(0)
	if bad != nil {
		return value{}, c.orNotReadable(chainCode, key, bad)
	}
	r, err := c.f.net.CountHistory(c.ctx, &ltlv1.CountHistoryRequest{
		ChainCode: chainCode, Key: key, AccountUid: c.uid, StartMs: start, EndMs: end,
	})
	if err == nil {
		err = ledgerError(r.GetCode())
	}
	return text(strconv.FormatUint(r.GetCount(), 10)), err
}

// orNotReadable answers bad, unless the Key may not be read at all: that is told first.
func (c *call) orNotReadable(chainCode, key string, bad *businessError) error {
	code, err := c.readCode(chainCode, key)
	switch {
	case err != nil:
		return err
	case code != rules.OK && code != rules.NotFound:
		return ledgerError(code)
	}
	return bad
}

// paging reads a page's number and size.
func (c *call) paging(numberName, sizeName string) (number, size int64, err *businessError) {
	number, _ = c.number(numberName)
	size, _ = c.number(sizeName)
	if number < 1 {
		return 0, 0, refuseBecause(rules.OutOfRange, numberName+" must be 1 or more.")
	}
	if size < 1 || size > maxPageSize {
		return 0, 0, refuseBecause(rules.OutOfRange, sizeName+" must be 1 to 100.")
	}
	return number, size, nil
}

// getHistoryDataList is the Action GetHistoryDataList.
func getHistoryDataList(c *call) (value, error) {
	chainCode, key := c.text("ProductKey"), c.text("Key")
	if _, _, err := c.locate(chainCode, key); err != nil {
		return value{}, err
	}
	page, size, bad := c.paging("CurrentPage", "PageSize")
	start, end, badWindow := c.window(maxHistoryWindow)
	if bad == nil {
		bad = badWindow
	}
	if bad != nil {
		return value{}, c.orNotReadable(chainCode, key, bad)
	}
	r, err := c.f.net.ListHistory(c.ctx, &ltlv1.ListHistoryRequest{
		ChainCode: chainCode, Key: key, AccountUid: c.uid, StartMs: start, EndMs: end, Page: uint32(page), Size: uint32(size),
	})
	if err != nil {
		return value{}, err
	}
	if start == 0 && end == 0 && r.GetTotal() > maxUnboundedHistory {
		return value{}, refuseBecause(rules.OutOfRange, "The Key has more than 500 records; give StartTime and EndTime.")
	}
	if err := ledgerError(r.GetCode()); err != nil {
		return value{}, err
	}
	rows := make([]value, 0, len(r.GetRecords()))
	total := strconv.FormatUint(r.GetTotal(), 10)
	for i, record := range r.GetRecords() {
		rows = append(rows, historyRow(record, total, (page-1)*size+int64(i)+1))
	}
	return object(field{"Data", table(rows)}), nil
}

// historyRow is one row of GetHistoryDataList: every member is a string.
func historyRow(r *ltlv1.Record, total string, seq int64) value {
	return object(
		textField("chainName", r.GetChainName()),
		textField("code", r.GetDataTypeCode()),
		textField("blockHeight", strconv.FormatUint(r.GetBlockHeight(), 10)),
		textField("businessId", r.GetBusinessId()),
		textField("totalCount", total),
		textField("value", r.GetValue()),
		textField("transactionHash", hex.EncodeToString(r.GetTransactionHash())),
		textField("seq", strconv.FormatInt(seq, 10)),
		textField("timestamp", strconv.FormatInt(r.GetTimeMs(), 10)),
	)
}

// listProofChain is the Action ListProofChain.
func listProofChain(c *call) (value, error) {
	return c.listChains(ltlv1.ChainService_CHAIN_SERVICE_PROOF, func(chain *ltlv1.ChainInfo) value {
		return object(
			textField("RoleType", chain.GetRole()),
			textField("BizChainId", chain.GetChainId()),
			textField("DataTypeCode", chain.GetDataTypeCode()),
			textField("BizChainCode", chain.GetChainCode()),
			textField("Remark", chain.GetChain().GetRemark()),
			textField("Name", chain.GetChain().GetName()),
		)
	})
}

// listChains answers a page of the account's chains of one service.
func (c *call) listChains(service ltlv1.ChainService, row func(*ltlv1.ChainInfo) value) (value, error) {
	p, err := c.page()
	if err != nil {
		return value{}, err
	}
	r, err := c.f.net.ListChains(c.ctx, &ltlv1.ListChainsRequest{
		AccountUid: c.uid, Service: service, Name: c.text("Name"), Page: p.num, Size: p.size,
	})
	if err == nil {
		err = ledgerError(r.GetCode())
	}
	if err != nil {
		return value{}, err
	}
	rows := make([]value, 0, len(r.GetChains()))
	for _, chain := range r.GetChains() {
		rows = append(rows, row(chain))
	}
	return p.answer(rows, r.GetTotal()), nil
}
