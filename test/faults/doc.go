// Package faults holds tests, and nothing else: a network of the real binary whose disks, descriptors and memory fail.
// Each test writes without a pause, injects faults, and holds every copy of the ledger against what was acknowledged:
// nothing lost, nothing twice, nothing else. They need root, for file systems and for strace; `make faults` runs them
// with more rounds and prints what they measured.
package faults
