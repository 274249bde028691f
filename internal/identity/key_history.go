package identity

import (
	"cmp"
	"encoding/hex"
	"slices"

	ltlv1 "ltl/proto/ltl/v1"
)

// KeyHistory says whose keys signed at which heights of the system chain. It is the part "history" of a trust file,
// under which certificates are verified.
type KeyHistory struct {
	// Height is that of the system chain up to which it is known.
	Height        uint64                `json:"height"`
	Organisations []OrganisationHistory `json:"organisations"`
	Nodes         []NodeHistory         `json:"nodes"`
	// Restorations are those that the ledger records, oldest first.
	Restorations []RestorationMark `json:"restorations,omitempty"`
}

// RestorationMark is a restoration of the network, and the number of blocks, over all chains, that it kept.
type RestorationMark struct {
	Number uint32 `json:"number"`
	Blocks uint64 `json:"blocks"`
}

// OrganisationHistory are the keys of an organisation, oldest first.
type OrganisationHistory struct {
	ID   string    `json:"id"`
	Keys []KeySpan `json:"keys"`
}

// KeySpan is a key, and the heights at which it counted.
type KeySpan struct {
	Key string `json:"key"`
	HeightSpan
	// UntilMs is the time up to which what the key signed before it ended counts; 0 for none.
	UntilMs int64 `json:"untilMs,omitempty"`
}

// HeightSpan is a range of heights of the system chain: from the first on, and below Until; Until 0 is no end.
type HeightSpan struct {
	From  uint64 `json:"from"`
	Until uint64 `json:"until,omitempty"`
}

// NodeHistory is the key of a node, and the ranges in which it voted.
type NodeHistory struct {
	ID           string       `json:"id"`
	Organisation string       `json:"organisation"`
	Key          string       `json:"key"`
	Voter        []HeightSpan `json:"voter"`
}

// History returns the history of keys; nil before the first LearnKeys. It must not be changed.
func (t *Trust) History() *KeyHistory {
	t.mu.RLock()
	defer t.mu.RUnlock()
	return t.history
}

// With is the trust file with what a process says of keys today, which the trust does not learn.
func (t *Trust) With(keys *ltlv1.GetKeysResponse) (file []byte, err error) {
	with, err := t.Clone()
	if err != nil {
		return nil, err
	}
	with.LearnKeys(keys)
	return with.Encode()
}

// LearnKeys adds to the history what a node answered, unless that is older than what is known. After a restoration it
// goes on from what was kept, also where the former history was longer. The ledger's state says
// when a key ended, and when a node's membership changed last. A key that is first seen counts from the height after
// the last that was known; of a node that became a voter and ceased to be one since then nothing is known. So the
// history is exact when it is updated after each change of nodes.
func (t *Trust) LearnKeys(in *ltlv1.GetKeysResponse) {
	t.mu.Lock()
	defer t.mu.Unlock()
	known := t.history
	if known == nil {
		known = t.firstHistory()
	}
	next := &KeyHistory{Height: in.GetHeight(), Organisations: []OrganisationHistory{}, Nodes: []NodeHistory{}}
	for _, r := range in.GetRestorations() {
		next.Restorations = append(next.Restorations, RestorationMark{r.GetNumber(), r.GetBlocks()})
		if !known.hasRestoration(r.GetNumber()) {
			known = known.keptBelow(r.GetKeptHeight())
		}
	}
	if in.GetHeight() < known.Height || len(next.Restorations) < len(known.Restorations) {
		return
	}
	// Of keys that ended at one height only the first counted before. It is the one that is known, if any is.
	keys := slices.Clone(in.GetOrganisationKeys())
	slices.SortStableFunc(keys, func(a, b *ltlv1.OrganisationKey) int {
		if a.GetUntil() != b.GetUntil() {
			return cmp.Compare(a.GetUntil()-1, b.GetUntil()-1) // 0 is no end, so it is the last
		}
		switch isKnown := known.has(a); {
		case isKnown == known.has(b):
			return 0
		case isKnown:
			return -1
		}
		return 1
	})
	for _, k := range keys {
		next.addKey(known, k)
	}
	for _, n := range in.GetNodeKeys() {
		next.Nodes = append(next.Nodes, known.nextOf(n))
	}
	t.history = next
}

// hasRestoration reports whether the history has the restoration with a number.
func (h *KeyHistory) hasRestoration(number uint32) bool {
	return slices.ContainsFunc(h.Restorations, func(r RestorationMark) bool { return r.Number == number })
}

// keptBelow is what the history says up to a height: what it says above is of blocks that the network lost.
func (h *KeyHistory) keptBelow(height uint64) *KeyHistory {
	if h.Height <= height {
		return h
	}
	kept := &KeyHistory{Height: height, Restorations: h.Restorations}
	cut := func(s HeightSpan) (HeightSpan, bool) {
		if s.Until > height {
			s.Until = 0
		}
		return s, s.From <= height
	}
	for _, o := range h.Organisations {
		now := OrganisationHistory{ID: o.ID}
		for _, k := range o.Keys {
			if span, ok := cut(k.HeightSpan); ok {
				if k.HeightSpan = span; span.Until == 0 {
					k.UntilMs = 0
				}
				now.Keys = append(now.Keys, k)
			}
		}
		if len(now.Keys) > 0 {
			kept.Organisations = append(kept.Organisations, now)
		}
	}
	for _, n := range h.Nodes {
		now := n
		now.Voter = []HeightSpan{}
		for _, s := range n.Voter {
			if span, ok := cut(s); ok {
				now.Voter = append(now.Voter, span)
			}
		}
		kept.Nodes = append(kept.Nodes, now)
	}
	return kept
}

// firstHistory is what the genesis says.
func (t *Trust) firstHistory() *KeyHistory {
	h := &KeyHistory{}
	for _, o := range t.genesis.GetOrganisations() {
		h.Organisations = append(h.Organisations, OrganisationHistory{ID: o.GetId(),
			Keys: []KeySpan{{Key: hex.EncodeToString(o.GetEndorserKey())}}})
	}
	for _, n := range t.genesis.GetNodes() {
		h.Nodes = append(h.Nodes, NodeHistory{ID: n.GetId(), Organisation: n.GetOrganisation(),
			Key: hex.EncodeToString(n.GetKey()), Voter: []HeightSpan{{}}})
	}
	return h
}

// has reports whether the history has the key of an organisation.
func (h *KeyHistory) has(k *ltlv1.OrganisationKey) bool {
	return slices.ContainsFunc(h.Organisations, func(o OrganisationHistory) bool {
		return o.ID == k.GetOrganisation() && slices.ContainsFunc(o.Keys,
			func(span KeySpan) bool { return span.Key == hex.EncodeToString(k.GetKey()) })
	})
}

// addKey adds the next key of an organisation. A key that counted at no height is left out: a verifier takes no file with
// one, and an organisation could otherwise make the file useless by changing its key twice in one block.
func (h *KeyHistory) addKey(known *KeyHistory, k *ltlv1.OrganisationKey) {
	id := k.GetOrganisation()
	at := func(o OrganisationHistory) bool { return o.ID == id }
	i := slices.IndexFunc(h.Organisations, at)
	span := KeySpan{Key: hex.EncodeToString(k.GetKey()), HeightSpan: HeightSpan{Until: k.GetUntil()}, UntilMs: k.GetUntilMs()}
	if i >= 0 {
		span.From = h.Organisations[i].Keys[len(h.Organisations[i].Keys)-1].Until
	} else if before := slices.IndexFunc(known.Organisations, at); before >= 0 {
		span.From = known.Organisations[before].Keys[0].From
	} else {
		span.From = known.Height + 1
	}
	switch {
	case span.Until != 0 && span.Until <= span.From: // it was replaced in the block that named it, and signed nothing
	case i < 0:
		h.Organisations = append(h.Organisations, OrganisationHistory{ID: id, Keys: []KeySpan{span}})
	default:
		h.Organisations[i].Keys = append(h.Organisations[i].Keys, span)
	}
}

// nextOf is the history of a node after what a node answered about it.
func (h *KeyHistory) nextOf(n *ltlv1.NodeKey) NodeHistory {
	out := NodeHistory{ID: n.GetId(), Organisation: n.GetOrganisation(), Key: hex.EncodeToString(n.GetKey()),
		Voter: []HeightSpan{}}
	if i := slices.IndexFunc(h.Nodes, func(o NodeHistory) bool { return o.ID == n.GetId() }); i >= 0 {
		out.Voter = slices.Clone(h.Nodes[i].Voter)
	}
	last := len(out.Voter) - 1
	voted := last >= 0 && out.Voter[last].Until == 0
	switch votes := n.GetMembership() == ltlv1.NodeMembership_NODE_MEMBERSHIP_VOTER; {
	case votes && !voted:
		out.Voter = append(out.Voter, HeightSpan{From: n.GetChanged()})
	case !votes && voted && n.GetChanged() > out.Voter[last].From:
		out.Voter[last].Until = n.GetChanged()
	}
	return out
}
