package tracing

import (
	"context"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
	collectorpb "go.opentelemetry.io/proto/slim/otlp/collector/trace/v1"
	commonpb "go.opentelemetry.io/proto/slim/otlp/common/v1"
	resourcepb "go.opentelemetry.io/proto/slim/otlp/resource/v1"
	tracepb "go.opentelemetry.io/proto/slim/otlp/trace/v1"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
)

const (
	// exportMethod is served by every OpenTelemetry collector. The exporter of the OpenTelemetry library would add an HTTP
	// gateway to the dependencies.
	exportMethod  = "/opentelemetry.proto.collector.trace.v1.TraceService/Export"
	exportTimeout = 5 * time.Second
	// logAgain is the time between two log lines about a collector that accepts nothing.
	logAgain = time.Minute
)

// exporter sends spans to a collector. Spans that the collector does not accept are lost: no promise depends on traces.
type exporter struct {
	conn   *grpc.ClientConn
	log    *slog.Logger
	logged atomic.Int64 // when, in nanoseconds
}

func newExporter(endpoint string, log *slog.Logger) (*exporter, error) {
	if log == nil {
		log = slog.Default()
	}
	conn, err := grpc.NewClient("passthrough:///"+endpoint, grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithNoProxy(), grpc.WithDisableServiceConfig())
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrEndpoint, err)
	}
	return &exporter{conn: conn, log: log}, nil
}

// ExportSpans implements sdktrace.SpanExporter.
func (e *exporter) ExportSpans(ctx context.Context, spans []sdktrace.ReadOnlySpan) error {
	if len(spans) == 0 {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, exportTimeout)
	defer cancel()
	err := e.conn.Invoke(ctx, exportMethod, requestOf(spans), &collectorpb.ExportTraceServiceResponse{})
	now := time.Now().UnixNano()
	if last := e.logged.Load(); err != nil && now-last > int64(logAgain) && e.logged.CompareAndSwap(last, now) {
		e.log.Warn("the collector accepts no traces, they are lost; check that it runs", "endpoint", e.conn.Target(), "spans",
			len(spans), "error", err)
	}
	return nil // the library would print an error
}

// Shutdown implements sdktrace.SpanExporter.
func (e *exporter) Shutdown(context.Context) error { return e.conn.Close() }

// requestOf encodes spans, all of the same process.
func requestOf(spans []sdktrace.ReadOnlySpan) *collectorpb.ExportTraceServiceRequest {
	scope := &tracepb.ScopeSpans{Scope: &commonpb.InstrumentationScope{Name: spans[0].InstrumentationScope().Name}}
	for _, s := range spans {
		id, trail, parent := s.SpanContext().SpanID(), s.SpanContext().TraceID(), s.Parent().SpanID()
		out := &tracepb.Span{
			TraceId: trail[:], SpanId: id[:], Name: s.Name(), Kind: kindOf(s.SpanKind()),
			Attributes:        attributesOf(s.Attributes()),
			StartTimeUnixNano: uint64(s.StartTime().UnixNano()), EndTimeUnixNano: uint64(s.EndTime().UnixNano()),
			Flags: uint32(s.SpanContext().TraceFlags()),
		}
		if parent.IsValid() {
			out.ParentSpanId = parent[:]
		}
		if s.Status().Code == codes.Error {
			out.Status = &tracepb.Status{Code: tracepb.Status_STATUS_CODE_ERROR}
		}
		for _, l := range s.Links() {
			id, trail := l.SpanContext.SpanID(), l.SpanContext.TraceID()
			out.Links = append(out.Links, &tracepb.Span_Link{TraceId: trail[:], SpanId: id[:]})
		}
		scope.Spans = append(scope.Spans, out)
	}
	return &collectorpb.ExportTraceServiceRequest{ResourceSpans: []*tracepb.ResourceSpans{{
		Resource:   &resourcepb.Resource{Attributes: attributesOf(spans[0].Resource().Attributes())},
		ScopeSpans: []*tracepb.ScopeSpans{scope},
	}}}
}

func kindOf(k trace.SpanKind) tracepb.Span_SpanKind {
	switch k {
	case trace.SpanKindServer:
		return tracepb.Span_SPAN_KIND_SERVER
	case trace.SpanKindClient:
		return tracepb.Span_SPAN_KIND_CLIENT
	}
	return tracepb.Span_SPAN_KIND_INTERNAL
}

// attributesOf encodes attributes. This package sets only texts and numbers.
func attributesOf(all []attribute.KeyValue) (out []*commonpb.KeyValue) {
	for _, a := range all {
		v := &commonpb.AnyValue{Value: &commonpb.AnyValue_StringValue{StringValue: a.Value.String()}}
		if a.Value.Type() == attribute.INT64 {
			v = &commonpb.AnyValue{Value: &commonpb.AnyValue_IntValue{IntValue: a.Value.AsInt64()}}
		}
		out = append(out, &commonpb.KeyValue{Key: string(a.Key), Value: v})
	}
	return out
}
