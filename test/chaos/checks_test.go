package chaos

import (
	"crypto/sha256"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// sample is a small run in which everything is right: two Keys written, one attached to twice, read in between.
func sample() *Found {
	hash := func(s string) string { return fmt.Sprintf("%x", sha256.Sum256([]byte(s))) }
	build := func() *Ledger {
		l := newLedger()
		for h := range 5 {
			id := BlockID{Chain: "c", Height: uint64(h), Hash: hash(fmt.Sprint("block", h))}
			l.Blocks, l.Digests = append(l.Blocks, id), append(l.Digests, sha256.Sum256([]byte(id.Hash)))
		}
		put := func(height uint64, key, business, value string, attached bool) {
			r := Record{Chain: "c", Height: height, BlockHash: l.Blocks[height].Hash, Transaction: hash(key + business),
				BusinessID: business, Value: value, Attached: attached}
			l.Records[key] = append(l.Records[key], r)
			l.Transactions[r.Transaction]++
		}
		put(1, "one", "", "v1", false)
		put(2, "hot", "a", "va", true)
		put(3, "hot", "b", "vb", true)
		put(4, "maybe", "", "vm", false)
		return l
	}
	l := build()
	at := func(s int) int64 { return int64(time.Duration(s) * time.Second) }
	ops := []*Op{
		{Action: SetData, Key: "one", Value: "v1", Call: at(1), Return: at(2), Outcome: OK, Attempts: 1},
		{Action: Attach, Key: "hot", BusinessID: "a", Value: "va", Call: at(3), Return: at(5), Outcome: OK, Attempts: 1},
		{Action: Attach, Key: "hot", BusinessID: "b", Value: "vb", Call: at(6), Return: at(9), Outcome: Exists, Attempts: 2},
		{Action: SetData, Key: "maybe", Value: "vm", Call: at(6), Return: at(20), Outcome: Unknown, Attempts: 6},
		{Action: SetData, Key: "never", Value: "vn", Call: at(6), Return: at(20), Outcome: Unknown, Attempts: 6},
		{Action: GetData, Key: "hot", Call: at(10), Return: at(11), Outcome: OK, Read: []string{"vb"}},
		{Action: Count, Key: "hot", Call: at(10), Return: at(11), Outcome: OK, Number: 2},
		{Action: List, Key: "hot", Call: at(10), Return: at(11), Outcome: OK, Read: []string{"va", "vb"}},
		{Action: GetData, Key: "hot", BusinessID: "x", Call: at(10), Return: at(11), Outcome: Absent},
		{Action: ChainInfo, Key: "one", Call: at(10), Return: at(11), Outcome: OK,
			Proof: &Evidence{Height: 1, BlockHash: l.Blocks[1].Hash, TransactionHash: hash("one")}},
	}
	for i, o := range ops {
		o.ID = i
	}
	return &Found{
		Ops:    ops,
		Copies: []Copy{{Names: []string{"node1", "node2"}, Ledger: l}, {Names: []string{"endorser-org1"}, Ledger: build()}},
		Audits: []Audited{{Name: "node1"}, {Name: "node2"}},
		Injections: []*Injection{{
			Fault: "kill leader", Begin: 3 * time.Second, End: 6 * time.Second, Recovered: time.Second, Ready: 2 * time.Second,
			Targets: []string{"node1"},
		}},
		Usage: map[string]*Usage{"node1": {First: Use{50, 20, 1 << 20}, Highest: Use{80, 40, 2 << 20},
			Last: Use{60, 30, 2 << 20}, Samples: 2}},
	}
}

// TestChecksHold: nothing is wrong with the sample.
func TestChecksHold(t *testing.T) {
	for _, c := range Checks(sample()) {
		if !c.OK() {
			t.Errorf("%s: looked at %d %s, found %q", c.ID, c.Looked, c.What, c.Wrong)
		}
	}
}

// TestChecksFail: each check finds what it is for, in a sample with one thing changed.
func TestChecksFail(t *testing.T) {
	second := func(f *Found) *Ledger { return f.Copies[1].Ledger }
	for _, c := range []struct {
		id, what string
		doctor   func(f *Found)
		says     string
	}{
		{"I1", "an acknowledged record is lost on one copy", func(f *Found) { delete(second(f).Records, "one") },
			"one was acknowledged at 2s and is not on endorser-org1"},
		{"I1", "an acknowledged record has another value", func(f *Found) { second(f).Records["one"][0].Value = "other" },
			"is not on endorser-org1"},
		{"I1", "a record that was said to exist does not",
			func(f *Found) { f.Ops[0].Outcome = Exists; delete(second(f).Records, "one") }, "was said to exist"},
		{"I14", "an endorsement was kept back", func(f *Found) { second(f).Kept = []string{"org3 signed 3m0s before"} },
			"3m0s before"},
		{"I2", "another block hash", func(f *Found) { second(f).Blocks[3].Hash = "00" }, "height 3 of chain c"},
		{"I2", "another content under the same header", func(f *Found) { second(f).Digests[3] = [32]byte{} },
			"height 3 of chain c"},
		{"I2", "a block less", func(f *Found) { l := second(f); l.Blocks, l.Digests = l.Blocks[:4], l.Digests[:4] },
			"has 4 blocks"},
		{"I2", "two blocks at one height", func(f *Found) { f.Copies[0].Ledger.Blocks[2].Height = 1 }, "two blocks"},
		{"I3", "an audit fails", func(f *Found) { f.Audits[1].Error = "block 7 does not link" }, "node2: block 7"},
		{"I3", "no audit was made", func(f *Found) { f.Audits = nil }, ""},
		{"I4", "a stale read", func(f *Found) { f.Ops[5].Read = []string{"va"} }, "Key hot"},
		{"I4", "a value that was not written", func(f *Found) { f.Ops[5].Read = []string{"ghost"} }, "Key hot"},
		{"I4", "a record vanishes", func(f *Found) { f.Ops[5].Outcome, f.Ops[5].Read = Absent, nil }, "Key hot"},
		{"I4", "a count too low", func(f *Found) { f.Ops[6].Number = 1 }, "Key hot"},
		{"I4", "a list in another order", func(f *Found) { f.Ops[7].Read = []string{"vb", "va"} }, "Key hot"},
		{"I4", "a read that sees what comes later", func(f *Found) { f.Ops[5].Call, f.Ops[5].Return = 1, 2 }, "Key hot"},
		{"I4", "a first attempt answered with a record that is not there", func(f *Found) { f.Ops[0].Outcome = Exists },
			"Key one"},
		{"I4", "one Key set twice with success", func(f *Found) {
			again := *f.Ops[0]
			again.Value, again.Call, again.Return = "v2", f.Ops[0].Return+1, f.Ops[0].Return+2
			f.Ops = append(f.Ops, &again)
		}, "Key one"},
		{"I5", "a Key twice", func(f *Found) { r := second(f).Records; r["one"] = append(r["one"], r["one"][0]) }, "2 times"},
		{"I5", "a BusinessId twice", func(f *Found) {
			r := second(f).Records
			r["hot"][1].BusinessID, r["hot"][1].Value = "a", "va"
		}, "2 times"},
		{"I5", "a write without BusinessId twice", func(f *Found) {
			r := second(f).Records
			r["hot"] = append(r["hot"], r["hot"][1])
			r["hot"][1].BusinessID, r["hot"][2].BusinessID = "", ""
			f.Ops[2].BusinessID = ""
		}, "written by one call"},
		{"I5", "another BusinessId than was asked for", func(f *Found) { second(f).Records["hot"][1].BusinessID = "c" },
			"no call wrote"},
		{"I5", "a transaction twice", func(f *Found) { second(f).Transactions["tx"] = 2 }, "accepted 2 times"},
		{"I5", "a record that was not written", func(f *Found) { second(f).Records["ghost"] = []Record{{Value: "boo"}} },
			"no call wrote"},
		{"I6", "an audit finds a policy that is not satisfied", func(f *Found) { f.Audits[0].Error = "endorsed by too few" },
			"too few"},
		{"I7", "the block was replaced", func(f *Found) { second(f).Records["one"][0].BlockHash = "00" },
			"on endorser-org1 it is not"},
		{"I7", "the transaction has moved", func(f *Found) { f.Ops[9].Proof.Height = 2 }, "it is not"},
		{"I7", "another transaction hash", func(f *Found) { f.Ops[9].Proof.TransactionHash = "00" }, "it is not"},
		{"I7", "no evidence was asked for", func(f *Found) { f.Ops = f.Ops[:9] }, ""},
		{"I8", "the network recovers late", func(f *Found) { f.Injections[0].Recovered = 11 * time.Second }, "after 11s"},
		{"I8", "the network never recovers", func(f *Found) { f.Injections[0].Recovered = -1 }, "no write"},
		{"I9", "a node alone says that it serves", func(f *Found) { f.Injections[0].Serving = []string{"node1"} },
			"reached no majority"},
		{"I9", "a process does not come back", func(f *Found) { f.Injections[0].Late = []string{"node1"} }, "did not serve"},
		{"I9", "a process ends by itself", func(f *Found) { f.Endings = []Ending{{"node1", "exit status 2", "panic"}} },
			"ended by itself"},
		{"I9", "a process ends once more than it may", func(f *Found) {
			f.Injections[0].Stopped = []string{"node1"}
			f.Endings = []Ending{{"node1", "exit status 1", "no files"}, {"node1", "exit status 2", "panic"}}
		}, "panic"},
		{"I11", "memory", func(f *Found) { f.Usage["node1"].Highest.Bytes = maxResident + 1 }, "memory"},
		{"I11", "goroutines", func(f *Found) { f.Usage["node1"].Last.Goroutines = 201 }, "goroutines"},
		{"I11", "files", func(f *Found) { f.Usage["node1"].Last.Files = 141 }, "files"},
		{"API", "an answer out of the contract", func(f *Found) {
			f.Ops[0].Outcome, f.Ops[0].Detail = Wrong, "500 InternalError"
		}, "InternalError"},
		{"RUN", "a fault could not be undone", func(f *Found) { f.Injections[0].Error = "no nft" }, "no nft"},
		{"RUN", "a copy could not be read", func(f *Found) { f.Failures = []string{"node1: gone"} }, "node1: gone"},
		{"RUN", "no fault was made", func(f *Found) { f.Injections = nil }, ""},
	} {
		f := sample()
		c.doctor(f)
		for _, check := range Checks(f) {
			if check.ID != c.id {
				continue
			}
			if check.OK() || c.says != "" && !strings.Contains(strings.Join(check.Wrong, "\n"), c.says) {
				t.Errorf("%s, %s: found %q in %d %s; want %q", c.id, c.what, check.Wrong, check.Looked, check.What, c.says)
			}
		}
	}
}

// TestUnknownStaysOpen: a write without an answer may take effect at any later time, and once only; one that is not on
// the chain never did.
func TestUnknownStaysOpen(t *testing.T) {
	write := &Op{Action: SetData, Key: "k", Value: "v", Call: 10, Return: 20, Outcome: Unknown, Attempts: 3}
	read := func(call int64, value string) *Op {
		o := &Op{Action: GetData, Key: "k", Call: call, Return: call + 1, Outcome: Absent}
		if value != "" {
			o.Outcome, o.Read = OK, []string{value}
		}
		return o
	}
	for _, c := range []struct {
		what    string
		ops     []*Op
		written bool
		legal   bool
	}{
		{"late", []*Op{write, read(30, ""), read(40, "v"), read(50, "v")}, true, true},
		{"in time", []*Op{write, read(15, "v"), read(40, "v")}, true, true},
		{"not before its call", []*Op{write, read(1, "v")}, true, false},
		{"not undone", []*Op{write, read(30, "v"), read(40, "")}, true, false},
		{"never", []*Op{write, read(30, ""), read(40, "")}, false, true},
		{"seen, and not on the chain in the end", []*Op{write, read(30, "v")}, false, false},
	} {
		_, _, wrong := Linearizable(c.ops, func(*Op) (int, bool) { return anyPlace, c.written })
		if (len(wrong) == 0) != c.legal {
			t.Errorf("%s: %q, want legal %t", c.what, wrong, c.legal)
		}
	}
}

// TestMayStop: a process that was kept from opening files may end, others may not.
func TestMayStop(t *testing.T) {
	ended := []Ending{{Name: "node1"}, {Name: "node2"}}
	effects := []*effect{{targets: []string{"node1"}, mayStop: true}, {targets: []string{"node2"}}}
	if got := stopped(ended, effects); len(got) != 1 || got[0] != "node1" {
		t.Errorf("%q may stop, want node1", got)
	}
	f := sample()
	f.Injections[0].Stopped, f.Endings = []string{"node1"}, ended[:1]
	if c := f.faulty(); !c.OK() {
		t.Errorf("it may stop: %q", c.Wrong)
	}
}

// TestDraw: the calls of a Key that is not linearizable are drawn.
func TestDraw(t *testing.T) {
	f := sample()
	f.Ops[5].Read = []string{"va"}
	r := &Results{Checks: Checks(f), unordered: f.unordered}
	dir := t.TempDir()
	if err := r.save(dir); err != nil {
		t.Fatal(err)
	}
	raw, err := os.ReadFile(filepath.Join(dir, "calls-1.html"))
	if err != nil || !strings.Contains(string(raw), "GetHistoryDataCount") {
		t.Errorf("the page has %d bytes and not the calls: %v", len(raw), err)
	}
}

// TestHears: a process whose own messages alone are cut off hears the others.
func TestHears(t *testing.T) {
	nodes := []string{"a", "b", "c"}
	for _, c := range []struct {
		links []Link
		want  bool
	}{
		{nil, true},
		{[]Link{{From: "a", To: "b", How: Block}, {From: "a", To: "c", How: Block}}, true},
		{[]Link{{From: "b", To: "a", How: Block}}, true},
		{[]Link{{From: "b", To: "a", How: Block}, {From: "c", To: "a", How: Isolate}}, false},
		{[]Link{{From: "b", To: "a", How: Lose, Amount: 99}, {From: "c", To: "a", How: Lose, Amount: 99}}, true},
	} {
		if got := hears("a", nodes, []*effect{{links: c.links}}); got != c.want {
			t.Errorf("%v: hears them %v, want %v", c.links, got, c.want)
		}
	}
}

// TestAlone: a process that reaches no majority in both directions is alone.
func TestAlone(t *testing.T) {
	nodes := []string{"a", "b", "c"}
	for _, c := range []struct {
		links []Link
		want  string
	}{
		{nil, ""},
		{[]Link{{From: "a", To: "b", How: Block}}, ""},
		{[]Link{{From: "a", To: "b", How: Block}, {From: "c", To: "a", How: Block}}, "a"},
		{[]Link{{From: "a", To: "b", How: Lose, Amount: 99}, {From: "a", To: "c", How: Lose, Amount: 99}}, ""},
		{[]Link{{From: "a", To: "b", How: Isolate}, {From: "a", To: "c", How: Isolate}, {From: "b", To: "c", How: Isolate}},
			"a b c"},
	} {
		if got := strings.Join(alone(nodes, []*effect{{links: c.links}}), " "); got != c.want {
			t.Errorf("%v leaves %q alone, want %q", c.links, got, c.want)
		}
	}
}
