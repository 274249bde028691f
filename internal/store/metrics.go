package store

import (
	"os"
	"path/filepath"
	"syscall"

	"github.com/prometheus/client_golang/prometheus"
)

// maxChainSeries bounds the chains whose heights have a time series of their own. For a network with more chains there
// is the total number of blocks.
const maxChainSeries = 256

// Collector returns the metrics of a ledger: its blocks, its chains' heights, and the space that it uses and has left.
// Collecting reads a few numbers and writes nothing; for a closed store it returns the values that are still known.
func (s *Store) Collector() prometheus.Collector {
	describe := func(name, help string, labels ...string) *prometheus.Desc {
		return prometheus.NewDesc("ltl_"+name, help, labels, nil)
	}
	return &collector{
		store:         s,
		path:          s.db.Path(), // bbolt forgets it when it closes
		blocks:        describe("ledger_blocks", "Blocks in this copy of the ledger, over all chains."),
		chains:        describe("ledger_chains", "Chains in this copy of the ledger."),
		height:        describe("chain_height", "Height of a chain in this copy of the ledger; of the first 256 chains by their ids.", "chain"),
		databaseBytes: describe("ledger_database_bytes", "Size of the ledger's database file."),
		indexBytes:    describe("ledger_index_bytes", "Size of the run files of the ledger's index."),
		freePages: describe("ledger_free_pages",
			"Unused pages of the database file, which are used before the file grows (bbolt's freelist)."),
		fsFree: describe("filesystem_avail_bytes",
			"Space that the process may still use on the file system of its ledger."),
		fsSize: describe("filesystem_size_bytes", "Size of the file system of the ledger."),
	}
}

// collector reads a store each time its metrics are collected.
type collector struct {
	store                                *Store
	path                                 string
	blocks, chains, height               *prometheus.Desc
	databaseBytes, indexBytes, freePages *prometheus.Desc
	fsFree, fsSize                       *prometheus.Desc
}

// Describe implements prometheus.Collector.
func (c *collector) Describe(out chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{c.blocks, c.chains, c.height, c.databaseBytes, c.indexBytes, c.freePages,
		c.fsFree, c.fsSize} {
		out <- d
	}
}

// Collect implements prometheus.Collector.
func (c *collector) Collect(out chan<- prometheus.Metric) {
	gauge := func(d *prometheus.Desc, value float64, labels ...string) {
		out <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, value, labels...)
	}
	tips := c.store.Tips()
	gauge(c.blocks, float64(c.store.Sequence()))
	gauge(c.chains, float64(len(tips)))
	for _, t := range tips[:min(len(tips), maxChainSeries)] {
		gauge(c.height, float64(t.Header.Height), t.ChainID)
	}
	if v, err := c.store.index.acquire(); err == nil {
		size := 0
		for _, r := range v.runs {
			size += len(r.data)
		}
		v.release()
		gauge(c.indexBytes, float64(size))
	}
	if info, err := os.Stat(c.path); err == nil {
		gauge(c.databaseBytes, float64(info.Size()))
	}
	stats := c.store.db.Stats()
	gauge(c.freePages, float64(stats.FreePageN+stats.PendingPageN))
	var fs syscall.Statfs_t
	if err := syscall.Statfs(filepath.Dir(c.path), &fs); err == nil {
		gauge(c.fsFree, float64(fs.Bavail)*float64(fs.Bsize))
		gauge(c.fsSize, float64(fs.Blocks)*float64(fs.Bsize))
	}
}
