package node

import (
	"bytes"
	"crypto/ed25519"
	"encoding/binary"

	"github.com/hashicorp/raft"

	"ltl/internal/ledger"
	ltlv1 "ltl/proto/ltl/v1"
)

// domainPosition begins what a node signs about its position.
const domainPosition = "ltl/position/v1\x00"

// Kinds of positions.
const (
	signedTerm   = 't'
	signedCommit = 'c'
)

// positionSigner signs what this node tells its peers of its directory, and recognises what it has signed.
type positionSigner struct {
	network ledger.Hash
	self    raft.ServerID
	// keys are this node's signing keys, the first one signs; none signs nothing.
	keys []ed25519.PrivateKey
}

// text is what is signed. It has the restore epoch, because the directories of a restoration are new ones under known
// ids.
func (p *positionSigner) text(kind byte, storeID, epoch []byte, value uint64) []byte {
	b := append([]byte(domainPosition), p.network[:]...)
	for _, part := range [][]byte{[]byte(p.self), storeID, epoch} {
		b = binary.BigEndian.AppendUint32(b, uint32(len(part)))
		b = append(b, part...)
	}
	return binary.BigEndian.AppendUint64(append(b, kind), value)
}

func (p *positionSigner) sign(kind byte, storeID, epoch []byte, value uint64) []byte {
	if len(p.keys) == 0 {
		return nil
	}
	return ed25519.Sign(p.keys[0], p.text(kind, storeID, epoch, value))
}

// signed reports whether this node signed that.
func (p *positionSigner) signed(kind byte, storeID, epoch []byte, value uint64, signature []byte) bool {
	text := p.text(kind, storeID, epoch, value)
	for _, key := range p.keys {
		if ed25519.Verify(key.Public().(ed25519.PublicKey), text, signature) {
			return true
		}
	}
	return false
}

// proves reports whether a peer's refusal carries this node's own signature over what it refuses this node for: another
// store id of this restore epoch, or a position that this directory has not reached.
func (h *handshaker) proves(out *ltlv1.IntroduceResponse) bool {
	signed := func(kind byte, storeID []byte, value uint64, signature []byte) bool {
		return h.signer.signed(kind, storeID, h.dir.restoreEpoch(), value, signature)
	}
	switch out.GetVerdict() {
	case ltlv1.Verdict_VERDICT_DIRECTORY_MISMATCH:
		known := out.GetKnownStoreId()
		return !bytes.Equal(known, h.dir.storeID) && signed(signedTerm, known, out.GetTerm(), out.GetTermSignature())
	case ltlv1.Verdict_VERDICT_ROLLED_BACK:
		at, err := h.position() // again: this node has gone on, and told others, while the peer held back its answer
		return err == nil && (out.GetTerm() > at.term &&
			signed(signedTerm, h.dir.storeID, out.GetTerm(), out.GetTermSignature()) || out.GetCommit() > at.last &&
			signed(signedCommit, h.dir.storeID, out.GetCommit(), out.GetCommitSignature()))
	}
	return false
}

// epochOffer is the restore epoch that a peer reports, and the number of blocks with which its network began.
type epochOffer struct {
	epoch  string
	blocks uint64
}

// believed reports whether what some peers say is to be believed: one of them is of this node's organisation, or they
// are of more than half of the organisations that the other nodes are of. An organisation has one voice, however many
// nodes it adds. The caller holds mu.
func (h *handshaker) believed(says func(raft.ServerID) bool) bool {
	all, saying := map[string]bool{}, map[string]bool{}
	for _, peer := range h.peers() {
		organisation := h.organisation(peer)
		if all[organisation] = true; says(peer) {
			saying[organisation] = true
		}
	}
	return saying[h.organisation(h.self)] || 2*len(saying) > len(all)
}

// noteVerdict notes a peer's newest verdict on this node, and reports whether enough peers give it to believe it.
func (h *handshaker) noteVerdict(peer raft.ServerID, v ltlv1.Verdict) (believed bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.verdicts[peer] = v
	return h.believed(func(id raft.ServerID) bool { return h.verdicts[id] == v })
}

// adoptEpoch takes the restore epoch of the network into a new directory of a node that was added, once enough peers
// report the same. Who accepted this node before had another one, so that counts no more.
func (h *handshaker) adoptEpoch(peer raft.ServerID, out *ltlv1.IntroduceResponse) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	offer := epochOffer{string(out.GetRestoreEpoch()), out.GetRestoredBlocks()}
	h.offers[peer] = offer
	if !h.believed(func(id raft.ServerID) bool { return h.offers[id] == offer }) {
		return nil
	}
	adopted, err := h.dir.adoptEpoch([]byte(offer.epoch), offer.blocks)
	if adopted {
		clear(h.accepted)
	}
	return err
}
