package client

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"ltl/client/proof"
	"ltl/internal/ledger"
	ltlv1 "ltl/proto/ltl/v1"
)

// Bounds on collecting the signatures of a checkpoint.
const (
	// cosignTimeout bounds one request for a signature.
	cosignTimeout = 5 * time.Second
	// cosignLinger is how long more signatures are waited for when enough have signed: what the certificate says is the same
	// without them, and one signer must not hold up all.
	cosignLinger = 500 * time.Millisecond
	// cosignRounds is how often all are asked again because some have signed more blocks already.
	cosignRounds = 5
)

// ErrTwoHistories is returned, wrapped, when two processes signed different roots for one number of blocks of a chain.
// One of them lies, or has another ledger.
var ErrTwoHistories = errors.New("two checkpoints of one size contradict each other")

// errNoCheckpoint is returned when no process signed a checkpoint that covers a block.
var errNoCheckpoint = errors.New("no node and no endorser signs a checkpoint of the chain; do they run, and have " +
	"they their sign.key?")

// Certify adds to a certificate a checkpoint that covers its block, signed by all nodes and endorsers that answer soon
// enough: when enough of them have signed for the level Witnessed, the others have half a second more. It adds the way from the block to it. t decides whose signatures are taken. The certificate is left as it is when
// none signs. When signers contradict each other it gets the checkpoint that more of them signed than any other, and a
// *ForkError is returned, which wraps ErrTwoHistories, with all of these checkpoints: keep them, since two of one key
// convict it. They are shown to all nodes and endorsers, and where one of these holds the other, the error has the
// file.
func (l *Ledger) Certify(ctx context.Context, c *proof.Certificate, t *proof.Trust) error {
	header, err := ledger.ParseHeader(c.Block.Header)
	if err != nil {
		return fmt.Errorf("client: certificate: %w", err)
	}
	k := &collection{client: l.c, trust: t, chainID: header.ChainID, size: header.Height + 1, level: proof.Witnessed,
		systemHeight: header.SystemHeight, linger: cosignLinger}
	forked := k.collect(ctx)
	if forked != nil {
		forked = fmt.Errorf("client: checkpoint of chain %s: %w", header.ChainID, forked)
	}
	forked = l.withFiles(forked, l.showAll(ctx, t, k.odd))
	if k.text == "" {
		return forked
	}
	c.Checkpoint = k.text
	last := errNoCheckpoint
	for _, p := range l.c.peers.all() {
		ctx, cancel := context.WithTimeout(ctx, cosignTimeout)
		out, err := ltlv1.NewEvidenceClient(p.conn).Inclusion(ctx,
			&ltlv1.InclusionRequest{ChainId: header.ChainID, Height: header.Height, Size: k.size})
		cancel()
		if err != nil {
			last = err
			continue
		}
		c.LogPath = out.GetPath()
		if t.Covers(c) {
			return forked
		}
		last = fmt.Errorf("node %s sent a wrong path; audit it", p.name)
	}
	c.Checkpoint, c.LogPath = "", nil
	return errors.Join(forked, l.c.readError(last))
}

// Checkpoint collects a checkpoint of a chain with the signatures of all nodes and endorsers that answer in time,
// of size blocks or of more, which some have signed already, and returns its text. t decides whose signatures are
// taken; they may be too few, which proof.Trust.Level tells. Where signers contradict each other it returns the
// checkpoint that more of them signed than any other, and an error that wraps ErrTwoHistories and has all of them.
func (l *Ledger) Checkpoint(ctx context.Context, chainID string, size uint64, t *proof.Trust) (string, error) {
	k := &collection{client: l.c, trust: t, chainID: chainID, size: size}
	if err := k.collect(ctx); err != nil {
		return k.text, fmt.Errorf("client: checkpoint of chain %s: %w", chainID, err)
	}
	return k.text, nil
}

// collection is one checkpoint under way.
type collection struct {
	client  *Client
	trust   *proof.Trust
	chainID string
	size    uint64
	text    string
	// odd are checkpoints that came back and are not of the one under text.
	odd []string

	// level ends the collection as soon as it is reached for keys of systemHeight; empty waits for all.
	level        proof.Level
	systemHeight uint64
	linger       time.Duration // after that

	mu sync.Mutex
	// refused is why a process signed nothing, when one said so.
	refused error
}

// signed is the answer of one signer.
type signed struct {
	checkpoint *proof.Checkpoint
	text       string
}

// collect asks all signers for one size, and again for larger ones that some have signed already.
func (k *collection) collect(ctx context.Context) error {
	var answers []signed
	heard := map[string]signed{}
	k.size, answers = gather(k.size, func(size uint64) []signed {
		all := k.ask(ctx, size)
		for _, s := range all {
			heard[s.text] = s
		}
		return all
	})
	err := k.join(answers)
	for _, text := range slices.Sorted(maps.Keys(heard)) {
		if own := heard[text].checkpoint; own.Size > k.size || own.Size == k.size && err != nil {
			k.odd = append(k.odd, text)
		}
	}
	return err
}

// gather asks for one size and for larger ones that came back, and returns the size that most signed with its answers.
// So the others get their checkpoint when one signer names a size of its own invention, which no other can sign.
func gather(size uint64, ask func(size uint64) []signed) (of uint64, best []signed) {
	of = size
	tried, count := map[uint64]bool{}, map[uint64]int{}
	for size != 0 && len(tried) < cosignRounds {
		tried[size] = true
		answers := ask(size)
		same := slices.DeleteFunc(slices.Clone(answers), func(s signed) bool { return s.checkpoint.Size != size })
		if len(same) > len(best) {
			of, best = size, same
		}
		if len(same) == len(answers) {
			break
		}
		for _, s := range answers {
			count[s.checkpoint.Size]++
		}
		size = nextSize(count, tried)
	}
	return of, best
}

// nextSize is, of the sizes that were answered and not tried, the one that was answered most often, and of those the
// smallest; 0 when there is none.
func nextSize(count map[uint64]int, tried map[uint64]bool) (next uint64) {
	for size, n := range count {
		if !tried[size] && (next == 0 || n > count[next] || n == count[next] && size < next) {
			next = size
		}
	}
	return next
}

// join puts the signatures of one size under one text. Where there are several roots, it takes the one that more
// signers stand for than for any other, and returns ErrTwoHistories, wrapped, with a text of each: a signer that lies
// denies none the evidence, and leaves its own. When no root has more signers than the others there is no text.
func (k *collection) join(answers []signed) error {
	var roots []proof.Hash
	texts, count := map[proof.Hash]string{}, map[proof.Hash]int{}
	for _, a := range answers {
		root := a.checkpoint.Root
		switch {
		case a.checkpoint.Size != k.size:
			continue
		case count[root] == 0:
			roots, texts[root] = append(roots, root), a.text
		default:
			_, lines, _ := strings.Cut(a.text, "\n\n")
			texts[root] += lines
		}
		count[root]++
	}
	switch {
	case len(roots) == 0 && k.refused != nil:
		return fmt.Errorf("%w; %w", errNoCheckpoint, k.refused)
	case len(roots) == 0:
		return errNoCheckpoint
	}
	slices.SortStableFunc(roots, func(a, b proof.Hash) int { return count[b] - count[a] })
	if len(roots) == 1 || count[roots[0]] > count[roots[1]] {
		k.text = texts[roots[0]]
	}
	if len(roots) == 1 {
		return nil
	}
	var all strings.Builder
	for _, root := range roots {
		all.WriteString("\n" + texts[root])
	}
	return fmt.Errorf("%w; keep them, and audit the ledgers of their signers:%s", ErrTwoHistories, all.String())
}

// ask asks all nodes and endorsers at the same time, and returns the answers whose signatures verify.
func (k *collection) ask(ctx context.Context, size uint64) []signed {
	ctx, cancel := context.WithTimeout(ctx, cosignTimeout)
	defer cancel()
	peers := append(k.client.peers.all(), k.client.peers.allEndorsers()...)
	found := make([]*signed, len(peers))
	var mu sync.Mutex
	reached := false
	var wg sync.WaitGroup
	for i, p := range peers {
		wg.Go(func() {
			s := k.askOne(ctx, p, size)
			mu.Lock()
			defer mu.Unlock()
			if found[i] = s; s != nil && !reached && k.reached(size, present(found)) {
				reached = true
				time.AfterFunc(k.linger, cancel)
			}
		})
	}
	wg.Wait()
	out := present(found)
	if reached { // and so no larger size need be tried
		out = slices.DeleteFunc(out, func(s signed) bool { return s.checkpoint.Size != size })
	}
	return out
}

// present are those that answered.
func present(found []*signed) []signed {
	var out []signed
	for _, s := range found {
		if s != nil {
			out = append(out, *s)
		}
	}
	return out
}

// reached reports whether the answers have the level with which the collection ends.
func (k *collection) reached(size uint64, answers []signed) bool {
	if k.level == "" {
		return false
	}
	joined := &collection{size: size}
	_ = joined.join(answers) // where roots differ, the one that most stand for may still have the level
	if joined.text == "" {
		return false
	}
	c, err := k.trust.Checkpoint(joined.text)
	return err == nil && reaches(k.trust.Level(c, k.systemHeight), k.level)
}

// reaches reports whether a level is the wanted one or a higher one.
func reaches(l, wanted proof.Level) bool {
	return l == wanted || l == proof.Witnessed && wanted == proof.Certified
}

func (k *collection) askOne(ctx context.Context, p *peer, size uint64) *signed {
	out, err := ltlv1.NewEvidenceClient(p.conn).Cosign(ctx, &ltlv1.CosignRequest{ChainId: k.chainID, Size: size})
	if err != nil {
		if errors.Is(ctx.Err(), context.Canceled) {
			return nil // enough have signed
		}
		k.client.log.Info("no checkpoint from a process", "process", p.name, "error", err)
		if status.Code(err) == codes.FailedPrecondition {
			k.mu.Lock()
			k.refused = fmt.Errorf("%s: %s", p.name, status.Convert(err).Message())
			k.mu.Unlock()
		}
		return nil
	}
	c, err := k.trust.Checkpoint(string(out.GetNote()))
	if err != nil || len(c.Signers) == 0 || c.Origin != k.trust.Origin(k.chainID) || c.Size < size {
		k.client.log.Warn("a checkpoint does not count", "process", p.name, "error", err)
		return nil
	}
	return &signed{c, string(out.GetNote())}
}

// ProveConsistency returns the proof, from any node, that a chain's checkpoint of before blocks is the beginning of its
// checkpoint of size blocks. proof.VerifyConsistency checks it.
func (l *Ledger) ProveConsistency(ctx context.Context, chainID string, before, size uint64) ([]byte, error) {
	last := errNoCheckpoint
	for _, p := range l.c.peers.all() {
		ctx, cancel := context.WithTimeout(ctx, cosignTimeout)
		out, err := ltlv1.NewEvidenceClient(p.conn).ProveConsistency(ctx,
			&ltlv1.ProveConsistencyRequest{ChainId: chainID, Before: before, Size: size})
		cancel()
		if err == nil {
			return out.GetPath(), nil
		}
		last = err
	}
	return nil, l.c.readError(last)
}
