package node

import (
	"fmt"
	"sync"
	"time"

	"github.com/hashicorp/raft"
)

const (
	// watchInterval is how often the watchdog checks.
	watchInterval = time.Second
	// maxStuck is how long a leader may go without executing any entry that it passed to raft.
	maxStuck = 30 * time.Second
	// recentFailure is the age at which a failure stops counting: one failure followed by no requests proves nothing.
	recentFailure = 5 * time.Second
	// pausedAfter is how late a check may be before the process is assumed to have been stopped in between.
	pausedAfter = 5 * time.Second
)

// progress measures for how long entries have been failing or waiting. Its zero value is ready for use.
type progress struct {
	mu      sync.Mutex
	pending int
	since   time.Time // start of the first entry after the last success; zero when none
	failed  time.Time // time of the last failure
}

// begin counts an entry that is passed to raft.
func (p *progress) begin() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.pending++; p.since.IsZero() {
		p.since = time.Now()
	}
}

// end counts the answer to an entry.
func (p *progress) end(ok bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.pending--
	now := time.Now()
	switch {
	case !ok:
		p.failed = now
	case p.pending > 0:
		p.since = now
	default:
		p.since = time.Time{}
	}
}

// stuck returns for how long no entry has succeeded although at least one was tried.
func (p *progress) stuck() time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.since.IsZero() {
		return 0
	}
	if p.pending == 0 && time.Since(p.failed) > recentFailure {
		p.since = time.Time{}
		return 0
	}
	return time.Since(p.since)
}

// reset discards failures: a node that does not lead is expected to fail.
func (p *progress) reset() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.since = (time.Time{}); p.pending > 0 {
		p.since = time.Now()
	}
}

// watch ends the process when this node leads and no entry is executed: its disk hangs, or raft refuses every entry
// after a failed leadership transfer (https://github.com/hashicorp/raft/issues/696). Another node then leads within
// seconds; this one would block the network forever.
func (r *replica) watch() {
	defer r.wg.Done()
	ticker := time.NewTicker(watchInterval)
	defer ticker.Stop()
	for {
		before := time.Now()
		select {
		case <-r.ctx.Done():
			return
		case <-ticker.C:
		}
		// Time in which the process was stopped proves nothing about its disk. Another node leads by now, and raft is about
		// to notice.
		if r.state().state != raft.Leader || time.Since(before) > pausedAfter {
			r.progress.reset()
			continue
		}
		if r.fsm.catchUp.busy() {
			r.handOver()
		}
		if stuck := r.progress.stuck(); stuck > maxStuck {
			r.fatal(fmt.Errorf("this node leads, but no entry was executed for %v: its disk hangs, or raft refuses "+
				"entries (hashicorp/raft#696); another node can lead once this one has stopped", stuck.Round(time.Second)))
			r.progress.reset()
		}
	}
}

// handOver asks another node to lead. Raft elects by the log alone, and a node that is still fetching blocks may have
// all of the log: it would lead without being able to execute anything. If the transfer fails and raft refuses
// entries afterwards (https://github.com/hashicorp/raft/issues/696), the watchdog ends the process.
func (r *replica) handOver() {
	s, err := r.use()
	if err != nil {
		return
	}
	defer s.release()
	r.logger.Warn("this node was elected while it is fetching blocks; it asks another node to lead")
	if err := s.raft.LeadershipTransfer().Error(); err != nil {
		r.logger.Warn("no other node took over", "error", err)
	}
}
