package admission

import (
	"log/slog"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Reasons for which a connection or a call is refused; labels of a metric.
const (
	reasonConnections = "connections"
	reasonHandshakes  = "handshakes"
	reasonAddress     = "address"
	reasonIdentity    = "identity"
	reasonCalls       = "calls"
	reasonMessage     = "message_size"
	reasonUnfinished  = "unfinished_messages"
	reasonSlow        = "slow_message"
	reasonProtocol    = "protocol"
)

// reasons are all of them: each has its series from the start.
func reasons() []string {
	return []string{reasonConnections, reasonHandshakes, reasonAddress, reasonIdentity, reasonCalls, reasonMessage,
		reasonUnfinished, reasonSlow, reasonProtocol}
}

// Gate bounds what the callers of one gRPC server take. Its methods may be called concurrently.
type Gate struct {
	logger      *slog.Logger
	connections *Shares
	addresses   *Shares // the group is the same for all
	calls       *Shares
	messages    *Shares
	nodes       *Shares // of messages, for nodes: others must not delay them
	handshakes  int     // bound on unfinished handshakes
	perAddress  int     // and on those from one address

	refused *prometheus.CounterVec

	mu      sync.Mutex
	pending []*Conn              // without a certificate yet, the oldest first
	intakes map[*Intake]struct{} // of open connections

	log    sync.Mutex
	logged map[string]time.Time // when a reason was logged last
	folded map[string]int       // how often it has come since
}

// NewGate returns a gate with the bounds of this package, fewer connections where this process may have few
// descriptors.
func NewGate(logger *slog.Logger) *Gate {
	n := Connections(maxConnections)
	half := int64(max(1, n/2))
	// Connections that have shown a certificate leave room for those that have not, and for organisations' own.
	known := int64(max(1, n*3/4))
	return &Gate{
		logger:      logger,
		connections: NewShares(known, max(perIdentity, int64(n/4)), half, max(ownConnections, int64(n/256))),
		addresses:   NewShares(int64(n), half, int64(n), 0),
		calls:       NewShares(maxCalls, callsPerIdentity, maxCalls*3/4, ownCalls),
		messages:    NewShares(maxUnfinished, maxUnfinished/4, maxUnfinished/2, ownUnfinished),
		nodes:       NewShares(maxUnfinished, maxUnfinished/2, maxUnfinished/2, ownOfNodes),
		handshakes:  max(1, min(maxHandshakes, n/2)),
		perAddress:  max(1, min(handshakesPerAddress, n/4)),
		refused: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "ltl_admission_refused_total",
			Help: "Connections, calls and messages that were refused because a caller took too much, by reason.",
		}, []string{"reason"}),
		intakes: map[*Intake]struct{}{}, logged: map[string]time.Time{}, folded: map[string]int{},
	}
}

// Collectors are the gate's metrics.
func (g *Gate) Collectors() []prometheus.Collector {
	for _, r := range reasons() {
		g.refused.WithLabelValues(r)
	}
	gauge := func(name, help string, read func() float64) prometheus.Collector {
		return prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: name, Help: help}, read)
	}
	return []prometheus.Collector{g.refused,
		gauge("ltl_admission_connections", "Open connections to the gRPC port, those in their handshake included.",
			func() float64 { return float64(g.addresses.Used()) }),
		gauge("ltl_admission_handshakes", "Connections that have shown no certificate yet.", func() float64 {
			g.mu.Lock()
			defer g.mu.Unlock()
			return float64(len(g.pending))
		}),
		gauge("ltl_admission_calls", "gRPC calls in progress.", func() float64 { return float64(g.calls.Used()) }),
		gauge("ltl_admission_unfinished_bytes", "Bytes of messages that have not arrived whole.",
			func() float64 { return float64(g.messages.Used() + g.nodes.Used()) }),
	}
}

// refuse counts a refusal and logs it, at most once in logInterval for each reason: callers decide how many there are.
func (g *Gate) refuse(reason string, args ...any) {
	g.refused.WithLabelValues(reason).Inc()
	now := time.Now()
	g.log.Lock()
	due := now.Sub(g.logged[reason]) >= logInterval
	more := g.folded[reason]
	if due {
		g.logged[reason], g.folded[reason] = now, 0
	} else {
		g.folded[reason]++
	}
	g.log.Unlock()
	if due {
		g.logger.Warn("a caller takes too much and is refused; docs/security.md has the bounds",
			append([]any{"reason", reason, "unreported", more}, args...)...)
	}
}
