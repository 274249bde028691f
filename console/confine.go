package console

import (
	"errors"

	"google.golang.org/protobuf/proto"

	"ltl/internal/ledger"
	"ltl/internal/rules"
	ltlv1 "ltl/proto/ltl/v1"
)

// reader is a chain as one account sees it. What it may see of a transaction rules.Viewer decides; what it may read of
// a Key, a phase, a member or a device the nodes decide, which get the account with every read.
type reader struct {
	uid           string
	administrator bool
	typeCode      string
	info          *ltlv1.ChainInfo
	// usage is what GetChain says beside the chain.
	usage *ltlv1.GetChainResponse
}

// readChain reads a chain for the session's account. A chain that there is not, and one that the account is not on or is
// locked on, are the same.
func (v *visit) readChain(id string) (*reader, error) {
	if !digits(id, ledger.ChainIDLen) || id == ledger.SystemChain && v.own == nil {
		return nil, errNothing
	}
	if id == ledger.SystemChain {
		return v.readSystemChain()
	}
	out, err := v.ledger.GetChain(v.r.Context(), &ltlv1.GetChainRequest{ChainId: id, AccountUid: v.session.uid})
	if err != nil {
		return nil, err
	}
	role := out.GetChain().GetRole()
	if v.own != nil && out.GetCode() == rules.OK { // the organisation reads its own copy of the ledger
		return &reader{administrator: true, info: out.GetChain(), usage: out}, nil
	}
	if out.GetCode() != rules.OK || role != rules.RoleAdmin && role != rules.RoleMember {
		return nil, errNothing
	}
	return &reader{uid: v.session.uid, administrator: role == rules.RoleAdmin,
		typeCode: out.GetChain().GetDataTypeCode(), info: out.GetChain(), usage: out}, nil
}

// readSystemChain reads the system chain for an organisation. All organisations are on it.
func (v *visit) readSystemChain() (*reader, error) {
	network, err := v.ownNetwork()
	if err != nil {
		return nil, err
	}
	for _, c := range network.GetChains() {
		if c.GetChainId() != ledger.SystemChain {
			continue
		}
		info := proto.CloneOf(c)
		if info.Chain == nil {
			info.Chain = &ltlv1.CreateChain{}
		}
		info.Chain.Name, info.Chain.Organisations = "system", nil
		for _, o := range network.GetOrganisations() {
			info.Chain.Organisations = append(info.Chain.Organisations, o.GetId())
		}
		return &reader{administrator: true, info: info, usage: &ltlv1.GetChainResponse{}}, nil
	}
	return nil, errNothing
}

// System reports whether the chain is the system chain, which has no records.
func (r *reader) System() bool { return r.info.GetChainId() == ledger.SystemChain }

// ID is the chain's id.
func (r *reader) ID() string { return r.info.GetChainId() }

// Name is the chain's name.
func (r *reader) Name() string { return r.info.GetChain().GetName() }

// Administrator reports whether the account is the chain's administrator.
func (r *reader) Administrator() bool { return r.administrator }

// Collaboration reports whether the chain is one of the collaboration service.
func (r *reader) Collaboration() bool { return !r.proof() }

// proof reports whether the chain is one of the proof service.
func (r *reader) proof() bool {
	return r.info.GetChain().GetService() == ltlv1.ChainService_CHAIN_SERVICE_PROOF
}

// sees reports whether the account may see the content of a transaction of the chain.
func (r *reader) sees(id ledger.Hash, tx *ltlv1.Transaction, result int32) bool {
	v := rules.Viewer{UID: r.uid, ChainID: r.info.GetChainId(), ChainCode: r.info.GetChainCode(), TypeCode: r.typeCode,
		Proof: r.proof(), Administrator: r.administrator}
	return v.Sees(id, tx, result)
}

// placed is a transaction with its place, which the account may see.
type placed struct {
	id     ledger.Hash
	tx     *ltlv1.Transaction
	at     *ltlv1.GetTransactionResponse
	result int32
}

// find finds a transaction of the chain. One that there is not, one of another chain, and one that the account may not
// see are the same.
func (v *visit) find(r *reader, id ledger.Hash) (*placed, error) {
	at, err := v.ledger.GetTransaction(v.r.Context(), &ltlv1.GetTransactionRequest{TransactionHash: id[:]})
	if err != nil {
		return nil, err
	}
	if at.GetCode() != rules.OK || at.GetChainId() != r.info.GetChainId() {
		return nil, errNothing
	}
	tx, err := rules.Decode(at.GetTransaction())
	if err != nil || ledger.TransactionID(at.GetTransaction()) != id {
		return nil, errors.New("a node answered with another transaction than was asked for")
	}
	if !r.sees(id, tx, at.GetResult()) {
		return nil, errNothing
	}
	return &placed{id: id, tx: tx, at: at, result: at.GetResult()}, nil
}

// digits reports whether s is n decimal digits.
func digits(s string, n int) bool {
	if len(s) != n {
		return false
	}
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return false
		}
	}
	return true
}
