package conformance

import (
	"fmt"
	"math/rand/v2"
	"os"
	"runtime"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"

	"ltl/client/device"
	ltlv1 "ltl/proto/ltl/v1"
)

// The number of concurrent sequences of testModel, and the number of all calls.
const (
	workers    = 16
	allCalls   = 10_000
	shortCalls = 800
)

// testModel makes random valid and invalid calls, in concurrent sequences with two chains each, and compares every
// response with a model in memory. At the end it reads everything. The network compares its ledgers when it stops.
// LTL_SEED repeats a run.
func (w *world) testModel(t *testing.T) {
	seed := rand.Uint64()
	if s := os.Getenv("LTL_SEED"); s != "" {
		var err error
		if seed, err = strconv.ParseUint(s, 10, 64); err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("LTL_SEED=%d", seed)
	calls := allCalls
	if testing.Short() {
		calls = shortCalls
	}
	var made atomic.Int64
	var all sync.WaitGroup
	for i := range workers {
		all.Go(func() {
			m := w.newModel(sequence{t}, rand.New(rand.NewPCG(seed, uint64(i))))
			m.run(calls / workers)
			made.Add(int64(m.calls))
		})
	}
	all.Wait()
	if n := made.Load(); n < int64(calls) && !t.Failed() {
		t.Errorf("only %d calls were made, want %d", n, calls)
	}
	t.Logf("%d calls", made.Load())
}

// sequence is one goroutine of a test: Fatal ends only this goroutine.
type sequence struct{ testing.TB }

// Fatal fails the test and ends the goroutine.
func (s sequence) Fatal(args ...any) {
	s.Helper()
	s.Error(args...)
	runtime.Goexit()
}

// Fatalf is Fatal with a format.
func (s sequence) Fatalf(format string, args ...any) {
	s.Helper()
	s.Errorf(format, args...)
	runtime.Goexit()
}

// newModel creates the chains and accounts of one sequence.
func (w *world) newModel(t testing.TB, r *rand.Rand) *model {
	t.Helper()
	m := &model{w: w, t: t, r: r, admin: w.user("the administrator")}
	m.users = []*user{m.admin}
	for i := range 4 {
		m.users = append(m.users, w.user(fmt.Sprintf("account %d", i+1)))
	}
	make := func(service ltlv1.ChainService, count, capacity int) *place {
		c := roomy(w.fresh("model"), service, m.admin)
		p := &place{memberQuota: 3, countQuota: count, capacityQuota: capacity, product: w.fresh("product")}
		c.MemberQuota, c.PhaseGroupQuota, c.PhaseQuota = uint64(p.memberQuota), groupQuota, phaseQuota
		c.CountQuota, c.CapacityQuotaBytes = uint64(count), uint64(capacity)
		p.chain = w.chain(c)
		for range 2 {
			id := w.iotID()
			p.ids = append(p.ids, id)
			p.devices = append(p.devices, w.enrol(p.chain, p.product, id, device.ECC))
		}
		p.members = []*entry{{user: m.admin}}
		return p
	}
	m.proof = make(ltlv1.ChainService_CHAIN_SERVICE_PROOF, 60+r.IntN(60), 6000+r.IntN(6000))
	m.colla = make(ltlv1.ChainService_CHAIN_SERVICE_COLLABORATION, 60+r.IntN(60), 4000+r.IntN(4000))
	m.proof.members[0].typeCode = w.typeCode(m.admin, m.proof.chain)
	return m
}

// run makes that many calls, and then reads everything.
func (m *model) run(calls int) {
	steps := []func(){
		m.createMember, m.lock, m.modifyMember, m.listMembers, m.listChains, m.capacity, m.registerGroup, m.authorize,
		m.listGroups,
		m.createPhases, m.createPhases, m.modifyPhases, m.listPhases, m.authorizePhases, m.authorizePhases, m.phaseResources,
		m.write, m.write, m.write, m.write, m.repeat, m.repeat, m.read, m.read, m.history, m.upload, m.upload, m.upload, m.upload, m.readPhase,
		m.readPhase,
	}
	for m.calls < calls {
		one(m.r, steps...)()
	}
	for _, k := range m.keys {
		var got, want []string
		for _, row := range m.call(m.admin, "GetHistoryDataList", params{"ProductKey": m.proof.code, "Key": k.key,
			"CurrentPage": "1", "PageSize": "100"}, "200").data().get("Data").items {
			got = append(got, row.str("value"))
		}
		for _, d := range slices.Backward(k.records) {
			want = append(want, d.data)
		}
		m.same("all of "+k.key, got, want)
	}
	for _, g := range m.phaseGroups {
		for _, p := range g.phases {
			for key, records := range p.keys {
				var got, want []string
				for _, row := range m.call(m.admin, "ListMPCoSPhaseHistory", m.on().with("PhaseGroupId", g.id, "PhaseId", p.id,
					"DataKey", key, "StartTime", "0",
					"EndTime", "9000000000000", "Num", "1", "Size", "100"), "200").rows() {
					got = append(got, row.str("DataValue"))
				}
				for _, d := range records {
					want = append(want, d.data)
				}
				m.same("all of "+key, got, want)
			}
		}
	}
}
