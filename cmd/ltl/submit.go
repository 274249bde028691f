package main

import (
	"context"
	"fmt"

	"ltl/client"
	"ltl/internal/rules"
	ltlv1 "ltl/proto/ltl/v1"
)

// hint says what to do about a refusal, for a command that knows better than the code's own sentence.
type hint struct {
	code   int32
	advice string
}

// submit writes a transaction; a refusal by the ledger's rules is an error here, with the hint on its code if there is one.
func submit(ctx context.Context, c *client.Client, tx *ltlv1.Transaction, hints ...hint) (*ltlv1.Result, error) {
	result, err := c.Submit(ctx, tx)
	if err != nil {
		return nil, err
	}
	code, why := result.GetCode(), result.GetReason()
	if code == rules.OK && why == "" {
		return result, nil
	}
	if why == "" {
		why = rules.Message(code)
		for _, h := range hints {
			if h.code == code {
				why = h.advice
			}
		}
	}
	return nil, fmt.Errorf("the ledger refused it with code %d: %s", code, why)
}

// refused turns the code of a read into an error; nil for success.
func refused(code int32, hints ...hint) error {
	if code == rules.OK {
		return nil
	}
	why := rules.Message(code)
	for _, h := range hints {
		if h.code == code {
			why = h.advice
		}
	}
	return fmt.Errorf("the ledger answers with code %d: %s", code, why)
}
