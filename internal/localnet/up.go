package localnet

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"syscall"

	"ltl/client"
	"ltl/internal/identity"
)

// Bounds on the size of a network on one machine.
const (
	maxNodes         = 15
	maxOrganisations = 26
)

const (
	lockFile = "lock"
	pkiDir   = "pki"
	facade   = "facade1"
)

// ErrInUse is returned, wrapped, when another process runs the network of the directory.
var ErrInUse = errors.New("another `ltl up` runs this directory")

// Options say which network to run.
type Options struct {
	// Dir holds everything; it is created if absent.
	Dir string
	// HTTP is the host:port of the facade. Port 0 takes a free port on the first start, and the same one on later starts.
	HTTP string
	// Nodes and Orgs are the size of a new network. 0 takes 3 for a new network, and the present size of an old one.
	Nodes, Orgs int
	// Restart starts a process again when it ends.
	Restart bool
	// Binary is the ltl program that the children run.
	Binary string
	// Logger gets one line per event.
	Logger *slog.Logger
	// Ready is called once, when a write would succeed; first says that this start made the network.
	Ready func(n *Network, first bool)
}

// network is a network being run.
type network struct {
	Options
	trust    *identity.Trust
	ports    ports
	children *children
	// describe is the channel that asks for network.json to be written again; owned by Run.
	describe chan struct{}
}

// Run runs the network of a directory until ctx ends, then stops its processes in order. Nothing runs when it returns.
func Run(ctx context.Context, o Options) error {
	dir, err := filepath.Abs(o.Dir)
	if err != nil {
		return fmt.Errorf("couldn't find the directory: %w", err)
	}
	o.Dir = dir
	if err := checkHTTP(o.HTTP); err != nil {
		return err
	}
	if err := makeDirectory(dir); err != nil {
		return err
	}
	unlock, err := lock(filepath.Join(dir, lockFile))
	if err != nil {
		return err
	}
	defer unlock()
	n := &network{Options: o, describe: make(chan struct{}, 1)}
	if err := n.prepare(); err != nil {
		return err
	}
	n.children = newChildren(o.Binary, filepath.Join(dir, "logs"), o.Restart, n.share(), o.Logger, n.replaced)
	defer n.children.stop()
	return n.run(ctx)
}

// lock takes the directory for this process; the kernel frees it however the process ends.
func lock(path string) (func(), error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("couldn't open the lock of the directory: %w", err)
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		f.Close()
		if errors.Is(err, syscall.EWOULDBLOCK) {
			err = ErrInUse
		}
		return nil, fmt.Errorf("couldn't lock %s: %w", filepath.Dir(path), err)
	}
	return func() { f.Close() }, nil
}

// run starts everything, reports readiness, and keeps network.json true until ctx ends.
func (n *network) run(ctx context.Context) error {
	starting, cancel := context.WithTimeout(ctx, readyTimeout)
	defer cancel()
	description, first, err := n.start(starting)
	if err != nil {
		if ctx.Err() != nil {
			return nil // a signal while starting is no failure
		}
		return err
	}
	n.Ready(description, first)
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-n.describe:
			n.fillPIDs(description)
			if err := description.Save(n.Dir); err != nil {
				return err
			}
		}
	}
}

// replaced asks for network.json to be written again, after a process was replaced.
func (n *network) replaced() {
	select {
	case n.describe <- struct{}{}:
	default: // asked already
	}
}

// prepare loads the network's keys and addresses, or makes them on the first start.
func (n *network) prepare() error {
	path := n.trustPath()
	if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
		if err := n.create(); err != nil {
			return err
		}
	}
	trust, err := identity.LoadTrust(path)
	if err != nil {
		return err
	}
	n.trust = trust
	g := trust.Genesis()
	if n.Nodes != 0 && n.Nodes != len(g.GetNodes()) || n.Orgs != 0 && n.Orgs != len(g.GetOrganisations()) {
		return fmt.Errorf("the network in %s has %d nodes and %d organisations; leave out --nodes and --orgs, or use "+
			"another directory",
			n.Dir, len(g.GetNodes()), len(g.GetOrganisations()))
	}
	return n.loadPorts()
}

// share is each process's part of this machine: nodes, endorsers and the facade.
func (n *network) share() int {
	g := n.trust.Genesis()
	return shareOf(runtime.NumCPU(), len(g.GetNodes())+len(g.GetOrganisations())+1)
}

// create makes keys and genesis in a new directory and renames it into place, so that they are there whole or not at
// all.
func (n *network) create() error {
	nodes, orgs := n.Nodes, n.Orgs
	if nodes == 0 {
		nodes = 3
	}
	if orgs == 0 {
		orgs = 3
	}
	if nodes < 1 || nodes > maxNodes || orgs < 1 || orgs > maxOrganisations {
		return fmt.Errorf("a network on one machine has 1 to %d nodes and 1 to %d organisations, not %d and %d", maxNodes,
			maxOrganisations, nodes, orgs)
	}
	addresses, err := freeAddresses(nodes + orgs)
	if err != nil {
		return err
	}
	spec := identity.NetworkSpec{Network: "ltl-local", Facades: []string{facade}}
	for i := range orgs {
		id := "org" + strconv.Itoa(i+1)
		spec.Organisations = append(spec.Organisations, identity.OrgSpec{
			ID: id, Name: "Organisation " + strconv.Itoa(i+1), EndorserAddress: addresses[nodes+i],
		})
	}
	for i := range nodes {
		spec.Nodes = append(spec.Nodes, identity.NodeSpec{
			ID: "node" + strconv.Itoa(i+1), Organisation: spec.Organisations[i%orgs].ID, Address: addresses[i],
		})
	}
	unfinished := filepath.Join(n.Dir, pkiDir+".new")
	if err := os.RemoveAll(unfinished); err != nil {
		return fmt.Errorf("couldn't remove an unfinished set of keys: %w", err)
	}
	if err := identity.CreateNetwork(unfinished, spec); err != nil {
		return err
	}
	if err := os.Rename(unfinished, filepath.Join(n.Dir, pkiDir)); err != nil {
		return fmt.Errorf("couldn't put the new keys in place: %w", err)
	}
	return syncDir(n.Dir)
}

// names are the names of the children, in the order in which they are started.
func (n *network) names() []string {
	var names []string
	for _, node := range n.nodes() {
		names = append(names, node.GetId())
	}
	for _, o := range n.trust.Genesis().GetOrganisations() {
		names = append(names, endorserName(o.GetId()))
	}
	return append(names, facade)
}

func endorserName(organisation string) string { return "endorser-" + organisation }

func (n *network) trustPath() string { return filepath.Join(n.Dir, pkiDir, "trust.json") }

// open makes a client with the operator's credentials.
func (n *network) open() (*client.Client, error) { return n.openAs(n.operatorDir()) }

// openAs makes a client with the certificate in a directory.
func (n *network) openAs(dir string) (*client.Client, error) {
	credentials, err := identity.LoadCredentials(dir, n.trust)
	if err != nil {
		return nil, err
	}
	return client.Open(client.Config{Credentials: credentials, Trust: n.trust, Logger: n.Logger})
}

func (n *network) operatorDir() string { return filepath.Join(n.Dir, pkiDir, "operator") }

// operatorDirOf is that of the operator of an organisation other than the first.
func (n *network) operatorDirOf(organisation string) string {
	return filepath.Join(n.Dir, pkiDir, "operators", organisation)
}

// openOperators makes a client of an operator of each organisation but the first, whose operator first is. The caller
// closes them.
func (n *network) openOperators(first *client.Client) (map[string]*client.Client, error) {
	operators := map[string]*client.Client{}
	for i, o := range n.trust.Genesis().GetOrganisations() {
		if i == 0 {
			operators[o.GetId()] = first
			continue
		}
		c, err := n.openAs(n.operatorDirOf(o.GetId()))
		if err != nil {
			return operators, fmt.Errorf("the set-up acts for every organisation and needs an operator of %s: %w", o.GetId(), err)
		}
		operators[o.GetId()] = c
	}
	return operators, nil
}
