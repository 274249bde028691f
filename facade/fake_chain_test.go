package facade

import (
	"context"
	"reflect"

	"ltl/client/proof"
	"ltl/internal/rules"
	ltlv1 "ltl/proto/ltl/v1"
)

// answered is the response that a test has set for reads of that type with fakeNetwork.answer. It stores the request
// in lastRead.
func answered[Out any](n *fakeNetwork, in any) (*Out, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.lastRead = in
	if n.err != nil {
		return nil, n.err
	}
	out, ok := n.answers[reflect.TypeFor[Out]()].(*Out)
	if !ok {
		return new(Out), nil
	}
	return out, nil
}

// answer sets the response of all reads whose response has the type of out.
func (n *fakeNetwork) answer(out any) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.answers == nil {
		n.answers = map[reflect.Type]any{}
	}
	n.answers[reflect.TypeOf(out).Elem()] = out
}

// GetChain checks the account as the ledger does. A test may set another response.
func (n *fakeNetwork) GetChain(_ context.Context, in *ltlv1.GetChainRequest) (*ltlv1.GetChainResponse, error) {
	out, err := answered[ltlv1.GetChainResponse](n, in)
	if err != nil || out.GetCode() != 0 {
		return out, err
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	c := n.chain(func(c *fakeChain) bool { return c.id == in.GetChainId() })
	if c == nil {
		return &ltlv1.GetChainResponse{Code: rules.NotFound}, nil
	}
	m, code := n.membership(c, in.GetAccountUid())
	return &ltlv1.GetChainResponse{Code: code, Chain: &ltlv1.ChainInfo{
		ChainId: c.id, ChainCode: c.code, Role: m.role, Chain: &ltlv1.CreateChain{Name: c.name, Service: c.service},
	}}, nil
}

// ListMembers answers what a test has set, and the entry of one account to who asks without an account.
func (n *fakeNetwork) ListMembers(_ context.Context, in *ltlv1.ListMembersRequest) (*ltlv1.ListMembersResponse, error) {
	if in.GetAccountUid() == "" {
		return n.entry(in), nil
	}
	out, err := answered[ltlv1.ListMembersResponse](n, in)
	n.mu.Lock()
	defer n.mu.Unlock()
	if err == nil && len(n.pages) > 0 {
		out, n.pages = n.pages[0], n.pages[1:]
	}
	return out, err
}

// entry is the entry of an account on a chain.
func (n *fakeNetwork) entry(in *ltlv1.ListMembersRequest) *ltlv1.ListMembersResponse {
	n.mu.Lock()
	defer n.mu.Unlock()
	out := &ltlv1.ListMembersResponse{Code: rules.OK}
	c := n.chain(func(c *fakeChain) bool { return c.id == in.GetChainId() })
	if m, ok := c.members[in.GetMemberUid()]; ok {
		status := rules.StatusUnlock
		if n.locked[in.GetMemberUid()] {
			status = "LOCK"
		}
		out.Members = []*ltlv1.MemberInfo{{Uid: in.GetMemberUid(), Role: m.role, Status: status, DataTypeCode: m.typeCode}}
	}
	return out
}

func (n *fakeNetwork) ListDeviceGroups(_ context.Context, in *ltlv1.ListDeviceGroupsRequest) (*ltlv1.ListDeviceGroupsResponse, error) {
	return answered[ltlv1.ListDeviceGroupsResponse](n, in)
}

func (n *fakeNetwork) ListDevices(_ context.Context, in *ltlv1.ListDevicesRequest) (*ltlv1.ListDevicesResponse, error) {
	return answered[ltlv1.ListDevicesResponse](n, in)
}

func (n *fakeNetwork) ListPhaseGroups(_ context.Context, in *ltlv1.ListPhaseGroupsRequest) (*ltlv1.ListPhaseGroupsResponse, error) {
	return answered[ltlv1.ListPhaseGroupsResponse](n, in)
}

func (n *fakeNetwork) ListPhases(_ context.Context, in *ltlv1.ListPhasesRequest) (*ltlv1.ListPhasesResponse, error) {
	return answered[ltlv1.ListPhasesResponse](n, in)
}

func (n *fakeNetwork) GetPhaseAuthorization(_ context.Context, in *ltlv1.GetPhaseAuthorizationRequest) (*ltlv1.GetPhaseAuthorizationResponse, error) {
	return answered[ltlv1.GetPhaseAuthorizationResponse](n, in)
}

func (n *fakeNetwork) VerifiedPhaseRecord(_ context.Context, in *ltlv1.GetPhaseRecordRequest) (
	*ltlv1.GetPhaseRecordResponse, *proof.Checkpoint, error) {
	out, err := answered[ltlv1.GetPhaseRecordResponse](n, in)
	return out, n.verified, err
}

func (n *fakeNetwork) ListPhaseRecords(_ context.Context, in *ltlv1.ListPhaseRecordsRequest) (*ltlv1.ListPhaseRecordsResponse, error) {
	return answered[ltlv1.ListPhaseRecordsResponse](n, in)
}

// result is the result of a transaction on anything but proof data. The fake ledger checks only the account.
func (n *fakeNetwork) result(tx *ltlv1.Transaction) *ltlv1.Result {
	c := n.chain(func(c *fakeChain) bool { return c.id == tx.GetChainId() })
	if c == nil {
		return &ltlv1.Result{Code: rules.Malformed}
	}
	if _, code := n.membership(c, tx.GetAccountUid()); code != rules.OK {
		return &ltlv1.Result{Code: code}
	}
	if n.code != 0 {
		return &ltlv1.Result{Code: n.code, Reason: n.reason}
	}
	return &ltlv1.Result{Code: rules.OK, Output: n.output}
}
