package rules

import (
	"strings"

	"ltl/internal/ledger"
	ltlv1 "ltl/proto/ltl/v1"
)

// collaborate runs a command of collaboration; false when f is none. Groups and phases are called by their names.
//
//	collaboration                  goes on with a new collaboration chain, where m1 and m2 are members
//	phase-group UID NAME [REMARK]  adds one
//	phase UID GROUP NAME [REMARK]  adds one
//	rename-group UID OLD NEW       renames one; with a REMARK behind it, replaces that too
//	rename-phase UID OLD NEW       the same
//	allow UID MEMBER GROUP PHASE…  says what the member may write to
//	record|records UID PHASE ITEM… uploads one record, or a batch
//	right UID PHASE ITEM           uploads one in the place of the first record of the last upload; root says who it is
//
// An ITEM is DATAKEY:DATA:DATASEQ, where the data seq may be empty, and may go on with <PHASE:DATAKEY:DATA:DATASEQ
// for each thing that it refers to. "digest" for DATA is a digest.
func (s *script) collaborate(f []string, uids map[string]string) bool {
	remark := func(i int) string { return strings.Join(f[min(i, len(f)):], " ") }
	var optional *string
	if len(f) > 4 {
		text := remark(4)
		optional = &text
	}
	var action any
	switch f[0] {
	case "collaboration":
		s.onChain(s.must(s.operator(&ltlv1.Transaction_CreateChain{CreateChain: collaborationChain()}))[0].GetOutput())
		s.must(s.tx(rootUID, member(m1UID)), s.tx(rootUID, member(m2UID)))
		return true
	case "phase-group":
		action = &ltlv1.CreatePhaseGroup{Name: f[2], Remark: remark(3)}
	case "phase":
		action = &ltlv1.CreatePhase{PhaseGroupId: s.named(f[2]), Name: f[3], Remark: remark(4)}
	case "rename-group":
		action = &ltlv1.ModifyPhaseGroup{PhaseGroupId: s.named(f[2]), Name: f[3], Remark: optional}
	case "rename-phase":
		action = &ltlv1.ModifyPhase{PhaseId: s.named(f[2]), Name: f[3], Remark: optional}
	case "allow":
		a := &ltlv1.AuthorizePhases{MemberId: s.member(uids[f[2]]).ID, PhaseGroupId: s.named(f[3])}
		for _, phase := range f[4:] {
			a.PhaseIds = append(a.PhaseIds, s.named(phase))
		}
		action = a
	case "record", "records":
		action = s.upload(f)
	case "right":
		wrong, id := s.last.GetUploadPhaseData(), ledger.TransactionID(marshal(s.t, s.last))
		phase, err := GetPhase(s.state, s.chain.ID, wrong.GetPhaseId())
		if err != nil {
			s.t.Fatal(err)
		}
		u := s.upload(f)
		u.Corrects = &ltlv1.Correction{TransactionId: id[:], Key: PhaseKey(s.chain.Code, phase.Code,
			wrong.GetItems()[0].GetDataKey()), BusinessId: DataSeqs(id, wrong.GetItems())[0], Reason: "wrong",
			ByAdministrator: f[1] == "root"}
		action = u
	default:
		return false
	}
	s.add(s.act(uids[f[1]], action))
	return true
}

func (s *script) upload(f []string) *ltlv1.UploadPhaseData {
	u := &ltlv1.UploadPhaseData{PhaseId: s.named(f[2]), Form: ltlv1.DataForm_DATA_FORM_TEXT, Batch: f[0] == "records"}
	if p, err := GetPhase(s.state, s.chain.ID, u.PhaseId); err != nil {
		s.t.Fatal(err)
	} else if p != nil {
		u.PhaseGroupId = p.GroupID
	}
	for _, text := range f[3:] {
		parts := strings.Split(text, "<")
		of := strings.Split(parts[0], ":")
		item := &ltlv1.PhaseItem{DataKey: of[0], PhaseData: of[1], DataSeq: of[2]}
		if of[1] == "digest" {
			u.Form, item.PhaseData = ltlv1.DataForm_DATA_FORM_DIGEST, strings.Repeat("0123456789abcdef", 4)
		}
		for _, related := range parts[1:] {
			of := strings.Split(related, ":")
			item.Related = append(item.Related, &ltlv1.RelatedData{PhaseId: s.named(of[0]), DataKey: of[1], PhaseData: of[2],
				DataSeq: of[3]})
		}
		u.Items = append(u.Items, item)
	}
	return u
}

// named is the id of the phase group or phase with a name; of nothing when there is none.
func (s *script) named(name string) string {
	groups, err := ListPhaseGroups(s.state, s.chain.ID)
	if err != nil {
		s.t.Fatal(err)
	}
	for _, g := range groups {
		if g.Name == name {
			return g.ID
		}
		phases, err := ListPhases(s.state, s.chain.ID, g)
		if err != nil {
			s.t.Fatal(err)
		}
		for _, p := range phases {
			if p.Name == name {
				return p.ID
			}
		}
	}
	return "0000000000000000"
}
