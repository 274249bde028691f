package deploy_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.yaml.in/yaml/v3"
)

// The parts that the tests need of the objects that deploy/kubernetes/check has read into Kubernetes' own types.
type (
	labels map[string]string

	selector struct {
		MatchLabels      labels
		MatchExpressions []struct {
			Key, Operator string
			Values        []string
		}
	}

	object struct {
		Kind     string
		Metadata struct {
			Name, Namespace string
			Labels          labels
		}
		Data map[string]any
		Spec objectSpec
	}

	objectSpec struct {
		Selector    json.RawMessage // of a service it is labels
		Replicas    int
		ServiceName string
		Template    podTemplate
		JobTemplate struct {
			Spec struct{ Template podTemplate }
		}
		Claims      []struct{ Metadata struct{ Name string } } `json:"volumeClaimTemplates"`
		Ports       []servicePort
		PodSelector selector
		PolicyTypes []string
		Ingress     []policyRule
		Egress      []policyRule
	}

	servicePort struct{ Port, TargetPort, Protocol any }

	policyRule struct {
		From, To []policyPeer
		Ports    []servicePort
	}

	policyPeer struct{ NamespaceSelector, PodSelector *selector }

	podTemplate struct {
		Metadata struct{ Labels labels }
		Spec     podSpec
	}

	podSpec struct {
		AutomountServiceAccountToken *bool
		SecurityContext              struct {
			RunAsNonRoot   bool
			RunAsUser      int
			SeccompProfile struct{ Type string }
		}
		Affinity   *struct{ PodAntiAffinity *struct{} }
		Containers []podContainer
		Volumes    []podVolume
	}

	podContainer struct {
		Name, Image string
		Args        []string
		Ports       []struct {
			Name          string
			ContainerPort int
		}
		VolumeMounts []struct {
			Name, MountPath, SubPathExpr string
			ReadOnly                     bool
		}
		SecurityContext struct {
			AllowPrivilegeEscalation *bool
			ReadOnlyRootFilesystem   bool
			Capabilities             struct{ Drop []string }
		}
		Resources                                   struct{ Limits map[string]string }
		StartupProbe, LivenessProbe, ReadinessProbe *struct{ Exec struct{ Command []string } }
	}

	podVolume struct {
		Name      string
		ConfigMap *struct{ Name string }
		Secret    *struct{ SecretName string }
		Projected *struct {
			Sources []struct {
				Secret struct {
					Name  string
					Items []struct{ Key, Path string }
				}
			}
		}
	}
)

// matches reports whether a selector selects labels; an absent one selects none.
func (s *selector) matches(l labels) bool {
	if s == nil {
		return false
	}
	for k, v := range s.MatchLabels {
		if l[k] != v {
			return false
		}
	}
	for _, e := range s.MatchExpressions {
		if e.Operator != "In" || !slices.Contains(e.Values, l[e.Key]) {
			return false
		}
	}
	return true
}

// pod is the template of one workload, with where it runs.
type pod struct {
	namespace, workload string
	podTemplate
	claims []string
	policy map[string][]policyRule // of the policies that select it, by direction
}

func (p *pod) role() string { return p.Metadata.Labels["role"] }

func (p *pod) String() string { return p.namespace + "/" + p.workload }

// manifests is what `kubectl apply -k deploy/kubernetes` would send.
type manifests struct {
	t       *testing.T
	binary  string
	objects []object
	pods    []*pod
}

// TestKubernetes builds the kustomization with keys that keys.sh makes, reads every object strictly, and compares the
// objects with one another, with deploy/compose.yaml, and with the program, which is started as the pods start it.
func TestKubernetes(t *testing.T) {
	if testing.Short() {
		t.Skip("the race detector sees nothing of this; the run without -short has it")
	}
	m := buildManifests(t)
	t.Run("confinement", m.wantConfined)
	t.Run("references", m.wantReferences)
	t.Run("selectors", m.wantSelectors)
	t.Run("network", m.wantNetwork)
	t.Run("compose", m.wantCompose)
	t.Run("processes", m.wantProcesses)
}

func buildManifests(t *testing.T) *manifests {
	t.Helper()
	m := &manifests{t: t, binary: filepath.Join(t.TempDir(), "ltl")}
	dir := filepath.Join(t.TempDir(), "kubernetes")
	if err := os.CopyFS(dir, os.DirFS("kubernetes")); err != nil {
		t.Fatal(err)
	}
	if err := os.RemoveAll(filepath.Join(dir, "pki")); err != nil { // keys of the developer's own
		t.Fatal(err)
	}
	run := func(env string, name string, args ...string) []byte {
		t.Helper()
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
		defer cancel()
		cmd := exec.CommandContext(ctx, name, args...)
		cmd.Env = append(os.Environ(), "CGO_ENABLED=0", env)
		var stderr bytes.Buffer
		cmd.Stderr = &stderr
		out, err := cmd.Output()
		if err != nil {
			t.Fatalf("%s %v: %v\n%s%s", name, args, err, out, stderr.Bytes())
		}
		return out
	}
	run("", "go", "build", "-buildvcs=false", "-o", m.binary, "../cmd/ltl")
	run("LTL="+m.binary, "bash", filepath.Join(dir, "keys.sh"))
	raw := run("", "go", "-C", "kubernetes/check", "run", ".", dir)
	if err := json.Unmarshal(raw, &m.objects); err != nil {
		t.Fatal(err)
	}
	for _, o := range m.objects {
		template := o.Spec.Template
		if o.Kind == "CronJob" {
			template = o.Spec.JobTemplate.Spec.Template
		}
		if len(template.Spec.Containers) == 0 {
			continue
		}
		p := &pod{namespace: o.Metadata.Namespace, workload: o.Metadata.Name, podTemplate: template}
		for _, c := range o.Spec.Claims {
			p.claims = append(p.claims, c.Metadata.Name)
		}
		m.pods = append(m.pods, p)
	}
	if len(m.pods) != 6 {
		t.Fatalf("%d workloads, want those of nodes, three endorsers, facades and operator", len(m.pods))
	}
	m.choosePolicies()
	return m
}

func (m *manifests) find(kind, namespace, name string) *object {
	for i, o := range m.objects {
		if o.Kind == kind && o.Metadata.Namespace == namespace && o.Metadata.Name == name {
			return &m.objects[i]
		}
	}
	return nil
}

// wantConfined: no process is root, writes outside its volume, keeps a capability, talks to the cluster, or takes a
// whole machine.
func (m *manifests) wantConfined(t *testing.T) {
	for _, o := range m.objects {
		if o.Kind == "Namespace" && o.Metadata.Labels["pod-security.kubernetes.io/enforce"] != "restricted" {
			t.Errorf("namespace %s admits any pod", o.Metadata.Name)
		}
	}
	for _, p := range m.pods {
		s := p.Spec
		if !s.SecurityContext.RunAsNonRoot || s.SecurityContext.RunAsUser == 0 ||
			s.SecurityContext.SeccompProfile.Type != "RuntimeDefault" ||
			s.AutomountServiceAccountToken == nil || *s.AutomountServiceAccountToken || len(s.Containers) != 1 {
			t.Errorf("%s is not confined: %+v", p, s.SecurityContext)
		}
		c := s.Containers[0]
		if e := c.SecurityContext.AllowPrivilegeEscalation; e == nil || *e || !c.SecurityContext.ReadOnlyRootFilesystem ||
			!slices.Equal(c.SecurityContext.Capabilities.Drop, []string{"ALL"}) ||
			c.Resources.Limits["cpu"] == "" || c.Resources.Limits["memory"] == "" {
			t.Errorf("the container of %s is not confined: %+v", p, c)
		}
		for _, v := range c.VolumeMounts {
			if !v.ReadOnly && v.Name != "data" && v.Name != "tmp" {
				t.Errorf("%s may write to %s", p, v.MountPath)
			}
		}
		if p.role() != "operator" && (c.StartupProbe == nil || c.LivenessProbe == nil || c.ReadinessProbe == nil) {
			t.Errorf("%s is not probed", p)
		}
		if (p.role() == "node" || p.role() == "facade") && (s.Affinity == nil || s.Affinity.PodAntiAffinity == nil) {
			t.Errorf("all of %s may run on one machine", p)
		}
	}
}

// wantReferences: everything that a pod mounts exists, every volume is mounted, and no secret is mounted by two workloads.
func (m *manifests) wantReferences(t *testing.T) {
	owner := map[string]*pod{}
	secret := func(p *pod, name string, keys ...string) {
		o := m.find("Secret", p.namespace, name)
		if o == nil {
			t.Fatalf("%s mounts the secret %s, which is not there", p, name)
		}
		for _, k := range keys {
			if o.Data[k] == nil {
				t.Errorf("%s mounts %s of the secret %s, which is not there", p, k, name)
			}
		}
		if other := owner[p.namespace+name]; other != nil && other != p {
			t.Errorf("%s and %s see the secret %s", p, other, name)
		}
		owner[p.namespace+name] = p
	}
	for _, p := range m.pods {
		there := slices.Clone(p.claims)
		for _, v := range p.Spec.Volumes {
			there = append(there, v.Name)
			if v.ConfigMap != nil && m.find("ConfigMap", p.namespace, v.ConfigMap.Name) == nil {
				t.Errorf("%s mounts the configuration %s, which is not there", p, v.ConfigMap.Name)
			}
			if v.Secret != nil {
				secret(p, v.Secret.SecretName)
			}
			if v.Projected != nil {
				for _, s := range v.Projected.Sources {
					for _, i := range s.Secret.Items {
						secret(p, s.Secret.Name, i.Key)
						if i.Path != s.Secret.Name+"/"+i.Key {
							t.Errorf("%s shows %s of %s at %s: another pod would see it", p, i.Key, s.Secret.Name, i.Path)
						}
					}
				}
			}
		}
		var mounted []string
		for _, v := range p.Spec.Containers[0].VolumeMounts {
			mounted = append(mounted, v.Name)
		}
		slices.Sort(there)
		slices.Sort(mounted)
		if !slices.Equal(there, mounted) {
			t.Errorf("%s has the volumes %v and mounts %v", p, there, mounted)
		}
		if (p.role() == "node" || p.role() == "endorser") != slices.Contains(p.claims, "data") {
			t.Errorf("%s claims %v", p, p.claims)
		}
	}
	for _, o := range m.objects {
		if o.Kind == "Secret" && owner[o.Metadata.Namespace+o.Metadata.Name] == nil {
			t.Errorf("no workload uses the secret %s/%s", o.Metadata.Namespace, o.Metadata.Name)
		}
	}
}

// wantSelectors: every selector selects pods of its namespace, and a workload its own; services lead to ports that
// exist.
func (m *manifests) wantSelectors(t *testing.T) {
	budgets := map[string]bool{}
	for _, o := range m.objects {
		var s selector
		switch o.Kind {
		case "Service":
			if err := json.Unmarshal(o.Spec.Selector, &s.MatchLabels); err != nil {
				t.Fatal(err)
			}
		case "StatefulSet", "Deployment", "PodDisruptionBudget":
			if err := json.Unmarshal(o.Spec.Selector, &s); err != nil {
				t.Fatal(err)
			}
		case "NetworkPolicy":
			s = o.Spec.PodSelector
		default:
			continue
		}
		chosen := m.selected(&s, o.Metadata.Namespace)
		if len(chosen) != 1 || (o.Kind == "StatefulSet" || o.Kind == "Deployment") && chosen[0].workload != o.Metadata.Name {
			t.Errorf("%s %s/%s selects %v", o.Kind, o.Metadata.Namespace, o.Metadata.Name, chosen)
			continue
		}
		if o.Kind == "PodDisruptionBudget" {
			budgets[chosen[0].role()] = true
		}
		if o.Kind == "StatefulSet" && m.find("Service", o.Metadata.Namespace, o.Spec.ServiceName) == nil {
			t.Errorf("the service %s of %s is not there", o.Spec.ServiceName, chosen[0])
		}
		if o.Kind == "Service" {
			for _, p := range o.Spec.Ports {
				if chosen[0].port(p.TargetPort) != int(p.Port.(float64)) {
					t.Errorf("service %s/%s leads port %v to %v of the pods", o.Metadata.Namespace, o.Metadata.Name, p.Port,
						p.TargetPort)
				}
			}
		}
	}
	if !budgets["node"] || !budgets["facade"] {
		t.Errorf("budgets for disruptions are those of %v", budgets)
	}
}

// selected are the pods of a namespace that a selector selects.
func (m *manifests) selected(s *selector, namespace string) (chosen []*pod) {
	for _, p := range m.pods {
		if p.namespace == namespace && s.matches(p.Metadata.Labels) {
			chosen = append(chosen, p)
		}
	}
	return chosen
}

// port is the number of a container's port by name or number; 0 when there is none.
func (p *pod) port(port any) int {
	for _, c := range p.Spec.Containers[0].Ports {
		if port == c.Name || port == float64(c.ContainerPort) {
			return c.ContainerPort
		}
	}
	return 0
}

// command is what a pod's process is started with: the options of its arguments and, below them, the settings of its
// configuration file.
func (m *manifests) command(t *testing.T, p *pod) (role string, settings map[string]string) {
	t.Helper()
	args := p.Spec.Containers[0].Args
	if len(args) != 3 || args[1] != "--config" {
		t.Fatalf("%s starts %v", p, args)
	}
	config := m.find("ConfigMap", p.namespace, p.workload).Data[path.Base(args[2])]
	if err := yaml.Unmarshal([]byte(fmt.Sprint(config)), &settings); err != nil {
		t.Fatal(err)
	}
	return args[0], settings
}

// wantProcesses starts a process of each workload with the keys, the configuration and the probes of its pod, in
// directories that stand for the volumes and on ports of this machine.
func (m *manifests) wantProcesses(t *testing.T) {
	for _, p := range m.pods {
		if p.role() == "operator" {
			continue
		}
		t.Run(p.String(), func(t *testing.T) {
			role, settings := m.command(t, p)
			root := t.TempDir()
			instance := p.workload
			if role == "node" {
				instance = "node-1"
			}
			for name, setting := range map[string]string{instance: "identity", "trust": "trust"} {
				dir := filepath.Join(root, settings[setting])
				kind := "Secret"
				if setting == "trust" {
					dir, kind = filepath.Dir(dir), "ConfigMap"
				}
				m.write(t, m.find(kind, p.namespace, name), dir)
			}
			admin := freeAddress(t)
			config := fmt.Sprintf("trust: %s\nidentity: %s\nlisten: %s\nadmin: %s\nmetrics-listen: %s\n",
				filepath.Join(root, settings["trust"]),
				filepath.Join(root, settings["identity"]), freeAddress(t), admin, freeAddress(t))
			if settings["dir"] != "" {
				config += "dir: " + filepath.Join(root, settings["dir"]) + "\n"
			}
			file := filepath.Join(root, "config.yaml")
			if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
				t.Fatal(err)
			}
			m.wantServes(t, p, admin, role, "--config", file)
		})
	}
}

// wantServes runs a process, waits until its liveness probe succeeds, checks that its readiness probe fails because
// it is alone, and stops it.
func (m *manifests) wantServes(t *testing.T, p *pod, admin string, args ...string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), m.binary, args...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	probe := func(command []string) (string, error) {
		if command[0] != "/ltl" {
			t.Fatalf("%s is probed by %v", p, command)
		}
		command = slices.Clone(command)
		command[len(command)-1] = admin
		out, err := exec.CommandContext(t.Context(), m.binary, command[1:]...).CombinedOutput()
		return string(out), err
	}
	c := p.Spec.Containers[0]
	_, err := probe(c.LivenessProbe.Exec.Command)
	for deadline := time.Now().Add(30 * time.Second); err != nil &&
		time.Now().Before(deadline); _, err = probe(c.LivenessProbe.Exec.Command) {
		time.Sleep(50 * time.Millisecond)
	}
	if err != nil {
		t.Errorf("%s does not serve: %v", p, err)
	}
	if out, err := probe(c.ReadinessProbe.Exec.Command); err == nil {
		t.Errorf("%s is ready without the other processes: %s", p, out)
	}
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Error(err)
	}
	if err := cmd.Wait(); err != nil {
		t.Errorf("%s ends with %v\n%s", p, err, strings.TrimSpace(stderr.String()))
	}
}
