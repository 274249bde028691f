package main

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"time"

	"github.com/spf13/cobra"

	"ltl/internal/admin"
	"ltl/internal/identity"
	"ltl/internal/scrub"
	"ltl/internal/tracing"
)

// defaultTraceRatio traces one request in a hundred.
const defaultTraceRatio = 0.01

// role holds the options of a long-running process: a node, an endorser or a facade.
type role struct {
	dir, identity, trust, listen, admin, metrics, traces string
	ratio                                                float64
}

// flags adds the options of a role; dataDir is empty for a role that keeps no data.
func (r *role) flags(cmd *cobra.Command, dataDir string) {
	f := cmd.Flags()
	f.String(flagConfig, "", "YAML file with these settings under the names of the options; docs/operate/install.md "+
		"lists them")
	f.StringVar(&r.identity, flagIdentity, "", "directory with this process's certificate and keys (required)")
	f.StringVar(&r.trust, flagTrust, "", "trust file of the network (required)")
	f.StringVar(&r.listen, "listen", "", "HOST:PORT to serve on (required)")
	f.StringVar(&r.admin, "admin", "", "loopback HOST:PORT of health, metrics and profiles; empty for none")
	f.StringVar(&r.metrics, "metrics-listen", "",
		"HOST:PORT of metrics over mutual TLS, for operators and clients of the own organisation; empty for none")
	f.StringVar(&r.traces, "trace-endpoint", "",
		"loopback HOST:PORT of an OpenTelemetry collector (OTLP over gRPC) that takes traces of writes; empty for none")
	f.Float64Var(&r.ratio, "trace-ratio", defaultTraceRatio,
		"share of requests that are traced, up to 1; the facade decides, other roles follow it")
	required := []string{flagIdentity, flagTrust, "listen"}
	if dataDir != "" {
		f.StringVar(&r.dir, flagDir, "", dataDir)
		required = append(required, flagDir)
	}
	cmd.PreRunE = func(cmd *cobra.Command, _ []string) error { return configure(cmd, required) }
}

// scrubFlag adds the option of roles that keep a ledger.
func scrubFlag(cmd *cobra.Command, interval *time.Duration) {
	cmd.Flags().DurationVar(interval, flagScrub, scrub.DefaultInterval,
		"pause between two readings of the whole stored ledger, which find and repair damage")
}

// process is what a role needs in addition to its options, loaded from its files.
type process struct {
	trust       *identity.Trust
	credentials *identity.Credentials
	metrics     admin.Metrics
	// tracer is nil when traces are not wanted.
	tracer *tracing.Tracer
	logger *slog.Logger
}

// run loads trust and credentials, checks that the certificate is one of the wanted role, and runs serve. Traces that
// are still held are sent when serve returns.
func (r *role) run(want identity.Role, serve func(p *process) error) (err error) {
	p := &process{logger: roleLogger()}
	slog.SetDefault(p.logger) // for parts without a logger of their own
	if p.trust, err = identity.LoadTrust(r.trust); err != nil {
		return err
	}
	if p.credentials, err = identity.LoadCredentials(r.identity, p.trust, identity.WithLogger(p.logger)); err != nil {
		return err
	}
	id := p.credentials.Identity()
	if id.Role != want {
		return fmt.Errorf("the certificate in %s is that of %s; a %s's is needed: give --identity its directory",
			r.identity, id, want)
	}
	if p.metrics, err = r.metricsConfig(p.credentials); err != nil {
		return err
	}
	p.tracer, err = tracing.Open(tracing.Config{
		Endpoint: r.traces, Ratio: r.ratio, Role: string(id.Role), Identity: id.String(), Logger: p.logger,
	})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, p.tracer.Close()) }()
	return serve(p)
}

// metricsConfig is where and how metrics are served to other machines; empty when they are not.
func (r *role) metricsConfig(c *identity.Credentials) (admin.Metrics, error) {
	if r.metrics == "" {
		return admin.Metrics{}, nil
	}
	if r.admin == "" {
		return admin.Metrics{}, errors.New("--metrics-listen needs --admin, too; give both")
	}
	config, err := c.MetricsTLS()
	return admin.Metrics{Listen: r.metrics, TLS: config}, err
}

// serveUntil reports to the service manager that the process serves, and waits for one of the two channels; other may
// be nil. A process that cannot report serves nevertheless.
func serveUntil(done, other <-chan struct{}) {
	if err := notifyReady(); err != nil {
		roleLogger().Warn("could not report to the service manager that this process serves; it may stop the process as "+
			"not started",
			"error", err)
	}
	select {
	case <-done:
	case <-other:
	}
}

// notifyReady reports to the service manager that this process serves. systemd names a socket for this in NOTIFY_SOCKET
// (Type=notify); without that variable it does nothing.
func notifyReady() error {
	path := os.Getenv("NOTIFY_SOCKET")
	if path == "" {
		return nil
	}
	c, err := net.DialUnix("unixgram", nil, &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		return fmt.Errorf("couldn't reach the service manager: %w", err)
	}
	defer c.Close() // a datagram has been handed over when Write returns
	if _, err := c.Write([]byte("READY=1")); err != nil {
		return fmt.Errorf("couldn't report to the service manager: %w", err)
	}
	return nil
}
