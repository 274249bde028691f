package client_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"go.uber.org/goleak"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"ltl/client"
	ltlv1 "ltl/proto/ltl/v1"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestReadFailsOver(t *testing.T) {
	f := startFake(t, 3, "any")
	c := f.client(func(cfg *client.Config) { cfg.PreferNode = "n2" })
	if _, err := c.Ledger().GetNetwork(t.Context(), &ltlv1.GetNetworkRequest{}); err != nil {
		t.Fatal(err)
	}
	if f.nodes[1].reads.Load() != 1 {
		t.Error("the preferred node was not asked first")
	}
	down := status.Error(codes.Unavailable, "no leader")
	f.nodes[1].readError.Store(&down)
	if _, err := c.Ledger().GetNetwork(t.Context(), &ltlv1.GetNetworkRequest{}); err != nil {
		t.Fatalf("one node down: %v", err)
	}
	for attempt := 0; ; attempt++ { // on a busy machine the node's pause may be over before the next read
		before, began := f.nodes[1].reads.Load(), time.Now()
		if _, err := c.Ledger().GetNetwork(t.Context(), &ltlv1.GetNetworkRequest{}); err != nil {
			t.Fatal(err)
		}
		if f.nodes[1].reads.Load() == before {
			break
		}
		if attempt == 20 {
			t.Fatalf("a node that just failed is asked first again, %v after it", time.Since(began))
		}
	}
	bad := status.Error(codes.InvalidArgument, "no such page")
	for _, n := range f.nodes {
		n.readError.Store(&bad)
	}
	_, err := c.Ledger().GetNetwork(t.Context(), &ltlv1.GetNetworkRequest{})
	if status.Code(err) != codes.InvalidArgument || errors.Is(err, client.ErrUnavailable) {
		t.Errorf("%v, want InvalidArgument as it is", err)
	}
	for _, n := range f.nodes {
		n.readError.Store(&down)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	if _, err := c.Ledger().GetNetwork(ctx, &ltlv1.GetNetworkRequest{}); !errors.Is(err, client.ErrUnavailable) {
		t.Errorf("%v, want ErrUnavailable", err)
	}
	go func() {
		time.Sleep(200 * time.Millisecond)
		f.nodes[2].readError.Store(nil)
	}()
	if _, err := c.Ledger().GetNetwork(t.Context(), &ltlv1.GetNetworkRequest{}); err != nil {
		t.Errorf("a read does not outlast an election: %v", err)
	}
}

func TestAccessKeys(t *testing.T) {
	f := startFake(t, 3, "any")
	f.leader.Store(1)
	c := f.client(nil)
	for i := range 5 {
		if err := c.PutSealed(t.Context(), fmt.Sprint("k", i), nil); err != nil {
			t.Fatal(err)
		}
	}
	var seen []uint64
	stop := errors.New("enough")
	// Every node breaks off after two, so this takes three connections.
	err := c.WatchSealed(t.Context(), 0, func(k *ltlv1.SealedKey) error {
		if k == nil {
			return stop
		}
		seen = append(seen, k.GetVersion())
		return nil
	})
	if !errors.Is(err, stop) || fmt.Sprint(seen) != "[1 2 3 4 5]" {
		t.Errorf("saw %v, error %v", seen, err)
	}
	// A watcher that misses something gets everything again, from another node.
	seen, asked := nil, false
	err = c.WatchSealed(t.Context(), 0, func(k *ltlv1.SealedKey) error {
		switch {
		case k == nil:
			return stop
		case k.GetVersion() == 2 && !asked:
			asked = true
			return client.ErrAnotherNode
		}
		seen = append(seen, k.GetVersion())
		return nil
	})
	if !errors.Is(err, stop) || fmt.Sprint(seen) != "[1 1 2 3 4 5]" {
		t.Errorf("after another node was asked: saw %v, error %v", seen, err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- c.WatchSealed(ctx, 5, func(*ltlv1.SealedKey) error { cancel(); return nil }) }()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Errorf("%v, want Canceled", err)
	}
}

// TestWithheldSecrets: a node that holds the stream of sealed secrets open and sends nothing, or invented ones without
// end, is left for another one.
func TestWithheldSecrets(t *testing.T) {
	f := startFake(t, 3, "any")
	for name, lie := range map[string]func(ltlv1.Operator_WatchSealedServer) error{
		"nothing": func(s ltlv1.Operator_WatchSealedServer) error { <-s.Context().Done(); return s.Context().Err() },
		"without end": func(s ltlv1.Operator_WatchSealedServer) error {
			for i := uint64(1); ; i++ {
				k := &ltlv1.SealedKey{AccessKeyId: "invented", Version: i}
				if err := s.Send(&ltlv1.WatchSealedResponse{Sealed: k}); err != nil {
					return err
				}
				time.Sleep(time.Millisecond)
			}
		},
	} {
		f.nodes[0].watch.Store(&lie)
		c := f.client(nil)
		c.SetSealedSilence(200 * time.Millisecond)
		stop := errors.New("enough")
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		if err := c.WatchSealed(ctx, 0, func(k *ltlv1.SealedKey) error {
			if k == nil {
				return stop
			}
			return nil
		}); !errors.Is(err, stop) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestStatus(t *testing.T) {
	f := startFake(t, 3, "any")
	c := f.client(nil)
	st, err := c.Ledger().Status(t.Context(), "n2")
	if err != nil || st.GetId() != "org2/node/n2" {
		t.Errorf("%v %v", st, err)
	}
	if _, err := c.Ledger().Status(t.Context(), "n9"); err == nil {
		t.Error("a node that does not exist has a status")
	}
}

// TestAt: a reader of one process asks it alone, also for blocks, and learns no addresses of it.
func TestAt(t *testing.T) {
	f := startFake(t, 3, "any")
	c := f.client(nil)
	if _, err := c.Ledger().Status(t.Context(), "n2"); err != nil { // what a client reads by itself is read
		t.Fatal(err)
	}
	at := c.Ledger().At("n2")
	before := [3]int32{f.nodes[0].reads.Load(), f.nodes[1].reads.Load(), f.nodes[2].reads.Load()}
	if _, err := at.GetNetwork(t.Context(), &ltlv1.GetNetworkRequest{}); err != nil {
		t.Fatal(err)
	}
	if f.nodes[1].reads.Load() != before[1]+1 || f.nodes[0].reads.Load() != before[0] || f.nodes[2].reads.Load() != before[2] {
		t.Error("another process was asked than the one that is named")
	}
	down := status.Error(codes.Unavailable, "down")
	f.nodes[1].readError.Store(&down)
	if _, err := at.GetNetwork(t.Context(), &ltlv1.GetNetworkRequest{}); !errors.Is(err, client.ErrUnavailable) {
		t.Errorf("a process that does not answer: %v, want ErrUnavailable", err)
	}
	none := c.Ledger().At("n9")
	if _, err := none.GetNetwork(t.Context(), &ltlv1.GetNetworkRequest{}); err == nil {
		t.Error("a process that does not exist answers")
	}
	if err := none.Blocks(t.Context(), &ltlv1.BlocksRequest{}, func(*ltlv1.Block) error { return nil }); err == nil {
		t.Error("a process that does not exist has blocks")
	}
	if err := none.Follow(t.Context(), 0, func(uint64, *client.Block) error { return nil }); err == nil {
		t.Error("a process that does not exist is followed")
	}
}
