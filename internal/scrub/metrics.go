package scrub

import "github.com/prometheus/client_golang/prometheus"

// metrics are the counters and gauges of a Scrubber.
type metrics struct {
	scrubs, damages, repaired, openings prometheus.Counter
	seconds                             prometheus.Gauge
	unrepaired, lacking                 prometheus.GaugeFunc
}

func newMetrics(s *Scrubber) *metrics {
	counter := func(name, help string) prometheus.Counter {
		return prometheus.NewCounter(prometheus.CounterOpts{Namespace: "ltl", Subsystem: "scrub", Name: name, Help: help})
	}
	return &metrics{
		scrubs:   counter("rounds_total", "Complete reads and checks of the stored ledger since the start."),
		damages:  counter("damages_total", "Damages of stored bytes; one that is found again counts again."),
		repaired: counter("repaired_blocks_total", "Damaged blocks that were repaired from another copy."),
		openings: prometheus.NewCounter(prometheus.CounterOpts{Namespace: "ltl", Subsystem: "openings",
			Name: "fetched_blocks_total", Help: "Blocks whose lacking values were fetched from another copy."}),
		lacking: prometheus.NewGaugeFunc(prometheus.GaugeOpts{Namespace: "ltl", Subsystem: "openings", Name: "lacking_blocks",
			Help: "Blocks of which values are not here, although this process may read them."},
			func() float64 { return float64(s.lackingBlocks()) }),
		seconds: prometheus.NewGauge(prometheus.GaugeOpts{Namespace: "ltl", Subsystem: "scrub", Name: "seconds",
			Help: "How long the last scrub took."}),
		unrepaired: prometheus.NewGaugeFunc(prometheus.GaugeOpts{Namespace: "ltl", Subsystem: "scrub", Name: "unrepaired",
			Help: "Known damages of the stored ledger that are not repaired."}, func() float64 { return float64(s.unrepaired()) }),
	}
}

// Collectors are the metrics, to be registered.
func (s *Scrubber) Collectors() []prometheus.Collector {
	m := s.metrics
	return []prometheus.Collector{m.scrubs, m.damages, m.repaired, m.seconds, m.unrepaired, m.openings, m.lacking}
}
