package localnet

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"

	"google.golang.org/protobuf/proto"

	"ltl/internal/identity"
	ltlv1 "ltl/proto/ltl/v1"
)

const (
	// removedFile is the mark that a removed node leaves in its directory.
	removedFile = "removed"
	// addressFile, in a node's directory, holds the address that was recorded for it last. Without it that of the genesis,
	// or of node.json, is the node's.
	addressFile = "address"
)

// programs are the children, in the order in which they are started: each uses those before it.
func (n *network) programs() []program {
	g := n.trust.Genesis()
	pki := filepath.Join(n.Dir, pkiDir)
	var programs []program
	add := func(role, name, keys string, args ...string) {
		admin := n.ports.Admin[name]
		args = append([]string{role, "--trust", n.trustPath(), "--identity", filepath.Join(pki, keys), "--admin", admin},
			args...)
		programs = append(programs, program{role: role, name: name, admin: admin, args: args})
	}
	for _, node := range n.nodes() {
		id := node.GetId()
		add("node", id, filepath.Join("nodes", id), "--dir", n.nodeDir(id), "--listen", node.GetAddress())
	}
	for _, o := range g.GetOrganisations() {
		id := o.GetId()
		add("endorser", endorserName(id), filepath.Join("orgs", id, "endorser"),
			"--dir", n.endorserDir(id), "--listen", o.GetEndorserAddress())
	}
	add("facade", facade, filepath.Join("facades", facade), "--listen", n.ports.HTTP, "--console", "on")
	return programs
}

// nodes are the nodes of the genesis and those whose directory was prepared below DIR/nodes, without the removed ones.
func (n *network) nodes() []*ltlv1.Node {
	var nodes []*ltlv1.Node
	seen := map[string]bool{}
	add := func(node *ltlv1.Node) {
		seen[node.GetId()] = true
		if moved, err := os.ReadFile(filepath.Join(n.nodeDir(node.GetId()), addressFile)); err == nil {
			node = proto.CloneOf(node)
			node.Address = strings.TrimSpace(string(moved))
		}
		if _, err := os.Stat(filepath.Join(n.nodeDir(node.GetId()), removedFile)); err != nil {
			nodes = append(nodes, node)
		}
	}
	for _, node := range n.trust.Genesis().GetNodes() {
		add(node)
	}
	prepared, _ := filepath.Glob(filepath.Join(n.nodeDir("*"), identity.NodeFile)) // the pattern is well formed
	for _, path := range prepared {
		// A file that cannot be read may be one that an operator is making at this moment: it is left out.
		if node, _, err := identity.LoadNode(path); err == nil && !seen[node.GetId()] &&
			n.nodeDir(node.GetId()) == filepath.Dir(path) {
			add(node)
		}
	}
	return nodes
}

func (n *network) nodeDir(id string) string { return filepath.Join(n.Dir, nodesDir, id) }

// nodesDir is where the directories of the nodes are.
const nodesDir = "nodes"

// MoveNode has the next start on a directory run a node at another address, which is on the ledger. It reports whether
// the node's directory is there: a node that runs elsewhere is not moved.
func MoveNode(dir, id, address string) (bool, error) {
	home := filepath.Join(dir, nodesDir, id)
	if _, err := os.Stat(home); err != nil {
		return false, nil
	}
	if err := os.WriteFile(filepath.Join(home, addressFile), []byte(address+"\n"), 0o600); err != nil {
		return false, fmt.Errorf("couldn't note the node's address for the next start: %w", err)
	}
	return true, nil
}

func (n *network) endorserDir(id string) string { return filepath.Join(n.Dir, "endorsers", id) }

// fill writes into d what this start decided: addresses, processes and paths.
func (n *network) fill(d *Network) {
	g := n.trust.Genesis()
	d.Endpoint = "http://" + reachable(n.ports.HTTP)
	d.Console = d.Endpoint + "/console/"
	d.Region = Region
	d.Trust, d.Operator = n.trustPath(), filepath.Join(n.operatorDir(), "tls.key")
	d.Nodes, d.Endorsers, d.Facades = nil, nil, []Facade{{HTTP: d.Endpoint}}
	for _, node := range n.nodes() {
		d.Nodes = append(d.Nodes, Node{ID: node.GetId(), GRPC: node.GetAddress(), Dir: n.nodeDir(node.GetId())})
	}
	for _, o := range g.GetOrganisations() {
		d.Endorsers = append(d.Endorsers,
			Endorser{Organisation: o.GetId(), GRPC: o.GetEndorserAddress(), Dir: n.endorserDir(o.GetId())})
	}
	n.fillPIDs(d)
}

// fillPIDs writes the ids of the present processes into d.
func (n *network) fillPIDs(d *Network) {
	for i := range d.Nodes {
		d.Nodes[i].PID = n.children.pid(d.Nodes[i].ID)
	}
	for i := range d.Endorsers {
		d.Endorsers[i].PID = n.children.pid(endorserName(d.Endorsers[i].Organisation))
	}
	for i := range d.Facades {
		d.Facades[i].PID = n.children.pid(facade)
	}
}

// reachable turns an address to listen on into one to connect to.
func reachable(address string) string {
	host, port, err := net.SplitHostPort(address)
	if ip := net.ParseIP(host); err == nil && (host == "" || ip != nil && ip.IsUnspecified()) {
		return net.JoinHostPort("127.0.0.1", port)
	}
	return address
}
