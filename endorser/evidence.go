package endorser

import (
	"crypto/ed25519"
	"fmt"
	"path/filepath"

	"ltl/internal/checkpoint"
	"ltl/internal/rules"
)

// openEvidence opens the signer of checkpoints. A copy that holds no more than the genesis is new: no key has signed
// anything of it from this directory.
func (e *Endorser) openEvidence() {
	source := checkpoint.Read(e.store)
	source.Key, source.Restored = e.checkpointKey, e.restored
	e.evidence = checkpoint.Open(filepath.Join(e.cfg.Dir, checkpoint.Directory), e.store.Sequence() <= 1, source, e.log)
}

// checkpointKey returns the key that the ledger names for this organisation. An endorser that has stopped signing signs
// no checkpoint either.
func (e *Endorser) checkpointKey() (name string, key ed25519.PrivateKey, err error) {
	if why := e.fault.Load(); why != nil {
		return "", nil, fmt.Errorf("this endorser has stopped signing: %s", *why)
	}
	known, err := rules.GetOrganisation(e.store, e.organisation)
	if err != nil {
		return "", nil, err
	}
	if known != nil {
		if key = e.keys.of(known.EndorserKey); key != nil {
			return checkpoint.OrganisationName(e.store.NetworkID(), e.organisation), key, nil
		}
	}
	return "", nil, fmt.Errorf("the ledger names no key of organisation %s that this endorser holds; put it beside its "+
		"certificate", e.organisation)
}
