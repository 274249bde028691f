package facade

import (
	"context"
	"errors"
	"log/slog"
	"math"
	"net/http"
	"runtime/debug"
	"strconv"
	"strings"
	"time"

	"ltl/internal/rules"
	"ltl/internal/tracing"
)

// scratch is the memory of one request, which later requests reuse.
type scratch struct {
	request  request
	response response
	buffer   []byte
}

// contentTypes are header values that all responses share; net/http does not change them.
func contentTypes() (jsonType, xmlType []string) {
	return []string{"application/json;charset=utf-8"}, []string{"text/xml;charset=utf-8"}
}

// ServeHTTP serves one API call.
func (f *Facade) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	began := time.Now()
	beginRequest(r.Context())
	s := f.scratch.Get().(*scratch)
	s.response = response{host: clip(r.Host, maxEchoedName)}
	newRequestID(&s.response.requestID)
	if f.active.Add(1) > maxActive {
		s.response.gateway = gateway(codeThrottling)
		s.response.xml = s.request.wantsXML(r.URL.RawQuery)
	} else {
		if r.ContentLength > maxSmallBody || r.ContentLength < 0 {
			s.request.deadline = http.NewResponseController(w).SetReadDeadline
		}
		ctx := r.Context()
		if r.ProtoMajor < 2 { // a caller that has closed its sending side waits for the answer, and net/http takes it for gone
			ctx = context.WithoutCancel(ctx)
		}
		ctx, cancel := context.WithTimeout(ctx, callTimeout)
		ctx, span := f.tracer.Root(ctx, "call")
		f.handle(ctx, r, s)
		s.response.describe(span)
		span.End()
		cancel()
	}
	f.active.Add(-1)
	s.buffer = s.response.appendBody(s.buffer[:0])
	s.request.release()
	f.send(w, r, s)
	f.observe(r.Context(), &s.response, time.Since(began))
	if cap(s.buffer) > maxKeptBuffer {
		s.buffer = nil
	}
	s.response = response{}
	f.scratch.Put(s)
}

// send writes the response whose body is in the buffer. A large one counts until its caller has taken it, and must be
// taken at a rate.
func (f *Facade) send(w http.ResponseWriter, r *http.Request, s *scratch) {
	if n := len(s.buffer); n > maxSmallAnswer {
		address := addressOf(r.RemoteAddr)
		if f.memory.answers.Take(address, "", int64(n)) {
			defer f.memory.answers.Give(address, "", int64(n))
			// Without the deadline the server's own holds.
			_ = http.NewResponseController(w).SetWriteDeadline(atRate(time.Now(), n))
		} else { // only reads have large answers, so nothing was written
			s.response.gateway, s.response.refusal, s.response.data = gateway(codeThrottling), nil, value{}
			s.buffer = s.response.appendBody(nil)
		}
	}
	h := w.Header()
	if s.response.data.kind == kindFile {
		h["Content-Type"] = []string{s.response.media}
	} else if s.response.xml {
		h["Content-Type"] = f.xmlType
	} else {
		h["Content-Type"] = f.jsonType
	}
	if g := s.response.gateway; g != nil && g.code == codeThrottling {
		h["Retry-After"] = []string{strconv.Itoa(max(1, int(math.Ceil(g.retryAfter.Seconds()))))}
	}
	h["Content-Length"] = []string{strconv.Itoa(len(s.buffer))}
	w.WriteHeader(s.response.status())
	_, _ = w.Write(s.buffer) // an error means that the caller has disconnected
}

// handle fills the response of one request. A panic is logged and becomes InternalError, so that other calls go on.
func (f *Facade) handle(ctx context.Context, r *http.Request, s *scratch) {
	defer func() {
		if p := recover(); p != nil {
			f.logger.Error("panic in a call; report it with the stack", "requestId", string(s.response.requestID[:]), "panic", p,
				"stack", string(debug.Stack()))
			s.response.gateway, s.response.refusal, s.response.data = gateway(codeInternal), nil, value{}
		}
	}()
	a, data, err := f.process(ctx, r, s)
	if err == nil {
		s.response.data, s.response.note = data, data.note
		return
	}
	if errors.As(err, &s.response.refusal) {
		if a.data == kindString {
			s.response.data = text("")
		}
		return
	}
	s.response.gateway = gatewayOf(err)
	if q := &s.request; q.unread != "" && s.response.gateway.row == codeMissing {
		s.response.gateway.message += " The body was not read for parameters: its Content-Type is " +
			clip(q.unread, maxEchoedName) + "; send application/x-www-form-urlencoded."
	}
	switch s.response.gateway.code {
	case codeInternal:
		f.logger.Error("call failed", "requestId", string(s.response.requestID[:]), "action", s.response.action, "error", err)
	case codeServiceUnavailable, codeThrottling: // counted by metrics; an outage must not fill the log
		f.logger.Debug("call failed", "requestId", string(s.response.requestID[:]), "action", s.response.action,
			"code", s.response.gateway.code, "error", err)
	}
}

// process checks a request in the order that call.checks documents, and runs its Action.
func (f *Facade) process(ctx context.Context, r *http.Request, s *scratch) (*action, value, error) {
	q := &s.request
	if err := q.parse(r, f.memory); err != nil {
		s.response.xml = q.wantsXML(r.URL.RawQuery)
		return nil, value{}, err
	}
	switch format, ok := q.get("Format"); {
	case !ok, format == "", strings.EqualFold(format, "JSON"):
	case strings.EqualFold(format, "XML"):
		s.response.xml = true
	default:
		return nil, value{}, gateway(codeFormat)
	}
	caller, err := f.authenticate(ctx, q, s)
	if err != nil {
		return nil, value{}, err
	}
	a, err := f.find(q, caller, s)
	if err != nil {
		return a, value{}, err
	}
	c := &call{ctx: ctx, f: f, q: q, action: a, uid: caller.key.uid, key: caller.key.id, nonce: caller.nonce}
	data, err := c.run()
	return a, data, err
}

// find finds what an authenticated request names: an Action, by its parameters, or a file of evidence, by its path.
func (f *Facade) find(q *request, caller *caller, s *scratch) (*action, error) {
	if q.path != endpoint {
		return f.routeEvidence(q, s)
	}
	a, err := f.route(q, caller, s)
	if err != nil {
		return nil, err
	}
	v, ok := q.get("ApiVersion")
	if !ok {
		return a, missing("ApiVersion")
	}
	if v != apiVersion {
		return a, refuse(rules.BadAPIVersion)
	}
	return a, nil
}

// route finds the Action that an authenticated request names.
func (f *Facade) route(q *request, caller *caller, s *scratch) (*action, error) {
	name, err := q.common(caller.credentials, "Action", headerAction)
	if err != nil {
		return nil, err
	}
	v, err := q.common(caller.credentials, "Version", headerVersion)
	if err != nil {
		return nil, err
	}
	if v != version {
		return nil, invalid("Version")
	}
	a := f.actions[name]
	if a == nil {
		return nil, gateway(codeActionNotFound)
	}
	s.response.action = a.name
	return a, nil
}

// apiVersion and version are the two versions that every request names.
const (
	apiVersion = "1.0.0"
	version    = "2019-05-10"
)

// observe counts and logs a call. It logs neither parameters nor signatures.
func (f *Facade) observe(ctx context.Context, a *response, took time.Duration) {
	f.metrics.observe(a, took)
	if f.logger.Enabled(ctx, slog.LevelDebug) {
		f.logger.Debug("call", "requestId", string(a.requestID[:]), "action", a.action,
			"code", a.code(), "ms", took.Milliseconds())
	}
}

// describe adds the Action and the result code to a trace. Both are from fixed lists.
func (a *response) describe(span tracing.Span) {
	if span.Recorded() {
		span.Text("ltl.action", a.action)
		span.Text("ltl.request_id", string(a.requestID[:]))
		span.Text("ltl.code", a.code())
	}
}
