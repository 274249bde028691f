package skew

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"
	"time"
)

// bench is a Meter whose clocks a test sets.
type bench struct {
	*Meter
	wallMs int64
	now    time.Duration
	log    bytes.Buffer
}

const start = 1_800_000_000_000

func newBench() *bench {
	b := &bench{wallMs: start}
	b.Meter = New(slog.New(slog.NewTextHandler(&b.log, nil)), "own")
	b.wall, b.elapsed = func() int64 { return b.wallMs }, func() time.Duration { return b.now }
	return b
}

// pass lets time pass on all clocks.
func (b *bench) pass(d time.Duration) {
	b.now += d
	b.wallMs += d.Milliseconds()
}

// hear asks a process of the own organisation whose clock is ahead of the true time, on a way that takes d there and back.
func (b *bench) hear(name string, ahead, d time.Duration) { b.hearOf("own", name, ahead, d) }

func (b *bench) hearOf(organisation, name string, ahead, d time.Duration) {
	b.Ask(organisation, name, func() int64 {
		b.pass(d / 2)
		clock := start + (b.now + ahead).Milliseconds()
		b.pass(d / 2)
		return clock
	})
}

func (b *bench) want(t *testing.T, what string, ahead time.Duration, heard int) {
	t.Helper()
	if got, n := b.Skew(); got != ahead || n != heard {
		t.Errorf("%s: %v with %d clocks, want %v with %d", what, got, n, ahead, heard)
	}
}

func TestSkew(t *testing.T) {
	b := newBench()
	b.want(t, "no clock", 0, 0)
	b.hear("a", 0, time.Second)
	b.hear("b", 2*time.Hour, 100*time.Millisecond)
	b.want(t, "one of two others is wrong", 0, 2)
	b.hear("c", 0, 0)
	b.wallMs += 120_000
	b.want(t, "the own clock was set ahead after the answers", 2*time.Minute, 3)
	b.hear("b", 0, 0)
	b.want(t, "three agree", 2*time.Minute, 3)
	if text := b.log.String(); strings.Count(text, "differs from those") != 1 || !strings.Contains(text, "2m0s ahead") {
		t.Errorf("the log:\n%s", text)
	}
	b.wallMs -= 120_000 + 30_000
	b.hear("c", 0, 0)
	b.want(t, "behind", -30*time.Second, 3)
	b.wallMs += 30_000
	b.hear("c", 0, 0)
	b.want(t, "right again", 0, 3)
	if text := b.log.String(); strings.Count(text, "agrees with those") != 1 {
		t.Errorf("the log:\n%s", text)
	}
}

// TestReadingsAge: a process that is gone does not count for ever, nor does an answer that was long on its way.
func TestReadingsAge(t *testing.T) {
	b := newBench()
	b.hear("a", -time.Hour, 0)
	b.want(t, "the earlier one of two", time.Hour, 1)
	b.pass(memory)
	b.want(t, "the answer is old", time.Hour, 1)
	b.pass(time.Millisecond)
	b.want(t, "the answer is too old", 0, 0)
	b.hear("a", -time.Hour, slowest+time.Millisecond)
	b.Ask("own", "b", func() int64 { return 0 })
	b.want(t, "a slow one and none", 0, 0)
}

// TestNow: a wrong clock of this machine is replaced by the median as soon as that says which one is wrong.
func TestNow(t *testing.T) {
	b := newBench()
	b.wallMs += 7_200_000
	own := b.wallMs
	b.hear("a", 0, 0)
	if now := b.Now().UnixMilli(); now != own {
		t.Errorf("of two clocks: %d, want the own %d", now, own)
	}
	b.hear("b", 0, 0)
	b.pass(time.Second)
	if now := b.Now().UnixMilli(); now != start+1000 {
		t.Errorf("of three clocks: %d, want the median %d", now, start+1000)
	}
}

// TestBehind: a time is compared with the median of the clocks, and one in the past is not behind them.
func TestBehind(t *testing.T) {
	b := newBench()
	b.wallMs += 120_000
	want := func(what string, ahead, behind time.Duration) {
		t.Helper()
		if got := b.Behind(start + (b.now + ahead).Milliseconds()); got != behind {
			t.Errorf("%s: %v, want %v", what, got, behind)
		}
	}
	want("by the own clock", time.Hour, 58*time.Minute)
	b.hear("a", 0, 0)
	b.hear("b", 0, 0)
	want("by the median", time.Hour, time.Hour)
	want("the present", 0, 0)
	want("the past", -time.Hour, 0)
}

// TestOneClockOfAnOrganisation: however many processes another organisation has, they are one clock.
func TestOneClockOfAnOrganisation(t *testing.T) {
	b := newBench()
	for _, liar := range []string{"n2", "n4", "n5", "n6"} {
		b.hearOf("org2", liar, 20*time.Minute, 0)
	}
	b.want(t, "one other organisation", 0, 1)
	b.hearOf("org3", "n3", 0, 0)
	b.want(t, "one of two others lies with four nodes", 0, 2)
	b.hearOf("org2", "n2", 0, 0)
	b.hearOf("org2", "n4", 0, 0)
	b.hearOf("org3", "n3", 20*time.Minute, 0)
	b.want(t, "the lower median of an organisation's four", 0, 2)
}

func TestText(t *testing.T) {
	for want, d := range map[string]time.Duration{"2h0m0s ahead": 2 * time.Hour, "1.5s behind": -1500 * time.Millisecond,
		"0s ahead": 0} {
		if got := Text(d); got != want {
			t.Errorf("%v: %q", d, got)
		}
	}
}

// TestStepped: a clock that was set counts as wrong until the others confirm it, or none is heard.
func TestStepped(t *testing.T) {
	b := newBench()
	want := func(what string, ahead time.Duration, wrong bool) {
		t.Helper()
		if got, is := b.Stepped(time.Minute); got != ahead || is != wrong {
			t.Errorf("%s: %v, %v, want %v, %v", what, got, is, ahead, wrong)
		}
	}
	want("at the start", 0, false)
	b.wallMs += 3_600_000
	want("set while no other is heard", 0, false)
	b.wallMs -= 3_600_000
	b.hear("a", 0, 0)
	b.pass(time.Second)
	want("set back to the time of the others", 0, false)
	b.wallMs -= 7_200_000
	want("two hours back", -2*time.Hour, true)
	b.pass(10 * time.Second)
	want("ten seconds later", -2*time.Hour, true)
	b.wallMs += 7_200_000
	want("right again", 0, false)
	b.hear("a", 0, 0)
	for range 5 {
		b.wallMs += 50_000
		want("it creeps, which is no step", 0, false)
	}
	b.wallMs += 3_600_000
	b.pass(memory)
	want("it was set, and the others were not heard for long", time.Hour+250*time.Second, true)
	b.pass(time.Second)
	want("still not heard", 0, false)
}
