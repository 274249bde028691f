package facade

import (
	"context"
	"crypto/hmac"
	"crypto/sha1"
	"errors"
	"hash"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"ltl/internal/identity"
	ltlv1 "ltl/proto/ltl/v1"
)

// accessKey is an AccessKey as the facade knows it. It does not change: a new version is a new value.
type accessKey struct {
	id, uid  string
	secret   []byte
	disabled bool
	version  uint64
	// macs keeps HMAC-SHA1 states that have absorbed the key already.
	macs sync.Pool
}

func newAccessKey(id, uid, secret string, disabled bool, version uint64) *accessKey {
	k := &accessKey{id: id, uid: uid, secret: []byte(secret), disabled: disabled, version: version}
	padded := []byte(secret + "&")
	k.macs.New = func() any { return hmac.New(sha1.New, padded) }
	return k
}

// sha1 returns a fresh HMAC-SHA1 under the secret and "&"; putSHA1 takes it back.
func (k *accessKey) sha1() hash.Hash { return k.macs.Get().(hash.Hash) }

func (k *accessKey) putSHA1(h hash.Hash) {
	h.Reset()
	k.macs.Put(h)
}

// keyring holds every AccessKey of the network, unsealed, and follows its changes. Secrets are in memory only.
type keyring struct {
	logger *slog.Logger
	// more reads the sealing keys again; nil when there is one for ever.
	more func() ([][]byte, error)
	// wait is how long a call with an unknown key waits for it.
	wait    time.Duration
	waiters atomic.Int64

	// sealingKeys and closed, the AccessKeys that none of them opened, belong to the goroutine that follows.
	sealingKeys [][]byte
	closed      map[string]*ltlv1.AccessKey

	// mu guards what follows.
	mu      sync.RWMutex
	keys    map[string]*accessKey
	version uint64
	// current is set once everything that existed when the watch began has arrived.
	current bool
	// heard is when the network last told anything, at first when the ring was made.
	heard time.Time
	// changed is closed and replaced with every change.
	changed chan struct{}
}

func newKeyring(sealingKey []byte, logger *slog.Logger) *keyring {
	return &keyring{sealingKeys: [][]byte{sealingKey}, logger: logger, wait: keyWait, keys: map[string]*accessKey{}, closed: map[string]*ltlv1.AccessKey{}, heard: time.Now(), changed: make(chan struct{})}
}

// follow keeps the ring current until ctx ends.
func (r *keyring) follow(ctx context.Context, n network) {
	pause := watchRetryMin
	for ctx.Err() == nil {
		r.mu.RLock()
		after := r.version
		r.mu.RUnlock()
		err := n.WatchAccessKeys(ctx, after, func(k *ltlv1.AccessKey) error {
			pause = watchRetryMin
			r.apply(k)
			return nil
		})
		if ctx.Err() != nil {
			return
		}
		r.logger.Warn("watching AccessKeys was interrupted", "error", err, "retry", pause)
		timer := time.NewTimer(pause)
		select {
		case <-ctx.Done():
			timer.Stop()
			return
		case <-timer.C:
		}
		pause = min(2*pause, watchRetryMax)
	}
}

// open unseals an AccessKey; nil when no sealing key that the facade has opens it.
func (r *keyring) open(in *ltlv1.AccessKey) *accessKey {
	secret, _, err := identity.UnsealAny(r.sealingKeys, in.GetAccessKeyId(), in.GetSealed())
	if err != nil && r.more != nil {
		keys, readErr := r.more()
		if readErr != nil {
			r.logger.Error("cannot read the sealing keys", "error", readErr)
			return nil
		}
		r.sealingKeys = keys
		secret, _, err = identity.UnsealAny(keys, in.GetAccessKeyId(), in.GetSealed())
	}
	if err != nil {
		return nil
	}
	return newAccessKey(in.GetAccessKeyId(), in.GetAccountUid(), secret, in.GetDisabled(), in.GetVersion())
}

// apply takes one change; nil says that everything up to now has been delivered, and what did not open is tried again.
func (r *keyring) apply(in *ltlv1.AccessKey) {
	if in == nil {
		for _, one := range slices.Collect(maps.Values(r.closed)) {
			if r.open(one) != nil {
				r.apply(one)
			}
		}
	}
	var k *accessKey
	if in != nil {
		delete(r.closed, in.GetAccessKeyId())
		if k = r.open(in); k == nil {
			// The record is for another sealing key, or damaged. Its owner cannot be authenticated here.
			r.closed[in.GetAccessKeyId()] = in
			r.logger.Error("an AccessKey cannot be unsealed", "accessKeyId", in.GetAccessKeyId(), "version", in.GetVersion())
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.heard = time.Now()
	switch {
	case in == nil:
		r.current = true
	case k == nil:
		delete(r.keys, in.GetAccessKeyId())
		r.version = max(r.version, in.GetVersion())
	default:
		r.version = max(r.version, k.version)
		if old := r.keys[k.id]; old == nil || old.version <= k.version {
			r.keys[k.id] = k
		}
	}
	close(r.changed)
	r.changed = make(chan struct{})
}

// standing is how many AccessKeys are known, and for how long the network has told nothing of them.
func (r *keyring) standing() (known int, age time.Duration) {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return len(r.keys), time.Since(r.heard)
}

// find returns a key as it is known now.
func (r *keyring) find(id string) (k *accessKey, current bool, changed <-chan struct{}) {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return r.keys[id], r.current, r.changed
}

// errKeysPending says that no AccessKeys have arrived from the network yet.
var errKeysPending = errors.New("AccessKeys have not arrived from the network yet")

// ready says whether the ring holds everything that existed when the facade started.
func (r *keyring) ready() error {
	if _, current, _ := r.find(""); !current {
		return errKeysPending
	}
	return nil
}

// lookup returns a usable key. A key that is not known yet may be on its way: the call waits for it a little, few at a time.
func (r *keyring) lookup(ctx context.Context, id string) (*accessKey, *gatewayError) {
	k, current, changed := r.find(id)
	if k == nil {
		k, current = r.await(ctx, id, current, changed)
	}
	switch {
	case k == nil && !current:
		return nil, gateway(codeServiceUnavailable)
	case k == nil:
		return nil, gateway(codeKeyNotFound)
	case k.disabled:
		return nil, gateway(codeKeyInactive)
	}
	return k, nil
}

// await waits until the key has arrived, or the wait is over.
func (r *keyring) await(ctx context.Context, id string, current bool, changed <-chan struct{}) (*accessKey, bool) {
	defer r.waiters.Add(-1)
	if r.waiters.Add(1) > maxKeyWaiters {
		return nil, current
	}
	timer := time.NewTimer(r.wait)
	defer timer.Stop()
	var k *accessKey
	for k == nil {
		select {
		case <-ctx.Done():
			return nil, current
		case <-timer.C:
			return nil, current
		case <-changed:
		}
		k, current, changed = r.find(id)
	}
	return k, current
}
