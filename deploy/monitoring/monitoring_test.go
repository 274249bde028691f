// Package monitoring_test compares the alert rules, the dashboard and docs/operate/monitor.md with one another and
// with the metrics of a real network.
package monitoring_test

import (
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"go.yaml.in/yaml/v3"

	"ltl/endorser"
	"ltl/facade"
	"ltl/internal/identity"
	"ltl/node"
	"ltl/test/testkit"
	"ltl/test/testkit/quick"
)

// operations is the page with a section for each alert and a line for each metric.
const operations = "../../docs/operate/monitor.md"

// rule is an alert or a recorded expression.
type rule struct {
	Alert       string            `yaml:"alert"`
	Record      string            `yaml:"record"`
	Expr        string            `yaml:"expr"`
	Labels      map[string]string `yaml:"labels"`
	Annotations map[string]string `yaml:"annotations"`
}

func rules(t *testing.T) []rule {
	t.Helper()
	var file struct {
		Groups []struct {
			Rules []rule `yaml:"rules"`
		} `yaml:"groups"`
	}
	if err := yaml.Unmarshal([]byte(read(t, "rules.yaml")), &file); err != nil {
		t.Fatal(err)
	}
	var all []rule
	for _, g := range file.Groups {
		all = append(all, g.Rules...)
	}
	if len(all) == 0 {
		t.Fatal("rules.yaml has no rules")
	}
	return all
}

func read(t *testing.T, path string) string {
	t.Helper()
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(raw)
}

// TestPromtool: Prometheus accepts the rules and the examples, and each alert does what rules_test.yaml says.
func TestPromtool(t *testing.T) {
	quick.Skip(t)
	if _, err := exec.LookPath("promtool"); err != nil {
		t.Fatalf("%v; scripts/install-deps.sh installs it", err)
	}
	for _, args := range [][]string{
		{"check", "rules", "rules.yaml"}, {"test", "rules", "rules_test.yaml"},
		{"check", "config", "prometheus.yaml"}, {"check", "config", "--syntax-only", "prometheus-tls.yaml"},
	} {
		if out, err := exec.Command("promtool", args...).CombinedOutput(); err != nil {
			t.Errorf("promtool %s: %v\n%s", strings.Join(args, " "), err, out)
		}
	}
}

// TestEveryAlertIsTested: rules_test.yaml tests for each alert both that it fires and that it is silent.
func TestEveryAlertIsTested(t *testing.T) {
	var file struct {
		Tests []struct {
			Alerts []struct {
				Name string `yaml:"alertname"`
				Exp  []any  `yaml:"exp_alerts"`
			} `yaml:"alert_rule_test"`
		} `yaml:"tests"`
	}
	if err := yaml.Unmarshal([]byte(read(t, "rules_test.yaml")), &file); err != nil {
		t.Fatal(err)
	}
	fires, silent := map[string]bool{}, map[string]bool{}
	for _, one := range file.Tests {
		for _, a := range one.Alerts {
			if len(a.Exp) > 0 {
				fires[a.Name] = true
			} else {
				silent[a.Name] = true
			}
		}
	}
	for _, r := range rules(t) {
		if r.Alert != "" && (!fires[r.Alert] || !silent[r.Alert]) {
			t.Errorf("%s: tested to fire %v, tested to be silent %v", r.Alert, fires[r.Alert], silent[r.Alert])
		}
	}
}

// TestEveryAlertHasItsSection: each alert names a section that says what it means, how to see it and what to do; and no
// section remains of an alert that was removed.
func TestEveryAlertHasItsSection(t *testing.T) {
	sections := map[string]string{}
	for _, part := range strings.Split(read(t, operations), "\n### ")[1:] {
		name, text, _ := strings.Cut(part, "\n")
		text, _, _ = strings.Cut(text, "\n## ")
		sections[name] = text
	}
	for _, r := range rules(t) {
		if r.Alert == "" {
			continue
		}
		if want := "docs/operate/monitor.md#" + strings.ToLower(r.Alert); r.Annotations["runbook_url"] != want {
			t.Errorf("%s: its runbook_url is %q, want %q", r.Alert, r.Annotations["runbook_url"], want)
		}
		s := r.Labels["severity"]
		if s != "critical" && s != "warning" || r.Annotations["summary"] == "" || r.Annotations["description"] == "" {
			t.Errorf("%s: severity %q, or no summary, or no description", r.Alert, s)
		}
		text, ok := sections[r.Alert]
		if !ok {
			t.Errorf("docs/operate/monitor.md has no section %s", r.Alert)
		}
		for _, part := range []string{"**Means:**", "**Look:**", "**Do:**"} {
			if !strings.Contains(text, part) {
				t.Errorf("docs/operate/monitor.md, section %s: no %s", r.Alert, part)
			}
		}
		delete(sections, r.Alert)
	}
	for name := range sections {
		t.Errorf("docs/operate/monitor.md has a section %s, and there is no such alert", name)
	}
}

// TestEveryNameIsExported: rules and dashboard use only metrics that a process exports, and docs/operate/monitor.md
// lists exactly the exported ones.
func TestEveryNameIsExported(t *testing.T) {
	exported := scrape(t)
	document := read(t, operations)
	for name, family := range exported {
		if strings.HasPrefix(family, "ltl_") && !strings.Contains(document, "`"+family+"`") {
			t.Errorf("docs/operate/monitor.md does not list %s, which has the series %s", family, name)
		}
	}
	for _, m := range regexp.MustCompile("(?m)^\\| `(ltl_[a-z_]+)`").FindAllStringSubmatch(document, -1) {
		if _, ok := exported[m[1]]; !ok {
			t.Errorf("docs/operate/monitor.md lists %s, which no process exports", m[1])
		}
	}
	recorded := map[string]bool{}
	for _, r := range rules(t) {
		if r.Record != "" {
			recorded[r.Record] = true
		}
	}
	check := func(where, expr string) {
		for _, name := range names(expr) {
			if exported[name] == "" && !recorded[name] && name != "up" {
				t.Errorf("%s uses %s, which no process exports: %s", where, name, expr)
			}
		}
	}
	for _, r := range rules(t) {
		check("rule "+r.Alert+r.Record, r.Expr)
	}
	for title, exprs := range panels(t) {
		for _, expr := range exprs {
			check("panel "+title, expr)
		}
	}
}

// names are the metrics in an expression: those with a prefix of this module or of the Go client, and recorded ones.
func names(expr string) []string {
	expr = regexp.MustCompile(`"[^"]*"`).ReplaceAllString(expr, "")
	return regexp.MustCompile(`\bup\b|\b(?:ltl|go|process)_[a-zA-Z0-9_]+|\b[a-z_]+:[a-zA-Z0-9_:]+`).FindAllString(expr, -1)
}

// panels are the dashboard's expressions by the titles of their panels.
func panels(t *testing.T) map[string][]string {
	t.Helper()
	var board struct {
		UID    string `json:"uid"`
		Panels []struct {
			Title   string `json:"title"`
			Type    string `json:"type"`
			Targets []struct {
				Expr string `json:"expr"`
			} `json:"targets"`
		} `json:"panels"`
	}
	if err := json.Unmarshal([]byte(read(t, "dashboard.json")), &board); err != nil {
		t.Fatal(err)
	}
	found := map[string][]string{}
	for _, p := range board.Panels {
		if p.Type == "row" {
			continue
		}
		if len(p.Targets) == 0 || found[p.Title] != nil {
			t.Errorf("panel %q has no expression, or its title is there twice", p.Title)
		}
		for _, target := range p.Targets {
			if len(names(target.Expr)) == 0 {
				t.Errorf("panel %q: %q names no metric", p.Title, target.Expr)
			}
			found[p.Title] = append(found[p.Title], target.Expr)
		}
	}
	if len(found) == 0 || board.UID == "" {
		t.Error("dashboard.json has no panels, or no uid")
	}
	return found
}

// scrape runs a network, writes and fails a few times, and returns the families of all series that its processes
// export, by series.
func scrape(t *testing.T) map[string]string {
	t.Helper()
	network := testkit.Start(t, testkit.Options{
		Node:     func(_ int, cfg *node.Config) { cfg.AdminListen = "127.0.0.1:0" },
		Endorser: func(_ int, cfg *endorser.Config) { cfg.AdminListen = "127.0.0.1:0" },
	})
	sealing, err := identity.LoadSealingKey(filepath.Join(network.Dir, "facades", "f1", "sealing.key"))
	if err != nil {
		t.Fatal(err)
	}
	f, err := facade.Open(context.Background(), facade.Config{
		Listen: "127.0.0.1:0", AdminListen: "127.0.0.1:0", Client: network.Client(identity.RoleFacade),
		SealingKey: sealing, Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := f.Close(); err != nil {
			t.Error(err)
		}
	})
	get(t, "http://"+f.Addr()+"/?Action=Nothing")
	// A transaction that endorsers refuse, and one that the node does.
	refused := network.SetData(network.Admin, strings.Repeat("0", 32), "value")
	refused.AccountUid = network.Member.UID                    // its type code is not that of the Key
	testkit.WaitFor(t, time.Minute, "a refusal", func() bool { // on a busy machine the network may not serve at once
		r, err := network.Client(identity.RoleFacade).Submit(t.Context(), refused)
		if err == nil && r.GetCode() == 200 {
			t.Fatal("an account wrote under the type code of another one")
		}
		return err == nil
	})
	exported := map[string]string{}
	for _, address := range append(network.AdminAddresses(), f.AdminAddr()) {
		family := ""
		for _, line := range strings.Split(get(t, "http://"+address+"/metrics"), "\n") {
			if typed, ok := strings.CutPrefix(line, "# TYPE "); ok {
				family, _, _ = strings.Cut(typed, " ")
				exported[family] = family
			} else if name := regexp.MustCompile(`^[a-zA-Z_:][a-zA-Z0-9_:]*`).FindString(line); name != "" {
				exported[name] = family
			}
		}
	}
	return exported
}

func get(t *testing.T, url string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	transport := &http.Transport{DisableKeepAlives: true}
	answer, err := (&http.Client{Transport: transport}).Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(body)
}
