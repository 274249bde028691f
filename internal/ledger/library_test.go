package ledger

import (
	"bytes"
	"encoding/binary"
	"testing"

	"github.com/transparency-dev/merkle/compact"
	"github.com/transparency-dev/merkle/rfc6962"
)

// TestRootsAgreeWithLibrary holds the roots of every size up to 600, and around the largest batch, against the
// library that others will check our proofs with.
func TestRootsAgreeWithLibrary(t *testing.T) {
	factory := compact.RangeFactory{Hash: rfc6962.DefaultHasher.HashChildren}
	library := factory.NewEmptyRange(0)
	var ids []Hash
	for n := range 600 {
		want, err := library.GetRootHash(nil)
		if err != nil {
			t.Fatal(err)
		}
		if n == 0 {
			want = rfc6962.DefaultHasher.EmptyRoot()
		}
		if got := BatchRoot(ids); !bytes.Equal(got[:], want) {
			t.Fatalf("%d leaves: root %x, the library's is %x", n, got, want)
		}
		id := TransactionID(binary.BigEndian.AppendUint32(nil, uint32(n)))
		ids = append(ids, id)
		if err := library.Append(rfc6962.DefaultHasher.HashLeaf(id[:]), nil); err != nil {
			t.Fatal(err)
		}
	}
}
