package checkpoint

import (
	"bytes"
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"ltl/internal/ledger"
)

// Directory is the name of the directory, beside the ledger, that remembers what was signed. It is not in the ledger: a
// ledger that is restored must not bring an older memory with it.
const Directory = "signed"

const lockFile = "lock"

// latchVersion is the first line of a file, before the checksum and the signed note.
const latchVersion = "ltl-signed/1"

// ErrLatchLost is returned, wrapped, by signers that do not know what they signed.
var ErrLatchLost = errors.New("what this process signed before is not known")

// latch remembers, for each chain, the largest checkpoint that was signed. One process uses it; only its caller's lock
// protects it.
type latch struct {
	dir  string
	lock *os.File
	// unusable says why nothing may be signed; nil when what was signed is known.
	unusable error
	held     map[string]held
}

// held is the largest checkpoint of a chain.
type held struct {
	body
	note []byte
}

// openLatch reads what was signed. A directory that is missing is made when fresh says that the ledger is new. Whatever
// is wrong makes the latch unusable and keeps no process from running.
func openLatch(dir string, fresh bool) *latch {
	l := &latch{dir: dir, held: map[string]held{}}
	l.unusable = l.open(fresh)
	return l
}

func (l *latch) open(fresh bool) error {
	if _, err := os.Stat(l.dir); errors.Is(err, fs.ErrNotExist) {
		if !fresh {
			return fmt.Errorf("%w: the directory %s is missing; if the key of this process has signed checkpoints of this "+
				"ledger only, make the directory and restart, else give the process a new key", ErrLatchLost, l.dir)
		}
		if err := errors.Join(os.Mkdir(l.dir, 0o700), syncDir(filepath.Dir(l.dir))); err != nil {
			return fmt.Errorf("%w: %w", ErrLatchLost, err)
		}
	}
	var err error
	if l.lock, err = os.OpenFile(filepath.Join(l.dir, lockFile), os.O_CREATE|os.O_RDWR, 0o600); err != nil {
		return fmt.Errorf("%w: %w", ErrLatchLost, err)
	}
	if err := unix.Flock(int(l.lock.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		return fmt.Errorf("%w: another process uses %s; stop it and restart", ErrLatchLost, l.dir)
	}
	return l.load()
}

func (l *latch) load() error {
	entries, err := os.ReadDir(l.dir)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrLatchLost, err)
	}
	for _, e := range entries {
		if !ledger.ValidChainID(e.Name()) { // the lock, or a file that was not renamed before a crash: nothing was signed
			continue
		}
		path := filepath.Join(l.dir, e.Name())
		h, err := readHeld(path)
		if err != nil {
			return fmt.Errorf("%w: file %s: %w; give this process a new key", ErrLatchLost, path, err)
		}
		l.held[e.Name()] = *h
	}
	return nil
}

func readHeld(path string) (*held, error) {
	raw, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	signed, err := unsealNote(raw)
	if err != nil {
		return nil, err
	}
	b, err := parseBody(signed)
	if err != nil {
		return nil, err
	}
	return &held{*b, signed}, nil
}

// put remembers a checkpoint of a chain. When it returns nil, the checkpoint is on disk.
func (l *latch) put(chainID string, b *body, signed []byte) error {
	temporary := filepath.Join(l.dir, chainID+".new")
	f, err := os.OpenFile(temporary, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("remember what is signed: %w", err)
	}
	_, err = f.Write(sealNote(signed))
	err = errors.Join(err, f.Sync(), f.Close())
	if err == nil {
		err = os.Rename(temporary, filepath.Join(l.dir, chainID))
	}
	if err == nil {
		err = syncDir(l.dir)
	}
	if err != nil {
		return fmt.Errorf("remember what is signed: %w", err)
	}
	l.held[chainID] = held{*b, signed}
	return nil
}

func (l *latch) close() error {
	if l.lock == nil {
		return nil
	}
	return l.lock.Close()
}

func checksum(b []byte) uint32 { return crc32.Checksum(b, crc32.MakeTable(crc32.Castagnoli)) }

func sealNote(signed []byte) []byte {
	return fmt.Appendf(nil, "%s\n%08x\n%s", latchVersion, checksum(signed), signed)
}

func unsealNote(raw []byte) ([]byte, error) {
	head := len(latchVersion) + len("\n12345678\n")
	if len(raw) < head || !bytes.Equal(raw, sealNote(raw[head:])) {
		return nil, errors.New("it is damaged")
	}
	return raw[head:], nil
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return fmt.Errorf("sync %s: %w", dir, err)
	}
	return errors.Join(d.Sync(), d.Close())
}
