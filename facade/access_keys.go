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

// accessKey is one version of an AccessKey. It does not change; a new version is a new value.
type accessKey struct {
	id, uid  string
	secret   []byte
	disabled bool
	version  uint64
	// macs holds HMAC-SHA1 states that have absorbed the key.
	macs sync.Pool
}

// newAccessKey is an AccessKey with its decrypted secret.
func newAccessKey(id, uid, secret string, disabled bool, version uint64) *accessKey {
	k := &accessKey{id: id, uid: uid, secret: []byte(secret), disabled: disabled, version: version}
	padded := []byte(secret + "&")
	k.macs.New = func() any { return hmac.New(sha1.New, padded) }
	return k
}

// sha1 returns an HMAC-SHA1 with the secret followed by "&" as its key. Give it back with putSHA1.
func (k *accessKey) sha1() hash.Hash { return k.macs.Get().(hash.Hash) }

// putSHA1 resets h to the state after the key, for the next caller of sha1.
func (k *accessKey) putSHA1(h hash.Hash) {
	h.Reset()
	k.macs.Put(h)
}

// keyring holds all AccessKeys of the network, decrypted, and follows their changes. Secrets are in memory only.
type keyring struct {
	logger *slog.Logger
	// more reads the sealing keys again; nil if there is only one.
	more func() ([][]byte, error)
	// wait is how long a call with an unknown AccessKey waits for it.
	wait    time.Duration
	waiters atomic.Int64

	// sealingKeys decrypt AccessKeys; undecrypted holds the AccessKeys that none of them decrypts. Both are owned by
	// follow.
	sealingKeys [][]byte
	undecrypted map[string]*ltlv1.AccessKey

	// mu guards what follows.
	mu      sync.RWMutex
	keys    map[string]*accessKey
	version uint64
	// current is set when all AccessKeys that existed when the watch began have arrived.
	current bool
	// lastMessage is when the network last sent anything, at first when the ring was created.
	lastMessage time.Time
	// changed is closed and replaced with every change.
	changed chan struct{}
}

// newKeyring is an empty ring. It is not ready until follow has received the AccessKeys.
func newKeyring(sealingKey []byte, logger *slog.Logger) *keyring {
	return &keyring{sealingKeys: [][]byte{sealingKey}, logger: logger, wait: keyWait, keys: map[string]*accessKey{},
		undecrypted: map[string]*ltlv1.AccessKey{}, lastMessage: time.Now(), changed: make(chan struct{})}
}

// follow receives the changes of AccessKeys until ctx ends.
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
		r.logger.Warn("watch of AccessKeys interrupted; retrying", "error", err, "retry", pause)
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

// decrypt decrypts an AccessKey; nil when no sealing key that the facade has decrypts it.
func (r *keyring) decrypt(in *ltlv1.AccessKey) *accessKey {
	secret, _, err := identity.UnsealAny(r.sealingKeys, in.GetAccessKeyId(), in.GetSealed())
	if err != nil && r.more != nil {
		keys, readErr := r.more()
		if readErr != nil {
			r.logger.Error("cannot read the sealing keys; check the key files of this facade", "error", readErr)
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

// apply applies one change. nil means that all changes so far have been delivered; then AccessKeys that could not be
// decrypted are tried again.
func (r *keyring) apply(in *ltlv1.AccessKey) {
	if in == nil {
		for _, one := range slices.Collect(maps.Values(r.undecrypted)) {
			if r.decrypt(one) != nil {
				r.apply(one)
			}
		}
	}
	var k *accessKey
	if in != nil {
		delete(r.undecrypted, in.GetAccessKeyId())
		if k = r.decrypt(in); k == nil {
			// It was sealed with another key, or is corrupt. This facade cannot authenticate its owner.
			r.undecrypted[in.GetAccessKeyId()] = in
			r.logger.Error("cannot decrypt an AccessKey; check the sealing key of this facade",
				"accessKeyId", in.GetAccessKeyId(), "version", in.GetVersion())
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.lastMessage = time.Now()
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

// status is the number of known AccessKeys, and the time since the last message of the network about them.
func (r *keyring) status() (known int, age time.Duration) {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return len(r.keys), time.Since(r.lastMessage)
}

// find returns the present version of a key.
func (r *keyring) find(id string) (k *accessKey, current bool, changed <-chan struct{}) {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return r.keys[id], r.current, r.changed
}

// errKeysPending is the reason of Ready until the AccessKeys have arrived from the network.
var errKeysPending = errors.New("AccessKeys have not arrived from the network yet")

// ready returns nil if the ring holds all AccessKeys that existed when the facade started.
func (r *keyring) ready() error {
	if _, current, _ := r.find(""); !current {
		return errKeysPending
	}
	return nil
}

// lookup returns an enabled key. A key that is not known may be on its way, so that up to maxKeyWaiters calls wait
// for keyWait.
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

// await waits until the key has arrived or the wait is over.
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
