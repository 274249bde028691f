package rules

import (
	"crypto/ed25519"
	"slices"

	"ltl/internal/ledger"
	ltlv1 "ltl/proto/ltl/v1"
)

func checkAddNode(tx *ltlv1.Transaction) int32 {
	a := tx.GetAddNode()
	standing := a.GetStanding() == ltlv1.NodeStanding_NODE_STANDING_LEARNER || a.GetStanding() == ltlv1.NodeStanding_NODE_STANDING_VOTER
	if !standing || len(a.GetNode().GetIncarnation()) != IncarnationLen || a.GetReplaces() != "" && !ledger.ValidID(a.GetReplaces(), MaxNodeID) {
		return OutOfRange
	}
	// A learner in a voter's place could leave a network without voters.
	if a.GetReplaces() != "" && a.GetStanding() != ltlv1.NodeStanding_NODE_STANDING_VOTER {
		return OutOfRange
	}
	return checkNode(a.GetNode())
}

func checkChangeNode(tx *ltlv1.Transaction) int32 {
	c := tx.GetChangeNode()
	if !ledger.ValidID(c.GetId(), MaxNodeID) || c.GetStanding() < ltlv1.NodeStanding_NODE_STANDING_VOTER || c.GetStanding() > ltlv1.NodeStanding_NODE_STANDING_REMOVED {
		return OutOfRange
	}
	return OK
}

func checkNode(n *ltlv1.Node) int32 {
	if !ledger.ValidID(n.GetId(), MaxNodeID) || !ledger.ValidID(n.GetOrganisation(), MaxOrganisationID) || !validAddress(n.GetAddress()) ||
		len(n.GetKey()) != ed25519.PublicKeySize {
		return OutOfRange
	}
	return OK
}

// nodeFacts is what transactions have said of a node since the genesis, or since it was added. It stands beside the node's own value,
// whose bytes do not change: earlier blocks must give the same writes for ever. A node without facts is a voter of the genesis.
type nodeFacts struct {
	Standing ltlv1.NodeStanding
	// Incarnation is empty for a node of the genesis.
	Incarnation []byte
	// Replaces is the node whose place it takes; ReplacedBy the one that takes its place.
	Replaces, ReplacedBy string
	// ChangedHeight is the system block that said so last.
	ChangedHeight uint64
}

// addNode adds a node, and ends the one that it replaces. An id or a key that was ever in use never comes back: a node whose disk was
// lost may have promised what it no longer knows, so it comes back as another one.
func (e *exec) addNode(act action) (int32, string, error) {
	a := act.tx.GetAddNode()
	made := a.GetNode()
	if known, err := e.exists(prefixOrganisation + made.GetOrganisation()); !known || err != nil {
		return NotFound, "", err
	}
	n, err := GetNetwork(e)
	if err != nil {
		return 0, "", err
	}
	ever, err := listNamed(e, func(n *Network) []string { return n.Nodes }, GetNode)
	if err != nil {
		return 0, "", err
	}
	present := 0
	for _, other := range ever {
		if other.ID == made.GetId() || string(other.Key) == string(made.GetKey()) || string(other.Incarnation) == string(made.GetIncarnation()) {
			return e.refuse(Conflict, reasonNodeKnown), "", nil
		}
		if other.Standing != ltlv1.NodeStanding_NODE_STANDING_REMOVED {
			present++
		}
	}
	if present >= MaxNodes || len(ever) >= MaxNodesEver {
		return QuotaExceeded, "", nil
	}
	facts := nodeFacts{Standing: a.GetStanding(), Incarnation: made.GetIncarnation(), Replaces: a.GetReplaces(), ChangedHeight: act.here.Height}
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

// removeNode ends a node; by is the one that replaces it, or empty.
func (e *exec) removeNode(id, by string, here Locator, ever []*Node) (int32, error) {
	at := slices.IndexFunc(ever, func(n *Node) bool { return n.ID == id })
	if at < 0 || ever[at].Standing == ltlv1.NodeStanding_NODE_STANDING_REMOVED {
		return NotFound, nil
	}
	if by == "" && lastVoter(ever, id) {
		return e.refuse(Forbidden, reasonLastVoter), nil
	}
	old := ever[at].facts()
	old.Standing, old.ReplacedBy, old.ChangedHeight = ltlv1.NodeStanding_NODE_STANDING_REMOVED, by, here.Height
	e.put(prefixNodeFacts+id, old.encode())
	return OK, nil
}

// changeNode promotes, demotes or removes a node; saying again what it is changes nothing.
func (e *exec) changeNode(act action) (int32, string, error) {
	c := act.tx.GetChangeNode()
	ever, err := listNamed(e, func(n *Network) []string { return n.Nodes }, GetNode)
	if err != nil {
		return 0, "", err
	}
	at := slices.IndexFunc(ever, func(n *Node) bool { return n.ID == c.GetId() })
	if at < 0 || ever[at].Standing == ltlv1.NodeStanding_NODE_STANDING_REMOVED {
		return NotFound, "", nil
	}
	if c.GetStanding() == ltlv1.NodeStanding_NODE_STANDING_REMOVED {
		code, err := e.removeNode(c.GetId(), "", act.here, ever)
		return code, "", err
	}
	if ever[at].Standing == c.GetStanding() {
		return OK, "", nil
	}
	if c.GetStanding() != ltlv1.NodeStanding_NODE_STANDING_VOTER && lastVoter(ever, c.GetId()) {
		return e.refuse(Forbidden, reasonLastVoter), "", nil
	}
	facts := ever[at].facts()
	facts.Standing, facts.ChangedHeight = c.GetStanding(), act.here.Height
	e.put(prefixNodeFacts+c.GetId(), facts.encode())
	return OK, "", nil
}

// lastVoter reports whether no other node than this is a voter.
func lastVoter(nodes []*Node, id string) bool {
	return !slices.ContainsFunc(nodes, func(n *Node) bool {
		return n.ID != id && n.Standing == ltlv1.NodeStanding_NODE_STANDING_VOTER
	})
}

// facts are those of the node, for a change.
func (n *Node) facts() *nodeFacts {
	return &nodeFacts{Standing: n.Standing, Incarnation: n.Incarnation, Replaces: n.Replaces, ReplacedBy: n.ReplacedBy, ChangedHeight: n.ChangedHeight}
}

func (f *nodeFacts) encode() []byte {
	e := encoder{[]byte{stateVersion}}
	e.u32(uint32(f.Standing))
	e.bytes(f.Incarnation)
	e.strings(f.Replaces, f.ReplacedBy)
	e.u64(f.ChangedHeight)
	return e.b
}

func parseNodeFacts(b []byte) (*nodeFacts, error) {
	f, d := &nodeFacts{}, begin(b)
	f.Standing = ltlv1.NodeStanding(d.u32())
	f.Incarnation = d.bytes()
	d.strings(&f.Replaces, &f.ReplacedBy)
	f.ChangedHeight = d.u64()
	return f, d.end("facts of a node")
}
