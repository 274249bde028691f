package node

import (
	"math"
	"os"
	"strconv"
	"time"

	"github.com/hashicorp/raft"
	"github.com/prometheus/client_golang/prometheus"

	"ltl/internal/admin"
	"ltl/internal/query"
	"ltl/internal/rules"
	ltlv1 "ltl/proto/ltl/v1"
)

// metrics are a node's counters. Gauges are read at scrape time, so they cost nothing in between.
type metrics struct {
	registry  *prometheus.Registry
	latency   prometheus.Histogram
	batches   prometheus.Histogram
	bytes     prometheus.Histogram
	entries   prometheus.Counter
	full      prometheus.Counter
	refusals  *prometheus.CounterVec
	outcomes  *prometheus.CounterVec
	groupSize prometheus.Histogram
	queued    prometheus.Histogram
	executing prometheus.Histogram
	leaders   prometheus.Counter
}

func newMetrics() *metrics {
	m := &metrics{
		registry: prometheus.NewRegistry(),
		latency: prometheus.NewHistogram(prometheus.HistogramOpts{Name: "ltl_commit_seconds",
			Help:    "Time from the queue to the executed result.",
			Buckets: prometheus.ExponentialBuckets(0.001, 2, 14)}),
		batches: prometheus.NewHistogram(prometheus.HistogramOpts{Name: "ltl_entry_batches",
			Help:    "Batches in a proposed entry.",
			Buckets: prometheus.ExponentialBuckets(1, 2, 11)}),
		bytes: prometheus.NewHistogram(prometheus.HistogramOpts{Name: "ltl_entry_bytes", Help: "Size of a proposed entry.",
			Buckets: prometheus.ExponentialBuckets(256, 4, 8)}),
		queued: prometheus.NewHistogram(prometheus.HistogramOpts{Name: "ltl_queue_seconds",
			Help:    "The part of ltl_commit_seconds from the queue to the proposal of an entry.",
			Buckets: prometheus.ExponentialBuckets(0.0005, 2, 14)}),
		executing: prometheus.NewHistogram(prometheus.HistogramOpts{Name: "ltl_execute_seconds",
			Help:    "Time to execute committed entries and make them durable, one database transaction.",
			Buckets: prometheus.ExponentialBuckets(0.0005, 2, 14)}),
		leaders: prometheus.NewCounter(prometheus.CounterOpts{Name: "ltl_raft_leader_changes_total",
			Help: "Times that this node learned of a leader after an election."}),
		groupSize: prometheus.NewHistogram(prometheus.HistogramOpts{Name: "ltl_apply_entries",
			Help:    "Entries executed in one database transaction.",
			Buckets: prometheus.ExponentialBuckets(1, 2, 6)}),
		entries: prometheus.NewCounter(prometheus.CounterOpts{Name: "ltl_entries_total", Help: "Entries executed."}),
		full: prometheus.NewCounter(prometheus.CounterOpts{Name: "ltl_overloaded_total",
			Help: "Batches refused because the queue was full."}),
		refusals: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "ltl_refused_total",
			Help: "Transactions refused before they were ordered, by code."}, []string{"code"}),
		outcomes: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "ltl_results_total",
			Help: "Transactions answered by this leader, by result code."}, []string{"code"}),
	}
	// present from the start, so that rate() sees the first increase
	m.refusals.WithLabelValues(strconv.Itoa(int(rules.NotEndorsed)))
	m.registry.MustRegister(m.latency, m.batches, m.bytes, m.groupSize, m.entries, m.full, m.refusals, m.outcomes,
		m.queued, m.executing, m.leaders)
	return m
}

// replicating counts an entry that is passed to raft.
func (m *metrics) replicating(batches, bytes int) {
	m.batches.Observe(float64(batches))
	m.bytes.Observe(float64(bytes))
}

// dequeued counts a batch that left the queue after the given wait.
func (m *metrics) dequeued(waited time.Duration) { m.queued.Observe(waited.Seconds()) }

// applied counts a group of entries that was executed in one database transaction.
func (m *metrics) applied(entries int, took time.Duration) {
	m.executing.Observe(took.Seconds())
	m.groupSize.Observe(float64(entries))
	m.entries.Add(float64(entries))
}

// committed counts an answered batch.
func (m *metrics) committed(took time.Duration, results []*ltlv1.Result) {
	m.latency.Observe(took.Seconds())
	ok := 0
	for _, r := range results {
		if r.GetCode() == rules.OK {
			ok++
			continue
		}
		m.outcomes.WithLabelValues(strconv.Itoa(int(r.GetCode()))).Inc()
	}
	m.outcomes.WithLabelValues(strconv.Itoa(int(rules.OK))).Add(float64(ok))
}

// refused counts a transaction that was not ordered.
func (m *metrics) refused(code int32) { m.refusals.WithLabelValues(strconv.Itoa(int(code))).Inc() }

// overloaded counts a batch that was refused because the queue was full.
func (m *metrics) overloaded() { m.full.Inc() }

// watchLeaders counts the leader changes that raft reports. The filter counts them; no observation is sent on.
func (m *metrics) watchLeaders(r *raft.Raft) {
	r.RegisterObserver(raft.NewObserver(nil, false, func(o *raft.Observation) bool {
		if l, ok := o.Data.(raft.LeaderObservation); ok && l.LeaderID != "" {
			m.leaders.Inc()
		}
		return false
	}))
}

// watchNode registers the metrics that are read from a running node at scrape time.
func (m *metrics) watchNode(n *Node) {
	r := n.replica
	gauge := func(name, help string, value func() float64) {
		m.registry.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: name, Help: help}, value))
	}
	counter := func(name, help string, value func() uint64) {
		m.registry.MustRegister(prometheus.NewCounterFunc(prometheus.CounterOpts{Name: name, Help: help},
			func() float64 { return float64(value()) }))
	}
	gauge("ltl_raft_state", "0 follower, 1 candidate, 2 leader, 3 shut down.",
		func() float64 { return float64(r.state().state) })
	gauge("ltl_raft_leader_known", "1 while this node knows a leader.",
		func() float64 { return one(r.state().leader != "") })
	gauge("ltl_raft_term", "Raft's term.", func() float64 { return float64(r.state().term) })
	gauge("ltl_raft_commit_index", "Newest Raft entry that this node knows to be committed.",
		func() float64 { return float64(r.state().commit) })
	gauge("ltl_raft_last_index", "Newest stored Raft entry.", func() float64 { return float64(r.state().newest) })
	gauge("ltl_raft_applied_index", "Newest Raft entry that the ledger holds.",
		func() float64 { return float64(r.store.AppliedIndex()) })
	gauge("ltl_catching_up", "1 while blocks are fetched from peers.", func() float64 { return one(r.fsm.catchUp.busy()) })
	gauge("ltl_queue_batches", "Batches that wait to be ordered.",
		func() float64 { n, _, _ := r.order.depth(); return float64(n) })
	gauge("ltl_queue_bytes", "Bytes that wait to be ordered.",
		func() float64 { _, n, _ := r.order.depth(); return float64(n) })
	gauge("ltl_entries_in_flight", "Entries that were proposed and are not answered yet.",
		func() float64 { _, _, n := r.order.depth(); return float64(n) })
	gauge("ltl_raft_log_bytes", "Size of the Raft log's file.", func() float64 {
		if info, err := os.Stat(n.path(raftLogName)); err == nil {
			return float64(info.Size())
		}
		return math.NaN() // the file is gone, and the next write ends the process
	})
	gauge("ltl_raft_log_free_pages", "Free pages of the Raft log's file, which are used before the file grows (bbolt's "+
		"freelist).", func() float64 {
		stats := n.log.bolt.Stats()
		return float64(stats.FreePageN + stats.PendingPageN)
	})
	counter("ltl_endorsements_remembered_total", "Endorsements that were found verified already.",
		func() uint64 { hits, _ := r.endorsements.Counts(); return hits })
	counter("ltl_endorsements_verified_total", "Endorsement signatures that were computed.",
		func() uint64 { _, misses := r.endorsements.Counts(); return misses })
	gauge("ltl_rebuilding", "1 while a damaged ledger is rebuilt.", func() float64 { return one(n.rebuild.now() != nil) })
	m.registry.MustRegister(admin.CertificateExpiry(n.cfg.Credentials.CertificateExpiry), n.store.Collector())
	m.registry.MustRegister(n.scrubber.Collectors()...)
	m.registry.MustRegister(append(n.evidence.Collectors(), admin.Unrecorded(n.unrecordedText))...)
	m.registry.MustRegister(admin.ClockSkew(n.clock.Skew)...)
	m.registry.MustRegister(admin.NetworkAhead(func() time.Duration { return n.clock.Behind(query.NetworkMs(n.store)) }))
}

// one returns 1 for true and 0 for false.
func one(is bool) float64 {
	if is {
		return 1
	}
	return 0
}
