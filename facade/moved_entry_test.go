package facade

import "testing"

// TestMovedEntry: an account whose entry passed to another one gets the refusal of what it has now, and not of what this
// facade remembers of it.
func TestMovedEntry(t *testing.T) {
	write := func(f *testFacade) reply {
		return f.act(t, "member", "SetData", data(keyOf("AD01", "1"), chainA, "")...) // a form error asks for what precedes it
	}
	for _, c := range []struct {
		what string
		now  *membership // the member's entry afterwards; nil for none
		want string
	}{
		{"on no chain any more", nil, "-339"},
		{"with another entry", &membership{"MEMBER", "NEW1"}, "-305"},
	} {
		f := newTestFacade(t)
		wants(t, "before", write(f), 200, "-305")
		f.net.set(func(n *fakeNetwork) {
			n.chains[0].members[noneUID] = n.chains[0].members[memberUID]
			delete(n.chains[0].members, memberUID)
			if c.now != nil {
				n.chains[0].members[memberUID] = *c.now
			}
		})
		wants(t, c.what, write(f), 200, c.want)
	}
}

// TestAddedEntry: an account that is on another chain and was added to this one a moment ago gets the refusal of a
// member, and not of the account that this facade remembers.
func TestAddedEntry(t *testing.T) {
	write := func(f *testFacade) reply {
		return f.act(t, "none", "SetData", data(keyOf("AD01", "1"), chainA, "")...)
	}
	f := newTestFacade(t)
	f.net.set(func(n *fakeNetwork) { n.chains[1].members[noneUID] = membership{"MEMBER", "BB03"} })
	wants(t, "before", write(f), 200, "403")
	f.net.set(func(n *fakeNetwork) { n.chains[0].members[noneUID] = membership{"MEMBER", "NEW1"} })
	wants(t, "added", write(f), 200, "-305")
}
