package store

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"google.golang.org/protobuf/proto"

	"ltl/internal/ledger"
	"ltl/internal/rules"
	ltlv1 "ltl/proto/ltl/v1"
	"ltl/test/testkit/offline"
)

const (
	startMs   = offline.StartMs
	rootUID   = "1000000000000001"
	memberUID = "1000000000000011"
)

func organisations() []string { return []string{"o1", "o2", "o3"} }

func marshal(t testing.TB, m proto.Message) []byte { t.Helper(); return offline.Encode(t, m) }

func genesisPayload(t testing.TB, network string) []byte {
	t.Helper()
	g := offline.Genesis(organisations()...)
	g.Network = network
	return offline.GenesisPayload(t, g)
}

// maker makes ordered entries of a network with two proof chains. It is its own leader, client and endorsers.
type maker struct {
	t       testing.TB
	network ledger.Hash
	genesis []byte
	index   uint64
	nonce   uint64
	now     int64
	chains  []*rules.Chain
	codes   []string // type codes of memberUID on the chains
	setup   []Entry  // the entries that made the network ready
}

// quiet is Options for tests that expect no failure.
func quiet(t testing.TB) Options {
	return Options{Logger: slog.New(slog.NewTextHandler(io.Discard, nil)), NoSync: true,
		Fatal: func(err error) { t.Errorf("Fatal: %v", err) }}
}

// openTest opens a store and closes it with the test.
func openTest(t testing.TB, dir string, o Options) *Store {
	t.Helper()
	s, err := Open(dir, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

// newMaker sets up accounts, two chains and a member of both on a store of its own.
func newMaker(t testing.TB) *maker {
	t.Helper()
	m := &maker{t: t, genesis: genesisPayload(t, "test.net"), now: startMs}
	m.network = ledger.NetworkID(m.genesis)
	s := openTest(t, t.TempDir(), quiet(t))
	if err := s.Init(m.genesis); err != nil {
		t.Fatal(err)
	}
	step := func(txs ...*ltlv1.Transaction) {
		e := m.entry(txs...)
		r, err := s.Apply([]Entry{e})
		if err != nil {
			t.Fatal(err)
		}
		for _, batch := range r[0].Results {
			for i, r := range batch {
				if r.GetCode() != rules.OK {
					t.Fatalf("setup transaction %d: %d %s", i, r.GetCode(), rules.Message(r.GetCode()))
				}
			}
		}
		m.setup = append(m.setup, e)
	}
	step(m.system(&ltlv1.Transaction{Action: &ltlv1.Transaction_CreateAccount{CreateAccount: &ltlv1.CreateAccount{Uid: rootUID, Name: "root", Type: ltlv1.AccountType_ACCOUNT_TYPE_ROOT, Organisation: "o1"}}}),
		m.system(&ltlv1.Transaction{Action: &ltlv1.Transaction_CreateAccount{CreateAccount: &ltlv1.CreateAccount{Uid: memberUID, Name: "member", Type: ltlv1.AccountType_ACCOUNT_TYPE_RAM, Organisation: "o1"}}}))
	step(m.putAccessKeys()...)
	for _, name := range []string{"chain-one", "chain-two"} {
		step(m.system(&ltlv1.Transaction{Action: &ltlv1.Transaction_CreateChain{CreateChain: &ltlv1.CreateChain{Name: name,
			Service: ltlv1.ChainService_CHAIN_SERVICE_PROOF, AdministratorUid: rootUID}}}))
	}
	var err error
	if m.chains, err = rules.ListChains(s); err != nil || len(m.chains) != 2 {
		t.Fatal("chains:", len(m.chains), err)
	}
	for i, c := range m.chains {
		tx := m.fresh(&ltlv1.Transaction{Action: &ltlv1.Transaction_CreateMember{CreateMember: &ltlv1.CreateMember{MemberUid: memberUID, Name: "a-member", Contact: "someone", Phone: "010-1234"}}})
		tx.ChainId, tx.AccountUid = c.ID, rootUID
		step(tx)
		member, err := rules.GetMember(s, c, memberUID)
		if err != nil || member == nil {
			t.Fatal("member:", i, err)
		}
		m.codes = append(m.codes, member.TypeCode)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	return m
}

// fresh fills in what every transaction has.
func (m *maker) fresh(tx *ltlv1.Transaction) *ltlv1.Transaction {
	m.nonce++
	nonce := sha256.Sum256(binary.BigEndian.AppendUint64(nil, m.nonce))
	tx.Version, tx.Nonce, tx.CreatedMs, tx.Submitter = 1, nonce[:16], m.now, offline.Facade
	return tx
}

func (m *maker) system(tx *ltlv1.Transaction) *ltlv1.Transaction {
	tx = m.fresh(tx)
	tx.ChainId, tx.Submitter = ledger.SystemChain, offline.Operator
	return tx
}

// set is a record of the member on chain i.
func (m *maker) set(i int, id, value string) *ltlv1.Transaction {
	tx := m.fresh(&ltlv1.Transaction{Action: &ltlv1.Transaction_SetData{SetData: &ltlv1.SetData{Key: m.key(i, id)}}})
	tx.ChainId, tx.AccountUid = m.chains[i].ID, memberUID
	return commit(tx, value)
}

// attach is a record under a repeatable Key.
func (m *maker) attach(i int, id, value string) *ltlv1.Transaction {
	tx := m.fresh(&ltlv1.Transaction{Action: &ltlv1.Transaction_AttachData{AttachData: &ltlv1.AttachData{Key: m.key(i,
		id)}}})
	tx.ChainId, tx.AccountUid = m.chains[i].ID, memberUID
	return commit(tx, value)
}

// commit makes a transaction commit to a value, which it carries beside itself until it is in a batch.
func commit(tx *ltlv1.Transaction, value string) *ltlv1.Transaction {
	salt := sha256.Sum256(tx.GetNonce())
	tx.Openings = &ltlv1.Openings{Openings: []*ltlv1.Opening{{Slot: rules.SlotValue, Salt: salt[:ledger.SaltLen],
		Value: []byte(value)}}}
	rules.Commit(tx)
	return tx
}

func (m *maker) key(i int, id string) string {
	return strings.Join([]string{"0001", m.chains[i].Code, m.codes[i], id}, "_")
}

// batch is endorsed by every organisation.
func (m *maker) batch(txs ...*ltlv1.Transaction) *ltlv1.Batch {
	var payloads [][]byte
	var openings []*ltlv1.Openings
	for _, tx := range txs {
		bare := proto.CloneOf(tx)
		bare.Openings = nil
		payloads = append(payloads, marshal(m.t, bare))
		openings = append(openings, proto.CloneOf(tx.GetOpenings()))
	}
	b := offline.Batch(m.network, txs[0].GetChainId(), m.now, payloads, offline.Signers(organisations()...))
	b.Openings = openings
	return b
}

// entry orders one batch; ordered several.
func (m *maker) entry(txs ...*ltlv1.Transaction) Entry { return m.ordered(m.batch(txs...)) }

func (m *maker) ordered(batches ...*ltlv1.Batch) Entry {
	m.index += 2 // real logs have gaps
	m.now += 7
	return Entry{Index: m.index, Entry: &ltlv1.Entry{Entry: &ltlv1.Entry_Batches{Batches: &ltlv1.OrderedBatches{Batches: batches}}}}
}

const benchKey = "LTAI5tExampleAccessKeyId"

// putAccessKeys puts the AccessKeys on the ledger whose sealed secrets accessKey makes: "k", "gone", and "key0" to
// "key9"; and benchKey, the only active one.
func (m *maker) putAccessKeys() []*ltlv1.Transaction {
	var txs []*ltlv1.Transaction
	for i := range 13 {
		id, state := fmt.Sprint("key", i), ltlv1.AccessKeyState_ACCESS_KEY_STATE_DISABLED
		if i >= 10 {
			id = []string{"k", "gone", benchKey}[i-10]
		}
		if id == benchKey {
			state = ltlv1.AccessKeyState_ACCESS_KEY_STATE_ACTIVE
		}
		c := ledger.SealedCommitment([]byte("sealed " + id))
		txs = append(txs, m.system(&ltlv1.Transaction{Action: &ltlv1.Transaction_PutAccessKey{
			PutAccessKey: &ltlv1.PutAccessKey{
				Id: id, AccountUid: memberUID, State: state, Version: 1, Commitment: c[:],
			}}}))
	}
	return txs
}

// accessKey is an entry with the sealed secret of an AccessKey.
func (m *maker) accessKey(id string) Entry {
	m.index++
	return Entry{Index: m.index, Entry: &ltlv1.Entry{Entry: &ltlv1.Entry_Sealed{Sealed: &ltlv1.SealedKey{AccessKeyId: id, Sealed: []byte("sealed " + id)}}}}
}

// mixed are n entries of all kinds: both chains, system blocks, duplicates, refusals, access keys.
func (m *maker) mixed(n int) []Entry {
	var entries []Entry
	var last *ltlv1.Batch
	for i := range n {
		var batches []*ltlv1.Batch
		b := m.batch(m.set(0, fmt.Sprint("a", i), "value"), m.attach(0, "history", fmt.Sprint("value ", i)),
			m.set(0, fmt.Sprint("a", i), "refused: the Key is taken"))
		batches = append(batches, b)
		if i%3 == 1 {
			batches = append(batches, m.batch(m.set(1, fmt.Sprint("b", i), strings.Repeat("long ", 40))))
		}
		if i%4 == 2 {
			uid := fmt.Sprintf("20000000000%05d", i)
			batches = append(batches, m.batch(m.system(&ltlv1.Transaction{Action: &ltlv1.Transaction_CreateAccount{CreateAccount: &ltlv1.CreateAccount{Uid: uid, Name: "someone", Type: ltlv1.AccountType_ACCOUNT_TYPE_RAM, Organisation: "o1"}}})))
		}
		if i%5 == 3 {
			batches = append(batches, last, &ltlv1.Batch{ChainId: "9999999999999999", Transactions: [][]byte{{1}}})
		}
		if i%7 == 4 {
			batches = append(batches, m.batch(m.system(&ltlv1.Transaction{Action: &ltlv1.Transaction_CreateChain{CreateChain: &ltlv1.CreateChain{Name: fmt.Sprint("chain-", i), Service: ltlv1.ChainService_CHAIN_SERVICE_PROOF, AdministratorUid: rootUID}}})))
		}
		last = b
		entries = append(entries, m.ordered(batches...))
		if i%6 == 5 {
			entries = append(entries, m.accessKey(fmt.Sprint("key", i%9)))
		}
	}
	return entries
}

// filled is a store with the setup and the entries applied one by one.
func (m *maker) filled(dir string, o Options, entries []Entry) *Store {
	m.t.Helper()
	s := openTest(m.t, dir, o)
	if err := s.Init(m.genesis); err != nil {
		m.t.Fatal(err)
	}
	m.applyAll(s, entries)
	return s
}

func (m *maker) applyAll(s *Store, entries []Entry) {
	m.t.Helper()
	for _, e := range append(append([]Entry(nil), m.setup...), entries...) {
		if _, err := s.Apply([]Entry{e}); err != nil {
			m.t.Fatal(err)
		}
	}
}

// settled waits until nothing is being flushed and no level wants merging.
func (s *Store) settled() {
	x := s.index
	x.mu.Lock()
	for !x.stopped && (x.frozen != nil || pickMerge(x.manifest.runs, 0, maxLevels+1) != nil) {
		x.changed.Wait()
	}
	x.mu.Unlock()
	x.installing.Lock()
	defer x.installing.Unlock() // after this the files that the last install replaced are removed
}

// contents is everything that a store serves, as text that can be compared.
func (s *Store) contents(t testing.TB) map[string]string {
	t.Helper()
	c, err := s.readAll()
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// lackingOpenings stands in contents for openings that the store knows it lacks.
const lackingOpenings = "lacking"

func (s *Store) readAll() (map[string]string, error) {
	c := map[string]string{"head": fmt.Sprintf("%+v", s.headNow()), "tips": fmt.Sprintf("%+v", s.Tips())}
	for n := range s.Sequence() {
		b, err := s.BlockAt(n)
		if err != nil {
			return nil, err
		}
		h, err := ledger.ParseHeader(b.GetHeader())
		if err != nil {
			return nil, err
		}
		again, err := s.Block(h.ChainID, h.Height)
		if err != nil || !proto.Equal(b, again) {
			return nil, fmt.Errorf("block %d of %s is not what is at sequence %d: %w", h.Height, h.ChainID, n, err)
		}
		c[fmt.Sprint("sequence ", n)] = string(encodeBlock(b))
		if err := s.AddOpenings(b); err != nil {
			return nil, err
		}
		name := fmt.Sprint("openings ", n)
		for _, batch := range b.GetBatches() {
			c[name] += fmt.Sprint(batch.GetOpenings())
		}
		if heights, err := s.ListLacking(h.ChainID, h.Height, 1); err != nil {
			return nil, err
		} else if len(heights) > 0 && heights[0] == h.Height {
			c[name] = lackingOpenings
		}
		if err := s.readIndexed(c, h.ChainID, b); err != nil {
			return nil, err
		}
	}
	for _, t := range s.Tips() {
		for class := byte('a'); class <= 'z'; class++ {
			err := s.Scan(t.ChainID, []byte{class}, func(k, v []byte) error {
				got, err := s.Get(t.ChainID, k)
				if err != nil || string(got) != string(v) {
					return fmt.Errorf("Get and Scan differ on %q: %w", k, err)
				}
				c[t.ChainID+string(k)] = string(v)
				return nil
			})
			if err != nil {
				return nil, err
			}
		}
	}
	keys, version, err := s.AccessKeys(0, 1000)
	c["keys"] = fmt.Sprint(keys, version)
	return c, err
}

// readIndexed looks up what the transactions of a block put into the index.
func (s *Store) readIndexed(c map[string]string, chainID string, b *ltlv1.Block) error {
	for _, batch := range b.GetBatches() {
		for _, payload := range batch.GetTransactions() {
			keys := [][]byte{rules.TransactionKey(ledger.TransactionID(payload)), []byte("Tabsent")}
			if tx, err := rules.Decode(payload); err == nil {
				keys = append(keys, rules.NewestKey(tx.GetSetData().GetKey()), rules.NewestKey(tx.GetAttachData().GetKey()),
					rules.VersionKey(tx.GetAttachData().GetKey(), 3))
			}
			for _, k := range keys {
				v, err := s.Get(chainID, k)
				if err != nil {
					return err
				}
				c[chainID+string(k)] = string(v)
			}
		}
	}
	return nil
}

func equalContents(a, b map[string]string) string {
	for k, v := range a {
		if w, ok := b[k]; w != lackingOpenings && (!ok || w != v) {
			return fmt.Sprintf("%q: %q and %q", k, v, b[k])
		}
	}
	if len(a) != len(b) {
		return fmt.Sprintf("%d and %d things", len(a), len(b))
	}
	return ""
}

// copyDir copies a store's files, as a crash at this moment would leave them (no page of the cache is lost).
func copyDir(t testing.TB, from, to string) {
	t.Helper()
	err := filepath.WalkDir(from, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, _ := filepath.Rel(from, path)
		if d.IsDir() {
			return os.MkdirAll(filepath.Join(to, rel), 0o700)
		}
		b, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		return os.WriteFile(filepath.Join(to, rel), b, 0o600)
	})
	if err != nil {
		t.Fatal(err)
	}
}

// expectFatal is Options whose Fatal counts.
func expectFatal(t testing.TB, calls *atomic.Int32) Options {
	o := quiet(t)
	o.Fatal = func(error) { calls.Add(1) }
	return o
}
