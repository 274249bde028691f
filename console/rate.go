package console

import (
	"sync"
	"time"
)

// attempts counts the attempts of a minute by name.
type attempts struct {
	most int

	mu    sync.Mutex
	began time.Time
	count map[string]int
}

// newAttempts allows most attempts a minute for each name.
func newAttempts(most int) *attempts { return &attempts{most: most, count: map[string]int{}} }

// take counts an attempt; false when there were too many. When too many names are counted, all are refused until the
// minute is over.
func (a *attempts) take(name string, now time.Time) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	if now.Sub(a.began).Abs() >= time.Minute {
		a.began = now
		clear(a.count)
	}
	n, known := a.count[name]
	if n >= a.most || !known && len(a.count) >= maxRemembered {
		return false
	}
	a.count[name] = n + 1
	return true
}

// remembered is a set of names that are each kept until a time.
type remembered struct {
	mu    sync.Mutex
	until map[string]time.Time
}

func newRemembered() *remembered { return &remembered{until: map[string]time.Time{}} }

// add keeps a name until a time; false when it is kept already, or there is no room.
func (r *remembered) add(name string, until, now time.Time) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if end, ok := r.until[name]; ok && now.Before(end) {
		return false
	}
	if len(r.until) >= maxRemembered {
		for name, end := range r.until {
			if !now.Before(end) {
				delete(r.until, name)
			}
		}
		if len(r.until) >= maxRemembered {
			return false
		}
	}
	r.until[name] = until
	return true
}

// has reports whether a name is kept.
func (r *remembered) has(name string, now time.Time) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	end, ok := r.until[name]
	return ok && now.Before(end)
}
