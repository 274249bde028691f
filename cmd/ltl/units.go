package main

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// unit is a unit of sizes in bytes.
type unit struct {
	name  string
	bytes uint64
}

// sizeUnits are the units that are read. Tables are printed in the decimal ones, as in the LTL manual.
func sizeUnits() []unit {
	return []unit{
		{"KIB", 1 << 10}, {"MIB", 1 << 20}, {"GIB", 1 << 30}, {"TIB", 1 << 40}, {"PIB", 1 << 50},
		{"KB", 1e3}, {"MB", 1e6}, {"GB", 1e9}, {"TB", 1e12}, {"PB", 1e15}, {"B", 1}, {"", 1},
	}
}

// parseSize reads a number of bytes: 800GB, 1.5TB, 2TiB, 4096.
func parseSize(s string) (uint64, error) {
	text := strings.ToUpper(strings.ReplaceAll(s, " ", ""))
	for _, u := range sizeUnits() {
		digits, found := strings.CutSuffix(text, u.name)
		if !found {
			continue
		}
		if n, err := strconv.ParseUint(digits, 10, 64); err == nil && n <= math.MaxInt64/u.bytes {
			return n * u.bytes, nil
		}
		n, err := strconv.ParseFloat(digits, 64)
		if digits == "" || err != nil || strings.ContainsAny(digits, "XPEIN") || n < 0 ||
			n*float64(u.bytes) >= math.MaxInt64 {
			break
		}
		return uint64(math.Round(n * float64(u.bytes))), nil
	}
	return 0, fmt.Errorf("%q is not a size: write bytes, or a number with KB, MB, GB, TB, PB (powers of 1000) "+
		"or KiB … PiB (powers of 1024)", s)
}

// formatSize writes a number of bytes for people: 800 GB, 1.5 MB, 96 B.
func formatSize(n uint64) string {
	if n < 1000 {
		return fmt.Sprintf("%d B", n)
	}
	value, names := float64(n), []string{"B", "kB", "MB", "GB", "TB", "PB", "EB"}
	i := 0
	for ; value >= 999.5 && i < len(names)-1; i++ {
		value /= 1000
	}
	return strconv.FormatFloat(value, 'g', 3, 64) + " " + names[i]
}

// parseTime reads a time: RFC 3339, or a date, which means its start in UTC.
func parseTime(s string) (time.Time, error) {
	if t, err := time.Parse(time.RFC3339, s); err == nil {
		return t, nil
	}
	t, err := time.Parse(time.DateOnly, s)
	if err != nil {
		return time.Time{}, fmt.Errorf("%q is not a time: write 2027-12-31 (its start, UTC) or "+
			"2027-12-31T23:59:59+08:00", s)
	}
	return t, nil
}

// formatTime writes a time for people, in UTC.
func formatTime(t time.Time) string { return t.UTC().Format(time.RFC3339) }

// sizeFlag is an option that takes a size.
type sizeFlag uint64

// String implements pflag.Value.
func (f *sizeFlag) String() string { return formatSize(uint64(*f)) }

// Set implements pflag.Value.
func (f *sizeFlag) Set(s string) error {
	n, err := parseSize(s)
	*f = sizeFlag(n)
	return err
}

// Type implements pflag.Value.
func (f *sizeFlag) Type() string { return "size" }

// timeFlag is an option that takes a time.
type timeFlag struct{ time.Time }

// String implements pflag.Value.
func (f *timeFlag) String() string {
	if f.IsZero() {
		return ""
	}
	return formatTime(f.Time)
}

// Set implements pflag.Value.
func (f *timeFlag) Set(s string) error {
	t, err := parseTime(s)
	f.Time = t
	return err
}

// Type implements pflag.Value.
func (f *timeFlag) Type() string { return "time" }
