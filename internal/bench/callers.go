package bench

import (
	"bufio"
	"bytes"
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"ltl/client"
	"ltl/internal/identity"
	"ltl/internal/localnet"
	"ltl/internal/rules"
)

// Bounds on how clients connect before a load.
const (
	connectAtOnce  = 8
	connectTimeout = time.Minute
)

// keys makes new Keys, and values. It may be used concurrently.
type keys struct {
	chain   localnet.Chain
	account localnet.Account
	prefix  string
	next    atomic.Uint64
	size    int
}

// newKeys starts a sequence of Keys with a random prefix, so that runs on one network never share a Key.
func newKeys(n *localnet.Network, size int) (*keys, error) {
	chain, ok := n.Chain(localnet.ServiceProof)
	account, found := n.Account(localnet.RoleAdmin)
	if !ok || !found {
		return nil, errors.New("couldn't find a proof chain and its administrator " +
			"in the network's description; `ltl up` and `ltl setup` make them")
	}
	var run [8]byte
	rand.Read(run[:]) // never fails: it ends the process instead
	return &keys{
		chain: chain, account: account, size: size,
		prefix: fmt.Sprintf("0001_%s_%s_%016x", chain.BizChainCode, account.DataTypeCode, binary.BigEndian.Uint64(run[:])),
	}, nil
}

// take returns a new Key and a value that differs from all others.
func (k *keys) take() (key, value string) {
	n := fmt.Sprintf("%016x", k.next.Add(1))
	value = n + strings.Repeat("v", max(0, k.size-len(n)))
	return k.prefix + n, value[:k.size]
}

// overGRPC measures the client library, in this process, over gRPC.
func overGRPC(ctx context.Context, o Options, n *localnet.Network, k *keys) (many, lone *Load, err error) {
	trustPath := localnet.Path(o.Dir, n.Trust)
	trust, err := identity.LoadTrust(trustPath)
	if err != nil {
		return nil, nil, err
	}
	credentials, err := identity.LoadCredentials(filepath.Join(filepath.Dir(trustPath), "clients", "bench"), trust)
	if err != nil {
		return nil, nil, err
	}
	logger := slog.New(slog.NewTextHandler(o.Progress, &slog.HandlerOptions{Level: slog.LevelError}))
	clients := make([]*client.Client, max(1, o.Clients))
	for i := range clients {
		c, openErr := client.Open(client.Config{Credentials: credentials, Trust: trust, Logger: logger})
		if openErr != nil {
			return nil, nil, openErr
		}
		defer func() { err = errors.Join(err, c.Close()) }()
		clients[i] = c
	}
	callers := make([]caller, o.Callers)
	if o.Clients > 0 {
		callers = make([]caller, o.Clients)
	}
	for i := range callers {
		callers[i] = func(ctx context.Context) error { return k.set(ctx, clients[i%len(clients)]) }
	}
	if err := connect(ctx, o, callers); err != nil {
		return nil, nil, err
	}
	fmt.Fprintf(o.Progress, "gRPC: %d callers of %d clients for %s, then one\n", len(callers), len(clients), o.Duration)
	many = closedLoop(ctx, n, callers, o.Duration)
	many.Clients = o.Clients
	if many.Records+many.Failed == 0 {
		return nil, nil, fmt.Errorf("none of %d calls ended within %s: give a longer --duration, or fewer --callers or "+
			"--clients", len(callers), o.Duration)
	}
	lone = closedLoop(ctx, n, callers[:1], loneDuration)
	return many, lone, nil
}

// connect lets each of several clients write a record, connectAtOnce at a time. Hundreds of clients that connect to six
// processes at once are thousands of handshakes: on two cores the last end after the time that a server gives each, are
// repeated, and take the measured time from the calls.
func connect(ctx context.Context, o Options, callers []caller) error {
	if o.Clients == 0 {
		return nil
	}
	fmt.Fprintf(o.Progress, "gRPC: %d clients connect\n", len(callers))
	errs := make([]error, len(callers))
	var next atomic.Int64
	var wg sync.WaitGroup
	for range min(connectAtOnce, len(callers)) {
		wg.Go(func() {
			for i := int(next.Add(1)) - 1; i < len(callers); i = int(next.Add(1)) - 1 {
				one, cancel := context.WithTimeout(ctx, connectTimeout)
				errs[i] = callers[i](one)
				cancel()
			}
		})
	}
	wg.Wait()
	if i := slices.IndexFunc(errs, func(err error) bool { return err != nil }); i >= 0 {
		return fmt.Errorf("couldn't connect client %d of %d: %w", i+1, len(callers), errs[i])
	}
	return nil
}

// set writes a new record through a client.
func (k *keys) set(ctx context.Context, c *client.Client) error {
	key, value := k.take()
	result, err := c.Submit(ctx, client.SetData(k.chain.BizChainID, k.account.UID, key, value))
	if err == nil && result.GetCode() != rules.OK {
		err = fmt.Errorf("refused with %d: %s", result.GetCode(), rules.Message(result.GetCode()))
	}
	return err
}

// overHTTP measures the facade with signed requests over connections that stay open, one per caller.
func overHTTP(ctx context.Context, o Options, n *localnet.Network, k *keys) (many, lone *Load, err error) {
	signer := &localnet.Caller{Endpoint: n.Endpoint, AccessKeyID: k.account.AccessKeyID, Secret: k.account.AccessKeySecret}
	host := strings.TrimPrefix(n.Endpoint, "http://")
	callers := make([]caller, o.Callers)
	for i := range callers {
		c := &httpCaller{host: host, signer: signer, keys: k}
		defer c.close()
		callers[i] = c.call
	}
	fmt.Fprintf(o.Progress, "HTTP: %d callers for %s, then one\n", o.Callers, o.Duration)
	many = closedLoop(ctx, n, callers, o.Duration)
	lone = closedLoop(ctx, n, callers[:1], loneDuration)
	return many, lone, nil
}

// httpCaller is one connection. It writes HTTP/1.1 itself: the work of net/http's client would be charged to the
// network under measurement, as both run on the same cores.
type httpCaller struct {
	host   string
	signer *localnet.Caller
	keys   *keys
	conn   net.Conn
	reader *bufio.Reader
}

func (c *httpCaller) close() {
	if c.conn != nil {
		c.conn.Close()
		c.conn = nil
	}
}

// call writes one record. After a failure the connection is closed, and the next call opens another.
func (c *httpCaller) call(ctx context.Context) error {
	err := c.try(ctx)
	if err != nil {
		c.close() // bytes that are left in it belong to the failed call
	}
	return err
}

// try writes one record over the open connection, or opens one.
func (c *httpCaller) try(ctx context.Context) error {
	if c.conn == nil {
		var d net.Dialer
		conn, err := d.DialContext(ctx, "tcp", c.host)
		if err != nil {
			return fmt.Errorf("couldn't connect: %w", err)
		}
		c.conn, c.reader = conn, bufio.NewReader(conn)
	}
	if deadline, ok := ctx.Deadline(); ok {
		if err := c.conn.SetDeadline(deadline); err != nil {
			return fmt.Errorf("couldn't set a deadline: %w", err)
		}
	}
	key, value := c.keys.take()
	form := c.signer.Form("SetData",
		map[string]string{"ProductKey": c.keys.chain.BizChainCode, "Key": key, "Value": value})
	request := "POST / HTTP/1.1\r\nHost: " + c.host + "\r\nContent-Type: " +
		"application/x-www-form-urlencoded\r\nContent-Length: " +
		strconv.Itoa(len(form)) + "\r\n\r\n" + form
	if _, err := io.WriteString(c.conn, request); err != nil {
		return fmt.Errorf("couldn't send: %w", err)
	}
	res, err := http.ReadResponse(c.reader, nil)
	if err != nil {
		return fmt.Errorf("couldn't read the answer: %w", err)
	}
	body, err := io.ReadAll(res.Body)
	if err != nil {
		return fmt.Errorf("couldn't read the answer: %w", err)
	}
	if res.StatusCode != http.StatusOK || !bytes.Contains(body, []byte(`"Success":true`)) {
		return fmt.Errorf("refused with HTTP status %d: %s", res.StatusCode, body)
	}
	return nil
}
