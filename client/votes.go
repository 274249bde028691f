package client

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"ltl/internal/identity"
	"ltl/internal/policy"
	"ltl/internal/rules"
	ltlv1 "ltl/proto/ltl/v1"
)

// Some transactions need one organisation's endorsement whatever the policy says: a device signed them with a secret
// key that only that organisation's endorser holds. The ledger knows which organisation. The client learns it from the
// endorsers' answers, which name it in EndorseResponse.required. That list is not signed, and an endorser may lie.
// Therefore:
//
//   - Names count for transactions that carry a device's proof, and for no others. All other transactions of the batch
//     are judged by the policy alone.
//   - Only organisations of the chain count. Any other name, or a list of another length, counts as no name.
//   - While the answers agree, the named organisation is required: its signature is waited for, and its refusal is
//     final. An honest endorser names the same organisation as the ledger, so nothing that needs it is ordered without
//     it.
//   - When the answers contradict one another (one names an organisation, and another accepts and names none, or a
//     different one), an endorser lies. If all that are named have signed, that changes nothing. If not, only the
//     ledger knows which answer is right: the transaction is ordered in a batch of its own, because the leader refuses
//     a batch as a whole. If the leader refuses it, every organisation that was named is required. So a liar that
//     names an organisation that is down delays a device's upload by one round. One that conceals the organisation has
//     the ledger refuse it once.
//   - A transaction that the ledger did not find endorsed is proposed again, and then all endorsers' answers are waited
//     for. So the fastest answer cannot conceal what the others name.

// Whatever the policy says, the ledger takes nothing that the organisation of its submitter did not endorse: that is this
// client's own. Its endorser is asked each time, and without its answer nothing else is waited for.

// On the system chain, what a transaction needs follows from what it is, and takes the place of the network's policy.
// Most are one organisation's act, which needs the endorsement of that organisation, the submitter's own. The endorsers'
// answers say what is needed (EndorseResponse.needs). That is not signed either. The submitter's own endorser is
// believed; without its answer, what most of the others say. As long as no answer says it, the submitter's own
// endorsement is taken to be what is needed. A lie can delay a transaction, or have the ledger refuse it; what the
// ledger takes is decided by the ledger alone.

// vote is one endorser's answer to a proposal.
type vote struct {
	organisation int // its place in the chain's list
	endorsement  *ltlv1.Endorsement
	clockMs      int64 // that the endorsement states
	accepted     []bool
	codes        []int32
	reasons      []string // beside the codes; empty when it gave none
	required     []string // the organisations that it names; see above
	needs        []string // on the system chain the policies that it names; see above
	err          error    // it did not answer, or its answer is invalid
	// silence is how long it has not answered; zero when it did.
	silence time.Duration
}

// voteCount counts the endorsers' votes on one proposal. Slices without another comment have one element for each
// submission.
type voteCount struct {
	chain       *chain
	submissions []*submission
	// open are the organisations that were asked and have not answered.
	open            policy.Set
	signed, refused []policy.Set
	// subjects hold what beside the policy is needed: the client's own organisation, and those that answers name.
	subjects []policy.Subject
	// unnamed says that an endorser accepted a device's transaction and named no organisation.
	unnamed []bool
	// needs hold what the answers say that submissions to the system chain need; nil on other chains.
	needs        []policy.Quorum
	own          identity.Identity // of the client
	absent       bool              // its organisation is not among the chain's, as far as is known
	votes        []vote            // for each organisation of the chain; empty until it answers
	endorsements []*ltlv1.Endorsement
	// witnesses is until when further votes are waited for; zero until that begins.
	witnesses time.Time
}

// newVoteCount returns the count of a proposal of a client.
func newVoteCount(ch *chain, own identity.Identity, submissions []*submission) *voteCount {
	n := len(submissions)
	sets := make([]policy.Set, 2*n)
	v := &voteCount{
		chain: ch, submissions: submissions, signed: sets[:n], refused: sets[n:], subjects: make([]policy.Subject, n),
		unnamed: make([]bool, n), votes: make([]vote, len(ch.organisations)),
		own: own, absent: ch.quorum.Set(own.Organisation) == 0,
	}
	for i, s := range submissions {
		v.subjects[i].Submitter, v.subjects[i].Account = ch.quorum.Set(own.Organisation), ch.quorum.Set(s.organisation)
	}
	if n > 0 && submissions[0].system {
		v.needs = make([]policy.Quorum, n)
		for i := range submissions {
			v.needs[i] = v.need(i)
		}
	}
	return v
}

// need is what submission i to the system chain needs, as far as the answers say.
func (v *voteCount) need(i int) policy.Quorum {
	texts := map[string]int{}
	best := ""
	for o, one := range v.votes {
		if i >= len(one.needs) || one.needs[i] == "" {
			continue
		}
		text := one.needs[i]
		if v.subjects[i].Submitter.Has(o) {
			best = text
			break
		}
		if texts[text]++; texts[text] > texts[best] {
			best = text
		}
	}
	p, err := policy.Parse(best)
	if best == "" || err != nil {
		p = policy.Organisation(v.submissions[i].organisation)
	}
	return p.Act(v.chain.organisations)
}

// unknown reports whether another answer may still say what submission i to the system chain needs.
func (v *voteCount) unknown(i int) bool {
	if v.needs == nil || v.open == 0 {
		return false
	}
	for _, one := range v.votes {
		if i < len(one.needs) && one.needs[i] != "" {
			return v.subjects[i].Submitter&v.open != 0
		}
	}
	return true
}

// strange reports whether what this client knows of the chain's organisations may be out of date: an answer asks for one
// that it does not know, or its own is not among them.
func (v *voteCount) strange() bool {
	if v.absent {
		return true
	}
	for i := range v.needs {
		if v.signed[i] != 0 && !v.enough(i, v.chain.quorum.All()) {
			return true
		}
	}
	return false
}

// quorum is what submission i is counted against.
func (v *voteCount) quorum(i int) *policy.Quorum {
	if v.needs != nil {
		return &v.needs[i]
	}
	return &v.chain.quorum
}

// add counts a vote.
func (v *voteCount) add(one vote) {
	o := one.organisation
	v.open = v.open.Without(o)
	if one.err != nil {
		v.votes[o] = vote{organisation: o, err: one.err, silence: one.silence} // nothing else of it counts
		return
	}
	v.votes[o] = one
	v.addRequirements(one)
	for i := range v.needs {
		v.needs[i] = v.need(i)
	}
	for i, ok := range one.accepted {
		if ok {
			v.signed[i] = v.signed[i].With(o)
		} else {
			v.refused[i] = v.refused[i].With(o)
		}
	}
	if one.endorsement != nil {
		v.endorsements = append(v.endorsements, one.endorsement)
	}
}

// addRequirements counts which organisations a vote names.
func (v *voteCount) addRequirements(one vote) {
	for i, s := range v.submissions {
		if !s.device {
			continue
		}
		var named policy.Set
		if len(one.required) == len(v.submissions) {
			named = v.chain.quorum.Set(one.required[i])
		}
		v.subjects[i].Required |= named
		v.unnamed[i] = v.unnamed[i] || named == 0 && one.accepted[i]
	}
}

// fail counts all open votes as not given.
func (v *voteCount) fail(err error) {
	for o := range v.chain.organisations {
		if v.open.Has(o) {
			v.add(vote{organisation: o, err: err})
		}
	}
}

// complete reports whether these signatures satisfy the policy for submission i, and every requirement that was named.
func (v *voteCount) complete(i int, signed policy.Set) bool {
	return v.quorum(i).Satisfied(v.subjects[i], signed)
}

// enough reports whether these signatures satisfy the policy for submission i, whatever was named.
func (v *voteCount) enough(i int, signed policy.Set) bool {
	return v.quorum(i).Satisfied(v.unnamedSubject(i), signed)
}

// unnamedSubject is the subject of submission i without what was named.
func (v *voteCount) unnamedSubject(i int) policy.Subject {
	s := v.subjects[i]
	s.Required = 0
	return s
}

// disputed reports whether the answers contradict one another on what submission i needs, and the ledger has not
// decided yet.
func (v *voteCount) disputed(i int) bool {
	named := v.subjects[i].Required.Len()
	return !v.submissions[i].ledgerDecides && (named > 1 || named == 1 && v.unnamed[i])
}

// possible reports whether submission i can be endorsed in spite of the refusals.
func (v *voteCount) possible(i int) bool {
	if v.quorum(i).Possible(v.subjects[i], v.refused[i]) {
		return true
	}
	return v.disputed(i) && v.quorum(i).Possible(v.unnamedSubject(i), v.refused[i])
}

// decided reports whether no open vote can change what becomes of any submission: each has enough signatures or cannot
// get them. While a named organisation is missing, any answer may still contradict that. And where some refused and
// others do not answer, open votes are waited for: with one more refusal the caller receives its code instead of
// ErrUnavailable.
func (v *voteCount) decided() bool {
	if v.open == 0 {
		return true
	}
	for i, s := range v.submissions {
		reach := v.signed[i] | v.open
		switch {
		case s.waitForAll, v.unknown(i) && v.possible(i):
			return false
		case v.complete(i, v.signed[i]):
		case v.enough(i, reach) && (v.complete(i, reach) || !s.ledgerDecides):
			return false
		case v.refused[i] != 0 && v.possible(i) && !v.enough(i, v.chain.quorum.All()&^(v.refused[i]|v.open)):
			return false
		}
	}
	return true
}

// answer is the end of submission i, which cannot be endorsed: a refusal, or the error that organisations did not
// answer.
func (v *voteCount) answer(i int) (*ltlv1.Result, error) {
	if v.possible(i) {
		return nil, v.missing(i)
	}
	code := v.refusalCode(i)
	return &ltlv1.Result{Code: code, ChainId: v.chain.id, Reason: v.reason(i, code)}, nil
}

// refusalCode is the code of submission i, which cannot get enough signatures because of refusals: that of the
// client's own organisation if it refused, else that of a named organisation, which alone can verify a device's
// signature, else the most common one, and of equally common ones that of the first organisation.
func (v *voteCount) refusalCode(i int) int32 {
	count := map[int32]int{}
	fromRequired := int32(0)
	for o, one := range v.votes {
		if one.codes == nil || !v.refused[i].Has(o) {
			continue
		}
		if v.subjects[i].Submitter.Has(o) {
			return one.codes[i]
		}
		if v.subjects[i].Required.Has(o) {
			fromRequired = one.codes[i]
		}
		count[one.codes[i]]++
	}
	if fromRequired != 0 {
		return fromRequired
	}
	best := rules.NotEndorsed
	for o, one := range v.votes {
		if one.codes != nil && v.refused[i].Has(o) && count[one.codes[i]] > count[best] {
			best = one.codes[i]
		}
	}
	return best
}

// reason is why organisations refused submission i with this code, in the words of the first that gave a reason. Codes
// of the ledger's own rules come without one.
func (v *voteCount) reason(i int, code int32) string {
	if v.absent && v.needs == nil {
		return rules.SubmitterOffChain(v.own.Organisation, string(v.own.Role), v.chain.organisations)
	}
	for o, one := range v.votes {
		if one.reasons != nil && v.refused[i].Has(o) && one.codes[i] == code && one.reasons[i] != "" {
			return strings.ToValidUTF8(one.reasons[i][:min(len(one.reasons[i]), maxReason)], "")
		}
	}
	return ""
}

// restarting reports whether an organisation whose signature submission i lacks answered a short time ago.
func (v *voteCount) restarting(i int) bool {
	lacking := v.quorum(i).Missing(v.subjects[i], v.signed[i], v.refused[i])
	for o, one := range v.votes {
		if lacking.Has(o) && one.silence > 0 && one.silence < restartTime {
			return true
		}
	}
	return false
}

// missing returns the error that names the organisations whose signatures submission i lacks, and why.
func (v *voteCount) missing(i int) error {
	lacking := v.quorum(i).Missing(v.subjects[i], v.signed[i]|v.open, v.refused[i])
	if lacking == 0 {
		lacking = v.quorum(i).Missing(v.subjects[i], v.signed[i], v.refused[i])
	}
	own := v.needs == nil && lacking&v.subjects[i].Submitter != 0
	if own {
		lacking = v.subjects[i].Submitter // the others' answers would change nothing
	}
	required := lacking&v.subjects[i].Required != 0 && !own
	var names []string
	overloaded, clock := false, false
	for o, name := range v.chain.organisations {
		if !lacking.Has(o) {
			continue
		}
		cause := v.votes[o].err
		if cause == nil {
			cause = errNotAsked
		}
		overloaded = overloaded || status.Code(cause) == codes.ResourceExhausted
		clock = clock || errors.As(cause, new(oddClock)) || status.Code(cause) == codes.Aborted
		names = append(names, fmt.Sprintf("%s (%v)", name, cause))
	}
	list := strings.Join(names, ", ")
	switch {
	case required && overloaded:
		return fmt.Errorf("%w: only the endorser of %s can verify what the device signed; nothing was written", ErrOverloaded,
			list)
	case required:
		return fmt.Errorf("%w: only the endorser of %s can verify what the device signed; nothing was written",
			ErrHolderUnavailable, list)
	}
	kind := ErrUnavailable
	switch {
	case overloaded:
		kind = ErrOverloaded
	case clock:
		kind = ErrClock
	}
	if own {
		return fmt.Errorf("%w: nothing is written without the endorser of the own organisation, whatever the policy of chain "+
			"%s says, and it gave no endorsement: %s; look whether it runs (ltl status); nothing was written", kind, v.chain.id,
			list)
	}
	if v.needs != nil {
		return fmt.Errorf("%w: this is not done without the endorsement of %s; nothing was written", kind, list)
	}
	return fmt.Errorf("%w: policy %q of chain %s is not met without the endorsement of %s; nothing was written",
		kind, v.chain.policy, v.chain.id, list)
}
