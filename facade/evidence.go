package facade

import (
	"encoding/hex"
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"time"

	"ltl/client"
	"ltl/client/proof"
	"ltl/internal/admission"
	"ltl/internal/identity"
	"ltl/internal/ledger"
	"ltl/internal/rules"
	ltlv1 "ltl/proto/ltl/v1"
)

// evidencePrefix begins the paths of evidence: files with which a stranger checks offline what an Action reads. Who may
// read them is who may read what they show.
const evidencePrefix = "/evidence/"

// The types of the files.
const (
	mediaCertificate = "application/json"
	mediaCheckpoint  = "text/plain; charset=utf-8"
)

// noTransaction is the message where there is none, and where the account may not see it.
const noTransaction = "No transaction of this chain that this account may see has the hash given in TransactionHash."

// evidenceActions is the table of evidence, by the path below evidencePrefix. They have the checks of Actions; the
// path is in place of the parameters Action, Version and ApiVersion, and the signature covers it.
func evidenceActions() map[string]*action {
	chain, key := parameter{name: bizChainID}, parameter{name: "DataKey"}
	seq := parameter{name: "DataSeq", optional: true}
	return map[string]*action{
		"record": {name: "EvidenceRecord", media: mediaCertificate, chain: chainCode, run: evidenceOfRecord, first: readRefusal,
			params: []parameter{{name: "Key"}, {name: chainCode}, {name: "BusinessId", optional: true}}},
		"phase-record": {name: "EvidencePhaseRecord", media: mediaCertificate, chain: bizChainID, first: chainRefusal,
			service: ltlv1.ChainService_CHAIN_SERVICE_COLLABORATION, run: evidenceOfPhaseRecord,
			params: []parameter{chain, key, {name: "PhaseGroupId"}, {name: "PhaseId"}, seq}},
		"transaction": {name: "EvidenceTransaction", media: mediaCertificate, chain: bizChainID, run: evidenceOfTransaction,
			first: chainRefusal, params: []parameter{chain, {name: "TransactionHash"}, {name: "DataKey", optional: true}, seq}},
		"checkpoint": {name: "EvidenceCheckpoint", media: mediaCheckpoint, chain: bizChainID, run: newestCheckpoint,
			first: chainRefusal, params: []parameter{chain}},
	}
}

// evidence makes the files.
type evidence struct {
	ledger *client.Ledger
	trust  *identity.Trust
	// places bounds the files that are being made.
	places *admission.Shares
}

// newEvidence is nil where a facade has no trust file and so has no evidence.
func newEvidence(cfg Config) *evidence {
	if cfg.Client == nil || cfg.Trust == nil {
		return nil
	}
	return &evidence{ledger: cfg.Client.Ledger(), trust: cfg.Trust,
		places: admission.NewShares(maxEvidence, maxOwnEvidence, maxEvidence, 0)}
}

// routeEvidence finds what a path of evidence names.
func (f *Facade) routeEvidence(q *request, s *scratch) (*action, error) {
	a := f.evidenceActions[strings.TrimPrefix(q.path, evidencePrefix)]
	switch {
	case a == nil, f.evidence == nil:
		return nil, gateway(codeActionNotFound)
	case q.method != http.MethodGet:
		return nil, gateway(codeMethod)
	}
	s.response.action, s.response.media = a.name, a.media
	return a, nil
}

// refusalStatus is the HTTP status of a refusal where a file was asked for: a program that saves an answer with the
// status 200 must not take a refusal for the file.
func refusalStatus(code int32) int {
	switch code {
	case rules.NotFound, rules.Forbidden:
		return int(code)
	}
	return http.StatusBadRequest
}

// evidenceOfRecord makes the certificate of the record that Key and BusinessId name.
func evidenceOfRecord(c *call) (value, error) {
	r, err := c.record()
	if err != nil {
		return value{}, err
	}
	made, verdict, err := c.certificate(r.GetTransactionHash(), "", "", func(t *proof.Transaction) bool {
		id := c.text("BusinessId") // the payload has one only if the caller chose it
		return t.Chain == c.chainID && t.Record != nil && t.Record.Phase == "" && t.Record.Key == c.text("Key") &&
			(id == "" || t.Record.BusinessID == "" || strings.EqualFold(id, t.Record.BusinessID))
	})
	if err == nil && verdict.Withheld { // the read had the value
		g := gateway(codeServiceUnavailable)
		g.message += " The node that was asked lacks the value; ask again."
		return value{}, g
	}
	return made, err
}

// evidenceOfPhaseRecord makes the certificate of the record that phase, DataKey and DataSeq name.
func evidenceOfPhaseRecord(c *call) (value, error) {
	r, err := c.phaseRecord()
	if err != nil {
		return value{}, err
	}
	made, _, err := c.certificate(r.GetTransactionHash(), r.GetDataKey(), r.GetDataSeq(), func(t *proof.Transaction) bool {
		key := c.text("DataKey") // plain, or in the form of RelatedDataKey
		return t.Chain == c.chainID && t.Record != nil && t.Record.Phase == c.text("PhaseId") &&
			(t.Record.List || t.Record.Key == key[strings.LastIndexByte(key, '_')+1:])
	})
	return made, err
}

// evidenceOfTransaction makes the certificate of any transaction that the account may see, also of one that was
// refused.
func evidenceOfTransaction(c *call) (value, error) {
	if !hexadecimal(c.text("TransactionHash"), 2*len(ledger.Hash{})) {
		return value{}, malformed("TransactionHash must be 64 hexadecimal characters.")
	}
	hash, _ := hex.DecodeString(c.text("TransactionHash"))
	viewer, err := c.viewer()
	if err != nil {
		return value{}, err
	}
	at, err := c.f.net.GetTransaction(c.ctx, &ltlv1.GetTransactionRequest{TransactionHash: hash})
	if err != nil {
		return value{}, err
	}
	id := ledger.Hash(hash)
	if at.GetCode() != rules.OK || at.GetChainId() != c.chainID {
		return value{}, newRefusal(rules.NotFound, noTransaction)
	}
	tx, err := rules.Decode(at.GetTransaction())
	if err != nil || ledger.TransactionID(at.GetTransaction()) != id {
		return value{}, errors.New("a node answered with another transaction than was asked for; audit the nodes")
	}
	if !viewer.Sees(id, tx, at.GetResult()) {
		return value{}, newRefusal(rules.NotFound, noTransaction)
	}
	dataKey, seq, ok := itemOf(id, tx, c.text("DataKey"), c.text("DataSeq"))
	if !ok {
		return value{}, newRefusal(rules.NotFound, "The transaction has no record with this DataKey and DataSeq.")
	}
	made, _, err := c.certificate(hash, dataKey, seq, func(t *proof.Transaction) bool { return t.ID == proof.Hash(id) })
	return made, err
}

// itemOf chooses one record of an upload of several: the one with dataKey and seq, without dataKey the first. ok is
// false when there is none.
func itemOf(id ledger.Hash, tx *ltlv1.Transaction, dataKey, seq string) (key, dataSeq string, ok bool) {
	items := tx.GetUploadPhaseData().GetItems()
	seqs := rules.DataSeqs(id, items)
	for i, item := range items {
		if dataKey == "" || item.GetDataKey() == dataKey && seqs[i] == seq {
			return item.GetDataKey(), seqs[i], true
		}
	}
	return dataKey, seq, len(items) == 0
}

// viewer is the caller as it reads the chain.
func (c *call) viewer() (*rules.Viewer, error) {
	r, err := c.chainInfo()
	if err != nil {
		return nil, err
	}
	info := r.GetChain()
	if role := info.GetRole(); role != rules.RoleAdmin && role != rules.RoleMember {
		return nil, refuse(rules.Forbidden)
	}
	return &rules.Viewer{UID: c.uid, ChainID: info.GetChainId(), ChainCode: info.GetChainCode(),
		TypeCode: info.GetDataTypeCode(), Administrator: info.GetRole() == rules.RoleAdmin,
		Proof: info.GetChain().GetService() == ltlv1.ChainService_CHAIN_SERVICE_PROOF}, nil
}

// certificate makes the certificate of a transaction. right says whether the transaction is what was asked for: the
// node that named it is not trusted, and could hand out what is not the caller's.
func (c *call) certificate(hash []byte, dataKey, seq string, right func(*proof.Transaction) bool) (
	value, *proof.Verdict, error) {
	leave, err := c.f.evidence.enter(c.uid)
	if err != nil {
		return value{}, nil, err
	}
	defer leave()
	if len(hash) != len(ledger.Hash{}) {
		return value{}, nil, errors.New("a node answered with a transaction hash of the wrong length; audit the nodes")
	}
	l := c.f.evidence.ledger
	made, err := l.Certificate(c.ctx, [32]byte(hash), dataKey, seq)
	if err != nil {
		return value{}, nil, err
	}
	trust, err := c.f.evidence.presentTrust(c)
	if err != nil {
		return value{}, nil, err
	}
	// Without a checkpoint the certificate shows less, and says so itself.
	if err := l.Certify(c.ctx, made, trust); err != nil {
		c.f.logger.Warn("a certificate gets no checkpoint, or signers contradict each other", "error", err)
	}
	if made.Info, err = json.Marshal(map[string]string{"network": c.f.evidence.trust.Genesis().GetNetwork()}); err != nil {
		return value{}, nil, err
	}
	file, err := made.Encode()
	if err != nil {
		return value{}, nil, err
	}
	verdict := proof.Verify(file, trust)
	switch {
	case verdict.Failure != nil:
		return value{}, nil, errors.Join(errors.New("a certificate does not verify; audit the nodes"), verdict.Failure)
	case !right(verdict.Transaction):
		return value{}, nil, errors.New("a node named another transaction than was asked for; audit the nodes")
	}
	return value{kind: kindFile, text: string(file)}, verdict, nil
}

// newestCheckpoint collects the checkpoint of all blocks of a chain.
func newestCheckpoint(c *call) (value, error) {
	r, err := c.chainInfo()
	if err != nil {
		return value{}, err
	}
	leave, err := c.f.evidence.enter(c.uid)
	if err != nil {
		return value{}, err
	}
	defer leave()
	trust, err := c.f.evidence.presentTrust(c)
	if err != nil {
		return value{}, err
	}
	note, err := c.f.evidence.ledger.Checkpoint(c.ctx, c.chainID, r.GetChain().GetHeight()+1, trust)
	if err != nil {
		c.f.logger.Warn("signers of a checkpoint are missing, or contradict each other", "chain", c.chainID, "error", err)
	}
	if note == "" {
		g := gateway(codeServiceUnavailable)
		g.message += " No node and no endorser signs a checkpoint of this chain, or they contradict each other."
		return value{}, g
	}
	return value{kind: kindFile, text: note}, nil
}

// enter takes one of the places for an account until the function that it returns is called.
func (e *evidence) enter(uid string) (leave func(), err error) {
	if !e.places.Take(uid, "", 1) {
		return nil, throttled("As many files of evidence are being made as may be, for this account or in all.", time.Second)
	}
	return func() { e.places.Give(uid, "", 1) }, nil
}

// presentTrust is the trust file with the keys of today. They decide only which signatures are collected: a verifier has a
// trust file of its own.
func (e *evidence) presentTrust(c *call) (*proof.Trust, error) {
	keys, err := e.ledger.PresentKeys(c.ctx)
	if err != nil {
		return nil, err
	}
	file, err := e.trust.With(keys)
	if err != nil {
		return nil, err
	}
	return proof.ParseTrust(file)
}
