package main

import (
	"github.com/spf13/cobra"

	ltlv1 "ltl/proto/ltl/v1"
)

// typeCodeRow is a data type code of a chain, with the member or the phase it belongs to. Its JSON names are stable.
type typeCodeRow struct {
	DataTypeCode string `json:"dataTypeCode"`
	// Of is "member" or "phase".
	Of           string `json:"of"`
	Name         string `json:"name"`
	MemberID     string `json:"memberId,omitempty"`
	UID          string `json:"uid,omitempty"`
	Status       string `json:"status,omitempty"`
	PhaseGroupID string `json:"phaseGroupId,omitempty"`
	PhaseID      string `json:"phaseId,omitempty"`
}

func newTypeCodes() *cobra.Command {
	return &cobra.Command{
		Use: "type-codes CHAIN",
		Short: "List the data type codes of a chain with the members, and on a collaboration chain the phases, they " +
			"belong to",
		Args: cobra.ExactArgs(1),
		RunE: online(func(s *session, args []string) error {
			chain, err := s.chain(args[0])
			if err != nil {
				return err
			}
			rows, err := s.typeCodes(chain)
			if err != nil {
				return err
			}
			return emitRows(s.cmd, rows, "TYPE CODE|OF|NAME|UID|MEMBER|STATUS|PHASE GROUP|PHASE", func(r typeCodeRow) []any {
				return []any{r.DataTypeCode, r.Of, r.Name, r.UID, r.MemberID, r.Status, r.PhaseGroupID, r.PhaseID}
			})
		}),
	}
}

// typeCodes reads the type codes of the members and, on a collaboration chain, of the phases. Phases are read group by
// group, as the ledger lists them so.
func (s *session) typeCodes(chain *chainRow) ([]typeCodeRow, error) {
	members, err := s.members(chain.ChainID)
	if err != nil {
		return nil, err
	}
	rows := []typeCodeRow{}
	for _, m := range members {
		rows = append(rows, typeCodeRow{DataTypeCode: m.DataTypeCode, Of: "member", Name: m.Name, MemberID: m.MemberID,
			UID: m.UID, Status: m.Status})
	}
	if chain.Service != word(ltlv1.ChainService_CHAIN_SERVICE_COLLABORATION.String()) {
		return rows, nil
	}
	read := func(page uint32) (*ltlv1.ListPhaseGroupsResponse, error) {
		return s.client.Ledger().ListPhaseGroups(s.cmd.Context(),
			&ltlv1.ListPhaseGroupsRequest{ChainId: chain.ChainID, Page: page, Size: pageSize})
	}
	groups, err := allPages(read, (*ltlv1.ListPhaseGroupsResponse).GetGroups, (*ltlv1.PhaseGroupInfo).GetPhaseGroupId)
	if err != nil {
		return nil, err
	}
	for _, group := range groups {
		phases, err := s.phaseCodes(chain.ChainID, group)
		if err != nil {
			return nil, err
		}
		rows = append(rows, phases...)
	}
	return rows, nil
}

// phaseCodes reads the type codes of the phases of one group.
func (s *session) phaseCodes(chainID, groupID string) ([]typeCodeRow, error) {
	read := func(page uint32) (*ltlv1.ListPhasesResponse, error) {
		return s.client.Ledger().ListPhases(s.cmd.Context(), &ltlv1.ListPhasesRequest{
			ChainId: chainID, PhaseGroupId: groupID, Page: page, Size: pageSize,
		})
	}
	return allPages(read, (*ltlv1.ListPhasesResponse).GetPhases, func(p *ltlv1.PhaseInfo) typeCodeRow {
		return typeCodeRow{DataTypeCode: p.GetDataTypeCode(), Of: "phase", Name: p.GetName(), PhaseGroupID: groupID,
			PhaseID: p.GetPhaseId()}
	})
}
