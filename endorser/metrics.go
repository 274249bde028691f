package endorser

import (
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"ltl/internal/admin"
	"ltl/internal/query"
	"ltl/internal/rules"
)

// metrics are an endorser's counters.
type metrics struct {
	registry   *prometheus.Registry
	endorsed   prometheus.Counter
	refused    *prometheus.CounterVec
	overloaded prometheus.Counter
	seconds    prometheus.Histogram
	batches    prometheus.Histogram
	appended   prometheus.Counter
	clock      prometheus.Counter
	switches   prometheus.Counter
	ticks      *prometheus.CounterVec
}

func newMetrics(e *Endorser) *metrics {
	m := &metrics{
		registry:   prometheus.NewRegistry(),
		endorsed:   counter("endorsed_transactions_total", "Transactions that were signed."),
		overloaded: counter("overloaded_proposals_total", "Proposals that were refused because too many were waiting."),
		appended:   counter("verified_blocks_total", "Blocks that were executed again and stored since the start."),
		clock: counter("clock_refusals_total",
			"Proposals that were not signed because the clock of this machine seems wrong."),
		ticks: prometheus.NewCounterVec(prometheus.CounterOpts{
			Namespace: "ltl", Subsystem: "endorser", Name: "ticks_total",
			Help: "Ticks that were asked for because a signature was kept back, by outcome.",
		}, []string{"outcome"}),
		switches: counter("follow_attempts_total", "Attempts to follow a node's blocks."),
		refused: prometheus.NewCounterVec(prometheus.CounterOpts{
			Namespace: "ltl", Subsystem: "endorser", Name: "refused_transactions_total",
			Help: "Transactions that were refused, by result code.",
		}, []string{"code"}),
		seconds: prometheus.NewHistogram(prometheus.HistogramOpts{
			Namespace: "ltl", Subsystem: "endorser", Name: "endorse_seconds",
			Help:    "Time from a proposal's arrival to its signature.",
			Buckets: prometheus.ExponentialBuckets(0.00025, 2, 14),
		}),
	}
	m.batches = prometheus.NewHistogram(prometheus.HistogramOpts{
		Namespace: "ltl", Subsystem: "endorser", Name: "proposal_transactions", Help: "Transactions in a proposal.",
		Buckets: prometheus.ExponentialBuckets(1, 4, 7),
	})
	for _, outcome := range []tickOutcome{tickOrdered, tickUnendorsed, tickUnordered} {
		m.ticks.WithLabelValues(string(outcome)) // exported from the start
	}
	m.registry.MustRegister(m.batches, m.endorsed, m.refused, m.overloaded, m.seconds, m.appended, m.switches,
		m.clock, m.ticks,
		gauge("withheld_seconds", "By how much the oldest signature that was kept back has outlived its two minutes.",
			func() float64 { return e.ticks.withheldFor().Seconds() }),
		gauge("censored", "1 while the nodes order no Tick that most organisations endorsed, for five minutes.", func() float64 {
			if e.censoredText() != "" {
				return 1
			}
			return 0
		}),
		gauge("lag_blocks", "Blocks that the nodes have and this copy does not have yet.", e.lag),
		gauge("fault", "1 when the endorser has stopped signing.", func() float64 {
			if e.faultText() != "" {
				return 1
			}
			return 0
		}),
		gauge("device_keys", "Devices whose secret keys this endorser holds.", func() float64 {
			if e.devices == nil {
				return 0
			}
			return float64(e.devices.count())
		}),
		gauge("queue_proposals", "Proposals that wait or are being judged.", func() float64 {
			return float64(e.queue.places.Used() + e.waiting.places.Used())
		}),
		gauge("following", "1 while a node's blocks are followed.", func() float64 {
			if e.following.Load() == nil {
				return 0
			}
			return 1
		}),
		admin.CertificateExpiry(e.cfg.Credentials.CertificateExpiry),
	)
	m.registry.MustRegister(admin.ClockSkew(e.clock.Skew)...)
	m.registry.MustRegister(admin.NetworkAhead(func() time.Duration { return e.clock.Behind(query.NetworkMs(e.store)) }))
	return m
}

func counter(name, help string) prometheus.Counter {
	return prometheus.NewCounter(prometheus.CounterOpts{Namespace: "ltl", Subsystem: "endorser", Name: name, Help: help})
}

func gauge(name, help string, read func() float64) prometheus.GaugeFunc {
	return prometheus.NewGaugeFunc(prometheus.GaugeOpts{Namespace: "ltl", Subsystem: "endorser", Name: name, Help: help},
		read)
}

// lag returns how many blocks the copy is behind the highest sequence that a node reported.
func (e *Endorser) lag() float64 {
	if e.store == nil {
		return 0
	}
	have, want := e.store.Sequence(), e.target.Load()
	if have >= want {
		return 0
	}
	return float64(want - have)
}

// judged counts the verdicts on one proposal.
func (m *metrics) judged(codes []int32, took time.Duration) {
	m.seconds.Observe(took.Seconds())
	m.batches.Observe(float64(len(codes)))
	signed := 0
	for _, code := range codes {
		if code == rules.OK {
			signed++
			continue
		}
		m.refused.WithLabelValues(strconv.Itoa(int(code))).Inc()
	}
	m.endorsed.Add(float64(signed))
}
