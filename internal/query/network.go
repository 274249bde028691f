package query

import (
	"context"

	"ltl/internal/identity"
	"ltl/internal/ledger"
	"ltl/internal/rules"
	ltlv1 "ltl/proto/ltl/v1"
)

// ListChains implements ltlv1.LedgerServer.
func (s *server) ListChains(ctx context.Context, in *ltlv1.ListChainsRequest) (*ltlv1.ListChainsResponse, error) {
	page, err := pageOf(in.GetPage(), in.GetSize())
	if err != nil {
		return nil, err
	}
	if err := s.fresh(ctx, in.GetConsistency()); err != nil {
		return nil, err
	}
	chains, err := rules.ListChains(s.store)
	if err != nil {
		return nil, failure(err)
	}
	out := &ltlv1.ListChainsResponse{Code: rules.OK}
	for _, c := range chains {
		if in.GetService() != ltlv1.ChainService_CHAIN_SERVICE_UNSPECIFIED && c.Service != in.GetService() ||
			in.GetName() != "" && c.Name != in.GetName() {
			continue
		}
		var member *rules.Member
		if in.GetAccountUid() != "" {
			if member, err = rules.GetMember(s.store, c, in.GetAccountUid()); err != nil {
				return nil, failure(err)
			}
			if member == nil {
				continue
			}
			if member.Status == rules.StatusLock {
				out.Locked++ // a locked member does not see the chain
				continue
			}
		}
		if page.holds(out.Total) {
			info, err := s.chainInfo(c, member)
			if err != nil {
				return nil, failure(err)
			}
			out.Chains = append(out.Chains, info)
		}
		out.Total++
	}
	return out, nil
}

// chainInfo describes a chain as the member sees it; member may be nil.
func (s *server) chainInfo(c *rules.Chain, member *rules.Member) (*ltlv1.ChainInfo, error) {
	usage, err := rules.GetUsage(s.store, c.ID, "")
	if err != nil {
		return nil, err
	}
	closed, err := rules.ChainClosed(s.store, c)
	if err != nil {
		return nil, err
	}
	info := &ltlv1.ChainInfo{
		ChainId: c.ID, ChainCode: c.Code, UsedCount: usage.Count, UsedBytes: usage.Bytes, Closed: closed,
		TimeStands: c.TimeStands,
		Chain: &ltlv1.CreateChain{
			Name: c.Name, Remark: c.Remark, Service: c.Service, Edition: c.Edition, Region: c.Region,
			EffectiveMs: c.EffectiveMs, ExpiredMs: c.ExpiredMs, CapacityQuotaBytes: c.CapacityQuota, CountQuota: c.CountQuota,
			MemberQuota: c.MemberQuota, PhaseGroupQuota: c.PhaseGroupQuota, PhaseQuota: c.PhaseQuota, Policy: c.Policy,
			Organisations: c.Organisations, AdministratorUid: c.AdministratorUID,
		},
	}
	if tip, ok := s.store.Tip(c.ID); ok {
		info.Height = tip.Header.Height
	}
	if member != nil {
		info.Role, info.DataTypeCode = member.Role, member.TypeCode
	}
	return info, nil
}

// GetNetwork implements ltlv1.LedgerServer.
func (s *server) GetNetwork(ctx context.Context, in *ltlv1.GetNetworkRequest) (*ltlv1.GetNetworkResponse, error) {
	if err := s.fresh(ctx, in.GetConsistency()); err != nil {
		return nil, err
	}
	out := &ltlv1.GetNetworkResponse{}
	network, err := rules.GetNetwork(s.store)
	if err != nil {
		return nil, failure(err)
	}
	if network != nil {
		out.Network = network.Name
	}
	id := s.store.NetworkID()
	out.NetworkId = id[:]
	tip, known := s.store.Tip(ledger.SystemChain) // before reading: the answer is at least that new
	members, err := identity.ReadMembership(s.store, tip.Header.Height)
	if err != nil {
		return nil, failure(err)
	}
	out.Organisations, out.Authorities = members.Organisations, members.Authorities
	out.Revocations, out.Removed = members.Revocations, members.Removed
	if out.Facts, err = s.organisationFacts(members.Organisations); err != nil {
		return nil, failure(err)
	}
	nodes, err := rules.ListNodes(s.store)
	if err != nil {
		return nil, failure(err)
	}
	for _, n := range nodes {
		if n.Membership == ltlv1.NodeMembership_NODE_MEMBERSHIP_REMOVED {
			out.RemovedNodes = append(out.RemovedNodes, n.ID)
			continue
		}
		out.Nodes = append(out.Nodes, &ltlv1.Node{Id: n.ID, Organisation: n.Organisation, Address: n.Address, Key: n.Key,
			StoreId: n.StoreID})
		out.Memberships = append(out.Memberships, n.Membership)
	}
	chains, err := rules.ListChains(s.store)
	if err != nil {
		return nil, failure(err)
	}
	system := &ltlv1.ChainInfo{ChainId: ledger.SystemChain, Chain: &ltlv1.CreateChain{Name: "system"}}
	if network != nil {
		system.Chain.Policy, system.Chain.Organisations = network.Policy, network.Organisations
	}
	if known {
		system.Height = tip.Header.Height
	}
	out.Chains = append(out.Chains, system)
	out.TotalChains = uint64(len(chains))
	for _, c := range chains[:min(len(chains), MaxNetworkChains)] {
		info, err := s.chainInfo(c, nil)
		if err != nil {
			return nil, failure(err)
		}
		out.Chains = append(out.Chains, info)
	}
	return out, nil
}

// organisationFacts are the facts of organisations, in their order.
func (s *server) organisationFacts(organisations []*ltlv1.Organisation) ([]*ltlv1.OrganisationFacts, error) {
	all := make([]*ltlv1.OrganisationFacts, len(organisations))
	for i, o := range organisations {
		f, err := rules.GetOrganisationFacts(s.store, o.GetId())
		if err != nil {
			return nil, err
		}
		all[i] = &ltlv1.OrganisationFacts{
			Standing: ltlv1.OrganisationStanding(f.Standing), LapsesMs: f.LapsesMs, RecoveryKey: f.RecoveryKey,
			Recoveries: f.Recoveries, Delegates: f.Delegates,
		}
	}
	return all, nil
}

// ListAccessKeys implements ltlv1.LedgerServer.
func (s *server) ListAccessKeys(
	ctx context.Context, in *ltlv1.ListAccessKeysRequest,
) (*ltlv1.ListAccessKeysResponse, error) {
	page, err := pageOf(in.GetPage(), in.GetSize())
	if err != nil {
		return nil, err
	}
	if err := s.fresh(ctx, in.GetConsistency()); err != nil {
		return nil, err
	}
	all, err := AccessKeys(s.store, in.GetAccountUid())
	if err != nil {
		return nil, failure(err)
	}
	out := &ltlv1.ListAccessKeysResponse{Total: uint64(len(all))}
	for i, k := range all {
		if page.holds(uint64(i)) {
			out.AccessKeys = append(out.AccessKeys, k)
		}
	}
	return out, nil
}

// AccessKeys lists the AccessKeys of an account of a ledger, or of all accounts with an empty uid. Those of a removed
// organisation are disabled.
func AccessKeys(v rules.Reader, uid string) ([]*ltlv1.AccessKeyInfo, error) {
	keys, err := rules.ListAccessKeys(v, uid)
	if err != nil {
		return nil, err
	}
	removed := map[string]bool{}
	all := make([]*ltlv1.AccessKeyInfo, len(keys))
	for i, k := range keys {
		gone, known := removed[k.Organisation]
		if !known {
			if gone, err = rules.Removed(v, k.Organisation); err != nil {
				return nil, err
			}
			removed[k.Organisation] = gone
		}
		state := k.State
		if gone && state == ltlv1.AccessKeyState_ACCESS_KEY_STATE_ACTIVE {
			state = ltlv1.AccessKeyState_ACCESS_KEY_STATE_DISABLED
		}
		all[i] = &ltlv1.AccessKeyInfo{
			Id: k.ID, AccountUid: k.AccountUID, Organisation: k.Organisation, State: state, Version: k.Version,
			SealedVersion: k.SealedVersion, Commitment: k.Commitment[:],
		}
	}
	return all, nil
}

// GetAccount implements ltlv1.LedgerServer.
func (s *server) GetAccount(ctx context.Context, in *ltlv1.GetAccountRequest) (*ltlv1.GetAccountResponse, error) {
	page := page{to: MaxAccounts}
	if in.GetPage() != 0 || in.GetSize() != 0 {
		var err error
		if page, err = pageOf(in.GetPage(), in.GetSize()); err != nil {
			return nil, err
		}
	}
	if err := s.fresh(ctx, in.GetConsistency()); err != nil {
		return nil, err
	}
	var accounts []*rules.Account
	if in.GetUid() == "" {
		list, err := rules.ListAccounts(s.store)
		if err != nil {
			return nil, failure(err)
		}
		accounts = list
	} else {
		a, err := rules.GetAccount(s.store, in.GetUid())
		if err != nil {
			return nil, failure(err)
		}
		if a == nil {
			return &ltlv1.GetAccountResponse{Code: rules.NotFound}, nil
		}
		accounts = []*rules.Account{a}
	}
	out := &ltlv1.GetAccountResponse{Code: rules.OK, Total: uint64(len(accounts))}
	for i, a := range accounts {
		if in.GetUid() == "" && !page.holds(uint64(i)) {
			continue
		}
		out.Accounts = append(out.Accounts, &ltlv1.AccountInfo{Uid: a.UID, Name: a.Name, Type: a.Type,
			Organisation: a.Organisation})
	}
	return out, nil
}
