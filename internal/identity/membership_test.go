package identity

import (
	"crypto/sha256"
	"crypto/x509"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	ltlv1 "ltl/proto/ltl/v1"
)

// standingOf is the genesis' membership at a height, to be changed.
func standingOf(t *Trust, height uint64) *Membership {
	return &Membership{Height: height, Organisations: t.Genesis().GetOrganisations()}
}

// accepts says how the trust judges the certificate in a directory.
func accepts(t *testing.T, trust *Trust, dir string) error {
	t.Helper()
	cert, err := loadCertificate(filepath.Join(dir, "tls.pem"))
	if err != nil {
		t.Fatal(err)
	}
	_, _, err = trust.verify(cert, x509.ExtKeyUsageClientAuth, time.Now())
	return err
}

// TestTrustFollowsTheLedger: authorities overlap and are retired, certificates are revoked by key and by identity,
// organisations are removed; what is older than what is known changes nothing.
func TestTrustFollowsTheLedger(t *testing.T) {
	dir, trust := newNetwork(t, time.Time{})
	second := filepath.Join(dir, "second")
	der, err := CreateAuthority(second, "org1", time.Now())
	if err != nil {
		t.Fatal(err)
	}
	under, client := filepath.Join(dir, "under"), filepath.Join(dir, "clients/bench")
	if err := Issue(second, under, Identity{"org1", RoleClient, "x"}, time.Now()); err != nil {
		t.Fatal(err)
	}
	want := func(what string, dir string, is error) {
		t.Helper()
		if err := accepts(t, trust, dir); !errors.Is(err, is) || (is == nil) != (err == nil) {
			t.Errorf("%s: %v, want %v", what, err, is)
		}
	}
	update := func(height uint64, change func(*Membership)) {
		t.Helper()
		m := standingOf(trust, height)
		change(m)
		if err := trust.Update(m); err != nil {
			t.Fatal(err)
		}
	}
	want("an unknown authority", under, errAuthority)
	first := trust.Genesis().GetOrganisations()[0].GetCaCertificate()
	both := []*ltlv1.Authorities{{Organisation: "org1", Certificates: [][]byte{first, der}}}
	update(5, func(m *Membership) { m.Authorities = both })
	want("a second authority", under, nil)
	want("the first beside it", client, nil)
	update(4, func(*Membership) {})
	want("after an older answer", under, nil)
	update(6, func(m *Membership) {
		m.Organisations[0].CaCertificate = der
		m.Authorities = []*ltlv1.Authorities{{Organisation: "org1", Certificates: [][]byte{der}}}
	})
	want("the retired authority", client, errAuthority)

	cert, err := ReadCertificate(client)
	if err != nil {
		t.Fatal(err)
	}
	hash := sha256.Sum256(cert.Key)
	key := []*ltlv1.RevokeCertificate{{Identity: "org1/client/bench", KeyHash: hash[:], KeyOnly: true}}
	update(7, func(m *Membership) { m.Revocations = key })
	want("a revoked key", client, ErrRevoked)
	if err := Renew(filepath.Join(dir, "orgs/org1"), client, time.Now()); err != nil {
		t.Fatal(err)
	}
	want("renewed with the revoked key", client, ErrRevoked)
	if err := Rekey(filepath.Join(dir, "orgs/org1"), client, time.Now()); err != nil {
		t.Fatal(err)
	}
	want("another key of the identity", client, nil)
	update(8, func(m *Membership) { m.Revocations = []*ltlv1.RevokeCertificate{{Identity: "org1/client/bench"}} })
	want("a revoked identity", client, ErrRevoked)
	update(9, func(m *Membership) { m.Organisations, m.Removed = m.Organisations[1:], []string{"org1"} })
	want("a removed organisation", client, errRemovedOrganisation)
	node := filepath.Join(dir, "nodes/n1")
	want("its node, until consensus does without it", node, nil)
	trust.RemoveNode("n1")
	want("its node afterwards", node, errRemovedOrganisation)
	if _, ok := trust.Organisation("org1"); ok {
		t.Error("a removed organisation is known")
	}
}

// TestTrustKeepsWhatItKnewOfABadOrganisation: one that cannot be trusted does not hide the others.
func TestTrustKeepsWhatItKnewOfABadOrganisation(t *testing.T) {
	_, trust := newNetwork(t, time.Time{})
	m := standingOf(trust, 3)
	m.Organisations[0].CaCertificate = m.Organisations[1].CaCertificate
	m.Organisations[1].EndorserAddress = "moved.example:1"
	if err := trust.Update(m); !errors.Is(err, ErrTrust) {
		t.Errorf("an organisation with another's authority: %v", err)
	}
	if o, _ := trust.Organisation("org1"); !proto.Equal(o, trust.Genesis().GetOrganisations()[0]) {
		t.Error("it was changed: ", o)
	}
	if o, _ := trust.Organisation("org2"); o.GetEndorserAddress() != "moved.example:1" {
		t.Error("the others were not: ", o)
	}
	if err := trust.CheckAuthority("org1", m.Organisations[1].CaCertificate); !errors.Is(err, ErrTrust) {
		t.Errorf("an authority of another: %v", err)
	}
}

// TestTrustFileRemembers: a saved trust file restores what was learned, and one that was edited so that no ledger can
// have said it is refused.
func TestTrustFileRemembers(t *testing.T) {
	dir, trust := newNetwork(t, time.Time{})
	path, second := filepath.Join(dir, "trust.json"), filepath.Join(dir, "second")
	der, err := CreateAuthority(second, "org1", time.Now())
	if err != nil {
		t.Fatal(err)
	}
	m := standingOf(trust, 12)
	m.Authorities = []*ltlv1.Authorities{{Organisation: "org1", Certificates: [][]byte{der}}}
	m.Organisations[0].CaCertificate = der
	m.Revocations, m.Removed = []*ltlv1.RevokeCertificate{{Identity: "org2/client/x"}}, []string{"org9"}
	if err := trust.Update(m); err != nil {
		t.Fatal(err)
	}
	if err := SaveTrust(path, trust); err != nil {
		t.Fatal(err)
	}
	again, err := LoadTrust(path)
	if err != nil {
		t.Fatal(err)
	}
	if again.Height() != 12 || again.NetworkID() != trust.NetworkID() {
		t.Errorf("height %d, network %x", again.Height(), again.NetworkID())
	}
	if err := accepts(t, again, filepath.Join(dir, "clients/bench")); !errors.Is(err, errAuthority) {
		t.Errorf("the retired authority: %v", err)
	}
	_, err = LoadCredentials(filepath.Join(dir, "clients/bench"), again)
	if err == nil || !strings.Contains(err.Error(), "ltl trust update") {
		t.Errorf("own certificate under the retired authority: %v, want advice", err)
	}
	if err := Renew(second, filepath.Join(dir, "clients/bench"), time.Now()); err != nil {
		t.Fatal(err)
	}
	credentialsOf(t, dir, "clients/bench", again)
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for what, change := range map[string][2]string{
		"no authority":  {`"authorities": [`, `"authorities": [], "x": [`},
		"another key":   {`"height": 12`, `"height": 12, "height": 13`},
		"bad identity":  {`"keyHash": ""`, `"keyHash": "0"`},
		"another order": {`"revocations"`, `"removed"`},
	} {
		if _, err := parseTrust([]byte(strings.Replace(string(raw), change[0], change[1], 1))); !errors.Is(err, ErrTrust) {
			t.Errorf("%s: %v, want ErrTrust", what, err)
		}
	}
}

// TestSealingKeysRotate: at each moment of a rotation every AccessKey opens, and an interrupted one goes on with the
// same key.
func TestSealingKeysRotate(t *testing.T) {
	dir, seal := t.TempDir(), AccessKeySeal{AccessKeyID: "id"}
	former, err := CreateSealingKey(filepath.Join(dir, "sealing.key"))
	if err != nil {
		t.Fatal(err)
	}
	old, err := seal.Seal(former, "secret")
	if err != nil {
		t.Fatal(err)
	}
	next, err := NextSealingKey(dir)
	if err != nil {
		t.Fatal(err)
	}
	if same, err := NextSealingKey(dir); err != nil || string(same) != string(next) {
		t.Error("an interrupted rotation goes on with another key: ", err)
	}
	fresh, err := seal.Seal(next, "secret")
	if err != nil {
		t.Fatal(err)
	}
	opens := func(what string, sealed []byte, want int) {
		t.Helper()
		keys, err := LoadSealingKeys(dir)
		if err != nil {
			t.Fatal(err)
		}
		if secret, at, err := seal.Open(keys, sealed); err != nil || secret != "secret" || at != want {
			t.Errorf("%s: %q by key %d, %v", what, secret, at, err)
		}
	}
	for range 2 {
		if err := AddSealingKey(dir, next); err != nil {
			t.Fatal(err)
		}
	}
	opens("the former, while handed out", old, 0)
	opens("the next, while handed out", fresh, 1)
	for range 2 {
		if err := PromoteSealingKey(dir, next); err != nil {
			t.Fatal(err)
		}
	}
	opens("the new one", fresh, 0)
	opens("the former, afterwards", old, 1)
	if files, err := filepath.Glob(filepath.Join(dir, "*")); err != nil || len(files) != 2 {
		t.Error("left behind: ", files, err)
	}
	if _, _, err := seal.Open([][]byte{former}, fresh); !errors.Is(err, ErrSealed) {
		t.Error("the former key opens what the new one sealed: ", err)
	}
}
