package facade

import (
	"bytes"
	"context"
	"log/slog"
	"strings"
	"testing"
)

// TestPlainListenerWarns: a facade that listens on another address than loopback says that nothing is encrypted there.
func TestPlainListenerWarns(t *testing.T) {
	for address, want := range map[string]bool{"127.0.0.1:0": false, "[::1]:0": false, "0.0.0.0:0": true} {
		var log bytes.Buffer
		f, err := open(context.Background(), Config{Listen: address, SealingKey: sealingKey(),
			Logger: slog.New(slog.NewTextHandler(&log, nil))}, newFakeNetwork())
		if err != nil {
			if address == "[::1]:0" {
				continue // this machine has no IPv6
			}
			t.Fatal(err)
		}
		if err := f.Close(); err != nil {
			t.Error(err)
		}
		if got := strings.Contains(log.String(), "not encrypted"); got != want {
			t.Errorf("%s: it warns: %v, want %v: %s", address, got, want, &log)
		}
	}
}
