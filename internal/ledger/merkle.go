package ledger

import (
	"crypto/sha256"
	"math/bits"
)

// Prefixes of RFC 6962, section 2.1.
const (
	leafPrefix = 0
	nodePrefix = 1
)

func hashOf(b []byte) Hash { return sha256.Sum256(b) }

// nodeHash is the hash of an inner node.
func nodeHash(left, right Hash) Hash {
	var node [1 + 2*sha256.Size]byte
	node[0] = nodePrefix
	copy(node[1:], left[:])
	copy(node[1+sha256.Size:], right[:])
	return sha256.Sum256(node[:])
}

// rootOf is the RFC 6962 root over leaf hashes, of which there is at least one.
func rootOf(leaves []Hash) Hash {
	if len(leaves) == 1 {
		return leaves[0]
	}
	k := splitAt(len(leaves))
	return nodeHash(rootOf(leaves[:k]), rootOf(leaves[k:]))
}

// LeafHash is the RFC 6962 hash of a leaf with that content.
func LeafHash(content []byte) Hash { return hashOf(append([]byte{leafPrefix}, content...)) }

// Path is the RFC 6962 audit path of leaf i among leaf hashes, lowest sibling first, as one byte string; i is one of
// them.
func Path(leaves []Hash, i int) []byte {
	if len(leaves) == 1 {
		return nil
	}
	k := splitAt(len(leaves))
	inner, at, sibling := leaves[:k], i, rootOf(leaves[k:])
	if i >= k {
		inner, at, sibling = leaves[k:], i-k, rootOf(leaves[:k])
	}
	return append(Path(inner, at), sibling[:]...)
}

// splitAt is the largest power of two smaller than n; n is at least 2.
func splitAt(n int) int { return 1 << (bits.Len(uint(n-1)) - 1) }

// foldPath computes the root from a leaf's hash and its path, as RFC 9162, section 2.1.3.2, says; false when index and
// path do not fit a tree of that size exactly.
func foldPath(leaf Hash, index, size uint32, path []byte) (root Hash, ok bool) {
	if index >= size || len(path)%sha256.Size != 0 {
		return Hash{}, false
	}
	root = leaf
	last := size - 1
	for ; len(path) > 0; path = path[sha256.Size:] {
		if last == 0 {
			return Hash{}, false
		}
		sibling := Hash(path[:sha256.Size])
		if index&1 == 1 || index == last {
			root = nodeHash(sibling, root)
			for index&1 == 0 && index != 0 {
				index, last = index>>1, last>>1
			}
		} else {
			root = nodeHash(root, sibling)
		}
		index, last = index>>1, last>>1
	}
	return root, last == 0
}
