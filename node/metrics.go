package node

import (
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"ltl/internal/rules"
	ltlv1 "ltl/proto/ltl/v1"
)

// metrics are what a node counts. Gauges are read when somebody asks, so they cost nothing in between.
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
}

func newMetrics() *metrics {
	m := &metrics{
		registry: prometheus.NewRegistry(),
		latency: prometheus.NewHistogram(prometheus.HistogramOpts{Name: "ltl_commit_seconds", Help: "Time from the queue to the executed result.",
			Buckets: prometheus.ExponentialBuckets(0.001, 2, 14)}),
		batches: prometheus.NewHistogram(prometheus.HistogramOpts{Name: "ltl_entry_batches", Help: "Batches in a proposed entry.",
			Buckets: prometheus.ExponentialBuckets(1, 2, 11)}),
		bytes: prometheus.NewHistogram(prometheus.HistogramOpts{Name: "ltl_entry_bytes", Help: "Size of a proposed entry.",
			Buckets: prometheus.ExponentialBuckets(256, 4, 8)}),
		groupSize: prometheus.NewHistogram(prometheus.HistogramOpts{Name: "ltl_apply_entries", Help: "Entries executed in one database transaction.",
			Buckets: prometheus.ExponentialBuckets(1, 2, 6)}),
		entries:  prometheus.NewCounter(prometheus.CounterOpts{Name: "ltl_entries_total", Help: "Entries executed."}),
		full:     prometheus.NewCounter(prometheus.CounterOpts{Name: "ltl_overloaded_total", Help: "Batches refused because the queue was full."}),
		refusals: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "ltl_refused_total", Help: "Transactions refused before they were ordered, by code."}, []string{"code"}),
		outcomes: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "ltl_results_total", Help: "Transactions answered by this leader, by result code."}, []string{"code"}),
	}
	m.registry.MustRegister(m.latency, m.batches, m.bytes, m.groupSize, m.entries, m.full, m.refusals, m.outcomes)
	return m
}

// proposed counts an entry on its way.
func (m *metrics) proposed(batches, bytes int) {
	m.batches.Observe(float64(batches))
	m.bytes.Observe(float64(bytes))
}

// applied counts a group of executed entries.
func (m *metrics) applied(entries int) {
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

// overloaded counts a batch that found the queue full.
func (m *metrics) overloaded() { m.full.Inc() }

// watchReplica adds the gauges that are read from a running node.
func (m *metrics) watchReplica(r *replica, certificateExpiry func() time.Time) {
	gauge := func(name, help string, value func() float64) {
		m.registry.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: name, Help: help}, value))
	}
	gauge("ltl_raft_state", "0 follower, 1 candidate, 2 leader, 3 shut down.", func() float64 { return float64(r.state().state) })
	gauge("ltl_raft_term", "Raft's term.", func() float64 { return float64(r.state().term) })
	gauge("ltl_raft_commit_index", "Newest committed Raft entry.", func() float64 { return float64(r.state().commit) })
	gauge("ltl_raft_last_index", "Newest stored Raft entry.", func() float64 { return float64(r.state().newest) })
	gauge("ltl_applied_index", "Newest Raft entry that the ledger holds.", func() float64 { return float64(r.store.AppliedIndex()) })
	gauge("ltl_sequence", "Blocks executed over all chains.", func() float64 { return float64(r.store.Sequence()) })
	gauge("ltl_catching_up", "1 while blocks are fetched from peers.", func() float64 {
		if r.fsm.catchUp.busy() {
			return 1
		}
		return 0
	})
	gauge("ltl_queue_batches", "Batches that wait to be ordered.", func() float64 { n, _ := r.order.depth(); return float64(n) })
	gauge("ltl_queue_bytes", "Bytes that wait to be ordered.", func() float64 { _, n := r.order.depth(); return float64(n) })
	gauge("ltl_endorsements_remembered", "Endorsements that were found verified already.", func() float64 { hits, _ := r.verify.counts(); return float64(hits) })
	gauge("ltl_endorsements_verified", "Endorsement signatures that were computed.", func() float64 { _, n := r.verify.counts(); return float64(n) })
	gauge("ltl_certificate_expiry_seconds", "End of this node's certificate, in seconds since 1970.", func() float64 { return float64(certificateExpiry().Unix()) })
	m.registry.MustRegister(&heights{r: r, height: prometheus.NewDesc("ltl_chain_height", "Height of a chain.", []string{"chain"}, nil)})
}

// heights tells the height of each chain; chains come and go by transactions, so they are listed at each reading.
type heights struct {
	r      *replica
	height *prometheus.Desc
}

// Describe implements prometheus.Collector.
func (h *heights) Describe(c chan<- *prometheus.Desc) { c <- h.height }

// Collect implements prometheus.Collector.
func (h *heights) Collect(c chan<- prometheus.Metric) {
	for _, t := range h.r.store.Tips() {
		c <- prometheus.MustNewConstMetric(h.height, prometheus.GaugeValue, float64(t.Header.Height), t.ChainID)
	}
}
