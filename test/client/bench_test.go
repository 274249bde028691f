package client_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"ltl/client"
	"ltl/internal/identity"
	"ltl/internal/rules"
	"ltl/test/testkit"
)

// BenchmarkSubmit writes records of 256 bytes through a whole network in this process, with so many callers at once and
// so many batches in flight. ns/op is the inverse of the throughput, not the latency: that is callers times as long.
func BenchmarkSubmit(b *testing.B) {
	for _, inFlight := range []int{1, 2, 3, 4} {
		for _, callers := range []int{1, 64, 512} {
			b.Run(fmt.Sprintf("inFlight=%d/callers=%d", inFlight, callers), func(b *testing.B) {
				n := testkit.Start(b, testkit.Options{Verbose: testing.Verbose(),
					Client: func(cfg *client.Config) { cfg.MaxInFlight = inFlight }})
				c := n.Client(identity.RoleFacade)
				value := strings.Repeat("v", 256)
				work := make(chan int, callers)
				var wg sync.WaitGroup
				cpu := cpuTime(b)
				b.ResetTimer()
				for range callers {
					wg.Go(func() {
						for i := range work {
							r, err := c.Submit(context.Background(), n.AttachData(n.Admin, fmt.Sprint("k", i%1000), value))
							if err != nil || r.GetCode() != rules.OK {
								b.Errorf("%v %v", r, err)
							}
						}
					})
				}
				for i := range b.N {
					work <- i
				}
				close(work)
				wg.Wait()
				b.StopTimer()
				b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "records/s")
				b.ReportMetric(float64((cpuTime(b)-cpu).Microseconds())/float64(b.N), "cpu-µs/record")
			})
		}
	}
}

// cpuTime is what this process, the whole network in it, has used of all processors.
func cpuTime(b *testing.B) time.Duration {
	b.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
