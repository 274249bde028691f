package main

import (
	"testing"
	"time"
)

func TestSizes(t *testing.T) {
	for s, want := range map[string]uint64{
		"0": 0, "4096": 4096, "96B": 96, "800GB": 800_000_000_000, "800 gb": 800_000_000_000, "1.5TB": 1_500_000_000_000,
		"1KiB": 1024, "2tib": 2 << 40, "9223372036854775807": 1<<63 - 1, "9007199254740993": 9007199254740993,
	} {
		if got, err := parseSize(s); err != nil || got != want {
			t.Errorf("%q is %d, %v; want %d", s, got, err, want)
		}
	}
	for _, s := range []string{"", "GB", "-1", "1.5.2GB", "nan", "infB", "0x10", "1e3", "9223372036854775808",
		"10000PB", "99999999999999GB", "12 parsecs"} {
		if got, err := parseSize(s); err == nil {
			t.Errorf("%q is read as %d", s, got)
		}
	}
	for n, want := range map[uint64]string{
		0: "0 B", 999: "999 B", 1000: "1 kB", 1536: "1.54 kB", 999_499: "999 kB", 999_600: "1 MB", 800_000_000_000: "800 " +
			"GB", 1 << 50: "1.13 PB", 1<<64 - 1: "18.4 EB",
	} {
		if got := formatSize(n); got != want {
			t.Errorf("%d bytes are shown as %q, want %q", n, got, want)
		}
	}
}

func TestTimes(t *testing.T) {
	for s, want := range map[string]time.Time{
		"2027-12-31":                time.Date(2027, 12, 31, 0, 0, 0, 0, time.UTC),
		"2027-12-31T23:59:59Z":      time.Date(2027, 12, 31, 23, 59, 59, 0, time.UTC),
		"2027-12-31T23:59:59+08:00": time.Date(2027, 12, 31, 15, 59, 59, 0, time.UTC),
	} {
		if got, err := parseTime(s); err != nil || !got.Equal(want) {
			t.Errorf("%q is %v, %v; want %v", s, got, err, want)
		}
	}
	for _, s := range []string{"", "tomorrow", "31.12.2027", "2027-02-30", "2027-12-31 23:59", "1830297600000"} {
		if got, err := parseTime(s); err == nil {
			t.Errorf("%q is read as %v", s, got)
		}
	}
}
