package rules

import (
	"crypto/ed25519"
	"fmt"

	"google.golang.org/protobuf/encoding/protowire"

	"ltl/internal/ledger"
	ltlv1 "ltl/proto/ltl/v1"
)

// Numbers of the fields in which the signatures of a successor's genesis are.
const (
	fieldGenesis     = 60
	fieldSuccessions = 7
)

// checkSuccession checks the form of the predecessor and of the signatures in a genesis. Every organisation of a
// successor has signed, so the network has none that only others named.
func checkSuccession(tx *ltlv1.Transaction) int32 {
	g := tx.GetGenesis()
	p, signed := g.GetPredecessor(), g.GetSuccessions()
	if p == nil {
		if len(signed) != 0 {
			return OutOfRange
		}
		return OK
	}
	const hash = len(ledger.Hash{})
	if len(p.GetNetworkId()) != hash || p.GetBlocks() == 0 || len(p.GetBlockHash()) != hash || len(p.GetHeads()) != hash ||
		len(tx.GetNonce()) != NonceLen || len(signed) != len(g.GetOrganisations()) {
		return OutOfRange
	}
	for i, s := range signed {
		if s.GetOrganisation() != g.GetOrganisations()[i].GetId() || !ledger.ValidKey(s.GetFormerKey()) ||
			!validSignature(s.GetSignature(), true) {
			return OutOfRange
		}
		for _, other := range signed[:i] {
			if string(other.GetFormerKey()) == string(s.GetFormerKey()) {
				return Conflict
			}
		}
	}
	return OK
}

// verifySuccessions verifies the signatures in a genesis. Whether the keys are the organisations' in the predecessor
// only a copy of its ledger can tell.
func verifySuccessions(payload []byte, tx *ltlv1.Transaction) error {
	g := tx.GetGenesis()
	for _, s := range g.GetSuccessions() {
		if err := VerifySuccession(payload, g.GetPredecessor(), s); err != nil {
			return err
		}
	}
	return nil
}

// VerifySuccession verifies a signature in or for the genesis with that payload, whether or not the others are there. It
// returns ErrMalformed, wrapped, when the signature is wrong.
func VerifySuccession(payload []byte, p *ltlv1.Predecessor, s *ltlv1.Succession) error {
	text, err := SuccessionOf(payload, p, s.GetOrganisation())
	if err == nil {
		err = text.Verify(ed25519.PublicKey(s.GetFormerKey()), s.GetSignature())
	}
	if err != nil {
		return fmt.Errorf("%w: genesis: the signature of organisation %q for the succession is wrong: it is of another genesis, "+
			"or by another key", ErrMalformed, s.GetOrganisation())
	}
	return nil
}

// SuccessionOf returns what an organisation signs for the genesis with that payload. It is the same before
// and after others signed.
func SuccessionOf(payload []byte, p *ltlv1.Predecessor, organisation string) (*ledger.Succession, error) {
	unsigned, ok := withoutSuccessions(payload)
	if !ok || len(p.GetNetworkId()) != len(ledger.Hash{}) {
		return nil, fmt.Errorf("%w: the genesis names no predecessor", ErrMalformed)
	}
	return &ledger.Succession{Predecessor: ledger.Hash(p.GetNetworkId()), Organisation: organisation, Genesis: unsigned}, nil
}

// withoutSuccessions is the payload of a genesis transaction in canonical form, without the field of the signatures,
// which is the last one of the genesis as the genesis is of the transaction. It cuts bytes and encodes nothing again.
func withoutSuccessions(payload []byte) ([]byte, bool) {
	at := fieldOffset(payload, fieldGenesis)
	tag, _, n := protowire.ConsumeTag(payload[at:])
	if n < 0 || tag != fieldGenesis {
		return nil, false
	}
	genesis, n := protowire.ConsumeBytes(payload[at+n:])
	if n < 0 {
		return nil, false
	}
	b := append([]byte(nil), payload[:at]...)
	b = protowire.AppendTag(b, fieldGenesis, protowire.BytesType)
	return protowire.AppendBytes(b, genesis[:fieldOffset(genesis, fieldSuccessions)]), true
}

// fieldOffset returns where the first field with that number or a higher one begins; the length of b when there is none.
func fieldOffset(b []byte, number protowire.Number) int {
	at := 0
	for at < len(b) {
		n, _, size := protowire.ConsumeField(b[at:])
		if size < 0 || n >= number {
			break
		}
		at += size
	}
	return at
}
