package rules

import (
	"fmt"

	"ltl/internal/ledger"
)

// Bounds on what an organisation enters by its own acts in tables that all organisations share. What it entered counts
// for ever, also when it was given away, so giving away makes no room.
const (
	// MaxAccounts is the largest number of accounts that an organisation ever creates. It chooses their uids, of which
	// there is each once in a network.
	MaxAccounts = 100_000
	// MaxChains is the largest number of chains that an organisation ever creates. Every node and endorser keeps the newest
	// header of each chain in memory and goes through all of them for each checkpoint.
	MaxChains = 4096
	// MaxProducts is the largest number of products that an organisation ever claims. The first claim of a name counts, so
	// without a bound one organisation could claim all names that others are likely to use.
	MaxProducts = 1024
)

// sharedTable is a table that all organisations enter things in.
type sharedTable int

const (
	tableAccounts sharedTable = iota
	tableChains
	tableProducts
	sharedTables
)

// entered counts what an organisation has entered in each table.
type entered [sharedTables]uint32

// bound returns the name of a table's entries, and how many an organisation may enter.
func (in sharedTable) bound() (things string, most uint32) {
	switch in {
	case tableAccounts:
		return "accounts", MaxAccounts
	case tableChains:
		return "chains", MaxChains
	}
	return "products", MaxProducts
}

// enter counts one more entry of an organisation; the caller writes the entry itself next. It writes nothing and returns
// QuotaExceeded when the organisation has entered as many as it may.
func (e *exec) enter(organisation string, in sharedTable) (int32, error) {
	n, err := load(e, ledger.SystemChain, prefixEntered+organisation, parseEntered)
	if err != nil {
		return 0, err
	}
	if n == nil {
		n = &entered{}
	}
	if things, most := in.bound(); n[in] >= most {
		return e.refuse(QuotaExceeded, fmt.Sprintf(reasonEntered, organisation, most, things)), nil
	}
	n[in]++
	e.put(prefixEntered+organisation, n.encode())
	return OK, nil
}

func (n *entered) encode() []byte {
	e := encoder{[]byte{stateVersion}}
	for _, v := range n {
		e.u32(v)
	}
	return e.b
}

func parseEntered(b []byte) (*entered, error) {
	n, d := &entered{}, begin(b)
	for i := range n {
		n[i] = d.u32()
	}
	return n, d.end("what an organisation has entered")
}
