package insider

import (
	"context"

	"google.golang.org/protobuf/proto"

	ltlv1 "ltl/proto/ltl/v1"
)

// phaseCorrection declares a record wrong that the victim uploaded to a phase of both: as its own, as the administrator, in
// the administrator's name, and in a batch of several records.
func (i *Insider) phaseCorrection(ctx context.Context) (answer, error) {
	c := proto.CloneOf(i.Phase.Record)
	c.ByAdministrator = i.rng.IntN(2) == 0
	items := []*ltlv1.PhaseItem{{DataKey: "reading", PhaseData: "0", DataSeq: i.name("correction")}}
	if i.rng.IntN(4) == 0 {
		items = append(items, &ltlv1.PhaseItem{DataKey: "reading", PhaseData: "0", DataSeq: i.name("second")})
	}
	return i.sendRecord(ctx, &ltlv1.Transaction{ChainId: i.Phase.ChainID, AccountUid: pick(i, i.Account, i.Administrator),
		Action: &ltlv1.Transaction_UploadPhaseData{UploadPhaseData: &ltlv1.UploadPhaseData{PhaseGroupId: i.Phase.Group,
			PhaseId: i.Phase.ID, Form: ltlv1.DataForm_DATA_FORM_TEXT, Items: items, Corrects: c}}})
}
