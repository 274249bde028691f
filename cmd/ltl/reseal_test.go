package main

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"ltl/client"
	"ltl/internal/ledger"
	ltlv1 "ltl/proto/ltl/v1"
)

// TestResealAsksAnotherNode: a node that withholds the secret of an AccessKey, or gives another one or a former one, has
// the next node asked. What the ledger commits to counts, whichever node gives it, and nothing takes its place.
func TestResealAsksAnotherNode(t *testing.T) {
	blob := func(text string) *ltlv1.SealedKey {
		return &ltlv1.SealedKey{AccessKeyId: "k", Sealed: []byte(text)}
	}
	c := ledger.SealedCommitment(blob("opens 1 right").GetSealed())
	info := &ltlv1.AccessKeyInfo{Id: "k", AccountUid: "1", Commitment: c[:]}
	search := func(nodes int) *sealedSearch {
		return &sealedSearch{wanted: map[string]*ltlv1.AccessKeyInfo{"k": info}, nodes: nodes, found: map[string]openedSecret{},
			unreadable: map[string]bool{}, open: func(_ *ltlv1.AccessKeyInfo, sealed []byte) (secret string, at int, err error) {
				_, err = fmt.Sscanf(string(sealed), "opens %d %s", &at, &secret)
				return secret, at, err
			}}
	}
	take := func(s *sealedSearch, want error, blobs ...*ltlv1.SealedKey) {
		t.Helper()
		for _, b := range blobs {
			if err := s.take(b); err != nil {
				t.Fatal(err)
			}
		}
		if err := s.take(nil); !errors.Is(err, want) {
			t.Errorf("%v: %v, want %v", blobs, err, want)
		}
	}
	s := search(5)
	take(s, client.ErrAnotherNode)
	take(s, client.ErrAnotherNode, blob("garbage"), &ltlv1.SealedKey{AccessKeyId: "other", Sealed: []byte("opens 0 x")})
	take(s, client.ErrAnotherNode, blob("opens 0 former"))
	take(s, errDelivered, blob("opens 1 right"))
	take(s, errDelivered, blob("opens 0 former"))
	if got := s.found["k"]; got != (openedSecret{"right", 1, true}) {
		t.Errorf("found %+v", got)
	}
	s = search(2)
	take(s, client.ErrAnotherNode)
	take(s, errDelivered)
	if _, ok := s.found["k"]; ok || !strings.Contains(s.missing(info).Error(), "none of the 2 nodes") {
		t.Errorf("%v", s.missing(info))
	}
	s = search(2)
	take(s, client.ErrAnotherNode)
	take(s, errDelivered, blob("opens 0 former"))
	if got := s.found["k"]; got != (openedSecret{"former", 0, false}) {
		t.Errorf("a secret whose successor was lost: %+v", got)
	}
	c = ledger.SealedCommitment([]byte("closed"))
	s = search(3)
	take(s, errDelivered, blob("closed"))
	if err := s.missing(info); !strings.Contains(err.Error(), "no key of this directory opens") {
		t.Errorf("%v", err)
	}
}
