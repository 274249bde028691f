package liar

import (
	"time"

	"google.golang.org/protobuf/proto"

	"ltl/internal/rules"
	ltlv1 "ltl/proto/ltl/v1"
)

// farTerm and farSequence are numbers that no run reaches.
const (
	farTerm     = 1 << 62
	farSequence = 1 << 60
)

// alter makes a lie of an answer, and says in words which; empty when it stays as it is.
func alter(m proto.Message, kind int) string {
	switch out := m.(type) {
	case *ltlv1.StatusResponse:
		return alterStatus(out, kind)
	case *ltlv1.GetRecordResponse:
		if out.GetRecord() == nil || kind%3 == 0 {
			out.Code, out.Record = rules.NotFound, nil
			return "there is no such record"
		}
		alterRecord(out.GetRecord(), kind)
		return "another record"
	case *ltlv1.ListHistoryResponse:
		if len(out.GetRecords()) == 0 {
			return ""
		}
		if kind%2 == 0 {
			out.Records, out.Total = out.GetRecords()[1:], out.GetTotal()-1
			return "a record is left out"
		}
		alterRecord(out.GetRecords()[kind%len(out.GetRecords())], kind)
		return "another record"
	case *ltlv1.CountHistoryResponse:
		out.Count += uint64(kind%3) + 1
		return "another number"
	case *ltlv1.GetTransactionResponse:
		out.Code = rules.NotFound
		return "there is no such transaction"
	case *ltlv1.GetNetworkResponse:
		return alterNetwork(out, kind)
	case *ltlv1.GetAccountResponse:
		for _, a := range out.GetAccounts() {
			a.Organisation = "org3"
		}
		return "other owners of accounts"
	case *ltlv1.ListAccessKeysResponse:
		for _, k := range out.GetAccessKeys() {
			k.State = ltlv1.AccessKeyState_ACCESS_KEY_STATE_DELETED
		}
		return "AccessKeys are deleted"
	case *ltlv1.GetChainResponse:
		if out.GetChain() == nil {
			return ""
		}
		out.Chain.Closed = true
		return "the chain is closed"
	case *ltlv1.ListChainsResponse:
		out.Chains, out.Total = nil, 0
		return "there are no chains"
	case *ltlv1.ProposalsResponse:
		out.Proposals = nil
		return "there are no proposals"
	}
	return ""
}

// alterRecord makes another record of one.
func alterRecord(r *ltlv1.Record, kind int) {
	r.Value += "!"
	r.BlockHash, r.TransactionHash = flip(r.BlockHash, kind), flip(r.TransactionHash, kind)
	r.BlockHeight += uint64(kind % 2)
}

// alterStatus claims to lead, to know of another leader, to be far ahead, behind, or broken, or of another clock.
func alterStatus(s *ltlv1.StatusResponse, kind int) string {
	switch kind % 9 {
	case 0:
		s.Role, s.Leader, s.Term = "leader", s.GetId(), s.GetTerm()+1
		return "it leads, in the next term"
	case 1:
		s.Role, s.Leader, s.Term = "leader", s.GetId(), farTerm
		return "it leads, in a huge term"
	case 2:
		s.Role, s.Term, s.Leader = "follower", farTerm, "node99"
		return "another leader, in a huge term"
	case 3:
		s.Sequence = farSequence
		return "blocks that there are not"
	case 4:
		s.Sequence, s.Chains = 0, nil
		return "no blocks"
	case 5:
		s.ClockMs += (time.Duration(kind%100-50) * time.Hour).Milliseconds()
		return "another clock"
	case 6:
		for _, c := range s.GetChains() {
			c.BlockHash = flip(c.BlockHash, kind)
		}
		return "other blocks"
	case 7:
		s.Fault = "everything is broken"
		return "a fault"
	default:
		s.RulesInForce, s.RulesKnown, s.Members = 99, 99, nil
		return "other rules and no members"
	}
}

// alterNetwork names wrong members: endorsers and nodes at dead addresses, with other keys, or not there, and other
// policies.
func alterNetwork(n *ltlv1.GetNetworkResponse, kind int) string {
	switch kind % 6 {
	case 0:
		for _, o := range n.GetOrganisations() {
			o.EndorserAddress = "127.0.0.1:9"
		}
		return "endorsers at another address"
	case 1:
		for _, o := range n.GetOrganisations() {
			o.EndorserKey = flip(o.GetEndorserKey(), kind)
		}
		return "other keys of endorsers"
	case 2:
		// One of them: a client that believes another address of all nodes reaches none again, docs/security.md says so.
		if len(n.GetNodes()) > 1 {
			n.GetNodes()[len(n.GetNodes())-1].Address = "127.0.0.1:9"
		}
		return "a node at another address"
	case 3:
		for _, c := range n.GetChains() {
			c.Chain.Policy = "any"
		}
		return "other policies"
	case 4:
		n.Chains = n.GetChains()[:min(1, len(n.GetChains()))]
		return "fewer chains"
	default:
		if len(n.GetNodes()) < 2 {
			return ""
		}
		n.RemovedNodes = append(n.RemovedNodes, n.GetNodes()[0].GetId())
		n.Nodes, n.Memberships = n.GetNodes()[1:], n.GetMemberships()[1:]
		return "a node is removed"
	}
}
