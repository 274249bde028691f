// Package offline makes what the members of a network make, without running one: keys, a genesis, transactions and
// endorsed batches. It imports the ledger's encodings and the wire contract only, so that the tests inside the rules,
// the store, the node and the endorser can use it. The same arguments give the same bytes in every run.
package offline

import (
	"crypto/ed25519"
	"crypto/sha256"
	"fmt"
	"reflect"
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
		Id: id, Name: "公司 " + id, CaCertificate: []byte("ca of " + id), EndorserKey: PublicKey(id),
		EndorserAddress: "127.0.0.1:1000",
	}
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
