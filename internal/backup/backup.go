// Package backup copies the ledger of a running network into a directory; each further run adds the blocks made since.
// It trusts the trust file and nothing else: every block is executed again before it is kept, as an endorser does, and
// the newest blocks are compared with those of all other nodes that answer. A copy is always a prefix of the order of
// execution, without gaps.
//
// A directory holds `ledger/` (internal/store), `backup.json` (Manifest) and `lock`, which is held by the one run that
// may change the directory.
package backup

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"google.golang.org/protobuf/proto"

	"ltl/internal/audit"
	"ltl/internal/identity"
	"ltl/internal/store"
	"ltl/internal/verify"
	ltlv1 "ltl/proto/ltl/v1"
)

const (
	lockName   = "lock"
	ledgerName = "ledger"

	// groupBlocks and groupBytes bound the blocks that are stored together.
	groupBlocks = 256
	groupBytes  = 4 << 20
	// followIdle is how long the source may send nothing although it has more blocks.
	followIdle = 30 * time.Second
	// accessKeysTimeout bounds the reading of the AccessKeys; their newest state needs a majority of the nodes.
	accessKeysTimeout = 60 * time.Second
)

// Errors that callers tell apart with errors.Is.
var (
	// ErrSource is returned, wrapped, when the source's blocks are wrong or differ from those of another node. Nothing of
	// that run is kept.
	ErrSource = errors.New("nothing of this run is kept")
	// ErrNoBackup is returned, wrapped, for a directory that holds files, and no backup.
	ErrNoBackup = errors.New("there is no backup in it")
	// ErrUnfinished is returned, wrapped, by Check before the first run has ended.
	ErrUnfinished = errors.New("no run of this backup has ended yet; run it again")
	// ErrDamaged is returned, wrapped, when a backup does not match its manifest.
	ErrDamaged = errors.New("the backup is damaged")
)

// Config configures a run.
type Config struct {
	// Dir is the directory of the backup: absent, empty, or that of a former run.
	Dir   string
	Trust *identity.Trust
	// Source is the node to copy from; the zero value takes the one of Others with the most blocks.
	Source audit.Other
	// Others are the nodes that the copy is compared with.
	Others []audit.Other
	// AccessKeys calls fn with every sealed AccessKey above a version, and with nil after the last, as
	// client.WatchSealed does. Without it the backup keeps the AccessKeys that it has.
	AccessKeys func(ctx context.Context, after uint64, fn func(*ltlv1.SealedKey) error) error
}

// Report is the result of a run.
type Report struct {
	Manifest
	Dir string `json:"dir"`
	// Added is the number of blocks that the backup did not have before.
	Added uint64 `json:"added"`
	// Compared are the comparisons with the other nodes after the copying, with the number of blocks that each had more
	// by then.
	Compared []audit.Comparison `json:"compared"`
	Took     time.Duration      `json:"tookNs"`
}

// run is one run on a locked directory.
type run struct {
	cfg      Config
	manifest *Manifest
	store    *store.Store
	had      uint64 // blocks before this run
	compared []audit.Comparison
}

// Run adds the blocks up to the newest one that the source has at the time of the call. An interrupted run keeps what
// it has executed, and the next one goes on from there, with the same source or another. After ErrSource the backup is
// what it was after the last complete run.
func Run(ctx context.Context, cfg Config) (_ *Report, err error) {
	began := time.Now()
	lock, err := lockDir(cfg.Dir)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, lock.Close()) }()
	r := &run{cfg: cfg}
	if err := r.prepare(); err != nil {
		return nil, err
	}
	err = r.copy(ctx)
	if err == nil {
		err = r.finish()
	}
	have := r.store.Sequence()
	err = errors.Join(err, r.store.Close())
	switch {
	case errors.Is(err, ErrSource):
		return nil, errors.Join(err, r.rollBack())
	case err != nil && ctx.Err() != nil:
		return nil, fmt.Errorf("interrupted; the backup holds %d blocks, run it again to go on: %w", have, err)
	case err != nil && have > r.had:
		return nil, fmt.Errorf("%w; the %d new blocks are kept, run it again to go on", err, have-r.had)
	case err != nil:
		return nil, err
	}
	return &Report{Manifest: *r.manifest, Dir: cfg.Dir, Added: have - r.had, Compared: r.compared,
		Took: time.Since(began)}, nil
}

// lockDir makes the directory if it is absent, refuses one that holds other files, and takes its lock.
func lockDir(dir string) (*os.File, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("couldn't make the backup's directory: %w", err)
	}
	names, err := os.ReadDir(dir)
	if err != nil {
		return nil, fmt.Errorf("couldn't read the backup's directory: %w", err)
	}
	known, manifest := true, false
	for _, n := range names {
		manifest = manifest || n.Name() == ManifestName
		known = known && (n.Name() == lockName || n.Name() == ManifestName+unfinished)
	}
	if !manifest && !known {
		return nil, fmt.Errorf("%s holds files, and %w: name an empty directory", dir, ErrNoBackup)
	}
	f, err := os.OpenFile(filepath.Join(dir, lockName), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("couldn't open the backup's lock: %w", err)
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		return nil, errors.Join(fmt.Errorf("the backup %s is in use by another process: %w", dir, err), f.Close())
	}
	return f, nil
}

// prepare reads or makes the manifest, finishes an interrupted rollback, and opens the ledger.
func (r *run) prepare() error {
	id := r.cfg.Trust.NetworkID()
	network := hex.EncodeToString(id[:])
	m, err := loadManifest(r.cfg.Dir)
	if errors.Is(err, os.ErrNotExist) {
		m = &Manifest{Format: manifestFormat, NetworkID: network}
		err = m.save(r.cfg.Dir)
	}
	if err != nil {
		return err
	}
	if m.NetworkID != network {
		return fmt.Errorf("%s is a backup of network %s, the trust file is of %s", r.cfg.Dir, m.NetworkID, network)
	}
	r.manifest = m
	if m.Rejected != "" {
		if err := r.rollBack(); err != nil {
			return err
		}
	}
	if r.store, err = openStore(filepath.Join(r.cfg.Dir, ledgerName)); err != nil {
		return err
	}
	r.had = r.store.Sequence()
	if err = m.check(r.store); err == nil {
		err = r.store.Init(r.cfg.Trust.GenesisPayload())
	}
	if err != nil {
		return errors.Join(err, r.store.Close())
	}
	return nil
}

// openStore opens a ledger without logs and without ending the process: failures are returned.
func openStore(dir string) (*store.Store, error) {
	silent := slog.New(slog.NewTextHandler(io.Discard, nil))
	s, err := store.Open(dir, store.Options{Logger: silent, Fatal: func(error) {}})
	if errors.Is(err, store.ErrCorrupt) {
		return nil, fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	return s, err
}

// copy fetches the missing blocks and compares the copy with all others.
func (r *run) copy(ctx context.Context) error {
	source, err := r.source(ctx)
	if err != nil {
		return err
	}
	r.manifest.Source = source.Status.GetId()
	if fault := source.Status.GetFault(); fault != "" {
		return fmt.Errorf("%s reports a fault: %s; choose another source", source.Name, fault)
	}
	// The blocks that are here must be the source's before any of its blocks is taken.
	if _, err := r.agrees(ctx, source); err != nil {
		return err
	}
	until := source.Status.GetSequence()
	var blocks uint64 // the tips may be newer than the sequence number in the same answer
	for _, c := range source.Status.GetChains() {
		blocks += c.GetHeight() + 1
	}
	if err := r.follow(ctx, source.Other, max(until, blocks)); err != nil {
		return err
	}
	missing, err := r.agrees(ctx, source)
	if err != nil {
		return err
	}
	if missing > 0 {
		return fmt.Errorf("%w: source %s claims %d blocks that it did not send", ErrSource, source.Name, missing)
	}
	if r.compared, err = audit.Compare(ctx, r.store, audit.Ask(ctx, r.others(source.Name))); err != nil {
		return fmt.Errorf("%w: copied from %s, and %w; audit both", ErrSource, source.Name, err)
	}
	if err := r.store.SyncOpenings(); err != nil {
		return fmt.Errorf("couldn't make the values durable: %w", err)
	}
	return r.accessKeys(ctx)
}

// source reads the status of the source; it chooses the source if none is given.
func (r *run) source(ctx context.Context) (*audit.Answer, error) {
	if r.cfg.Source.Ledger != nil {
		a := audit.Ask(ctx, []audit.Other{r.cfg.Source})[0]
		if a.Err != nil {
			return nil, fmt.Errorf("%s does not answer, choose another source: %w", a.Name, a.Err)
		}
		return &a, nil
	}
	var best *audit.Answer
	var problems []string
	for _, a := range audit.Ask(ctx, r.cfg.Others) {
		switch {
		case a.Err != nil:
			problems = append(problems, fmt.Sprintf("%s: %s", a.Name, a.Err))
		case a.Status.GetFault() != "":
			problems = append(problems, fmt.Sprintf("%s reports a fault: %s", a.Name, a.Status.GetFault()))
		case best == nil || a.Status.GetSequence() > best.Status.GetSequence():
			best = &a
		}
	}
	if best == nil {
		return nil, fmt.Errorf("there is no node to copy from: %s", strings.Join(problems, "; "))
	}
	return best, nil
}

func (r *run) others(but string) []audit.Other {
	var out []audit.Other
	for _, o := range r.cfg.Others {
		if o.Name != but {
			out = append(out, o)
		}
	}
	return out
}

// agrees compares the tips in the source's status with the blocks that are here, and returns how many are missing here.
func (r *run) agrees(ctx context.Context, source *audit.Answer) (missing uint64, err error) {
	found, err := audit.Compare(ctx, r.store, []audit.Answer{*source})
	switch {
	case errors.Is(err, audit.ErrDiffers):
		return 0, fmt.Errorf("%w: source %s: %w", ErrSource, source.Name, err)
	case err != nil:
		return 0, err
	case found[0].Error != "":
		return 0, fmt.Errorf("couldn't compare with %s: %s", source.Name, found[0].Error)
	}
	return found[0].Behind, nil
}

// errWhole ends a stream after its last item.
var errWhole = errors.New("all blocks are there")

// follow stores the source's blocks until there are n.
func (r *run) follow(ctx context.Context, source audit.Other, n uint64) error {
	next := r.store.Sequence()
	if next >= n {
		return nil
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	idle := time.AfterFunc(followIdle, func() { cancel(fmt.Errorf("it sent nothing for %s", followIdle)) })
	defer idle.Stop()
	stream, err := source.Ledger.Follow(ctx, &ltlv1.FollowRequest{FromSequence: next, Openings: true})
	if err != nil {
		return fmt.Errorf("couldn't read the blocks of %s: %w", source.Name, err)
	}
	var group []*ltlv1.Block
	size := 0
	for ; next < n; next++ {
		res, err := stream.Recv()
		if err != nil {
			if cause := context.Cause(ctx); cause != nil {
				err = cause
			}
			err = fmt.Errorf("couldn't read block %d of %d of %s: %w", next, n, source.Name, err)
			return errors.Join(r.keep(source, group), err)
		}
		idle.Reset(followIdle)
		if res.GetSequence() != next || res.GetBlock() == nil {
			return fmt.Errorf("%w: source %s sent block number %d in the order of execution as number %d",
				ErrSource, source.Name, next, res.GetSequence())
		}
		group = append(group, res.GetBlock())
		if size += proto.Size(res.GetBlock()); len(group) < groupBlocks && size < groupBytes {
			continue
		}
		if err := r.keep(source, group); err != nil {
			return err
		}
		group, size = group[:0], 0
	}
	return r.keep(source, group)
}

// keep executes and stores a group of blocks.
func (r *run) keep(source audit.Other, group []*ltlv1.Block) error {
	err := r.store.Append(group)
	if errors.Is(err, verify.ErrBadBlock) {
		return fmt.Errorf("%w: source %s: %w", ErrSource, source.Name, err)
	}
	if err != nil {
		return fmt.Errorf("couldn't store the blocks: %w", err)
	}
	return nil
}

// accessKeys replaces the backup's sealed AccessKeys by those of the network.
func (r *run) accessKeys(ctx context.Context) error {
	if r.cfg.AccessKeys == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, accessKeysTimeout)
	defer cancel()
	now := time.Now()
	newest := map[string]*ltlv1.SealedKey{} // one that changes meanwhile is sent again
	err := r.cfg.AccessKeys(ctx, 0, func(k *ltlv1.SealedKey) error {
		if k == nil {
			return errWhole
		}
		newest[k.GetAccessKeyId()] = k
		return nil
	})
	if !errors.Is(err, errWhole) {
		return fmt.Errorf("couldn't read the AccessKeys; it takes an operator and a majority of the nodes: %w", err)
	}
	keys, version := make([]*ltlv1.SealedKey, 0, len(newest)), uint64(0)
	for _, k := range newest {
		keys = append(keys, k)
		version = max(version, k.GetVersion())
	}
	if before := r.manifest.AccessKeys; before != nil && version < before.Version {
		return fmt.Errorf("the network's AccessKeys (version %d) are older than those of the backup (version %d)",
			version, before.Version)
	}
	if err := r.store.RestoreAccessKeys(keys); err != nil {
		return fmt.Errorf("couldn't store the AccessKeys: %w", err)
	}
	r.manifest.AccessKeys = &AccessKeys{Count: len(keys), Version: version, Time: now.UTC().Truncate(time.Millisecond)}
	return nil
}

// finish writes the manifest of a complete run.
func (r *run) finish() error {
	r.manifest.describe(r.store, time.Now())
	r.manifest.ComparedWith = nil
	for _, c := range r.compared {
		if c.Error == "" {
			r.manifest.ComparedWith = append(r.manifest.ComparedWith, c.Name)
		}
	}
	return r.manifest.save(r.cfg.Dir)
}
