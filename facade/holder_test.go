package facade

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"ltl/client"
)

// TestHolderUnavailable: a caller whose device's key is with an endorser that is away is told so, with the code on which SDKs try again.
func TestHolderUnavailable(t *testing.T) {
	e := gatewayOf(fmt.Errorf("submit: %w: org1 is down", client.ErrHolderUnavailable))
	if e.status != http.StatusServiceUnavailable || e.code != codeServiceUnavailable || !strings.Contains(e.message, "device") || strings.Contains(e.message, "org1") {
		t.Errorf("%+v", e)
	}
	if other := gatewayOf(errors.Join(client.ErrUnavailable)); other.code != codeServiceUnavailable || strings.Contains(other.message, "device") {
		t.Errorf("any other failure: %+v", other)
	}
}
