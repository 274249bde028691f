package rules

import (
	"bytes"
	"fmt"
	"strings"

	"ltl/internal/ledger"
	ltlv1 "ltl/proto/ltl/v1"
)

// exec is the execution of one block: the state before it, the changes so far, and a cache of lookups.
type exec struct {
	in     *Input
	view   View
	bounds clockBounds
	// timeMs is the block's time. It is computed before any transaction is executed.
	timeMs int64
	// medianMs is the lower median of the clocks of the batch that is executed.
	medianMs int64
	// correctedMs is the reference time after the block where a transaction of it corrects the time; else 0.
	correctedMs int64
	// expected is the number of transactions in the block; maps are made with this size.
	expected int
	// chain is nil on the system chain.
	chain *Chain
	// closed is set on a business chain that can only be read because its owner was removed.
	closed bool

	// slab is the memory that keys and values of writes are taken from; key is scratch memory for lookups.
	slab   []byte
	key    []byte
	writes []ledger.Write

	// What this block wrote. Keys of indexed classes are found by the strings of the transactions, all others by key.
	txs      map[ledger.Hash]*ltlv1.Result
	nonces   map[[2]string]struct{}
	newest   map[string]newest
	business map[[2]string]Locator
	signed   map[ledger.Hash]signedUse
	plain    map[string]int

	// What was looked up for this block.
	actors    map[string]*actor
	lastActor *actor
	// delegates are, by organisation, the facades of others that may speak for its accounts.
	delegates map[string][]string
	// accessKeys are those that transactions of this block named; nil for one that does not exist. lastKey is the last one.
	accessKeys map[string]*AccessKey
	lastKey    *AccessKey
	// reason explains the refusal of the last transaction, when its code alone does not.
	reason   string
	lastText string
	last     identity
	// lastBarred is the last submitter that barred was called with, lastBarredIs the result.
	lastBarred   string
	lastBarredIs bool
	total        *meter
	meters       []*meter

	newChains []string
}

// newest is the newest record of a Key; at is its position in writes.
type newest struct {
	locator Locator
	at      int
}

// actor is an account with its entry on the chain.
type actor struct {
	uid     string
	account *Account // nil: no such account
	member  *Member  // nil: not on the chain
	removed bool     // its organisation was removed
	usage   *meter
}

// meter is a usage that this block may change. It is encoded once, at the end of the block.
type meter struct {
	key   string
	at    int // position in writes, -1 before the first change
	usage Usage
}

const slabLen = 64 << 10

func newExec(in *Input, view View, transactions int) *exec {
	return &exec{
		in: in, view: view, bounds: clockRule(), timeMs: in.PreviousTimeMs, expected: transactions,
		writes:   make([]ledger.Write, 0, 4*transactions),
		txs:      make(map[ledger.Hash]*ltlv1.Result, transactions),
		nonces:   map[[2]string]struct{}{},
		newest:   make(map[string]newest, transactions),
		business: map[[2]string]Locator{},
		plain:    map[string]int{},
		actors:   map[string]*actor{},
	}
}

// latestMs is the latest time that it may be: the system chain's time stands while most organisations are silent, and the
// clocks of those that are not go on.
func (e *exec) latestMs() int64 { return max(e.timeMs, e.medianMs) }

// room returns an empty slice with capacity for n bytes that is used for nothing else.
func (e *exec) room(n int) []byte {
	if cap(e.slab)-len(e.slab) < n {
		e.slab = make([]byte, 0, max(slabLen, n))
	}
	at := len(e.slab)
	e.slab = e.slab[:at+n]
	return e.slab[at : at : at+n]
}

// write adds a write whose key no earlier write has, and returns its position.
func (e *exec) write(key, value []byte) int {
	e.writes = append(e.writes, ledger.Write{Key: key, Value: value})
	return len(e.writes) - 1
}

// writeLocator adds a write of an indexed class.
func (e *exec) writeLocator(key []byte, l Locator) int {
	return e.write(key, l.Append(e.room(LocatorLen)))
}

// setLocator changes the value of a write of this block.
func (e *exec) setLocator(at int, l Locator) { l.Append(e.writes[at].Value[:0]) }

// get reads ordinary state of this chain, with the changes of this block.
func (e *exec) get(key string) ([]byte, error) {
	if at, ok := e.plain[key]; ok {
		return e.writes[at].Value, nil
	}
	return e.view.Get(e.in.ChainID, []byte(key))
}

// put writes ordinary state of this chain.
func (e *exec) put(key string, value []byte) {
	if at, ok := e.plain[key]; ok {
		e.writes[at].Value = value
		return
	}
	e.plain[key] = e.write([]byte(key), value)
}

func (e *exec) exists(key string) (bool, error) {
	b, err := e.get(key)
	return b != nil, err
}

// Get implements View, for the typed readers: it reads this chain with the changes of this block, and other chains as
// they are.
func (e *exec) Get(chainID string, key []byte) ([]byte, error) {
	if chainID == e.in.ChainID {
		return e.get(string(key))
	}
	return e.view.Get(chainID, key)
}

// find looks up an indexed key in the state before this block. The key may be overwritten afterwards.
func (e *exec) find(key []byte) (Locator, bool, error) {
	e.key = key
	return locate(e.view, e.in.ChainID, key)
}

// nonceUsed reports whether a pair of access key id and signature nonce was used before.
func (e *exec) nonceUsed(accessKeyID, signatureNonce string) (bool, error) {
	if _, ok := e.nonces[[2]string{accessKeyID, signatureNonce}]; ok {
		return true, nil
	}
	_, found, err := e.find(appendNonceKey(e.key[:0], accessKeyID, signatureNonce))
	return found, err
}

func (e *exec) useNonce(accessKeyID, signatureNonce string, l Locator) {
	if e.nonces == nil {
		e.nonces = make(map[[2]string]struct{}, e.expected)
	}
	e.nonces[[2]string{accessKeyID, signatureNonce}] = struct{}{}
	e.writeLocator(appendNonceKey(e.room(2+len(accessKeyID)+len(signatureNonce)), accessKeyID, signatureNonce), l)
}

// newestOf returns the newest record of a Key; at is -1 when it is of an earlier block.
func (e *exec) newestOf(key string) (n newest, found bool, err error) {
	if n, ok := e.newest[key]; ok {
		return n, true, nil
	}
	l, found, err := e.find(appendNewestKey(e.key[:0], key))
	return newest{l, -1}, found, err
}

// setNewest writes the newest record of a Key; at is the value that newestOf returned, -1 when there was no record.
func (e *exec) setNewest(key string, l Locator, at int) {
	if at < 0 {
		at = e.writeLocator(appendNewestKey(e.room(1+len(key)), key), l)
	} else {
		e.setLocator(at, l)
	}
	e.newest[key] = newest{l, at}
}

// businessAt finds the record of a Key with this BusinessId.
func (e *exec) businessAt(key, id string) (Locator, bool, error) {
	if l, ok := e.business[[2]string{key, strings.ToLower(id)}]; ok {
		return l, true, nil
	}
	return e.find(appendBusinessKey(e.key[:0], key, id))
}

func (e *exec) useBusiness(key, id string, l Locator) {
	if e.business == nil {
		e.business = make(map[[2]string]Locator, e.expected)
	}
	e.business[[2]string{key, strings.ToLower(id)}] = l
	e.writeLocator(appendBusinessKey(e.room(2+len(key)+len(id)), key, id), l)
}

// meterOf reads the usage of an account on this chain; with an empty uid, that of the whole chain.
func (e *exec) meterOf(uid string) (*meter, error) {
	u, err := GetUsage(e.view, e.in.ChainID, uid)
	if err != nil {
		return nil, err
	}
	m := &meter{key: prefixUsage + uid, at: -1, usage: u}
	e.meters = append(e.meters, m)
	return m, nil
}

// charge adds to a usage; flush encodes it.
func (e *exec) charge(m *meter, count, bytes, members uint64) {
	if m.at < 0 {
		m.at = e.write([]byte(m.key), nil)
	}
	m.usage.Count += count
	m.usage.Bytes += bytes
	m.usage.Members += members
}

// flush encodes the usages that changed.
func (e *exec) flush() {
	for _, m := range e.meters {
		if m.at >= 0 {
			e.writes[m.at].Value = m.usage.append(make([]byte, 0, usageLen))
		}
	}
}

// actor looks up an account and its entry on this business chain, once per block.
func (e *exec) actor(uid string) (*actor, error) {
	if e.lastActor != nil && e.lastActor.uid == uid {
		return e.lastActor, nil
	}
	a, ok := e.actors[uid]
	if !ok {
		a = &actor{uid: uid}
		if err := e.loadActor(a); err != nil {
			return nil, err
		}
		e.actors[uid] = a
	}
	e.lastActor = a
	return a, nil
}

func (e *exec) loadActor(a *actor) (err error) {
	if !ValidUID(a.uid) {
		return nil
	}
	if a.account, err = GetAccount(e.view, a.uid); err != nil || a.account == nil {
		return err
	}
	if a.removed, err = Removed(e, a.account.Organisation); err != nil {
		return err
	}
	if a.member, err = GetMember(e, e.chain, a.uid); err != nil {
		return err
	}
	a.usage, err = e.meterOf(a.uid)
	return err
}

// identity splits a submitter. Most batches have only one, so the last result is kept.
func (e *exec) identity(text string) identity {
	if e.lastText != text || text == "" {
		// The envelope was checked. Of a genesis, whose text is not an identity, organisation and role are empty.
		id, _ := parseIdentity(text)
		e.last, e.lastText = id, text
	}
	return e.last
}

// Scan implements Reader: it calls fn with all values under a prefix, on this chain with the changes of this block. Keys
// that are new in this block come last.
func (e *exec) Scan(chainID string, prefix []byte, fn func(key, value []byte) error) error {
	r, ok := e.view.(Reader)
	if !ok {
		return fmt.Errorf("%w: the state cannot be scanned", ErrInvariant)
	}
	if chainID != e.in.ChainID {
		return r.Scan(chainID, prefix, fn)
	}
	err := r.Scan(chainID, prefix, func(key, value []byte) error {
		if at, changed := e.plain[string(key)]; changed {
			value = e.writes[at].Value
		}
		return fn(key, value)
	})
	if err != nil {
		return err
	}
	for _, w := range e.writes { // keys that are new in this block
		if !bytes.HasPrefix(w.Key, prefix) {
			continue
		}
		if below, err := e.view.Get(chainID, w.Key); err != nil {
			return err
		} else if below == nil {
			if err := fn(w.Key, w.Value); err != nil {
				return err
			}
		}
	}
	return nil
}
