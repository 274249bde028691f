package client

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"pgregory.net/rapid"

	"ltl/internal/ledger"
	"ltl/internal/policy"
	"ltl/internal/rules"
	ltlv1 "ltl/proto/ltl/v1"
)

// TestTallyDecides: a tally is decided exactly when no way in which the open votes may still fall changes any call's fate.
func TestTallyDecides(t *testing.T) {
	policies := []string{"submitter & majority", "majority", "any", "all", "2-of", "1-of(a,b) & org(c)", "submitter"}
	rapid.Check(t, func(rt *rapid.T) {
		parsed, err := policy.Parse(rapid.SampledFrom(policies).Draw(rt, "policy"))
		if err != nil {
			rt.Fatal(err)
		}
		ch := &chain{id: "1", policy: parsed, organisations: []string{"a", "b", "c", "d"}[:rapid.IntRange(1, 4).Draw(rt, "organisations")]}
		n := len(ch.organisations)
		calls := make([]*call, rapid.IntRange(1, 3).Draw(rt, "calls"))
		for i := range calls {
			calls[i] = &call{organisation: rapid.SampledFrom([]string{"a", "b", "e"}).Draw(rt, "submitter")}
		}
		tally := newTally(ch, calls)
		tally.open = tally.everybody()
		for o := range n {
			switch rapid.IntRange(0, 2).Draw(rt, "vote") {
			case 0: // still open
			case 1:
				tally.add(vote{organisation: o, err: errGarbage})
			case 2:
				v := vote{organisation: o, accepted: make([]bool, len(calls)), codes: make([]int32, len(calls))}
				for i := range calls {
					v.accepted[i], v.codes[i] = rapid.Bool().Draw(rt, "accepts"), rules.Forbidden
				}
				tally.add(v)
			}
		}
		if got, want := tally.decided(), !mayChange(tally); got != want {
			rt.Fatalf("decided is %v, want %v: %+v", got, want, tally)
		}
	})
}

// mayChange tries every way in which the open votes may fall, on each call: it is endorsed, refused for good (also if all that failed
// to answer had accepted), or neither. That it may be refused for good counts once somebody has refused it.
func mayChange(t *tally) bool {
	for i, k := range t.calls {
		fates := map[string]bool{}
		for mask := range orgSet(1 << len(t.chain.organisations)) {
			signed := t.signed[i] | t.open&mask
			willing := t.everybody() &^ t.refused[i] &^ (t.open &^ mask)
			q := t.chain.policy.Quorum(t.chain.organisations)
			satisfied := func(by orgSet) bool {
				return q.Satisfied(policy.Subject{Submitter: q.Set(k.organisation)}, policy.Set(by))
			}
			switch {
			case satisfied(signed):
				fates["endorsed"] = true
			case t.refused[i] != 0 && !satisfied(willing):
				fates["refused"] = true
			default:
				fates["neither"] = true
			}
		}
		if len(fates) > 1 {
			return true
		}
	}
	return false
}

func TestRefusalCode(t *testing.T) {
	parsed, err := policy.Parse("all")
	if err != nil {
		t.Fatal(err)
	}
	ch := &chain{id: "1", policy: parsed, organisations: []string{"a", "b", "c", "d"}}
	for _, tc := range []struct {
		submitter string
		codes     []int32 // 0 for no answer
		want      int32
	}{
		{"a", []int32{rules.NotFound, rules.Forbidden, rules.Forbidden, 0}, rules.NotFound},
		{"d", []int32{rules.NotFound, rules.Forbidden, rules.Forbidden, 0}, rules.Forbidden},
		{"d", []int32{rules.Forbidden, rules.NotFound, rules.OK, rules.OK}, rules.Forbidden},
		{"x", []int32{rules.OK, rules.OK, rules.QuotaExceeded, rules.OK}, rules.QuotaExceeded},
		{"x", []int32{0, 0, 0, 0}, rules.NotEndorsed},
	} {
		tally := newTally(ch, []*call{{organisation: tc.submitter}})
		for o, code := range tc.codes {
			if code != 0 {
				tally.add(vote{organisation: o, accepted: []bool{code == rules.OK}, codes: []int32{code}})
			}
		}
		if got := tally.refusal(0); got != tc.want {
			t.Errorf("submitter %s, codes %v: %d, want %d", tc.submitter, tc.codes, got, tc.want)
		}
	}
}

func TestMissingTellsOverload(t *testing.T) {
	parsed, err := policy.Parse("all")
	if err != nil {
		t.Fatal(err)
	}
	tally := newTally(&chain{policy: parsed, organisations: []string{"a", "b"}}, []*call{{}})
	tally.add(vote{organisation: 0, err: status.Error(codes.Unavailable, "down")})
	if err := tally.missing(0); !errors.Is(err, ErrUnavailable) {
		t.Error(err)
	}
	tally.add(vote{organisation: 1, err: status.Error(codes.ResourceExhausted, "busy")})
	if err := tally.missing(0); !errors.Is(err, ErrOverloaded) {
		t.Error(err)
	}
}

// TestFlightIsFresh: nobody gets the answer of a run that began before the question.
func TestFlightIsFresh(t *testing.T) {
	var wg sync.WaitGroup
	var clock, runs atomic.Int64
	f := &flight[int64]{
		spawn: func(fn func()) bool { wg.Go(fn); return true },
		run: func() (int64, error) {
			runs.Add(1)
			began := clock.Add(1)
			time.Sleep(time.Millisecond)
			return began, nil
		},
	}
	const asks = 400
	for i := range asks {
		wg.Go(func() {
			time.Sleep(time.Duration(i%20) * time.Millisecond)
			asked := clock.Add(1)
			began, err := f.do(context.Background())
			if err != nil || began < asked {
				t.Errorf("asked at %d, answered by a run that began at %d (error %v)", asked, began, err)
			}
		})
	}
	wg.Wait()
	if n := runs.Load(); n > asks/2 {
		t.Errorf("%d runs for %d questions: nothing was shared", n, asks)
	}
	f.spawn = func(func()) bool { return false }
	if _, err := f.do(context.Background()); !errors.Is(err, ErrClosed) {
		t.Errorf("%v, want ErrClosed", err)
	}
}

func TestBreaker(t *testing.T) {
	var b breaker
	if b.open() || b.record(true) {
		t.Error("a fresh breaker is open, or an answer is news to it")
	}
	if !b.record(false) || !b.open() || b.record(false) {
		t.Error("the first failure opens, and only the first is news")
	}
	if b.pause != firstBreak {
		t.Errorf("failures of requests under way count again: the pause is %v", b.pause)
	}
	for range 20 {
		b.until = time.Now()
		b.record(false)
	}
	if b.pause != lastBreak {
		t.Errorf("the pause is %v, want %v", b.pause, lastBreak)
	}
	if !b.record(true) || b.open() {
		t.Error("an answer closes it, and is news")
	}
	for range maxOutstanding {
		if !b.begin() {
			t.Error("refused below the bound")
		}
	}
	if b.begin() || b.usable() {
		t.Error("took more than the bound")
	}
	b.end()
	if !b.begin() {
		t.Error("refused below the bound")
	}
}

// FuzzVerify: whatever an endorser answers, it counts for nothing that it did not sign. The seeds are a sound answer and small
// changes of it.
func FuzzVerify(f *testing.F) {
	key := ed25519.NewKeyFromSeed(bytes.Repeat([]byte{7}, ed25519.SeedSize))
	public := key.Public().(ed25519.PublicKey)
	c := &Client{directory: &directory{network: ledger.Hash{1}}}
	ch := &chain{id: "1000000000000001", organisations: []string{"a"}, keys: []ed25519.PublicKey{public}}
	in := &ltlv1.EndorseRequest{ChainId: ch.id, Transactions: [][]byte{[]byte("one"), []byte("two"), []byte("three")}}
	var ids []ledger.Hash
	for _, p := range in.GetTransactions() {
		ids = append(ids, ledger.TransactionID(p))
	}
	root := ledger.BatchRoot(ids)
	sound := (&ledger.Statement{
		NetworkID: ledger.Hash{1}, ChainID: ch.id, Root: root, Count: 3, KeyID: ledger.KeyID(public), Organisation: "a", Accepted: []byte{0xa0},
	}).Sign(key)
	f.Add(sound.GetStatement(), sound.GetSignature(), int32(200), int32(403), int32(200))
	f.Add(sound.GetStatement(), sound.GetSignature(), int32(200), int32(200), int32(200))
	f.Add(sound.GetStatement()[:50], sound.GetSignature(), int32(200), int32(403), int32(200))
	f.Add(sound.GetStatement(), []byte(nil), int32(0), int32(0), int32(0))
	f.Fuzz(func(t *testing.T, statement, signature []byte, a, b, d int32) {
		out := &ltlv1.EndorseResponse{Endorsement: &ltlv1.Endorsement{Statement: statement, Signature: signature}, Codes: []int32{a, b, d}}
		accepted, err := c.verify(t.Context(), ch, 0, in, out, root)
		signed := bytes.Equal(statement, sound.GetStatement()) && bytes.Equal(signature, sound.GetSignature())
		if (err == nil) != (signed && b != rules.OK) {
			t.Fatalf("signed is %v, error %v", signed, err)
		}
		if err == nil && fmt.Sprint(accepted) != "[true false true]" {
			t.Fatalf("accepted %v", accepted)
		}
	})
}

// TestNamesCountForDevicesOnly: whatever the answers name, a transaction that no device signed needs what the policy says and no more;
// one that a device signed needs at least that, and all who were named unless the answers contradict one another.
func TestNamesCountForDevicesOnly(t *testing.T) {
	parsed, err := policy.Parse("2-of")
	if err != nil {
		t.Fatal(err)
	}
	rapid.Check(t, func(rt *rapid.T) {
		ch := &chain{id: "1", policy: parsed, organisations: []string{"a", "b", "c", "d"}}
		calls := []*call{{organisation: "a"}, {organisation: "a", device: true, disputed: rapid.Bool().Draw(rt, "disputed")}}
		tally := newTally(ch, calls)
		tally.open = tally.everybody()
		named, silent := map[string]bool{}, false
		for o := range ch.organisations {
			v := vote{organisation: o, accepted: make([]bool, 2), codes: []int32{rules.Forbidden, rules.Forbidden}}
			for i := range calls {
				v.accepted[i] = rapid.Bool().Draw(rt, "accepts")
			}
			for range rapid.IntRange(0, 3).Draw(rt, "names") {
				v.required = append(v.required, rapid.SampledFrom([]string{"", "a", "d", "x"}).Draw(rt, "name"))
			}
			known := len(v.required) == 2 && (v.required[1] == "a" || v.required[1] == "d")
			if known {
				named[v.required[1]] = true
			}
			silent = silent || v.accepted[1] && !known
			tally.add(v)
		}
		for mask := range orgSet(1 << len(ch.organisations)) {
			if tally.complete(0, mask) != tally.enough(0, mask) {
				rt.Fatalf("a record without a device is judged by what is named: %+v", tally.needs)
			}
			want := tally.enough(1, mask) && (!named["a"] || mask.has(0)) && (!named["d"] || mask.has(3))
			if tally.complete(1, mask) != want {
				rt.Fatalf("a device's upload with signatures %b is complete: %v, want %v: %+v", mask, !want, want, tally.needs)
			}
		}
		if got, want := tally.disputed(1), !calls[1].disputed && (len(named) > 1 || len(named) == 1 && silent); got != want || tally.disputed(0) {
			rt.Fatalf("disputed is %v, want %v: %+v", got, want, tally.needs)
		}
	})
}
