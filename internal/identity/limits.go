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

// farewellTime is how long a caller that is not trusted any more has to receive the answer to what made it so.
const farewellTime = 2 * time.Second

// hurriedFarewell is what is left of that when it calls again: it may have a newer certificate, and has to make
// another connection to use it.
const hurriedFarewell = 100 * time.Millisecond

// MaxMessageBytes bounds one gRPC message in both directions. A Raft entry is at most 4 MiB; what carries several
// stays below this.
const MaxMessageBytes = 16 << 20

// SealingKeyLen is the length of a sealing key: the facades', and each endorser's for devices' keys.
const SealingKeyLen = 32

// maxTransferKeys bounds the sealing keys that are sent to a facade at once: the present one, the next one, and those that
// only backups need.
const maxTransferKeys = 64

// Validity of the certificates that CreateNetwork and Issue make.
const (
	LeafValidity = 10 * 365 * 24 * time.Hour
	CAValidity   = 30 * 365 * 24 * time.Hour
)

// maxFileBytes bounds a key, certificate or trust file.
const maxFileBytes = 1 << 20
