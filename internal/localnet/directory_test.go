package localnet

import (
	"errors"
	"os"
	"path/filepath"
	"syscall"
	"testing"
)

// TestUnsafeDirectories: a directory that others could have prepared is refused, and nothing outside it is touched.
func TestUnsafeDirectories(t *testing.T) {
	elsewhere := t.TempDir()
	for name, prepare := range map[string]func(dir string) error{
		"writable by others":  func(dir string) error { return os.Chmod(dir, 0o777) },
		"writable by a group": func(dir string) error { return os.Chmod(dir, 0o770) },
		"link in it":          func(dir string) error { return os.Symlink(elsewhere, filepath.Join(dir, "nodes")) },
		"logs are a link":     func(dir string) error { return os.Symlink(elsewhere, filepath.Join(dir, "logs")) },
		"lock is a link":      func(dir string) error { return os.Symlink("/dev/null", filepath.Join(dir, lockFile)) },
		"a named pipe":        func(dir string) error { return syscall.Mkfifo(filepath.Join(dir, "network.json"), 0o600) },
		"keys others may write": func(dir string) error {
			if err := os.Mkdir(filepath.Join(dir, pkiDir), 0o700); err != nil {
				return err
			}
			return os.Chmod(filepath.Join(dir, pkiDir), 0o707)
		},
		"itself a link": func(dir string) error {
			if err := os.Remove(dir); err != nil {
				return err
			}
			return os.Symlink(elsewhere, dir)
		},
	} {
		t.Run(name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "net")
			if err := os.Mkdir(dir, 0o700); err != nil {
				t.Fatal(err)
			}
			if err := prepare(dir); err != nil {
				t.Fatal(err)
			}
			err := Run(t.Context(), Options{Dir: dir, HTTP: "127.0.0.1:0"})
			if !errors.Is(err, ErrUnsafe) {
				t.Errorf("%v, want ErrUnsafe", err)
			}
		})
	}
	if got, err := os.ReadDir(elsewhere); err != nil || len(got) != 0 {
		t.Errorf("files were made behind a link: %v %v", got, err)
	}
	if os.Geteuid() == 0 {
		dir := t.TempDir()
		if err := os.Chown(dir, 65534, 65534); err != nil {
			t.Fatal(err)
		}
		if err := makeDirectory(dir); !errors.Is(err, ErrUnsafe) {
			t.Errorf("another user's directory: %v", err)
		}
	}
	if err := makeDirectory(filepath.Join(t.TempDir(), "new", "net")); err != nil {
		t.Errorf("a new directory: %v", err)
	}
}
