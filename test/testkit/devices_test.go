package testkit_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	"ltl/client"
	"ltl/client/device"
	"ltl/internal/identity"
	"ltl/internal/ledger"
	"ltl/internal/rules"
	ltlv1 "ltl/proto/ltl/v1"
	"ltl/test/testkit"
)

const product = "hKpHMh2abcd"

// enrolled is a device of organisation 1, with the key that it signs with.
type enrolled struct {
	id  string
	key *device.Key
}

// enrol makes a key of a type and has organisation 1's operator enrol it, as `ltl device enroll` does.
func enrol(t *testing.T, n *testkit.Network, kind device.Type) enrolled {
	t.Helper()
	d := enrolled{id: "device-" + string(kind)}
	var err error
	if d.key, err = device.Generate(kind); err != nil {
		t.Fatal(err)
	}
	action := &ltlv1.EnrollDevice{ProductKey: product, IotId: d.id}
	switch kind {
	case device.AES:
		action.KeyType = ltlv1.DeviceKeyType_DEVICE_KEY_TYPE_AES
		if err := n.Client(identity.RoleOperator).PutDeviceKey(t.Context(), product, d.id, d.key.Secret()); err != nil {
			t.Fatal(err)
		}
	default:
		action.KeyType = map[device.Type]ltlv1.DeviceKeyType{
			device.ECC: ltlv1.DeviceKeyType_DEVICE_KEY_TYPE_ECC_P256, device.RSA: ltlv1.DeviceKeyType_DEVICE_KEY_TYPE_RSA_2048,
		}[kind]
		raw, err := d.key.EncodePublic()
		if err != nil {
			t.Fatal(err)
		}
		if _, action.PublicKey, err = device.ParsePublic(raw); err != nil {
			t.Fatal(err)
		}
	}
	n.Submit(identity.RoleOperator, &ltlv1.Transaction{ChainId: ledger.SystemChain,
		Action: &ltlv1.Transaction_EnrollDevice{EnrollDevice: action}})
	return d
}

// upload signs a value with a key and makes the administrator's upload of it.
func (d enrolled) upload(t *testing.T, n *testkit.Network, key *device.Key, id, value string) *ltlv1.Transaction {
	t.Helper()
	signer, err := device.New(d.id, key.Sign)
	if err != nil {
		t.Fatal(err)
	}
	p, err := signer.Sign(value, product, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	tx := n.AttachData(n.Admin, id, value)
	tx.GetAttachData().Device = &ltlv1.DeviceProof{
		AuthType: p.IotAuthType, IotId: p.IotID, ProductKey: p.IotIDServiceProvider, DataDigest: p.IotDataDigest,
		Signature: p.IotSignature,
		Source:    rules.SourceIoTPlatform,
	}
	return tx
}

// refused submits as the facade and wants a refusal with a code and a part of its reason.
func refused(t *testing.T, n *testkit.Network, what string, tx *ltlv1.Transaction, reason string) {
	t.Helper()
	r, err := n.Client(identity.RoleFacade).Submit(t.Context(), tx)
	if err != nil || r.GetCode() != rules.Forbidden || !strings.Contains(r.GetReason(), reason) {
		t.Errorf("%s: result %v, error %v; want 403 and %q", what, r, err, reason)
	}
}

// onlyOnce uploads what a device signed many times at the same moment: one upload is written, and the others learn
// that it is on the chain, whether an endorser or the ledger itself noticed.
func onlyOnce(t *testing.T, n *testkit.Network, tx *ltlv1.Transaction) {
	t.Helper()
	var group sync.WaitGroup
	var written atomic.Int32
	for range 8 {
		again := proto.CloneOf(tx)
		group.Go(func() {
			r, err := n.Client(identity.RoleFacade).Submit(t.Context(), again)
			switch {
			case err == nil && r.GetCode() == rules.OK:
				written.Add(1)
			case err != nil || r.GetCode() != rules.DuplicateKey || !strings.Contains(r.GetReason(), "written once"):
				t.Errorf("result %v, error %v; want -317 and a reason", r, err)
			}
		})
	}
	group.Wait()
	if written.Load() != 1 {
		t.Errorf("one signature was taken %d times", written.Load())
	}
}

func startWithDevices(t *testing.T) *testkit.Network {
	t.Helper()
	n := testkit.Start(t, testkit.Options{})
	n.Submit(identity.RoleOperator, &ltlv1.Transaction{ChainId: ledger.SystemChain,
		Action: &ltlv1.Transaction_ClaimProduct{ClaimProduct: &ltlv1.ClaimProduct{ProductKey: product, ChainId: n.ChainID}}})
	n.Submit(identity.RoleFacade, &ltlv1.Transaction{ChainId: n.ChainID, AccountUid: n.Admin.UID,
		Action: &ltlv1.Transaction_RegisterDeviceGroup{
			RegisterDeviceGroup: &ltlv1.RegisterDeviceGroup{ProductKey: product, Name: "sensors",
				AuthorizeType: rules.AuthorizeType},
		}})
	return n
}

// TestDevices: with each type of key, what the device signed is written once, and neither another key's signature, nor
// the same signature again, nor one for other data, is.
func TestDevices(t *testing.T) {
	n := startWithDevices(t)
	for _, kind := range []device.Type{device.ECC, device.RSA, device.AES} {
		d := enrol(t, n, kind)
		other, err := device.Generate(kind)
		if err != nil {
			t.Fatal(err)
		}
		tx := d.upload(t, n, d.key, string(kind), "21.5")
		n.Submit(identity.RoleFacade, tx)
		refused(t, n, "another key's signature", d.upload(t, n, other, string(kind), "21.5"), "not by the enrolled key")
		onlyOnce(t, n, d.upload(t, n, d.key, string(kind), "21.6"))
		again := n.AttachData(n.Admin, string(kind)+"2", "21.5")
		again.GetAttachData().Device = tx.GetAttachData().GetDevice()
		refused(t, n, "a signature again", again, "before")
		swapped := d.upload(t, n, d.key, string(kind), "21.5")
		swapped.Openings = client.Values("99.9")
		if r, err := n.Client(identity.RoleFacade).Submit(t.Context(), swapped); err != nil ||
			r.GetCode() != rules.BadDigest {
			t.Errorf("other data: result %v, error %v; want %d", r, err, rules.BadDigest)
		}
		n.Submit(identity.RoleOperator, &ltlv1.Transaction{ChainId: ledger.SystemChain,
			Action: &ltlv1.Transaction_RevokeDevice{
				RevokeDevice: &ltlv1.RevokeDevice{ProductKey: product, IotId: d.id},
			}})
		// An endorser whose copy is a block behind may sign it; then the ledger refuses it, in the same words.
		refused(t, n, "a revoked device", d.upload(t, n, d.key, string(kind), "21.5"), "revoked")
	}
}

// TestSecretKeyHolderIsAway: the other organisations satisfy the policy, but the endorser of the uploader's own one, which
// alone can verify an AES device's signature and say who submitted, is away. The upload fails for the time being, in
// words; the same transaction succeeds when the endorser is back, with the keys.
func TestSecretKeyHolderIsAway(t *testing.T) {
	n := startWithDevices(t)
	n.Decide(n.Client(identity.RoleOperator), &ltlv1.Transaction{
		Action: &ltlv1.Transaction_ModifyChain{ModifyChain: &ltlv1.ModifyChain{ChainId: n.ChainID,
			Policy: proto.String("majority")}}}) // without the uploader's organisation, which enrolled the device
	d := enrol(t, n, device.AES)
	other, err := device.Generate(device.AES)
	if err != nil {
		t.Fatal(err)
	}
	if err := n.Client(identity.RoleOperator).PutDeviceKey(t.Context(), product, d.id, other.Secret()); err == nil ||
		!strings.Contains(err.Error(), "another key") {
		t.Errorf("another key just after the enrolment: %v", err)
	}
	n.StopEndorser(0)
	if err := n.Client(identity.RoleOperator).PutDeviceKey(t.Context(), product, "new", other.Secret()); !errors.Is(err,
		client.ErrUnavailable) {
		t.Errorf("a key for an endorser that is down: %v", err)
	}
	tx := d.upload(t, n, d.key, "a", "21.5")
	ctx, cancel := context.WithTimeout(t.Context(), 8*time.Second)
	defer cancel()
	facade := n.OpenClient("facades/f1") // which has not read the former policy
	if r, err := facade.Submit(ctx, tx); !errors.Is(err, client.ErrUnavailable) ||
		!strings.Contains(err.Error(), "the endorser of the own organisation") || !strings.Contains(err.Error(), "org1") {
		t.Errorf("result %v, error %v; want ErrUnavailable that names org1", r, err)
	}
	n.RestartEndorser(0)
	n.Submit(identity.RoleFacade, tx)
	refused(t, n, "another key's signature", d.upload(t, n, other, "a", "21.5"), "not by the enrolled key")
}
