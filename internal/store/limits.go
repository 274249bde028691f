package store

import "time"

// Layout and bounds. What is written to disk depends on those in the first group: changing one changes formatVersion.
const (
	formatVersion = 1
	pageSize      = 4096
	// blockPart is the most bytes of a block under one bbolt key. A bbolt leaf holds at least two values and the newest
	// leaf is rewritten by every commit, so whole blocks of hundreds of kilobytes would be written three times over; two
	// parts of this size with their keys and headers fill exactly sixteen pages.
	blockPart = (16*pageSize-leafHeader)/2 - leafElement - partKeyLen - partOverhead
	// journalPart is the same for the journal, whose values live for minutes only.
	journalPart  = (4*pageSize-leafHeader)/2 - leafElement - partKeyLen - partOverhead
	leafHeader   = 16
	leafElement  = 16
	partKeyLen   = 10
	partOverhead = 5
	// maxParts bounds the parts of one value; the largest Raft entry needs a few hundred.
	maxParts = 1 << 12
)

const (
	// defaultFlushEntries is Options.FlushEntries when it is zero: about 5 MB in a run file.
	defaultFlushEntries = 131072
	// initialMmap is address space, not memory: bbolt need not remap, and so not wait for readers, below it.
	initialMmap = 1 << 30
	// commitLimit is how long a commit may take. A disk that hangs gives no error, and a leader with such a disk holds up the network.
	commitLimit = 10 * time.Second
	// lockTimeout bounds bbolt's wait for its own lock; ours is taken before.
	lockTimeout = time.Second
	// recentBlocks is how many of the newest blocks Open reads and checks.
	recentBlocks = 100
	// scanKeys and scanBytes bound what one read transaction of a Scan copies.
	scanKeys  = 256
	scanBytes = 256 << 10
	// maxAccessKeyID bounds the id of an AccessKey in bytes.
	maxAccessKeyID = 128
	// maxAccessKeyPage bounds what AccessKeys returns at once.
	maxAccessKeyPage = 1000
	// mergeFanIn is how many runs of one level become one of the next.
	mergeFanIn = 4
	// smallLevels are the levels that the first merger serves, so that a long merge of large runs never holds up small ones.
	smallLevels = 2
	// maxLevels bounds the levels of runs: 4^12 flushes.
	maxLevels = 12
	// maxFreshRuns is the number of level-0 runs at which flushing waits for merging.
	maxFreshRuns = 12
	// roomFactor times FlushEntries is the size of the table in memory at which writing waits for flushing.
	roomFactor = 2
	// filterBudget is the memory for the filters of run files; those that do not fit are read from the page cache.
	filterBudget = 128 << 20
	// interpolations is the number of guesses before a search in a run falls back to halving.
	interpolations = 8
	// syncEvery is how many bytes of a run are written between syncs, so that a merge never hogs the disk.
	syncEvery = 16 << 20
)
