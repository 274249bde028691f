package rules

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/sha256"
	"strconv"
	"strings"

	"ltl/internal/ledger"
	ltlv1 "ltl/proto/ltl/v1"
)

// administer runs one line of a script that changes members, devices or the chain; false when it is another line.
//
//	modify ACCOUNT MEMBER UID          MEMBER's entry is UID's from then on
//	lock|unlock ACCOUNT MEMBER
//	register ACCOUNT PRODUCT           a device group
//	group ACCOUNT PRODUCT yes|no       authorises it
//	device ACCOUNT PRODUCT IOTID yes|no
//	correct ACCOUNT ID                 an AttachData that declares the last record wrong
//	claim PRODUCT here|nowhere         on the system chain
//	assign PRODUCT here|nowhere
//	handover ACCOUNT PRODUCT MEMBER    the group
//	removegroup ACCOUNT PRODUCT
//	enroll ecc|aes PRODUCT IOTID       on the system chain
//	declare PRODUCT IOTID lost|compromised
//	revoke PRODUCT IOTID
//	upload ACCOUNT ID VALUE PRODUCT IOTID MS
//	modifychain quota N | administrator UID | organisations ORG…
func (s *script) administer(f []string, uids map[string]string) bool {
	switch f[0] {
	case "modify":
		s.add(s.tx(uids[f[1]], s.modify(s.member(uids[f[2]]).ID, uids[f[3]])))
	case "lock", "unlock":
		s.add(s.tx(uids[f[1]], lock(s.entryID(uids[f[2]]), f[0] == "lock")))
	case "register":
		s.add(s.tx(uids[f[1]], register(f[2])))
	case "group":
		s.add(s.tx(uids[f[1]], authorizeGroup(s.groupID(f[2]), f[3] == "yes")))
	case "device":
		group := s.groupID(f[2])
		d, err := GetDevice(s.state, s.chain.ID, group, f[3])
		if err != nil || d == nil {
			s.t.Fatal(d, err)
		}
		s.add(s.tx(uids[f[1]], authorizeDevice(group, d.ID, f[4] == "yes")))
	case "correct":
		id := ledger.TransactionID(marshal(s.t, s.last))
		key, _, businessID, _ := ProofRecord(s.last, id)
		s.add(s.world.correct(uids[f[1]], f[2], &ltlv1.Correction{TransactionId: id[:], Key: key, BusinessId: businessID,
			Reason: "wrong"}))
	case "claim", "assign":
		chain := map[string]string{"here": s.chain.ID, "nowhere": ""}[f[2]]
		if f[0] == "claim" {
			s.add(s.operator(claimProduct(f[1], chain)))
			break
		}
		s.add(s.operator(assignProduct(f[1], chain)))
	case "handover":
		s.add(s.tx(uids[f[1]], modifyGroup(s.groupID(f[2]), s.entryID(uids[f[3]]))))
	case "removegroup":
		s.add(s.tx(uids[f[1]], modifyGroup(s.groupID(f[2]), "")))
	case "enroll":
		d := s.fixedDevice(f[1], f[2], f[3])
		s.add(s.operator(enroll(d.enrolment())))
	case "declare":
		s.add(s.operator(declare(f[1], f[2], ltlv1.DeviceKeyEnd(ltlv1.DeviceKeyEnd_value["DEVICE_KEY_END_"+
			strings.ToUpper(f[3])]), 0)))
	case "revoke":
		s.add(s.operator(revoke(f[1], f[2])))
	case "upload":
		ms, err := strconv.ParseInt(f[6], 10, 64)
		if err != nil {
			s.t.Fatal(err)
		}
		kind := "ecc"
		if e, err := GetEnrolment(s.state, f[4], f[5]); err != nil || e != nil &&
			e.Newest().Type == ltlv1.DeviceKeyType_DEVICE_KEY_TYPE_AES {
			kind = "aes"
		}
		digest := upperHex(sha256.Sum256([]byte(f[3])))
		s.add(s.world.signed(uids[f[1]], f[2], f[3], s.fixedDevice(kind, f[4], f[5]).proofAt(s.t, digest, startMs+ms)))
	case "modifychain":
		s.add(s.operator(s.modifyChain(func(m *ltlv1.ModifyChain) {
			if f[1] == "organisations" {
				m.Organisations = f[2:]
				return
			}
			if f[1] == "administrator" {
				uid := uids[f[2]]
				m.AdministratorUid = &uid
				return
			}
			n, err := strconv.ParseUint(f[2], 10, 64)
			if err != nil {
				s.t.Fatal(err)
			}
			m.CountQuota = &n
		})))
	default:
		return false
	}
	return true
}

// entryID is the member id of an account, or the administrator's where it is no member.
func (s *script) entryID(uid string) string {
	if m := s.member(uid); m != nil {
		return m.ID
	}
	return s.chain.AdministratorMemberID
}

func (s *script) groupID(productKey string) string {
	id, err := s.state.Get(s.chain.ID, []byte(prefixProductKey+productKey))
	if err != nil || id == nil {
		s.t.Fatal("no group of product", productKey, err)
	}
	return string(id)
}

// fixedDevice always has the same key, and signs alike every time.
func (s *script) fixedDevice(kind, productKey, iotID string) *device {
	d := aesDevice(iotID)
	d.productKey = productKey
	if kind == "aes" {
		return d
	}
	seed := sha256.Sum256([]byte("key of " + iotID))
	k, err := ecdsa.ParseRawPrivateKey(elliptic.P256(), seed[:])
	if err != nil {
		s.t.Fatal(err)
	}
	d.kind, d.public = ltlv1.DeviceKeyType_DEVICE_KEY_TYPE_ECC_P256, public(s.t, &k.PublicKey)
	d.sign = func(hash []byte) ([]byte, error) { return k.Sign(nil, hash, crypto.SHA256) }
	return d
}
