package format_test

import (
	"crypto/ed25519"
	"testing"

	"google.golang.org/protobuf/proto"

	"ltl/internal/ledger"
	ltlv1 "ltl/proto/ltl/v1"
	"ltl/test/testkit/offline"
)

// successionVectors are the signatures in the genesis of a successor of two organisations.
func successionVectors(t *testing.T) (all []object) {
	g := offline.Genesis("org1", "org2")
	network := hash("predecessor")
	block, heads := hash("block"), hash("heads")
	g.Predecessor = &ltlv1.Predecessor{NetworkId: network[:], Blocks: 300, BlockHash: block[:], Heads: heads[:]}
	payload := offline.Successor(t, g, func(organisation string) ed25519.PrivateKey { return key("former " + organisation) })
	tx := &ltlv1.Transaction{}
	if err := proto.Unmarshal(payload, tx); err != nil {
		t.Fatal(err)
	}
	for _, s := range tx.GetGenesis().GetSuccessions() {
		all = append(all, object{"kind": "succeed", "networkId": hh(network), "organisation": s.GetOrganisation(),
			"publicKey": h(s.GetFormerKey()), "signature": h(s.GetSignature()), "genesis": h(payload)})
	}
	return all
}

func headsVectors() (all []object) {
	for _, n := range []int{1, 2, 5} {
		heads, texts := make([]ledger.Head, n), make([]object, n)
		for i := range n {
			heads[i] = ledger.Head{ChainID: ledger.SystemChain[:15] + string('0'+rune(i)), Height: uint64(i) << 33,
				Hash: hash("head " + string('0'+rune(i)))}
			texts[i] = object{"chainId": heads[i].ChainID, "height": heads[i].Height, "hash": hh(heads[i].Hash)}
		}
		all = append(all, object{"heads": texts, "hash": hh(ledger.HeadsHash(heads))})
	}
	return all
}
