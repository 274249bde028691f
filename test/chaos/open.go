package chaos

import (
	"embed"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"text/tabwriter"
)

// builtIn are the scenarios that come with the program.
//
//go:embed scenarios/*.chaos
var builtIn embed.FS

const extension = ".chaos"

// The names of injectors.
const (
	injectProcesses = "processes"
	injectCompose   = "compose"
)

// Names are the built-in scenarios.
func Names() []string {
	entries, err := builtIn.ReadDir("scenarios")
	if err != nil {
		panic(fmt.Sprintf("BUG: %v", err)) // it was compiled in
	}
	var names []string
	for _, e := range entries {
		names = append(names, strings.TrimSuffix(e.Name(), extension))
	}
	return names
}

// Open reads a scenario: a built-in one by its name, or a file.
func Open(name string) (*Scenario, error) {
	raw, err := builtIn.ReadFile("scenarios/" + name + extension)
	if errors.Is(err, fs.ErrNotExist) {
		raw, err = os.ReadFile(name)
	}
	if err != nil {
		return nil, fmt.Errorf("couldn't open the scenario, a file or one of %s: %w", strings.Join(Names(), ", "), err)
	}
	s, err := Parse(string(raw))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return s, nil
}

// NewInjector makes an injector by its name, processes or compose. The network's files are below out.
func NewInjector(name, binary, out string, s *Scenario) (Injector, error) {
	binary, err := filepath.Abs(binary)
	if err == nil {
		out, err = filepath.Abs(out)
	}
	if err != nil {
		return nil, fmt.Errorf("couldn't find the directory: %w", err)
	}
	switch name {
	case injectProcesses:
		if err := CanIsolate(); err != nil {
			return nil, err
		}
		if _, err := os.Stat(binary); err != nil {
			return nil, fmt.Errorf("the program is not there; build it with `make build`: %w", err)
		}
		return NewProcesses(binary, filepath.Join(out, "network"), s), nil
	case injectCompose:
		root, err := os.Getwd()
		if err != nil {
			return nil, fmt.Errorf("couldn't find the repository: %w", err)
		}
		return NewCompose(root, binary, out, s)
	}
	return nil, fmt.Errorf("there is no injector %q; there are processes and compose", name)
}

// Summary prints checks and faults for people.
func Summary(out io.Writer, r *Results) {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintf(w, "scenario %s, seed %d, %s of faults: %d calls, %d records in %d blocks\n\n", r.Scenario, r.Seed,
		r.Injected, r.Calls, r.Records, r.Blocks)
	fmt.Fprintln(w, "FAULT\tRUNS\tACKNOWLEDGED\tLOST\tTWICE\tUNKNOWN\tRECOVERED p50/max\tREADY p50/max\tSILENT p50/max\tELECTIONS")
	for _, s := range r.Faults {
		fmt.Fprintf(w, "%s\t%d\t%d\t%d\t%d\t%d\t%d/%d ms\t%d/%d ms\t%d/%d ms\t%d\n", s.Fault, s.Runs, s.Acknowledged, s.Lost,
			s.Duplicated, s.Unknown,
			s.RecoveredP50, s.RecoveredMax, s.ReadyP50, s.ReadyMax, s.SilentP50, s.SilentMax, s.Elections)
	}
	if len(r.Attacks) > 0 {
		fmt.Fprintln(w, "\nATTACK\tTRIES\tREFUSED\tACCEPTED\tNO ANSWER\t")
	}
	for _, name := range sortedKeys(r.Attacks) {
		a, right := r.Attacks[name], ""
		if a.May {
			right = "its own right, or a repetition"
		}
		fmt.Fprintf(w, "%s\t%d\t%d\t%d\t%d\t%s\n", name, a.Tries, a.Refused, a.Accepted, a.Broken, right)
	}
	if len(r.Lies) > 0 {
		fmt.Fprintln(w, "\nLIE\tTIMES")
	}
	for _, what := range sortedKeys(r.Lies) {
		fmt.Fprintf(w, "%s\t%d\n", what, r.Lies[what])
	}
	fmt.Fprintln(w, "\nCHECK\t\tLOOKED AT\tRESULT")
	for _, c := range r.Checks {
		result := "holds"
		if !c.OK() {
			result = fmt.Sprintf("VIOLATED %d times", c.Count)
		}
		fmt.Fprintf(w, "%s\t%s\t%d %s\t%s\n", c.ID, c.Name, c.Looked, c.What, result)
	}
	if err := w.Flush(); err != nil {
		return // the other side is gone
	}
	for _, c := range r.Checks {
		for _, wrong := range c.Wrong {
			fmt.Fprintf(out, "%s: %s\n", c.ID, wrong)
		}
	}
}
