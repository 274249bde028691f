package rules

import (
	"cmp"
	"fmt"
	"slices"

	"ltl/internal/ledger"
	ltlv1 "ltl/proto/ltl/v1"
)

// load reads and parses one value; nil when it is absent.
func load[T any](v View, chainID, key string, parse func([]byte) (*T, error)) (*T, error) {
	b, err := v.Get(chainID, []byte(key))
	if b == nil || err != nil {
		return nil, err
	}
	value, err := parse(b)
	if err != nil {
		return nil, fmt.Errorf("chain %s, key %q: %w", chainID, key, err)
	}
	return value, nil
}

// list reads and parses all values under a prefix.
func list[T any](r Reader, chainID, prefix string, parse func([]byte) (*T, error)) ([]*T, error) {
	var all []*T
	err := r.Scan(chainID, []byte(prefix), func(key, b []byte) error {
		value, err := parse(b)
		if err != nil {
			return fmt.Errorf("chain %s, key %q: %w", chainID, key, err)
		}
		if value != nil {
			all = append(all, value)
		}
		return nil
	})
	return all, err
}

// GetNetwork returns the genesis data; nil before the genesis block.
func GetNetwork(v View) (*Network, error) {
	return load(v, ledger.SystemChain, keyNetwork, parseNetwork)
}

// GetOrganisation returns the organisation with this id, also a removed one; nil when there never was one.
func GetOrganisation(v View, id string) (*Organisation, error) {
	return load(v, ledger.SystemChain, prefixOrganisation+id, parseOrganisation)
}

// GetNode returns the node with this id, also a removed one; nil when there never was one.
func GetNode(v View, id string) (*Node, error) {
	n, err := load(v, ledger.SystemChain, prefixNode+id, parseNode)
	if n == nil || err != nil {
		return nil, err
	}
	facts, err := load(v, ledger.SystemChain, prefixNodeFacts+id, parseNodeFacts)
	if err != nil {
		return nil, err
	}
	if n.Membership = ltlv1.NodeMembership_NODE_MEMBERSHIP_VOTER; facts != nil {
		n.Membership, n.StoreID, n.ChangedHeight = facts.Membership, facts.StoreID, facts.ChangedHeight
		n.Replaces, n.ReplacedBy = facts.Replaces, facts.ReplacedBy
	}
	return n, nil
}

// GetAccount returns the account with this uid; nil when there is none.
func GetAccount(v View, uid string) (*Account, error) {
	return load(v, ledger.SystemChain, prefixAccount+uid, parseAccount)
}

// GetChain returns the business chain with this id; nil when there is none.
func GetChain(v View, id string) (*Chain, error) {
	return load(v, ledger.SystemChain, prefixChain+id, parseChain)
}

// ChainByCode returns the business chain with this code; nil when there is none.
func ChainByCode(v View, code string) (*Chain, error) {
	id, err := v.Get(ledger.SystemChain, []byte(prefixChainCode+code))
	if id == nil || err != nil {
		return nil, err
	}
	c, err := GetChain(v, string(id))
	if err == nil && c == nil {
		return nil, fmt.Errorf("%w: chain code %q leads to no chain", ErrState, code)
	}
	return c, err
}

// GetMember returns the account's entry on the chain, the administrator's included; nil when there is none.
func GetMember(v View, chain *Chain, uid string) (*Member, error) {
	if uid == chain.AdministratorUID {
		return administrator(chain), nil
	}
	return load(v, chain.ID, prefixMember+uid, parseEntry)
}

// administrator returns the administrator's entry. It is part of the chain's own record: a transaction on the system
// chain makes it, and cannot write to another chain.
func administrator(c *Chain) *Member {
	return &Member{
		UID: c.AdministratorUID, ID: c.AdministratorMemberID, Role: RoleAdmin, TypeCode: c.AdministratorTypeCode,
		Status:    StatusUnlock,
		CreatedMs: c.CreatedMs,
	}
}

// TypeCodeOwner returns the uid of the account that a data type code of the chain belongs to; "" when there is none.
func TypeCodeOwner(v View, chain *Chain, typeCode string) (string, error) {
	if typeCode == chain.AdministratorTypeCode {
		return chain.AdministratorUID, nil
	}
	uid, err := v.Get(chain.ID, []byte(prefixTypeCode+typeCode))
	return string(uid), err
}

// GetUsage returns what an account has used on a chain; with an empty uid, the chain's totals.
func GetUsage(v View, chainID, uid string) (Usage, error) {
	b, err := v.Get(chainID, []byte(prefixUsage+uid))
	if b == nil || err != nil {
		return Usage{}, err
	}
	return parseUsage(b)
}

// ListChains returns all business chains, oldest first.
func ListChains(r Reader) ([]*Chain, error) {
	all, err := list(r, ledger.SystemChain, prefixChain, parseChain)
	slices.SortStableFunc(all, func(a, b *Chain) int {
		return cmp.Or(cmp.Compare(a.CreatedHeight, b.CreatedHeight), cmp.Compare(a.CreatedIndex, b.CreatedIndex))
	})
	return all, err
}

// ListAccounts returns all accounts, oldest first.
func ListAccounts(r Reader) ([]*Account, error) {
	all, err := list(r, ledger.SystemChain, prefixAccount, parseAccount)
	slices.SortStableFunc(all, func(a, b *Account) int {
		return cmp.Or(cmp.Compare(a.CreatedHeight, b.CreatedHeight), cmp.Compare(a.CreatedIndex, b.CreatedIndex))
	})
	return all, err
}

// ListMembers returns the members of a chain, the administrator first, then oldest first.
func ListMembers(r Reader, chain *Chain) ([]*Member, error) {
	all, err := list(r, chain.ID, prefixMember, parseEntry)
	slices.SortStableFunc(all, func(a, b *Member) int {
		return cmp.Or(cmp.Compare(a.CreatedHeight, b.CreatedHeight), cmp.Compare(a.CreatedIndex, b.CreatedIndex))
	})
	return append([]*Member{administrator(chain)}, all...), err
}

// ListOrganisations returns all organisations that are of the network, in the order in which they joined.
func ListOrganisations(v View) ([]*Organisation, error) {
	return listNamed(v, func(n *Network) []string { return n.Organisations }, GetOrganisation)
}

// ListInvited returns the organisations that were invited and have not accepted, also some whose invitation has lapsed.
func ListInvited(v View) ([]*Organisation, error) {
	return listNamed(v, func(n *Network) []string { return n.Invited }, GetOrganisation)
}

// ListNodes returns all nodes in the order in which they joined, those that were removed included.
func ListNodes(v View) ([]*Node, error) {
	return listNamed(v, func(n *Network) []string { return n.Nodes }, GetNode)
}

func listNamed[T any](v View, ids func(*Network) []string, get func(View, string) (*T, error)) ([]*T, error) {
	n, err := GetNetwork(v)
	if n == nil || err != nil {
		return nil, err
	}
	var all []*T
	for _, id := range ids(n) {
		value, err := get(v, id)
		if err != nil {
			return nil, err
		}
		if value == nil {
			return nil, fmt.Errorf("%w: the network names %q, which does not exist", ErrState, id)
		}
		all = append(all, value)
	}
	return all, nil
}

// Locate returns the locator under an indexed key (TransactionKey, NewestKey, …); nil when there is none.
func Locate(v View, chainID string, key []byte) (*Locator, error) {
	l, found, err := locate(v, chainID, key)
	if !found || err != nil {
		return nil, err
	}
	return &l, nil
}

func locate(v View, chainID string, key []byte) (Locator, bool, error) {
	b, err := v.Get(chainID, key)
	if b == nil || err != nil {
		return Locator{}, false, err
	}
	l, err := ParseLocator(b)
	if err != nil {
		return Locator{}, false, fmt.Errorf("chain %s, key %q: %w", chainID, key, err)
	}
	return l, true, nil
}

// LocateVersion returns the locator of the version-th record of a Key, counting from 1; nil when there is none. Use
// it and not VersionKey: a Key that takes one value has no entry for its only version.
func LocateVersion(v View, chainID, key string, version uint32) (*Locator, error) {
	newest, found, err := locate(v, chainID, NewestKey(key))
	switch {
	case !found || err != nil || version == 0 || version > newest.Version():
		return nil, err
	case version == newest.Version():
		newest.Extra = version
		return &newest, nil
	}
	l, err := Locate(v, chainID, VersionKey(key, version))
	if err == nil && l == nil {
		return nil, fmt.Errorf("%w: version %d of key %q is missing", ErrState, version, key)
	}
	return l, err
}

// CanRead judges whether the account may read the Key on the chain: OK, or the code of the refusal. An empty uid
// stands for an operator or auditor, which may read everything, as the administrator may. A member may read Keys with
// its own type code; a Key with another member's is Forbidden, one with an unknown type code is BadTypeCode.
func CanRead(v View, chain *Chain, uid, key string) (int32, error) {
	var own string // the only type code that the reader may read
	if uid != "" {
		m, code, err := MemberOf(v, chain, uid)
		if code != OK || err != nil {
			return code, err
		}
		if m.Role != RoleAdmin {
			own = m.TypeCode
		}
	}
	typeCode, code := CheckKey(chain.Code, key)
	if code != OK || typeCode == own {
		return code, nil
	}
	owner, err := TypeCodeOwner(v, chain, typeCode)
	switch {
	case owner == "" || err != nil:
		return BadTypeCode, err
	case own != "":
		return Forbidden, nil
	}
	return OK, nil
}

// MemberOf returns an account's entry on the chain, for serving the account's reads. A code other than OK is the
// refusal: UnknownUID when there is no such account, NotRAM for a main account as a member, Forbidden when the
// account is not on the chain, is locked there, or belongs to an organisation that was removed.
func MemberOf(v View, chain *Chain, uid string) (*Member, int32, error) {
	if !ValidUID(uid) {
		return nil, UnknownUID, nil
	}
	a, err := GetAccount(v, uid)
	if a == nil || err != nil {
		return nil, UnknownUID, err
	}
	if gone, err := Removed(v, a.Organisation); gone || err != nil {
		return nil, Forbidden, err
	}
	m, err := GetMember(v, chain, uid)
	if err != nil {
		return nil, Forbidden, err
	}
	return m, memberCode(a, m), nil
}

// memberCode judges whether an account may use a chain at all.
func memberCode(a *Account, m *Member) int32 {
	switch {
	case m == nil:
		return Forbidden
	case m.Role == RoleMember && a.Type == ltlv1.AccountType_ACCOUNT_TYPE_ROOT:
		return NotRAM
	case m.Status != StatusUnlock:
		return Forbidden
	}
	return OK
}

// GetDeviceGroup returns the device group with this id; nil when there is none, or it was removed.
func GetDeviceGroup(v View, chainID, id string) (*DeviceGroup, error) {
	if !validAssignedID(id) {
		return nil, nil
	}
	return load(v, chainID, prefixDeviceGroup+id, parseGroupEntry)
}

// GetDevice returns the record of a device of a group; nil while it has not uploaded anything.
func GetDevice(v View, chainID, groupID, iotID string) (*Device, error) {
	if !validAssignedID(groupID) || !ValidIotID(iotID) {
		return nil, nil
	}
	return load(v, chainID, deviceKey(groupID, iotID), parseDevice)
}

// GetEnrolment returns what the network knows of a device's key, revoked or not; nil when it was never enrolled.
func GetEnrolment(v View, productKey, iotID string) (*Enrolment, error) {
	if !ValidProductKey(productKey) || !ValidIotID(iotID) {
		return nil, nil
	}
	return load(v, ledger.SystemChain, enrolmentKey(productKey, iotID), parseEnrolment)
}

// MemberByID returns the entry with a member id, the administrator's included; nil when there is none.
func MemberByID(v View, chain *Chain, id string) (*Member, error) {
	if id == chain.AdministratorMemberID {
		return administrator(chain), nil
	}
	if !validAssignedID(id) {
		return nil, nil
	}
	uid, err := v.Get(chain.ID, []byte(prefixMemberID+id))
	if uid == nil || err != nil {
		return nil, err
	}
	return GetMember(v, chain, string(uid))
}

// ListDeviceGroups returns the device groups of a chain, oldest first.
func ListDeviceGroups(r Reader, chainID string) ([]*DeviceGroup, error) {
	all, err := list(r, chainID, prefixDeviceGroup, parseGroupEntry)
	slices.SortStableFunc(all, func(a, b *DeviceGroup) int {
		return cmp.Or(cmp.Compare(a.CreatedHeight, b.CreatedHeight), cmp.Compare(a.CreatedIndex, b.CreatedIndex))
	})
	return all, err
}

// ListDevices returns the devices of a group that have uploaded data, in the order of their first upload.
func ListDevices(r Reader, chainID, groupID string) ([]*Device, error) {
	if !validAssignedID(groupID) {
		return nil, nil
	}
	all, err := list(r, chainID, deviceKey(groupID, ""), parseDevice)
	slices.SortStableFunc(all, func(a, b *Device) int {
		return cmp.Or(cmp.Compare(a.CreatedHeight, b.CreatedHeight), cmp.Compare(a.CreatedIndex, b.CreatedIndex))
	})
	return all, err
}

// ListEnrolments returns all devices that were ever enrolled, oldest first.
func ListEnrolments(r Reader) ([]*Enrolment, error) {
	all, err := list(r, ledger.SystemChain, prefixEnrolment, parseEnrolment)
	slices.SortStableFunc(all, func(a, b *Enrolment) int {
		return cmp.Or(cmp.Compare(a.CreatedHeight, b.CreatedHeight), cmp.Compare(a.CreatedIndex, b.CreatedIndex))
	})
	return all, err
}

// deviceKey and enrolmentKey are unambiguous because neither a group id nor a product key has a "/".
func deviceKey(groupID, iotID string) string { return prefixDevice + groupID + "/" + iotID }

func enrolmentKey(productKey, iotID string) string { return prefixEnrolment + productKey + "/" + iotID }
