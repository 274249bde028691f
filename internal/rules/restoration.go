package rules

import (
	"bytes"
	"fmt"
	"slices"
	"unicode/utf8"

	"ltl/internal/ledger"
	ltlv1 "ltl/proto/ltl/v1"
)

// Bounds on restorations.
const (
	// MaxRestorations is how many restorations a network ever records. They are one value of the state, which is read
	// with each of them; a network that loses most of its nodes so often has another problem.
	MaxRestorations = 64
	// RestoreEpochLen is the length of a restore epoch, in bytes.
	RestoreEpochLen = 16
)

// Restoration is a restoration of the network that the ledger records.
type Restoration struct {
	// Number is above that of every earlier one; numbers may be left out.
	Number uint32
	// Epoch is the restore epoch of the restored nodes.
	Epoch []byte
	// Blocks is the number of blocks, over all chains, with which the network went on. What the history before it had
	// beyond them is lost.
	Blocks uint64
	// Recorded is the sequence number of the block that records it.
	Recorded uint64
	// Reason is for people.
	Reason string
	// At is the place of the transaction that recorded it, without Extra.
	At Locator
}

// ListRestorations returns the restorations that the ledger records, oldest first.
func ListRestorations(v View) ([]Restoration, error) {
	all, err := load(v, ledger.SystemChain, keyRestorations, parseRestorations)
	if all == nil || err != nil {
		return nil, err
	}
	return *all, nil
}

// checkRecordRestoration checks the form.
func checkRecordRestoration(tx *ltlv1.Transaction) int32 {
	r := tx.GetRecordRestoration()
	n := utf8.RuneCountInString(r.GetReason())
	if r.GetNumber() == 0 || len(r.GetRestoreEpoch()) != RestoreEpochLen || r.GetBlocks() == 0 || n < 1 || n > MaxReason {
		return OutOfRange
	}
	return OK
}

// recordRestoration records a restoration. Whether there was one the rules cannot know: that is for those who vote. They
// can know that the blocks which are said to be kept are there, and that the earlier records are among them: a
// restoration that had lost one of those would have lost this network's present history.
func (e *exec) recordRestoration(act action) (int32, string, error) {
	r := act.tx.GetRecordRestoration()
	all, err := ListRestorations(e)
	if err != nil {
		return 0, "", err
	}
	var last Restoration
	if len(all) > 0 {
		last = all[len(all)-1]
	}
	switch {
	case slices.ContainsFunc(all, func(o Restoration) bool { return bytes.Equal(o.Epoch, r.GetRestoreEpoch()) }):
		return e.refuse(Conflict, reasonRestorationKnown), "", nil
	case r.GetNumber() <= last.Number:
		return e.refuse(Conflict, fmt.Sprintf(reasonRestorationNumber, last.Number)), "", nil
	case r.GetBlocks() <= last.Recorded && len(all) > 0:
		return e.refuse(Conflict, fmt.Sprintf(reasonRestorationEarlier, last.Number, last.Recorded)), "", nil
	case r.GetBlocks() > e.in.Sequence:
		return e.refuse(Conflict, fmt.Sprintf(reasonRestorationBlocks, e.in.Sequence)), "", nil
	case len(all) >= MaxRestorations:
		return e.refuse(QuotaExceeded, reasonRestorations), "", nil
	}
	here := act.here
	here.Extra = 0
	all = append(all, Restoration{Number: r.GetNumber(), Epoch: r.GetRestoreEpoch(), Blocks: r.GetBlocks(),
		Recorded: e.in.Sequence, Reason: r.GetReason(), At: here})
	e.put(keyRestorations, encodeRestorations(all))
	return OK, "", nil
}

func recordRestorationObject(*ltlv1.Transaction) string { return "" }

func recordRestorationBasis(*ltlv1.Transaction) []string { return []string{keyRestorations} }

// recordRestorationWords say what all lose by it, since that is what is decided.
func recordRestorationWords(_ View, tx *ltlv1.Transaction) (string, error) {
	r := tx.GetRecordRestoration()
	return fmt.Sprintf("it is recorded as restoration %d that this network lost its nodes and was restored from a copy of its "+
		"first %d blocks, with the restore epoch %x: for good, what the history before had beyond those blocks counts as "+
		"lost, and certificates of it end as abandoned. Approve it only if you know of this restoration. The reason given "+
		"is %q", r.GetNumber(), r.GetBlocks(), r.GetRestoreEpoch(), r.GetReason()), nil
}

func encodeRestorations(all []Restoration) []byte {
	e := encoder{[]byte{stateVersion}}
	e.u32(uint32(len(all)))
	for _, r := range all {
		e.u32(r.Number)
		e.bytes(r.Epoch)
		e.u64(r.Blocks)
		e.u64(r.Recorded)
		e.strings(r.Reason)
		e.place(r.At)
	}
	return e.b
}

func parseRestorations(b []byte) (*[]Restoration, error) {
	d := begin(b)
	all := []Restoration{}
	for range d.count(40) {
		r := Restoration{Number: d.u32(), Epoch: d.bytes(), Blocks: d.u64(), Recorded: d.u64()}
		d.strings(&r.Reason)
		r.At = d.place()
		all = append(all, r)
	}
	return &all, d.end("restorations")
}
