// Package csdk tests the device SDK in C, which lies below this directory: it builds it, runs its own tests under the
// sanitizers and valgrind, and verifies with Go's cryptography what the C program signed. It has no code of its own.
package csdk
