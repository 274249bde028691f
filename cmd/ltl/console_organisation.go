package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"time"

	"ltl/client"
	"ltl/console"
	"ltl/internal/identity"
	"ltl/internal/proposal"
)

// Bounds on requests to the console of an organisation, which one browser on this machine makes.
const (
	consoleHeaderTime  = 5 * time.Second
	consoleHeaderBytes = 16 << 10
	// consoleStop is how long requests may go on after a signal.
	consoleStop = 3 * time.Second
)

// serveConsole serves the console of the caller's organisation until a signal.
func (s *session) serveConsole(listen string) (err error) {
	own, err := identity.ReadCertificate(s.identity)
	if err != nil {
		return err
	}
	if own.Identity.Role != identity.RoleOperator && own.Identity.Role != identity.RoleClient {
		return fmt.Errorf("the certificate in %s is that of %s; the console is for operators and clients: give --identity "+
			"the directory of one", s.identity, own.Identity)
	}
	if err := onThisMachine(listen); err != nil {
		return err
	}
	cfg := console.OrganisationConfig{Client: s.client, Trust: s.trust, Identity: own.Identity, Expires: own.NotAfter,
		Logger: roleLogger()}
	if own.Identity.Role == identity.RoleOperator {
		cfg.Vote = s.consoleVote
	}
	c, err := console.NewOrganisation(cfg)
	if err != nil {
		return err
	}
	defer c.Close()
	l, err := net.Listen("tcp", listen)
	if err != nil {
		return fmt.Errorf("couldn't listen on --listen: %w", err)
	}
	server := &http.Server{Handler: consoleHandler(c), ReadHeaderTimeout: consoleHeaderTime,
		MaxHeaderBytes: consoleHeaderBytes}
	served := make(chan error, 1)
	go func() { served <- server.Serve(l) }()
	address := "http://" + l.Addr().String() + console.Prefix
	link := c.Link(address)
	if err := emitSentence(s.cmd, linkResult{link}, "%s reads the copy of %s. Open this once, within 15 minutes:\n\n  %s\n",
		own.Identity, own.Identity.Organisation, link); err != nil {
		return errors.Join(err, server.Close(), <-served)
	}
	select {
	case err := <-served:
		return err
	case <-s.cmd.Context().Done():
	}
	c.Close() // it ends the streams, which Shutdown waits for
	ctx, cancel := context.WithTimeout(context.Background(), consoleStop)
	defer cancel()
	if server.Shutdown(ctx) != nil { // what goes on longer is cut off
		err = server.Close()
	}
	if ended := <-served; !errors.Is(ended, http.ErrServerClosed) {
		err = errors.Join(err, ended)
	}
	return err
}

// consoleHandler gives requests to the console; the root leads there.
func consoleHandler(c *console.Console) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/" {
			http.Redirect(w, r, console.Prefix, http.StatusFound)
			return
		}
		c.ServeHTTP(w, r)
	})
}

// onThisMachine refuses an address that other machines reach.
func onThisMachine(listen string) error {
	host, _, err := net.SplitHostPort(listen)
	if err == nil {
		var a netip.Addr
		if a, err = netip.ParseAddr(host); err == nil && !a.IsLoopback() {
			err = errors.New("other machines reach it")
		}
	}
	if err != nil {
		return fmt.Errorf("--listen %s: the console takes a loopback address, as 127.0.0.1:8810: %w", listen, err)
	}
	return nil
}

// consoleVote votes as `ltl approve` and `ltl reject` do. What they print goes to standard error.
func (s *session) consoleVote(_ context.Context, id string, approve bool) error {
	var err error
	if approve {
		if _, err = s.shownProposal(id, false); err == nil {
			_, err = s.approve(id)
		}
	} else if _, err = s.ownCopy(id); err == nil {
		_, err = s.vote(id, proposal.Reject)
	}
	if err == nil || errors.Is(err, client.ErrUnavailable) {
		return err
	}
	return &console.Refusal{Code: "refused", Message: err.Error()}
}
