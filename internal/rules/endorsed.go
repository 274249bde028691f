package rules

import (
	"slices"

	"ltl/internal/ledger"
	ltlv1 "ltl/proto/ltl/v1"
)

// jury is what the endorsements of one batch amount to. Organisations are told by their position in the chain's list,
// which has at most 64, so that a set of them is one word.
type jury struct {
	policy        Policy
	organisations []string
	votes         []vote
	// spoilt says that something among the endorsements is none: then nothing in the batch is endorsed.
	spoilt bool

	// The judgement of the last transaction: nearly always that of the next one.
	lastTimely, lastAny uint64
	lastOrg, lastNeeded string
	lastCode            int32
}

type vote struct {
	organisation uint64 // one bit
	statement    *ledger.Statement
	timely       bool
}

// newJury verifies the batch's endorsements. One that is not an organisation's valid statement about just this batch spoils
// the batch: so every endorsement in a block carries the name of somebody who signed it, and readers of blocks need not ask
// which of them is real. The time and the heights that a statement is good for are judged by themselves: no client can check them
// for an endorser, and none of the others' signatures must suffer from one organisation's wrong ones.
func (e *exec) newJury(b *ltlv1.Batch, root ledger.Hash, verify Verify) (*jury, error) {
	j := &jury{}
	var err error
	if j.policy, j.organisations, err = e.policy(); err != nil {
		return nil, err
	}
	if len(b.GetEndorsements()) > MaxEndorsements {
		j.spoilt = true
		return j, nil
	}
	for _, en := range b.GetEndorsements() {
		s, err := ledger.ParseStatement(en.GetStatement())
		if err != nil || s.NetworkID != e.in.NetworkID || s.ChainID != e.in.ChainID || s.Root != root ||
			int(s.Count) != len(b.GetTransactions()) {
			j.spoilt = true
			return j, nil
		}
		at := slices.Index(j.organisations, s.Organisation)
		if at < 0 {
			j.spoilt = true
			return j, nil
		}
		key, err := e.endorserKey(s)
		if err != nil {
			return nil, err
		}
		if key == nil || verify(key, en) != nil {
			j.spoilt = true
			return j, nil
		}
		if s.Height > e.in.Height || s.SystemHeight > e.in.SystemHeight {
			continue // it claims to have seen what does not exist; but it is the organisation's, and clients cannot tell
		}
		j.votes = append(j.votes, vote{1 << at, s, s.ExpiryMs >= e.timeMs})
	}
	return j, nil
}

// policy returns the policy in force on this chain and the organisations it speaks of.
func (e *exec) policy() (p Policy, organisations []string, err error) {
	text := ""
	if e.chain != nil {
		text, organisations = e.chain.Policy, e.chain.Organisations
	} else {
		n, err := GetNetwork(e)
		if n == nil || err != nil {
			return p, nil, err
		}
		text, organisations = n.Policy, n.Organisations
	}
	p, err = ParsePolicy(text)
	return p, organisations, err
}

// judge decides whether enough organisations accepted transaction i of the batch. The needed one, unless it is empty or not among the
// chain's, must be one of them, whatever the policy says.
func (j *jury) judge(i int, submitterOrg, needed string) int32 {
	if j.spoilt {
		return NotEndorsed
	}
	var timely, any uint64
	for _, v := range j.votes {
		if v.statement.Accepts(i) {
			any |= v.organisation
			if v.timely {
				timely |= v.organisation
			}
		}
	}
	if j.lastCode != 0 && timely == j.lastTimely && any == j.lastAny && submitterOrg == j.lastOrg && needed == j.lastNeeded {
		return j.lastCode
	}
	code := NotEndorsed
	switch {
	case j.satisfied(submitterOrg, needed, timely):
		code = OK
	case j.satisfied(submitterOrg, needed, any):
		code = EndorsementExpired
	}
	j.lastTimely, j.lastAny, j.lastOrg, j.lastNeeded, j.lastCode = timely, any, submitterOrg, needed, code
	return code
}

func (j *jury) satisfied(submitterOrg, needed string, set uint64) bool {
	signed := make(map[string]bool, len(j.organisations))
	for i, o := range j.organisations {
		signed[o] = set&(1<<i) != 0
	}
	if known, isIn := signed[needed]; isIn && !known {
		return false
	}
	return j.policy.Satisfied(submitterOrg, j.organisations, signed)
}

// submitterOrganisation is the organisation that the policy's "submitter" means: that of the account, or of the
// submitter where no account is named. Empty when there is none.
func (e *exec) submitterOrganisation(tx *ltlv1.Transaction) (string, error) {
	uid := tx.GetAccountUid()
	switch {
	case uid == "":
		return e.identity(tx.GetSubmitter()).organisation, nil
	case e.chain == nil: // refused anyway
		return "", nil
	}
	a, err := e.actor(uid)
	if err != nil || a.account == nil {
		return "", err
	}
	return a.account.Organisation, nil
}

// NeedsOne reports whether there may be one organisation without whose endorsement the transaction is not executed.
func NeedsOne(tx *ltlv1.Transaction) bool {
	return DeviceProofOf(tx) != nil || len(tx.GetModifyOrganisation().GetEndorserKey()) > 0
}

// neededOrganisation is the one without whose endorsement the transaction cannot be executed: that which holds the secret key of the
// device that signed it, or whose endorser key it replaces. Empty when there is none.
func (e *exec) neededOrganisation(tx *ltlv1.Transaction) (string, error) {
	if m := tx.GetModifyOrganisation(); len(m.GetEndorserKey()) > 0 {
		return m.GetId(), nil
	}
	p := DeviceProofOf(tx)
	if p == nil {
		return "", nil
	}
	d, err := GetEnrolment(e.view, p.GetProductKey(), p.GetIotId())
	if d == nil || err != nil || d.Revoked || d.KeyType != ltlv1.DeviceKeyType_DEVICE_KEY_TYPE_AES {
		return "", err
	}
	return d.Organisation, nil
}
