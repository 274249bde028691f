package facade

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"ltl/client"
	"ltl/client/proof"
	"ltl/internal/rules"
	ltlv1 "ltl/proto/ltl/v1"
)

// network is what the facade needs of package client. Tests have an implementation of their own. Every method may be
// called concurrently.
type network interface {
	Submit(ctx context.Context, tx *ltlv1.Transaction) (*ltlv1.Result, error)
	GetRecord(ctx context.Context, in *ltlv1.GetRecordRequest) (*ltlv1.GetRecordResponse, error)
	// VerifiedRecord and VerifiedPhaseRecord are GetRecord and GetPhaseRecord with the checkpoint that the record was
	// checked against; nil where reads are not verified.
	VerifiedRecord(ctx context.Context, in *ltlv1.GetRecordRequest) (*ltlv1.GetRecordResponse, *proof.Checkpoint, error)
	VerifiedPhaseRecord(
		ctx context.Context, in *ltlv1.GetPhaseRecordRequest,
	) (*ltlv1.GetPhaseRecordResponse, *proof.Checkpoint, error)
	GetTransaction(ctx context.Context, in *ltlv1.GetTransactionRequest) (*ltlv1.GetTransactionResponse, error)
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
	GetPhaseAuthorization(
		ctx context.Context, in *ltlv1.GetPhaseAuthorizationRequest,
	) (*ltlv1.GetPhaseAuthorizationResponse, error)
	ListPhaseRecords(ctx context.Context, in *ltlv1.ListPhaseRecordsRequest) (*ltlv1.ListPhaseRecordsResponse, error)
	WatchAccessKeys(ctx context.Context, fn func([]*ltlv1.AccessKeyInfo)) error
	// Writable returns why no write can succeed, or nil.
	Writable(ctx context.Context) error
	WatchSealed(ctx context.Context, after uint64, fn func(*ltlv1.SealedKey) error) error
}

// clientNetwork is the network behind a client.
type clientNetwork struct {
	*client.Client
	*client.Ledger
}

// refresher lets concurrent callers share reads: any read that began after a caller's request is recent enough for it.
type refresher struct {
	lock  chan struct{}
	begun atomic.Uint64
	// done is the number of the last read that succeeded; guarded by lock.
	done uint64
}

// newRefresher is a refresher without reads. Its lock is a channel, so that waiting ends with the context of the
// caller.
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

// chainPage is the number of chains that are read at a time.
const chainPage = 100

// chainIndex maps the code of each proof chain to its identifier, and the identifier of every chain to its service.
// Neither ever changes, so that entries do not expire.
type chainIndex struct {
	net      network
	refresh  *refresher
	mu       sync.RWMutex
	ids      map[string]string
	services map[string]ltlv1.ChainService
}

func newChainIndex(n network) *chainIndex {
	return &chainIndex{net: n, refresh: newRefresher(), ids: map[string]string{},
		services: map[string]ltlv1.ChainService{}}
}

func (x *chainIndex) cachedID(code string) (id string, ok bool) {
	x.mu.RLock()
	defer x.mu.RUnlock()
	id, ok = x.ids[code]
	return id, ok
}

func (x *chainIndex) cachedService(id string) (service ltlv1.ChainService, ok bool) {
	x.mu.RLock()
	defer x.mu.RUnlock()
	service, ok = x.services[id]
	return service, ok
}

// id returns the identifier of the proof chain with that code; "" when the network has none.
func (x *chainIndex) id(ctx context.Context, code string) (string, error) {
	if id, ok := x.cachedID(code); ok {
		return id, nil
	}
	if err := x.load(ctx); err != nil {
		return "", err
	}
	id, _ := x.cachedID(code)
	return id, nil
}

// service returns the service of the business chain with that identifier; ok is false when the network has none.
func (x *chainIndex) service(ctx context.Context, id string) (service ltlv1.ChainService, ok bool, err error) {
	if service, ok = x.cachedService(id); ok || !isAssignedID(id) {
		return service, ok, nil
	}
	if err = x.load(ctx); err != nil {
		return 0, false, err
	}
	service, ok = x.cachedService(id)
	return service, ok, nil
}

// load reads the chains that are not in the index yet, page by page, or waits for another caller's load. The network
// lists chains in the order of creation and never removes one, so that the index always holds the beginning of the
// list.
func (x *chainIndex) load(ctx context.Context) error {
	return x.refresh.do(ctx, func() error {
		for {
			known := x.known()
			out, err := x.net.ListChains(ctx, &ltlv1.ListChainsRequest{Page: uint32(known/chainPage) + 1, Size: chainPage})
			if err != nil {
				return err
			}
			x.add(out.GetChains())
			if len(out.GetChains()) < chainPage || x.known() == known {
				return nil
			}
		}
	})
}

// known is the number of chains in the index.
func (x *chainIndex) known() int {
	x.mu.RLock()
	defer x.mu.RUnlock()
	return len(x.services)
}

// add adds chains to the index; chains that it has already change nothing.
func (x *chainIndex) add(chains []*ltlv1.ChainInfo) {
	x.mu.Lock()
	defer x.mu.Unlock()
	for _, c := range chains {
		service := c.GetChain().GetService()
		x.services[c.GetChainId()] = service
		if service == ltlv1.ChainService_CHAIN_SERVICE_PROOF {
			x.ids[c.GetChainCode()] = c.GetChainId()
		}
	}
}

// membership is an account's role and data type code on one chain.
type membership struct{ role, typeCode string }

// account is the state of an account at one moment.
type account struct {
	root bool
	// total is the number of chains that it is a member of, including those where it is locked. chains holds the chains
	// where it is not locked by chain code, chainsByID by identifier.
	total              uint64
	chains, chainsByID map[string]membership
	at                 time.Time
}

// accounts caches accounts for accountAge. It has at most one entry per account with an AccessKey.
type accounts struct {
	net   network
	mu    sync.RWMutex
	byUID map[string]*accountEntry
}

type accountEntry struct {
	refresh *refresher
	known   atomic.Pointer[account]
}

func newAccounts(n network) *accounts { return &accounts{net: n, byUID: map[string]*accountEntry{}} }

// entry returns the entry of an account and creates it if there is none. Entries are never removed.
func (a *accounts) entry(uid string) *accountEntry {
	a.mu.RLock()
	e := a.byUID[uid]
	a.mu.RUnlock()
	if e != nil {
		return e
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if e = a.byUID[uid]; e == nil {
		e = &accountEntry{refresh: newRefresher()}
		a.byUID[uid] = e
	}
	return e
}

// get returns the account, from the cache if it may. An account on no chain is always read again, so that its first
// call after it has joined a chain succeeds.
func (a *accounts) get(ctx context.Context, uid string) (*account, error) {
	e := a.entry(uid)
	known := e.known.Load()
	if known == nil || known.total == 0 {
		return a.fresh(ctx, uid)
	}
	if time.Since(known.at) < accountAge {
		return known, nil
	}
	// The entry is too old. One caller reads it again. If the network does not answer, the old entry is used, because the
	// ledger checks every call itself.
	short, cancel := context.WithTimeout(ctx, accountRefresh)
	defer cancel()
	if err := e.refresh.try(func() error { return a.load(short, uid, e) }); err != nil {
		return known, nil
	}
	return e.known.Load(), nil
}

// fresh reads the account now, or shares a read of another caller that begins after this call.
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

// read reads an account and its chains from the network.
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

// mayAct returns the refusal of an account that may not call any Action, or none on the chain with that code or
// identifier; nil if it may. A code can be taken for an identifier only if it consists of digits; then the code
// counts.
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
		return nil // not a member of that chain; the ledger refuses it
	}
	for _, m := range a.chains {
		if m.role != rules.RoleMember {
			return nil
		}
	}
	return refuse(rules.NotRAM)
}
