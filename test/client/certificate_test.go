package client_test

import (
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"ltl/client"
	"ltl/client/proof"
	"ltl/internal/identity"
	"ltl/internal/ledger"
	ltlv1 "ltl/proto/ltl/v1"
	"ltl/test/testkit"
)

// TestCertificate: what a network hands out verifies under its trust file, a record as well as an act on the system
// chain; and it still does after an organisation has replaced its key as compromised. A node that signs another history
// for a caller is convicted.
func TestCertificate(t *testing.T) {
	n := testkit.Start(t, testkit.Options{})
	facade := n.Client(identity.RoleFacade)
	record := n.SetData(n.Admin, "certified", "paid 4711.00")
	n.Submit(identity.RoleFacade, record)
	account := &ltlv1.Transaction{ChainId: ledger.SystemChain, Action: &ltlv1.Transaction_CreateAccount{
		CreateAccount: &ltlv1.CreateAccount{Name: "carol", Type: ltlv1.AccountType_ACCOUNT_TYPE_RAM, Organisation: "org1"}}}
	n.Submit(identity.RoleOperator, account)
	var files [][]byte
	for _, tx := range []*ltlv1.Transaction{record, account} {
		id := [32]byte(transactionID(t, tx))
		c, err := facade.Ledger().Certificate(t.Context(), id, "", "")
		if err != nil {
			t.Fatal(err)
		}
		trust := trustOf(t, n, facade)
		v := proof.Verify(encoded(t, c), trust)
		if v.Outcome != proof.Reserved || !slices.Equal(v.Reservations, []string{"not-certified"}) ||
			v.Transaction.ID != id || len(v.Endorsers) == 0 {
			t.Fatalf("%T: %s %v %v", tx.GetAction(), v.Outcome, v.Failure, v.Reservations)
		}
		if err := facade.Ledger().Certify(t.Context(), c, trust); err != nil {
			t.Fatal(err)
		}
		v = proof.Verify(encoded(t, c), trust)
		if v.Outcome != proof.Valid || v.Level != proof.Witnessed || len(v.Checkpoint.Signers) != 6 {
			t.Fatalf("%T: %s %v %+v", tx.GetAction(), v.Outcome, v.Failure, v.Checkpoint)
		}
		files = append(files, encoded(t, c))
	}
	convictLiar(t, n, facade, files[0])
	rotate(t, n)
	for i, file := range files {
		if v := proof.Verify(file, trustOf(t, n, facade)); v.Outcome != proof.Valid {
			t.Errorf("certificate %d after the key was replaced: %v %v", i, v.Failure, v.Reservations)
		}
	}
	if _, err := facade.Ledger().Certificate(t.Context(), [32]byte{1}, "", ""); !errors.Is(err, client.ErrNotRecorded) {
		t.Errorf("of no transaction: %v", err)
	}
}

// TestCheckpointOfAMinority: with one node and one endorser away the others still make a witnessed certificate; what
// they sign continues what was signed before they were started again.
func TestCheckpointOfAMinority(t *testing.T) {
	n := testkit.Start(t, testkit.Options{})
	facade := n.Client(identity.RoleFacade)
	var earlier *proof.Checkpoint
	for i := range 3 {
		tx := n.AttachData(n.Admin, "minority", "value")
		n.Submit(identity.RoleFacade, tx)
		trust := trustOf(t, n, facade)
		c, err := facade.Ledger().Certificate(t.Context(), [32]byte(transactionID(t, tx)), "", "")
		if err == nil {
			err = facade.Ledger().Certify(t.Context(), c, trust)
		}
		if err != nil {
			t.Fatal(err)
		}
		v := proof.Verify(encoded(t, c), trust)
		if v.Level != proof.Witnessed || i == 2 && len(v.Checkpoint.Signers) != 4 {
			t.Fatalf("round %d: %s %v %+v", i, v.Level, v.Failure, v.Checkpoint)
		}
		if earlier != nil {
			path, err := facade.Ledger().ProveConsistency(t.Context(), n.ChainID, earlier.Size, v.Checkpoint.Size)
			if err != nil || !proof.VerifyConsistency(earlier, v.Checkpoint, path) {
				t.Errorf("round %d: the checkpoint is no continuation: %v", i, err)
			}
		}
		earlier = v.Checkpoint
		switch i {
		case 0:
			n.StopNode(0)
			n.RestartNode(0)
			n.StopEndorser(0)
			n.RestartEndorser(0)
			n.Leader()
		case 1:
			n.StopNode((n.Leader() + 1) % 3)
			n.StopEndorser(2)
		}
	}
}

// convictLiar: n1, with its real key, signs another root than it signed for a certificate. Endorsers that are shown
// that make the file that convicts it, and so does who compares it with the certificate; then all processes have it.
// Checkpoints are signed by all others as before, and by n1 no more.
func convictLiar(t *testing.T, n *testkit.Network, facade *client.Client, certificate []byte) {
	t.Helper()
	c, err := proof.ParseCertificate(certificate)
	if err != nil {
		t.Fatal(err)
	}
	trust := trustOf(t, n, facade)
	signed, err := trust.Checkpoint(c.Checkpoint)
	if err != nil {
		t.Fatal(err)
	}
	key, err := identity.LoadKey(filepath.Join(n.Dir, "nodes", "n1", "sign.key"))
	if err != nil {
		t.Fatal(err)
	}
	lie := forged(signed, key)
	files := facade.Ledger().ShowCheckpoint(t.Context(), trust, lie)
	_, err = facade.Ledger().Compare(t.Context(), trust, lie, c.Checkpoint)
	fork, ok := errors.AsType[*client.ForkError](err)
	if len(files) != 1 || !ok || len(fork.Misbehaviours) != 1 || !errors.Is(err, client.ErrTwoHistories) {
		t.Fatalf("%d files were made of a lie; compared with the certificate: %v", len(files), err)
	}
	stored, err := filepath.Glob(filepath.Join(n.EndorserDir(1), "misbehaviour", "node-n1-*.json"))
	if err != nil || len(stored) != 1 {
		t.Fatalf("org2's endorser has the files %v, %v", stored, err)
	}
	kept, err := os.ReadFile(stored[0])
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range [][]byte{files[0], fork.Misbehaviours[0], kept} {
		if v := proof.VerifyMisbehaviour(file, trust); v.Outcome != proof.Valid || v.Signer != "node/n1" {
			t.Errorf("%s convicts %s: %v", file, v.Signer, v.Failure)
		}
	}
	for _, name := range []string{"n1", "n2", "n3", "endorser/org1", "endorser/org2", "endorser/org3"} {
		s, err := facade.Ledger().Status(t.Context(), name)
		if err != nil || !strings.Contains(s.GetFault(), "node-n1-") {
			t.Errorf("%s does not name the liar: %q, %v", name, s.GetFault(), err)
		}
	}
	tx := n.SetData(n.Admin, "after", "a lie")
	n.Submit(identity.RoleFacade, tx)
	next, err := facade.Ledger().Certificate(t.Context(), [32]byte(transactionID(t, tx)), "", "")
	if err == nil {
		err = facade.Ledger().Certify(t.Context(), next, trust)
	}
	if err != nil {
		t.Fatal(err)
	}
	same, err := facade.Ledger().Compare(t.Context(), trust, next.Checkpoint, c.Checkpoint)
	if err != nil {
		t.Fatal(err)
	}
	file, err := same.Encode()
	if err != nil {
		t.Fatal(err)
	}
	if d := proof.VerifyConsistencyFile(file, trust); d.Outcome != proof.Valid || d.From.Size != signed.Size ||
		len(d.To.Signers) != 5 {
		t.Errorf("two certificates of one history: %v %v, signed by %d", d.Outcome, d.Failure, len(d.To.Signers))
	}
	for i := range 3 { // an operator has seen to it
		for _, dir := range []string{n.NodeDir(i), n.EndorserDir(i)} {
			if err := os.Rename(filepath.Join(dir, "misbehaviour"), filepath.Join(dir, "seen-to")); err != nil {
				t.Error(err)
			}
		}
	}
}

// forged is a checkpoint like another one, with another root, signed by n1.
func forged(c *proof.Checkpoint, key ed25519.PrivateKey) string {
	root := c.Root
	root[7] ^= 1
	network, _, _ := strings.Cut(strings.TrimPrefix(c.Origin, "ltl/"), "/")
	name := "ltl/" + network + "/node/n1"
	body := fmt.Sprintf("%s\n%d\n%s\n", c.Origin, c.Size, base64.StdEncoding.EncodeToString(root[:]))
	id := sha256.Sum256(append([]byte(name+"\n\x04"), key.Public().(ed25519.PublicKey)...))
	const seconds = 1_795_000_000
	signature := ed25519.Sign(key, fmt.Appendf(nil, "cosignature/v1\ntime %d\n%s", seconds, body))
	raw := append(binary.BigEndian.AppendUint64(id[:4:4], seconds), signature...)
	return body + "\n\u2014 " + name + " " + base64.StdEncoding.EncodeToString(raw) + "\n"
}

func encoded(t *testing.T, c *proof.Certificate) []byte {
	t.Helper()
	file, err := c.Encode()
	if err != nil {
		t.Fatal(err)
	}
	return file
}

// rotate gives org1 another endorser key, in place of one that was compromised.
func rotate(t *testing.T, n *testkit.Network) {
	t.Helper()
	former := n.Trust().Genesis().GetOrganisations()[0].GetEndorserKey()
	key, err := identity.CreateSignKey(filepath.Join(n.Dir, "orgs", "org1", "endorser"))
	if err != nil {
		t.Fatal(err)
	}
	n.Submit(identity.RoleOperator, &ltlv1.Transaction{ChainId: ledger.SystemChain,
		Action: &ltlv1.Transaction_ModifyOrganisation{ModifyOrganisation: &ltlv1.ModifyOrganisation{Id: "org1",
			EndorserKey: key.Public().(ed25519.PublicKey), Compromised: true,
			Possession: ledger.SignNewKey(key, n.Trust().NetworkID(), "org1", ledger.KeyID(former))}}})
}

// trustOf is the trust file of the network with the history of its keys, as `ltl trust update` writes it.
func trustOf(t *testing.T, n *testkit.Network, c *client.Client) *proof.Trust {
	t.Helper()
	keys, err := c.Ledger().GetKeys(context.Background(), &ltlv1.GetKeysRequest{})
	if err != nil {
		t.Fatal(err)
	}
	trust := n.Trust()
	trust.LearnKeys(keys)
	file, err := trust.Encode()
	if err != nil {
		t.Fatal(err)
	}
	out, err := proof.ParseTrust(file)
	if err != nil {
		t.Fatal(err)
	}
	return out
}
