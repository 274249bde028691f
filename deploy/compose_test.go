// Package deploy_test runs the compose deployment as its users do, on a Docker engine, and stops its parts.
package deploy_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"ltl/internal/localnet"
)

// Bounds on waiting; nothing here is a test of speed.
const (
	commandTimeout = 3 * time.Minute
	recoveryLimit  = time.Minute
)

// deployment is one compose deployment with names, ports and a state directory of its own.
type deployment struct {
	t       *testing.T
	project string
	state   string
	env     []string
	network *localnet.Network
}

// TestComposeDeployment starts the whole deployment, checks how its containers are confined, kills the leader under
// load, starts it again, stops and starts everything, and audits every copy at the end.
func TestComposeDeployment(t *testing.T) {
	if out, err := exec.Command("docker", "info", "--format", "{{.ServerVersion}}").CombinedOutput(); err != nil {
		t.Skipf("no Docker engine answers here, and without one there is nothing to deploy to: %s", out)
	}
	if testing.Short() {
		t.Skip("the race detector sees nothing of what runs in containers; the run without -short has them")
	}
	d := newDeployment(t)
	d.run("scripts/cluster.sh", "up")
	var err error
	if d.network, err = localnet.Load(d.state); err != nil {
		t.Fatal(err)
	}
	d.wantConfined()
	d.wantApart()
	written := d.killLeader()
	d.run("scripts/cluster.sh", "down")
	d.run("scripts/cluster.sh", "up")
	d.wantAll(written)
	for _, from := range []string{"node1", "node2", "node3", "org1", "org2", "org3"} {
		if out := d.run("scripts/cluster.sh", "compose", "run", "--rm", "operator", "audit", "--dir", "/state", "--from",
			from); !strings.Contains(out, "are right") {
			t.Errorf("audit of %s: %s", from, out)
		}
	}
	t.Log(d.run("scripts/cluster.sh", "status"))
}

func newDeployment(t *testing.T) *deployment {
	t.Helper()
	d := &deployment{t: t, project: fmt.Sprintf("testkit%d", os.Getpid()), state: filepath.Join(t.TempDir(), "state")}
	image := d.project + ":test"
	d.env = append(os.Environ(), "COMPOSE_PROJECT_NAME="+d.project, "LTL_STATE="+d.state, "LTL_IMAGE="+image,
		"LTL_HTTP1="+freeAddress(t), "LTL_HTTP2="+freeAddress(t))
	binary := filepath.Join(t.TempDir(), "ltl")
	d.env = append(d.env, "CGO_ENABLED=0")
	d.run("go", "build", "-buildvcs=false", "-trimpath", "-o", binary, "./cmd/ltl")
	t.Cleanup(func() {
		d.run("scripts/cluster.sh", "wipe")
		d.run("docker", "image", "rm", "--force", image)
	})
	first := d.layers(image, binary)
	if second := d.layers(image, binary); first != second {
		t.Errorf("two builds of one binary have other layers: %s and %s", first, second)
	}
	return d
}

// layers builds the image and returns the digests of its layers.
func (d *deployment) layers(image, binary string) string {
	d.run("scripts/image.sh", image, binary)
	return d.run("docker", "image", "inspect", "--format", "{{.RootFS.Layers}}", image)
}

func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// run runs a command in the project's directory and returns what it printed on standard output.
func (d *deployment) run(name string, args ...string) string {
	d.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), commandTimeout)
	defer cancel()
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir, cmd.Env = "..", d.env
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		d.t.Errorf("%s %v: %v\n%s%s", name, args, err, out, stderr.String())
	}
	return string(out)
}

// container is what `docker inspect` says of one.
type container struct {
	Name       string
	Config     struct{ User string }
	HostConfig struct {
		ReadonlyRootfs bool
		CapDrop        []string
		Memory         int64
		NanoCpus       int64
		RestartPolicy  struct{ Name string }
	}
	Mounts          []struct{ Name, Source, Destination string }
	NetworkSettings struct{ Networks map[string]any }
}

// containers returns all of the deployment, by service.
func (d *deployment) containers() map[string]container {
	d.t.Helper()
	ids := strings.Fields(d.run("docker", "ps", "--quiet", "--filter", "label=com.docker.compose.project="+d.project))
	all := map[string]container{}
	for _, id := range ids {
		var one []container
		if err := json.Unmarshal([]byte(d.run("docker", "inspect", id)), &one); err != nil || len(one) != 1 {
			d.t.Fatalf("docker inspect: %v", err)
		}
		service := d.run("docker", "inspect", "--format", `{{index .Config.Labels "com.docker.compose.service"}}`, id)
		all[strings.TrimSpace(service)] = one[0]
	}
	if len(all) != 8 {
		d.t.Fatalf("%d containers run, want 3 nodes, 3 endorsers and 2 facades", len(all))
	}
	return all
}

// wantConfined: no process is root, writes outside its volume, keeps a capability or takes the whole machine.
func (d *deployment) wantConfined() {
	d.t.Helper()
	for name, c := range d.containers() {
		h := c.HostConfig
		if strings.HasPrefix(c.Config.User, "0") || c.Config.User == "" || !h.ReadonlyRootfs ||
			!slices.Contains(h.CapDrop, "ALL") ||
			h.Memory == 0 || h.NanoCpus == 0 || h.RestartPolicy.Name != "unless-stopped" {
			d.t.Errorf("%s is not confined: %+v", name, c)
		}
	}
}

// wantApart: endorsers share no network and no volume, and only its own process sees a secret key.
func (d *deployment) wantApart() {
	d.t.Helper()
	all := d.containers()
	for name, c := range all {
		for other, o := range all {
			if name >= other {
				continue
			}
			for _, m := range c.Mounts {
				for _, n := range o.Mounts {
					if (m.Source == n.Source) && !strings.HasSuffix(m.Source, "trust.json") {
						d.t.Errorf("%s and %s both see %s", name, other, m.Source)
					}
				}
			}
			if !strings.HasPrefix(name, "endorser") || !strings.HasPrefix(other, "endorser") {
				continue
			}
			for network := range c.NetworkSettings.Networks {
				if _, shared := o.NetworkSettings.Networks[network]; shared {
					d.t.Errorf("%s and %s share the network %s", name, other, network)
				}
			}
		}
	}
}

// caller calls one of the facades.
func (d *deployment) caller(facade int) *localnet.Caller {
	admin, _ := d.network.Account(localnet.RoleAdmin)
	return &localnet.Caller{Endpoint: d.network.Facades[facade].HTTP, AccessKeyID: admin.AccessKeyID,
		Secret: admin.AccessKeySecret}
}

func (d *deployment) key(i int) map[string]string {
	admin, _ := d.network.Account(localnet.RoleAdmin)
	proof, _ := d.network.Chain(localnet.ServiceProof)
	return map[string]string{"ProductKey": proof.BizChainCode,
		"Key": fmt.Sprintf("0001_%s_%s_%032d", proof.BizChainCode, admin.DataTypeCode, i)}
}

// set writes record i and reports whether that was answered with success.
func (d *deployment) set(facade, i int) bool {
	p := d.key(i)
	p["Value"] = fmt.Sprintf("value %d", i)
	return d.call(facade, "SetData", p).Success
}

type answer struct {
	Success bool
	Code    any
	Data    string
	Message string
}

func (d *deployment) call(facade int, action string, p map[string]string) (a answer) {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	_, body, err := d.caller(facade).Call(ctx, action, p)
	if err == nil {
		err = json.Unmarshal(body, &a)
	}
	if err != nil {
		a.Message = err.Error()
	}
	return a
}

// killLeader writes one record after the other, kills the leader's container (SIGKILL), continues writing, and starts
// the container again. It returns the records that were answered with success, and says how long no write succeeded.
func (d *deployment) killLeader() (written []int) {
	d.t.Helper()
	next := 0
	write := func() bool {
		next++
		ok := d.set(next%2, next)
		if ok {
			written = append(written, next)
		}
		return ok
	}
	for range 50 {
		if !write() {
			d.t.Fatalf("record %d was refused on a healthy network", next)
		}
	}
	var status []struct{ Peer, Role string }
	raw := d.run("scripts/cluster.sh", "compose", "run", "--rm", "operator", "status", "--dir", "/state", "--output",
		"json")
	if err := json.Unmarshal([]byte(raw), &status); err != nil {
		d.t.Fatalf("status: %v in %s", err, raw)
	}
	leader := ""
	for _, p := range status {
		if p.Role == "leader" {
			leader = p.Peer
		}
	}
	killed := make(chan struct{})
	go func() {
		defer close(killed)
		d.run("scripts/cluster.sh", "compose", "kill", "-s", "SIGKILL", leader)
	}()
	last, longest := time.Now(), time.Duration(0)
	for over := false; !over; {
		select {
		case <-killed:
			over = true // one more success, and the gap is known
		default:
		}
		for !write() {
			if time.Since(last) > recoveryLimit {
				d.t.Fatalf("no write succeeded for %v after %s was killed", recoveryLimit, leader)
			}
		}
		longest, last = max(longest, time.Since(last)), time.Now()
	}
	if state := d.run("scripts/cluster.sh", "compose", "ps", leader); !strings.Contains(state, "137") {
		d.t.Fatalf("%s was not killed: %s", leader, state)
	}
	d.t.Logf("%s was killed under load; no write succeeded for %v at the longest", leader, longest.Round(time.Millisecond))
	for range 50 {
		write()
	}
	d.run("scripts/cluster.sh", "compose", "start", leader)
	return written
}

// wantAll reads every record that was answered with success, through both facades. Right after a start a facade may
// answer that it cannot yet, and to ask again.
func (d *deployment) wantAll(written []int) {
	d.t.Helper()
	started := time.Now()
	for _, i := range written {
		a := d.call(i%2, "GetData", d.key(i))
		for a.Code == "ServiceUnavailable" && time.Since(started) < recoveryLimit {
			time.Sleep(100 * time.Millisecond)
			a = d.call(i%2, "GetData", d.key(i))
		}
		if a.Data != fmt.Sprintf("value %d", i) {
			d.t.Errorf("record %d is %+v", i, a)
		}
	}
	d.t.Logf("%d acknowledged records are there", len(written))
}
