package format_test

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"testing"

	"google.golang.org/protobuf/proto"

	"ltl/internal/ledger"
	"ltl/internal/rules"
	ltlv1 "ltl/proto/ltl/v1"
	"ltl/test/testkit/offline"
)

const (
	testdata    = "../../internal/ledger/testdata/"
	vectorsFile = testdata + "vectors.json"
	startMs     = 1_767_225_600_000 // 2026-01-01T00:00:00Z
)

var rewrite = flag.Bool("rewrite", false, "rewrite the test vectors")

// TestProductMakesTheVectors makes the vectors with the product's code and compares them with the published file.
func TestProductMakesTheVectors(t *testing.T) {
	got, err := json.MarshalIndent(makeVectors(t), "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	got = append(got, '\n')
	if *rewrite {
		if err := os.WriteFile(vectorsFile, got, 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(vectorsFile)
	if err != nil {
		t.Fatal(err)
	}
	if bytes.Equal(got, want) {
		return
	}
	a, b := bytes.Split(want, []byte("\n")), bytes.Split(got, []byte("\n"))
	for i := range min(len(a), len(b)) {
		if !bytes.Equal(a[i], b[i]) {
			t.Fatalf("%s, line %d: a change of consensus; run with -rewrite only if it is meant\nwant %s\ngot  %s",
				vectorsFile, i+1, a[i], b[i])
		}
	}
	t.Fatalf("%s has %d lines, want %d", vectorsFile, len(a), len(b))
}

// object is a JSON object; encoding/json sorts its names.
type object map[string]any

func h(b []byte) string { return hex.EncodeToString(b) }

func hh(b ledger.Hash) string { return hex.EncodeToString(b[:]) }

func hash(s string) ledger.Hash { return sha256.Sum256([]byte(s)) }

func key(name string) ed25519.PrivateKey {
	seed := sha256.Sum256([]byte("ltl test vectors: " + name))
	return ed25519.NewKeyFromSeed(seed[:])
}

func public(name string) []byte { return key(name).Public().(ed25519.PublicKey) }

func makeVectors(t *testing.T) object {
	w := newWorld(t)
	return object{
		"transactionId": hashVectors(ledger.TransactionID),
		"networkId":     hashVectors(ledger.NetworkID),
		"keyId":         keyVectors(),
		"dataHash":      dataVectors(),
		"commitments":   commitmentVectors(),
		"batchRoot":     batchRootVectors(),
		"outcomes":      outcomeVectors(),
		"statements":    statementVectors(),
		"batchHash":     batchHashVectors(),
		"batchesHash":   batchesVectors(),
		"writesHash":    writesVectors(),
		"headsHash":     headsVectors(),
		"headers":       headerVectors(),
		"floors":        floorVectors(),
		"signedTexts":   signedTextVectors(t),
		"deviceKeys":    deviceKeyVectors(),
		"sealed":        sealedVectors(t),
		"ledger":        w.run(),
	}
}

func hashVectors(f func([]byte) ledger.Hash) (all []object) {
	for _, payload := range []string{"", "a", "payload", "payload\x00"} {
		all = append(all, object{"payload": h([]byte(payload)), "hash": hh(f([]byte(payload)))})
	}
	return all
}

func keyVectors() (all []object) {
	for _, name := range []string{"org1", "org2"} {
		id := ledger.KeyID(public(name))
		all = append(all, object{"publicKey": h(public(name)), "keyId": h(id[:])})
	}
	return all
}

func dataVectors() (all []object) {
	for _, value := range []string{"", "hello", `{"温度":"36.5℃"}`} {
		all = append(all, object{"value": value, "hash": hh(ledger.DataHash(value))})
	}
	return all
}

func commitmentVectors() (all []object) {
	for i, value := range []string{"", "1234", `{"温度":"36.5℃"}`, string(bytes.Repeat([]byte{'v'}, 300))} {
		salt, slot, chain := hash(fmt.Sprint("salt ", i)), uint32(i*i*256), fmt.Sprintf("%016d", i*7)
		all = append(all, object{"chainId": chain, "slot": slot, "salt": h(salt[:16]), "value": value,
			"commitment": hh(ledger.Commitment(chain, slot, salt[:16], []byte(value)))})
	}
	return all
}

func batchRootVectors() (all []object) {
	for _, n := range []int{0, 1, 2, 3, 4, 5, 7, 8, 9} {
		ids, texts := make([]ledger.Hash, n), make([]string, n)
		for i := range n {
			ids[i] = hash(fmt.Sprint("transaction ", i))
			texts[i] = hh(ids[i])
		}
		all = append(all, object{"ids": texts, "root": hh(ledger.BatchRoot(ids))})
	}
	return all
}

func outcomeVectors() (all []object) {
	for _, n := range []int{1, 2, 3, 6} {
		outcomes, texts := make([]ledger.Outcome, n), make([]object, n)
		for i := range n {
			o := ledger.Outcome{ID: hash(fmt.Sprint("transaction ", i)), Code: []int32{200, -317, 1001}[i%3],
				BatchRoot: hash(fmt.Sprint("batch ", i/2))}
			outcomes[i] = o
			texts[i] = object{"id": hh(o.ID), "code": o.Code, "batchRoot": hh(o.BatchRoot),
				"leaf": h(ledger.OutcomeLeaf(nil, o))}
		}
		all = append(all, object{"outcomes": texts, "root": hh(ledger.TransactionsRoot(outcomes))})
	}
	return all
}

func statementVectors() (all []object) {
	verdicts := [][]bool{{true}, {true, false, true}, {false, true, false, false, false, false, false, true, true}}
	for _, size := range []int{1, 2, 3, 5, 8, ledger.MaxStatementLeaves} {
		var batches []*ledger.Endorsement
		var leaves []object
		for i := range size {
			accepted := verdicts[i%len(verdicts)]
			batches = append(batches, &ledger.Endorsement{
				NetworkID: hash("network"), ChainID: fmt.Sprintf("%016d", i%4), Root: hash(fmt.Sprint("root ", i)),
				Count: uint32(len(accepted)), Height: uint64(7 + i), SystemHeight: 258, ClockMs: startMs + 30_000,
				KeyID: ledger.KeyID(public("org1")), Organisation: "org1", Flags: byte(i % 2), Accepted: ledger.Bitmap(accepted),
			})
			leaves = append(leaves, object{"chainId": batches[i].ChainID, "root": hh(batches[i].Root), "accepted": accepted})
		}
		endorsements := ledger.Gather(key("org1"), batches...)
		for i, e := range endorsements {
			leaves[i]["endorsement"] = endorsementText(e)
		}
		all = append(all, object{
			"networkId": hh(hash("network")), "systemHeight": 258, "clockMs": startMs + 30_000, "organisation": "org1",
			"publicKey": h(public("org1")), "privateKeySeed": h(key("org1").Seed()), "leaves": leaves,
		})
	}
	return all
}

func endorsementText(e *ltlv1.Endorsement) object {
	return object{"statement": h(e.GetStatement()), "signature": h(e.GetSignature()), "index": e.GetIndex(),
		"path": h(e.GetPath()), "height": e.GetHeight(), "flags": e.GetFlags(), "bitmap": h(e.GetBitmap())}
}

func batchHashVectors() (all []object) {
	for n := range 3 {
		var endorsements []*ltlv1.Endorsement
		texts := []object{}
		for i := range n {
			e := &ltlv1.Endorsement{Statement: fmt.Append(nil, "statement ", i), Signature: fmt.Append(nil, "signature ", i),
				Index: uint32(i), Path: fmt.Append(nil, "path ", i), Height: 258, Flags: uint32(i), Bitmap: []byte{0x80}}
			endorsements = append(endorsements, e)
			texts = append(texts, endorsementText(e))
		}
		root := hash("root")
		all = append(all, object{"root": hh(root), "count": n + 1, "endorsements": texts,
			"hash": hh(ledger.BatchHash(root, n+1, endorsements))})
	}
	return all
}

func batchesVectors() (all []object) {
	for n := range 3 {
		hashes, texts := make([]ledger.Hash, n), make([]string, n)
		for i := range n {
			hashes[i] = hash(fmt.Sprint("batch ", i))
			texts[i] = hh(hashes[i])
		}
		all = append(all, object{"batches": texts, "hash": hh(ledger.BatchesHash(hashes))})
	}
	return all
}

func writesVectors() (all []object) {
	for _, writes := range [][]ledger.Write{
		nil,
		{{Key: []byte("key"), Value: []byte("value")}},
		{{Key: []byte("ab"), Value: []byte("c")}, {Key: []byte("a"), Value: []byte("bc")}, {Key: nil, Value: nil}},
	} {
		all = append(all, object{"writes": writeTexts(writes), "hash": hh(ledger.WritesHash(writes))})
	}
	return all
}

func writeTexts(writes []ledger.Write) []object {
	texts := make([]object, len(writes))
	for i, w := range writes {
		texts[i] = object{"key": h(w.Key), "value": h(w.Value)}
	}
	return texts
}

func headerVectors() (all []object) {
	for _, header := range []ledger.Header{
		{ChainID: ledger.SystemChain},
		{
			NetworkID: hash("network"), ChainID: "1234567890123456", Height: 258, TimeMs: startMs, Previous: hash("previous"),
			Count:  3,
			TxRoot: hash("transactions"), BatchesHash: hash("batches"), WritesHash: hash("writes"), SystemHeight: 4,
			Sequence: 772, ReferenceMs: startMs + 5,
		},
		{ChainID: "9999999999999999", Height: 1<<64 - 1, TimeMs: 1<<63 - 1, Count: 1<<32 - 1, SystemHeight: 1<<64 - 1, Sequence: 1<<64 - 1,
			ReferenceMs: 1<<63 - 1},
	} {
		all = append(all, object{
			"networkId": hh(header.NetworkID), "chainId": header.ChainID, "height": fmt.Sprint(header.Height),
			"timeMs":   fmt.Sprint(header.TimeMs),
			"previous": hh(header.Previous), "count": header.Count, "txRoot": hh(header.TxRoot),
			"batchesHash": hh(header.BatchesHash),
			"writesHash":  hh(header.WritesHash), "systemHeight": fmt.Sprint(header.SystemHeight),
			"sequence": fmt.Sprint(header.Sequence), "referenceMs": fmt.Sprint(header.ReferenceMs),
			"header": h(header.Encode()), "blockHash": hh(ledger.BlockHash(header.Encode())),
		})
	}
	return all
}

// floorVectors are headers, each with the newest correction of the time and the floor of the block above.
func floorVectors() (all []object) {
	for _, header := range []ledger.Header{
		{ChainID: "1234567890123456", Height: 5, SystemHeight: 7, TimeMs: startMs}, {ChainID: "1234567890123456", Height: 5, SystemHeight: 8, TimeMs: startMs},
		{ChainID: "1234567890123456", SystemHeight: 8, TimeMs: startMs}, {ChainID: "1234567890123456", SystemHeight: 9, TimeMs: startMs},
		{ChainID: ledger.SystemChain, Height: 7, SystemHeight: 7, TimeMs: startMs}, {ChainID: ledger.SystemChain, Height: 8, SystemHeight: 8, TimeMs: startMs},
		{ChainID: ledger.SystemChain, Height: 9, SystemHeight: 9, TimeMs: startMs}, {ChainID: "1234567890123456", Height: 1, TimeMs: startMs - 9000},
	} {
		c := rules.TimeCorrection{Height: 8, ToMs: startMs - 5000}
		all = append(all, object{"header": h(header.Encode()), "height": c.Height, "toMs": fmt.Sprint(c.ToMs),
			"floorMs": fmt.Sprint(c.Floor(&header))})
	}
	return all
}

// world is a whole small ledger: genesis, a system block, a chain's block 0, and two blocks of that chain.
type world struct {
	t       *testing.T
	network ledger.Hash
	state   map[string][]byte
	tips    map[string]*rules.Executed
	blocks  []object
	// reference is the reference time of the newest block.
	reference int64
	nonce     byte
	values    offline.Values
}

func newWorld(t *testing.T) *world {
	return &world{t: t, values: offline.Values{}, state: map[string][]byte{}, tips: map[string]*rules.Executed{}}
}

// Get implements rules.View.
func (w *world) Get(chainID string, key []byte) ([]byte, error) {
	return w.state[chainID+string(key)], nil
}

func (w *world) check(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) store(x *rules.Executed) {
	for _, write := range x.Writes {
		w.state[x.Header.ChainID+string(write.Key)] = write.Value
	}
	w.tips[x.Header.ChainID], w.reference = x, x.Header.ReferenceMs
	batches := []object{}
	for _, b := range x.Block.GetBatches() {
		payloads, endorsements := []string{}, []object{}
		for _, p := range b.GetTransactions() {
			payloads = append(payloads, h(p))
		}
		for _, e := range b.GetEndorsements() {
			endorsements = append(endorsements, endorsementText(e))
		}
		batches = append(batches, object{"transactions": payloads, "endorsements": endorsements,
			"openings": openingTexts(w.values.Openings(b.GetTransactions()...))})
	}
	results := x.Block.GetResults()
	if results == nil {
		results = []int32{}
	}
	w.blocks = append(w.blocks, object{
		"header": h(x.Block.GetHeader()), "blockHash": hh(x.Hash), "batches": batches, "results": results,
		"writes": writeTexts(x.Writes),
	})
}

// openingTexts are the openings of a batch, a list for each transaction.
func openingTexts(all []*ltlv1.Openings) [][]object {
	texts := make([][]object, len(all))
	for i, one := range all {
		texts[i] = []object{}
		for _, o := range one.GetOpenings() {
			texts[i] = append(texts[i], object{"slot": o.GetSlot(), "salt": h(o.GetSalt()), "value": string(o.GetValue())})
		}
	}
	return texts
}

func (w *world) encode(tx *ltlv1.Transaction) []byte {
	w.t.Helper()
	w.nonce++
	tx.Version, tx.CreatedMs = 1, startMs+int64(w.nonce)
	tx.Nonce = bytes.Repeat([]byte{w.nonce}, rules.NonceLen)
	b, err := proto.MarshalOptions{Deterministic: true}.Marshal(w.values.Commit(tx))
	w.check(err)
	return b
}

// batch endorses transactions in the name of both organisations.
func (w *world) batch(chainID string, clockMs int64, payloads ...[]byte) *ltlv1.Batch {
	ids, accepted := make([]ledger.Hash, len(payloads)), make([]bool, len(payloads))
	for i, p := range payloads {
		ids[i], accepted[i] = ledger.TransactionID(p), true
	}
	b := &ltlv1.Batch{ChainId: chainID, Transactions: payloads}
	for _, organisation := range []string{"org1", "org2"} {
		s := ledger.Endorsement{
			NetworkID: w.network, ChainID: chainID, Root: ledger.BatchRoot(ids), Count: uint32(len(ids)),
			Height:       w.tips[chainID].Header.Height,
			SystemHeight: w.tips[ledger.SystemChain].Header.Height, ClockMs: clockMs,
			KeyID:        ledger.KeyID(public(organisation)),
			Organisation: organisation, Accepted: ledger.Bitmap(accepted),
		}
		b.Endorsements = append(b.Endorsements, s.Sign(key(organisation)))
	}
	return b
}

func (w *world) execute(chainID string, batches ...*ltlv1.Batch) *rules.Executed {
	w.t.Helper()
	tip := w.tips[chainID]
	in := rules.Input{
		NetworkID: w.network, ChainID: chainID, Height: tip.Header.Height + 1, Previous: tip.Hash,
		PreviousTimeMs: tip.Header.TimeMs,
		SystemHeight:   w.tips[ledger.SystemChain].Header.Height, Batches: batches,
		Sequence: uint64(len(w.blocks)), PreviousReferenceMs: w.reference,
	}
	if chainID == ledger.SystemChain {
		in.SystemHeight = in.Height
	}
	x, err := rules.Execute(in, w, ledger.VerifyEndorsement)
	w.check(err)
	w.store(x)
	for _, id := range x.NewChains {
		w.store(rules.ChainBlock0(&x.Header, id, uint64(len(w.blocks))))
	}
	return x
}

const (
	administrator = "1000000000000001"
	member        = "1000000000000002"
)

func (w *world) run() object {
	payload := w.encode(&ltlv1.Transaction{ChainId: ledger.SystemChain,
		Action: &ltlv1.Transaction_Genesis{Genesis: w.genesis()}})
	w.network = ledger.NetworkID(payload)
	x, err := rules.GenesisBlock(payload)
	w.check(err)
	w.store(x)

	system := func(tx *ltlv1.Transaction) []byte {
		tx.ChainId, tx.Submitter = ledger.SystemChain, "org1/operator/operator"
		return w.encode(tx)
	}
	account := func(name, uid string) []byte {
		return system(&ltlv1.Transaction{Action: &ltlv1.Transaction_CreateAccount{CreateAccount: &ltlv1.CreateAccount{
			Uid: uid, Name: name, Type: ltlv1.AccountType_ACCOUNT_TYPE_RAM, Organisation: "org1",
		}}})
	}
	chain := system(&ltlv1.Transaction{Action: &ltlv1.Transaction_CreateChain{CreateChain: &ltlv1.CreateChain{
		Name: "proof", Service: ltlv1.ChainService_CHAIN_SERVICE_PROOF, AdministratorUid: administrator,
		Policy: "submitter&majority",
	}}})
	w.execute(ledger.SystemChain, w.batch(ledger.SystemChain, startMs+1_000, account("administrator", administrator),
		account("member", member), account("assigned", "")), w.batch(ledger.SystemChain, startMs+900, chain))
	w.accessKeys(system)
	w.business()
	return object{"networkId": hh(w.network), "blocks": w.blocks}
}

// accessKeys makes a block of AccessKeys: that of the requests, and one that is disabled with the secret of its first
// version, and refused a version too early.
func (w *world) accessKeys(system func(*ltlv1.Transaction) []byte) {
	put := func(id string, state ltlv1.AccessKeyState, version uint64) []byte {
		c := ledger.SealedCommitment([]byte("sealed " + id))
		return system(&ltlv1.Transaction{Action: &ltlv1.Transaction_PutAccessKey{PutAccessKey: &ltlv1.PutAccessKey{
			Id: id, AccountUid: administrator, State: state, Version: version, Commitment: c[:],
		}}})
	}
	const active, disabled = ltlv1.AccessKeyState_ACCESS_KEY_STATE_ACTIVE, ltlv1.AccessKeyState_ACCESS_KEY_STATE_DISABLED
	w.execute(ledger.SystemChain, w.batch(ledger.SystemChain, startMs+1_500, put("LTAIvectors", active, 1),
		put("LTAIdisabled", active, 1), put("LTAIdisabled", disabled, 3), put("LTAIdisabled", disabled, 2)))
}

func (w *world) genesis() *ltlv1.Genesis {
	g := &ltlv1.Genesis{Network: "vectors", CreatedMs: startMs, Policy: "majority"}
	for i, id := range []string{"org1", "org2"} {
		der, err := os.ReadFile(testdata + id + ".ca.der")
		w.check(err)
		g.Organisations = append(g.Organisations, &ltlv1.Organisation{
			Id: id, Name: []string{"One",
				"第二"}[i], CaCertificate: der, EndorserKey: public(id), EndorserAddress: fmt.Sprintf("127.0.0.1:%d", 7101+i),
		})
	}
	for i, organisation := range []string{"org1", "org2", "org1"} {
		id := fmt.Sprintf("n%d", i+1)
		g.Nodes = append(g.Nodes, &ltlv1.Node{Id: id, Organisation: organisation,
			Address: fmt.Sprintf("127.0.0.1:%d", 7001+i), Key: public(id)})
	}
	return g
}

// business makes blocks 1 and 2 of the business chain: every action, a repeated key, a repeated transaction, refusals.
func (w *world) business() {
	var c *rules.Chain
	for id := range w.tips {
		if id != ledger.SystemChain {
			var err error
			c, err = rules.GetChain(w, id)
			w.check(err)
		}
	}
	send := func(uid, nonce string, tx *ltlv1.Transaction) []byte {
		tx.ChainId, tx.AccountUid, tx.Submitter = c.ID, uid, "org1/facade/f1"
		if nonce != "" {
			tx.AccessKeyId, tx.SignatureNonce = "LTAIvectors", nonce
		}
		return w.encode(tx)
	}
	set := func(name, value string) *ltlv1.Transaction {
		return &ltlv1.Transaction{Action: &ltlv1.Transaction_SetData{SetData: &ltlv1.SetData{
			Key: "0001_" + c.Code + "_" + c.AdministratorTypeCode + "_" + name, Value: offline.Text(value),
		}}}
	}
	attach := func(name, value, business string) *ltlv1.Transaction {
		return &ltlv1.Transaction{Action: &ltlv1.Transaction_AttachData{AttachData: &ltlv1.AttachData{
			Key: "0001_" + c.Code + "_" + c.AdministratorTypeCode + "_" + name, Value: offline.Text(value), BusinessId: business,
		}}}
	}
	single := send(administrator, "nonce-1", set("single", "value"))
	join := send(administrator, "",
		&ltlv1.Transaction{Action: &ltlv1.Transaction_CreateMember{CreateMember: &ltlv1.CreateMember{
			MemberUid: member, Name: "member", Contact: "contact", Phone: "021-1", Remark: "备注",
		}}})
	business := fmt.Sprintf("%X", hash("business id"))
	w.execute(c.ID, w.batch(c.ID, startMs+2_000,
		single, send(administrator, "nonce-2", attach("many", "first", "")), send(administrator, "",
			attach("many", "第二", business)), join))
	w.execute(c.ID, // the clocks went back: the block's time does not
		w.batch(c.ID, startMs+1_500, single, send(administrator, "nonce-1", set("other", "value")),
			send(administrator, "nonce-3", set("single", "again"))),
		w.batch(c.ID, startMs+1_600, send(administrator, "nonce-4", attach("many", "third", ""))))
	w.badEndorsement(c, send(administrator, "nonce-5", set("late", "value")))
	w.delegation(c, set("delegated", "value"))
	withKey := set("disabled", "value")
	withKey.ChainId, withKey.AccountUid, withKey.Submitter = c.ID, administrator, "org1/facade/f1"
	withKey.AccessKeyId, withKey.SignatureNonce = "LTAIdisabled", "nonce-1"
	w.execute(c.ID, w.batch(c.ID, startMs+7_000, w.encode(withKey)))
}

// delegation makes a block whose one transaction is another organisation's facade's, one that delegates to it, and one
// with the same transaction again.
func (w *world) delegation(c *rules.Chain, tx *ltlv1.Transaction) {
	tx.ChainId, tx.AccountUid, tx.Submitter = c.ID, administrator, "org2/facade/f2"
	payload := w.encode(tx)
	w.execute(c.ID, w.batch(c.ID, startMs+4_000, payload))
	w.execute(ledger.SystemChain, w.batch(ledger.SystemChain, startMs+5_000, w.encode(&ltlv1.Transaction{
		ChainId: ledger.SystemChain, Submitter: "org1/operator/operator",
		Action: &ltlv1.Transaction_SetDelegates{SetDelegates: &ltlv1.SetDelegates{Facades: []string{"org2/facade/f2"}}},
	})))
	w.execute(c.ID, w.batch(c.ID, startMs+6_000, payload))
}

// badEndorsement makes a block whose one transaction only one organisation signed.
func (w *world) badEndorsement(c *rules.Chain, payload []byte) {
	b := w.batch(c.ID, startMs+3_000, payload)
	b.Endorsements = b.Endorsements[1:]
	w.execute(c.ID, b)
}
