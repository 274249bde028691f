package main

import (
	"fmt"
	"maps"

	"ltl/internal/ledger"
	"ltl/internal/rules"
	ltlv1 "ltl/proto/ltl/v1"
)

// pageSize is how many items one request for a list asks for.
const pageSize = 100

// advice says what to do next about a refusal, by its code, where a command knows better than the code's own sentence.
type advice map[int32]string

const (
	adviceOperator = "only an operator of the organisation that it belongs to may do this; give --identity DIRECTORY with " +
		"the certificate of one"
	adviceNoOrg = "there is no such organisation; `ltl org list` lists the existing ones"
)

// of is the sentence for a code.
func (a advice) of(code int32) string {
	if sentence, ok := a[code]; ok {
		return sentence
	}
	return rules.Message(code)
}

// or is a with the sentences of other for the codes that it has none for.
func (a advice) or(other advice) advice {
	merged := maps.Clone(other)
	maps.Copy(merged, a)
	return merged
}

// submit writes a transaction. A refusal by the ledger's rules is an error here.
func (s *session) submit(tx *ltlv1.Transaction, a advice) (*ltlv1.Result, error) {
	result, err := s.client.Submit(s.cmd.Context(), tx)
	if err != nil {
		return nil, err
	}
	code, why := result.GetCode(), result.GetReason()
	if code == rules.OK && why == "" {
		return result, nil
	}
	if why == "" {
		why = a.of(code)
	}
	return nil, fmt.Errorf("the ledger refused it with code %d: %s", code, why)
}

// submitToSystem writes a transaction to the system chain.
func (s *session) submitToSystem(tx *ltlv1.Transaction, a advice) (*ltlv1.Result, error) {
	tx.ChainId = ledger.SystemChain
	return s.submit(tx, a)
}

// readBack wraps the error of reading what was just changed.
func readBack(done string, err error) error {
	return fmt.Errorf("%s, but the result could not be read; the change is on the ledger, do not repeat it: %w", done, err)
}

// refused turns the code of a read into an error; nil for success.
func refused(code int32) error {
	if code == rules.OK {
		return nil
	}
	return fmt.Errorf("the ledger answers with code %d: %s", code, rules.Message(code))
}

// page is one page of a list that the ledger returns.
type page interface {
	GetCode() int32
	GetTotal() uint64
}

// allPages reads a list to its end: read asks for a page, counted from 1, items takes the items out of it, and row
// makes of each what is printed. The result is never nil, so that an empty list is [] in JSON.
func allPages[P page, Item, Row any](read func(page uint32) (P, error), items func(P) []Item, row func(Item) Row) ([]Row, error) {
	rows := []Row{}
	for number := uint32(1); ; number++ {
		p, err := read(number)
		if err != nil {
			return nil, err
		}
		if err := refused(p.GetCode()); err != nil {
			return nil, err
		}
		found := items(p)
		for _, item := range found {
			rows = append(rows, row(item))
		}
		if len(found) == 0 || uint64(len(rows)) >= p.GetTotal() {
			return rows, nil
		}
	}
}
