// Command mutants plants faults in the source, one at a time, and shows that the test suite finds each. The tree is
// never touched: the changed files go to a temporary directory and reach the compiler by `go test -overlay`. It exits
// with status 1 when a fault survives, when a fault's text is no longer in the source, or when the tests fail without
// any fault.
//
//	go run ./test/mutants [-run REGEXP]
package main

import (
	"flag"
	"fmt"
	"os"
	"regexp"
	"text/tabwriter"
	"time"
)

func main() {
	pattern := flag.String("run", "", "plant only the faults whose names match")
	flag.Parse()
	chosen, err := regexp.Compile(*pattern)
	if err != nil {
		fmt.Fprintln(os.Stderr, "mutants:", err)
		os.Exit(2)
	}
	if err := run(chosen); err != nil {
		fmt.Fprintln(os.Stderr, "mutants:", err)
		os.Exit(1)
	}
}

// run checks that every chosen mutant can be planted, that its tests pass without it, and then plants one after the
// other.
func run(chosen *regexp.Regexp) error {
	var mutants []mutant
	for _, m := range table() {
		if chosen.MatchString(m.name) {
			mutants = append(mutants, m)
		}
	}
	checker, err := newChecker(".")
	if err != nil {
		return err
	}
	if err := checker.all(mutants); err != nil {
		return err
	}
	if err := baseline(mutants); err != nil {
		return err
	}
	began := time.Now()
	lines := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(lines, "MUTANT\tKILLED BY\tSECONDS")
	survivors := 0
	for _, m := range mutants {
		v, err := judge(m)
		if err != nil {
			return fmt.Errorf("%s: %w", m.name, err)
		}
		if v.killer == "" {
			survivors++
			v.killer = "SURVIVES: " + m.fault
		}
		fmt.Fprintf(lines, "%s\t%s\t%.1f\n", m.name, v.killer, v.took.Seconds())
		if err := lines.Flush(); err != nil {
			return err
		}
	}
	fmt.Printf("%d mutants, %d killed, %s\n", len(mutants), len(mutants)-survivors, time.Since(began).Round(time.Second))
	if survivors > 0 {
		return fmt.Errorf("%d of %d mutants survive", survivors, len(mutants))
	}
	return nil
}
