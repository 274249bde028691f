package client_test

import (
	"context"
	"errors"
	"fmt"
	"log"

	"ltl/client"
	"ltl/internal/identity"
	"ltl/internal/rules"
	ltlv1 "ltl/proto/ltl/v1"
)

// Writing a record and reading it back. The directory is that of a network made by "ltl pki" or "ltl up"; the account must be one of
// the client's own organisation.
func Example() {
	trust, err := identity.LoadTrust("data/pki/trust.json")
	if err != nil {
		log.Fatal(err)
	}
	credentials, err := identity.LoadCredentials("data/pki/clients/bench", trust)
	if err != nil {
		log.Fatal(err)
	}
	c, err := client.Open(client.Config{Credentials: credentials, Trust: trust})
	if err != nil {
		log.Fatal(err)
	}
	defer c.Close()

	key := "0001_ABCDEFGHIJKLMNOP_WXYZ_invoice-17"
	tx := &ltlv1.Transaction{
		ChainId:    "1000000000000001",
		AccountUid: "100000000000000001",
		Action:     &ltlv1.Transaction_SetData{SetData: &ltlv1.SetData{Key: key, Value: "paid"}},
	}
	ctx := context.Background()
	result, err := c.Submit(ctx, tx)
	if errors.Is(err, client.ErrUnavailable) {
		result, err = c.Submit(ctx, tx) // the same transaction: written once, whatever became of the first attempt
	}
	switch {
	case err != nil:
		log.Fatal(err)
	case result.GetCode() != rules.OK:
		log.Fatal(rules.Message(result.GetCode()))
	}
	fmt.Printf("in block %d, %x\n", result.GetBlockHeight(), result.GetBlockHash())

	out, err := c.Ledger().GetRecord(ctx, &ltlv1.GetRecordRequest{ChainCode: "ABCDEFGHIJKLMNOP", Key: key})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(out.GetRecord().GetValue(), out.GetRecord().GetEndorsementNames())
}
