package main

import (
	"context"
	"errors"
	"path/filepath"

	"github.com/spf13/cobra"

	"ltl/client"
	"ltl/facade"
	"ltl/internal/identity"
)

func newFacade() *cobra.Command {
	var r role
	cmd := &cobra.Command{
		Use:   "facade",
		Short: "Run the LTL HTTP API, until a signal",
		Args:  cobra.NoArgs,
		RunE:  func(cmd *cobra.Command, _ []string) error { return runFacade(cmd.Context(), &r) },
	}
	r.flags(cmd, "")
	return cmd
}

// runFacade runs a facade until ctx ends. The sealing key is read first: a facade that cannot open AccessKeys would
// refuse every call, so it must not start.
func runFacade(ctx context.Context, r *role) error {
	return r.run(identity.RoleFacade, func(p *process) error {
		key, err := identity.LoadSealingKey(filepath.Join(r.identity, "sealing.key"))
		if err != nil {
			return err
		}
		c, err := client.Open(client.Config{Credentials: p.credentials, Trust: p.trust, Logger: p.logger,
			TracerProvider: p.tracer.Provider()})
		if err != nil {
			return err
		}
		f, err := facade.Open(ctx, facade.Config{
			Listen: r.listen, AdminListen: r.admin, Metrics: p.metrics, Tracer: p.tracer, Client: c, SealingKey: key,
			SealingKeys: func() ([][]byte, error) { return identity.LoadSealingKeys(r.identity) }, Logger: p.logger,
		})
		if err != nil {
			return errors.Join(err, c.Close())
		}
		serveUntil(ctx.Done(), nil)
		return errors.Join(f.Close(), c.Close()) // the facade first: pending calls still need the client
	})
}
