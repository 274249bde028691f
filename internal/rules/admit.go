package rules

import (
	"fmt"

	"ltl/internal/ledger"
	ltlv1 "ltl/proto/ltl/v1"
)

// Preview is the endorser's dry run over transactions of in.ChainID: the verdicts that execution would come to, without
// endorsements; later transactions see earlier ones. in.Batches is not looked at. A transaction that is on the chain
// already is Duplicate.
func Preview(in Input, transactions [][]byte, view View) ([]int32, error) {
	codes := make([]int32, len(transactions))
	e := newExec(&in, view, len(transactions))
	found, err := e.open()
	if err != nil {
		return nil, err
	}
	for i, p := range transactions {
		switch {
		case !found:
			codes[i] = NotFound
		default:
			if codes[i], err = e.preview(p, uint32(i)); err != nil {
				return nil, err
			}
		}
	}
	return codes, nil
}

func (e *exec) preview(payload []byte, index uint32) (int32, error) {
	tx, form := e.decode(payload)
	if tx == nil {
		return Malformed, nil
	}
	id := ledger.TransactionID(payload)
	known, err := e.known(payload, id)
	if known != nil || err != nil {
		return Duplicate, err
	}
	code, _, err := e.run(tx, form, id, index)
	e.txs[id] = &ltlv1.Result{}
	return code, err
}

// Admit is the leader's early check of the one batch in in.Batches: for every transaction OK, or Malformed, NotFound (no
// such chain), NotEndorsed or EndorsementExpired. The rules are not run. A transaction known already is OK: execution
// answers it.
func Admit(in Input, view View, verify Verify) ([]int32, error) {
	if len(in.Batches) != 1 {
		return nil, fmt.Errorf("%w: %d batches to admit, want 1", ErrInvariant, len(in.Batches))
	}
	b := in.Batches[0]
	payloads := b.GetTransactions()
	codes := make([]int32, len(payloads))
	e := newExec(&in, view, 0)
	found, err := e.open()
	if err != nil {
		return nil, err
	}
	refuse := OK
	switch {
	case b.GetChainId() != in.ChainID || len(payloads) > MaxBatchTransactions || batchBytes(b) > MaxBatch:
		refuse = Malformed
	case !found:
		refuse = NotFound
	}
	if refuse != OK {
		for i := range codes {
			codes[i] = refuse
		}
		return codes, nil
	}
	ids := make([]ledger.Hash, len(payloads))
	for i, p := range payloads {
		ids[i] = ledger.TransactionID(p)
	}
	j, err := e.newJury(b, ledger.BatchRoot(ids), verify)
	if err != nil {
		return nil, err
	}
	for i, p := range payloads {
		if codes[i], err = e.admit(p, ids[i], i, j); err != nil {
			return nil, err
		}
	}
	return codes, nil
}

func (e *exec) admit(payload []byte, id ledger.Hash, i int, j *jury) (int32, error) {
	tx, _ := e.decode(payload)
	if tx == nil {
		return Malformed, nil
	}
	organisation, err := e.submitterOrganisation(tx)
	if err != nil {
		return 0, err
	}
	code := j.judge(i, organisation)
	if code == OK {
		return OK, nil
	}
	_, found, err := e.find(appendTransactionKey(e.key[:0], id))
	if found {
		return OK, err
	}
	return code, err
}
