package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/spf13/cobra"
)

// healthTimeout bounds the question: who asks is a container engine that does so every few seconds.
const healthTimeout = 2 * time.Second

func newHealth() *cobra.Command {
	var address string
	var ready bool
	cmd := &cobra.Command{
		Use:   "health",
		Short: "Ask a process on this machine for its health; exit with 1 when it is not well",
		Long: `Asks the process whose loopback admin address is given. Without --ready it only has to run; with it, it has to serve: a node knows a
leader, an endorser signs, a facade reaches the network. Made for the health checks of images that hold nothing but this program.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			path := "/healthz"
			if ready {
				path = "/readyz"
			}
			text, err := askHealth(cmd.Context(), "http://"+address+path)
			if err != nil {
				return err
			}
			fmt.Fprintln(cmd.OutOrStdout(), text)
			return nil
		},
	}
	cmd.Flags().StringVar(&address, "admin", "", "loopback HOST:PORT that the process was given as its --admin (required)")
	cmd.Flags().BoolVar(&ready, "ready", false, "ask whether it serves, too")
	if err := cmd.MarkFlagRequired("admin"); err != nil {
		panic(fmt.Sprintf("BUG: %v", err))
	}
	return cmd
}

// askHealth returns what the process says, or an error when it does not say that it is well.
func askHealth(ctx context.Context, url string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, healthTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return "", fmt.Errorf("couldn't ask for health: %w", err)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return "", fmt.Errorf("the process does not answer: %w", err)
	}
	defer res.Body.Close()
	raw, err := io.ReadAll(io.LimitReader(res.Body, 4096))
	text := strings.TrimSpace(string(raw))
	if err != nil || res.StatusCode != http.StatusOK {
		return "", fmt.Errorf("not well (HTTP %d): %s", res.StatusCode, text)
	}
	return text, nil
}
