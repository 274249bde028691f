package rules

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	ltlv1 "ltl/proto/ltl/v1"
)

// PhaseKeyVersion is the version part of the Key of phase data.
const PhaseKeyVersion = "0002"

// Permissions of an account on a phase, as the API numbers them.
const (
	PermissionRead      = 1
	PermissionReadWrite = 3
)

// PhaseGroup is a workflow on a collaboration chain.
type PhaseGroup struct {
	ID, Name, Remark string
	// Phases are the ids of its phases, oldest first.
	Phases        []string
	CreatedHeight uint64
	CreatedIndex  uint32
}

// Phase is one step of a workflow.
type Phase struct {
	ID, GroupID, Name, Remark string
	// Code is the type part of the Keys of the phase's records: 4 upper-case hexadecimal characters, unique on the chain.
	Code          string
	CreatedHeight uint64
	CreatedIndex  uint32
}

// PhaseTotals counts the phase groups and phases of a collaboration chain.
type PhaseTotals struct{ Groups, Phases uint64 }

// permission is the list of phases of one group that one member may write to.
type permission struct{ phases []string }

func (g *PhaseGroup) encode() []byte {
	e := encoder{[]byte{stateVersion}}
	e.strings(g.ID, g.Name, g.Remark)
	e.list(g.Phases)
	e.u64(g.CreatedHeight)
	e.u32(g.CreatedIndex)
	return e.b
}

func parsePhaseGroup(b []byte) (*PhaseGroup, error) {
	g, d := &PhaseGroup{}, begin(b)
	d.strings(&g.ID, &g.Name, &g.Remark)
	g.Phases = d.list()
	g.CreatedHeight = d.u64()
	g.CreatedIndex = d.u32()
	return g, d.end("phase group")
}

func (p *Phase) encode() []byte {
	e := encoder{[]byte{stateVersion}}
	e.strings(p.ID, p.GroupID, p.Name, p.Remark, p.Code)
	e.u64(p.CreatedHeight)
	e.u32(p.CreatedIndex)
	return e.b
}

func parsePhase(b []byte) (*Phase, error) {
	p, d := &Phase{}, begin(b)
	d.strings(&p.ID, &p.GroupID, &p.Name, &p.Remark, &p.Code)
	p.CreatedHeight = d.u64()
	p.CreatedIndex = d.u32()
	return p, d.end("phase")
}

func (t *PhaseTotals) encode() []byte {
	e := encoder{[]byte{stateVersion}}
	e.u64(t.Groups)
	e.u64(t.Phases)
	return e.b
}

func parsePhaseTotals(b []byte) (*PhaseTotals, error) {
	d := begin(b)
	t := &PhaseTotals{Groups: d.u64(), Phases: d.u64()}
	return t, d.end("phase totals")
}

func (p *permission) encode() []byte {
	e := encoder{[]byte{stateVersion}}
	e.list(p.phases)
	return e.b
}

func parsePermission(b []byte) (*permission, error) {
	p, d := &permission{}, begin(b)
	p.phases = d.list()
	return p, d.end("permission")
}

// permissionKey is unambiguous because neither id has a "/". It has the id of the member's entry, not the account's
// uid: the permission stays with the entry when another account takes it over.
func permissionKey(memberID, groupID string) string {
	return prefixPermission + memberID + "/" + groupID
}

// GetPhaseGroup returns the phase group with this id; nil when there is none.
func GetPhaseGroup(v View, chainID, id string) (*PhaseGroup, error) {
	if !validAssignedID(id) {
		return nil, nil
	}
	return load(v, chainID, prefixPhaseGroup+id, parsePhaseGroup)
}

// GetPhase returns the phase with this id; nil when there is none.
func GetPhase(v View, chainID, id string) (*Phase, error) {
	if !validAssignedID(id) {
		return nil, nil
	}
	return load(v, chainID, prefixPhase+id, parsePhase)
}

// GetPhaseTotals returns how many phase groups and phases a chain has.
func GetPhaseTotals(v View, chainID string) (PhaseTotals, error) {
	t, err := load(v, chainID, keyPhaseTotals, parsePhaseTotals)
	if t == nil || err != nil {
		return PhaseTotals{}, err
	}
	return *t, nil
}

// ListPhaseGroups returns the phase groups of a chain, oldest first.
func ListPhaseGroups(r Reader, chainID string) ([]*PhaseGroup, error) {
	all, err := list(r, chainID, prefixPhaseGroup, parsePhaseGroup)
	slices.SortStableFunc(all, func(a, b *PhaseGroup) int {
		return cmp.Or(cmp.Compare(a.CreatedHeight, b.CreatedHeight), cmp.Compare(a.CreatedIndex, b.CreatedIndex))
	})
	return all, err
}

// ListPhases returns the phases of a group, oldest first.
func ListPhases(v View, chainID string, group *PhaseGroup) ([]*Phase, error) {
	var all []*Phase
	for _, id := range group.Phases {
		p, err := GetPhase(v, chainID, id)
		if err != nil {
			return nil, err
		}
		if p == nil {
			return nil, fmt.Errorf("%w: phase group %s names phase %q, which does not exist", ErrState, group.ID, id)
		}
		all = append(all, p)
	}
	return all, nil
}

// WritablePhases returns the phases of a group that the member may write to, in no particular order. The
// administrator may write to all of them.
func WritablePhases(v View, chainID string, m *Member, group *PhaseGroup) ([]string, error) {
	if m.Role == RoleAdmin {
		return group.Phases, nil
	}
	p, err := load(v, chainID, permissionKey(m.ID, group.ID), parsePermission)
	if p == nil || err != nil {
		return nil, err
	}
	return p.phases, nil
}

// PhaseKey returns the Key of the records of a data key on a phase.
func PhaseKey(chainCode, phaseCode, dataKey string) string {
	return PhaseKeyVersion + "_" + chainCode + "_" + phaseCode + "_" + dataKey
}

// PlainDataKey returns the data key of text, which is a data key or the whole Key of a record of the phase; otherwise
// the code OutOfRange.
func PlainDataKey(chain *Chain, phase *Phase, text string) (string, int32) {
	dataKey, _ := strings.CutPrefix(text, PhaseKey(chain.Code, phase.Code, ""))
	if !validDataName(dataKey, MaxDataKey) {
		return "", OutOfRange
	}
	return dataKey, OK
}

// CollaborationChain reports whether the chain is one of the collaboration service.
func CollaborationChain(c *Chain) bool {
	return c.Service == ltlv1.ChainService_CHAIN_SERVICE_COLLABORATION
}

// ValidDataSeq reports whether s is 1 to MaxDataSeq letters, digits, "-" and ".".
func ValidDataSeq(s string) bool { return validDataName(s, MaxDataSeq) }

// validDataName reports whether s is 1 to limit letters, digits, "-" and ".". Without "_" a data key can be the last
// part of a Key.
func validDataName(s string, limit int) bool {
	return s != "" && len(s) <= limit && allIDRunes(s)
}
