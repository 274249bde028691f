package client

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"ltl/client/proof"
	"ltl/internal/ledger"
	"ltl/internal/rules"
	ltlv1 "ltl/proto/ltl/v1"
)

// ErrNotRecorded is returned for a record or transaction that is not on the chain.
var ErrNotRecorded = errors.New("there is no such record")

// errEnough ends a stream of blocks.
var errEnough = errors.New("enough")

// Certificate makes the certificate of a transaction: the file with which a stranger checks it offline, under the
// network's trust file (package proof). dataKey and dataSeq choose the record of an upload of several; they are empty
// for others. It returns ErrNotRecorded, wrapped, when no such transaction is on a chain. The node that answers is not
// trusted: verify the certificate.
func (l *Ledger) Certificate(ctx context.Context, id [32]byte, dataKey, dataSeq string) (*proof.Certificate, error) {
	at, err := l.GetTransaction(ctx, &ltlv1.GetTransactionRequest{TransactionHash: id[:]})
	if err != nil {
		return nil, err
	}
	if at.GetCode() != rules.OK {
		return nil, fmt.Errorf("transaction %x: %w", id, ErrNotRecorded)
	}
	var block *ltlv1.Block
	err = l.Blocks(ctx, &ltlv1.BlocksRequest{ChainId: at.GetChainId(), FromHeight: at.GetBlockHeight()},
		func(b *ltlv1.Block) error {
			block = b
			return errEnough
		})
	if err != nil && !errors.Is(err, errEnough) {
		return nil, err
	}
	c, err := certify(block, int(at.GetTransactionIndex()), ledger.Hash(id))
	if err == nil {
		err = show(c, ledger.Hash(id), at.GetOpenings(), dataKey, dataSeq)
	}
	if err != nil {
		return nil, fmt.Errorf("client: certificate of transaction %x: %w", id, err)
	}
	return c, nil
}

// certify takes a transaction out of its block, with the paths to what is signed.
func certify(block *ltlv1.Block, index int, id ledger.Hash) (*proof.Certificate, error) {
	header, err := ledger.ParseHeader(block.GetHeader())
	if err != nil {
		return nil, err
	}
	c := &proof.Certificate{Block: proof.Block{Header: block.GetHeader(), Index: uint64(index)}}
	var outcomes []ledger.Hash
	var batch *ltlv1.Batch
	var root ledger.Hash
	for _, b := range block.GetBatches() {
		ids := make([]ledger.Hash, len(b.GetTransactions()))
		leaves := make([]ledger.Hash, len(ids))
		for i, payload := range b.GetTransactions() {
			ids[i] = ledger.TransactionID(payload)
			leaves[i] = ledger.LeafHash(ids[i][:])
		}
		batchRoot := ledger.BatchRoot(ids)
		for i := range ids {
			at := len(outcomes)
			if at >= len(block.GetResults()) {
				return nil, errors.New("the block has fewer results than transactions; ask another node")
			}
			code := block.GetResults()[at]
			outcomes = append(outcomes, ledger.LeafHash(ledger.OutcomeLeaf(nil, ledger.Outcome{ID: ids[i], Code: code,
				BatchRoot: batchRoot})))
			if at == index && ids[i] == id {
				batch, root, c.Payload, c.Block.Result = b, batchRoot, b.GetTransactions()[i], code
				c.BatchCount, c.BatchIndex, c.BatchPath = uint64(len(ids)), uint64(i), ledger.Path(leaves, i)
			}
		}
	}
	if batch == nil {
		return nil, errors.New("the block does not hold it at the place that was named; ask another node")
	}
	c.Block.Path = ledger.Path(outcomes, index)
	unexpired := header.ChainID == ledger.SystemChain && aboutProposal(c.Payload)
	c.Endorsements = countedEndorsements(batch, &header, root, int(c.BatchIndex), unexpired)
	if len(c.Endorsements) == 0 {
		return nil, errors.New("no organisation's signature stands for it, so there is nothing to show a stranger")
	}
	return c, nil
}

// countedEndorsements are the endorsements that counted for transaction i of a batch, in the order of the
// organisations. The first vote of an organisation is its only one in a batch, as in the rules. With unexpired they count
// whenever they were made.
func countedEndorsements(b *ltlv1.Batch, h *ledger.Header, root ledger.Hash, i int, unexpired bool) []proof.Endorsement {
	type signed struct {
		organisation string
		endorsement  proof.Endorsement
	}
	var all []signed
	var voted []string
	for _, e := range b.GetEndorsements() {
		s, err := ledger.ParseEndorsement(e, h.ChainID, root, len(b.GetTransactions()))
		if err != nil || !s.AcceptsAny() || s.Height > h.Height || s.SystemHeight > h.SystemHeight ||
			slices.Contains(voted, s.Organisation) {
			continue
		}
		voted = append(voted, s.Organisation)
		if !s.Accepts(i) || !unexpired && max(h.TimeMs, h.ReferenceMs)-s.ClockMs > proof.EndorsementLifeMs {
			continue
		}
		all = append(all, signed{s.Organisation, proof.Endorsement{Statement: e.GetStatement(),
			Signature: e.GetSignature(), Index: uint64(e.GetIndex()), Path: e.GetPath(), Height: e.GetHeight(),
			Flags: uint64(e.GetFlags()), Bitmap: e.GetBitmap()}})
	}
	slices.SortFunc(all, func(a, b signed) int { return strings.Compare(a.organisation, b.organisation) })
	var out []proof.Endorsement
	for _, s := range all {
		out = append(out, s.endorsement)
	}
	return out
}

// aboutProposal reports whether a transaction proposes or is a vote. Where that is about the network's time, its
// endorsements do not expire, and one that the ledger took without them would not be shown here.
func aboutProposal(payload []byte) bool {
	tx, err := rules.Decode(payload)
	return err == nil && (tx.GetPropose() != nil || tx.GetApprove() != nil || tx.GetReject() != nil || tx.GetWithdraw() != nil)
}

// show adds the record's value to the certificate. A value that the payload commits to is among the openings, or was not
// given: then the certificate shows none.
func show(c *proof.Certificate, id ledger.Hash, openings *ltlv1.Openings, dataKey, dataSeq string) error {
	tx, err := rules.Decode(c.Payload)
	if err != nil {
		return err
	}
	if upload := tx.GetUploadPhaseData(); upload != nil && upload.GetList() == "" {
		seqs := rules.DataSeqs(id, upload.GetItems())
		for i, item := range upload.GetItems() {
			if len(upload.GetItems()) == 1 || item.GetDataKey() == dataKey && seqs[i] == dataSeq {
				c.Item = i
				c.Openings = []proof.Opening{{Slot: uint64(i), Value: []byte(item.GetPhaseData())}}
				return nil
			}
		}
		return errors.New("it holds several records; name one by its data key and DataSeq")
	}
	if upload := tx.GetUploadPhaseData(); upload != nil {
		c.Openings = []proof.Opening{{Value: []byte(upload.GetList())}}
	}
	for _, o := range openings.GetOpenings() {
		c.Openings = append(c.Openings, proof.Opening{Slot: uint64(o.GetSlot()), Salt: o.GetSalt(), Value: o.GetValue()})
	}
	return nil
}
