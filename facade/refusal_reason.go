package facade

import (
	"fmt"

	"ltl/internal/rules"
	ltlv1 "ltl/proto/ltl/v1"
)

// explain replaces the usual message of Forbidden, which names all causes, by the one that holds. The ledger says the
// reason of a refused write; of a refused read it gives the code alone. Any other error is returned as it is, and so is
// one whose cause is not found, for example because the account was unlocked in between.
func (c *call) explain(err error) error {
	if !isRefusal(err, rules.Forbidden) || err.Error() != rules.Message(rules.Forbidden) || c.chainID == "" {
		return err
	}
	r, failed := c.f.net.ListMembers(c.ctx, &ltlv1.ListMembersRequest{
		ChainId: c.chainID, MemberUid: c.uid, WithAdministrator: true, Page: 1, Size: 1,
	})
	if failed != nil || r.GetCode() != rules.OK {
		return err
	}
	if len(r.GetMembers()) == 0 {
		return newRefusal(rules.Forbidden, rules.ReasonNotMember)
	}
	m := r.GetMembers()[0]
	administrator := m.GetRole() == rules.RoleAdmin
	switch {
	case m.GetStatus() != rules.StatusUnlock:
		return newRefusal(rules.Forbidden, rules.ReasonLocked)
	case c.action.admin && !administrator:
		return newRefusal(rules.Forbidden, rules.ReasonAdministrator)
	case c.typeCode != "" && c.typeCode != m.GetDataTypeCode() && !administrator:
		return newRefusal(rules.Forbidden, fmt.Sprintf("The Key has another member's data type code, %s; this account reads "+
			"Keys with its own, %s, and only the administrator of this chain those of all members.", c.typeCode,
			m.GetDataTypeCode()))
	}
	return err
}
