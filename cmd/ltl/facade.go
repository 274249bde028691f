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

func runFacade(ctx context.Context, r *role) (err error) {
	trust, credentials, err := r.load(identity.RoleFacade)
	if err != nil {
		return err
	}
	metrics, err := r.shown(credentials)
	if err != nil {
		return err
	}
	tracer, err := r.tracer(credentials.Identity())
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, tracer.Close()) }()
	key, err := identity.LoadSealingKey(filepath.Join(r.identity, "sealing.key"))
	if err != nil {
		return err
	}
	logger := roleLogger()
	c, err := client.Open(client.Config{Credentials: credentials, Trust: trust, Logger: logger, TracerProvider: tracer.Provider()})
	if err != nil {
		return err
	}
	f, err := facade.Open(ctx, facade.Config{Listen: r.listen, AdminListen: r.admin, Metrics: metrics, Tracer: tracer, Client: c, SealingKey: key, Logger: logger,
		SealingKeys: func() ([][]byte, error) { return identity.LoadSealingKeys(r.identity) }})
	if err != nil {
		return errors.Join(err, c.Close())
	}
	serveUntil(ctx.Done(), nil)
	return errors.Join(f.Close(), c.Close()) // the facade first: calls under way still need the client
}
