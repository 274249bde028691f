package identity

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// TestTransferOfSealingKeys: what an operator exports, the facade that it is for imports, and keeps after a rotation; no
// byte of a key is in the file.
func TestTransferOfSealingKeys(t *testing.T) {
	dir, trust := newNetwork(t, time.Time{})
	facade, operator := filepath.Join(dir, "facades/f1"), filepath.Join(dir, "operators/org2")
	if err := os.Remove(filepath.Join(facade, SealingKeyOf("org2"))); err != nil {
		t.Fatal(err)
	}
	path, err := CreateTransferKey(facade, trust.NetworkID())
	if err != nil {
		t.Fatal(err)
	}
	if again, err := CreateTransferKey(facade, trust.NetworkID()); err != nil || again != path {
		t.Fatal(again, err)
	}
	to, err := trust.ReadTransferKey(path)
	if err != nil || to.Facade.String() != "org1/facade/f1" {
		t.Fatal(to, err)
	}
	want, err := LoadSealingKeys(operator)
	if err != nil {
		t.Fatal(err)
	}
	next, err := NextSealingKey(operator) // of a rotation that is prepared
	if err != nil {
		t.Fatal(err)
	}
	export := func(name string) string {
		t.Helper()
		file := filepath.Join(t.TempDir(), name)
		if err := ExportSealingKeys(operator, "org2", trust.NetworkID(), to, file); err != nil {
			t.Fatal(err)
		}
		return file
	}
	first := export("first.json")
	content, err := os.ReadFile(first)
	if err != nil || bytes.Contains(content, want[0][:8]) {
		t.Fatal("the key is in the file", err)
	}
	imported(t, facade, first, trust, 2, append(want, next)...)
	if err := PromoteSealingKey(operator, next); err != nil {
		t.Fatal(err)
	}
	imported(t, facade, export("second.json"), trust, 2, append(want, next)...)
	if now, err := LoadSealingKey(filepath.Join(facade, SealingKeyOf("org2"))); err != nil || !bytes.Equal(now, next) {
		t.Errorf("the key in force at the facade is another one: %v", err)
	}
	imported(t, facade, first, trust, 2, append(want, next)...) // an old file takes nothing away
}

// imported imports a file, after which the facade has these keys.
func imported(t *testing.T, facade, file string, trust *Trust, n int, want ...[]byte) {
	t.Helper()
	of, got, err := ImportSealingKeys(facade, file, trust.NetworkID())
	if err != nil || of != "org2" || got != n {
		t.Fatalf("%d keys of %q, %v", got, of, err)
	}
	have, err := LoadSealingKeys(facade)
	if err != nil {
		t.Fatal(err)
	}
	for _, key := range want {
		found := false
		for _, k := range have {
			found = found || bytes.Equal(k, key)
		}
		if !found {
			t.Errorf("a key of org2 is not at the facade")
		}
	}
}

// TestTransferToStrangers: a key that no certificate of a facade of this network vouches for gets nothing, and what was
// sealed opens at no other facade, in no other network and under no other name.
func TestTransferToStrangers(t *testing.T) {
	dir, trust := newNetwork(t, time.Time{})
	facade, other, operator := filepath.Join(dir, "facades/f1"), filepath.Join(dir, "facades/f2"), filepath.Join(dir, "operators/org2")
	path, err := CreateTransferKey(facade, trust.NetworkID())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := CreateTransferKey(operator, trust.NetworkID()); !errors.Is(err, ErrTransfer) {
		t.Errorf("an operator makes one: %v", err)
	}
	theirs, err := CreateTransferKey(other, trust.NetworkID())
	if err != nil {
		t.Fatal(err)
	}
	read := func(path string) (f transferFile) {
		b, err := os.ReadFile(path)
		if err == nil {
			err = json.Unmarshal(b, &f)
		}
		if err != nil {
			t.Fatal(err)
		}
		return f
	}
	_, stranger := newNetwork(t, time.Time{})
	if _, err := stranger.ReadTransferKey(path); !errors.Is(err, ErrTransfer) {
		t.Errorf("a facade of another network: %v", err)
	}
	for what, spoil := range map[string]func(f *transferFile){
		"another key":         func(f *transferFile) { f.PublicKey = read(theirs).PublicKey },
		"another certificate": func(f *transferFile) { f.Certificate = read(theirs).Certificate },
		"no signature":        func(f *transferFile) { f.Signature = nil },
	} {
		f := read(path)
		spoil(&f)
		b, err := json.Marshal(f)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := trust.parseTransferKey(b); err == nil {
			t.Errorf("%s: taken", what)
		}
	}
	to, err := trust.ReadTransferKey(path)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "keys.json")
	if err := ExportSealingKeys(operator, "org2", trust.NetworkID(), to, file); err != nil {
		t.Fatal(err)
	}
	if _, _, err := ImportSealingKeys(other, file, trust.NetworkID()); !errors.Is(err, ErrTransfer) {
		t.Errorf("another facade opens it: %v", err)
	}
	if _, _, err := ImportSealingKeys(facade, file, stranger.NetworkID()); !errors.Is(err, ErrTransfer) {
		t.Errorf("it opens in another network: %v", err)
	}
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	renamed := filepath.Join(t.TempDir(), "renamed.json")
	if err := os.WriteFile(renamed, bytes.Replace(b, []byte(`"org2"`), []byte(`"org3"`), 1), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, _, err := ImportSealingKeys(facade, renamed, trust.NetworkID()); !errors.Is(err, ErrTransfer) {
		t.Errorf("it opens as another organisation's: %v", err)
	}
}

// FuzzTransfer: no file of another party breaks a facade or an operator.
func FuzzTransfer(f *testing.F) {
	dir, trust := newNetwork(f, time.Time{})
	facade := filepath.Join(dir, "facades/f1")
	path, err := CreateTransferKey(facade, trust.NetworkID())
	if err != nil {
		f.Fatal(err)
	}
	private, err := loadTransferKey(facade)
	if err != nil {
		f.Fatal(err)
	}
	to, err := trust.ReadTransferKey(path)
	if err != nil {
		f.Fatal(err)
	}
	file := filepath.Join(dir, "keys.json")
	if err := ExportSealingKeys(filepath.Join(dir, "operators/org2"), "org2", trust.NetworkID(), to, file); err != nil {
		f.Fatal(err)
	}
	for _, name := range []string{path, file} {
		b, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		if k, err := trust.parseTransferKey(b); err == nil && k.Facade.Role != RoleFacade {
			t.Fatal(k)
		}
		if _, keys, err := openSealedKeys(private, b); err == nil && len(keys) == 0 {
			t.Fatal("no keys")
		}
	})
}
