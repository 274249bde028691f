package endorser_test

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/pem"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"

	"ltl/endorser"
	"ltl/internal/identity"
	"ltl/internal/ledger"
	"ltl/internal/rules"
	ltlv1 "ltl/proto/ltl/v1"
)

// newcomer is a network of one organisation, org9, which this network can take in, and its directory.
func newcomer(t *testing.T) (dir string, trust *identity.Trust, o *ltlv1.Organisation) {
	t.Helper()
	dir = filepath.Join(t.TempDir(), "newcomer")
	err := identity.CreateNetwork(dir, identity.NetworkSpec{
		Network: "other", Facades: []string{"f9"}, Organisations: []identity.OrgSpec{{ID: "org9", Name: "Ninth",
			EndorserAddress: "127.0.0.1:9"}},
		Nodes: []identity.NodeSpec{{ID: "n9", Organisation: "org9", Address: "127.0.0.1:99"}},
	})
	if err != nil {
		t.Fatal(err)
	}
	if trust, err = identity.LoadTrust(filepath.Join(dir, "trust.json")); err != nil {
		t.Fatal(err)
	}
	return dir, trust, trust.Genesis().GetOrganisations()[0]
}

// create proposes to take in an organisation, whose authority has the key in a file.
func (w *world) create(o *ltlv1.Organisation, authority string) []byte {
	w.t.Helper()
	key, err := identity.LoadKey(authority)
	if err != nil {
		w.t.Fatal(err)
	}
	network := w.trust.NetworkID()
	p := &ltlv1.Propose{NetworkId: network[:], ExpiryMs: time.Now().Add(2 * time.Hour).UnixMilli(),
		Action: &ltlv1.Propose_CreateOrganisation{CreateOrganisation: &ltlv1.CreateOrganisation{
			Organisation: o, AuthorityPossession: ledger.SignAuthority(key, network, o.GetId(), o.GetCaCertificate())}}}
	if p.Basis, err = rules.BasisOf(w.store, p); err != nil {
		w.t.Fatal(err)
	}
	return w.tx(operatorName, "", ledger.SystemChain, &ltlv1.Transaction_Propose{Propose: p})
}

// approve is the approval of a proposal by an operator.
func (w *world) approve(operator string, proposal []byte) []byte {
	network, id := w.trust.NetworkID(), ledger.TransactionID(proposal)
	return w.tx(operator, "", ledger.SystemChain,
		&ltlv1.Transaction_Approve{Approve: &ltlv1.Approve{NetworkId: network[:], ProposalId: id[:]}})
}

// join takes in an organisation.
func (w *world) join(o *ltlv1.Organisation, authority string) {
	w.t.Helper()
	proposal := w.create(o, authority)
	w.order(proposal)
	w.order(w.approve(operatorName, proposal), w.approve("org2/operator/x", proposal))
}

// TestLaterOrganisationConnects: a facade of an organisation that the ledger takes in later can connect, without a
// restart and after one.
func TestLaterOrganisationConnects(t *testing.T) {
	w := newWorld(t)
	// Another trust than the nodes' of this test, which stay as they are.
	own, err := identity.LoadTrust(filepath.Join(w.dir, "trust.json"))
	if err != nil {
		t.Fatal(err)
	}
	credentials, err := identity.LoadCredentials(filepath.Join(w.dir, "orgs/org1/endorser"), own)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	r := w.start(dir, func(cfg *endorser.Config) { cfg.Trust, cfg.Credentials = own, credentials })
	r.caughtUp()
	home, their, organisation := newcomer(t)
	for _, o := range w.trust.Genesis().GetOrganisations() { // what the newcomer is given to know
		if err := their.AddOrganisation(o); err != nil {
			t.Fatal(err)
		}
	}
	facade, err := identity.LoadCredentials(filepath.Join(home, "facades/f9"), their)
	if err != nil {
		t.Fatal(err)
	}
	call := func(address string) error {
		conn, err := grpc.NewClient(address, facade.DialOptions(identity.RoleEndorser, "org1")...)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		_, err = ltlv1.NewLedgerClient(conn).Status(ctx, &ltlv1.StatusRequest{})
		return err
	}
	if err := call(r.Addr()); err == nil {
		t.Error("the facade of an unknown organisation is let in")
	}
	w.join(organisation, filepath.Join(home, "orgs/org9/ca.key"))
	r.caughtUp()
	waitFor(t, "the facade of the new organisation is let in", func() bool { return call(r.Addr()) == nil })
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	fresh, err := identity.LoadTrust(filepath.Join(w.dir, "trust.json"))
	if err != nil {
		t.Fatal(err)
	}
	if credentials, err = identity.LoadCredentials(filepath.Join(w.dir, "orgs/org1/endorser"), fresh); err != nil {
		t.Fatal(err)
	}
	again := w.start(dir, func(cfg *endorser.Config) {
		cfg.Trust, cfg.Credentials = fresh, credentials
		// no node answers: it must read the nodes from its own copy
		cfg.Nodes = []endorser.Peer{{ID: "n1", Address: "127.0.0.1:1"}}
	})
	if err := call(again.Addr()); err != nil {
		t.Errorf("after a restart: %v", err)
	}
}

// certificate is the DER of the certificate in a directory.
func certificate(t *testing.T, parts ...string) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(append(parts, "tls.pem")...))
	if err != nil {
		t.Fatal(err)
	}
	block, _ := pem.Decode(b)
	return block.Bytes
}

// TestRefusesOrganisationsThatNobodyCouldTrust: the rules, which read no more of a certificate than its key, or the
// endorser, which knows what a certificate authority is, refuse them.
func TestRefusesOrganisationsThatNobodyCouldTrust(t *testing.T) {
	w := newWorld(t)
	r := w.start(t.TempDir(), nil)
	r.caughtUp()
	operator := ltlv1.NewEndorserClient(r.dial("operator"))
	endorse := func(payloads ...[]byte) *ltlv1.EndorseResponse {
		t.Helper()
		out, err := operator.Endorse(t.Context(), &ltlv1.EndorseRequest{ChainId: ledger.SystemChain, Transactions: payloads})
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
	home, _, good := newcomer(t)
	ca, leaf := filepath.Join(home, "orgs/org9/ca.key"), filepath.Join(home, "orgs/org9/endorser/tls.key")
	with := func(id string, change func(*ltlv1.Organisation)) *ltlv1.Organisation {
		o := proto.CloneOf(good)
		o.Id, o.EndorserKey = id, make([]byte, ed25519.PublicKeySize)
		if _, err := rand.Read(o.EndorserKey); err != nil {
			t.Fatal(err)
		}
		change(o)
		return o
	}
	ours := w.trust.Genesis().GetOrganisations()[1].GetCaCertificate()
	for name, tc := range map[string]struct {
		o    *ltlv1.Organisation
		key  string
		code int32
		want string
	}{
		"garbage": {with("bad", func(o *ltlv1.Organisation) { o.CaCertificate = []byte("a certificate") }), ca,
			rules.OutOfRange, ""},
		"no authority": {with("bad", func(o *ltlv1.Organisation) { o.CaCertificate = certificate(t, home, "orgs/org9/endorser") }),
			leaf, rules.Forbidden, "may not sign others"},
		"org2's authority": {with("bad", func(o *ltlv1.Organisation) { o.CaCertificate = bytes.Clone(ours) }),
			filepath.Join(w.dir, "orgs/org2/ca.key"), rules.Conflict, "Organisation org2 has"},
		"the batch's, earlier": {with("bad", func(*ltlv1.Organisation) {}), ca, rules.Forbidden,
			`the certificate authority of "org9"`},
	} {
		out := endorse(w.create(good, ca), w.create(tc.o, tc.key))
		if out.GetCodes()[0] != rules.OK || out.GetCodes()[1] != tc.code || !strings.Contains(out.GetReasons()[1],
			tc.want) {
			t.Errorf("%s: codes %v, reasons %q", name, out.GetCodes(), out.GetReasons())
		}
		if bits := out.GetEndorsement().GetBitmap(); !ledger.Accepts(bits, 0) || ledger.Accepts(bits, 1) {
			t.Errorf("%s: it accepts %b", name, bits)
		}
	}
	twin := w.create(with("twin", func(*ltlv1.Organisation) {}), ca) // it is proposed while org9 is not known yet
	w.order(twin)
	w.join(good, ca)
	r.caughtUp()
	if out := endorse(w.approve(operatorName, twin)); out.GetEndorsement() != nil ||
		!strings.Contains(out.GetReasons()[0], `of "org9"`) {
		t.Errorf("an approval of an organisation with the authority of another: %v", out)
	}
	if out := endorse(w.create(with("bad", func(*ltlv1.Organisation) {}), ca)); out.GetEndorsement() != nil ||
		!strings.Contains(out.GetReasons()[0], "Organisation org9 has") {
		t.Errorf("the authority of an organisation that was added: %v", out)
	}
}
