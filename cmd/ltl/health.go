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

// healthTimeout bounds the request: a container engine sends one every few seconds.
const healthTimeout = 2 * time.Second

func newHealth() *cobra.Command {
	var address string
	var ready bool
	cmd := &cobra.Command{
		Use:   "health",
		Short: "Ask a process on this machine for its health; exit with 1 when it is not well",
		Long: `Asks the process at the given loopback admin address. Without --ready it only has to run. With --ready it
has to serve: a node knows a leader, an endorser signs, a facade reaches the network. For the health checks of
images that hold only this program.`,
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
	cmd.Flags().StringVar(&address, "admin", "", "the loopback HOST:PORT of the process's option --admin (required)")
	cmd.Flags().BoolVar(&ready, "ready", false, "ask whether it serves, too")
	mustRequire(cmd, "admin")
	return cmd
}

// askHealth returns the text of the process's answer, or an error when the process is not well.
func askHealth(ctx context.Context, url string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, healthTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return "", fmt.Errorf("couldn't ask for health: %w", err)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return "", fmt.Errorf("the process does not answer; is it running, with this --admin? %w", err)
	}
	defer res.Body.Close()
	raw, err := io.ReadAll(io.LimitReader(res.Body, 4096))
	text := strings.TrimSpace(string(raw))
	if err != nil || res.StatusCode != http.StatusOK {
		return "", fmt.Errorf("not well (HTTP %d): %s", res.StatusCode, text)
	}
	return text, nil
}
