package rules

import (
	"ltl/internal/ledger"
	"ltl/internal/policy"
)

// Bounds on messages.
const (
	// MaxTransaction is the longest transaction payload in bytes: a batch of 50 items of 4,096 each, related data
	// included, fits.
	MaxTransaction = 960 << 10
	// MaxBatchTransactions is the largest number of transactions in a batch.
	MaxBatchTransactions = ledger.MaxBatchTransactions
	// MaxBatch is the largest sum of the payloads of a batch in bytes.
	MaxBatch = 1 << 20
	// MaxEntry is the largest Raft entry in bytes.
	MaxEntry = 4 << 20
	// MaxEndorsements is the largest number of endorsements on a batch; a batch with more is not endorsed.
	MaxEndorsements = policy.MaxOrganisations
	// MaxOrganisations is the largest number of organisations in a network.
	MaxOrganisations = policy.MaxOrganisations
	// MaxNodes is the largest number of nodes in a genesis, and of nodes that are in a network at a time.
	MaxNodes = 64
	// MaxNodesOf is the largest number of nodes of one organisation at a time beyond those of the genesis, so that none
	// takes the others' places; one of them can be replaced at any number.
	MaxNodesOf = 4
	// MaxNodesEver is the largest number of nodes that an organisation ever has, removed ones included: ids are not used
	// again.
	MaxNodesEver = 128
)

// Bounds on fields, from the LTL manual where it speaks of them.
const (
	// MaxValue is the longest value of a proof record, in bytes of UTF-8.
	MaxValue = 256
	// MaxKeyID is the longest last part of a Key, in characters.
	MaxKeyID = 64
	// ChainCodeLen is the length of a chain code.
	ChainCodeLen = 16
	// TypeCodeLen is the length of a data type code.
	TypeCodeLen = 4
	// BusinessIDLen is the length of a BusinessId chosen by the caller.
	BusinessIDLen = 64
	// MinName and MaxName bound names, in characters.
	MinName = 2
	MaxName = 30
	// MaxRemark bounds remarks, in characters.
	MaxRemark = 100
	// MaxDeviceKeys bounds the keys that one device ever has.
	MaxDeviceKeys = 64
	// MaxReason bounds the reason of a correction, in characters.
	MaxReason = 200
	// MaxPhone bounds phone numbers, in characters.
	MaxPhone = 20
	// MinUID and MaxUID bound the digits of an account's uid.
	MinUID = 16
	MaxUID = 18
	// NonceLen is the length of a transaction's nonce in bytes.
	NonceLen = 16
	// MaxAccessKeyID and MaxSignatureNonce bound the names of a signed request, in bytes.
	MaxAccessKeyID    = 128
	MaxSignatureNonce = 256
	// MaxIdentityPart bounds each part of a submitter's identity, in bytes.
	MaxIdentityPart = 64
	// MaxOrganisationID and MaxNodeID bound the ids of organisations and nodes, in bytes.
	MaxOrganisationID = ledger.MaxOrganisationID
	MaxNodeID         = 32
	// StoreIDLen is the length of the random id of a node's data directory, in bytes.
	StoreIDLen = 16
	// MaxOrganisationName bounds an organisation's name, in characters.
	MaxOrganisationName = 60
	// MaxNetworkName bounds a network's name, in bytes.
	MaxNetworkName = 64
	// MaxCertificate bounds the DER of a certificate authority, in bytes.
	MaxCertificate = 8 << 10
	// MaxAddress bounds a host:port, in bytes.
	MaxAddress = 255
	// MaxRegion bounds a chain's region, in bytes.
	MaxRegion = 32
	// AssignedIDLen is the number of digits of the identifiers that the ledger assigns to members, device groups and
	// devices.
	AssignedIDLen = 16
	// MaxProductKey and MaxIotID bound the names of device groups' products and of devices, in characters.
	MaxProductKey = 64
	MaxIotID      = 64
	// MaxDeviceSignature bounds a device's signature string, in bytes; an RSA key's has 380.
	MaxDeviceSignature = 512
	// MaxDeviceAheadMs is how far a device's clock may be ahead of the block, in milliseconds.
	MaxDeviceAheadMs = 10 * 60 * 1000
)

// Bounds on phase data, from the LTL manual where it speaks of them.
const (
	// MaxPhaseData is the longest phase data in the clear: a character of ASCII counts 1, any other 2.
	MaxPhaseData = 4096
	// PhaseDigestLen is the number of hexadecimal characters of phase data that is a digest.
	PhaseDigestLen = 64
	// MaxPhaseItems is the largest number of records in one upload.
	MaxPhaseItems = 50
	// MaxRelated is the largest number of records that one record may refer to.
	MaxRelated = 50
	// MaxDataKey and MaxDataSeq bound the names of phase records, in characters.
	MaxDataKey = 64
	MaxDataSeq = 64
)

// Defaults of a chain's fields that CreateChain leaves zero.
const (
	DefaultCapacityBytes = 800_000_000_000
	DefaultCount         = 10_000_000
	DefaultMembers       = 100
	DefaultPhaseGroups   = 200
	DefaultPhases        = 5
	DefaultYears         = 10
	DefaultRegion        = "cn-shanghai"
)
