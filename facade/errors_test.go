package facade

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"ltl/client"
	"ltl/internal/rules"
	ltlv1 "ltl/proto/ltl/v1"
)

// TestHolderUnavailable: if the endorser that has the device's key does not answer, the message says so, and the code
// is one on which SDKs try again.
func TestHolderUnavailable(t *testing.T) {
	e := gatewayOf(fmt.Errorf("submit: %w: org1 is down", client.ErrHolderUnavailable))
	if e.status != http.StatusServiceUnavailable || e.code != codeServiceUnavailable ||
		!strings.Contains(e.message, "device") ||
		strings.Contains(e.message, "org1") {
		t.Errorf("%+v", e)
	}
	if other := gatewayOf(errors.Join(client.ErrUnavailable)); other.code != codeServiceUnavailable ||
		strings.Contains(other.message, "device") {
		t.Errorf("any other failure: %+v", other)
	}
}

// TestClockIsNamed: where a wrong clock stops a write, the answer is one on which SDKs try again, and says whose it is.
func TestClockIsNamed(t *testing.T) {
	for what, err := range map[string]error{
		"the client's error": fmt.Errorf("%w: org2 (2h ahead)", client.ErrClock),
		"the ledger's result": resultError(&ltlv1.Result{Code: rules.ClocksDisagree,
			Reason: "The clock of org2's endorser is 2h ahead."}),
	} {
		e := gatewayOf(err)
		if e.status != http.StatusServiceUnavailable || e.code != codeServiceUnavailable ||
			!strings.Contains(e.message, "org2") || !strings.Contains(e.message, "2h ahead") {
			t.Errorf("%s: %+v", what, e)
		}
	}
}

// TestGatewayTable: the table has one complete row per code, including those of the table of result codes, and the errors
// of parameters name the parameter.
func TestGatewayTable(t *testing.T) {
	seen := map[string]bool{}
	for _, row := range GatewayErrors() {
		if seen[row.Code] || row.Status < 400 || row.Meaning == "" || row.Recommend == "" ||
			(row.Message == "") != (row.Code == codeParameter) {
			t.Errorf("row %+v", row)
		}
		seen[row.Code] = true
		if e := gateway(row.Code); e.row != row.Code {
			t.Errorf("%s is not found in the table", row.Code)
		}
	}
	for _, c := range rules.Codes() {
		if c.Gateway != "" && (gateway(c.Gateway).code != c.Gateway || gateway(c.Gateway).status != c.HTTPStatus) {
			t.Errorf("result code %d becomes %v with status %d", c.Code, gateway(c.Gateway), c.HTTPStatus)
		}
	}
	if e := missing("Key"); e.code != "MissingKey" || e.message != "Key is mandatory for this action." {
		t.Error(e)
	}
	if e := invalid("Size"); e.code != "InvalidSize" || e.message != "Specified parameter Size is not valid." {
		t.Error(e)
	}
	if e := gateway("Unknown"); e.code != codeInternal || e.status != http.StatusInternalServerError {
		t.Error(e)
	}
}
