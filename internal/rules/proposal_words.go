package rules

import (
	"crypto/sha256"
	"fmt"
	"strings"
	"time"

	"ltl/internal/ledger"
	ltlv1 "ltl/proto/ltl/v1"
)

// The functions of the kinds that can be proposed: what they change, what they rest on, and their words. Words are for
// people who decide, so they name every value that the change sets. Texts without a strict form are quoted, so that
// they cannot look like words of this program.

func createOrganisationObject(tx *ltlv1.Transaction) string {
	return tx.GetCreateOrganisation().GetOrganisation().GetId()
}

func createOrganisationBasis(tx *ltlv1.Transaction) []string {
	return []string{prefixOrganisation + createOrganisationObject(tx)}
}

func createOrganisationWords(_ View, tx *ltlv1.Transaction) (string, error) {
	o := tx.GetCreateOrganisation().GetOrganisation()
	return fmt.Sprintf("organisation %s, named %q, joins the network: its certificate authority has the SHA-256 %x, its "+
		"endorser the key %x and the address %s", o.GetId(), o.GetName(), sha256.Sum256(o.GetCaCertificate()),
		o.GetEndorserKey(), o.GetEndorserAddress()), nil
}

func removeOrganisationObject(tx *ltlv1.Transaction) string {
	return tx.GetRemoveOrganisation().GetId()
}

// removeOrganisationBasis: not what the organisation can change, only that it was not removed.
func removeOrganisationBasis(tx *ltlv1.Transaction) []string {
	return []string{revokedKey(tx.GetRemoveOrganisation().GetId())}
}

func removeOrganisationWords(v View, tx *ltlv1.Transaction) (string, error) {
	id := tx.GetRemoveOrganisation().GetId()
	name := ""
	if v != nil {
		o, err := GetOrganisation(v, id)
		if err != nil {
			return "", err
		}
		if o != nil {
			name = fmt.Sprintf(", named %q,", o.Name)
		}
	}
	return fmt.Sprintf("organisation %s%s is removed from the network for good", id, name), nil
}

func addNodeObject(tx *ltlv1.Transaction) string { return tx.GetAddNode().GetNode().GetId() }

func addNodeBasis(tx *ltlv1.Transaction) []string { return []string{prefixNode + addNodeObject(tx)} }

func addNodeWords(_ View, tx *ltlv1.Transaction) (string, error) {
	a := tx.GetAddNode()
	n := a.GetNode()
	s := fmt.Sprintf("node %s of organisation %s joins as a %s: its address is %s, its key %x", n.GetId(),
		n.GetOrganisation(), membershipWord(a.GetMembership()), n.GetAddress(), n.GetKey())
	if a.GetReplaces() != "" {
		s += "; it replaces node " + a.GetReplaces()
	}
	return s, nil
}

func changeNodeObject(tx *ltlv1.Transaction) string { return tx.GetChangeNode().GetId() }

// changeNodeBasis: a removal rests on nothing, since the node's organisation can change the node.
func changeNodeBasis(tx *ltlv1.Transaction) []string {
	c := tx.GetChangeNode()
	if c.GetMembership() != ltlv1.NodeMembership_NODE_MEMBERSHIP_VOTER {
		return nil
	}
	return []string{prefixNode + c.GetId(), prefixNodeFacts + c.GetId()}
}

func changeNodeWords(v View, tx *ltlv1.Transaction) (string, error) {
	c := tx.GetChangeNode()
	of := ""
	if v != nil {
		n, err := GetNode(v, c.GetId())
		if err != nil {
			return "", err
		}
		if n != nil {
			of = fmt.Sprintf(" of organisation %s, now a %s,", n.Organisation, membershipWord(n.Membership))
		}
	}
	becomes := "becomes a " + membershipWord(c.GetMembership())
	if c.GetMembership() == ltlv1.NodeMembership_NODE_MEMBERSHIP_REMOVED {
		becomes = "is removed from the network for good"
	}
	return fmt.Sprintf("node %s%s %s", c.GetId(), of, becomes), nil
}

func membershipWord(m ltlv1.NodeMembership) string {
	return strings.ToLower(strings.TrimPrefix(m.String(), "NODE_MEMBERSHIP_"))
}

func activateRulesObject(*ltlv1.Transaction) string { return "" }

func activateRulesBasis(*ltlv1.Transaction) []string { return []string{keyRules} }

func activateRulesWords(_ View, tx *ltlv1.Transaction) (string, error) {
	return fmt.Sprintf("version %d of the rules comes into force with the next block", tx.GetActivateRules().GetVersion()),
		nil
}

func modifyChainObject(tx *ltlv1.Transaction) string { return tx.GetModifyChain().GetChainId() }

func modifyChainBasis(tx *ltlv1.Transaction) []string {
	return []string{prefixChain + tx.GetModifyChain().GetChainId()}
}

// modifyChainWords name every field that is set, with the present value where the state is known.
func modifyChainWords(v View, tx *ltlv1.Transaction) (string, error) {
	m := tx.GetModifyChain()
	now, owner, err := chainBefore(v, m.GetChainId())
	if err != nil {
		return "", err
	}
	w := changeWords{known: now != nil}
	if now == nil {
		now = &Chain{}
	}
	w.add(m.Policy != nil, "the policy becomes", fmt.Sprintf("%q", m.GetPolicy()), fmt.Sprintf("%q", now.Policy))
	w.add(len(m.GetOrganisations()) > 0, "the organisations become", strings.Join(m.GetOrganisations(), " "),
		strings.Join(now.Organisations, " "))
	if m.AdministratorUid != nil {
		of, err := organisationWord(v, m.GetAdministratorUid())
		if err != nil {
			return "", err
		}
		w.add(true, "the administrator becomes", m.GetAdministratorUid()+of, now.AdministratorUID+owner)
	}
	w.add(m.TimeStands != nil, "what too few organisations endorse becomes", standWord(m.GetTimeStands()), standWord(now.TimeStands))
	w.add(m.Name != nil, "the name becomes", fmt.Sprintf("%q", m.GetName()), fmt.Sprintf("%q", now.Name))
	w.add(m.Remark != nil, "the remark becomes", fmt.Sprintf("%q", m.GetRemark()), fmt.Sprintf("%q", now.Remark))
	w.add(m.Edition != nil, "the edition becomes", editionWord(m.GetEdition()), editionWord(now.Edition))
	w.add(m.Region != nil, "the region becomes", m.GetRegion(), now.Region)
	w.add(m.EffectiveMs != nil, "the term begins", timeWord(m.GetEffectiveMs()), timeWord(now.EffectiveMs))
	w.add(m.ExpiredMs != nil, "the term ends", timeWord(m.GetExpiredMs()), timeWord(now.ExpiredMs))
	w.quota("bytes", m.CapacityQuotaBytes, now.CapacityQuota)
	w.quota("records", m.CountQuota, now.CountQuota)
	w.quota("members", m.MemberQuota, now.MemberQuota)
	w.quota("phase groups", m.PhaseGroupQuota, now.PhaseGroupQuota)
	w.quota("phases", m.PhaseQuota, now.PhaseQuota)
	return fmt.Sprintf("of chain %s %s", m.GetChainId(), strings.Join(w.parts, "; ")), nil
}

// chainBefore returns the chain and the word for its owner; nil where the state is not known.
func chainBefore(v View, id string) (*Chain, string, error) {
	if v == nil {
		return nil, "", nil
	}
	c, err := load(v, ledger.SystemChain, prefixChain+id, parseChain)
	if c == nil || err != nil {
		return nil, "", err
	}
	owner, err := organisationWord(v, c.AdministratorUID)
	return c, owner, err
}

// organisationWord says of which organisation an account is; empty where the state is not known.
func organisationWord(v View, uid string) (string, error) {
	if v == nil {
		return "", nil
	}
	a, err := GetAccount(v, uid)
	if a == nil || err != nil {
		return "", err
	}
	return " of organisation " + a.Organisation, nil
}

// changeWords collects what a change sets.
type changeWords struct {
	known bool // whether the present values are known
	parts []string
}

func (w *changeWords) add(set bool, what, to, from string) {
	if !set {
		return
	}
	s := what + " " + to
	if w.known {
		s += " instead of " + from
	}
	w.parts = append(w.parts, s)
}

func (w *changeWords) quota(what string, to *uint64, from uint64) {
	if to != nil {
		w.add(true, "the quota of "+what+" becomes", fmt.Sprint(*to), fmt.Sprint(from))
	}
}

// standWord says what a chain does with a batch of few organisations that the reference time is too far behind.
func standWord(stands bool) string {
	if stands {
		return "dated by the network's time"
	}
	return "refused when the network's time is behind"
}

func editionWord(e ltlv1.Edition) string {
	return strings.ToLower(strings.TrimPrefix(e.String(), "EDITION_"))
}

func timeWord(ms int64) string { return time.UnixMilli(ms).UTC().Format("2006-01-02T15:04:05Z") }
