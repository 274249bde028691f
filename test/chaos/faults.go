package chaos

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"time"
)

// How faults are made, and how long the network may take to get over them.
const (
	stutterStop   = 300 * time.Millisecond
	stutterGo     = 200 * time.Millisecond
	recoverLimit  = 10 * time.Second // I8
	recoverGiveUp = 60 * time.Second
	readyGiveUp   = 60 * time.Second
	readyPoll     = 100 * time.Millisecond
	aloneAfter    = 6 * time.Second // a node that reaches no majority for so long is not ready: I9
	healBudget    = 30 * time.Second
)

// Injection is a fault that was made, and what came of it. Times are since the history began.
type Injection struct {
	Fault   string        `json:"fault"`
	Targets []string      `json:"targets"`
	Begin   time.Duration `json:"beginNs"`
	End     time.Duration `json:"endNs"` // when everything was undone
	// Recovered is the time from the end to the next acknowledged write, Ready to the moment when every process served;
	// negative when they did not.
	Recovered time.Duration `json:"recoveredNs"`
	Ready     time.Duration `json:"readyNs"`
	// Late are the processes that were not ready in the end.
	Late []string `json:"late,omitempty"`
	// Elections is how many other terms were seen from the beginning until every process served.
	Elections int `json:"elections"`
	// Alone are the nodes that reached no majority, and Serving those of them that said they were ready nevertheless.
	Alone   []string `json:"alone,omitempty"`
	Serving []string `json:"serving,omitempty"`
	// Stopped are targets that ended by themselves because of the fault, which is theirs to do when they lack what they
	// need to go on.
	Stopped []string `json:"stopped,omitempty"`
	Error   string   `json:"error,omitempty"`
}

// faults makes faults. Several may be in effect at a time.
type faults struct {
	in      Injector
	watch   *watcher
	load    *Load
	history *History
	// certificate is the directory of the certificate of a swamp.
	certificate string

	mu    sync.Mutex
	links map[int][]Link // in effect, by injection
	next  int
	made  []*Injection
}

// effect is one action in effect.
type effect struct {
	targets []string
	links   []Link
	undo    func(context.Context) error
	// mayStop says that the targets may end by themselves.
	mayStop bool
}

// inject makes a fault, undoes it after its time, and waits until the network is over it. Unless ctx ends, it always
// undoes what it did.
func (f *faults) inject(ctx context.Context, e Event) *Injection {
	f.mu.Lock()
	id := f.next
	f.next++
	i := &Injection{Fault: e.Fault.Name(), Begin: f.history.now(), Recovered: -1, Ready: -1}
	f.made = append(f.made, i)
	f.mu.Unlock()
	elections, endings := f.watch.elections(), len(f.in.Endings())
	r := seeded(e.Pick)
	cast := f.watch.cast()
	lasting, cancel := context.WithTimeout(ctx, e.For)
	defer cancel()
	var effects []*effect
	var err error
	for _, a := range e.Fault.Actions {
		one, actErr := f.act(ctx, lasting, id, a, &cast, r)
		if one != nil {
			effects = append(effects, one)
			i.Targets = append(i.Targets, one.targets...)
		}
		err = errors.Join(err, actErr)
	}
	<-lasting.Done()
	i.Stopped = stopped(f.in.Endings()[endings:], effects)
	i.Alone = alone(f.in.Cast().Nodes, effects)
	if e.For >= aloneAfter {
		i.Serving = slices.DeleteFunc(slices.Clone(i.Alone), func(n string) bool {
			// One that hears the others knows their new leader by its first message, which it cannot answer, and only then
			// misses it. So it may be ready again for a while.
			return !f.watch.isReady(n) || hears(n, f.in.Cast().Nodes, effects) && f.watch.wasUnready(n, i.Begin)
		})
	}
	healing, done := context.WithTimeout(context.WithoutCancel(ctx), healBudget)
	defer done()
	for _, one := range effects {
		err = errors.Join(err, one.undo(healing))
	}
	i.End = f.history.now()
	f.recover(ctx, i)
	f.watch.lookForLeader(ctx)
	i.Elections = f.watch.elections() - elections
	if err != nil {
		i.Error = err.Error()
	}
	return i
}

// recover waits until the network writes again and all of it serves.
func (f *faults) recover(ctx context.Context, i *Injection) {
	giveUp, cancel := context.WithTimeout(ctx, recoverGiveUp)
	defer cancel()
	if d, err := f.load.awaitAck(giveUp, i.End); err == nil {
		i.Recovered = d
	}
	giveUp, cancelReady := context.WithTimeout(ctx, readyGiveUp)
	defer cancelReady()
	for {
		if i.Late = f.watch.notReady(giveUp); len(i.Late) == 0 {
			i.Ready = f.history.now() - i.End
			return
		}
		if wait(giveUp, readyPoll) != nil {
			return
		}
	}
}

// act makes one action. lasting ends when it is to be undone.
func (f *faults) act(ctx, lasting context.Context, id int, a Action, cast *Cast, r *rand.Rand) (*effect, error) {
	if err := f.in.Supports(a); err != nil {
		return nil, err
	}
	switch a.Verb {
	case Flood:
		done := make(chan struct{})
		go func() {
			defer close(done)
			f.load.flood(ctx, lasting, a.Amount, r.Uint64())
		}()
		return &effect{undo: func(context.Context) error { <-done; return nil }}, nil
	case Partition, Block:
		return f.cut(ctx, id, a, cast, r)
	}
	targets, err := cast.resolve(a.Left, r)
	if err != nil {
		return nil, err
	}
	switch a.Verb {
	case Isolate, Lose, Limit, Reset:
		var links []Link
		for _, t := range targets {
			for _, other := range cast.all() {
				if other == t {
					continue
				}
				links = append(links, Link{From: other, To: t, How: a.Verb, Amount: a.Amount})
				if a.Verb == Isolate && !slices.Contains(targets, other) {
					links = append(links, Link{From: t, To: other, How: a.Verb})
				}
			}
		}
		return f.linked(ctx, id, targets, links)
	case Swizzle:
		return f.swizzle(ctx, lasting, id, targets, r)
	case Clock, Creep:
		return f.moveClocks(ctx, lasting, a, targets)
	case Swamp:
		return f.swamp(lasting, a.Amount, targets, r), nil
	case Stutter:
		return f.stutter(lasting, targets), nil
	case Kill:
		return &effect{targets: targets, undo: each(targets, f.in.Restart)}, each(targets, f.in.Kill)(ctx)
	case Pause:
		return &effect{targets: targets, undo: each(targets, f.in.Resume)}, each(targets, f.in.Pause)(ctx)
	case Descriptors, Memory:
		limit := func(n int) func(context.Context, string) error {
			return func(_ context.Context, name string) error { return f.in.SetLimit(name, a.Verb, n) }
		}
		// One that ended for want of something is started again.
		undo := func(ctx context.Context) error {
			return errors.Join(each(targets, limit(0))(ctx), each(targets, f.in.Restart)(ctx))
		}
		return &effect{targets: targets, undo: undo, mayStop: true}, each(targets, limit(a.Amount))(ctx)
	}
	return nil, fmt.Errorf("%w: %s", ErrUnsupported, a)
}

// each does something to all processes at the same time.
func each(names []string, do func(context.Context, string) error) func(context.Context) error {
	return func(ctx context.Context) error {
		errs := make([]error, len(names))
		var group sync.WaitGroup
		for i, name := range names {
			group.Go(func() { errs[i] = do(ctx, name) })
		}
		group.Wait()
		return errors.Join(errs...)
	}
}

// cut is Partition and Block.
func (f *faults) cut(ctx context.Context, id int, a Action, cast *Cast, r *rand.Rand) (*effect, error) {
	left, right, err := cast.sides(a, r)
	if err != nil {
		return nil, err
	}
	var links []Link
	for _, l := range left {
		for _, o := range right {
			links = append(links, Link{From: l, To: o, How: Block})
			if a.Verb == Partition {
				links = append(links, Link{From: o, To: l, How: Block})
			}
		}
	}
	return f.linked(ctx, id, []string{strings.Join(left, "+") + map[Verb]string{Partition: "|",
		Block: ">"}[a.Verb] + strings.Join(right, "+")}, links)
}

// linked puts links into effect beside those of other injections.
func (f *faults) linked(ctx context.Context, id int, targets []string, links []Link) (*effect, error) {
	f.mu.Lock()
	before := f.links[id]
	f.mu.Unlock()
	undo := func(ctx context.Context) error { return f.setLinks(ctx, id, nil) }
	return &effect{targets: targets, links: links, undo: undo}, f.setLinks(ctx, id, append(slices.Clone(before), links...))
}

// setLinks replaces what one injection does to links.
func (f *faults) setLinks(ctx context.Context, id int, links []Link) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.links[id] = links
	if len(links) == 0 {
		delete(f.links, id)
	}
	var all []Link
	for _, of := range f.links {
		all = append(all, of...)
	}
	return f.in.SetLinks(ctx, all)
}

// swizzle cuts the links between the targets one after the other in the first half of the time, and restores them in
// the second.
func (f *faults) swizzle(ctx, lasting context.Context, id int, targets []string, r *rand.Rand) (*effect, error) {
	var links []Link
	for _, a := range targets {
		for _, b := range targets {
			if a != b {
				links = append(links, Link{From: a, To: b, How: Block})
			}
		}
	}
	r.Shuffle(len(links), func(i, j int) { links[i], links[j] = links[j], links[i] })
	order := r.Perm(len(links))
	deadline, _ := lasting.Deadline()
	pause := time.Until(deadline) / time.Duration(2*len(links)+1)
	done := make(chan error, 1)
	go func() {
		var errs []error
		for n := range 2 * len(links) {
			now := links[:min(n+1, len(links))]
			if n >= len(links) {
				now = nil
				for _, i := range order[n-len(links)+1:] {
					now = append(now, links[i])
				}
			}
			errs = append(errs, f.setLinks(ctx, id, now))
			if wait(lasting, pause) != nil {
				break
			}
		}
		done <- errors.Join(errs...)
	}()
	return &effect{targets: targets, undo: func(ctx context.Context) error {
		return errors.Join(<-done,
			f.setLinks(ctx, id, nil))
	}}, nil
}

// stutter stops and resumes the targets until lasting ends.
func (f *faults) stutter(lasting context.Context, targets []string) *effect {
	done := make(chan error, 1)
	go func() {
		var errs []error
		ctx := context.WithoutCancel(lasting)
		for lasting.Err() == nil {
			errs = append(errs, each(targets, f.in.Pause)(ctx))
			_ = wait(lasting, stutterStop)
			errs = append(errs, each(targets, f.in.Resume)(ctx))
			_ = wait(lasting, stutterGo)
		}
		done <- errors.Join(errs...)
	}()
	return &effect{targets: targets, undo: func(context.Context) error { return <-done }}
}

// stopped are those of the processes that ended which may.
func stopped(ended []Ending, effects []*effect) []string {
	var names []string
	for _, end := range ended {
		for _, e := range effects {
			if e.mayStop && slices.Contains(e.targets, end.Name) {
				names = append(names, end.Name)
				break
			}
		}
	}
	return names
}

// alone are the nodes that have links in both directions with so few others that they are no majority.
func alone(nodes []string, effects []*effect) []string {
	cut := map[[2]string]bool{}
	for _, e := range effects {
		for _, l := range e.links {
			if l.How == Block || l.How == Isolate {
				cut[[2]string{l.From, l.To}], cut[[2]string{l.To, l.From}] = true, true
			}
		}
	}
	var names []string
	for _, n := range nodes {
		reached := 0
		for _, m := range nodes {
			if !cut[[2]string{n, m}] {
				reached++ // itself, too
			}
		}
		if reached <= len(nodes)/2 {
			names = append(names, n)
		}
	}
	return names
}

// hears reports whether messages of a majority still reach a node.
func hears(n string, nodes []string, effects []*effect) bool {
	silent := map[string]bool{}
	for _, e := range effects {
		for _, l := range e.links {
			if l.To == n && (l.How == Block || l.How == Isolate) {
				silent[l.From] = true
			}
		}
	}
	heard := 0
	for _, m := range nodes {
		if !silent[m] {
			heard++ // itself, too
		}
	}
	return heard > len(nodes)/2
}
