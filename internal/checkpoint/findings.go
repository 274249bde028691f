package checkpoint

import (
	"crypto/ed25519"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"ltl/client/proof"
)

// FindingsDirectory is the name of the directory, beside the ledger, of the files that convict signers.
const FindingsDirectory = "misbehaviour"

// ErrConvicted is returned, wrapped, by a signer whose own key signed two histories.
var ErrConvicted = errors.New("the key of this process signed two histories")

// findings are the misbehaviour files of a process: one for each key, the first that was found. An operator moves a
// file away when he has seen to it; the process looks again each time.
type findings struct{ dir string }

// nameOf is the name of the file that convicts a key.
func nameOf(signer, key string) string {
	return strings.ReplaceAll(signer, "/", "-") + "-" + key[:16] + ".json"
}

// keep writes the file that convicts a key, unless there is one. When it returns nil, the file is on disk.
func (f findings) keep(v *proof.Conviction, file []byte) error {
	if v.Failure != nil {
		return v.Failure
	}
	path := filepath.Join(f.dir, nameOf(v.Signer, v.Key))
	if _, err := os.Stat(path); err == nil {
		return nil
	}
	if err := os.MkdirAll(f.dir, 0o700); err != nil {
		return fmt.Errorf("keep a misbehaviour file: %w", err)
	}
	temporary, err := os.CreateTemp(f.dir, ".new")
	if err != nil {
		return fmt.Errorf("keep a misbehaviour file: %w", err)
	}
	_, err = temporary.Write(file)
	err = errors.Join(err, temporary.Sync(), temporary.Close())
	if err == nil {
		err = os.Rename(temporary.Name(), path)
	}
	if err == nil {
		err = syncDir(f.dir)
	}
	if err != nil {
		return fmt.Errorf("keep a misbehaviour file: %w", err)
	}
	return nil
}

// list returns the names of the files.
func (f findings) list() (names []string) {
	all, err := os.ReadDir(f.dir)
	if err != nil {
		return nil // there is none
	}
	for _, e := range all {
		if strings.HasSuffix(e.Name(), ".json") && !strings.HasPrefix(e.Name(), ".") {
			names = append(names, e.Name())
		}
	}
	return names
}

// against returns why a key may sign no more; nil while nothing convicts it.
func (f findings) against(signer string, key ed25519.PrivateKey) error {
	path := filepath.Join(f.dir, nameOf(signer, hex.EncodeToString(key.Public().(ed25519.PublicKey))))
	if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return fmt.Errorf("%w: %s proves it; find out who else has the key, and give this process a new one", ErrConvicted, path)
}

// text says what was found; empty when nothing was.
func (f findings) text() string {
	names := f.list()
	if len(names) == 0 {
		return ""
	}
	return fmt.Sprintf("a signer of checkpoints signed two histories: %s in %s convicts it (check it with ltl proof verify, show "+
		"it to the other organisations, and move it away then)", strings.Join(names, ", "), f.dir)
}
