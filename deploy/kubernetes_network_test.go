package deploy_test

import (
	"encoding/base64"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

// choosePolicies gives each pod the rules of the policies that select it.
func (m *manifests) choosePolicies() {
	for _, p := range m.pods {
		p.policy = map[string][]policyRule{}
	}
	for _, o := range m.objects {
		if o.Kind != "NetworkPolicy" {
			continue
		}
		for _, p := range m.selected(&o.Spec.PodSelector, o.Metadata.Namespace) {
			for _, direction := range o.Spec.PolicyTypes {
				rules := o.Spec.Ingress
				if direction == "Egress" {
					rules = o.Spec.Egress
				}
				p.policy[direction] = append(p.policy[direction], rules...)
			}
		}
	}
}

// namespaceLabels are the labels of a namespace, including that of its name, which every cluster sets.
func (m *manifests) namespaceLabels(name string) labels {
	all := labels{"kubernetes.io/metadata.name": name}
	if o := m.find("Namespace", "", name); o != nil {
		maps.Copy(all, o.Metadata.Labels)
	}
	return all
}

// allows reports whether rules let a connection to a port of `to` pass, whose other end is `other`.
func (m *manifests) allows(rules []policyRule, other, to *pod, port int) bool {
	for _, r := range rules {
		for _, n := range r.Ports {
			if n.Port != float64(port) && to.port(n.Port) != port {
				continue
			}
			for _, peer := range append(r.From, r.To...) {
				if peer.NamespaceSelector.matches(m.namespaceLabels(other.namespace)) &&
					peer.PodSelector.matches(other.Metadata.Labels) {
					return true
				}
			}
		}
	}
	return false
}

// composeFile is the part of deploy/compose.yaml that the tests need.
type composeFile struct {
	Services map[string]struct {
		Command  []string
		Networks []string
	}
}

func readCompose(t *testing.T) (c composeFile) {
	t.Helper()
	raw, err := os.ReadFile("compose.yaml")
	if err == nil {
		err = yaml.Unmarshal(raw, &c)
	}
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// service is the name of a workload's service in the compose file; of several, the first.
func (p *pod) service() string {
	switch p.role() {
	case "endorser":
		return "endorser-" + strings.TrimPrefix(p.namespace, "ltl-")
	case "operator":
		return "operator"
	}
	return p.role() + "1"
}

// wantNetwork: exactly the edges that writes, and the fetching of lost values, need are allowed, at both ends; each is one that the networks
// of the compose file have; and nothing is allowed that no pod or known outsider uses.
func (m *manifests) wantNetwork(t *testing.T) {
	compose := readCompose(t)
	needed := map[string]bool{"node node": true, "node endorser": true, "endorser node": true, "facade node": true,
		"facade endorser": true, "operator node": true, "operator endorser": true}
	for _, from := range m.pods {
		for _, to := range m.pods {
			for _, c := range to.Spec.Containers[0].Ports {
				out, in := m.allows(from.policy["Egress"], to, to, c.ContainerPort), m.allows(to.policy["Ingress"], from, to,
					c.ContainerPort)
				want := needed[from.role()+" "+to.role()] && c.Name == "grpc"
				if out != want || in != want {
					t.Errorf("%s to %s port %d: it may call %v, it may be called %v, want %v", from, to, c.ContainerPort, out, in,
						want)
				}
				shared := slices.ContainsFunc(compose.Services[from.service()].Networks, func(n string) bool {
					return slices.Contains(compose.Services[to.service()].Networks, n)
				})
				if want && !shared {
					t.Errorf("%s may call %s, and the compose file keeps them apart", from, to)
				}
			}
		}
		for _, direction := range []string{"Ingress", "Egress"} {
			if _, confined := from.policy[direction]; !confined {
				t.Errorf("no policy confines the %s of %s", direction, from)
			}
			for _, r := range from.policy[direction] {
				m.wantRule(t, from, r)
			}
		}
	}
}

// wantRule: a rule names ports, and peers that exist; only facades are open to all addresses.
func (m *manifests) wantRule(t *testing.T, p *pod, r policyRule) {
	t.Helper()
	peers := append(r.From, r.To...)
	if len(r.Ports) == 0 || len(peers) == 0 && (p.role() != "facade" || p.port(r.Ports[0].Port) != 8800) {
		t.Errorf("a rule for %s is open: %+v", p, r)
	}
	for _, peer := range peers {
		if peer.NamespaceSelector == nil {
			t.Errorf("a rule for %s names no namespace: %+v", p, r)
			continue
		}
		outside := labels{"kubernetes.io/metadata.name": "kube-system", "ltl-monitoring": "allowed"}
		found := peer.NamespaceSelector.matches(outside)
		for _, other := range m.pods {
			found = found || peer.NamespaceSelector.matches(m.namespaceLabels(other.namespace)) &&
				peer.PodSelector.matches(other.Metadata.Labels)
		}
		if !found {
			t.Errorf("a rule for %s names a peer that is not there: %+v", p, peer)
		}
	}
}

// wantCompose: each workload runs the role of its service in the compose file, on the same ports, its addresses are
// those of the services and of the genesis, and the program knows every setting.
func (m *manifests) wantCompose(t *testing.T) {
	compose := readCompose(t)
	for _, p := range m.pods {
		if p.role() == "operator" {
			continue
		}
		role, settings := m.command(t, p)
		command := compose.Services[p.service()].Command
		options := map[string]string{}
		for i := 1; i+1 < len(command); i += 2 {
			options[strings.TrimPrefix(command[i], "--")] = command[i+1]
		}
		if len(command) == 0 || command[0] != role || options["listen"] != settings["listen"] ||
			options["admin"] != settings["admin"] || options["dir"] != settings["dir"] {
			t.Errorf("%s runs %s with %v, the compose file %v", p, role, settings, command)
		}
		for name, port := range map[string]string{"grpc": settings["listen"], "http": settings["listen"],
			"metrics": settings["metrics-listen"]} {
			if n := p.port(name); n != 0 && port != fmt.Sprintf("0.0.0.0:%d", n) {
				t.Errorf("%s declares port %d as %s, the process listens on %s", p, n, name, port)
			}
		}
		for _, mount := range []string{"trust", "identity", "dir"} {
			inside := slices.ContainsFunc(p.Spec.Containers[0].VolumeMounts, func(v struct {
				Name, MountPath, SubPathExpr string
				ReadOnly                     bool
			},
			) bool {
				return settings[mount] == v.MountPath || strings.HasPrefix(settings[mount], v.MountPath+"/")
			})
			if settings[mount] != "" && !inside {
				t.Errorf("%s of %s is %s, where nothing is mounted", mount, p, settings[mount])
			}
		}
	}
	trust := fmt.Sprint(m.find("ConfigMap", "ltl-nodes", "trust").Data["trust.json"])
	for _, address := range []string{"node-0.node.ltl-nodes.svc.cluster.local:7000",
		"node-2.node.ltl-nodes.svc.cluster.local:7000", "endorser.ltl-org3.svc.cluster.local:7100"} {
		if !strings.Contains(trust, address) {
			t.Errorf("the genesis has no %s", address)
		}
	}
}

// write writes the files of a configuration or a secret as a volume has them.
func (m *manifests) write(t *testing.T, o *object, dir string) {
	t.Helper()
	if o == nil {
		t.Fatalf("nothing to mount at %s", dir)
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	for name, value := range o.Data {
		raw := []byte(fmt.Sprint(value))
		if o.Kind == "Secret" {
			var err error
			if raw, err = base64.StdEncoding.DecodeString(string(raw)); err != nil {
				t.Fatal(err)
			}
		}
		if err := os.WriteFile(filepath.Join(dir, name), raw, 0o440); err != nil {
			t.Fatal(err)
		}
	}
}
