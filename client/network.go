package client

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"ltl/internal/identity"
	"ltl/internal/ledger"
	"ltl/internal/policy"
	"ltl/internal/rules"
	ltlv1 "ltl/proto/ltl/v1"
)

// network is what a client knows of its network: the chains' policies, the organisations' keys, and the organisation of
// each account. It is a cache. Nodes decide by the ledger itself, so an entry that is out of date costs a repetition
// and nothing else.
//
// A network with very many chains reports the oldest ones together (chains), and any other one when it is asked for it
// (others).
type network struct {
	client *Client
	trust  *identity.Trust
	id     ledger.Hash
	fetch  flight[struct{}]
	made   time.Time

	mu            sync.Mutex
	fetched       time.Time // when the last fetch began or ended
	hinted        time.Time // when an unknown or silent peer last caused a fetch
	chains        map[string]*chain
	more          bool                  // the network has chains that are not in chains
	others        map[string]otherChain // those of them that were asked for
	organisations map[string]ed25519.PublicKey
	former        map[string]ed25519.PublicKey // the key that an organisation had before, if this client saw it change
	accounts      map[string]string            // uid → organisation; an account never moves
	confirmed     ledger.Hash                  // the digest of what was learned last
}

// otherChain is a chain as a node reported it at a moment.
type otherChain struct {
	chain *chain
	at    time.Time
}

// chain is what the client knows of a chain. It is not changed once made.
type chain struct {
	id            string
	policy        policy.Policy
	quorum        policy.Quorum // the policy for these organisations
	organisations []string
	keys          []ed25519.PublicKey // of the organisations
}

func newNetwork(c *Client, trust *identity.Trust) (*network, error) {
	n := &network{
		client: c, trust: trust, made: time.Now(), id: trust.NetworkID(), accounts: map[string]string{},
		others: map[string]otherChain{}, former: map[string]ed25519.PublicKey{},
	}
	n.fetch.spawn, n.fetch.run = c.spawn, n.fetchNow
	trust.OnUnknownPeer(n.refreshSoon)
	genesis := trust.Genesis()
	system := &ltlv1.ChainInfo{ChainId: ledger.SystemChain, Chain: &ltlv1.CreateChain{Policy: genesis.GetPolicy()}}
	for _, o := range genesis.GetOrganisations() {
		system.Chain.Organisations = append(system.Chain.Organisations, o.GetId())
	}
	return n, n.learn(&ltlv1.GetNetworkResponse{
		NetworkId: n.id[:], Organisations: genesis.GetOrganisations(), Nodes: genesis.GetNodes(),
		Chains: []*ltlv1.ChainInfo{system},
	})
}

// learn stores what a node reports of the network.
func (n *network) learn(in *ltlv1.GetNetworkResponse) error {
	if string(in.GetNetworkId()) != string(n.id[:]) {
		return fmt.Errorf("a node answers for another network, %x; check that its address in the trust file is right",
			in.GetNetworkId())
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
	if err := n.learnMembers(in); err != nil {
		return err
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	for id, key := range n.organisations {
		if now, ok := organisations[id]; ok && !key.Equal(now) {
			n.former[id] = key
			clear(n.others) // they carry keys
		}
	}
	n.chains, n.organisations, n.confirmed = chains, organisations, digest(in)
	n.more = in.GetTotalChains() >= uint64(len(in.GetChains())) // of which one is the system chain
	return nil
}

// key returns the key with this id of an organisation: the present or the former one. A key that is not known may be
// new: then a node is asked, once.
func (n *network) key(ctx context.Context, organisation string, id [8]byte) (ed25519.PublicKey, error) {
	for asked := false; ; asked = true {
		n.mu.Lock()
		candidates := []ed25519.PublicKey{n.organisations[organisation], n.former[organisation]}
		n.mu.Unlock()
		for _, k := range candidates {
			if ledger.KeyID(k) == id {
				return k, nil
			}
		}
		if asked {
			return nil, fmt.Errorf("%w: organisation %s has no key %x", errInvalidResponse, organisation, id)
		}
		if err := n.refresh(ctx); err != nil {
			return nil, err
		}
	}
}

// newChain makes a chain of what a node reports. keys holds those of the organisations of the network.
func newChain(info *ltlv1.ChainInfo, keys map[string]ed25519.PublicKey) (*chain, error) {
	p, err := policy.Parse(info.GetChain().GetPolicy())
	if err != nil {
		return nil, fmt.Errorf("policy of chain %s: %w", info.GetChainId(), err)
	}
	one := &chain{id: info.GetChainId(), policy: p, organisations: info.GetChain().GetOrganisations()}
	if n := len(one.organisations); n > rules.MaxOrganisations {
		return nil, fmt.Errorf("chain %s has %d organisations, at most %d are allowed", one.id, n, rules.MaxOrganisations)
	}
	one.quorum = p.Quorum(one.organisations)
	for _, id := range one.organisations {
		one.keys = append(one.keys, keys[id])
	}
	return one, nil
}

// learnMembers stores the nodes and organisations, so that they can be connected to. Only a node could invent one, and
// it would gain nothing: the ledger counts the endorsements of its own organisations.
func (n *network) learnMembers(in *ltlv1.GetNetworkResponse) error {
	if err := n.trust.Update(identity.MembershipOf(in)); err != nil {
		n.client.log.Warn("a node reports an organisation that cannot be trusted", "error", err)
	}
	organisations, nodes, removed := in.GetOrganisations(), in.GetNodes(), in.GetRemovedNodes()
	for _, node := range nodes {
		if err := n.trust.AddNode(node); err != nil {
			n.client.log.Warn("a node reports a node that cannot be trusted", "node", node.GetId(), "error", err)
		}
	}
	for _, id := range removed {
		n.trust.RemoveNode(id)
	}
	err := n.client.peers.learn(organisations, nodes, removed)
	if errors.Is(err, ErrClosed) {
		return err
	}
	if err != nil { // the others and the chains are still of use
		n.client.log.Warn("a member of the network cannot be connected to", "error", err)
	}
	return nil
}

// fetchNow asks a node. While no node leads, it takes what the node itself has. What the client does not know yet it
// takes from no node alone.
func (n *network) fetchNow() (struct{}, error) {
	ctx, cancel := context.WithTimeout(n.client.base, refreshTimeout)
	defer cancel()
	request := &ltlv1.GetNetworkRequest{}
	in, err := readOnce(ctx, n.client, once(ltlv1.LedgerClient.GetNetwork, request))
	if err != nil {
		request.Consistency = ltlv1.Consistency_CONSISTENCY_LOCAL
		in, err = readOnce(ctx, n.client, once(ltlv1.LedgerClient.GetNetwork, request))
	}
	if err == nil && (!n.knows(in) || n.hasNews(ctx)) {
		if in, err = n.confirm(ctx, request); err == nil {
			err = n.learn(in)
		}
	}
	n.mu.Lock()
	n.fetched = time.Now() // after a failure too, so that not every write tries again
	n.mu.Unlock()
	if err != nil {
		n.client.log.Warn("chains and organisations cannot be refreshed, the known ones stay in use", "error", err)
		return struct{}{}, fmt.Errorf("%w: chains and organisations: %w", ErrUnavailable, err)
	}
	return struct{}{}, nil
}

// chain returns a chain, or nil when the network has none with this id. Only an unknown chain makes the caller wait.
func (n *network) chain(ctx context.Context, id string) (*chain, error) {
	one, stale := n.known(id)
	if one == nil {
		return n.findOther(ctx, id, stale)
	}
	if stale {
		n.fetch.join() // Close waits for it
	}
	return one, nil
}

// refreshIfStale refreshes in the background what is older than refreshAge: a client must not trust organisations and
// certificates that the ledger has removed.
func (n *network) refreshIfStale() {
	n.mu.Lock()
	stale := time.Since(n.fetched) > refreshAge && time.Since(n.made) > refreshAge
	if stale {
		n.fetched = time.Now() // one refresh is enough
	}
	n.mu.Unlock()
	if stale {
		n.fetch.join() // Close waits for it
	}
}

// keepFresh refreshes until ctx ends, for a process that may be idle for long: all certificate authorities may be
// replaced meanwhile.
func (n *network) keepFresh(ctx context.Context) {
	tick := time.NewTicker(refreshAge / 5)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			n.refreshIfStale()
		}
	}
}

// refreshSoon refreshes in the background because a peer is not known, or a node does not answer and may have moved: at
// most once per refreshPause, as a peer may be lying.
func (n *network) refreshSoon() {
	n.mu.Lock()
	due := time.Since(n.hinted) > refreshPause
	if due {
		n.hinted = time.Now()
	}
	n.mu.Unlock()
	if due {
		n.fetch.join()
	}
}

// refresh fetches chains and members, and waits for them.
func (n *network) refresh(ctx context.Context) error {
	_, err := n.fetch.do(ctx)
	if err != nil && !errors.Is(err, ErrUnavailable) && !errors.Is(err, ErrClosed) {
		return fmt.Errorf("%w: chains and organisations: %w", ErrUnavailable, err)
	}
	return err
}

// known returns a chain that nodes report together with others; stale says that a refresh is due.
func (n *network) known(id string) (one *chain, stale bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	stale = time.Since(n.fetched) > refreshAge
	if stale {
		n.fetched = time.Now() // one refresh is enough
	}
	return n.chains[id], stale
}

// accountOrganisation is the organisation that the policy term "submitter" means: that of the account, else of the
// process.
func (n *network) accountOrganisation(ctx context.Context, tx *ltlv1.Transaction) (string, error) {
	uid := tx.GetAccountUid()
	if uid == "" {
		return organisationOf(tx.GetSubmitter()), nil
	}
	n.mu.Lock()
	organisation, known := n.accounts[uid]
	n.mu.Unlock()
	if known {
		return organisation, nil
	}
	in, err := read(ctx, n.client.Ledger(), ltlv1.LedgerClient.GetAccount, &ltlv1.GetAccountRequest{Uid: uid})
	if err != nil {
		return "", err
	}
	if in.GetCode() != rules.OK || len(in.GetAccounts()) != 1 {
		return organisationOf(tx.GetSubmitter()), nil // the endorsers refuse it with the right code
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if len(n.accounts) >= maxAccounts {
		clear(n.accounts)
	}
	organisation = in.GetAccounts()[0].GetOrganisation()
	n.accounts[uid] = organisation
	return organisation, nil
}

// organisationOf is the organisation of a node or an endorser; empty when it is not of the network any more.
func (n *network) organisationOf(p *peer) string {
	if p.role == identity.RoleEndorser {
		return p.name
	}
	known, _ := n.trust.Node(p.name)
	return known.GetOrganisation()
}

// spread returns the nodes with one of each organisation first, then the second ones, and so on: an organisation whose
// nodes withhold something delays it by one of them, however many it has.
func (n *network) spread(nodes []*peer) []*peer {
	turn := map[*peer]int{}
	before := map[string]int{}
	for _, one := range nodes {
		organisation := n.organisationOf(one)
		turn[one] = before[organisation]
		before[organisation]++
	}
	return slices.SortedStableFunc(slices.Values(nodes), func(a, b *peer) int { return turn[a] - turn[b] })
}

func organisationOf(submitter string) string {
	id, err := identity.Parse(submitter)
	if err != nil {
		return "" // the endorsers refuse the transaction
	}
	return id.Organisation
}

// findOther returns a chain that is not among those reported together, or nil when the network has none with this id.
func (n *network) findOther(ctx context.Context, id string, stale bool) (*chain, error) {
	n.mu.Lock()
	o, asked := n.others[id]
	n.mu.Unlock()
	switch {
	case asked && stale:
		n.fetch.join() // its organisations' keys may have changed
		fallthrough
	case asked:
		if time.Since(o.at) < refreshAge {
			return o.chain, nil
		}
		return n.fetchChain(ctx, id)
	}
	if err := n.refresh(ctx); err != nil {
		return nil, err
	}
	one, _ := n.known(id)
	n.mu.Lock()
	more := n.more
	n.mu.Unlock()
	if one == nil && more {
		return n.fetchChain(ctx, id)
	}
	return one, nil
}

// forget makes the next call for the chain ask a node: its policy may have changed.
func (n *network) forget(id string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	delete(n.others, id)
}

// fetchChain asks a node for one chain. It returns nil when the network has none with this id.
func (n *network) fetchChain(ctx context.Context, id string) (*chain, error) {
	in, err := read(ctx, n.client.Ledger(), ltlv1.LedgerClient.GetChain, &ltlv1.GetChainRequest{ChainId: id})
	if err != nil {
		return nil, err
	}
	if in.GetCode() == rules.NotFound {
		return nil, nil
	}
	if in.GetCode() != rules.OK || in.GetChain().GetChainId() != id {
		return nil, fmt.Errorf("%w: a node answers a request for chain %s with code %d", ErrUnavailable, id, in.GetCode())
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	one, err := newChain(in.GetChain(), n.organisations)
	if err != nil {
		return nil, err
	}
	if len(n.others) >= maxOtherChains {
		clear(n.others)
	}
	n.others[id] = otherChain{chain: one, at: time.Now()}
	return one, nil
}
