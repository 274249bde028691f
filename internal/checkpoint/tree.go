package checkpoint

import (
	"context"
	"fmt"
	"math/bits"

	"github.com/transparency-dev/merkle/compact"
	"github.com/transparency-dev/merkle/proof"
	"github.com/transparency-dev/merkle/rfc6962"

	"ltl/internal/ledger"
)

// tileLevel is the lowest level of the tree whose nodes are kept: a node there stands for tileSize blocks, so the tree
// takes a quarter of a byte of memory for each block. Nodes below are made from the block hashes when they are needed.
const (
	tileLevel = 8
	tileSize  = 1 << tileLevel
)

// tree is the RFC 6962 tree over the block hashes of one chain. Only its caller's lock protects it.
type tree struct {
	// leaf returns a block's hash, which is the leaf hash of its header.
	leaf func(height uint64) (ledger.Hash, error)
	// levels[k] are the nodes of level tileLevel+k so far, from the left.
	levels [][][]byte
}

// extend makes the kept nodes for a number of blocks. It may be called again after ctx ended, and goes on where it was.
func (t *tree) extend(ctx context.Context, size uint64) error {
	for {
		var have uint64
		if len(t.levels) > 0 {
			have = uint64(len(t.levels[0]))
		}
		if have >= size/tileSize {
			return nil
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		node, err := t.build(tileLevel, have)
		if err != nil {
			return err
		}
		t.add(node)
	}
}

// add appends a node of level tileLevel, and the nodes above that are complete with it.
func (t *tree) add(node []byte) {
	for k := 0; ; k++ {
		if k == len(t.levels) {
			t.levels = append(t.levels, nil)
		}
		t.levels[k] = append(t.levels[k], node)
		n := len(t.levels[k])
		if n%2 == 1 {
			return
		}
		node = rfc6962.DefaultHasher.HashChildren(t.levels[k][n-2], t.levels[k][n-1])
	}
}

// build makes a node of level tileLevel or below from block hashes.
func (t *tree) build(level uint, index uint64) ([]byte, error) {
	if level == 0 {
		h, err := t.leaf(index)
		return h[:], err
	}
	left, err := t.build(level-1, 2*index)
	if err != nil {
		return nil, err
	}
	right, err := t.build(level-1, 2*index+1)
	if err != nil {
		return nil, err
	}
	return rfc6962.DefaultHasher.HashChildren(left, right), nil
}

// node returns a complete node of the tree, up to the size to which extend has been called.
func (t *tree) node(id compact.NodeID) ([]byte, error) {
	if id.Level < tileLevel {
		return t.build(id.Level, id.Index)
	}
	k := int(id.Level) - tileLevel
	if k >= len(t.levels) || id.Index >= uint64(len(t.levels[k])) {
		return nil, fmt.Errorf("node %d of level %d of the tree is missing", id.Index, id.Level)
	}
	return t.levels[k][id.Index], nil
}

// root returns the root for a number of blocks, of which there is at least one.
func (t *tree) root(ctx context.Context, size uint64) (ledger.Hash, error) {
	if err := t.extend(ctx, size); err != nil {
		return ledger.Hash{}, err
	}
	ids := compact.RangeNodes(0, size, make([]compact.NodeID, 0, bits.Len64(size)))
	var root []byte
	for i := len(ids) - 1; i >= 0; i-- {
		node, err := t.node(ids[i])
		if err != nil {
			return ledger.Hash{}, err
		}
		if root == nil {
			root = node
			continue
		}
		root = rfc6962.DefaultHasher.HashChildren(node, root)
	}
	return ledger.Hash(root), nil
}

// inclusion returns the audit path of a block among size blocks, lowest sibling first.
func (t *tree) inclusion(ctx context.Context, height, size uint64) ([]byte, error) {
	nodes, err := proof.Inclusion(height, size)
	if err != nil {
		return nil, fmt.Errorf("block %d of %d: %w", height, size, err)
	}
	return t.path(ctx, size, nodes)
}

// consistency returns the proof that the first blocks of size are those of before.
func (t *tree) consistency(ctx context.Context, before, size uint64) ([]byte, error) {
	nodes, err := proof.Consistency(before, size)
	if err != nil {
		return nil, fmt.Errorf("%d blocks and %d: %w", before, size, err)
	}
	return t.path(ctx, size, nodes)
}

func (t *tree) path(ctx context.Context, size uint64, nodes proof.Nodes) ([]byte, error) {
	if err := t.extend(ctx, size); err != nil {
		return nil, err
	}
	hashes := make([][]byte, len(nodes.IDs))
	for i, id := range nodes.IDs {
		var err error
		if hashes[i], err = t.node(id); err != nil {
			return nil, err
		}
	}
	hashes, err := nodes.Rehash(hashes, rfc6962.DefaultHasher.HashChildren)
	if err != nil {
		return nil, fmt.Errorf("path in a tree of %d: %w", size, err)
	}
	var path []byte
	for _, h := range hashes {
		path = append(path, h...)
	}
	return path, nil
}
