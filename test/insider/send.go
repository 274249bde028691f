package insider

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"ltl/client"
	"ltl/internal/ledger"
	"ltl/internal/proposal"
	"ltl/internal/rules"
	ltlv1 "ltl/proto/ltl/v1"
	"ltl/test/testkit/offline"
)

// refusals are the errors by which a process refuses a message, as against those of a process that cannot be reached.
func refusal(err error) (answer, error) {
	switch status.Code(err) {
	case codes.InvalidArgument, codes.PermissionDenied, codes.FailedPrecondition, codes.ResourceExhausted, codes.NotFound,
		codes.OutOfRange, codes.Internal, codes.Unimplemented, codes.Unauthenticated, codes.Aborted:
		return answer{reason: err.Error()}, nil
	}
	return answer{}, err
}

// submit sends a transaction through the client library.
func submit(ctx context.Context, c *client.Client, tx *ltlv1.Transaction) (answer, error) {
	r, err := c.Submit(ctx, tx)
	if err != nil {
		if errors.Is(err, client.ErrUnavailable) || errors.Is(err, client.ErrOverloaded) {
			return answer{}, err
		}
		return answer{reason: err.Error()}, nil
	}
	return answer{r.GetCode(), r.GetReason()}, nil
}

// operator is one of the attacker's operators.
func (i *Insider) operator() *client.Client { return pick(i, i.operators[0], i.operators[1]) }

// encode completes a transaction and encodes it.
func (i *Insider) encode(tx *ltlv1.Transaction) ([]byte, error) {
	tx.Version, tx.CreatedMs, tx.Nonce = 1, time.Now().UnixMilli(), make([]byte, rules.NonceLen)
	rand.Read(tx.Nonce) // never fails: it ends the process instead
	if tx.Submitter == "" {
		tx.Submitter = i.Attacker + "/operator/operator"
	}
	clear(i.values) // of the one before
	i.values.Commit(tx)
	payload, err := proto.MarshalOptions{Deterministic: true}.Marshal(tx)
	if err != nil {
		return nil, fmt.Errorf("encode: %w", err)
	}
	return payload, nil
}

// signed is a batch that only the attacker's endorser signed, with any clock.
func (i *Insider) signed(chain string, clock time.Time, payloads ...[]byte) *ltlv1.Batch {
	signer := offline.Signer{Organisation: i.Attacker, Key: i.sign}
	return i.values.Open(offline.Batch(i.Network, chain, clock.UnixMilli(), payloads, []offline.Signer{signer}))
}

// order hands a batch to every node until one takes or refuses it.
func (i *Insider) order(ctx context.Context, batch *ltlv1.Batch) (answer, error) {
	last := answer{reason: "no node leads"}
	for _, n := range i.nodes {
		out, err := ltlv1.NewOrdererClient(n).Submit(ctx, &ltlv1.SubmitRequest{Batch: batch})
		if err == nil && len(out.GetResults()) > 0 {
			r := out.GetResults()[0]
			return answer{r.GetCode(), r.GetReason()}, nil
		}
		a, err := refusal(err)
		if err != nil {
			continue
		}
		if last = a; ctx.Err() != nil {
			break
		}
	}
	return last, ctx.Err()
}

// forced has the nodes order what only the attacker's endorser signed.
func (i *Insider) forced(ctx context.Context, tx *ltlv1.Transaction) (answer, error) {
	payload, err := i.encode(tx)
	if err != nil {
		return answer{}, err
	}
	return i.order(ctx, i.signed(tx.GetChainId(), time.Now(), payload))
}

// send sends a transaction in one of the ways that the attacker has: as its operator, in the name of the victim's
// operator, and past the endorsers.
func (i *Insider) send(ctx context.Context, tx *ltlv1.Transaction) (answer, error) {
	tx = proto.CloneOf(tx)
	inName := pick(i, i.Victim, i.Other) + "/operator/operator"
	switch i.rng.IntN(4) {
	case 0:
		tx.Submitter = inName
		return submit(ctx, i.operator(), tx)
	case 1:
		tx.Submitter = inName
		return i.forced(ctx, tx)
	case 2:
		return i.forced(ctx, tx)
	}
	return submit(ctx, i.operator(), tx)
}

// Propose proposes a change. refused is the result when the rules refuse the proposal; ErrNoProposal when the change is
// not one that is proposed.
func Propose(ctx context.Context, c *client.Client, tx *ltlv1.Transaction) (id ledger.Hash, refused *ltlv1.Result, err error) {
	prepared, err := proposal.Prepare(ctx, c, tx)
	if err != nil {
		return id, nil, err
	}
	if !prepared.GetProposal() {
		return id, nil, ErrNoProposal
	}
	made := proposal.New(prepared, proposal.DefaultLife)
	r, err := c.Submit(ctx, made)
	if err != nil || r.GetCode() != rules.OK {
		return id, r, err
	}
	id, err = client.TransactionID(made)
	return id, nil, err
}

// ErrNoProposal is returned by Propose for a change that is an act of its owner.
var ErrNoProposal = errors.New("it is an act of its owner, and not proposed")
