package adversary

import (
	"strings"
	"testing"
	"time"

	"ltl/client"
	"ltl/client/device"
	"ltl/internal/identity"
	"ltl/internal/ledger"
	"ltl/internal/rules"
	ltlv1 "ltl/proto/ltl/v1"
	"ltl/test/insider"
	"ltl/test/testkit"
)

// meter is a device of org1 with its product.
type meter struct {
	product, id string
	key         *device.Key
}

// newMeter makes a device, claims its product for the network's chain and enrols it, as org1's operator.
func newMeter(t *testing.T, n *testkit.Network, product string) meter {
	t.Helper()
	m := meter{product: product, id: "meter1"}
	var err error
	if m.key, err = device.Generate(device.ECC); err != nil {
		t.Fatal(err)
	}
	n.SubmitAs(n.Operator("org1"), insider.Claim(product, n.ChainID))
	n.SubmitAs(n.Operator("org1"), m.enrolment(t, m.key))
	n.Submit(identity.RoleFacade, insider.Register(n.ChainID, n.Admin.UID, product))
	return m
}

// publicKey is the DER of a key's public part.
func publicKey(t *testing.T, key *device.Key) []byte {
	t.Helper()
	pem, err := key.EncodePublic()
	if err != nil {
		t.Fatal(err)
	}
	_, der, err := device.ParsePublic(pem)
	if err != nil {
		t.Fatal(err)
	}
	return der
}

// enrolment enrols the meter with a key.
func (m meter) enrolment(t *testing.T, key *device.Key) *ltlv1.Transaction {
	t.Helper()
	return &ltlv1.Transaction{ChainId: ledger.SystemChain, Action: &ltlv1.Transaction_EnrollDevice{
		EnrollDevice: &ltlv1.EnrollDevice{ProductKey: m.product, IotId: m.id, PublicKey: publicKey(t, key),
			KeyType: ltlv1.DeviceKeyType_DEVICE_KEY_TYPE_ECC_P256},
	}}
}

// proof signs a value with a key at a time.
func (m meter) proof(t *testing.T, key *device.Key, value string, at time.Time) *ltlv1.DeviceProof {
	t.Helper()
	d, err := device.New(m.id, key.Sign)
	if err != nil {
		t.Fatal(err)
	}
	p, err := d.Sign(value, m.product, at)
	if err != nil {
		t.Fatal(err)
	}
	return &ltlv1.DeviceProof{AuthType: p.IotAuthType, IotId: p.IotID, ProductKey: p.IotIDServiceProvider,
		DataDigest: p.IotDataDigest, Signature: p.IotSignature, Source: rules.SourceIoTPlatform}
}

// refused submits and wants a refusal with a code and a part of its reason.
func refused(t *testing.T, n *testkit.Network, what string, tx *ltlv1.Transaction, code int32, reason string) {
	t.Helper()
	submitter := n.Client(identity.RoleFacade)
	if tx.GetChainId() == ledger.SystemChain {
		submitter = n.Operator("org2")
	}
	r, err := submitter.Submit(t.Context(), tx)
	if err != nil || r.GetCode() != code || !strings.Contains(r.GetReason(), reason) {
		t.Errorf("%s: %v, error %v; want %d and %q", what, r, err, code, reason)
	}
}

// TestProductIsTheOwners: org2 cannot register, claim, assign or enrol for what org1 claimed, nor upload what its devices
// sign. What org2 claimed before org1 did is org2's, and the refusal names org2.
func TestProductIsTheOwners(t *testing.T) {
	n := testkit.Start(t, testkit.Options{})
	refused(t, n, "an unclaimed product, registered by org2's member first",
		insider.Register(n.ChainID, n.Member.UID, "product1"), rules.Forbidden, "ltl device product claim product1")
	m := newMeter(t, n, "product1")
	eve, err := device.Generate(device.ECC)
	if err != nil {
		t.Fatal(err)
	}
	other := m
	other.id = "eve"
	for what, tx := range map[string]*ltlv1.Transaction{
		"claims":    insider.Claim("product1", n.ChainID),
		"assigns":   insider.Assign("product1", ""),
		"enrols":    other.enrolment(t, eve),
		"re-enrols": m.enrolment(t, eve),
	} {
		refused(t, n, "org2 "+what, tx, rules.Forbidden, "organisation org1:")
	}
	refused(t, n, "org2's member registers", insider.Register(n.ChainID, n.Member.UID, "product1"), rules.Forbidden,
		"Organisation org1 has this product")
	stolen := n.AttachData(n.Member, "stolen", "1")
	stolen.GetAttachData().Device = m.proof(t, m.key, "1", time.Now())
	refused(t, n, "org2's member uploads", stolen, rules.Forbidden, "registered by another account")
	right := n.AttachData(n.Admin, "right", "1")
	right.GetAttachData().Device = m.proof(t, m.key, "1", time.Now())
	n.Submit(identity.RoleFacade, right)

	n.SubmitAs(n.Operator("org2"), insider.Claim("squatted", n.ChainID))
	r, err := n.Operator("org1").Submit(t.Context(), insider.Claim("squatted", n.ChainID))
	if err != nil || r.GetCode() != rules.Forbidden || !strings.Contains(r.GetReason(), "organisation org2:") {
		t.Errorf("org1 after org2: %v, %v", r, err)
	}
}

// TestOneChainASignature: what a device signed once is a record on one chain, however its product moves, and a text from
// before the assignment is none.
func TestOneChainASignature(t *testing.T) {
	n := testkit.Start(t, testkit.Options{})
	m := newMeter(t, n, "product1")
	second := n.Submit(identity.RoleOperator, &ltlv1.Transaction{ChainId: ledger.SystemChain,
		Action: &ltlv1.Transaction_CreateChain{CreateChain: &ltlv1.CreateChain{
			Name: "second", Service: ltlv1.ChainService_CHAIN_SERVICE_PROOF, AdministratorUid: n.Admin.UID,
		}}}).GetOutput()
	old := n.AttachData(n.Admin, "old", "1")
	old.GetAttachData().Device = m.proof(t, m.key, "1", time.Now().Add(-time.Hour))
	refused(t, n, "a text of an hour before the assignment", old, rules.Forbidden, "before its product was assigned")

	proof := m.proof(t, m.key, "1", time.Now().Add(9*time.Minute)) // the clock of the device is ahead
	first := n.AttachData(n.Admin, "first", "1")
	first.GetAttachData().Device = proof
	n.Submit(identity.RoleFacade, first)
	again := func() *ltlv1.Transaction { return onChain(t, n, second, "first", "1", proof) }
	refused(t, n, "the same text on another chain", again(), rules.Forbidden, "assigned to chain "+n.ChainID)
	n.SubmitAs(n.Operator("org1"), insider.Assign("product1", second))
	n.Submit(identity.RoleFacade, insider.Register(second, n.Admin.UID, "product1"))
	refused(t, n, "the same text after the product moved", again(), rules.Forbidden, "before its product was assigned")
}

// onChain is an upload of the administrator's to another proof chain.
func onChain(t *testing.T, n *testkit.Network, chain, id, value string, p *ltlv1.DeviceProof) *ltlv1.Transaction {
	t.Helper()
	r, err := n.Client(identity.RoleOperator).Ledger().GetChain(t.Context(), &ltlv1.GetChainRequest{ChainId: chain,
		AccountUid: n.Admin.UID})
	if err != nil || r.GetCode() != rules.OK {
		t.Fatal(r, err)
	}
	key := rules.KeyVersion + "_" + r.GetChain().GetChainCode() + "_" + r.GetChain().GetDataTypeCode() + "_" + id
	tx := client.AttachData(chain, n.Admin.UID, key, value)
	tx.GetAttachData().Device = p
	return tx
}

// rotation is the change of the meter's key to a new one, signed by the keys given.
func (m meter) rotation(t *testing.T, n *testkit.Network, made, former, by *device.Key) *ltlv1.Transaction {
	t.Helper()
	network := n.Trust().NetworkID()
	r := device.Rotation{NetworkID: network[:], ProductKey: m.product, IotID: m.id, Number: 2, Type: device.ECC,
		Public: publicKey(t, made)}
	text, err := r.Text()
	if err != nil {
		t.Fatal(err)
	}
	change := &ltlv1.RotateDeviceKey{ProductKey: m.product, IotId: m.id, PublicKey: r.Public,
		KeyType: ltlv1.DeviceKeyType_DEVICE_KEY_TYPE_ECC_P256}
	if change.FormerSignature, err = former.Sign(text); err != nil {
		t.Fatal(err)
	}
	if change.NewSignature, err = by.Sign(text); err != nil {
		t.Fatal(err)
	}
	return &ltlv1.Transaction{ChainId: ledger.SystemChain,
		Action: &ltlv1.Transaction_RotateDeviceKey{RotateDeviceKey: change}}
}

// TestDeviceKeyIsTheOwners: org2 neither changes nor ends the key of org1's device, org1 itself does not without the
// device's key; a key that ended signs nothing more, and what it signed before is right for every copy.
func TestDeviceKeyIsTheOwners(t *testing.T) {
	n := testkit.Start(t, testkit.Options{})
	m := newMeter(t, n, "product1")
	next, eve := generate(t), generate(t)
	upload := func(id string, key *device.Key) *ltlv1.Transaction {
		tx := n.AttachData(n.Admin, id, "1")
		tx.GetAttachData().Device = m.proof(t, key, "1", time.Now())
		return tx
	}
	n.Submit(identity.RoleFacade, upload("before", m.key))
	declare := func(end ltlv1.DeviceKeyEnd) *ltlv1.Transaction {
		return &ltlv1.Transaction{ChainId: ledger.SystemChain, Action: &ltlv1.Transaction_DeclareDeviceKey{
			DeclareDeviceKey: &ltlv1.DeclareDeviceKey{ProductKey: m.product, IotId: m.id, End: end},
		}}
	}
	refused(t, n, "org2 changes the key with both signatures", m.rotation(t, n, next, m.key, next), rules.Forbidden,
		"organisation org1:")
	refused(t, n, "org2 declares the key lost", declare(ltlv1.DeviceKeyEnd_DEVICE_KEY_END_LOST), rules.Forbidden,
		"organisation org1:")
	for what, tx := range map[string]*ltlv1.Transaction{
		"a change that the former key did not sign": m.rotation(t, n, eve, eve, eve),
		"a change that the new key did not sign":    m.rotation(t, n, eve, m.key, m.key),
	} {
		r, err := n.Operator("org1").Submit(t.Context(), tx)
		if err != nil || r.GetCode() != rules.Forbidden || !strings.Contains(r.GetReason(), "must both have signed") {
			t.Errorf("%s: %v, %v", what, r, err)
		}
	}
	n.SubmitAs(n.Operator("org1"), m.rotation(t, n, next, m.key, next))
	refused(t, n, "the former key after its end", upload("after", m.key), rules.Forbidden, "not by the enrolled key")
	n.Submit(identity.RoleFacade, upload("after", next))
	n.SubmitAs(n.Operator("org1"), declare(ltlv1.DeviceKeyEnd_DEVICE_KEY_END_COMPROMISED))
	refused(t, n, "a compromised key", upload("later", next), rules.Forbidden, "lost or compromised")
	n.CheckLedgers(t) // each endorser has executed every block itself
}

func generate(t *testing.T) *device.Key {
	t.Helper()
	key, err := device.Generate(device.ECC)
	if err != nil {
		t.Fatal(err)
	}
	return key
}
