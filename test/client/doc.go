// Package client tests the client library against whole networks. These tests are not beside the library, because a
// program that uses it would then need the dependencies of all roles for "go mod tidy". The package has no code of its
// own.
package client
