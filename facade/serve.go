package facade

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"runtime/debug"
	"strconv"
	"strings"
	"time"

	"ltl/internal/rules"
	"ltl/internal/tracing"
)

// scratch is what one request needs and the next can use again.
type scratch struct {
	request request
	answer  answer
	buffer  []byte
}

// Headers that every answer shares; net/http does not change them.
func contentTypes() (jsonType, xmlType []string) {
	return []string{"application/json;charset=utf-8"}, []string{"text/xml;charset=utf-8"}
}

// ServeHTTP answers one API call.
func (f *Facade) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	began := time.Now()
	beginRequest(r.Context())
	s := f.scratch.Get().(*scratch)
	s.answer = answer{host: r.Host}
	newRequestID(&s.answer.requestID)
	if f.active.Add(1) > maxActive {
		s.answer.gateway = gateway(codeThrottling)
		s.answer.xml = s.request.asksXML(r.URL.RawQuery)
	} else {
		ctx, cancel := context.WithTimeout(r.Context(), callTimeout)
		ctx, span := f.tracer.Root(ctx, "call")
		f.call(ctx, r, s)
		s.answer.describe(span)
		span.End()
		cancel()
	}
	f.active.Add(-1)
	s.buffer = s.answer.appendBody(s.buffer[:0])
	f.write(w, s)
	f.observe(r.Context(), &s.answer, time.Since(began))
	s.request.release(&f.bodies)
	if cap(s.buffer) > maxKeptBuffer {
		s.buffer = nil
	}
	s.answer = answer{}
	f.scratch.Put(s)
}

// write sends the answer that stands in the buffer.
func (f *Facade) write(w http.ResponseWriter, s *scratch) {
	h := w.Header()
	if s.answer.xml {
		h["Content-Type"] = f.xmlType
	} else {
		h["Content-Type"] = f.jsonType
	}
	h["Content-Length"] = []string{strconv.Itoa(len(s.buffer))}
	w.WriteHeader(s.answer.status())
	_, _ = w.Write(s.buffer) // the caller has gone; whoever cares asks again
}

// call fills the answer of one request. A panic answers InternalError and is logged: it must not take other callers down.
func (f *Facade) call(ctx context.Context, r *http.Request, s *scratch) {
	defer func() {
		if p := recover(); p != nil {
			f.logger.Error("panic while serving", "requestId", string(s.answer.requestID[:]), "panic", p, "stack", string(debug.Stack()))
			s.answer.gateway, s.answer.refusal, s.answer.data = gateway(codeInternal), nil, value{}
		}
	}()
	a, data, err := f.answer(ctx, r, s)
	if err == nil {
		s.answer.data = data
		return
	}
	if errors.As(err, &s.answer.refusal) {
		if a.data == kindString {
			s.answer.data = text("")
		}
		return
	}
	s.answer.gateway = gatewayOf(err)
	switch s.answer.gateway.code {
	case codeInternal:
		f.logger.Error("call failed", "requestId", string(s.answer.requestID[:]), "action", s.answer.action, "error", err)
	case codeServiceUnavailable, codeThrottling: // metrics count them; an outage must not fill the log
		f.logger.Debug("call failed", "requestId", string(s.answer.requestID[:]), "action", s.answer.action, "code", s.answer.gateway.code, "error", err)
	}
}

// answer checks a request in the documented order and runs its Action.
func (f *Facade) answer(ctx context.Context, r *http.Request, s *scratch) (*action, value, error) {
	q := &s.request
	if err := q.parse(r, &f.bodies); err != nil {
		s.answer.xml = q.asksXML(r.URL.RawQuery)
		return nil, value{}, err
	}
	switch format, ok := q.get("Format"); {
	case !ok, format == "", strings.EqualFold(format, "JSON"):
	case strings.EqualFold(format, "XML"):
		s.answer.xml = true
	default:
		return nil, value{}, gateway(codeFormat)
	}
	who, err := f.authenticate(ctx, q, s)
	if err != nil {
		return nil, value{}, err
	}
	a, err := f.route(q, who, s)
	if err != nil {
		return nil, value{}, err
	}
	v, ok := q.get("ApiVersion")
	if !ok {
		return a, value{}, missing("ApiVersion")
	}
	if v != apiVersion {
		return a, value{}, refuse(rules.BadAPIVersion)
	}
	c := &call{ctx: ctx, f: f, q: q, action: a, uid: who.key.uid, key: who.key.id, nonce: who.nonce}
	data, failure := c.run()
	return a, data, failure
}

// caller is who sent a request, once its signature has been verified.
type caller struct {
	*credentials
	key *accessKey
}

// authenticate verifies the request's signature and takes its nonce.
func (f *Facade) authenticate(ctx context.Context, q *request, s *scratch) (*caller, error) {
	var c credentials
	var err *gatewayError
	if header := q.header["Authorization"]; len(header) == 1 && strings.HasPrefix(header[0], acs3Prefix) {
		c, err = q.acs3Credentials(header[0])
	} else {
		c, err = q.rpcCredentials()
	}
	if err != nil {
		return nil, err
	}
	if len(c.accessKeyID) > maxAccessKeyID {
		return nil, gateway(codeKeyNotFound)
	}
	if len(c.nonce) > maxSignatureNonce {
		return nil, invalid("SignatureNonce")
	}
	now := f.clock()
	if err := checkTimestamp(c.timestamp, now); err != nil {
		return nil, err
	}
	key, err := f.keys.lookup(ctx, c.accessKeyID)
	if err != nil {
		return nil, err
	}
	if c.acs3 != nil {
		s.buffer, err = q.verifyACS3(key, c.acs3, s.buffer)
	} else {
		s.buffer, err = q.verifyRPC(key, c.signature, s.buffer)
	}
	if err != nil {
		return nil, err
	}
	if !f.nonces.use(c.accessKeyID, c.nonce, now) {
		return nil, gateway(codeNonceUsed)
	}
	return &caller{credentials: &c, key: key}, nil
}

// route finds the Action that an authenticated request names.
func (f *Facade) route(q *request, who *caller, s *scratch) (*action, error) {
	name, err := q.common(who.credentials, "Action", headerAction)
	if err != nil {
		return nil, err
	}
	v, err := q.common(who.credentials, "Version", headerVersion)
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
	s.answer.action = a.name
	return a, nil
}

// run checks what every Action has in common and hands over to the Action.
func (c *call) run() (value, error) {
	account, err := c.f.accounts.get(c.ctx, c.uid)
	if err != nil {
		return value{}, err
	}
	c.account = account
	refusal := account.mayAct(c.text(c.action.chain))
	if refusal != nil && refusal.code == rules.NotRAM { // it may have been so a moment ago; that it is on no chain was read just now
		if c.account, err = c.f.accounts.fresh(c.ctx, c.uid); err != nil {
			return value{}, err
		}
		refusal = c.account.mayAct(c.text(c.action.chain))
	}
	if refusal != nil {
		return value{}, refusal
	}
	if err := c.checkParameters(); err != nil {
		return value{}, err
	}
	if c.action.chain == bizChainID {
		if err := c.findChain(); err != nil {
			return value{}, err
		}
	}
	data, err := c.action.run(c)
	var form *formError
	if errors.As(err, &form) {
		return value{}, c.chainFirst(form)
	}
	return data, err
}

// observe counts the call and logs it. Neither values nor anything of the signature is logged.
func (f *Facade) observe(ctx context.Context, a *answer, took time.Duration) {
	f.metrics.observe(a, took)
	if f.logger.Enabled(ctx, slog.LevelDebug) {
		f.logger.Debug("call", "requestId", string(a.requestID[:]), "action", a.action, "code", a.code(), "ms", took.Milliseconds())
	}
}

// describe says in a trace what was called and how it ended. Action and code are from fixed lists.
func (a *answer) describe(span tracing.Span) {
	if span.Recorded() {
		span.Text("ltl.action", a.action)
		span.Text("ltl.request_id", string(a.requestID[:]))
		span.Text("ltl.code", a.code())
	}
}
