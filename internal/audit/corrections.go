package audit

import (
	"encoding/hex"
	"time"

	"google.golang.org/protobuf/proto"

	"ltl/internal/ledger"
	"ltl/internal/rules"
	ltlv1 "ltl/proto/ltl/v1"
)

// maxCorrections bounds the corrections that a report lists; all are counted.
const maxCorrections = 1000

// Correction is a record that another one declared wrong.
type Correction struct {
	ChainID string    `json:"chainId"`
	Time    time.Time `json:"time"`
	// Wrong and By are the ids of the transactions of the record and of the one that took its place.
	Wrong string `json:"wrongTransaction"`
	By    string `json:"byTransaction"`
	// Key and BusinessID are those of the wrong record; of one of a phase, BusinessID is the DataSeq.
	Key        string `json:"key"`
	BusinessID string `json:"businessId,omitempty"`
	Reason     string `json:"reason"`
	// ByAdministrator is set when the chain's administrator declared it, and not the account whose record it is.
	ByAdministrator bool `json:"byAdministrator"`
}

// noteCorrections takes the corrections of a block into the report.
func (a *auditor) noteCorrections(h *ledger.Header, b *ltlv1.Block) {
	i := 0
	for _, batch := range b.GetBatches() {
		for _, payload := range batch.GetTransactions() {
			i++
			if b.GetResults()[i-1] != okResult {
				continue
			}
			var tx ltlv1.Transaction
			if proto.Unmarshal(payload, &tx) != nil {
				continue // it was executed, so this does not happen
			}
			c := rules.CorrectionOf(&tx)
			if c == nil {
				continue
			}
			if a.corrected++; len(a.corrections) == maxCorrections {
				continue
			}
			id := ledger.TransactionID(payload)
			a.corrections = append(a.corrections, Correction{
				ChainID: h.ChainID, Time: time.UnixMilli(h.TimeMs).UTC(), Wrong: hex.EncodeToString(c.GetTransactionId()),
				By: hex.EncodeToString(id[:]), Key: c.GetKey(), BusinessID: c.GetBusinessId(), Reason: c.GetReason(),
				ByAdministrator: rules.ByAdministrator(c, tx.GetAttachData().GetKey()),
			})
		}
	}
}
