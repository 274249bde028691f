// Package checkpoint makes the signed checkpoints of chains: it keeps the Merkle tree over a chain's block hashes,
// signs the tree's root for a number of blocks, and remembers durably what it signed, so that one key never signs two
// roots for one size. Nodes and endorsers sign alike, each over its own copy of the ledger. docs/evidence.md has the
// format.
package checkpoint

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
	"time"

	"golang.org/x/mod/sumdb/note"

	"ltl/internal/ledger"
)

// cosignatureV1 is the kind of a C2SP cosignature under Ed25519.
const cosignatureV1 = 4

// errNote is returned for a text that is no note of this package.
var errNote = errors.New("malformed checkpoint")

// Origin is the first line of a chain's checkpoints: it names the network, the chain, and, above 0, the number of the
// restoration after which they are.
func Origin(network ledger.Hash, chainID string, restoration uint32) string {
	origin := prefix(network) + chainID
	if restoration > 0 {
		origin += restoredMark + strconv.FormatUint(uint64(restoration), 10)
	}
	return origin
}

// NodeName and OrganisationName are the names under which nodes and organisations sign.
func NodeName(network ledger.Hash, id string) string { return prefix(network) + "node/" + id }

// OrganisationName is the name under which an organisation signs.
func OrganisationName(network ledger.Hash, id string) string { return prefix(network) + "org/" + id }

func prefix(network ledger.Hash) string { return "ltl/" + hex.EncodeToString(network[:16]) + "/" }

// body is the text that is signed.
type body struct {
	origin string
	size   uint64
	root   ledger.Hash
}

func (b *body) text() string {
	return b.origin + "\n" + strconv.FormatUint(b.size, 10) + "\n" + base64.StdEncoding.EncodeToString(b.root[:]) + "\n"
}

// parseBody reads the body of a signed note that this process wrote.
func parseBody(text []byte) (*body, error) {
	head, _, _ := strings.Cut(string(text), "\n\n")
	lines := strings.Split(head, "\n")
	if len(lines) != 3 {
		return nil, errNote
	}
	size, err := strconv.ParseUint(lines[1], 10, 64)
	root, err2 := base64.StdEncoding.Strict().DecodeString(lines[2])
	if err != nil || err2 != nil || len(root) != sha256.Size {
		return nil, errNote
	}
	b := &body{origin: lines[0], size: size, root: ledger.Hash(root)}
	if head+"\n" != b.text() {
		return nil, errNote
	}
	return b, nil
}

// cosigner makes the C2SP cosignature line of a name.
type cosigner struct {
	name string
	key  ed25519.PrivateKey
	now  time.Time
}

var _ note.Signer = (*cosigner)(nil)

// Name is the signer's name on its line.
func (c *cosigner) Name() string { return c.name }

// KeyHash identifies name and key on the signature's line.
func (c *cosigner) KeyHash() uint32 {
	h := sha256.New()
	h.Write([]byte(c.name + "\n"))
	h.Write([]byte{cosignatureV1})
	h.Write(c.key.Public().(ed25519.PublicKey))
	return binary.BigEndian.Uint32(h.Sum(nil))
}

// Sign signs a body with the time of signing.
func (c *cosigner) Sign(text []byte) ([]byte, error) {
	seconds := uint64(c.now.Unix())
	signed := fmt.Appendf(nil, "cosignature/v1\ntime %d\n%s", seconds, text)
	return append(binary.BigEndian.AppendUint64(nil, seconds), ed25519.Sign(c.key, signed)...), nil
}

// sign returns the signed note.
func (b *body) sign(c *cosigner) ([]byte, error) {
	signed, err := note.Sign(&note.Note{Text: b.text()}, c)
	if err != nil {
		return nil, fmt.Errorf("sign the checkpoint: %w", err)
	}
	return signed, nil
}
