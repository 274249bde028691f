package client

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// Some transactions need one organisation's endorsement whatever the policy says: a device signed them with a secret key that only that
// organisation's endorser holds. The ledger knows which; the client does not, and learns it from the endorsers' answers, which name it
// in EndorseResponse.required. That list is not signed, and one endorser in a batch may lie. What follows from that:
//
//   - Names count for transactions that carry a device's proof, and for no others. So whatever is named, everybody else's transaction in
//     the batch is judged by the policy alone.
//   - Only organisations of the chain count. Any other name, or a list of another length, is as good as none.
//   - While the answers agree, what they name is needed. It is waited for like a signature that the policy asks for, and its refusal is
//     final. An honest endorser names the one organisation that the ledger names, so nothing that needs it is ordered without it.
//   - When they contradict one another (one names an organisation and one that accepts names none, or another), somebody lies. If all
//     that is named has signed, nothing is lost by it. If not, nobody but the ledger can tell who is right, so it is asked: the
//     transaction is ordered in a batch of its own, because the leader refuses a batch as a whole. If the leader refuses it, every
//     organisation that was named is needed. So a liar who names an organisation that is down delays a device's upload by one round; one
//     who conceals the organisation has the ledger refuse it once.
//   - A transaction that the ledger did not find endorsed is proposed again with patience: all endorsers' answers are waited for before
//     it counts as endorsed. So the fastest answer cannot conceal what the others name.

// maxAlone bounds the transactions of one batch that are on their own way at the same time.
const maxAlone = 8

// need is what the answers say of one device's upload.
type need struct {
	// named are the organisations that answers name.
	named orgSet
	// silent says that somebody accepted it and named none.
	silent bool
}

// contradicted reports whether the answers cannot all be true.
func (n need) contradicted() bool {
	return n.named != 0 && (n.silent || n.named&(n.named-1) != 0)
}

// newNeeds returns nil when no device signed any of the calls: then nobody's word counts.
func newNeeds(calls []*call) []need {
	if slices.ContainsFunc(calls, func(k *call) bool { return k.device }) {
		return make([]need, len(calls))
	}
	return nil
}

// hear takes in what an answer names.
func (t *tally) hear(v vote) {
	for i := range t.needs {
		if !t.calls[i].device {
			continue
		}
		at := -1
		if len(v.required) == len(t.calls) {
			at = slices.Index(t.chain.organisations, v.required[i])
		}
		switch {
		case at >= 0:
			t.needs[i].named.add(at)
		case v.accepted[i]:
			t.needs[i].silent = true
		}
	}
}

// need is what is known of call i.
func (t *tally) need(i int) need {
	if t.needs == nil {
		return need{}
	}
	return t.needs[i]
}

// complete reports whether these signatures satisfy the policy and everybody who was named for call i.
func (t *tally) complete(i int, signed orgSet) bool {
	return t.enough(i, signed) && t.need(i).named&^signed == 0
}

// disputed reports whether only the ledger can tell what call i needs, and has not been asked yet.
func (t *tally) disputed(i int) bool { return t.need(i).contradicted() && !t.calls[i].disputed }

// possible reports whether nobody's refusal stands in the way of call i.
func (t *tally) possible(i int) bool {
	return t.enough(i, t.everybody()&^t.refused[i]) && (t.need(i).named&t.refused[i] == 0 || t.disputed(i))
}

// withoutHolder says which organisation that was named for call i has neither signed nor refused it.
func (t *tally) withoutHolder(i int) error {
	var lacking []string
	kind := ErrHolderUnavailable
	for o, name := range t.chain.organisations {
		if t.need(i).named.has(o) && !t.signed[i].has(o) && !t.refused[i].has(o) {
			why := errors.New("it was not asked")
			if t.errs[o] != nil {
				why = t.errs[o]
			}
			if status.Code(why) == codes.ResourceExhausted {
				kind = ErrOverloaded
			}
			lacking = append(lacking, fmt.Sprintf("%s (%v)", name, why))
		}
	}
	return fmt.Errorf("%w: only the endorser of %s can verify what the device signed; nothing was written", kind, strings.Join(lacking, ", "))
}

// eachAlone runs f on each call by itself, a few at the same time.
func eachAlone(calls []*call, f func([]*call)) {
	var group sync.WaitGroup
	places := make(chan struct{}, maxAlone)
	for i := range calls {
		places <- struct{}{}
		group.Go(func() {
			defer func() { <-places }()
			f(calls[i : i+1 : i+1])
		})
	}
	group.Wait()
}
