package insider

import (
	"crypto/ed25519"

	"google.golang.org/protobuf/proto"

	"ltl/internal/ledger"
	"ltl/internal/rules"
	ltlv1 "ltl/proto/ltl/v1"
)

// Scene is who attacks what of whom in a network.
type Scene struct {
	Genesis *ltlv1.Genesis
	Network ledger.Hash
	// Attacker is the organisation whose keys are used, Victim the one that owns what is attacked, Other a third one.
	Attacker, Victim, Other string
	// Account is the attacker's; Administrator is the victim's, and administers the proof chain ChainID.
	Account, Administrator string
	ChainID                string
	// Product is the victim's, with the device Device; Facade is a facade of the victim's.
	Product, Device, Facade string
	// Friend is the invitation of an organisation that would vote with the attacker.
	Friend *ltlv1.CreateOrganisation
}

// node is the id of the first node of an organisation in the genesis.
func (s *Scene) node(organisation string) string {
	for _, n := range s.Genesis.GetNodes() {
		if n.GetOrganisation() == organisation {
			return n.GetId()
		}
	}
	return ""
}

// organisation is an organisation of the genesis.
func (s *Scene) organisation(id string) *ltlv1.Organisation {
	for _, o := range s.Genesis.GetOrganisations() {
		if o.GetId() == id {
			return o
		}
	}
	return nil
}

// Key is a key that depends on the seed alone.
func Key(seed byte) ed25519.PrivateKey {
	b := make([]byte, ed25519.SeedSize)
	b[0] = seed
	return ed25519.NewKeyFromSeed(b)
}

func public(key ed25519.PrivateKey) []byte { return key.Public().(ed25519.PublicKey) }

// System puts a transaction on the system chain.
func System(tx *ltlv1.Transaction) *ltlv1.Transaction {
	tx.ChainId = ledger.SystemChain
	return tx
}

// Addition adds a node with this key, which signs that it is to join.
func (s *Scene) Addition(id, organisation string, key ed25519.PrivateKey, as ltlv1.NodeMembership,
	replaces string) *ltlv1.AddNode {
	storeID := make([]byte, rules.StoreIDLen)
	copy(storeID, id)
	return &ltlv1.AddNode{
		Node: &ltlv1.Node{Id: id, Organisation: organisation, Address: "127.0.0.1:9", Key: public(key), StoreId: storeID},
		Possession: ledger.SignNewNode(key, s.Network, &ledger.NewNode{Organisation: organisation, ID: id, Key: public(key),
			StoreID: storeID}),
		Membership: as, Replaces: replaces,
	}
}

// Claim claims a product, and assigns it to a chain unless that is empty.
func Claim(product, chain string) *ltlv1.Transaction {
	return System(&ltlv1.Transaction{Action: &ltlv1.Transaction_ClaimProduct{
		ClaimProduct: &ltlv1.ClaimProduct{ProductKey: product, ChainId: chain},
	}})
}

// Assign assigns a product to a chain.
func Assign(product, chain string) *ltlv1.Transaction {
	return System(&ltlv1.Transaction{Action: &ltlv1.Transaction_AssignProduct{
		AssignProduct: &ltlv1.AssignProduct{ProductKey: product, ChainId: chain},
	}})
}

// Register enters a product on a chain in the name of an account.
func Register(chain, uid, product string) *ltlv1.Transaction {
	return &ltlv1.Transaction{ChainId: chain, AccountUid: uid, Action: &ltlv1.Transaction_RegisterDeviceGroup{
		RegisterDeviceGroup: &ltlv1.RegisterDeviceGroup{ProductKey: product, Name: "meters",
			AuthorizeType: rules.AuthorizeType},
	}}
}

// Account makes an account of an organisation; the ledger assigns the uid where it is empty.
func Account(uid, name, organisation string) *ltlv1.Transaction {
	return System(&ltlv1.Transaction{Action: &ltlv1.Transaction_CreateAccount{CreateAccount: &ltlv1.CreateAccount{
		Uid: uid, Name: name, Type: ltlv1.AccountType_ACCOUNT_TYPE_RAM, Organisation: organisation,
	}}})
}

// PutAccessKey creates or changes an AccessKey of an account.
func PutAccessKey(uid, id string, state ltlv1.AccessKeyState, version uint64,
	commitment ledger.Hash) *ltlv1.Transaction {
	return System(&ltlv1.Transaction{Action: &ltlv1.Transaction_PutAccessKey{PutAccessKey: &ltlv1.PutAccessKey{
		Id: id, AccountUid: uid, State: state, Version: version, Commitment: commitment[:],
	}}})
}

// member changes what a node is.
func member(id string, want ltlv1.NodeMembership) *ltlv1.Transaction {
	return System(&ltlv1.Transaction{Action: &ltlv1.Transaction_ChangeNode{
		ChangeNode: &ltlv1.ChangeNode{Id: id, Membership: want},
	}})
}

// chain changes the victim's chain.
func (s *Scene) chain(m *ltlv1.ModifyChain) *ltlv1.Transaction {
	m.ChainId = s.ChainID
	return System(&ltlv1.Transaction{Action: &ltlv1.Transaction_ModifyChain{ModifyChain: m}})
}

// modify changes the victim itself.
func (s *Scene) modify(m *ltlv1.ModifyOrganisation) *ltlv1.Transaction {
	m.Id = s.Victim
	return System(&ltlv1.Transaction{Action: &ltlv1.Transaction_ModifyOrganisation{ModifyOrganisation: m}})
}

// Takeovers are the changes that an operator of the attacker would have to make of what is the victim's: acts of the
// victim, each refused in words that name it.
func (s *Scene) Takeovers() map[string]*ltlv1.Transaction {
	former := ledger.KeyID(s.organisation(s.Victim).GetEndorserKey())
	key := Key(0)
	return map[string]*ltlv1.Transaction{
		"an account in the victim's name": Account("", "eve", s.Victim),
		"a chain that the victim's account administers": System(&ltlv1.Transaction{Action: &ltlv1.Transaction_CreateChain{
			CreateChain: &ltlv1.CreateChain{
				Name: "trap", Service: ltlv1.ChainService_CHAIN_SERVICE_PROOF, AdministratorUid: s.Administrator,
				Policy: "any", Organisations: []string{s.Attacker},
			},
		}}),
		"the end of the victim's chain": s.chain(&ltlv1.ModifyChain{CountQuota: proto.Uint64(1)}),
		"the victim's address":          s.modify(&ltlv1.ModifyOrganisation{EndorserAddress: proto.String("h:1")}),
		"the victim's key": s.modify(&ltlv1.ModifyOrganisation{EndorserKey: public(key), Compromised: true,
			Possession: ledger.SignNewKey(key, s.Network, s.Victim, former)}),
		"the victim's recovery key": s.modify(&ltlv1.ModifyOrganisation{RecoveryKey: public(key)}),
		"the victim's facade": System(&ltlv1.Transaction{Action: &ltlv1.Transaction_RevokeCertificate{
			RevokeCertificate: &ltlv1.RevokeCertificate{Identity: s.Victim + "/facade/" + s.Facade},
		}}),
		"a node in the place of the victim's": System(&ltlv1.Transaction{Action: &ltlv1.Transaction_AddNode{
			AddNode: s.Addition("n9", s.Victim, key, ltlv1.NodeMembership_NODE_MEMBERSHIP_VOTER, s.node(s.Victim)),
		}}),
		"the victim's membership": System(&ltlv1.Transaction{Action: &ltlv1.Transaction_AcceptMembership{
			AcceptMembership: &ltlv1.AcceptMembership{Id: s.Victim, Signature: make([]byte, ed25519.SignatureSize)},
		}}),
		"the address of the victim's node": System(&ltlv1.Transaction{Action: &ltlv1.Transaction_SetNodeAddress{
			SetNodeAddress: &ltlv1.SetNodeAddress{Id: s.node(s.Victim), Address: "127.0.0.1:9"},
		}}),
		"the victim's device": System(&ltlv1.Transaction{Action: &ltlv1.Transaction_RevokeDevice{
			RevokeDevice: &ltlv1.RevokeDevice{ProductKey: s.Product, IotId: s.Device},
		}}),
	}
}

// Coups are the changes that would give the attacker what several organisations share, or take something from another
// one: they can be proposed only. learner is a learner of the attacker's.
func (s *Scene) Coups(learner string) map[string]*ltlv1.Transaction {
	key := Key(0)
	node := func(add *ltlv1.AddNode) *ltlv1.Transaction {
		return System(&ltlv1.Transaction{Action: &ltlv1.Transaction_AddNode{AddNode: add}})
	}
	return map[string]*ltlv1.Transaction{
		"the owner of the victim's chain": s.chain(&ltlv1.ModifyChain{AdministratorUid: &s.Account}),
		"the organisations of the victim's chain": s.chain(&ltlv1.ModifyChain{
			Organisations: []string{s.Victim, s.Attacker}, Policy: proto.String("any"),
		}),
		"the policy of the victim's chain": s.chain(&ltlv1.ModifyChain{Policy: proto.String("any")}),
		"the removal of the victim's node": member(s.node(s.Victim), ltlv1.NodeMembership_NODE_MEMBERSHIP_REMOVED),
		"the demotion of the other's node": member(s.node(s.Other), ltlv1.NodeMembership_NODE_MEMBERSHIP_LEARNER),
		"the promotion of its own learner": member(learner, ltlv1.NodeMembership_NODE_MEMBERSHIP_VOTER),
		"the activation of rules":          System(&ltlv1.Transaction{Action: &ltlv1.Transaction_ActivateRules{ActivateRules: &ltlv1.ActivateRules{Version: rules.Version + 1}}}),
		"a restoration that never was": System(&ltlv1.Transaction{Action: &ltlv1.Transaction_RecordRestoration{
			RecordRestoration: &ltlv1.RecordRestoration{Number: 1, RestoreEpoch: []byte("epoch of nothing"), Blocks: 1,
				Reason: "there was a fire"}}}),
		"the quorum of the network":       System(&ltlv1.Transaction{Action: &ltlv1.Transaction_ModifyNetwork{ModifyNetwork: &ltlv1.ModifyNetwork{Policy: "any", Former: s.Genesis.GetPolicy()}}}),
		"an organisation that would vote": System(&ltlv1.Transaction{Action: &ltlv1.Transaction_CreateOrganisation{CreateOrganisation: s.Friend}}),
		"the adoption of the victim's chain": System(&ltlv1.Transaction{Action: &ltlv1.Transaction_AdoptChain{
			AdoptChain: &ltlv1.AdoptChain{ChainId: s.ChainID, AdministratorUid: s.Account},
		}}),
		"a product that the victim claimed": System(&ltlv1.Transaction{Action: &ltlv1.Transaction_MoveProduct{
			MoveProduct: &ltlv1.MoveProduct{ProductKey: s.Product, Organisation: s.Attacker, Former: s.Victim},
		}}),
		"the removal of the victim": System(&ltlv1.Transaction{Action: &ltlv1.Transaction_RemoveOrganisation{
			RemoveOrganisation: &ltlv1.RemoveOrganisation{Id: s.Victim},
		}}),
		"a second voter": node(s.Addition("n9", s.Attacker, key, ltlv1.NodeMembership_NODE_MEMBERSHIP_VOTER, "")),
		"a second voter in the place of its learner": node(s.Addition("n10", s.Attacker, Key(10),
			ltlv1.NodeMembership_NODE_MEMBERSHIP_VOTER, learner)),
	}
}

// Recovery gives the victim another endorser key, by the signature of signer.
func (s *Scene) Recovery(network ledger.Hash, number uint32, key, signer ed25519.PrivateKey) *ltlv1.Transaction {
	r := ledger.Recovery{Network: network, Organisation: s.Victim, Number: number, EndorserKey: public(key)}
	former := ledger.KeyID(s.organisation(s.Victim).GetEndorserKey())
	return System(&ltlv1.Transaction{Action: &ltlv1.Transaction_RecoverOrganisation{
		RecoverOrganisation: &ltlv1.RecoverOrganisation{
			Id: r.Organisation, Number: number, EndorserKey: r.EndorserKey, Signature: r.Sign(signer),
			Possession: ledger.SignNewKey(key, s.Network, s.Victim, former),
		},
	}})
}
