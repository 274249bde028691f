package store

import (
	"crypto/ed25519"
	"fmt"
	"io/fs"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	ltlv1 "ltl/proto/ltl/v1"
)

// BenchmarkApply applies entries of 500 SetData of 256 bytes, as a node does, to a store that syncs. Signatures are
// taken for good, and the rules' share is measured by the profile: go test -bench Apply -benchtime 200x -cpuprofile
// cpu.out, then look at rules.Execute under writer.applyChain. disk-B/record counts blocks on disk.
func BenchmarkApply(b *testing.B) {
	const size = 500
	m := newMaker(b)
	dir := b.TempDir()
	o := quiet(b)
	o.NoSync = false
	o.Verify = func(ed25519.PublicKey, *ltlv1.Endorsement) error { return nil }
	s := m.filled(dir, o, nil)
	value := strings.Repeat("v", 256)
	n := 0
	empty := diskUsage(b, dir)
	b.ReportAllocs()
	b.ResetTimer()
	for b.Loop() {
		b.StopTimer()
		txs := make([]*ltlv1.Transaction, size)
		for i := range txs {
			txs[i] = m.set(0, fmt.Sprintf("%032d", n), value)
			txs[i].AccessKeyId, txs[i].SignatureNonce = benchKey, fmt.Sprintf("%032d", n)
			n++
		}
		e := m.entry(txs...)
		b.StartTimer()
		r, err := s.Apply([]Entry{e})
		if err != nil || r[0].Results[0][size-1].GetCode() != 200 {
			b.Fatal(err)
		}
	}
	b.StopTimer()
	s.settled()
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(n), "ns/record")
	b.ReportMetric(float64(n)/b.Elapsed().Seconds(), "records/s")
	b.ReportMetric(float64(diskUsage(b, dir)-empty)/float64(n), "disk-B/record")
}

// diskUsage is the space that the files under dir take, holes not counted.
func diskUsage(t testing.TB, dir string) int64 {
	t.Helper()
	total := int64(0)
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		var st syscall.Stat_t
		if err == nil {
			err = syscall.Stat(path, &st)
		}
		total += st.Blocks * 512
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return total
}

// BenchmarkIndexSize measures lookups in an index of so many entries, flushed and merged as in production but without
// the memory for more than a quarter of the filters; half of the keys are absent.
func BenchmarkIndexSize(b *testing.B) {
	for _, size := range []int{1_000_000, 16_000_000} {
		b.Run(fmt.Sprint(size), func(b *testing.B) {
			const block = 2000
			w := &indexWorld{dir: b.TempDir(), flush: defaultFlushEntries, filters: int64(size) / filterKeys / 4 * pageSize}
			w.open(b)
			defer w.close()
			entries := make([]entry, block)
			start := time.Now()
			for n := 0; n < size; n += block {
				for i := range entries {
					entries[i] = entry{testKey(2 * (n + i)), testValue(n + i)}
				}
				w.add(b, entries)
			}
			w.settle()
			adding := time.Since(start)
			b.ResetTimer()
			for n := 0; b.Loop(); n++ {
				k := testKey(n * 7919 % (2 * size))
				if _, ok, err := w.x.get(k); err != nil || ok != (n*7919%(2*size)%2 == 0) {
					b.Fatal(ok, err)
				}
			}
			b.ReportMetric(float64(adding.Nanoseconds())/float64(size), "ns/add")
			b.ReportMetric(float64(len(w.x.manifest.runs)), "runs")
		})
	}
}
