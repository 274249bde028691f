package console

import (
	"context"
	"testing"
	"time"

	"ltl/client"
)

// TestHub: a stream gets the newest block of its chain and none of another, a slow one takes no memory, the network is
// followed while there are streams, and closing ends all.
func TestHub(t *testing.T) {
	following := make(chan func(client.BlockHeader))
	ended := make(chan struct{})
	h := newHub(func(ctx context.Context, fn func(client.BlockHeader)) error {
		following <- fn
		<-ctx.Done()
		ended <- struct{}{}
		return ctx.Err()
	})
	mine, other := h.join("1"), h.join("2")
	deliver := <-following
	for height := range uint64(100) {
		deliver(client.BlockHeader{ChainID: "1", Height: height})
	}
	if b := <-mine.newest; b.Height != 99 {
		t.Errorf("the newest block has height %d", b.Height)
	}
	select {
	case b := <-other.newest:
		t.Errorf("a stream of chain 2 got block %d of chain %s", b.Height, b.ChainID)
	default:
	}
	h.leave(mine)
	h.leave(other)
	<-ended
	last := h.join("1")
	<-following
	for range maxStreams - 1 {
		if h.join("3") == nil {
			t.Fatal("a stream is refused")
		}
	}
	if h.join("3") != nil {
		t.Error("there are more streams than the bound")
	}
	go h.close()
	<-ended
	select {
	case <-last.ended:
	case <-time.After(10 * time.Second):
		t.Error("closing does not end a stream")
	}
	h.close()
	if h.join("1") != nil {
		t.Error("a closed hub takes a stream")
	}
}
