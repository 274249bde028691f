package facade

import (
	"cmp"
	"fmt"
	"log/slog"
	"strconv"

	"ltl/internal/rules"
	ltlv1 "ltl/proto/ltl/v1"
)

// checkMember checks the parameters that CreateMember and ModifyMember share.
func (c *call) checkMember() error {
	if err := cmp.Or(c.checkName("MemberContact"), c.checkName("MemberName")); err != nil {
		return err
	}
	switch {
	case !rules.ValidPhone(c.text("MemberPhone")):
		return malformed("MemberPhone must be 1 to 20 digits and '-'.")
	case !rules.ValidUID(c.text("MemberUid")):
		return malformed("MemberUid must be 16 to 18 digits.")
	}
	return c.checkRemark()
}

// createMember is the Action CreateMember.
func createMember(c *call) (value, error) {
	if err := c.checkMember(); err != nil {
		return value{}, err
	}
	id, err := c.submit(&ltlv1.Transaction{Action: &ltlv1.Transaction_CreateMember{CreateMember: &ltlv1.CreateMember{
		MemberUid: c.text("MemberUid"), Name: c.text("MemberName"), Contact: c.text("MemberContact"),
		Phone:  c.text("MemberPhone"),
		Remark: c.text("Remark"),
	}}})
	return text(id), withMessage(err, rules.NotFound, "No account has the UID given in MemberUid.")
}

// entryPassed says what moves when another account takes over a member's entry.
func entryPassed(id, from, to string) string {
	return fmt.Sprintf("The entry of member %s passed from account %s to account %s, with its data type code, all records "+
		"written under it, its use, its device groups and its rights on phases; account %s is no longer on this chain.",
		id, from, to, from)
}

// modifyMember is the Action ModifyMember.
func modifyMember(c *call) (value, error) {
	if err := c.checkMember(); err != nil {
		return value{}, err
	}
	former, err := c.submit(&ltlv1.Transaction{Action: &ltlv1.Transaction_ModifyMember{ModifyMember: &ltlv1.ModifyMember{
		MemberId: c.text("MemberId"), MemberUid: c.text("MemberUid"), Name: c.text("MemberName"),
		Contact: c.text("MemberContact"),
		Phone:   c.text("MemberPhone"), Remark: c.remark(),
	}}})
	if err == nil && former != "" {
		c.f.logger.LogAttrs(c.ctx, slog.LevelInfo, "a member's entry passed to another account",
			slog.String("chain", c.chainID), slog.String("member", c.text("MemberId")), slog.String("from", former),
			slog.String("to", c.text("MemberUid")), slog.String("by", c.uid))
		return text(entryPassed(c.text("MemberId"), former, c.text("MemberUid"))), nil
	}
	return text(""), withMessage(err, rules.NotFound,
		"No member of this chain has the identifier given in MemberId, or no account the UID given in MemberUid.")
}

// lockMember is the Action LockMember.
func lockMember(c *call) (value, error) { return c.setLock(true) }

// unlockMember is the Action UnLockMember.
func unlockMember(c *call) (value, error) { return c.setLock(false) }

const noMember = "No member of this chain has the identifier given in MemberId."

// setLock locks or unlocks the member that MemberId names.
func (c *call) setLock(locked bool) (value, error) {
	_, err := c.submit(&ltlv1.Transaction{Action: &ltlv1.Transaction_LockMember{
		LockMember: &ltlv1.LockMember{MemberId: c.text("MemberId"), Locked: locked},
	}})
	return text(""), withMessage(err, rules.NotFound, noMember)
}

// members reads one page of the chain's members.
func (c *call) members(in *ltlv1.ListMembersRequest) (*ltlv1.ListMembersResponse, error) {
	in.ChainId, in.AccountUid = c.chainID, c.uid
	r, err := c.f.net.ListMembers(c.ctx, in)
	if err == nil {
		err = ledgerError(r.GetCode())
	}
	return r, err
}

// memberPage is the Data of a page of members.
func (c *call) memberPage(withAdministrator bool, row func(*ltlv1.MemberInfo) value) (value, error) {
	p, err := c.page()
	if err != nil {
		return value{}, err
	}
	r, err := c.members(&ltlv1.ListMembersRequest{
		MemberUid: c.text("MemberUid"), WithAdministrator: withAdministrator, Page: p.num, Size: p.size,
	})
	if err != nil {
		return value{}, err
	}
	return p.data(rows(r.GetMembers(), row), r.GetTotal()), nil
}

// listMember is the Action ListMember. It leaves out the administrator.
func listMember(c *call) (value, error) {
	return c.memberPage(false, func(m *ltlv1.MemberInfo) value {
		return object(
			textField("Status", m.GetStatus()),
			textField("MemberId", m.GetMemberId()),
			textField("MemberContact", m.GetContact()),
			textField("MemberUid", m.GetUid()),
			textField("MemberPhone", m.GetPhone()),
			textField("MemberName", m.GetName()),
			textField("Remark", m.GetRemark()),
		)
	})
}

// listPSMemberDataTypeCode is the Action ListPSMemberDataTypeCode. The administrator has a type code too and is the
// first row.
func listPSMemberDataTypeCode(c *call) (value, error) {
	return c.memberPage(true, func(m *ltlv1.MemberInfo) value {
		return object(
			textField("MemberId", m.GetMemberId()),
			textField("MemberName", m.GetName()),
			textField("MemberUid", m.GetUid()),
			textField("DataTypeCode", m.GetDataTypeCode()),
		)
	})
}

// describeMemberCapacityInfo is the Action DescribeMemberCapacityInfo. Its response has no pages, so that all pages of
// the ledger are read.
func describeMemberCapacityInfo(c *call) (value, error) {
	var rows []value
	for number := uint32(1); ; number++ {
		r, err := c.members(&ltlv1.ListMembersRequest{Page: number, Size: maxPageSize})
		if err != nil {
			return value{}, err
		}
		for _, m := range r.GetMembers() {
			rows = append(rows, object(
				textField("MemberId", m.GetMemberId()),
				textField("UsedCapacity", strconv.FormatUint(m.GetUsedBytes(), 10)),
				textField("MemberName", m.GetName()),
				textField("MemberUid", m.GetUid()),
				textField("UsedCount", strconv.FormatUint(m.GetUsedCount(), 10)),
			))
		}
		if len(r.GetMembers()) < maxPageSize {
			return array(rows), nil
		}
	}
}
