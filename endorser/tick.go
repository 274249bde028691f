package endorser

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"

	"ltl/internal/identity"
	"ltl/internal/ledger"
	"ltl/internal/rules"
	ltlv1 "ltl/proto/ltl/v1"
)

// A signature counts until the network's reference time is two minutes after its clock. On an idle network that time
// stands, so that a signature which was kept back would count for ever. An endorser whose signature has not come to the
// ledger in that time therefore asks the others for a Tick: a transaction that changes nothing and moves the reference
// time. On an idle network with nothing kept back there is none.

// tickOutcome is what became of an attempt to have a Tick written.
type tickOutcome string

const (
	tickOrdered    tickOutcome = "ordered"
	tickUnendorsed tickOutcome = "unendorsed" // half of the organisations or fewer endorsed it
	tickUnordered  tickOutcome = "unordered"  // more than half did, and no node ordered it
)

// ticks decides when a Tick is asked for, and notes that none is ordered. step is called by one goroutine.
type ticks struct {
	unseen   *unseen
	onLedger func(chainID string, id ledger.Hash) (bool, error)
	clockMs  func() int64
	// referenceMs is the network's reference time in the own copy.
	referenceMs func() int64
	// turn is how many organisations ask before this one does.
	turn func() int
	// ask has a Tick endorsed and ordered.
	ask func(context.Context) (tickOutcome, error)
	// note hears the outcome of each attempt.
	note func(tickOutcome, error)

	last time.Time // when it asked last

	mu sync.Mutex
	// withheld is how long after its life the oldest signature that was kept back can still count.
	withheld time.Duration
	// unordered is since when a Tick is endorsed that the own copy does not show; zero for none.
	unordered time.Time
}

// step asks for a Tick if one is due. It returns an error where the own copy cannot be read.
func (t *ticks) step(ctx context.Context, now time.Time) error {
	clock, reference := t.clockMs(), t.referenceMs()
	// What a reference time that is ahead of the clocks has ended counts again when the time is corrected.
	expired := min(reference, clock) - rules.EndorsementLifeMs - 1
	dead := clock - rules.EndorsementLifeMs
	first, err := t.unseen.withheldMs(expired, dead-tickGrace.Milliseconds(), t.onLedger)
	if err != nil {
		return err
	}
	t.mu.Lock()
	t.withheld = 0
	if first != 0 {
		t.withheld = time.Duration(dead-first) * time.Millisecond
	} else {
		t.unordered = time.Time{}
	}
	wait := t.withheld < tickGrace+time.Duration(t.turn())*tickStagger || clock-reference < rules.MinTickMs
	t.mu.Unlock()
	if first == 0 || wait || !t.last.IsZero() && now.Sub(t.last) < tickInterval {
		return nil
	}
	t.last = now
	outcome, err := t.ask(ctx)
	if ctx.Err() != nil {
		return nil
	}
	t.note(outcome, err)
	t.mu.Lock()
	defer t.mu.Unlock()
	if outcome == tickUnendorsed {
		t.unordered = time.Time{}
	} else if t.unordered.IsZero() { // until the own copy has it: a node's word that it is ordered is no proof
		t.unordered = now
	}
	return nil
}

// censored returns for how long the nodes have ordered no Tick, once that is too long; else 0.
func (t *ticks) censored(now time.Time) time.Duration {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.unordered.IsZero() || now.Sub(t.unordered) < censoredAfter {
		return 0
	}
	return now.Sub(t.unordered)
}

// withheldFor is how long after its life the oldest signature that was kept back can still count; 0 for none.
func (t *ticks) withheldFor() time.Duration {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.withheld
}

// newTicks connects ticks with the endorser.
func (e *Endorser) newTicks() *ticks {
	return &ticks{
		unseen: &e.unseen, onLedger: e.onLedger,
		clockMs: func() int64 { return time.Now().UnixMilli() },
		referenceMs: func() int64 {
			due, _ := e.store.Due(ledger.SystemChain)
			return due.PreviousReferenceMs
		},
		turn: e.tickTurn, ask: e.askTick, note: e.noteTick,
	}
}

// runTicks calls step until ctx ends.
func (e *Endorser) runTicks(ctx context.Context) {
	every := time.NewTicker(tickCheck)
	defer every.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case now := <-every.C:
			if err := e.ticks.step(ctx, now); err != nil && unsound(err) {
				e.stopSigning(err)
				return
			}
		}
	}
}

// tickTurn is the place of the organisation among those of the network, so that not all ask at once for what one Tick
// does for all.
func (e *Endorser) tickTurn() int {
	n, err := rules.GetNetwork(e.store)
	if err != nil || n == nil {
		return 0
	}
	return max(0, slices.Index(n.Organisations, e.organisation))
}

// noteTick counts an attempt and logs it.
func (e *Endorser) noteTick(outcome tickOutcome, err error) {
	e.metrics.ticks.WithLabelValues(string(outcome)).Inc()
	if err != nil {
		e.log.Warn("a signature of this endorser was kept back, and the Tick that would end it was not written",
			"outcome", string(outcome), "error", err)
		return
	}
	e.log.Info("a signature of this endorser did not come to the ledger; a Tick has ended it")
}

// censoredText is a sentence while the nodes have ordered no Tick for too long; else empty.
func (e *Endorser) censoredText() string {
	lasts := e.ticks.censored(time.Now())
	if lasts == 0 {
		return ""
	}
	return fmt.Sprintf("censored: for %v no node has ordered a Tick that more than half of the organisations endorsed, so "+
		"that signatures which were kept back go on counting; the node that leads leaves it out, or cannot order: see ltl "+
		"status, and give the leadership to a node of another organisation", lasts.Round(time.Second))
}

// askTick makes a Tick, has the endorsers of all organisations endorse it, and has it ordered.
func (e *Endorser) askTick(ctx context.Context) (tickOutcome, error) {
	ctx, cancel := context.WithTimeout(ctx, tickTimeout)
	defer cancel()
	batch, err := e.endorsedTick(ctx)
	if err != nil {
		return tickUnendorsed, err
	}
	// Only the node that leads orders it. All are asked, so that no word about who leads has to be believed.
	answers := make(chan error, len(*e.sources.Load()))
	var group sync.WaitGroup
	defer group.Wait()
	defer cancel()
	for _, n := range *e.sources.Load() {
		group.Go(func() { answers <- submitTick(ctx, n, batch) })
	}
	var errs []error
	for range cap(answers) {
		err := <-answers
		if err == nil {
			return tickOrdered, nil
		}
		errs = append(errs, err)
	}
	return tickUnordered, errors.Join(errs...)
}

// submitTick has one node order a Tick. One that was not needed any more is as good.
func submitTick(ctx context.Context, n *source, batch *ltlv1.Batch) error {
	out, err := ltlv1.NewOrdererClient(n.conn).Submit(ctx, &ltlv1.SubmitRequest{Batch: batch})
	switch code := firstResult(out.GetResults()).GetCode(); {
	case err != nil:
		return fmt.Errorf("node %s: %w", n.ID, err)
	case code != rules.OK && code != rules.Conflict:
		return fmt.Errorf("node %s answers %d to it", n.ID, code)
	}
	return nil
}

func firstResult(results []*ltlv1.Result) *ltlv1.Result {
	if len(results) == 0 {
		return nil
	}
	return results[0]
}

// endorsedTick returns a Tick with endorsements of more than half of the organisations, all with clocks that may stand
// together.
func (e *Endorser) endorsedTick(ctx context.Context) (*ltlv1.Batch, error) {
	own := e.cfg.Credentials.Identity()
	tx := &ltlv1.Transaction{Version: 1, ChainId: ledger.SystemChain, Submitter: own.String(),
		CreatedMs: time.Now().UnixMilli(), Nonce: make([]byte, rules.NonceLen), Action: &ltlv1.Transaction_Tick{Tick: &ltlv1.Tick{}}}
	_, _ = rand.Read(tx.Nonce) // it never fails
	payload, err := proto.MarshalOptions{Deterministic: true}.Marshal(tx)
	if err != nil {
		return nil, err
	}
	in := &ltlv1.EndorseRequest{ChainId: ledger.SystemChain, Transactions: [][]byte{payload}}
	n, err := rules.GetNetwork(e.store)
	if err != nil {
		return nil, err
	}
	votes, errs := make([]tickVote, len(n.Organisations)), make([]error, len(n.Organisations))
	var group sync.WaitGroup
	for i, o := range n.Organisations {
		group.Go(func() { votes[i], errs[i] = e.tickVote(ctx, o, own, in) })
	}
	group.Wait()
	agreed := together(votes)
	if 2*len(agreed) <= len(n.Organisations) {
		return nil, fmt.Errorf("%d of %d organisations endorsed it with clocks that agree: %w", len(agreed), len(n.Organisations),
			errors.Join(errs...))
	}
	return &ltlv1.Batch{ChainId: ledger.SystemChain, Transactions: in.Transactions, Endorsements: agreed}, nil
}

// tickVote is an endorsement of a Tick, with the clock that it states; the zero value is none.
type tickVote struct {
	clockMs int64
	by      *ltlv1.Endorsement
}

// tickVote returns the endorsement of one organisation. One that would not count is an error: it must not look as if
// the nodes refused what was endorsed.
func (e *Endorser) tickVote(ctx context.Context, organisation string, own identity.Identity, in *ltlv1.EndorseRequest) (
	tickVote, error) {
	var out *ltlv1.EndorseResponse
	var err error
	if organisation == e.organisation {
		out, err = e.judge(own, in)
	} else {
		out, err = e.askEndorser(ctx, organisation, in)
	}
	if err == nil && out.GetEndorsement() == nil {
		err = fmt.Errorf("it is refused: %d %q", out.GetCodes(), out.GetReasons())
	}
	if err != nil {
		return tickVote{}, fmt.Errorf("the endorser of %s: %w", organisation, err)
	}
	by, err := rules.GetOrganisation(e.store, organisation)
	if err != nil || by == nil {
		return tickVote{}, errors.Join(err, errNoVote)
	}
	root := ledger.BatchRoot([]ledger.Hash{ledger.TransactionID(in.GetTransactions()[0])})
	s, err := ledger.ParseEndorsement(out.GetEndorsement(), in.GetChainId(), root, 1)
	if err != nil || s.Organisation != organisation || !s.Accepts(0) || s.KeyID != ledger.KeyID(by.EndorserKey) ||
		s.NetworkID != e.store.NetworkID() || ledger.VerifyEndorsement(by.EndorserKey, out.GetEndorsement()) != nil {
		return tickVote{}, fmt.Errorf("the endorser of %s: %w", organisation, errNoVote)
	}
	return tickVote{s.ClockMs, out.GetEndorsement()}, nil
}

var errNoVote = errors.New("its endorsement would not count")

// askEndorser asks over a connection of its own: this happens so rarely that none is kept.
func (e *Endorser) askEndorser(ctx context.Context, organisation string, in *ltlv1.EndorseRequest) (
	out *ltlv1.EndorseResponse, err error) {
	known, ok := e.cfg.Trust.Organisation(organisation)
	if !ok {
		return nil, errors.New("it is not known")
	}
	conn, err := grpc.NewClient(known.GetEndorserAddress(),
		e.cfg.Credentials.DialOptions(identity.RoleEndorser, organisation)...)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, conn.Close()) }()
	ctx, cancel := context.WithTimeout(ctx, tickTimeout/2)
	defer cancel()
	return ltlv1.NewEndorserClient(conn).Endorse(ctx, in)
}

// together returns the most endorsements whose clocks may stand in one batch.
func together(votes []tickVote) (most []*ltlv1.Endorsement) {
	for _, first := range votes {
		var group []*ltlv1.Endorsement
		for _, v := range votes {
			if apart := v.clockMs - first.clockMs; v.by != nil && apart >= 0 && apart <= rules.MaxClockSpreadMs {
				group = append(group, v.by)
			}
		}
		if first.by != nil && len(group) > len(most) {
			most = group
		}
	}
	return most
}
