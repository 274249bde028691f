package localnet

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"ltl/client"
	"ltl/internal/identity"
	ltlv1 "ltl/proto/ltl/v1"
)

// How long a network may take until it takes its first write, and how often that is checked.
const (
	readyTimeout = 90 * time.Second
	readyPoll    = 50 * time.Millisecond
)

// tailBytes bounds how much of a log or a response is quoted in an error.
const tailBytes = 2000

// straggling is how long a network that could serve waits for its other processes.
const straggling = 10 * time.Second

// errNotReady ends the wait for a process that runs and may get ready later.
var errNotReady = errors.New("it runs, but is not ready yet")

// startAll starts every process and waits until they are ready. The log names those that cannot start, or take longer
// than the others. It fails only when half or more of a role (node, endorser, facade) do not serve, because then no
// write can succeed.
func (n *network) startAll(ctx context.Context) error {
	programs := n.programs()
	failed, err := n.children.startMost(ctx, programs, isReady, straggling)
	if err != nil {
		return err
	}
	for _, p := range programs {
		if why := failed[p.name]; why != nil {
			n.Logger.Error("a process could not start; the network runs without it", "process", p.name, "why", why)
		}
	}
	return nil
}

// outcome is what became of the start of one process; err is nil when it is ready.
type outcome struct {
	program
	err error
}

// readyFunc asks the process at an admin address whether it serves; nil when it does.
type readyFunc func(ctx context.Context, admin string) error

// startMost runs the programs and waits until each is ready or cannot start. Once more than half of each role are
// ready it waits at most patience longer. It returns why the others are not ready, or an error when too few are.
func (c *children) startMost(ctx context.Context, programs []program, ready readyFunc, patience time.Duration) (map[string]error, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	// room for all, so that every goroutine ends even when its outcome is not read
	outcomes := make(chan outcome, len(programs))
	for _, p := range programs {
		ch, err := c.run(p)
		if err != nil {
			outcomes <- outcome{p, err}
			continue
		}
		go func() { outcomes <- outcome{p, c.waitReady(ctx, ch, ready)} }()
	}
	failed, counts := map[string]error{}, countRoles(programs)
	var patient *time.Timer
	for range programs {
		o := <-outcomes
		if o.err != nil {
			failed[o.name] = o.err
		}
		counts.add(o)
		if counts.hopeless() { // the rest would not be enough
			cancel(errNotReady)
		}
		if patient == nil && counts.enough() {
			patient = time.AfterFunc(patience, func() { cancel(errNotReady) })
			defer patient.Stop()
		}
	}
	if !counts.enough() {
		return nil, tooFew(programs, failed)
	}
	return failed, nil
}

// tooFew says which processes did not start, and why: first those that failed themselves, then those that still wait.
func tooFew(programs []program, failed map[string]error) error {
	var own, waiting []string
	for _, p := range programs {
		switch err := failed[p.name]; {
		case err == nil:
		case errors.Is(err, errNotReady):
			waiting = append(waiting, p.name)
		default:
			own = append(own, err.Error())
		}
	}
	if len(waiting) > 0 {
		own = append(own, "not ready yet: "+strings.Join(waiting, ", "))
	}
	return fmt.Errorf("too few processes started for the network to serve: %s", strings.Join(own, "; "))
}

// roleCounts are the numbers of processes of each role: all, those that are ready, and those that failed.
type roleCounts struct{ all, ready, failed map[string]int }

// countRoles counts the programs of each role, none of them started yet.
func countRoles(programs []program) *roleCounts {
	t := &roleCounts{all: map[string]int{}, ready: map[string]int{}, failed: map[string]int{}}
	for _, p := range programs {
		t.all[p.role]++
	}
	return t
}

func (t *roleCounts) add(o outcome) {
	if o.err == nil {
		t.ready[o.role]++
	} else {
		t.failed[o.role]++
	}
}

// enough reports whether more than half of each role are ready.
func (t *roleCounts) enough() bool {
	for role, all := range t.all {
		if 2*t.ready[role] <= all {
			return false
		}
	}
	return true
}

// hopeless reports whether that can no longer happen.
func (t *roleCounts) hopeless() bool {
	for role, all := range t.all {
		if 2*(all-t.failed[role]) <= all {
			return true
		}
	}
	return false
}

// waitReady waits until a child answers that it is ready. When the child ends for good meanwhile, the error holds the
// last line of its log.
func (c *children) waitReady(ctx context.Context, ch *child, ready readyFunc) error {
	ticker := time.NewTicker(readyPoll)
	defer ticker.Stop()
	for {
		last := ready(ctx, ch.admin)
		if last == nil {
			return nil
		}
		select {
		case <-ticker.C:
		case <-ch.done:
			return fmt.Errorf("%s ended; the last line of %s: %s", ch.name, c.logPath(ch.name), lastLine(c.logPath(ch.name)))
		case <-ctx.Done():
			return fmt.Errorf("%s was not ready in time (%w); its log is %s: %w", ch.name, last, c.logPath(ch.name),
				context.Cause(ctx))
		}
	}
}

// start starts all processes, waits until enough of them serve, sets a new network up, and waits until a caller would
// be served.
func (n *network) start(ctx context.Context) (*Network, bool, error) {
	if err := n.startAll(ctx); err != nil {
		return nil, false, err
	}
	description, err := Load(n.Dir)
	first := errors.Is(err, ErrNoNetwork)
	if err != nil && !first {
		return nil, false, err
	}
	c, err := n.open()
	if err != nil {
		return nil, false, err
	}
	defer c.Close()
	if first {
		if description, err = n.setUp(ctx, c); err != nil {
			return nil, false, err
		}
		if err := n.saveKeys(ctx, c); err != nil {
			return nil, false, err
		}
	}
	n.fill(description)
	if err := n.waitServed(ctx, c, description); err != nil {
		return nil, false, err
	}
	if err := description.Save(n.Dir); err != nil {
		return nil, false, err
	}
	if err := os.Remove(filepath.Join(n.Dir, planFile)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, false, fmt.Errorf("couldn't remove the plan of the set-up: %w", err)
	}
	return description, first, nil
}

// saveKeys writes to the trust file whose keys count up to now, so that certificates of the first records are verified
// under a file that is not older than they are.
func (n *network) saveKeys(ctx context.Context, c *client.Client) error {
	keys, err := c.Ledger().GetKeys(ctx, &ltlv1.GetKeysRequest{})
	if err != nil {
		return fmt.Errorf("couldn't read whose keys count: %w", err)
	}
	n.trust.LearnKeys(keys)
	return identity.SaveTrust(n.trustPath(), n.trust)
}

// waitServed waits until the ledger answers a linearizable read, which only a leader with a quorum can grant, and the
// facade knows the administrator's AccessKey. It writes nothing: the chains belong to the users.
func (n *network) waitServed(ctx context.Context, c *client.Client, d *Network) error {
	admin, ok := d.Account(RoleAdmin)
	if !ok {
		return fmt.Errorf("couldn't find the administrator in %s; was it edited? restore the former file",
			filepath.Join(n.Dir, NetworkFile))
	}
	caller := &Caller{Endpoint: d.Endpoint, AccessKeyID: admin.AccessKeyID, Secret: admin.AccessKeySecret}
	ticker := time.NewTicker(readyPoll)
	defer ticker.Stop()
	for {
		_, err := c.Ledger().GetNetwork(ctx, &ltlv1.GetNetworkRequest{})
		if err == nil {
			err = served(ctx, caller)
		}
		if err == nil {
			return nil
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return fmt.Errorf("the network did not serve in time; look for errors in %s: %w", n.children.logDir, err)
		}
	}
}

// isReady asks the process with this admin address whether it serves.
func isReady(ctx context.Context, admin string) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+admin+"/readyz", nil)
	if err != nil {
		return fmt.Errorf("couldn't ask for readiness: %w", err)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return fmt.Errorf("couldn't ask for readiness: %w", err)
	}
	defer res.Body.Close()
	if res.StatusCode == http.StatusOK {
		return nil
	}
	why, err := io.ReadAll(io.LimitReader(res.Body, tailBytes))
	if err != nil {
		return fmt.Errorf("couldn't ask for readiness: %w", err)
	}
	return fmt.Errorf("not ready: %s", bytes.TrimSpace(why))
}

// served makes a signed call that only reads.
func served(ctx context.Context, caller *Caller) error {
	status, body, err := caller.Call(ctx, "ListProofChain", map[string]string{"Num": "1", "Size": "1"})
	if err != nil {
		return err
	}
	var answer struct{ Success bool }
	if err := json.Unmarshal(body, &answer); err != nil || status != http.StatusOK || !answer.Success {
		return fmt.Errorf("the facade answers with %d: %s", status, body)
	}
	return nil
}

// lastLine returns the last line of a log, where a process that cannot continue says why.
func lastLine(path string) string {
	text := tail(path)
	return text[strings.LastIndexByte(text, '\n')+1:]
}

// tail returns the end of a log.
func tail(path string) string {
	raw, err := os.ReadFile(path)
	if err != nil {
		return err.Error()
	}
	if len(raw) > tailBytes {
		raw = raw[len(raw)-tailBytes:]
		if i := bytes.IndexByte(raw, '\n'); i >= 0 {
			raw = raw[i+1:]
		}
	}
	return string(bytes.TrimSpace(raw))
}
