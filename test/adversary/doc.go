// Package adversary holds tests that act with one organisation's real keys against a running network, and expect that
// nothing of another organisation's changes.
package adversary
