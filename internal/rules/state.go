package rules

import (
	"errors"

	ltlv1 "ltl/proto/ltl/v1"
)

// ErrState is returned, wrapped, for state bytes that do not follow their layout: they are corrupt, not absent.
var ErrState = errors.New("malformed state")

// Roles of an account on a chain.
const (
	RoleAdmin  = "ADMIN"
	RoleMember = "MEMBER"
)

// Status of a member.
const (
	StatusUnlock = "UNLOCK"
	StatusLock   = "LOCK"
)

// Network is the data of the genesis, with the ids of all organisations and nodes in the order in which they joined.
type Network struct {
	Name          string
	CreatedMs     int64
	Policy        string
	Organisations []string
	Nodes         []string
	// Invited are the organisations that have not accepted yet, also some whose invitation has lapsed.
	Invited []string
}

// Organisation is a party of the consortium.
type Organisation struct {
	ID, Name        string
	CACertificate   []byte
	EndorserKey     []byte
	EndorserAddress string
}

// Node is a consensus node. A node that was removed is kept, with that membership.
type Node struct {
	ID, Organisation, Address string
	Key                       []byte
	// Membership is what the node is to be in consensus.
	Membership ltlv1.NodeMembership
	// StoreID is the random id of the data directory that it was added with; empty for a node of the genesis.
	StoreID []byte
	// Replaces is the node that this one replaces, ReplacedBy the node that replaces this one; empty for none.
	Replaces, ReplacedBy string
	// ChangedHeight is the system block that changed its membership last; 0 for none since the genesis.
	ChangedHeight uint64
}

// Account is an account without its secrets.
type Account struct {
	UID, Name    string
	Type         ltlv1.AccountType
	Organisation string
	// CreatedHeight and CreatedIndex locate the transaction on the system chain that created it.
	CreatedHeight uint64
	CreatedIndex  uint32
}

// Chain is a business chain.
type Chain struct {
	ID, Code, Name, Remark  string
	Service                 ltlv1.ChainService
	Edition                 ltlv1.Edition
	Region                  string
	EffectiveMs, ExpiredMs  int64
	CapacityQuota           uint64
	CountQuota, MemberQuota uint64
	PhaseGroupQuota         uint64
	PhaseQuota              uint64
	Policy                  string
	// Organisations endorse on this chain; they are named in this order.
	Organisations []string
	// The administrator's own entry on the chain.
	AdministratorUID, AdministratorTypeCode, AdministratorMemberID string
	CreatedMs                                                      int64
	CreatedHeight                                                  uint64
	CreatedIndex                                                   uint32
	// TimeStands is set when a batch of half of the organisations or fewer, far ahead of the reference time, is dated by
	// the reference time instead of being refused.
	TimeStands bool
}

// Member is an account's entry on a chain.
type Member struct {
	UID, ID, Name, Contact, Phone, Remark string
	// Role is RoleAdmin or RoleMember, Status is StatusUnlock or StatusLock.
	Role, TypeCode, Status string
	CreatedMs              int64
	CreatedHeight          uint64
	CreatedIndex           uint32
}

// DeviceGroup is a product whose devices may sign uploads of the member that registered it.
type DeviceGroup struct {
	ID, ProductKey, Name, AuthorizeType, Remark string
	// OwnerID is the member id of the account that registered it. The group stays with the entry when another account
	// takes that over.
	OwnerID       string
	Authorized    bool
	CreatedHeight uint64
	CreatedIndex  uint32
}

// Device is a device that has signed an accepted upload.
type Device struct {
	ID, GroupID, IotID string
	Authorized         bool
	// LastSaveMs is the time of the block of its last accepted upload.
	LastSaveMs    int64
	CreatedHeight uint64
	CreatedIndex  uint32
}

// Usage is what a chain, or an account on a chain, has used.
type Usage struct {
	Count, Bytes uint64
	// Members counts the members of a chain without its administrator; it is 0 in the usage of an account.
	Members uint64
}

// Expired reports whether the chain's term is over at a block time. Then the chain can only be read.
func (c *Chain) Expired(timeMs int64) bool { return timeMs >= c.ExpiredMs }
