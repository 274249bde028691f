package admission

import "testing"

// TestShares: neither a caller nor a group gets more than its part, all that is shared can be taken and no more, a group
// always gets its own, and what is given back can be taken again.
func TestShares(t *testing.T) {
	s := NewShares(6, 4, 6, 2)
	take := func(caller, group string, n int64, want bool) {
		t.Helper()
		if s.Take(caller, group, n) != want {
			t.Errorf("%s of %s takes %d: %v, want %v", caller, group, n, !want, want)
		}
	}
	take("a", "g", 4, true)
	take("a", "g", 1, false) // the caller's part
	take("b", "g", 3, false) // the group's part
	take("b", "g", 2, true)
	take("c", "h", 4, true)
	take("d", "h", 1, false) // all that is shared
	take("d", "i", 3, false)
	take("d", "i", 2, true) // its own
	take("e", "i", 1, false)
	s.Give("c", "h", 3)
	take("d", "i", 2, true)
	take("c", "h", 1, true) // its own again
	take("c", "h", 1, false)
	for _, c := range []struct {
		caller, group string
		n             int64
	}{{"a", "g", 4}, {"b", "g", 2}, {"d", "i", 4}, {"c", "h", 2}} {
		s.Give(c.caller, c.group, c.n)
	}
	if s.Used() != 0 || s.shared != 0 || len(s.callers) != 0 || len(s.groups) != 0 {
		t.Errorf("after all was given back: %d used, %d shared, callers %v, groups %v", s.Used(), s.shared, s.callers,
			s.groups)
	}
}
