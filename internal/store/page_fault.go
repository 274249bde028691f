package store

import (
	"fmt"
	"runtime/debug"
)

// catchFault runs fn and turns a panic into ErrCorrupt: bbolt panics on pages that contradict themselves, and reading a
// mapped page that the disk cannot deliver faults. Functions that callers of the store pass in never run under it.
func catchFault(fn func() error) (err error) {
	old := debug.SetPanicOnFault(true)
	defer debug.SetPanicOnFault(old)
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("%w: panic: %v\n%s", ErrCorrupt, r, debug.Stack())
		}
	}()
	return fn()
}
