package facade

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha1"
	"errors"
	"hash"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"ltl/client"
	"ltl/internal/identity"
	"ltl/internal/ledger"
	"ltl/internal/rules"
	ltlv1 "ltl/proto/ltl/v1"
)

// accessKey is one version of an AccessKey. It does not change; a new version is a new value.
type accessKey struct {
	id, uid  string
	secret   []byte
	disabled bool
	// commitment is that of the ledger to the sealed secret.
	commitment string
	// macs holds HMAC-SHA1 states that have absorbed the key.
	macs sync.Pool
}

// newAccessKey is an AccessKey with its decrypted secret.
func newAccessKey(info *ltlv1.AccessKeyInfo, secret string, disabled bool) *accessKey {
	k := &accessKey{id: info.GetId(), uid: info.GetAccountUid(), secret: []byte(secret), disabled: disabled,
		commitment: string(info.GetCommitment())}
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

// keyring holds the AccessKeys of the network that this facade may use, decrypted, and follows their changes. What an
// AccessKey is, and whose, comes from the endorser of the facade's own organisation. Sealed secrets come from any node:
// the ledger's commitment proves them. Secrets are in memory only.
type keyring struct {
	logger  *slog.Logger
	network ledger.Hash
	// more reads the sealing keys again; nil if there is only one set.
	more func() ([][]byte, error)
	// wait is how long a call with an unknown AccessKey waits for it.
	wait    time.Duration
	waiters atomic.Int64
	// silence is after how much time without a word of the endorser every call is refused.
	silence time.Duration

	// mu guards what follows.
	mu          sync.RWMutex
	sealingKeys [][]byte
	// reread is when the sealing keys were last read again for AccessKeys that none opened.
	reread time.Time
	keys   map[string]*accessKey
	// infos are all AccessKeys of the ledger, blobs the newest sealed secrets, by the AccessKey's id.
	infos map[string]*ltlv1.AccessKeyInfo
	blobs map[string][]byte
	asked map[string]asked
	// version is that of the newest sealed secret.
	version uint64
	// current is set when all AccessKeys have arrived, sealed when all sealed secrets have.
	current, sealed bool
	// heard is when the endorser last said that it is there, at first when the ring was created.
	heard time.Time
	// changed is closed and replaced with every change.
	changed chan struct{}
}

// asked counts how often another node was asked for the sealed secret of a version of an AccessKey.
type asked struct {
	version uint64
	times   int
}

// newKeyring is an empty ring. It is not ready until the AccessKeys have arrived.
func newKeyring(network ledger.Hash, sealingKey []byte, logger *slog.Logger) *keyring {
	return &keyring{network: network, sealingKeys: [][]byte{sealingKey}, logger: logger, wait: keyWait,
		silence: maxSilence, keys: map[string]*accessKey{}, infos: map[string]*ltlv1.AccessKeyInfo{},
		blobs: map[string][]byte{}, asked: map[string]asked{}, heard: time.Now(), changed: make(chan struct{})}
}

// follow receives AccessKeys from the endorser until ctx ends.
func (r *keyring) follow(ctx context.Context, n network) {
	repeatWatch(ctx, r.logger, "AccessKeys", func(progress func()) error {
		return n.WatchAccessKeys(ctx, func(infos []*ltlv1.AccessKeyInfo) {
			progress()
			r.take(infos)
		})
	})
}

// followSealed receives sealed secrets from the nodes until ctx ends. It begins when all AccessKeys have arrived, so
// that few secrets come before what proves them.
func (r *keyring) followSealed(ctx context.Context, n network) {
	if !r.arrived(ctx) {
		return
	}
	repeatWatch(ctx, r.logger, "sealed AccessKeys", func(progress func()) error {
		r.mu.RLock()
		after := r.version
		r.mu.RUnlock()
		return n.WatchSealed(ctx, after, func(k *ltlv1.SealedKey) error {
			progress()
			return r.takeSealed(k)
		})
	})
}

// arrived waits until all AccessKeys have arrived from the endorser; false when ctx ends before.
func (r *keyring) arrived(ctx context.Context) bool {
	for {
		r.mu.RLock()
		current, changed := r.current, r.changed
		r.mu.RUnlock()
		if current {
			return true
		}
		select {
		case <-ctx.Done():
			return false
		case <-changed:
		}
	}
}

// repeatWatch calls watch again each time it ends, with a pause that grows while nothing arrives, until ctx ends.
func repeatWatch(ctx context.Context, logger *slog.Logger, what string, watch func(progress func()) error) {
	pause := watchRetryMin
	for ctx.Err() == nil {
		err := watch(func() { pause = watchRetryMin })
		if ctx.Err() != nil {
			return
		}
		logger.Warn("a watch is interrupted; retrying", "watch", what, "error", err, "retry", pause)
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

// take takes AccessKeys from the endorser. An empty list says that all changes so far have been sent.
func (r *keyring) take(infos []*ltlv1.AccessKeyInfo) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(infos) == 0 {
		if since := time.Since(r.heard); since > r.silence {
			r.logger.Info("the organisation's endorser answers again", "silent", since)
		}
		r.current, r.heard = true, time.Now()
		r.tryNewSealingKeys()
	}
	for _, k := range infos {
		r.infos[k.GetId()] = k
		r.open(k.GetId())
	}
	r.notify()
}

// takeSealed takes a sealed secret from a node; nil says that all have been sent. Of AccessKeys that the endorser has not
// named, the ring keeps a bounded number: a node that invents them must not fill the memory. Another one is asked for
// again when it is missing.
func (r *keyring) takeSealed(k *ltlv1.SealedKey) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	defer r.notify()
	if k == nil {
		r.sealed = true
		return r.missing()
	}
	id := k.GetAccessKeyId()
	r.version = max(r.version, k.GetVersion())
	if _, ok := ledger.ParseSealed(k.GetSealed()); !ok || !rules.ValidAccessKeyID(id) ||
		r.infos[id] == nil && len(r.blobs) >= len(r.infos)+maxEarlySealed {
		return nil
	}
	r.blobs[id] = k.GetSealed()
	r.open(id)
	return nil
}

// missing tries AccessKeys again that could not be decrypted. It returns client.ErrAnotherNode when the node just heard
// has sent everything and an active AccessKey still has no secret that fits. Each version is asked for a bounded number
// of times: after a crash between its transaction and its secret no node has it.
func (r *keyring) missing() error {
	var err error
	for id, info := range r.infos {
		if info.GetState() != ltlv1.AccessKeyState_ACCESS_KEY_STATE_ACTIVE || r.keys[id] != nil {
			continue
		}
		if r.open(id); r.keys[id] != nil || commits(info, r.blobs[id]) {
			continue
		}
		if a := r.asked[id]; a.version != info.GetVersion() {
			r.asked[id] = asked{info.GetVersion(), 1}
		} else if a.times >= maxMissing {
			continue
		} else {
			r.asked[id] = asked{a.version, a.times + 1}
		}
		r.version, err = 0, client.ErrAnotherNode
	}
	return err
}

// commits reports whether the ledger commits to a sealed secret.
func commits(info *ltlv1.AccessKeyInfo, sealed []byte) bool {
	c := ledger.SealedCommitment(sealed)
	return string(info.GetCommitment()) == string(c[:])
}

// open makes an AccessKey usable from its info and its sealed secret, or removes it. The caller holds mu.
func (r *keyring) open(id string) {
	info, before := r.infos[id], r.keys[id]
	if info == nil {
		return
	}
	if info.GetState() == ltlv1.AccessKeyState_ACCESS_KEY_STATE_DELETED {
		delete(r.keys, id)
		delete(r.blobs, id)
		return
	}
	disabled := info.GetState() != ltlv1.AccessKeyState_ACCESS_KEY_STATE_ACTIVE
	if before != nil && before.commitment == string(info.GetCommitment()) {
		k := newAccessKey(info, string(before.secret), disabled)
		r.keys[id] = k
		return
	}
	delete(r.keys, id)
	if !commits(info, r.blobs[id]) {
		return // it has not arrived
	}
	secret, err := r.decrypt(info, r.blobs[id])
	if err != nil {
		r.logger.Debug("cannot decrypt an AccessKey; is its organisation's sealing key here?", "accessKeyId", id,
			"organisation", info.GetOrganisation(), "error", err)
		return
	}
	r.keys[id] = newAccessKey(info, secret, disabled)
}

// tryNewSealingKeys tries AccessKeys again that no sealing key opened, if there are other sealing keys now: an organisation
// that delegates may send its keys long after its AccessKeys have arrived. The caller holds mu.
func (r *keyring) tryNewSealingKeys() {
	if r.more == nil || time.Since(r.reread) < sealingKeysAge {
		return
	}
	var closed []string
	for id, info := range r.infos {
		if info.GetState() == ltlv1.AccessKeyState_ACCESS_KEY_STATE_ACTIVE && r.keys[id] == nil && commits(info, r.blobs[id]) {
			closed = append(closed, id)
		}
	}
	if len(closed) == 0 {
		return
	}
	r.reread = time.Now()
	keys, err := r.more()
	if err != nil || slices.EqualFunc(keys, r.sealingKeys, bytes.Equal) {
		return // the error is reported where an AccessKey arrives
	}
	r.sealingKeys = keys
	for _, id := range closed {
		r.open(id)
	}
}

// decrypt decrypts a sealed secret, with sealing keys that are read again when those at hand do not open it.
func (r *keyring) decrypt(info *ltlv1.AccessKeyInfo, sealed []byte) (string, error) {
	seal := identity.AccessKeySeal{Network: r.network, Organisation: info.GetOrganisation(), AccessKeyID: info.GetId(),
		UID: info.GetAccountUid(), Version: info.GetSealedVersion()}
	secret, _, err := seal.Open(r.sealingKeys, sealed)
	if err == nil || r.more == nil {
		return secret, err
	}
	keys, readErr := r.more()
	if readErr != nil {
		r.logger.Error("cannot read the sealing keys; check the key files of this facade", "error", readErr)
		return "", readErr
	}
	r.sealingKeys = keys
	secret, _, err = seal.Open(keys, sealed)
	return secret, err
}

// notify wakes the calls that wait for an AccessKey. The caller holds mu.
func (r *keyring) notify() {
	close(r.changed)
	r.changed = make(chan struct{})
}

// status is the number of usable AccessKeys, and the time since the endorser last said that it is there.
func (r *keyring) status() (known int, age time.Duration) {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return len(r.keys), time.Since(r.heard)
}

// find returns the present version of a key.
func (r *keyring) find(id string) (k *accessKey, current bool, changed <-chan struct{}) {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return r.keys[id], r.current && r.sealed, r.changed
}

// Reasons of Ready.
var (
	errKeysPending = errors.New("AccessKeys have not arrived from the endorser of this organisation and the nodes yet")
	errSilent      = errors.New("FAULT: the endorser of this organisation has not been heard for 15 seconds, so that every " +
		"call is refused: an AccessKey may have been disabled meanwhile; look at the endorser, and at the way to it")
)

// ready returns nil if the ring holds all AccessKeys that existed when the facade started, and hears the endorser.
func (r *keyring) ready() error {
	r.mu.RLock()
	defer r.mu.RUnlock()
	switch {
	case !r.current || !r.sealed:
		return errKeysPending
	case time.Since(r.heard) > r.silence:
		return errSilent
	}
	return nil
}

// lookup returns an enabled key; a refusal of everything while the endorser is silent. A key that is not known may be on its way, so that up to maxKeyWaiters calls wait
// for keyWait.
func (r *keyring) lookup(ctx context.Context, id string) (*accessKey, *gatewayError) {
	if _, silent := r.status(); silent > r.silence {
		return nil, gateway(codeServiceUnavailable)
	}
	k, current, changed := r.find(id)
	if k == nil {
		k, current = r.await(ctx, id, current, changed)
	}
	switch {
	case k == nil && (!current || r.incomplete(id)):
		return nil, gateway(codeServiceUnavailable)
	case k == nil:
		return nil, gateway(codeKeyNotFound)
	case k.disabled:
		return nil, gateway(codeKeyInactive)
	}
	return k, nil
}

// incomplete reports whether an AccessKey is active on the ledger and its sealed secret has not arrived.
func (r *keyring) incomplete(id string) bool {
	r.mu.RLock()
	defer r.mu.RUnlock()
	info := r.infos[id]
	return info.GetState() == ltlv1.AccessKeyState_ACCESS_KEY_STATE_ACTIVE && !commits(info, r.blobs[id])
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
