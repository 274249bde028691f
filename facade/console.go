package facade

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"errors"
	"net/http"
	"strconv"
	"strings"
	"time"

	"ltl/console"
)

// openConsole makes the web console of the facade.
func (f *Facade) openConsole(cfg Config) error {
	options := *cfg.Console
	options.TLS = options.TLS || cfg.TLSCert != ""
	c, err := console.New(console.Config{
		Options: options, Client: cfg.Client, SealingKey: cfg.SealingKey, Clock: f.clock, Logger: f.logger,
		Facade: console.Facade{Key: f.consoleKey, Admit: f.consoleAdmit, Act: f.consoleAct},
	})
	f.console = c
	return err
}

// dispatch gives a request to the console or to the API, or answers a probe.
func (f *Facade) dispatch(w http.ResponseWriter, r *http.Request) {
	f.callerOf(r)
	switch {
	case r.URL.Path == probePath:
		f.serveProbe(w, r)
	case f.console == nil:
		f.ServeHTTP(w, r)
	case r.URL.Path+"/" == console.Prefix:
		http.Redirect(w, r, console.Prefix, http.StatusMovedPermanently)
	case strings.HasPrefix(r.URL.Path, console.Prefix):
		beginRequest(r.Context())
		f.console.ServeHTTP(w, r)
	default:
		f.ServeHTTP(w, r)
	}
}

// consoleKey is console.Facade.Key.
func (f *Facade) consoleKey(ctx context.Context, id string) (*console.Key, error) {
	k, refused := f.keys.lookup(ctx, id)
	switch {
	case refused == nil:
	case refused.code == codeServiceUnavailable:
		return nil, console.ErrUnavailable
	default:
		return nil, console.ErrNoKey
	}
	return &console.Key{ID: k.id, UID: k.uid, MAC: func(message string) []byte {
		mac := hmac.New(sha256.New, k.secret)
		mac.Write([]byte(message))
		return mac.Sum(nil)
	}}, nil
}

// consoleAdmit is console.Facade.Admit.
func (f *Facade) consoleAdmit(ctx context.Context, uid string) (leave func(), err error) {
	leave, refused := f.accountCalls.enter(uid, time.Now())
	if refused != nil {
		f.hold(ctx, refused.retryAfter)
		return nil, refusalOf(refused)
	}
	return leave, nil
}

// consoleAct is console.Facade.Act. It runs an Action as process does after it has authenticated a call.
func (f *Facade) consoleAct(ctx context.Context, act console.Act) (console.Outcome, error) {
	a := f.actions[act.Action]
	if a == nil {
		return console.Outcome{}, refusalOf(gateway(codeActionNotFound))
	}
	q := &request{}
	for name, v := range act.Parameters {
		q.params = append(q.params, param{name: name, value: v})
	}
	if err := q.sort(); err != nil {
		return console.Outcome{}, refusalOf(err)
	}
	began := time.Now()
	c := &call{ctx: ctx, f: f, q: q, action: a, uid: act.UID, key: act.KeyID, nonce: act.Nonce}
	data, err := c.run()
	outcome := response{action: a.name}
	newRequestID(&outcome.requestID)
	if err != nil && !errors.As(err, &outcome.refusal) {
		outcome.gateway = gatewayOf(err)
	}
	f.observe(ctx, &outcome, time.Since(began))
	if err != nil {
		return console.Outcome{}, refusalOf(err)
	}
	return console.Outcome{Text: data.text, Height: c.height}, nil
}

// refusalOf is an error as the API's caller would read it.
func refusalOf(err error) error {
	var b *businessError
	if errors.As(err, &b) {
		return &console.Refusal{Code: strconv.Itoa(int(b.code)), Message: b.message}
	}
	g := gatewayOf(err)
	if g.code == codeServiceUnavailable {
		return errors.Join(console.ErrUnavailable, g)
	}
	return &console.Refusal{Code: g.code, Message: g.message}
}
