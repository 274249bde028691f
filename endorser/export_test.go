package endorser

import "google.golang.org/grpc"

// What tests look at.
var AccessControl = accessControl

func (e *Endorser) Server() *grpc.Server { return e.server }
func (e *Endorser) Sequence() uint64     { return e.store.Sequence() }
func (e *Endorser) QueueSize() int       { return cap(e.queue) }
func (e *Endorser) Waiting() int         { return len(e.queue) }
func (e *Endorser) Fail(err error) error { return e.failure(err) }
func (e *Endorser) Ready() error         { return e.ready() }
