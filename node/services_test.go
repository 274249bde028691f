package node

import (
	"testing"

	ltlv1 "ltl/proto/ltl/v1"
	"ltl/test/access"
)

// TestDocumentedAccess: the documented roles are those that may call each method.
func TestDocumentedAccess(t *testing.T) {
	access.CheckTable(t, "../docs/security.md", "nodes", acl(), ltlv1.File_ltl_v1_services_proto,
		ltlv1.File_ltl_v1_raft_proto, ltlv1.File_ltl_v1_ledger_proto)
}
