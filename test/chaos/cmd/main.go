// Command chaos runs a network under injected faults and checks what is left of it; `make chaos` builds and runs it.
package main

import (
	"context"
	"flag"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"ltl/test/chaos"
)

func main() {
	if err := start(); err != nil {
		fmt.Fprintln(os.Stderr, "chaos:", err)
		os.Exit(1)
	}
}

// start reads the options and runs.
func start() error {
	binary := flag.String("binary", "bin/ltl", "the program ltl")
	scenario := flag.String("scenario", "mixed", "file with a scenario, or the name of a built-in one")
	injector := flag.String("injector", "processes", "processes (in network namespaces) or compose")
	seed := flag.Uint64("seed", 0, "seed of the schedule; 0 takes one from the clock")
	duration := flag.Duration("duration", 0, "how long faults are injected; 0 takes the scenario's duration")
	out := flag.String("out", "", "directory for the results; empty takes one below chaos-out")
	flag.Parse()
	if *seed == 0 {
		*seed = uint64(time.Now().UnixNano()) % 1_000_000_000
	}
	if *out == "" {
		*out = filepath.Join("chaos-out", fmt.Sprintf("%s-%d-%s", filepath.Base(*scenario), *seed,
			time.Now().UTC().Format("20060102T150405")))
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	s, err := chaos.Open(*scenario)
	if err != nil {
		return err
	}
	logger := slog.New(slog.NewTextHandler(os.Stderr, nil))
	in, err := chaos.NewInjector(*injector, *binary, *out, s)
	if err != nil {
		return err
	}
	command := fmt.Sprintf("make chaos SEED=%d SCENARIO=%s INJECTOR=%s", *seed, *scenario, *injector)
	if *duration != 0 {
		command += " DURATION=" + duration.String()
	}
	results, err := chaos.Run(ctx, chaos.Options{
		Name: *scenario, Scenario: s, Seed: *seed, Duration: *duration, Out: *out, Injector: in, Command: command,
		Logger: logger,
	})
	if err != nil {
		return err
	}
	chaos.Summary(os.Stdout, results)
	fmt.Printf("\n%s\n", filepath.Join(*out, "report.html"))
	return results.Wrong()
}
