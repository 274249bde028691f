package rules

import (
	"fmt"
	"slices"

	"ltl/internal/ledger"
	ltlv1 "ltl/proto/ltl/v1"
)

func checkAddNode(tx *ltlv1.Transaction) int32 {
	a := tx.GetAddNode()
	standing := a.GetMembership() == ltlv1.NodeMembership_NODE_MEMBERSHIP_LEARNER ||
		a.GetMembership() == ltlv1.NodeMembership_NODE_MEMBERSHIP_VOTER
	if !standing || len(a.GetNode().GetStoreId()) != StoreIDLen ||
		a.GetReplaces() != "" && !ledger.ValidID(a.GetReplaces(), MaxNodeID) {
		return OutOfRange
	}
	// A learner that replaces a voter could leave the network without voters.
	if a.GetReplaces() != "" && a.GetMembership() != ltlv1.NodeMembership_NODE_MEMBERSHIP_VOTER {
		return OutOfRange
	}
	if !validSignature(a.GetPossession(), true) {
		return OutOfRange
	}
	return checkNode(a.GetNode())
}

func checkChangeNode(tx *ltlv1.Transaction) int32 {
	c := tx.GetChangeNode()
	if !ledger.ValidID(c.GetId(), MaxNodeID) || c.GetMembership() < ltlv1.NodeMembership_NODE_MEMBERSHIP_VOTER ||
		c.GetMembership() > ltlv1.NodeMembership_NODE_MEMBERSHIP_REMOVED {
		return OutOfRange
	}
	return OK
}

func checkSetNodeAddress(tx *ltlv1.Transaction) int32 {
	m := tx.GetSetNodeAddress()
	if !ledger.ValidID(m.GetId(), MaxNodeID) || !validAddress(m.GetAddress()) {
		return OutOfRange
	}
	return OK
}

func checkNode(n *ltlv1.Node) int32 {
	if !ledger.ValidID(n.GetId(), MaxNodeID) || !ledger.ValidID(n.GetOrganisation(), MaxOrganisationID) ||
		!validAddress(n.GetAddress()) ||
		!ledger.ValidKey(n.GetKey()) {
		return OutOfRange
	}
	return OK
}

// nodeFacts is what transactions changed of a node since the genesis, or since it was added. It is kept beside the
// node's own value, whose bytes do not change: replaying earlier blocks must give the same writes for ever. A node
// without facts is a voter of the genesis.
type nodeFacts struct {
	Membership ltlv1.NodeMembership
	// StoreID is empty for a node of the genesis.
	StoreID []byte
	// Replaces is the node that this one replaces; ReplacedBy is the node that replaces this one.
	Replaces, ReplacedBy string
	// ChangedHeight is the height of the last system block that changed them.
	ChangedHeight uint64
}

// addNode adds a node, and removes the one that it replaces. An id or a key is never used again: a node that lost its
// disk may have voted or acknowledged entries that it no longer has, so it must join as a new node.
func (e *exec) addNode(act action) (int32, string, error) {
	a := act.tx.GetAddNode()
	made := a.GetNode()
	n, err := e.network()
	if err != nil {
		return 0, "", err
	}
	if !slices.Contains(n.Organisations, made.GetOrganisation()) {
		return NotFound, "", nil
	}
	ever, err := listNamed(e, func(n *Network) []string { return n.Nodes }, GetNode)
	if err != nil {
		return 0, "", err
	}
	present, own, ownEver := 0, 0, 0
	for _, other := range ever {
		in, of := other.Membership != ltlv1.NodeMembership_NODE_MEMBERSHIP_REMOVED, other.Organisation == made.GetOrganisation()
		// A store id counts within an organisation only: no signature shows whose directory has it, so another
		// organisation could enter it first.
		if other.ID == made.GetId() || string(other.Key) == string(made.GetKey()) ||
			of && string(other.StoreID) == string(made.GetStoreId()) {
			return e.refuse(Conflict, reasonNodeKnown), "", nil
		}
		present += count(in)
		own += count(in && of)
		ownEver += count(of)
	}
	signed := ledger.NewNode{Organisation: made.GetOrganisation(), ID: made.GetId(), Key: made.GetKey(),
		StoreID: made.GetStoreId()}
	switch {
	case ledger.VerifyNewNode(e.in.NetworkID, &signed, a.GetPossession()) != nil:
		return e.refuse(Forbidden, reasonNodePossession), "", nil
	case ownEver >= MaxNodesEver:
		return e.refuse(QuotaExceeded, fmt.Sprintf(reasonNodesEver, MaxNodesEver)), "", nil
	case a.GetReplaces() == "" && own >= MaxNodesOf:
		return e.refuse(QuotaExceeded, fmt.Sprintf(reasonNodesOf, MaxNodesOf)), "", nil
	case present >= MaxNodes:
		return QuotaExceeded, "", nil
	}
	facts := nodeFacts{Membership: a.GetMembership(), StoreID: made.GetStoreId(), Replaces: a.GetReplaces(),
		ChangedHeight: act.here.Height}
	if a.GetReplaces() != "" {
		if code, err := e.removeNode(a.GetReplaces(), made.GetId(), act.here, ever); code != OK || err != nil {
			return code, "", err
		}
	}
	s := Node{ID: made.GetId(), Organisation: made.GetOrganisation(), Address: made.GetAddress(), Key: made.GetKey()}
	e.put(prefixNode+s.ID, s.encode())
	e.put(prefixNodeFacts+s.ID, facts.encode())
	n.Nodes = append(n.Nodes, s.ID)
	e.put(keyNetwork, n.encode())
	return OK, s.ID, nil
}

// count is 1 for what is to be counted.
func count(is bool) int {
	if is {
		return 1
	}
	return 0
}

// setNodeAddress changes where a node is reached. Its own value holds the address, so the facts stay as they are.
func (e *exec) setNodeAddress(act action) (int32, string, error) {
	m := act.tx.GetSetNodeAddress()
	n, err := GetNode(e, m.GetId())
	if n == nil || err != nil || n.Membership == ltlv1.NodeMembership_NODE_MEMBERSHIP_REMOVED {
		return NotFound, "", err
	}
	n.Address = m.GetAddress()
	e.put(prefixNode+n.ID, n.encode())
	return OK, "", nil
}

// removeNode removes a node; by is the one that replaces it, or empty.
func (e *exec) removeNode(id, by string, here Locator, ever []*Node) (int32, error) {
	at := slices.IndexFunc(ever, func(n *Node) bool { return n.ID == id })
	if at < 0 || ever[at].Membership == ltlv1.NodeMembership_NODE_MEMBERSHIP_REMOVED {
		return NotFound, nil
	}
	if by == "" && lastVoter(ever, id) {
		return e.refuse(Forbidden, reasonLastVoter), nil
	}
	old := ever[at].facts()
	old.Membership, old.ReplacedBy, old.ChangedHeight = ltlv1.NodeMembership_NODE_MEMBERSHIP_REMOVED, by, here.Height
	e.put(prefixNodeFacts+id, old.encode())
	return OK, nil
}

// changeNode promotes, demotes or removes a node. Repeating it changes nothing.
func (e *exec) changeNode(act action) (int32, string, error) {
	c := act.tx.GetChangeNode()
	ever, err := listNamed(e, func(n *Network) []string { return n.Nodes }, GetNode)
	if err != nil {
		return 0, "", err
	}
	at := slices.IndexFunc(ever, func(n *Node) bool { return n.ID == c.GetId() })
	if at < 0 || ever[at].Membership == ltlv1.NodeMembership_NODE_MEMBERSHIP_REMOVED {
		return NotFound, "", nil
	}
	if c.GetMembership() == ltlv1.NodeMembership_NODE_MEMBERSHIP_REMOVED {
		code, err := e.removeNode(c.GetId(), "", act.here, ever)
		return code, "", err
	}
	if ever[at].Membership == c.GetMembership() {
		return OK, "", nil
	}
	if c.GetMembership() != ltlv1.NodeMembership_NODE_MEMBERSHIP_VOTER && lastVoter(ever, c.GetId()) {
		return e.refuse(Forbidden, reasonLastVoter), "", nil
	}
	facts := ever[at].facts()
	facts.Membership, facts.ChangedHeight = c.GetMembership(), act.here.Height
	e.put(prefixNodeFacts+c.GetId(), facts.encode())
	return OK, "", nil
}

// lastVoter reports whether no node but this one is a voter.
func lastVoter(nodes []*Node, id string) bool {
	return !slices.ContainsFunc(nodes, func(n *Node) bool {
		return n.ID != id && n.Membership == ltlv1.NodeMembership_NODE_MEMBERSHIP_VOTER
	})
}

// facts returns the node's facts, to be changed.
func (n *Node) facts() *nodeFacts {
	return &nodeFacts{Membership: n.Membership, StoreID: n.StoreID, Replaces: n.Replaces, ReplacedBy: n.ReplacedBy,
		ChangedHeight: n.ChangedHeight}
}

func (f *nodeFacts) encode() []byte {
	e := encoder{[]byte{stateVersion}}
	e.u32(uint32(f.Membership))
	e.bytes(f.StoreID)
	e.strings(f.Replaces, f.ReplacedBy)
	e.u64(f.ChangedHeight)
	return e.b
}

func parseNodeFacts(b []byte) (*nodeFacts, error) {
	f, d := &nodeFacts{}, begin(b)
	f.Membership = ltlv1.NodeMembership(d.u32())
	f.StoreID = d.bytes()
	d.strings(&f.Replaces, &f.ReplacedBy)
	f.ChangedHeight = d.u64()
	return f, d.end("facts of a node")
}
