package node

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"sync"
	"time"

	"github.com/hashicorp/raft"

	"ltl/internal/ledger"
	"ltl/internal/store"
	ltlv1 "ltl/proto/ltl/v1"
)

const (
	ledgerDir = "ledger"
	// damagedDir is the damaged ledger while a new one is made beside it; rebuildFile records the rebuild.
	damagedDir  = "ledger.damaged"
	rebuildFile = "rebuild"
	// maxRebuilds is how many rebuilds in a row may find new damage before one is complete.
	maxRebuilds = 3
	// askOthersTimeout bounds the check whether the other nodes are healthy.
	askOthersTimeout = 2 * time.Second
)

// errReplace is wrapped when it is unknown which votes and entries a node has acknowledged. It says what is left to
// do.
var errReplace = errors.New("this node may have given votes or acknowledged entries that it no longer knows, so it " +
	"must not vote again: replace it by a node with a new id and an empty directory: ltl node prepare, then ltl node " +
	"replace")

// rebuildNote records that the ledger is being rebuilt. Its file exists from before the damaged ledger is moved away
// until the new ledger has everything that the damaged one had.
type rebuildNote struct {
	Reason string `json:"reason"`
	// Applied and Sequence are what the damaged ledger had executed. The Raft log must reach Applied.
	Applied  uint64 `json:"applied"`
	Sequence uint64 `json:"sequence"`
	// Tips are the damaged ledger's newest blocks, where they are known. The new ledger must have the same blocks at
	// these heights.
	Tips []rebuildTip `json:"tips,omitempty"`
	// Turn counts the attempts. Discard says that the ledger of the last attempt is damaged too.
	Turn    int  `json:"turn"`
	Discard bool `json:"discard,omitempty"`
}

type rebuildTip struct {
	Chain  string `json:"chain"`
	Height uint64 `json:"height"`
	Hash   string `json:"hash"`
}

// rebuilding is the state of a rebuild while the node runs. The zero value means that there is none.
type rebuilding struct {
	mu         sync.Mutex
	note       *rebuildNote   // nil when nothing is being rebuilt
	salvage    *store.Salvage // nil when no block of the damaged ledger can be read, or none is needed any more
	restarting bool           // Restart's channel is closed
}

func (b *rebuilding) now() *rebuildNote {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.note
}

// close closes the damaged ledger.
func (b *rebuilding) close() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.salvage == nil {
		return nil
	}
	err := b.salvage.Close()
	b.salvage = nil
	return err
}

// stream is a fetchFunc that reads the intact blocks of the damaged ledger.
func (b *rebuilding) stream(from uint64, headersOnly bool, fn blockFunc) error {
	for n := from; ; n++ {
		block, err := b.block(n)
		if err != nil {
			return err
		}
		if headersOnly {
			block = &ltlv1.Block{Header: block.GetHeader()}
		}
		if err := fn(n, block); err != nil {
			return err
		}
	}
}

func (b *rebuilding) block(sequence uint64) (*ltlv1.Block, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.salvage == nil {
		return nil, errors.New("no block of the damaged ledger can be read")
	}
	return b.salvage.BlockAt(sequence)
}

// openLedger opens the ledger. A damaged ledger is moved away, and a new one begins in its place: Raft's newest
// snapshot and its log lead to the state of the damaged one, and blocks come from its intact part and from the other
// nodes.
//
// The votes and acknowledgements of this node are in the Raft log, not in the ledger. So a node with a new ledger
// keeps its id, as long as the log reaches what was executed. Where that cannot be read, the node does not start.
func (n *Node) openLedger(o store.Options) error {
	note, err := n.loadRebuild()
	if err != nil {
		return err
	}
	if note != nil {
		err = n.setAside(note)
	} else {
		err = os.RemoveAll(n.path(damagedDir)) // left by a crash at the end of a rebuild
	}
	if err != nil {
		return err
	}
	n.store, err = store.Open(n.path(ledgerDir), o)
	if errors.Is(err, store.ErrCorrupt) {
		if note, err = n.recordDamageAtStart(note, err); err != nil {
			return err
		}
		if err := n.setAside(note); err != nil {
			return err
		}
		n.store, err = store.Open(n.path(ledgerDir), o)
	}
	if err != nil {
		return fmt.Errorf("open the ledger: %w", err)
	}
	if note == nil {
		return nil
	}
	n.cfg.Logger.Error("the ledger was damaged; it is rebuilt from its intact blocks and from the other nodes", "reason",
		note.Reason, "blocks", note.Sequence, "applied", note.Applied)
	n.rebuild.note = note
	if n.rebuild.salvage, err = store.OpenDamaged(n.path(damagedDir)); err != nil {
		n.cfg.Logger.Warn("no block of the damaged ledger can be read: all blocks come from the other nodes", "error", err)
	}
	return nil
}

// loadRebuild returns nil when there is no rebuild.
func (n *Node) loadRebuild() (*rebuildNote, error) {
	raw, err := os.ReadFile(n.path(rebuildFile))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	note := &rebuildNote{}
	if err == nil {
		err = json.Unmarshal(raw, note)
	}
	if err != nil {
		return nil, fmt.Errorf("read the record of a rebuild, %s: %w", n.path(rebuildFile), err)
	}
	return note, nil
}

func (n *Node) saveRebuild(note *rebuildNote) error {
	raw, err := json.Marshal(note)
	if err == nil {
		err = writeDurably(n.path(rebuildFile), raw)
	}
	if err != nil {
		return fmt.Errorf("record that the ledger is damaged: %w", err)
	}
	return nil
}

// nextAttempt returns the record of the next attempt.
func (note *rebuildNote) nextAttempt(why error) *rebuildNote {
	next := *note
	next.Reason, next.Turn, next.Discard = why.Error(), note.Turn+1, true
	return &next
}

// recordDamageAtStart records that the ledger does not open.
func (n *Node) recordDamageAtStart(note *rebuildNote, why error) (*rebuildNote, error) {
	if note != nil {
		note = note.nextAttempt(why)
		return note, n.saveRebuild(note)
	}
	r, err := store.OpenDamaged(n.path(ledgerDir))
	if err != nil {
		return nil, fmt.Errorf("open the ledger: %w; it cannot be rebuilt, because its applied index cannot be read: %w; %w",
			why, err, errReplace)
	}
	note = &rebuildNote{Reason: why.Error(), Applied: r.Applied, Sequence: r.Sequence, Turn: 1}
	return note, errors.Join(r.Close(), n.saveRebuild(note))
}

// recordDamage records that the open ledger is to be rebuilt at the next start.
func (n *Node) recordDamage(why error) error {
	if note := n.rebuild.now(); note != nil {
		return n.saveRebuild(note.nextAttempt(why))
	}
	note := &rebuildNote{Reason: why.Error(), Applied: n.store.AppliedIndex(), Sequence: n.store.Sequence(), Turn: 1}
	for _, t := range n.store.Tips() {
		note.Tips = append(note.Tips, rebuildTip{Chain: t.ChainID, Height: t.Header.Height,
			Hash: hex.EncodeToString(t.Hash[:])})
	}
	return n.saveRebuild(note)
}

// setAside moves the damaged ledger away, and removes the ledger of an attempt that found new damage. A crash in
// between does no harm: the record stays until finishRebuild.
func (n *Node) setAside(note *rebuildNote) error {
	if note.Turn > maxRebuilds {
		return fmt.Errorf("the ledger was rebuilt %d times, and each was damaged before it was complete (%s): check this "+
			"machine's disk and memory, then remove %s and start again",
			maxRebuilds, note.Reason, n.path(rebuildFile))
	}
	_, err := os.Stat(n.path(damagedDir))
	switch {
	case errors.Is(err, fs.ErrNotExist):
		if err := os.Rename(n.path(ledgerDir), n.path(damagedDir)); err != nil {
			return fmt.Errorf("move the damaged ledger away: %w", err)
		}
	case err != nil:
		return err
	case note.Discard:
		if err := os.RemoveAll(n.path(ledgerDir)); err != nil {
			return fmt.Errorf("remove a damaged ledger: %w", err)
		}
	}
	if err := syncDir(n.cfg.Dir); err != nil || !note.Discard {
		return err
	}
	note.Discard = false
	return n.saveRebuild(note)
}

// storeFatal stops the node after a failure of the ledger. When stored bytes are damaged, the next start rebuilds the
// ledger.
func (n *Node) storeFatal(err error) {
	if errors.Is(err, store.ErrCorrupt) && n.store != nil {
		if note := n.recordDamage(err); note != nil {
			n.cfg.Logger.Error("cannot record that the ledger is damaged: the next start will not rebuild it", "error", note)
		}
	}
	n.fatal(err)
}

// finishRebuild waits until the new ledger has everything that the damaged one had, compares them, and removes the
// damaged one.
func (n *Node) finishRebuild() {
	note := n.rebuild.now()
	if note == nil || n.store.WaitApplied(n.ctx, note.Applied) != nil {
		return
	}
	if err := note.compare(n.store); err != nil {
		n.fatal(fmt.Errorf("the rebuilt ledger differs from the damaged one: %w; audit both, and the other nodes", err))
		return
	}
	err := n.rebuild.close()
	if err == nil {
		err = os.Remove(n.path(rebuildFile))
	}
	if err == nil {
		err = syncDir(n.cfg.Dir)
	}
	if err == nil {
		err = os.RemoveAll(n.path(damagedDir))
	}
	if err != nil {
		n.cfg.Logger.Warn("the ledger is rebuilt, but the damaged one cannot be removed", "error", err)
	}
	n.rebuild.mu.Lock()
	n.rebuild.note = nil
	n.rebuild.mu.Unlock()
	n.cfg.Logger.Warn("the ledger is rebuilt", "blocks", n.store.Sequence(), "applied", n.store.AppliedIndex())
}

// compare compares the new ledger with what is known of the damaged one.
func (note *rebuildNote) compare(s *store.Store) error {
	if have := s.Sequence(); have < note.Sequence {
		return fmt.Errorf("it has %d blocks at Raft entry %d, and the damaged one had %d", have, note.Applied, note.Sequence)
	}
	for _, t := range note.Tips {
		block, err := s.Block(t.Chain, t.Height)
		if err != nil {
			return err
		}
		if hash := ledger.BlockHash(block.GetHeader()); hex.EncodeToString(hash[:]) != t.Hash {
			return fmt.Errorf("block %d of chain %s is %x, and was %s", t.Height, t.Chain, hash, t.Hash)
		}
	}
	return nil
}

// rebuildState describes the progress of a rebuild; nil when there is none.
func (n *Node) rebuildState() error {
	note := n.rebuild.now()
	if note == nil {
		return nil
	}
	return fmt.Errorf("its ledger was damaged (%s) and is being rebuilt: block %d of %d", note.Reason, n.store.Sequence(),
		note.Sequence)
}

// Restart returns a channel that is closed when the caller should close the node and open it again: the ledger is
// damaged, and the next Open rebuilds it.
func (n *Node) Restart() <-chan struct{} { return n.restart }

// restartToRebuild asks for a restart when the other nodes can do without this one. Otherwise the node goes on:
// corrupt data is never returned, and the intact part is better than nothing.
func (n *Node) restartToRebuild(why error) {
	n.rebuild.mu.Lock()
	busy := n.rebuild.note != nil || n.rebuild.restarting
	n.rebuild.mu.Unlock()
	if busy {
		return
	}
	if err := n.checkOthersHealthy(); err != nil {
		n.cfg.Logger.Error("the ledger is damaged; it is rebuilt once enough other nodes are healthy", "damage", why,
			"error", err)
		return
	}
	if err := n.recordDamage(why); err != nil {
		n.cfg.Logger.Error("the ledger is damaged, and the rebuild cannot be recorded", "damage", why, "error", err)
		return
	}
	n.cfg.Logger.Error("the ledger is damaged: this node restarts and rebuilds it", "damage", why)
	n.rebuild.mu.Lock()
	defer n.rebuild.mu.Unlock()
	if !n.rebuild.restarting {
		n.rebuild.restarting = true
		close(n.restart)
	}
}

// checkOthersHealthy returns nil when a majority of the voters is healthy without this node.
func (n *Node) checkOthersHealthy() error {
	ctx, cancel := context.WithTimeout(n.ctx, askOthersTimeout)
	defer cancel()
	voters, others, err := n.replica.voters()
	if err != nil {
		return err
	}
	answers := make(chan bool, len(others))
	var group sync.WaitGroup
	defer group.Wait()
	for _, id := range others {
		group.Go(func() { answers <- n.isHealthy(ctx, id) })
	}
	healthy := 0
	for range others {
		if <-answers {
			healthy++
		}
	}
	if healthy <= voters/2 {
		return fmt.Errorf("%d of the %d other nodes are healthy, and %d are needed", healthy, voters-1, voters/2+1)
	}
	return nil
}

// isHealthy asks a node for its status.
func (n *Node) isHealthy(ctx context.Context, id raft.ServerID) bool {
	conn, err := n.peers.conn(id)
	if err != nil {
		return false
	}
	st, err := ltlv1.NewLedgerClient(conn).Status(ctx, &ltlv1.StatusRequest{})
	return err == nil && st.GetFault() == ""
}
