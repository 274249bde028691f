package identity

import (
	"time"

	"ltl/internal/ledger"
)

// Bounds on the parts of an identity.
const (
	MaxOrganisationID = ledger.MaxOrganisationID
	MaxName           = 64
)

// MaxMessageBytes bounds one gRPC message in both directions. A Raft entry is at most 4 MiB; what carries several
// stays below this.
const MaxMessageBytes = 16 << 20

// SealingKeyLen is the length of a sealing key: the facades', and each endorser's for devices' keys.
const SealingKeyLen = 32

// Validity of the certificates that CreateNetwork and Issue make.
const (
	LeafValidity = 10 * 365 * 24 * time.Hour
	CAValidity   = 30 * 365 * 24 * time.Hour
)

// maxFileBytes bounds a key, certificate or trust file.
const maxFileBytes = 1 << 20
