package facade

import (
	"cmp"
	"slices"
	"strings"
)

// list is a decoded list parameter.
type list struct {
	name  string
	items []node
	// text is the JSON text that the list was given as. It is empty for a list that came in flattened form: then there is no text that
	// a device could have signed.
	text string
}

// list is the list parameter of that name, whatever form it was sent in; empty when it is absent. Its form has been checked, not what
// its elements are.
func (c *call) list(name string) list {
	for i := range c.lists {
		if c.lists[i].name == name {
			return c.lists[i]
		}
	}
	return list{name: name}
}

// strings are the elements of a list of texts; ok is false when one is something else.
func (l *list) strings() (all []string, ok bool) {
	all = make([]string, 0, len(l.items))
	for i := range l.items {
		if l.items[i].form != nodeText {
			return nil, false
		}
		all = append(all, l.items[i].text)
	}
	return all, true
}

// decodeList reads a list parameter. The official clients send it as the JSON text of an array, as the JSON text of an object with
// the numbers from 0 or 1 as names, or flattened: Name.1, Name.2, or Name.1.member. present is false when there is none in any form.
func (q *request) decodeList(name string) (l list, present bool, err *gatewayError) {
	l.name = name
	text, whole := q.get(name)
	flat := q.under(name)
	switch {
	case whole && len(flat) > 0:
		return l, true, invalid(name)
	case whole:
		tree, ok := parseTree(text)
		if ok {
			l.items, ok = tree.list()
		}
		if !ok {
			return l, true, invalid(name)
		}
		l.text = text
		return l, true, nil
	case len(flat) == 0:
		return l, false, nil
	}
	root := node{form: nodeObject}
	for _, p := range flat {
		if !root.put(p.name[len(name)+1:], p.value, 0) {
			return l, true, invalid(name)
		}
	}
	items, ok := root.list()
	if !ok {
		return l, true, invalid(name)
	}
	l.items = items
	return l, true, nil
}

// under are the parameters whose names begin with name and a dot, sorted by name.
func (q *request) under(name string) []param {
	prefix := name + "."
	from, _ := slices.BinarySearchFunc(q.params, prefix, func(p param, prefix string) int { return cmp.Compare(p.name, prefix) })
	to := from
	for to < len(q.params) && strings.HasPrefix(q.params[to].name, prefix) {
		to++
	}
	return q.params[from:to]
}

// put enters a text at a path of names joined by dots. It fails where something else stands already. The paths of one parameter come
// in sorted order, so that what they share was entered last; there are no more of them than maxParams.
func (n *node) put(path, text string, depth int) bool {
	name, rest, deeper := strings.Cut(path, ".")
	if name == "" || depth > maxDepth {
		return false
	}
	at := n.last(name)
	if !deeper {
		if at != nil {
			return false
		}
		n.members = append(n.members, member{name, node{text: text}})
		return true
	}
	if at == nil {
		n.members = append(n.members, member{name, node{form: nodeObject}})
		at = &n.members[len(n.members)-1].value
	}
	return at.form == nodeObject && at.put(rest, text, depth+1)
}

// last is the member of that name among those entered last.
func (n *node) last(name string) *node {
	if i := len(n.members) - 1; i >= 0 && n.members[i].name == name {
		return &n.members[i].value
	}
	return n.get(name)
}
