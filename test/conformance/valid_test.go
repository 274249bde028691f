package conformance

import (
	"strconv"
	"strings"
	"time"

	"ltl/client/device"
	ltlv1 "ltl/proto/ltl/v1"
)

// call are the parameters of a valid call, including all optional ones, with some of them replaced. A device signs
// the result, unless the replaced parameters contain the signature.
func (w *world) call(a *action, u *user, replaced params) params {
	p := params{}
	for i := range a.Parameters {
		if rule := a.Parameters[i].Rule; !strings.HasPrefix(rule, "iot") {
			p[a.Parameters[i].Name] = w.value(a, &a.Parameters[i], u)
		}
	}
	for name, v := range replaced {
		p[name] = v
	}
	if a.byDevice() {
		for name, v := range w.vouch(u.as.sourceOf(a), p[a.payload().Name]) {
			if _, given := replaced[name]; !given {
				p[name] = v
			}
		}
	}
	return p
}

// vouch makes a user's device sign a payload. A device cannot sign an empty one; then it signs another.
func (w *world) vouch(s *source, payload string) params {
	if payload == "" {
		payload = "x"
	}
	signed, err := s.sign(payload, time.Now())
	if err != nil {
		w.t.Fatal(err)
	}
	p := params(signed.Map())
	p["IotIdSource"] = "2"
	return p
}

// claimed is a new product that is assigned to the proof chain.
func (w *world) claimed() string {
	product := w.fresh("product")
	w.claim(product)
	return product
}

// claim claims a product for the proof chain.
func (w *world) claim(product string) {
	w.system(&ltlv1.Transaction{Action: &ltlv1.Transaction_ClaimProduct{ClaimProduct: &ltlv1.ClaimProduct{
		ProductKey: product, ChainId: w.proof.id,
	}}})
}

// text256 is a Value of 256 bytes.
func text256() string { return strings.Repeat("中", 85) + "x" }

// value is a valid value of a parameter.
func (w *world) value(a *action, p *parameter, u *user) string {
	collaboration := a.Service == "collaboration"
	switch p.Rule {
	case "chain":
		if collaboration {
			return w.collaboration.id
		}
		return w.proof.id
	case "chainCode":
		return w.proof.code
	case "name":
		return "某公司"
	case "phone":
		return "1381111-0000"
	case "remark":
		return "某应用，某业务"
	case "authorizeType":
		return device.AuthType
	case "productKey":
		return w.claimed()
	case "page":
		return "1"
	case "size":
		return "100"
	case "time":
		at := time.Now().Add(-24 * time.Hour)
		if p.Name == "EndTime" {
			at = at.Add(48 * time.Hour)
		}
		return strconv.FormatInt(at.UnixMilli(), 10)
	case "value", "phaseText":
		return "某公司某业务数据。"
	case "phaseDigest":
		return device.Digest("x")
	case "filter":
		return w.filter(a, p, u)
	}
	return w.identifier(a, p, u)
}

// filter is the value of a filter that matches something.
func (w *world) filter(a *action, p *parameter, u *user) string {
	switch {
	case p.Name == "MemberUid":
		return w.member.uid
	case p.Name == "ProductKey":
		return u.as.product
	case p.Name == "IotId":
		return u.as.iotID
	case a.Name == "ListProofChain":
		return w.proof.name
	case a.Name == "ListMultiPartyCollaborationChain":
		return w.collaboration.name
	case a.Name == "ListMPCoSPhaseGroup":
		return w.groupName
	}
	return w.phaseName
}

// identifier is the value of a parameter that names something: an existing name for a read, a new one for a write.
func (w *world) identifier(a *action, p *parameter, u *user) string {
	spare := a.Writes && a.payload() == nil
	switch p.Rule {
	case "uid":
		if a.Name == "ModifyMember" {
			return w.spareUID
		}
		return w.account(ltlv1.AccountType_ACCOUNT_TYPE_RAM)
	case "memberId":
		if a.Name == "DescribeMPCoSAuthorizedInfo" {
			return w.memberCollaboration
		}
		if a.Service == "collaboration" {
			return w.spareCollaboration
		}
		return w.spareProof
	case "deviceGroupId":
		if spare {
			return w.spareGroup
		}
		return u.as.group
	case "deviceId":
		return w.spareDevice
	case "phaseGroupId":
		if spare && a.Name != "UpdateMPCoSAuthorizedInfo" {
			return w.sparePhaseGroup
		}
		return w.group
	case "phaseId":
		if spare {
			return w.sparePhase
		}
		return w.phase
	case "authorizedPhaseList":
		return `["` + w.phase + `"]`
	case "key":
		if a.payload() != nil {
			return w.freshKey(u.as)
		}
		return u.as.key
	case "corrects":
		if a.Service == "collaboration" {
			return u.as.wrongPhase.transaction
		}
		return u.as.wrong
	case "correctsDataKey":
		return u.as.wrongPhase.key
	case "correctsDataSeq":
		return u.as.wrongPhase.seq
	case "correctsReason":
		return "读数错误"
	case "businessId":
		return w.freshHex()
	case "businessIdRead":
		return u.as.businessID
	case "dataKey":
		if a.payload() != nil {
			return w.fresh("Data")
		}
		return u.as.dataKey
	case "dataSeq":
		if a.payload() != nil {
			return w.freshHex()
		}
		return u.as.dataSeq
	case "relatedDataList":
		return "[" + w.related() + "]"
	case "phaseTexts":
		return w.items("某公司某业务数据。", 2)
	case "phaseDigests":
		return w.items(device.Digest("x"), 2)
	}
	w.t.Fatalf("the rule %s of %s of %s is not known", p.Rule, p.Name, a.Name)
	return ""
}

// related is a reference to the record that all accounts may refer to.
func (w *world) related() string {
	return `{"relatedPhaseId":"` + w.phase2 + `","relatedDataKey":"` + w.first +
		`","relatedPhaseData":"first","relatedDataSeq":"1"}`
}

// items is a list of n new records. The last one refers to another record.
func (w *world) items(data string, n int) string {
	var all []string
	for range n {
		all = append(all, `{"dataKey":"`+w.fresh("Data")+`","phaseData":"`+data+`","dataSeq":"`+w.freshHex()+`"}`)
	}
	last := &all[n-1]
	*last = (*last)[:len(*last)-1] + `,"relatedDataList":[` + w.related() + `]}`
	return "[" + strings.Join(all, ",") + "]"
}
