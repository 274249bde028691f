package proof

import (
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strings"
)

// MisbehaviourFormat is the name of the format of a Misbehaviour.
const MisbehaviourFormat = "misbehaviour/1"

// Kind says how a key contradicted itself.
type Kind string

// The kinds.
const (
	// TwoRoots: two roots for one number of blocks.
	TwoRoots Kind = "two-roots"
	// Inconsistent: a number of blocks that is not the beginning of a larger one.
	Inconsistent Kind = "inconsistent"
)

// compromised is the reservation for a key that its organisation ended as compromised.
const compromised = "key-compromised"

// Misbehaviour is a file that convicts a key: two checkpoints of one chain, both signed with it, that cannot both be
// true; docs/evidence.md, section "Misbehaviour". Nothing in it is checked before VerifyMisbehaviour.
type Misbehaviour struct {
	Kind Kind
	// First and Second are signed notes with one signature each. Of an Inconsistent one, First is of fewer blocks.
	First, Second string
	// Root is the root that the tree of Second has at the size of First, and Path the RFC 6962 consistency proof of it.
	// Both are empty for TwoRoots.
	Root, Path []byte
}

// Conviction is what the verification of a Misbehaviour found.
type Conviction struct {
	Outcome Outcome
	// Failure is nil unless Outcome is Invalid. What follows is then empty.
	Failure      *Failure
	Reservations []string
	Kind         Kind
	// Signer is the convicted one, "node/" or "org/" and its id; Key its public key in hexadecimal.
	Signer, Key   string
	Chain         string
	First, Second *Checkpoint
	// Within is, of an Inconsistent one, the root that the tree of Second has at the size of First.
	Within Hash
}

// ParseMisbehaviour reads a file in its one spelling, as ParseCertificate does.
func ParseMisbehaviour(b []byte) (*Misbehaviour, error) {
	m := &Misbehaviour{}
	if f := parseFile(b, MisbehaviourFormat, m.read); f != nil {
		return nil, f
	}
	return m, nil
}

func (m *Misbehaviour) read(n *node) {
	m.Kind, m.First, m.Second = Kind(n.string("kind")), n.string("first"), n.string("second")
	if m.Kind == Inconsistent {
		m.Root, m.Path = n.base64("root"), n.base64("path")
	}
	n.closed()
}

// Encode returns the file.
func (m *Misbehaviour) Encode() ([]byte, error) {
	file := map[string]string{"ltl": MisbehaviourFormat, "kind": string(m.Kind), "first": m.First, "second": m.Second}
	if m.Kind == Inconsistent {
		file["root"] = base64.StdEncoding.EncodeToString(m.Root)
		file["path"] = base64.StdEncoding.EncodeToString(m.Path)
	}
	b, err := json.Marshal(file)
	if err != nil {
		return nil, fmt.Errorf("encode the misbehaviour file: %w", err)
	}
	return append(b, '\n'), nil
}

// VerifyMisbehaviour checks a misbehaviour file under a trust file, and needs nothing else. The order of the checks is
// that of docs/evidence.md, and the first that fails names the failure.
func VerifyMisbehaviour(file []byte, t *Trust) *Conviction {
	m, v := &Misbehaviour{}, &Conviction{Outcome: Valid, Reservations: []string{}}
	f := parseFile(file, MisbehaviourFormat, m.read)
	if f == nil {
		f = m.check(t, v)
	}
	if f != nil {
		return &Conviction{Outcome: Invalid, Failure: f, Reservations: []string{}}
	}
	v.Kind = m.Kind
	copy(v.Within[:], m.Root)
	return v
}

func (m *Misbehaviour) check(t *Trust, v *Conviction) (f *Failure) {
	if m.Kind != TwoRoots && m.Kind != Inconsistent {
		return fail("kind", "the kind is %.40q, and this program knows %q and %q", m.Kind, TwoRoots, Inconsistent)
	}
	if v.First, f = t.checkpoint(m.First); f != nil {
		return f
	}
	if v.Second, f = t.checkpoint(m.Second); f != nil {
		return f
	}
	if v.Chain, f = t.oneOrigin(v.First, v.Second); f != nil {
		return f
	}
	if !signedOnce(m.First) || !signedOnce(m.Second) || len(v.First.Signers) == 0 || len(v.Second.Signers) == 0 ||
		v.First.Signers[0].key != v.Second.Signers[0].key {
		return fail("signer", "the two checkpoints have not one signature each by one key of the trust file; is it older than "+
			"the key?")
	}
	by := v.First.Signers[0]
	v.Signer, v.Key = by.Name, hex.EncodeToString([]byte(by.key))
	if t.endedAsCompromised(by.key) {
		v.Outcome, v.Reservations = Reserved, append(v.Reservations, compromised)
	}
	return m.contradiction(v.First, v.Second)
}

// signedOnce reports whether a note has one signature line, so that every bit of it is signed.
func signedOnce(text string) bool {
	return strings.Count(text[strings.LastIndex(text, "\n\n")+2:], "\n") == 1
}

// contradiction checks that no history has both checkpoints.
func (m *Misbehaviour) contradiction(first, second *Checkpoint) *Failure {
	if m.Kind == TwoRoots {
		switch {
		case first.Size != second.Size:
			return fail("sizes", "the checkpoints are of %d blocks and of %d, not of one number", first.Size, second.Size)
		case first.Root == second.Root:
			return fail("consistent", "both checkpoints of %d blocks have one root", first.Size)
		}
		return nil
	}
	if first.Size >= second.Size {
		return fail("sizes", "the first checkpoint is of %d blocks, which are not fewer than the %d of the second",
			first.Size, second.Size)
	}
	within := *first
	if len(m.Root) != len(within.Root) {
		return fail("consistency-path", "the root within the second checkpoint has %d bytes", len(m.Root))
	}
	within.Root = Hash(m.Root)
	switch {
	case !VerifyConsistency(&within, second, m.Path):
		return fail("consistency-path", "the path does not lead from this root of the first %d blocks to that of the %d of the "+
			"second", first.Size, second.Size)
	case within.Root == first.Root:
		return fail("consistent", "the %d blocks of the first checkpoint are the first of the second", first.Size)
	}
	return nil
}

// endedAsCompromised reports whether a key of an organisation was replaced without a time up to which it counts.
func (t *Trust) endedAsCompromised(key string) bool {
	for _, o := range t.organisations {
		for _, k := range o.keys {
			if string(k.public) == key {
				return k.until != 0 && k.untilMs == 0
			}
		}
	}
	return false
}

// Misbehaviours makes the files that convict the keys which signed both of two checkpoints; there is none when they do
// not contradict each other, as far as root and path show, or when no key signed both. For checkpoints of different
// sizes root is that of the larger one's tree at the size of the smaller one, and path the proof of it.
func (t *Trust) Misbehaviours(first, second string, root, path []byte) (all []*Misbehaviour) {
	a, f := t.checkpoint(first)
	b, f2 := t.checkpoint(second)
	if f != nil || f2 != nil {
		return nil
	}
	m := Misbehaviour{Kind: TwoRoots}
	if a.Size != b.Size {
		m.Kind, m.Root, m.Path = Inconsistent, root, path
		if a.Size > b.Size {
			a, b = b, a
		}
	}
	for i, one := range a.Signers {
		for j, other := range b.Signers {
			made := m
			made.First, made.Second = a.SignedBy(i), b.SignedBy(j)
			if one.key == other.key && made.check(t, &Conviction{}) == nil {
				all = append(all, &made)
			}
		}
	}
	return all
}
