package houserules

import (
	"go/ast"
	"slices"
	"strings"
	"testing"
)

// edges says which own packages each package may import, tests aside. The roles (node, endorser, client) do not import
// one another: they meet in internal and over gRPC. A new edge is a decision: make it here, with its reason in the
// commit.
func edges() map[string][]string {
	const wire = "proto/ltl/v1"
	return map[string][]string{
		wire:                  {},
		"internal/ledger":     {wire},
		"internal/admin":      {},
		"internal/tracing":    {},
		"internal/admission":  {},
		"internal/identity":   {"internal/admission", "internal/rules", "internal/ledger", wire},
		"internal/policy":     {"internal/ledger"},
		"internal/rules":      {"internal/policy", "internal/ledger", wire},
		"internal/verify":     {"internal/rules", "internal/ledger", wire},
		"internal/store":      {"internal/verify", "internal/rules", "internal/ledger", wire},
		"internal/query":      {"internal/store", "internal/rules", "internal/ledger", "internal/identity", wire},
		"internal/scrub":      {"internal/store", wire},
		"internal/checkpoint": {"internal/store", "internal/identity", "internal/ledger", "internal/rules", "client/proof", wire},
		"internal/skew":       {"internal/rules"}, // the median, and no other, that the rules take
		"node": {"internal/checkpoint",
			"internal/query", "internal/scrub", "internal/skew", "internal/store", "internal/verify", "internal/rules",
			"internal/identity", "internal/admission", "internal/admin", "internal/ledger", "internal/tracing", wire},
		"endorser": {"internal/checkpoint",
			"internal/query", "internal/scrub", "internal/skew", "internal/store", "internal/verify", "internal/rules",
			"internal/identity", "internal/admin", "internal/admission", "internal/ledger", "internal/tracing", wire},
		"client": {"internal/identity", "internal/policy", "internal/rules", "internal/ledger",
			"internal/skew", "internal/tracing", "client/proof", wire},
		"client/device":    {},               // firmware takes it alone
		"client/verify-js": {},               // the modules as files
		"client/proof":     {},               // a verifier that shares no code with what it judges
		"examples/records": {"client", wire}, // as a program outside this module could
		"examples/write":   {"client"},
		"client/device/c":  {},
		"console": {"client", "client/proof", "client/verify-js", "internal/identity", "internal/ledger", "internal/rules",
			"internal/skew", wire},
		"facade": {"client", "client/proof", "console", "internal/admission", "internal/identity", "internal/rules", "internal/admin", "internal/tracing",
			"internal/ledger", wire},
		"internal/audit": {"internal/store", "internal/rules", "internal/verify", "internal/identity", "internal/ledger", wire},
		"internal/backup": {"internal/audit", "internal/store", "internal/verify", "internal/identity",
			"internal/ledger", wire},
		"internal/proposal": {"client", "internal/ledger", wire},
		"internal/localnet": {"client", "console", "internal/identity", "internal/rules", "internal/ledger", wire},
		"internal/bench":    {"client", "internal/localnet", "internal/identity", "internal/rules"},
		"cmd/ltl": {"internal/policy", "node", "endorser", "client", "client/device", "client/proof", "console", "facade",
			"internal/admin", "internal/audit", "internal/backup", "internal/bench", "internal/localnet", "internal/proposal",
			"internal/scrub", "internal/skew",
			"internal/store", "internal/identity", "internal/rules", "internal/ledger", "internal/tracing", wire},
		"test/chaos": {"client", "client/device", "internal/localnet", "internal/identity", "internal/proposal", "internal/rules",
			"internal/ledger", "test/chaos/liar", "test/insider", "test/testkit/hostile", wire},
		"test/chaos/liar": {"internal/rules", wire}, // built into a node
		"test/insider": {"client", "internal/identity", "internal/proposal", "internal/rules", "internal/ledger",
			"test/testkit/offline", wire},
		"test/chaos/cmd":          {"test/chaos"}, // the network itself is the program bin/ltl
		"deploy":                  {},
		"deploy/monitoring":       {},
		"deploy/kubernetes/check": {},
		"test/houserules":         {},
		"test/faults":             {},
		"test/mutants":            {},
		"test/format":             {},
		"test/conformance":        {},
		"test/client":             {},
		"test/testkit/hostile":    {},
		"test/testkit": {"node", "endorser", "client", "internal/store", "internal/rules", "internal/identity",
			"internal/ledger", "internal/proposal", "test/insider", "test/testkit/quick", wire},
		"test/testkit/offline": {"internal/ledger", wire},
		"test/testkit/quick":   {},
		"test/trace":           {"internal/localnet"},
		"test/access":          {"internal/identity"},
		"test/adversary":       {},
	}
}

func TestImportEdges(t *testing.T) {
	allowed := edges()
	for _, p := range load(t) {
		may, known := allowed[p.path]
		if !known {
			t.Errorf("%s is a package that the list of import edges does not know", p.path)
			continue
		}
		for _, f := range p.files {
			if f.test {
				continue
			}
			for _, path := range imports(f.ast) {
				own, isOwn := strings.CutPrefix(path, module)
				if isOwn && !slices.Contains(may, own) {
					t.Errorf("%s imports %s: the list of import edges does not allow it", f.path, path)
				}
			}
		}
	}
}

// TestNoUnusedEdges: an edge that no import needs would let one in later without a decision.
func TestNoUnusedEdges(t *testing.T) {
	used := map[string]map[string]bool{}
	for _, p := range load(t) {
		used[p.path] = map[string]bool{}
		for _, f := range p.files {
			if f.test {
				continue
			}
			for _, path := range imports(f.ast) {
				if own, isOwn := strings.CutPrefix(path, module); isOwn {
					used[p.path][own] = true
				}
			}
		}
	}
	for path, may := range edges() {
		if used[path] == nil {
			t.Errorf("the list of import edges has the package %s, which is not there", path)
		}
		for _, own := range may {
			if used[path] != nil && !used[path][own] {
				t.Errorf("the list of import edges allows %s to import %s, and it does not; remove the edge", path, own)
			}
		}
	}
}

// purePackages compute from their input alone.
func purePackages() []string {
	return []string{"internal/ledger", "internal/policy", "internal/rules", "internal/verify"}
}

// TestRulesArePure: the state machine gives the same result everywhere only while nothing but its input reaches it.
func TestRulesArePure(t *testing.T) {
	impure := []string{
		"math/rand", "math/rand/v2", "crypto/rand", "os", "net", "net/http", "io/fs", "sync", "sync/atomic",
		"context", "log", "log/slog", "runtime", "unsafe", "maps",
	}
	clock := []string{"Now", "Since", "Until", "Sleep", "After", "AfterFunc", "Tick", "NewTimer", "NewTicker", "Local",
		"LoadLocation"}
	for _, p := range load(t) {
		if !slices.Contains(purePackages(), p.path) {
			continue
		}
		for _, f := range p.code() {
			for _, path := range imports(f.ast) {
				if slices.Contains(impure, path) {
					t.Errorf("%s imports %s: a pure package has no clock, no randomness, no I/O, no goroutine and no map order",
						f.path, path)
				}
			}
			ast.Inspect(f.ast, func(n ast.Node) bool {
				if _, ok := n.(*ast.GoStmt); ok {
					t.Errorf("%s: a pure package starts no goroutine", p.at(n))
				}
				if s, ok := n.(*ast.SelectorExpr); ok && slices.Contains(clock, s.Sel.Name) {
					if x, ok := s.X.(*ast.Ident); ok && x.Name == "time" {
						t.Errorf("%s: a pure package has no clock, and time.%s is one", p.at(n), s.Sel.Name)
					}
				}
				return true
			})
		}
	}
}
