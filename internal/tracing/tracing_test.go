package tracing

import (
	"context"
	"errors"
	"testing"
	"time"

	"go.uber.org/goleak"
	"google.golang.org/grpc/metadata"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// TestNothingWhenOff: without a tracer, and for a request that is not sampled, contexts stay as they are, nothing is
// carried to another process, and nothing is allocated but the sampler's question.
func TestNothingWhenOff(t *testing.T) {
	off, err := Open(Config{})
	if off != nil || err != nil {
		t.Fatalf("without an endpoint: %v, %v", off, err)
	}
	rare, err := Open(Config{Endpoint: "127.0.0.1:1", Ratio: 1e-18, Role: "facade"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := errors.Join(off.Close(), rare.Close()); err != nil {
			t.Error(err)
		}
	})
	for what, tracer := range map[string]*Tracer{"off": off, "not sampled": rare} {
		root, span := tracer.Root(t.Context(), "call")
		if root != t.Context() || span.Recorded() {
			t.Errorf("%s: the root is recorded", what)
		}
		steps := func() {
			ctx, a := tracer.Start(root, "submit")
			ctx, b := tracer.Join(ctx, "batch", []Span{a})
			ctx, c := tracer.Call(ctx, ctx, "ask")
			c.Text("a", "b")
			c.Number("n", 1)
			c.Failed(context.Canceled)
			c.Child("x", time.Time{}, time.Time{})
			for _, s := range []Span{a, b, c, tracer.Of(ctx)} {
				s.End()
				if s.Recorded() {
					t.Errorf("%s: a step is recorded", what)
				}
			}
			if _, carried := metadata.FromOutgoingContext(ctx); carried || ctx != root {
				t.Errorf("%s: another process would hear of it", what)
			}
		}
		if n := testing.AllocsPerRun(100, steps); n > 0 {
			t.Errorf("%s: %v allocations", what, n)
		}
	}
}

// TestEndpoint: traces stay on the host, and a ratio means something.
func TestEndpoint(t *testing.T) {
	for _, c := range []Config{
		{Endpoint: "127.0.0.1", Ratio: 1}, {Endpoint: "192.0.2.1:4317", Ratio: 1},
		{Endpoint: "collector.example:4317", Ratio: 1}, {Endpoint: ":4317", Ratio: 1},
		{Endpoint: "127.0.0.1:4317"}, {Endpoint: "127.0.0.1:4317", Ratio: -1}, {Endpoint: "127.0.0.1:4317", Ratio: 1.1},
	} {
		if tracer, err := Open(c); !errors.Is(err, ErrEndpoint) {
			t.Errorf("%+v: %v, %v", c, tracer, err)
		}
	}
}

// BenchmarkOff is what the steps of a write cost where nothing is recorded.
func BenchmarkOff(b *testing.B) {
	var off *Tracer
	root := b.Context()
	for b.Loop() {
		ctx, call := off.Root(root, "call")
		ctx, submit := off.Start(ctx, "submit")
		_, ask := off.Call(ctx, ctx, "ask leader")
		ctx, order := off.Serve(ctx, "order")
		off.Of(ctx).End()
		order.End()
		ask.End()
		submit.End()
		call.End()
	}
}
