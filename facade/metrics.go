package facade

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// unknownAction is the label of calls that were refused before their Action was known.
const unknownAction = "unknown"

// metrics counts calls by Action and code.
type metrics struct {
	registry *prometheus.Registry
	calls    *prometheus.CounterVec
	seconds  *prometheus.HistogramVec
	// ok and took are the counters of successful calls and durations by Action; the maps do not change after newMetrics.
	ok   map[string]prometheus.Counter
	took map[string]prometheus.Observer
}

// newMetrics registers the metrics. Each Action has its series from the start, so that rates begin at 0.
func newMetrics(names []string, active func() float64) *metrics {
	m := &metrics{
		registry: prometheus.NewRegistry(),
		calls: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "ltl_facade_calls_total", Help: "API calls by Action and result code.",
		}, []string{"action", "code"}),
		seconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "ltl_facade_call_seconds", Help: "Duration of API calls by Action.",
			Buckets: []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10},
		}, []string{"action"}),
		ok:   map[string]prometheus.Counter{},
		took: map[string]prometheus.Observer{},
	}
	m.registry.MustRegister(m.calls, m.seconds, prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "ltl_facade_active_calls", Help: "API calls under way.",
	}, active))
	for _, name := range append(names, unknownAction) {
		m.ok[name] = m.calls.WithLabelValues(name, "200")
		m.took[name] = m.seconds.WithLabelValues(name)
	}
	return m
}

// observe counts one call.
func (m *metrics) observe(r *response, took time.Duration) {
	name := r.action
	if name == "" {
		name = unknownAction
	}
	m.took[name].Observe(took.Seconds())
	if r.gateway == nil && r.refusal == nil {
		m.ok[name].Inc()
		return
	}
	m.calls.WithLabelValues(name, metricCode(r)).Inc()
}

// metricCode is the label of a result code. Codes with the name of a parameter share one label, to bound the number
// of series.
func metricCode(r *response) string {
	if r.gateway != nil && (r.gateway.row == codeMissing || r.gateway.row == codeInvalid) {
		return codeParameter
	}
	return r.code()
}

// watchFalseAnswers adds the metric of verified reads.
func (m *metrics) watchFalseAnswers(caught func() uint64) {
	m.registry.MustRegister(prometheus.NewCounterFunc(prometheus.CounterOpts{Name: "ltl_facade_false_answers_total",
		Help: "Answers of nodes to verified reads that were false; the log names the nodes."},
		func() float64 { return float64(caught()) }))
}

// watchKeys adds the metrics of the AccessKeys.
func (m *metrics) watchKeys(keys *keyring) {
	m.registry.MustRegister(
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "ltl_facade_access_keys",
			Help: "AccessKeys that can be used here, including disabled ones."},
			func() float64 { known, _ := keys.status(); return float64(known) }),
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "ltl_facade_access_key_watch_age_seconds",
			Help: "Time since the organisation's endorser was last heard; above 15, every call is refused.",
		}, func() float64 { _, age := keys.status(); return age.Seconds() }),
	)
}
