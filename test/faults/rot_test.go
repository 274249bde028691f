package faults

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// flip changes one bit wherever a file holds a text, and returns how often that is.
func (w *world) flip(path, text string) (flipped int) {
	w.t.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		w.t.Fatal(err)
	}
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		w.t.Fatal(err)
	}
	defer f.Close()
	for at := 0; ; at++ {
		i := bytes.Index(content[at:], []byte(text))
		if i < 0 {
			return flipped
		}
		at += i
		if _, err := f.WriteAt([]byte{content[at] ^ 1}, int64(at)); err != nil {
			w.t.Fatal(err)
		}
		flipped++
	}
}

// mustFlip is flip where the text must be.
func (w *world) mustFlip(path, text string) {
	w.t.Helper()
	if w.flip(path, text) == 0 {
		w.t.Fatalf("%q is not in %s", text, path)
	}
}

// database is the file with a process's blocks and state.
func (w *world) database(name string) string {
	p := w.processes[name]
	if p.role == "node" {
		return filepath.Join(p.dir, "ledger", "ledger.db")
	}
	return filepath.Join(p.dir, "ledger.db")
}

// anyRecord is a text that only the block has with a record that was acknowledged a while ago: the Key, and the tag of the
// value's commitment.
func (w *world) anyRecord() string {
	w.t.Helper()
	w.journal.mu.Lock()
	defer w.journal.mu.Unlock()
	for key := range w.journal.acknowledged {
		return key + "\x12"
	}
	w.t.Fatal("nothing was acknowledged")
	return ""
}

// TestBitRot flips bits of stored files, cuts files short and puts old ones back, on running and on stopped processes,
// on a minority and on all. What is damaged is never served; on a minority it is repaired, or the process refuses to
// start and says what to do.
func TestBitRot(t *testing.T) {
	need(t)
	w := newWorld(t)
	w.startAll()
	step := func(name string, f func(w *world) outcome) {
		if t.Failed() {
			return
		}
		t.Run(name, func(t *testing.T) {
			outer := w.t
			w.t = t
			defer func() { w.t = outer }()
			w.journal.acks.Store(0)
			stop := w.write()
			defer stop()
			w.awaitAcks(30)
			o := f(w)
			w.awaitAcks(30)
			stop()
			w.check(o)
			if rounds(t) > 1 {
				w.audit()
			}
		})
	}
	step("BlockOfARunningProcess", flippedBlocks)
	step("StateOfAStoppedNode", flippedState)
	step("RaftLog", flippedRaftLog)
	step("FilesCutShort", cutShort)
	if rounds(t) > 1 {
		step("OldDirectory", oldDirectory)
	}
	step("TheSameBlockEverywhere", flippedEverywhere)
	w.audit()
}

// flippedBlocks flips a bit of a block under a running leader, follower and endorser. Each repairs it by itself.
func flippedBlocks(w *world) outcome {
	o := outcome{fault: "bit flip in a stored block, one copy, running"}
	for range rounds(w.t) {
		for _, name := range []string{w.leader(), w.endorsers[0]} {
			w.journal.resetGap()
			before := w.count(name, "from another copy")
			began := time.Now()
			value := w.anyRecord()
			w.await(name+" to have it", func() bool {
				content, err := os.ReadFile(w.database(name))
				return err == nil && bytes.Contains(content, []byte(value))
			})
			w.mustFlip(w.database(name), value)
			w.await(name+" to repair the block", func() bool {
				return w.count(name, "from another copy") > before
			})
			o.recoveries = append(o.recoveries, time.Since(began))
			o.gaps = append(o.gaps, w.journal.longestGap())
			o.runs++
		}
	}
	return o
}

// flippedState flips a bit of the state of a stopped node, which rebuilds its ledger when it is started.
func flippedState(w *world) outcome {
	o := outcome{fault: "bit flip in stored state, one node, stopped"}
	for range rounds(w.t) {
		for _, name := range victims(w.t, w.leader(), w.follower()) {
			w.journal.resetGap()
			w.kill(name)
			w.mustFlip(w.database(name), "Organisation 2")
			w.awaitAcks(30)
			o.gaps = append(o.gaps, w.journal.longestGap())
			w.start(name)
			o.recoveries = append(o.recoveries, w.awaitReady(name))
			if !w.said(name, "the ledger is rebuilt") {
				w.t.Errorf("%s does not say that its ledger is rebuilt", name)
			}
			o.runs++
		}
	}
	return o
}

// refuses starts a node that must not start, and must say so.
func (w *world) refuses(name, says string) {
	w.t.Helper()
	w.start(name)
	if code := w.awaitEnd(name); code != 1 {
		w.t.Errorf("%s ends with exit code %d", name, code)
	}
	if last := string(tail(w.processes[name].log, 1500)); !strings.Contains(last, says) ||
		strings.Contains(last, "goroutine ") {
		w.t.Errorf("%s does not say %q:\n%s", name, says, last)
	}
}

const saysReplace = "ltl node replace"

// flippedRaftLog flips a bit of a stopped node's Raft log. The node does not vote any more.
func flippedRaftLog(w *world) outcome {
	o := outcome{fault: "bit flip in the Raft log, one node, stopped"}
	for range rounds(w.t) {
		name := w.follower()
		w.journal.resetGap()
		w.kill(name)
		path := filepath.Join(w.processes[name].dir, "raft.db")
		good, err := os.ReadFile(path)
		if err != nil {
			w.t.Fatal(err)
		}
		w.mustFlip(path, " of a record of a record")
		w.refuses(name, saysReplace)
		if err := os.WriteFile(path, good, 0o600); err != nil {
			w.t.Fatal(err)
		}
		w.awaitAcks(30)
		o.gaps = append(o.gaps, w.journal.longestGap())
		w.start(name)
		o.recoveries = append(o.recoveries, w.awaitReady(name))
		o.runs++
	}
	return o
}

// cutShort cuts a stopped node's files short, or zeroes their ends. It rebuilds its ledger or refuses to start, and
// never crashes.
func cutShort(w *world) outcome {
	o := outcome{fault: "file cut short or with a zeroed tail, one node, stopped"}
	w.journal.resetGap()
	name := w.follower()
	w.kill(name)
	dir := w.processes[name].dir
	saved := dir + ".good"
	w.run("cp", "-a", dir, saved)
	zero := func(path string) error {
		info, err := os.Stat(path)
		if err != nil {
			return err
		}
		content, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		used := int64(len(bytes.TrimRight(content, "\x00")))
		from := max(0, used-16<<10) // the newest pages
		if err := os.Truncate(path, from); err != nil {
			return err
		}
		return os.Truncate(path, info.Size())
	}
	half := func(path string) error {
		info, err := os.Stat(path)
		if err != nil {
			return err
		}
		return os.Truncate(path, info.Size()/2/4096*4096)
	}
	for _, file := range []string{w.database(name), filepath.Join(dir, "raft.db")} {
		for what, damage := range map[string]func(string) error{"zeroed": zero, "half": half} {
			if err := damage(file); err != nil {
				w.t.Fatal(err)
			}
			w.start(name)
			w.await(fmt.Sprintf("%s with %s %s to end or be ready", name, filepath.Base(file), what),
				func() bool { return !w.running(name) || w.ready(name) })
			if last := tail(w.processes[name].log, 1500); !w.running(name) && !bytes.Contains(last, []byte(saysReplace)) {
				w.t.Errorf("%s %s: %s", file, what, last)
			}
			mended := w.running(name)
			w.kill(name)
			if mended { // it has gone on since: what was saved is an old directory, which it would refuse
				w.run("rm", "-rf", saved)
				w.run("cp", "-a", dir, saved)
			} else {
				w.run("rm", "-rf", dir)
				w.run("cp", "-a", saved, dir)
			}
			if o.runs++; rounds(w.t) == 1 {
				break
			}
		}
	}
	o.gaps = append(o.gaps, w.journal.longestGap())
	w.start(name)
	o.recoveries = append(o.recoveries, w.awaitReady(name))
	return o
}

// oldDirectory puts an old copy of a node's directory back, as the restoration of a virtual machine does. The node
// refuses to start, and goes on with the newest directory.
func oldDirectory(w *world) outcome {
	o := outcome{fault: "old copy of its directory put back, one node"}
	for range rounds(w.t) {
		name := w.follower()
		w.journal.resetGap()
		w.kill(name)
		dir := w.processes[name].dir
		w.run("rm", "-rf", dir+".old")
		w.run("cp", "-a", dir, dir+".old")
		w.start(name)
		w.awaitReady(name)
		w.awaitAcks(50)
		time.Sleep(3 * time.Second) // it tells the others once a second how far it is
		w.kill(name)
		w.run("mv", dir, dir+".new")
		w.run("mv", dir+".old", dir)
		w.refuses(name, "this node's directory is older than what this node has told its peers")
		w.run("rm", "-rf", dir)
		w.run("mv", dir+".new", dir)
		w.awaitAcks(30)
		w.start(name)
		o.recoveries = append(o.recoveries, w.awaitReady(name))
		o.gaps = append(o.gaps, w.journal.longestGap())
		o.runs++
	}
	return o
}

// flippedEverywhere flips the same bit of a block in every copy. Each names the block, none serves it, and the network
// keeps working.
func flippedEverywhere(w *world) outcome {
	o := outcome{fault: "the same bit flip in a stored block, all copies", runs: 1}
	value := w.anyRecord()
	w.await("all copies to have it", func() bool {
		for _, name := range w.all() {
			if content, err := os.ReadFile(w.database(name)); err != nil || !bytes.Contains(content, []byte(value)) {
				return false
			}
		}
		return true
	})
	broken := string([]byte{value[0] ^ 1}) + value[1:]
	for _, name := range w.all() {
		w.kill(name)
		w.mustFlip(w.database(name), value)
	}
	for _, name := range w.all() {
		w.start(name)
	}
	for _, name := range w.all() {
		w.await(name+" to name the block", func() bool {
			return strings.Contains(w.status(name).GetFault(), "is damaged, and no other copy has given it")
		})
	}
	w.journal.resetGap()
	w.awaitAcks(30)
	o.gaps = append(o.gaps, w.journal.longestGap())
	began := time.Now()
	w.mustFlip(w.database(w.nodes[0]), broken) // one good copy is enough for all others
	w.await("all copies to be good again", func() bool {
		for _, name := range w.all() {
			if st := w.status(name); st == nil || st.GetFault() != "" {
				return false
			}
		}
		return true
	})
	o.recoveries = append(o.recoveries, time.Since(began))
	return o
}
