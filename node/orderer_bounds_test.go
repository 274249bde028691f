package node

import (
	"math/rand/v2"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"ltl/internal/admission"
	"ltl/internal/rules"
	ltlv1 "ltl/proto/ltl/v1"
)

// TestEntryBoundsTransactions: many batches of the smallest transactions fit an entry by their bytes, but not what
// execution remembers of them.
func TestEntryBoundsTransactions(t *testing.T) {
	small := &ltlv1.Batch{Transactions: make([][]byte, rules.MaxBatchTransactions)}
	o := &orderer{}
	for range 100 {
		o.queue = append(o.queue, &orderRequest{batch: small, size: 3 * rules.MaxBatchTransactions})
	}
	left := len(o.queue)
	for len(o.queue) > 0 {
		group := o.takeLocked()
		if n := len(group) * rules.MaxBatchTransactions; n == 0 || n > maxEntryTransactions || (n < maxEntryTransactions &&
			len(o.queue) > 0) {
			t.Fatalf("an entry of %d transactions, %d batches wait", n, len(o.queue))
		}
		left -= len(group)
	}
	if left != 0 {
		t.Errorf("%d batches are lost", left)
	}
}

// TestCallersShareTheQueue: a caller that has its part of the leader's queue is refused, and others are served.
func TestCallersShareTheQueue(t *testing.T) {
	c := newCluster(t, nil)
	leader := c.leader()
	o := c.node(leader).replica.order
	creds, _ := c.credentials("facades", "f1")
	name, organisation := creds.Identity().String(), creds.Identity().Organisation
	batch := c.world.batch(c.world.chain, c.world.record(rand.New(rand.NewPCG(1, 1)), "x"))
	submit := func(kind, name string) error {
		_, err := ltlv1.NewOrdererClient(c.conn(leader, kind, name)).Submit(t.Context(),
			&ltlv1.SubmitRequest{Batch: batch})
		return err
	}
	for what, shares := range map[string]*admission.Shares{"items": o.callerItems, "bytes": o.callerBytes} {
		all := map[string]int64{"items": maxQueueItems, "bytes": maxQueueBytes}[what] / 2
		if !shares.Take(name, organisation, all) {
			t.Fatalf("%s: half of the queue is no caller's part", what)
		}
		if err := submit("facades", "f1"); status.Code(err) != codes.ResourceExhausted {
			t.Errorf("%s: beyond the caller's part: %v, want ResourceExhausted", what, err)
		}
		if err := submit("clients", "bench"); err != nil {
			t.Errorf("%s: another caller: %v", what, err)
		}
		shares.Give(name, organisation, all)
		if err := submit("facades", "f1"); err != nil || shares.Used() != 0 {
			t.Errorf("%s: afterwards: %v, %d are taken", what, err, shares.Used())
		}
	}
	operator, _ := c.credentials("operator")
	name, organisation = operator.Identity().String(), operator.Identity().Organisation
	put := func() error {
		_, err := ltlv1.NewOperatorClient(c.conn(leader, "operator")).PutSealed(t.Context(),
			&ltlv1.PutSealedRequest{AccessKeyId: "none", Sealed: sealed("none", 1)})
		return err
	}
	o.callerItems.Take(name, organisation, maxQueueItems/2)
	if err := put(); status.Code(err) != codes.ResourceExhausted {
		t.Errorf("a sealed secret beyond the caller's part: %v, want ResourceExhausted", err)
	}
	o.callerItems.Give(name, organisation, maxQueueItems/2)
	if err := put(); err != nil || o.callerItems.Used() != 0 {
		t.Errorf("a sealed secret afterwards: %v, %d are taken", err, o.callerItems.Used())
	}
}
