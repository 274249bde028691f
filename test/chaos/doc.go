// Package chaos runs a whole network under faults that are injected from outside its processes, with callers that keep a
// history of all they asked and were answered, and holds the history against every copy of the ledger afterwards.
//
// A Scenario says which faults; with a seed it gives a schedule, the same one each time. An Injector has the network:
// real processes in network namespaces of their own, or the containers of the compose deployment. Run does all of it
// and returns Results, which say of each check what it looked at and what was wrong, and of each fault how long the
// network took to recover.
//
// It promises that what it starts is gone when Run returns, and that no check passes without having looked at
// something. It needs root, and runs anything only in namespaces or containers that it made itself.
package chaos
