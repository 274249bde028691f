package node

import (
	"context"
	"crypto/ed25519"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	"ltl/internal/ledger"
	"ltl/internal/rules"
	"ltl/internal/store"
	ltlv1 "ltl/proto/ltl/v1"
	"ltl/test/testkit/offline"
)

// worldAdmin administers the chain of every test network.
const worldAdmin = "1000000000000001"

// world makes transactions and endorses them with the organisations' own keys.
type world struct {
	payload []byte // of the genesis transaction
	network ledger.Hash
	signers []offline.Signer
	chain   string // the proof chain's id and code, and its administrator's type code, once begin has run
	code    string
	kind    string

	mu     sync.Mutex
	values offline.Values // guarded by mu
}

// newWorld has n organisations o1, o2, … with one node n1, n2, … each; the keys are the same in every run.
func newWorld(t testing.TB, n int) *world {
	t.Helper()
	var orgs []string
	for i := 1; i <= n; i++ {
		orgs = append(orgs, fmt.Sprint("o", i))
	}
	w := &world{signers: offline.Signers(orgs...), values: offline.Values{}}
	g := offline.Genesis(orgs...)
	g.CreatedMs = 946_000_000_000
	w.payload = offline.GenesisPayload(t, g)
	w.network = ledger.NetworkID(w.payload)
	return w
}

// nonce is random but decided by rng, so that a seed decides a whole run.
func nonce(rng *rand.Rand) []byte {
	b := make([]byte, rules.NonceLen)
	for i := range b {
		b[i] = byte(rng.Uint32())
	}
	return b
}

func worldMarshal(tx *ltlv1.Transaction) []byte {
	b, err := proto.Marshal(tx)
	if err != nil {
		panic(err)
	}
	return b
}

// account creates an account with an assigned uid, or with uid when it is not empty.
func (w *world) account(rng *rand.Rand, uid string) []byte {
	return worldMarshal(&ltlv1.Transaction{
		Version: 1, ChainId: ledger.SystemChain, Submitter: offline.Operator, Nonce: nonce(rng), CreatedMs: 1,
		Action: &ltlv1.Transaction_CreateAccount{CreateAccount: &ltlv1.CreateAccount{
			Uid: uid, Name: "Customer", Type: ltlv1.AccountType_ACCOUNT_TYPE_ROOT, Organisation: "o1"}},
	})
}

// sealed are bytes with the form of a sealed secret, of an AccessKey's version.
func sealed(id string, version uint64) []byte {
	return append([]byte{ledger.SealedVersion, byte(version)}, make([]byte, 40)...)
}

// accessKey puts a version of an AccessKey on the ledger whose sealed secret is that of the function sealed.
func (w *world) accessKey(rng *rand.Rand, id string, version uint64) []byte {
	c := ledger.SealedCommitment(sealed(id, version))
	return worldMarshal(&ltlv1.Transaction{
		Version: 1, ChainId: ledger.SystemChain, Submitter: offline.Operator, Nonce: nonce(rng), CreatedMs: 1,
		Action: &ltlv1.Transaction_PutAccessKey{PutAccessKey: &ltlv1.PutAccessKey{Id: id, AccountUid: worldAdmin,
			State: ltlv1.AccessKeyState_ACCESS_KEY_STATE_ACTIVE, Version: version, Commitment: c[:]}},
	})
}

// newChain creates the proof chain.
func (w *world) newChain(rng *rand.Rand) []byte {
	return worldMarshal(&ltlv1.Transaction{
		Version: 1, ChainId: ledger.SystemChain, Submitter: offline.Operator, Nonce: nonce(rng), CreatedMs: 1,
		Action: &ltlv1.Transaction_CreateChain{CreateChain: &ltlv1.CreateChain{
			Name: "proofs", Service: ltlv1.ChainService_CHAIN_SERVICE_PROOF, AdministratorUid: worldAdmin}},
	})
}

// record attaches a value to the key's history.
func (w *world) record(rng *rand.Rand, key string) []byte {
	tx := &ltlv1.Transaction{
		Version: 1, ChainId: w.chain, AccountUid: worldAdmin, Submitter: offline.Facade, Nonce: nonce(rng), CreatedMs: 1,
		Action: &ltlv1.Transaction_AttachData{AttachData: &ltlv1.AttachData{
			Key:   rules.KeyVersion + "_" + w.code + "_" + w.kind + "_" + key,
			Value: offline.Text(fmt.Sprintf("value %d", rng.Uint64()))}},
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	return worldMarshal(w.values.Commit(tx))
}

// batch endorses the transactions by the first organisations, a majority; on the system chain by all, because a new
// chain needs those that are on it.
func (w *world) batch(chain string, payloads ...[]byte) *ltlv1.Batch {
	signers := w.signers
	if chain != ledger.SystemChain {
		signers = signers[:len(signers)/2+1]
	}
	b := offline.Batch(w.network, chain, endorsedMs, payloads, signers)
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.values.Open(b)
}

// endorsedMs is the clock of all endorsements: a time after the genesis.
const endorsedMs = 1 << 45

// submitFunc gets a batch ordered, whatever it takes.
type submitFunc func(b *ltlv1.Batch) ([]*ltlv1.Result, error)

// begin makes the administrator's account and the proof chain.
func (w *world) begin(rng *rand.Rand, submit submitFunc, view func() rules.View) error {
	results, err := submit(w.batch(ledger.SystemChain, w.account(rng, worldAdmin), w.newChain(rng)))
	if err != nil {
		return err
	}
	for _, r := range results {
		if r.GetCode() != rules.OK {
			return fmt.Errorf("setting up: %d %s", r.GetCode(), rules.Message(r.GetCode()))
		}
	}
	c, err := rules.GetChain(view(), results[1].GetOutput())
	if err != nil || c == nil {
		return fmt.Errorf("chain %q: %v", results[1].GetOutput(), err)
	}
	w.chain, w.code, w.kind = c.ID, c.Code, c.AdministratorTypeCode
	return nil
}

// compareLedgers fails unless all stores hold the same blocks at every height, each verifies, and one of them can be
// executed again from its genesis. It returns the position of each accepted transaction.
func compareLedgers(t testing.TB, w *world, verify rules.Verify,
	stores map[string]*store.Store) map[ledger.Hash]*ltlv1.Result {
	t.Helper()
	var names []string
	for name := range stores {
		names = append(names, name)
	}
	first := stores[names[0]]
	for _, name := range names {
		s := stores[name]
		if err := s.Verify(context.Background(), nil); err != nil {
			t.Errorf("I3: %s: %v", name, err)
		}
		if s.Sequence() != first.Sequence() || len(s.Tips()) != len(first.Tips()) {
			t.Fatalf("I2: %s has %d blocks of %d chains, %s has %d of %d", name, s.Sequence(), len(s.Tips()), names[0],
				first.Sequence(), len(first.Tips()))
		}
	}
	found := make(map[ledger.Hash]*ltlv1.Result)
	var all []*ltlv1.Block
	for n := uint64(0); n < first.Sequence(); n++ {
		block, err := first.BlockAt(n)
		if err != nil {
			t.Fatalf("block at %d: %v", n, err)
		}
		all = append(all, block)
		for _, name := range names[1:] {
			other, err := stores[name].BlockAt(n)
			if err != nil || string(other.GetHeader()) != string(block.GetHeader()) {
				t.Fatalf("I2: block at sequence %d differs between %s and %s (%v)", n, names[0], name, err)
			}
		}
		collect(t, block, found)
	}
	again(t, w, verify, all)
	return found
}

// collect notes the accepted transactions of a block, and fails when one was there already.
func collect(t testing.TB, block *ltlv1.Block, found map[ledger.Hash]*ltlv1.Result) {
	t.Helper()
	h, err := ledger.ParseHeader(block.GetHeader())
	if err != nil {
		t.Fatal(err)
	}
	i := uint32(0)
	for _, b := range block.GetBatches() {
		for _, p := range b.GetTransactions() {
			code := block.GetResults()[i]
			id := ledger.TransactionID(p)
			if code == rules.OK {
				if before := found[id]; before != nil {
					t.Errorf("I5: transaction %x is accepted at %s/%d and again at %s/%d", id[:4], before.GetChainId(),
						before.GetBlockHeight(), h.ChainID, h.Height)
				}
				found[id] = &ltlv1.Result{Code: code, ChainId: h.ChainID, BlockHeight: h.Height, TransactionIndex: i}
			}
			i++
		}
	}
}

// again executes all blocks on an empty store.
func again(t testing.TB, w *world, verify rules.Verify, blocks []*ltlv1.Block) {
	t.Helper()
	s, err := store.Open(simDir(t), store.Options{NoSync: true, Verify: verify, Logger: quiet(),
		Fatal: func(err error) { t.Error(err) }})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if err := s.Init(w.payload); err != nil {
		t.Fatal(err)
	}
	if err := s.Append(blocks[1:]); err != nil {
		t.Errorf("I3: executing the ledger again: %v", err)
	}
}

// checkAcked fails unless each answer that a client got is on the ledger, where the answer said.
func checkAcked(t testing.TB, acked, found map[ledger.Hash]*ltlv1.Result) {
	t.Helper()
	for id, r := range acked {
		if r.GetCode() != rules.OK {
			continue
		}
		f := found[id]
		if f == nil {
			t.Errorf("I1: transaction %x was acknowledged at %s/%d and is on no ledger", id[:4], r.GetChainId(),
				r.GetBlockHeight())
		} else if f.GetChainId() != r.GetChainId() || f.GetBlockHeight() != r.GetBlockHeight() ||
			f.GetTransactionIndex() != r.GetTransactionIndex() {
			t.Errorf("I1: transaction %x was acknowledged at %s/%d/%d and is at %s/%d/%d", id[:4], r.GetChainId(),
				r.GetBlockHeight(),
				r.GetTransactionIndex(), f.GetChainId(), f.GetBlockHeight(), f.GetTransactionIndex())
		}
	}
}

// eventually waits for a condition.
func eventually(t testing.TB, within time.Duration, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(within); !ok(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("not within %v: %s", within, what)
		}
	}
}

// key returns the key that an organisation's endorser signs with.
func (w *world) key(organisation string) ed25519.PrivateKey {
	for _, s := range w.signers {
		if s.Organisation == organisation {
			return s.Key
		}
	}
	return nil
}
