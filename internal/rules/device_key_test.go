package rules

import (
	"crypto/sha256"
	"testing"

	"pgregory.net/rapid"

	"ltl/internal/ledger"
	ltlv1 "ltl/proto/ltl/v1"
)

const (
	lost        = ltlv1.DeviceKeyEnd_DEVICE_KEY_END_LOST
	compromised = ltlv1.DeviceKeyEnd_DEVICE_KEY_END_COMPROMISED
	rotated     = ltlv1.DeviceKeyEnd_DEVICE_KEY_END_ROTATED
)

// rotate is the rotation of a device's key to that of another device, signed by both.
func (w *world) rotate(from, to *device, number uint32) *ltlv1.Transaction_RotateDeviceKey {
	w.t.Helper()
	hash := sha256.Sum256(ledger.DeviceKeyText(w.id, from.productKey, from.id, number, uint32(to.kind), to.public))
	r := &ltlv1.RotateDeviceKey{ProductKey: from.productKey, IotId: from.id, KeyType: to.kind, PublicKey: to.public}
	var err, err2 error
	if from.public != nil {
		r.FormerSignature, err = from.sign(hash[:])
	}
	r.NewSignature, err2 = to.sign(hash[:])
	if err != nil || err2 != nil {
		w.t.Fatal(err, err2)
	}
	return &ltlv1.Transaction_RotateDeviceKey{RotateDeviceKey: r}
}

func declare(productKey, iotID string, end ltlv1.DeviceKeyEnd, since uint64) *ltlv1.Transaction_DeclareDeviceKey {
	return &ltlv1.Transaction_DeclareDeviceKey{DeclareDeviceKey: &ltlv1.DeclareDeviceKey{
		ProductKey: productKey, IotId: iotID, End: end, SinceHeight: since,
	}}
}

func (w *world) keysOf(d *device) []DeviceKey {
	w.t.Helper()
	v, err := GetEnrolment(w.state, d.productKey, d.id)
	if v == nil || err != nil {
		w.t.Fatal(v, err)
	}
	return v.Keys
}

// TestRotateDeviceKey: with each type of key the new one counts from the block on and the former one no longer; what
// was signed by the former one stays on the chain; a change that either key did not sign is refused.
func TestRotateDeviceKey(t *testing.T) {
	for what, from := range map[string]*device{"ECC": eccDevice(t, iotID), "RSA": rsaDevice(t, iotID, 2048),
		"AES": aesDevice(iotID)} {
		w, _ := deviceWorld(t, from)
		to, other := eccDevice(t, iotID), rsaDevice(t, iotID, 2048)
		to.at += 1000 // it signs other texts than the former key
		w.must(w.signed(m1UID, "before", "v", from.proof(t, "v")))
		for fault, change := range map[string]func(r *ltlv1.RotateDeviceKey){
			"a former signature by another key": func(r *ltlv1.RotateDeviceKey) {
				r.FormerSignature = w.rotate(other, to, 2).RotateDeviceKey.FormerSignature
			},
			"no new signature": func(r *ltlv1.RotateDeviceKey) { r.NewSignature = nil },
			"a new signature by another key": func(r *ltlv1.RotateDeviceKey) {
				r.NewSignature = w.rotate(from, other, 2).RotateDeviceKey.NewSignature
			},
			"another number": func(r *ltlv1.RotateDeviceKey) {
				r.NewSignature = w.rotate(from, to, 3).RotateDeviceKey.NewSignature
			},
			"another new key": func(r *ltlv1.RotateDeviceKey) { r.KeyType, r.PublicKey = other.kind, other.public },
		} {
			r := w.rotate(from, to, 2)
			change(r.RotateDeviceKey)
			w.refused(what+", "+fault, w.operator(r), Forbidden, reasonRotation)
		}
		secret := w.rotate(from, to, 2)
		secret.RotateDeviceKey.KeyType, secret.RotateDeviceKey.PublicKey = aesDevice("").kind, nil
		w.want(what+", to an AES key", w.operator(secret), OutOfRange)
		if from.public != nil {
			unsigned := w.rotate(from, to, 2)
			unsigned.RotateDeviceKey.FormerSignature = nil
			w.refused(what+", without the former signature", w.operator(unsigned), Forbidden, reasonRotation)
			w.refused(what+", to itself", w.operator(w.rotate(from, from, 2)), Conflict, reasonDeviceKeyUsed)
		}
		old := from.proof(t, "v")
		r := w.must(w.operator(w.rotate(from, to, 2)))[0]
		w.refused(what+", the former key after its end", w.signed(m1UID, "after", "v", old), Forbidden,
			reasonSignatureWrong)
		w.must(w.signed(m1UID, "after", "v", to.proof(t, "v")))
		w.refused(what+", the same change again", w.operator(w.rotate(from, to, 2)), Conflict, reasonDeviceKeyUsed)
		keys := w.keysOf(from)
		if len(keys) != 2 || keys[0].Until != r.GetBlockHeight() || keys[1].From != r.GetBlockHeight() ||
			keys[0].End != rotated || keys[1].Until != 0 || keys[0].Doubtful != 0 {
			t.Errorf("%s: keys %+v", what, keys)
		}
		v := &Enrolment{Keys: keys}
		if a, b := v.KeyAt(r.GetBlockHeight()-1), v.KeyAt(r.GetBlockHeight()); a != &keys[0] || b != &keys[1] ||
			v.KeyAt(keys[0].From-1) != nil {
			t.Errorf("%s: the key before is %+v, and %+v from the change on", what, a, b)
		}
	}
}

// TestDeclareDeviceKey: a declared key ends, the device is enrolled with another one and keeps its history, and a key
// that ended never counts again. A height of doubt only moves down.
func TestDeclareDeviceKey(t *testing.T) {
	d, next := eccDevice(t, iotID), eccDevice(t, iotID)
	next.at += 1000 // it signs other texts than the first key
	w, _ := deviceWorld(t, d)
	w.must(w.signed(m1UID, "before", "v", d.proof(t, "v")))
	enrolled := w.keysOf(d)[0].From
	for what, c := range map[string]struct {
		declaration *ltlv1.Transaction_DeclareDeviceKey
		want        int32
	}{
		"an unknown device": {declare(productKey, "none", lost, 0), NotFound},
		"no end":            {declare(productKey, iotID, 0, 0), OutOfRange},
		"rotated":           {declare(productKey, iotID, rotated, 0), OutOfRange},
		"a height to come":  {declare(productKey, iotID, lost, w.tips["0000000000000000"].height+2), OutOfRange},
	} {
		w.want(what, w.operator(c.declaration), c.want)
	}
	second := declare(productKey, iotID, lost, 0)
	second.DeclareDeviceKey.Number = 2
	w.refused("a key that it does not have", w.operator(second), OutOfRange, reasonDeclaration)
	w.refused("another key while the first is in force", w.operator(enroll(next.enrolment())), Conflict, reasonEnrolled)

	r := w.must(w.operator(declare(productKey, iotID, lost, 0)))[0]
	w.refused("a lost key", w.signed(m1UID, "a", "v", d.proof(t, "v")), Forbidden, reasonNoKeyInForce)
	w.refused("lost again", w.operator(declare(productKey, iotID, lost, 0)), Conflict, reasonKeyEnded)
	w.refused("rotated after its end", w.operator(w.rotate(d, next, 2)), Conflict, reasonKeyEnded)
	w.refused("the lost key again", w.operator(enroll(d.enrolment())), Conflict, reasonDeviceKeyUsed)
	w.must(w.operator(enroll(next.enrolment())))
	w.must(w.signed(m1UID, "a", "v", next.proof(t, "v")))
	w.refused("the lost key beside a new one", w.signed(m1UID, "b", "v", d.proof(t, "v")), Forbidden,
		reasonSignatureWrong)

	first := func(since uint64) {
		t.Helper()
		c := declare(productKey, iotID, compromised, since)
		c.DeclareDeviceKey.Number = 1
		w.must(w.operator(c))
	}
	first(enrolled + 2)
	first(0)
	first(enrolled + 1)
	keys := w.keysOf(d)
	if k := keys[0]; k.End != compromised || k.Doubtful != enrolled+1 || k.Until != r.GetBlockHeight() ||
		keys[1].End != 0 || keys[1].Doubtful != 0 {
		t.Errorf("keys %+v", keys)
	}
	w.must(w.operator(declare(productKey, iotID, compromised, 0)), w.operator(revoke(productKey, iotID)))
	w.refused("enrolled after it was revoked", w.operator(enroll(eccDevice(t, iotID).enrolment())), Conflict,
		reasonEnrolmentEnded)
}

// TestDeviceKeysAreBounded: a device has MaxDeviceKeys keys at most, one after another.
func TestDeviceKeysAreBounded(t *testing.T) {
	w := newWorld(t)
	for range MaxDeviceKeys {
		w.must(w.operator(enroll(eccDevice(t, iotID).enrolment())), w.operator(declare(productKey, iotID, lost, 0)))
	}
	w.refused("one more", w.operator(enroll(eccDevice(t, iotID).enrolment())), Conflict, reasonDeviceKeys)
}

// TestDeviceKeyProperty: whatever is rotated, declared and enrolled in whatever order, at every height at most one key
// counts, keys follow one another, and a text is accepted exactly if the key that counts signed it.
func TestDeviceKeyProperty(t *testing.T) {
	devices := []*device{eccDevice(t, iotID), eccDevice(t, iotID), eccDevice(t, iotID), eccDevice(t, iotID)}
	base, _ := deviceWorld(t, devices[0])
	rapid.Check(t, func(rt *rapid.T) {
		w := base.copy()
		current, used := 0, 1 // current is -1 while no key is in force; keys below used were had
		for range rapid.IntRange(1, 8).Draw(rt, "n") {
			next := rapid.IntRange(0, len(devices)-1).Draw(rt, "key")
			var tx *ltlv1.Transaction
			ok := false
			kind := rapid.IntRange(0, 2).Draw(rt, "kind")
			switch kind {
			case 0:
				from := devices[max(current, 0)]
				tx, ok = w.operator(w.rotate(from, devices[next], uint32(used)+1)), current >= 0 && next == used
			case 1:
				tx, ok = w.operator(declare(productKey, iotID, compromised, 0)), true
			case 2:
				tx, ok = w.operator(enroll(devices[next].enrolment())), current < 0 && next == used
			}
			if next > used && kind != 1 {
				continue // keys are taken in order, so that the model stays a number
			}
			if got := w.apply(tx)[0].GetCode(); (got == OK) != ok {
				rt.Fatalf("kind %d with key %d, current %d, used %d: %d", kind, next, current, used, got)
			}
			switch {
			case ok && kind == 1:
				current = -1
			case ok:
				current, used = next, used+1
			}
			for i, d := range devices {
				got := w.code(w.signed(m1UID, "a", "v", d.proof(t, "v")))
				if (got == OK) != (i == current) {
					rt.Fatalf("key %d with key %d in force: %d", i, current, got)
				}
			}
		}
		keys := w.keysOf(devices[0])
		for i := 1; i < len(keys); i++ {
			if keys[i-1].Until == 0 || keys[i-1].Until > keys[i].From {
				rt.Fatalf("keys %+v", keys)
			}
		}
	})
}
