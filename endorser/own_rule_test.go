package endorser_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"ltl/endorser"
	"ltl/internal/ledger"
	"ltl/internal/rules"
	ltlv1 "ltl/proto/ltl/v1"
	"ltl/test/testkit/offline"
)

// runaway costs nothing to compile and 10 000 000 steps to evaluate.
var runaway = func() string {
	list := "[" + strings.TrimSuffix(strings.Repeat("1,", 100), ",") + "]"
	return fmt.Sprintf("value != 'x' || %s.all(a, %s.all(b, %s.all(c, a + b + c == 3)))", list, list, list)
}()

// TestOwnRule: the rule decides what the organisation signs, of what the ledger's rules accept; the rest of the batch
// is signed.
func TestOwnRule(t *testing.T) {
	w := newWorld(t)
	now := w.key("rule")
	for _, tc := range []struct {
		name, rule string
		refuses    bool
		why        string // in the reason, beside the rule
	}{
		{name: "true", rule: "true"},
		{name: "false", rule: "false", refuses: true},
		{name: "every variable", rule: fmt.Sprintf("action == 'SetData' && chain == '%s' && account == '%s' && submitter "+
			"== '%s' && organisation == 'org1'"+
			" && key == '%s' && value == 'x' && business_id == '' && value_bytes == 1 && created_ms == 1", w.chainID, adminUID,
			facadeName, now)},
		{name: "about the value", rule: "value_bytes > 1", refuses: true},
		{name: "several lines", rule: "action != 'SetData'\n\t|| value.matches('^[a-w]*$')\n", refuses: true},
		{name: "evaluation error", rule: "1 / (value_bytes - 1) > 0", refuses: true, why: "division by zero"},
		{name: "runaway cost", rule: runaway, refuses: true, why: "cost limit exceeded"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r := w.start(t.TempDir(), func(cfg *endorser.Config) { cfg.Rule = tc.rule })
			r.caughtUp()
			long := w.set("long", strings.Repeat("x", rules.MaxValue+1))
			out, err := r.facade().Endorse(t.Context(), &ltlv1.EndorseRequest{ChainId: w.chainID,
				Transactions: [][]byte{w.set("rule", "x"), long}})
			if err != nil {
				t.Fatal(err)
			}
			want, reason := rules.OK, ""
			if tc.refuses {
				want, reason = rules.Forbidden, "organisation org1's own rule refuses: "+strings.Join(strings.Fields(tc.rule), " ")
				reason = reason[:min(len(reason), 200)]
			}
			if out.GetCodes()[0] != want || !strings.HasPrefix(out.GetReasons()[0], reason) ||
				!strings.Contains(out.GetReasons()[0], tc.why) || (out.GetReasons()[0] != "") != tc.refuses {
				t.Errorf("code %d, want %d; reason %q", out.GetCodes()[0], want, out.GetReasons()[0])
			}
			if (out.GetEndorsement() != nil) == tc.refuses {
				t.Errorf("the endorsement is %v", out.GetEndorsement())
			}
			if out.GetCodes()[1] != rules.ValueTooLong || out.GetReasons()[1] != "" {
				t.Errorf("what the ledger refuses has code %d and reason %q", out.GetCodes()[1], out.GetReasons()[1])
			}
		})
	}
}

// TestOwnRuleOnPartOfABatch: the signature covers what the rule accepts, and the answer refuses the rest.
func TestOwnRuleOnPartOfABatch(t *testing.T) {
	w := newWorld(t)
	r := w.start(t.TempDir(), func(cfg *endorser.Config) { cfg.Rule = "action != 'AttachData'" })
	r.caughtUp()
	in := &ltlv1.EndorseRequest{ChainId: w.chainID, Transactions: [][]byte{w.set("a", "1"), w.attach("b", "1"),
		w.set("c", "1")}}
	out, err := r.facade().Endorse(t.Context(), in)
	if err != nil {
		t.Fatal(err)
	}
	s := offline.Read(t, in.GetChainId(), in.GetTransactions(), out.GetEndorsement())
	if !s.Accepts(0) || s.Accepts(1) || !s.Accepts(2) {
		t.Errorf("codes %v, reasons %q", out.GetCodes(), out.GetReasons())
	}
}

// TestOwnRuleOnTheSystemChain: an operator's own act is that of the operator's organisation.
func TestOwnRuleOnTheSystemChain(t *testing.T) {
	w := newWorld(t)
	r := w.start(t.TempDir(), func(cfg *endorser.Config) {
		cfg.Rule = "action == 'CreateAccount' && account == '' && organisation == 'org1' && key == ''"
	})
	r.caughtUp()
	payload := w.tx(operatorName, "", ledger.SystemChain,
		&ltlv1.Transaction_CreateAccount{CreateAccount: &ltlv1.CreateAccount{
			Name: "new", Type: ltlv1.AccountType_ACCOUNT_TYPE_RAM, Organisation: "org1",
		}})
	out, err := ltlv1.NewEndorserClient(r.dial("operator")).Endorse(t.Context(),
		&ltlv1.EndorseRequest{ChainId: ledger.SystemChain, Transactions: [][]byte{payload}})
	if err != nil || out.GetEndorsement() == nil {
		t.Errorf("%v %v", out, err)
	}
}

// TestOwnRuleDoesNotCompile: an endorser with an invalid rule does not start, and the error names the place.
func TestOwnRuleDoesNotCompile(t *testing.T) {
	w := newWorld(t)
	for name, tc := range map[string]struct{ rule, want string }{
		"syntax":           {"value_bytes >\n  && true", ":2:3:"},
		"unknown variable": {"true && valeu == 'x'", ":1:9:"},
		"types":            {"value == 7", ":1:7:"},
		"not a bool":       {"value_bytes", "line 1, column 1"},
		"of any type":      {"dyn(true)", "line 1, column 1"},
		"too long":         {"true" + strings.Repeat(" ", 4096), "at most 4096"},
	} {
		e, err := endorser.Open(context.Background(), endorser.Config{
			Dir: t.TempDir(), Listen: "127.0.0.1:0", Credentials: w.credentials("orgs/org1/endorser"), SignKey: w.keys["org1"],
			Trust: w.trust, Rule: tc.rule,
		})
		if !errors.Is(err, endorser.ErrConfig) || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%s: %v, want ErrConfig with %q", name, err, tc.want)
		}
		if e != nil {
			t.Error("an endorser runs", e.Close())
		}
	}
}
