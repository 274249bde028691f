package adversary

import (
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	"ltl/client"
	"ltl/internal/identity"
	"ltl/internal/rules"
	ltlv1 "ltl/proto/ltl/v1"
	"ltl/test/testkit"
	"ltl/test/testkit/offline"
)

// TestValuesOfALiar: a client with its own real key and the signatures of enough organisations brings no value onto the
// ledger that is not the one of the payload, and no payload whose value it keeps.
func TestValuesOfALiar(t *testing.T) {
	n := testkit.Start(t, testkit.Options{})
	values := offline.Values{}
	encode := func(id string) (payload []byte) {
		tx := n.SetData(n.Admin, id, "1234")
		tx.Version, tx.Submitter, tx.CreatedMs = 1, "org1/facade/f1", time.Now().UnixMilli()
		tx.Nonce = append(make([]byte, rules.NonceLen-1), id[0])
		return offline.Encode(t, values.Commit(tx))
	}
	payload := encode("x")
	right := values.Openings(payload)
	change := func(fn func(*ltlv1.Opening)) []*ltlv1.Openings {
		o := proto.CloneOf(right[0])
		fn(o.GetOpenings()[0])
		return []*ltlv1.Openings{o}
	}
	for what, openings := range map[string][]*ltlv1.Openings{
		"no openings":    nil,
		"an empty one":   {{}},
		"another value":  change(func(o *ltlv1.Opening) { o.Value = []byte("1235") }),
		"another length": change(func(o *ltlv1.Opening) { o.Value = []byte("123") }),
		"another salt":   change(func(o *ltlv1.Opening) { o.Salt[3] ^= 4 }),
		"another slot":   change(func(o *ltlv1.Opening) { o.Slot = 1 }),
	} {
		r := orderBytes(t, n, n.ChainID, payload, openings, time.Now(), "org1", "org2", "org3")
		if r.GetCode() != rules.Malformed {
			t.Errorf("%s: %v", what, r)
		}
	}
	if r := orderBytes(t, n, n.ChainID, payload, right, time.Now(), "org1", "org2", "org3"); r.GetCode() != rules.OK {
		t.Errorf("the right opening: %v", r)
	}
	got, err := n.Client(identity.RoleFacade).Ledger().GetRecord(t.Context(), &ltlv1.GetRecordRequest{
		ChainCode: n.ChainCode, Key: n.Key(n.Admin, "x"), AccountUid: n.Admin.UID})
	if err != nil || got.GetRecord().GetValue() != "1234" {
		t.Errorf("%v, %v", got, err)
	}
	// Two writes of one value have nothing in common.
	first, second := n.SetData(n.Admin, "y", "1234"), n.SetData(n.Admin, "z", "1234")
	for _, tx := range []*ltlv1.Transaction{first, second} {
		if r, err := n.Client(identity.RoleFacade).Submit(t.Context(), tx); err != nil || r.GetCode() != client.CodeOK {
			t.Fatal(r, err)
		}
	}
	if proto.Equal(first.GetSetData().GetValue(), second.GetSetData().GetValue()) {
		t.Error("the salts of two writes are equal")
	}
}
