package client

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"google.golang.org/grpc"

	"ltl/internal/identity"
	ltlv1 "ltl/proto/ltl/v1"
)

// peers holds one connection to each known node and endorser.
type peers struct {
	credentials *identity.Credentials
	prefer      string
	ownEndorser string // see Config.OwnEndorser

	mu        sync.Mutex
	closed    bool
	order     []string // ids of the nodes, in the order in which they joined the network
	nodes     map[string]*peer
	endorsers map[string]*peer // by organisation
}

// peer is one process of the network.
type peer struct {
	name, address string
	role          identity.Role
	conn          *grpc.ClientConn
	breaker       breaker
	leading       breaker // whether it acted as the leader when it was asked as one

	mu       sync.Mutex
	redialed time.Time
}

// redial has a connection that failed be made again now, and not at the end of gRPC's pause: a process that was started
// again is found at once. It does so at most once in redialPause.
func (p *peer) redial() {
	p.mu.Lock()
	due := time.Since(p.redialed) >= redialPause
	if due {
		p.redialed = time.Now()
	}
	p.mu.Unlock()
	if due {
		p.conn.ResetConnectBackoff()
	}
}

func newPeers(credentials *identity.Credentials, prefer, ownEndorser string) *peers {
	return &peers{credentials: credentials, prefer: prefer, ownEndorser: ownEndorser, nodes: map[string]*peer{}, endorsers: map[string]*peer{}}
}

// learn stores the members of the network as the system chain has them. A member whose address changed gets a new
// connection. Nodes that were removed are deleted, unless no other node would be left.
func (p *peers) learn(organisations []*ltlv1.Organisation, nodes []*ltlv1.Node, removed []string) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return ErrClosed
	}
	var errs []error
	for _, n := range nodes {
		_, known := p.nodes[n.GetId()]
		err := p.put(p.nodes, identity.RoleNode, n.GetId(), n.GetAddress())
		if err == nil && !known {
			p.order = append(p.order, n.GetId())
		}
		errs = append(errs, err)
	}
	for _, o := range organisations {
		address := o.GetEndorserAddress()
		if p.ownEndorser != "" && o.GetId() == p.credentials.Identity().Organisation {
			address = p.ownEndorser
		}
		errs = append(errs, p.put(p.endorsers, identity.RoleEndorser, o.GetId(), address))
	}
	for _, id := range removed {
		if old := p.nodes[id]; old != nil && len(p.nodes) > 1 {
			delete(p.nodes, id)
			p.order = slices.DeleteFunc(p.order, func(other string) bool { return other == id })
			errs = append(errs, old.conn.Close())
		}
	}
	return errors.Join(errs...)
}

func (p *peers) put(set map[string]*peer, role identity.Role, name, address string) error {
	old := set[name]
	if old != nil && old.address == address {
		return nil
	}
	conn, err := grpc.NewClient(address, p.credentials.DialOptions(role, name)...)
	if err != nil {
		return fmt.Errorf("%s %s at %s: %w", role, name, address, err)
	}
	set[name] = &peer{name: name, address: address, role: role, conn: conn}
	if old == nil {
		return nil
	}
	if err := old.conn.Close(); err != nil {
		return fmt.Errorf("close connection to %s %s: %w", role, name, err)
	}
	return nil
}

// endorserPrefix makes the name of an organisation's endorser.
const endorserPrefix = "endorser/"

// find returns a node by its id, or an endorser by endorserPrefix and its organisation. It returns nil when there is
// none.
func (p *peers) find(name string) *peer {
	if organisation, ok := strings.CutPrefix(name, endorserPrefix); ok {
		return p.endorser(organisation)
	}
	return p.node(name)
}

// node returns nil when there is no such node.
func (p *peers) node(id string) *peer {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.nodes[id]
}

// endorser returns nil when the organisation is not known.
func (p *peers) endorser(organisation string) *peer {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.endorsers[organisation]
}

// allEndorsers returns every endorser, in the order of their organisations' ids.
func (p *peers) allEndorsers() []*peer {
	p.mu.Lock()
	defer p.mu.Unlock()
	var list []*peer
	for _, organisation := range slices.Sorted(maps.Keys(p.endorsers)) {
		list = append(list, p.endorsers[organisation])
	}
	return list
}

// all returns every node in the order in which to ask them: the preferred one, the others, and last those that failed
// lately.
func (p *peers) all() []*peer {
	p.mu.Lock()
	list := make([]*peer, 0, len(p.order))
	for _, id := range p.order {
		list = append(list, p.nodes[id])
	}
	p.mu.Unlock()
	rank := func(n *peer) int {
		switch {
		case n.breaker.open():
			return 2
		case n.name == p.prefer:
			return 0
		}
		return 1
	}
	slices.SortStableFunc(list, func(a, b *peer) int { return rank(a) - rank(b) })
	return list
}

func (p *peers) close() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.closed = true
	var errs []error
	for _, set := range []map[string]*peer{p.nodes, p.endorsers} {
		for _, one := range set {
			errs = append(errs, one.conn.Close())
		}
	}
	return errors.Join(errs...)
}

// breaker leaves a peer out for a while after it failed, so that not every call waits for a dead or hanging one.
type breaker struct {
	mu          sync.Mutex
	pause       time.Duration
	until       time.Time
	failed      time.Time // the first failure since the last answer
	outstanding int
}

// silence is how long ago the first failure since the last answer was; zero when there was none.
func (b *breaker) silence() time.Duration {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.pause == 0 {
		return 0
	}
	return time.Since(b.failed)
}

// open reports whether the peer is left out because it failed lately.
func (b *breaker) open() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return time.Now().Before(b.until)
}

// usable reports whether the peer can be expected to answer: it has not failed lately, and it neither hangs nor is
// busy.
func (b *breaker) usable() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.outstanding < busyOutstanding && !time.Now().Before(b.until)
}

// begin counts a request; it reports false when too many are unanswered.
func (b *breaker) begin() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.outstanding >= maxOutstanding {
		return false
	}
	b.outstanding++
	return true
}

// end counts a request's end.
func (b *breaker) end() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.outstanding--
}

// record stores whether the peer answered. It reports whether that changed: the first failure, or the first answer
// after one.
func (b *breaker) record(answered bool) (changed bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	changed = answered == (b.pause > 0)
	switch {
	case answered:
		b.pause, b.until = 0, time.Time{}
	case b.pause == 0:
		b.failed = time.Now()
		b.pause, b.until = firstBreak, b.failed.Add(firstBreak)
	case !time.Now().Before(b.until): // requests that were under way together count once
		b.pause = min(2*b.pause, lastBreak)
		b.until = time.Now().Add(b.pause)
	}
	return changed
}
