package endorser

import (
	"fmt"
	"sync"

	"ltl/internal/checkpoint"
	ltlv1 "ltl/proto/ltl/v1"
)

// heardEpochs is what the nodes last said of their restore epoch. An endorser has no other way to know that the network
// was restored: its own copy follows the restored nodes as it followed the ones before.
type heardEpochs struct {
	mu sync.Mutex
	// by is by the node's id.
	by map[string]heardEpoch
	// owners is the number of organisations with a node.
	owners int
	// logged is the sentence that was logged last.
	logged string
}

type heardEpoch struct {
	organisation, epoch string
	blocks              uint64
}

// note takes what the nodes answered; nil answers leave what a node said before. organisations are those of the nodes.
func (h *heardEpochs) note(nodes []*source, organisations []string, answers []*ltlv1.StatusResponse) {
	h.mu.Lock()
	defer h.mu.Unlock()
	next, owners := map[string]heardEpoch{}, map[string]bool{}
	for i, n := range nodes {
		owners[organisations[i]] = true
		if a := answers[i]; a != nil {
			next[n.ID] = heardEpoch{organisations[i], string(a.GetRestoreEpoch()), a.GetRestoredBlocks()}
		} else if said, ok := h.by[n.ID]; ok {
			next[n.ID] = said
		}
	}
	h.by, h.owners = next, len(owners)
}

// voices returns what each organisation's nodes say. One whose nodes contradict each other has no voice.
func (h *heardEpochs) voices() map[string]heardEpoch {
	h.mu.Lock()
	defer h.mu.Unlock()
	voices, torn := map[string]heardEpoch{}, map[string]bool{}
	for _, said := range h.by {
		if before, ok := voices[said.organisation]; ok && before != said {
			torn[said.organisation] = true
		}
		voices[said.organisation] = said
	}
	for o := range torn {
		delete(voices, o)
	}
	return voices
}

// judge says whether a restoration is not recorded, by the word of more than half of the organisations that have nodes,
// or of the own organisation's: no other organisation's node alone can say so. sure is false while it is not known, as
// too few have been heard since the start or they contradict each other; then no checkpoint is signed either.
func (h *heardEpochs) judge(own string, recorded func(epoch []byte) (bool, error)) (unrecorded *heardEpoch, sure bool,
	err error) {
	voices := h.voices()
	h.mu.Lock()
	owners := h.owners
	h.mu.Unlock()
	count, fine := map[heardEpoch]int{}, 0
	for o, said := range voices {
		known, err := recorded([]byte(said.epoch))
		if err != nil {
			return nil, false, err
		}
		if known {
			fine++
			continue
		}
		said.organisation = ""
		if count[said]++; 2*count[said] > owners || o == own {
			unrecorded = &said
		}
	}
	return unrecorded, unrecorded == nil && (2*fine > owners || fine > 0 && fine == len(voices)), nil
}

// unrecorded says that the network was restored and the ledger does not record that; it is empty otherwise.
func (e *Endorser) unrecorded() (text string, sure bool, err error) {
	said, sure, err := e.epochs.judge(e.organisation,
		func(epoch []byte) (bool, error) { return checkpoint.IsRecorded(e.store, epoch) })
	if said == nil || err != nil {
		return "", sure, err
	}
	return checkpoint.Unrecorded([]byte(said.epoch), said.blocks), false, nil
}

// unrecordedText is unrecorded for status and metrics. A state that cannot be read is a fault that these name anyway.
func (e *Endorser) unrecordedText() string {
	text, _, _ := e.unrecorded()
	return text
}

// restored returns the restoration after which this endorser signs checkpoints. While it has not heard from the nodes
// whether the network was restored, it signs none: its key may have signed other blocks of the same heights.
func (e *Endorser) restored() (checkpoint.Restored, error) {
	switch text, sure, err := e.unrecorded(); {
	case err != nil:
		return checkpoint.Restored{}, err
	case text != "":
		return checkpoint.Restored{}, fmt.Errorf("%w: %s", checkpoint.ErrUnrecorded, text)
	case !sure:
		return checkpoint.Restored{}, fmt.Errorf("%w, as far as this endorser knows: too few nodes have told it since its "+
			"start, or they contradict each other; ask again in a moment, and compare the nodes with ltl status",
			checkpoint.ErrUnrecorded)
	}
	return checkpoint.LastRestored(e.store)
}

// noteEpochs notes what the nodes answered, and logs once what follows from it.
func (e *Endorser) noteEpochs(answers []*ltlv1.StatusResponse) {
	organisations := make([]string, len(e.nodes))
	for i, n := range e.nodes {
		known, _ := e.cfg.Trust.Node(n.ID)
		organisations[i] = known.GetOrganisation()
	}
	e.epochs.note(e.nodes, organisations, answers)
	text := e.unrecordedText()
	e.epochs.mu.Lock()
	defer e.epochs.mu.Unlock()
	if text != "" && text != e.epochs.logged {
		e.log.Error("FAULT: " + text)
	}
	e.epochs.logged = text
}
