package rules

import (
	"fmt"
	"strconv"
	"strings"

	"ltl/internal/ledger"
	ltlv1 "ltl/proto/ltl/v1"
)

// decideOn runs one line of a script about proposals; false when it is another line. Proposals are numbered from 1.
//
//	propose ORG org ID | removeorg ID | policy POLICY | network POLICY | product KEY TO FORMER | restoration NUMBER BLOCKS
//	give ORG KEY TO                  ORG gives its product to another organisation
//	approve|reject|withdraw ORG N
//	pass                             approvals of all open proposals, as many as they need
func (s *script) decideOn(f []string) bool {
	switch f[0] {
	case "give":
		s.add(s.plain(f[1], moveProduct(f[2], f[3], f[1])))
	case "propose":
		var action any
		switch rest := strings.Join(f[3:], " "); f[2] {
		case "org":
			action = s.joins(rest)
		case "removeorg":
			action = removeOrg(rest)
		case "policy":
			action = s.repolicy(rest)
		case "product":
			action = moveProduct(f[3], f[4], f[5])
		case "restoration":
			numbers := [2]uint64{}
			for i := range numbers {
				var err error
				if numbers[i], err = strconv.ParseUint(f[3+i], 10, 32); err != nil {
					s.t.Fatal(err)
				}
			}
			action = restoration(uint32(numbers[0]), numbers[1])
		case "network":
			n, err := GetNetwork(s.state)
			if err != nil {
				s.t.Fatal(err)
			}
			action = &ltlv1.Transaction_ModifyNetwork{ModifyNetwork: &ltlv1.ModifyNetwork{Policy: rest, Former: n.Policy}}
		}
		tx := s.proposal(f[1], action)
		s.add(tx)
		id := ledger.TransactionID(marshal(s.t, tx))
		s.proposals = append(s.proposals, id[:])
		fmt.Fprintf(&s.out, "> proposal %d is %x\n", len(s.proposals), id)
	case "pass":
		ids, err := ListOpenProposals(s.state, s.now)
		if err != nil {
			s.t.Fatal(err)
		}
		for _, id := range ids {
			for _, org := range s.approvers(id) {
				s.add(s.approval(org, id[:]))
			}
		}
	case "approve", "reject", "withdraw":
		n, err := strconv.Atoi(f[2])
		if err != nil {
			s.t.Fatal(err)
		}
		vote := map[string]func(string, []byte) *ltlv1.Transaction{
			"approve": s.approval, "reject": s.rejection, "withdraw": s.withdrawal}[f[0]]
		s.add(vote(f[1], s.proposals[n-1]))
	default:
		return false
	}
	return true
}
