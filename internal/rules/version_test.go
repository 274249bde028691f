package rules

import (
	"encoding/binary"
	"encoding/hex"
	"errors"
	"strings"
	"testing"

	"ltl/internal/ledger"
	ltlv1 "ltl/proto/ltl/v1"
)

func activate(version uint32) *ltlv1.Transaction_ActivateRules {
	return &ltlv1.Transaction_ActivateRules{ActivateRules: &ltlv1.ActivateRules{Version: version}}
}

// TestActivateNext: versions come into force one after the other, each once, by an operator's act on the system chain.
func TestActivateNext(t *testing.T) {
	w := newWorld(t)
	if v, err := KnownVersion(w.state); v != firstVersion || err != nil {
		t.Fatalf("after the genesis version %d is in force (%v)", v, err)
	}
	const why = "Version 1 of the rules is in force; only version 2 can be put in force next."
	for _, v := range []uint32{0, 1} {
		w.refused("version in force", w.operator(activate(v)), Conflict, why)
	}
	w.want("on a business chain", w.tx(m1UID, activate(2)), Malformed)
	facade := w.operator(activate(1))
	facade.Submitter = "o1/facade/f1"
	w.want("by a facade", facade, Forbidden)
}

// TestNewerRulesStop: a transaction that would put unknown rules in force is neither signed nor ordered; once it is
// ordered nevertheless, and wherever such rules are in force, nothing is executed.
func TestNewerRulesStop(t *testing.T) {
	w := newWorld(t)
	propose := w.proposal("o1", activate(Version+1))
	id := w.alone(propose).GetOutput() // those who know the rules signed and ordered it
	if raw, err := hex.DecodeString(id); err != nil || len(raw) != 32 {
		t.Fatal(id, err)
	}
	proposal := ledger.TransactionID(marshal(t, propose))
	w.says(w.approval("o1", proposal[:]), "open 1 of 2, asked: o2 o3")
	var in Input
	for what, tx := range map[string]*ltlv1.Transaction{
		"a proposal": w.proposal("o2", activate(Version+1)), "an approval": w.approval("o2", proposal[:])} {
		payload := marshal(t, tx)
		in = w.input(ledger.SystemChain, w.batch(ledger.SystemChain, [][]byte{payload}, "o1", "o2"))
		verdicts, err := Preview(in, w.now, [][]byte{payload}, w.state)
		if err != nil || verdicts[0].Code != Forbidden || verdicts[0].Reason != reasonTooNew {
			t.Errorf("%s: an endorser says %+v, %v", what, verdicts, err)
		}
		if a, err := Admit(in, w.state, ledger.VerifyEndorsement); err != nil || a.Codes[0] != Malformed {
			t.Errorf("%s: a leader says %+v, %v", what, a, err)
		}
	}
	payload := marshal(t, w.approval("o2", proposal[:]))
	in = w.input(ledger.SystemChain, w.batch(ledger.SystemChain, [][]byte{payload}, "o2"))
	wantNewer := func(what string, err error) {
		t.Helper()
		if !errors.Is(err, ErrNewerRules) || !strings.Contains(err.Error(), "this program knows version 1") {
			t.Errorf("%s: %v", what, err)
		}
	}
	_, err := Execute(in, w.state, ledger.VerifyEndorsement)
	wantNewer("executing the activation", err)

	w.state[ledger.SystemChain][keyRules] = binary.BigEndian.AppendUint32(nil, Version+1)
	tx := marshal(t, w.tx(m1UID, set(w.key(m1UID, "id"), "v")))
	in = w.input(w.chain.ID, w.batch(w.chain.ID, [][]byte{tx}, "o1", "o2"))
	_, err = Execute(in, w.state, ledger.VerifyEndorsement)
	wantNewer("executing under newer rules", err)
	_, err = Preview(in, w.now, [][]byte{tx}, w.state)
	wantNewer("previewing under newer rules", err)
	_, err = Admit(in, w.state, ledger.VerifyEndorsement)
	wantNewer("admitting under newer rules", err)

	w.state[ledger.SystemChain][keyRules] = []byte{1}
	if _, err := KnownVersion(w.state); !errors.Is(err, ErrState) {
		t.Errorf("a version of one byte: %v", err)
	}
}
