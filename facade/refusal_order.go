package facade

import (
	"ltl/internal/rules"
	ltlv1 "ltl/proto/ltl/v1"
)

// This file holds what precedes a form error: the functions of action.first. Each asks the ledger by a read, because
// a member that was added, locked or removed a moment ago counts, and the result of a read depends on the same rules
// as that of a write.

// chainRefusal is the refusal by the chain: the caller is not a member, is locked, or is not the administrator whom
// the Action needs.
func chainRefusal(c *call) error {
	r, err := c.chainInfo()
	if err == nil && c.action.admin && r.GetChain().GetRole() != rules.RoleAdmin {
		return notAdministrator()
	}
	return err
}

// readRefusal is the refusal by the chain or the type code of the Key, for a read. That there is no record is none.
func readRefusal(c *call) error {
	code, err := c.readCode(c.text("Key"))
	if err != nil || code == rules.NotFound {
		return err
	}
	return ledgerError(code)
}

// writeRefusal is the refusal by the chain or the type code of the Key, for a write. An account writes only under its
// own type code, while an administrator may read those of all members, so that the result of a read is not enough.
func writeRefusal(c *call) error {
	code, err := c.readCode(c.text("Key"))
	if err != nil {
		return err
	}
	switch code {
	case rules.OK, rules.NotFound, rules.Forbidden:
	default:
		return ledgerError(code)
	}
	m, known := c.account.chains[c.text(chainCode)]
	if code == rules.Forbidden {
		// What is remembered of the account may be old: it may have been added to the chain since, or its entry may have
		// passed to another account (ModifyMember). What it has now decides.
		account, err := c.f.accounts.fresh(c.ctx, c.uid)
		if err != nil {
			return err
		}
		if refusal := account.mayAct(c.text(chainCode)); refusal != nil {
			return refusal
		}
		c.account = account
		m, known = account.chains[c.text(chainCode)]
	}
	other := known && m.typeCode != c.typeCode
	if other && code == rules.Forbidden {
		// The read was refused because the Key is another member's, or because the caller was locked, which comes first. A
		// read under the caller's own type code shows which.
		if code, err = c.readCode(rules.KeyVersion + "_" + c.text(chainCode) + "_" + m.typeCode + "_0"); err != nil {
			return err
		}
	}
	switch {
	case code == rules.Forbidden:
		return refuse(rules.Forbidden)
	case other:
		return refuse(rules.BadTypeCode)
	}
	return nil
}

// phaseRefusal is the refusal by the chain, the phase, or the caller's right to write to it.
func phaseRefusal(c *call) error {
	for number := uint32(1); ; number++ {
		r, err := c.phases(&ltlv1.ListPhasesRequest{Page: number, Size: maxPageSize})
		if err != nil {
			return err
		}
		for _, phase := range r.GetPhases() {
			if phase.GetPhaseId() != c.text("PhaseId") {
				continue
			}
			if phase.GetPermission() != rules.PermissionReadWrite {
				return newRefusal(rules.Forbidden,
					"This account may not write to this phase; the administrator can authorise it.")
			}
			return nil
		}
		if len(r.GetPhases()) < maxPageSize {
			return newRefusal(rules.NotFound, noPhase)
		}
	}
}

// typeCodeError distinguishes, after the ledger has refused a type code, one of another chain from one that the account
// may not use.
func (c *call) typeCodeError() error {
	code, err := c.readCode(c.text("Key"))
	if err != nil {
		return err
	}
	if code == rules.ForeignTypeCode {
		return refuse(rules.ForeignTypeCode)
	}
	return refuse(rules.BadTypeCode)
}

// readCode is the result code of reading a Key: 200 or 404 if the caller may read it.
func (c *call) readCode(key string) (int32, error) {
	r, err := c.f.net.GetRecord(c.ctx, &ltlv1.GetRecordRequest{ChainCode: c.text(chainCode), Key: key, AccountUid: c.uid})
	return r.GetCode(), err
}

// notAdministrator is the refusal of an Action that only the administrator may call.
func notAdministrator() *businessError {
	return newRefusal(rules.Forbidden, rules.ReasonAdministrator)
}
