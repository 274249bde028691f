// Package conformance holds tests, and nothing else: whether a whole network, called over HTTP as its users call it,
// keeps what the API document promises. Actions, parameters, roles and answers stand in testdata/actions.json; what
// can be derived from that table is generated from it, so that no Action is left out.
package conformance
