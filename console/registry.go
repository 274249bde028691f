package console

import (
	"crypto/x509"
	"encoding/hex"
	"slices"
	"strconv"
	"strings"
	"time"

	"ltl/internal/rules"
	ltlv1 "ltl/proto/ltl/v1"
)

// enumKey is the key of the sentence for a value of an enumeration. One that a newer program knows is not known here.
func enumKey[E ~int32](prefix string, value E) string {
	most := map[string]int32{"membership.": 3, "standing.": 4, "account.type.": 2, "proposal.state.": 6}[prefix]
	if value < 0 || int32(value) > most {
		value = 0
	}
	return prefix + strconv.Itoa(int(value))
}

// organisationRow is an organisation of the network.
type organisationRow struct {
	*ltlv1.Organisation
	Facts *ltlv1.OrganisationFacts
	// Standing is the key of a sentence.
	Standing string
	Key      string
}

// nodeRow is a node of the network.
type nodeRow struct {
	*ltlv1.Node
	Membership string
}

// organisationsView is the page of organisations and nodes.
type organisationsView struct {
	Organisations []organisationRow
	Nodes         []nodeRow
	Removed       []string
}

// organisations shows organisations and nodes.
func (v *visit) organisations() (*view, error) {
	network, err := v.ownNetwork()
	if err != nil {
		return nil, err
	}
	out := &organisationsView{Removed: append(slices.Clone(network.GetRemoved()), network.GetRemovedNodes()...)}
	for i, o := range network.GetOrganisations() {
		row := organisationRow{Organisation: o, Facts: &ltlv1.OrganisationFacts{}, Key: hex.EncodeToString(o.GetEndorserKey())}
		if i < len(network.GetFacts()) {
			row.Facts = network.GetFacts()[i]
		}
		row.Standing = enumKey("standing.", row.Facts.GetStanding())
		out.Organisations = append(out.Organisations, row)
	}
	for i, n := range network.GetNodes() {
		membership := ltlv1.NodeMembership_NODE_MEMBERSHIP_UNSPECIFIED
		if i < len(network.GetMemberships()) {
			membership = network.GetMemberships()[i]
		}
		out.Nodes = append(out.Nodes, nodeRow{n, enumKey("membership.", membership)})
	}
	return &view{name: "own-organisations", title: "organisations.title", data: out}, nil
}

// authorityRow is a certificate authority of an organisation.
type authorityRow struct {
	Organisation, Fingerprint string
	// Until is the end of its validity; zero when the certificate cannot be read. Ends is set when it is near or over.
	Until time.Time
	Ends  bool
}

// keyRow is a key that signs, or signed.
type keyRow struct {
	Holder, Key string
	// Until is the height of the system chain at which it was replaced; 0 for one in force.
	Until uint64
}

// certificatesView is the page of certificates and keys.
type certificatesView struct {
	Identity    string
	Expires     time.Time
	Ends        bool
	Authorities []authorityRow
	Keys        []keyRow
	Revocations []*ltlv1.RevokeCertificate
}

// certificatesPage shows the reader's own certificate, the authorities with their ends, the keys that sign, and what was
// revoked.
func (v *visit) certificatesPage() (*view, error) {
	network, err := v.ownNetwork()
	if err != nil {
		return nil, err
	}
	keys, err := v.ledger.GetKeys(v.r.Context(), &ltlv1.GetKeysRequest{})
	if err != nil {
		return nil, err
	}
	out := &certificatesView{Identity: v.own.cfg.Identity.String(), Expires: v.own.cfg.Expires,
		Ends: v.own.cfg.Expires.Sub(v.clock()) < endsSoon, Revocations: network.GetRevocations()}
	changed := map[string][][]byte{}
	for _, a := range network.GetAuthorities() {
		changed[a.GetOrganisation()] = a.GetCertificates()
	}
	for _, o := range network.GetOrganisations() {
		certificates, ok := changed[o.GetId()]
		if !ok {
			certificates = [][]byte{o.GetCaCertificate()}
		}
		for _, der := range certificates {
			row := authorityRow{Organisation: o.GetId(), Fingerprint: fingerprint(der)}
			if c, err := x509.ParseCertificate(der); err == nil {
				row.Until, row.Ends = c.NotAfter, c.NotAfter.Sub(v.clock()) < endsSoon
			}
			out.Authorities = append(out.Authorities, row)
		}
	}
	for _, k := range keys.GetOrganisationKeys() {
		out.Keys = append(out.Keys, keyRow{k.GetOrganisation(), hex.EncodeToString(k.GetKey()), k.GetUntil()})
	}
	for _, k := range keys.GetNodeKeys() {
		row := keyRow{k.GetId(), hex.EncodeToString(k.GetKey()), 0}
		if k.GetMembership() == ltlv1.NodeMembership_NODE_MEMBERSHIP_REMOVED {
			row.Until = k.GetChanged()
		}
		out.Keys = append(out.Keys, row)
	}
	return &view{name: "own-certificates", title: "certificates.title", data: out}, nil
}

// accountsView is a page of accounts.
type accountsView struct {
	Value    string
	Accounts []*ltlv1.AccountInfo
	Pages    pager
}

// accounts lists the accounts of all organisations, oldest first, or the one with a UID.
func (v *visit) accounts() (*view, error) {
	out := &accountsView{Value: strings.TrimSpace(v.r.URL.Query().Get("value"))}
	res, err := v.ledger.GetAccount(v.r.Context(), &ltlv1.GetAccountRequest{Uid: out.Value,
		Page: uint32(v.pagerOf(1 << 40).Number), Size: pageSize})
	if err != nil {
		return nil, err
	}
	if res.GetCode() == rules.OK {
		out.Accounts = res.GetAccounts()
	}
	out.Pages = v.pagerOf(max(res.GetTotal(), uint64(len(out.Accounts))))
	return &view{name: "own-accounts", title: "accounts.title", data: out}, nil
}

// accountView is the page of an account.
type accountView struct {
	*ltlv1.AccountInfo
	Keys   []*ltlv1.AccessKeyInfo
	Chains []*ltlv1.ChainInfo
	Locked uint64
}

// account shows an account with its AccessKeys, of which the ledger has no secrets, and its chains.
func (v *visit) account() (*view, error) {
	uid := v.r.PathValue("uid")
	if uid == "" {
		return nil, errNothing
	}
	ctx := v.r.Context()
	res, err := v.ledger.GetAccount(ctx, &ltlv1.GetAccountRequest{Uid: uid})
	if err != nil {
		return nil, err
	}
	if res.GetCode() != rules.OK || len(res.GetAccounts()) != 1 {
		return nil, errNothing
	}
	out := &accountView{AccountInfo: res.GetAccounts()[0]}
	keys, err := v.ledger.ListAccessKeys(ctx, &ltlv1.ListAccessKeysRequest{AccountUid: uid, Page: 1, Size: rpcPage})
	if err != nil {
		return nil, err
	}
	chains, err := v.ledger.ListChains(ctx, &ltlv1.ListChainsRequest{AccountUid: uid, Page: 1, Size: rpcPage})
	if err != nil {
		return nil, err
	}
	out.Keys, out.Chains, out.Locked = keys.GetAccessKeys(), chains.GetChains(), chains.GetLocked()
	return &view{name: "own-account", title: "account.title", data: out}, nil
}

// enrolmentsView is a page of enrolled devices, with the products that organisations claimed.
type enrolmentsView struct {
	Products []*ltlv1.ProductInfo
	Devices  []*ltlv1.EnrolmentInfo
	Pages    pager
}

// enrolments lists products and the devices whose keys the network knows.
func (v *visit) enrolments() (*view, error) {
	products, err := v.ledger.ListProducts(v.r.Context(), &ltlv1.ListProductsRequest{Page: 1, Size: rpcPage})
	if err != nil {
		return nil, err
	}
	devices, err := v.ledger.ListEnrolments(v.r.Context(), &ltlv1.ListEnrolmentsRequest{
		Page: uint32(v.pagerOf(1 << 40).Number), Size: pageSize})
	if err != nil {
		return nil, err
	}
	return &view{name: "own-enrolments", title: "enrolments.title", data: &enrolmentsView{Products: products.GetProducts(),
		Devices: devices.GetDevices(), Pages: v.pagerOf(devices.GetTotal())}}, nil
}
