package facade

import (
	"cmp"
	"encoding/hex"
	"slices"
	"strings"

	"ltl/internal/rules"
	ltlv1 "ltl/proto/ltl/v1"
)

// checkPhaseNames checks the parameters that name records of a phase.
func (c *call) checkPhaseNames() error {
	if err := cmp.Or(c.checkID("PhaseGroupId", noPhaseGroup), c.checkID("PhaseId", noPhase)); err != nil {
		return err
	}
	if key := c.text("DataKey"); !dataName(key) && !fullDataKey(key) {
		return malformed("DataKey must be 1 to 64 letters, digits, - and ., or a key in the form of RelatedDataKey.")
	}
	if seq := c.text("DataSeq"); seq != "" && !dataName(seq) {
		return malformed("DataSeq must be 1 to 64 letters, digits, - and ..")
	}
	return nil
}

// foreignKey is ledgerError for reads by a DataKey. The form of DataKey was right here, so that the ledger refuses it
// only if it has the form of RelatedDataKey and holds the code of another phase or chain.
func foreignKey(code int32) error {
	return withMessage(ledgerError(code), rules.OutOfRange,
		"DataKey holds the code of another phase or chain than PhaseId and BizChainId name.")
}

// describePhaseRecord is the Action DescribeMPCoSPhaseInfo. Without DataSeq it returns the newest record of the
// DataKey.
func describePhaseRecord(c *call) (value, error) {
	record, err := c.phaseRecord()
	if err != nil {
		return value{}, err
	}
	related := rows(record.GetRelated(), func(d *ltlv1.RelatedRecord) value {
		return object(
			textField("RelatedPhaseId", d.GetPhaseId()),
			textField("RelatedDataSeq", d.GetDataSeq()),
			textField("RelatedDataKey", d.GetDataKey()),
			textField("RelatedPhaseDataHash", hex.EncodeToString(d.GetPhaseDataHash())),
			textField("RelatedPhaseName", d.GetPhaseName()),
		)
	})
	return object(slices.Concat([]field{
		textField("IotId", record.GetIotId()),
		textField("DataValue", record.GetDataValue()),
		textField("BlockHash", hex.EncodeToString(record.GetBlockHash())),
		textField("TransactionHash", hex.EncodeToString(record.GetTransactionHash())),
		textField("PreviousHash", hex.EncodeToString(record.GetPreviousHash())),
		longField("BlockNumber", record.GetBlockHeight()),
		field{"Timestamp", integer(record.GetTimeMs())},
		field{"RelatedDataList", array(related)},
		textField("ProductKey", record.GetProductKey()),
		textField("DataHash", hex.EncodeToString(record.GetDataHash())),
	}, phaseCorrectionFields(record), checkpointFields("Checkpoint", c.verified))...), nil
}

// phaseRecord reads the record that phase, DataKey and DataSeq name.
func (c *call) phaseRecord() (*ltlv1.PhaseRecord, error) {
	if err := c.checkPhaseNames(); err != nil {
		return nil, err
	}
	phase, dataKey, dataSeq := c.text("PhaseId"), c.text("DataKey"), c.text("DataSeq")
	plain := dataKey[strings.LastIndexByte(dataKey, '_')+1:]
	// Look before the read: a write that ends during the read may be missed by it.
	pending := c.f.pending.has(c.phaseRecordName(phase, plain, dataSeq), "")
	r, by, err := c.f.net.VerifiedPhaseRecord(c.ctx, &ltlv1.GetPhaseRecordRequest{
		ChainId: c.chainID, AccountUid: c.uid, PhaseGroupId: c.text("PhaseGroupId"), PhaseId: phase, DataKey: dataKey,
		DataSeq: dataSeq,
	})
	switch {
	case err != nil:
		return nil, err
	case r.GetCode() == rules.NotFound && pending:
		return nil, refuse(rules.InFlight)
	case r.GetCode() != rules.OK:
		return nil, withMessage(foreignKey(r.GetCode()), rules.NotFound, noPhaseRecord)
	}
	c.verified = by
	return r.GetRecord(), nil
}

// listPhaseHistory is the Action ListMPCoSPhaseHistory: the records of a DataKey in a window, the oldest first.
func listPhaseHistory(c *call) (value, error) {
	if err := c.checkPhaseNames(); err != nil {
		return value{}, err
	}
	p, err := c.page()
	if err != nil {
		return value{}, err
	}
	start, end, err := c.window(0)
	if err != nil {
		return value{}, err
	}
	r, err := c.f.net.ListPhaseRecords(c.ctx, &ltlv1.ListPhaseRecordsRequest{
		ChainId: c.chainID, AccountUid: c.uid, PhaseGroupId: c.text("PhaseGroupId"), PhaseId: c.text("PhaseId"),
		DataKey: c.text("DataKey"),
		StartMs: start, EndMs: end, Page: p.num, Size: p.size,
	})
	if err == nil {
		err = withMessage(foreignKey(r.GetCode()), rules.NotFound,
			"This chain has no such phase; check PhaseGroupId and PhaseId.")
	}
	if err != nil {
		return value{}, err
	}
	return p.data(rows(r.GetRecords(), func(record *ltlv1.PhaseRecord) value {
		return object(append([]field{
			textField("IotId", record.GetIotId()),
			textField("DataValue", record.GetDataValue()),
			textField("BlockHash", hex.EncodeToString(record.GetBlockHash())),
			textField("DataSeq", record.GetDataSeq()),
			textField("TransactionHash", hex.EncodeToString(record.GetTransactionHash())),
			textField("PreviousHash", hex.EncodeToString(record.GetPreviousHash())),
			longField("BlockNumber", record.GetBlockHeight()),
			field{"Timestamp", integer(record.GetTimeMs())},
			textField("ProductKey", record.GetProductKey()),
			textField("DataHash", hex.EncodeToString(record.GetDataHash())),
		}, phaseCorrectionFields(record)...)...)
	}), r.GetTotal()), nil
}
