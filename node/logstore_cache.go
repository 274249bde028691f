package node

import "github.com/hashicorp/raft"

// entryOverheadBytes is what an entry is counted with besides its data.
const entryOverheadBytes = 128

// entryCache holds the newest entries, one after the other, up to a number of bytes. (raft.LogCache counts entries: with
// entries of 500 KB its usual 512 would hold 250 MB.)
type entryCache struct {
	limit   int
	bytes   int
	base    uint64 // index of entries[0]
	entries []*raft.Log
}

func entryBytes(l *raft.Log) int { return len(l.Data) + len(l.Extensions) + entryOverheadBytes }

func (c *entryCache) get(index uint64) *raft.Log {
	if index < c.base || index-c.base >= uint64(len(c.entries)) {
		return nil
	}
	return c.entries[index-c.base]
}

// add takes entries that were stored, without copying their data: raft does not change an entry after it handed it over.
func (c *entryCache) add(logs []*raft.Log) {
	if len(c.entries) == 0 || logs[0].Index != c.base+uint64(len(c.entries)) {
		c.entries, c.bytes, c.base = nil, 0, logs[0].Index
	}
	for _, l := range logs {
		entry := *l // raft's own struct is part of something bigger, which would stay in memory with it
		c.entries = append(c.entries, &entry)
		c.bytes += entryBytes(l)
	}
	drop := 0
	for c.bytes > c.limit && drop < len(c.entries) {
		c.bytes -= entryBytes(c.entries[drop])
		drop++
	}
	c.dropFront(drop)
}

// keep forgets what is outside of first and last.
func (c *entryCache) keep(first, last uint64) {
	if first == 0 || len(c.entries) == 0 || c.base > last || c.base+uint64(len(c.entries))-1 < first {
		c.entries, c.bytes, c.base = nil, 0, 0
		return
	}
	for n := len(c.entries); c.base+uint64(n)-1 > last; n = len(c.entries) {
		c.bytes -= entryBytes(c.entries[n-1])
		c.entries[n-1] = nil
		c.entries = c.entries[:n-1]
	}
	drop := 0
	for c.base+uint64(drop) < first {
		c.bytes -= entryBytes(c.entries[drop])
		drop++
	}
	c.dropFront(drop)
}

// dropFront lets go of the oldest n entries. append moves the rest to a new array when the old one is full.
func (c *entryCache) dropFront(n int) {
	clear(c.entries[:n])
	c.entries = c.entries[n:]
	c.base += uint64(n)
}
