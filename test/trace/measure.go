package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"ltl/internal/localnet"
)

const (
	// idle is the time without calls that is subtracted. It holds heartbeats, elections' timers and every poll of a
	// process.
	idle = 10 * time.Second
	// settle is the time that followers and endorsers get after an answer to execute the block too.
	settle = 700 * time.Millisecond
	// rounds is how often each call is made. Code counts when it ran in every round: what a timer happens to run does not.
	rounds = 5
)

// measure builds the tree at source, runs a network of it, and returns what one write, one read and one start ran.
func measure(ctx context.Context, source string) (traces []*trace, err error) {
	dir, err := os.MkdirTemp("", "ltl-trace-")
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	binary, err := build(ctx, source, dir)
	if err != nil {
		return nil, err
	}
	data := filepath.Join(dir, "data")
	n, err := start(ctx, binary, data)
	if err != nil {
		return nil, err
	}
	traces, err = measureCalls(ctx, n, source)
	if err = errors.Join(err, n.stop()); err != nil {
		return nil, err
	}
	started, err := measureStart(ctx, binary, data, source)
	if err != nil {
		return nil, err
	}
	return append(traces, started), nil
}

// measureStart starts the network a second time, on what it holds already, and returns what ran until it was ready.
func measureStart(ctx context.Context, binary, data, source string) (*trace, error) {
	n, err := start(ctx, binary, data)
	if err != nil {
		return nil, err
	}
	all, err := n.counters(ctx)
	if err = errors.Join(err, n.stop()); err != nil {
		return nil, err
	}
	return newTrace("start", source, union(all))
}

func measureCalls(ctx context.Context, n *network, source string) ([]*trace, error) {
	member, ok := n.Account(localnet.RoleMember)
	chain, found := n.Chain(localnet.ServiceProof)
	if !ok || !found {
		return nil, errors.New("the network has no member or no proof chain")
	}
	caller := &localnet.Caller{Endpoint: n.Endpoint, AccessKeyID: member.AccessKeyID, Secret: member.AccessKeySecret}
	written := 0
	key := func() string {
		return fmt.Sprintf("0001_%s_%s_%032d", chain.BizChainCode, member.DataTypeCode, written)
	}
	write := func() error {
		written++
		return call(ctx, caller, "SetData", map[string]string{"ProductKey": chain.BizChainCode, "Key": key(),
			"Value": "21.5"})
	}
	read := func() error {
		return call(ctx, caller, "GetData", map[string]string{"ProductKey": chain.BizChainCode, "Key": key()})
	}
	// The first calls connect, and fill caches.
	for _, f := range []func() error{write, read, write, read} {
		if err := f(); err != nil {
			return nil, err
		}
	}
	if err := wait(ctx, settle); err != nil {
		return nil, err
	}
	background, err := n.window(ctx, func() error { return wait(ctx, idle) })
	if err != nil {
		return nil, err
	}
	var traces []*trace
	for _, c := range []struct {
		name string
		make func() error
	}{{"write", write}, {"read", read}} {
		ran := profile{}
		for range rounds {
			around, err := n.window(ctx, func() error { return errors.Join(c.make(), wait(ctx, settle)) })
			if err != nil {
				return nil, err
			}
			for pid, p := range around {
				p.subtract(background[pid])
			}
			for b := range union(around) {
				ran[b]++
			}
		}
		ran.dropBelow(rounds)
		t, err := newTrace(c.name, source, ran)
		if err != nil {
			return nil, err
		}
		traces = append(traces, t)
	}
	return traces, nil
}

// window returns what every process ran while f did.
func (n *network) window(ctx context.Context, f func() error) (map[int]profile, error) {
	if err := n.clear(); err != nil {
		return nil, err
	}
	if err := f(); err != nil {
		return nil, err
	}
	return n.counters(ctx)
}

func call(ctx context.Context, c *localnet.Caller, action string, parameters map[string]string) error {
	status, body, err := c.Call(ctx, action, parameters)
	if err == nil && status != http.StatusOK {
		err = fmt.Errorf("%s: %d %s", action, status, body)
	}
	return err
}

func wait(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
		return nil
	}
}
