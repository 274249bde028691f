// Package format checks docs/bytes.md and its test vectors: the product makes them again, and a second
// implementation, which uses the standard library and nothing else, comes to the same. It has no code of its own.
package format
