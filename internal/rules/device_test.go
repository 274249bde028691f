package rules

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"

	"ltl/internal/ledger"
	ltlv1 "ltl/proto/ltl/v1"
	"ltl/test/testkit/offline"
)

func register(productKey string) *ltlv1.Transaction_RegisterDeviceGroup {
	return &ltlv1.Transaction_RegisterDeviceGroup{RegisterDeviceGroup: &ltlv1.RegisterDeviceGroup{ProductKey: productKey, Name: "数据源组", AuthorizeType: "ID2"}}
}

func authorizeGroup(id string, yes bool) *ltlv1.Transaction_AuthorizeDeviceGroup {
	return &ltlv1.Transaction_AuthorizeDeviceGroup{AuthorizeDeviceGroup: &ltlv1.AuthorizeDeviceGroup{DeviceGroupId: id,
		Authorized: yes}}
}

func authorizeDevice(group, id string, yes bool) *ltlv1.Transaction_AuthorizeDevice {
	return &ltlv1.Transaction_AuthorizeDevice{AuthorizeDevice: &ltlv1.AuthorizeDevice{DeviceGroupId: group,
		DeviceId: id, Authorized: yes}}
}

func enroll(d *ltlv1.EnrollDevice) *ltlv1.Transaction_EnrollDevice {
	return &ltlv1.Transaction_EnrollDevice{EnrollDevice: d}
}

func revoke(productKey, iotID string) *ltlv1.Transaction_RevokeDevice {
	return &ltlv1.Transaction_RevokeDevice{RevokeDevice: &ltlv1.RevokeDevice{ProductKey: productKey, IotId: iotID}}
}

const (
	productKey = "hKpHMh2abcd"
	iotID      = "2122232425262728292A2B2C"
)

// device signs as a device does.
type device struct {
	id, productKey string
	kind           ltlv1.DeviceKeyType
	sign           func(hash []byte) ([]byte, error)
	public         []byte
	at             int64 // the next time that it signs with
}

func public(t testing.TB, key any) []byte {
	t.Helper()
	der, err := x509.MarshalPKIXPublicKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return der
}

func eccDevice(t testing.TB, id string) *device {
	t.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	sign := func(hash []byte) ([]byte, error) { return ecdsa.SignASN1(rand.Reader, k, hash) }
	return &device{id, productKey, ltlv1.DeviceKeyType_DEVICE_KEY_TYPE_ECC_P256, sign, public(t, &k.PublicKey), startMs}
}

func rsaDevice(t testing.TB, id string, bits int) *device {
	t.Helper()
	k, err := rsa.GenerateKey(rand.Reader, bits)
	if err != nil {
		t.Fatal(err)
	}
	sign := func(hash []byte) ([]byte, error) { return rsa.SignPKCS1v15(nil, k, crypto.SHA256, hash) }
	return &device{id, productKey, ltlv1.DeviceKeyType_DEVICE_KEY_TYPE_RSA_2048, sign, public(t, &k.PublicKey), startMs}
}

// aesDevice is a device whose signatures cannot be verified without its secret key.
func aesDevice(id string) *device {
	sign := func([]byte) ([]byte, error) { return make([]byte, 48), nil }
	return &device{id, productKey, ltlv1.DeviceKeyType_DEVICE_KEY_TYPE_AES, sign, nil, startMs}
}

func (d *device) enrolment() *ltlv1.EnrollDevice {
	return &ltlv1.EnrollDevice{ProductKey: d.productKey, IotId: d.id, KeyType: d.kind, PublicKey: d.public}
}

// proof signs a payload, each time with another time.
func (d *device) proof(t testing.TB, payload string) *ltlv1.DeviceProof {
	t.Helper()
	d.at++
	digest := strings.ToUpper(hex.EncodeToString(func() []byte { h := sha256.Sum256([]byte(payload)); return h[:] }()))
	return d.proofAt(t, digest, d.at)
}

func (d *device) proofAt(t testing.TB, digest string, ms int64) *ltlv1.DeviceProof {
	t.Helper()
	const random = "0123456789abCDEF"
	hash := sha256.Sum256(fmt.Append(nil, d.id, random, ms, digest))
	sign, err := d.sign(hash[:])
	if err != nil {
		t.Fatal(err)
	}
	return &ltlv1.DeviceProof{
		AuthType: "ID2", IotId: d.id, ProductKey: d.productKey, DataDigest: digest, Source: "1",
		Signature: fmt.Sprintf("3~2~%s~%d~%s", random, ms, base64.StdEncoding.EncodeToString(sign)),
	}
}

// signed is an upload of m1 that the proof comes with.
func (w *world) signed(uid, id, value string, p *ltlv1.DeviceProof) *ltlv1.Transaction {
	s := set(w.key(uid, id), value)
	s.SetData.Device = p
	return w.tx(uid, s)
}

// deviceWorld has a device group of m1 and an enrolled device.
func deviceWorld(t testing.TB, d *device) (w *world, group string) {
	t.Helper()
	w = newWorld(t)
	w.must(w.operator(enroll(d.enrolment())))
	w.assign(d.productKey)
	return w, w.must(w.tx(m1UID, register(productKey)))[0].GetOutput()
}

// TestDeviceProof: each check alone fails with its code, and each refusal by 403 with its own sentence.
func TestDeviceProof(t *testing.T) {
	d := eccDevice(t, iotID)
	w, group := deviceWorld(t, d)
	with := func(change func(*ltlv1.DeviceProof)) *ltlv1.Transaction {
		p := d.proof(t, "v")
		change(p)
		return w.signed(m1UID, "id", "v", p)
	}
	w.want("good", with(func(*ltlv1.DeviceProof) {}), OK)
	w.want("type 2", with(func(p *ltlv1.DeviceProof) { p.Signature = "2" + p.Signature[1:] }), OK)
	w.want("source 2", with(func(p *ltlv1.DeviceProof) { p.Source = "2" }), OK)
	w.want("nothing but a proof", w.signed(m1UID, "id", "v", &ltlv1.DeviceProof{}), BadIoT)
	for _, c := range []struct {
		what   string
		change func(*ltlv1.DeviceProof)
		want   int32
	}{
		{"no type", func(p *ltlv1.DeviceProof) { p.AuthType = "" }, BadIoT},
		{"no device", func(p *ltlv1.DeviceProof) { p.IotId = "" }, BadIoT},
		{"no product", func(p *ltlv1.DeviceProof) { p.ProductKey = "" }, BadIoT},
		{"no digest", func(p *ltlv1.DeviceProof) { p.DataDigest = "" }, BadIoT},
		{"no signature", func(p *ltlv1.DeviceProof) { p.Signature = "" }, BadIoT},
		{"a device of 65", func(p *ltlv1.DeviceProof) { p.IotId = strings.Repeat("a", 65) }, BadIoT},
		{"a device with a slash", func(p *ltlv1.DeviceProof) { p.IotId = "a/b" }, BadIoT},
		{"a device with a zero byte", func(p *ltlv1.DeviceProof) { p.IotId = "a\x00" }, BadIoT},
		{"no source", func(p *ltlv1.DeviceProof) { p.Source = "" }, BadIoTSource},
		{"source 3", func(p *ltlv1.DeviceProof) { p.Source = "3" }, BadIoTSource},
		{"another type", func(p *ltlv1.DeviceProof) { p.AuthType = "id2" }, BadAuthType},
		{"a digest of 63", func(p *ltlv1.DeviceProof) { p.DataDigest = p.DataDigest[1:] }, BadDigestLength},
		{"a digest of 65", func(p *ltlv1.DeviceProof) { p.DataDigest += "0" }, BadDigestLength},
		{"a digest in lower case", func(p *ltlv1.DeviceProof) { p.DataDigest = strings.ToLower(p.DataDigest) }, BadDigest},
		{"another digest", func(p *ltlv1.DeviceProof) { p.DataDigest = strings.Repeat("A", 64) }, BadDigest},
		// With two faults, the code is that of the first.
		{"no type and source 3", func(p *ltlv1.DeviceProof) { p.AuthType, p.Source = "", "3" }, BadIoT},
		{"source 3 and another type", func(p *ltlv1.DeviceProof) { p.AuthType, p.Source = "x", "3" }, BadIoTSource},
		{"another type and a short digest", func(p *ltlv1.DeviceProof) { p.AuthType, p.DataDigest = "x", "0" }, BadAuthType},
		{"another digest of no device", func(p *ltlv1.DeviceProof) {
			p.IotId, p.DataDigest = "unknown",
				strings.Repeat("A", 64)
		}, BadDigest},
	} {
		w.want(c.what, with(c.change), c.want)
		attached := with(c.change)
		a := attach(w.key(m1UID, "many"), "v", "")
		a.AttachData.Device = attached.GetSetData().GetDevice()
		w.want("AttachData, "+c.what, w.tx(m1UID, a), c.want)
	}
	for _, c := range []struct {
		what   string
		change func(*ltlv1.DeviceProof)
		reason string
	}{
		{"a device that was not enrolled", func(p *ltlv1.DeviceProof) { p.IotId = "unknown" }, reasonNotEnrolled},
		{"a product that it was not enrolled for", func(p *ltlv1.DeviceProof) { p.ProductKey = "other" }, reasonNotEnrolled},
		{"a product with a slash", func(p *ltlv1.DeviceProof) { p.ProductKey = productKey + "/" + iotID }, reasonNotEnrolled},
		{"type 1", func(p *ltlv1.DeviceProof) { p.Signature = "1" + p.Signature[1:] }, reasonSignatureForm},
		{"hash 3", func(p *ltlv1.DeviceProof) { p.Signature = strings.Replace(p.Signature, "~2~", "~3~", 1) },
			reasonSignatureForm},
		{"a random part of 15", func(p *ltlv1.DeviceProof) { p.Signature = strings.Replace(p.Signature, "~0", "~", 1) },
			reasonSignatureForm},
		{"a random part that is none",
			func(p *ltlv1.DeviceProof) { p.Signature = strings.Replace(p.Signature, "~0", "~g", 1) }, reasonSignatureForm},
		{"a time of 12 digits", func(p *ltlv1.DeviceProof) { p.Signature = strings.Replace(p.Signature, "~17", "~7", 1) },
			reasonSignatureForm},
		{"a sixth part", func(p *ltlv1.DeviceProof) { p.Signature += "~" }, reasonSignatureForm},
		{"a line break in base64", func(p *ltlv1.DeviceProof) { p.Signature += "\n" }, reasonSignatureForm},
		{"nothing signed", func(p *ltlv1.DeviceProof) {
			p.Signature = p.Signature[:strings.LastIndexByte(p.Signature,
				'~')+1]
		}, reasonSignatureForm},
		{"too long", func(p *ltlv1.DeviceProof) { p.Signature += strings.Repeat("A", 512) }, reasonSignatureForm},
		{"another random part", func(p *ltlv1.DeviceProof) { p.Signature = strings.Replace(p.Signature, "~0", "~1", 1) },
			reasonSignatureWrong},
		{"the digest of another payload", func(p *ltlv1.DeviceProof) {
			p.Signature = d.proof(t, "other").GetSignature()
		}, reasonSignatureWrong},
	} {
		w.refused(c.what, with(c.change), Forbidden, c.reason)
	}
	w.refused("10 minutes and a bit ahead", w.signed(m1UID, "id", "v",
		d.proofAt(t, d.proof(t, "v").DataDigest, w.now+600_001)), Forbidden, reasonSignatureTime)
	w.want("10 minutes ahead", w.signed(m1UID, "id", "v", d.proofAt(t, d.proof(t, "v").DataDigest, w.now+600_000)), OK)
	w.refused("before the product was assigned", w.signed(m1UID, "id", "v", d.proofAt(t, d.proof(t, "v").DataDigest,
		startMs-1)), Forbidden, fmt.Sprintf(reasonSignatureOld, "2023-11-14T22:13:20Z"))
	w.want("just when it was", w.signed(m1UID, "id", "v", d.proofAt(t, d.proof(t, "v").DataDigest, startMs)), OK)

	good := func() *ltlv1.DeviceProof { return d.proof(t, "v") }
	w.refused("another account's group", w.signed(m2UID, "id", "v", good()), Forbidden, reasonForeignGroup)
	w.refused("the administrator is another account too", w.signed(rootUID, "id", "v", good()), Forbidden,
		reasonForeignGroup)
	w.must(w.tx(rootUID, authorizeGroup(group, false)))
	w.refused("a group without the right", w.signed(m1UID, "id", "v", good()), Forbidden, reasonGroupUnauthorized)
	w.must(w.tx(rootUID, authorizeGroup(group, true)), w.signed(m1UID, "first", "v", good()))
	device, err := GetDevice(w.state, w.chain.ID, group, iotID)
	if err != nil || device == nil {
		t.Fatal("no device after its first upload", err)
	}
	w.must(w.tx(rootUID, authorizeDevice(group, device.ID, false)))
	w.refused("a device without the right", w.signed(m1UID, "id", "v", good()), Forbidden, reasonUnauthorized)
	w.must(w.tx(rootUID, authorizeDevice(group, device.ID, true)))
	w.want("with the right again", w.signed(m1UID, "id", "v", good()), OK)
	w.must(w.operator(revoke(productKey, iotID)))
	w.refused("revoked", w.signed(m1UID, "id", "v", good()), Forbidden, reasonRevoked)

	lone := newWorld(t)
	lone.must(lone.operator(enroll(d.enrolment())))
	lone.refused("no chain", lone.signed(m1UID, "id", "v", good()), Forbidden,
		fmt.Sprintf(reasonProductUnassigned, "o1", productKey, lone.chain.ID))
	lone.assign(productKey)
	lone.refused("no group", lone.signed(m1UID, "id", "v", good()), Forbidden, reasonNoGroup)
}

// TestDeviceOrder: with faults before, in and after the device's checks, the code is that of the first.
func TestDeviceOrder(t *testing.T) {
	d := eccDevice(t, iotID)
	w, _ := deviceWorld(t, d)
	bad := &ltlv1.DeviceProof{}
	w.want("a Key that is none", w.tx(m1UID,
		&ltlv1.Transaction_SetData{SetData: &ltlv1.SetData{Key: "x", Value: offline.Text("v"), Device: bad}}), BadKey)
	w.want("an empty value", w.signed(m1UID, "id", "", bad), BadValue)
	a := attach(w.key(m1UID, "id"), "v", "short")
	a.AttachData.Device = bad
	w.want("a short BusinessId", w.tx(m1UID, a), OutOfRange)
	w.must(w.signed(m1UID, "id", "v", d.proof(t, "v")))
	w.want("a Key that is there, with a bad proof", w.signed(m1UID, "id", "v", bad), BadIoT)
	w.want("a Key that is there, with a good proof", w.signed(m1UID, "id", "v", d.proof(t, "v")), DuplicateKey)
	c := w.modifyChain(func(m *ltlv1.ModifyChain) { m.CountQuota = new(uint64) })
	w.must(w.operator(c))
	w.want("no quota, with a good proof", w.signed(m1UID, "other", "v", d.proof(t, "v")), QuotaExceeded)
	w.want("no quota, with a bad proof", w.signed(m1UID, "other", "v", bad), BadIoT)
}

// TestDeviceReplay: what a device signed counts once on a chain: in a later block, in the same one, in another
// spelling of the same signature; a refused upload does not use it up.
func TestDeviceReplay(t *testing.T) {
	d := eccDevice(t, iotID)
	w, _ := deviceWorld(t, d)
	p := d.proof(t, "v")
	w.must(w.signed(m1UID, "a", "v", p))
	w.refused("again", w.signed(m1UID, "b", "v", p), Forbidden, reasonSignatureUsed)
	other := d.proofAt(t, p.GetDataDigest(), d.at)
	if other.Signature == p.GetSignature() {
		t.Fatal("ECDSA signed twice alike")
	}
	w.refused("the same text signed once more", w.signed(m1UID, "b", "v", other), Forbidden, reasonSignatureUsed)
	other.Signature = "2" + p.GetSignature()[1:]
	w.refused("as type 2", w.signed(m1UID, "b", "v", other), Forbidden, reasonSignatureUsed)

	q := d.proof(t, "v")
	w.want("a duplicate", w.signed(m1UID, "a", "v", q), DuplicateKey)
	w.apply(w.signed(m1UID, "a", "v", q))
	r := w.apply(w.signed(m1UID, "c", "v", q), w.signed(m1UID, "d", "v", q))
	if r[0].GetCode() != OK || r[1].GetCode() != Forbidden {
		t.Errorf("twice in one block, after a refusal: %v", r)
	}

	w.now += 5
	w.must(w.signed(m1UID, "e", "v", d.proof(t, "v")))
	all, err := ListDevices(w.state, w.chain.ID, mustGroup(t, w).ID)
	if err != nil || len(all) != 1 || all[0].LastSaveMs != w.now || all[0].CreatedHeight != 3 ||
		all[0].IotID != iotID || !all[0].Authorized {
		t.Errorf("devices %+v, %v", all, err)
	}
}

func mustGroup(t testing.TB, w *world) *DeviceGroup {
	t.Helper()
	all, err := ListDeviceGroups(w.state, w.chain.ID)
	if err != nil || len(all) == 0 {
		t.Fatal("no device group", err)
	}
	return all[0]
}

// TestDeviceKeyHolder: only the organisation that has a device's secret key can say whether a signature is right, so
// a block takes it with that organisation's endorsement only.
func TestDeviceKeyHolder(t *testing.T) {
	d := aesDevice(iotID)
	w := newWorld(t)
	w.must(w.operator(w.modifyChain(func(m *ltlv1.ModifyChain) { m.Policy = proto.String("majority") })))
	w.enrollFor("o2", d)
	w.must(w.tx(m2UID, register(productKey)))
	tx := w.signed(m2UID, "id", "v", d.proof(t, "v"))
	p := [][]byte{marshal(t, tx)}
	plain := marshal(t, w.tx(m1UID, set(w.key(m1UID, "plain"), "v")))
	code := func(payloads [][]byte, orgs ...string) int32 {
		in := w.input(w.chain.ID, w.batch(w.chain.ID, payloads, orgs...))
		admitted, err := Admit(in, w.state, ledger.VerifyEndorsement)
		if err != nil {
			t.Fatal(err)
		}
		got := w.execute(w.chain.ID, w.batch(w.chain.ID, payloads, orgs...)).Results[0]
		for i, c := range admitted.Codes {
			if c != got[i].GetCode() {
				t.Errorf("endorsed by %v: the leader says %d, execution %d", orgs, c, got[i].GetCode())
			}
		}
		return got[len(got)-1].GetCode()
	}
	for _, c := range []struct {
		orgs []string
		want int32
	}{
		{[]string{"o1", "o2", "o3"}, OK}, {[]string{"o1", "o2"}, OK}, {[]string{"o1", "o3"}, NotEndorsed}, {[]string{"o2"},
			NotEndorsed},
	} {
		if got := code(p, c.orgs...); got != c.want {
			t.Errorf("endorsed by %v: %d, want %d", c.orgs, got, c.want)
		}
		if got := code([][]byte{p[0], plain}, c.orgs...); len(c.orgs) > 1 && got != OK {
			t.Errorf("beside it, endorsed by %v: %d, want what needs no key to be judged by the policy alone", c.orgs, got)
		}
	}
	late := w.batch(w.chain.ID, [][]byte{p[0], plain}, "o1", "o3")
	s := w.statement(late, "o2")
	s.ClockMs = w.ahead()
	late.Endorsements = append(late.Endorsements, s.Sign(w.keys["o2"]))
	if got := w.execute(w.chain.ID, late).Block.GetResults(); !equal(got, []int32{EndorsementExpired, OK}) {
		t.Errorf("the key holder's endorsement came too late: %v", got)
	}
	without := w.statement(late, "o2")
	without.Accepted = ledger.Bitmap([]bool{false, true})
	late.Endorsements[2] = without.Sign(w.keys["o2"])
	if got := w.execute(w.chain.ID, late).Block.GetResults(); !equal(got, []int32{NotEndorsed, OK}) {
		t.Errorf("the key holder does not accept the signature: %v", got)
	}
	v, err := Preview(w.input(w.chain.ID), w.now, append(p, plain), w.state)
	if err != nil || v[0] != (Verdict{Code: OK, Required: "o2"}) || v[1] != (Verdict{Code: OK}) {
		t.Errorf("Preview %+v, %v", v, err)
	}
	w.must(w.operator(w.modifyChain(func(m *ltlv1.ModifyChain) { m.Organisations = []string{"o1", "o3"} })))
	got, err := Preview(w.input(w.chain.ID), w.now, p, w.state)
	if err != nil || got[0] != (Verdict{Code: Forbidden, Reason: reasonKeyHolderMissing}) {
		t.Errorf("its organisation is not on the chain: %+v, %v", got, err)
	}
	if x := w.execute(w.chain.ID, w.batch(w.chain.ID, p, "o1", "o3")); x.Results[0][0].GetCode() != Forbidden {
		t.Errorf("its organisation is not on the chain: %v", x.Results)
	}
}

func TestRegisterDeviceGroup(t *testing.T) {
	w := newWorld(t)
	w.claim("o1", "pk1", "pk2", "pk3", strings.Repeat("a", 64))
	with := func(change func(*ltlv1.RegisterDeviceGroup)) *ltlv1.Transaction {
		r := register("pk1")
		change(r.RegisterDeviceGroup)
		return w.tx(m1UID, r)
	}
	for what, c := range map[string]struct {
		change func(*ltlv1.RegisterDeviceGroup)
		want   int32
	}{
		"good":          {func(*ltlv1.RegisterDeviceGroup) {}, OK},
		"remark of 100": {func(r *ltlv1.RegisterDeviceGroup) { r.Remark = strings.Repeat("备", 100) }, OK},
		"product of 64": {func(r *ltlv1.RegisterDeviceGroup) { r.ProductKey = strings.Repeat("a", 64) }, OK},
		"remark of 101": {func(r *ltlv1.RegisterDeviceGroup) { r.Remark = strings.Repeat("备", 101) },
			OutOfRange},
		"name of 1":  {func(r *ltlv1.RegisterDeviceGroup) { r.Name = "某" }, OutOfRange},
		"no product": {func(r *ltlv1.RegisterDeviceGroup) { r.ProductKey = "" }, OutOfRange},
		"product of 65": {func(r *ltlv1.RegisterDeviceGroup) { r.ProductKey = strings.Repeat("a", 65) },
			OutOfRange},
		"product with a slash":       {func(r *ltlv1.RegisterDeviceGroup) { r.ProductKey = "a/b" }, OutOfRange},
		"product with a zero byte":   {func(r *ltlv1.RegisterDeviceGroup) { r.ProductKey = "a\x00b" }, OutOfRange},
		"product in Chinese":         {func(r *ltlv1.RegisterDeviceGroup) { r.ProductKey = "产品" }, OutOfRange},
		"another authorisation type": {func(r *ltlv1.RegisterDeviceGroup) { r.AuthorizeType = "id2" }, OutOfRange},
		"no authorisation type":      {func(r *ltlv1.RegisterDeviceGroup) { r.AuthorizeType = "" }, OutOfRange},
	} {
		w.want(what, with(c.change), c.want)
	}
	r := w.must(w.tx(m1UID, register("pk1")), w.tx(rootUID, register("pk2")))
	w.refused("the same product", w.tx(m1UID, register("pk1")), Conflict, reasonProductKey)
	w.refused("the same product for the administrator", w.tx(rootUID, register("pk1")), Conflict, reasonProductKey)
	w.refused("another organisation's product", w.tx(m2UID, register("pk3")), Forbidden,
		fmt.Sprintf(reasonProductForeign, "o1"))
	w.refused("an unclaimed product", w.tx(m1UID, register("pk4")), Forbidden,
		fmt.Sprintf(reasonProductOpen, "pk4", w.chain.ID))
	w.refused("by an account that is not on the chain", w.tx(freeUID, register("pk3")), Forbidden, ReasonNotMember)
	all, err := ListDeviceGroups(w.state, w.chain.ID)
	if err != nil || len(all) != 2 || all[0].ID != r[0].GetOutput() || !all[0].Authorized ||
		all[0].OwnerID != w.member(m1UID).ID ||
		all[1].ID != r[1].GetOutput() || all[1].OwnerID != w.chain.AdministratorMemberID {
		t.Errorf("groups %+v, %v", all, err)
	}
	id := r[0].GetOutput()
	w.refused("a member authorises", w.tx(m1UID, authorizeGroup(id, false)), Forbidden, ReasonAdministrator)
	w.want("a group that is none", w.tx(rootUID, authorizeGroup("0000000000000000", false)), NotFound)
	w.want("an id that is none", w.tx(rootUID, authorizeGroup("../pk1", false)), NotFound)
	w.must(w.tx(rootUID, authorizeGroup(id, true)), w.tx(rootUID, authorizeGroup(id, false)),
		w.tx(rootUID, authorizeGroup(id, false)))
	if g, err := GetDeviceGroup(w.state, w.chain.ID, id); err != nil || g.Authorized {
		t.Errorf("group %+v, %v", g, err)
	}
}

func TestAuthorizeDevice(t *testing.T) {
	d := eccDevice(t, iotID)
	w, group := deviceWorld(t, d)
	w.must(w.signed(m1UID, "a", "v", d.proof(t, "v")))
	w.claim("o1", "pk2")
	other := w.must(w.tx(m1UID, register("pk2")))[0].GetOutput()
	device, err := GetDevice(w.state, w.chain.ID, group, iotID)
	if err != nil || device == nil {
		t.Fatal(device, err)
	}
	w.refused("a member", w.tx(m1UID, authorizeDevice(group, device.ID, false)), Forbidden, ReasonAdministrator)
	w.want("of another group", w.tx(rootUID, authorizeDevice(other, device.ID, false)), NotFound)
	w.want("of a group that is none", w.tx(rootUID, authorizeDevice("", device.ID, false)), NotFound)
	w.want("that is none", w.tx(rootUID, authorizeDevice(group, "1111111111111111", false)), NotFound)
	w.want("by its IotId", w.tx(rootUID, authorizeDevice(group, iotID, false)), NotFound)
	w.must(w.tx(rootUID, authorizeDevice(group, device.ID, true)),
		w.tx(rootUID, authorizeDevice(group, device.ID, false)), w.tx(rootUID, authorizeDevice(group, device.ID, false)))
	if device, err = GetDevice(w.state, w.chain.ID, group, iotID); err != nil || device.Authorized {
		t.Errorf("device %+v, %v", device, err)
	}
}
