package endorser

import (
	"context"
	"crypto/ed25519"
	"fmt"
	"path/filepath"
	"strings"

	"ltl/internal/checkpoint"
	"ltl/internal/query"
	"ltl/internal/rules"
	ltlv1 "ltl/proto/ltl/v1"
)

// openEvidence opens the signer of checkpoints. A copy that holds no more than the genesis is new: no key has signed
// anything of it from this directory.
func (e *Endorser) openEvidence() {
	source := checkpoint.Read(e.store)
	source.Key, source.Restored = e.checkpointKey, e.restored
	source.Trust = checkpoint.TrustOf(e.cfg.Trust.GenesisPayload(), query.New(e.store, query.Options{}))
	source.Others = &checkpoint.Others{Names: e.signingNodes, Chains: e.chains, Ask: e.askForCheckpoint}
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

// ofNodes begins the names under which nodes sign.
const ofNodes = "node/"

// signingNodes are the nodes that can be asked for their checkpoints.
func (e *Endorser) signingNodes() (names []string) {
	for _, n := range *e.sources.Load() {
		names = append(names, ofNodes+n.ID)
	}
	return names
}

func (e *Endorser) chains() (ids []string) {
	for _, tip := range e.store.Tips() {
		ids = append(ids, tip.Header.ChainID)
	}
	return ids
}

// askForCheckpoint asks a node for its checkpoint of a chain.
func (e *Endorser) askForCheckpoint(ctx context.Context, name, chainID string, size uint64) ([]byte, error) {
	for _, n := range *e.sources.Load() {
		if id, ok := strings.CutPrefix(name, ofNodes); ok && id == n.ID {
			out, err := ltlv1.NewEvidenceClient(n.conn).Cosign(ctx, &ltlv1.CosignRequest{ChainId: chainID, Size: size})
			return out.GetNote(), err
		}
	}
	return nil, fmt.Errorf("%s cannot be asked from here", name)
}
