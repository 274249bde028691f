// Command trace measures how much code one write, one read and one start of a network run: files, packages and lines.
// It builds the product with coverage counters, runs a network of it, and compares the counters of every process around
// a call with those of a time without calls.
//
//	go run ./test/trace [-source DIR] [-lines]
//
// It measures the tree at DIR, which may be an older commit's, and leaves it unchanged: a copy gets the hook that reads
// the counters.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
)

func main() {
	source := flag.String("source", ".", "root of the tree to measure")
	lines := flag.Bool("lines", false, "list the lines that ran in each file")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, *source, *lines); err != nil {
		fmt.Fprintln(os.Stderr, "trace:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, source string, lines bool) error {
	traces, err := measure(ctx, source)
	if err != nil {
		return err
	}
	listed, err := listedFiles(source)
	if err != nil {
		return err
	}
	for _, trace := range traces {
		if err := trace.print(os.Stdout, listed, lines); err != nil {
			return err
		}
	}
	return nil
}
