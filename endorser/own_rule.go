package endorser

import (
	"errors"
	"fmt"
	"strings"

	"github.com/google/cel-go/cel"

	"ltl/internal/identity"
	"ltl/internal/rules"
	ltlv1 "ltl/proto/ltl/v1"
)

// Bounds on an organisation's own rule.
const (
	// maxRule is the longest rule in bytes.
	maxRule = 4 << 10
	// ruleCost bounds one evaluation, in CEL's cost units; a comparison costs about one. The bound is far above what a
	// rule about one transaction needs, and takes some milliseconds.
	ruleCost = 100_000
	// maxRuleText is how many bytes of a rule, or of its error, a response repeats: it does so for each transaction.
	maxRuleText = 256
)

// ownRule is an organisation's own condition for a signature, beyond the ledger's rules, as a CEL expression. It may
// be evaluated concurrently. A nil *ownRule accepts everything.
//
// It decides only what this organisation signs. What is recorded depends on the signatures alone, so organisations
// may have different rules and change them at any time.
type ownRule struct {
	text    string // the expression as answers show it
	program cel.Program
}

// compileRule compiles an expression. The error names line and column.
func compileRule(expression string) (*ownRule, error) {
	if strings.TrimSpace(expression) == "" {
		return nil, nil
	}
	if len(expression) > maxRule {
		return nil, fmt.Errorf("it has %d bytes; at most %d are allowed", len(expression), maxRule)
	}
	var variables []cel.EnvOption
	for _, name := range []string{"action", "chain", "account", "submitter", "organisation", "key", "value",
		"business_id"} {
		variables = append(variables, cel.Variable(name, cel.StringType))
	}
	variables = append(variables, cel.Variable("value_bytes", cel.IntType), cel.Variable("created_ms", cel.IntType))
	env, err := cel.NewEnv(variables...)
	if err != nil {
		return nil, err
	}
	ast, issues := env.Compile(expression)
	if err := issues.Err(); err != nil {
		return nil, err
	}
	if !ast.OutputType().IsExactType(cel.BoolType) {
		return nil, fmt.Errorf("line 1, column 1: the expression is a %s, not a bool", ast.OutputType())
	}
	program, err := env.Program(ast, cel.CostLimit(ruleCost))
	if err != nil {
		return nil, err
	}
	return &ownRule{text: shorten(strings.Join(strings.Fields(expression), " ")), program: program}, nil
}

// shorten cuts a text to maxRuleText bytes, between two characters.
func shorten(s string) string {
	if len(s) > maxRuleText {
		s = s[:maxRuleText] + "…"
	}
	return strings.ToValidUTF8(s, "")
}

// errRule is returned when a rule evaluates to neither true nor false.
var errRule = errors.New("the rule has no answer")

// accepts evaluates the rule on a transaction of an account of the organisation, with its openings. Only true accepts.
// An evaluation that fails or exceeds its cost refuses and returns the reason.
func (r *ownRule) accepts(tx *ltlv1.Transaction, openings *ltlv1.Openings, organisation string) (bool, error) {
	key, businessID := record(tx)
	value := ""
	if o := openings.GetOpenings(); len(o) > 0 { // CheckOpenings found it to be the record's value
		value = string(o[0].GetValue())
	}
	out, _, err := r.program.Eval(map[string]any{
		"action": action(tx), "chain": tx.GetChainId(), "account": tx.GetAccountUid(), "submitter": tx.GetSubmitter(),
		"organisation": organisation,
		"key":          key, "value": value, "business_id": businessID, "value_bytes": int64(len(value)),
		"created_ms": tx.GetCreatedMs(),
	})
	if err != nil {
		return false, err
	}
	accepted, ok := out.Value().(bool)
	if !ok {
		return false, errRule
	}
	return accepted, nil
}

// action returns the name of a transaction's action in the wire contract, such as "SetData".
func action(tx *ltlv1.Transaction) string {
	m := tx.ProtoReflect()
	field := m.WhichOneof(m.Descriptor().Oneofs().ByName("action"))
	if field == nil {
		return ""
	}
	return string(field.Message().Name())
}

// record returns the Key and the BusinessId of the record that a transaction writes, if it writes one.
func record(tx *ltlv1.Transaction) (key, businessID string) {
	if d := tx.GetSetData(); d != nil {
		return d.GetKey(), ""
	}
	d := tx.GetAttachData()
	return d.GetKey(), d.GetBusinessId()
}

// applyRule refuses the transactions that the ledger's rules accept and the organisation's own rule does not.
//
// The preview is not repeated without them, so a later transaction may be refused because of one that is refused
// here. Clients propose such a transaction again, alone.
func (e *Endorser) applyRule(p *proposed, verdicts []int32, reasons []string) error {
	if e.rule == nil {
		return nil
	}
	organisations := map[string]string{} // of the accounts of this batch
	for i, tx := range p.decoded {
		if verdicts[i] != rules.OK {
			continue
		}
		uid := tx.GetAccountUid()
		organisation, known := organisations[uid]
		if !known {
			var err error
			if organisation, err = e.organisationOf(tx); err != nil {
				return err
			}
			// one process proposes the whole batch, so the organisation of no account is the same throughout
			organisations[uid] = organisation
		}
		accepted, err := e.rule.accepts(tx, p.openings[i], organisation)
		if accepted {
			continue
		}
		verdicts[i] = rules.Forbidden
		reasons[i] = fmt.Sprintf("organisation %s's own rule refuses: %s", e.organisation, e.rule.text)
		if err != nil {
			reasons[i] += " (" + shorten(err.Error()) + ")"
		}
	}
	return nil
}

// organisationOf returns the organisation of the transaction's account or, for an operator's own transaction, of its
// submitter.
func (e *Endorser) organisationOf(tx *ltlv1.Transaction) (string, error) {
	if tx.GetAccountUid() == "" {
		id, err := identity.Parse(tx.GetSubmitter())
		return id.Organisation, err
	}
	account, err := rules.GetAccount(e.store, tx.GetAccountUid())
	if account == nil || err != nil {
		return "", err
	}
	return account.Organisation, nil
}
