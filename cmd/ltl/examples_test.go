package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"ltl/client"
	"ltl/internal/localnet"
)

// TestExamples: the programs in examples/, a module of its own, need no more of this module's go.mod than require and replace. They
// build, and do what they say on a network that ltl up started.
func TestExamples(t *testing.T) {
	module := filepath.Join("..", "..", "examples")
	bin := t.TempDir()
	for _, args := range [][]string{
		{"mod", "tidy", "-diff"}, // fails when go.mod or go.sum lacks something
		{"vet", "./..."},
		{"build", "-o", bin + "/", "./..."},
	} {
		cmd := exec.Command("go", args...)
		cmd.Dir, cmd.Env = module, append(os.Environ(), "GOWORK=off")
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("go %s in examples/: %v\n%s", strings.Join(args, " "), err, out)
		}
	}
	n := start(t, filepath.Join(t.TempDir(), "net"))
	f := n.file(t)
	chain, admin := proofChain(t, f), account(t, f, localnet.RoleAdmin)
	run := func(program string, args ...string) string {
		out, err := exec.Command(filepath.Join(bin, program), args...).CombinedOutput()
		if err != nil {
			t.Fatalf("%s %s: %v\n%s", program, strings.Join(args, " "), err, out)
		}
		return string(out)
	}
	out := run("records", "--dir", n.dir, "--id", "example", "--value", "a value")
	for _, want := range []string{"written   block ", `read      "a value", endorsed by [`, "followed  block "} {
		if !strings.Contains(out, want) {
			t.Errorf("records prints %q, which lacks %q", out, want)
		}
	}
	args := []string{n.dir, chain.BizChainID, admin.UID, keyOf(chain, admin, "shortest"), "v"}
	if out := run("write", args...); !strings.HasPrefix(out, client.Message(client.CodeOK)) {
		t.Errorf("write prints %q, want success", out)
	}
	if out := run("write", args...); !strings.HasPrefix(out, client.Message(client.CodeDuplicateKey)) {
		t.Errorf("write of the same Key prints %q, want that the Key has a record", out)
	}
}
