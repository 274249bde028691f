package store

import "time"

// Layout and bounds. The format on disk depends on the first group: changing one of them needs a new formatVersion.
const (
	formatVersion = 4
	pageSize      = 4096
	// blockPart is the maximum of bytes of a block under one bbolt key. A bbolt leaf holds at least two values, and every
	// commit rewrites the newest leaf, so whole blocks of hundreds of kilobytes would be written three times; two parts
	// of this size with their keys and headers fill exactly sixteen pages.
	blockPart = (16*pageSize-leafHeader)/2 - leafElement - partKeyLen - partOverhead
	// journalPart is the same for the journal, whose values exist for minutes only.
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
	// initialMmap is address space, not memory: below this size bbolt need not map the file again, which waits for
	// readers.
	initialMmap = 1 << 30
	// segmentBytes is the size at which a file of openings is ended and made durable. What Open reads after a crash, and
	// what a power cut can take, is less than one file.
	segmentBytes = 64 << 20
	// commitLimit bounds a commit. A disk that hangs returns no error, and a leader with such a disk blocks the network.
	commitLimit = 10 * time.Second
	// lockTimeout bounds bbolt's wait for its own file lock; the store's lock is taken before.
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
	// smallLevels is the number of levels of the first merge loop, so that a long merge of large runs never delays small
	// ones.
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
	// syncEvery is how many bytes of a run are written between syncs, so that no sync of a merge delays commits for long.
	syncEvery = 16 << 20
)
