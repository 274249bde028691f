// Package bench measures a network, as `ltl bench` does: records per second and latencies through the gRPC client and
// through the HTTP facade, of many callers and of a lone one; what that costs in CPU, memory and disk; and in the
// same run what the Raft library alone reaches on the same disk. A run writes records with random Keys to the
// network's proof chain. Run may be called concurrently for different networks, but two runs on one machine measure
// each other.
package bench

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"time"

	"ltl/internal/localnet"
)

// Bounds and defaults of a run.
const (
	DefaultCallers  = 256
	DefaultDuration = 10 * time.Second
	DefaultSize     = 256
	maxCallers      = 10_000
	// maxClients is fewer than the connections that a server takes from one certificate. So many make 2,400 connections,
	// which take half a gigabyte here and some seconds before the load; each batch then has one record.
	maxClients   = 400
	loneDuration = 2 * time.Second
)

// Options say what to measure.
type Options struct {
	// Dir is the directory of a running network; empty starts one in a temporary directory, and stops and removes it
	// afterwards.
	Dir string
	// Binary is the ltl program, for the processes of a network that Run starts.
	Binary string
	// Callers work side by side, each waiting for its answer before the next call.
	Callers int
	// Clients is how many clients call over gRPC, each with connections of its own and one caller, in place of Callers
	// callers of one client; 0 for the one client. Many facades or services are many clients: their records share no
	// batch.
	Clients int
	// Duration is how long each load runs, after a warm-up.
	Duration time.Duration
	// Size is the length of each value in bytes.
	Size int
	// GRPC, HTTP and Raft choose what is measured; none means all.
	GRPC, HTTP, Raft bool
	// Progress gets a line before each part of the run.
	Progress io.Writer
}

// Report is the outcome of a run.
type Report struct {
	CPUs       int     `json:"cpus"`
	Go         string  `json:"go"`
	Callers    int     `json:"callers"`
	Seconds    float64 `json:"seconds"`
	ValueBytes int     `json:"valueBytes"`

	GRPC     *Load `json:"grpc,omitempty"`
	GRPCLone *Load `json:"grpcLone,omitempty"`
	HTTP     *Load `json:"http,omitempty"`
	HTTPLone *Load `json:"httpLone,omitempty"`
	// Raft is what the Raft library alone reaches, with transactions of 300 bytes in entries of 500.
	Raft *Ceiling `json:"raft,omitempty"`

	Processes []Process `json:"processes,omitempty"`
	// DiskBytesPerRecord is how much the directory of one node grew per record, Raft log included; LedgerBytesPerRecord
	// leaves that log out.
	DiskBytesPerRecord   float64 `json:"diskBytesPerRecord,omitempty"`
	LedgerBytesPerRecord float64 `json:"ledgerBytesPerRecord,omitempty"`
}

// Process is a process of the network and its memory after the loads.
type Process struct {
	Name         string `json:"name"`
	PID          int    `json:"pid"`
	RSSBytes     int64  `json:"rssBytes"`
	PeakRSSBytes int64  `json:"peakRssBytes"`
}

// Run measures. The network it starts itself is gone when it returns.
func Run(ctx context.Context, o Options) (*Report, error) {
	if err := o.complete(); err != nil {
		return nil, err
	}
	if o.Dir != "" {
		return measure(ctx, o)
	}
	dir, err := os.MkdirTemp("", "ltl-bench-")
	if err != nil {
		return nil, fmt.Errorf("couldn't make a directory for a network: %w", err)
	}
	defer os.RemoveAll(dir)
	o.Dir = dir
	return withNetwork(ctx, o)
}

func (o *Options) complete() error {
	if o.Callers < 1 || o.Callers > maxCallers || o.Duration <= 0 || o.Size < 1 {
		return fmt.Errorf("couldn't measure with %d callers for %s and values of %d bytes: give 1 to %d callers, and a "+
			"positive duration and size",
			o.Callers, o.Duration, o.Size, maxCallers)
	}
	if o.Clients < 0 || o.Clients > maxClients {
		return fmt.Errorf("couldn't measure with %d clients: give 1 to %d", o.Clients, maxClients)
	}
	if !o.GRPC && !o.HTTP && !o.Raft {
		o.GRPC, o.HTTP, o.Raft = true, true, true
	}
	return nil
}

// withNetwork runs a network in o.Dir while it measures.
func withNetwork(ctx context.Context, o Options) (*Report, error) {
	fmt.Fprintln(o.Progress, "starting a network of three nodes and three organisations")
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	ready, ended := make(chan struct{}), make(chan error, 1)
	go func() {
		ended <- localnet.Run(ctx, localnet.Options{
			Dir: o.Dir, HTTP: "127.0.0.1:0", Binary: o.Binary,
			Logger: slog.New(slog.NewTextHandler(o.Progress, &slog.HandlerOptions{Level: slog.LevelWarn})),
			Ready:  func(*localnet.Network, bool) { close(ready) },
		})
	}()
	select {
	case err := <-ended:
		return nil, fmt.Errorf("couldn't start a network to measure: %w", errors.Join(err, ctx.Err()))
	case <-ready:
	}
	report, err := measure(ctx, o)
	cancel()
	return report, errors.Join(err, <-ended)
}

// measure runs every part against the network in o.Dir.
func measure(ctx context.Context, o Options) (*Report, error) {
	n, err := localnet.Load(o.Dir)
	if err != nil {
		return nil, err
	}
	r := &Report{CPUs: runtime.NumCPU(), Go: runtime.Version(), Callers: o.Callers, Seconds: o.Duration.Seconds(),
		ValueBytes: o.Size}
	before, err := disk(o.Dir, n)
	if err != nil {
		return nil, err
	}
	records, err := loads(ctx, o, n, r)
	if err != nil {
		return nil, err
	}
	if records > 0 {
		after, err := disk(o.Dir, n)
		if err != nil {
			return nil, err
		}
		r.DiskBytesPerRecord = float64(after.all-before.all) / float64(records)
		r.LedgerBytesPerRecord = float64(after.ledger-before.ledger) / float64(records)
		r.Processes = memory(n)
	}
	if o.Raft {
		if r.Raft, err = ceiling(ctx, o, filepath.Join(o.Dir, "bench-raft")); err != nil {
			return nil, err
		}
	}
	return r, nil
}

// loads runs the chosen loads and returns how many records they wrote.
func loads(ctx context.Context, o Options, n *localnet.Network, r *Report) (int64, error) {
	keys, err := newKeys(n, o.Size)
	if err != nil {
		return 0, err
	}
	var records int64
	if o.GRPC {
		if r.GRPC, r.GRPCLone, err = overGRPC(ctx, o, n, keys); err != nil {
			return 0, err
		}
		records += r.GRPC.total + r.GRPCLone.total
	}
	if o.HTTP {
		if r.HTTP, r.HTTPLone, err = overHTTP(ctx, o, n, keys); err != nil {
			return 0, err
		}
		records += r.HTTP.total + r.HTTPLone.total
	}
	return records, nil
}
