package store

import (
	"errors"
	"log/slog"
	"os"
	"syscall"
	"time"
)

// Waiting for a descriptor.
const (
	// descriptorPause is the pause before a file is opened again after descriptors had run out.
	descriptorPause = 100 * time.Millisecond
	// descriptorReport is how often the wait is logged.
	descriptorReport = time.Minute
)

// openFile is os.OpenFile that waits while this process or machine has no descriptor left. What takes them is not a
// fault of the disk, and it may end: a store that ended instead would take the process with it. Close waits too; what
// is on disk is whole if the process is killed meanwhile.
func openFile(path string, flag int, mode os.FileMode) (*os.File, error) {
	began, reported := time.Now(), time.Time{}
	for {
		f, err := os.OpenFile(path, flag, mode)
		if !errors.Is(err, syscall.EMFILE) && !errors.Is(err, syscall.ENFILE) {
			if !reported.IsZero() {
				slog.Info("the ledger's files can be opened again", "waited", time.Since(began).String())
			}
			return f, err
		}
		if time.Since(reported) >= descriptorReport {
			reported = time.Now()
			slog.Error("no descriptor is left for a file of the ledger; it is tried again. Raise the limit of open files "+
				"(LimitNOFILE), or find what takes them", "file", path, "error", err)
		}
		<-time.After(descriptorPause)
	}
}
