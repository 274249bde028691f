package testkit

import (
	"path/filepath"

	"ltl/internal/identity"
	"ltl/internal/ledger"
	ltlv1 "ltl/proto/ltl/v1"
	"ltl/test/insider"
)

// PutAccessKey gives an account, of which only UID and Organisation matter, its AccessKey: it is on the ledger, and the
// nodes have its sealed secret.
func (n *Network) PutAccessKey(a Account, id, secret string) {
	n.t.Helper()
	sealed := n.Seal(a, id, secret, 1)
	commitment := ledger.SealedCommitment(sealed)
	operator := n.Operator(a.Organisation)
	n.submit(operator, insider.PutAccessKey(a.UID, id, ltlv1.AccessKeyState_ACCESS_KEY_STATE_ACTIVE, 1, commitment))
	if err := operator.PutSealed(n.t.Context(), id, sealed); err != nil {
		n.t.Fatalf("store the sealed AccessKey %s: %v", id, err)
	}
}

// Seal seals a secret for a version of an account's AccessKey with the sealing key of the account's organisation.
func (n *Network) Seal(a Account, id, secret string, version uint64) []byte {
	n.t.Helper()
	dir := "operator"
	if a.Organisation != n.genesis.GetOrganisations()[0].GetId() {
		dir = filepath.Join("operators", a.Organisation)
	}
	key, err := identity.LoadSealingKey(filepath.Join(n.Dir, dir, "sealing.key"))
	if err != nil {
		n.t.Fatal(err)
	}
	sealed, err := identity.AccessKeySeal{Network: n.Trust().NetworkID(), Organisation: a.Organisation, AccessKeyID: id,
		UID: a.UID, Version: version}.Seal(key, secret)
	if err != nil {
		n.t.Fatal(err)
	}
	return sealed
}
