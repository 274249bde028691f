package conformance

import (
	"errors"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"time"

	"ltl/client"
	"ltl/client/proof"
	"ltl/internal/identity"
	ltlv1 "ltl/proto/ltl/v1"
)

// evidence asks for a file of evidence. The request is signed for the path signed.
func (w *world) evidence(t *testing.T, u *user, method, path, signed string, p params) (*http.Response, string) {
	t.Helper()
	query := signedAt(u, method, signed, p).Encode()
	r, err := http.NewRequestWithContext(t.Context(), method, "http://"+w.facade.Addr()+path+"?"+query, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	res, err := w.http.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(res.Body)
	if err := errors.Join(err, res.Body.Close()); err != nil {
		t.Fatal(err)
	}
	return res, string(body)
}

// file asks for a file until it comes: a signer may be busy under the other tests, and the slots may be taken.
func (w *world) file(t *testing.T, u *user, path string, p params, good func(file string) bool) {
	t.Helper()
	deadline := time.Now().Add(2 * time.Minute)
	for {
		res, body := w.evidence(t, u, http.MethodGet, path, path, p)
		if res.StatusCode == http.StatusOK && good(body) {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s by %s: HTTP %d %.400s", path, u.name, res.StatusCode, body)
		}
	}
}

// proofTrust is the trust file as a stranger has it.
func (w *world) proofTrust(t *testing.T) *proof.Trust {
	keys, err := w.Client(identity.RoleOperator).Ledger().GetKeys(t.Context(), &ltlv1.GetKeysRequest{})
	if err != nil {
		t.Fatal(err)
	}
	trust := w.Trust()
	trust.LearnKeys(keys)
	encoded, err := trust.Encode()
	if err != nil {
		t.Fatal(err)
	}
	out, err := proof.ParseTrust(encoded)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// testEvidence: who may read a record gets its certificate, which a stranger verifies; any other account gets nothing.
func (w *world) testEvidence(t *testing.T) {
	trust := w.proofTrust(t)
	m := w.member.as
	record := params{"ProductKey": w.proof.code, "Key": m.key, "BusinessId": m.businessID}
	value := w.must(t, w.member, "GetData", record).text()
	witnessed := func(want string) func(string) bool {
		return func(file string) bool {
			v := proof.Verify([]byte(file), trust)
			if v.Failure != nil || string(v.Value) != want {
				t.Fatalf("the certificate: %+v", v)
			}
			return v.Level == proof.Witnessed
		}
	}
	for _, u := range []*user{w.member, w.admin} {
		w.file(t, u, "/evidence/record", record, witnessed(value))
	}
	phase := params{"BizChainId": w.collaboration.id, "PhaseGroupId": w.group, "PhaseId": w.phase2, "DataKey": w.first}
	w.file(t, w.member, "/evidence/phase-record", phase, witnessed("first"))
	wrong := params{"BizChainId": w.proof.id, "TransactionHash": m.wrong}
	w.file(t, w.member, "/evidence/transaction", wrong, witnessed("wrong"))
	w.file(t, w.member, "/evidence/checkpoint", params{"BizChainId": w.proof.id}, func(note string) bool {
		c, err := trust.Checkpoint(note)
		if err != nil || c.Origin != trust.Origin(w.proof.id) {
			t.Fatalf("%v in %s", err, note)
		}
		return trust.Level(c, 0) == proof.Witnessed
	})
	w.testForeignEvidence(t, record, phase, wrong, value)
	w.testVerifiedReads(t)
}

// testVerifiedReads: what honest nodes answer passes the checks of a client that verifies reads.
func (w *world) testVerifiedReads(t *testing.T) {
	trust := w.Trust()
	c, err := client.Open(client.Config{Credentials: w.Credentials("facades/f1", trust), Trust: trust,
		Verify: proof.Witnessed, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	for _, u := range []*user{w.admin, w.member} {
		for key, id := range map[string]string{u.as.key: u.as.businessID, u.as.wrongPhase.key: u.as.wrongPhase.seq,
			u.as.dataKey: u.as.dataSeq} {
			var by *proof.Checkpoint
			if key == u.as.key {
				_, by, err = c.Ledger().VerifiedRecord(t.Context(), &ltlv1.GetRecordRequest{ChainCode: w.proof.code, Key: key,
					BusinessId: id, AccountUid: u.uid})
			} else {
				_, by, err = c.Ledger().VerifiedPhaseRecord(t.Context(), &ltlv1.GetPhaseRecordRequest{
					ChainId: w.collaboration.id, PhaseGroupId: w.group, PhaseId: w.phase, DataKey: key, DataSeq: id,
					AccountUid: u.uid})
			}
			if err != nil || by == nil {
				t.Errorf("%s of %s: %v, %v", key, u.name, by, err)
			}
		}
	}
	if err := c.Close(); err != nil || c.Caught() != 0 {
		t.Errorf("%d answers of honest nodes were found to be false; %v", c.Caught(), err)
	}
}

// testForeignEvidence makes requests each of which must be refused.
func (w *world) testForeignEvidence(t *testing.T, record, phase, wrong params, value string) {
	chain := params{"BizChainId": w.proof.id}
	foreign := wrong.with("TransactionHash", w.admin.as.wrong)
	nothing := wrong.with("TransactionHash", strings.Repeat("0", 64))
	for _, c := range []struct {
		u            *user
		path, signed string
		p            params
		status       int
		says         string
	}{
		{w.outsider, "record", "record", record, 403, ""},
		{w.locked, "record", "record", record, 403, ""},
		{w.unknown, "record", "record", record, 400, `"Code":-339`},
		{w.member, "record", "record", record.with("Key", w.admin.as.key), 403, ""},
		{w.member, "record", "record", record.with("BusinessId", strings.Repeat("0", 64)), 404, ""},
		{w.member, "record", "record", record.without("Key"), 400, "MissingKey"},
		{w.member, "record", "record", record.with("ProductKey", "AAAAaaaa0000bbbb"), 400, ""},
		{w.member, "record", "record", record.with("Format", "XML", "BusinessId", strings.Repeat("0", 64)), 404,
			"<EvidenceRecordResponse>"},
		{w.outsider, "phase-record", "phase-record", phase, 403, ""},
		{w.member, "phase-record", "phase-record", phase.with("DataKey", "Nothing"), 404, ""},
		{w.outsider, "transaction", "transaction", wrong, 403, ""},
		{w.member, "transaction", "transaction", foreign, 404, "that this account may see"},
		{w.member, "transaction", "transaction", nothing, 404, "that this account may see"},
		{w.member, "transaction", "transaction", wrong.with("BizChainId", w.collaboration.id), 404, ""},
		{w.member, "transaction", "transaction", wrong.with("TransactionHash", "0"), 400, "64 hexadecimal"},
		{w.outsider, "checkpoint", "checkpoint", chain, 403, ""},
		{w.member, "checkpoint", "checkpoint", params{"BizChainId": "0000000000000000"}, 404, ""},
		{w.member, "nothing", "nothing", chain, 404, "InvalidAction.NotFound"},
		{w.member, "record", "transaction", record, 400, "SignatureDoesNotMatch"}, // signed for another path
	} {
		path := "/evidence/" + c.path
		res, body := w.evidence(t, c.u, http.MethodGet, path, "/evidence/"+c.signed, c.p)
		if res.StatusCode != c.status || !strings.Contains(body, c.says) || strings.Contains(body, value) ||
			strings.Contains(body, "payload") {
			t.Errorf("%s by %s with %v: HTTP %d %s, want %d %s", path, c.u.name, c.p, res.StatusCode, body, c.status, c.says)
		}
	}
	if res, body := w.evidence(t, w.member, http.MethodPost, "/evidence/record", "/evidence/record", record); res.StatusCode != 400 ||
		!strings.Contains(body, "UnsupportedHTTPMethod") {
		t.Errorf("by POST: HTTP %d %s", res.StatusCode, body)
	}
}
