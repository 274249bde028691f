package rules

import (
	"crypto/sha256"
	"slices"

	ltlv1 "ltl/proto/ltl/v1"
	"ltl/test/testkit/offline"
)

// reorganise runs one line of a script about organisations, their keys and certificates; false when it is another line.
//
//	rotate ORG NAME [compromised]    the endorser key of that name takes over; signatures are by the former one until uses
//	uses ORG NAME                    ORG signs with the key of that name from now on
//	authority ORG add|retire NAME    a certificate authority
//	moveorg ORG NAME ADDRESS
//	removeorg ORG
//	delegates ORG FACADE…            may speak for ORG's accounts
//	revokecert IDENTITY KEY [only]   KEY "-" is none
//	submitter IDENTITY               the transaction before is that process'
func (s *script) reorganise(f []string) bool {
	change := func(m *ltlv1.ModifyOrganisation) {
		tx := s.operator(&ltlv1.Transaction_ModifyOrganisation{ModifyOrganisation: m})
		tx.Submitter = f[1] + "/operator/olga"
		s.add(tx)
	}
	switch f[0] {
	case "rotate":
		m := &ltlv1.ModifyOrganisation{Id: f[1], Compromised: slices.Contains(f, "compromised")}
		s.newKey(m, f[2])
		change(m)
	case "uses":
		s.keys[f[1]] = offline.Key(f[2])
	case "authority":
		m := &ltlv1.ModifyOrganisation{Id: f[1]}
		s.enters(m, f[3], 1)
		if f[2] == "retire" {
			hash := sha256.Sum256(m.AddAuthority)
			m.AddAuthority, m.AuthorityPossession, m.RetireAuthority = nil, nil, hash[:]
		}
		change(m)
	case "moveorg":
		change(&ltlv1.ModifyOrganisation{Id: f[1], Name: &f[2], EndorserAddress: &f[3]})
	case "delegates":
		tx := s.operator(delegates(f[2:]...))
		tx.Submitter = f[1] + "/operator/olga"
		s.add(tx)
	case "removeorg":
		s.add(s.operator(removeOrg(f[1])))
	case "revokecert":
		r := &ltlv1.RevokeCertificate{Identity: f[1], KeyOnly: slices.Contains(f, "only")}
		if f[2] != "-" {
			hash := sha256.Sum256([]byte(f[2]))
			r.KeyHash = hash[:]
		}
		s.add(s.operator(&ltlv1.Transaction_RevokeCertificate{RevokeCertificate: r}))
	case "submitter":
		b := s.batches[len(s.batches)-1]
		s.last.Submitter = f[1]
		b[len(b)-1] = marshal(s.t, s.last)
	default:
		return false
	}
	return true
}

func removeOrg(id string) *ltlv1.Transaction_RemoveOrganisation {
	return &ltlv1.Transaction_RemoveOrganisation{RemoveOrganisation: &ltlv1.RemoveOrganisation{Id: id}}
}
