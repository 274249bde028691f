package client

import (
	"context"

	"ltl/internal/tracing"
)

// traceBatch begins the span of a batch, which is a step of every request in it that is recorded.
func (c *Client) traceBatch(ctx context.Context, calls []*call) (context.Context, tracing.Span) {
	if c.cfg.Tracer == nil {
		return ctx, tracing.Span{}
	}
	requests := make([]tracing.Span, len(calls))
	for i, k := range calls {
		requests[i] = k.span
	}
	ctx, span := c.cfg.Tracer.Join(ctx, "batch", requests)
	span.Number("ltl.transactions", len(calls))
	return ctx, span
}
