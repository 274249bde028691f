package chaos

import (
	"fmt"
	"strings"
	"time"

	"ltl/test/chaos/liar"
	"ltl/test/insider"
)

// Bounds of I11: what a process may use at its highest, and by how much what it uses after the load may exceed what it
// used at its beginning.
const (
	maxResident       = 512 << 20 // the limit of its container in deploy/compose.yaml
	goroutinesAllowed = 100
	filesAllowed      = 100
	useFactor         = 2
	maxWrong          = 20 // sentences kept of each check
	// triesAnswered is how many attempts of one kind of attack may have no answer, because a fault was in effect each time.
	triesAnswered = 20
)

// Check is one invariant and what was found of it.
type Check struct {
	ID   string `json:"id"`
	Name string `json:"name"`
	// Looked is how many things were looked at, What says which. A check that looked at nothing has not passed.
	Looked int    `json:"looked"`
	What   string `json:"what"`
	// Wrong are sentences, one a violation, the first ones of many; Count is how many there are.
	Wrong []string `json:"wrong,omitempty"`
	Count int      `json:"count"`
}

// OK reports whether the invariant held.
func (c *Check) OK() bool { return c.Looked > 0 && c.Count == 0 }

func (c *Check) wrong(format string, args ...any) {
	c.Count++
	if len(c.Wrong) < maxWrong {
		c.Wrong = append(c.Wrong, fmt.Sprintf(format, args...))
	}
}

// Copy is a ledger and the processes that hold it, block for block.
type Copy struct {
	Names  []string
	Ledger *Ledger
}

// Audited is what an audit of one copy said; Error is empty when it found nothing wrong.
type Audited struct {
	Name  string `json:"name"`
	Error string `json:"error,omitempty"`
}

// Found is everything that a run leaves to be checked.
type Found struct {
	Ops        []*Op
	Copies     []Copy
	Audits     []Audited
	Injections []*Injection
	Endings    []Ending
	Usage      map[string]*Usage
	// Failures are what kept the run from looking at something.
	Failures []string

	// Malice is what the walk over the ledger found, Attacks what became of the malicious organisation's attempts; nil when
	// there was none.
	Malice  *Check
	Attacks map[string]insider.Count
	// Lying is the node that lied, Lies what it told. sound are the calls that no lie can have reached, doubtful the reads
	// that may rest on one.
	Lying           string
	Lies            []liar.Lie
	sound, doubtful []*Op

	unordered []*Unordered // found by the check of I4
}

// Checks holds what a run found against all invariants.
func Checks(f *Found) []*Check {
	if f.sound == nil {
		f.sound = f.Ops
	}
	all := []*Check{
		f.acknowledged(), f.sameHistory(), f.audited(), f.linearizable(), f.once(), f.policy(), f.evidence(), f.recovery(),
		f.faulty(), f.bounded(), f.timely(),
	}
	if f.Malice != nil {
		all = append(all, f.Malice, f.refused())
	}
	if f.Lying != "" {
		all = append(all, f.lied())
	}
	return append(all, f.contract(), f.made())
}

func (f *Found) acknowledged() *Check {
	c := &Check{ID: "I1", Name: "every acknowledged record is on every node and endorser",
		What: "acknowledged records, on each different copy"}
	for _, copy := range f.Copies {
		for _, o := range f.Ops {
			if !o.writes() {
				continue
			}
			switch {
			case o.Outcome == OK:
				c.Looked++
				if !copy.Ledger.has(o) {
					c.wrong("%s of %s was acknowledged at %s and is not on %s", o.Action, o.Key, time.Duration(o.Return),
						strings.Join(copy.Names, ", "))
				}
			case o.Outcome == Exists:
				c.Looked++
				if len(copy.Ledger.Records[o.Key]) == 0 {
					c.wrong("%s was said to exist at %s and is not on %s", o.Key, time.Duration(o.Return),
						strings.Join(copy.Names, ", "))
				}
			}
		}
	}
	return c
}

func (f *Found) sameHistory() *Check {
	c := &Check{ID: "I2", Name: "the same block at each height everywhere", What: "blocks of each different copy"}
	if len(f.Copies) == 0 {
		return c
	}
	first := f.Copies[0]
	at := map[string]int{}
	for i, b := range first.Ledger.Blocks {
		place := fmt.Sprintf("height %d of chain %s", b.Height, b.Chain)
		if _, twice := at[place]; twice {
			c.wrong("%s has two blocks on %s", place, strings.Join(first.Names, ", "))
		}
		at[place] = i
	}
	for _, copy := range f.Copies {
		c.Looked += len(copy.Ledger.Blocks)
		if len(copy.Ledger.Blocks) != len(first.Ledger.Blocks) {
			c.wrong("%s has %d blocks, %s %d", copy.Names[0], len(copy.Ledger.Blocks), first.Names[0], len(first.Ledger.Blocks))
		}
		for i, b := range copy.Ledger.Blocks {
			place := fmt.Sprintf("height %d of chain %s", b.Height, b.Chain)
			j, known := at[place]
			if known && (first.Ledger.Blocks[j].Hash != b.Hash || first.Ledger.Digests[j] != copy.Ledger.Digests[i]) {
				c.wrong("%s: %s has the block %s, %s has %s", place, copy.Names[0], b.Hash, first.Names[0],
					first.Ledger.Blocks[j].Hash)
			}
		}
	}
	return c
}

func (f *Found) audited() *Check {
	c := &Check{ID: "I3", Name: "an audit of each node and endorser passes, from the genesis on", What: "audits"}
	for _, a := range f.Audits {
		c.Looked++
		if a.Error != "" {
			c.wrong("%s: %s", a.Name, a.Error)
		}
	}
	return c
}

func (f *Found) linearizable() *Check {
	c := &Check{ID: "I4", Name: "reads and writes of each Key are linearizable (porcupine)", What: "calls"}
	place := func(*Op) (int, bool) { return anyPlace, true }
	if len(f.Copies) > 0 {
		place = f.Copies[0].Ledger.place
	}
	calls, keys, wrong := Linearizable(f.sound, place)
	c.Looked, c.What = calls, fmt.Sprintf("calls of %d Keys", keys)
	for _, u := range wrong {
		c.wrong("%s", u)
	}
	f.unordered = wrong
	return c
}

func (f *Found) once() *Check {
	c := &Check{ID: "I5", Name: "each Key, BusinessId and transaction at most once, and nothing that was not written",
		What: "records of each different copy"}
	asked := map[[3]string]string{} // to the BusinessId; every value is written by one call only
	for _, o := range f.Ops {
		if o.writes() {
			asked[[3]string{o.Action, o.Key, o.Value}] = o.BusinessID
		}
	}
	for _, copy := range f.Copies {
		for id, n := range copy.Ledger.Transactions {
			if n > 1 {
				c.wrong("transaction %s was accepted %d times on %s", id, n, copy.Names[0])
			}
		}
		for _, key := range sortedKeys(copy.Ledger.Records) {
			seen, values := map[string]int{}, map[string]int{}
			for _, r := range copy.Ledger.Records[key] {
				if r.Apart {
					continue
				}
				c.Looked++
				action := SetData
				if r.Attached {
					action = Attach
				}
				// A record that was attached without a BusinessId gets one when it is executed, and none in its transaction.
				if seen[r.BusinessID]++; seen[r.BusinessID] > 1 && (r.BusinessID != "" || !r.Attached) {
					c.wrong("%s %s is on %s %d times", key, r.BusinessID, copy.Names[0], seen[r.BusinessID])
				}
				if values[r.Value]++; values[r.Value] > 1 {
					c.wrong("%s has the value %q on %s %d times, and it was written by one call", key, r.Value, copy.Names[0],
						values[r.Value])
				}
				if business, known := asked[[3]string{action, key, r.Value}]; !known || business != "" && business != r.BusinessID {
					c.wrong("%s has %s of %s with the value %q, which no call wrote", copy.Names[0], action, key, r.Value)
				}
			}
		}
	}
	return c
}

// policy is what the audits prove as well: they hold the endorsements of each batch against the chain's policy at its
// height.
func (f *Found) policy() *Check {
	c := f.audited()
	c.ID, c.Name, c.What = "I6", "no record without the endorsements that its chain's policy wants",
		"audits, which verify endorsements and policies of every batch again"
	return c
}

func (f *Found) evidence() *Check {
	c := &Check{ID: "I7", Name: "what GetBlockChainInfo told during the run is what the chain says at the end",
		What: "answers, on each different copy"}
	for _, copy := range f.Copies {
		for _, o := range f.sound {
			if o.Action != ChainInfo || o.Outcome != OK || o.Proof == nil {
				continue
			}
			c.Looked++
			stands := false
			for _, r := range copy.Ledger.Records[o.Key] {
				stands = stands || r.Height == o.Proof.Height && r.BlockHash == o.Proof.BlockHash &&
					r.Transaction == o.Proof.TransactionHash &&
					(o.BusinessID == "" || o.BusinessID == r.BusinessID)
			}
			if !stands {
				c.wrong("at %s %s was said to be in block %s at height %d as %s; on %s it is not", time.Duration(o.Return), o.Key,
					o.Proof.BlockHash, o.Proof.Height, o.Proof.TransactionHash, strings.Join(copy.Names, ", "))
			}
		}
	}
	return c
}

func (f *Found) recovery() *Check {
	c := &Check{ID: "I8", Name: "writes again at most " + recoverLimit.String() + " after each fault is healed",
		What: "faults"}
	for _, i := range f.Injections {
		c.Looked++
		if i.Recovered < 0 {
			c.wrong("%s at %s: no write was acknowledged within %s", i.Fault, i.Begin, recoverGiveUp)
		} else if i.Recovered > recoverLimit {
			c.wrong("%s at %s: the first write was acknowledged after %s", i.Fault, i.Begin, i.Recovered)
		}
	}
	return c
}

func (f *Found) faulty() *Check {
	c := &Check{
		ID: "I9", Name: "a node that reaches no majority says so, no process ends by itself, and all serve again after healing", What: "faults",
	}
	may := map[string]int{}
	for _, i := range f.Injections {
		c.Looked++
		for _, n := range i.Stopped {
			may[n]++
		}
		for _, n := range i.Serving {
			c.wrong("%s at %s: %s reached no majority for %s and still said that it was ready", i.Fault, i.Begin, n,
				i.End-i.Begin)
		}
		for _, n := range i.Late {
			c.wrong("%s at %s: %s did not serve %s after healing", i.Fault, i.Begin, n, readyGiveUp)
		}
	}
	for _, e := range f.Endings {
		if may[e.Name]--; may[e.Name] >= 0 {
			continue
		}
		c.wrong("%s ended by itself (%s), and said: %s", e.Name, e.How, e.Last)
	}
	return c
}

func (f *Found) bounded() *Check {
	c := &Check{ID: "I11", Name: "memory, goroutines and files of each process are bounded", What: "processes"}
	for _, name := range sortedKeys(f.Usage) {
		u := f.Usage[name]
		c.Looked++
		if u.Highest.Bytes > maxResident {
			c.wrong("%s used %d MiB of memory", name, u.Highest.Bytes>>20)
		}
		if most := useFactor*u.First.Goroutines + goroutinesAllowed; u.Last.Goroutines > most {
			c.wrong("%s has %d goroutines after the load; it began with %d, and %d are allowed", name, u.Last.Goroutines,
				u.First.Goroutines, most)
		}
		if most := useFactor*u.First.Files + filesAllowed; u.Last.Files > most {
			c.wrong("%s has %d files open after the load; it began with %d, and %d are allowed", name, u.Last.Files,
				u.First.Files, most)
		}
	}
	return c
}

// timely looks at how long endorsements were kept back before they counted.
func (f *Found) timely() *Check {
	c := &Check{ID: "I14", Name: "no endorsement counts more than " + keptBack.String() + " after it was given, by the block's time",
		What: "accepted transactions of each different copy"}
	for _, one := range f.Copies {
		for _, n := range one.Ledger.Transactions {
			c.Looked += n
		}
		for _, kept := range one.Ledger.Kept {
			c.wrong("%s: %s", one.Names[0], kept)
		}
	}
	return c
}

// refused looks at the attempts of the malicious organisation one by one: none to which it has no right was accepted.
func (f *Found) refused() *Check {
	c := &Check{ID: "I13", Name: "no attack was accepted, and each kind was refused at least once", What: "attempts"}
	for _, name := range sortedKeys(f.Attacks) {
		a := f.Attacks[name]
		c.Looked += a.Tries
		if a.Accepted > 0 && !a.May {
			c.wrong("%s: %d of %d attempts were accepted", name, a.Accepted, a.Tries)
		}
		if a.Refused+a.Accepted == 0 && a.Tries >= triesAnswered {
			c.wrong("%s: none of %d attempts had an answer: %s", name, a.Tries, a.Last)
		}
	}
	return c
}

// lied makes sure that the node lied. What it is looked at for is in the other checks.
func (f *Found) lied() *Check {
	return &Check{ID: "LIES", Name: f.Lying + " lied; reads and refusals that may rest on a lie are left out of I4, I7 and API",
		Looked: len(f.Lies), What: fmt.Sprintf("lies; %d calls are left out", len(f.doubtful))}
}

func (f *Found) contract() *Check {
	c := &Check{ID: "API", Name: "no answer that docs/api.md does not have for such a call", What: "calls"}
	for _, o := range f.sound {
		c.Looked++
		if o.Outcome == Wrong {
			c.wrong("%s of %s at %s: %s", o.Action, o.Key, time.Duration(o.Return), o.Detail)
		}
	}
	return c
}

func (f *Found) made() *Check {
	c := &Check{ID: "RUN", Name: "every fault was made and undone, and everything was looked at", What: "faults"}
	for _, i := range f.Injections {
		c.Looked++
		if i.Error != "" {
			c.wrong("%s at %s: %s", i.Fault, i.Begin, i.Error)
		}
	}
	for _, failure := range f.Failures {
		c.wrong("%s", failure)
	}
	return c
}
