package rules

import (
	"ltl/internal/ledger"
	"ltl/internal/policy"
	ltlv1 "ltl/proto/ltl/v1"
)

// endorsementSet is the verified endorsements of one batch, and the policy that they are counted against.
type endorsementSet struct {
	quorum        policy.Quorum
	organisations []string
	votes         []vote
	// invalid is set when one of the endorsements is not valid for this batch: then nothing in the batch is endorsed.
	invalid bool

	last judgement // the last transaction's, which is nearly always that of the next one
}

// vote is one verified endorsement.
type vote struct {
	organisation policy.Set // the one that signed
	endorsement  *ledger.Endorsement
	timely       bool // the endorsement had not expired at the block's time
}

// judgement is what the code of a transaction was computed from, and the code; 0 before the first.
type judgement struct {
	timely, any       policy.Set
	submitter, needed string
	code              int32
}

// newEndorsementSet verifies the batch's endorsements. One that is not an organisation's valid statement about exactly
// this batch makes the whole set invalid. So every endorsement in a block names an organisation that signed it, and
// readers of blocks need not verify again. The clock and the heights of an endorsement are judged apart and affect only
// its own vote: no client can check them for an endorser, and a wrong one must not void the other organisations'.
func (e *exec) newEndorsementSet(b *ltlv1.Batch, root ledger.Hash, verify Verify) (*endorsementSet, error) {
	s := &endorsementSet{}
	text, organisations, err := e.policy()
	if err != nil {
		return nil, err
	}
	p, err := policy.Parse(text)
	if err != nil {
		return nil, err
	}
	s.quorum, s.organisations = p.Quorum(organisations), organisations
	if len(b.GetEndorsements()) > MaxEndorsements {
		s.invalid = true
		return s, nil
	}
	for _, en := range b.GetEndorsements() {
		v, err := e.verifyVote(&s.quorum, b, root, en, verify)
		if err != nil {
			return nil, err
		}
		if v.organisation == 0 {
			s.invalid = true
			return s, nil
		}
		if v.endorsement.Height > e.in.Height || v.endorsement.SystemHeight > e.in.SystemHeight {
			continue // it claims a block that does not exist yet; a client cannot check this, so the batch stays valid
		}
		s.votes = append(s.votes, v)
	}
	return s, nil
}

// verifyVote checks one endorsement of the batch; the vote of an invalid one has no organisation.
func (e *exec) verifyVote(
	q *policy.Quorum, b *ltlv1.Batch, root ledger.Hash, en *ltlv1.Endorsement, verify Verify,
) (vote, error) {
	s, err := ledger.ParseEndorsement(en, e.in.ChainID, root, len(b.GetTransactions()))
	if err != nil || s.NetworkID != e.in.NetworkID {
		return vote{}, nil
	}
	organisation := q.Set(s.Organisation)
	if organisation == 0 {
		return vote{}, nil
	}
	key, err := e.endorserKey(s)
	if err != nil {
		return vote{}, err
	}
	if key == nil || verify(key, en) != nil {
		return vote{}, nil
	}
	return vote{organisation, s, e.timeMs-s.ClockMs <= EndorsementLifeMs}, nil
}

// policy returns the text of the policy in force on this chain, and the chain's organisations.
func (e *exec) policy() (text string, organisations []string, err error) {
	if e.chain != nil {
		return e.chain.Policy, e.chain.Organisations, nil
	}
	n, err := GetNetwork(e)
	if n == nil || err != nil {
		return "", nil, err
	}
	return n.Policy, n.Organisations, nil
}

// judge decides whether enough organisations accepted transaction i of the batch. The needed one must be one of them
// whatever the policy says, unless it is empty or not one of the chain's.
func (s *endorsementSet) judge(i int, submitterOrg, needed string) int32 {
	if s.invalid {
		return NotEndorsed
	}
	timely, any := s.accepting(i)
	if l := &s.last; l.code != 0 && timely == l.timely && any == l.any && submitterOrg == l.submitter &&
		needed == l.needed {
		return l.code
	}
	subject := policy.Subject{Submitter: s.quorum.Set(submitterOrg), Required: s.quorum.Set(needed)}
	code := enough(&s.quorum, subject, timely, any)
	s.last = judgement{timely, any, submitterOrg, needed, code}
	return code
}

// judgeAct decides, for transaction i of a batch of the system chain, whether enough organisations accepted it by a
// policy that takes the place of the network's.
func (s *endorsementSet) judgeAct(i int, submitterOrg string, p policy.Policy) int32 {
	if s.invalid {
		return NotEndorsed
	}
	q := p.Quorum(s.organisations)
	timely, any := s.accepting(i)
	return enough(&q, policy.Subject{Submitter: q.Set(submitterOrg)}, timely, any)
}

// accepting returns the organisations that accepted transaction i of the batch, in time and at all.
func (s *endorsementSet) accepting(i int) (timely, any policy.Set) {
	for _, v := range s.votes {
		if v.endorsement.Accepts(i) {
			any |= v.organisation
			if v.timely {
				timely |= v.organisation
			}
		}
	}
	return timely, any
}

// enough is OK when the organisations that accepted in time satisfy the quorum.
func enough(q *policy.Quorum, subject policy.Subject, timely, any policy.Set) int32 {
	switch {
	case q.Satisfied(subject, timely):
		return OK
	case q.Satisfied(subject, any):
		return EndorsementExpired
	}
	return NotEndorsed
}

// endorsed decides whether enough organisations accepted transaction i of the batch for it to be executed.
func (e *exec) endorsed(set *endorsementSet, i int, tx *ltlv1.Transaction) (int32, error) {
	organisation, err := e.submitterOrganisation(tx)
	if err != nil {
		return 0, err
	}
	if e.chain == nil {
		n, err := e.needOf(tx)
		return set.judgeAct(i, organisation, n.policy), err
	}
	needed, err := e.neededOrganisation(tx)
	return set.judge(i, organisation, needed), err
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

// DeviceProofOf returns the proof that a device signed the transaction's payload; nil when none did.
func DeviceProofOf(tx *ltlv1.Transaction) *ltlv1.DeviceProof {
	if k := kindOf(tx); k != nil && k.device != nil {
		return k.device(tx)
	}
	return nil
}

// neededOrganisation returns the organisation without whose endorsement the transaction cannot be executed, whatever
// the policy says: the one that holds the secret key of the device that signed it. Empty when there is none.
func (e *exec) neededOrganisation(tx *ltlv1.Transaction) (string, error) {
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
