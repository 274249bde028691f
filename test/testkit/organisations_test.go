package testkit_test

import (
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/pem"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"

	"ltl/client"
	"ltl/internal/identity"
	"ltl/internal/ledger"
	"ltl/internal/rules"
	ltlv1 "ltl/proto/ltl/v1"
	"ltl/test/testkit"
)

func modifyOrganisation(m *ltlv1.ModifyOrganisation) *ltlv1.Transaction {
	return &ltlv1.Transaction{Action: &ltlv1.Transaction_ModifyOrganisation{ModifyOrganisation: m}}
}

func modifyChain(n *testkit.Network, policy string, organisations ...string) *ltlv1.Transaction {
	return &ltlv1.Transaction{Action: &ltlv1.Transaction_ModifyChain{ModifyChain: &ltlv1.ModifyChain{
		ChainId: n.ChainID, Policy: &policy, Organisations: organisations,
	}}}
}

// newKey is the change of org4's endorser key to one that signs that it takes the place of the present one.
func newKey(t *testing.T, n *testkit.Network, c *client.Client, key ed25519.PrivateKey, compromised bool) *ltlv1.ModifyOrganisation {
	res, err := c.Ledger().GetNetwork(t.Context(), &ltlv1.GetNetworkRequest{})
	if err != nil {
		t.Fatal(err)
	}
	m := &ltlv1.ModifyOrganisation{Id: "org4", EndorserKey: key.Public().(ed25519.PublicKey), Compromised: compromised}
	for _, o := range res.GetOrganisations() {
		if o.GetId() == m.Id {
			m.Possession = ledger.SignNewKey(key, n.Trust().NetworkID(), m.Id, ledger.KeyID(o.GetEndorserKey()))
		}
	}
	return m
}

// TestOrganisationsChangeUnderLoad: while records are written, an organisation joins with its endorser, becomes needed
// on the chain, changes its key in every way and its address, and leaves; no write fails, is lost or happens twice.
func TestOrganisationsChangeUnderLoad(t *testing.T) {
	n := testkit.Start(t, testkit.Options{})
	l := startLoad(t, n)
	first := n.Client(identity.RoleOperator)
	at := n.AddOrganisation("org4")
	l.progress("organisation added")
	n.Decide(first, modifyChain(n, "submitter & org(org4)", "org1", "org2", "org3", "org4"))
	l.progress("it is needed on the chain")

	operator := n.OperatorOf("org4")
	for _, compromised := range []bool{false, true} {
		key, err := identity.CreateSignKey(filepath.Join(n.Dir, "orgs/org4/endorser"))
		if err != nil {
			t.Fatal(err)
		}
		n.SubmitAs(operator, modifyOrganisation(newKey(t, n, operator, key, compromised)))
		l.progress("endorser key rotated")
	}
	// A key that its endorser does not hold counts for nothing, whatever the others hold.
	_, stranger, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	if r, err := operator.Submit(t.Context(), &ltlv1.Transaction{ChainId: "0000000000000000",
		Action: modifyOrganisation(newKey(t, n, operator, stranger, false)).Action}); err != nil || r.GetCode() != rules.Forbidden {
		t.Errorf("a key that the endorser does not hold: %v, %v", r, err)
	}
	n.Decide(first, modifyChain(n, "submitter & majority", "org1", "org2", "org3", "org4"))
	l.progress("any majority is enough")
	n.StopEndorser(at) // an endorser that starts with the new key only
	if err := os.Remove(filepath.Join(n.Dir, "orgs/org4/endorser/sign.key")); err != nil {
		t.Fatal(err)
	}
	n.RestartEndorser(at)
	n.Decide(first, modifyChain(n, "submitter & org(org4)", "org1", "org2", "org3", "org4"))
	l.progress("endorser restarted without its first key, and needed again")

	n.Decide(first, modifyChain(n, "submitter & majority"))
	l.progress("it is not needed any more, and still on the chain")
	n.Decide(first, &ltlv1.Transaction{Action: &ltlv1.Transaction_RemoveOrganisation{
		RemoveOrganisation: &ltlv1.RemoveOrganisation{Id: "org4"},
	}})
	l.progress("organisation removed")
	refusedSoon(t, n, "a removed organisation's operator", "operator-org4")
	n.StopEndorser(at) // it cannot follow a node any more
	l.finish()
}

// refusedSoon waits until every process refuses a connection with the credentials, and logs how long that took.
func refusedSoon(t *testing.T, n *testkit.Network, what, dir string) {
	t.Helper()
	start := time.Now()
	trust := n.Trust()
	c := n.Credentials(dir, trust)
	peers := map[string][]grpc.DialOption{}
	for _, g := range trust.Genesis().GetNodes() {
		peers[g.GetAddress()] = c.DialOptions(identity.RoleNode, g.GetId())
	}
	for _, o := range trust.Genesis().GetOrganisations() {
		peers[o.GetEndorserAddress()] = c.DialOptions(identity.RoleEndorser, o.GetId())
	}
	for address, options := range peers {
		testkit.WaitFor(t, 10*time.Second, what+" is refused at "+address, func() bool {
			conn, err := grpc.NewClient(address, options...)
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			_, err = ltlv1.NewLedgerClient(conn).Status(t.Context(), &ltlv1.StatusRequest{})
			return err != nil
		})
	}
	t.Logf("%s: refused by all %d processes within %v", what, len(peers), time.Since(start).Round(time.Millisecond))
}

func keyHash(t *testing.T, n *testkit.Network, dir string) []byte {
	t.Helper()
	cert, err := identity.ReadCertificate(filepath.Join(n.Dir, dir))
	if err != nil {
		t.Fatal(err)
	}
	hash := sha256.Sum256(cert.Key)
	return hash[:]
}

// TestRevokedUnderLoad: a facade and a client whose certificates are revoked are refused by every process, also on the
// connections that they have, while others write on; a facade whose key alone was revoked goes on with another.
func TestRevokedUnderLoad(t *testing.T) {
	n := testkit.Start(t, testkit.Options{Facades: []string{"f2", "f3"}})
	l := startLoad(t, n)
	revoke := func(dir, id string, only bool) {
		n.SubmitAs(n.Client(identity.RoleOperator), &ltlv1.Transaction{Action: &ltlv1.Transaction_RevokeCertificate{
			RevokeCertificate: &ltlv1.RevokeCertificate{Identity: id, KeyHash: keyHash(t, n, dir), KeyOnly: only},
		}})
	}
	stolen, watching := n.OpenClient("facades/f2"), make(chan error, 1)
	if r, err := stolen.Submit(t.Context(), n.AttachData(n.Member, "stolen", "before")); err != nil ||
		r.GetCode() != rules.OK {
		t.Fatal(r, err)
	}
	conn := watchKeys(t, n, "facades/f2", watching)
	defer conn.Close()
	revoke("facades/f2", "org1/facade/f2", false)
	select {
	case err := <-watching:
		t.Logf("an open stream ended: %v", err)
	case <-time.After(10 * time.Second):
		t.Error("a stream of a revoked facade goes on")
	}
	refusedSoon(t, n, "a revoked facade", "facades/f2")
	mustFail(t, n, stolen)
	l.progress("facade revoked")
	revoke("clients/bench", "org1/client/bench", false)
	refusedSoon(t, n, "a revoked client", "clients/bench")

	c := n.OpenClient("facades/f3")
	revoke("facades/f3", "org1/facade/f3", true)
	refusedSoon(t, n, "a revoked key", "facades/f3")
	mustFail(t, n, c)
	if err := identity.Rekey(filepath.Join(n.Dir, "orgs/org1"), filepath.Join(n.Dir, "facades/f3"),
		time.Now()); err != nil {
		t.Fatal(err)
	}
	testkit.WaitFor(t, 20*time.Second, "a facade with a new key writes without a restart", func() bool {
		r, err := c.Submit(t.Context(), n.AttachData(n.Member, "renewed", "again"))
		return err == nil && r.GetCode() == rules.OK
	})
	l.progress("facade revoked and renewed")
	l.finish()
}

// mustFail checks that a client whose certificate was revoked cannot write any more.
func mustFail(t *testing.T, n *testkit.Network, c *client.Client) {
	t.Helper()
	if r, err := c.Submit(t.Context(), n.AttachData(n.Member, "stolen", "after")); err == nil && r.GetCode() == rules.OK {
		t.Error("a revoked facade writes")
	}
}

// watchKeys watches AccessKeys at a node and tells how the stream ends.
func watchKeys(t *testing.T, n *testkit.Network, dir string, ended chan<- error) *grpc.ClientConn {
	t.Helper()
	trust := n.Trust()
	g := trust.Genesis().GetNodes()[0]
	conn, err := grpc.NewClient(g.GetAddress(), n.Credentials(dir, trust).DialOptions(identity.RoleNode, g.GetId())...)
	if err != nil {
		t.Fatal(err)
	}
	stream, err := ltlv1.NewOperatorClient(conn).WatchSealed(t.Context(), &ltlv1.WatchSealedRequest{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := stream.Recv(); err != nil {
		t.Fatal(err)
	}
	go func() {
		for {
			if _, err := stream.Recv(); err != nil {
				ended <- err
				return
			}
		}
	}()
	return conn
}

// TestCertificatesRotateUnderLoad: an organisation gets another authority, every certificate of it is renewed under
// that one, and the former is retired, which ends all connections under it; nothing is restarted and no write fails.
func TestCertificatesRotateUnderLoad(t *testing.T) {
	n := testkit.Start(t, testkit.Options{Facades: []string{"f2"}})
	idle := n.OpenClient("facades/f2") // as a facade without calls
	var watch sync.WaitGroup
	ctx, cancel := context.WithCancel(t.Context())
	defer watch.Wait()
	defer cancel()
	watch.Go(func() {
		if err := idle.WatchSealed(ctx, 0, func(*ltlv1.SealedKey) error { return nil }); ctx.Err() == nil {
			t.Errorf("the watch ends: %v", err)
		}
	})
	l := startLoad(t, n)
	old := filepath.Join(n.Dir, "orgs/org1")
	fresh := filepath.Join(n.Dir, "orgs/org1/second")
	der, err := identity.CreateAuthority(fresh, "org1", time.Now())
	if err != nil {
		t.Fatal(err)
	}
	operator := n.Client(identity.RoleOperator)
	n.SubmitAs(operator, entersAuthority(n, fresh, der))
	l.progress("authority added")
	for _, dir := range []string{"nodes/n1", "orgs/org1/endorser", "facades/f1", "facades/f2", "operator",
		"clients/bench"} {
		if err := identity.Renew(fresh, filepath.Join(n.Dir, dir), time.Now()); err != nil {
			t.Fatal(err)
		}
		l.progress(dir + " renewed")
	}
	time.Sleep(7 * time.Second) // a client hears of the new authority within six seconds; operators leave a minute
	l.progress("every process knows it")
	raw, err := os.ReadFile(filepath.Join(old, "ca.pem"))
	if err != nil {
		t.Fatal(err)
	}
	former, _ := pem.Decode(raw)
	hash := sha256.Sum256(former.Bytes)
	n.SubmitAs(operator, modifyOrganisation(&ltlv1.ModifyOrganisation{Id: "org1", RetireAuthority: hash[:]}))
	l.progress("authority retired")
	if r, err := idle.Submit(t.Context(), n.AttachData(n.Member, "idle", "awake")); err != nil || r.GetCode() != rules.OK {
		t.Errorf("a client that was idle: %v, %v", r, err)
	}
	n.Issue("late", identity.Identity{Organisation: "org1", Role: identity.RoleClient, Name: "late"})
	refusedSoon(t, n, "a certificate of the retired authority", "late")
	n.SubmitAs(operator, modifyOrganisation(&ltlv1.ModifyOrganisation{Id: "org1", Name: proto.String("Renamed")}))
	l.finish()
}

// TestEverythingExpired: a network whose certificates and authorities all expired years ago starts, takes writes and is
// repaired.
func TestEverythingExpired(t *testing.T) {
	n := testkit.Start(t, testkit.Options{Created: time.Now().AddDate(-40, 0, 0)})
	l := startLoad(t, n)
	for _, dir := range []string{"nodes/n1", "nodes/n2", "nodes/n3", "orgs/org1/endorser", "orgs/org2/endorser",
		"orgs/org3/endorser", "facades/f1", "operator"} {
		of := map[string]string{"nodes/n2": "org2", "nodes/n3": "org3", "orgs/org2/endorser": "org2",
			"orgs/org3/endorser": "org3"}[dir]
		if of == "" {
			of = "org1"
		}
		if err := identity.Renew(filepath.Join(n.Dir, "orgs", of), filepath.Join(n.Dir, dir), time.Now()); err != nil {
			t.Fatal(err)
		}
	}
	n.StopNode(0)
	n.RestartNode(0)
	n.StopEndorser(2) // not the submitter's, which every write needs
	n.RestartEndorser(2)
	l.progress("everything renewed under expired authorities")

	fresh := filepath.Join(n.Dir, "orgs/org1/second")
	der, err := identity.CreateAuthority(fresh, "org1", time.Now())
	if err != nil {
		t.Fatal(err)
	}
	n.SubmitAs(n.Client(identity.RoleOperator), entersAuthority(n, fresh, der))
	if err := identity.Renew(fresh, filepath.Join(n.Dir, "nodes/n1"), time.Now()); err != nil {
		t.Fatal(err)
	}
	n.UpdateTrust()
	n.StopNode(0)
	n.RestartNode(0)
	if c := n.Credentials("nodes/n1", n.Trust()); !c.CertificateExpiry().After(time.Now()) {
		t.Errorf("the repaired certificate expires at %v", c.CertificateExpiry())
	}
	l.progress("authority and certificate renewed")
	l.finish()
}

// entersAuthority is the transaction that gives org1 the authority in dir.
func entersAuthority(n *testkit.Network, dir string, der []byte) *ltlv1.Transaction {
	possession, err := identity.SignAuthority(dir, n.Trust().NetworkID(), "org1")
	if err != nil {
		panic(err) // the authority was made a moment before
	}
	return modifyOrganisation(&ltlv1.ModifyOrganisation{Id: "org1", AddAuthority: der, AuthorityPossession: possession})
}
