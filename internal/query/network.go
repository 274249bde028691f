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
	info := &ltlv1.ChainInfo{
		ChainId: c.ID, ChainCode: c.Code, UsedCount: usage.Count, UsedBytes: usage.Bytes,
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
