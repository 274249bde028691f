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
	// damagedDir is the damaged ledger while a new one is made beside it, rebuildFile the note that this is so.
	damagedDir  = "ledger.damaged"
	rebuildFile = "rebuild"
	// maxRebuilds is how many ledgers in a row may turn out damaged before one was finished.
	maxRebuilds = 3
	// askOthersTimeout bounds the question whether the others can do without this node.
	askOthersTimeout = 2 * time.Second
)

// errReplace says what is left to do when nobody can know any more what a node has promised.
var errReplace = errors.New("this node may have promised what it no longer knows, so it must not vote again: put another one in its place, with a new id and an empty directory: ltl node prepare, then ltl node replace")

// rebuildNote says that the ledger is being made anew. It is in the node's directory from before the damaged ledger is put aside until
// the new one holds all that the damaged one held.
type rebuildNote struct {
	Reason string `json:"reason"`
	// Applied and Sequence are what the damaged ledger had executed. The Raft log must reach it.
	Applied  uint64 `json:"applied"`
	Sequence uint64 `json:"sequence"`
	// Tips are the damaged ledger's newest blocks, where they were known: the new one must have the same at these heights.
	Tips []rebuildTip `json:"tips,omitempty"`
	// Turn counts the attempts; Discard says that what the last one has made is damaged too.
	Turn    int  `json:"turn"`
	Discard bool `json:"discard,omitempty"`
}

type rebuildTip struct {
	Chain  string `json:"chain"`
	Height uint64 `json:"height"`
	Hash   string `json:"hash"`
}

// rebuilding is the state of a rebuild while the node runs. The zero value is none.
type rebuilding struct {
	mu         sync.Mutex
	note       *rebuildNote   // nil when nothing is being rebuilt
	salvage    *store.Salvage // nil when nothing is left of the damaged ledger, or is needed any more
	restarting bool
}

func (b *rebuilding) now() *rebuildNote {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.note
}

// close gives the damaged ledger back.
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

// stream is a fetchFunc over the damaged ledger's good blocks.
func (b *rebuilding) stream(from uint64, headersOnly bool, fn func(sequence uint64, block *ltlv1.Block) error) error {
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
		return nil, errors.New("nothing is left of the damaged ledger")
	}
	return b.salvage.BlockAt(sequence)
}

// openLedger opens the ledger. A damaged one is put aside, and a new one begins beside it: Raft's newest snapshot and its log lead to
// what the damaged one held, and blocks come from its remains and from the other nodes.
//
// The Raft log, not the ledger, holds what this node has promised. So a new ledger does not make a new node of it, as long as the log
// reaches what was executed; where that cannot be read, nobody knows whether it does, and the node does not start.
func (n *Node) openLedger(o store.Options) error {
	note, err := n.loadRebuild()
	if err != nil {
		return err
	}
	if note != nil {
		err = n.setAside(note)
	} else {
		err = os.RemoveAll(n.path(damagedDir)) // a crash between the end of a rebuild and this
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
	n.cfg.Logger.Error("the ledger was damaged, and is made anew from its remains and the other nodes", "reason", note.Reason, "blocks", note.Sequence, "applied", note.Applied)
	n.rebuild.note = note
	if n.rebuild.salvage, err = store.OpenDamaged(n.path(damagedDir)); err != nil {
		n.cfg.Logger.Warn("nothing is left of the damaged ledger: all blocks come from the other nodes", "error", err)
	}
	return nil
}

// loadRebuild returns nil when there is nothing to rebuild.
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
		return nil, fmt.Errorf("read the note of a damaged ledger, %s: %w", n.path(rebuildFile), err)
	}
	return note, nil
}

func (n *Node) saveRebuild(note *rebuildNote) error {
	raw, err := json.Marshal(note)
	if err == nil {
		err = writeDurably(n.path(rebuildFile), raw)
	}
	if err != nil {
		return fmt.Errorf("note that the ledger is damaged: %w", err)
	}
	return nil
}

// again is the note of the next attempt.
func (note *rebuildNote) nextAttempt(why error) *rebuildNote {
	next := *note
	next.Reason, next.Turn, next.Discard = why.Error(), note.Turn+1, true
	return &next
}

// recordDamageAtStart notes that the ledger does not open.
func (n *Node) recordDamageAtStart(note *rebuildNote, why error) (*rebuildNote, error) {
	if note != nil {
		note = note.nextAttempt(why)
		return note, n.saveRebuild(note)
	}
	r, err := store.OpenDamaged(n.path(ledgerDir))
	if err != nil {
		return nil, fmt.Errorf("open the ledger: %w; it cannot be rebuilt, because how far it was cannot be read: %w; %w", why, err, errReplace)
	}
	note = &rebuildNote{Reason: why.Error(), Applied: r.Applied, Sequence: r.Sequence, Turn: 1}
	return note, errors.Join(r.Close(), n.saveRebuild(note))
}

// recordDamage writes down that the open ledger is to be made anew at the next start.
func (n *Node) recordDamage(why error) error {
	if note := n.rebuild.now(); note != nil {
		return n.saveRebuild(note.nextAttempt(why))
	}
	note := &rebuildNote{Reason: why.Error(), Applied: n.store.AppliedIndex(), Sequence: n.store.Sequence(), Turn: 1}
	for _, t := range n.store.Tips() {
		note.Tips = append(note.Tips, rebuildTip{Chain: t.ChainID, Height: t.Header.Height, Hash: hex.EncodeToString(t.Hash[:])})
	}
	return n.saveRebuild(note)
}

// setAside moves the damaged ledger away, and removes what an attempt that turned out damaged has made. A crash within is no harm: the
// note stays until finishRebuild.
func (n *Node) setAside(note *rebuildNote) error {
	if note.Turn > maxRebuilds {
		return fmt.Errorf("the ledger was made anew %d times, and each was damaged before it was complete (%s): look at this machine's disk and memory, then remove %s and start again",
			maxRebuilds, note.Reason, n.path(rebuildFile))
	}
	_, err := os.Stat(n.path(damagedDir))
	switch {
	case errors.Is(err, fs.ErrNotExist):
		if err := os.Rename(n.path(ledgerDir), n.path(damagedDir)); err != nil {
			return fmt.Errorf("put the damaged ledger aside: %w", err)
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

// storeFatal ends the node. When stored bytes are not what was stored, the next start makes the ledger anew.
func (n *Node) storeFatal(err error) {
	if errors.Is(err, store.ErrCorrupt) && n.store != nil {
		if note := n.recordDamage(err); note != nil {
			n.cfg.Logger.Error("the next start will not know that the ledger is damaged", "error", note)
		}
	}
	n.fatal(err)
}

// finishRebuild waits until the new ledger holds what the damaged one held, compares, and forgets the damaged one.
func (n *Node) finishRebuild() {
	note := n.rebuild.now()
	if note == nil || n.store.WaitApplied(n.ctx, note.Applied) != nil {
		return
	}
	if err := note.compare(n.store); err != nil {
		n.fatal(fmt.Errorf("the ledger that was made anew has another history than the damaged one: %w; audit both, and the other nodes", err))
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
		n.cfg.Logger.Warn("the ledger is whole again, but the damaged one cannot be removed", "error", err)
	}
	n.rebuild.mu.Lock()
	n.rebuild.note = nil
	n.rebuild.mu.Unlock()
	n.cfg.Logger.Warn("the ledger is whole again", "blocks", n.store.Sequence(), "applied", n.store.AppliedIndex())
}

// compare holds the new ledger against what is known of the damaged one.
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

// rebuildState says how far a rebuild is; nil when there is none.
func (n *Node) rebuildState() error {
	note := n.rebuild.now()
	if note == nil {
		return nil
	}
	return fmt.Errorf("its ledger was damaged (%s) and is being made anew: block %d of %d", note.Reason, n.store.Sequence(), note.Sequence)
}

// Restart returns a channel that is closed when the node is to be closed and opened again: its ledger is damaged, and the next Open makes
// it anew.
func (n *Node) Restart() <-chan struct{} { return n.restart }

// restartToRebuild asks for a restart when the others can do without this node. Otherwise it goes on: what is damaged is not served, and
// the rest is better than nothing.
func (n *Node) restartToRebuild(why error) {
	n.rebuild.mu.Lock()
	busy := n.rebuild.note != nil || n.rebuild.restarting
	n.rebuild.mu.Unlock()
	if busy {
		return
	}
	if err := n.checkOthersHealthy(); err != nil {
		n.cfg.Logger.Error("the ledger is damaged, and waits to be made anew until the other nodes can do without this one", "damage", why, "error", err)
		return
	}
	if err := n.recordDamage(why); err != nil {
		n.cfg.Logger.Error("the ledger is damaged, and cannot be made anew", "damage", why, "error", err)
		return
	}
	n.cfg.Logger.Error("the ledger is damaged: this node restarts and makes it anew", "damage", why)
	n.rebuild.mu.Lock()
	defer n.rebuild.mu.Unlock()
	if !n.rebuild.restarting {
		n.rebuild.restarting = true
		close(n.restart)
	}
}

// checkOthersHealthy returns nil when a majority of the voters is well without this node.
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
	well := 0
	for range others {
		if <-answers {
			well++
		}
	}
	if well <= voters/2 {
		return fmt.Errorf("%d of %d nodes are well beside this one, and %d are needed", well, voters-1, voters/2+1)
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
