// Package tracing records what a write waits for, process by process, as OpenTelemetry traces, and sends them to a
// collector on the same host.
//
// It is off unless an endpoint is given: a nil *Tracer records nothing, and every method may be called on it. Then, and
// for requests that are not sampled, a step costs a comparison. Spans carry names, counts, codes and identities of
// processes; never keys, values or secrets.
package tracing

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
	"google.golang.org/grpc/metadata"
)

// closeTimeout bounds how long Close waits for the collector to accept the remaining spans.
const closeTimeout = 2 * time.Second

// ErrEndpoint is returned, wrapped, for an endpoint or a ratio that cannot be used.
var ErrEndpoint = errors.New("traces cannot be sent")

// Config configures what is recorded and where it is sent.
type Config struct {
	// Endpoint is the loopback HOST:PORT of a collector that accepts OTLP over gRPC; empty records nothing. Traces are not
	// encrypted on the way there, so the collector must be on the same host. It can forward them.
	Endpoint string
	// Ratio is the share of requests that are recorded, above 0 and at most 1. Only the facade's ratio counts: nodes and
	// endorsers record what the facade records.
	Ratio float64
	// Role is what the process is, "node", "endorser" or "facade"; Identity is its name "organisation/role/name".
	Role, Identity string
	// Logger receives a line when the collector accepts nothing.
	Logger *slog.Logger
}

// Tracer records the spans of a process. It may be nil, and may be used by any number of goroutines.
type Tracer struct {
	provider *sdktrace.TracerProvider // nil when another package owns it
	tracer   trace.Tracer
}

// Open returns a tracer; nil when there is no endpoint. The collector need not run.
func Open(c Config) (*Tracer, error) {
	if c.Endpoint == "" {
		return nil, nil
	}
	host, _, err := net.SplitHostPort(c.Endpoint)
	if err != nil {
		return nil, fmt.Errorf("%w: endpoint %q: %w", ErrEndpoint, c.Endpoint, err)
	}
	if ip := net.ParseIP(host); host != "localhost" && (ip == nil || !ip.IsLoopback()) {
		return nil, fmt.Errorf(
			"%w: endpoint %q is not a loopback address; run a collector on this host that forwards the traces", ErrEndpoint, c.Endpoint)
	}
	if !(c.Ratio > 0 && c.Ratio <= 1) {
		return nil, fmt.Errorf("%w: ratio %v is not above 0 and at most 1", ErrEndpoint, c.Ratio)
	}
	e, err := newExporter(c.Endpoint, c.Logger)
	if err != nil {
		return nil, err
	}
	p := sdktrace.NewTracerProvider(sdktrace.WithBatcher(e),
		sdktrace.WithSampler(sdktrace.ParentBased(sdktrace.TraceIDRatioBased(c.Ratio))),
		sdktrace.WithResource(resource.NewSchemaless(attribute.String("service.name", "ltl-"+c.Role),
			attribute.String("service.instance.id", c.Identity))))
	return &Tracer{provider: p, tracer: p.Tracer("ltl")}, nil
}

// New returns a tracer that records with a provider that another package opened; nil when provider is nil. Its Close
// does nothing: the owner shuts the provider down.
func New(provider trace.TracerProvider) *Tracer {
	if provider == nil {
		return nil
	}
	return &Tracer{tracer: provider.Tracer("ltl")}
}

// Provider returns what the tracer records with; nil when it records nothing.
func (t *Tracer) Provider() trace.TracerProvider {
	if t == nil {
		return nil
	}
	return t.provider
}

// Close sends the remaining spans, for at most closeTimeout. Spans that end later are lost.
func (t *Tracer) Close() error {
	if t == nil || t.provider == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), closeTimeout)
	defer cancel()
	if err := t.provider.Shutdown(ctx); err != nil && !errors.Is(err, context.DeadlineExceeded) {
		return fmt.Errorf("traces: %w", err)
	}
	return nil
}

// Span is a step of a request. The zero value is one that is not recorded.
type Span struct{ span trace.Span }

// Recorded reports whether the span is recorded. If not, attributes need not be computed.
func (s Span) Recorded() bool { return s.span != nil }

// End ends the span.
func (s Span) End() {
	if s.span != nil {
		s.span.End()
	}
}

// Text sets an attribute.
func (s Span) Text(name, value string) {
	if s.span != nil {
		s.span.SetAttributes(attribute.String(name, value))
	}
}

// Number sets an attribute.
func (s Span) Number(name string, value int) {
	if s.span != nil {
		s.span.SetAttributes(attribute.Int(name, value))
	}
}

// Failed marks the span as failed when err is not nil. The text of the error is not recorded: it may quote what a
// caller sent.
func (s Span) Failed(err error) {
	if s.span != nil && err != nil {
		s.span.SetStatus(codes.Error, "")
	}
}

// Link links the span to another one, of this trace or of another.
func (s Span) Link(other Span) {
	if s.span != nil && other.span != nil {
		s.span.AddLink(trace.Link{SpanContext: other.span.SpanContext()})
	}
}

// Child adds a step that has already ended.
func (s Span) Child(name string, from, to time.Time) {
	if s.span == nil {
		return
	}
	ctx := trace.ContextWithSpan(context.Background(), s.span)
	_, child := s.span.TracerProvider().Tracer("ltl").Start(ctx, name, trace.WithTimestamp(from))
	child.End(trace.WithTimestamp(to))
}

// Root begins a trace if this request is sampled, and returns a context in which Start continues it.
func (t *Tracer) Root(ctx context.Context, name string) (context.Context, Span) {
	if t == nil {
		return ctx, Span{}
	}
	in, span := t.tracer.Start(ctx, name, trace.WithNewRoot(), trace.WithSpanKind(trace.SpanKindServer))
	if !span.IsRecording() {
		return ctx, Span{}
	}
	return in, Span{span}
}

// Start begins a step of the trace in ctx. Without a trace nothing is recorded.
func (t *Tracer) Start(ctx context.Context, name string) (context.Context, Span) {
	if t == nil || !trace.SpanContextFromContext(ctx).IsSampled() {
		return ctx, Span{}
	}
	ctx, span := t.tracer.Start(ctx, name)
	return ctx, Span{span}
}

// Of returns the span that ctx belongs to.
func (t *Tracer) Of(ctx context.Context) Span {
	if t == nil {
		return Span{}
	}
	if span := trace.SpanFromContext(ctx); span.IsRecording() {
		return Span{span}
	}
	return Span{}
}

// Join begins a step that several requests have in common. It belongs to the trace of the first recorded request; it
// and each of the others are linked to one another.
func (t *Tracer) Join(ctx context.Context, name string, requests []Span) (context.Context, Span) {
	if t == nil {
		return ctx, Span{}
	}
	var step Span
	for _, r := range requests {
		switch {
		case r.span == nil:
		case step.span == nil:
			ctx, step.span = t.tracer.Start(trace.ContextWithSpan(ctx, r.span), name)
		default:
			step.Link(r)
			r.Link(step)
		}
	}
	return ctx, step
}

// Call begins the step of a call to another process, and returns a context for the gRPC call in which that process
// continues the trace. The context has the deadline of in and the trace of from.
func (t *Tracer) Call(in, from context.Context, name string) (context.Context, Span) {
	if t == nil || !trace.SpanContextFromContext(from).IsSampled() {
		return in, Span{}
	}
	ctx, span := t.tracer.Start(trace.ContextWithSpan(in, trace.SpanFromContext(from)), name,
		trace.WithSpanKind(trace.SpanKindClient))
	carried := propagation.MapCarrier{}
	propagation.TraceContext{}.Inject(ctx, carried)
	for k, v := range carried {
		ctx = metadata.AppendToOutgoingContext(ctx, k, v)
	}
	return ctx, Span{span}
}

// Serve begins the step of answering a gRPC call, if the caller records this request. The caller must be authenticated.
func (t *Tracer) Serve(ctx context.Context, name string) (context.Context, Span) {
	if t == nil {
		return ctx, Span{}
	}
	carried := propagation.MapCarrier{}
	for _, k := range (propagation.TraceContext{}).Fields() {
		if v := metadata.ValueFromIncomingContext(ctx, k); len(v) == 1 {
			carried[k] = v[0]
		}
	}
	ctx = propagation.TraceContext{}.Extract(ctx, carried)
	if !trace.SpanContextFromContext(ctx).IsSampled() {
		return ctx, Span{}
	}
	ctx, span := t.tracer.Start(ctx, name, trace.WithSpanKind(trace.SpanKindServer))
	return ctx, Span{span}
}
