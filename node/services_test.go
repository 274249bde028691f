package node

import (
	"testing"

	ltlv1 "ltl/proto/ltl/v1"
	"ltl/test/access"
)

// TestDocumentedAccess: who may call what is written down, and that is what holds.
func TestDocumentedAccess(t *testing.T) {
	access.CheckTable(t, "../docs/security.md", "nodes", acl(), ltlv1.File_ltl_v1_services_proto,
		ltlv1.File_ltl_v1_raft_proto, ltlv1.File_ltl_v1_ledger_proto)
}
