package store

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"

	"ltl/internal/ledger"
)

// gathered are the values of a collector's metrics, by name and labels.
func gathered(t *testing.T, c prometheus.Collector) map[string]float64 {
	t.Helper()
	reg := prometheus.NewPedanticRegistry()
	reg.MustRegister(c)
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	values := map[string]float64{}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			values[f.GetName()+labels(m)] = m.GetGauge().GetValue()
		}
	}
	return values
}

func labels(m *dto.Metric) (text string) {
	for _, l := range m.GetLabel() {
		text += " " + l.GetValue()
	}
	return text
}

// TestCollector: the metrics of a store are those of its content.
func TestCollector(t *testing.T) {
	m := newMaker(t)
	dir := t.TempDir()
	o := quiet(t)
	o.FlushEntries = 32
	s := m.filled(dir, o, m.mixed(30))
	s.settled()
	c := s.Collector()
	got := gathered(t, c)
	if got["ltl_ledger_blocks"] != float64(s.Sequence()) || got["ltl_ledger_chains"] != float64(len(s.Tips())) {
		t.Errorf("%v blocks of %d, %v chains of %d", got["ltl_ledger_blocks"], s.Sequence(), got["ltl_ledger_chains"],
			len(s.Tips()))
	}
	for _, tip := range s.Tips() {
		if h := got["ltl_chain_height "+tip.ChainID]; h != float64(tip.Header.Height) {
			t.Errorf("height of %s is %v, want %d", tip.ChainID, h, tip.Header.Height)
		}
	}
	info, err := os.Stat(filepath.Join(dir, databaseName))
	if err != nil {
		t.Fatal(err)
	}
	if got["ltl_ledger_database_bytes"] != float64(info.Size()) || got["ltl_ledger_index_bytes"] <= 0 {
		t.Errorf("database of %v bytes, want %d; index of %v bytes",
			got["ltl_ledger_database_bytes"], info.Size(), got["ltl_ledger_index_bytes"])
	}
	if free, size := got["ltl_filesystem_avail_bytes"], got["ltl_filesystem_size_bytes"]; free <= 0 || size < free {
		t.Errorf("%v of %v bytes are free", free, size)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	gathered(t, c) // a reading after the end is no crash
}

// TestChainSeriesAreBounded: however many chains there are, few have a series of their own, and the others are counted.
func TestChainSeriesAreBounded(t *testing.T) {
	m := newMaker(t)
	s := m.filled(t.TempDir(), quiet(t), nil)
	const chains = maxChainSeries + 50
	s.mu.Lock()
	for i := range chains - len(s.tips) {
		id := fmt.Sprintf("%0*d", ledger.ChainIDLen, 1000+i)
		s.tips[id] = Tip{ChainID: id}
	}
	s.mu.Unlock()
	series := 0
	got := gathered(t, s.Collector())
	for name := range got {
		if strings.HasPrefix(name, "ltl_chain_height ") {
			series++
		}
	}
	if series != maxChainSeries || got["ltl_ledger_chains"] != chains {
		t.Errorf("%d series and %v chains, want %d and %d", series, got["ltl_ledger_chains"], maxChainSeries, chains)
	}
}
