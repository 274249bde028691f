package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"ltl/endorser"
	"ltl/internal/identity"
)

// newEndorser makes `ltl endorser`. The rule is compiled before the process serves, so that a wrong expression is
// found at the start.
func newEndorser() *cobra.Command {
	var r role
	var rule, ruleFile string
	var scrub time.Duration
	cmd := &cobra.Command{
		Use:   "endorser",
		Short: "Run an organisation's endorser, until a signal",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			rule, err := readRule(rule, ruleFile)
			if err != nil {
				return err
			}
			return runEndorser(cmd.Context(), &r, rule, scrub)
		},
	}
	r.flags(cmd, "data directory of the endorser (required)")
	cmd.Flags().StringVar(&rule, "rule", "",
		"CEL expression that must be true for what this organisation signs; see docs/operate/run.md")
	cmd.Flags().StringVar(&ruleFile, "rule-file", "", "file with that expression, in place of --rule")
	scrubFlag(cmd, &scrub)
	return cmd
}

// readRule returns the organisation's own rule; empty for none. A file without a rule is an error: the operator
// expects one to be in force.
func readRule(rule, file string) (string, error) {
	if file == "" {
		return rule, nil
	}
	if rule != "" {
		return "", errors.New("give --rule or --rule-file, not both")
	}
	raw, err := os.ReadFile(file)
	if err != nil {
		return "", fmt.Errorf("couldn't read the rule: %w", err)
	}
	text := strings.TrimPrefix(string(raw), "\ufeff") // a byte order mark, which some editors write
	if strings.TrimSpace(text) == "" {
		return "", fmt.Errorf("%s holds no rule; leave out --rule-file to have none", file)
	}
	return text, nil
}

// runEndorser runs an endorser until ctx ends.
func runEndorser(ctx context.Context, r *role, rule string, scrub time.Duration) error {
	return r.run(identity.RoleEndorser, func(p *process) error {
		e, err := endorser.Open(ctx, endorser.Config{
			Dir: r.dir, Listen: r.listen, AdminListen: r.admin, Metrics: p.metrics, Tracer: p.tracer,
			Credentials: p.credentials, Trust: p.trust, Rule: rule, ScrubInterval: scrub, Logger: p.logger,
		})
		if err != nil {
			return err
		}
		serveUntil(ctx.Done(), nil)
		return e.Close()
	})
}
