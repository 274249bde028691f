package node

import (
	"testing"

	"ltl/internal/identity/identitytest"
	ltlv1 "ltl/proto/ltl/v1"
)

// TestDocumentedAccess: who may call what is written down, and that is what holds.
func TestDocumentedAccess(t *testing.T) {
	identitytest.CheckTable(t, "../docs/security.md", "nodes", acl(), ltlv1.File_ltl_v1_services_proto, ltlv1.File_ltl_v1_raft_proto, ltlv1.File_ltl_v1_ledger_proto)
}
