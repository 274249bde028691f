package access

import (
	"os"
	"slices"
	"strings"
	"testing"

	"google.golang.org/protobuf/reflect/protoreflect"

	"ltl/internal/identity"
)

// CheckTable fails t unless the table of methods in document says the same as acl of the processes that it calls where:
// "nodes" or "endorsers". The table's services are defined in files.
func CheckTable(t *testing.T, document, where string, acl identity.ACL, files ...protoreflect.FileDescriptor) {
	t.Helper()
	raw, err := os.ReadFile(document)
	if err != nil {
		t.Fatal(err)
	}
	documented := tableOf(t, string(raw), where, files)
	for name, roles := range acl {
		said, ok := documented[name]
		slices.Sort(said)
		if want := slices.Sorted(slices.Values(roles)); !ok || !slices.Equal(said, want) {
			t.Errorf("%s on %s: %s lets %v call it, the access list %v", name, where, document, said, want)
		}
		delete(documented, name)
	}
	for name, roles := range documented {
		t.Errorf("%s on %s: %s lets %v call it, the access list no role", name, where, document, roles)
	}
}

// tableOf reads the lines of the table that are about where.
func tableOf(t *testing.T, text, where string, files []protoreflect.FileDescriptor) identity.ACL {
	t.Helper()
	_, rows, found := strings.Cut(text, "\n| method | on |")
	if !found {
		t.Fatal("there is no table of methods")
	}
	rows, _, _ = strings.Cut(rows, "\n\n")
	lines := strings.Split(rows, "\n")
	head := cells("| method | on |" + lines[0])
	out := identity.ACL{}
	for _, line := range lines[2:] { // after the rest of the heading and the rule below it
		row := cells(line)
		if len(row) != len(head) {
			t.Fatalf("%q has not the cells of the heading %q", line, head)
		}
		if !slices.Contains(strings.Split(row[1], ", "), where) {
			continue
		}
		var roles []identity.Role
		for i, cell := range row[2:] {
			role := identity.Role(head[i+2])
			if !slices.Contains(identity.Roles(), role) || cell != "yes" && cell != "" {
				t.Fatalf("%q under %q in the row of %s", cell, role, row[0])
			}
			if cell == "yes" {
				roles = append(roles, role)
			}
		}
		for _, pattern := range strings.Split(row[0], ", ") {
			names := expand(files, strings.Trim(pattern, "`"))
			if len(names) == 0 {
				t.Errorf("the table names %s, which is no method", pattern)
			}
			for _, name := range names {
				if _, twice := out[name]; twice {
					t.Errorf("the table names %s twice", name)
				}
				out[name] = roles
			}
		}
	}
	return out
}

func cells(line string) []string {
	out := strings.Split(strings.Trim(strings.TrimSpace(line), "|"), "|")
	for i := range out {
		out[i] = strings.TrimSpace(out[i])
	}
	return out
}

// expand returns the full names of the methods that "Service/Method" or "Service/*" means.
func expand(files []protoreflect.FileDescriptor, pattern string) []string {
	service, method, _ := strings.Cut(pattern, "/")
	var out []string
	for _, f := range files {
		s := f.Services().ByName(protoreflect.Name(service))
		if s == nil {
			continue
		}
		for i := range s.Methods().Len() {
			if m := s.Methods().Get(i); method == "*" || method == string(m.Name()) {
				out = append(out, "/"+string(s.FullName())+"/"+string(m.Name()))
			}
		}
	}
	return out
}
