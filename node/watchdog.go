package node

import (
	"fmt"
	"sync"
	"time"

	"github.com/hashicorp/raft"
)

const (
	// watchInterval is how often the watchdog looks.
	watchInterval = time.Second
	// maxStuck is how long a leader may go without executing anything that it proposed.
	maxStuck = 30 * time.Second
	// recentTrouble is how long ago the last failure may be: one failure followed by silence proves nothing.
	recentTrouble = 5 * time.Second
	// pausedAfter is how late a look may come before the process is taken to have been stopped in between.
	pausedAfter = 5 * time.Second
)

// progress tells for how long proposals have been failing or waiting. Its zero value is ready.
type progress struct {
	mu      sync.Mutex
	pending int
	since   time.Time // the first proposal after the last success; zero when none
	failed  time.Time // the last failure
}

// begin counts a proposal.
func (p *progress) begin() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.pending++; p.since.IsZero() {
		p.since = time.Now()
	}
}

// end counts its answer.
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

// stuck is for how long nothing has succeeded although something was tried.
func (p *progress) stuck() time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.since.IsZero() {
		return 0
	}
	if p.pending == 0 && time.Since(p.failed) > recentTrouble {
		p.since = time.Time{}
		return 0
	}
	return time.Since(p.since)
}

// reset forgets failures; they are expected of a node that does not lead.
func (p *progress) reset() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.since = (time.Time{}); p.pending > 0 {
		p.since = time.Now()
	}
}

// watch ends the process when it leads and nothing comes through: a hung disk, or hashicorp/raft#696, where a leader refuses
// everything after a failed transfer. Another node then leads within seconds, while this one would hold the network for ever.
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
		// Time in which the process was stopped says nothing of its disk; it does not lead any more, and is about to notice.
		if r.state().state != raft.Leader || time.Since(before) > pausedAfter {
			r.progress.reset()
			continue
		}
		if r.fsm.catchUp.busy() {
			r.handOver()
		}
		if stuck := r.progress.stuck(); stuck > maxStuck {
			r.fatal(fmt.Errorf("this node leads, but nothing that it proposed was executed for %v: its disk hangs, or raft refuses "+
				"entries (hashicorp/raft#696); another node can lead once this one has stopped", stuck.Round(time.Second)))
			r.progress.reset()
		}
	}
}

// handOver asks another node to lead. Raft elects by the log alone, and a node that is still fetching blocks may have all of it:
// it would lead without being able to execute anything. Should the transfer fail and raft refuse entries afterwards
// (hashicorp/raft#696), the watchdog ends the process as it would have without it.
func (r *replica) handOver() {
	s, err := r.use()
	if err != nil {
		return
	}
	defer s.release()
	r.logger.Warn("this node was elected while it is fetching blocks; it asks another one to lead")
	if err := s.raft.LeadershipTransfer().Error(); err != nil {
		r.logger.Warn("no other node took over", "error", err)
	}
}
