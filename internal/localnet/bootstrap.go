package localnet

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"math/big"
	"os"
	"path/filepath"
	"slices"
	"time"

	"ltl/client"
	"ltl/internal/identity"
	"ltl/internal/ledger"
	"ltl/internal/rules"
	ltlv1 "ltl/proto/ltl/v1"
)

// BootstrapOptions say which network is bootstrapped, and where it is described.
type BootstrapOptions struct {
	// Dir gets network.json. It holds the keys below "pki", as `ltl pki create --dir DIR/pki` makes them.
	Dir string
	// Endpoints are the URLs of the facades as their callers know them.
	Endpoints []string
	Logger    *slog.Logger
}

// Bootstrap creates on a network that runs elsewhere, in containers or on other machines, the accounts and chains
// that Run creates on its own, and describes the network in Dir/network.json. It may be called again: what is there
// stays. first says whether anything was made. The description has no pids and no directories of processes. It waits
// until the network takes writes, or ctx ends.
func Bootstrap(ctx context.Context, o BootstrapOptions) (d *Network, first bool, err error) {
	n := &network{Options: Options{Dir: o.Dir, Logger: o.Logger}}
	if n.trust, err = identity.LoadTrust(n.trustPath()); err != nil {
		return nil, false, err
	}
	if d, err = Load(o.Dir); err != nil && !errors.Is(err, ErrNoNetwork) {
		return nil, false, err
	}
	first = d == nil
	if first {
		c, err := n.open()
		if err != nil {
			return nil, false, err
		}
		defer c.Close()
		if err := awaitLeader(ctx, c); err != nil {
			return nil, false, err
		}
		if d, err = n.setUp(ctx, c); err != nil {
			return nil, false, err
		}
	}
	n.describeElsewhere(d, o.Endpoints)
	if err := d.Save(o.Dir); err != nil {
		return nil, false, err
	}
	if err := os.Remove(filepath.Join(o.Dir, planFile)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, false, fmt.Errorf("couldn't remove the plan of the set-up: %w", err)
	}
	return d, first, nil
}

// awaitLeader waits until the ledger answers a linearizable read.
func awaitLeader(ctx context.Context, c *client.Client) error {
	ctx, cancel := context.WithTimeout(ctx, readyTimeout)
	defer cancel()
	ticker := time.NewTicker(retryAfter)
	defer ticker.Stop()
	for {
		_, err := c.Ledger().GetNetwork(ctx, &ltlv1.GetNetworkRequest{})
		if err == nil {
			return nil
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return fmt.Errorf("the network did not serve in time; are more than half of its nodes running and reachable? %w",
				err)
		}
	}
}

// describeElsewhere writes into d what the genesis and the caller say of a network that runs elsewhere.
func (n *network) describeElsewhere(d *Network, endpoints []string) {
	g := n.trust.Genesis()
	d.Region, d.Trust, d.Operator = Region, filepath.Join(pkiDir, "trust.json"), filepath.Join(pkiDir, "operator",
		"tls.key")
	d.Nodes, d.Endorsers, d.Facades = nil, nil, nil
	for _, node := range g.GetNodes() {
		d.Nodes = append(d.Nodes, Node{ID: node.GetId(), GRPC: node.GetAddress()})
	}
	for _, o := range g.GetOrganisations() {
		d.Endorsers = append(d.Endorsers, Endorser{Organisation: o.GetId(), GRPC: o.GetEndorserAddress()})
	}
	for i, e := range endpoints {
		if i == 0 {
			d.Endpoint = e
		}
		d.Facades = append(d.Facades, Facade{HTTP: e})
	}
}

// setUp creates the first accounts and chains and returns their description.
func (n *network) setUp(ctx context.Context, c *client.Client) (*Network, error) {
	p, err := loadPlan(n.Dir)
	if err != nil {
		return nil, err
	}
	operators, err := n.openOperators(c)
	defer func() {
		for _, o := range operators {
			if o != c {
				o.Close()
			}
		}
	}()
	if err != nil {
		return nil, err
	}
	s := &setup{plan: p, client: c, operators: operators, sealingKeys: map[string][]byte{}, networkID: n.trust.NetworkID()}
	for i, o := range n.trust.Genesis().GetOrganisations() {
		s.organisations = append(s.organisations, o.GetId())
		dir := n.operatorDir()
		if i > 0 {
			dir = n.operatorDirOf(o.GetId())
		}
		if s.sealingKeys[o.GetId()], err = identity.LoadSealingKey(filepath.Join(dir, "sealing.key")); err != nil {
			return nil, err
		}
	}
	if s.facades, err = n.facades(); err != nil {
		return nil, err
	}
	chains, accounts, err := s.run(ctx)
	if err != nil {
		return nil, err
	}
	return &Network{Chains: chains, Accounts: accounts, Delegates: s.facades}, nil
}

// facades returns the identities of the facades whose keys were made with the network's, in ascending order.
func (n *network) facades() ([]string, error) {
	dirs, err := filepath.Glob(filepath.Join(n.Dir, pkiDir, "facades", "*"))
	if err != nil {
		return nil, err
	}
	var all []string
	for _, dir := range dirs {
		c, err := identity.ReadCertificate(dir)
		if err != nil {
			return nil, fmt.Errorf("the set-up has the organisations delegate to the facades, and needs their names: %w", err)
		}
		all = append(all, c.Identity.String())
	}
	slices.Sort(all)
	return all, nil
}

// What the chains of a new network may hold, and for how long: generous, as on a developer's own machine.
const (
	packageYears    = 10
	capacityQuota   = 1 << 50
	countQuota      = 1 << 40
	memberQuota     = 1000
	phaseGroupQuota = 100
	phaseQuota      = 1000
	defaultPolicy   = "submitter & majority"
)

const (
	planFile   = "setup.json"
	guests     = 3
	retryAfter = 200 * time.Millisecond
)

// plan fixes everything random of the first set-up before any of it is written to the ledger. After an interruption
// the next start sends the same transactions again, and the ledger executes each once. The plan is removed when
// network.json holds the result.
type plan struct {
	Seed      string `json:"seed"`
	CreatedMs int64  `json:"createdMs"`
}

// loadPlan reads DIR/setup.json, or makes and stores a new plan.
func loadPlan(dir string) (*plan, error) {
	path := filepath.Join(dir, planFile)
	raw, err := os.ReadFile(path)
	if err == nil {
		var p plan
		if err := json.Unmarshal(raw, &p); err != nil || len(p.Seed) != 2*sha256.Size {
			return nil, fmt.Errorf("couldn't read the plan of the set-up, %s: %w", path, errors.Join(err, errBadPlan))
		}
		return &p, nil
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("couldn't read the plan of the set-up: %w", err)
	}
	seed := make([]byte, sha256.Size)
	rand.Read(seed) // never fails: it ends the process instead
	p := &plan{Seed: hex.EncodeToString(seed), CreatedMs: time.Now().UnixMilli()}
	return p, SaveJSON(path, p)
}

// errBadPlan says that the stored plan cannot be used.
var errBadPlan = errors.New("it is not a plan; remove the network's directory and start again")

// bytes derives 32 bytes for one purpose.
func (p *plan) bytes(purpose string) []byte {
	h := sha256.Sum256([]byte("ltl/setup/v1\x00" + p.Seed + "\x00" + purpose))
	return h[:]
}

// text derives n characters of an alphabet for one purpose; n*log2(len(alphabet)) must stay well below 256 bits.
func (p *plan) text(purpose, alphabet string, n int) string {
	number, size, digit := new(big.Int).SetBytes(p.bytes(purpose)), big.NewInt(int64(len(alphabet))), new(big.Int)
	out := make([]byte, n)
	for i := range out {
		number.DivMod(number, size, digit)
		out[i] = alphabet[digit.Int64()]
	}
	return string(out)
}

// accounts plans the accounts of a new network: an administrator, a member, and some that are on no chain.
func (p *plan) accounts(organisations []string) []Account {
	var accounts []Account
	add := func(role, name string) {
		uid := "2" + p.text("uid/"+name, "0123456789", 17)
		organisation := organisations[len(accounts)%len(organisations)]
		accounts = append(accounts, Account{
			Role: role, UID: uid, Name: name, Organisation: organisation,
			AccessKeyID:     accessKeyIDPrefix + p.text("id/"+name, alphanumeric, accessKeyIDRandom),
			AccessKeySecret: p.text("secret/"+name, alphanumeric, accessKeySecretLen),
		})
	}
	add(RoleAdmin, "admin")
	add(RoleMember, "member")
	for i := range guests {
		add(RoleNone, fmt.Sprintf("guest-%d", i+1))
	}
	return accounts
}

// setup writes a network's first accounts, chains, memberships and AccessKeys.
type setup struct {
	plan   *plan
	client *client.Client
	// operators are clients of an operator of each organisation: what is an organisation's own, its operator submits.
	operators     map[string]*client.Client
	sealingKeys   map[string][]byte
	networkID     ledger.Hash
	organisations []string
	// facades are the identities of the facades, all of the first organisation: the others delegate to them.
	facades []string
}

// run does the whole set-up. Doing it again with the same plan changes nothing and returns the same.
func (s *setup) run(ctx context.Context) ([]Chain, []Account, error) {
	accounts := s.plan.accounts(s.organisations)
	for _, o := range s.organisations[1:] {
		if err := s.delegate(ctx, o); err != nil {
			return nil, nil, err
		}
	}
	for _, a := range accounts {
		if err := s.createAccount(ctx, a); err != nil {
			return nil, nil, err
		}
	}
	for _, c := range []struct {
		name    string
		service ltlv1.ChainService
	}{
		{"proof", ltlv1.ChainService_CHAIN_SERVICE_PROOF},
		{"collaboration", ltlv1.ChainService_CHAIN_SERVICE_COLLABORATION},
	} {
		if err := s.createChain(ctx, c.name, c.service, accounts[0].UID); err != nil {
			return nil, nil, err
		}
	}
	chains, err := s.chainsOf(ctx, &accounts[0])
	if err != nil {
		return nil, nil, err
	}
	for _, c := range chains {
		if err := s.addMember(ctx, c, accounts[0].UID, accounts[1]); err != nil {
			return nil, nil, err
		}
	}
	_, err = s.chainsOf(ctx, &accounts[1])
	return chains, accounts, err
}

// delegate has an organisation name the facades as such that may speak for its accounts.
func (s *setup) delegate(ctx context.Context, organisation string) error {
	return s.submit(ctx, "delegates of "+organisation, organisation, &ltlv1.Transaction{
		ChainId: ledger.SystemChain,
		Action:  &ltlv1.Transaction_SetDelegates{SetDelegates: &ltlv1.SetDelegates{Facades: s.facades}},
	})
}

// createAccount creates an account and stores its AccessKey, sealed.
func (s *setup) createAccount(ctx context.Context, a Account) error {
	err := s.submit(ctx, "account "+a.Name, a.Organisation, &ltlv1.Transaction{
		ChainId: ledger.SystemChain,
		Action: &ltlv1.Transaction_CreateAccount{CreateAccount: &ltlv1.CreateAccount{
			Uid: a.UID, Name: a.Name, Type: ltlv1.AccountType_ACCOUNT_TYPE_RAM, Organisation: a.Organisation,
		}},
	})
	if err != nil {
		return err
	}
	return s.createKey(ctx, a)
}

// createKey puts an account's AccessKey on the ledger and stores its sealed secret. Sealing is random, so that an
// interrupted set-up puts another version of the AccessKey, whose secret is the same.
func (s *setup) createKey(ctx context.Context, a Account) error {
	info, whole, err := s.accessKey(ctx, a)
	if whole || err != nil {
		return err
	}
	seal := identity.AccessKeySeal{Network: s.networkID, Organisation: a.Organisation, AccessKeyID: a.AccessKeyID,
		UID: a.UID, Version: info.GetVersion() + 1}
	sealed, err := seal.Seal(s.sealingKeys[a.Organisation], a.AccessKeySecret)
	if err != nil {
		return fmt.Errorf("couldn't seal an AccessKey: %w", err)
	}
	commitment := ledger.SealedCommitment(sealed)
	err = s.submit(ctx, fmt.Sprintf("version %d of the AccessKey of %s, %x", seal.Version, a.Name, commitment),
		a.Organisation, &ltlv1.Transaction{
			ChainId: ledger.SystemChain,
			Action: &ltlv1.Transaction_PutAccessKey{PutAccessKey: &ltlv1.PutAccessKey{
				Id: a.AccessKeyID, AccountUid: a.UID, State: ltlv1.AccessKeyState_ACCESS_KEY_STATE_ACTIVE, Version: seal.Version,
				Commitment: commitment[:],
			}},
		})
	if err != nil {
		return err
	}
	return s.retry(ctx, "AccessKey of "+a.Name, func() error {
		return s.operators[a.Organisation].PutSealed(ctx, a.AccessKeyID, sealed)
	})
}

// errDelivered ends a watch once everything up to now has arrived.
var errDelivered = errors.New("everything has been delivered")

// accessKey reads an account's AccessKey; nil when it is not on the ledger yet. whole is set when the nodes have its
// sealed secret too.
func (s *setup) accessKey(ctx context.Context, a Account) (info *ltlv1.AccessKeyInfo, whole bool, err error) {
	err = s.retry(ctx, "AccessKey of "+a.Name, func() error {
		out, err := s.client.Ledger().ListAccessKeys(ctx, &ltlv1.ListAccessKeysRequest{AccountUid: a.UID, Page: 1, Size: 100})
		for _, k := range out.GetAccessKeys() {
			if k.GetId() == a.AccessKeyID {
				info = k
			}
		}
		return err
	})
	if info == nil || err != nil {
		return nil, false, err
	}
	err = s.client.WatchSealed(ctx, 0, func(k *ltlv1.SealedKey) error {
		if k == nil {
			return errDelivered
		}
		c := ledger.SealedCommitment(k.GetSealed())
		whole = whole || k.GetAccessKeyId() == a.AccessKeyID && string(c[:]) == string(info.GetCommitment())
		return nil
	})
	if errors.Is(err, errDelivered) {
		err = nil
	}
	return info, whole, err
}

// createChain creates a chain on which all organisations endorse.
func (s *setup) createChain(ctx context.Context, name string, service ltlv1.ChainService, administrator string) error {
	return s.submit(ctx, "chain "+name, s.organisations[0], &ltlv1.Transaction{
		ChainId: ledger.SystemChain,
		Action: &ltlv1.Transaction_CreateChain{CreateChain: &ltlv1.CreateChain{
			Name: name, Service: service, Edition: ltlv1.Edition_EDITION_ENTERPRISE, Region: Region,
			EffectiveMs:        s.plan.CreatedMs,
			ExpiredMs:          time.UnixMilli(s.plan.CreatedMs).AddDate(packageYears, 0, 0).UnixMilli(),
			CapacityQuotaBytes: capacityQuota, CountQuota: countQuota, MemberQuota: memberQuota,
			PhaseGroupQuota: phaseGroupQuota, PhaseQuota: phaseQuota,
			Policy: defaultPolicy, Organisations: s.organisations, AdministratorUid: administrator,
		}},
	})
}

// addMember makes an account a member of a chain.
func (s *setup) addMember(ctx context.Context, c Chain, administrator string, a Account) error {
	return s.submit(ctx, "member of "+c.Name, s.organisations[0], &ltlv1.Transaction{
		ChainId: c.BizChainID, AccountUid: administrator,
		Action: &ltlv1.Transaction_CreateMember{CreateMember: &ltlv1.CreateMember{
			MemberUid: a.UID, Name: a.Name, Contact: a.Name, Phone: "000-0000", Remark: "made by ltl up",
		}},
	})
}

// chainsOf reads the chains of an account, and fills in its code on the proof chain.
func (s *setup) chainsOf(ctx context.Context, a *Account) ([]Chain, error) {
	var res *ltlv1.ListChainsResponse
	err := s.retry(ctx, "chains of "+a.Name, func() (err error) {
		res, err = s.client.Ledger().ListChains(ctx, &ltlv1.ListChainsRequest{AccountUid: a.UID, Page: 1, Size: 100})
		return err
	})
	if err != nil {
		return nil, err
	}
	var chains []Chain
	for _, c := range res.GetChains() {
		service := ServiceProof
		if c.GetChain().GetService() == ltlv1.ChainService_CHAIN_SERVICE_COLLABORATION {
			service = ServiceCollaboration
		} else {
			a.DataTypeCode = c.GetDataTypeCode()
		}
		chains = append(chains, Chain{
			Service: service, Name: c.GetChain().GetName(), BizChainID: c.GetChainId(), BizChainCode: c.GetChainCode(),
		})
	}
	if len(chains) != 2 || a.DataTypeCode == "" {
		return nil, fmt.Errorf("couldn't set the network up: %s is on %d chains with the code %q, want 2 chains and a code",
			a.Name, len(chains), a.DataTypeCode)
	}
	if chains[0].Service != ServiceProof {
		chains[0], chains[1] = chains[1], chains[0]
	}
	return chains, nil
}

// submit writes one transaction of the plan, as an operator of the organisation. Its nonce and time are the plan's, so that sending it again is the same
// transaction.
func (s *setup) submit(ctx context.Context, what, organisation string, tx *ltlv1.Transaction) error {
	tx.Nonce = s.plan.bytes("nonce/" + what)[:nonceBytes]
	tx.CreatedMs = s.plan.CreatedMs
	return s.retry(ctx, what, func() error {
		result, err := s.operators[organisation].Submit(ctx, tx)
		if err != nil {
			return err
		}
		if code := result.GetCode(); code != rules.OK && code != rules.Duplicate {
			return fmt.Errorf("refused with %d: %s", code, rules.Message(code))
		}
		return nil
	})
}

// retry calls f until it succeeds, fails for good, or ctx ends.
func (s *setup) retry(ctx context.Context, what string, f func() error) error {
	for {
		err := f()
		if err == nil {
			return nil
		}
		if !errors.Is(err, client.ErrUnavailable) && !errors.Is(err, client.ErrOverloaded) {
			return fmt.Errorf("couldn't set the network up (%s): %w", what, err)
		}
		timer := time.NewTimer(retryAfter)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return fmt.Errorf("couldn't set the network up in time (%s): %w", what, err)
		}
	}
}
