package console_test

import (
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"testing"

	"ltl/console"
	"ltl/internal/ledger"
	"ltl/internal/rules"
	ltlv1 "ltl/proto/ltl/v1"
)

// confinement has a member, one that is locked, and accounts of other chains read every page of every block and
// transaction: no byte of what they may not read is in any answer.
func (w *world) confinement() {
	for _, p := range []*person{w.member, w.locked, w.outsider} {
		w.signIn(p)
	}
	var ids []string
	for _, c := range []*ltlv1.ChainInfo{w.proof, w.group} {
		ids = append(ids, w.transactions(c.GetChainId())...)
	}
	read := 0
	var seen sync.Map
	var all sync.WaitGroup
	places := make(chan struct{}, 8)
	for _, r := range console.Rows() {
		if r.Method != http.MethodGet || strings.HasSuffix(r.Path, "/live") {
			continue
		}
		paths := w.paths(r.Path, ids)
		if strings.Contains(r.Path, "{height}") {
			for h := range 40 {
				paths = append(paths, strings.NewReplacer("{chain}", w.proof.GetChainId(), "{height}", itoa(h)).Replace(r.Path))
			}
		}
		if strings.HasSuffix(r.Path, "/records") {
			for _, owner := range []*person{w.admin, w.member, w.other} {
				paths = append(paths, strings.ReplaceAll(r.Path, "{chain}", w.proof.GetChainId())+"?key="+w.keyOf(owner, "a"))
			}
		}
		if strings.HasSuffix(r.Path, "/search") {
			for _, id := range ids {
				paths = append(paths, r.Path+"?q="+id)
			}
		}
		for _, path := range paths {
			for _, p := range []*person{w.member, w.locked, w.outsider} {
				read++
				places <- struct{}{}
				all.Go(func() {
					defer func() { <-places }()
					body := w.get(p.browser, path).body
					for _, text := range w.foreign {
						leaks(w.t, p, path, body, text)
					}
					for _, text := range w.own {
						if p != w.member {
							leaks(w.t, p, path, body, text)
						} else if strings.Contains(body, text) {
							seen.Store(text, true)
						}
					}
				})
			}
		}
	}
	all.Wait()
	if read < 300 {
		w.t.Errorf("only %d answers were read", read)
	}
	for _, text := range w.own {
		if _, ok := seen.Load(text); !ok {
			w.t.Errorf("the member does not see its own record %s", text)
		}
	}
}

// leaks reports a text in an answer, plain or in one of the encodings that pages have.
func leaks(t *testing.T, p *person, path, body, text string) {
	t.Helper()
	b64 := base64.StdEncoding.EncodeToString([]byte(text))
	for _, form := range []string{text, hex.EncodeToString([]byte(text)), b64[:len(b64)-4]} {
		if strings.Contains(body, form) {
			t.Errorf("%s as %s has %q, which that account may not read", path, p.name, text)
		}
	}
}

// TestSees: of random transactions a member sees what it sent itself, and of those that took effect the records under its
// own code, on a collaboration chain all records. The administrator sees all of the chain, and no one anything of another.
func TestSees(t *testing.T) {
	const chain, code, me, foreign = "0000000000000042", "AAAAaaaa0000bbbb", "100000000000000001", "100000000000000002"
	random := rand.New(rand.NewPCG(1, 2))
	pick := func(of ...string) string { return of[random.IntN(len(of))] }
	shown := 0
	for i := range 20000 {
		proof := random.IntN(2) == 0
		info := &ltlv1.ChainInfo{ChainId: chain, ChainCode: code, Chain: &ltlv1.CreateChain{
			Service: ltlv1.ChainService_CHAIN_SERVICE_COLLABORATION}}
		if proof {
			info.Chain.Service = ltlv1.ChainService_CHAIN_SERVICE_PROOF
		}
		typeCode := pick("MINE", "YOUR", "")
		key := fmt.Sprintf("0001_%s_%s_a", pick(code, code, "BBBBaaaa0000bbbb"), typeCode)
		tx := &ltlv1.Transaction{ChainId: pick(chain, chain, chain, "0000000000000043"), AccountUid: pick(me, foreign)}
		record, upload := false, false
		switch random.IntN(4) {
		case 0:
			tx.Action, record = &ltlv1.Transaction_SetData{SetData: &ltlv1.SetData{Key: key}}, true
		case 1:
			tx.Action, record = &ltlv1.Transaction_AttachData{AttachData: &ltlv1.AttachData{Key: key}}, true
		case 2:
			tx.Action, upload = &ltlv1.Transaction_UploadPhaseData{UploadPhaseData: &ltlv1.UploadPhaseData{}}, true
		case 3:
			tx.Action = &ltlv1.Transaction_CreateMember{CreateMember: &ltlv1.CreateMember{Phone: "555"}}
		}
		result := int32(rules.OK)
		if random.IntN(3) == 0 {
			result = rules.Forbidden
		}
		here, own := tx.ChainId == chain, tx.AccountUid == me
		mine := record && result == rules.OK && key == "0001_"+code+"_MINE_a"
		want := here && (mine || own && (result != rules.OK || !record) || upload && result == rules.OK && !proof)
		if got := console.Sees(false, me, "MINE", info, ledger.Hash{1}, tx, result); got != want {
			t.Fatalf("case %d: a member sees %v of %v with result %d on a chain with proof=%v: %v", i, got, tx, result, proof, want)
		}
		if console.Sees(true, me, "", info, ledger.Hash{1}, tx, result) != here {
			t.Fatalf("case %d: the administrator sees otherwise than by the chain", i)
		}
		if want {
			shown++
		}
		if console.Sees(false, me, "", info, ledger.Hash{1}, tx, result) && record && result == rules.OK {
			t.Fatalf("case %d: a member without a code sees a record", i)
		}
	}
	if shown < 1000 {
		t.Errorf("only %d cases were seen", shown)
	}
}
