package proof

import (
	"bytes"
	"crypto/sha256"
	"strings"
	"unicode/utf8"
)

// Outcome says in one word how a verification ended.
type Outcome string

// The outcomes. Valid, Reserved and Refused mean that every check passed.
const (
	Valid Outcome = "valid"
	// Reserved is Valid with reservations.
	Reserved Outcome = "valid-with-reservations"
	// Refused is a sound proof that the network refused the transaction.
	Refused Outcome = "refused-transaction"
	Invalid Outcome = "invalid"
)

// Level says how far a certificate goes.
type Level string

// The levels, each of which includes the ones before.
const (
	// InBlock: organisations signed the transaction, and it is in the block whose header is shown. Whose header that is
	// stays open.
	InBlock Level = "in-block"
	// Certified: a majority of the nodes signed a checkpoint that covers the block.
	Certified Level = "certified"
	// Witnessed: a majority of the organisations signed it too.
	Witnessed Level = "witnessed"
)

// Verdict is what a verification found.
type Verdict struct {
	Outcome Outcome `json:"outcome"`
	// Failure is nil unless Outcome is Invalid.
	Failure *Failure `json:"failure,omitempty"`
	// Reservations are words for what a certificate leaves open; docs/evidence.md lists them.
	Reservations []string `json:"reservations"`
	Level        Level    `json:"level,omitempty"`
	// What follows is nil when Outcome is Invalid.
	Transaction *Transaction `json:"-"`
	Header      *Header      `json:"-"`
	Result      int32        `json:"result,omitempty"`
	// Place is the place of the transaction in its block, from 0.
	Place uint64 `json:"-"`
	// Endorsers are the organisations that signed, in the order of the certificate.
	Endorsers []Endorser `json:"endorsers,omitempty"`
	// Checkpoint is the one in the certificate, with the signers that the trust file knows; nil when there is none.
	Checkpoint *Checkpoint `json:"-"`
	// Value is the record's value; DataHash its SHA-256. Both are empty when the transaction is no record, and when the
	// value is withheld.
	Value    []byte `json:"-"`
	DataHash Hash   `json:"-"`
	// Withheld is set when the certificate does not show the value that the record commits to.
	Withheld bool `json:"withheld,omitempty"`
}

// Endorser is an organisation that signed, and its clock when it did, in milliseconds since 1970.
type Endorser struct {
	Organisation string `json:"organisation"`
	ClockMs      int64  `json:"clockMs"`
}

// Verify checks a certificate under a trust file. It needs nothing else. The order of the checks is that of
// docs/evidence.md, and the first that fails names the failure.
func Verify(certificate []byte, t *Trust) *Verdict {
	c, f := parseCertificate(certificate)
	if f == nil {
		v := &verification{certificate: c, trust: t, verdict: &Verdict{Reservations: []string{}}}
		if f = v.run(); f == nil {
			return v.verdict
		}
	}
	return &Verdict{Outcome: Invalid, Failure: f, Reservations: []string{}}
}

// verification is one run over one certificate.
type verification struct {
	certificate *Certificate
	trust       *Trust
	verdict     *Verdict
	transaction *Transaction
	header      *Header
	batchRoot   Hash
}

func (v *verification) run() *Failure {
	for _, check := range []func() *Failure{v.payload, v.blockHeader, v.batch, v.endorsements, v.place, v.log} {
		if f := check(); f != nil {
			return f
		}
	}
	d := v.verdict
	d.Transaction, d.Header, d.Result, d.Level = v.transaction, v.header, v.certificate.Block.Result, InBlock
	d.Place = v.certificate.Block.Index
	v.judgeCheckpoint()
	if v.header.SystemHeight > v.trust.Height {
		v.reserve("trust-older-than-record")
	}
	v.judgeTime()
	switch {
	case d.Result != resultOK:
		d.Outcome = Refused
	case len(d.Reservations) > 0:
		d.Outcome = Reserved
	default:
		d.Outcome = Valid
	}
	return nil
}

func (v *verification) reserve(word string) {
	v.verdict.Reservations = append(v.verdict.Reservations, word)
}

// payload checks the transaction and the value that is shown beside it.
func (v *verification) payload() *Failure {
	c := v.certificate
	t, err := readTransaction(c.Payload, c.Item)
	if err != nil {
		return fail("payload", "the payload is no transaction in canonical form, or has no such item")
	}
	v.transaction = t
	if t.Record == nil {
		if len(c.Openings) != 0 {
			return fail("opening", "the transaction holds no record, and the certificate shows a value")
		}
		return nil
	}
	if len(c.Openings) == 0 && t.Record.proof {
		v.verdict.Withheld = true
		return nil
	}
	if len(c.Openings) != 1 || !t.opens(c.Openings[0]) {
		return fail("opening", "the value that the certificate shows is not the one of the transaction")
	}
	v.verdict.Value, v.verdict.DataHash = c.Openings[0].Value, sha256.Sum256(c.Openings[0].Value)
	return nil
}

// opens reports whether an opening is the value of the transaction's record: the one that the payload commits to, or
// for a record of a phase the one in the payload.
func (t *Transaction) opens(o Opening) bool {
	r := t.Record
	if o.Slot != r.slot || !utf8.Valid(o.Value) {
		return false
	}
	if !r.proof {
		return o.Salt == nil && bytes.Equal(o.Value, []byte(r.value))
	}
	c := hashOf("ltl/value/v1\x00", t.Chain, uint32(o.Slot), o.Salt, uint32(len(o.Value)), o.Value)
	return len(o.Salt) == saltLen && uint64(len(o.Value)) == r.Bytes && bytes.Equal(c[:], r.commitment)
}

// blockHeader checks the form of the header, and that header, payload and trust file speak of one network and chain.
func (v *verification) blockHeader() *Failure {
	h, err := parseHeader(v.certificate.Block.Header)
	if err != nil {
		return fail("header", "the block header does not have its form")
	}
	if p := v.trust.Predecessor; p != nil && h.NetworkID == p.NetworkID {
		return fail("network", "the certificate is of the network that the trust file's network continues; verify it under the "+
			"trust file of that one")
	}
	if h.NetworkID != v.trust.NetworkID {
		return fail("network", "the certificate is of another network than the trust file")
	}
	if h.Chain != v.transaction.Chain {
		return fail("chain", "the payload names chain %s, the block is one of chain %s", v.transaction.Chain, h.Chain)
	}
	v.header = h
	return nil
}

// batch computes the root of the batch that the organisations signed.
func (v *verification) batch() *Failure {
	c := v.certificate
	if c.BatchCount == 0 || c.BatchCount > maxBatch || c.BatchIndex >= c.BatchCount {
		return fail("index", "the transaction has place %d in a batch of %d", c.BatchIndex, c.BatchCount)
	}
	root, ok := fold(hashOf(byte(0), v.transaction.ID[:]), c.BatchIndex, c.BatchCount, c.BatchPath)
	if !ok {
		return fail("path", "the path in the batch does not have the length that its place gives it")
	}
	v.batchRoot = root
	return nil
}

// endorsements checks every signature of an organisation.
func (v *verification) endorsements() *Failure {
	organisations, keys, twice := map[string]bool{}, map[string]bool{}, ""
	for i := range v.certificate.Endorsements {
		s, key, f := v.endorsement(&v.certificate.Endorsements[i])
		if f != nil {
			return f
		}
		if organisations[s.organisation] || keys[string(key)] {
			twice = s.organisation
		}
		organisations[s.organisation], keys[string(key)] = true, true
		v.verdict.Endorsers = append(v.verdict.Endorsers, Endorser{s.organisation, s.clockMs})
	}
	if twice != "" {
		return fail("twice", "organisation %q, or its key, signs twice", twice)
	}
	sender, _, _ := strings.Cut(v.transaction.Submitter, "/")
	if !organisations[sender] && !v.signsItself() {
		return fail("submitter", "the process %q sent the transaction, and its organisation did not sign", v.transaction.Submitter)
	}
	return nil
}

// signsItself reports whether the action may hold a signature of the submitter's organisation in place of its
// endorsement: when it accepts membership, and when it is recovered.
func (v *verification) signsItself() bool {
	a := v.transaction.Action
	return v.header.Chain == systemChain && (a == actionAccept || a == actionRecover)
}

// endorsement checks one endorsement and returns its statement and the key that signed it.
func (v *verification) endorsement(e *Endorsement) (*statement, []byte, *Failure) {
	c, h := v.certificate, v.header
	s, err := parseStatement(e.Statement)
	if err != nil {
		return nil, nil, fail("statement", "an endorsement's statement does not have its form")
	}
	if s.networkID != v.trust.NetworkID {
		return nil, nil, fail("network", "organisation %q signed for another network", s.organisation)
	}
	if e.Flags > 1 || !rightBitmap(e.Bitmap, uint32(c.BatchCount)) {
		return nil, nil, fail("statement", "the flags or the bitmap of organisation %q do not have their form", s.organisation)
	}
	leaf := e.leafHash(h.Chain, v.batchRoot, uint32(c.BatchCount))
	root, ok := fold(leaf, e.Index, uint64(s.leaves), e.Path)
	if !ok {
		return nil, nil, fail("path", "the path of organisation %q does not have the length that its place gives it",
			s.organisation)
	}
	if root != s.root {
		return nil, nil, fail("batch-root", "organisation %q signed for another batch", s.organisation)
	}
	key, f := v.key(s)
	if f != nil {
		return nil, nil, f
	}
	switch late := max(h.TimeMs, h.ReferenceMs) - s.clockMs; {
	case !validSignature(key.public, e.Statement, e.Signature):
		return nil, nil, fail("endorsement-signature", "the signature of organisation %q does not verify", s.organisation)
	case !accepts(e.Bitmap, c.BatchIndex):
		return nil, nil, fail("not-accepted", "organisation %q did not accept this transaction", s.organisation)
	case e.Height > h.Height || s.systemHeight > h.SystemHeight:
		return nil, nil, fail("height", "organisation %q names a block that did not exist yet", s.organisation)
	case late > EndorsementLifeMs && !v.mayBeLate():
		return nil, nil, fail("time", "the block is %d ms after the clock of organisation %q; at most %d are right", late,
			s.organisation, EndorsementLifeMs)
	}
	return s, key.public, nil
}

// mayBeLate reports whether the endorsements of the transaction may have expired: proposals and votes on the system
// chain, with which a network whose time is ahead sets it back.
func (v *verification) mayBeLate() bool {
	return v.header.Chain == systemChain && v.transaction.Action >= actionPropose && v.transaction.Action <= actionWithdraw
}

// judgeTime compares the block's times with the clocks of the organisations.
func (v *verification) judgeTime() {
	if len(v.verdict.Endorsers) == 0 {
		return
	}
	earliest := v.verdict.Endorsers[0].ClockMs
	for _, e := range v.verdict.Endorsers {
		earliest = min(earliest, e.ClockMs)
	}
	if max(v.header.TimeMs, v.header.ReferenceMs)-earliest > EndorsementLifeMs {
		v.reserve("time-ahead")
	}
	if earliest-v.header.TimeMs > clockSpreadMs {
		v.reserve("time-stands")
	}
}

// key finds the key of a statement, and checks that it counted at the height of the block.
func (v *verification) key(s *statement) (*organisationKey, *Failure) {
	o := v.trust.organisation(s.organisation)
	if o == nil {
		return nil, fail("key-unknown", "the trust file has no organisation %q", s.organisation)
	}
	key := o.key(s.keyID)
	if key == nil {
		return nil, fail("key-unknown", "the trust file has no such key of organisation %q; is it older than the record?",
			s.organisation)
	}
	height := v.header.SystemHeight
	if v.header.Chain == systemChain && height > 0 {
		height-- // a block of the system chain is judged by the state below it
	}
	inGrace := key.untilMs != 0 && s.systemHeight < key.until && s.clockMs <= key.untilMs
	if s.systemHeight < key.from || key.until != 0 && height >= key.until && !inGrace {
		return nil, fail("key-expired", "the key of organisation %q did not count at height %d of the system chain",
			s.organisation, height)
	}
	return key, nil
}

// place checks that the block contains the transaction with its result.
func (v *verification) place() *Failure {
	b := &v.certificate.Block
	root, ok := fold(outcomeHash(v.transaction.ID, b.Result, v.batchRoot), b.Index, uint64(v.header.Count), b.Path)
	if !ok || root != v.header.transactionsRoot {
		return fail("block-path", "the block does not contain this transaction with result %d at place %d", b.Result, b.Index)
	}
	return nil
}

// log checks that the checkpoint is one of the chain and covers the block. It is left out where there is none.
func (v *verification) log() *Failure {
	text := v.certificate.Checkpoint
	if text == "" {
		return nil
	}
	c, f := v.trust.checkpoint(text)
	if f != nil {
		return f
	}
	lost, known := v.trust.lostTo(c.Origin, v.header.Chain, v.header.Sequence)
	if !known {
		return fail("origin", "the checkpoint is of %.120q, and the block is one of %q; after a restoration, take a newer "+
			"trust file", c.Origin, v.trust.Origin(v.header.Chain))
	}
	if root, ok := fold(v.header.Hash, v.header.Height, c.Size, v.certificate.LogPath); !ok || root != c.Root {
		return fail("log-path", "the checkpoint of %d blocks does not cover block %d", c.Size, v.header.Height)
	}
	if lost != 0 {
		return fail("abandoned", "the block was certified, and the network lost it: restoration %d, which the ledger records, "+
			"kept fewer blocks", lost)
	}
	v.verdict.Checkpoint = c
	return nil
}

// judgeCheckpoint raises the level by the signatures under the checkpoint.
func (v *verification) judgeCheckpoint() {
	d := v.verdict
	if d.Checkpoint == nil {
		v.reserve("not-certified")
		return
	}
	nodes, both := v.trust.quorums(d.Checkpoint, v.header.SystemHeight)
	switch {
	case !nodes:
		v.reserve("not-certified")
	case !both:
		d.Level = Certified
		v.reserve("not-witnessed")
	default:
		d.Level = Witnessed
	}
}
