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
	before := f.nodes[1].reads.Load()
	if _, err := c.Ledger().GetNetwork(t.Context(), &ltlv1.GetNetworkRequest{}); err != nil ||
		f.nodes[1].reads.Load() != before {
		t.Errorf("a node that just failed is asked first again (error %v)", err)
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
		v, err := c.PutAccessKey(t.Context(), &ltlv1.AccessKey{AccessKeyId: fmt.Sprint("k", i)})
		if err != nil || v != uint64(i+1) {
			t.Fatalf("version %d, error %v", v, err)
		}
	}
	var seen []uint64
	stop := errors.New("enough")
	// Every node breaks off after two, so this takes three connections.
	err := c.WatchAccessKeys(t.Context(), 0, func(k *ltlv1.AccessKey) error {
		if k == nil {
			return stop
		}
		seen = append(seen, k.GetVersion())
		return nil
	})
	if !errors.Is(err, stop) || fmt.Sprint(seen) != "[1 2 3 4 5]" {
		t.Errorf("saw %v, error %v", seen, err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- c.WatchAccessKeys(ctx, 5, func(*ltlv1.AccessKey) error { cancel(); return nil }) }()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Errorf("%v, want Canceled", err)
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
