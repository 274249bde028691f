package query

import (
	"cmp"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"sort"

	"ltl/internal/ledger"
	"ltl/internal/rules"
	"ltl/internal/store"
	ltlv1 "ltl/proto/ltl/v1"
)

// formerKeys is the prefix of the state keys under which former endorser keys stand; docs/bytes.md, "State keys".
const formerKeys = "s/"

// GetKeys implements ltlv1.LedgerServer.
func (s *server) GetKeys(ctx context.Context, in *ltlv1.GetKeysRequest) (*ltlv1.GetKeysResponse, error) {
	if err := s.fresh(ctx, in.GetConsistency()); err != nil {
		return nil, err
	}
	out := &ltlv1.GetKeysResponse{}
	if tip, ok := s.store.Tip(ledger.SystemChain); ok { // before reading: the answer is at least that new
		out.Height = tip.Header.Height
	}
	var err error
	if out.OrganisationKeys, err = s.organisationKeys(); err != nil {
		return nil, failure(err)
	}
	nodes, err := rules.ListNodes(s.store)
	if err != nil {
		return nil, failure(err)
	}
	for _, n := range nodes {
		out.NodeKeys = append(out.NodeKeys, &ltlv1.NodeKey{Id: n.ID, Organisation: n.Organisation, Key: n.Key,
			Membership: n.Membership, Changed: n.ChangedHeight})
	}
	out.Restorations, err = s.restorations(out.GetHeight())
	if err != nil {
		return nil, failure(err)
	}
	return out, nil
}

// restorations are those that the ledger records, with the height of the system chain that each kept, of which the
// newest block is at a height.
func (s *server) restorations(height uint64) ([]*ltlv1.Restoration, error) {
	all, err := rules.ListRestorations(s.store)
	var out []*ltlv1.Restoration
	for _, r := range all {
		var broken error
		lost := sort.Search(int(height), func(i int) bool { // the first block above the genesis that was not kept, less 1
			b, err := s.store.Block(ledger.SystemChain, uint64(i)+1)
			h, err2 := ledger.ParseHeader(b.GetHeader())
			if err := errors.Join(err, err2); err != nil {
				broken = err
			}
			return h.Sequence >= r.Blocks
		})
		if broken != nil {
			return nil, broken
		}
		out = append(out, &ltlv1.Restoration{Number: r.Number, RestoreEpoch: r.Epoch, Blocks: r.Blocks, Reason: r.Reason,
			Height: r.At.Height, KeptHeight: uint64(lost)})
	}
	return out, err
}

// organisationKeys are the former keys in the order in which they ended, then those in force.
func (s *server) organisationKeys() ([]*ltlv1.OrganisationKey, error) {
	var keys []*ltlv1.OrganisationKey
	err := s.store.Scan(ledger.SystemChain, []byte(formerKeys), func(key, _ []byte) error {
		var id [8]byte
		if n, err := hex.Decode(id[:], key[len(formerKeys):]); err != nil || n != len(id) {
			return fmt.Errorf("%w: state key %q names no key", store.ErrCorrupt, key)
		}
		k, err := rules.GetFormerKey(s.store, id)
		if err != nil || k == nil {
			return err
		}
		keys = append(keys, &ltlv1.OrganisationKey{Organisation: k.Organisation, Key: k.Key, Until: k.RetiredHeight,
			UntilMs: k.UntilMs})
		return nil
	})
	if err != nil {
		return nil, err
	}
	slices.SortStableFunc(keys, func(a, b *ltlv1.OrganisationKey) int { return cmp.Compare(a.GetUntil(), b.GetUntil()) })
	organisations, err := rules.ListOrganisations(s.store)
	for _, o := range organisations {
		keys = append(keys, &ltlv1.OrganisationKey{Organisation: o.ID, Key: o.EndorserKey})
	}
	return keys, err
}
