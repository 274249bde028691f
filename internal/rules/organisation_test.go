package rules

import (
	"crypto/ed25519"
	"crypto/sha256"
	"fmt"
	"testing"

	"google.golang.org/protobuf/proto"
	"pgregory.net/rapid"

	"ltl/internal/ledger"
	ltlv1 "ltl/proto/ltl/v1"
	"ltl/test/testkit/offline"
)

// rotation gives an organisation the endorser key of that name.
func (w *world) rotation(org, name string, compromised bool) *ltlv1.Transaction_ModifyOrganisation {
	m := &ltlv1.ModifyOrganisation{Id: org, Compromised: compromised}
	w.newKey(m, name)
	return &ltlv1.Transaction_ModifyOrganisation{ModifyOrganisation: m}
}

// newKey fills in the endorser key of that name, which signs that it takes the place of the present one.
func (w *world) newKey(m *ltlv1.ModifyOrganisation, name string) {
	o, err := GetOrganisation(w.state, m.GetId())
	if err != nil || o == nil {
		w.t.Fatal(m.GetId(), err)
	}
	key := offline.Key(name)
	m.EndorserKey = key.Public().(ed25519.PublicKey)
	m.Possession = ledger.SignNewKey(key, w.id, o.ID, ledger.KeyID(o.EndorserKey))
}

// by makes a transaction of another organisation's operator.
func by(org string, tx *ltlv1.Transaction) *ltlv1.Transaction {
	tx.Submitter = org + "/operator/olga"
	return tx
}

func TestModifyOrganisation(t *testing.T) {
	w := newWorld(t)
	modify := func(change func(*ltlv1.ModifyOrganisation)) *ltlv1.Transaction {
		m := &ltlv1.ModifyOrganisation{Id: "o1"}
		change(m)
		return w.operator(&ltlv1.Transaction_ModifyOrganisation{ModifyOrganisation: m})
	}
	for _, c := range []struct {
		what   string
		change func(*ltlv1.ModifyOrganisation)
		want   int32
	}{
		{"nothing", func(*ltlv1.ModifyOrganisation) {}, OutOfRange},
		{"name", func(m *ltlv1.ModifyOrganisation) { m.Name = proto.String("another") }, OK},
		{"name with a comma", func(m *ltlv1.ModifyOrganisation) { m.Name = proto.String("a,b") }, OutOfRange},
		{"address", func(m *ltlv1.ModifyOrganisation) { m.EndorserAddress = proto.String("h:1") }, OK},
		{"no address", func(m *ltlv1.ModifyOrganisation) { m.EndorserAddress = proto.String("h") }, OutOfRange},
		{"short key", func(m *ltlv1.ModifyOrganisation) { w.newKey(m, "new"); m.EndorserKey = make([]byte, 31) }, OutOfRange},
		{"new key", func(m *ltlv1.ModifyOrganisation) { w.newKey(m, "new") }, OK},
		{"key of small order", func(m *ltlv1.ModifyOrganisation) {
			w.newKey(m, "new")
			m.EndorserKey = make([]byte, 32)
		}, OutOfRange},
		{"key without possession", func(m *ltlv1.ModifyOrganisation) { m.EndorserKey = offline.PublicKey("new") }, OutOfRange},
		{"possession without a key", func(m *ltlv1.ModifyOrganisation) {
			w.newKey(m, "new")
			m.Name, m.EndorserKey = proto.String("x"), nil
		}, OutOfRange},
		{"possession of another key", func(m *ltlv1.ModifyOrganisation) {
			w.newKey(m, "new")
			m.EndorserKey = offline.PublicKey("other")
		}, Forbidden},
		{"own key", func(m *ltlv1.ModifyOrganisation) { w.newKey(m, "o1") }, Conflict},
		{"another's key", func(m *ltlv1.ModifyOrganisation) { w.newKey(m, "o2") }, Conflict},
		{"compromised without a key", func(m *ltlv1.ModifyOrganisation) {
			m.Name, m.Compromised = proto.String("x"),
				true
		}, OutOfRange},
		{"long authority", func(m *ltlv1.ModifyOrganisation) { m.AddAuthority = make([]byte, MaxCertificate+1) }, OutOfRange},
		{"short hash", func(m *ltlv1.ModifyOrganisation) { m.RetireAuthority = make([]byte, 31) }, OutOfRange},
		{"the last authority", func(m *ltlv1.ModifyOrganisation) { m.RetireAuthority = sha256Of(offline.Authority("o1", 1)) }, Conflict},
		{"another's authority", func(m *ltlv1.ModifyOrganisation) { w.enters(m, "o2", 1) }, Conflict},
		{"authority in one step", func(m *ltlv1.ModifyOrganisation) {
			w.enters(m, "x", 1)
			m.RetireAuthority = sha256Of(offline.Authority("o1", 1))
		}, OK},
		{"another organisation", func(m *ltlv1.ModifyOrganisation) { m.Id, m.Name = "o2", proto.String("x") }, OK}, // by its own operator
		{"no organisation", func(m *ltlv1.ModifyOrganisation) { m.Id, m.Name = "", proto.String("x") }, OutOfRange},
	} {
		w.want(c.what, modify(c.change), c.want)
	}
	for i := range MaxAuthorities - 1 {
		w.must(modify(func(m *ltlv1.ModifyOrganisation) { w.enters(m, fmt.Sprint(i), 1) }))
	}
	w.refused("too many authorities", modify(func(m *ltlv1.ModifyOrganisation) { w.enters(m, "more", 1) }),
		QuotaExceeded, reasonAuthorities)
}

func sha256Of(b []byte) []byte {
	h := sha256.Sum256(b)
	return h[:]
}

// majority gives the system chain the policy that new networks have: the submitter's organisation is not asked for.
func (w *world) majority() {
	n, err := GetNetwork(w.state)
	if err != nil {
		w.t.Fatal(err)
	}
	n.Policy = "majority"
	w.state.store(ledger.SystemChain, []ledger.Write{{Key: []byte(keyNetwork), Value: n.encode()}})
}

// TestRotationNeedsPossession: the new key's signature is for this network, this organisation and this former key.
func TestRotationNeedsPossession(t *testing.T) {
	w := newWorld(t)
	key := offline.Key("new")
	former := ledger.KeyID(offline.PublicKey("o1"))
	other := w.id
	other[0] ^= 1
	for what, signature := range map[string][]byte{
		"another network":      ledger.SignNewKey(key, other, "o1", former),
		"another organisation": ledger.SignNewKey(key, w.id, "o2", former),
		"another former key":   ledger.SignNewKey(key, w.id, "o1", ledger.KeyID(offline.PublicKey("o2"))),
		"another signer":       ledger.SignNewKey(offline.Key("other"), w.id, "o1", former),
	} {
		m := &ltlv1.ModifyOrganisation{Id: "o1", EndorserKey: offline.PublicKey("new"), Possession: signature}
		w.refused(what, w.operator(&ltlv1.Transaction_ModifyOrganisation{ModifyOrganisation: m}), Forbidden, reasonPossession)
	}
}

// TestKeysModel draws rotations, statements that were made with any key at any knowledge of the ledger, and times,
// and compares which count with a model: the key in force, or a former one that was not compromised, of a statement
// made before, for a minute.
func TestKeysModel(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		w := newWorld(t)
		type key struct {
			name    string
			retired uint64
			until   int64
		}
		history := []key{{name: "o3"}}
		for step := range rapid.IntRange(2, 12).Draw(rt, "steps") {
			w.now += rapid.SampledFrom([]int64{0, 1, 1000, 59_999, FormerKeyGraceMs, FormerKeyGraceMs + 1}).Draw(rt, "time")
			if rapid.IntRange(0, 2).Draw(rt, "what") == 0 {
				compromised := rapid.Bool().Draw(rt, "compromised")
				name := fmt.Sprint("o3 ", step)
				w.must(by("o3", w.operator(w.rotation("o3", name, compromised))))
				last := &history[len(history)-1]
				last.retired = w.tips[ledger.SystemChain].height
				if !compromised {
					last.until = w.now + FormerKeyGraceMs
				}
				history = append(history, key{name: name})
				w.keys["o3"] = offline.Key(name)
				continue
			}
			k := rapid.SampledFrom(history).Draw(rt, "key")
			seen := rapid.Uint64Range(0, w.tips[ledger.SystemChain].height).Draw(rt, "seen")
			b := w.batch(w.chain.ID, [][]byte{marshal(t, w.tx(m1UID, set(w.key(m1UID, fmt.Sprint(step)), "v")))}, "o1")
			w.keys["o3"] = offline.Key(k.name)
			s := w.statement(b, "o3")
			s.SystemHeight = seen
			b.Endorsements = append(b.Endorsements, s.Sign(offline.Key(k.name)))
			w.keys["o3"] = offline.Key(history[len(history)-1].name)
			want := NotEndorsed
			if k.retired == 0 || seen < k.retired && w.now <= k.until {
				want = OK
			}
			x := w.execute(w.chain.ID, b)
			if got := x.Results[0][0].GetCode(); got != want {
				rt.Fatalf("key %+v, seen %d, now %d: %d, want %d", k, seen, w.now, got, want)
			}
			w.commit(w.chain.ID, x)
		}
	})
}

func TestRevokeCertificate(t *testing.T) {
	w := newWorld(t)
	hash := sha256Of([]byte("key"))
	revoke := func(r *ltlv1.RevokeCertificate) *ltlv1.Transaction {
		return w.operator(&ltlv1.Transaction_RevokeCertificate{RevokeCertificate: r})
	}
	for _, c := range []struct {
		what string
		r    *ltlv1.RevokeCertificate
		want int32
	}{
		{"the key", &ltlv1.RevokeCertificate{Identity: "o1/facade/f1", KeyHash: hash, KeyOnly: true}, OK},
		{"the identity", &ltlv1.RevokeCertificate{Identity: "o1/facade/f1"}, OK},
		{"nothing", &ltlv1.RevokeCertificate{Identity: "o1/facade/f1", KeyOnly: true}, OutOfRange},
		{"a short hash", &ltlv1.RevokeCertificate{Identity: "o1/facade/f1", KeyHash: hash[1:]}, OutOfRange},
		{"no identity", &ltlv1.RevokeCertificate{Identity: "o1/facade", KeyHash: hash}, OutOfRange},
		{"a node's name", &ltlv1.RevokeCertificate{Identity: "o1/node/n1", KeyHash: hash}, OutOfRange},
		{"an endorser's key", &ltlv1.RevokeCertificate{Identity: "o1/endorser/o1", KeyHash: hash, KeyOnly: true}, OK},
		{"another organisation's", &ltlv1.RevokeCertificate{Identity: "o2/facade/f1", KeyHash: hash}, OK}, // by its own operator
	} {
		w.want(c.what, revoke(c.r), c.want)
	}
	w.refused("another organisation's by o1", by("o1", revoke(&ltlv1.RevokeCertificate{Identity: "o2/facade/f1"})),
		Forbidden, fmt.Sprintf(reasonOwner, "o2"))
	w.must(revoke(&ltlv1.RevokeCertificate{Identity: "o1/facade/f1", KeyHash: hash, KeyOnly: true}))
	w.want("a write after the key was revoked", w.tx(m1UID, set(w.key(m1UID, "a"), "v")), OK)
	w.must(revoke(&ltlv1.RevokeCertificate{Identity: "o1/facade/f1", KeyHash: hash}),
		revoke(&ltlv1.RevokeCertificate{Identity: "o1/facade/f1", KeyHash: hash, KeyOnly: true}))
	w.refused("a write after the identity was revoked", w.tx(m1UID, set(w.key(m1UID, "a"), "v")), NotEntitled,
		reasonBarred)
	all, err := ListRevocations(w.state)
	if err != nil || len(all) != 1 || all[0].KeyOnly || all[0].Identity != "o1/facade/f1" ||
		string(all[0].KeyHash) != string(hash) {
		t.Errorf("revocations: %+v, %v", all, err)
	}
	if a, err := GetCredentials(w.state, "o1"); err != nil || a.Revocations != 1 {
		t.Errorf("credentials: %+v, %v", a, err)
	}
	w.state.store(ledger.SystemChain,
		[]ledger.Write{{Key: []byte(credentialsKey("o1")), Value: (&Credentials{Revocations: MaxRevocations}).encode()}})
	w.refused("too many", revoke(&ltlv1.RevokeCertificate{Identity: "o1/client/c"}), QuotaExceeded, reasonRevocations)
}
