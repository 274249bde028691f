package insider

import (
	"context"
	"fmt"
	"time"

	"google.golang.org/protobuf/proto"

	"ltl/client"
	"ltl/internal/ledger"
	"ltl/internal/rules"
	ltlv1 "ltl/proto/ltl/v1"
)

// record is a record of an account under a Key with a data type code.
func (i *Insider) record(c Chain, uid, code, id string) *ltlv1.Transaction {
	key := rules.KeyVersion + "_" + c.Code + "_" + code + "_" + id
	tx := &ltlv1.Transaction{ChainId: c.ID, AccountUid: uid, Openings: client.Values(i.name("evil"))}
	if i.rng.IntN(2) == 0 {
		tx.Action = &ltlv1.Transaction_SetData{SetData: &ltlv1.SetData{Key: key}}
	} else {
		tx.Action = &ltlv1.Transaction_AttachData{AttachData: &ltlv1.AttachData{Key: key}}
	}
	return tx
}

// sendRecord sends a transaction of a business chain in one of the ways that the attacker has.
func (i *Insider) sendRecord(ctx context.Context, tx *ltlv1.Transaction) (answer, error) {
	tx = proto.CloneOf(tx)
	inName := i.Victim + "/" + pick(i, "facade/"+i.Facade, "operator/operator", "client/bench")
	switch i.rng.IntN(6) {
	case 0:
		return submit(ctx, i.facade, tx)
	case 1:
		return submit(ctx, i.client, tx)
	case 2:
		return submit(ctx, i.operator(), tx)
	case 3:
		tx.Submitter = inName
		return submit(ctx, i.facade, tx)
	case 4:
		tx.Submitter = i.Attacker + "/facade/evil"
		return i.forced(ctx, tx)
	}
	tx.Submitter = inName
	return i.forced(ctx, tx)
}

// foreignRecord writes in the name of the victim's account, or under its Keys, or with its AccessKey, or with what its
// device signed.
func (i *Insider) foreignRecord(ctx context.Context) (answer, error) {
	c := pick(i, i.Strict, i.Lax)
	id := i.name("stolen")
	switch i.rng.IntN(4) {
	case 0:
		tx := i.record(c, i.Administrator, c.Victims, id)
		if i.rng.IntN(2) == 0 {
			tx.AccessKeyId, tx.SignatureNonce = i.AccessKey, id
		}
		return i.sendRecord(ctx, tx)
	case 1: // its own account, the victim's Key
		tx := i.record(c, i.Account, c.Victims, id)
		if a := tx.GetAttachData(); a != nil && len(i.seen.keys) > 0 {
			a.Key = pick(i, i.seen.keys...)
		}
		return i.sendRecord(ctx, tx)
	case 2:
		if len(i.seen.proofs) > 0 { // what the victim's device signed, on its own Key
			seen := pick(i, i.seen.proofs...)
			tx := i.record(c, i.Account, c.Own, id)
			tx.Action = &ltlv1.Transaction_AttachData{AttachData: &ltlv1.AttachData{
				Key: rules.KeyVersion + "_" + c.Code + "_" + c.Own + "_" + id, Device: seen.proof}}
			tx.Openings = client.Values(seen.value)
			return i.sendRecord(ctx, tx)
		}
	}
	tx := i.record(c, i.Administrator, c.Own, id)
	return i.sendRecord(ctx, tx)
}

// correction declares the victim's record wrong.
func (i *Insider) correction(ctx context.Context) (answer, error) {
	tx := i.record(i.Strict, i.Account, i.Strict.Own, i.name("correction"))
	of := i.bytes(len(ledger.Hash{}))
	key := rules.KeyVersion + "_" + i.Strict.Code + "_" + i.Strict.Victims + "_none"
	if len(i.seen.batches) > 0 {
		b := pick(i, i.seen.batches...)
		id := ledger.TransactionID(pick(i, b.GetTransactions()...))
		of = id[:]
	}
	if len(i.seen.keys) > 0 {
		key = pick(i, i.seen.keys...)
	}
	tx.Action = &ltlv1.Transaction_AttachData{AttachData: &ltlv1.AttachData{
		Key:      rules.KeyVersion + "_" + i.Strict.Code + "_" + i.Strict.Own + "_" + i.name("correction"),
		Corrects: &ltlv1.Correction{TransactionId: of, Key: key, Reason: "wrong"}}}
	return i.sendRecord(ctx, tx)
}

// burn uses the nonce that the victim is about to use.
func (i *Insider) burn(ctx context.Context) (answer, error) {
	c := pick(i, i.Strict, i.Lax)
	tx := i.record(c, i.Account, c.Own, i.name("burn"))
	if i.rng.IntN(2) == 0 {
		tx = i.record(c, i.Administrator, c.Victims, i.name("burn"))
	}
	tx.AccessKeyId, tx.SignatureNonce = i.AccessKey, i.Nonce()
	if len(i.seen.nonces) > 0 && i.rng.IntN(4) == 0 {
		seen := pick(i, i.seen.nonces...)
		tx.AccessKeyId, tx.SignatureNonce = seen[0], seen[1]
	}
	return i.sendRecord(ctx, tx)
}

// ownRecord is a record to which the attacker has a right.
func (i *Insider) ownRecord(ctx context.Context) (answer, error) {
	c := pick(i, i.Strict, i.Lax)
	return submit(ctx, i.client, i.record(c, i.Account, c.Own, i.name("own")))
}

// clock has the nodes order a record of its own under an endorsement of its own with a wrong clock, on the chain where
// that one is enough and on one of its own.
func (i *Insider) clock(ctx context.Context) (answer, error) {
	off := pick(i, time.Second, time.Minute, 20*time.Second, 2*time.Minute, time.Hour, 30*24*time.Hour)
	tx := i.record(i.Lax, i.Account, i.Lax.Own, i.name("clock"))
	if i.ownChain != "" && i.rng.IntN(2) == 0 {
		tx.ChainId = i.ownChain // its Keys have another code: what is refused there is dated, too
	}
	payload, err := i.encode(tx)
	if err != nil {
		return answer{}, err
	}
	return i.order(ctx, i.signed(tx.GetChainId(), time.Now().Add(pick(i, off, -off)), payload))
}

// withhold collects the endorsements of all for a record of its own, keeps them back, and orders them later.
func (i *Insider) withhold(ctx context.Context) (answer, error) {
	if len(i.withheld) == mostWithheld {
		b := i.withheld[0]
		i.withheld = i.withheld[1:]
		return i.order(ctx, b)
	}
	tx := i.record(i.Strict, i.Account, i.Strict.Own, i.name("withheld"))
	payload, err := i.encode(tx)
	if err != nil {
		return answer{}, err
	}
	b := &ltlv1.Batch{ChainId: i.Strict.ID, Transactions: [][]byte{payload}}
	last := answer{reason: "no endorser signed"}
	for _, e := range i.endorsers {
		out, err := ltlv1.NewEndorserClient(e).Endorse(ctx, &ltlv1.EndorseRequest{ChainId: b.GetChainId(),
			Transactions: b.GetTransactions()})
		if err == nil && out.GetEndorsement() != nil {
			b.Endorsements = append(b.Endorsements, out.GetEndorsement())
		} else if err == nil && len(out.GetCodes()) > 0 {
			last = answer{code: out.GetCodes()[0], reason: fmt.Sprint(out.GetReasons())}
		}
	}
	if len(b.GetEndorsements()) == 0 {
		return last, ctx.Err()
	}
	i.withheld = append(i.withheld, b)
	return answer{code: rules.OK}, nil
}

// again sends what is on the chain already: as it is, on another chain, with other endorsements, and mixed with what is
// not.
func (i *Insider) again(ctx context.Context) (answer, error) {
	if len(i.seen.batches) == 0 {
		return answer{reason: "nothing was seen"}, nil
	}
	b := proto.CloneOf(pick(i, i.seen.batches...))
	switch i.rng.IntN(4) {
	case 0:
		b.ChainId = pick(i, i.Strict.ID, i.Lax.ID, ledger.SystemChain)
	case 1:
		b.Endorsements = i.signed(b.GetChainId(), time.Now(), b.GetTransactions()...).GetEndorsements()
	case 2:
		other := pick(i, i.seen.batches...)
		b.Endorsements = append(b.Endorsements, other.GetEndorsements()...)
	}
	return i.order(ctx, b)
}
