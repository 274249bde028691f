// Package quick leaves slow tests out of `make check`. Everything else runs them: `make test`, `make race`, and plain
// `go test`.
package quick

import (
	"os"
	"testing"
)

// variable is set by `make check`. The flag -short is not enough: the run under the race detector has it too, and needs
// the networks.
const variable = "LTL_CHECK"

// Skip skips a test that runs a network, needs a tool that is installed separately, or takes more than some seconds.
func Skip(t testing.TB) {
	t.Helper()
	if os.Getenv(variable) != "" {
		t.Skip("not a part of make check; make test runs it")
	}
}
