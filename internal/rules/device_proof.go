package rules

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"

	"ltl/internal/ledger"
	ltlv1 "ltl/proto/ltl/v1"
)

// Values of DeviceProof.source.
const (
	SourceOpenPlatform = "1"
	SourceIoTPlatform  = "2"
)

// CheckDeviceProof checks a proof against the payload text that the device digested, without any state. It returns
// OK, BadIoT, BadIoTSource, BadAuthType, BadDigestLength or BadDigest, and looks for the faults in this order.
func CheckDeviceProof(p *ltlv1.DeviceProof, payload string) int32 {
	return CheckPhaseProof(p, payload, false)
}

// CheckPhaseProof is CheckDeviceProof for an upload to a phase. With digest, the payload is a digest of the uploader's
// data, and the device may also have signed it as it is, in capitals, in the place of its own digest.
func CheckPhaseProof(p *ltlv1.DeviceProof, payload string, digest bool) int32 {
	code := checkProofForm(p)
	if code == OK && p.GetDataDigest() != upperHex(sha256.Sum256([]byte(payload))) &&
		(!digest || p.GetDataDigest() != strings.ToUpper(payload)) {
		code = BadDigest
	}
	return code
}

// checkProofForm is CheckDeviceProof without the payload text.
func checkProofForm(p *ltlv1.DeviceProof) int32 {
	switch {
	case p.GetAuthType() == "" || p.GetDataDigest() == "" || p.GetSignature() == "" || p.GetProductKey() == "" ||
		!ValidIotID(p.GetIotId()):
		return BadIoT
	case p.GetSource() != SourceOpenPlatform && p.GetSource() != SourceIoTPlatform:
		return BadIoTSource
	case p.GetAuthType() != AuthorizeType:
		return BadAuthType
	case len(p.GetDataDigest()) != 2*sha256.Size:
		return BadDigestLength
	}
	return OK
}

func upperHex(h [sha256.Size]byte) string {
	b := make([]byte, 0, 2*sha256.Size)
	b = hex.AppendEncode(b, h[:])
	for i, c := range b {
		if 'a' <= c {
			b[i] = c - ('a' - 'A')
		}
	}
	return string(b)
}

// deviceUse is what an accepted upload records of the device that signed it.
type deviceUse struct {
	device *Device
	first  bool
	// signed is the SHA-256 of what the device signed.
	signed ledger.Hash
}

// admitDevice judges a device's proof in the manual's order: request, device, group, the device's authorisation,
// signature. The device's product is judged before its group. form is what was found wrong with the request. It writes
// nothing; when the transaction succeeds, pass the result to useDevice. Without a proof it returns nil, OK.
func (e *exec) admitDevice(act action, p *ltlv1.DeviceProof, form int32) (*deviceUse, int32, error) {
	if p == nil {
		return nil, OK, nil
	}
	if form != OK {
		return nil, form, nil
	}
	a, id, here := act.actor, act.id, act.here
	enrolled, err := GetEnrolment(e.view, p.GetProductKey(), p.GetIotId())
	switch {
	case err != nil:
		return nil, 0, err
	case enrolled == nil:
		return nil, e.refuse(Forbidden, reasonNotEnrolled), nil
	case enrolled.Revoked:
		return nil, e.refuse(Forbidden, reasonRevoked), nil
	}
	product, reason, err := e.productHere(p.GetProductKey())
	if reason != "" || err != nil {
		return nil, e.refuse(Forbidden, reason), err
	}
	group, reason, err := e.usableGroup(a, p.GetProductKey())
	if reason != "" || err != nil {
		return nil, e.refuse(Forbidden, reason), err
	}
	if product.Organisation != a.account.Organisation { // the group's entry was given to an account of another one
		return nil, e.refuse(Forbidden, fmt.Sprintf(reasonProductForeign, product.Organisation)), nil
	}
	use := &deviceUse{}
	if use.device, err = GetDevice(e, e.chain.ID, group.ID, p.GetIotId()); err != nil {
		return nil, 0, err
	}
	if use.device != nil && !use.device.Authorized {
		return nil, e.refuse(Forbidden, reasonUnauthorized), nil
	}
	if reason, err := e.judgeSignature(enrolled, product, p, use); reason != "" || err != nil {
		return nil, e.refuse(Forbidden, reason), err
	}
	if use.device == nil {
		use.first = true
		use.device = &Device{GroupID: group.ID, IotID: p.GetIotId(), Authorized: true, CreatedHeight: here.Height,
			CreatedIndex: here.Index}
		use.device.ID, err = firstFree(id, forDevice, digits16,
			func(s string) (bool, error) { return e.exists(prefixDeviceID + s) })
	}
	return use, OK, err
}

// groupOf finds the device group of a product; nil when there is none.
func (e *exec) groupOf(productKey string) (*DeviceGroup, error) {
	id, err := e.get(prefixProductKey + productKey)
	if id == nil || err != nil {
		return nil, err
	}
	return GetDeviceGroup(e, e.chain.ID, string(id))
}

// usableGroup finds the device group of a product; reason says why the account may not use it.
func (e *exec) usableGroup(a *actor, productKey string) (group *DeviceGroup, reason string, err error) {
	group, err = e.groupOf(productKey)
	switch {
	case group == nil || err != nil:
		return nil, reasonNoGroup, err
	case group.OwnerID != a.member.ID:
		return nil, reasonForeignGroup, nil
	case !group.Authorized:
		return nil, reasonGroupUnauthorized, nil
	}
	return group, "", nil
}

// judgeSignature returns what is wrong with a device's signature: its form, its time, that the signed text was used
// before, or the signature itself. A signature by a secret key is verified by the endorser of the organisation that
// has the key, and that organisation's endorsement is required.
func (e *exec) judgeSignature(enrolled *Enrolment, product *Product, p *ltlv1.DeviceProof,
	use *deviceUse) (reason string, err error) {
	s, ok := parseDeviceSignature(p.GetSignature())
	if !ok {
		return reasonSignatureForm, nil
	}
	if s.timeMs > e.timeMs+MaxDeviceAheadMs {
		return reasonSignatureTime, nil
	}
	if reason := product.tooOld(s.timeMs); reason != "" {
		return reason, nil
	}
	text := s.text(p.GetIotId(), p.GetDataDigest())
	use.signed = s.hash(p)
	if _, used, err := e.signedAt(use.signed); used || err != nil {
		return reasonSignatureUsed, err
	}
	key := enrolled.KeyAt(e.in.SystemHeight)
	if key == nil {
		return reasonNoKeyInForce, nil
	}
	if key.Type == ltlv1.DeviceKeyType_DEVICE_KEY_TYPE_AES {
		if !slices.Contains(e.chain.Organisations, enrolled.Organisation) {
			return reasonKeyHolderMissing, nil
		}
		return "", nil
	}
	if !verifyDevice(key.Type, key.Public, text, s.sign) {
		return reasonSignatureWrong, nil
	}
	return "", nil
}

// signedAt finds where the text with this SHA-256 was accepted.
func (e *exec) signedAt(signed ledger.Hash) (use signedUse, found bool, err error) {
	if use, ok := e.signed[signed]; ok {
		return use, true, nil
	}
	use.at, found, err = e.find(appendDeviceProofKey(e.key[:0], signed))
	return use, found, err
}

// useDevice writes the result of admitDevice; nil writes nothing. recordKey is the Key of the record, or of the first
// one of an upload; here is its place with its version.
func (e *exec) useDevice(use *deviceUse, here Locator, recordKey string) {
	if use == nil {
		return
	}
	if e.signed == nil {
		e.signed = map[ledger.Hash]signedUse{}
	}
	here.Extra = here.Version()
	e.signed[use.signed] = signedUse{here, recordKey}
	e.writeLocator(appendDeviceProofKey(e.room(1+len(use.signed)), use.signed), here)
	use.device.LastSaveMs = e.timeMs
	key := deviceKey(use.device.GroupID, use.device.IotID)
	e.put(key, use.device.encode())
	if use.first {
		e.put(prefixDeviceID+use.device.ID, []byte(key[len(prefixDevice):]))
	}
}
