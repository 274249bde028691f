package main

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"ltl/client"
	"ltl/client/proof"
	"ltl/console"
	"ltl/facade"
	"ltl/internal/identity"
)

func newFacade() *cobra.Command {
	var r role
	var limits facade.Limits
	var web consoleFlags
	var edge edgeFlags
	cmd := &cobra.Command{
		Use:   "facade",
		Short: "Run the LTL HTTP API, until a signal",
		Args:  cobra.NoArgs,
		RunE:  func(cmd *cobra.Command, _ []string) error { return runFacade(cmd.Context(), &r, limits, &web, &edge) },
	}
	r.flags(cmd, "")
	f := cmd.Flags()
	f.IntVar(&limits.AccountCalls, "account-calls", 0, "calls under way that one account may have; 0 is a quarter of all")
	f.IntVar(&limits.AccountRate, "account-rate", 0, "calls a second that one account may make; 0 is no bound")
	f.IntVar(&limits.ChainCalls, "chain-calls", 0, "calls under way that one chain may have; 0 is half of all")
	f.IntVar(&limits.ChainRate, "chain-rate", 0, "calls a second that may be made on one chain; 0 is no bound")
	f.StringVar(&edge.cert, "tls-cert", "", "file of the certificate of HTTPS, with its chain; it is read again when it changes")
	f.StringVar(&edge.key, "tls-key", "", "file of its key; without the two the API is plain HTTP")
	f.StringVar(&edge.proxies, "trusted-proxies", "",
		"addresses or networks, separated by commas, of proxies whose X-Forwarded-For says who calls")
	f.StringVar(&web.mode, "console", "off", "the web console below /console/: off or on")
	f.StringVar(&web.hosts, "console-host", "",
		"names, separated by commas, under which browsers reach the console beside IP addresses and localhost")
	f.BoolVar(&web.behindTLS, "console-behind-tls", false,
		"browsers reach this facade through a proxy with TLS, which adds their address to X-Forwarded-For")
	f.StringVar(&edge.verify, "verify-reads", "off", "check records that nodes answer with against what was signed by a majority "+
		"of the nodes (certified), or also of the organisations (witnessed): off, certified or witnessed")
	return cmd
}

// verifyLevel is the level of a flag.
func verifyLevel(flag string) (proof.Level, error) {
	switch flag {
	case "off":
		return "", nil
	case string(proof.Certified), string(proof.Witnessed):
		return proof.Level(flag), nil
	}
	return "", fmt.Errorf("--verify-reads is %q; give off, certified or witnessed", flag)
}

// edgeFlags are the options of the API's port, and of what it answers.
type edgeFlags struct {
	cert, key, proxies string
	// verify is the level to which reads are verified.
	verify string
}

// prefixes are the trusted proxies.
func (e *edgeFlags) prefixes() (all []netip.Prefix, err error) {
	for text := range strings.SplitSeq(e.proxies, ",") {
		text = strings.TrimSpace(text)
		if text == "" {
			continue
		}
		p, err := netip.ParsePrefix(text)
		if a, single := netip.ParseAddr(text); single == nil {
			p, err = a.Prefix(a.BitLen())
		}
		if err != nil {
			return nil, fmt.Errorf("--trusted-proxies: %q is neither an address nor a network such as 10.0.0.0/8", text)
		}
		all = append(all, p)
	}
	return all, nil
}

// consoleFlags are the options of the web console.
type consoleFlags struct {
	mode, hosts string
	behindTLS   bool
}

// options is what the facade gets; nil where the console is off.
func (c *consoleFlags) options(trust *identity.Trust) (*console.Options, error) {
	switch c.mode {
	case "off":
		return nil, nil
	case "on":
	default:
		return nil, fmt.Errorf("--console is %q; give off or on", c.mode)
	}
	o := &console.Options{BehindTLS: c.behindTLS, Trust: trust}
	for host := range strings.SplitSeq(c.hosts, ",") {
		if host = strings.ToLower(strings.TrimSpace(host)); host != "" {
			o.Hosts = append(o.Hosts, host)
		}
	}
	return o, nil
}

// runFacade runs a facade until ctx ends. The sealing key is read first: a facade that cannot open AccessKeys would
// refuse every call, so it must not start.
func runFacade(ctx context.Context, r *role, limits facade.Limits, web *consoleFlags, edge *edgeFlags) error {
	proxies, err := edge.prefixes()
	if err != nil {
		return err
	}
	return r.run(identity.RoleFacade, func(p *process) error {
		key, err := identity.LoadSealingKey(filepath.Join(r.identity, "sealing.key"))
		if err != nil {
			return err
		}
		level, err := verifyLevel(edge.verify)
		if err != nil {
			return err
		}
		pages, err := web.options(p.trust)
		if err != nil {
			return err
		}
		c, err := client.Open(client.Config{Credentials: p.credentials, Trust: p.trust, Logger: p.logger,
			TracerProvider: p.tracer.Provider(), Verify: level})
		if err != nil {
			return err
		}
		f, err := facade.Open(ctx, facade.Config{
			Listen: r.listen, AdminListen: r.admin, Metrics: p.metrics, Tracer: p.tracer, Client: c, Limits: limits,
			TLSCert: edge.cert, TLSKey: edge.key, TrustedProxies: proxies, Console: pages, Trust: p.trust,
			Network: p.trust.NetworkID(), SealingKey: key,
			SealingKeys: func() ([][]byte, error) { return identity.LoadSealingKeys(r.identity) }, Logger: p.logger,
		})
		if err != nil {
			return errors.Join(err, c.Close())
		}
		serveUntil(ctx.Done(), nil)
		return errors.Join(f.Close(), c.Close()) // the facade first: pending calls still need the client
	})
}
