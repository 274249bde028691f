package identity

import (
	"crypto/ed25519"
	"encoding/base64"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"

	"ltl/internal/rules"
	ltlv1 "ltl/proto/ltl/v1"
)

func testSpec() NetworkSpec {
	return NetworkSpec{
		Network: "test-network.example",
		Organisations: []OrgSpec{
			{"org1", "First", "127.0.0.1:7101"}, {"org2", "Second & <Sons>", "127.0.0.1:7102"}, {"org3", "第三", "127.0.0.1:7103"},
		},
		Nodes: []NodeSpec{{"n1", "org1", "127.0.0.1:7001"}, {"n2", "org2", "127.0.0.1:7002"},
			{"n3", "org3", "127.0.0.1:7003"}},
		Facades: []string{"f1", "f2"},
	}
}

// newNetwork makes a network that was created at the given time, zero for now.
func newNetwork(t testing.TB, created time.Time) (string, *Trust) {
	t.Helper()
	dir := t.TempDir()
	spec := testSpec()
	spec.Created = created
	if err := CreateNetwork(dir, spec); err != nil {
		t.Fatal(err)
	}
	trust, err := LoadTrust(filepath.Join(dir, "trust.json"))
	if err != nil {
		t.Fatal(err)
	}
	return dir, trust
}

func TestCreateNetworkLayout(t *testing.T) {
	dir, trust := newNetwork(t, time.Time{})
	holders := map[string]Identity{
		"orgs/org1/endorser": {"org1", RoleEndorser, "org1"},
		"orgs/org3/endorser": {"org3", RoleEndorser, "org3"},
		"nodes/n1":           {"org1", RoleNode, "n1"},
		"nodes/n3":           {"org3", RoleNode, "n3"},
		"facades/f1":         {"org1", RoleFacade, "f1"},
		"facades/f2":         {"org1", RoleFacade, "f2"},
		"operator":           {"org1", RoleOperator, "operator"},
		"operators/org2":     {"org2", RoleOperator, "operator"},
		"operators/org3":     {"org3", RoleOperator, "operator"},
		"clients/bench":      {"org1", RoleClient, "bench"},
	}
	for sub, want := range holders {
		c, err := LoadCredentials(filepath.Join(dir, sub), trust)
		if err != nil {
			t.Errorf("%s: %v", sub, err)
			continue
		}
		if c.Identity() != want {
			t.Errorf("%s names %s, want %s", sub, c.Identity(), want)
		}
		if left := time.Until(c.CertificateExpiry()); left < LeafValidity-2*time.Hour || left > LeafValidity {
			t.Errorf("%s is valid for %v", sub, left)
		}
	}
	for _, n := range trust.Genesis().GetNodes() {
		checkSignKey(t, filepath.Join(dir, "nodes", n.GetId(), "sign.key"), n.GetKey())
	}
	for _, o := range trust.Genesis().GetOrganisations() {
		checkSignKey(t, filepath.Join(dir, "orgs", o.GetId(), "endorser", "sign.key"), o.GetEndorserKey())
	}
	devices := map[string]bool{}
	for _, o := range trust.Genesis().GetOrganisations() {
		key, err := LoadSealingKey(filepath.Join(dir, "orgs", o.GetId(), "endorser", "devices.key"))
		if err != nil {
			t.Fatal(err)
		}
		devices[string(key)] = true
	}
	if len(devices) != len(trust.Genesis().GetOrganisations()) {
		t.Error("two organisations seal their devices' keys with the same key")
	}
	sealing := map[string]bool{}
	for _, sub := range []string{"facades/f1", "facades/f2", "operator"} {
		key, err := LoadSealingKey(filepath.Join(dir, sub, "sealing.key"))
		if err != nil {
			t.Fatal(err)
		}
		sealing[string(key)] = true
	}
	if len(sealing) != 1 || sealing[string(make([]byte, SealingKeyLen))] {
		t.Errorf("%d sealing keys, want one that is not zero", len(sealing))
	}
	for _, o := range []string{"org2", "org3"} { // each has its own, of which the facades have a copy
		own, err := LoadSealingKey(filepath.Join(dir, "operators", o, "sealing.key"))
		copied, copyErr := LoadSealingKey(filepath.Join(dir, "facades", "f1", SealingKeyOf(o)))
		if err != nil || copyErr != nil || string(own) != string(copied) || sealing[string(own)] {
			t.Errorf("the sealing key of %s: %v, %v", o, err, copyErr)
		}
		sealing[string(own)] = true
	}
	checkModes(t, dir)
}

func checkSignKey(t *testing.T, path string, public []byte) {
	t.Helper()
	key, err := LoadKey(path)
	if err != nil {
		t.Error(err)
		return
	}
	if !ed25519.PublicKey(public).Equal(key.Public()) {
		t.Errorf("%s is not the key in the genesis", path)
	}
}

func checkModes(t *testing.T, dir string) {
	t.Helper()
	keys := 0
	err := filepath.WalkDir(dir, func(path string, entry os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := entry.Info()
		if err != nil {
			return err
		}
		if strings.HasSuffix(path, ".key") {
			keys++
			if info.Mode().Perm() != 0o600 {
				t.Errorf("%s has mode %04o", path, info.Mode().Perm())
			}
		}
		if strings.HasSuffix(path, ".new") {
			t.Errorf("%s was left behind", path)
		}
		return nil
	})
	if err != nil || keys != 3+3*3+3*2+2*2+2+2+1+2*2+2 {
		t.Errorf("%d key files, %v", keys, err)
	}
}

func TestCreateNetworkNeverOverwrites(t *testing.T) {
	dir, _ := newNetwork(t, time.Time{})
	before, err := os.ReadFile(filepath.Join(dir, "orgs/org1/ca.key"))
	if err != nil {
		t.Fatal(err)
	}
	if err := CreateNetwork(dir, testSpec()); !errors.Is(err, ErrExists) {
		t.Errorf("second time: %v, want ErrExists", err)
	}
	if err := os.Remove(filepath.Join(dir, "trust.json")); err != nil {
		t.Fatal(err)
	}
	if err := CreateNetwork(dir, testSpec()); !errors.Is(err, ErrExists) {
		t.Errorf("keys without a trust file: %v, want ErrExists", err)
	}
	after, err := os.ReadFile(filepath.Join(dir, "orgs/org1/ca.key"))
	if err != nil || string(after) != string(before) {
		t.Errorf("the authority's key changed: %v", err)
	}
}

func TestCreateNetworkRefusesBadSpecs(t *testing.T) {
	for name, change := range map[string]func(*NetworkSpec){
		"no organisation":      func(s *NetworkSpec) { s.Organisations = nil; s.Nodes = nil },
		"no name":              func(s *NetworkSpec) { s.Network = "" },
		"organisation id":      func(s *NetworkSpec) { s.Organisations[0].ID = "../x" },
		"organisation twice":   func(s *NetworkSpec) { s.Organisations[1].ID = "org1" },
		"organisation address": func(s *NetworkSpec) { s.Organisations[0].EndorserAddress = "nowhere" },
		"node id":              func(s *NetworkSpec) { s.Nodes[0].ID = "../../x" },
		"node twice":           func(s *NetworkSpec) { s.Nodes[1].ID = "n1" },
		"node's organisation":  func(s *NetworkSpec) { s.Nodes[0].Organisation = "org9" },
		"node address":         func(s *NetworkSpec) { s.Nodes[0].Address = "" },
		"facade":               func(s *NetworkSpec) { s.Facades = []string{"a/b"} },
	} {
		dir := filepath.Join(t.TempDir(), "network")
		spec := testSpec()
		change(&spec)
		if err := CreateNetwork(dir, spec); err == nil {
			t.Errorf("%s: accepted", name)
		}
		if _, err := os.Stat(filepath.Join(dir, "trust.json")); err == nil {
			t.Errorf("%s: wrote a trust file", name)
		}
	}
}

func TestGenesisPayloadIsDeterministic(t *testing.T) {
	_, trust := newNetwork(t, time.UnixMilli(1_700_000_000_000))
	g := trust.Genesis()
	if g.GetCreatedMs() != 1_700_000_000_000 || g.GetPolicy() != "majority" {
		t.Errorf("created %d, policy %q", g.GetCreatedMs(), g.GetPolicy())
	}
	tx := &ltlv1.Transaction{}
	if err := proto.Unmarshal(trust.GenesisPayload(), tx); err != nil {
		t.Fatal(err)
	}
	payload, err := genesisPayload(g, tx.GetNonce())
	if err != nil || string(payload) != string(trust.GenesisPayload()) {
		t.Errorf("encoding the same genesis again gives other bytes: %v", err)
	}
	g.Network = "changed"
	if trust.Genesis().GetNetwork() == "changed" {
		t.Error("Genesis hands out what the trust keeps")
	}
}

// TestTrustFileTampered changes every part that people read, and the genesis, and the shape of the file.
func TestTrustFileTampered(t *testing.T) {
	dir, trust := newNetwork(t, time.Time{})
	good, err := os.ReadFile(filepath.Join(dir, "trust.json"))
	if err != nil {
		t.Fatal(err)
	}
	edit := func(change func(f *trustFile)) []byte {
		f := trust.file()
		change(&f)
		b, err := f.encode()
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	text := string(good)
	cases := map[string][]byte{
		"network":           edit(func(f *trustFile) { f.Network += "x" }),
		"networkId":         edit(func(f *trustFile) { f.NetworkID = strings.Repeat("0", 64) }),
		"networkId upper":   edit(func(f *trustFile) { f.NetworkID = strings.ToUpper(f.NetworkID) }),
		"genesis cut":       edit(func(f *trustFile) { f.Genesis = f.Genesis[:len(f.Genesis)-4] }),
		"genesis empty":     edit(func(f *trustFile) { f.Genesis = "" }),
		"organisation id":   edit(func(f *trustFile) { f.Organisations[1].ID = "org9" }),
		"organisation name": edit(func(f *trustFile) { f.Organisations[1].Name = "First" }),
		"endorser address":  edit(func(f *trustFile) { f.Organisations[2].EndorserAddress = "127.0.0.1:1" }),
		"endorser key":      edit(func(f *trustFile) { f.Organisations[0].EndorserKey = f.Organisations[1].EndorserKey }),
		"organisation gone": edit(func(f *trustFile) { f.Organisations = f.Organisations[:2] }),
		"organisation more": edit(func(f *trustFile) { f.Organisations = append(f.Organisations, f.Organisations[0]) }),
		"order":             edit(func(f *trustFile) { o := f.Organisations; o[0], o[1] = o[1], o[0] }),
		"node id":           edit(func(f *trustFile) { f.Nodes[0].ID = "n9" }),
		"node organisation": edit(func(f *trustFile) { f.Nodes[0].Organisation = "org2" }),
		"node address":      edit(func(f *trustFile) { f.Nodes[0].Address = "127.0.0.1:1" }),
		"node key":          edit(func(f *trustFile) { f.Nodes[0].Key = f.Nodes[1].Key }),
		"nodes gone":        edit(func(f *trustFile) { f.Nodes = nil }),
		"repeated field":    []byte(strings.Replace(text, "{", `{"network": "what people read",`, 1)),
		"unknown field":     []byte(strings.Replace(text, "{", `{"more": 1,`, 1)),
		"something behind":  append([]byte(text), []byte("{}")...),
		"cut":               good[:len(good)/2],
		"not JSON":          []byte("trust me"),
		"empty":             nil,
	}
	for name, b := range cases {
		if _, err := parseTrust(b); !errors.Is(err, ErrTrust) {
			t.Errorf("%s: %v, want ErrTrust", name, err)
		}
	}
	if _, err := parseTrust([]byte(" " + strings.ReplaceAll(text, "\n", "\r\n") + "\n")); err != nil {
		t.Errorf("white space alone is refused: %v", err)
	}
}

// TestGenesisRefused builds every kind of genesis that must not be trusted.
func TestGenesisRefused(t *testing.T) {
	_, trust := newNetwork(t, time.Time{})
	unknown := protowire.AppendVarint(protowire.AppendTag(nil, 999, protowire.VarintType), 1)
	for name, change := range map[string]func(tx *ltlv1.Transaction, g *ltlv1.Genesis){
		"version":            func(tx *ltlv1.Transaction, _ *ltlv1.Genesis) { tx.Version = 2 },
		"chain":              func(tx *ltlv1.Transaction, _ *ltlv1.Genesis) { tx.ChainId = "0000000000000001" },
		"account":            func(tx *ltlv1.Transaction, _ *ltlv1.Genesis) { tx.AccountUid = "1" },
		"submitter":          func(tx *ltlv1.Transaction, _ *ltlv1.Genesis) { tx.Submitter = "org1/operator/o" },
		"access key":         func(tx *ltlv1.Transaction, _ *ltlv1.Genesis) { tx.AccessKeyId = "1" },
		"signature nonce":    func(tx *ltlv1.Transaction, _ *ltlv1.Genesis) { tx.SignatureNonce = "1" },
		"nonce":              func(tx *ltlv1.Transaction, _ *ltlv1.Genesis) { tx.Nonce = tx.Nonce[:15] },
		"created":            func(tx *ltlv1.Transaction, _ *ltlv1.Genesis) { tx.CreatedMs++ },
		"network's form":     func(_ *ltlv1.Transaction, g *ltlv1.Genesis) { g.Network = "a b" },
		"no nodes":           func(_ *ltlv1.Transaction, g *ltlv1.Genesis) { g.Nodes = nil },
		"policy's form":      func(_ *ltlv1.Transaction, g *ltlv1.Genesis) { g.Policy = "most" },
		"created below zero": func(tx *ltlv1.Transaction, g *ltlv1.Genesis) { tx.CreatedMs, g.CreatedMs = -1, -1 },
		"another action":     func(tx *ltlv1.Transaction, _ *ltlv1.Genesis) { tx.Action = &ltlv1.Transaction_SetData{} },
		"no action":          func(tx *ltlv1.Transaction, _ *ltlv1.Genesis) { tx.Action = nil },
		"network": func(_ *ltlv1.Transaction,
			g *ltlv1.Genesis) {
			g.Network = strings.Repeat("x", rules.MaxNetworkName+1)
		},
		"no organisations":    func(_ *ltlv1.Transaction, g *ltlv1.Genesis) { g.Organisations, g.Nodes = nil, nil },
		"organisation twice":  func(_ *ltlv1.Transaction, g *ltlv1.Genesis) { g.Organisations[1] = g.Organisations[0] },
		"organisation's name": func(_ *ltlv1.Transaction, g *ltlv1.Genesis) { g.Organisations[1].Name = "" },
		"shared authority": func(_ *ltlv1.Transaction, g *ltlv1.Genesis) {
			g.Organisations[1].CaCertificate = g.Organisations[0].CaCertificate
		},
		"shared key": func(_ *ltlv1.Transaction, g *ltlv1.Genesis) {
			g.Organisations[1].EndorserKey = g.Organisations[0].EndorserKey
		},
		"short key": func(_ *ltlv1.Transaction, g *ltlv1.Genesis) {
			g.Organisations[1].EndorserKey = g.Organisations[1].EndorserKey[1:]
		},
		"authority cut": func(_ *ltlv1.Transaction, g *ltlv1.Genesis) {
			g.Organisations[1].CaCertificate = g.Organisations[1].CaCertificate[1:]
		},
		"authority changed": func(_ *ltlv1.Transaction,
			g *ltlv1.Genesis) {
			c := g.Organisations[1].CaCertificate
			c[len(c)-1] ^= 1
		},
		"node twice":          func(_ *ltlv1.Transaction, g *ltlv1.Genesis) { g.Nodes[1] = g.Nodes[0] },
		"node's id":           func(_ *ltlv1.Transaction, g *ltlv1.Genesis) { g.Nodes[1].Id = "" },
		"node's organisation": func(_ *ltlv1.Transaction, g *ltlv1.Genesis) { g.Nodes[1].Organisation = "org9" },
		"node's key":          func(_ *ltlv1.Transaction, g *ltlv1.Genesis) { g.Nodes[1].Key = nil },
		"nodes sharing a key": func(_ *ltlv1.Transaction, g *ltlv1.Genesis) { g.Nodes[1].Key = g.Nodes[0].Key },
		"unknown field":       func(tx *ltlv1.Transaction, _ *ltlv1.Genesis) { tx.ProtoReflect().SetUnknown(unknown) },
		"unknown in genesis":  func(_ *ltlv1.Transaction, g *ltlv1.Genesis) { g.ProtoReflect().SetUnknown(unknown) },
		"unknown in a node":   func(_ *ltlv1.Transaction, g *ltlv1.Genesis) { g.Nodes[2].ProtoReflect().SetUnknown(unknown) },
		"unknown in an org": func(_ *ltlv1.Transaction,
			g *ltlv1.Genesis) {
			g.Organisations[2].ProtoReflect().SetUnknown(unknown)
		},
		"too large": func(_ *ltlv1.Transaction,
			g *ltlv1.Genesis) {
			g.Policy = strings.Repeat("x", rules.MaxTransaction)
		},
	} {
		tx := &ltlv1.Transaction{}
		if err := proto.Unmarshal(trust.GenesisPayload(), tx); err != nil {
			t.Fatal(err)
		}
		change(tx, tx.GetGenesis())
		payload, err := proto.Marshal(tx)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := NewTrust(payload); !errors.Is(err, ErrTrust) {
			t.Errorf("%s: %v, want ErrTrust", name, err)
		}
	}
}

func TestTrustGrows(t *testing.T) {
	_, trust := newNetwork(t, time.Time{})
	_, other := newNetwork(t, time.Time{})
	added := other.Genesis().GetOrganisations()[0]
	added.Id = "org4"
	if err := trust.AddOrganisation(added); err != nil {
		t.Fatal(err)
	}
	if err := trust.AddOrganisation(added); err != nil {
		t.Errorf("the same again: %v", err)
	}
	node := &ltlv1.Node{Id: "n4", Organisation: "org4", Address: "127.0.0.1:7004",
		Key: added.GetEndorserKey()}
	small := proto.CloneOf(node)
	small.Key = make([]byte, ed25519.PublicKeySize) // a point of small order
	if err := trust.AddNode(small); err == nil {
		t.Error("a key of small order was added")
	}
	if err := trust.AddNode(node); err != nil {
		t.Fatal(err)
	}
	if got, ok := trust.Organisation("org4"); !ok || !proto.Equal(got, added) {
		t.Errorf("Organisation = %v, %v", got, ok)
	}
	if got, ok := trust.Node("n4"); !ok || !proto.Equal(got, node) {
		t.Errorf("Node = %v, %v", got, ok)
	}
	taken := proto.CloneOf(trust.Genesis().GetOrganisations()[0])
	taken.Name = "Another"
	if err := trust.AddOrganisation(taken); !errors.Is(err, ErrTrust) {
		t.Errorf("a known organisation gets another definition: %v", err)
	}
	moved := proto.CloneOf(trust.Genesis().GetNodes()[0])
	moved.Organisation = "org2"
	if err := trust.AddNode(moved); !errors.Is(err, ErrTrust) {
		t.Errorf("a known node gets another definition: %v", err)
	}
	moved = proto.CloneOf(node)
	moved.Address = "127.0.0.1:7104"
	if err := trust.AddNode(moved); err != nil {
		t.Errorf("a node moves: %v", err)
	}
	if got, ok := trust.Node("n4"); !ok || got.GetAddress() != moved.GetAddress() {
		t.Errorf("after the node moved: %v, %v", got, ok)
	}
	if len(trust.Genesis().GetOrganisations()) != 3 {
		t.Error("the genesis grew")
	}
}

func TestTrustIsConcurrent(t *testing.T) {
	dir, trust := newNetwork(t, time.Time{})
	_, other := newNetwork(t, time.Time{})
	added := other.Genesis().GetOrganisations()[1]
	added.Id = "org5"
	var wait sync.WaitGroup
	for range 4 {
		wait.Go(func() {
			for range 20 {
				if err := trust.AddOrganisation(added); err != nil {
					t.Error(err)
				}
				if _, err := LoadCredentials(filepath.Join(dir, "nodes/n1"), trust); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wait.Wait()
}

func FuzzNewTrust(f *testing.F) {
	_, trust := newNetwork(f, time.Time{})
	f.Add(trust.GenesisPayload())
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, payload []byte) {
		if got, err := NewTrust(payload); err == nil {
			checkTrust(t, got)
		} else if !errors.Is(err, ErrTrust) {
			t.Fatalf("%v is not ErrTrust", err)
		}
	})
}

func FuzzParseTrust(f *testing.F) {
	_, trust := newNetwork(f, time.Time{})
	good, err := trust.file().encode()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good)
	f.Add([]byte(`{"network":"","genesis":"` + base64.StdEncoding.EncodeToString([]byte("x")) + `"}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		if got, err := parseTrust(b); err == nil {
			checkTrust(t, got)
		} else if !errors.Is(err, ErrTrust) {
			t.Fatalf("%v is not ErrTrust", err)
		}
	})
}

// checkTrust checks what must hold of every trust that was accepted.
func checkTrust(t *testing.T, trust *Trust) {
	t.Helper()
	b, err := trust.file().encode()
	if err != nil {
		t.Fatal(err)
	}
	again, err := parseTrust(b)
	if err != nil || again.NetworkID() != trust.NetworkID() {
		t.Fatalf("its own trust file is refused: %v", err)
	}
	for _, o := range trust.Genesis().GetOrganisations() {
		if _, ok := trust.organisation(o.GetId()); !ok {
			t.Fatalf("organisation %q is not usable", o.GetId())
		}
	}
}

func TestKeyFilesRefused(t *testing.T) {
	dir, trust := newNetwork(t, time.Time{})
	path := filepath.Join(dir, "nodes/n1/tls.key")
	good, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, 0o604); err != nil {
		t.Fatal(err)
	}
	if _, err := LoadKey(path); !errors.Is(err, ErrKeyFile) {
		t.Errorf("a key file that every user may read is used: %v", err)
	}
	if err := os.Chmod(path, 0o640); err != nil { // as a container mounts it
		t.Fatal(err)
	}
	if _, err := LoadKey(path); err != nil {
		t.Errorf("mode 0640: %v", err)
	}
	for name, content := range map[string]string{
		"empty": "", "cut": string(good[:len(good)/2]), "twice": string(good) + string(good), "text": "secret words of a file",
		"wrong kind": strings.ReplaceAll(string(good), "PRIVATE KEY", "CERTIFICATE"), "large": strings.Repeat("x",
			maxFileBytes+1),
	} {
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := LoadKey(path); !errors.Is(err, ErrKeyFile) {
			t.Errorf("%s: %v, want ErrKeyFile", name, err)
		} else if strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: the error quotes the file: %v", name, err)
		}
	}
	other, err := os.ReadFile(filepath.Join(dir, "nodes/n2/tls.key"))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, other, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := LoadCredentials(filepath.Join(dir, "nodes/n1"), trust); !errors.Is(err, ErrKeyFile) {
		t.Errorf("another's key: %v, want ErrKeyFile", err)
	}
	sealing := filepath.Join(dir, "operator/sealing.key")
	if err := os.WriteFile(sealing, make([]byte, SealingKeyLen+1), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := LoadSealingKey(sealing); !errors.Is(err, ErrKeyFile) {
		t.Errorf("sealing key of 33 bytes: %v", err)
	}
}
