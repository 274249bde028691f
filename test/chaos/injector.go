package chaos

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os/exec"
	"strings"
	"time"

	"ltl/test/chaos/liar"
)

// ErrUnsupported is returned, wrapped, for a fault that an injector cannot make.
var ErrUnsupported = errors.New("this injector cannot make this fault")

// Link is what is wrong with the way of packets from one process to another.
type Link struct {
	From, To string
	// How is Block, Lose, Limit or Reset; Amount is percent for Lose and kB a second for Limit.
	How    Verb
	Amount int
}

// Ending is a process that ended though the run did not kill it.
type Ending struct {
	Name string `json:"name"`
	// How is its exit state, Last the last line of its log.
	How  string `json:"how"`
	Last string `json:"last"`
}

// Injector has a network and does things to it. Its methods may be called concurrently once Start has returned.
type Injector interface {
	// Start makes the network, and returns when it takes writes. Close undoes it, also after a failure.
	Start(ctx context.Context) error
	// Name is what `make chaos INJECTOR=` calls it.
	Name() string
	// How says in a few words how it makes the faults of a verb.
	How(v Verb) string
	// Dir holds pki and network.json.
	Dir() string
	// Cast returns the processes of the network; it names no leader.
	Cast() Cast
	// Dial connects to the gRPC service of a node or endorser; no fault is in between.
	Dial(ctx context.Context, name string) (net.Conn, error)
	// Address is where a process serves.
	Address(name string) string
	// Supports returns ErrUnsupported, wrapped, for what this injector cannot do.
	Supports(a Action) error

	// Kill ends a process at once, and Restart starts it again.
	Kill(ctx context.Context, name string) error
	Restart(ctx context.Context, name string) error
	// Pause stops a process where it is, and Resume lets it go on.
	Pause(ctx context.Context, name string) error
	Resume(ctx context.Context, name string) error
	// SetLinks replaces all that is wrong with the links; nothing is when links is empty.
	SetLinks(ctx context.Context, links []Link) error
	// SetLimit bounds what a process may have: of Descriptors so many files, of Memory so many MB more than now. 0 gives
	// back what it had.
	SetLimit(name string, what Verb, n int) error

	// SetClock moves the clock of a process from the right time.
	SetClock(ctx context.Context, name string, by time.Duration) error

	// Admin asks a process at its loopback address.
	Admin(ctx context.Context, name, path string) (status int, body []byte, err error)
	// Endings are the processes that ended by themselves so far.
	Endings() []Ending
	// Lie has the lying node of the scenario begin; EndLies has it tell the truth, and returns what it told before.
	Lie() error
	EndLies() ([]liar.Lie, error)
	// Audit runs `ltl audit` on the copy of a node or endorser and returns what it printed.
	Audit(ctx context.Context, name string) (string, error)
	// Close ends every process and removes everything but the directory.
	Close() error
}

// auditName is how `ltl audit --from` calls a process.
func auditName(name string) string { return strings.TrimPrefix(name, "endorser-") }

// Of an injector's own requests to a process.
const (
	adminTimeout = 2 * time.Second
	maxAdmin     = 4 << 20
)

// adminClient asks over connections that dial makes. Each request has one of its own: none is left when a process is
// killed.
func adminClient(dial func(ctx context.Context, network, address string) (net.Conn, error)) *http.Client {
	return &http.Client{Timeout: adminTimeout, Transport: &http.Transport{DialContext: dial, DisableKeepAlives: true}}
}

// get is one request with a bounded answer.
func get(ctx context.Context, client *http.Client, url string) (int, []byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return 0, nil, fmt.Errorf("couldn't ask: %w", err)
	}
	res, err := client.Do(req)
	if err != nil {
		return 0, nil, fmt.Errorf("couldn't ask: %w", err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(io.LimitReader(res.Body, maxAdmin))
	if err != nil {
		return 0, nil, fmt.Errorf("couldn't read the answer: %w", err)
	}
	return res.StatusCode, body, nil
}

// awaitReady waits until every process says that it serves.
func awaitReady(ctx context.Context, in Injector) error {
	ctx, cancel := context.WithTimeout(ctx, startBudget)
	defer cancel()
	cast := in.Cast()
	for _, name := range cast.all() {
		for {
			status, body, err := in.Admin(ctx, name, "/readyz")
			if err == nil && status == http.StatusOK {
				break
			}
			if wait(ctx, lookEvery) != nil {
				return fmt.Errorf("%s did not serve in %s: %s: %w", name, startBudget, body, err)
			}
		}
	}
	return nil
}

// run runs a program and returns what it printed; an error has that, too.
func run(ctx context.Context, stdin string, argv ...string) (string, error) {
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	cmd.Stdin = strings.NewReader(stdin)
	out, err := cmd.CombinedOutput()
	if err != nil {
		return string(out), errors.New(strings.Join(argv, " ") + ": " + err.Error() + ": " + strings.TrimSpace(string(out)))
	}
	return string(out), nil
}
