package checkpoint

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"ltl/internal/rules"
)

// ErrUnrecorded is returned, wrapped, by signers of a network that was restored while the ledger does not say so.
var ErrUnrecorded = errors.New("the restoration of the network is not recorded")

// restoredMark stands in an origin before the number of the restoration after which its checkpoints are.
const restoredMark = "/r"

// Restored is the restoration after which checkpoints are signed. The zero value stands for a network that was never
// restored.
type Restored struct {
	// Number is that of the restoration that the ledger recorded last.
	Number uint32
	// Blocks is the number of blocks, over all chains, that it kept.
	Blocks uint64
}

// LastRestored returns the restoration that a ledger recorded last.
func LastRestored(v rules.View) (Restored, error) {
	all, err := rules.ListRestorations(v)
	if err != nil || len(all) == 0 {
		return Restored{}, err
	}
	last := all[len(all)-1]
	return Restored{last.Number, last.Blocks}, nil
}

// IsRecorded reports whether a ledger records the restoration with this epoch. An empty epoch is that of a network that
// was never restored.
func IsRecorded(v rules.View, epoch []byte) (bool, error) {
	if len(epoch) == 0 {
		return true, nil
	}
	all, err := rules.ListRestorations(v)
	return slices.ContainsFunc(all, func(r rules.Restoration) bool { return bytes.Equal(r.Epoch, epoch) }), err
}

// Unrecorded says that a restoration is not recorded, and what to do.
func Unrecorded(epoch []byte, blocks uint64) string {
	return fmt.Sprintf("the network was restored from a copy of %d blocks (restore epoch %x), and its organisations have not "+
		"recorded that yet: no checkpoints are signed, so certificates stay with the reservation not-certified; record it "+
		"with ltl network record-restoration", blocks, epoch)
}

// numberOf is the number of the restoration in an origin; 0 in one of a network that was never restored.
func numberOf(origin string) uint64 {
	i := strings.LastIndex(origin, restoredMark)
	if i < 0 {
		return 0
	}
	n, err := strconv.ParseUint(origin[i+len(restoredMark):], 10, 32)
	if err != nil {
		return 0
	}
	return n
}

// begin drops what was signed before the restoration with this origin: it is given out no more.
func (c *signing) begin(origin string) {
	c.given = slices.DeleteFunc(c.given, func(h held) bool { return h.origin != origin })
}

// continues reports whether a checkpoint may be signed after a restoration when another one was signed before it. What
// was signed before must then be what this copy has, as far as the restoration kept it; the rest is lost, and the
// restoration says so. Nothing goes back to an origin from before a restoration.
func (s *Signer) continues(ctx context.Context, chainID string, c *signing, before held, at Restored) (bool, error) {
	earlier := numberOf(before.origin)
	if earlier >= uint64(at.Number) || before.origin != Origin(s.source.Network, chainID, uint32(earlier)) {
		return false, nil
	}
	if have, _ := s.source.Chain(chainID); before.size > have.Blocks {
		return true, nil
	}
	sequence, err := s.source.Sequence(chainID, before.size-1)
	if err != nil || sequence >= at.Blocks {
		return err == nil, err
	}
	root, err := c.tree.root(ctx, before.size)
	return err == nil && root == before.root, err
}
