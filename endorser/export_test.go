package endorser

import (
	"google.golang.org/grpc"

	"ltl/internal/identity"
)

// What tests look at.
var AccessControl = accessControl

// MaxWaiting is how many proposals of one caller can wait for a block.
const MaxWaiting = maxWaiting / 2

// SpeakForNetwork is what an endorser that knows these nodes decides of some of them.
func SpeakForNetwork(trust *identity.Trust, nodes, of []string) bool {
	e := &Endorser{cfg: Config{Trust: trust}}
	for _, id := range nodes {
		e.nodes = append(e.nodes, &source{Peer: Peer{ID: id}})
	}
	return e.speakForNetwork(of)
}

func (e *Endorser) Server() *grpc.Server { return e.server }
func (e *Endorser) Sequence() uint64     { return e.store.Sequence() }
func (e *Endorser) Waiting() int         { return int(e.waiting.places.Used()) }
func (e *Endorser) Fail(err error) error { return e.failure(err) }
func (e *Endorser) Ready() error         { return e.ready() }

// OwnSignatures is how many signatures in blocks were remembered, which are those that it made.
func (e *Endorser) OwnSignatures() uint64 {
	hits, _ := e.signatures.Counts()
	return hits
}
