package main

import (
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"ltl/internal/admin"
	"ltl/internal/identity"
	"ltl/internal/scrub"
	"ltl/internal/tracing"
)

// defaultTraceRatio traces one request in a hundred.
const defaultTraceRatio = 0.01

// role is what every long-running process is started with.
type role struct {
	dir, identity, trust, listen, admin, metrics, traces string
	ratio                                                float64
}

// flags adds the options of a role; dataDir is empty for a role that keeps no data.
func (r *role) flags(cmd *cobra.Command, dataDir string) {
	cmd.Flags().String(flagConfig, "", "YAML file with these settings under the names of the options; docs/operate/install.md lists them")
	cmd.Flags().StringVar(&r.identity, flagIdentity, "", "directory with this process' certificate and keys (required)")
	cmd.Flags().StringVar(&r.trust, flagTrust, "", "trust file of the network (required)")
	cmd.Flags().StringVar(&r.listen, "listen", "", "HOST:PORT to serve on (required)")
	cmd.Flags().StringVar(&r.admin, "admin", "", "loopback HOST:PORT of health, metrics and profiles; empty for none")
	cmd.Flags().StringVar(&r.metrics, "metrics-listen", "", "HOST:PORT of metrics over mutual TLS, for operators and clients of the own organisation; empty for none")
	cmd.Flags().StringVar(&r.traces, "trace-endpoint", "", "loopback HOST:PORT of an OpenTelemetry collector (OTLP over gRPC) that takes traces of writes; empty for none")
	cmd.Flags().Float64Var(&r.ratio, "trace-ratio", defaultTraceRatio, "share of requests that are traced, up to 1; the facade decides, other roles follow it")
	required := []string{flagIdentity, flagTrust, "listen"}
	if dataDir != "" {
		cmd.Flags().StringVar(&r.dir, flagDir, "", dataDir)
		required = append(required, flagDir)
	}
	cmd.PreRunE = func(cmd *cobra.Command, _ []string) error { return configure(cmd, required) }
}

// scrubFlag adds the option of roles that keep a ledger.
func scrubFlag(cmd *cobra.Command, interval *time.Duration) {
	cmd.Flags().DurationVar(interval, flagScrub, scrub.DefaultInterval, "pause between two readings of the whole stored ledger, which find and repair damage")
}

// load reads trust and credentials, and checks that the certificate is one of the wanted role.
func (r *role) load(want identity.Role) (*identity.Trust, *identity.Credentials, error) {
	trust, err := identity.LoadTrust(r.trust)
	if err != nil {
		return nil, nil, err
	}
	credentials, err := identity.LoadCredentials(r.identity, trust, identity.WithLogger(roleLogger()))
	if err != nil {
		return nil, nil, err
	}
	if id := credentials.Identity(); id.Role != want {
		return nil, nil, fmt.Errorf("the certificate in %s is that of %s; a %s's is needed", r.identity, id, want)
	}
	return trust, credentials, nil
}

// shown is where the metrics are shown to other machines.
func (r *role) shown(c *identity.Credentials) (admin.Metrics, error) {
	if r.metrics == "" {
		return admin.Metrics{}, nil
	}
	if r.admin == "" {
		return admin.Metrics{}, errors.New("--metrics-listen needs --admin, too")
	}
	config, err := c.MetricsTLS()
	return admin.Metrics{Listen: r.metrics, TLS: config}, err
}

// tracer is nil when no traces are wanted.
func (r *role) tracer(id identity.Identity) (*tracing.Tracer, error) {
	return tracing.Open(tracing.Config{Endpoint: r.traces, Ratio: r.ratio, Role: string(id.Role), Identity: id.String(), Logger: roleLogger()})
}
