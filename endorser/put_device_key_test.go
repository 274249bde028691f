package endorser_test

import (
	"context"
	"encoding/hex"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"ltl/client/device"
	"ltl/endorser"
	"ltl/internal/identity"
	"ltl/internal/ledger"
	"ltl/internal/rules"
	ltlv1 "ltl/proto/ltl/v1"
	"ltl/test/testkit/offline"
)

const product = "hKpHMh2abcd"

// aesDevice is a device with a key of its own.
type aesDevice struct {
	w   *world
	id  string
	key *device.Key
	// product is claimed by the organisation that enrols the device; uid and typeCode are of the account that uploads.
	product, uid, typeCode string
}

func (w *world) newDevice(id string) *aesDevice {
	w.t.Helper()
	key, err := device.Generate(device.AES)
	if err != nil {
		w.t.Fatal(err)
	}
	return &aesDevice{w: w, id: id, key: key, product: product, uid: adminUID, typeCode: w.typeCode}
}

// enrol has an operator of an organisation enrol it.
func (d *aesDevice) enrol(organisation string) {
	d.w.t.Helper()
	d.w.order(d.w.tx(organisation+"/operator/operator", "", ledger.SystemChain,
		&ltlv1.Transaction_EnrollDevice{EnrollDevice: &ltlv1.EnrollDevice{
			ProductKey: d.product, IotId: d.id, KeyType: ltlv1.DeviceKeyType_DEVICE_KEY_TYPE_AES,
		}}))
}

// register has an organisation claim the device's product for the chain, and the account register its group.
func (d *aesDevice) register(organisation string) {
	d.w.t.Helper()
	d.w.order(d.w.tx(organisation+"/operator/operator", "", ledger.SystemChain,
		&ltlv1.Transaction_ClaimProduct{ClaimProduct: &ltlv1.ClaimProduct{ProductKey: d.product, ChainId: d.w.chainID}}))
	d.w.order(d.w.tx(facadeName, d.uid, d.w.chainID,
		&ltlv1.Transaction_RegisterDeviceGroup{RegisterDeviceGroup: &ltlv1.RegisterDeviceGroup{
			ProductKey: d.product, Name: "devices", AuthorizeType: "ID2",
		}}))
}

// ofOrg2 makes the device one of org2, whose account uploads what it signs.
func (d *aesDevice) ofOrg2() {
	d.w.t.Helper()
	d.product, d.uid = "product-of-org2", "1000000000000002"
	d.w.order(d.w.tx("org2/operator/operator", "", ledger.SystemChain,
		&ltlv1.Transaction_SetDelegates{SetDelegates: &ltlv1.SetDelegates{Facades: []string{facadeName}}}))
	d.w.order(d.w.tx("org2/operator/operator", "", ledger.SystemChain,
		&ltlv1.Transaction_CreateAccount{CreateAccount: &ltlv1.CreateAccount{
			Uid: d.uid, Name: "member", Type: ltlv1.AccountType_ACCOUNT_TYPE_RAM, Organisation: "org2",
		}}))
	d.w.order(d.w.tx("org2/operator/operator", "", ledger.SystemChain,
		&ltlv1.Transaction_SetDelegates{SetDelegates: &ltlv1.SetDelegates{Facades: []string{facadeName}}}))
	d.w.order(d.w.tx(facadeName, adminUID, d.w.chainID, &ltlv1.Transaction_CreateMember{CreateMember: &ltlv1.CreateMember{
		MemberUid: d.uid, Name: "member", Contact: "contact", Phone: "1",
	}}))
	chain, err := rules.GetChain(d.w.store, d.w.chainID)
	if err != nil {
		d.w.t.Fatal(err)
	}
	m, err := rules.GetMember(d.w.store, chain, d.uid)
	if m == nil || err != nil {
		d.w.t.Fatal(m, err)
	}
	d.typeCode = m.TypeCode
}

// attach signs a value with a key and encodes its upload.
func (d *aesDevice) attach(by *device.Key, id, value string) []byte {
	d.w.t.Helper()
	signer, err := device.New(d.id, by.Sign)
	if err != nil {
		d.w.t.Fatal(err)
	}
	p, err := signer.Sign(value, d.product, time.Now())
	if err != nil {
		d.w.t.Fatal(err)
	}
	key := rules.KeyVersion + "_" + d.w.chainCode + "_" + d.typeCode + "_" + id
	return d.w.tx(facadeName, d.uid, d.w.chainID, &ltlv1.Transaction_AttachData{AttachData: &ltlv1.AttachData{
		Key: key, Value: offline.Text(value), Device: &ltlv1.DeviceProof{
			AuthType: p.IotAuthType, IotId: p.IotID, ProductKey: p.IotIDServiceProvider, DataDigest: p.IotDataDigest,
			Signature: p.IotSignature, Source: "2",
		},
	}})
}

// register claims org1's product and registers its group on the proof chain.
func (w *world) register() { (&aesDevice{w: w, product: product, uid: adminUID}).register("org1") }

// put hands a key to the endorser as the operator in a directory.
func (r *running) put(operator string, d *aesDevice, key []byte) error {
	_, err := ltlv1.NewEndorserClient(r.dial(operator)).PutDeviceKey(context.Background(),
		&ltlv1.PutDeviceKeyRequest{ProductKey: d.product, IotId: d.id, Key: key})
	return err
}

// endorse proposes transactions of the facade.
func (r *running) endorse(payloads ...[]byte) *ltlv1.EndorseResponse {
	r.w.t.Helper()
	r.caughtUp()
	out, err := r.facade().Endorse(context.Background(), &ltlv1.EndorseRequest{ChainId: r.w.chainID,
		Transactions: payloads})
	if err != nil {
		r.w.t.Fatal(err)
	}
	return out
}

func wantCode(t *testing.T, what string, err error, want codes.Code) {
	t.Helper()
	if status.Code(err) != want {
		t.Errorf("%s: %v, want %v", what, err, want)
	}
}

// TestSecretDeviceKey: the endorser that holds the key signs what the device signed, refuses the rest with a reason,
// and names its organisation in both cases; a neighbour in the batch is not touched.
func TestSecretDeviceKey(t *testing.T) {
	w := newWorld(t)
	w.register()
	r := w.start(t.TempDir(), nil)
	d, foreign := w.newDevice("device-1"), w.newDevice("device-2")
	if err := r.put("operator", d, d.key.Secret()); err != nil {
		t.Fatal(err)
	}
	d.enrol("org1")
	foreign.ofOrg2()
	foreign.register("org2")
	foreign.enrol("org2")
	out := r.endorse(d.attach(d.key, "right", "21.5"), d.attach(foreign.key, "wrong", "21.5"),
		foreign.attach(d.key, "foreign", "1"), w.attach("plain", "1"))
	bits := out.GetEndorsement().GetBitmap()
	// Only org2 can verify what its device signed: org1 accepts it on the condition that org2 endorses it.
	for i, want := range []struct {
		code     int32
		reason   string
		required string
	}{{rules.OK, "", "org1"}, {rules.Forbidden, "enrolled key of the device", "org1"}, {rules.OK, "", "org2"},
		{rules.OK, "", ""}} {
		if out.GetCodes()[i] != want.code || ledger.Accepts(bits, i) != (want.code == rules.OK) ||
			out.GetRequired()[i] != want.required {
			t.Errorf("transaction %d: code %d, signed %v, required %q; want %+v", i, out.GetCodes()[i], ledger.Accepts(bits, i),
				out.GetRequired()[i], want)
		}
		if !strings.Contains(out.GetReasons()[i], want.reason) || (out.GetReasons()[i] == "") != (want.reason == "") {
			t.Errorf("transaction %d: reason %q, want %q", i, out.GetReasons()[i], want.reason)
		}
	}
	if out := r.endorse(w.attach("plain", "2")); out.GetRequired() != nil {
		t.Errorf("a batch without devices requires %q", out.GetRequired())
	}
	for _, secret := range []string{hex.EncodeToString(d.key.Secret()), string(d.key.Secret())} {
		if strings.Contains(strings.ToLower(r.log.String()), secret) {
			t.Error("the log holds a device's key")
		}
	}
}

// TestSecretDeviceKeyIsMissing: an enrolled device without a key at its endorser is refused with what to do, and
// handing the key over again helps.
func TestSecretDeviceKeyIsMissing(t *testing.T) {
	w := newWorld(t)
	w.register()
	r := w.start(t.TempDir(), nil)
	d := w.newDevice("device-1")
	d.enrol("org1")
	upload := d.attach(d.key, "a", "1")
	if out := r.endorse(upload); out.GetCodes()[0] != rules.Forbidden || !strings.Contains(out.GetReasons()[0],
		"ltl device enroll") || out.GetRequired()[0] != "org1" {
		t.Errorf("without its key: %v", out)
	}
	if err := r.put("operator", d, d.key.Secret()); err != nil {
		t.Fatal(err)
	}
	if out := r.endorse(upload); out.GetCodes()[0] != rules.OK {
		t.Errorf("with its key: %v", out)
	}
}

// TestPutDeviceKeyRefuses: only the own organisation's operators hand over keys, only of devices that need one, and
// an enrolled device's key is not replaced.
func TestPutDeviceKeyRefuses(t *testing.T) {
	w := newWorld(t)
	r := w.start(t.TempDir(), nil)
	d, other := w.newDevice("device-1"), w.newDevice("device-2")
	key := d.key.Secret()
	if err := identity.Issue(filepath.Join(w.dir, "orgs", "org2"), filepath.Join(w.dir, "operator2"),
		identity.Identity{Organisation: "org2", Role: identity.RoleOperator, Name: "operator"}, time.Now()); err != nil {
		t.Fatal(err)
	}
	wantCode(t, "another organisation's operator", r.put("operator2", d, key), codes.PermissionDenied)
	wantCode(t, "a facade", r.put("facades/f1", d, key), codes.PermissionDenied)
	wantCode(t, "a key of 15 bytes", r.put("operator", d, key[:15]), codes.InvalidArgument)
	wantCode(t, "no key", r.put("operator", d, nil), codes.InvalidArgument)
	wantCode(t, "a name that cannot be enrolled", r.put("operator", &aesDevice{id: "a/b", product: product}, key), codes.InvalidArgument)
	if err := r.put("operator", d, other.key.Secret()); err != nil {
		t.Fatal(err)
	}
	if err := r.put("operator", d, key); err != nil {
		t.Errorf("another key before the enrolment: %v", err)
	}
	d.enrol("org1")
	other.product = "product-of-org2"
	other.enrol("org2")
	_, err := ltlv1.NewEndorserClient(r.dial("operator")).PutDeviceKey(t.Context(), &ltlv1.PutDeviceKeyRequest{
		ProductKey: product, IotId: d.id, Key: other.key.Secret(), MinSequence: w.store.Sequence(),
	})
	wantCode(t, "another key just after the enrolment", err, codes.AlreadyExists)
	_, err = ltlv1.NewEndorserClient(r.dial("operator")).PutDeviceKey(t.Context(), &ltlv1.PutDeviceKeyRequest{
		ProductKey: product, IotId: d.id, Key: key, MinSequence: w.store.Sequence() + 1,
	})
	wantCode(t, "a copy that is behind", err, codes.Unavailable)
	r.caughtUp()
	wantCode(t, "another key after the enrolment", r.put("operator", d, other.key.Secret()), codes.AlreadyExists)
	wantCode(t, "the same key again", r.put("operator", d, key), codes.OK)
	wantCode(t, "a device of another organisation", r.put("operator", other, key), codes.FailedPrecondition)
	public, err := device.Generate(device.ECC)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := public.EncodePublic()
	if err != nil {
		t.Fatal(err)
	}
	_, der, err := device.ParsePublic(raw)
	if err != nil {
		t.Fatal(err)
	}
	w.order(w.tx(operatorName, "", ledger.SystemChain, &ltlv1.Transaction_EnrollDevice{EnrollDevice: &ltlv1.EnrollDevice{
		ProductKey: product, IotId: "device-3", KeyType: ltlv1.DeviceKeyType_DEVICE_KEY_TYPE_ECC_P256, PublicKey: der,
	}}))
	w.order(w.tx(operatorName, "", ledger.SystemChain,
		&ltlv1.Transaction_RevokeDevice{RevokeDevice: &ltlv1.RevokeDevice{ProductKey: product, IotId: d.id}}))
	r.caughtUp()
	wantCode(t, "a device with a public key", r.put("operator", &aesDevice{id: "device-3", product: product}, key), codes.FailedPrecondition)
	wantCode(t, "a revoked device", r.put("operator", d, key), codes.FailedPrecondition)
}

// TestSecretDeviceKeySurvivesRestart: keys are there after a restart, also under a sealing key that the endorser had
// to make itself; a changed byte keeps the endorser from starting, with a sentence that names the file.
func TestSecretDeviceKeySurvivesRestart(t *testing.T) {
	w := newWorld(t)
	w.register()
	// as in directories of older versions
	if err := os.Remove(filepath.Join(w.dir, "orgs", "org1", "endorser", "devices.key")); err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	r := w.start(dir, nil)
	d, other := w.newDevice("device-1"), w.newDevice("device-2")
	if err := r.put("operator", d, d.key.Secret()); err != nil {
		t.Fatal(err)
	}
	d.enrol("org1")
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	r = w.start(dir, nil)
	out := r.endorse(d.attach(d.key, "a", "1"), d.attach(other.key, "b", "1"))
	if out.GetCodes()[0] != rules.OK || out.GetCodes()[1] != rules.Forbidden {
		t.Errorf("after a restart: %v", out)
	}
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "devices.sealed")
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	raw[len(raw)/2] ^= 1
	if err := os.WriteFile(path, raw, 0o600); err != nil {
		t.Fatal(err)
	}
	_, err = endorser.Open(context.Background(), endorser.Config{
		Dir: dir, Listen: "127.0.0.1:0", Credentials: w.credentials("orgs/org1/endorser"), SignKey: w.keys["org1"],
		Trust: w.trust,
	})
	if err == nil || !strings.Contains(err.Error(), path) || !strings.Contains(err.Error(), "damaged") {
		t.Errorf("with a changed byte: %v", err)
	}
}
