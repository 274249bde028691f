package proof

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strings"
)

// ConsistencyFormat is the name of the format of a Consistency.
const ConsistencyFormat = "consistency/1"

// Consistent is the level of a Comparison when no majority of the nodes signed both checkpoints.
const Consistent Level = "consistent"

// Consistency is a file which shows that one checkpoint of a chain is the beginning of another; docs/evidence.md,
// section "Consistency". Nothing in it is checked before VerifyConsistencyFile.
type Consistency struct {
	// From and To are signed notes, the one of fewer blocks first.
	From, To string
	// Path is the RFC 6962 consistency proof; empty where both have one size.
	Path []byte
}

// Comparison is what the verification of a Consistency found.
type Comparison struct {
	Outcome Outcome
	// Failure is nil unless Outcome is Invalid. What follows is then empty.
	Failure      *Failure
	Reservations []string
	// Level is the lower one of the two checkpoints: Consistent, Certified or Witnessed.
	Level    Level
	Chain    string
	From, To *Checkpoint
}

// ParseConsistency reads a file in its one spelling, as ParseCertificate does.
func ParseConsistency(b []byte) (*Consistency, error) {
	c := &Consistency{}
	if f := parseFile(b, ConsistencyFormat, c.read); f != nil {
		return nil, f
	}
	return c, nil
}

func (c *Consistency) read(n *node) {
	c.From, c.To, c.Path = n.string("from"), n.string("to"), n.base64("path")
	n.closed()
}

// Encode returns the file.
func (c *Consistency) Encode() ([]byte, error) {
	b, err := json.Marshal(map[string]string{"ltl": ConsistencyFormat, "from": c.From, "to": c.To,
		"path": base64.StdEncoding.EncodeToString(c.Path)})
	if err != nil {
		return nil, fmt.Errorf("encode the consistency file: %w", err)
	}
	return append(b, '\n'), nil
}

// VerifyConsistencyFile checks a consistency file under a trust file, and needs nothing else. The order of the checks
// is that of docs/evidence.md, and the first that fails names the failure.
func VerifyConsistencyFile(file []byte, t *Trust) *Comparison {
	c, d := &Consistency{}, &Comparison{Reservations: []string{}}
	f := parseFile(file, ConsistencyFormat, c.read)
	if f == nil {
		f = c.check(t, d)
	}
	if f != nil {
		return &Comparison{Outcome: Invalid, Failure: f, Reservations: []string{}}
	}
	d.judge(t)
	return d
}

func (c *Consistency) check(t *Trust, d *Comparison) (f *Failure) {
	if d.From, f = t.checkpoint(c.From); f != nil {
		return f
	}
	if d.To, f = t.checkpoint(c.To); f != nil {
		return f
	}
	if d.Chain, f = t.oneOrigin(d.From, d.To); f != nil {
		return f
	}
	if d.From.Size > d.To.Size {
		return fail("sizes", "the first checkpoint is of %d blocks and the second of %d", d.From.Size, d.To.Size)
	}
	if !VerifyConsistency(d.From, d.To, c.Path) {
		return fail("consistency-path", "nothing shows that the %d blocks of the first checkpoint are the first of the %d of "+
			"the second; where nothing can, one of their signers lied: ltl proof compare says who", d.From.Size, d.To.Size)
	}
	return nil
}

// oneOrigin returns the chain of two checkpoints, which must have one origin of this network.
func (t *Trust) oneOrigin(a, b *Checkpoint) (chain string, f *Failure) {
	chain, ok := t.ChainOf(a.Origin)
	if !ok || a.Origin != b.Origin {
		return "", fail("origin", "the checkpoints are of %.120q and of %.120q, which is not one chain of this network after one "+
			"restoration", a.Origin, b.Origin)
	}
	return chain, nil
}

// judge finds how far the signatures go. A checkpoint names no height of the system chain, so majorities of any height
// that the trust file knows count.
func (d *Comparison) judge(t *Trust) {
	fromNodes, fromBoth := t.quorums(d.From, 0)
	toNodes, toBoth := t.quorums(d.To, 0)
	switch {
	case !fromNodes || !toNodes:
		d.Level, d.Outcome, d.Reservations = Consistent, Reserved, []string{"not-certified"}
	case !fromBoth || !toBoth:
		d.Level, d.Outcome, d.Reservations = Certified, Reserved, []string{"not-witnessed"}
	default:
		d.Level, d.Outcome = Witnessed, Valid
	}
}

// CompareAlone compares two checkpoints, in any order, as far as that needs nothing else. It returns the two, the one
// of fewer blocks first, and the file where both are of one number of blocks with one root. It returns a *Failure for
// a text that is no checkpoint, and for two of different origins.
func (t *Trust) CompareAlone(first, second string) (made *Consistency, from, to *Checkpoint, err error) {
	from, f := t.checkpoint(first)
	if f != nil {
		return nil, nil, nil, f
	}
	if to, f = t.checkpoint(second); f != nil {
		return nil, nil, nil, f
	}
	if _, f := t.oneOrigin(from, to); f != nil {
		return nil, nil, nil, f
	}
	if from.Size > to.Size {
		from, to = to, from
	}
	if from.Size == to.Size && from.Root == to.Root {
		made = &Consistency{From: first, To: second}
	}
	return made, from, to, nil
}

// NewConsistency is the file of two checkpoints, in any order, with the path between them.
func (t *Trust) NewConsistency(first, second string, path []byte) *Consistency {
	if _, from, _, err := t.CompareAlone(first, second); err == nil && !strings.HasPrefix(first, from.text()) {
		first, second = second, first
	}
	return &Consistency{From: first, To: second, Path: path}
}
