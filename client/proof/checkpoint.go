package proof

import (
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/transparency-dev/merkle/proof"
	"github.com/transparency-dev/merkle/rfc6962"
	"golang.org/x/mod/sumdb/note"
)

// cosignatureV1 is the kind of a C2SP cosignature under Ed25519.
const cosignatureV1 = 4

// Checkpoint is a signed statement of how many blocks a chain has and of the root of the tree over them.
type Checkpoint struct {
	// Origin names network and chain.
	Origin string
	// Size is the number of blocks, Root the RFC 6962 root over their hashes.
	Size uint64
	Root Hash
	// Signers are those whose signatures verified under the trust file, in the order of the lines.
	Signers []Signer
}

// Signer is a node or organisation that signed a checkpoint.
type Signer struct {
	// Name is "node/" or "org/" and its id.
	Name string `json:"name"`
	// Seconds is its clock when it signed, in seconds since 1970.
	Seconds int64 `json:"seconds"`

	// key is the public key, line the line of the note.
	key, line string
}

// Checkpoint reads a signed note under the trust file. Lines by unknown names and keys are ignored. It returns a
// *Failure for a text that is no checkpoint, or where a known key has not signed what stands there.
func (t *Trust) Checkpoint(text string) (*Checkpoint, error) {
	c, f := t.checkpoint(text)
	if f != nil {
		return nil, f
	}
	return c, nil
}

func (t *Trust) checkpoint(text string) (*Checkpoint, *Failure) {
	n, err := note.Open([]byte(text), verifiers{t})
	if unverified, ok := errors.AsType[*note.UnverifiedNoteError](err); ok {
		n, err = unverified.Note, nil
	}
	if invalid, ok := errors.AsType[*note.InvalidSignatureError](err); ok {
		return nil, fail("checkpoint-signature", "the checkpoint's signature by %q does not verify", invalid.Name)
	}
	if err != nil {
		return nil, fail("checkpoint", "the checkpoint is no signed note: %v", err)
	}
	c, ok := parseCheckpoint(n.Text)
	if !ok {
		return nil, fail("checkpoint", "the checkpoint does not have its three lines")
	}
	for _, s := range n.UnverifiedSigs {
		if _, err := base64.StdEncoding.Strict().DecodeString(s.Base64); err != nil {
			return nil, fail("checkpoint", "the signature by %q is no base64 in its one form", s.Name)
		}
	}
	for _, s := range n.Sigs {
		raw, err := base64.StdEncoding.Strict().DecodeString(s.Base64) // the note's own reader takes spare bits
		if err != nil {
			return nil, fail("checkpoint", "the signature by %q is no base64 in its one form", s.Name)
		}
		v, err := verifiers{t}.Verifier(s.Name, s.Hash)
		if err != nil {
			return nil, fail("checkpoint", "the checkpoint names %q twice", s.Name)
		}
		c.Signers = append(c.Signers, Signer{Name: strings.TrimPrefix(s.Name, t.prefix()),
			Seconds: int64(binary.BigEndian.Uint64(raw[4:12])), key: string(v.(*verifier).key),
			line: "— " + s.Name + " " + s.Base64 + "\n"})
	}
	return c, nil
}

// SignedBy is the signed note with the signature of one of the signers, by its place, and no other.
func (c *Checkpoint) SignedBy(i int) string { return c.text() + "\n" + c.Signers[i].line }

// parseCheckpoint reads the body of a checkpoint: origin, number of blocks, root.
func parseCheckpoint(text string) (*Checkpoint, bool) {
	lines := strings.Split(text, "\n")
	if len(lines) != 4 {
		return nil, false
	}
	size, err := strconv.ParseUint(lines[1], 10, 53)
	root, err2 := base64.StdEncoding.Strict().DecodeString(lines[2])
	if err != nil || err2 != nil || size == 0 || len(root) != sha256.Size {
		return nil, false
	}
	c := &Checkpoint{Origin: lines[0], Size: size, Root: Hash(root)}
	return c, c.text() == text // of a number and of base64 there is one spelling
}

func (c *Checkpoint) text() string {
	return fmt.Sprintf("%s\n%d\n%s\n", c.Origin, c.Size, base64.StdEncoding.EncodeToString(c.Root[:]))
}

// prefix begins every origin and every signer's name of the network.
func (t *Trust) prefix() string { return "ltl/" + hex.EncodeToString(t.NetworkID[:16]) + "/" }

// verifiers finds the keys of a trust file by the names on the lines of a note.
type verifiers struct{ trust *Trust }

// Verifier implements note.Verifiers.
func (v verifiers) Verifier(name string, hash uint32) (note.Verifier, error) {
	unknown := &note.UnknownVerifierError{Name: name, KeyHash: hash}
	local, own := strings.CutPrefix(name, v.trust.prefix())
	if !own {
		return nil, unknown
	}
	var keys []ed25519.PublicKey
	if id, ok := strings.CutPrefix(local, "node/"); ok {
		if n := v.trust.node(id); n != nil {
			keys = append(keys, n.public)
		}
	}
	if id, ok := strings.CutPrefix(local, "org/"); ok {
		if o := v.trust.organisation(id); o != nil {
			for _, k := range o.keys {
				keys = append(keys, k.public)
			}
		}
	}
	for _, key := range keys {
		if one := (&verifier{name, key}); one.KeyHash() == hash {
			return one, nil
		}
	}
	return nil, unknown
}

// verifier verifies the C2SP cosignatures of one key.
type verifier struct {
	name string
	key  ed25519.PublicKey
}

var _ note.Verifier = (*verifier)(nil)

// Name implements note.Verifier.
func (v *verifier) Name() string { return v.name }

// KeyHash implements note.Verifier.
func (v *verifier) KeyHash() uint32 {
	h := hashOf(v.name+"\n", byte(cosignatureV1), []byte(v.key))
	return binary.BigEndian.Uint32(h[:4])
}

// Verify implements note.Verifier: a signature is the seconds of the signer's clock and Ed25519 over them and the body.
func (v *verifier) Verify(text, signature []byte) bool {
	if len(signature) != 8+ed25519.SignatureSize || signature[0]&0x80 != 0 {
		return false
	}
	seconds := binary.BigEndian.Uint64(signature)
	return ed25519.Verify(v.key, fmt.Appendf(nil, "cosignature/v1\ntime %d\n%s", seconds, text), signature[8:])
}

// Level is Certified when a majority of the nodes signed the checkpoint, Witnessed when a majority of the organisations
// did too, and empty otherwise. What counts is whose keys were in force at some height of the system chain from
// systemHeight on: that of the newest block that the checkpoint is to cover, as far as it is known.
func (t *Trust) Level(c *Checkpoint, systemHeight uint64) Level {
	switch nodes, both := t.quorums(c, systemHeight); {
	case both:
		return Witnessed
	case nodes:
		return Certified
	}
	return ""
}

// quorums reports whether, at one height of the system chain that is not below base, a majority of the voters signed;
// and whether at such a height a majority of the organisations did too.
func (t *Trust) quorums(c *Checkpoint, base uint64) (nodes, both bool) {
	base = min(base, t.Height)
	signed := map[string]bool{}
	for _, s := range c.Signers {
		signed[s.key] = true
	}
	for _, height := range t.changes(base) {
		n, o := t.majorities(signed, height)
		nodes, both = nodes || n, both || n && o
	}
	return nodes, both
}

// majorities reports whether a majority of the voters, and of the organisations, at one height signed.
func (t *Trust) majorities(signed map[string]bool, height uint64) (nodes, organisations bool) {
	voters, signedVoters, members, signedMembers := 0, 0, 0, 0
	for _, n := range t.nodes {
		for _, s := range n.voter {
			if s.holds(height) {
				voters++
				if signed[string(n.public)] {
					signedVoters++
				}
			}
		}
	}
	for _, o := range t.organisations {
		for _, k := range o.keys {
			if k.holds(height) {
				members++
				if signed[string(k.public)] {
					signedMembers++
				}
			}
		}
	}
	return 2*signedVoters > voters, 2*signedMembers > members
}

// changes are the heights, from base on, at which the sets of voters and keys may differ from those before.
func (t *Trust) changes(base uint64) []uint64 {
	all := []uint64{base}
	add := func(s span) {
		for _, h := range []uint64{s.from, s.until} {
			if h > base && h <= t.Height {
				all = append(all, h)
			}
		}
	}
	for _, n := range t.nodes {
		for _, s := range n.voter {
			add(s)
		}
	}
	for _, o := range t.organisations {
		for _, k := range o.keys {
			add(k.span)
		}
	}
	return all
}

// VerifyConsistency reports whether the first blocks of a checkpoint are those of an earlier one, by the proof that a
// node or endorser gives. Two checkpoints of one size are consistent when their roots are equal.
func VerifyConsistency(earlier, later *Checkpoint, path []byte) bool {
	if earlier.Origin != later.Origin || len(path)%sha256.Size != 0 || len(path) > 128*sha256.Size {
		return false
	}
	var hashes [][]byte
	for ; len(path) > 0; path = path[sha256.Size:] {
		hashes = append(hashes, path[:sha256.Size])
	}
	return proof.VerifyConsistency(rfc6962.DefaultHasher, earlier.Size, later.Size, hashes, earlier.Root[:],
		later.Root[:]) == nil
}

// Covers reports whether the checkpoint of a certificate is one of the block's chain and covers the block. Who signed
// it is left to Verify.
func (t *Trust) Covers(c *Certificate) bool {
	v := &verification{certificate: c, trust: t, verdict: &Verdict{}}
	h, err := parseHeader(c.Block.Header)
	v.header = h
	return err == nil && c.Checkpoint != "" && v.log() == nil
}
