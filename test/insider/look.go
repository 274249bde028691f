package insider

import (
	"context"
	"strings"

	"ltl/internal/ledger"
	"ltl/internal/rules"
	ltlv1 "ltl/proto/ltl/v1"
)

// memory is what the attacker has seen on the chains, as every member can.
type memory struct {
	batches   []*ltlv1.Batch
	proofs    []seenProof
	keys      []string // Keys of records of others
	nonces    [][2]string
	proposals []ledger.Hash // of others
}

// seenProof is what a device of another organisation signed.
type seenProof struct {
	proof *ltlv1.DeviceProof
	value string
}

// keep appends and forgets the oldest.
func keep[T any](list []T, one T) []T {
	list = append(list, one)
	return list[max(0, len(list)-mostKept):]
}

// look reads the newest blocks of every chain at some node.
func (i *Insider) look(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	node := ltlv1.NewLedgerClient(pick(i, i.nodes...))
	st, err := node.Status(ctx, &ltlv1.StatusRequest{})
	if err != nil {
		return // a fault is in effect
	}
	for _, c := range st.GetChains() {
		from := c.GetHeight() - min(c.GetHeight(), lookBack)
		stream, err := node.Blocks(ctx, &ltlv1.BlocksRequest{ChainId: c.GetChainId(), FromHeight: from})
		if err != nil {
			return
		}
		for range lookBack + 1 {
			out, err := stream.Recv()
			if err != nil {
				break
			}
			i.remember(out.GetBlock())
		}
	}
}

// remember keeps what of a block can be used again.
func (i *Insider) remember(b *ltlv1.Block) {
	results := b.GetResults()
	for _, batch := range b.GetBatches() {
		i.seen.batches = keep(i.seen.batches, batch)
		for at, payload := range batch.GetTransactions() {
			if len(results) == 0 {
				return // the node lies
			}
			code := results[0]
			results = results[1:]
			tx, err := rules.Decode(payload)
			if err != nil || code != rules.OK || strings.HasPrefix(tx.GetSubmitter(), i.Attacker+"/") {
				continue
			}
			if tx.GetPropose() != nil {
				i.seen.proposals = keep(i.seen.proposals, ledger.TransactionID(payload))
			}
			if p := rules.DeviceProofOf(tx); p != nil && at < len(batch.GetOpenings()) {
				for _, o := range batch.GetOpenings()[at].GetOpenings() {
					i.seen.proofs = keep(i.seen.proofs, seenProof{p, string(o.GetValue())})
				}
			}
			if a := tx.GetAttachData(); a != nil {
				i.seen.keys = keep(i.seen.keys, a.GetKey())
			}
			if tx.GetAccessKeyId() != "" {
				i.seen.nonces = keep(i.seen.nonces, [2]string{tx.GetAccessKeyId(), tx.GetSignatureNonce()})
			}
		}
	}
}
