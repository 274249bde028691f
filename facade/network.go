package facade

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"ltl/client"
	"ltl/internal/rules"
	ltlv1 "ltl/proto/ltl/v1"
)

// network is what the facade needs of package client; tests stand in for it. Every method may be called concurrently.
type network interface {
	Submit(ctx context.Context, tx *ltlv1.Transaction) (*ltlv1.Result, error)
	GetRecord(ctx context.Context, in *ltlv1.GetRecordRequest) (*ltlv1.GetRecordResponse, error)
	ListHistory(ctx context.Context, in *ltlv1.ListHistoryRequest) (*ltlv1.ListHistoryResponse, error)
	CountHistory(ctx context.Context, in *ltlv1.CountHistoryRequest) (*ltlv1.CountHistoryResponse, error)
	ListChains(ctx context.Context, in *ltlv1.ListChainsRequest) (*ltlv1.ListChainsResponse, error)
	GetAccount(ctx context.Context, in *ltlv1.GetAccountRequest) (*ltlv1.GetAccountResponse, error)
	GetChain(ctx context.Context, in *ltlv1.GetChainRequest) (*ltlv1.GetChainResponse, error)
	ListMembers(ctx context.Context, in *ltlv1.ListMembersRequest) (*ltlv1.ListMembersResponse, error)
	ListDeviceGroups(ctx context.Context, in *ltlv1.ListDeviceGroupsRequest) (*ltlv1.ListDeviceGroupsResponse, error)
	ListDevices(ctx context.Context, in *ltlv1.ListDevicesRequest) (*ltlv1.ListDevicesResponse, error)
	ListPhaseGroups(ctx context.Context, in *ltlv1.ListPhaseGroupsRequest) (*ltlv1.ListPhaseGroupsResponse, error)
	ListPhases(ctx context.Context, in *ltlv1.ListPhasesRequest) (*ltlv1.ListPhasesResponse, error)
	GetPhaseAuthorization(ctx context.Context, in *ltlv1.GetPhaseAuthorizationRequest) (*ltlv1.GetPhaseAuthorizationResponse, error)
	GetPhaseRecord(ctx context.Context, in *ltlv1.GetPhaseRecordRequest) (*ltlv1.GetPhaseRecordResponse, error)
	ListPhaseRecords(ctx context.Context, in *ltlv1.ListPhaseRecordsRequest) (*ltlv1.ListPhaseRecordsResponse, error)
	WatchAccessKeys(ctx context.Context, after uint64, fn func(*ltlv1.AccessKey) error) error
}

// clientNetwork is the network behind a client.
type clientNetwork struct {
	*client.Client
	*client.Ledger
}

// refresher lets many callers share reads: a caller is served by any read that began after it asked.
type refresher struct {
	lock  chan struct{}
	begun atomic.Uint64
	// done is the number of the last read that succeeded; whoever holds lock owns it.
	done uint64
}

func newRefresher() *refresher { return &refresher{lock: make(chan struct{}, 1)} }

// do runs read, or returns nil when another caller's read, begun after this call, has succeeded.
func (r *refresher) do(ctx context.Context, read func() error) error {
	asked := r.begun.Load()
	select {
	case r.lock <- struct{}{}:
	case <-ctx.Done():
		return ctx.Err()
	}
	defer func() { <-r.lock }()
	if r.done > asked {
		return nil
	}
	number := r.begun.Add(1)
	if err := read(); err != nil {
		return err
	}
	r.done = number
	return nil
}

// try runs read unless another caller's read is under way; it does not wait.
func (r *refresher) try(read func() error) error {
	select {
	case r.lock <- struct{}{}:
	default:
		return nil
	}
	defer func() { <-r.lock }()
	number := r.begun.Add(1)
	if err := read(); err != nil {
		return err
	}
	r.done = number
	return nil
}

// chainPage is how many chains are asked for at a time.
const chainPage = 100

// directory knows the proof chains by their codes, and the service of every chain by its id. A chain's code, id and service never
// change, so what is known is used for ever.
type directory struct {
	net      network
	refresh  *refresher
	mu       sync.RWMutex
	ids      map[string]string
	services map[string]ltlv1.ChainService
}

func newDirectory(n network) *directory {
	return &directory{net: n, refresh: newRefresher(), ids: map[string]string{}, services: map[string]ltlv1.ChainService{}}
}

func (d *directory) find(code string) (id string, ok bool) {
	d.mu.RLock()
	defer d.mu.RUnlock()
	id, ok = d.ids[code]
	return id, ok
}

func (d *directory) findService(id string) (service ltlv1.ChainService, ok bool) {
	d.mu.RLock()
	defer d.mu.RUnlock()
	service, ok = d.services[id]
	return service, ok
}

// chainID returns the identifier of the proof chain with that code; "" when the network has none.
func (d *directory) chainID(ctx context.Context, code string) (string, error) {
	if id, ok := d.find(code); ok {
		return id, nil
	}
	if err := d.load(ctx); err != nil {
		return "", err
	}
	id, _ := d.find(code)
	return id, nil
}

// service returns what the business chain with that identifier is for; ok is false when the network has none.
func (d *directory) service(ctx context.Context, id string) (service ltlv1.ChainService, ok bool, err error) {
	if service, ok = d.findService(id); ok || !decimal(id, assignedIDLen) {
		return service, ok, nil
	}
	if err = d.load(ctx); err != nil {
		return 0, false, err
	}
	service, ok = d.findService(id)
	return service, ok, nil
}

// load reads the chains that are not known yet, page by page, or waits for another caller who does. The list is in the order of
// creation and nothing leaves it, so that what is known is where it begins.
func (d *directory) load(ctx context.Context) error {
	return d.refresh.do(ctx, func() error {
		for {
			known := d.known()
			out, err := d.net.ListChains(ctx, &ltlv1.ListChainsRequest{Page: uint32(known/chainPage) + 1, Size: chainPage})
			if err != nil {
				return err
			}
			d.learn(out.GetChains())
			if len(out.GetChains()) < chainPage || d.known() == known {
				return nil
			}
		}
	})
}

func (d *directory) known() int {
	d.mu.RLock()
	defer d.mu.RUnlock()
	return len(d.services)
}

func (d *directory) learn(chains []*ltlv1.ChainInfo) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, c := range chains {
		service := c.GetChain().GetService()
		d.services[c.GetChainId()] = service
		if service == ltlv1.ChainService_CHAIN_SERVICE_PROOF {
			d.ids[c.GetChainCode()] = c.GetChainId()
		}
	}
}

// membership is an account's entry on one chain.
type membership struct{ role, typeCode string }

// account is what is known of an account at a moment.
type account struct {
	root bool
	// total is the number of chains it takes part in, those where it is locked included; chains holds the others by chain code, and
	// chainsByID by identifier.
	total              uint64
	chains, chainsByID map[string]membership
	at                 time.Time
}

// accounts remembers accounts for a while. There are no more entries than accounts with an AccessKey.
type accounts struct {
	net network
	mu  sync.RWMutex
	of  map[string]*accountEntry
}

type accountEntry struct {
	refresh *refresher
	known   atomic.Pointer[account]
}

func newAccounts(n network) *accounts { return &accounts{net: n, of: map[string]*accountEntry{}} }

func (a *accounts) entry(uid string) *accountEntry {
	a.mu.RLock()
	e := a.of[uid]
	a.mu.RUnlock()
	if e != nil {
		return e
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if e = a.of[uid]; e == nil {
		e = &accountEntry{refresh: newRefresher()}
		a.of[uid] = e
	}
	return e
}

// get returns the account. That an account is on no chain is never remembered: its first call after it joined one succeeds.
func (a *accounts) get(ctx context.Context, uid string) (*account, error) {
	e := a.entry(uid)
	known := e.known.Load()
	if known == nil || known.total == 0 {
		return a.fresh(ctx, uid)
	}
	if time.Since(known.at) < accountAge {
		return known, nil
	}
	// What is known is older than it should be. One caller asks again; if the network does not answer, the old must do, because the
	// ledger judges the call anyway.
	short, cancel := context.WithTimeout(ctx, accountPatience)
	defer cancel()
	if err := e.refresh.try(func() error { return a.load(short, uid, e) }); err != nil {
		return known, nil
	}
	return e.known.Load(), nil
}

// fresh reads the account now, or shares the read of another caller that begins after this call.
func (a *accounts) fresh(ctx context.Context, uid string) (*account, error) {
	e := a.entry(uid)
	if err := e.refresh.do(ctx, func() error { return a.load(ctx, uid, e) }); err != nil {
		return nil, err
	}
	return e.known.Load(), nil
}

// load reads an account into its entry.
func (a *accounts) load(ctx context.Context, uid string, e *accountEntry) error {
	fresh, err := a.read(ctx, uid)
	if err == nil {
		e.known.Store(fresh)
	}
	return err
}

// read asks the network about an account and its chains.
func (a *accounts) read(ctx context.Context, uid string) (*account, error) {
	out := &account{chains: map[string]membership{}, chainsByID: map[string]membership{}, at: time.Now()}
	info, err := a.net.GetAccount(ctx, &ltlv1.GetAccountRequest{Uid: uid})
	if err != nil {
		return nil, err
	}
	if info.GetCode() != rules.OK || len(info.GetAccounts()) == 0 {
		return out, nil
	}
	out.root = info.GetAccounts()[0].GetType() == ltlv1.AccountType_ACCOUNT_TYPE_ROOT
	for page := uint32(1); page <= maxAccountPages; page++ {
		list, err := a.net.ListChains(ctx, &ltlv1.ListChainsRequest{AccountUid: uid, Page: page, Size: maxPageSize})
		if err != nil {
			return nil, err
		}
		out.total = list.GetTotal() + list.GetLocked()
		for _, c := range list.GetChains() {
			m := membership{role: c.GetRole(), typeCode: c.GetDataTypeCode()}
			out.chains[c.GetChainCode()], out.chainsByID[c.GetChainId()] = m, m
		}
		if len(list.GetChains()) < maxPageSize {
			break
		}
	}
	return out, nil
}

// mayAct says whether the account may act at all, on the chain with that code or identifier if one is named. The two cannot be mixed
// up unless a code consists of digits only; then the code counts.
func (a *account) mayAct(chain string) *businessError {
	if a.total == 0 {
		return refuse(rules.UnknownUID)
	}
	if !a.root {
		return nil
	}
	m, ok := a.chains[chain]
	if !ok {
		m, ok = a.chainsByID[chain]
	}
	if ok {
		if m.role == rules.RoleMember {
			return refuse(rules.NotRAM)
		}
		return nil
	}
	if chain != "" {
		return nil // not on that chain: the ledger says so
	}
	for _, m := range a.chains {
		if m.role != rules.RoleMember {
			return nil
		}
	}
	return refuse(rules.NotRAM)
}
