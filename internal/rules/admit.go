package rules

import (
	"fmt"
	"slices"

	"ltl/internal/ledger"
	ltlv1 "ltl/proto/ltl/v1"
)

// Verdict is what Preview makes of one transaction.
type Verdict struct {
	// Code is OK, or the code that execution would refuse it with.
	Code int32
	// Reason is a sentence for the caller when the code of a refusal alone does not say what is wrong; empty otherwise.
	Reason string
	// Required is the organisation whose endorsement execution demands whatever the policy says, because only it can
	// verify the device's signature; empty otherwise and for refusals.
	Required string
	// Needs is the text of the policy that takes the place of the network's on the system chain; empty on other chains
	// and for refusals.
	Needs string
}

// Preview is the endorser's dry run over transactions of in.ChainID: the verdicts that execution would come to,
// without endorsements; later transactions see earlier ones. in.Batches is not used. A transaction that is on the
// chain already is Duplicate. clockMs is the endorser's clock, which the block's time is assumed to be, unless that of
// the block below is later. Signatures by a device's AES key are assumed to be valid: the endorser that has the key
// verifies them itself.
func Preview(in Input, clockMs int64, transactions [][]byte, view View) ([]Verdict, error) {
	verdicts := make([]Verdict, len(transactions))
	e := newExec(&in, view, len(transactions))
	e.timeMs, e.medianMs = max(e.timeMs, clockMs), clockMs
	found, err := e.open()
	if err != nil {
		return nil, err
	}
	for i, p := range transactions {
		switch {
		case !found:
			verdicts[i].Code = NotFound
		default:
			if verdicts[i], err = e.preview(p, uint32(i)); err != nil {
				return nil, err
			}
		}
	}
	return verdicts, nil
}

func (e *exec) preview(payload []byte, index uint32) (v Verdict, err error) {
	tx, form := e.decode(payload)
	if tx == nil {
		return Verdict{Code: Malformed}, nil
	}
	if newer, err := e.tooNew(tx); newer || err != nil {
		return Verdict{Code: Forbidden, Reason: reasonTooNew}, err
	}
	id := ledger.TransactionID(payload)
	known, err := e.known(payload, id)
	if known != nil || err != nil {
		return Verdict{Code: Duplicate}, err
	}
	submitter := e.identity(tx.GetSubmitter())
	if e.chain != nil && !slices.Contains(e.chain.Organisations, submitter.organisation) {
		e.reason = ""
		if code, err := e.entitlement(tx); code != OK || err != nil { // this says more
			return Verdict{Code: code, Reason: e.reason}, err
		}
		return Verdict{Code: NotEndorsed, Reason: e.unvouched(submitter)}, nil
	}
	var n need
	if e.chain == nil { // by the state before it, as execution has it
		if n, err = e.needOf(kindOf(tx), tx); err != nil {
			return v, err
		}
	}
	if v.Code, _, err = e.run(tx, form, id, index); err != nil {
		return v, err
	}
	e.txs[id] = &ltlv1.Result{}
	if v.Code != OK {
		v.Reason = e.reason
		return v, nil
	}
	if e.chain == nil {
		v.Needs = n.policy.String()
		return v, nil
	}
	v.Required, err = e.neededOrganisation(tx)
	return v, err
}

// Admission is the leader's early verdict on a batch.
type Admission struct {
	// Codes has OK for every transaction that may be ordered; else Malformed, BadDigest, NotFound (no such chain),
	// NotEndorsed, EndorsementExpired, ClocksDisagree or TooFewClocks.
	Codes []int32
	// Reasons has, where the code alone does not say what to do, a sentence beside it; empty ones otherwise.
	Reasons []string
	// ClockMs is the lower median of the clocks that the endorsements state; 0 where there is none.
	ClockMs int64
}

// Admit is the leader's early check of the one batch in in.Batches, as if it were a block by itself. The rules are not
// run; the openings are checked, since execution does not look at them. A transaction that is known already is OK:
// execution returns its first result.
func Admit(in Input, view View, verify Verify) (Admission, error) {
	if len(in.Batches) != 1 {
		return Admission{}, fmt.Errorf("%w: %d batches to admit, want 1", ErrInvariant, len(in.Batches))
	}
	b := in.Batches[0]
	payloads := b.GetTransactions()
	a := Admission{Codes: make([]int32, len(payloads)), Reasons: make([]string, len(payloads))}
	e := newExec(&in, view, 0)
	found, err := e.open()
	if err != nil {
		return Admission{}, err
	}
	refuse := OK
	switch {
	case b.GetChainId() != in.ChainID || len(payloads) > MaxBatchTransactions || batchBytes(b) > MaxBatch ||
		len(b.GetOpenings()) != 0 && len(b.GetOpenings()) != len(payloads):
		refuse = Malformed
	case !found:
		refuse = NotFound
	}
	if refuse != OK {
		for i := range a.Codes {
			a.Codes[i] = refuse
		}
		return a, nil
	}
	ids := make([]ledger.Hash, len(payloads))
	for i, p := range payloads {
		ids[i] = ledger.TransactionID(p)
	}
	set, err := e.newEndorsementSet(b, ledger.BatchRoot(ids), verify)
	if err != nil {
		return Admission{}, err
	}
	e.timeMs = max(e.timeMs, set.date.timeMs)
	set.settle(e.bounds, e.timeMs, in.PreviousReferenceMs)
	for i, p := range payloads {
		e.reason = ""
		if a.Codes[i], err = e.admit(p, openingsOf(b, i), ids[i], i, set); err != nil {
			return Admission{}, err
		}
		if a.Reasons[i] = set.reason(a.Codes[i]); a.Codes[i] == NotEndorsed || a.Codes[i] == Malformed {
			a.Reasons[i] = e.reason
		}
	}
	a.ClockMs = set.date.medianMs
	return a, nil
}

func (e *exec) admit(payload []byte, openings *ltlv1.Openings, id ledger.Hash, i int,
	set *endorsementSet) (int32, error) {
	tx, _ := e.decode(payload)
	if tx == nil {
		return Malformed, nil
	}
	if newer, err := e.tooNew(tx); newer || err != nil {
		return Malformed, err
	}
	code, reason := CheckOpenings(tx, openings)
	var err error
	if code != OK {
		e.refuse(code, reason)
	} else if code, err = e.endorsed(set, i, tx); code == OK || err != nil {
		return code, err
	}
	_, found, err := e.find(appendTransactionKey(e.key[:0], id))
	if found {
		return OK, err
	}
	return code, err
}
