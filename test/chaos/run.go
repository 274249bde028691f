package chaos

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"
)

// The parts of a run beside the faults.
const (
	warmUp      = 2 * time.Second
	coolDown    = time.Second
	auditBudget = 15 * time.Minute
	auditsAtA   = 2 // time
	historyFile = "history.jsonl"
)

// Options say what is run.
type Options struct {
	// Name is what the scenario is called in the report.
	Name     string
	Scenario *Scenario
	Seed     uint64
	// Duration is how long faults are injected; 0 takes the scenario's.
	Duration time.Duration
	// Out gets history.jsonl, results.json and report.html; it must be new or empty of those.
	Out      string
	Injector Injector
	// Command is what repeats the run, for the report.
	Command string
	Logger  *slog.Logger
}

// runner is one run.
type runner struct {
	Options
	history *History
	peers   *peers
	load    *Load
	watch   *watcher
	faults  *faults
	malice  *malice // nil when no organisation is malicious
	found   Found
}

// Run starts the network, calls it, injects faults, heals, checks and reports. It returns an error when the run could
// not be made; what the checks found wrong is in the results. Nothing runs any more when it returns.
func Run(ctx context.Context, o Options) (_ *Results, err error) {
	if o.Duration == 0 {
		o.Duration = o.Scenario.Duration
	}
	if err := o.check(); err != nil {
		return nil, err
	}
	if err := os.MkdirAll(o.Out, 0o700); err != nil {
		return nil, fmt.Errorf("couldn't make the directory of the results: %w", err)
	}
	r := &runner{Options: o}
	defer func() { err = errors.Join(err, o.Injector.Close()) }()
	o.Logger.Info("starting the network", "dir", o.Injector.Dir())
	if err := o.Injector.Start(ctx); err != nil {
		return nil, fmt.Errorf("the network did not start: %w", err)
	}
	if r.history, err = NewHistory(filepath.Join(o.Out, historyFile)); err != nil {
		return nil, err
	}
	if err := r.run(ctx); err != nil {
		_, closeErr := r.history.Close()
		return nil, errors.Join(err, closeErr)
	}
	results := r.results(time.Now())
	return results, results.save(o.Out)
}

// check refuses what the injector cannot do before anything is started.
func (o *Options) check() error {
	if s := o.Scenario; s.Malicious+s.Lying != "" && o.Injector.Name() != injectProcesses {
		return fmt.Errorf("%w: roles are played beside processes only", ErrUnsupported)
	}
	if s := o.Scenario; s.Lying != "" && !slices.Contains(o.Injector.Cast().Nodes, s.Lying) {
		return fmt.Errorf("this network has no %s", s.Lying)
	}
	faults := []Fault{}
	for _, s := range o.Scenario.Steps {
		faults = append(faults, s.Fault)
	}
	for _, w := range o.Scenario.Mix {
		faults = append(faults, w.Fault)
	}
	for _, f := range faults {
		for _, a := range f.Actions {
			if err := o.Injector.Supports(a); err != nil {
				return fmt.Errorf("%s: %w", a, err)
			}
		}
	}
	return nil
}

// run does everything between the start of the network and the results.
func (r *runner) run(ctx context.Context) (err error) {
	peers, network, err := dialPeers(r.Injector)
	if err != nil {
		return err
	}
	r.peers = peers
	defer func() { err = errors.Join(err, peers.close()) }()
	if r.load, err = newLoad(network, r.history, r.Scenario, r.Seed); err != nil {
		return err
	}
	r.watch = newWatcher(r.Injector, peers, r.history)
	watching, unwatch := context.WithCancel(ctx)
	r.watch.start(watching)
	defer unwatch()
	if r.Scenario.Malicious != "" {
		if r.malice, err = newMalice(ctx, r, network); err != nil {
			return err
		}
		defer func() { err = errors.Join(err, r.malice.close()) }()
	}
	more, enough := context.WithCancel(ctx)
	defer enough()
	if err := r.Injector.Lie(); err != nil {
		return err
	}
	if r.malice != nil {
		r.malice.start(ctx, more)
	}
	r.load.start(ctx, more, peers, r.truthful())
	r.faults = &faults{in: r.Injector, watch: r.watch, load: r.load, history: r.history, links: map[int][]Link{},
		certificate: swampCertificate(r.Injector.Dir(), r.Scenario)}
	injectErr := r.inject(ctx)
	enough()
	r.load.close()
	if r.malice != nil {
		r.malice.group.Wait()
		if injectErr == nil {
			injectErr = r.malice.leave(ctx)
		}
	}
	if r.found.Lies, err = r.Injector.EndLies(); injectErr == nil && err == nil {
		err = r.collect(ctx)
	}
	unwatch()
	r.watch.group.Wait()
	return errors.Join(injectErr, err)
}

// truthful are the nodes that do not lie: what a node answers that does is its word.
func (r *runner) truthful() []string {
	return slices.DeleteFunc(slices.Clone(r.Injector.Cast().Nodes), func(n string) bool { return n == r.Scenario.Lying })
}

// quiet is a logger for attackers, whose library complains of what is done to it.
func (r *runner) quiet() *slog.Logger { return slog.New(slog.DiscardHandler) }

// inject lets the load begin and makes the faults of mix and steps.
func (r *runner) inject(ctx context.Context) error {
	warm, cancel := context.WithTimeout(ctx, recoverGiveUp)
	defer cancel()
	if _, err := r.load.awaitAck(warm, 0); err != nil {
		return fmt.Errorf("no write succeeded before the first fault: %w", err)
	}
	if err := wait(ctx, warmUp); err != nil {
		return err
	}
	began := time.Now()
	r.Logger.Info("the load runs; faults begin", "seed", r.Seed, "duration", r.Duration)
	var steps sync.WaitGroup
	for _, e := range r.Scenario.Stepped(r.Seed) {
		if e.At <= r.Duration {
			steps.Go(func() {
				if wait(ctx, e.At-time.Since(began)) == nil {
					r.one(ctx, e)
				}
			})
		}
	}
	for e := range r.Scenario.Mixed(r.Seed) {
		if time.Since(began)+e.Gap > r.Duration || wait(ctx, e.Gap) != nil {
			break
		}
		r.one(ctx, e)
	}
	steps.Wait()
	if err := r.Injector.SetLinks(context.WithoutCancel(ctx), nil); err != nil {
		return err
	}
	return wait(ctx, coolDown)
}

func (r *runner) one(ctx context.Context, e Event) {
	i := r.faults.inject(ctx, e)
	r.Logger.Info("fault", "at", i.Begin.Round(time.Millisecond), "fault", i.Fault, "on", i.Targets, "for",
		(i.End - i.Begin).Round(time.Millisecond),
		"recovered", i.Recovered.Round(time.Millisecond), "ready", i.Ready.Round(time.Millisecond), "elections", i.Elections,
		"late", i.Late, "error", i.Error)
}

// collect looks at everything that is left.
func (r *runner) collect(ctx context.Context) (err error) {
	r.Logger.Info("the load is over; reading and auditing every copy", "acknowledged", r.load.acks.Load())
	fail := func(err error) {
		if err != nil {
			r.found.Failures = append(r.found.Failures, err.Error())
		}
	}
	sequence, err := r.peers.settled(ctx)
	fail(err)
	if err == nil {
		fail(r.copies(ctx, sequence))
		if r.malice != nil {
			fail(r.malice.finish(ctx, r.peers.conns))
			r.found.Malice, r.found.Attacks = r.malice.consent.check, r.malice.attacker.Counts()
		}
	}
	for _, name := range sortedKeys(r.watch.usage) {
		r.watch.measure(ctx, name)
	}
	r.audit(ctx)
	if r.found.Ops, err = r.history.Close(); err != nil {
		return err
	}
	r.found.sound, r.found.doubtful = misled(r.found.Ops, r.found.Lies, r.history.began)
	r.found.Lying = r.Scenario.Lying
	r.found.Injections, r.found.Endings, r.found.Usage = r.faults.made, r.Injector.Endings(), r.watch.usage
	cast := r.Injector.Cast()
	for _, name := range cast.all() {
		if r.found.Usage[name] == nil {
			fail(fmt.Errorf("nothing is known of the use of %s: it never told its metrics", name))
		}
	}
	return nil
}

// copies reads every copy; those that are the same block for block count as one.
func (r *runner) copies(ctx context.Context, n uint64) error {
	var judge *consent
	if r.malice != nil {
		judge = r.malice.journal(r.history.all())
	}
	for _, name := range sortedKeys(r.peers.conns) {
		first := len(r.found.Copies) == 0
		l, err := r.peers.read(ctx, name, n, first, judge)
		judge = nil // the others are compared with the first
		if err != nil {
			return err
		}
		same := false
		for i := range r.found.Copies {
			if slices.Equal(r.found.Copies[i].Ledger.Digests, l.Digests) {
				r.found.Copies[i].Names = append(r.found.Copies[i].Names, name)
				same = true
			}
		}
		if same {
			continue
		}
		if !first {
			if l, err = r.peers.read(ctx, name, n, true, nil); err != nil {
				return err
			}
		}
		r.found.Copies = append(r.found.Copies, Copy{Names: []string{name}, Ledger: l})
	}
	return nil
}

// audit runs `ltl audit` on every copy. Each has its budget from its own beginning: on a busy machine the first ones of an
// hour's ledger take as long as all of them may on an idle one.
func (r *runner) audit(ctx context.Context) {
	names := sortedKeys(r.peers.conns)
	r.found.Audits = make([]Audited, len(names))
	free := make(chan struct{}, auditsAtA)
	var group sync.WaitGroup
	for i, name := range names {
		group.Go(func() {
			free <- struct{}{}
			defer func() { <-free }()
			ctx, cancel := context.WithTimeout(ctx, auditBudget)
			defer cancel()
			r.found.Audits[i].Name = name
			if _, err := r.Injector.Audit(ctx, name); err != nil {
				r.found.Audits[i].Error = err.Error()
			}
		})
	}
	group.Wait()
}
