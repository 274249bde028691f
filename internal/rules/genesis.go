package rules

import (
	"fmt"
	"slices"

	"ltl/internal/ledger"
	"ltl/internal/policy"
	ltlv1 "ltl/proto/ltl/v1"
)

// GenesisBlock makes block 0 of the system chain from the payload of a genesis transaction. It returns ErrMalformed,
// wrapped, for a payload that is not a genesis transaction or describes a network that cannot work.
func GenesisBlock(payload []byte) (*Executed, error) {
	tx, err := Decode(payload)
	if err != nil {
		return nil, err
	}
	g := tx.GetGenesis()
	if g == nil || tx.GetChainId() != ledger.SystemChain || tx.GetAccountUid() != "" {
		return nil, fmt.Errorf("%w: not a genesis transaction of the system chain", ErrMalformed)
	}
	if code := Check(tx); code != OK {
		return nil, fmt.Errorf("%w: genesis: %s", ErrMalformed, genesisFault(code))
	}
	if err := verifySuccessions(payload, tx); err != nil {
		return nil, err
	}
	in := &Input{NetworkID: ledger.NetworkID(payload), ChainID: ledger.SystemChain, PreviousTimeMs: g.GetCreatedMs()}
	e := newExec(in, nowhere{}, 1)
	id := ledger.TransactionID(payload)
	e.writeLocator(TransactionKey(id), Locator{Extra: uint32(OK)})
	n := &Network{Name: g.GetNetwork(), CreatedMs: g.GetCreatedMs(), Policy: canonicalPolicy(g.GetPolicy())}
	for _, o := range g.GetOrganisations() {
		n.Organisations = append(n.Organisations, o.GetId())
		e.putOrganisation(o)
		e.putAuthorityKey(o.GetId(), o.GetCaCertificate())
	}
	for _, nd := range g.GetNodes() {
		n.Nodes = append(n.Nodes, nd.GetId())
		s := Node{ID: nd.GetId(), Organisation: nd.GetOrganisation(), Address: nd.GetAddress(), Key: nd.GetKey()}
		e.put(prefixNode+s.ID, s.encode())
	}
	e.put(keyNetwork, n.encode())

	ids := []ledger.Hash{id}
	root := ledger.BatchRoot(ids)
	batch := &ltlv1.Batch{ChainId: ledger.SystemChain, Transactions: [][]byte{payload}}
	done := &Executed{
		Block: &ltlv1.Block{Batches: []*ltlv1.Batch{batch}, Results: []int32{OK}}, IDs: ids, Writes: e.writes,
	}
	done.seal(in, g.GetCreatedMs(), g.GetCreatedMs(), []ledger.Outcome{{ID: id, Code: OK, BatchRoot: root}},
		[]ledger.Hash{ledger.BatchHash(root, 1, nil)})
	done.Results = [][]*ltlv1.Result{{{Code: OK, ChainId: ledger.SystemChain, TimeMs: done.Header.TimeMs,
		BlockHash: done.Hash[:]}}}
	return done, nil
}

// checkGenesis checks a genesis completely; it depends on no state.
func checkGenesis(tx *ltlv1.Transaction) int32 {
	g := tx.GetGenesis()
	orgs, nodes := g.GetOrganisations(), g.GetNodes()
	if !validNetworkName(g.GetNetwork()) || g.GetCreatedMs() < 0 || g.GetCreatedMs() > maxTimeMs || len(orgs) == 0 ||
		len(orgs) > MaxOrganisations || len(nodes) == 0 || len(nodes) > MaxNodes {
		return OutOfRange
	}
	ids := make([]string, len(orgs))
	for i, o := range orgs {
		if code := checkOrganisation(o); code != OK {
			return code
		}
		same := func(p *ltlv1.Organisation) bool {
			return p.GetId() == o.GetId() || string(p.GetEndorserKey()) == string(o.GetEndorserKey()) || sameAuthority(p, o)
		}
		if slices.ContainsFunc(orgs[:i], same) {
			return Conflict
		}
		ids[i] = o.GetId()
	}
	for i, n := range nodes {
		if code := checkNode(n); code != OK {
			return code
		}
		if len(n.GetStoreId()) != 0 {
			return OutOfRange // no data directory is made before the genesis
		}
		same := func(p *ltlv1.Node) bool { return p.GetId() == n.GetId() || string(p.GetKey()) == string(n.GetKey()) }
		if slices.ContainsFunc(nodes[:i], same) {
			return Conflict
		}
		if !slices.Contains(ids, n.GetOrganisation()) {
			return NotFound
		}
	}
	if p, err := policy.Parse(g.GetPolicy()); err != nil || !p.Satisfiable(ids[0], ids) {
		return OutOfRange
	}
	return checkSuccession(tx)
}

func genesisFault(code int32) string {
	switch code {
	case Conflict:
		return "an id or a key stands twice"
	case NotFound:
		return "a node belongs to an organisation that is not named"
	case Malformed:
		return "the transaction's version is not 1"
	}
	return "a name, id, key, address, certificate, the policy or the predecessor has the wrong form"
}

// canonicalPolicy is the canonical text of a policy that was checked.
func canonicalPolicy(text string) string {
	p, err := policy.Parse(text)
	if err != nil {
		return text
	}
	return p.String()
}

// nowhere is the state below block 0.
type nowhere struct{}

// Get finds nothing.
func (nowhere) Get(string, []byte) ([]byte, error) { return nil, nil }

// ChainBlock0 makes block 0 of a new business chain; it holds no transaction and no write. by is the header of the
// system block that created the chain; sequence is the number of blocks executed before block 0, over all chains.
func ChainBlock0(by *ledger.Header, chainID string, sequence uint64) *Executed {
	in := &Input{NetworkID: by.NetworkID, ChainID: chainID, SystemHeight: by.Height, Sequence: sequence}
	done := &Executed{Block: &ltlv1.Block{}}
	done.seal(in, by.TimeMs, by.ReferenceMs, nil, nil)
	return done
}
