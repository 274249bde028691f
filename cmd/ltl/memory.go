package main

import (
	"os"
	"runtime/debug"

	"google.golang.org/grpc/experimental"
	"google.golang.org/grpc/mem"
)

const (
	// gcPercent is how much a process allocates before the next garbage collection, in percent of what the last one left.
	// What is left is tens of megabytes, and with Go's 100 a tenth of all CPU time under load went into collections. With
	// GOMEMLIMIT there are more of them as the memory comes near the limit, so that the limit holds as before.
	gcPercent = 400
	// smallestBuffer and largestBuffer are powers of two, in bytes.
	smallestBuffer, largestBuffer = 8, 22
)

// tuneMemory sets how the process uses memory. GOGC in the environment overrides gcPercent.
func tuneMemory() error {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(gcPercent)
	}
	return poolBuffers()
}

// poolBuffers replaces gRPC's pool of buffers. That one has none between 32 KiB and 1 MiB, and clears each one wholly
// before it hands it out: batches have some tens of kilobytes, and cost the clearing of a mebibyte at each end.
func poolBuffers() error {
	var sizes []uint8
	for n := uint8(smallestBuffer); n <= largestBuffer; n++ {
		sizes = append(sizes, n)
	}
	pool, err := mem.NewBinaryTieredBufferPool(sizes...)
	if err != nil {
		return err
	}
	experimental.SetDefaultBufferPool(pool)
	return nil
}
