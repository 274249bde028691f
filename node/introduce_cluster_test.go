package node

import (
	"context"
	"encoding/hex"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	ltlv1 "ltl/proto/ltl/v1"
)

// TestCallsNameTheDisk: a node's certificate alone is not enough for what depends on a node's memory: the call must name the caller's disk, the
// disk that is meant and the lineage. A wiped node would confirm to an old leader that it still leads.
func TestCallsNameTheDisk(t *testing.T) {
	c := newCluster(t, nil)
	c.leader()
	n1, n2 := c.node(0), c.node(1)
	eventually(t, 20*time.Second, "n1 takes part, so that it has met n2", n1.intro.isOpen)
	from, to := hex.EncodeToString(n2.intro.disk.incarnation), hex.EncodeToString(n1.intro.disk.incarnation)
	other := hex.EncodeToString(make([]byte, incarnationLen))
	orderer := ltlv1.NewOrdererClient(c.conn(0, "nodes", "n2"))
	for _, call := range []struct {
		what  string
		given []string
		want  codes.Code
	}{
		{"as it is", []string{metadataFrom, from, metadataTo, to, metadataLineage, ""}, codes.OK},
		{"nothing named", nil, codes.FailedPrecondition},
		{"another disk of the caller", []string{metadataFrom, other, metadataTo, to, metadataLineage, ""}, codes.FailedPrecondition},
		{"another disk is meant", []string{metadataFrom, from, metadataTo, other, metadataLineage, ""}, codes.FailedPrecondition},
		{"another lineage", []string{metadataFrom, from, metadataTo, to, metadataLineage, other}, codes.FailedPrecondition},
		{"the caller's disk named twice", []string{metadataFrom, from, metadataFrom, from, metadataTo, to, metadataLineage, ""}, codes.FailedPrecondition},
	} {
		ctx := metadata.AppendToOutgoingContext(context.Background(), call.given...)
		if _, err := orderer.ConfirmTerm(ctx, &ltlv1.ConfirmTermRequest{}); status.Code(err) != call.want {
			t.Errorf("%s: %v, want %v", call.what, err, call.want)
		}
	}
}
