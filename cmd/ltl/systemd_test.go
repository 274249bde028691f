package main

import (
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

const unitDir = "../../deploy/systemd"

// unitFile is a unit file: its settings in their order, by "section.name".
type unitFile map[string][]string

func readUnit(t *testing.T, role string) unitFile {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join(unitDir, "ltl-"+role+"@.service"))
	if err != nil {
		t.Fatal(err)
	}
	u, section := unitFile{}, ""
	for line := range strings.Lines(string(raw)) {
		line = strings.TrimSpace(line)
		name, value, isSetting := strings.Cut(line, "=")
		switch {
		case line == "" || line[0] == '#':
		case line[0] == '[':
			section = strings.Trim(line, "[]") + "."
		case isSetting:
			u[section+name] = append(u[section+name], value)
		default:
			t.Errorf("%s: %q is no setting", role, line)
		}
	}
	return u
}

// one returns the value of a setting that occurs exactly once.
func (u unitFile) one(t *testing.T, name string) string {
	t.Helper()
	if len(u[name]) != 1 {
		t.Fatalf("%s is there %d times", name, len(u[name]))
	}
	return u[name][0]
}

// command is the unit's command line as systemd makes it, below the root directory, and the program's name left out.
func (u unitFile) command(t *testing.T, root, instance string) []string {
	t.Helper()
	program, rest, _ := strings.Cut(u.one(t, "Service.ExecStart"), " ")
	if program != "/usr/local/bin/ltl" {
		t.Errorf("the unit runs %s", program)
	}
	state := ""
	if _, ok := u["Service.StateDirectory"]; ok {
		state = filepath.Join(root, "var/lib", u.one(t, "Service.StateDirectory"))
	}
	r := strings.NewReplacer("${CREDENTIALS_DIRECTORY}", filepath.Join(root, "run/credentials", instance),
		"${STATE_DIRECTORY}", state,
		"/etc/ltl", filepath.Join(root, "etc/ltl"))
	line := strings.ReplaceAll(r.Replace(rest), "%i", instance)
	if strings.ContainsAny(line, "$%") {
		t.Errorf("%q holds what systemd does not know", line)
	}
	return strings.Fields(line)
}

// TestSystemdUnits: the program takes each unit's command line, every unit is confined in the same way, and systemd
// itself reports no problem.
func TestSystemdUnits(t *testing.T) {
	hardening := ""
	for _, role := range []string{"node", "endorser", "facade"} {
		u := readUnit(t, role)
		args := u.command(t, "/", "x")
		cmd, rest, err := newRoot().Find(args)
		if err != nil || cmd.Name() != role {
			t.Errorf("%v starts %q: %v", args, cmd.Name(), err)
			continue
		}
		if err := cmd.ParseFlags(rest); err != nil || cmd.Flags().NArg() != 0 {
			t.Errorf("%v: %v", args, err)
		}
		raw, err := os.ReadFile(filepath.Join(unitDir, "ltl-"+role+"@.service"))
		if err != nil {
			t.Fatal(err)
		}
		_, tail, _ := strings.Cut(string(raw), "\nDynamicUser=yes\n")
		if hardening == "" {
			hardening = tail
		}
		if tail == "" || tail != hardening {
			t.Errorf("the %s's unit is confined differently from the node's", role)
		}
		for _, want := range []string{"NoNewPrivileges=yes", "ProtectSystem=strict", "MemoryDenyWriteExecute=yes",
			"CapabilityBoundingSet=\n", "LimitNOFILE="} {
			if !strings.Contains(tail, "\n"+want) {
				t.Errorf("the %s's unit lacks %s", role, want)
			}
		}
		verifyUnit(t, role, string(raw))
	}
}

// verifyUnit has systemd read the unit, where systemd is installed.
func verifyUnit(t *testing.T, role, text string) {
	t.Helper()
	analyze, err := exec.LookPath("systemd-analyze")
	if err != nil {
		t.Logf("systemd-analyze is not installed; the %s's unit was not shown to it", role)
		return
	}
	path := filepath.Join(t.TempDir(), "ltl-"+role+"@x.service")
	if err := os.WriteFile(path, []byte(strings.ReplaceAll(text, "/usr/local/bin/ltl", binary)), 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command(analyze, "verify", "--man=no", path).CombinedOutput(); err != nil ||
		strings.Contains(string(out), filepath.Base(path)) {
		t.Errorf("systemd-analyze verify: %v\n%s", err, out)
	}
}

func readDeploying(t *testing.T) string {
	t.Helper()
	raw, err := os.ReadFile("../../docs/operate/install.md")
	if err != nil {
		t.Fatal(err)
	}
	return string(raw)
}

// documentedCommand returns the arguments of the one documented `ltl pki create` for a network of the name.
func documentedCommand(t *testing.T, network string) []string {
	t.Helper()
	m := regexp.MustCompile(`(?m)^ltl pki create .*--network ` + network + `(?: .*)?\\\n(?:.*\\\n)*.*$`).FindString(readDeploying(t))
	if m == "" {
		t.Fatalf("docs/operate/install.md makes no keys for the network %s", network)
	}
	var args []string
	for _, word := range regexp.MustCompile(`"[^"]*"|[^\s\\]+`).FindAllString(m, -1)[1:] {
		args = append(args, strings.Trim(word, `"`))
	}
	return args
}

// TestSystemdNetwork: the files of docs/operate/install.md, the keys of its command and the command lines of the
// units make a network that writes; each process reports to the service manager when it serves.
func TestSystemdNetwork(t *testing.T) {
	root := t.TempDir()
	ports := map[string]string{}
	for _, p := range []string{"7000", "7100", "8800", "7900", "7910", "7920"} {
		ports[p] = freePort(t)
	}
	text := readDeploying(t)
	local := func(s string) string {
		for documented, own := range ports {
			s = strings.ReplaceAll(s, ":"+documented, ":"+own)
		}
		return strings.NewReplacer("0.0.0.0:", "127.0.0.1:", "host1.example:", "127.0.0.1:").Replace(s)
	}
	args := documentedCommand(t, "example")
	for i, a := range args {
		args[i] = local(a)
	}
	pki := filepath.Join(root, "pki")
	args[slices.Index(args, "--dir")+1] = pki
	mustLTL(t, args...)
	etc := filepath.Join(root, "etc/ltl")
	if err := os.MkdirAll(etc, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Link(filepath.Join(pki, "trust.json"), filepath.Join(etc, "trust.json")); err != nil {
		t.Fatal(err)
	}
	for _, p := range []struct{ role, instance, keys string }{
		{"node", "node1", "nodes/node1"}, {"endorser", "org1", "orgs/org1/endorser"}, {"facade", "facade1",
			"facades/facade1"},
	} {
		block := regexp.MustCompile("(?s)# /etc/ltl/" + p.instance + `\.yaml\n(.*?)(?:\n#|` + "```)").FindStringSubmatch(text)
		if block == nil {
			t.Fatalf("docs/operate/install.md has no %s.yaml", p.instance)
		}
		if err := os.WriteFile(filepath.Join(etc, p.instance+".yaml"), []byte(local(block[1])), 0o600); err != nil {
			t.Fatal(err)
		}
		u := readUnit(t, p.role)
		giveCredentials(t, u, root, p.instance, filepath.Join(pki, p.keys))
		runUnit(t, u, root, p.instance)
	}
	for _, admin := range []string{"7900", "7910", "7920"} {
		await(t, "health of "+admin, func() bool {
			_, _, err := ltlCommand(t, "health", "--ready", "--admin", "127.0.0.1:"+ports[admin])
			return err == nil
		})
	}
	mustLTL(t, "setup", "--dir", root, "--endpoint", "http://127.0.0.1:"+ports["8800"])
	f := (&network{dir: root}).file(t)
	chain, admin := proofChain(t, f), account(t, f, "ADMIN")
	mustLTL(t, "call", "SetData", "--dir", root, "ProductKey="+chain.BizChainCode, "Key="+keyOf(chain, admin, "1"),
		"Value=from a unit")
}

func freePort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	_, port, _ := net.SplitHostPort(l.Addr().String())
	return port
}

// giveCredentials does what systemd does for LoadCredential and StateDirectory.
func giveCredentials(t *testing.T, u unitFile, root, instance, keys string) {
	t.Helper()
	dir := filepath.Join(root, "run/credentials", instance)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	for _, c := range u["Service.LoadCredential"] {
		name, from, _ := strings.Cut(c, ":")
		if from != "/etc/ltl/%i/"+name {
			t.Errorf("credential %s comes from %s", name, from)
		}
		raw, err := os.ReadFile(filepath.Join(keys, name))
		if err == nil {
			err = os.WriteFile(filepath.Join(dir, name), raw, 0o400)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if s := u["Service.StateDirectory"]; s != nil {
		if err := os.MkdirAll(filepath.Join(root, "var/lib", strings.ReplaceAll(s[0], "%i", instance)), 0o700); err != nil {
			t.Fatal(err)
		}
	}
}

// runUnit runs a unit's command until the test ends, and waits until it reports that it is ready.
func runUnit(t *testing.T, u unitFile, root, instance string) {
	t.Helper()
	socket := filepath.Join(root, instance+".sock")
	manager, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: socket, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer manager.Close()
	cmd := exec.Command(binary, u.command(t, root, instance)...)
	var said strings.Builder
	cmd.Stdout, cmd.Stderr = &said, &said
	cmd.Env = append(os.Environ(), "NOTIFY_SOCKET="+socket)
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
			t.Error(err)
		}
		if err := cmd.Wait(); err != nil || t.Failed() {
			t.Errorf("%s ended with %v:\n%s", instance, err, said.String())
		}
	})
	if err := manager.SetReadDeadline(time.Now().Add(waitTimeout)); err != nil {
		t.Fatal(err)
	}
	message := make([]byte, 64)
	if n, err := manager.Read(message); err != nil || string(message[:n]) != "READY=1" {
		t.Fatalf("%s says %q to the service manager: %v", instance, message[:n], err)
	}
}
