package identity

import (
	"strings"
	"testing"
	"time"
)

func TestClockBeforeTheProgram(t *testing.T) {
	built := time.Date(2026, 1, 2, 0, 0, 0, 0, time.UTC)
	for _, created := range []time.Time{built, built.Add(time.Hour)} {
		if err := checkClock(created, built); err != nil {
			t.Error(err)
		}
	}
	if err := checkClock(time.Unix(0, 0), time.Time{}); err != nil {
		t.Errorf("a build that does not say when it was made: %v", err)
	}
	err := checkClock(time.Unix(0, 0), built)
	if err == nil || !strings.Contains(err.Error(), "1970-01-01") || !strings.Contains(err.Error(), "2026-01-02") {
		t.Errorf("%v, want both times named", err)
	}
}
