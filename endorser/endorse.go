package endorser

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"ltl/internal/identity"
	"ltl/internal/ledger"
	"ltl/internal/rules"
	ltlv1 "ltl/proto/ltl/v1"
)

// Endorse implements ltlv1.EndorserServer: it checks a batch against the rules and signs the transactions that it
// accepts.
func (e *Endorser) Endorse(ctx context.Context, in *ltlv1.EndorseRequest) (*ltlv1.EndorseResponse, error) {
	ctx, span := e.cfg.Tracer.Serve(ctx, "endorse")
	defer span.End()
	span.Number("ltl.transactions", len(in.GetTransactions()))
	out, err := e.endorse(ctx, in)
	span.Failed(err)
	return out, err
}

func (e *Endorser) endorse(ctx context.Context, in *ltlv1.EndorseRequest) (*ltlv1.EndorseResponse, error) {
	started := time.Now()
	caller, ok := identity.FromContext(ctx)
	if !ok {
		return nil, status.Error(codes.Unauthenticated, "the caller has no identity")
	}
	size, err := checkSize(in)
	if err != nil {
		return nil, err
	}
	if err := e.waitSequence(ctx, caller, size, in.GetMinSequence()); err != nil {
		return nil, err
	}
	leave := e.queue.enter(caller, size)
	if leave == nil {
		return nil, e.full(caller)
	}
	defer leave()
	select {
	case e.slots <- struct{}{}:
		defer func() { <-e.slots }()
	case <-ctx.Done():
		return nil, status.FromContextError(ctx.Err()).Err()
	}
	out, err := e.judge(caller, in)
	if err != nil {
		return nil, e.failure(err)
	}
	e.metrics.judged(out.GetCodes(), time.Since(started))
	return out, nil
}

// checkSize refuses a request that is larger than a batch may be, and returns the bytes of its transactions and values.
func checkSize(in *ltlv1.EndorseRequest) (size int, err error) {
	n := len(in.GetTransactions())
	for _, t := range in.GetTransactions() {
		size += len(t)
	}
	for i, all := range in.GetOpenings() {
		if n := len(all.GetOpenings()); n > rules.MaxValues { // each takes memory, also one without a byte
			return 0, status.Errorf(codes.InvalidArgument, "transaction %d has %d openings; at most %d are allowed", i, n,
				rules.MaxValues)
		}
		for _, o := range all.GetOpenings() {
			size += len(o.GetSalt()) + len(o.GetValue())
		}
	}
	switch {
	case !ledger.ValidChainID(in.GetChainId()):
		return 0, status.Errorf(codes.InvalidArgument, "chain id %q is not 16 digits", in.GetChainId())
	case n == 0 || n > maxTransactions:
		return 0, status.Errorf(codes.InvalidArgument, "a batch of %d transactions; 1 to %d are allowed", n, maxTransactions)
	case len(in.GetOpenings()) != 0 && len(in.GetOpenings()) != n:
		return 0, status.Errorf(codes.InvalidArgument, "openings for %d of %d transactions; all or none are allowed",
			len(in.GetOpenings()), n)
	case size > maxBytes:
		return 0, status.Errorf(codes.InvalidArgument, "a batch of %d bytes; at most %d are allowed", size, maxBytes)
	}
	return size, nil
}

// judge checks a proposal and signs the accepted transactions.
func (e *Endorser) judge(caller identity.Identity, in *ltlv1.EndorseRequest) (*ltlv1.EndorseResponse, error) {
	if f := e.faultText(); f != "" {
		return nil, e.refusal(f)
	}
	if e.store.NetworkID() != e.cfg.Trust.NetworkID() {
		return nil, status.Error(codes.FailedPrecondition, "this copy of the ledger has no genesis block of this network")
	}
	due, known := e.store.Due(in.GetChainId())
	n := len(in.GetTransactions())
	out := &ltlv1.EndorseResponse{Codes: make([]int32, n), Reasons: make([]string, n)}
	if !known {
		for i := range out.Codes {
			out.Codes[i] = rules.NotFound
		}
		return out, nil
	}
	key, err := e.signingKey(in.GetChainId())
	if err != nil {
		return nil, err
	}
	correctsTime := false
	if in.GetChainId() == ledger.SystemChain {
		if correctsTime, err = rules.CorrectsTime(e.store, in.GetTransactions()); err != nil {
			return nil, err
		}
	}
	clockMs, err := e.checkClock(&due, correctsTime)
	if err != nil {
		return nil, err
	}
	accepted, err := e.verdicts(caller, due, clockMs, in, out)
	if err != nil || !accepted {
		return out, err
	}
	out.Endorsement = e.sign(caller, key, in, out.Codes, &due, clockMs)
	e.signatures.Made(key.Public().(ed25519.PublicKey), out.Endorsement)
	return out, nil
}

// signingKey returns the key to sign with, which is the one that the ledger names. It returns an error where a
// signature would not count: without that key, or on a chain that the organisation does not endorse on.
func (e *Endorser) signingKey(chainID string) (ed25519.PrivateKey, error) {
	own, err := rules.GetOrganisation(e.store, e.organisation)
	if err != nil {
		return nil, err
	}
	if gone, err := rules.Removed(e.store, e.organisation); gone || err != nil || own == nil {
		return nil, errors.Join(err, status.Errorf(codes.FailedPrecondition, "organisation %s is not of this network",
			e.organisation))
	}
	facts, err := rules.GetOrganisationFacts(e.store, e.organisation)
	if err != nil {
		return nil, err
	}
	if facts.Standing == rules.StandingInvited {
		return nil, status.Errorf(codes.FailedPrecondition, "organisation %s was invited and has not accepted yet; an "+
			"operator of it does that with `ltl org accept`", e.organisation)
	}
	key := e.keys.of(own.EndorserKey)
	if key == nil {
		return nil, status.Errorf(codes.FailedPrecondition, "the ledger names another key for organisation %s than this "+
			"endorser has", e.organisation)
	}
	if chainID == ledger.SystemChain {
		return key, nil
	}
	chain, err := rules.GetChain(e.store, chainID)
	if err != nil {
		return nil, err
	}
	if chain != nil {
		for _, o := range chain.Organisations {
			if o == e.organisation {
				return key, nil
			}
		}
	}
	return nil, status.Errorf(codes.FailedPrecondition, "organisation %s does not endorse on chain %s", e.organisation,
		chainID)
}

// proposed is what may be judged of a proposal: each transaction as bytes, decoded, with its openings, and its place.
type proposed struct {
	own      [][]byte
	decoded  []*ltlv1.Transaction
	openings []*ltlv1.Openings
	place    []int
}

// readProposal refuses, in codes and reasons, what does not take part in the preview. A process may propose only
// transactions of which it is the submitter, and each with its openings.
func readProposal(caller identity.Identity, in *ltlv1.EndorseRequest, out *ltlv1.EndorseResponse) proposed {
	name, n := caller.String(), len(in.GetTransactions())
	p := proposed{make([][]byte, 0, n), make([]*ltlv1.Transaction, 0, n), make([]*ltlv1.Openings, 0, n), make([]int, 0, n)}
	for i, payload := range in.GetTransactions() {
		tx, err := rules.Decode(payload)
		switch {
		case err != nil:
			out.Codes[i], out.Reasons[i] = rules.Malformed, err.Error()
			continue
		case tx.GetChainId() != in.GetChainId():
			out.Codes[i], out.Reasons[i] = rules.Malformed, fmt.Sprintf("it is for chain %q", tx.GetChainId())
			continue
		case tx.GetSubmitter() != name:
			out.Codes[i], out.Reasons[i] = rules.Forbidden, fmt.Sprintf("its submitter is %q, but %s proposes it",
				tx.GetSubmitter(), name)
			continue
		}
		var openings *ltlv1.Openings
		if len(in.GetOpenings()) > 0 {
			openings = in.GetOpenings()[i]
		}
		if out.Codes[i], out.Reasons[i] = rules.CheckOpenings(tx, openings); out.Codes[i] == rules.OK {
			p.own, p.decoded = append(p.own, payload), append(p.decoded, tx)
			p.openings, p.place = append(p.openings, openings), append(p.place, i)
		}
	}
	return p
}

// verdicts fills in codes and reasons, and reports whether any transaction was accepted.
func (e *Endorser) verdicts(caller identity.Identity, input rules.Input, clockMs int64,
	in *ltlv1.EndorseRequest, out *ltlv1.EndorseResponse) (accepted bool, err error) {
	p := readProposal(caller, in, out)
	own, decoded, place, n := p.own, p.decoded, p.place, len(in.GetTransactions())
	if len(own) == 0 {
		return false, nil
	}
	preview, err := rules.Preview(input, clockMs, own, e.store)
	if err != nil {
		return false, fmt.Errorf("preview on chain %s: %w", input.ChainID, err)
	}
	found, reasons, required := make([]int32, len(own)), make([]string, len(own)), make([]string, len(own))
	if input.ChainID == ledger.SystemChain {
		out.Needs = make([]string, n)
	}
	for j, v := range preview {
		found[j], reasons[j], required[j] = v.Code, v.Reason, v.Required
		if out.Needs != nil {
			out.Needs[place[j]] = v.Needs
		}
		if v.Required != "" && out.Required == nil {
			out.Required = make([]string, n) // most batches need none
		}
	}
	e.checkDeviceSignatures(decoded, required, found, reasons)
	if err := e.checkOrganisations(decoded, found, reasons); err != nil {
		return false, fmt.Errorf("organisations on chain %s: %w", input.ChainID, err)
	}
	if err := e.applyRule(&p, found, reasons); err != nil {
		return false, fmt.Errorf("own rule on chain %s: %w", input.ChainID, err)
	}
	if input.ChainID == ledger.SystemChain {
		if err := e.logVotes(caller, decoded, found); err != nil {
			return false, err
		}
	}
	for j, code := range found {
		out.Codes[place[j]], out.Reasons[place[j]] = code, reasons[j]
		if required[j] != "" {
			out.Required[place[j]] = required[j]
		}
		accepted = accepted || code == rules.OK
	}
	return accepted, nil
}

// sign makes the one signature over the batch. due is the block that the verdicts were found for, clockMs the clock.
func (e *Endorser) sign(caller identity.Identity, key ed25519.PrivateKey, in *ltlv1.EndorseRequest, verdicts []int32,
	due *rules.Input, clockMs int64) *ltlv1.Endorsement {
	ids := make([]ledger.Hash, len(verdicts))
	accepted := make([]bool, len(verdicts))
	for i, payload := range in.GetTransactions() {
		ids[i], accepted[i] = ledger.TransactionID(payload), verdicts[i] == rules.OK
	}
	e.remember(in.GetChainId(), ids, accepted, clockMs)
	e.kept.add(caller.Organisation, ids, accepted, in.GetOpenings())
	s := ledger.Endorsement{
		NetworkID: due.NetworkID, ChainID: in.GetChainId(), Root: ledger.BatchRoot(ids), Count: uint32(len(ids)),
		Height: due.Height - 1, SystemHeight: due.SystemHeight, ClockMs: clockMs,
		KeyID: ledger.KeyID(key.Public().(ed25519.PublicKey)), Organisation: e.organisation,
		Accepted: ledger.Bitmap(accepted),
	}
	return s.Sign(key)
}

// refusal returns the error of an endorser that has stopped signing.
func (e *Endorser) refusal(fault string) error {
	return status.Errorf(codes.FailedPrecondition, "the endorser of %s has stopped signing: %s", e.organisation, fault)
}

// failure turns an error into the RPC's error. A damaged copy stops the signing.
func (e *Endorser) failure(err error) error {
	if _, ok := status.FromError(err); ok {
		return err
	}
	if unsound(err) {
		e.stopSigning(err)
		return e.refusal(e.faultText())
	}
	return status.Errorf(codes.Unavailable, "the endorser of %s cannot judge now: %v", e.organisation, err)
}

// checkOrganisations refuses organisations that could not be trusted: the certificate authority cannot be parsed, has
// no Ed25519 key, or has a key of another organisation. On the ledger such an organisation would have a name, and no
// member that can connect.
//
// The ledger's rules treat the certificate as bytes, because all nodes must execute a block alike forever and an
// X.509 parser may change between versions of Go. An endorser may parse it, because its verdict only decides what it
// signs. It looks at an organisation when it is proposed and again when its own operator approves it, since another
// with the same authority may have joined between.
func (e *Endorser) checkOrganisations(transactions []*ltlv1.Transaction, verdicts []int32, reasons []string) error {
	var beside []*ltlv1.Organisation // earlier ones of this batch
	for i, tx := range transactions {
		if verdicts[i] != rules.OK {
			continue
		}
		if m := tx.GetModifyOrganisation(); m != nil {
			verdicts[i], reasons[i] = e.checkOrganisationChange(m)
			continue
		}
		if r := tx.GetRecoverOrganisation(); len(r.GetAuthority()) > 0 {
			e.updateTrust()
			if err := e.cfg.Trust.CheckAuthority(r.GetId(), r.GetAuthority()); err != nil {
				verdicts[i], reasons[i] = rules.Forbidden, shorten(err.Error())
			}
			continue
		}
		p := tx.GetPropose()
		if vote := tx.GetApprove(); vote != nil {
			var err error
			if p, err = rules.GetProposed(e.store, ledger.Hash(vote.GetProposalId())); err != nil {
				return err
			}
		}
		o := p.GetCreateOrganisation().GetOrganisation()
		if o == nil {
			continue
		}
		e.updateTrust()
		if err := e.cfg.Trust.CheckOrganisation(o, beside...); err != nil {
			verdicts[i], reasons[i] = rules.Forbidden, shorten(err.Error())
			continue
		}
		beside = append(beside, o)
	}
	return nil
}

// checkOrganisationChange refuses a certificate authority that could not be trusted, and for its own organisation a
// key that this endorser does not hold: an operator's certificate alone does not suffice to take over an
// organisation's signature.
func (e *Endorser) checkOrganisationChange(m *ltlv1.ModifyOrganisation) (int32, string) {
	e.updateTrust()
	if der := m.GetAddAuthority(); len(der) > 0 {
		if err := e.cfg.Trust.CheckAuthority(m.GetId(), der); err != nil {
			return rules.Forbidden, shorten(err.Error())
		}
	}
	if key := m.GetEndorserKey(); len(key) > 0 && m.GetId() == e.organisation && e.keys.of(key) == nil {
		return rules.Forbidden, fmt.Sprintf("The endorser of organisation %s does not hold the new key; "+
			"put it beside sign.key first, as `ltl org rotate-endorser-key` does.", e.organisation)
	}
	return rules.OK, ""
}

// checkDeviceSignatures verifies signatures that only this endorser can: those by secret keys of devices that its
// organisation enrolled. The rules accepted these transactions on the condition that the organisation that holds the
// key endorses them, and the ledger executes none of them without that endorsement. required has that organisation,
// as rules.Preview returned it.
//
// As with the organisation's own rule, the preview is not repeated. Clients propose again what was refused only
// because of another transaction of the batch.
func (e *Endorser) checkDeviceSignatures(transactions []*ltlv1.Transaction, required []string, verdicts []int32,
	reasons []string) {
	for i, tx := range transactions {
		proof := rules.DeviceProofOf(tx)
		if verdicts[i] != rules.OK || required[i] != e.organisation || proof == nil {
			continue
		}
		key := e.devices.get(deviceName{proof.GetProductKey(), proof.GetIotId()})
		switch {
		case key == nil:
			verdicts[i] = rules.Forbidden
			reasons[i] = fmt.Sprintf("The endorser of organisation %s, which enrolled the device, does not have its key; "+
				"an operator of that organisation must hand it over again with `ltl device enroll`.", e.organisation)
		case !rules.VerifyDeviceSignature(ltlv1.DeviceKeyType_DEVICE_KEY_TYPE_AES, key, proof):
			verdicts[i] = rules.Forbidden
			reasons[i] = "IotSignature is not by the enrolled key of the device over IotId, random part, time and IotDataDigest."
		}
	}
}
