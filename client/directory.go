package client

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"sync"
	"time"

	"ltl/internal/identity"
	"ltl/internal/ledger"
	"ltl/internal/policy"
	"ltl/internal/rules"
	ltlv1 "ltl/proto/ltl/v1"
)

// directory remembers what the write path must know of the network: the chains' policies, the organisations' keys, and which
// organisation an account belongs to. It is a cache: nodes decide by the ledger itself, so an entry that is out of date costs a
// repetition and nothing else.
type directory struct {
	client  *Client
	trust   *identity.Trust
	network ledger.Hash
	fetch   flight[struct{}]
	made    time.Time

	mu            sync.Mutex
	fetched       time.Time
	doubted       time.Time // when a peer last was not known
	chains        map[string]*chain
	more          bool             // the network has chains that it does not tell of unless it is asked
	others        map[string]other // those of them that were asked for
	organisations map[string]ed25519.PublicKey
	former        map[string]ed25519.PublicKey // the key that an organisation had before, as far as this client saw it change
	accounts      map[string]string            // uid → organisation; an account never moves
}

// chain is what the client knows of a chain. It is not changed once made.
type chain struct {
	id            string
	policy        policy.Policy
	organisations []string
	keys          []ed25519.PublicKey // of the organisations
}

func newDirectory(c *Client, trust *identity.Trust) (*directory, error) {
	d := &directory{client: c, trust: trust, made: time.Now(), network: trust.NetworkID(), accounts: map[string]string{}, others: map[string]other{}, former: map[string]ed25519.PublicKey{}}
	d.fetch.spawn, d.fetch.run = c.spawn, d.refresh
	trust.OnDoubt(d.doubt)
	genesis := trust.Genesis()
	system := &ltlv1.ChainInfo{ChainId: ledger.SystemChain, Chain: &ltlv1.CreateChain{Policy: genesis.GetPolicy()}}
	for _, o := range genesis.GetOrganisations() {
		system.Chain.Organisations = append(system.Chain.Organisations, o.GetId())
	}
	return d, d.learn(&ltlv1.GetNetworkResponse{
		NetworkId: d.network[:], Organisations: genesis.GetOrganisations(), Nodes: genesis.GetNodes(), Chains: []*ltlv1.ChainInfo{system},
	})
}

// learn takes over what a node said of the network.
func (d *directory) learn(in *ltlv1.GetNetworkResponse) error {
	if string(in.GetNetworkId()) != string(d.network[:]) {
		return fmt.Errorf("a node answers for another network, %x", in.GetNetworkId())
	}
	organisations := map[string]ed25519.PublicKey{}
	for _, o := range in.GetOrganisations() {
		organisations[o.GetId()] = o.GetEndorserKey()
	}
	chains := map[string]*chain{}
	for _, info := range in.GetChains() {
		one, err := newChain(info, organisations)
		if err != nil {
			return err
		}
		chains[one.id] = one
	}
	if err := d.meet(in); err != nil {
		return err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	for id, key := range d.organisations {
		if now, ok := organisations[id]; ok && !key.Equal(now) {
			d.former[id] = key
			clear(d.others) // they carry keys
		}
	}
	d.chains, d.organisations = chains, organisations
	d.more = in.GetTotalChains() >= uint64(len(in.GetChains())) // of which one is the system chain
	return nil
}

// key returns the key of an organisation that has the id: the one that it has now or had before. One that is not known may be new: then
// a node is asked, once. nil when there is none.
func (d *directory) key(ctx context.Context, organisation string, id [8]byte) (ed25519.PublicKey, error) {
	for asked := false; ; asked = true {
		d.mu.Lock()
		candidates := []ed25519.PublicKey{d.organisations[organisation], d.former[organisation]}
		d.mu.Unlock()
		for _, k := range candidates {
			if ledger.KeyID(k) == id {
				return k, nil
			}
		}
		if asked {
			return nil, fmt.Errorf("%w: organisation %s has no key %x", errGarbage, organisation, id)
		}
		if err := d.wait(ctx); err != nil {
			return nil, err
		}
	}
}

// newChain takes over what a node said of a chain; organisations holds the keys of those of the network.
func newChain(info *ltlv1.ChainInfo, organisations map[string]ed25519.PublicKey) (*chain, error) {
	parsed, err := policy.Parse(info.GetChain().GetPolicy())
	if err != nil {
		return nil, fmt.Errorf("policy of chain %s: %w", info.GetChainId(), err)
	}
	one := &chain{id: info.GetChainId(), policy: parsed, organisations: info.GetChain().GetOrganisations()}
	if len(one.organisations) > rules.MaxOrganisations {
		return nil, fmt.Errorf("chain %s has %d organisations", one.id, len(one.organisations))
	}
	for _, id := range one.organisations {
		one.keys = append(one.keys, organisations[id])
	}
	return one, nil
}

// meet makes the network's members known, so that they can be connected to. Only a node could invent one, and it would gain nothing:
// the ledger counts the endorsements of its own organisations.
func (d *directory) meet(in *ltlv1.GetNetworkResponse) error {
	if err := d.trust.Update(identity.MembershipOf(in)); err != nil {
		d.client.log.Warn("a node tells of an organisation that cannot be trusted", "error", err)
	}
	organisations, nodes, removed := in.GetOrganisations(), in.GetNodes(), in.GetRemovedNodes()
	for _, n := range nodes {
		if err := d.trust.AddNode(n); err != nil {
			d.client.log.Warn("a node tells of a node that cannot be trusted", "node", n.GetId(), "error", err)
		}
	}
	for _, id := range removed {
		d.trust.RemoveNode(id)
	}
	err := d.client.peers.learn(organisations, nodes, removed)
	if errors.Is(err, ErrClosed) {
		return err
	}
	if err != nil { // one member's bad address must not hide the others, nor the chains
		d.client.log.Warn("a member of the network cannot be connected to", "error", err)
	}
	return nil
}

// refresh asks a node. A network without a leader still gets what the node has.
func (d *directory) refresh() (struct{}, error) {
	ctx, cancel := context.WithTimeout(d.client.base, refreshTimeout)
	defer cancel()
	in, err := readOnce(ctx, d.client, ltlv1.LedgerClient.GetNetwork, &ltlv1.GetNetworkRequest{})
	if err != nil {
		in, err = readOnce(ctx, d.client, ltlv1.LedgerClient.GetNetwork, &ltlv1.GetNetworkRequest{Consistency: ltlv1.Consistency_CONSISTENCY_LOCAL})
	}
	if err == nil {
		err = d.learn(in)
	}
	d.mu.Lock()
	d.fetched = time.Now() // also after a failure: the next attempt on the hot path can wait
	d.mu.Unlock()
	if err != nil {
		d.client.log.Warn("cannot refresh chains and organisations", "error", err)
		return struct{}{}, fmt.Errorf("%w: chains and organisations: %w", ErrUnavailable, err)
	}
	return struct{}{}, nil
}

// chain returns a chain, or nil when the network has none of this id. Only an unknown chain makes the caller wait.
func (d *directory) chain(ctx context.Context, id string) (*chain, error) {
	one, stale := d.known(id)
	if one == nil {
		return d.find(ctx, id, stale)
	}
	if stale {
		d.fetch.join() // in the background; Close waits for it
	}
	return one, nil
}

// touch refreshes the directory in the background when it is old: whom the ledger does not trust any more, a client must not trust either.
func (d *directory) touch() {
	d.mu.Lock()
	stale := time.Since(d.fetched) > refreshAge && time.Since(d.made) > refreshAge
	if stale {
		d.fetched = time.Now() // one refresh is enough
	}
	d.mu.Unlock()
	if stale {
		d.fetch.join() // Close waits for it
	}
}

// keep keeps the directory fresh until ctx ends, for a process that lives long and may be idle: when it wakes up, those whom it knew may
// all have other authorities.
func (d *directory) keep(ctx context.Context) {
	tick := time.NewTicker(refreshAge / 5)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			d.touch()
		}
	}
}

// doubt refreshes the directory in the background because a peer is not known, not too often: the peer may be a liar.
func (d *directory) doubt() {
	d.mu.Lock()
	due := time.Since(d.doubted) > doubtPause
	if due {
		d.doubted = time.Now()
	}
	d.mu.Unlock()
	if due {
		d.fetch.join()
	}
}

// wait refreshes the directory and waits for it.
func (d *directory) wait(ctx context.Context) error {
	_, err := d.fetch.do(ctx)
	if err != nil && !errors.Is(err, ErrUnavailable) && !errors.Is(err, ErrClosed) {
		return fmt.Errorf("%w: chains and organisations: %w", ErrUnavailable, err)
	}
	return err
}

func (d *directory) known(id string) (one *chain, stale bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	stale = time.Since(d.fetched) > refreshAge
	if stale {
		d.fetched = time.Now() // one refresh is enough
	}
	return d.chains[id], stale
}

// submitterOrganisation is the organisation that the policies call the submitter's: that of the account, else of the process.
func (d *directory) submitterOrganisation(ctx context.Context, tx *ltlv1.Transaction) (string, error) {
	uid := tx.GetAccountUid()
	if uid == "" {
		return organisationOf(tx.GetSubmitter()), nil
	}
	d.mu.Lock()
	organisation, known := d.accounts[uid]
	d.mu.Unlock()
	if known {
		return organisation, nil
	}
	in, err := read(ctx, d.client, ltlv1.LedgerClient.GetAccount, &ltlv1.GetAccountRequest{Uid: uid})
	if err != nil {
		return "", err
	}
	if in.GetCode() != rules.OK || len(in.GetAccounts()) != 1 {
		return organisationOf(tx.GetSubmitter()), nil // the endorsers will say that there is no such account
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(d.accounts) >= maxAccounts {
		clear(d.accounts)
	}
	organisation = in.GetAccounts()[0].GetOrganisation()
	d.accounts[uid] = organisation
	return organisation, nil
}

func organisationOf(submitter string) string {
	id, err := identity.Parse(submitter)
	if err != nil {
		return "" // no such organisation: the endorsers refuse the transaction
	}
	return id.Organisation
}
