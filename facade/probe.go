package facade

import (
	"context"
	"errors"
	"io"
	"net/http"
	"time"

	ltlv1 "ltl/proto/ltl/v1"
)

// probePath is where a balancer asks whether this facade can write. It needs no AccessKey.
const probePath = "/health"

// probeUID is no account's: a read of it costs a node as little as a read can.
const probeUID = "0000000000000000"

// probed is the newest answer to a probe.
type probed struct {
	err error
	at  time.Time
}

// serveProbe answers 200 while writes work, and 503 otherwise. How many calls are under way does not matter: a balancer
// must not take a busy facade for a broken one.
func (f *Facade) serveProbe(w http.ResponseWriter, r *http.Request) {
	beginRequest(r.Context())
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		w.Header().Set("Allow", "GET, HEAD")
		http.Error(w, "GET or HEAD", http.StatusMethodNotAllowed)
		return
	}
	status, text := http.StatusOK, "writes work\n"
	if err := f.writable(r.Context()); err != nil {
		f.logger.Debug("a probe fails", "error", err)
		status, text = http.StatusServiceUnavailable, "writes do not work\n" // why is for the log, as anyone may ask
	}
	h := w.Header()
	h.Set("Content-Type", "text/plain;charset=utf-8")
	h.Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_, _ = io.WriteString(w, text)
}

// writable returns why writes do not work, or nil. The network is asked once in probeAge, however many ask.
func (f *Facade) writable(ctx context.Context) error {
	if err := f.Ready(); err != nil {
		return err
	}
	fresh := func() *probed {
		if p := f.probed.Load(); p != nil && time.Since(p.at) < probeAge {
			return p
		}
		return nil
	}
	for {
		if p := fresh(); p != nil {
			return p.err
		}
		err := f.probing.do(ctx, func() error {
			if fresh() == nil {
				ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), probeTimeout)
				defer cancel()
				f.probed.Store(&probed{err: f.net.Writable(ctx), at: time.Now()})
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
}

// errNoEndorser is why a facade cannot write although the nodes answer.
var errNoEndorser = errors.New("the endorser of the facade's organisation does not answer")

// Writable returns why no write can succeed, or nil: a majority of the nodes confirms a leader, which a linearizable read
// needs, and the endorser answers without which the facade writes nothing.
func (n clientNetwork) Writable(ctx context.Context) error {
	if _, err := n.GetAccount(ctx, &ltlv1.GetAccountRequest{Uid: probeUID}); err != nil {
		return err
	}
	if _, err := n.Status(ctx, "endorser/"+n.Organisation()); err != nil {
		return errors.Join(errNoEndorser, err)
	}
	return nil
}
