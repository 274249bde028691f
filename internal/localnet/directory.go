package localnet

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
)

// ErrUnsafe is returned, wrapped, for a directory that others could have prepared: keys and ledger would be theirs.
var ErrUnsafe = errors.New("unsafe directory")

// makeDirectory creates a network's directory and the one of its logs, or checks those that exist: they and everything
// in them must belong to this user, must not be links, and must not be writable by others.
func makeDirectory(dir string) error {
	for _, d := range []string{dir, filepath.Join(dir, "logs")} {
		if info, err := os.Lstat(d); err == nil { // before anything is made behind a link
			if err := checkSafe(d, info); err != nil {
				return err
			}
		}
		if err := os.MkdirAll(d, 0o700); err != nil {
			return fmt.Errorf("couldn't create the network's directory: %w", err)
		}
	}
	return filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil // a process of another `ltl up` has removed it; the lock refuses this one next
		}
		if err != nil {
			return fmt.Errorf("couldn't look through the network's directory: %w", err)
		}
		info, err := entry.Info() // of a link itself
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("couldn't look through the network's directory: %w", err)
		}
		return checkSafe(path, info)
	})
}

// checkSafe refuses a file or directory that is another user's, a link, or writable by others.
func checkSafe(path string, info fs.FileInfo) error {
	owner := os.Geteuid()
	if s, ok := info.Sys().(*syscall.Stat_t); ok {
		owner = int(s.Uid)
	}
	switch {
	case info.Mode()&fs.ModeSymlink != 0:
		return fmt.Errorf("%w: %s is a link, and links are not followed; give the directory itself", ErrUnsafe, path)
	case !info.IsDir() && !info.Mode().IsRegular():
		return fmt.Errorf("%w: %s is no file and no directory; remove it", ErrUnsafe, path)
	case owner != os.Geteuid():
		return fmt.Errorf("%w: %s belongs to user %d and this is user %d; use a directory of your own", ErrUnsafe, path, owner,
			os.Geteuid())
	case info.Mode().Perm()&0o022 != 0:
		return fmt.Errorf("%w: others may write to %s, so its keys may be theirs. If you trust them: chmod go-w %s",
			ErrUnsafe, path, path)
	}
	return nil
}
