package rules

import (
	"crypto/ed25519"
	"slices"
	"strings"

	"ltl/internal/ledger"
	"ltl/internal/policy"
	ltlv1 "ltl/proto/ltl/v1"
)

// KeyVersion is the version part of the Key of proof data.
const KeyVersion = "0001"

const (
	transactionVersion = 1
	maxQuota           = 1_000_000_000_000_000_000
	maxTimeMs          = 253_402_300_799_999 // the end of year 9999
)

// Check judges what can be judged from the transaction alone: OK, Malformed for what no state could make valid and
// nobody who encodes transactions may send, or the code that the rules would give.
func Check(tx *ltlv1.Transaction) int32 {
	if code := checkEnvelope(tx); code != OK {
		return code
	}
	switch a := tx.GetAction().(type) {
	case *ltlv1.Transaction_SetData:
		return checkUpload(a.SetData.GetKey(), a.SetData.GetValue(), "", a.SetData.GetDevice())
	case *ltlv1.Transaction_AttachData:
		d := a.AttachData
		return checkUpload(d.GetKey(), d.GetValue(), d.GetBusinessId(), d.GetDevice())
	case *ltlv1.Transaction_CreateMember:
		return checkCreateMember(a.CreateMember)
	case *ltlv1.Transaction_ModifyMember:
		return checkModifyMember(a.ModifyMember)
	case *ltlv1.Transaction_RegisterDeviceGroup:
		return checkRegisterDeviceGroup(a.RegisterDeviceGroup)
	case *ltlv1.Transaction_LockMember, *ltlv1.Transaction_AuthorizeDeviceGroup, *ltlv1.Transaction_AuthorizeDevice, *ltlv1.Transaction_RevokeDevice,
		*ltlv1.Transaction_RemoveOrganisation, *ltlv1.Transaction_ActivateRules:
		return OK // what they name exists or does not
	case *ltlv1.Transaction_CreateOrganisation:
		return checkOrganisation(a.CreateOrganisation.GetOrganisation())
	case *ltlv1.Transaction_CreateAccount:
		return checkCreateAccount(a.CreateAccount)
	case *ltlv1.Transaction_CreateChain:
		return checkCreateChain(a.CreateChain)
	case *ltlv1.Transaction_ModifyChain:
		return checkModifyChain(a.ModifyChain)
	case *ltlv1.Transaction_EnrollDevice:
		return checkEnrollDevice(a.EnrollDevice)
	case *ltlv1.Transaction_AddNode:
		return checkAddNode(a.AddNode)
	case *ltlv1.Transaction_ChangeNode:
		return checkChangeNode(a.ChangeNode)
	case *ltlv1.Transaction_ModifyOrganisation:
		return checkModifyOrganisation(a.ModifyOrganisation)
	case *ltlv1.Transaction_RevokeCertificate:
		return checkRevokeCertificate(a.RevokeCertificate)
	case *ltlv1.Transaction_Genesis:
		return checkGenesis(a.Genesis)
	}
	return checkCollaboration(tx)
}

// checkEnvelope judges the fields that every transaction has; what it refuses never touches state.
func checkEnvelope(tx *ltlv1.Transaction) int32 {
	if tx.GetVersion() != transactionVersion || !ledger.ValidChainID(tx.GetChainId()) || tx.GetAction() == nil {
		return Malformed
	}
	if tx.GetCreatedMs() < 0 || len(tx.GetAccessKeyId()) > MaxAccessKeyID || len(tx.GetSignatureNonce()) > MaxSignatureNonce ||
		strings.IndexByte(tx.GetAccessKeyId(), 0) >= 0 {
		return Malformed
	}
	system := tx.GetChainId() == ledger.SystemChain
	switch tx.GetAction().(type) {
	case *ltlv1.Transaction_Genesis:
		if !system {
			return Malformed
		}
		return OK // the genesis transaction has no submitter and needs no nonce
	case *ltlv1.Transaction_CreateOrganisation, *ltlv1.Transaction_CreateAccount, *ltlv1.Transaction_CreateChain,
		*ltlv1.Transaction_ModifyChain, *ltlv1.Transaction_EnrollDevice, *ltlv1.Transaction_RevokeDevice,
		*ltlv1.Transaction_AddNode, *ltlv1.Transaction_ChangeNode, *ltlv1.Transaction_ActivateRules,
		*ltlv1.Transaction_ModifyOrganisation, *ltlv1.Transaction_RemoveOrganisation, *ltlv1.Transaction_RevokeCertificate:
		if !system {
			return Malformed
		}
	default:
		if system {
			return Malformed
		}
	}
	if len(tx.GetNonce()) != NonceLen {
		return Malformed
	}
	if _, ok := parseIdentity(tx.GetSubmitter()); !ok {
		return Malformed
	}
	if uid := tx.GetAccountUid(); (system && uid != "") || (!system && !validUID(uid)) {
		return accountCode(system)
	}
	return OK
}

// accountCode is the refusal of an account_uid that cannot act on the chain.
func accountCode(system bool) int32 {
	if system {
		return Forbidden
	}
	return UnknownUID
}

// checkRecord judges Key and value as far as that goes without the chain.
func checkRecord(key, value string) int32 {
	_, pk, _, _, ok := splitKey(key)
	if !ok {
		return BadKey
	}
	if _, code := CheckKey(pk, key); code != OK {
		return code
	}
	return checkValue(value)
}

// checkUpload judges all that a proof upload says by itself.
func checkUpload(key, value, businessID string, p *ltlv1.DeviceProof) int32 {
	if code := checkRecord(key, value); code != OK {
		return code
	}
	if code := checkBusinessID(businessID); code != OK || p == nil {
		return code
	}
	return CheckDeviceProof(p, value)
}

func checkValue(value string) int32 {
	switch {
	case value == "":
		return BadValue
	case len(value) > MaxValue:
		return ValueTooLong
	}
	return OK
}

func checkBusinessID(id string) int32 {
	if id != "" && !validBusinessID(id) {
		return OutOfRange
	}
	return OK
}

// splitKey takes VERSION_PK_TYPE_ID apart; false unless these are four parts that are not empty.
func splitKey(key string) (version, pk, typeCode, id string, ok bool) {
	version, rest, ok1 := strings.Cut(key, "_")
	pk, rest, ok2 := strings.Cut(rest, "_")
	typeCode, id, ok3 := strings.Cut(rest, "_")
	ok = ok1 && ok2 && ok3 && version != "" && pk != "" && typeCode != "" && id != "" && strings.IndexByte(id, '_') < 0
	return version, pk, typeCode, id, ok
}

// CheckKey judges the form of a Key against the code of its chain, and returns its data type code. Whose type code it is
// and whether the chain has it is not looked at.
func CheckKey(chainCode, key string) (typeCode string, code int32) {
	version, pk, typeCode, id, ok := splitKey(key)
	switch {
	case !ok:
		return "", BadKey
	case version != KeyVersion || len(id) > MaxKeyID || !allIDRunes(id):
		return "", BadKey
	case len(pk) != ChainCodeLen:
		return "", BadChainCode
	case pk != chainCode:
		return "", ChainCodeDiffers
	case !validTypeCode(typeCode):
		return "", BadTypeCode
	}
	return typeCode, OK
}

func validTypeCode(s string) bool {
	if len(s) != TypeCodeLen {
		return false
	}
	for i := range len(s) {
		if (s[i] < '0' || s[i] > '9') && (s[i] < 'A' || s[i] > 'Z') {
			return false
		}
	}
	return true
}

func checkCreateMember(m *ltlv1.CreateMember) int32 {
	if !validUID(m.GetMemberUid()) || !validName(m.GetName()) || !validName(m.GetContact()) || !validPhone(m.GetPhone()) ||
		!validRemark(m.GetRemark()) {
		return OutOfRange
	}
	return OK
}

func checkCreateAccount(a *ltlv1.CreateAccount) int32 {
	uid := a.GetUid() == "" || validUID(a.GetUid())
	kind := a.GetType() == ltlv1.AccountType_ACCOUNT_TYPE_ROOT || a.GetType() == ltlv1.AccountType_ACCOUNT_TYPE_RAM
	if !uid || !kind || !validName(a.GetName()) || !ledger.ValidID(a.GetOrganisation(), MaxOrganisationID) {
		return OutOfRange
	}
	return OK
}

func checkOrganisation(o *ltlv1.Organisation) int32 {
	ca := len(o.GetCaCertificate())
	if !ledger.ValidID(o.GetId(), MaxOrganisationID) || !validOrganisationName(o.GetName()) || ca == 0 || ca > MaxCertificate ||
		len(o.GetEndorserKey()) != ed25519.PublicKeySize || !validAddress(o.GetEndorserAddress()) {
		return OutOfRange
	}
	return OK
}

func checkNode(n *ltlv1.Node) int32 {
	if !ledger.ValidID(n.GetId(), MaxNodeID) || !ledger.ValidID(n.GetOrganisation(), MaxOrganisationID) || !validAddress(n.GetAddress()) ||
		len(n.GetKey()) != ed25519.PublicKeySize {
		return OutOfRange
	}
	return OK
}

func checkCreateChain(c *ltlv1.CreateChain) int32 {
	service := c.GetService() == ltlv1.ChainService_CHAIN_SERVICE_PROOF || c.GetService() == ltlv1.ChainService_CHAIN_SERVICE_COLLABORATION
	edition := c.GetEdition() >= ltlv1.Edition_EDITION_UNSPECIFIED && c.GetEdition() <= ltlv1.Edition_EDITION_ENTERPRISE
	if !service || !edition || !validName(c.GetName()) || !validRemark(c.GetRemark()) || !validUID(c.GetAdministratorUid()) {
		return OutOfRange
	}
	if c.GetRegion() != "" && !ledger.ValidID(c.GetRegion(), MaxRegion) {
		return OutOfRange
	}
	if bad := func(ms int64) bool { return ms < 0 || ms > maxTimeMs }; bad(c.GetEffectiveMs()) || bad(c.GetExpiredMs()) {
		return OutOfRange
	}
	if c.GetEffectiveMs() != 0 && c.GetExpiredMs() != 0 && c.GetExpiredMs() <= c.GetEffectiveMs() {
		return OutOfRange
	}
	for _, q := range [...]uint64{c.GetCapacityQuotaBytes(), c.GetCountQuota(), c.GetMemberQuota(), c.GetPhaseGroupQuota(), c.GetPhaseQuota()} {
		if q > maxQuota {
			return OutOfRange
		}
	}
	return checkChainPolicy(c.GetPolicy(), c.GetOrganisations())
}

// checkChainPolicy judges a policy and a list of organisations as far as that goes without the network.
func checkChainPolicy(text string, organisations []string) int32 {
	if _, err := policy.Parse(text); err != nil || len(organisations) > MaxOrganisations {
		return OutOfRange
	}
	for i, o := range organisations {
		if !ledger.ValidID(o, MaxOrganisationID) || slices.Contains(organisations[:i], o) {
			return OutOfRange
		}
	}
	return OK
}

// checkGenesis judges a whole genesis: it depends on nothing but itself.
func checkGenesis(g *ltlv1.Genesis) int32 {
	orgs, nodes := g.GetOrganisations(), g.GetNodes()
	if !validNetworkName(g.GetNetwork()) || g.GetCreatedMs() < 0 || g.GetCreatedMs() > maxTimeMs || len(orgs) == 0 ||
		len(orgs) > MaxOrganisations || len(nodes) == 0 || len(nodes) > MaxNodes {
		return OutOfRange
	}
	ids := make([]string, len(orgs))
	for i, o := range orgs {
		if code := checkOrganisation(o); code != OK {
			return code
		}
		same := func(p *ltlv1.Organisation) bool {
			return p.GetId() == o.GetId() || string(p.GetEndorserKey()) == string(o.GetEndorserKey())
		}
		if slices.ContainsFunc(orgs[:i], same) {
			return Conflict
		}
		ids[i] = o.GetId()
	}
	for i, n := range nodes {
		if code := checkNode(n); code != OK {
			return code
		}
		if len(n.GetIncarnation()) != 0 {
			return OutOfRange // no disk is made before the genesis is
		}
		same := func(p *ltlv1.Node) bool { return p.GetId() == n.GetId() || string(p.GetKey()) == string(n.GetKey()) }
		if slices.ContainsFunc(nodes[:i], same) {
			return Conflict
		}
		if !slices.Contains(ids, n.GetOrganisation()) {
			return NotFound
		}
	}
	if p, err := policy.Parse(g.GetPolicy()); err != nil || !p.Satisfiable(ids[0], ids) {
		return OutOfRange
	}
	return OK
}
