package rules

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"testing"

	"google.golang.org/protobuf/reflect/protoreflect"
	"pgregory.net/rapid"

	"ltl/internal/ledger"
	ltlv1 "ltl/proto/ltl/v1"
	"ltl/test/testkit/offline"
)

// ownerOfKey is the organisation that a value of the system chain belongs to: "" for what belongs to none, because it
// only says that a transaction was executed, or to all. unlike reports whether the change is one that the actor may not
// make alone. A class of keys that it does not know fails the test: give it an owner.
func ownerOfKey(t *rapid.T, v View, key, before, after []byte, actor string) (owner string, unlike bool) {
	now := after
	if before != nil {
		now = before
	}
	prefix, rest, _ := strings.Cut(string(key), "/")
	switch {
	case key[0] == classTransaction || key[0] == classNonce || prefix == "x":
		return "", false
	case prefix == "o", prefix == "r" && rest != "", prefix == "zr", prefix == "ze":
		return rest, false
	case prefix == "zc":
		owner = *parsed(t, parseAuthorityKey, now)
	case prefix == "zo" && rest != actor: // a rejection closes a proposal
		return "", before == nil || len(*parsed(t, parseOpenProposals, after)) >= len(*parsed(t, parseOpenProposals, before))
	case prefix == "zo":
		return rest, false
	case prefix == "b", prefix == "w":
		owner, _, _ = strings.Cut(rest, "/")
	case prefix == "n":
		owner = parsed(t, parseNode, now).Organisation
	case prefix == "y":
		n, err := GetNode(v, rest)
		if err != nil {
			t.Fatal(err)
		}
		if n == nil { // a new node, whose definition is written in the same block
			return actor, furtherVoter(t, v, nil, after)
		}
		return n.Organisation, furtherVoter(t, v, n, after)
	case prefix == "a":
		owner = parsed(t, parseAccount, now).Organisation
	case prefix == "c" && before != nil && onlyLeft(t, before, after, actor): // it left the network
		return "", false
	case prefix == "c":
		owner = ownerOfUID(t, v, parsed(t, parseChain, now).AdministratorUID)
		if before != nil && ownerOfUID(t, v, parsed(t, parseChain, after).AdministratorUID) != owner {
			return "", true
		}
	case prefix == "k":
		return actor, before != nil
	case prefix == "s":
		owner = parsed(t, parseFormerKey, now).Organisation
	case prefix == "v":
		if owner = parsed(t, parseEnrolment, now).Organisation; before != nil {
			owner = organisationOfProduct(t, v, parsed(t, parseEnrolment, now).ProductKey)
		}
	case prefix == "zg":
		owner = parsed(t, parseProduct, now).Organisation
		if before != nil && parsed(t, parseProduct, after).Organisation != owner { // it may give its own away
			return "", owner != actor
		}
	case prefix == "zk":
		owner = parsed(t, parseAccessKey, now).Organisation
	case prefix == "zu":
		owner = ownerOfUID(t, v, rest)
	case prefix == "zq":
		return actor, before != nil
	case prefix == "zp":
		return "", before != nil && moreThanOwnVote(t, before, after, actor) ||
			before == nil && !strings.HasPrefix(parsed(t, parseProposal, after).Proposer, actor+"/")
	case string(key) == keyNetwork:
		return "", moreThanOwnNodes(t, before, after, actor)
	case string(key) == keyRules, string(key) == keyRestorations, string(key) == keyTimeCorrections:
		return "", true
	default:
		t.Fatalf("key %q has no owner in this test", key)
	}
	return owner, false
}

func parsed[T any](t *rapid.T, parse func([]byte) (*T, error), b []byte) *T {
	value, err := parse(b)
	if err != nil {
		t.Fatal(err)
	}
	return value
}

func organisationOfProduct(t *rapid.T, v View, key string) string {
	p, err := GetProduct(v, key)
	if err != nil || p == nil {
		t.Fatal(p, err)
	}
	return p.Organisation
}

func ownerOfUID(t *rapid.T, v View, uid string) string {
	a, err := GetAccount(v, uid)
	if err != nil || a == nil {
		t.Fatal(a, err)
	}
	return a.Organisation
}

// furtherVoter reports whether a node becomes a voter, which takes weight from the other voters, without taking the place
// of one.
func furtherVoter(t *rapid.T, v View, before *Node, after []byte) bool {
	f := parsed(t, parseNodeFacts, after)
	if f.Membership != voter || before != nil && before.Membership == voter {
		return false
	}
	old, err := GetNode(v, f.Replaces)
	if err != nil {
		t.Fatal(err)
	}
	return old == nil || old.Membership != voter
}

// moreThanOwnVote reports whether a proposal changed in more than the actor's vote and a refusal: it was executed, or
// another's vote changed.
func moreThanOwnVote(t *rapid.T, before, after []byte, actor string) bool {
	was, is := parsed(t, parseProposal, before), parsed(t, parseProposal, after)
	others := func(votes []Vote) []Vote {
		return slices.DeleteFunc(slices.Clone(votes), func(v Vote) bool { return v.Organisation == actor })
	}
	return is.State == ltlv1.ProposalState_PROPOSAL_STATE_EXECUTED ||
		is.State == ltlv1.ProposalState_PROPOSAL_STATE_FAILED || is.Proposer != was.Proposer ||
		is.ExpiryMs != was.ExpiryMs || is.Created != was.Created || !slices.Equal(others(is.Votes), others(was.Votes)) ||
		is.State == ltlv1.ProposalState_PROPOSAL_STATE_WITHDRAWN && !strings.HasPrefix(is.Proposer, actor+"/")
}

// onlyLeft reports whether a chain changed in nothing but that the actor is not on its list any more.
func onlyLeft(t *rapid.T, before, after []byte, actor string) bool {
	was := parsed(t, parseChain, before)
	was.Organisations = slices.DeleteFunc(was.Organisations, func(o string) bool { return o == actor })
	return string(was.encode()) == string(after)
}

// moreThanOwnNodes reports whether the network changed in more than nodes that it has more, and the actor's leaving.
func moreThanOwnNodes(t *rapid.T, before, after []byte, actor string) bool {
	was, is := parsed(t, parseNetwork, before), parsed(t, parseNetwork, after)
	if !slices.Contains(is.Organisations, actor) {
		was.Organisations = slices.DeleteFunc(was.Organisations, func(o string) bool { return o == actor })
	}
	return is.Name != was.Name || is.CreatedMs != was.CreatedMs || is.Policy != was.Policy ||
		!slices.Equal(is.Organisations, was.Organisations) ||
		!slices.Equal(is.Invited, was.Invited) || len(is.Nodes) < len(was.Nodes) ||
		!slices.Equal(is.Nodes[:len(was.Nodes)], was.Nodes)
}

// drawer draws the content of messages by the names and kinds of their fields, so that a new kind of transaction is
// drawn too.
type drawer struct {
	*rapid.T
	w   *world
	ids [][]byte // of proposals
}

// pool has values for the fields that have a name; all others of a kind take from all.
func (d *drawer) pool(name string) []string {
	pools := map[string][]string{
		"organisation": {"o1", "o2", "o3", "o4"}, "organisations": {"o1", "o2", "o3"},
		"uid": {rootUID, m1UID, m2UID, freeUID, "1000000000000071"}, "administrator_uid": {rootUID, m2UID, freeUID},
		"replaces": {"", "n1", "n8"}, "identity": {"o1/facade/f1", "o2/facade/f2", "o3/operator/olga"},
		"name": {"名字", "another"}, "policy": {"any", "majority", "all", "2-of", "org(o2)", "submitter"},
		"former": {"submitter & majority", "o1", "o2", "o3"}, "chain_id": {d.w.chain.ID, ""}, "product_key": {"product1", "product2", "product3"},
		"iot_id": {"d1", "d2"}, "address": {"127.0.0.1:1"}, "endorser_address": {"127.0.0.1:2"}, "region": {"cn-x"},
		"delegates": {"o1/facade/f1", "o2/facade/f2"}, "id": {"o1", "o2", "o3", "o4", "n1", "n2", "n3", "n4", "n5"},
	}
	if p, ok := pools[name]; ok {
		return p
	}
	var all []string
	for _, k := range []string{"organisation", "uid", "identity", "name", "policy", "id", "product_key"} {
		all = append(all, pools[k]...)
	}
	return all
}

func (d *drawer) bytes(name string) []byte {
	switch {
	case strings.HasSuffix(name, "key"):
		return offline.PublicKey(rapid.SampledFrom([]string{"o1", "o2", "new", "newer", "n9"}).Draw(d.T, name))
	case name == "store_id", name == "restore_epoch":
		return []byte(rapid.StringMatching("[a-c]{16}").Draw(d.T, name))
	case name == "network_id":
		return d.w.id[:]
	case name == "proposal_id" && len(d.ids) > 0:
		return rapid.SampledFrom(d.ids).Draw(d.T, name)
	case strings.HasSuffix(name, "hash") || strings.HasSuffix(name, "_id") || name == "retire_authority":
		sum := sha256.Sum256(offline.Authority(rapid.SampledFrom([]string{"o1", "o2", "x"}).Draw(d.T, name), 1))
		return sum[:]
	}
	return []byte(rapid.SampledFrom([]string{"this", "content"}).Draw(d.T, name))
}

// fill draws all fields of a message; optional ones, lists and bytes are left out in half of the cases.
func (d *drawer) fill(m protoreflect.Message) {
	fields := m.Descriptor().Fields()
	for i := range fields.Len() {
		f := fields.Get(i)
		name := string(f.Name())
		if f.ContainingOneof() != nil && !f.HasOptionalKeyword() {
			continue // an action, which the caller chooses
		}
		mayLack := f.HasOptionalKeyword() || f.IsList() || f.Kind() == protoreflect.BytesKind && !strings.HasSuffix(name, "_id")
		if mayLack && rapid.Bool().Draw(d.T, "without "+name) {
			continue
		}
		switch {
		case f.IsList() && f.Kind() == protoreflect.StringKind:
			list := m.Mutable(f).List()
			for _, s := range rapid.SliceOfNDistinct(rapid.SampledFrom(d.pool(name)), 1, 2, rapid.ID).Draw(d.T, name) {
				list.Append(protoreflect.ValueOfString(s))
			}
		case f.IsList(): // a basis is computed
		case f.Kind() == protoreflect.MessageKind:
			d.fill(m.Mutable(f).Message())
		default:
			m.Set(f, d.scalar(f))
		}
	}
}

func (d *drawer) scalar(f protoreflect.FieldDescriptor) protoreflect.Value {
	name := string(f.Name())
	switch f.Kind() {
	case protoreflect.StringKind:
		return protoreflect.ValueOfString(rapid.SampledFrom(d.pool(name)).Draw(d.T, name))
	case protoreflect.BytesKind:
		return protoreflect.ValueOfBytes(d.bytes(name))
	case protoreflect.BoolKind:
		return protoreflect.ValueOfBool(rapid.Bool().Draw(d.T, name))
	case protoreflect.EnumKind:
		n := rapid.IntRange(1, f.Enum().Values().Len()-1).Draw(d.T, name)
		return protoreflect.ValueOfEnum(protoreflect.EnumNumber(n))
	case protoreflect.Uint32Kind:
		return protoreflect.ValueOfUint32(rapid.Uint32Range(0, 2).Draw(d.T, name))
	case protoreflect.Uint64Kind:
		return protoreflect.ValueOfUint64(rapid.Uint64Range(0, 9).Draw(d.T, name))
	case protoreflect.Int64Kind:
		return protoreflect.ValueOfInt64(d.w.now + int64(rapid.IntRange(1, 48).Draw(d.T, name))*3_600_000)
	}
	d.Fatalf("a field of kind %v", f.Kind())
	return protoreflect.Value{}
}

// transaction draws one of the system chain: of any kind, and a proposal where the kind can be proposed in half of the
// cases.
func (d *drawer) transaction(submitter string) *ltlv1.Transaction {
	tx := d.w.plain("o2", nil)
	tx.Submitter = submitter
	var kinds []*kind
	for _, k := range kindTable {
		if k.chain == onSystem && k.apply != nil && k.name != "propose" {
			kinds = append(kinds, k)
		}
		if k.form == byActOrProposal { // more often, since what they change decides whose consent they need
			kinds = append(kinds, k, k, k)
		}
	}
	names := make([]string, len(kinds))
	for i, k := range kinds {
		names[i] = k.name
	}
	name := rapid.SampledFrom(names).Draw(d.T, "kind")
	field := tx.ProtoReflect().Descriptor().Fields().ByName(protoreflect.Name(name))
	d.fill(tx.ProtoReflect().Mutable(field).Message())
	if a := tx.GetAddNode(); a != nil { // by one of the keys that bytes draws, else none could join
		name := "n9"
		if rapid.Bool().Draw(d.T, "a sound node of o2") {
			a.Node = newNode(rapid.SampledFrom([]string{"n5", "n6", "n7"}).Draw(d.T, "node"))
			a.Node.Organisation, name = "o2", "node "+a.Node.Id
		}
		a.Possession = possession(name, d.w.id, a.GetNode())
	}
	if m := tx.GetModifyOrganisation(); len(m.GetAddAuthority()) > 0 {
		if rapid.Bool().Draw(d.T, "an authority and nothing else") {
			m = &ltlv1.ModifyOrganisation{Id: "o2"}
			tx.Action = &ltlv1.Transaction_ModifyOrganisation{ModifyOrganisation: m}
		}
		d.w.enters(m, rapid.SampledFrom([]string{"o1", "o2", "x", "y"}).Draw(d.T, "authority"), 1)
		if rapid.IntRange(0, 3).Draw(d.T, "possession") == 0 {
			m.AuthorityPossession = make([]byte, 64)
		}
	}
	if p := ProposeOf(tx); p != nil && rapid.Bool().Draw(d.T, "proposed") {
		p.NetworkId, p.ExpiryMs = d.w.id[:], d.w.now+3_600_000
		var err error
		if p.Basis, err = BasisOf(d.w.state, p); err != nil {
			d.Fatal(err)
		}
		tx.Action = &ltlv1.Transaction_Propose{Propose: p}
	}
	return tx
}

// TestOneOrganisationChangesOnlyItsOwn draws transactions of the system chain of every kind that o2 sends: by its own
// operators with the signature of every endorser, since others' endorsers sign as witnesses of the form; or in any
// name, with its own signature alone. Over all that the blocks write, by the owner of each key of the state: nothing of
// another organisation changes, nothing that belongs to all, and no proposal is executed.
func TestOneOrganisationChangesOnlyItsOwn(t *testing.T) {
	written, proposals := map[string]int{}, 0
	walk := func(rt *rapid.T) {
		w := ownedWorld(t)
		own := newNode("n8")
		own.Organisation = "o2"
		w.must(by("o2", w.operator(w.addNode(own, learner, ""))))
		d := &drawer{T: rt, w: w}
		for i, org := range []string{"o1", "o3"} { // others' open proposals, on which only o2 votes
			d.ids = append(d.ids, w.proposed(org, w.joins(fmt.Sprint("o", 7+i))), w.proposed(org, w.repolicy("any")),
				w.proposed(org, setBack(w.referenceMs-1)),
				w.proposed(org, changeNode(map[string]string{"o1": "n3", "o3": "n1"}[org],
					ltlv1.NodeMembership_NODE_MEMBERSHIP_REMOVED)))
		}
		d.ids = append(d.ids, w.proposed("o3", moveProduct("product1", "o2", "o1")))
		for range rapid.IntRange(10, 40).Draw(rt, "transactions") {
			signers, submitter := organisations(), "o2/operator/olga"
			if rapid.Bool().Draw(rt, "alone") {
				signers = []string{"o2"}
				submitter = rapid.SampledFrom([]string{"o1/operator/olga", "o2/operator/x", "o2/facade/f2", "o3/operator/x"}).Draw(rt, "submitter")
			}
			tx := d.transaction(submitter)
			x := w.execute(ledger.SystemChain, w.batch(ledger.SystemChain, [][]byte{marshal(t, tx)}, signers...))
			for _, write := range x.Writes {
				before := w.state[ledger.SystemChain][string(write.Key)]
				owner, unlike := ownerOfKey(rt, w.state, write.Key, before, write.Value, "o2")
				if owner != "" && owner != "o2" || unlike {
					rt.Fatalf("o2 alone writes %q of %q by %v as %s, signed by %v", write.Key, owner, tx, submitter, signers)
				}
				class, _, _ := strings.Cut(string(write.Key), "/")
				if write.Key[0] > 'Z' {
					written[class]++
				}
			}
			w.commit(ledger.SystemChain, x)
			if r := x.Results[0][0]; tx.GetPropose() != nil && r.GetCode() == OK {
				id, err := hex.DecodeString(r.GetOutput())
				if err != nil {
					rt.Fatal(err)
				}
				d.ids = append(d.ids, id)
				proposals++
			}
			if w.ownKey(rt, "o2") != nil || !slices.Contains(w.endorsers(ledger.SystemChain), "o2") {
				return // a new endorser key signs from now on, or it has left
			}
		}
	}
	lacking := []string{"c", "k", "r", "w", "zc", "zp", "zo", "zq", "zr"}
	for range 20 { // a class that few transactions write is not in every round
		rapid.Check(t, walk)
		lacking = slices.DeleteFunc(lacking, func(class string) bool { return written[class] > 0 })
		if len(lacking) == 0 || t.Failed() {
			break
		}
	}
	t.Logf("%d proposals, keys written by class: %v", proposals, written)
	if len(lacking) > 0 {
		t.Errorf("no key of the classes %q was written: the drawn transactions do too little", lacking)
	}
}

// ownKey returns the endorser key of an organisation if it is no longer the one that the world signs with.
func (w *world) ownKey(t *rapid.T, org string) []byte {
	o, err := GetOrganisation(w.state, org)
	if err != nil {
		t.Fatal(err)
	}
	if string(o.EndorserKey) == string(offline.PublicKey(org)) {
		return nil
	}
	return o.EndorserKey
}
