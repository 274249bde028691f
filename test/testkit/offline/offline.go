// Package offline makes what the members of a network make, without running one: keys, a genesis, transactions and
// endorsed batches. It imports the ledger's encodings and the wire contract only, so that the tests inside the rules,
// the store, the node and the endorser can use it. The same arguments give the same bytes in every run.
package offline

import (
	"crypto/ed25519"
	"crypto/sha256"
	"fmt"
	"reflect"
	"slices"
	"testing"

	"google.golang.org/protobuf/proto"

	"ltl/internal/ledger"
	ltlv1 "ltl/proto/ltl/v1"
)

// StartMs is when the networks of tests are made, unless they say otherwise.
const StartMs = 1_700_000_000_000

// Submitters of transactions, both of organisation o1.
const (
	Facade   = "o1/facade/f1"
	Operator = "o1/operator/olga"
)

// Key returns the key of a name.
func Key(name string) ed25519.PrivateKey {
	seed := sha256.Sum256([]byte("key of " + name))
	return ed25519.NewKeyFromSeed(seed[:])
}

// PublicKey returns the public half of the key of a name.
func PublicKey(name string) ed25519.PublicKey { return Key(name).Public().(ed25519.PublicKey) }

// Organisation describes an organisation whose endorser signs with Key(id).
func Organisation(id string) *ltlv1.Organisation {
	return &ltlv1.Organisation{
		Id: id, Name: "公司 " + id, CaCertificate: Authority(id, 1), EndorserKey: PublicKey(id),
		EndorserAddress: "127.0.0.1:1000",
	}
}

// Authority is a certificate of a certificate authority with Key("authority of " + name), with a serial number below 128.
// It has the fields up to the key, and nothing after it: the rules read no more.
func Authority(name string, serial byte) []byte {
	key := PublicKey("authority of " + name)
	empty := []byte{0x30, 0}
	body := slices.Concat([]byte{0xa0, 3, 2, 1, 2, 2, 1, serial}, empty, empty, empty, empty,
		[]byte{0x30, 0x2a, 0x30, 5, 6, 3, 0x2b, 0x65, 0x70, 3, 0x21, 0}, key)
	return slices.Concat([]byte{0x30, byte(len(body) + 2), 0x30, byte(len(body))}, body)
}

// Possession signs that the authority of a name is an organisation's in a network.
func Possession(network ledger.Hash, organisation, name string, der []byte) []byte {
	return ledger.SignAuthority(Key("authority of "+name), network, organisation, der)
}

// Invitation invites an organisation that Organisation describes.
func Invitation(network ledger.Hash, o *ltlv1.Organisation) *ltlv1.CreateOrganisation {
	return &ltlv1.CreateOrganisation{Organisation: o,
		AuthorityPossession: Possession(network, o.GetId(), o.GetId(), o.GetCaCertificate())}
}

// Genesis describes a network of organisations with one node each: n1, n2, … in their order.
func Genesis(organisations ...string) *ltlv1.Genesis {
	g := &ltlv1.Genesis{Network: "test.net", CreatedMs: StartMs, Policy: "submitter & majority"}
	for i, o := range organisations {
		g.Organisations = append(g.Organisations, Organisation(o))
		g.Nodes = append(g.Nodes, &ltlv1.Node{Id: fmt.Sprint("n", i+1), Organisation: o, Address: "127.0.0.1:2000",
			Key: PublicKey(fmt.Sprint("n", i))})
	}
	return g
}

// GenesisPayload encodes the transaction of a genesis block.
func GenesisPayload(t testing.TB, g *ltlv1.Genesis) []byte {
	t.Helper()
	return Encode(t, &ltlv1.Transaction{Version: 1, ChainId: ledger.SystemChain,
		Action: &ltlv1.Transaction_Genesis{Genesis: g}})
}

// Encode encodes a message in the form that is hashed and signed.
func Encode(t testing.TB, m proto.Message) []byte {
	t.Helper()
	b, err := proto.MarshalOptions{Deterministic: true}.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// SetAction puts an action, a wrapper type of the oneof such as *ltlv1.Transaction_SetData, into a transaction. It goes
// by reflection, as the oneof's interface has no name outside its package.
func SetAction(tx *ltlv1.Transaction, action any) {
	reflect.ValueOf(tx).Elem().FieldByName("Action").Set(reflect.ValueOf(action))
}

// Statement returns the statement by which an organisation accepts every transaction of a batch. Heights are 0; the
// caller sets them where they matter.
func Statement(network ledger.Hash, b *ltlv1.Batch, organisation string, key ed25519.PublicKey,
	clockMs int64) *ledger.Endorsement {
	ids := make([]ledger.Hash, len(b.GetTransactions()))
	accepted := make([]bool, len(ids))
	for i, p := range b.GetTransactions() {
		ids[i], accepted[i] = ledger.TransactionID(p), true
	}
	return &ledger.Endorsement{
		NetworkID: network, ChainID: b.GetChainId(), Root: ledger.BatchRoot(ids), Count: uint32(len(ids)), ClockMs: clockMs,
		KeyID: ledger.KeyID(key), Organisation: organisation, Accepted: ledger.Bitmap(accepted),
	}
}

// Read returns what an endorsement says of a batch with these transactions; the signature is not checked.
func Read(t testing.TB, chainID string, transactions [][]byte, e *ltlv1.Endorsement) *ledger.Endorsement {
	t.Helper()
	ids := make([]ledger.Hash, len(transactions))
	for i, p := range transactions {
		ids[i] = ledger.TransactionID(p)
	}
	read, err := ledger.ParseEndorsement(e, chainID, ledger.BatchRoot(ids), len(ids))
	if err != nil {
		t.Fatal(err)
	}
	return read
}

// Signer is an organisation with the key that its endorser signs with.
type Signer struct {
	Organisation string
	Key          ed25519.PrivateKey
}

// Signers returns organisations that sign with Key(organisation).
func Signers(organisations ...string) []Signer {
	var signers []Signer
	for _, o := range organisations {
		signers = append(signers, Signer{o, Key(o)})
	}
	return signers
}

// Batch returns transactions with endorsements of all signers.
func Batch(network ledger.Hash, chainID string, clockMs int64, payloads [][]byte, signers []Signer) *ltlv1.Batch {
	b := &ltlv1.Batch{ChainId: chainID, Transactions: payloads}
	for _, s := range signers {
		statement := Statement(network, b, s.Organisation, s.Key.Public().(ed25519.PublicKey), clockMs)
		b.Endorsements = append(b.Endorsements, statement.Sign(s.Key))
	}
	return b
}

// Twin returns another block in the place of b: the same batches, of which the first has an endorsement twice. It
// executes as b does, so only other copies of the ledger show which one was committed.
func Twin(t testing.TB, b *ltlv1.Block) *ltlv1.Block {
	t.Helper()
	twin := proto.CloneOf(b)
	h, err := ledger.ParseHeader(b.GetHeader())
	if err != nil {
		t.Fatal(err)
	}
	first := twin.GetBatches()[0]
	first.Endorsements = append(first.Endorsements, first.GetEndorsements()[0])
	var hashes []ledger.Hash
	for _, batch := range twin.GetBatches() {
		var ids []ledger.Hash
		for _, p := range batch.GetTransactions() {
			ids = append(ids, ledger.TransactionID(p))
		}
		hashes = append(hashes, ledger.BatchHash(ledger.BatchRoot(ids), len(ids), batch.GetEndorsements()))
	}
	h.BatchesHash = ledger.BatchesHash(hashes)
	twin.Header = h.Encode()
	return twin
}

// Successor adds to a genesis the signatures of its organisations, by keys that they had in the predecessor, and encodes
// its transaction.
func Successor(t testing.TB, g *ltlv1.Genesis, former func(organisation string) ed25519.PrivateKey) []byte {
	t.Helper()
	tx := &ltlv1.Transaction{Version: 1, ChainId: ledger.SystemChain, Nonce: []byte("nonce of 16 byte"),
		CreatedMs: g.GetCreatedMs(), Action: &ltlv1.Transaction_Genesis{Genesis: g}}
	g.Successions = nil
	unsigned := Encode(t, tx)
	for _, o := range g.GetOrganisations() {
		text := ledger.Succession{Predecessor: ledger.Hash(g.GetPredecessor().GetNetworkId()), Organisation: o.GetId(),
			Genesis: unsigned}
		key := former(o.GetId())
		g.Successions = append(g.Successions, &ltlv1.Succession{Organisation: o.GetId(),
			FormerKey: key.Public().(ed25519.PublicKey), Signature: text.Sign(key)})
	}
	return Encode(t, tx)
}

// Predecessor names a network that a name stands for.
func Predecessor(name string) *ltlv1.Predecessor {
	hash := func(of string) []byte {
		h := sha256.Sum256([]byte(of + name))
		return h[:]
	}
	return &ltlv1.Predecessor{NetworkId: hash("network"), Blocks: 42, BlockHash: hash("block"), Heads: hash("heads")}
}
