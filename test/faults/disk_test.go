package faults

import (
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// shutdownIoctl is EXT4_IOC_SHUTDOWN and XFS_IOC_GOINGDOWN, noLogFlush the flag that loses what was not synced.
	shutdownIoctl = 0x8004587d
	noLogFlush    = 2
	// freezeIoctl is FIFREEZE and thawIoctl FITHAW: in between, every write waits in the kernel, as for a disk that does
	// not answer.
	freezeIoctl = 0xc0045877
	thawIoctl   = 0xc0045878
)

// disk is a file system of its own, in a file.
type disk struct {
	w          *world
	image, dir string
	loop       string
}

// newDisk puts the data of a process, or of several in one directory, on a file system of its own.
func (w *world) newDisk(kind, dir string, megabytes int) *disk {
	w.t.Helper()
	d := &disk{w: w, image: filepath.Join(w.dir, filepath.Base(dir)+".img"), dir: dir}
	saved := dir + ".saved"
	if err := os.Rename(dir, saved); err != nil {
		w.t.Fatal(err)
	}
	w.run("truncate", "-s", strconv.Itoa(megabytes)+"M", d.image)
	w.run("mkfs."+kind, "-q", d.image)
	out, err := exec.Command("losetup", "--show", "-f", d.image).Output()
	if err != nil {
		w.t.Fatal(err)
	}
	d.loop = strings.TrimSpace(string(out))
	w.t.Cleanup(func() {
		for _, name := range w.all() { // what is registered later is cleaned up earlier, and w.close comes last
			w.kill(name)
		}
		_ = exec.Command("umount", "-l", dir).Run()
		if err := exec.Command("losetup", "-d", d.loop).Run(); err != nil {
			w.t.Errorf("losetup -d %s: %v", d.loop, err)
		}
	})
	if err := os.Mkdir(dir, 0o700); err != nil {
		w.t.Fatal(err)
	}
	d.mount()
	w.run("cp", "-a", saved+"/.", dir)
	w.run("sync", "-f", dir)
	return d
}

func (d *disk) mount() {
	d.w.t.Helper()
	d.w.run("mount", d.loop, d.dir)
}

// cut cuts the power: nothing that was not synced is there afterwards.
func (d *disk) cut() {
	d.w.t.Helper()
	d.ioctl(shutdownIoctl, noLogFlush)
}

func (d *disk) ioctl(request uint, value int) {
	d.w.t.Helper()
	f, err := os.Open(d.dir)
	if err != nil {
		d.w.t.Fatal(err)
	}
	defer f.Close()
	if err := unix.IoctlSetPointerInt(int(f.Fd()), request, value); err != nil {
		d.w.t.Fatalf("ioctl %x on %s: %v", request, d.dir, err)
	}
}

// thaw lets the disk answer again; it does nothing when it does.
func (d *disk) thaw() {
	if f, err := os.Open(d.dir); err == nil {
		_ = unix.IoctlSetPointerInt(int(f.Fd()), thawIoctl, 0)
		_ = f.Close()
	}
}

// power turns it on again, after the process that used the disk has ended.
func (d *disk) power() {
	d.w.t.Helper()
	d.w.run("umount", d.dir)
	d.mount()
}

// TestDiskFaults has each node on a file system of its own, and the endorsers on another. Power is cut, syncs fail or
// hang, disks get full, processes die within a commit: after each kind, every copy holds what was acknowledged, and an
// audit of each passes.
func TestDiskFaults(t *testing.T) {
	need(t)
	for _, kind := range kinds(t) {
		t.Run(kind, func(t *testing.T) { diskFaults(t, kind) })
	}
}

// kinds are the file systems that are tested: ext4, and with several rounds XFS where there is one.
func kinds(t *testing.T) []string {
	t.Helper()
	if _, err := exec.LookPath("mkfs.xfs"); err != nil || rounds(t) == 1 {
		return []string{"ext4"}
	}
	return []string{"ext4", "xfs"}
}

func diskFaults(t *testing.T, kind string) {
	w := newWorld(t)
	disks := map[string]*disk{}
	for _, name := range w.nodes {
		disks[name] = w.newDisk(kind, w.processes[name].dir, 400)
	}
	disks["endorsers"] = w.newDisk(kind, filepath.Join(w.dir, "endorsers"), 400)
	w.startAll()
	step := func(name string, f func(w *world, disks map[string]*disk) outcome) {
		if t.Failed() {
			return // what follows would fail for the same reason
		}
		t.Run(name, func(t *testing.T) {
			outer := w.t
			w.t = t
			defer func() { w.t = outer }()
			w.journal.acks.Store(0)
			stop := w.write()
			defer stop()
			w.awaitAcks(30)
			o := f(w, disks)
			w.awaitAcks(30)
			stop()
			o.fault = o.fault + " (" + kind + ")"
			w.check(o)
			if rounds(t) > 1 {
				w.audit()
			}
		})
	}
	step("PowerCutOfOne", powerCutOfOne)
	step("PowerCutOfAll", powerCutOfAll)
	step("FailedSync", failedSync)
	step("HangingDisk", hangingDisk)
	step("DiskFull", diskFull)
	if rounds(t) > 1 { // once is nothing for this; cmd/ltl kills processes at any moment
		step("KilledWithinACommit", killedWithinACommit)
	}
	w.audit()
}

// powerCutOfOne cuts the power of a follower and of the leader.
func powerCutOfOne(w *world, disks map[string]*disk) outcome {
	o := outcome{fault: "power cut of one node"}
	for range rounds(w.t) {
		for _, name := range victims(w.t, w.leader(), w.follower()) {
			w.journal.resetGap()
			disks[name].cut()
			w.kill(name)
			w.awaitAcks(30)
			o.gaps = append(o.gaps, w.journal.longestGap())
			disks[name].power()
			w.start(name)
			o.recoveries = append(o.recoveries, w.awaitReady(name))
			o.runs++
		}
	}
	return o
}

// powerCutOfAll cuts the power of all nodes and endorsers at the same moment.
func powerCutOfAll(w *world, disks map[string]*disk) outcome {
	o := outcome{fault: "power cut of all nodes and endorsers together"}
	for range rounds(w.t) {
		w.awaitAcks(10 + rand.Int64N(20))
		for _, d := range disks {
			d.cut()
		}
		for _, name := range w.all() {
			w.kill(name)
		}
		for _, d := range disks {
			d.power()
		}
		w.journal.resetGap()
		began := time.Now()
		for _, name := range w.all() {
			w.start(name)
		}
		for _, name := range w.all() {
			w.awaitReady(name)
		}
		o.recoveries = append(o.recoveries, time.Since(began))
		w.awaitAcks(1)
		o.gaps = append(o.gaps, w.journal.longestGap())
		o.runs++
	}
	return o
}

// inject attaches strace to a process.
func (w *world) inject(name, what string) (detach func()) {
	w.t.Helper()
	calls, _, _ := strings.Cut(what, ":")
	cmd := exec.Command("strace", "-f", "-qq", "-o", "/dev/null", "-e", "trace="+calls, "-e", "inject="+what, "-p",
		strconv.Itoa(w.processes[name].cmd.Process.Pid))
	if err := cmd.Start(); err != nil {
		w.t.Fatal(err)
	}
	return func() {
		_ = cmd.Process.Signal(os.Interrupt) // it ends with its process
		_ = cmd.Wait()
	}
}

// failedSync makes the next sync of the leader, and of a follower, fail once. The process ends and acknowledges nothing
// more.
func failedSync(w *world, _ map[string]*disk) outcome {
	o := outcome{fault: "fdatasync fails once with EIO"}
	for range rounds(w.t) {
		for _, name := range victims(w.t, w.leader(), w.follower()) {
			w.journal.resetGap()
			detach := w.inject(name, "fdatasync:error=EIO:when=1")
			if code := w.awaitEnd(name); code != 1 {
				w.t.Errorf("%s ends with exit code %d", name, code)
			}
			detach()
			if !w.said(name, "input/output error") {
				w.t.Errorf("%s does not say why it ended", name)
			}
			w.awaitAcks(30)
			o.gaps = append(o.gaps, w.journal.longestGap())
			w.start(name)
			o.recoveries = append(o.recoveries, w.awaitReady(name))
			o.runs++
		}
	}
	return o
}

// maxHang is how long writes may stand still when the leader's disk hangs: the watchdog, and an election.
const maxHang = 20 * time.Second

// hangingDisk freezes the leader's disk: writes wait, without an error. The node ends itself, and another node leads.
func hangingDisk(w *world, disks map[string]*disk) outcome {
	o := outcome{fault: "the leader's disk hangs"}
	for range rounds(w.t) {
		name := w.leader()
		w.journal.resetGap()
		disks[name].ioctl(freezeIoctl, 0)
		w.t.Cleanup(disks[name].thaw) // whatever happens: nothing that waits for this disk can end
		before := w.count(name, "takes longer than")
		w.await(name+" to notice", func() bool { return w.count(name, "takes longer than") > before })
		w.awaitAcks(30)
		gap := w.journal.longestGap()
		if gap > maxHang {
			w.t.Errorf("a hanging disk stops the network for %v", gap)
		}
		o.gaps = append(o.gaps, gap)
		disks[name].thaw() // a thread that waits for a disk cannot even be killed
		if code := w.awaitEnd(name); code != 1 {
			w.t.Errorf("%s ends with exit code %d", name, code)
		}
		w.start(name)
		o.recoveries = append(o.recoveries, w.awaitReady(name))
		o.runs++
	}
	return o
}

// diskFull fills the disk of a follower and of the leader, and makes room again.
func diskFull(w *world, disks map[string]*disk) outcome {
	o := outcome{fault: "disk full"}
	for range rounds(w.t) {
		for _, name := range victims(w.t, w.leader(), w.follower()) {
			w.journal.resetGap()
			filler := filepath.Join(disks[name].dir, "filler")
			// It ends with an error when nothing is left; the node itself may be faster in needing the last block.
			_ = exec.Command("dd", "if=/dev/zero", "of="+filler, "bs=64k").Run()
			_ = exec.Command("dd", "if=/dev/zero", "of="+filler, "bs=4k", "oflag=append", "conv=notrunc").Run()
			if code := w.awaitEnd(name); code != 1 {
				w.t.Errorf("%s ends with exit code %d", name, code)
			}
			if !w.said(name, "no space left on device") {
				w.t.Errorf("%s does not say that its disk is full", name)
			}
			w.awaitAcks(30)
			o.gaps = append(o.gaps, w.journal.longestGap())
			if err := os.Remove(filler); err != nil {
				w.t.Fatal(err)
			}
			w.start(name)
			o.recoveries = append(o.recoveries, w.awaitReady(name))
			o.runs++
		}
	}
	return o
}

// killedWithinACommit kills the leader at its nth write or sync from now.
func killedWithinACommit(w *world, _ map[string]*disk) outcome {
	o := outcome{fault: "kill -9 within a commit"}
	for n := 1; n <= 8; n++ {
		for _, call := range []string{"fdatasync", "pwrite64"} {
			name := w.leader()
			w.journal.resetGap()
			detach := w.inject(name, fmt.Sprintf("%s:signal=KILL:when=%d", call, n))
			w.awaitEnd(name)
			detach()
			w.awaitAcks(30)
			o.gaps = append(o.gaps, w.journal.longestGap())
			w.start(name)
			o.recoveries = append(o.recoveries, w.awaitReady(name))
			o.runs++
		}
	}
	return o
}
