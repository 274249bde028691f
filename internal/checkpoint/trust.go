package checkpoint

import (
	"context"
	"fmt"

	"ltl/client/proof"
	"ltl/internal/identity"
	ltlv1 "ltl/proto/ltl/v1"
)

// TrustOf returns the function that reads the keys of all signers, present and former, out of a copy of the ledger.
func TrustOf(genesisPayload []byte, copyOfLedger ltlv1.LedgerServer) func() (*proof.Trust, error) {
	return func() (*proof.Trust, error) {
		t, err := identity.NewTrust(genesisPayload)
		if err != nil {
			return nil, err
		}
		keys, err := copyOfLedger.GetKeys(context.Background(), &ltlv1.GetKeysRequest{
			Consistency: ltlv1.Consistency_CONSISTENCY_LOCAL})
		if err != nil {
			return nil, fmt.Errorf("keys of the signers: %w", err)
		}
		t.LearnKeys(keys)
		file, err := t.Encode()
		if err != nil {
			return nil, err
		}
		return proof.ParseTrust(file)
	}
}
