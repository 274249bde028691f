package main

import (
	"context"
	"fmt"
	"net"
	"strings"
	"sync"
	"testing"

	"github.com/aliyun/alibaba-cloud-sdk-go/services/ltl"
	collectorpb "go.opentelemetry.io/proto/slim/otlp/collector/trace/v1"
	commonpb "go.opentelemetry.io/proto/slim/otlp/common/v1"
	tracepb "go.opentelemetry.io/proto/slim/otlp/trace/v1"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/encoding/prototext"

	"ltl/internal/localnet"
)

// collector is an OTLP receiver: it keeps all spans that it gets.
type collector struct {
	address string
	server  *grpc.Server

	mu    sync.Mutex
	spans []*received
	text  strings.Builder // everything that came, as text
}

// received is a span with the process that sent it.
type received struct {
	*tracepb.Span
	service, instance string
}

func (r *received) attribute(name string) string { return attributeOf(r.GetAttributes(), name) }

func attributeOf(all []*commonpb.KeyValue, name string) string {
	for _, a := range all {
		if a.GetKey() == name {
			if n := a.GetValue().GetIntValue(); n != 0 {
				return fmt.Sprint(n)
			}
			return a.GetValue().GetStringValue()
		}
	}
	return ""
}

func startCollector(t *testing.T) *collector {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	c := &collector{address: listener.Addr().String(), server: grpc.NewServer()}
	export := func(_ any, ctx context.Context, decode func(any) error, _ grpc.UnaryServerInterceptor) (any, error) {
		in := &collectorpb.ExportTraceServiceRequest{}
		if err := decode(in); err != nil {
			return nil, err
		}
		c.take(in)
		return &collectorpb.ExportTraceServiceResponse{}, nil
	}
	c.server.RegisterService(&grpc.ServiceDesc{ServiceName: "opentelemetry.proto.collector.trace.v1.TraceService",
		HandlerType: (*any)(nil), Methods: []grpc.MethodDesc{{MethodName: "Export", Handler: export}}}, c)
	done := make(chan error, 1)
	go func() { done <- c.server.Serve(listener) }()
	t.Cleanup(func() {
		c.server.Stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return c
}

func (c *collector) take(in *collectorpb.ExportTraceServiceRequest) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.text.WriteString(prototext.Format(in))
	for _, r := range in.GetResourceSpans() {
		all := r.GetResource().GetAttributes()
		for _, s := range r.GetScopeSpans() {
			for _, span := range s.GetSpans() {
				c.spans = append(c.spans,
					&received{span, attributeOf(all, "service.name"), attributeOf(all, "service.instance.id")})
			}
		}
	}
}

// trace returns the spans of the trace whose request had an id, by name.
func (c *collector) trace(requestID string) map[string][]*received {
	c.mu.Lock()
	defer c.mu.Unlock()
	var root *received
	for _, s := range c.spans {
		if s.attribute("ltl.request_id") == requestID {
			root = s
		}
	}
	if root == nil {
		return nil
	}
	spans := map[string][]*received{}
	for _, s := range c.spans {
		if string(s.GetTraceId()) == string(root.GetTraceId()) {
			spans[s.GetName()] = append(spans[s.GetName()], s)
		}
	}
	return spans
}

// TestTraces: one write through the API is one trace, with a part from every process that it waited for, and
// with steps that lie within one another. Requests that share a batch name one another. No trace holds the written
// data, and a collector that is down delays no request.
func TestTraces(t *testing.T) {
	if testing.Short() {
		t.Skip("the race detector sees nothing of other processes; the run without -short has them")
	}
	c := startCollector(t)
	t.Setenv("LTL_TRACE_ENDPOINT", c.address)
	t.Setenv("LTL_TRACE_RATIO", "1")
	t.Setenv("OTEL_BSP_SCHEDULE_DELAY", "100") // milliseconds, so that the test need not wait for long
	n := start(t, t.TempDir())
	f := n.file(t)
	chain, member := proofChain(t, f), account(t, f, localnet.RoleMember)
	set := func(id string) string {
		req := ltl.CreateSetDataRequest()
		req.ApiVersion, req.ProductKey, req.Key, req.Value = "1.0.0", chain.BizChainCode, keyOf(chain, member,
			id), "kept-from-traces"
		res, err := sdkClient(t, f, member).SetData(req)
		if err != nil || !res.Success {
			t.Errorf("SetData: %v, %+v", err, res)
			return ""
		}
		return res.RequestId
	}
	id := set("1")
	var spans map[string][]*received
	complete := func() bool {
		spans = c.trace(id)
		return len(spans["call"]) == 1 && len(spans["endorse"]) >= 2 && len(spans["execute"]) == 1 && len(spans["batch"]) == 1
	}
	await(t, "the whole trace of a write", complete)
	wantTrace(t, spans)
	wantLinks(t, c, set)

	c.mu.Lock()
	told := c.text.String()
	c.mu.Unlock()
	for what, secret := range map[string]string{
		"a value": "kept-from-traces", "a Key": keyOf(chain, member,
			"1"), "an AccessKey": member.AccessKeyID, "a secret": member.AccessKeySecret, "an account": member.UID,
	} {
		if strings.Contains(told, secret) {
			t.Errorf("traces hold %s", what)
		}
	}
	c.server.Stop()
	if set("9") == "" {
		t.Error("without a collector nothing is written")
	}
}

// wantTrace: each step belongs to the right parent, comes from the right process, and lies within its parent's time.
func wantTrace(t *testing.T, spans map[string][]*received) {
	t.Helper()
	byID := map[string]*received{}
	for _, all := range spans {
		for _, s := range all {
			byID[string(s.GetSpanId())] = s
		}
	}
	for _, want := range []struct{ name, parent, service string }{
		{"call", "", "ltl-facade"},
		{"submit", "call", "ltl-facade"},
		{"batch", "submit", "ltl-facade"},
		{"propose", "batch", "ltl-facade"},
		{"ask endorser", "propose", "ltl-facade"},
		{"endorse", "ask endorser", "ltl-endorser"},
		{"ask leader", "batch", "ltl-facade"},
		{"order", "ask leader", "ltl-node"},
		{"queue", "order", "ltl-node"},
		{"commit", "order", "ltl-node"},
		{"execute", "order", "ltl-node"},
	} {
		if len(spans[want.name]) == 0 {
			t.Errorf("the trace has no step %q", want.name)
		}
		for _, s := range spans[want.name] {
			parent := byID[string(s.GetParentSpanId())]
			if s.service != want.service || (parent == nil) != (want.parent == "") || parent != nil &&
				parent.GetName() != want.parent {
				t.Errorf("%q is of %s below %v, want %s below %q", s.GetName(), s.service, parent, want.service, want.parent)
			}
			if parent != nil && (s.GetStartTimeUnixNano() < parent.GetStartTimeUnixNano() ||
				s.GetEndTimeUnixNano() < s.GetStartTimeUnixNano()) {
				t.Errorf("%q begins before %q, or ends before it begins", s.GetName(), want.parent)
			}
		}
	}
	proposed := map[string]bool{} // a write may be proposed again, when an endorser was a little behind
	for _, s := range spans["endorse"] {
		if ask := byID[string(s.GetParentSpanId())]; ask != nil {
			proposed[string(ask.GetParentSpanId())+s.instance] = true
		}
	}
	if len(proposed) != len(spans["endorse"]) {
		t.Errorf("%d steps %q are of %d endorsers and proposals", len(spans["endorse"]), "endorse", len(proposed))
	}
	if call := spans["call"][0]; call.attribute("ltl.action") != "SetData" || call.attribute("ltl.code") != "200" ||
		call.instance != "org1/facade/facade1" {
		t.Errorf("the call is traced as %v by %s", call.Span, call.instance)
	}
}

// wantLinks writes many records at once, until a batch holds several: it names the requests in it, and they name
// the batch.
func wantLinks(t *testing.T, c *collector, set func(id string) string) {
	t.Helper()
	linked := func() bool {
		c.mu.Lock()
		defer c.mu.Unlock()
		for _, batch := range c.spans {
			for _, l := range batch.GetLinks() {
				for _, s := range c.spans {
					if batch.GetName() != "batch" || string(s.GetSpanId()) != string(l.GetSpanId()) || s.GetName() != "submit" {
						continue
					}
					for _, back := range s.GetLinks() {
						if string(back.GetSpanId()) == string(batch.GetSpanId()) &&
							string(back.GetTraceId()) == string(batch.GetTraceId()) {
							return true
						}
					}
				}
			}
		}
		return false
	}
	round := 0
	await(t, "a batch that names its requests", func() bool {
		var callers sync.WaitGroup
		for i := range 24 {
			callers.Go(func() { set(fmt.Sprintf("l%dn%d", round, i)) })
		}
		callers.Wait()
		round++
		return linked()
	})
}
