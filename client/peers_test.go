package client

import (
	"testing"
	"time"
)

func TestBreaker(t *testing.T) {
	var b breaker
	if b.open() || b.record(true) {
		t.Error("a fresh breaker is open, or an answer is news to it")
	}
	if !b.record(false) || !b.open() || b.record(false) {
		t.Error("the first failure opens, and only the first is news")
	}
	if b.pause != firstBreak {
		t.Errorf("failures of requests under way count again: the pause is %v", b.pause)
	}
	for range 20 {
		b.until = time.Now()
		b.record(false)
	}
	if b.pause != lastBreak {
		t.Errorf("the pause is %v, want %v", b.pause, lastBreak)
	}
	if !b.record(true) || b.open() {
		t.Error("an answer closes it, and is news")
	}
	for range maxOutstanding {
		if !b.begin() {
			t.Error("refused below the bound")
		}
	}
	if b.begin() || b.usable() {
		t.Error("took more than the bound")
	}
	b.end()
	if !b.begin() {
		t.Error("refused below the bound")
	}
}
