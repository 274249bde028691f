package rules

import (
	"fmt"
	"strings"
	"testing"

	"ltl/internal/ledger"
	ltlv1 "ltl/proto/ltl/v1"
)

// counting is a View that counts what is read through it.
type counting struct {
	View
	reads, bytes int
}

func (c *counting) Get(chainID string, key []byte) ([]byte, error) {
	b, err := c.View.Get(chainID, key)
	c.reads++
	c.bytes += len(b)
	return b, err
}

// TestUploadCost: an upload reads as much on a chain with many groups, phases, members and records as on a small one.
// (A View cannot be iterated at all.)
func TestUploadCost(t *testing.T) {
	c := newCollaboration(t)
	cost := func() counting {
		v := counting{View: c.state}
		p := marshal(t, c.act(m1UID, c.upload("k", "x", "",
			&ltlv1.RelatedData{PhaseId: c.second, DataKey: "k", PhaseData: "x"})))
		x, err := Execute(c.input(c.chain.ID, c.batch(c.chain.ID, [][]byte{p}, "o1", "o2", "o3")), &v,
			ledger.VerifyEndorsement)
		if err != nil || x.Results[0][0].GetCode() != OK {
			t.Fatal(x, err)
		}
		v.View = nil
		return v
	}
	elsewhere := c.upload("k", "x", "")
	elsewhere.PhaseId = c.second
	c.must(c.act(rootUID, elsewhere), c.act(m1UID, c.upload("k", "x", "")))
	small := cost()
	for i := range 50 {
		group := c.must(c.act(rootUID, &ltlv1.CreatePhaseGroup{Name: fmt.Sprint("group", i)}))[0].GetOutput()
		phase := c.must(c.act(rootUID, &ltlv1.CreatePhase{PhaseGroupId: group, Name: "phase"}))[0].GetOutput()
		c.must(c.act(rootUID, &ltlv1.AuthorizePhases{PhaseGroupId: group, MemberId: c.m1, PhaseIds: []string{phase}}),
			c.act(m1UID, c.upload("k", "x", "")), c.act(m1UID, c.upload(fmt.Sprint("k", i), "x", "")), c.act(rootUID, elsewhere))
	}
	if large := cost(); large != small {
		t.Errorf("an upload cost %+v, on a larger chain %+v", small, large)
	}
}

// BenchmarkUpload measures a block of one batch of single uploads of 256 bytes, as BenchmarkExecute does for proof
// records.
func BenchmarkUpload(b *testing.B) {
	c := newCollaboration(b)
	var payloads [][]byte
	for i := range benchBatch {
		tx := c.act(m1UID, c.upload(fmt.Sprintf("%032d", i), strings.Repeat("v", 256), fmt.Sprintf("%064d", i)))
		signed(tx, fmt.Sprintf("%032d", i))
		payloads = append(payloads, marshal(b, tx))
	}
	in := c.input(c.chain.ID, c.batch(c.chain.ID, payloads, "o1", "o2", "o3"))
	b.ReportAllocs()
	for b.Loop() {
		x, err := Execute(in, c.state, ledger.VerifyEndorsement)
		if err != nil || x.Block.Results[benchBatch-1] != OK {
			b.Fatal(err, x.Block.Results[benchBatch-1])
		}
	}
	perTransaction(b)
}
