package format_test

import (
	"strconv"
	"testing"

	"ltl/internal/ledger"
	"ltl/test/testkit/offline"
)

func signedTextVectors(t *testing.T) (all []object) {
	network := hash("network")
	add := func(kind, signer string, signature []byte, fields object) {
		fields["kind"], fields["networkId"], fields["organisation"] = kind, hh(network), "org1"
		fields["publicKey"], fields["signature"] = h(public(signer)), h(signature)
		all = append(all, fields)
	}
	former := ledger.KeyID(public("org1"))
	add("newKey", "new", ledger.SignNewKey(key("new"), network, "org1", former), object{"former": h(public("org1"))})
	der := offline.Authority("org1", 1)
	all = append(all, object{
		"kind": "newAuthority", "networkId": hh(network), "organisation": "org1",
		"publicKey": h(offline.PublicKey("authority of org1")), "authority": h(der),
		"signature": h(offline.Possession(network, "org1", "org1", der)),
	})
	joining := ledger.NewNode{Organisation: "org1", ID: "node4", Key: public("node4"), StoreID: []byte("store id of four")}
	add("newNode", "node4", ledger.SignNewNode(key("node4"), network, &joining),
		object{"nodeId": joining.ID, "storeId": h(joining.StoreID)})
	add("accept", "org1", ledger.SignAcceptance(key("org1"), network, "org1", startMs), object{"lapsesMs": strconv.Itoa(startMs)})
	for _, r := range []ledger.Recovery{
		{Number: 1, EndorserKey: public("new")},
		{Number: 2, Authority: []byte("certificate")},
		{Number: 3, EndorserKey: public("new"), Authority: []byte("certificate"), RetireAuthorities: true},
	} {
		r.Network, r.Organisation = network, "org1"
		add("recover", "recovery", r.Sign(key("recovery")), object{
			"number": r.Number, "endorserKey": h(r.EndorserKey), "authority": h(r.Authority),
			"retireAuthorities": r.RetireAuthorities,
		})
	}
	add("newRecoveryKey", "recovery",
		ledger.SignNewRecoveryKey(key("recovery"), network, "org1", 4, public("recovery 2")),
		object{"number": 4, "recoveryKey": h(public("recovery 2"))})
	return append(all, successionVectors(t)...)
}
