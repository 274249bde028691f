package rules

import (
	"bytes"
	"errors"
	"reflect"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"

	ltlv1 "ltl/proto/ltl/v1"
)

// FuzzPhaseState: what a parser of collaboration's state takes, its encoder gives back byte for byte; nothing else is
// taken.
func FuzzPhaseState(f *testing.F) {
	c := newCollaboration(f)
	for k, v := range c.state[c.chain.ID] {
		if strings.Contains(prefixPhaseGroup+prefixPhase+prefixPermission, k[:1]) {
			f.Add(v)
		}
	}
	f.Add([]byte{stateVersion, 0xff, 0xff, 0xff, 0xff})
	f.Fuzz(func(t *testing.T, b []byte) {
		check := func(kind string, encode func() []byte, err error) {
			if err != nil {
				if !errors.Is(err, ErrState) {
					t.Fatalf("%s: %v", kind, err)
				}
				return
			}
			if !bytes.Equal(encode(), b) {
				t.Fatalf("%s: %x became %x", kind, b, encode())
			}
		}
		g, err := parsePhaseGroup(b)
		check("phase group", g.encode, err)
		p, err := parsePhase(b)
		check("phase", p.encode, err)
		s, err := parsePhaseTotals(b)
		check("phase totals", s.encode, err)
		r, err := parsePermission(b)
		check("permission", r.encode, err)
	})
}

func TestPhaseStateRoundTrip(t *testing.T) {
	g := &PhaseGroup{ID: "1", Name: "组", Remark: "r", Phases: []string{"a", "", "b"}, CreatedHeight: 1 << 60,
		CreatedIndex: 7}
	if got, err := parsePhaseGroup(g.encode()); err != nil || !reflect.DeepEqual(got, g) {
		t.Errorf("%+v, %v", got, err)
	}
	p := &Phase{ID: "1", GroupID: "2", Name: "段", Remark: "r", Code: "0F0F", CreatedHeight: 3, CreatedIndex: 1 << 31}
	if got, err := parsePhase(p.encode()); err != nil || !reflect.DeepEqual(got, p) {
		t.Errorf("%+v, %v", got, err)
	}
	s := &PhaseTotals{Groups: 1 << 63, Phases: 2}
	if got, err := parsePhaseTotals(s.encode()); err != nil || !reflect.DeepEqual(got, s) {
		t.Errorf("%+v, %v", got, err)
	}
	for _, list := range [][]string{nil, {"a"}, {"a", "b"}} {
		r := &permission{list}
		if got, err := parsePermission(r.encode()); err != nil || !reflect.DeepEqual(got, r) {
			t.Errorf("%+v, %v", got, err)
		}
	}
}

// FuzzUpload: no upload, whatever it holds, is a failure of the rules; Check, Preview and Execute agree on it; what
// is refused writes nothing but its own id.
func FuzzUpload(f *testing.F) {
	c := newCollaboration(f)
	c.must(c.act(m1UID, c.upload("k", "x", "s")))
	related := &ltlv1.RelatedData{PhaseId: c.first, DataKey: "k", PhaseData: "x", DataSeq: "s"}
	device := &ltlv1.DeviceProof{AuthType: "ID2", IotId: "i", ProductKey: "p", DataDigest: strings.Repeat("A", 64),
		Signature: "3~2~1~1~a", Source: "1"}
	list := c.batchOf()
	list.List, list.Device = `{"1":{"dataKey":"a","phaseData":"b"}}`, device
	for _, u := range []*ltlv1.UploadPhaseData{
		c.upload("k", "y", "", related), c.upload("k", "y", "s"), c.batchOf(&ltlv1.PhaseItem{DataKey: "a", PhaseData: "b"},
			&ltlv1.PhaseItem{}), list, {},
	} {
		b, err := proto.Marshal(u)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		u := &ltlv1.UploadPhaseData{}
		if proto.Unmarshal(b, u) != nil || proto.Size(u) > MaxTransaction/2 {
			return
		}
		w := c.copy()
		w.t = t
		tx := w.act(m1UID, u)
		code := w.code(tx)
		p := marshal(t, tx)
		x := w.execute(w.chain.ID, w.batch(w.chain.ID, [][]byte{p}, "o1", "o2", "o3"))
		switch {
		case Message(code) == Message(0):
			t.Fatalf("code %d", code)
		case code != OK && code != Malformed && len(x.Writes) != 1:
			t.Fatalf("%d writes of a transaction that ended with %d", len(x.Writes), code)
		}
		w.commit(w.chain.ID, x)
		if again := w.execute(w.chain.ID, w.batch(w.chain.ID, [][]byte{p}, "o1", "o2", "o3")); code == OK &&
			again.Results[0][0].GetOutput() != x.Results[0][0].GetOutput() {
			t.Fatalf("the second time %v, the first time %v", again.Results, x.Results)
		}
	})
}

// TestCollaborationHasNoMapOrder: one input, one header, however the maps inside are ordered; no key is written twice.
func TestCollaborationHasNoMapOrder(t *testing.T) {
	c := newCollaboration(t)
	var payloads [][]byte
	for i := range 60 {
		var tx *ltlv1.Transaction
		switch i % 4 {
		case 0:
			tx = c.act(rootUID, &ltlv1.CreatePhase{PhaseGroupId: c.group, Name: "phase"})
		case 1:
			tx = c.act(rootUID, &ltlv1.AuthorizePhases{PhaseGroupId: c.group, MemberId: c.m2,
				PhaseIds: []string{c.second, c.first}})
		case 2:
			tx = c.act(m2UID, c.upload("k", "x", ""))
		default:
			tx = c.act(m1UID, c.batchOf(many(5, func(i int) *ltlv1.PhaseItem {
				return &ltlv1.PhaseItem{DataKey: []string{"a", "b"}[i%2], PhaseData: "x"}
			})...))
		}
		payloads = append(payloads, marshal(t, tx))
	}
	first := c.execute(c.chain.ID, c.batch(c.chain.ID, payloads, "o1", "o2", "o3"))
	seen := map[string]bool{}
	for _, w := range first.Writes {
		if seen[string(w.Key)] || len(w.Value) == 0 {
			t.Errorf("key %q is written twice, or without a value", w.Key)
		}
		seen[string(w.Key)] = true
	}
	for range 20 {
		if x := c.execute(c.chain.ID, c.batch(c.chain.ID, payloads, "o1", "o2", "o3")); x.Hash != first.Hash {
			t.Fatalf("block %x, the first run made %x", x.Hash, first.Hash)
		}
	}
}
