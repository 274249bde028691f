package rules

import (
	"encoding/binary"
	"errors"
	"fmt"

	"ltl/internal/ledger"
	ltlv1 "ltl/proto/ltl/v1"
)

// Version is the newest version of the rules that this program knows: which Raft entries and transactions there are,
// and what they do. A change of any of these is a new version. A program keeps the behaviour of every older version
// to the byte, and executes each block under the version that was in force for it. ActivateRules puts the next
// version in force.
const Version uint32 = 1

// firstVersion is the version in force from the genesis on.
const firstVersion uint32 = 1

// ErrNewerRules is returned, wrapped, when rules are in force, or would come into force, that this program does not
// know. It executes nothing from then on, because its ledger would differ from that of programs that know the rules.
var ErrNewerRules = errors.New("this program is too old for the ledger's rules")

// newerRules returns ErrNewerRules, wrapped, with what to do about it.
func newerRules(needed uint32) error {
	return fmt.Errorf("%w: the ledger goes on under version %d of the rules, this program knows version %d; start this "+
		"process again with a program "+
		"that knows version %d (`ltl version` shows it), and it goes on where it "+
		"stopped", ErrNewerRules, needed, Version, needed)
}

// VersionInForce returns the version of the rules under which the next block is executed, after the genesis.
func VersionInForce(v View) (uint32, error) {
	b, err := v.Get(ledger.SystemChain, []byte(keyRules))
	switch {
	case err != nil:
		return 0, err
	case b == nil:
		return firstVersion, nil
	case len(b) != 4:
		return 0, fmt.Errorf("%w: the version of the rules has %d bytes", ErrState, len(b))
	}
	return binary.BigEndian.Uint32(b), nil
}

// KnownVersion returns VersionInForce, and ErrNewerRules, wrapped, if this program does not know that version.
func KnownVersion(v View) (uint32, error) {
	version, err := VersionInForce(v)
	if err == nil && version > Version {
		err = newerRules(version)
	}
	return version, err
}

// activateRules puts the next version in force from the next block on.
func (e *exec) activateRules(act action) (int32, string, error) {
	a := act.tx.GetActivateRules()
	now, err := VersionInForce(e)
	switch {
	case err != nil:
		return 0, "", err
	case a.GetVersion() != now+1:
		return e.refuse(Conflict,
			fmt.Sprintf("Version %d of the rules is in force; only version %d can be put in force next.", now, now+1)), "", nil
	case a.GetVersion() > Version:
		return 0, "", newerRules(a.GetVersion())
	}
	e.put(keyRules, binary.BigEndian.AppendUint32(nil, a.GetVersion()))
	return OK, "", nil
}

// tooNew reports whether a transaction would put rules in force that this program does not know, or proposes or votes
// to do so. A process must not sign or order it, because it would then stop.
func (e *exec) tooNew(tx *ltlv1.Transaction) (bool, error) {
	proposed := tx.GetPropose()
	if id := tx.GetApprove().GetProposalId(); len(id) == len(ledger.Hash{}) {
		var err error
		if proposed, err = GetProposed(e, ledger.Hash(id)); err != nil {
			return false, err
		}
	}
	return max(tx.GetActivateRules().GetVersion(), proposed.GetActivateRules().GetVersion()) > Version, nil
}
