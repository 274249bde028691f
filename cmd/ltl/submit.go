package main

import (
	"context"
	"fmt"

	"ltl/client"
	"ltl/internal/rules"
	ltlv1 "ltl/proto/ltl/v1"
)

// submit writes a transaction; a refusal by the ledger's rules is an error here.
func submit(ctx context.Context, c *client.Client, tx *ltlv1.Transaction) (*ltlv1.Result, error) {
	result, err := c.Submit(ctx, tx)
	if err != nil {
		return nil, err
	}
	if reason := result.GetReason(); reason != "" {
		return nil, fmt.Errorf("it was refused with code %d: %s", result.GetCode(), reason)
	}
	if code := result.GetCode(); code != rules.OK {
		return nil, fmt.Errorf("the ledger refused it with code %d: %s", code, rules.Message(code))
	}
	return result, nil
}
