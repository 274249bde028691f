package backup

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"ltl/internal/ledger"
	"ltl/internal/store"
)

const (
	// ManifestName is the file by which a backup is recognised.
	ManifestName = "backup.json"
	// unfinished is added to a name while the file is being written.
	unfinished = ".new"

	manifestFormat = 1
)

// Chain is the newest block of a chain in a backup.
type Chain struct {
	ID        string    `json:"chainId"`
	Height    uint64    `json:"height"`
	BlockHash string    `json:"blockHash"`
	Time      time.Time `json:"time"`
}

// AccessKeys describes the sealed AccessKeys of a backup.
type AccessKeys struct {
	Count   int       `json:"count"`
	Version uint64    `json:"version"`
	Time    time.Time `json:"time"`
}

// Manifest describes a backup after its last complete run. The ledger may hold more blocks, of a run that was
// interrupted; it never holds fewer, or other ones.
type Manifest struct {
	Format    int    `json:"format"`
	NetworkID string `json:"networkId"`
	// Source is the process that sent the newest blocks, "organisation/role/name"; ComparedWith are those whose blocks do
	// not differ.
	Source       string   `json:"source"`
	ComparedWith []string `json:"comparedWith,omitempty"`
	// Time is when the run ended; zero before the first complete one.
	Time   time.Time `json:"time"`
	Blocks uint64    `json:"blocks"`
	Chains []Chain   `json:"chains"`
	// AccessKeys is nil when the backup has none.
	AccessKeys *AccessKeys `json:"accessKeys,omitempty"`
	// Rejected is why the blocks beyond Blocks have to be removed before anything else is done; empty otherwise.
	Rejected string `json:"rejected,omitempty"`
	// Checksum is SHA-256 over the manifest without it.
	Checksum string `json:"checksum,omitempty"`
}

// describe fills in what the ledger holds.
func (m *Manifest) describe(s *store.Store, now time.Time) {
	m.Time, m.Blocks, m.Chains = now.UTC().Truncate(time.Millisecond), s.Sequence(), nil
	for _, t := range s.Tips() {
		m.Chains = append(m.Chains, Chain{ID: t.ChainID, Height: t.Header.Height, BlockHash: hex.EncodeToString(t.Hash[:]),
			Time: time.UnixMilli(t.Header.TimeMs).UTC()})
	}
}

// sum is the checksum of the manifest.
func (m *Manifest) sum() (string, error) {
	clean := *m
	clean.Checksum = ""
	raw, err := json.Marshal(&clean)
	if err != nil {
		return "", err
	}
	sum := sha256.Sum256(raw)
	return hex.EncodeToString(sum[:]), nil
}

// save replaces the file atomically: after a crash it holds this manifest or the one before.
func (m *Manifest) save(dir string) (err error) {
	if m.Checksum, err = m.sum(); err != nil {
		return err
	}
	raw, err := json.MarshalIndent(m, "", "  ")
	if err != nil {
		return err
	}
	path := filepath.Join(dir, ManifestName)
	f, err := os.OpenFile(path+unfinished, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err == nil {
		_, err = f.Write(append(raw, '\n'))
		err = errors.Join(err, f.Sync(), f.Close())
	}
	if err == nil {
		err = os.Rename(path+unfinished, path)
	}
	if err == nil {
		err = syncDir(dir)
	}
	if err != nil {
		return fmt.Errorf("couldn't write the backup's manifest: %w", err)
	}
	return nil
}

// loadManifest reads and checks the file; os.ErrNotExist (wrapped) when there is none.
func loadManifest(dir string) (*Manifest, error) {
	raw, err := os.ReadFile(filepath.Join(dir, ManifestName))
	if err != nil {
		return nil, fmt.Errorf("couldn't read the backup's manifest: %w", err)
	}
	m := &Manifest{}
	if err := json.Unmarshal(raw, m); err != nil {
		return nil, fmt.Errorf("%w: %s: %w", ErrDamaged, ManifestName, err)
	}
	sum, err := m.sum()
	if err != nil {
		return nil, err
	}
	if sum != m.Checksum {
		return nil, fmt.Errorf("%w: %s does not match its checksum", ErrDamaged, ManifestName)
	}
	if m.Format != manifestFormat {
		return nil, fmt.Errorf("the backup has format %d, this program knows %d: use the version that made it",
			m.Format, manifestFormat)
	}
	return m, nil
}

// check compares a ledger with the manifest: it may have more blocks, never fewer or other ones.
func (m *Manifest) check(s *store.Store) error {
	if s.Sequence() < m.Blocks {
		return fmt.Errorf("%w: it has %d blocks, the manifest says %d", ErrDamaged, s.Sequence(), m.Blocks)
	}
	for _, c := range m.Chains {
		b, err := s.Block(c.ID, c.Height)
		if err != nil {
			return fmt.Errorf("%w: block %d of chain %s: %w", ErrDamaged, c.Height, c.ID, err)
		}
		if hash := ledger.BlockHash(b.GetHeader()); hex.EncodeToString(hash[:]) != c.BlockHash {
			return fmt.Errorf("%w: block %d of chain %s has hash %x, the manifest says %s",
				ErrDamaged, c.Height, c.ID, hash, c.BlockHash)
		}
	}
	_, version, err := s.AccessKeys(0, 1)
	if err == nil && m.AccessKeys != nil && version < m.AccessKeys.Version {
		err = fmt.Errorf("%w: its AccessKeys end at version %d, the manifest says %d",
			ErrDamaged, version, m.AccessKeys.Version)
	}
	return err
}

// Check compares a backup with its manifest. An audit sees the ledger alone; Check shows that the ledger is not an
// older or another one. It returns ErrNoBackup (wrapped) for a directory without a manifest. No run may change the
// backup meanwhile.
func Check(dir string) (_ *Manifest, err error) {
	m, err := loadManifest(dir)
	if errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("%s: %w", dir, ErrNoBackup)
	}
	if err != nil {
		return nil, err
	}
	if m.Rejected != "" {
		return nil, fmt.Errorf("%w: it still holds blocks that were rejected (%s); the next run removes them",
			ErrDamaged, m.Rejected)
	}
	if m.Blocks == 0 {
		return nil, fmt.Errorf("%s: %w", dir, ErrUnfinished)
	}
	s, err := openStore(filepath.Join(dir, ledgerName))
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	return m, m.check(s)
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
