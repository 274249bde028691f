package rules

import (
	"crypto/ed25519"

	"ltl/internal/ledger"
)

// Standing is what an organisation is in the network. Its number stands in the state.
type Standing uint32

const (
	// StandingInvited: the network decided to take it in, and it has not accepted yet. Its endorser and its operators may
	// follow the ledger; it has no vote, no endorsement of it counts, and it has no nodes.
	StandingInvited Standing = iota + 1
	// StandingActive: it is one of the organisations that decide.
	StandingActive
	// StandingLeft: it left the network by its own decision.
	StandingLeft
	// StandingRemoved: the others removed it.
	StandingRemoved
)

// MaxDelegates is the largest number of facades of other organisations that may speak for an organisation's accounts.
const MaxDelegates = 8

// OrganisationFacts is what the ledger says of an organisation beside its definition, whose bytes do not change with it.
type OrganisationFacts struct {
	Standing Standing
	// LapsesMs is the block time from which an invitation can no longer be accepted; 0 unless it is invited.
	LapsesMs int64
	// RecoveryKey is the Ed25519 public key whose private part the organisation keeps offline; empty while it has none.
	RecoveryKey []byte
	// Recoveries counts what the recovery key has signed. Each signature is over the number that comes next, so that it
	// counts once.
	Recoveries uint32
	// Delegates are the identities of other organisations' facades that may speak for its accounts.
	Delegates []string
}

func organisationFactsKey(id string) string { return prefixOrganisationFacts + id }

// GetOrganisationFacts returns the facts of an organisation. One of which nothing was recorded is active; the caller
// knows that it exists.
func GetOrganisationFacts(v View, id string) (*OrganisationFacts, error) {
	f, err := load(v, ledger.SystemChain, organisationFactsKey(id), parseOrganisationFacts)
	if f == nil && err == nil {
		f = &OrganisationFacts{Standing: StandingActive}
	}
	return f, err
}

func (e *exec) putOrganisationFacts(id string, f *OrganisationFacts) {
	e.put(organisationFactsKey(id), f.encode())
}

func (f *OrganisationFacts) encode() []byte {
	e := encoder{[]byte{stateVersion}}
	e.u32(uint32(f.Standing))
	e.i64(f.LapsesMs)
	e.bytes(f.RecoveryKey)
	e.u32(f.Recoveries)
	e.list(f.Delegates)
	return e.b
}

func parseOrganisationFacts(b []byte) (*OrganisationFacts, error) {
	f, d := &OrganisationFacts{}, begin(b)
	f.Standing = Standing(d.u32())
	f.LapsesMs = d.i64()
	f.RecoveryKey = d.bytes()
	f.Recoveries = d.u32()
	f.Delegates = d.list()
	d.bad = d.bad || f.Standing < StandingInvited || f.Standing > StandingRemoved ||
		len(f.RecoveryKey) != 0 && len(f.RecoveryKey) != ed25519.PublicKeySize || len(f.Delegates) > MaxDelegates
	return f, d.end("facts of an organisation")
}
