package node

import (
	"crypto/ed25519"
	"errors"
	"fmt"

	"ltl/internal/checkpoint"
	"ltl/internal/query"
	"ltl/internal/rules"
)

// openEvidence opens the signer of checkpoints. A ledger that holds no more than its genesis is new: no key has signed
// anything of it from this directory.
func (n *Node) openEvidence() {
	source := checkpoint.Read(n.store)
	source.Key, source.Restored = n.checkpointKey, n.restored
	source.Trust = checkpoint.TrustOf(n.cfg.Trust.GenesisPayload(), query.New(n.store, query.Options{}))
	n.evidence = checkpoint.Open(n.path(checkpoint.Directory), n.store.Sequence() <= 1, source, n.cfg.Logger)
}

// restored returns the restoration after which this node signs checkpoints.
func (n *Node) restored() (checkpoint.Restored, error) {
	text, err := n.unrecorded()
	if err != nil {
		return checkpoint.Restored{}, err
	}
	if text != "" {
		return checkpoint.Restored{}, fmt.Errorf("%w: %s", checkpoint.ErrUnrecorded, text)
	}
	return checkpoint.LastRestored(n.store)
}

// unrecorded says that this node's directory is of a restored network whose ledger does not record that; it is empty
// otherwise. The restore epoch stands in the directory, so the node needs no other's word.
func (n *Node) unrecorded() (string, error) {
	d := n.handshaker.dir
	recorded, err := checkpoint.IsRecorded(n.store, d.restoreEpoch())
	if err != nil || recorded {
		return "", err
	}
	return checkpoint.Unrecorded(d.restoreEpoch(), d.restoredBlocks()), nil
}

// unrecordedText is unrecorded for status and metrics. A state that cannot be read is a fault that these name anyway.
func (n *Node) unrecordedText() string {
	text, _ := n.unrecorded()
	return text
}

// checkpointKey returns the key that the ledger names for this node, from the files beside its certificate.
func (n *Node) checkpointKey() (name string, key ed25519.PrivateKey, err error) {
	known, err := rules.GetNode(n.store, n.id.Name)
	if err != nil {
		return "", nil, err
	}
	if known == nil {
		return "", nil, errors.New("the ledger does not name this node yet, so its signature would count for nothing; ask later")
	}
	keys, err := n.cfg.Credentials.SignKeys()
	if err != nil {
		return "", nil, err
	}
	for _, key := range keys {
		if key.Public().(ed25519.PublicKey).Equal(ed25519.PublicKey(known.Key)) {
			return checkpoint.NodeName(n.store.NetworkID(), n.id.Name), key, nil
		}
	}
	return "", nil, fmt.Errorf("no sign.key beside the certificate of node %s is the one that the ledger names; "+
		"put it there", n.id.Name)
}
