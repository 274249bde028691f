package identity

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	ltlv1 "ltl/proto/ltl/v1"
	"ltl/test/testkit/offline"
)

// continuing makes the keys of two organisations that go on, each in a directory of its own, which it returns.
func continuing(t *testing.T) (dirs []string, all []*Continuing) {
	t.Helper()
	for i, id := range []string{"org4", "org5"} {
		dir := filepath.Join(t.TempDir(), "next")
		c, err := CreateContinuing(dir, &ContinuingSpec{
			OrgSpec: OrgSpec{ID: id, Name: "Ltd 公司 " + id, EndorserAddress: "127.0.0.1:7101"}, Created: time.Now(),
			Nodes:   []NodeSpec{{ID: []string{"node4", "node5"}[i], Address: "127.0.0.1:7000"}},
			Facades: []string{"facade" + id},
		})
		if err != nil {
			t.Fatal(err)
		}
		dirs, all = append(dirs, dir), append(all, c)
	}
	return dirs, all
}

// TestSuccession: the organisations of a successor sign its genesis in any order, each once, and with the last signature
// it is a trust file under which their new certificates count.
func TestSuccession(t *testing.T) {
	dirs, all := continuing(t)
	s, err := NewSuccession("next", time.Now(), offline.Predecessor("old"), all)
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(s.Unsigned(), []string{"org4", "org5"}) {
		t.Errorf("unsigned: %v", s.Unsigned())
	}
	id, err := s.ID()
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "genesis.json")
	for i, by := range []string{"org5", "org4"} {
		if err := s.Sign(by, offline.Key("former "+by)); err != nil {
			t.Fatal(err)
		}
		if _, err := s.Trust(); i == 0 && !errors.Is(err, ErrTrust) {
			t.Errorf("trusted with one signature of two: %v", err)
		}
		if err := s.Save(path); err != nil {
			t.Fatal(err)
		}
		if s, err = LoadSuccession(path); err != nil {
			t.Fatal(err)
		}
		if again, err := s.ID(); err != nil || again != id {
			t.Errorf("the id was %s and is %s, %v", id, again, err)
		}
	}
	if err := s.Sign("org1", offline.Key("former org1")); err == nil {
		t.Error("an organisation that is not in the genesis signs")
	}
	trust, err := s.Trust()
	if err != nil || len(s.Unsigned()) != 0 {
		t.Fatal(err, s.Unsigned())
	}
	if err := SaveTrust(filepath.Join(dirs[0], trustFileName), trust); err != nil {
		t.Fatal(err)
	}
	read, err := LoadTrust(filepath.Join(dirs[0], trustFileName))
	if err != nil || read.NetworkID() != trust.NetworkID() {
		t.Fatal(err)
	}
	for name, role := range map[string]Role{"orgs/org4/endorser": RoleEndorser, "nodes/node4": RoleNode,
		"facades/facadeorg4": RoleFacade, "operator": RoleOperator} {
		if got := credentialsOf(t, dirs[0], name, read).Identity(); got.Role != role || got.Organisation != "org4" {
			t.Errorf("%s is of %v", name, got)
		}
	}
	for i, c := range all {
		other := &Continuing{Organisation: proto.CloneOf(c.Organisation), Nodes: c.Nodes}
		other.Organisation.EndorserAddress = "127.0.0.1:1"
		if !s.Matches(c) || s.Matches(other) || s.Matches(&Continuing{Organisation: c.Organisation}) {
			t.Errorf("organisation %d: it matches another description, or not its own", i)
		}
	}
}

// TestSuccessionThatNobodyTrusts: what could never be trusted is refused before it is signed.
func TestSuccessionThatNobodyTrusts(t *testing.T) {
	_, all := continuing(t)
	for what, spoil := range map[string]func() []*Continuing{
		"no organisation": func() []*Continuing { return nil },
		"one twice":       func() []*Continuing { return []*Continuing{all[0], all[0]} },
		"no node": func() []*Continuing {
			return []*Continuing{{Organisation: all[0].Organisation}, {Organisation: all[1].Organisation}}
		},
		"a node of another": func() []*Continuing {
			return []*Continuing{{Organisation: all[0].Organisation, Nodes: all[1].Nodes}}
		},
	} {
		if _, err := NewSuccession("next", time.Now(), offline.Predecessor("old"), spoil()); err == nil {
			t.Errorf("%s: no error", what)
		}
	}
	if _, err := NewSuccession("next", time.Now(), &ltlv1.Predecessor{}, all); err == nil {
		t.Error("no predecessor: no error")
	}
}

// TestSuccessionFiles: files that were changed are refused, and keys are never made over others.
func TestSuccessionFiles(t *testing.T) {
	dirs, all := continuing(t)
	spec := &ContinuingSpec{OrgSpec: OrgSpec{ID: "org4", Name: "x", EndorserAddress: "127.0.0.1:7101"}, Created: time.Now()}
	if _, err := CreateContinuing(dirs[0], spec); err == nil {
		t.Error("made again over its keys")
	}
	path := filepath.Join(dirs[0], ContinuingFile)
	read, err := LoadContinuing(path)
	if err != nil || !proto.Equal(read.Organisation, all[0].Organisation) || !proto.Equal(read.Nodes[0], all[0].Nodes[0]) {
		t.Fatalf("%v, %v", read, err)
	}
	good, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for from, to := range map[string]string{`"org4"`: `"Org4"`, `"endorserKey": "`: `"endorserKey": "0`, `"name"`: `"title"`,
		`"organisation": "org4"`: `"organisation": "org5"`} {
		changed := strings.Replace(string(good), from, to, 1)
		if _, err := parseContinuing([]byte(changed)); err == nil || changed == string(good) {
			t.Errorf("%s for %s: no error", to, from)
		}
	}
	s, err := NewSuccession("next", time.Now(), offline.Predecessor("old"), all)
	if err == nil {
		err = s.Sign("org4", offline.Key("former"))
	}
	if err != nil {
		t.Fatal(err)
	}
	for what, spoil := range map[string]func(*ltlv1.Transaction){
		"a signature that was changed": func(tx *ltlv1.Transaction) { tx.GetGenesis().Successions[0].Signature[0] ^= 1 },
		"a genesis that was changed":   func(tx *ltlv1.Transaction) { tx.GetGenesis().Network = "other" },
		"a submitter":                  func(tx *ltlv1.Transaction) { tx.Submitter = "o/operator/x"; tx.GetGenesis().Successions = nil },
		"another time":                 func(tx *ltlv1.Transaction) { tx.CreatedMs++; tx.GetGenesis().Successions = nil },
		"no predecessor":               func(tx *ltlv1.Transaction) { tx.GetGenesis().Predecessor = nil },
		"no genesis":                   func(tx *ltlv1.Transaction) { tx.Action = nil },
	} {
		tx := proto.CloneOf(s.tx)
		spoil(tx)
		if _, err := parseSuccession(offline.Encode(t, tx)); err == nil {
			t.Errorf("%s: no error", what)
		}
	}
}

// FuzzSuccessionFiles: what is read of the files of a succession can be written, signed and read again.
func FuzzSuccessionFiles(f *testing.F) {
	g := offline.Genesis("org4")
	g.Predecessor = offline.Predecessor("old")
	f.Add(offline.Successor(f, g, offline.Key))
	f.Add([]byte(`{"id":"org4","name":"n","endorserAddress":"h:1","endorserKey":"00","caCertificate":"","nodes":[]}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		if c, err := parseContinuing(b); err == nil {
			if _, err := json.Marshal(c.Organisation); err != nil {
				t.Fatal(err)
			}
		}
		s, err := parseSuccession(b)
		if err != nil {
			return
		}
		again, err := s.payload()
		if err != nil || !bytes.Equal(again, b) {
			t.Fatalf("%x is written as %x, %v", b, again, err)
		}
		for _, id := range s.Unsigned() {
			if err := s.Sign(id, offline.Key("former "+id)); err != nil {
				t.Fatal(err)
			}
		}
		if again, err = s.payload(); err != nil {
			t.Fatal(err)
		}
		if _, err := parseSuccession(again); err != nil {
			t.Fatal(err)
		}
	})
}
