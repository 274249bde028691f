package rules

import (
	"strings"
	"testing"

	ltlv1 "ltl/proto/ltl/v1"
)

// TestPolicyCanonicalLength: the canonical text is what a chain keeps, and it is longer than what was given. It must be readable again.
func TestPolicyCanonicalLength(t *testing.T) {
	for _, n := range []int{1, 10, 683, 684, 1024} {
		p, err := ParsePolicy(strings.Repeat("any&", n-1) + "any")
		if err != nil {
			continue
		}
		if _, err := ParsePolicy(p.String()); err != nil {
			t.Errorf("%d terms are taken, but the canonical text is not: %v", n, err)
		}
	}
}

// TestPolicyOfNewChainReadable: a policy that no node could read would stop every client that lists the chains.
func TestPolicyOfNewChainReadable(t *testing.T) {
	if code := checkCreateChain(chainWithPolicy(strings.Repeat("any&", 1000) + "any")); code != OutOfRange {
		t.Errorf("a policy whose canonical text is too long is answered with %d", code)
	}
	if code := checkCreateChain(chainWithPolicy(strings.Repeat("any & ", 600) + "any")); code != OK {
		t.Errorf("a long policy is answered with %d", code)
	}
}

func chainWithPolicy(policy string) *ltlv1.CreateChain {
	return &ltlv1.CreateChain{
		Name: "chain", Service: ltlv1.ChainService_CHAIN_SERVICE_PROOF, AdministratorUid: "1234567890123456", Policy: policy,
	}
}
