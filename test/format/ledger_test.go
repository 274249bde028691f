package format

import (
	"bytes"
	"crypto/ed25519"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"math/big"
	"slices"
	"strings"
	"testing"
)

// message is a protobuf message: what stands under each field number, in order. Varints are kept as eight bytes.
type message map[int][][]byte

func parse(b []byte) (message, error) {
	m := message{}
	for len(b) > 0 {
		tag, n := binary.Uvarint(b)
		if n <= 0 {
			return nil, errors.New("bad tag")
		}
		b = b[n:]
		v, n := binary.Uvarint(b)
		if n <= 0 {
			return nil, errors.New("bad number")
		}
		b = b[n:]
		field := int(tag >> 3)
		switch tag & 7 {
		case 0:
			m[field] = append(m[field], u64(v))
		case 2:
			if v > uint64(len(b)) {
				return nil, errors.New("bad length")
			}
			m[field] = append(m[field], b[:v])
			b = b[v:]
		default:
			return nil, fmt.Errorf("wire type %d", tag&7)
		}
	}
	return m, nil
}

func (m message) bytes(field int) []byte {
	if len(m[field]) == 0 {
		return nil
	}
	return m[field][len(m[field])-1]
}

func (m message) text(field int) string { return string(m.bytes(field)) }

func (m message) number(field int) uint64 {
	if b := m.bytes(field); b != nil {
		return binary.BigEndian.Uint64(b)
	}
	return 0
}

// replica executes blocks as docs/bytes.md says, as far as the vectors go.
type replica struct {
	t             *testing.T
	network       []byte
	organisations []string
	keys          map[string][]byte
	tips          map[string]tip
	state         map[string][]byte // chain id and key
	sequence      uint64            // blocks executed so far, over all chains
	reference     uint64            // reference time of the newest of them
	created       []string          // chains whose block 0 comes next
	chain         map[string]string // administrator, type code and member id of the business chain
	// Of the block under way.
	chainID string
	height  uint64
	timeMs  uint64
	writes  []write
}

type tip struct {
	height, timeMs uint64
	hash           []byte
}

const system = "0000000000000000"

func TestLedger(t *testing.T) {
	v := loadVectors(t)
	if len(v.Ledger.Blocks) < 6 {
		t.Fatalf("%d blocks", len(v.Ledger.Blocks))
	}
	r := &replica{t: t, keys: map[string][]byte{}, tips: map[string]tip{}, state: map[string][]byte{},
		chain: map[string]string{}}
	r.network = networkID(v.Ledger.Blocks[0].Batches[0].Transactions[0])
	same(t, "network id", r.network, v.Ledger.NetworkID)
	for i, b := range v.Ledger.Blocks {
		r.execute(b)
		if t.Failed() {
			t.Fatalf("in block %d of the list", i)
		}
	}
}

// message parses bytes of the vectors.
func (r *replica) message(b []byte) message {
	r.t.Helper()
	m, err := parse(b)
	if err != nil {
		r.t.Fatal(err)
	}
	return m
}

// execute computes everything about a block, and compares.
func (r *replica) execute(b block) {
	r.open(b)
	reference := r.setTime(b)
	previous, extends := r.tips[r.chainID]
	var leaves, hashes [][]byte
	n := 0
	for _, batch := range b.Batches {
		var ids [][]byte
		for _, p := range batch.Transactions {
			ids = append(ids, transactionID(p))
		}
		root := treeRoot(ids)
		endorsed := r.endorsed(batch, root)
		r.compareOpenings(batch)
		for i, p := range batch.Transactions {
			code := r.transaction(p, ids[i], uint32(n), endorsed)
			if code != b.Results[n] {
				r.t.Errorf("result %d is %d, computed %d", n, b.Results[n], code)
			}
			leaves = append(leaves, outcomeLeaf(ids[i], code, root))
			n++
		}
		hashes = append(hashes, batchHash(root, uint32(len(ids)), batch.Endorsements))
	}
	r.compareWrites(b.Writes)
	hash := make([]byte, 32)
	if extends {
		hash = previous.hash
	}
	systemHeight := r.tips[system].height
	if r.chainID == system {
		systemHeight = r.height
	}
	r.reference = reference
	header := bytes.Join([][]byte{
		{2}, r.network, []byte(r.chainID), u64(r.height), u64(r.timeMs), hash, u32(uint32(n)), treeRoot(leaves),
		batchesHash(hashes),
		writesHash(r.writes), u64(systemHeight), u64(r.sequence), u64(r.reference),
	}, nil)
	same(r.t, "header", header, b.Header)
	same(r.t, "block hash", sum([]byte{0}, header), b.BlockHash)
	r.tips[r.chainID] = tip{r.height, r.timeMs, b.BlockHash}
	r.sequence++
}

// open finds chain and height of a block.
func (r *replica) open(b block) {
	r.writes = nil
	if len(b.Batches) == 0 {
		if len(r.created) == 0 {
			r.t.Fatal("a block without batches, and no chain was created")
		}
		r.chainID, r.created, r.height = r.created[0], r.created[1:], 0
		return
	}
	r.chainID = r.message(b.Batches[0].Transactions[0]).text(2)
	previous, extends := r.tips[r.chainID]
	if r.height = 0; extends {
		r.height = previous.height + 1
	}
}

// setTime computes the time of a block from the clocks of its batches, and returns the reference time after it. The
// batches of the vectors are signed by more than half, and repeat no earlier batch of their block.
func (r *replica) setTime(b block) (reference uint64) {
	if len(b.Batches) == 0 {
		r.timeMs = r.tips[system].timeMs
		return r.reference
	}
	if len(b.Batches[0].Endorsements) == 0 { // the genesis
		r.timeMs = uint64(r.message(r.message(b.Batches[0].Transactions[0]).bytes(60)).number(2))
		return r.timeMs
	}
	r.timeMs, reference = r.tips[r.chainID].timeMs, r.reference
	for _, batch := range b.Batches {
		var clocks []uint64
		for _, e := range batch.Endorsements {
			clocks = append(clocks, binary.BigEndian.Uint64(e.Statement[77:]))
		}
		slices.Sort(clocks)
		median := clocks[(len(clocks)-1)/2]
		if clocks[len(clocks)-1]-clocks[0] > 60_000 {
			continue
		}
		if 2*len(clocks) > len(r.organisations) {
			r.timeMs, reference = max(r.timeMs, median), max(reference, median)
		} else if median <= r.reference+30_000 {
			r.timeMs = max(r.timeMs, median)
		}
	}
	return reference
}

// endorsed reports whether both organisations signed the batch; the policies of the vectors ask for both.
func (r *replica) endorsed(b batch, root []byte) bool {
	good := map[string]bool{}
	for _, e := range b.Endorsements {
		s := e.Statement
		organisation := string(s[94 : 94+int(s[93])])
		key := r.keys[organisation]
		all := make([]bool, len(b.Transactions))
		for i := range all {
			all[i] = true
		}
		leaves, clock := binary.BigEndian.Uint32(s[65:]), binary.BigEndian.Uint64(s[77:])
		leaf := sum([]byte{0}, batchLeaf(r.chainID, root, all, e.Height, byte(e.Flags)))
		tree := climb(leaf, int(e.Index), int(leaves), e.Path)
		same(r.t, "statement", s, statement(r.network, tree, leaves, binary.BigEndian.Uint64(s[69:]), clock, key, organisation))
		same(r.t, "bitmap", e.Bitmap, bitmap(all))
		good[organisation] = ed25519.Verify(key, signed(s), e.Signature) && max(r.timeMs, r.reference) <= clock+120_000
	}
	for _, o := range r.organisations {
		if !good[o] {
			return false
		}
	}
	return true
}

// compareOpenings finds the value of each payload that commits to one. Nothing else of a block depends on openings.
func (r *replica) compareOpenings(b batch) {
	for i, all := range b.Openings {
		tx := r.message(b.Transactions[i])
		action := r.message(append(tx.bytes(20), tx.bytes(21)...))
		if len(all) != len(action[2]) {
			r.t.Errorf("transaction %d has %d openings", i, len(all))
			continue
		}
		for _, o := range all {
			committed := r.message(action.bytes(2))
			same(r.t, "commitment of a payload", o.commitment(tx.text(2)), committed.bytes(1))
			if n := committed.number(2); n != uint64(len(o.Value)) || len(committed) != 2 {
				r.t.Errorf("the value of transaction %d states %d bytes", i, n)
			}
		}
	}
}

func (r *replica) compareWrites(want []write) {
	if len(r.writes) != len(want) {
		r.t.Errorf("%d writes, computed %d", len(want), len(r.writes))
	}
	for i := range min(len(want), len(r.writes)) {
		same(r.t, fmt.Sprintf("key of write %d", i), r.writes[i].Key, want[i].Key)
		same(r.t, fmt.Sprintf("value of write %d, key %q", i, want[i].Key), r.writes[i].Value, want[i].Value)
	}
}

func (r *replica) get(key string) []byte { return r.state[r.chainID+key] }

// put writes a key; the second write of a key in a block keeps the place of the first.
func (r *replica) put(key string, value ...[]byte) {
	v := bytes.Join(value, nil)
	r.state[r.chainID+key] = v
	for i := range r.writes {
		if string(r.writes[i].Key) == key {
			r.writes[i].Value = v
			return
		}
	}
	r.writes = append(r.writes, write{hexed(key), v})
}

func (r *replica) locator(index, extra uint32) []byte {
	return bytes.Join([][]byte{u64(r.height), u32(index), u32(extra)}, nil)
}

// transaction runs one transaction and returns its result.
func (r *replica) transaction(payload, id []byte, index uint32, endorsed bool) int32 {
	if r.get("T"+string(id)) != nil {
		return 1001
	}
	tx := r.message(payload)
	if len(tx[60]) > 0 {
		r.put("T"+string(id), r.locator(index, 200))
		r.genesis(r.message(tx.bytes(60)))
		return 200
	}
	if !endorsed {
		return 1003
	}
	if !r.entitled(tx) {
		return 1007
	}
	r.put("T"+string(id), r.locator(index, 0))
	code := int32(200)
	if nonce := "N" + tx.text(7) + "\x00" + tx.text(8); tx.text(7) != "" {
		if r.get(nonce) != nil {
			code = 1002
		} else {
			r.put(nonce, r.locator(index, 0))
		}
	}
	if code == 200 {
		code = r.act(tx, id, index)
	}
	r.put("T"+string(id), r.locator(index, uint32(code)))
	return code
}

// entitled reports whether the submitter may speak for the account and the AccessKey of a transaction.
func (r *replica) entitled(tx message) bool {
	part := strings.Split(tx.text(4), "/")
	if tx.text(7) == "" && tx.text(8) != "" || tx.text(7) != "" && part[1] != "facade" {
		return false
	}
	if key := fields(r.state[system+"zk/"+tx.text(7)]); tx.text(7) != "" &&
		(key == nil || key.text() != tx.text(3) || binary.BigEndian.Uint32(key.skip(1, 0).take(4)) != 1) {
		return false
	}
	account := fields(r.state[system+"a/"+tx.text(3)])
	if r.chainID == system || account == nil {
		return true
	}
	organisation := account.skip(2, 4).text()
	if part[0] == organisation && (part[1] == "facade" || part[1] == "client" || part[1] == "operator") {
		return true
	}
	facts := fields(r.state[system+"zr/"+organisation])
	if facts == nil || part[1] != "facade" {
		return false
	}
	facts.skip(0, 4+8).skip(1, 4)
	for range binary.BigEndian.Uint32(facts.take(4)) {
		if facts.text() == tx.text(4) {
			return true
		}
	}
	return false
}

// value is what is left of a state value whose version byte was read.
type value struct{ b []byte }

// fields begins to read a state value; nil when there is none.
func fields(b []byte) *value {
	if b == nil {
		return nil
	}
	return &value{b[1:]}
}

func (v *value) take(n int) []byte {
	b := v.b[:n]
	v.b = v.b[n:]
	return b
}

func (v *value) text() string { return string(v.take(int(binary.BigEndian.Uint32(v.take(4))))) }

// skip reads so many texts, then so many bytes.
func (v *value) skip(texts, bytes int) *value {
	for range texts {
		v.text()
	}
	v.take(bytes)
	return v
}

func (r *replica) genesis(g message) {
	list := func(field int) []byte {
		b := u32(uint32(len(g[field])))
		for _, raw := range g[field] {
			b = append(b, long(r.message(raw).text(1))...)
		}
		return b
	}
	for _, raw := range g[3] {
		o := r.message(raw)
		r.organisations = append(r.organisations, o.text(1))
		r.keys[o.text(1)] = o.bytes(4)
		r.put("o/"+o.text(1), []byte{1}, long(o.text(1)), long(o.text(2)), long(o.bytes(3)), long(o.bytes(4)),
			long(o.text(5)))
		key, err := authorityKey(o.bytes(3))
		if err != nil {
			r.t.Fatal(err)
		}
		r.put("zc/"+hex.EncodeToString(key), []byte{1}, long(o.text(1)))
	}
	for _, raw := range g[4] {
		n := r.message(raw)
		r.put("n/"+n.text(1), []byte{1}, long(n.text(1)), long(n.text(2)), long(n.text(3)), long(n.bytes(4)))
	}
	r.put("g", []byte{1}, long(g.text(1)), u64(g.number(2)), long(g.text(5)), list(3), list(4), u32(0)) // none is invited
}

func (r *replica) act(tx message, id []byte, index uint32) int32 {
	uid := tx.text(3)
	action := func(field int) message { return r.message(tx.bytes(field)) }
	switch {
	case len(tx[20]) > 0:
		m := action(20)
		if r.get("K"+m.text(1)) != nil {
			return -317
		}
		r.put("K"+m.text(1), r.locator(index, 1|1<<31))
		r.use(uid, r.message(m.bytes(2)).number(2), 0)
	case len(tx[21]) > 0:
		r.attach(action(21), uid, id, index)
	case len(tx[22]) > 0:
		r.createMember(action(22), id, index)
	case len(tx[41]) > 0:
		m := action(41)
		made := m.text(1)
		if made == "" {
			made = digits18(derive(id, "account"))
		}
		r.enter(m.text(4), 0)
		r.put("a/"+made, []byte{1}, long(made), long(m.text(2)), u32(uint32(m.number(3))), long(m.text(4)), u64(r.height),
			u32(index))
		r.put("x/"+string(id), []byte(made))
	case len(tx[52]) > 0:
		return r.putAccessKey(action(52), index)
	case len(tx[53]) > 0:
		value := [][]byte{{1}, u32(2), u64(0), u32(0), u32(0), u32(uint32(len(action(53)[1])))}
		for _, facade := range action(53)[1] {
			value = append(value, long(string(facade)))
		}
		r.put("zr/"+strings.Split(tx.text(4), "/")[0], value...)
	case len(tx[42]) > 0:
		r.createChain(action(42), id, index)
	default:
		r.t.Fatalf("a transaction of a kind that the vectors do not have")
	}
	return 200
}

// putAccessKey creates or changes an AccessKey, as far as the vectors go: they have no more than two of an account.
func (r *replica) putAccessKey(m message, index uint32) int32 {
	id, uid, version, sealedVersion := m.text(1), m.text(2), m.number(4), m.number(4)
	organisation := fields(r.get("a/"+uid)).skip(2, 4).text()
	list := [][]byte{{1}, u32(1), long(id)}
	if old := fields(r.get("zk/" + id)); old != nil {
		old.skip(2, 4)
		had, sealedAt := binary.BigEndian.Uint64(old.take(8)), binary.BigEndian.Uint64(old.take(8))
		if version != had+1 {
			return 409
		}
		if old.text() == m.text(5) {
			sealedVersion = sealedAt
		}
		list = nil
	} else if others := r.get("zu/" + uid); others != nil {
		list = [][]byte{others[:1], u32(binary.BigEndian.Uint32(others[1:]) + 1), others[5:], long(id)}
	}
	r.put("zk/"+id, []byte{1}, long(uid), long(organisation), u32(uint32(m.number(3))), u64(version), u64(sealedVersion),
		long(m.bytes(5)), u64(r.height), u32(index))
	if list != nil {
		r.put("zu/"+uid, list...)
	}
	return 200
}

// enter counts one more account or chain of an organisation, whose counts are at 0 and 1.
func (r *replica) enter(organisation string, at int) {
	counts := make([]uint32, 3)
	if old := r.get("ze/" + organisation); old != nil {
		for i := range counts {
			counts[i] = binary.BigEndian.Uint32(old[1+4*i:])
		}
	}
	counts[at]++
	r.put("ze/"+organisation, []byte{1}, u32(counts[0]), u32(counts[1]), u32(counts[2]))
}

func (r *replica) attach(m message, uid string, id []byte, index uint32) {
	key, version := m.text(1), uint32(1)
	if old := r.get("K" + key); old != nil {
		version = binary.BigEndian.Uint32(old[12:]) + 1
	}
	business := m.text(3)
	if business == "" {
		business = digits16(derive(id, "business id"))
	}
	r.put("K"+key, r.locator(index, version))
	r.put("V"+key+"\x00"+string(u32(version)), r.locator(index, version))
	r.put("B"+key+"\x00"+strings.ToLower(business), r.locator(index, version))
	r.use(uid, r.message(m.bytes(2)).number(2), 0)
}

// use counts a record of the account (none with an empty uid), or members of the chain.
func (r *replica) use(uid string, size, members uint64) {
	add := func(key string, count, size, members uint64) {
		old := r.get(key)
		if old == nil {
			old = make([]byte, 25)
		}
		at := func(i int) uint64 { return binary.BigEndian.Uint64(old[1+8*i:]) }
		r.put(key, []byte{1}, u64(at(0)+count), u64(at(1)+size), u64(at(2)+members))
	}
	if members > 0 {
		add("u/", 0, 0, members)
		return
	}
	add("u/"+uid, 1, size, 0)
	add("u/", 1, size, 0)
}

func (r *replica) createMember(m message, id []byte, index uint32) {
	uid, memberID, typeCode := m.text(1), digits16(derive(id, "member")), letters(derive(id, "type code"), 4, 36)
	r.put("m/"+uid, []byte{1}, long(uid), long(memberID), long(m.text(2)), long(m.text(3)), long(m.text(4)),
		long(m.text(5)),
		long("MEMBER"), long(typeCode), long("UNLOCK"), u64(r.timeMs), u64(r.height), u32(index))
	r.put("i/"+memberID, []byte(uid))
	r.put("t/"+typeCode, []byte(uid))
	r.put("x/"+string(id), []byte(memberID))
	r.use("", 0, 1)
}

// createChain knows the defaults that the vectors' one chain takes: all but name, service, administrator and policy.
func (r *replica) createChain(m message, id []byte, index uint32) {
	chainID, code := digits16(derive(id, "chain")), letters(derive(id, "chain code"), 16, 62)
	const tenYears = 3652 * 24 * 3600 * 1000 // 2026 to 2036 has the leap years 2028 and 2032
	value := [][]byte{{1}, long(chainID), long(code), long(m.text(1)), long(""), u32(uint32(m.number(3))), u32(1),
		long("cn-shanghai"), u64(r.timeMs), u64(r.timeMs + tenYears)}
	for _, quota := range []uint64{800_000_000_000, 10_000_000, 100, 200, 5} {
		value = append(value, u64(quota))
	}
	value = append(value, long("submitter & majority"), u32(uint32(len(r.organisations))))
	for _, o := range r.organisations {
		value = append(value, long(o))
	}
	value = append(value, long(m.text(15)), long(letters(derive(id, "type code"), 4, 36)),
		long(digits16(derive(id, "member"))), u64(r.timeMs), u64(r.height), u32(index), u32(0))
	r.enter(fields(r.get("a/"+m.text(15))).skip(2, 4).text(), 1)
	r.put("c/"+chainID, value...)
	r.put("k/"+code, []byte(chainID))
	r.put("x/"+string(id), []byte(chainID))
	r.created = append(r.created, chainID)
}

// derive is the first of the sequence of a purpose; in the vectors none of them is taken.
func derive(id []byte, purpose string) []byte {
	return sum([]byte("ltl/derive/v1\x00"), []byte(purpose), []byte{0}, id, u32(0))
}

func digits16(h []byte) string {
	n := new(big.Int).SetBytes(h[:8])
	return fmt.Sprintf("%016d", n.Mod(n, big.NewInt(1e16)))
}

func digits18(h []byte) string {
	n := new(big.Int).SetBytes(h[:8])
	return fmt.Sprint(n.Mod(n, big.NewInt(9e17)).Add(n, big.NewInt(1e17)))
}

func letters(h []byte, n, alphabet int) string {
	const all = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
	var s []byte
	for i := range n {
		s = append(s, all[(int(h[2*i])<<8|int(h[2*i+1]))%alphabet])
	}
	return string(s)
}
