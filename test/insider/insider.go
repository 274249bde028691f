package insider

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"

	"ltl/client"
	"ltl/internal/identity"
	"ltl/internal/rules"
	ltlv1 "ltl/proto/ltl/v1"
	"ltl/test/testkit/offline"
)

// Chain is a proof chain of the victim's on which the attacker's account is a member.
type Chain struct {
	ID, Code string
	// Victims and Own are the data type codes of the administrator and of the attacker's account.
	Victims, Own string
}

// Phase is a phase of a collaboration chain of the victim's that the attacker's account may write to.
type Phase struct {
	ChainID, Group, ID string
	// Record is how a correction names a record of the victim's there.
	Record *ltlv1.Correction
}

// Options say which keys an Insider has and what it knows.
type Options struct {
	Scene
	// Dir has the keys of the network as identity.CreateNetwork makes them; only the attacker's are read. Work gets the
	// certificates that its authority makes.
	Dir, Work string
	Seed      uint64
	// Strict is a chain whose policy asks for others' endorsements, Lax one that the attacker's alone satisfies.
	Strict, Lax Chain
	// Phase is where the attacker corrects what the victim uploaded.
	Phase Phase
	// AccessKey is the id of the victim's AccessKey; Nonce is a signature nonce that the victim is about to use with it.
	AccessKey string
	Nonce     func() string
	Logger    *slog.Logger
}

// Count is what became of the attempts of one kind of attack. Broken ones had no answer: a fault was in effect, or the
// connection was refused.
type Count struct {
	Tries    int `json:"tries"`
	Refused  int `json:"refused"`
	Accepted int `json:"accepted"`
	Broken   int `json:"broken"`
	// May is set for what the attacker has a right to, such as its own acts.
	May bool `json:"may,omitempty"`
	// Last is the last refusal.
	Last string `json:"last,omitempty"`
}

// answer is what became of one attempt.
type answer struct {
	code   int32
	reason string
}

// move is one kind of attack.
type move struct {
	name   string
	weight int
	may    bool
	do     func(*Insider, context.Context) (answer, error)
}

// Insider attacks. Run must be called by one goroutine; Counts may be called at any time.
type Insider struct {
	Options
	rng       *rand.Rand
	operators [2]*client.Client
	client    *client.Client
	facade    *client.Client
	sign      ed25519.PrivateKey
	sealing   []byte
	nodes     []*grpc.ClientConn
	endorsers []*grpc.ClientConn
	close     []func() error
	seen      memory
	values    offline.Values // of the transaction that was encoded last
	number    int
	ownChain  string
	withheld  []*ltlv1.Batch

	mu     sync.Mutex
	counts map[string]*Count
}

// Open reads the attacker's keys, and makes with them what further certificates it wants.
func Open(o Options) (_ *Insider, err error) {
	i := &Insider{Options: o, rng: rand.New(rand.NewPCG(o.Seed, 0)), counts: map[string]*Count{}, values: offline.Values{}}
	defer func() {
		if err != nil {
			err = errors.Join(err, i.Close())
		}
	}()
	authority := filepath.Join(o.Dir, "orgs", o.Attacker)
	for _, id := range []identity.Identity{
		{Organisation: o.Attacker, Role: identity.RoleOperator, Name: "second"},
		{Organisation: o.Attacker, Role: identity.RoleClient, Name: "eve"},
		{Organisation: o.Attacker, Role: identity.RoleFacade, Name: "evil"},
	} {
		if err := identity.Issue(authority, filepath.Join(o.Work, id.Name), id, time.Now()); err != nil {
			return nil, err
		}
	}
	own := filepath.Join(o.Dir, "operators", o.Attacker)
	for dir, c := range map[string]**client.Client{own: &i.operators[0], filepath.Join(o.Work, "second"): &i.operators[1],
		filepath.Join(o.Work, "eve"): &i.client, filepath.Join(o.Work, "evil"): &i.facade} {
		if *c, err = openClient(o.Dir, dir, o.Logger, i.organisation(o.Attacker).GetEndorserAddress()); err != nil {
			return nil, err
		}
		i.close = append(i.close, (*c).Close)
	}
	i.Friend, err = identity.CreateOrganisation(o.Work, o.Network, identity.OrgSpec{ID: "friend", Name: "Friend",
		EndorserAddress: "127.0.0.1:9"}, time.Now())
	if err != nil {
		return nil, err
	}
	if i.sign, err = identity.LoadKey(filepath.Join(authority, "endorser", "sign.key")); err != nil {
		return nil, err
	}
	if i.sealing, err = identity.LoadSealingKey(filepath.Join(own, "sealing.key")); err != nil {
		return nil, err
	}
	return i, i.dial(own)
}

// OpenClient makes a client of the network whose keys are in network, with the certificate in dir.
func OpenClient(network, dir string, logger *slog.Logger) (*client.Client, error) {
	return openClient(network, dir, logger, "")
}

// openClient is OpenClient with the address of the own endorser, whatever the ledger says of it.
func openClient(network, dir string, logger *slog.Logger, endorser string) (*client.Client, error) {
	trust, err := identity.LoadTrust(filepath.Join(network, "trust.json"))
	if err != nil {
		return nil, err
	}
	credentials, err := identity.LoadCredentials(dir, trust)
	if err != nil {
		return nil, err
	}
	return client.Open(client.Config{Credentials: credentials, Trust: trust, Logger: logger, OwnEndorser: endorser})
}

// dial connects to every node and endorser as an operator, beside the client library.
func (i *Insider) dial(dir string) error {
	trust, err := identity.LoadTrust(filepath.Join(i.Dir, "trust.json"))
	if err != nil {
		return err
	}
	credentials, err := identity.LoadCredentials(dir, trust)
	if err != nil {
		return err
	}
	connect := func(address string, role identity.Role, name string) (*grpc.ClientConn, error) {
		conn, err := grpc.NewClient(address, credentials.DialOptions(role, name)...)
		if err == nil {
			i.close = append(i.close, conn.Close)
		}
		return conn, err
	}
	for _, n := range i.Genesis.GetNodes() {
		conn, err := connect(n.GetAddress(), identity.RoleNode, n.GetId())
		if err != nil {
			return err
		}
		i.nodes = append(i.nodes, conn)
	}
	for _, o := range i.Genesis.GetOrganisations() {
		conn, err := connect(o.GetEndorserAddress(), identity.RoleEndorser, o.GetId())
		if err != nil {
			return err
		}
		i.endorsers = append(i.endorsers, conn)
	}
	return nil
}

// Leave gives the attacker's endorser its right address on the ledger again, so that those who read every copy find it.
func (i *Insider) Leave(ctx context.Context) error {
	own := i.organisation(i.Attacker)
	a, err := submit(ctx, i.operators[0], System(&ltlv1.Transaction{Action: &ltlv1.Transaction_ModifyOrganisation{
		ModifyOrganisation: &ltlv1.ModifyOrganisation{Id: own.GetId(),
			EndorserAddress: proto.String(own.GetEndorserAddress())}}}))
	if err == nil && a.code != rules.OK {
		err = fmt.Errorf("code %d: %s", a.code, a.reason)
	}
	if err != nil {
		return fmt.Errorf("couldn't set the address of %s's endorser right: %w", own.GetId(), err)
	}
	return nil
}

// Close ends all connections.
func (i *Insider) Close() error {
	var errs []error
	for _, c := range slices.Backward(i.close) {
		errs = append(errs, c())
	}
	i.close = nil
	return errors.Join(errs...)
}

// Run attacks until ctx ends, with pauses of a length up to most.
func (i *Insider) Run(ctx context.Context, most time.Duration) {
	all := moves()
	total := 0
	for _, m := range all {
		total += m.weight
	}
	for n := 0; ctx.Err() == nil; n++ {
		if n%lookEvery == 0 {
			i.look(ctx)
		}
		at := i.rng.IntN(total)
		k := 0
		for at >= all[k].weight {
			at -= all[k].weight
			k++
		}
		i.try(ctx, all[k])
		timer := time.NewTimer(time.Duration(i.rng.Int64N(int64(most) + 1)))
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
		}
	}
}

// try makes one attempt and counts it.
func (i *Insider) try(ctx context.Context, m move) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	i.number++
	a, err := m.do(i, ctx)
	i.mu.Lock()
	defer i.mu.Unlock()
	c := i.counts[m.name]
	if c == nil {
		c = &Count{May: m.may}
		i.counts[m.name] = c
	}
	c.Tries++
	switch {
	case err != nil:
		c.Broken++
		if c.Last == "" {
			c.Last = err.Error()
		}
	case a.code == rules.OK:
		c.Accepted++
	default:
		c.Refused++
		c.Last = fmt.Sprintf("%d %s", a.code, a.reason)
	}
}

// Counts is what became of the attacks so far, by their names.
func (i *Insider) Counts() map[string]Count {
	i.mu.Lock()
	defer i.mu.Unlock()
	out := map[string]Count{}
	for name, c := range i.counts {
		out[name] = *c
	}
	return out
}

// pick draws one of several.
func pick[T any](i *Insider, of ...T) T { return of[i.rng.IntN(len(of))] }

// oneOf draws a value of a map, the same one for the same seed.
func oneOf[V any](i *Insider, m map[string]V) V {
	return m[pick(i, slices.Sorted(maps.Keys(m))...)]
}

// name makes a name that no other attempt has.
func (i *Insider) name(of string) string { return fmt.Sprintf("%s%d", of, i.number) }
