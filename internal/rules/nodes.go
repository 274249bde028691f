package rules

import (
	"slices"

	"ltl/internal/ledger"
	ltlv1 "ltl/proto/ltl/v1"
)

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
func (e *exec) addNode(a *ltlv1.AddNode, here Locator) (int32, string, error) {
	if code := checkAddNode(a); code != OK {
		return code, "", nil
	}
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
	facts := nodeFacts{Standing: a.GetStanding(), Incarnation: made.GetIncarnation(), Replaces: a.GetReplaces(), ChangedHeight: here.Height}
	if a.GetReplaces() != "" {
		if code, err := e.removeNode(a.GetReplaces(), made.GetId(), here, ever); code != OK || err != nil {
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
func (e *exec) changeNode(c *ltlv1.ChangeNode, here Locator) (int32, error) {
	if code := checkChangeNode(c); code != OK {
		return code, nil
	}
	ever, err := listNamed(e, func(n *Network) []string { return n.Nodes }, GetNode)
	if err != nil {
		return 0, err
	}
	at := slices.IndexFunc(ever, func(n *Node) bool { return n.ID == c.GetId() })
	if at < 0 || ever[at].Standing == ltlv1.NodeStanding_NODE_STANDING_REMOVED {
		return NotFound, nil
	}
	if c.GetStanding() == ltlv1.NodeStanding_NODE_STANDING_REMOVED {
		return e.removeNode(c.GetId(), "", here, ever)
	}
	if ever[at].Standing == c.GetStanding() {
		return OK, nil
	}
	if c.GetStanding() != ltlv1.NodeStanding_NODE_STANDING_VOTER && lastVoter(ever, c.GetId()) {
		return e.refuse(Forbidden, reasonLastVoter), nil
	}
	facts := ever[at].facts()
	facts.Standing, facts.ChangedHeight = c.GetStanding(), here.Height
	e.put(prefixNodeFacts+c.GetId(), facts.encode())
	return OK, nil
}

// lastVoter reports whether no other node than this is a voter.
func lastVoter(nodes []*Node, id string) bool {
	return !slices.ContainsFunc(nodes, func(n *Node) bool {
		return n.ID != id && n.Standing == ltlv1.NodeStanding_NODE_STANDING_VOTER
	})
}

func checkAddNode(a *ltlv1.AddNode) int32 {
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

func checkChangeNode(c *ltlv1.ChangeNode) int32 {
	if !ledger.ValidID(c.GetId(), MaxNodeID) || c.GetStanding() < ltlv1.NodeStanding_NODE_STANDING_VOTER || c.GetStanding() > ltlv1.NodeStanding_NODE_STANDING_REMOVED {
		return OutOfRange
	}
	return OK
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
