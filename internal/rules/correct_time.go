package rules

import (
	"slices"

	"ltl/internal/ledger"
	ltlv1 "ltl/proto/ltl/v1"
)

// Bounds on corrections of the time.
const (
	// MaxTimeCorrections bounds how often the time of a network is corrected: all of them are one value of the state,
	// which every query by time reads. Each takes a mistake of all clocks and a decision of most organisations.
	MaxTimeCorrections = 256
	// MaxCorrectionAgeMs is how far, in milliseconds, the time of a correction may be behind the clocks of those that
	// endorse its proposal. What was signed and kept back before that time stays expired.
	MaxCorrectionAgeMs = 10 * 60 * 1000
)

// TimeCorrection sets the network's time back. The reference time of the system block of this height is ToMs, and each
// chain goes on from ToMs, once. The zero value is none.
type TimeCorrection struct {
	Height uint64
	ToMs   int64
}

// Floor returns the time that the block above h is not before: that of h, or the time of the correction where h was
// made before it. A chain that the system block of the correction created has a block 0 of the time before, too.
func (c TimeCorrection) Floor(h *ledger.Header) int64 {
	if h.SystemHeight < c.Height ||
		h.SystemHeight == c.Height && c.Height > 0 && (h.Height == 0 || h.ChainID == ledger.SystemChain) {
		return c.ToMs
	}
	return h.TimeMs
}

// ListTimeCorrections returns all corrections of the network's time, oldest first.
func ListTimeCorrections(v View) ([]TimeCorrection, error) {
	all, err := load(v, ledger.SystemChain, keyTimeCorrections, parseTimeCorrections)
	if all == nil || err != nil {
		return nil, err
	}
	return *all, nil
}

func checkCorrectTime(tx *ltlv1.Transaction) int32 {
	if to := tx.GetCorrectTime().GetToMs(); to <= 0 || to > maxTimeMs {
		return OutOfRange
	}
	return OK
}

// correctTime sets the network's time back. That the time lies before the reference time makes each correction visible
// in the headers: only there the reference time goes back.
func (e *exec) correctTime(act action) (int32, string, error) {
	to := act.tx.GetCorrectTime().GetToMs()
	all, err := ListTimeCorrections(e)
	if err != nil {
		return 0, "", err
	}
	switch {
	case to >= e.in.PreviousReferenceMs:
		return e.refuse(Conflict, reasonTimeNotAhead), "", nil
	case len(all) >= MaxTimeCorrections:
		return e.refuse(QuotaExceeded, reasonTimeCorrections), "", nil
	}
	all = append(slices.Clone(all), TimeCorrection{Height: act.here.Height, ToMs: to})
	e.put(keyTimeCorrections, encodeTimeCorrections(all))
	e.correctedMs = to
	return OK, "", nil
}

// freshCorrection judges a new proposal: its time is that of the endorsers' clocks, or little before.
func freshCorrection(e *exec, tx *ltlv1.Transaction) int32 {
	to := tx.GetCorrectTime().GetToMs()
	if to > e.medianMs+MaxClockSpreadMs || to < e.medianMs-MaxCorrectionAgeMs {
		return e.refuse(OutOfRange, reasonCorrectionTime)
	}
	return OK
}

func correctTimeObject(*ltlv1.Transaction) string { return "" }

// correctTimeBasis: of two that were proposed, the second would set back what the first has set right.
func correctTimeBasis(*ltlv1.Transaction) []string { return []string{keyTimeCorrections} }

func correctTimeWords(_ View, tx *ltlv1.Transaction) (string, error) {
	return "the time of the network and of every chain is set back to " + timeWord(tx.GetCorrectTime().GetToMs()), nil
}

// aboutCorrection reports whether a transaction proposes a correction of the time, or is a vote on one that is open.
// Its endorsements do not expire: while the time is ahead none that states a right clock would count.
func aboutCorrection(v View, tx *ltlv1.Transaction) (bool, error) {
	switch a := tx.GetAction().(type) {
	case *ltlv1.Transaction_Propose:
		return a.Propose.GetCorrectTime() != nil, nil
	case *ltlv1.Transaction_Approve:
		return onCorrection(v, a.Approve)
	case *ltlv1.Transaction_Reject:
		return onCorrection(v, a.Reject)
	case *ltlv1.Transaction_Withdraw:
		return onCorrection(v, a.Withdraw)
	}
	return false, nil
}

func onCorrection(v View, m ofProposal) (bool, error) {
	if checkVote(m) != OK {
		return false, nil
	}
	id := ledger.Hash(m.GetProposalId())
	p, err := GetProposal(v, id)
	if p == nil || err != nil || p.State != ltlv1.ProposalState_PROPOSAL_STATE_OPEN {
		return false, err
	}
	content, err := GetProposed(v, id)
	return content.GetCorrectTime() != nil, err
}

// CorrectsTime reports whether all transactions, of the system chain, are about corrections of the network's time, so
// that an endorser signs them although the ledger is ahead of its clock.
func CorrectsTime(v View, transactions [][]byte) (bool, error) {
	for _, payload := range transactions {
		tx, err := Decode(payload)
		if err != nil || tx.GetChainId() != ledger.SystemChain {
			return false, nil
		}
		if about, err := aboutCorrection(v, tx); !about || err != nil {
			return false, err
		}
	}
	return true, nil
}

// formerUntil returns the last clock with which statements by a former key count. A key that was replaced while the
// network's time was ahead would else count until the true time has come up to that.
func (e *exec) formerUntil(k *FormerKey) (int64, error) {
	all, err := ListTimeCorrections(e)
	until := k.UntilMs
	for _, c := range all {
		if c.Height >= k.RetiredHeight {
			until = min(until, c.ToMs)
		}
	}
	return until, err
}

func encodeTimeCorrections(all []TimeCorrection) []byte {
	e := encoder{[]byte{stateVersion}}
	e.u32(uint32(len(all)))
	for _, c := range all {
		e.u64(c.Height)
		e.i64(c.ToMs)
	}
	return e.b
}

func parseTimeCorrections(b []byte) (*[]TimeCorrection, error) {
	d := begin(b)
	all := []TimeCorrection{}
	for range d.count(16) {
		var c TimeCorrection
		c.Height = d.u64()
		c.ToMs = d.i64()
		all = append(all, c)
	}
	return &all, d.end("corrections of the time")
}
