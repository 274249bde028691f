// Package conformance contains only tests. They call a whole network over HTTP, as its users do, and check the
// promises of the API document. Actions, parameters, roles and responses are in testdata/actions.json. Cases that can
// be derived from that table are generated from it, so that no Action is left out.
package conformance
