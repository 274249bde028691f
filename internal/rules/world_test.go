package rules

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"fmt"
	"slices"
	"strings"
	"testing"

	"ltl/internal/ledger"
	ltlv1 "ltl/proto/ltl/v1"
	"ltl/test/testkit/offline"
)

// memory is a View and Reader in a map.
type memory map[string]map[string][]byte

func (m memory) Get(chainID string, key []byte) ([]byte, error) { return m[chainID][string(key)], nil }

func (m memory) Scan(chainID string, prefix []byte, fn func(key, value []byte) error) error {
	var keys []string
	for k := range m[chainID] {
		if strings.HasPrefix(k, string(prefix)) {
			keys = append(keys, k)
		}
	}
	slices.Sort(keys)
	for _, k := range keys {
		if err := fn([]byte(k), m[chainID][k]); err != nil {
			return err
		}
	}
	return nil
}

func (m memory) store(chainID string, writes []ledger.Write) {
	if m[chainID] == nil {
		m[chainID] = map[string][]byte{}
	}
	for _, w := range writes {
		m[chainID][string(w.Key)] = bytes.Clone(w.Value)
	}
}

const (
	startMs  = offline.StartMs
	rootUID  = "1000000000000001" // ROOT of o1, administrator of the proof chain
	m1UID    = "1000000000000011" // RAM of o1, member
	m2UID    = "100000000000000012"
	freeUID  = "1000000000000013" // RAM of o2, on no chain
	ghostUID = "9999999999999999"
	business = "00112233445566778899AABBCCDDEEFF00112233445566778899aabbccddeeff"
)

// world is a network of three organisations in memory, driven without endorsers or nodes.
type world struct {
	t     testing.TB
	state memory
	keys  map[string]ed25519.PrivateKey
	id    ledger.Hash
	tips  map[string]tip
	// sequence and referenceMs are those that follow the newest block of all chains.
	sequence    uint64
	referenceMs int64
	corrected   TimeCorrection // the newest
	now         int64
	nonce       uint64
	chain       *Chain // a proof chain of o1, o2, o3
	values      offline.Values
}

type tip struct {
	height uint64
	hash   ledger.Hash
	timeMs int64 // that the next block is not before, unless the time is corrected
	header ledger.Header
}

// organisations are those of every world.
func organisations() []string { return []string{"o1", "o2", "o3"} }

func genesisPayload(t testing.TB) []byte {
	return offline.GenesisPayload(t, offline.Genesis(organisations()...))
}

func marshal(t testing.TB, tx *ltlv1.Transaction) []byte { t.Helper(); return offline.Encode(t, tx) }

// bare is a world with nothing but its genesis block.
func bare(t testing.TB) *world {
	t.Helper()
	return bareOf(t, genesisPayload(t))
}

// bareOf is bare with another genesis of the same organisations.
func bareOf(t testing.TB, payload []byte) *world {
	t.Helper()
	g, err := GenesisBlock(payload)
	if err != nil {
		t.Fatal(err)
	}
	w := &world{t: t, state: memory{}, values: offline.Values{}, keys: map[string]ed25519.PrivateKey{}, id: g.Header.NetworkID,
		tips: map[string]tip{}, now: startMs}
	for _, o := range organisations() {
		w.keys[o] = offline.Key(o)
	}
	w.commit(ledger.SystemChain, g)
	for _, o := range organisations()[1:] { // without a block, so that heights count what a test does
		facts := OrganisationFacts{Standing: StandingActive, Delegates: []string{offline.Facade}}
		w.state[ledger.SystemChain][organisationFactsKey(o)] = facts.encode()
	}
	for uid, o := range map[string]string{rootUID: "o1", m1UID: "o1", m2UID: "o2", freeUID: "o2"} {
		w.state[ledger.SystemChain][accessKeyKey(keyOf(uid))] = activeKey(uid, o)
	}
	return w
}

// keyOf is the id of the AccessKey that each account of a world has.
func keyOf(uid string) string { return "ak" + uid }

func activeKey(uid, organisation string) []byte {
	k := AccessKey{AccountUID: uid, Organisation: organisation, State: ltlv1.AccessKeyState_ACCESS_KEY_STATE_ACTIVE,
		Version: 1, SealedVersion: 1}
	return k.encode()
}

// signed makes a transaction that of a request which the account's AccessKey signed.
func signed(tx *ltlv1.Transaction, nonce string) *ltlv1.Transaction {
	tx.AccessKeyId, tx.SignatureNonce = keyOf(tx.GetAccountUid()), nonce
	return tx
}

// newWorld has accounts, a proof chain and its member m1 and m2.
func newWorld(t testing.TB) *world {
	t.Helper()
	w := bare(t)
	w.must(w.operator(account(rootUID, "o1", ltlv1.AccountType_ACCOUNT_TYPE_ROOT)),
		w.operator(account(m1UID, "o1", ltlv1.AccountType_ACCOUNT_TYPE_RAM)),
		w.operator(account(m2UID, "o2", ltlv1.AccountType_ACCOUNT_TYPE_RAM)),
		w.operator(account(freeUID, "o2", ltlv1.AccountType_ACCOUNT_TYPE_RAM)))
	r := w.must(w.operator(&ltlv1.Transaction_CreateChain{CreateChain: proofChain()}))
	var err error
	if w.chain, err = GetChain(w.state, r[0].Output); err != nil || w.chain == nil {
		t.Fatal("no chain", err)
	}
	w.must(w.tx(rootUID, member(m1UID)), w.tx(rootUID, member(m2UID)))
	return w
}

func proofChain() *ltlv1.CreateChain {
	return &ltlv1.CreateChain{Name: "存证链", Service: ltlv1.ChainService_CHAIN_SERVICE_PROOF, AdministratorUid: rootUID}
}

func account(uid, org string, kind ltlv1.AccountType) *ltlv1.Transaction_CreateAccount {
	return &ltlv1.Transaction_CreateAccount{CreateAccount: &ltlv1.CreateAccount{Uid: uid, Name: "名字" + uid, Type: kind,
		Organisation: org}}
}

func member(uid string) *ltlv1.Transaction_CreateMember {
	return &ltlv1.Transaction_CreateMember{CreateMember: &ltlv1.CreateMember{MemberUid: uid, Name: "某公司", Contact: "张三",
		Phone: "010-1234"}}
}

func set(key, value string) *ltlv1.Transaction_SetData {
	return &ltlv1.Transaction_SetData{SetData: &ltlv1.SetData{Key: key, Value: offline.Text(value)}}
}

func attach(key, value, businessID string) *ltlv1.Transaction_AttachData {
	return &ltlv1.Transaction_AttachData{AttachData: &ltlv1.AttachData{Key: key, Value: offline.Text(value), BusinessId: businessID}}
}

// tx is a transaction on w.chain through a facade; action is a wrapper of the oneof.
func (w *world) tx(uid string, action any) *ltlv1.Transaction {
	w.nonce++
	nonce := sha256.Sum256(fmt.Append(nil, w.nonce))
	tx := &ltlv1.Transaction{Version: 1, AccountUid: uid, Submitter: offline.Facade, Nonce: nonce[:NonceLen],
		CreatedMs: w.now}
	if w.chain != nil {
		tx.ChainId = w.chain.ID
	}
	if action != nil {
		offline.SetAction(tx, action)
	}
	return w.values.Commit(tx)
}

// operator is a transaction on the system chain by an operator of the organisation whose act it is, or of o1: the action
// itself, or a proposal of it where it has to be proposed.
func (w *world) operator(action any) *ltlv1.Transaction {
	tx := w.tx("", action)
	tx.ChainId, tx.Submitter = ledger.SystemChain, offline.Operator
	in := w.input(ledger.SystemChain)
	n, err := newExec(&in, w.state, 1).needOf(kindOf(tx), tx)
	if err != nil {
		w.t.Fatal(err)
	}
	if n.ballot != nil {
		return w.proposal("o1", action)
	}
	if n.owner != "" {
		tx.Submitter = n.owner + "/operator/olga"
	}
	return tx
}

// plain is operator without a proposal: the action itself by an operator of org.
func (w *world) plain(org string, action any) *ltlv1.Transaction {
	tx := w.tx("", action)
	tx.ChainId, tx.Submitter = ledger.SystemChain, org+"/operator/olga"
	return tx
}

// key is a Key with the account's own type code.
func (w *world) key(uid, id string) string {
	m, err := GetMember(w.state, w.chain, uid)
	if err != nil || m == nil {
		w.t.Fatalf("%s is no member: %v", uid, err)
	}
	return KeyVersion + "_" + w.chain.Code + "_" + m.TypeCode + "_" + id
}

// batch is the payloads with endorsements of the organisations over all of them.
func (w *world) batch(chainID string, payloads [][]byte, orgs ...string) *ltlv1.Batch {
	b := &ltlv1.Batch{ChainId: chainID, Transactions: payloads}
	for _, o := range orgs {
		b.Endorsements = append(b.Endorsements, w.statement(b, o).Sign(w.keys[o]))
	}
	return w.values.Open(b)
}

// statement accepts everything, now.
func (w *world) statement(b *ltlv1.Batch, org string) *ledger.Endorsement {
	s := offline.Statement(w.id, b, org, w.keys[org].Public().(ed25519.PublicKey), w.now)
	s.Height, s.SystemHeight = w.tips[b.GetChainId()].height, w.tips[ledger.SystemChain].height
	return s
}

// ahead puts the newest block of the chain 100 seconds ahead of w.now, and returns the latest clock that no longer counts
// there.
func (w *world) ahead() (late int64) {
	t := w.tips[w.chain.ID]
	t.timeMs = w.now + 100_000
	w.tips[w.chain.ID] = t
	return t.timeMs - EndorsementLifeMs - 1
}

func (w *world) input(chainID string, batches ...*ltlv1.Batch) Input {
	t := w.tips[chainID]
	t.header.TimeMs = t.timeMs
	in := Input{
		NetworkID: w.id, ChainID: chainID, Height: t.height + 1, Previous: t.hash,
		PreviousTimeMs: w.corrected.Floor(&t.header),
		SystemHeight:   w.tips[ledger.SystemChain].height, Sequence: w.sequence, PreviousReferenceMs: w.referenceMs,
		Batches: batches,
	}
	if chainID == ledger.SystemChain {
		in.SystemHeight = in.Height
	}
	return in
}

func (w *world) execute(chainID string, batches ...*ltlv1.Batch) *Executed {
	w.t.Helper()
	x, err := Execute(w.input(chainID, batches...), w.state, ledger.VerifyEndorsement)
	if err != nil {
		w.t.Fatal(err)
	}
	return x
}

func (w *world) commit(chainID string, x *Executed) {
	if x.Block == nil {
		return
	}
	w.state.store(chainID, x.Writes)
	w.tips[chainID] = tip{x.Header.Height, x.Hash, x.Header.TimeMs, x.Header}
	if x.Header.ReferenceMs < w.referenceMs {
		w.corrected = TimeCorrection{Height: x.Header.SystemHeight, ToMs: x.Header.ReferenceMs}
	}
	w.sequence, w.referenceMs = w.sequence+1, x.Header.ReferenceMs
	for _, id := range x.NewChains {
		w.commit(id, ChainBlock0(&x.Header, id, w.sequence))
	}
}

// apply executes and commits one fully endorsed batch, of the chain of its first transaction.
func (w *world) apply(txs ...*ltlv1.Transaction) []*ltlv1.Result {
	w.t.Helper()
	var payloads [][]byte
	for _, tx := range txs {
		payloads = append(payloads, marshal(w.t, tx))
	}
	chainID := txs[0].GetChainId()
	x := w.execute(chainID, w.batch(chainID, payloads, w.endorsers(chainID)...))
	w.commit(chainID, x)
	return x.Results[0]
}

// endorsers are the organisations that endorse a batch of the chain: all of it, on the system chain all of the network.
func (w *world) endorsers(chainID string) []string {
	n, err := GetNetwork(w.state)
	if err != nil {
		w.t.Fatal(err)
	}
	all := n.Organisations
	if chainID != ledger.SystemChain {
		c, err := GetChain(w.state, chainID)
		if err != nil || c == nil {
			w.t.Fatal(c, err)
		}
		all = c.Organisations
	}
	for _, o := range all {
		if w.keys[o] == nil {
			w.keys[o] = offline.Key(o)
		}
	}
	return all
}

// must is apply where everything has to succeed. What is proposed is approved by all who are asked, so it is executed.
func (w *world) must(txs ...*ltlv1.Transaction) []*ltlv1.Result {
	w.t.Helper()
	results := w.apply(txs...)
	for i, r := range results {
		if r.GetCode() != OK {
			w.t.Fatalf("transaction %d: %d %s %s", i, r.GetCode(), Message(r.GetCode()), r.GetReason())
		}
		if txs[i].GetPropose() != nil {
			w.pass(r.GetOutput())
		}
	}
	return results
}

// code executes one transaction alone, without committing, and checks that Preview agrees.
func (w *world) code(tx *ltlv1.Transaction) int32 {
	w.t.Helper()
	p := marshal(w.t, tx)
	chainID := tx.GetChainId()
	if _, ok := w.tips[chainID]; !ok {
		chainID = ledger.SystemChain
	}
	got := w.execute(chainID, w.batch(chainID, [][]byte{p}, w.endorsers(chainID)...)).Results[0][0].GetCode()
	codes, err := previewCodes(w.input(chainID), w.now, [][]byte{p}, w.state)
	if err != nil || (codes[0] != got && got != NotEndorsed) {
		w.t.Errorf("Preview says %v (%v), Execute %d", codes, err, got)
	}
	if c := Check(tx); c != OK && got == OK {
		w.t.Errorf("Check says %d, Execute %d", c, got)
	}
	if openings := w.values.Openings(p); openings != nil { // an endorser looks at them first
		if c, _ := CheckOpenings(tx, openings[0]); c != OK {
			return c
		}
	}
	return got
}

func (w *world) want(what string, tx *ltlv1.Transaction, want int32) {
	w.t.Helper()
	if got := w.code(tx); got != want {
		w.t.Errorf("%s: %d, want %d", what, got, want)
	}
}

// refused is want for a refusal that a sentence explains.
func (w *world) refused(what string, tx *ltlv1.Transaction, want int32, reason string) {
	w.t.Helper()
	w.want(what, tx, want)
	v, err := Preview(w.input(tx.GetChainId()), w.now, [][]byte{marshal(w.t, tx)}, w.state)
	if err != nil || v[0].Reason != reason || v[0].Required != "" {
		w.t.Errorf("%s: %+v, %v, want the reason %q", what, v, err, reason)
	}
}

// previewCodes are the codes of Preview's verdicts.
func previewCodes(in Input, clockMs int64, transactions [][]byte, view View) ([]int32, error) {
	verdicts, err := Preview(in, clockMs, transactions, view)
	codes := make([]int32, len(verdicts))
	for i, v := range verdicts {
		codes[i] = v.Code
	}
	return codes, err
}
