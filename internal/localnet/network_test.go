package localnet

import (
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
)

// TestNetworkFile: a saved file loads again, only its owner may read it, and its form is exactly the contract's.
func TestNetworkFile(t *testing.T) {
	dir := t.TempDir()
	if _, err := Load(dir); !errors.Is(err, ErrNoNetwork) {
		t.Fatalf("loading nothing gives %v", err)
	}
	n := &Network{
		Endpoint: "http://h:1", Region: Region,
		Chains: []Chain{{Service: ServiceProof, Name: "n", BizChainID: "1", BizChainCode: "c"}},
		Accounts: []Account{{Role: RoleAdmin, UID: "u", Name: "a", Organisation: "o", AccessKeyID: "i",
			AccessKeySecret: "s", DataTypeCode: "T"}},
		Nodes:     []Node{{ID: "node1", GRPC: "g", PID: 1, Dir: "d"}},
		Endorsers: []Endorser{{Organisation: "o", GRPC: "g", PID: 2, Dir: "d"}},
		Facades:   []Facade{{HTTP: "http://h:1", PID: 3}},
		Trust:     "pki/trust.json", Operator: "pki/operator/tls.key",
	}
	if err := n.Save(dir); err != nil {
		t.Fatal(err)
	}
	got, err := Load(dir)
	if err != nil || !reflect.DeepEqual(got, n) {
		t.Errorf("loaded %+v, %v", got, err)
	}
	info, err := os.Stat(filepath.Join(dir, NetworkFile))
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode is %v, %v", info.Mode(), err)
	}
	const want = `{
  "endpoint": "http://h:1",
  "region": "cn-shanghai",
  "chains": [
    {
      "service": "proof",
      "name": "n",
      "bizChainId": "1",
      "bizChainCode": "c"
    }
  ],
  "accounts": [
    {
      "role": "ADMIN",
      "uid": "u",
      "name": "a",
      "organisation": "o",
      "accessKeyId": "i",
      "accessKeySecret": "s",
      "dataTypeCode": "T"
    }
  ],
  "nodes": [
    {
      "id": "node1",
      "grpc": "g",
      "pid": 1,
      "dir": "d"
    }
  ],
  "endorsers": [
    {
      "organisation": "o",
      "grpc": "g",
      "pid": 2,
      "dir": "d"
    }
  ],
  "facades": [
    {
      "http": "http://h:1",
      "pid": 3
    }
  ],
  "trust": "pki/trust.json",
  "operator": "pki/operator/tls.key"
}
`
	raw, err := os.ReadFile(filepath.Join(dir, NetworkFile))
	if err != nil || string(raw) != want {
		t.Errorf("the file is %s, %v", raw, err)
	}
	if entries, err := os.ReadDir(dir); err != nil || len(entries) != 1 {
		t.Errorf("saving left %v, %v", entries, err)
	}
}

func TestLockIsExclusive(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lock")
	unlock, err := lock(path)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := lock(path); !errors.Is(err, ErrInUse) || strings.Contains(err.Error(), "\n") {
		t.Errorf("the second lock gives %v", err)
	}
	unlock()
	again, err := lock(path)
	if err != nil {
		t.Fatalf("after unlocking: %v", err)
	}
	again()
}

func TestFreeAddresses(t *testing.T) {
	addresses, err := freeAddresses(20)
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	for _, a := range addresses {
		if seen[a] {
			t.Errorf("%s is given twice", a)
		}
		seen[a] = true
	}
}

// TestPlanIsStable: the plan that was stored gives the same accounts again, another plan gives others.
func TestPlanIsStable(t *testing.T) {
	dir := t.TempDir()
	p, err := loadPlan(dir)
	if err != nil {
		t.Fatal(err)
	}
	again, err := loadPlan(dir)
	if err != nil {
		t.Fatal(err)
	}
	other, err := loadPlan(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	orgs := []string{"org1", "org2", "org3"}
	a, b, c := p.accounts(orgs), again.accounts(orgs), other.accounts(orgs)
	if !reflect.DeepEqual(a, b) {
		t.Errorf("the same plan gives %v and %v", a, b)
	}
	if len(a) != 2+guests || a[0].Organisation != "org1" || a[1].Organisation != "org2" {
		t.Errorf("the accounts are %v", a)
	}
	for i := range a {
		if a[i].UID == c[i].UID || a[i].AccessKeySecret == c[i].AccessKeySecret {
			t.Error("two plans give the same account")
		}
		if len(a[i].UID) != 18 || len(a[i].AccessKeySecret) != accessKeySecretLen {
			t.Errorf("account %v has an odd form", a[i])
		}
	}
	if err := os.WriteFile(filepath.Join(dir, planFile), []byte("{}"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := loadPlan(dir); !errors.Is(err, errBadPlan) {
		t.Errorf("a broken plan gives %v", err)
	}
}

func TestReachable(t *testing.T) {
	for address, want := range map[string]string{
		"0.0.0.0:1": "127.0.0.1:1", ":1": "127.0.0.1:1", "[::]:1": "127.0.0.1:1", "10.0.0.1:1": "10.0.0.1:1",
		"name:1": "name:1",
	} {
		if got := reachable(address); got != want {
			t.Errorf("%s is reached at %s, want %s", address, got, want)
		}
	}
}
