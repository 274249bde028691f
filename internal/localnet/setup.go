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
	"math/big"
	"os"
	"path/filepath"
	"time"

	"ltl/client"
	"ltl/internal/identity"
	"ltl/internal/ledger"
	"ltl/internal/rules"
	ltlv1 "ltl/proto/ltl/v1"
)

// What the chains of a new network may hold, and for how long. They are generous: this is one's own machine.
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

// plan fixes everything random of the first set-up before any of it is written to the ledger: when the set-up is cut off, the
// next start sends the very same transactions, which the ledger takes once. It is removed when network.json holds the outcome.
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
	return p, saveJSON(path, p)
}

var errBadPlan = errors.New("it is not a plan; remove the network's directory to start anew")

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
			AccessKeyID: accessKeyIDPrefix + p.text("id/"+name, alphanumeric, accessKeyIDRandom), AccessKeySecret: p.text("secret/"+name, alphanumeric, accessKeySecretLen),
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
	plan          *plan
	client        *client.Client
	sealingKey    []byte
	organisations []string
}

// run does the whole set-up. Doing it again with the same plan changes nothing and returns the same.
func (s *setup) run(ctx context.Context) ([]Chain, []Account, error) {
	accounts := s.plan.accounts(s.organisations)
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

func (s *setup) createAccount(ctx context.Context, a Account) error {
	err := s.submit(ctx, "account "+a.Name, &ltlv1.Transaction{
		ChainId: ledger.SystemChain,
		Action: &ltlv1.Transaction_CreateAccount{CreateAccount: &ltlv1.CreateAccount{
			Uid: a.UID, Name: a.Name, Type: ltlv1.AccountType_ACCOUNT_TYPE_RAM, Organisation: a.Organisation,
		}},
	})
	if err != nil {
		return err
	}
	sealed, err := identity.Seal(s.sealingKey, a.AccessKeyID, a.AccessKeySecret)
	if err != nil {
		return fmt.Errorf("couldn't seal an AccessKey: %w", err)
	}
	return s.retry(ctx, "AccessKey of "+a.Name, func() error {
		_, err := s.client.PutAccessKey(ctx, &ltlv1.AccessKey{AccessKeyId: a.AccessKeyID, AccountUid: a.UID, Sealed: sealed})
		return err
	})
}

func (s *setup) createChain(ctx context.Context, name string, service ltlv1.ChainService, administrator string) error {
	return s.submit(ctx, "chain "+name, &ltlv1.Transaction{
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

func (s *setup) addMember(ctx context.Context, c Chain, administrator string, a Account) error {
	return s.submit(ctx, "member of "+c.Name, &ltlv1.Transaction{
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
		chains = append(chains, Chain{Service: service, Name: c.GetChain().GetName(), BizChainID: c.GetChainId(), BizChainCode: c.GetChainCode()})
	}
	if len(chains) != 2 || a.DataTypeCode == "" {
		return nil, fmt.Errorf("couldn't set the network up: %s is on %d chains with the code %q, want 2 chains and a code", a.Name, len(chains), a.DataTypeCode)
	}
	if chains[0].Service != ServiceProof {
		chains[0], chains[1] = chains[1], chains[0]
	}
	return chains, nil
}

// submit writes one transaction of the plan: its nonce and time are the plan's, so that sending it again is the same transaction.
func (s *setup) submit(ctx context.Context, what string, tx *ltlv1.Transaction) error {
	tx.Nonce = s.plan.bytes("nonce/" + what)[:nonceBytes]
	tx.CreatedMs = s.plan.CreatedMs
	return s.retry(ctx, what, func() error {
		result, err := s.client.Submit(ctx, tx)
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
