package identity

import (
	"testing"
	"time"
)

// TestServersAllowTheClientsPings guards against ENHANCE_YOUR_CALM: a server hangs up on pings that come faster than its policy.
func TestServersAllowTheClientsPings(t *testing.T) {
	const grpcLeast = 10 * time.Second // gRPC raises a client's smaller value to this, silently
	if pingMinTime > keepaliveTime || keepaliveTime < grpcLeast {
		t.Errorf("clients ping every %v, servers allow every %v", keepaliveTime, pingMinTime)
	}
}
