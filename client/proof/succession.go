package proof

import (
	"bytes"
	"crypto/ed25519"
	"encoding/binary"
	"fmt"
	"slices"
)

const domainSucceed = "ltl/succeed/v1\x00"

// tagSuccession is the tag of field 7 of the genesis, with a length.
const tagSuccession = 7<<3 | 2

// Predecessor is the network that this one continues, as its genesis says. Whether it does only a copy of the
// predecessor's ledger can tell.
type Predecessor struct {
	NetworkID Hash
	// Blocks is the number of its blocks that are continued, BlockHash the hash of the last one, Heads the hash over the
	// newest of them on each chain.
	Blocks           uint64
	BlockHash, Heads Hash
	// Signers are the organisations that signed the genesis, with their keys in the predecessor: all of the genesis.
	Signers []FormerSigner
}

// FormerSigner is an organisation and the key of the predecessor by which it signed.
type FormerSigner struct {
	Organisation string
	FormerKey    ed25519.PublicKey
}

// readSuccession takes the predecessor from the genesis in a payload, and verifies the signatures there.
func (t *Trust) readSuccession(payload, genesis []byte, predecessors, successions [][]byte) error {
	if len(predecessors) == 0 {
		if len(successions) != 0 {
			return errPayload
		}
		return nil
	}
	m, err := parseMessage(predecessors[0])
	if err != nil {
		return err
	}
	f := fields{message: m}
	id, blocks, block, heads := f.bytes(1), f.number(2), f.bytes(3), f.bytes(4)
	if !f.done() || len(id) != len(Hash{}) || blocks == 0 || len(block) != len(Hash{}) || len(heads) != len(Hash{}) ||
		len(successions) != len(t.organisations) {
		return errPayload
	}
	p := &Predecessor{NetworkID: Hash(id), Blocks: blocks, BlockHash: Hash(block), Heads: Hash(heads)}
	unsigned := withoutSuccessions(payload, genesis, successions)
	for i, b := range successions {
		if m, err = parseMessage(b); err != nil {
			return err
		}
		f := fields{message: m}
		s, signature := FormerSigner{f.text(1), f.bytes(2)}, f.bytes(3)
		if !f.done() || s.Organisation != t.organisations[i].id || !soundKey(s.FormerKey) ||
			slices.ContainsFunc(p.Signers, func(o FormerSigner) bool { return bytes.Equal(o.FormerKey, s.FormerKey) }) {
			return errPayload
		}
		text := bytes.Join([][]byte{[]byte(domainSucceed), id, long([]byte(s.Organisation)), long(unsigned)}, nil)
		if len(signature) != ed25519.SignatureSize || !ed25519.Verify(s.FormerKey, text, signature) {
			return fmt.Errorf("the signature of organisation %.40q under the genesis, which names a predecessor, is wrong",
				s.Organisation)
		}
		p.Signers = append(p.Signers, s)
	}
	t.Predecessor = p
	return nil
}

// withoutSuccessions is the payload without the signatures, which end it.
func withoutSuccessions(payload, genesis []byte, successions [][]byte) []byte {
	kept := len(genesis)
	for _, s := range successions {
		kept -= len(binary.AppendUvarint([]byte{tagSuccession}, uint64(len(s)))) + len(s)
	}
	before := payload[:len(payload)-len(genesis)-len(binary.AppendUvarint(nil, uint64(len(genesis))))]
	return append(binary.AppendUvarint(bytes.Clone(before), uint64(kept)), genesis[:kept]...)
}

func long(b []byte) []byte { return append(binary.BigEndian.AppendUint32(nil, uint32(len(b))), b...) }
