package identity

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"
)

// TestAuthorityOfAnotherOrganisation: no certificate is made that every peer would refuse, and no file is left behind.
func TestAuthorityOfAnotherOrganisation(t *testing.T) {
	dir, _ := newNetwork(t, time.Time{})
	out := filepath.Join(t.TempDir(), "out")
	err := Issue(filepath.Join(dir, "orgs/org1"), out, Identity{"org2", RoleOperator, "ops"}, time.Now())
	if !errors.Is(err, ErrAuthority) {
		t.Errorf("org1's authority makes a certificate of org2's: %v", err)
	}
	if _, err := os.Stat(out); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("%s is there: %v", out, err)
	}
}

// TestOrganisationFile: what an organisation describes itself with is what others read, and they can trust it.
func TestOrganisationFile(t *testing.T) {
	dir, trust := newNetwork(t, time.Time{})
	spec := OrgSpec{ID: "org9", Name: "Ninth <Ltd> 公司", EndorserAddress: "endorser9.example:7100"}
	made, err := CreateOrganisation(dir, trust.NetworkID(), spec, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "orgs/org9", OrganisationFile)
	read, err := LoadOrganisation(path, trust.NetworkID())
	if err != nil || !proto.Equal(made, read) || read.GetOrganisation().GetName() != spec.Name {
		t.Fatalf("read %v, %v; made %v", read, err, made)
	}
	if err := trust.AddOrganisation(read.GetOrganisation()); err != nil {
		t.Fatal(err)
	}
	c := credentialsOf(t, dir, "orgs/org9/endorser", trust)
	if c.Identity() != (Identity{"org9", RoleEndorser, "org9"}) {
		t.Errorf("its endorser is %v", c.Identity())
	}
	before, err := os.ReadFile(filepath.Join(dir, "orgs/org9/ca.key"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := CreateOrganisation(dir, trust.NetworkID(), spec, time.Now()); err == nil {
		t.Error("made again over its keys")
	}
	if after, err := os.ReadFile(filepath.Join(dir, "orgs/org9/ca.key")); err != nil || !bytes.Equal(before, after) {
		t.Errorf("the authority's key was changed: %v", err)
	}
	good, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for what, bad := range map[string][]byte{
		"empty":         nil,
		"cut":           good[:len(good)/2],
		"unknown field": bytes.Replace(good, []byte(`"id"`), []byte(`"di"`), 1),
		"short key":     bytes.Replace(good, []byte(`"endorserKey": "`), []byte(`"endorserKey": "00`), 1),
		"no port":       bytes.Replace(good, []byte(":7100"), nil, 1),
		"capital id":    bytes.Replace(good, []byte(`"org9"`), []byte(`"ORG9"`), 1),
		"certificate":   bytes.Replace(good, []byte(`"caCertificate": "M`), []byte(`"caCertificate": "N`), 1),
		"no signature":  bytes.Replace(good, []byte(`"authorityPossession": "`), []byte(`"authorityPossession": "AAAA`), 1),
		"another id":    bytes.Replace(good, []byte(`"org9"`), []byte(`"org8"`), 1),
	} {
		other := filepath.Join(t.TempDir(), "o.json")
		if err := os.WriteFile(other, bad, 0o600); err != nil {
			t.Fatal(err)
		}
		if o, err := LoadOrganisation(other, trust.NetworkID()); err == nil {
			t.Errorf("%s: read as %v", what, o)
		}
	}
	other := trust.NetworkID()
	other[0] ^= 1
	if _, err := LoadOrganisation(path, other); err == nil {
		t.Error("a description for one network is taken in another")
	}
	if _, err := CreateOrganisation(t.TempDir(), other, OrgSpec{ID: "Bad Id", Name: "x", EndorserAddress: "h:1"},
		time.Now()); err == nil {
		t.Error("made an organisation with a bad id")
	}
}
