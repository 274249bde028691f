package insider

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"strings"
	"time"

	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"ltl/client"
	"ltl/internal/identity"
	"ltl/internal/ledger"
	"ltl/internal/proposal"
	"ltl/internal/rules"
	ltlv1 "ltl/proto/ltl/v1"
)

// moves are all kinds of attacks. Those with may are the attacker's own right, or repeat what is on the chain already:
// they harm by their number, if at all.
func moves() []move {
	return []move{
		{name: "act of the victim's", weight: 8, do: (*Insider).takeover},
		{name: "change of all without a proposal", weight: 4, do: (*Insider).coup},
		{name: "vote in another's name", weight: 4, do: (*Insider).voteOfOthers},
		{name: "recovery of the victim", weight: 2, do: (*Insider).recover},
		{name: "AccessKey of the victim's", weight: 4, do: (*Insider).accessKey},
		{name: "sealed secret of the victim's", weight: 3, do: (*Insider).putSealed},
		{name: "device or product of the victim's", weight: 4, do: (*Insider).device},
		{name: "record of the victim's account", weight: 10, do: (*Insider).foreignRecord},
		{name: "correction of the victim's record", weight: 2, do: (*Insider).correction},
		{name: "correction of the victim's phase record", weight: 2, do: (*Insider).phaseCorrection},
		{name: "nonce of the victim's", weight: 6, do: (*Insider).burn},
		{name: "member of the victim's chain", weight: 2, do: (*Insider).administer},
		{name: "garbage", weight: 4, do: (*Insider).garbage},
		{name: "endorsement of blocks to come", weight: 2, do: (*Insider).future},
		{name: "endorsed by itself, on its own account", weight: 3, do: (*Insider).alone},
		{name: "own proposal, approved by itself", weight: 3, may: true, do: (*Insider).propose},
		{name: "vote on others' proposals", weight: 2, may: true, do: (*Insider).vote},
		{name: "batch again", weight: 6, may: true, do: (*Insider).again},
		{name: "wrong clock", weight: 5, may: true, do: (*Insider).clock},
		{name: "withheld endorsements", weight: 3, may: true, do: (*Insider).withhold},
		{name: "own record", weight: 2, may: true, do: (*Insider).ownRecord},
		{name: "own accounts, AccessKeys, chains, products", weight: 2, may: true, do: (*Insider).own},
		{name: "own organisation", weight: 1, may: true, do: (*Insider).ownOrganisation},
	}
}

// takeover changes what is the victim's.
func (i *Insider) takeover(ctx context.Context) (answer, error) {
	return i.send(ctx, oneOf(i, i.Takeovers()))
}

// coup sends what has to be proposed.
func (i *Insider) coup(ctx context.Context) (answer, error) {
	return i.send(ctx, oneOf(i, i.Coups("n8")))
}

// propose proposes a coup, and approves it as often as there are operators. Every second proposal stays open, so that
// in time there are as many as an organisation may have.
func (i *Insider) propose(ctx context.Context) (answer, error) {
	c := i.operator()
	id, refused, err := Propose(ctx, c, oneOf(i, i.Coups("n8")))
	switch {
	case errors.Is(err, client.ErrUnavailable):
		return answer{}, err
	case err != nil:
		return answer{reason: err.Error()}, nil
	case refused != nil:
		return answer{refused.GetCode(), refused.GetReason()}, nil
	}
	for _, o := range i.operators {
		if _, err := submit(ctx, o, proposal.Approve(i.Network, id)); err != nil {
			return answer{}, err
		}
	}
	if i.rng.IntN(2) == 0 {
		return submit(ctx, c, proposal.Withdraw(i.Network, id))
	}
	return answer{code: rules.OK}, nil
}

// victimsProposal draws a proposal of others, or one that there is not.
func (i *Insider) victimsProposal() ledger.Hash {
	if len(i.seen.proposals) == 0 {
		return ledger.Hash{byte(i.number)}
	}
	return pick(i, i.seen.proposals...)
}

// vote is what the attacker may say of others' proposals: it counts once.
func (i *Insider) vote(ctx context.Context) (answer, error) {
	id := i.victimsProposal()
	return submit(ctx, i.operator(), pick(i, proposal.Approve(i.Network, id), proposal.Reject(i.Network, id)))
}

// voteOfOthers votes in others' names, withdraws what others proposed, and votes in another network.
func (i *Insider) voteOfOthers(ctx context.Context) (answer, error) {
	id := i.victimsProposal()
	twin := i.Network
	twin[0] ^= 1
	tx := pick(i, proposal.Approve(i.Network, id), proposal.Reject(i.Network, id), proposal.Withdraw(i.Network, id),
		proposal.Approve(twin, id))
	if tx.GetWithdraw() != nil || tx.GetApprove() != nil && ledger.Hash(tx.GetApprove().GetNetworkId()) == twin {
		return submit(ctx, i.operator(), tx)
	}
	tx.Submitter = pick(i, i.Victim, i.Other) + "/operator/operator"
	if i.rng.IntN(2) == 0 {
		return submit(ctx, i.operator(), tx)
	}
	return i.forced(ctx, tx)
}

// recover forges the signature of the victim's recovery key.
func (i *Insider) recover(ctx context.Context) (answer, error) {
	twin := i.Network
	twin[0] ^= 1
	return i.send(ctx, i.Recovery(pick(i, i.Network, twin), uint32(1+i.rng.IntN(3)), Key(1), Key(byte(i.rng.IntN(3)))))
}

// accessKey puts, takes and disables AccessKeys of the victim's account.
func (i *Insider) accessKey(ctx context.Context) (answer, error) {
	state := pick(i, ltlv1.AccessKeyState_ACCESS_KEY_STATE_ACTIVE, ltlv1.AccessKeyState_ACCESS_KEY_STATE_DISABLED,
		ltlv1.AccessKeyState_ACCESS_KEY_STATE_DELETED)
	uid, id := i.Administrator, pick(i, i.AccessKey, i.name("LTAIstolen"))
	if id == i.AccessKey && i.rng.IntN(2) == 0 {
		uid = i.Account
	}
	c := ledger.SealedCommitment(i.seal(uid, id))
	return i.send(ctx, PutAccessKey(uid, id, state, uint64(1+i.rng.IntN(3)), c))
}

// seal seals a secret with the attacker's sealing key.
func (i *Insider) seal(uid, id string) []byte {
	sealed, err := identity.AccessKeySeal{Network: i.Network, Organisation: i.Attacker, AccessKeyID: id, UID: uid,
		Version: uint64(1 + i.rng.IntN(3))}.Seal(i.sealing, i.name("secret"))
	if err != nil {
		panic(fmt.Sprintf("BUG: %v", err)) // the secret has a length that can be sealed
	}
	return sealed
}

// putSealed puts another secret under the victim's AccessKey, or bytes without meaning.
func (i *Insider) putSealed(ctx context.Context) (answer, error) {
	sealed := i.seal(pick(i, i.Administrator, i.Account), i.AccessKey)
	if i.rng.IntN(3) == 0 {
		sealed = i.bytes(1 + i.rng.IntN(4096))
	}
	err := i.operator().PutSealed(ctx, pick(i, i.AccessKey, i.name("LTAInone")), sealed)
	if err == nil {
		return answer{code: rules.OK}, nil
	}
	if errors.Is(err, client.ErrUnavailable) {
		return answer{}, err
	}
	return answer{reason: err.Error()}, nil
}

// device does with the victim's product and device what only the victim may.
func (i *Insider) device(ctx context.Context) (answer, error) {
	ecc := ltlv1.DeviceKeyType_DEVICE_KEY_TYPE_ECC_P256
	return i.send(ctx, pick(i,
		Claim(i.Product, i.Strict.ID), Assign(i.Product, ""), Assign(i.Product, i.Lax.ID),
		System(&ltlv1.Transaction{Action: &ltlv1.Transaction_EnrollDevice{EnrollDevice: &ltlv1.EnrollDevice{
			ProductKey: i.Product, IotId: i.name("eve"), KeyType: ltlv1.DeviceKeyType_DEVICE_KEY_TYPE_AES}}}),
		System(&ltlv1.Transaction{Action: &ltlv1.Transaction_DeclareDeviceKey{DeclareDeviceKey: &ltlv1.DeclareDeviceKey{
			ProductKey: i.Product, IotId: i.Device, End: ltlv1.DeviceKeyEnd_DEVICE_KEY_END_LOST}}}),
		System(&ltlv1.Transaction{Action: &ltlv1.Transaction_RotateDeviceKey{RotateDeviceKey: &ltlv1.RotateDeviceKey{
			ProductKey: i.Product, IotId: i.Device, KeyType: ecc, PublicKey: i.bytes(91), FormerSignature: i.bytes(70),
			NewSignature: i.bytes(70)}}}),
		System(&ltlv1.Transaction{Action: &ltlv1.Transaction_MoveProduct{MoveProduct: &ltlv1.MoveProduct{
			ProductKey: i.Product, Organisation: i.Attacker, Former: i.Victim}}}),
	))
}

// administer does what only the administrator of the victim's chain may, in its own name and in the administrator's.
func (i *Insider) administer(ctx context.Context) (answer, error) {
	chain := pick(i, i.Strict, i.Lax)
	tx := pick(i,
		&ltlv1.Transaction{Action: &ltlv1.Transaction_CreateMember{CreateMember: &ltlv1.CreateMember{
			MemberUid: i.Account, Name: "eve", Contact: "eve", Phone: "0", Remark: "eve"}}},
		&ltlv1.Transaction{Action: &ltlv1.Transaction_LockMember{LockMember: &ltlv1.LockMember{
			MemberId: fmt.Sprintf("%016d", i.rng.IntN(10)), Locked: true}}},
		Register(chain.ID, i.Account, i.Product),
	)
	tx.ChainId, tx.AccountUid = chain.ID, pick(i, i.Account, i.Administrator)
	return i.sendRecord(ctx, tx)
}

// own makes accounts, AccessKeys without secrets, chains on which the others are to endorse, and claims of products that
// others could want.
func (i *Insider) own(ctx context.Context) (answer, error) {
	n := i.rng.IntN(mostOwn)
	tx := pick(i,
		Account(fmt.Sprintf("3%015d", n), fmt.Sprint("own", n), i.Attacker),
		PutAccessKey(i.Account, fmt.Sprint("LTAIunsealed", n), pick(i, ltlv1.AccessKeyState_ACCESS_KEY_STATE_ACTIVE,
			ltlv1.AccessKeyState_ACCESS_KEY_STATE_DELETED), uint64(1+i.rng.IntN(3)), ledger.Hash{byte(n)}),
		Claim(fmt.Sprint("squatted", n), pick(i, "", i.Strict.ID, i.Lax.ID)),
		System(&ltlv1.Transaction{Action: &ltlv1.Transaction_AddNode{AddNode: i.Addition("n8", i.Attacker, Key(8),
			ltlv1.NodeMembership_NODE_MEMBERSHIP_LEARNER, "")}}),
	)
	if i.ownChain == "" || i.number%mostOwn == 0 {
		return i.createChain(ctx)
	}
	return submit(ctx, i.operator(), tx)
}

// createChain makes a chain on which the attacker alone dates and endorses.
func (i *Insider) createChain(ctx context.Context) (answer, error) {
	r, err := i.operator().Submit(ctx, System(&ltlv1.Transaction{Action: &ltlv1.Transaction_CreateChain{
		CreateChain: &ltlv1.CreateChain{Name: i.name("own"), Service: ltlv1.ChainService_CHAIN_SERVICE_PROOF,
			AdministratorUid: i.Account, Policy: "any", Organisations: []string{i.Attacker}}}}))
	if err != nil {
		return answer{}, err
	}
	if r.GetCode() == rules.OK {
		i.ownChain = r.GetOutput()
	}
	return answer{r.GetCode(), r.GetReason()}, nil
}

// ownOrganisation changes the attacker itself in ways that mislead others: its endorser's address becomes that of the
// victim's endorser, a dead one, and the right one again.
func (i *Insider) ownOrganisation(ctx context.Context) (answer, error) {
	address := pick(i, i.organisation(i.Victim), i.organisation(i.Attacker), i.organisation(i.Attacker)).GetEndorserAddress()
	if i.rng.IntN(4) == 0 {
		address = "127.0.0.1:9"
	}
	m := &ltlv1.ModifyOrganisation{Id: i.Attacker}
	if i.rng.IntN(2) == 0 {
		m.EndorserAddress = proto.String(address)
	} else {
		m.Name = proto.String(pick(i, i.organisation(i.Victim).GetName()+"!", i.organisation(i.Attacker).GetName()))
	}
	return submit(ctx, i.operator(), pick(i,
		System(&ltlv1.Transaction{Action: &ltlv1.Transaction_ModifyOrganisation{ModifyOrganisation: m}}),
		System(&ltlv1.Transaction{Action: &ltlv1.Transaction_SetDelegates{SetDelegates: &ltlv1.SetDelegates{
			Facades: []string{i.Victim + "/facade/" + i.Facade}}}}),
	))
}

// bytes are n bytes without meaning.
func (i *Insider) bytes(n int) []byte {
	b := make([]byte, n)
	for k := range b {
		b[k] = byte(i.rng.Uint32())
	}
	return b
}

// alone forces records of the attacker's own account, by its own endorsement alone, onto the chain that asks for more.
func (i *Insider) alone(ctx context.Context) (answer, error) {
	return i.forced(ctx, i.record(i.Strict, i.Account, i.Strict.Own, i.name("alone")))
}

// garbage is bytes without meaning, signed and not, in every message that carries bytes.
func (i *Insider) garbage(ctx context.Context) (answer, error) {
	chain := pick(i, i.Strict.ID, i.Lax.ID, ledger.SystemChain, "", "ffffffffffffffff")
	payload := i.bytes(1 + i.rng.IntN(garbageBytes))
	batch := i.signed(chain, time.Now(), payload, i.bytes(i.rng.IntN(64)))
	switch i.rng.IntN(4) {
	case 0:
		batch.Endorsements[0].Signature = i.bytes(ed25519.SignatureSize)
	case 1:
		batch.Endorsements = append(batch.Endorsements, batch.Endorsements[0], &ltlv1.Endorsement{Statement: i.bytes(99),
			Bitmap: i.bytes(8), Path: i.bytes(31)})
	case 2:
		out, err := ltlv1.NewEndorserClient(pick(i, i.endorsers...)).Endorse(ctx,
			&ltlv1.EndorseRequest{ChainId: chain, Transactions: batch.GetTransactions()})
		if err != nil {
			return refusal(err)
		}
		if out.GetEndorsement() != nil {
			return answer{code: rules.OK}, nil
		}
		return answer{reason: "not endorsed"}, nil
	}
	return i.order(ctx, batch)
}

// future asks for endorsements at a height that will never be there.
func (i *Insider) future(ctx context.Context) (answer, error) {
	payload, err := i.encode(i.record(i.Lax, i.Account, i.Lax.Own, i.name("future")))
	if err != nil {
		return answer{}, err
	}
	_, err = ltlv1.NewEndorserClient(pick(i, i.endorsers...)).Endorse(ctx, &ltlv1.EndorseRequest{ChainId: i.Lax.ID,
		Transactions: [][]byte{payload}, MinSequence: pick[uint64](i, 1<<62, 1<<40, 1<<63)})
	if err == nil {
		return answer{code: rules.OK}, nil
	}
	if strings.Contains(status.Convert(err).Message(), "the proposal asks for") {
		return answer{reason: err.Error()}, nil // it did not wait
	}
	return refusal(err)
}
