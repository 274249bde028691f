package facade

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// unknownAction labels calls that were refused before their Action was known.
const unknownAction = "unknown"

// metrics counts calls by Action and code.
type metrics struct {
	registry *prometheus.Registry
	calls    *prometheus.CounterVec
	seconds  *prometheus.HistogramVec
	// ok and took hold what the successful calls of each Action count with; they are not changed after newMetrics.
	ok   map[string]prometheus.Counter
	took map[string]prometheus.Observer
}

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

func (m *metrics) observe(a *answer, took time.Duration) {
	name := a.action
	if name == "" {
		name = unknownAction
	}
	m.took[name].Observe(took.Seconds())
	if a.gateway == nil && a.refusal == nil {
		m.ok[name].Inc()
		return
	}
	m.calls.WithLabelValues(name, metricCode(a)).Inc()
}

// metricCode keeps the number of series bounded: codes that carry a parameter's name count by their kind.
func metricCode(a *answer) string {
	if a.gateway == nil {
		return a.code()
	}
	if g := gateway(a.gateway.code); g.code == a.gateway.code {
		return a.gateway.code
	}
	return codeParameter
}

// watchKeys adds what is told of the AccessKeys.
func (m *metrics) watchKeys(r *keyring) {
	m.registry.MustRegister(
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "ltl_facade_access_keys", Help: "AccessKeys that are known, disabled ones too."},
			func() float64 { known, _ := r.standing(); return float64(known) }),
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "ltl_facade_access_key_watch_age_seconds", Help: "Time since the network last told of AccessKeys, be it that none has changed.",
		}, func() float64 { _, age := r.standing(); return age.Seconds() }),
	)
}
