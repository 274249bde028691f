package store

import (
	"fmt"
	"runtime/debug"
)

// guard runs fn and turns a panic into ErrCorrupt: bbolt panics on pages that contradict themselves, and reading a mapped
// page that the disk cannot deliver faults. Callers' functions are never run under it.
func guard(fn func() error) (err error) {
	old := debug.SetPanicOnFault(true)
	defer debug.SetPanicOnFault(old)
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("%w: panic: %v\n%s", ErrCorrupt, r, debug.Stack())
		}
	}()
	return fn()
}
