package rules

import (
	"fmt"

	"ltl/internal/policy"
	ltlv1 "ltl/proto/ltl/v1"
)

// MinTickMs is how far, in milliseconds, the clocks of a Tick are ahead of the reference time at least: more would only
// fill the ledger.
const MinTickMs = 60_000

// tickNeeds: endorsements of fewer would not move the reference time.
func tickNeeds(e *exec, _ *ltlv1.Transaction, _ string) (need, error) {
	n, err := e.network()
	if err != nil {
		return need{}, err
	}
	return need{policy: policy.Of(len(n.Organisations)/2+1, n.Organisations...)}, nil
}

// tick changes nothing. What it is for is done by its endorsements before any transaction of its block is executed: they
// move the reference time.
func (e *exec) tick(action) (int32, string, error) {
	if ahead := e.medianMs - e.in.PreviousReferenceMs; ahead < MinTickMs {
		return e.refuse(Conflict, fmt.Sprintf(reasonTickEarly, MinTickMs/1000)), "", nil
	}
	return OK, "", nil
}
