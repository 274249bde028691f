package chaos

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"ltl/test/chaos/liar"
)

// The compose deployment as scripts/cluster.sh makes it.
const (
	composeRPC     = "127.0.0.1:7000" // of nodes, inside their containers
	composeEndorse = "127.0.0.1:7100" // of endorsers
	composePublic  = "public"         // the network over which callers come
	composeOrgs    = 3
	composeFacades = 2
	composeBudget  = 5 * time.Minute
)

// Compose is the injector with the containers of the compose deployment: docker kill, docker pause, docker network
// disconnect. It starts a deployment of its own beside any other. The Docker engine must run on this machine, and this
// program as root: processes are asked from inside their containers' network.
type Compose struct {
	root, binary, out string
	project           string
	env               []string
	cast              Cast

	mu         sync.Mutex          // guards what changes after Start
	containers map[string]string   // service to id
	networks   map[string][]string // service to the networks through which it reaches other processes
	cutOff     map[string]bool     // services that are disconnected now
	pids       map[string]int      // of running containers, as far as they were asked for
	endings    []Ending
}

// NewCompose makes the injector for a checkout of the repository at root.
func NewCompose(root, binary, out string, s *Scenario) (*Compose, error) {
	if s.Nodes != 3 && s.Nodes != 4 || s.Organisations != composeOrgs || s.Facades != composeFacades {
		return nil, fmt.Errorf("the compose deployment has 3 or 4 nodes, %d organisations and %d facades; the scenario wants %d, %d and %d",
			composeOrgs, composeFacades, s.Nodes, s.Organisations, s.Facades)
	}
	if _, err := os.Stat(filepath.Join(root, "scripts", "cluster.sh")); err != nil {
		return nil, fmt.Errorf("run this in the repository's directory: %w", err)
	}
	c := &Compose{
		root: root, binary: binary, out: out, project: "ltlchaos" + strconv.Itoa(os.Getpid()),
		cast:       NewProcesses(binary, out, s).cast,
		containers: map[string]string{}, networks: map[string][]string{}, cutOff: map[string]bool{}, pids: map[string]int{},
	}
	c.env = append(os.Environ(), "COMPOSE_PROJECT_NAME="+c.project, "LTL_STATE="+c.Dir(), "LTL_IMAGE="+c.image(),
		"NODES="+strconv.Itoa(s.Nodes))
	for i := range composeFacades {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return nil, fmt.Errorf("couldn't find a free port: %w", err)
		}
		c.env = append(c.env, fmt.Sprintf("LTL_HTTP%d=%s", i+1, l.Addr()))
		if err := l.Close(); err != nil {
			return nil, fmt.Errorf("couldn't free a port: %w", err)
		}
	}
	return c, nil
}

func (c *Compose) image() string { return c.project + ":chaos" }

// Name is compose.
func (c *Compose) Name() string { return injectCompose }

// How says how faults are made.
func (c *Compose) How(v Verb) string {
	switch v {
	case Kill:
		return "docker kill, docker start"
	case Pause, Stutter:
		return "docker pause, docker unpause"
	case Isolate:
		return "docker network disconnect, connect"
	}
	return "callers of another account, without a pause"
}

// Dir holds pki and network.json.
func (c *Compose) Dir() string { return filepath.Join(c.out, "network") }

// Cast returns the processes of the network.
func (c *Compose) Cast() Cast { return c.cast }

// Supports accepts what Docker can do to a container.
func (c *Compose) Supports(a Action) error {
	switch a.Verb {
	case Kill, Pause, Stutter, Isolate, Flood:
		return nil
	}
	return fmt.Errorf("%w: Docker can kill, pause and isolate a container", ErrUnsupported)
}

// SetClock is not supported.
func (c *Compose) SetClock(context.Context, string, time.Duration) error { return ErrUnsupported }

// Address is empty: nothing that calls from outside is made with containers.
func (c *Compose) Address(string) string { return "" }

// Lie does nothing: no node of the deployment lies.
func (c *Compose) Lie() error { return nil }

// EndLies returns none.
func (c *Compose) EndLies() ([]liar.Lie, error) { return nil, nil }

// Start builds the image and starts the deployment.
func (c *Compose) Start(ctx context.Context) error {
	if _, err := c.command(ctx, "docker", "info", "--format", "{{.ServerVersion}}"); err != nil {
		return fmt.Errorf("no Docker engine answers here: %w", err)
	}
	if _, err := c.command(ctx, "scripts/image.sh", c.image(), c.binary); err != nil {
		return err
	}
	if _, err := c.command(ctx, "scripts/cluster.sh", "up"); err != nil {
		return err
	}
	for _, name := range c.cast.all() {
		if err := c.find(ctx, name); err != nil {
			return err
		}
	}
	return awaitReady(ctx, c)
}

// find looks a service's container up, and its networks.
func (c *Compose) find(ctx context.Context, name string) error {
	ids, err := c.command(ctx, "docker", "ps", "--quiet", "--no-trunc", "--filter",
		"label=com.docker.compose.project="+c.project,
		"--filter", "label=com.docker.compose.service="+name)
	if err != nil {
		return err
	}
	id := strings.TrimSpace(ids)
	if id == "" || strings.Contains(id, "\n") {
		return fmt.Errorf("the service %s has the containers %q, want one", name, strings.Fields(ids))
	}
	state, err := c.inspect(ctx, id)
	if err != nil {
		return err
	}
	if _, err := os.Stat(fmt.Sprintf("/proc/%d/ns/net", state.State.Pid)); err != nil {
		return fmt.Errorf("the Docker engine's processes are not on this machine: %w", err)
	}
	c.containers[name] = id
	for network := range state.NetworkSettings.Networks {
		if !strings.HasSuffix(network, "_"+composePublic) {
			c.networks[name] = append(c.networks[name], network)
		}
	}
	return nil
}

// container is what `docker inspect` says of one.
type container struct {
	State           struct{ Pid int }
	RestartCount    int
	NetworkSettings struct{ Networks map[string]any }
}

func (c *Compose) inspect(ctx context.Context, id string) (*container, error) {
	raw, err := c.command(ctx, "docker", "inspect", id)
	if err != nil {
		return nil, err
	}
	var all []container
	if err := json.Unmarshal([]byte(raw), &all); err != nil || len(all) != 1 {
		return nil, fmt.Errorf("docker inspect %s says %q: %w", id, raw, err)
	}
	return &all[0], nil
}

// command runs a program in the repository with the deployment's environment, and returns its standard output.
func (c *Compose) command(ctx context.Context, argv ...string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, composeBudget)
	defer cancel()
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	cmd.Dir, cmd.Env = c.root, c.env
	out, err := cmd.Output()
	if err != nil {
		var exit *exec.ExitError
		said := ""
		if errors.As(err, &exit) {
			said = string(exit.Stderr)
		}
		return string(out), fmt.Errorf("%s: %w: %s%s", strings.Join(argv, " "), err, out, said)
	}
	return string(out), nil
}

// inside connects from inside a container.
func (c *Compose) inside(ctx context.Context, name, address string) (net.Conn, error) {
	return dialIn(func() (string, error) { return c.namespace(ctx, name) })(ctx, "tcp", address)
}

// namespace is the path of a container's network namespace. Docker is asked only when the process that it was last is
// gone.
func (c *Compose) namespace(ctx context.Context, name string) (string, error) {
	path := func(pid int) string { return fmt.Sprintf("/proc/%d/ns/net", pid) }
	c.mu.Lock()
	pid := c.pids[name]
	c.mu.Unlock()
	if pid != 0 {
		if _, err := os.Stat(path(pid)); err == nil {
			return path(pid), nil
		}
	}
	state, err := c.inspect(ctx, c.containers[name])
	if err == nil && state.State.Pid == 0 {
		err = fmt.Errorf("%s does not run", name)
	}
	if err != nil {
		return "", err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.pids[name] = state.State.Pid
	return path(state.State.Pid), nil
}

// Dial connects to a node or endorser.
func (c *Compose) Dial(ctx context.Context, name string) (net.Conn, error) {
	if slices.Contains(c.cast.Endorsers, name) {
		return c.inside(ctx, name, composeEndorse)
	}
	return c.inside(ctx, name, composeRPC)
}

// Admin asks a process at its loopback address.
func (c *Compose) Admin(ctx context.Context, name, path string) (int, []byte, error) {
	client := adminClient(func(ctx context.Context, _, address string) (net.Conn,
		error) {
		return c.inside(ctx, name, address)
	})
	return get(ctx, client, "http://"+addressAdmin+path)
}

// Kill is docker kill; the engine does not start the container again by itself then.
func (c *Compose) Kill(ctx context.Context, name string) error {
	c.noteRestarts(ctx, name)
	c.mu.Lock()
	delete(c.pids, name)
	c.mu.Unlock()
	_, err := c.command(ctx, "docker", "kill", c.containers[name])
	return err
}

// Restart is docker start.
func (c *Compose) Restart(ctx context.Context, name string) error {
	_, err := c.command(ctx, "docker", "start", c.containers[name])
	return err
}

// Pause is docker pause.
func (c *Compose) Pause(ctx context.Context, name string) error {
	_, err := c.command(ctx, "docker", "pause", c.containers[name])
	return err
}

// Resume is docker unpause.
func (c *Compose) Resume(ctx context.Context, name string) error {
	_, err := c.command(ctx, "docker", "unpause", c.containers[name])
	return err
}

// SetLinks takes processes that are isolated off their networks, and puts the others back.
func (c *Compose) SetLinks(ctx context.Context, links []Link) error {
	from := map[string]int{}
	for _, l := range links {
		if l.How == Isolate {
			from[l.To]++
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	var errs []error
	for _, name := range c.cast.all() {
		isolated := from[name] >= len(c.cast.all())-1
		if isolated == c.cutOff[name] {
			continue
		}
		for _, network := range c.networks[name] {
			argv := []string{"docker", "network", "disconnect", network, c.containers[name]}
			if !isolated {
				argv = []string{"docker", "network", "connect", "--alias", name, network, c.containers[name]}
			}
			_, err := c.command(ctx, argv...)
			errs = append(errs, err)
		}
		c.cutOff[name] = isolated
	}
	return errors.Join(errs...)
}

// SetLimit is not possible: the limits of a container are fixed when it is made.
func (c *Compose) SetLimit(string, Verb, int) error { return ErrUnsupported }

// noteRestarts notes whether the engine had to start a container again, before that count is reset.
func (c *Compose) noteRestarts(ctx context.Context, name string) {
	state, err := c.inspect(ctx, c.containers[name])
	if err != nil || state.RestartCount == 0 {
		return
	}
	last, _ := c.command(ctx, "docker", "logs", "--tail", "1", c.containers[name]) // a note, if there is one
	c.mu.Lock()
	defer c.mu.Unlock()
	c.endings = append(c.endings, Ending{Name: name, How: fmt.Sprintf("started again %d times by the engine",
		state.RestartCount), Last: last})
}

// Endings are the processes that the engine had to start again.
func (c *Compose) Endings() []Ending {
	for _, name := range c.cast.all() {
		c.noteRestarts(context.Background(), name)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.endings)
}

// Audit runs `ltl audit` in a container of the deployment.
func (c *Compose) Audit(ctx context.Context, name string) (string, error) {
	return c.command(ctx, "scripts/cluster.sh", "compose", "run", "--rm", "operator", "audit", "--dir", "/state", "--from",
		auditName(name))
}

// Close keeps the logs, and removes containers, networks, volumes and image.
func (c *Compose) Close() error {
	ctx := context.Background()
	errs := []error{os.MkdirAll(filepath.Join(c.out, "logs"), 0o700)}
	for name, id := range c.containers {
		log, err := os.Create(filepath.Join(c.out, "logs", name+".log"))
		if err != nil {
			errs = append(errs, err)
			continue
		}
		cmd := exec.Command("docker", "logs", id)
		cmd.Stdout, cmd.Stderr = log, log
		errs = append(errs, cmd.Run(), log.Close())
	}
	_, err := c.command(ctx, "scripts/cluster.sh", "wipe")
	errs = append(errs, err)
	_, err = c.command(ctx, "docker", "image", "rm", "--force", c.image())
	return errors.Join(append(errs, err)...)
}
