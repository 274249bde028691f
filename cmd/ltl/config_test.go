package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// configured runs configure as `ltl endorser` does and returns the resulting settings.
func configured(t *testing.T, file string, args ...string) (map[string]string, error) {
	t.Helper()
	cmd := newEndorser()
	if file != "" {
		path := filepath.Join(t.TempDir(), "endorser.yaml")
		if err := os.WriteFile(path, []byte(file), 0o600); err != nil {
			t.Fatal(err)
		}
		args = append(args, "--config", path)
	}
	if err := cmd.ParseFlags(args); err != nil {
		t.Fatal(err)
	}
	err := cmd.PreRunE(cmd, nil)
	got := map[string]string{}
	for name := range new(settings).values() {
		if f := cmd.Flags().Lookup(name); f != nil {
			got[name] = f.Value.String()
		}
	}
	return got, err
}

const wholeFile = `
trust: trust.json
identity: /etc/ltl/endorser
dir: data
listen: 0.0.0.0:7100
rule: from the file
`

// TestConfigurationOrder: an option takes precedence over a variable, a variable over the file, and paths in the file
// are relative to it.
func TestConfigurationOrder(t *testing.T) {
	t.Setenv("LTL_RULE", "from the environment")
	t.Setenv("LTL_LISTEN", "127.0.0.1:1")
	got, err := configured(t, wholeFile, "--listen", "127.0.0.1:2")
	if err != nil {
		t.Fatal(err)
	}
	if got["listen"] != "127.0.0.1:2" || got["rule"] != "from the environment" || got["identity"] != "/etc/ltl/endorser" {
		t.Errorf("settings are %v", got)
	}
	if !filepath.IsAbs(got["trust"]) || filepath.Base(got["trust"]) != "trust.json" ||
		filepath.Dir(got["trust"]) != filepath.Dir(got["dir"]) {
		t.Errorf("paths are %q and %q, want both beside the file", got["trust"], got["dir"])
	}
}

// TestConfigurationErrors: the error names everything that is wrong, by the names in the file.
func TestConfigurationErrors(t *testing.T) {
	_, err := configured(t, "lisen: a\nadmn: b\ntrust: [1, 2]\n")
	for _, want := range []string{"lisen", "admn", "line 3"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v does not tell of %q", err, want)
		}
	}
	_, err = configured(t, "rule: 'true'\n")
	for _, want := range []string{`"trust"`, `"identity"`, `"dir"`, `"listen"`, "LTL_LISTEN"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v does not tell that %s is missing", err, want)
		}
	}
	if _, err := configured(t, "", "--config", "/nowhere/at/all"); err == nil ||
		!strings.Contains(err.Error(), "/nowhere") {
		t.Errorf("a file that is not there: %v", err)
	}
	cmd := newFacade()
	path := filepath.Join(t.TempDir(), "facade.yaml")
	if err := os.WriteFile(path, []byte(wholeFile), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := cmd.ParseFlags([]string{"--config", path}); err != nil {
		t.Fatal(err)
	}
	if err := cmd.PreRunE(cmd, nil); err == nil || !strings.Contains(err.Error(), `"rule" is no setting of a facade`) || !strings.Contains(err.Error(), `"dir"`) {
		t.Errorf("an endorser's file given to a facade: %v", err)
	}
}

// TestEmptyConfiguration: an empty file has no settings.
func TestEmptyConfiguration(t *testing.T) {
	all := []string{"--trust", "t", "--identity", "i", "--dir", "d", "--listen", "l"}
	if _, err := configured(t, "# nothing yet\n", all...); err != nil {
		t.Error(err)
	}
}
