package node

import (
	"fmt"
	"time"

	"ltl/internal/rules"
	"ltl/internal/skew"
	ltlv1 "ltl/proto/ltl/v1"
)

// withheldMs returns how old the clocks of a batch are, in milliseconds by the clocks of the nodes, when they are so
// old that it must have been kept back; else 0. On an idle chain no rule could refuse it: the block below is older
// still. This node's own clock alone is no reason.
func (o *orderer) withheldMs(clockMs int64) int64 {
	if o.r.clock == nil || clockMs == 0 {
		return 0
	}
	median, heard := o.r.clock()
	if heard < skew.Enough || median-clockMs <= rules.EndorsementLifeMs {
		return 0
	}
	return median - clockMs
}

// refuseWithheld refuses n transactions whose endorsements state clocks that are so many milliseconds old.
func (o *orderer) refuseWithheld(n int, ms int64) []*ltlv1.Result {
	refused := o.refuseAll(n, rules.EndorsementExpired)
	for _, r := range refused {
		r.Reason = fmt.Sprintf("The clocks of the endorsers were %v behind those of the nodes: have it endorsed again, or "+
			"set the clocks of the endorsers.", time.Duration(ms)*time.Millisecond)
	}
	return refused
}

// checkGenesisTime refuses a network that was made in the future: its time would stand until that future has come.
func checkGenesisTime(createdMs int64, now time.Time) error {
	created := time.UnixMilli(createdMs).UTC()
	if ahead := created.Sub(now); ahead > rules.EndorsementLifeMs*time.Millisecond {
		return fmt.Errorf("the genesis was made at %s, and the clock of this machine shows %s, %v earlier: set the clock; or, "+
			"if that is right, the network was made under a wrong one, and must be made again (ltl pki create)",
			created.Format(time.RFC3339), now.UTC().Format(time.RFC3339), ahead.Round(time.Second))
	}
	return nil
}
