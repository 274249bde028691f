package chaos

import (
	"encoding/hex"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	"ltl/client"
	"ltl/internal/ledger"
	"ltl/internal/proposal"
	ltlv1 "ltl/proto/ltl/v1"
	"ltl/test/chaos/liar"
	"ltl/test/insider"
)

// things is a network in which org1 has one of everything, and org3 is malicious.
func things() *consent {
	return &consent{
		malicious: "org3", from: 1, blocks: 2, accounts: map[string]string{"1": "org1", "3": "org3"},
		accessKeys: map[string]string{"LTAI1": "org1"}, chains: map[string]string{"1000000000000001": "org1"},
		codes: map[string]string{"code_AAAA": "org1", "code_CCCC": "org3"}, products: map[string]string{"meters": "org1"},
		nodes: map[string]string{"node1": "org1"}, acts: map[string]*act{}, asked: map[[3]string]string{},
		holdings: map[string]string{"account 1": "one of org1"}, proposers: map[string]string{}, found: map[string]int{},
		check: &Check{ID: "I12"},
	}
}

// record is an accepted record of an account under a Key with a type code.
func record1(uid, submitter, code string) *ltlv1.Transaction {
	return &ltlv1.Transaction{ChainId: "1000000000000001", AccountUid: uid, Submitter: submitter,
		Action:   &ltlv1.Transaction_SetData{SetData: &ltlv1.SetData{Key: "0001_code_" + code + "_x"}},
		Openings: client.Values("v")}
}

// TestConsent: the walk finds each thing of an honest organisation that a transaction names and no honest process made,
// and leaves the malicious organisation what is its own.
func TestConsent(t *testing.T) {
	const own = "org3/operator/operator"
	system := func(tx *ltlv1.Transaction) *ltlv1.Transaction { tx.Submitter = own; return insider.System(tx) }
	with := func(change func(tx *ltlv1.Transaction)) *ltlv1.Transaction {
		tx := record1("3", "org3/facade/evil", "CCCC")
		change(tx)
		return tx
	}
	var hash ledger.Hash
	for what, c := range map[string]struct {
		tx   *ltlv1.Transaction
		says string // empty for what is its own
	}{
		"its own record":              {record1("3", "org3/facade/evil", "CCCC"), ""},
		"its own account":             {system(insider.Account("4", "eve", "org3")), ""},
		"its own AccessKey":           {system(insider.PutAccessKey("3", "LTAI3", 1, 1, hash)), ""},
		"an unclaimed product":        {system(insider.Claim("other", "")), ""},
		"its own vote":                {system(proposal.Approve(hash, hash)), ""},
		"a record of org1's account":  {record1("1", "org3/facade/evil", "CCCC"), "names the account 1"},
		"a Key of org1's":             {record1("3", "org3/facade/evil", "AAAA"), "names a Key of the type code code_AAAA"},
		"org1's facade":               {record1("3", "org1/facade/f1", "CCCC"), "names the submitter org1/facade/f1"},
		"org1's AccessKey":            {with(func(tx *ltlv1.Transaction) { tx.AccessKeyId = "LTAI1" }), "the AccessKey LTAI1"},
		"org1's device":               {with(func(tx *ltlv1.Transaction) { tx.GetSetData().Device = &ltlv1.DeviceProof{ProductKey: "meters"} }), "the product meters"},
		"an account of org1's":        {system(insider.Account("5", "eve", "org1")), "the organisation org1"},
		"an AccessKey for org1":       {system(insider.PutAccessKey("1", "LTAI4", 1, 1, hash)), "the account 1"},
		"org1's AccessKey for itself": {system(insider.PutAccessKey("3", "LTAI1", 1, 2, hash)), "the AccessKey LTAI1"},
		"org1's product":              {system(insider.Assign("meters", "")), "the product meters"},
		"a vote in org2's name": {with(func(tx *ltlv1.Transaction) {
			proto.Merge(tx, proposal.Approve(hash, hash))
			tx.Submitter = "org2/operator/o"
		}), "names the submitter org2"},
		"what can only be proposed": {system(&ltlv1.Transaction{Action: &ltlv1.Transaction_ActivateRules{ActivateRules: &ltlv1.ActivateRules{Version: 2}}}), "what all organisations share"},
		"org1's node":               {system(&ltlv1.Transaction{Action: &ltlv1.Transaction_SetNodeAddress{SetNodeAddress: &ltlv1.SetNodeAddress{Id: "node1"}}}), "the node node1"},
		"org1's chain":              {system(&ltlv1.Transaction{Action: &ltlv1.Transaction_ModifyChain{ModifyChain: &ltlv1.ModifyChain{ChainId: "1000000000000001"}}}), "the chain 1000000000000001"},
		"a correction of org1's record": {with(func(tx *ltlv1.Transaction) {
			tx.Action = &ltlv1.Transaction_AttachData{AttachData: &ltlv1.AttachData{Key: "0001_code_CCCC_x", Corrects: &ltlv1.Correction{Key: "0001_code_AAAA_x"}}}
		}), "a Key of the type code code_AAAA"},
	} {
		w := things()
		w.see(BlockID{}, "id", c.tx)
		found := strings.Join(w.check.Wrong, "\n")
		if c.says == "" && found != "" || c.says != "" && !strings.Contains(found, c.says) {
			t.Errorf("%s: found %q, want %q", what, found, c.says)
		}
		journaled := things()
		journaled.acts["id"] = &act{}
		if journaled.see(BlockID{}, "id", c.tx); journaled.check.Count > 0 {
			t.Errorf("%s, made by an honest process: found %q", what, journaled.check.Wrong)
		}
	}
}

// TestConsentOfCallers: what a caller wrote is its own, with the same value under the same Key only.
func TestConsentOfCallers(t *testing.T) {
	w := things()
	w.asked[[3]string{SetData, "0001_code_AAAA_x", "v"}] = ""
	w.see(BlockID{}, "id", record1("1", "org1/facade/f1", "AAAA"))
	if w.check.Count > 0 {
		t.Errorf("a caller's record: %q", w.check.Wrong)
	}
	other := record1("1", "org1/facade/f1", "AAAA")
	other.Openings = client.Values("w")
	if w.see(BlockID{}, "other", other); w.check.Count == 0 {
		t.Error("another value passes as a caller's")
	}
}

// TestConsentInTheEnd: a holding that changed, one that is gone, one too many, and an act that is missing, was refused or
// is there twice are found.
func TestConsentInTheEnd(t *testing.T) {
	right := func() map[string]string {
		return map[string]string{"account 1": "one of org1", "account 7": "ACCOUNT_TYPE_RAM seven of org1"}
	}
	made := insider.Account("7", "seven", "org1")
	made.Submitter = "org1/operator/operator"
	id := hex.EncodeToString([]byte("id"))
	for what, c := range map[string]struct {
		doctor func(w *consent, has map[string]string)
		says   string
	}{
		"nothing": {func(*consent, map[string]string) {}, ""},
		"changed": {func(_ *consent, has map[string]string) { has["account 1"] = "one of org3" }, `account 1 is "one of org3"`},
		"gone":    {func(_ *consent, has map[string]string) { delete(has, "account 7") }, "account 7"},
		"more":    {func(_ *consent, has map[string]string) { has["node x"] = "voter" }, "its owner did not make"},
		"missing": {func(w *consent, _ map[string]string) { w.acts["no"] = &act{what: "it", acknowledged: true} }, "is not on the ledger"},
		"refused": {func(w *consent, _ map[string]string) { w.acts[id].refused = "1002" }, "was refused: 1002"},
		"twice":   {func(w *consent, _ map[string]string) { w.found[id] = 2 }, "accepted 2 times"},
	} {
		w, has := things(), right()
		w.acts[id] = &act{what: "an account", acknowledged: true}
		w.see(BlockID{}, id, made)
		c.doctor(w, has)
		w.finish(map[string]map[string]string{"node1": has})
		found := strings.Join(w.check.Wrong, "\n")
		if c.says == "" && found != "" || !strings.Contains(found, c.says) {
			t.Errorf("%s: found %q, want %q", what, found, c.says)
		}
	}
}

// TestMisled: of reads only those about whose Key the node lied meanwhile are left out, and no write but one that was
// refused while it lied about members or accounts.
func TestMisled(t *testing.T) {
	began := time.Unix(1000, 0)
	at := func(s int) int64 { return int64(time.Duration(s) * time.Second) }
	lies := []liar.Lie{{At: began.UnixNano() + at(10), Key: "k", Method: "GetRecord"},
		{At: began.UnixNano() + at(100), Method: "GetAccount"}}
	ops := map[string]*Op{
		"meanwhile":         {Action: GetData, Key: "k", Call: at(9), Return: at(11), Outcome: OK},
		"never returned":    {Action: GetData, Key: "k", Call: at(9), Outcome: Unknown},
		"refused meanwhile": {Action: SetData, Key: "z", Call: at(99), Return: at(101), Outcome: Wrong},
	}
	for what, o := range ops {
		if _, doubtful := misled([]*Op{o}, lies, began); len(doubtful) != 1 {
			t.Errorf("%s: it counts", what)
		}
	}
	for what, o := range map[string]*Op{
		"before":          {Action: GetData, Key: "k", Call: at(1), Return: at(2), Outcome: OK},
		"after":           {Action: GetData, Key: "k", Call: at(12), Return: at(13), Outcome: OK},
		"another Key":     {Action: GetData, Key: "other", Call: at(9), Return: at(11), Outcome: OK},
		"a write":         {Action: SetData, Key: "k", Call: at(9), Return: at(11), Outcome: OK},
		"refused earlier": {Action: SetData, Key: "z", Call: at(50), Return: at(51), Outcome: Wrong},
	} {
		if sound, _ := misled([]*Op{o}, lies, began); len(sound) != 1 {
			t.Errorf("%s: it is left out", what)
		}
	}
}

// TestRefused: an attack that was accepted, and a kind that never had an answer, are found.
func TestRefused(t *testing.T) {
	for says, c := range map[string]insider.Count{
		"":                          {Tries: 30, Refused: 30},
		"1 of 30 attempts":          {Tries: 30, Refused: 29, Accepted: 1},
		"none of 30 attempts had":   {Tries: 30, Broken: 30},
		"a right, and no violation": {Tries: 30, Refused: 29, Accepted: 1, May: true},
	} {
		f := &Found{Attacks: map[string]insider.Count{"theft": c}}
		check := f.refused()
		if found := strings.Join(check.Wrong, "\n"); check.OK() != (says == "" || c.May) || !c.May && !strings.Contains(found, says) {
			t.Errorf("%+v: %q", c, found)
		}
	}
}
