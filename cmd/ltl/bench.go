package main

import (
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

	"ltl/internal/bench"
)

// newBench makes `ltl bench`. The loads are in internal/bench. Load, network and Raft run on the same processors, so
// that only figures of the same machine compare.
func newBench() *cobra.Command {
	o := bench.Options{}
	cmd := &cobra.Command{
		Use:   "bench",
		Short: "Measure a network, and the ceiling of the Raft library on the same disk",
		Long: `Writes records with new Keys and waits for each to be committed. With --dir it measures the network that
runs there, and its records stay on the proof chain. Without --dir it starts a network in a temporary directory and
removes it. Without any of --grpc, --http and --raft it measures all three.`,
		Example: "  ltl bench --dir ltl-data --grpc --clients 64 --output json",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			binary, err := os.Executable()
			if err != nil {
				return fmt.Errorf("couldn't find this program's file: %w", err)
			}
			o.Binary, o.Progress = binary, cmd.ErrOrStderr()
			report, err := bench.Run(cmd.Context(), o)
			if err != nil {
				return err
			}
			return emit(cmd, report, func(w io.Writer) { benchTable(w, report) })
		},
	}
	f := cmd.Flags()
	f.StringVar(&o.Dir, flagDir, "", "directory of a running network (default: it starts one)")
	f.IntVar(&o.Callers, "callers", bench.DefaultCallers, "callers side by side, each waiting for its answer")
	f.IntVar(&o.Clients, "clients", 0,
		"over gRPC, that many clients with connections of their own and one caller each; 0 has all --callers share one "+
			"client")
	f.DurationVar(&o.Duration, "duration", bench.DefaultDuration, "how long each load runs, after a warm-up")
	f.IntVar(&o.Size, "size", bench.DefaultSize, "bytes of each value")
	f.BoolVar(&o.GRPC, "grpc", false, "measure the client library over gRPC")
	f.BoolVar(&o.HTTP, "http", false, "measure the facade with signed requests over HTTP")
	f.BoolVar(&o.Raft, "raft", false, "measure what the Raft library alone reaches")
	return cmd
}

// benchTable prints a report for people. The two tables have different columns, so a blank line separates them:
// tabwriter aligns each on its own.
func benchTable(w io.Writer, r *bench.Report) {
	fmt.Fprintln(w, "LOAD\tCALLERS\tRECORDS/S\tP50 MS\tP95 MS\tP99 MS\tMAX MS\tFAILED")
	row := func(name string, l *bench.Load) {
		if l == nil {
			return
		}
		fmt.Fprintf(w, "%s\t%d\t%.0f\t%.1f\t%.1f\t%.1f\t%.1f\t%d %s\n",
			name, l.Callers, l.PerSecond, l.P50Ms, l.P95Ms, l.P99Ms, l.MaxMs, l.Failed, l.FirstFailure)
	}
	row("gRPC", r.GRPC)
	row("gRPC, lone", r.GRPCLone)
	row("HTTP", r.HTTP)
	row("HTTP, lone", r.HTTPLone)
	if c := r.Raft; c != nil {
		fmt.Fprintf(w, "Raft alone\t%d\t%.0f\t%.1f\t\t%.1f\t\tentries of %d transactions of %d bytes\n",
			c.EntriesInFlight, c.TransactionsPerSecond, c.P50Ms, c.P99Ms, c.BatchTransactions, c.TransactionBytes)
	}
	if len(r.Processes) == 0 {
		return
	}
	fmt.Fprintln(w, "\nPROCESS\tRSS MB\tPEAK MB\tCPU µs/RECORD gRPC\tHTTP")
	fmt.Fprintf(w, "bench\t\t\t%s\t%s\n", micros(r.GRPC, "bench"), micros(r.HTTP, "bench"))
	for _, p := range r.Processes {
		fmt.Fprintf(w, "%s\t%d\t%d\t%s\t%s\n", p.Name, p.RSSBytes>>20, p.PeakRSSBytes>>20, micros(r.GRPC, p.Name),
			micros(r.HTTP, p.Name))
	}
	fmt.Fprintf(w, "\na node's disk grew %.0f bytes per record, %.0f without the Raft log (values of %d bytes)\n",
		r.DiskBytesPerRecord, r.LedgerBytesPerRecord, r.ValueBytes)
}

// micros is the CPU time per record of one process in a load; empty when the load did not run.
func micros(l *bench.Load, process string) string {
	if l == nil {
		return ""
	}
	return fmt.Sprintf("%.0f", l.CPUMicros[process])
}
