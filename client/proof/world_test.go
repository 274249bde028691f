package proof_test

import (
	"cmp"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"testing"

	"google.golang.org/protobuf/proto"

	evidence "ltl/client/proof"
	"ltl/internal/ledger"
	ltlv1 "ltl/proto/ltl/v1"
	"ltl/test/testkit/offline"
)

const chain = "0000000000000042"

// clockMs is the clock of every organisation of a world.
const clockMs = 1_795_000_000_000

// world is a network of keys only, whose certificates are made from its parts by the code that makes blocks.
type world struct {
	t             *testing.T
	rand          *rand.Rand
	id            ledger.Hash
	genesis       []byte
	organisations []string
	keys          map[string]ed25519.PrivateKey
	nodes         []string
}

func newWorld(t *testing.T, seed uint64, organisations, nodes int) *world {
	t.Helper()
	w := &world{t: t, rand: rand.New(rand.NewPCG(seed, 11)), keys: map[string]ed25519.PrivateKey{}}
	g := &ltlv1.Genesis{Network: "test", CreatedMs: 1, Policy: "majority"}
	for i := range organisations {
		id := fmt.Sprintf("org%d", i+1)
		w.organisations = append(w.organisations, id)
		g.Organisations = append(g.Organisations, &ltlv1.Organisation{Id: id, Name: id, EndorserKey: w.newKey(id)})
	}
	for i := range nodes {
		id := fmt.Sprintf("node%d", i+1)
		w.nodes = append(w.nodes, id)
		g.Nodes = append(g.Nodes, &ltlv1.Node{Id: id, Organisation: "org1", Key: w.newKey(id)})
	}
	w.genesis = w.encode(&ltlv1.Transaction{Version: 1, ChainId: ledger.SystemChain, Nonce: make([]byte, 16),
		Action: &ltlv1.Transaction_Genesis{Genesis: g}})
	w.id = ledger.NetworkID(w.genesis)
	return w
}

// newSuccessor is a network that continues another one, as its organisations signed with their keys there.
func newSuccessor(t *testing.T, seed uint64, old *world, change func(*ltlv1.Genesis)) *world {
	t.Helper()
	w := newWorld(t, seed, 2, 1)
	tx := &ltlv1.Transaction{}
	if err := proto.Unmarshal(w.genesis, tx); err != nil {
		t.Fatal(err)
	}
	g := tx.GetGenesis()
	g.Predecessor = &ltlv1.Predecessor{NetworkId: old.id[:], Blocks: 9, BlockHash: make([]byte, 32), Heads: make([]byte, 32)}
	w.genesis = offline.Successor(t, g, func(organisation string) ed25519.PrivateKey { return old.keys[organisation] })
	if err := proto.Unmarshal(w.genesis, tx); err != nil {
		t.Fatal(err)
	}
	change(tx.GetGenesis())
	w.genesis = w.encode(tx)
	w.id = ledger.NetworkID(w.genesis)
	return w
}

func (w *world) newKey(id string) []byte {
	seed := sha256.Sum256([]byte(fmt.Sprint(w.rand.Uint64(), id)))
	w.keys[id] = ed25519.NewKeyFromSeed(seed[:])
	return w.keys[id].Public().(ed25519.PublicKey)
}

func (w *world) encode(tx *ltlv1.Transaction) []byte {
	b, err := proto.MarshalOptions{Deterministic: true}.Marshal(tx)
	if err != nil {
		w.t.Fatal(err)
	}
	return b
}

// trust is the trust file, with a history when it is not nil.
func (w *world) trust(history any) *evidence.Trust {
	w.t.Helper()
	trust, err := evidence.ParseTrust(w.trustFile(history))
	if err != nil {
		w.t.Fatal(err)
	}
	return trust
}

func (w *world) trustFile(history any) []byte {
	file := map[string]any{"network": "test", "networkId": hex.EncodeToString(w.id[:]),
		"genesis": base64.StdEncoding.EncodeToString(w.genesis), "organisations": []any{}, "nodes": []any{}}
	if history != nil {
		file["history"] = history
	}
	b, err := json.Marshal(file)
	if err != nil {
		w.t.Fatal(err)
	}
	return b
}

// kinds is the number of kinds of transaction.
const kinds = 7

// transaction is a record of a kind: 0 SetData, 1 AttachData, 2 an upload of several records, 3 the text of a list, 4 an
// act that is no record, 5 an AttachData that corrects a record, 6 an upload of one record that corrects another one.
func (w *world) transaction(kind, serial int, value string) *ltlv1.Transaction {
	nonce := sha256.Sum256([]byte(fmt.Sprint("nonce", serial, w.rand.Uint64())))
	tx := &ltlv1.Transaction{Version: 1, ChainId: chain, AccountUid: "236542814954312692",
		Submitter: "org1/facade/facade1", Nonce: nonce[:16], CreatedMs: clockMs, AccessKeyId: "key", SignatureNonce: "n"}
	device := &ltlv1.DeviceProof{AuthType: "ID2", IotId: "device-1", ProductKey: "p", DataDigest: "00", Signature: "2~2~", Source: "1"}
	key := fmt.Sprintf("0001_code_TYPE_%d", serial)
	committed := offline.Text(value)
	switch kind {
	case 0:
		tx.Action = &ltlv1.Transaction_SetData{SetData: &ltlv1.SetData{Key: key, Value: committed}}
	case 1:
		tx.Action = &ltlv1.Transaction_AttachData{AttachData: &ltlv1.AttachData{Key: key, Value: committed,
			BusinessId: hex.EncodeToString(nonce[:]), Device: device}}
	case 5:
		tx.Action = &ltlv1.Transaction_AttachData{AttachData: &ltlv1.AttachData{Key: key, Value: committed, BusinessId: "b",
			Corrects: &ltlv1.Correction{TransactionId: nonce[:], Key: key + "x", BusinessId: "c", Reason: "mistyped"}}}
	case 6:
		tx.Action = &ltlv1.Transaction_UploadPhaseData{UploadPhaseData: &ltlv1.UploadPhaseData{PhaseGroupId: "1",
			PhaseId: "2", Form: 1, Items: []*ltlv1.PhaseItem{{DataKey: "b", PhaseData: value, DataSeq: "s1"}},
			Corrects: &ltlv1.Correction{TransactionId: nonce[:], Key: "0002_code_ABCD_b", BusinessId: "s0", Reason: "mistyped",
				ByAdministrator: true}}}
	case 2:
		tx.Action = &ltlv1.Transaction_UploadPhaseData{UploadPhaseData: &ltlv1.UploadPhaseData{PhaseGroupId: "1",
			PhaseId: "2", Form: 1, Batch: true, Items: []*ltlv1.PhaseItem{{DataKey: "a", PhaseData: "other", DataSeq: "s0"},
				{DataKey: "b", PhaseData: value, DataSeq: "s1", Related: []*ltlv1.RelatedData{{PhaseId: "2", DataKey: "a"}}}}}}
	case 3:
		tx.Action = &ltlv1.Transaction_UploadPhaseData{UploadPhaseData: &ltlv1.UploadPhaseData{PhaseGroupId: "1",
			PhaseId: "2", Form: 1, Batch: true, List: value, Device: device}}
	default:
		tx.Action = &ltlv1.Transaction_LockMember{LockMember: &ltlv1.LockMember{MemberId: "1", Locked: true}}
	}
	return tx
}

// openings are what a certificate shows of a payload.
func openings(values offline.Values, payload []byte) (all []evidence.Opening) {
	for _, one := range values.Openings(payload) {
		for _, o := range one.GetOpenings() {
			all = append(all, evidence.Opening{Slot: uint64(o.GetSlot()), Salt: o.GetSalt(), Value: o.GetValue()})
		}
	}
	return all
}

// shape says what the certificate of a world is about.
type shape struct {
	kind, batch, index, before, after int
	value                             string
	code                              int32
	systemHeight                      uint64
	signed                            uint64 // the system height that the organisations had verified
	endorsers                         []string
	clock                             int64 // added to clockMs for the statements
	header                            func(*ledger.Header)
	change                            func(*ltlv1.Transaction) // made to the transaction
	chain                             string                   // instead of chain
}

// certificate makes a certificate by its own way: from the ids of a batch, and of a block with other batches before
// and after it.
func (w *world) certificate(s shape) *evidence.Certificate {
	w.t.Helper()
	ids := make([]ledger.Hash, s.batch)
	var payload []byte
	values := offline.Values{}
	for i := range ids {
		kind := 0
		if i == s.index {
			kind = s.kind
		}
		tx := w.transaction(kind, i, s.value)
		if i == s.index && s.change != nil {
			s.change(tx)
		}
		b := w.encode(values.Commit(tx))
		if i == s.index {
			payload = b
		}
		ids[i] = ledger.TransactionID(b)
	}
	root := ledger.BatchRoot(ids)
	c := &evidence.Certificate{Payload: payload, BatchCount: uint64(s.batch), BatchIndex: uint64(s.index),
		BatchPath: ledger.Path(leavesOf(ids), s.index)}
	switch s.kind {
	case 2:
		c.Item, c.Openings = 1, []evidence.Opening{{Slot: 1, Value: []byte(s.value)}}
	case 3, 6:
		c.Openings = []evidence.Opening{{Value: []byte(s.value)}}
	case 0, 1, 5:
		c.Openings = openings(values, payload)
	}
	accepted := make([]bool, s.batch)
	for i := range accepted {
		accepted[i] = true
	}
	for _, o := range s.endorsers {
		c.Endorsements = append(c.Endorsements, w.endorse(o, s, root, ledger.Bitmap(accepted)))
	}
	w.place(c, s, ids, root)
	return c
}

func (w *world) endorse(o string, s shape, root ledger.Hash, bitmap []byte) evidence.Endorsement {
	key := w.keys[o]
	one := &ledger.Endorsement{NetworkID: w.id, ChainID: cmp.Or(s.chain, chain), Root: root, Count: uint32(s.batch), Height: 3,
		SystemHeight: s.signed, ClockMs: clockMs + s.clock, KeyID: ledger.KeyID(key.Public().(ed25519.PublicKey)),
		Organisation: o[:4], Accepted: bitmap}
	beside := *one
	beside.Root = ledger.Hash{1}
	e := ledger.Gather(key, &beside, one, &beside)[1]
	return evidence.Endorsement{Statement: e.GetStatement(), Signature: e.GetSignature(), Index: uint64(e.GetIndex()),
		Path: e.GetPath(), Height: e.GetHeight(), Flags: uint64(e.GetFlags()), Bitmap: e.GetBitmap()}
}

// place puts the batch into a block.
func (w *world) place(c *evidence.Certificate, s shape, ids []ledger.Hash, root ledger.Hash) {
	var outcomes []ledger.Outcome
	for i := range s.before {
		outcomes = append(outcomes, ledger.Outcome{ID: ledger.Hash{byte(i)}, Code: 200})
	}
	for i, id := range ids {
		code := int32(200)
		if i == s.index {
			code = s.code
		}
		outcomes = append(outcomes, ledger.Outcome{ID: id, Code: code, BatchRoot: root})
	}
	for i := range s.after {
		outcomes = append(outcomes, ledger.Outcome{ID: ledger.Hash{byte(i), 1}, Code: 429})
	}
	leaves := make([]ledger.Hash, len(outcomes))
	for i, o := range outcomes {
		leaves[i] = ledger.LeafHash(ledger.OutcomeLeaf(nil, o))
	}
	h := ledger.Header{NetworkID: w.id, ChainID: cmp.Or(s.chain, chain), Height: 7, TimeMs: clockMs + 5, Count: uint32(len(outcomes)),
		TxRoot: ledger.TransactionsRoot(outcomes), SystemHeight: s.systemHeight, Sequence: 19, ReferenceMs: clockMs + 5}
	if s.header != nil {
		s.header(&h)
	}
	c.Block = evidence.Block{Header: h.Encode(), Index: uint64(s.before + s.index), Result: s.code,
		Path: ledger.Path(leaves, s.before+s.index)}
}

func leavesOf(ids []ledger.Hash) []ledger.Hash {
	leaves := make([]ledger.Hash, len(ids))
	for i, id := range ids {
		leaves[i] = ledger.LeafHash(id[:])
	}
	return leaves
}

// draw is a shape at random, with all organisations of the world or some.
func (w *world) draw() shape {
	s := shape{kind: w.rand.IntN(kinds), batch: 1 + w.rand.IntN(20), before: w.rand.IntN(9), after: w.rand.IntN(9), code: 200,
		value: fmt.Sprintf("value %d", w.rand.IntN(1000)), endorsers: w.organisations[:1+w.rand.IntN(len(w.organisations))]}
	s.index = w.rand.IntN(s.batch)
	if w.rand.IntN(10) == 0 {
		s.code = -317
	}
	return s
}

// ordinary is one SetData of a batch of four, endorsed by two organisations.
func (w *world) ordinary() shape {
	return shape{batch: 4, index: 2, before: 1, after: 2, code: 200, value: "paid 4711.00", endorsers: w.organisations[:2]}
}

func (w *world) encoded(c *evidence.Certificate) []byte {
	w.t.Helper()
	b, err := c.Encode()
	if err != nil {
		w.t.Fatal(err)
	}
	return b
}
