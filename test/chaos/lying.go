package chaos

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"ltl/test/chaos/liar"
)

// The lying node runs a build of the program whose server answers through package liar.

// lyingServer is the file that makes a node's gRPC server, with the interceptors of package liar, by its path.
func lyingServer(ctx context.Context) (map[string]string, error) {
	root, err := run(ctx, "", "go", "list", "-f", "{{.Dir}}", "ltl/node")
	if err != nil {
		return nil, err
	}
	return replaced(filepath.Join(strings.TrimSpace(root), "node.go"), [][2]string{
		{"\tltlv1 \"ltl/proto/ltl/v1\"\n", "\tltlv1 \"ltl/proto/ltl/v1\"\n\t\"ltl/test/chaos/liar\"\n"},
		{"ChainUnaryInterceptor(n.handshaker.unary)", "ChainUnaryInterceptor(liar.Unary(), n.handshaker.unary)"},
		{"ChainStreamInterceptor(n.handshaker.stream,", "ChainStreamInterceptor(liar.Stream(), n.handshaker.stream,"},
	})
}

// builds makes the programs that the scenario wants beside the given one.
func (p *Processes) builds(ctx context.Context) error {
	files := map[string]string{}
	add := func(more map[string]string, err error) error {
		for path, text := range more {
			files[path] = text
		}
		return err
	}
	if p.clocks != "" {
		if err := os.MkdirAll(p.clocks, 0o700); err != nil {
			return fmt.Errorf("couldn't make the directory of the clocks: %w", err)
		}
		p.binary = filepath.Join(p.dir, "ltl")
		if err := add(movableClock(ctx)); err != nil {
			return err
		}
		if err := build(ctx, p.binary, files); err != nil {
			return err
		}
	}
	if p.lying == "" {
		return nil
	}
	if err := os.MkdirAll(p.lies(), 0o700); err != nil {
		return fmt.Errorf("couldn't make the directory of the lies: %w", err)
	}
	if err := add(lyingServer(ctx)); err != nil {
		return err
	}
	return build(ctx, p.program(p.lying), files)
}

// lies is the directory of the lying node's switch and of its lies.
func (p *Processes) lies() string { return filepath.Join(p.dir, "lies") }

// program is what a process runs.
func (p *Processes) program(name string) string {
	if name == p.lying {
		return filepath.Join(p.dir, "ltl-liar")
	}
	return p.binary
}

// Lie has the lying node begin.
func (p *Processes) Lie() error {
	if p.lying == "" {
		return nil
	}
	if err := os.WriteFile(filepath.Join(p.lies(), liar.Switch), nil, 0o600); err != nil {
		return fmt.Errorf("couldn't have %s lie: %w", p.lying, err)
	}
	return nil
}

// EndLies has the lying node tell the truth from now on, and returns what it told before.
func (p *Processes) EndLies() ([]liar.Lie, error) {
	if p.lying == "" {
		return nil, nil
	}
	if err := os.Remove(filepath.Join(p.lies(), liar.Switch)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("couldn't have %s tell the truth: %w", p.lying, err)
	}
	return liar.Read(p.lies())
}

const (
	// lieMargin is by how much the moment of a lie may differ from that of the answer that rests on it.
	lieMargin = time.Second
	// lieKept is how long a facade may use what it was told of members, accounts and chains.
	lieKept = 20 * time.Second
)

// misled splits the calls into those that no lie can have reached, and the others: reads of a Key about which the lying
// node lied meanwhile, and calls that a facade refused after it was told something false of accounts, chains or members.
// Writes that were acknowledged stay: whatever the node says, they are there.
func misled(ops []*Op, lies []liar.Lie, began time.Time) (sound, doubtful []*Op) {
	told := map[string][]int64{} // by Key; those without one say something of the network
	for _, l := range lies {
		if l.Key != "" || l.Method == "GetNetwork" || l.Method == "GetAccount" || l.Method == "ListChains" || l.Method == "GetChain" {
			told[l.Key] = append(told[l.Key], l.At-began.UnixNano())
		}
	}
	within := func(o *Op, key string, kept time.Duration) bool {
		return slices.ContainsFunc(told[key], func(at int64) bool {
			return at >= o.Call-int64(kept) && (o.Return == 0 || at <= o.Return+int64(lieMargin))
		})
	}
	for _, o := range ops {
		if !o.writes() && within(o, o.Key, lieMargin) || o.Outcome == Wrong && within(o, "", lieKept) {
			doubtful = append(doubtful, o)
		} else {
			sound = append(sound, o)
		}
	}
	return sound, doubtful
}
