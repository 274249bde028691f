package localnet

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"

	"ltl/internal/identity"
	ltlv1 "ltl/proto/ltl/v1"
)

const tailBytes = 2000

// removedFile is the mark that a removed node leaves in its directory.
const removedFile = "removed"

// programs are the children, in the order in which they are started: each uses those before it.
func (n *network) programs() []program {
	g := n.trust.Genesis()
	pki := filepath.Join(n.Dir, pkiDir)
	var programs []program
	add := func(role, name, keys string, args ...string) {
		admin := n.ports.Admin[name]
		args = append([]string{role, "--trust", n.trustPath(), "--identity", filepath.Join(pki, keys), "--admin", admin}, args...)
		programs = append(programs, program{role: role, name: name, admin: admin, args: args})
	}
	for _, node := range n.nodes() {
		id := node.GetId()
		add("node", id, filepath.Join("nodes", id), "--dir", n.nodeDir(id), "--listen", node.GetAddress())
	}
	for _, o := range g.GetOrganisations() {
		id := o.GetId()
		add("endorser", endorserName(id), filepath.Join("orgs", id, "endorser"), "--dir", n.endorserDir(id), "--listen", o.GetEndorserAddress())
	}
	add("facade", facade, filepath.Join("facades", facade), "--listen", n.ports.HTTP)
	return programs
}

// nodes are those of the genesis and those whose directory was prepared below DIR/nodes, without those that were removed.
func (n *network) nodes() []*ltlv1.Node {
	var nodes []*ltlv1.Node
	seen := map[string]bool{}
	add := func(node *ltlv1.Node) {
		seen[node.GetId()] = true
		if _, err := os.Stat(filepath.Join(n.nodeDir(node.GetId()), removedFile)); err != nil {
			nodes = append(nodes, node)
		}
	}
	for _, node := range n.trust.Genesis().GetNodes() {
		add(node)
	}
	prepared, _ := filepath.Glob(filepath.Join(n.nodeDir("*"), identity.NodeFile)) // the pattern is well formed
	for _, path := range prepared {
		// A file that cannot be read is somebody's business who is just making it.
		if node, err := identity.LoadNode(path); err == nil && !seen[node.GetId()] && n.nodeDir(node.GetId()) == filepath.Dir(path) {
			add(node)
		}
	}
	return nodes
}

func (n *network) nodeDir(id string) string { return filepath.Join(n.Dir, "nodes", id) }

func (n *network) endorserDir(id string) string { return filepath.Join(n.Dir, "endorsers", id) }

// fill writes into d what this start decided: addresses, processes and paths.
func (n *network) fill(d *Network) {
	g := n.trust.Genesis()
	d.Endpoint = "http://" + reachable(n.ports.HTTP)
	d.Console = d.Endpoint
	d.Region = Region
	d.Trust, d.Operator = n.trustPath(), filepath.Join(n.operatorDir(), "tls.key")
	d.Nodes, d.Endorsers, d.Facades = nil, nil, []Facade{{HTTP: d.Endpoint}}
	for _, node := range n.nodes() {
		d.Nodes = append(d.Nodes, Node{ID: node.GetId(), GRPC: node.GetAddress(), Dir: n.nodeDir(node.GetId())})
	}
	for _, o := range g.GetOrganisations() {
		d.Endorsers = append(d.Endorsers, Endorser{Organisation: o.GetId(), GRPC: o.GetEndorserAddress(), Dir: n.endorserDir(o.GetId())})
	}
	n.fillPIDs(d)
}

// fillPIDs writes the processes of now into d.
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

// isReady asks the process with this admin address whether it serves.
func isReady(ctx context.Context, admin string) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+admin+"/readyz", nil)
	if err != nil {
		return fmt.Errorf("couldn't ask for readiness: %w", err)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return fmt.Errorf("couldn't ask for readiness: %w", err)
	}
	defer res.Body.Close()
	if res.StatusCode == http.StatusOK {
		return nil
	}
	why, err := io.ReadAll(io.LimitReader(res.Body, tailBytes))
	if err != nil {
		return fmt.Errorf("couldn't ask for readiness: %w", err)
	}
	return fmt.Errorf("not ready: %s", bytes.TrimSpace(why))
}

// served makes a signed call that only reads.
func served(ctx context.Context, caller *Caller) error {
	status, body, err := caller.Call(ctx, "ListProofChain", map[string]string{"Num": "1", "Size": "1"})
	if err != nil {
		return err
	}
	var answer struct{ Success bool }
	if err := json.Unmarshal(body, &answer); err != nil || status != http.StatusOK || !answer.Success {
		return fmt.Errorf("the facade answers with %d: %s", status, body)
	}
	return nil
}

// lastLine returns the last line of a log, where a process that cannot go on says why.
func lastLine(path string) string {
	text := tail(path)
	return text[strings.LastIndexByte(text, '\n')+1:]
}

// tail returns the end of a log.
func tail(path string) string {
	raw, err := os.ReadFile(path)
	if err != nil {
		return err.Error()
	}
	if len(raw) > tailBytes {
		raw = raw[len(raw)-tailBytes:]
		if i := bytes.IndexByte(raw, '\n'); i >= 0 {
			raw = raw[i+1:]
		}
	}
	return string(bytes.TrimSpace(raw))
}
