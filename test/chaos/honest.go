package chaos

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log/slog"
	mathrand "math/rand/v2"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"google.golang.org/protobuf/proto"

	"ltl/client"
	"ltl/client/device"
	"ltl/internal/identity"
	"ltl/internal/ledger"
	"ltl/internal/localnet"
	"ltl/internal/proposal"
	"ltl/internal/rules"
	ltlv1 "ltl/proto/ltl/v1"
	"ltl/test/insider"
)

const (
	// honestEvery is the pause between two acts of honest operators.
	honestEvery = 500 * time.Millisecond
	// honestPatience is how long one of them tries to have an act done.
	honestPatience = time.Minute
	product, meter = "meters", "meter1"
)

// act is something that an honest operator, client or facade did beside the callers' calls.
type act struct {
	what         string
	acknowledged bool
	refused      string
}

// String says what the act was.
func (a *act) String() string { return a.what }

// honest acts as the honest organisations do, and keeps a journal of it: operators, a facade with nonces that can be
// guessed, and a device.
type honest struct {
	network   *localnet.Network
	dir       string
	log       *slog.Logger
	operators map[string]*client.Client // by organisation
	facade    *client.Client
	facadeID  string
	meter     *device.Device
	admin     localnet.Account
	sealing   []byte
	networkID ledger.Hash
	close     []io.Closer

	nonces atomic.Int64

	mu   sync.Mutex
	acts map[string]*act
}

// openHonest makes the clients of the honest organisations.
func openHonest(dir string, network *localnet.Network, facade string, organisations []string, log *slog.Logger) (h *honest,
	err error) {
	h = &honest{network: network, dir: filepath.Join(dir, "pki"), log: log, operators: map[string]*client.Client{},
		acts: map[string]*act{}, facadeID: facade}
	defer func() {
		if err != nil {
			err = errors.Join(err, h.Close())
		}
	}()
	open := func(part ...string) (*client.Client, error) {
		c, err := insider.OpenClient(h.dir, filepath.Join(append([]string{h.dir}, part...)...), log)
		if err == nil {
			h.close = append(h.close, c)
		}
		return c, err
	}
	h.admin, _ = network.Account(localnet.RoleAdmin)
	for _, o := range organisations {
		part := []string{"operators", o}
		if o == h.admin.Organisation {
			part = []string{"operator"}
		}
		if h.operators[o], err = open(part...); err != nil {
			return h, err
		}
	}
	if h.facade, err = open("facades", facade); err != nil {
		return h, err
	}
	if h.sealing, err = identity.LoadSealingKey(filepath.Join(h.dir, "operator", "sealing.key")); err != nil {
		return h, err
	}
	trust, err := identity.LoadTrust(filepath.Join(h.dir, "trust.json"))
	if err != nil {
		return h, err
	}
	h.networkID = trust.NetworkID()
	return h, nil
}

// Close ends all connections.
func (h *honest) Close() error {
	var errs []error
	for _, c := range h.close {
		errs = append(errs, c.Close())
	}
	return errors.Join(errs...)
}

// operator is that of the organisation of the administrator.
func (h *honest) operator() *client.Client { return h.operators[h.admin.Organisation] }

// do has a transaction written, in the journal before it is sent. It is sent until its outcome is known.
func (h *honest) do(ctx context.Context, what string, c *client.Client, submitter string,
	tx *ltlv1.Transaction) (*ltlv1.Result, error) {
	tx.Version, tx.Submitter, tx.CreatedMs, tx.Nonce = 1, submitter, time.Now().UnixMilli(), make([]byte, rules.NonceLen)
	rand.Read(tx.Nonce) // never fails: it ends the process instead
	id, err := client.TransactionID(tx)
	if err != nil {
		return nil, err
	}
	a := &act{what: what}
	h.mu.Lock()
	h.acts[hex.EncodeToString(id[:])] = a
	h.mu.Unlock()
	ctx, cancel := context.WithTimeout(ctx, honestPatience)
	defer cancel()
	for {
		r, err := c.Submit(ctx, tx)
		switch {
		case err == nil && (r.GetCode() == rules.OK || r.GetCode() == rules.Duplicate):
			h.mu.Lock()
			a.acknowledged = true
			h.mu.Unlock()
			return r, nil
		case err == nil && r.GetCode() != rules.EndorsementExpired && r.GetCode() != rules.NotEndorsed &&
			r.GetCode() != rules.TooFewClocks && r.GetCode() != rules.ClocksDisagree:
			h.mu.Lock()
			a.refused = fmt.Sprintf("%d %s", r.GetCode(), r.GetReason())
			h.mu.Unlock()
			return r, fmt.Errorf("%s was refused with %d: %s", what, r.GetCode(), r.GetReason())
		}
		if err := wait(ctx, honestEvery); err != nil {
			return nil, fmt.Errorf("%s: its outcome is unknown: %w", what, err)
		}
	}
}

func (h *honest) asOperator(ctx context.Context, what string, tx *ltlv1.Transaction) (*ltlv1.Result, error) {
	return h.do(ctx, what, h.operator(), h.admin.Organisation+"/operator/operator", tx)
}

// stage prepares what the malicious organisation is to attack, with an account of its own that is a member. It returns
// the chain whose policy asks for several organisations and the one on which one organisation is enough.
func (h *honest) stage(ctx context.Context, member localnet.Account) (strict, lax insider.Chain, err error) {
	chain, _ := h.network.Chain(localnet.ServiceProof)
	made, err := h.asOperator(ctx, "the chain that one endorsement satisfies", insider.System(&ltlv1.Transaction{
		Action: &ltlv1.Transaction_CreateChain{CreateChain: &ltlv1.CreateChain{Name: "lax",
			Service: ltlv1.ChainService_CHAIN_SERVICE_PROOF, AdministratorUid: h.admin.UID, Policy: "any"}}}))
	if err != nil {
		return strict, lax, err
	}
	for _, id := range []string{chain.BizChainID, made.GetOutput()} {
		_, err := h.asOperator(ctx, "the malicious member of chain "+id, &ltlv1.Transaction{ChainId: id, AccountUid: h.admin.UID,
			Action: &ltlv1.Transaction_CreateMember{CreateMember: &ltlv1.CreateMember{MemberUid: member.UID, Name: member.Name,
				Contact: member.Name, Phone: "000-0000", Remark: "malicious"}}})
		if err != nil {
			return strict, lax, err
		}
	}
	if err := h.enrol(ctx, chain.BizChainID); err != nil {
		return strict, lax, err
	}
	for id, to := range map[string]*insider.Chain{chain.BizChainID: &strict, made.GetOutput(): &lax} {
		for uid, code := range map[string]*string{h.admin.UID: &to.Victims, member.UID: &to.Own} {
			out, err := h.operator().Ledger().GetChain(ctx, &ltlv1.GetChainRequest{ChainId: id, AccountUid: uid})
			if err != nil {
				return strict, lax, err
			}
			to.ID, to.Code, *code = id, out.GetChain().GetChainCode(), out.GetChain().GetDataTypeCode()
		}
	}
	return strict, lax, nil
}

// enrol claims the product and enrols the device whose uploads the malicious organisation will see.
func (h *honest) enrol(ctx context.Context, chain string) error {
	key, err := device.Generate(device.ECC)
	if err != nil {
		return err
	}
	pem, err := key.EncodePublic()
	if err != nil {
		return err
	}
	_, public, err := device.ParsePublic(pem)
	if err != nil {
		return err
	}
	if h.meter, err = device.New(meter, key.Sign); err != nil {
		return err
	}
	if _, err := h.asOperator(ctx, "the claim of the product", insider.Claim(product, chain)); err != nil {
		return err
	}
	_, err = h.asOperator(ctx, "the enrolment of the device", insider.System(&ltlv1.Transaction{
		Action: &ltlv1.Transaction_EnrollDevice{EnrollDevice: &ltlv1.EnrollDevice{ProductKey: product, IotId: meter,
			PublicKey: public, KeyType: ltlv1.DeviceKeyType_DEVICE_KEY_TYPE_ECC_P256}}}))
	if err != nil {
		return err
	}
	_, err = h.asOperator(ctx, "the device group", insider.Register(chain, h.admin.UID, product))
	return err
}

// nonce is the next signature nonce that the facade will use: it can be guessed.
func (h *honest) nonce() string { return fmt.Sprint("next", h.nonces.Load()) }

// run acts until ctx ends, and finishes the act under way.
func (h *honest) run(ctx, more context.Context, seed uint64, strict insider.Chain) {
	r := mathrand.New(mathrand.NewPCG(seed, streamHonest))
	for n := 0; more.Err() == nil; n++ {
		var err error
		switch r.IntN(5) {
		case 0:
			err = h.upload(ctx, strict, n)
		case 1, 2:
			err = h.named(ctx, strict, n)
		case 3:
			err = h.newAccount(ctx, n)
		case 4:
			err = h.propose(ctx)
		}
		if err != nil {
			h.log.Info("an honest act did not succeed", "error", err)
		}
		_ = wait(more, honestEvery)
	}
}

// upload is a record that the device signed.
func (h *honest) upload(ctx context.Context, c insider.Chain, n int) error {
	value := fmt.Sprint("reading ", n)
	p, err := h.meter.Sign(value, product, time.Now())
	if err != nil {
		return err
	}
	_, err = h.asOperator(ctx, "an upload of the device", &ltlv1.Transaction{ChainId: c.ID, AccountUid: h.admin.UID,
		Openings: client.Values(value),
		Action: &ltlv1.Transaction_AttachData{AttachData: &ltlv1.AttachData{
			Key: client.RecordKey(c.Code, c.Victims, "readings"),
			Device: &ltlv1.DeviceProof{AuthType: p.IotAuthType, IotId: p.IotID, ProductKey: p.IotIDServiceProvider,
				DataDigest: p.IotDataDigest, Signature: p.IotSignature, Source: rules.SourceIoTPlatform}}}})
	return err
}

// named is a record that names the AccessKey and a nonce that could be guessed, as a facade sends it.
func (h *honest) named(ctx context.Context, c insider.Chain, n int) error {
	defer h.nonces.Add(1)
	_, err := h.do(ctx, "a record with the nonce "+h.nonce(), h.facade, h.admin.Organisation+"/facade/"+h.facadeID,
		&ltlv1.Transaction{ChainId: c.ID, AccountUid: h.admin.UID, AccessKeyId: h.admin.AccessKeyID, SignatureNonce: h.nonce(),
			Openings: client.Values(fmt.Sprint("named ", n)),
			Action: &ltlv1.Transaction_SetData{SetData: &ltlv1.SetData{
				Key: client.RecordKey(c.Code, c.Victims, fmt.Sprint("named", n))}}})
	return err
}

// newAccount makes an account with an AccessKey whose secret is stored.
func (h *honest) newAccount(ctx context.Context, n int) error {
	uid, id := fmt.Sprintf("7%015d", n), fmt.Sprint("LTAIhonest", n)
	organisation := h.admin.Organisation
	if _, err := h.asOperator(ctx, "account "+uid, insider.Account(uid, fmt.Sprint("honest", n), organisation)); err != nil {
		return err
	}
	sealed, err := identity.AccessKeySeal{Network: h.networkID, Organisation: organisation, AccessKeyID: id, UID: uid,
		Version: 1}.Seal(h.sealing, "secret of "+id)
	if err != nil {
		return err
	}
	_, err = h.asOperator(ctx, "AccessKey "+id, insider.PutAccessKey(uid, id, ltlv1.AccessKeyState_ACCESS_KEY_STATE_ACTIVE, 1,
		ledger.SealedCommitment(sealed)))
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, honestPatience)
	defer cancel()
	for {
		err := h.operator().PutSealed(ctx, id, sealed)
		if err == nil || wait(ctx, honestEvery) != nil {
			return err
		}
	}
}

// propose proposes something of which the malicious organisation would profit, and takes it back: no other organisation
// approves it.
func (h *honest) propose(ctx context.Context) error {
	chain, _ := h.network.Chain(localnet.ServiceProof)
	tx := insider.System(&ltlv1.Transaction{Action: &ltlv1.Transaction_ModifyChain{ModifyChain: &ltlv1.ModifyChain{
		ChainId: chain.BizChainID, Policy: proto.String("any")}}})
	prepared, err := proposal.Prepare(ctx, h.operator(), tx)
	if err != nil || !prepared.GetProposal() {
		return errors.Join(err, errors.New("the change could not be proposed"))
	}
	made := proposal.New(prepared, proposal.DefaultLife)
	if _, err := h.asOperator(ctx, "a proposal", made); err != nil {
		return err
	}
	id, err := client.TransactionID(made)
	if err != nil {
		return err
	}
	if err := wait(ctx, honestEvery); err != nil {
		return err
	}
	_, err = h.asOperator(ctx, "the end of its proposal", proposal.Withdraw(h.networkID, id))
	return err
}
