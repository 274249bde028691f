package endorser

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"ltl/internal/identity"
)

// nextSealing is where a new sealing key of the devices' keys is put for the endorser to take.
func (d *deviceKeys) nextSealing() string { return d.sealingPath + ".next" }

// adoptSealing seals the devices' keys under the next sealing key, if one was put beside the present one, and makes it the present one.
// The file is written first: a crash before the rename leaves a file that the next key opens, which openDeviceKeys finds out. It
// reports whether there was one.
func (d *deviceKeys) adoptSealing() (bool, error) {
	if _, err := os.Lstat(d.nextSealing()); errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	next, err := identity.LoadSealingKey(d.nextSealing())
	if err != nil {
		return false, fmt.Errorf("the next key that seals devices' keys: %w", err)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	former := d.sealing
	d.sealing = next
	if len(d.keys) > 0 {
		if err := d.write(d.keys); err != nil {
			d.sealing = former
			return false, err
		}
	}
	return true, d.promoteSealing()
}

// promoteSealing makes the next sealing key the present one.
func (d *deviceKeys) promoteSealing() error {
	if err := os.Rename(d.nextSealing(), d.sealingPath); err != nil {
		return fmt.Errorf("the next key that seals devices' keys: %w", err)
	}
	dir, err := os.Open(filepath.Dir(d.sealingPath))
	if err != nil {
		return fmt.Errorf("the next key that seals devices' keys: %w", err)
	}
	return errors.Join(dir.Sync(), dir.Close())
}

// openNext opens a file that was sealed under the next key before a crash.
func (d *deviceKeys) openNext(sealed []byte) bool {
	next, err := identity.LoadSealingKey(d.nextSealing())
	if err != nil {
		return false
	}
	former := d.sealing
	d.sealing = next
	if d.open(sealed) == nil && d.promoteSealing() == nil {
		return true
	}
	d.sealing = former
	return false
}

// adoptDeviceSealing looks for a next sealing key.
func (e *Endorser) adoptDeviceSealing() {
	switch adopted, err := e.devices.adoptSealing(); {
	case err != nil:
		e.log.Error("the devices' keys cannot be sealed under the next key", "error", err)
	case adopted:
		e.log.Info("the devices' keys are sealed under a new key", "devices", e.devices.count())
	}
}
