package main

import (
	"os"
	"path/filepath"
	"testing"
)

// TestRuleFile: a rule file may begin with a byte order mark, and one without a rule is an error.
func TestRuleFile(t *testing.T) {
	file := filepath.Join(t.TempDir(), "rule.cel")
	for text, want := range map[string]string{"\ufeffvalue_bytes <= 64": "value_bytes <= 64", "true": "true",
		"\ufeff \n": "", "": ""} {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if got, err := readRule("", file); got != want || (err != nil) != (want == "") {
			t.Errorf("%q: %q, %v, want %q", text, got, err, want)
		}
	}
}
