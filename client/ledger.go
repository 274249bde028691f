package client

import (
	"context"
	"fmt"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	ltlv1 "ltl/proto/ltl/v1"
)

// Ledger reads from the nodes: from the preferred one while it answers, else from any other. Reads are linearizable
// unless the request asks for CONSISTENCY_LOCAL.
type Ledger struct {
	c *Client
	// peer is the only process that is asked; empty for the nodes.
	peer string
}

// Ledger returns the reader of the client.
func (c *Client) Ledger() *Ledger { return &Ledger{c: c} }

// At returns a reader of one node or one organisation's endorser, named as for Status, without fail-over. It answers from
// what that process has applied: an endorser from its organisation's own, verified copy, which may be behind the nodes.
// Its answers are not checked, whatever Config.Verify says.
func (l *Ledger) At(peer string) *Ledger { return &Ledger{c: l.c, peer: peer} }

// GetRecord finds one record by Key and BusinessId. Config.Verify says whether the answer is checked.
func (l *Ledger) GetRecord(ctx context.Context, in *ltlv1.GetRecordRequest) (*ltlv1.GetRecordResponse, error) {
	out, _, err := l.VerifiedRecord(ctx, in)
	return out, err
}

// ListHistory pages through the records of a Key, newest first.
func (l *Ledger) ListHistory(ctx context.Context, in *ltlv1.ListHistoryRequest) (*ltlv1.ListHistoryResponse, error) {
	return read(ctx, l, ltlv1.LedgerClient.ListHistory, in)
}

// CountHistory counts the records of a Key.
func (l *Ledger) CountHistory(ctx context.Context, in *ltlv1.CountHistoryRequest) (*ltlv1.CountHistoryResponse, error) {
	return read(ctx, l, ltlv1.LedgerClient.CountHistory, in)
}

// ListChains pages through the chains an account takes part in.
func (l *Ledger) ListChains(ctx context.Context, in *ltlv1.ListChainsRequest) (*ltlv1.ListChainsResponse, error) {
	return read(ctx, l, ltlv1.LedgerClient.ListChains, in)
}

// GetTransaction finds a transaction by its id.
func (l *Ledger) GetTransaction(ctx context.Context, in *ltlv1.GetTransactionRequest) (*ltlv1.GetTransactionResponse,
	error) {
	return read(ctx, l, ltlv1.LedgerClient.GetTransaction, in)
}

// GetNetwork returns organisations, nodes and chains. From then on the client connects to the nodes and endorsers where
// the answer has them.
func (l *Ledger) GetNetwork(ctx context.Context, in *ltlv1.GetNetworkRequest) (*ltlv1.GetNetworkResponse, error) {
	out, err := read(ctx, l, ltlv1.LedgerClient.GetNetwork, in)
	if err != nil {
		return nil, err
	}
	if l.peer != "" { // its copy may be old
		return out, nil
	}
	return out, l.c.network.learnMembers(out)
}

// GetKeys returns the keys that organisations and nodes sign with, and those that they had before.
func (l *Ledger) GetKeys(ctx context.Context, in *ltlv1.GetKeysRequest) (*ltlv1.GetKeysResponse, error) {
	return read(ctx, l, ltlv1.LedgerClient.GetKeys, in)
}

// PresentKeys is GetKeys of the endorser of the own organisation, and of a node only where that does not answer: a node can
// invent keys.
func (l *Ledger) PresentKeys(ctx context.Context) (*ltlv1.GetKeysResponse, error) {
	if l.peer == "" {
		limited, cancel := context.WithTimeout(ctx, statusTimeout)
		out, err := l.At("endorser/"+l.c.Organisation()).GetKeys(limited, &ltlv1.GetKeysRequest{})
		cancel()
		if err == nil {
			return out, nil
		}
	}
	return l.GetKeys(ctx, &ltlv1.GetKeysRequest{})
}

// GetAccount returns an account; operators list all with an empty uid.
func (l *Ledger) GetAccount(ctx context.Context, in *ltlv1.GetAccountRequest) (*ltlv1.GetAccountResponse, error) {
	return read(ctx, l, ltlv1.LedgerClient.GetAccount, in)
}

// ListAccessKeys pages through the AccessKeys of an account, or of all, with their states and without their secrets.
func (l *Ledger) ListAccessKeys(ctx context.Context,
	in *ltlv1.ListAccessKeysRequest) (*ltlv1.ListAccessKeysResponse, error) {
	return read(ctx, l, ltlv1.LedgerClient.ListAccessKeys, in)
}

// GetChain returns a business chain with its use, as an account sees it.
func (l *Ledger) GetChain(ctx context.Context, in *ltlv1.GetChainRequest) (*ltlv1.GetChainResponse, error) {
	return read(ctx, l, ltlv1.LedgerClient.GetChain, in)
}

// ListMembers pages through the members of a chain with their type codes and use.
func (l *Ledger) ListMembers(ctx context.Context, in *ltlv1.ListMembersRequest) (*ltlv1.ListMembersResponse, error) {
	return read(ctx, l, ltlv1.LedgerClient.ListMembers, in)
}

// ListDeviceGroups pages through the device groups of a chain that an account may see.
func (l *Ledger) ListDeviceGroups(ctx context.Context,
	in *ltlv1.ListDeviceGroupsRequest) (*ltlv1.ListDeviceGroupsResponse, error) {
	return read(ctx, l, ltlv1.LedgerClient.ListDeviceGroups, in)
}

// ListDevices pages through the devices of a group that have uploaded data.
func (l *Ledger) ListDevices(ctx context.Context, in *ltlv1.ListDevicesRequest) (*ltlv1.ListDevicesResponse, error) {
	return read(ctx, l, ltlv1.LedgerClient.ListDevices, in)
}

// ListEnrolments pages through the devices whose keys the network knows.
func (l *Ledger) ListEnrolments(ctx context.Context, in *ltlv1.ListEnrolmentsRequest) (*ltlv1.ListEnrolmentsResponse,
	error) {
	return read(ctx, l, ltlv1.LedgerClient.ListEnrolments, in)
}

// ListProducts pages through the products of devices that organisations have claimed.
func (l *Ledger) ListProducts(ctx context.Context, in *ltlv1.ListProductsRequest) (*ltlv1.ListProductsResponse, error) {
	return read(ctx, l, ltlv1.LedgerClient.ListProducts, in)
}

// ListPhaseGroups pages through the phase groups of a chain.
func (l *Ledger) ListPhaseGroups(ctx context.Context, in *ltlv1.ListPhaseGroupsRequest) (*ltlv1.ListPhaseGroupsResponse,
	error) {
	return read(ctx, l, ltlv1.LedgerClient.ListPhaseGroups, in)
}

// ListPhases pages through the phases of a group with the permission of an account.
func (l *Ledger) ListPhases(ctx context.Context, in *ltlv1.ListPhasesRequest) (*ltlv1.ListPhasesResponse, error) {
	return read(ctx, l, ltlv1.LedgerClient.ListPhases, in)
}

// GetPhaseAuthorization lists which phases of a group a member may write to, and which not.
func (l *Ledger) GetPhaseAuthorization(ctx context.Context,
	in *ltlv1.GetPhaseAuthorizationRequest) (*ltlv1.GetPhaseAuthorizationResponse, error) {
	return read(ctx, l, ltlv1.LedgerClient.GetPhaseAuthorization, in)
}

// GetPhaseRecord finds one record of a phase. Config.Verify says whether the answer is checked.
func (l *Ledger) GetPhaseRecord(ctx context.Context, in *ltlv1.GetPhaseRecordRequest) (*ltlv1.GetPhaseRecordResponse,
	error) {
	out, _, err := l.VerifiedPhaseRecord(ctx, in)
	return out, err
}

// ListPhaseRecords pages through the records of a phase and data key, oldest first.
func (l *Ledger) ListPhaseRecords(ctx context.Context,
	in *ltlv1.ListPhaseRecordsRequest) (*ltlv1.ListPhaseRecordsResponse, error) {
	return read(ctx, l, ltlv1.LedgerClient.ListPhaseRecords, in)
}

// Proposals returns the open proposals, one by its id, open or not, or a page of all that there ever were.
func (l *Ledger) Proposals(ctx context.Context, in *ltlv1.ProposalsRequest) (*ltlv1.ProposalsResponse, error) {
	return read(ctx, l, ltlv1.LedgerClient.Proposals, in)
}

// ProposalsAt is Proposals at one node or one organisation's endorser, named as for Status, without fail-over. What an
// organisation's own endorser says of a proposal rests on its own verified copy.
func (l *Ledger) ProposalsAt(ctx context.Context, peer string, in *ltlv1.ProposalsRequest) (*ltlv1.ProposalsResponse,
	error) {
	return readAt(ctx, l.c, peer, ltlv1.LedgerClient.Proposals, in)
}

// PrepareProposal says whether a change of the system chain has to be proposed by this client's organisation, and makes
// the proposal.
func (l *Ledger) PrepareProposal(ctx context.Context,
	in *ltlv1.PrepareProposalRequest) (*ltlv1.PrepareProposalResponse, error) {
	return read(ctx, l, ltlv1.LedgerClient.PrepareProposal, in)
}

// Status asks one node (by its id) or one organisation's endorser (by "endorser/<organisation>") for its status,
// without fail-over.
func (l *Ledger) Status(ctx context.Context, peer string) (*ltlv1.StatusResponse, error) {
	return readAt(ctx, l.c, peer, ltlv1.LedgerClient.Status, &ltlv1.StatusRequest{})
}

// method is one method of the Ledger service, for example ltlv1.LedgerClient.GetRecord.
type method[In, Out any] func(ltlv1.LedgerClient, context.Context, In, ...grpc.CallOption) (Out, error)

// read asks one node after the other, in rounds until the deadline: a network that is electing a leader answers a
// little later. A reader of one process asks it once.
func read[In, Out any](ctx context.Context, l *Ledger, call method[In, Out], in In) (Out, error) {
	if l.peer != "" {
		return readAt(ctx, l.c, l.peer, call, in)
	}
	return readEach(ctx, l.c, once(call, in))
}

// once makes a request to one node.
func once[In, Out any](call method[In, Out], in In) func(context.Context, *peer) (Out, error) {
	return func(ctx context.Context, node *peer) (Out, error) {
		ctx, cancel := context.WithTimeout(ctx, readTimeout)
		defer cancel()
		return call(ltlv1.NewLedgerClient(node.conn), ctx, in)
	}
}

// readEach is read for what is more than one request to a node.
func readEach[Out any](ctx context.Context, c *Client, one func(context.Context, *peer) (Out, error)) (Out, error) {
	if _, ok := ctx.Deadline(); !ok {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, readDeadline)
		defer cancel()
	}
	c.network.refreshIfStale()
	var pause backoff
	for {
		out, err := readOnce(ctx, c, one)
		if err == nil || !elsewhere(err) || !pause.wait(ctx, c.base) {
			return out, c.readError(err)
		}
	}
}

// readAt asks one node or endorser by its name, once.
func readAt[In, Out any](ctx context.Context, c *Client, name string, call method[In, Out], in In) (out Out, err error) {
	p, err := c.peerNamed(ctx, name)
	if err != nil {
		return out, err
	}
	out, err = call(ltlv1.NewLedgerClient(p.conn), ctx, in)
	return out, c.readError(err)
}

// peerNamed finds a node or endorser by its name.
func (c *Client) peerNamed(ctx context.Context, name string) (*peer, error) {
	c.network.refreshIfStale() // it may have moved
	p := c.peers.find(name)
	if p == nil { // it may have joined since the last refresh
		if err := c.network.refresh(ctx); err != nil {
			return nil, err
		}
		p = c.peers.find(name)
	}
	if p == nil {
		return nil, fmt.Errorf("the network has no node or endorser %q; ltl status lists them", name)
	}
	return p, nil
}

// targets are the processes that the reader asks for a stream.
func (l *Ledger) targets(ctx context.Context) ([]*peer, error) {
	if l.peer == "" {
		return l.c.peers.all(), nil
	}
	p, err := l.c.peerNamed(ctx, l.peer)
	if err != nil {
		return nil, l.c.readError(err)
	}
	return []*peer{p}, nil
}

// readOnce asks each node at most once.
func readOnce[Out any](ctx context.Context, c *Client, one func(context.Context, *peer) (Out, error)) (out Out,
	err error) {
	err = status.Error(codes.Unavailable, "the network has no node")
	for _, node := range c.peers.all() {
		attempt, cancel := context.WithCancel(ctx)
		stop := context.AfterFunc(c.base, cancel)
		out, err = one(attempt, node)
		stop()
		cancel()
		if err == nil || !elsewhere(err) {
			node.breaker.record(true)
			return out, err
		}
		if ctx.Err() != nil || c.base.Err() != nil {
			break // the caller ran out of time, the node is not at fault
		}
		node.breaker.record(false)
	}
	return out, err
}

// elsewhere reports whether the same request may succeed at another node, or later.
func elsewhere(err error) bool {
	switch status.Code(err) {
	case codes.OK, codes.InvalidArgument, codes.NotFound, codes.AlreadyExists, codes.PermissionDenied,
		codes.Unauthenticated,
		codes.OutOfRange, codes.Unimplemented:
		return false
	}
	return true
}

// readError wraps an error of the transport in the error that is documented for it.
func (c *Client) readError(err error) error {
	switch {
	case err == nil:
		return nil
	case c.base.Err() != nil:
		return ErrClosed
	case elsewhere(err):
		return fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	return err
}

// stream follows a stream of one node after the other until it is stopped. one follows it at one node: it reports
// whether something arrived, the error that stops all, and the reason why the node broke off.
func (l *Ledger) stream(
	ctx context.Context, what string, one func(context.Context, *peer) (progress bool, stop, broken error),
) error {
	c := l.c
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(c.base, cancel)()
	if !c.spawn(func() { c.network.keepFresh(ctx) }) {
		return ErrClosed
	}
	for pause := (backoff{}); ; {
		targets, err := l.targets(ctx)
		if err != nil {
			return err
		}
		for _, n := range c.network.spread(targets) {
			progress, stop, broken := one(ctx, n)
			if stop != nil {
				return stop
			}
			if c.base.Err() != nil {
				return ErrClosed
			}
			if ctx.Err() != nil {
				return ctx.Err()
			}
			if !elsewhere(broken) {
				return fmt.Errorf("%s at node %s: %w", what, n.name, broken)
			}
			n.breaker.record(false)
			c.log.Warn("a stream breaks off, trying the next node", "stream", what, "node", n.name, "error", broken)
			if progress {
				pause = backoff{}
			}
		}
		pause.wait(ctx, ctx)
	}
}
