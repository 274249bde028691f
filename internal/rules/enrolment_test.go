package rules

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"fmt"
	"testing"

	ltlv1 "ltl/proto/ltl/v1"
)

func TestEnrollment(t *testing.T) {
	ecc, rsa2048, rsa1024 := eccDevice(t, iotID), rsaDevice(t, "rsa", 2048), rsaDevice(t, "rsa", 1024)
	w := newWorld(t)
	k, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	offCurve := append([]byte(nil), ecc.public...)
	offCurve[len(offCurve)-1] ^= 1
	even := append([]byte(nil), rsa2048.public...)
	even[len(even)-6] &^= 1
	for _, c := range []struct {
		what   string
		change func(*ltlv1.EnrollDevice)
		want   int32
	}{
		{"good", func(*ltlv1.EnrollDevice) {}, OK},
		{"RSA", func(d *ltlv1.EnrollDevice) { d.KeyType, d.PublicKey = rsa2048.kind, rsa2048.public }, OK},
		{"AES", func(d *ltlv1.EnrollDevice) { d.KeyType, d.PublicKey = aesDevice("").kind, nil }, OK},
		{"AES with a key", func(d *ltlv1.EnrollDevice) { d.KeyType, d.PublicKey = aesDevice("").kind, make([]byte, 16) },
			OutOfRange},
		{"no kind", func(d *ltlv1.EnrollDevice) { d.KeyType = 0 }, OutOfRange},
		{"an unknown kind", func(d *ltlv1.EnrollDevice) { d.KeyType = 4 }, OutOfRange},
		{"no key", func(d *ltlv1.EnrollDevice) { d.PublicKey = nil }, OutOfRange},
		{"a byte more", func(d *ltlv1.EnrollDevice) { d.PublicKey = append(d.PublicKey, 0) }, OutOfRange},
		{"a point off the curve", func(d *ltlv1.EnrollDevice) { d.PublicKey = offCurve }, OutOfRange},
		{"P-384", func(d *ltlv1.EnrollDevice) { d.PublicKey = public(t, &k.PublicKey) }, OutOfRange},
		{"RSA as ECC", func(d *ltlv1.EnrollDevice) { d.PublicKey = rsa2048.public }, OutOfRange},
		{"RSA of 1024 bits", func(d *ltlv1.EnrollDevice) { d.KeyType, d.PublicKey = rsa1024.kind, rsa1024.public },
			OutOfRange},
		{"RSA with an even modulus", func(d *ltlv1.EnrollDevice) { d.KeyType, d.PublicKey = rsa2048.kind, even }, OutOfRange},
		{"no device", func(d *ltlv1.EnrollDevice) { d.IotId = "" }, OutOfRange},
		{"a device with a slash", func(d *ltlv1.EnrollDevice) { d.IotId = "a/b" }, OutOfRange},
		{"no product", func(d *ltlv1.EnrollDevice) { d.ProductKey = "" }, OutOfRange},
		{"a product with a slash", func(d *ltlv1.EnrollDevice) { d.ProductKey = "a/b" }, OutOfRange},
	} {
		d := ecc.enrolment()
		d.PublicKey = append([]byte(nil), d.PublicKey...)
		c.change(d)
		w.want(c.what, w.operator(enroll(d)), c.want)
	}
	facade := w.operator(enroll(ecc.enrolment()))
	facade.Submitter = "o1/facade/f1"
	w.want("by a facade", facade, Forbidden)
	elsewhere := w.tx(rootUID, enroll(ecc.enrolment()))
	w.want("on a business chain", elsewhere, Malformed)

	w.must(w.operator(enroll(ecc.enrolment())))
	got, err := GetEnrolment(w.state, productKey, iotID)
	if err != nil || got.Organisation != "o1" || got.Revoked || string(got.Newest().Public) != string(ecc.public) {
		t.Errorf("enrolment %+v, %v", got, err)
	}
	w.refused("again", w.operator(enroll(ecc.enrolment())), Conflict, reasonEnrolled)
	w.want("revoking nothing", w.operator(revoke(productKey, "unknown")), NotFound)
	w.want("revoking what has an odd name", w.operator(revoke(productKey+"/"+iotID, "")), NotFound)
	foreign := w.operator(revoke(productKey, iotID))
	foreign.Submitter = "o2/operator/oscar"
	w.refused("revoking another's", foreign, Forbidden, fmt.Sprintf(reasonOwner, "o1"))
	w.must(w.operator(revoke(productKey, iotID)), w.operator(revoke(productKey, iotID)))
	w.refused("after it was revoked", w.operator(enroll(ecc.enrolment())), Conflict, reasonEnrolmentEnded)
	if all, err := ListEnrolments(w.state); err != nil || len(all) != 1 || !all[0].Revoked {
		t.Errorf("enrolments %+v, %v", all, err)
	}
}
