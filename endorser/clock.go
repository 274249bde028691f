package endorser

import (
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"ltl/internal/rules"
	"ltl/internal/skew"
)

// checkClock returns this machine's clock, in milliseconds since 1970, to be stated in an endorsement of the block that
// is due. It returns an error where a signature would not count, or would be a wrong statement: while the ledger is so
// far ahead that the clock must be slow, and after the clock was set to a time that the nodes' clocks contradict.
// Nothing is kept: the next proposal is judged by the clock at that moment. What only corrects the network's time is
// signed although the ledger is ahead: it counts, and is the way back.
func (e *Endorser) checkClock(due *rules.Input, correctsTime bool) (clockMs int64, err error) {
	clockMs = time.Now().UnixMilli()
	if ahead, wrong := e.clock.Stepped(rules.MaxClockSpreadMs * time.Millisecond); wrong {
		e.metrics.clock.Inc()
		return 0, status.Errorf(codes.Aborted, "the endorser of %s does not sign: the clock of its machine was set to %s, which "+
			"is %s of those of the nodes; set it right", e.organisation, clockText(clockMs), skew.Text(ahead))
	}
	if due.IsAhead(clockMs) && !correctsTime {
		ledgerMs := max(due.PreviousTimeMs, due.PreviousReferenceMs)
		e.metrics.clock.Inc()
		return 0, status.Errorf(codes.Aborted, "the endorser of %s does not sign: the clock of its machine shows %s, and the "+
			"ledger's time is %s, %v later; set the clock, if it is the wrong one", e.organisation, clockText(clockMs),
			clockText(ledgerMs), time.Duration(ledgerMs-clockMs)*time.Millisecond)
	}
	return clockMs, nil
}

func clockText(ms int64) string { return time.UnixMilli(ms).UTC().Format(time.RFC3339) }
