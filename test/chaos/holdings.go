package chaos

import (
	"context"
	"fmt"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"

	"ltl/internal/ledger"
	ltlv1 "ltl/proto/ltl/v1"
)

const (
	local    = ltlv1.Consistency_CONSISTENCY_LOCAL
	pageSize = 100
)

func accountWords(name string, kind ltlv1.AccountType, organisation string) string {
	return fmt.Sprintf("%s %s of %s", kind, name, organisation)
}

func accessKeyWords(uid string, state ltlv1.AccessKeyState, version uint64, commitment []byte) string {
	return fmt.Sprintf("%s of %s, version %d, commits to %x", state, uid, version, commitment)
}

// survey reads what a copy of the ledger says of every organisation's things.
type survey struct {
	ctx      context.Context
	ledger   ltlv1.LedgerClient
	holdings map[string]string
	owners   *consent // whose accounts, AccessKeys, chains, type codes, products and nodes are
	err      error
}

// takeSurvey reads one copy. The things of the malicious organisation are among the owners and not among the holdings.
func takeSurvey(ctx context.Context, conn *grpc.ClientConn, malicious string) (*survey, error) {
	s := &survey{ctx: ctx, ledger: ltlv1.NewLedgerClient(conn), holdings: map[string]string{}, owners: &consent{
		malicious: malicious, accounts: map[string]string{}, accessKeys: map[string]string{}, chains: map[string]string{},
		codes: map[string]string{}, products: map[string]string{}, nodes: map[string]string{},
	}}
	s.accounts()
	s.accessKeys()
	s.network()
	s.products()
	s.devices()
	if s.err != nil {
		return nil, fmt.Errorf("couldn't read whose everything is: %w", s.err)
	}
	return s, nil
}

// hold notes a thing.
func (s *survey) hold(owner, what, words string) {
	if owner != s.owners.malicious {
		s.holdings[what] = words
	}
}

// holdMessage notes a thing by all that the ledger says of it.
func (s *survey) holdMessage(owner, what string, m proto.Message) {
	raw, err := proto.MarshalOptions{Deterministic: true}.Marshal(m)
	if err != nil && s.err == nil {
		s.err = err
	}
	s.hold(owner, what, fmt.Sprintf("%x", raw))
}

// pages calls a method page by page until it has everything.
func (s *survey) pages(call func(page uint32) (got int, total uint64, err error)) {
	seen := 0
	for page := uint32(1); s.err == nil; page++ {
		got, total, err := call(page)
		if err != nil {
			s.err = err
		}
		if seen += got; got == 0 || uint64(seen) >= total {
			return
		}
	}
}

func (s *survey) accounts() {
	s.pages(func(page uint32) (int, uint64, error) {
		out, err := s.ledger.GetAccount(s.ctx, &ltlv1.GetAccountRequest{Consistency: local, Page: page, Size: pageSize})
		for _, a := range out.GetAccounts() {
			s.owners.accounts[a.GetUid()] = a.GetOrganisation()
			s.hold(a.GetOrganisation(), "account "+a.GetUid(), accountWords(a.GetName(), a.GetType(), a.GetOrganisation()))
		}
		return len(out.GetAccounts()), out.GetTotal(), err
	})
}

func (s *survey) accessKeys() {
	s.pages(func(page uint32) (int, uint64, error) {
		out, err := s.ledger.ListAccessKeys(s.ctx, &ltlv1.ListAccessKeysRequest{Consistency: local, Page: page, Size: pageSize})
		for _, k := range out.GetAccessKeys() {
			s.owners.accessKeys[k.GetId()] = k.GetOrganisation()
			s.hold(k.GetOrganisation(), "AccessKey "+k.GetId(),
				accessKeyWords(k.GetAccountUid(), k.GetState(), k.GetVersion(), k.GetCommitment()))
		}
		return len(out.GetAccessKeys()), out.GetTotal(), err
	})
}

// network reads organisations, nodes, chains with their members, and what all share.
func (s *survey) network() {
	out, err := s.ledger.GetNetwork(s.ctx, &ltlv1.GetNetworkRequest{Consistency: local})
	if err != nil {
		s.err = err
		return
	}
	for i, o := range out.GetOrganisations() {
		s.holdMessage(o.GetId(), "organisation "+o.GetId(), o)
		if i < len(out.GetFacts()) {
			s.holdMessage(o.GetId(), "what is known of organisation "+o.GetId(), out.GetFacts()[i])
		}
	}
	for i, n := range out.GetNodes() {
		s.owners.nodes[n.GetId()] = n.GetOrganisation()
		s.holdMessage(n.GetOrganisation(), "node "+n.GetId(), n)
		s.hold(n.GetOrganisation(), "membership of node "+n.GetId(), out.GetMemberships()[i].String())
	}
	s.hold("", "what was removed", fmt.Sprint(out.GetRemoved(), out.GetRemovedNodes()))
	for _, c := range out.GetChains() {
		owner := s.owners.accounts[c.GetChain().GetAdministratorUid()]
		if c.GetChainId() == ledger.SystemChain {
			owner = ""
		} else {
			s.owners.chains[c.GetChainId()] = owner
			s.members(c, owner)
		}
		s.holdMessage(owner, "chain "+c.GetChainId(), c.GetChain())
	}
	for _, r := range out.GetRevocations() {
		s.hold(organisationOf(r.GetIdentity()), "the revocation of "+r.GetIdentity(), fmt.Sprint(r))
	}
}

// members reads the members of a chain with their type codes.
func (s *survey) members(chain *ltlv1.ChainInfo, owner string) {
	s.pages(func(page uint32) (int, uint64, error) {
		out, err := s.ledger.ListMembers(s.ctx, &ltlv1.ListMembersRequest{ChainId: chain.GetChainId(), WithAdministrator: true,
			AccountUid: chain.GetChain().GetAdministratorUid(), Consistency: local, Page: page, Size: pageSize})
		for _, m := range out.GetMembers() {
			s.owners.codes[chain.GetChainCode()+"_"+m.GetDataTypeCode()] = s.owners.accounts[m.GetUid()]
			s.hold(owner, "member "+m.GetUid()+" of chain "+chain.GetChainId(),
				fmt.Sprint(m.GetMemberId(), m.GetName(), m.GetRole(), m.GetStatus(), m.GetDataTypeCode()))
		}
		return len(out.GetMembers()), out.GetTotal(), err
	})
}

func (s *survey) products() {
	s.pages(func(page uint32) (int, uint64, error) {
		out, err := s.ledger.ListProducts(s.ctx, &ltlv1.ListProductsRequest{Consistency: local, Page: page, Size: pageSize})
		for _, p := range out.GetProducts() {
			s.owners.products[p.GetProductKey()] = p.GetOrganisation()
			s.holdMessage(p.GetOrganisation(), "product "+p.GetProductKey(), p)
		}
		return len(out.GetProducts()), out.GetTotal(), err
	})
}

func (s *survey) devices() {
	s.pages(func(page uint32) (int, uint64, error) {
		out, err := s.ledger.ListEnrolments(s.ctx, &ltlv1.ListEnrolmentsRequest{Consistency: local, Page: page, Size: pageSize})
		for _, d := range out.GetDevices() {
			s.holdMessage(d.GetOrganisation(), "device "+d.GetDevice().GetProductKey()+"/"+d.GetDevice().GetIotId(), d)
		}
		return len(out.GetDevices()), out.GetTotal(), err
	})
}
