package checkpoint

import (
	"context"
	"time"

	"ltl/internal/ledger"
)

// Bounds on asking the other signers.
const (
	// watchEvery is the pause between two rounds of questions.
	watchEvery = time.Minute
	// watchedChains is the number of chains in a round, beside the system chain; the next round has the next ones.
	watchedChains = 8
)

// Watch asks the other signers for their checkpoints, a few chains in each round, until ctx ends: so this process holds
// what they signed when another one shows it what they signed for that one.
func (s *Signer) Watch(ctx context.Context) {
	asked := map[string]uint64{} // the blocks of a chain when it was asked for
	next := 0
	tick := time.NewTicker(watchEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		all := s.source.Others.Chains()
		round := []string{ledger.SystemChain}
		for range all {
			next++
			id := all[next%len(all)]
			have, _ := s.source.Chain(id)
			if id != ledger.SystemChain && have.Blocks > asked[id] && len(round) <= watchedChains {
				round, asked[id] = append(round, id), have.Blocks
			}
		}
		s.watchRound(ctx, round)
	}
}

func (s *Signer) watchRound(ctx context.Context, chains []string) {
	trust, err := s.source.Trust()
	if err != nil {
		s.log.Error("the keys of the other signers cannot be read", "error", err)
		return
	}
	for _, id := range chains {
		for _, name := range s.source.Others.Names() {
			if _, err := s.askFor(ctx, trust, name, id); err != nil && ctx.Err() == nil {
				s.log.Debug("no checkpoint from another signer", "signer", name, "chain", id, "error", err)
			}
		}
	}
}
