package rules

import (
	"strings"
	"unicode/utf8"

	"ltl/internal/ledger"
)

// identity is the three parts of a submitter, "organisation/role/name".
type identity struct{ organisation, role, name string }

// Roles in a submitter's identity.
const (
	roleNode     = "node"
	roleEndorser = "endorser"
	roleFacade   = "facade"
	roleClient   = "client"
	roleOperator = "operator"
)

// parseIdentity splits a submitter. A name has no "/" and no control characters.
func parseIdentity(s string) (identity, bool) {
	organisation, rest, ok1 := strings.Cut(s, "/")
	role, name, ok2 := strings.Cut(rest, "/")
	if !ok1 || !ok2 || !ledger.ValidID(organisation, MaxOrganisationID) || name == "" || len(name) > MaxIdentityPart {
		return identity{}, false
	}
	for i := range len(name) {
		if name[i] == '/' || name[i] <= ' ' || name[i] == 0x7f {
			return identity{}, false
		}
	}
	switch role {
	case roleNode, roleEndorser, roleFacade, roleClient, roleOperator:
		return identity{organisation, role, name}, true
	}
	return identity{}, false
}

// ValidUID reports whether s has the form of an account's uid: MinUID to MaxUID digits.
func ValidUID(s string) bool {
	return len(s) >= MinUID && len(s) <= MaxUID && allDigits(s)
}

func allDigits(s string) bool {
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return false
		}
	}
	return true
}

// ValidName reports whether s may be the name of a member, a contact, a device group, a phase group or a phase:
// MinName to MaxName Chinese characters, English letters, digits, "_", "-", ".", "(" and ")".
func ValidName(s string) bool {
	n := 0
	for _, r := range s {
		if !nameRune(r) {
			return false
		}
		n++
	}
	return n >= MinName && n <= MaxName
}

func nameRune(r rune) bool {
	switch {
	case 'a' <= r && r <= 'z', 'A' <= r && r <= 'Z', '0' <= r && r <= '9':
		return true
	case r == '_', r == '-', r == '.', r == '(', r == ')':
		return true
	}
	return ideograph(r)
}

// ideograph reports whether r is a CJK ideograph. It does not use package unicode, whose ranges grow with the Go
// release: all nodes must agree for ever.
func ideograph(r rune) bool {
	switch {
	case 0x4e00 <= r && r <= 0x9fff, 0x3400 <= r && r <= 0x4dbf, r == 0x3007:
		return true
	case 0xf900 <= r && r <= 0xfaff, 0x20000 <= r && r <= 0x3ffff:
		return true
	}
	return false
}

// validOrganisationName reports whether s is 1 to MaxOrganisationName characters without control characters and
// without the comma, which separates names in answers.
func validOrganisationName(s string) bool {
	n := utf8.RuneCountInString(s)
	return n >= 1 && n <= MaxOrganisationName && !strings.ContainsFunc(s, func(r rune) bool {
		return r == ',' || r < ' ' || (0x7f <= r && r < 0xa0) || r == utf8.RuneError
	})
}

// ValidRemark reports whether s is no longer than MaxRemark characters.
func ValidRemark(s string) bool { return utf8.RuneCountInString(s) <= MaxRemark }

// ValidPhone reports whether s is 1 to MaxPhone digits and "-".
func ValidPhone(s string) bool {
	if s == "" || len(s) > MaxPhone {
		return false
	}
	for i := range len(s) {
		if (s[i] < '0' || s[i] > '9') && s[i] != '-' {
			return false
		}
	}
	return true
}

// validAddress reports whether s looks like host:port. Whether it can be reached is not checked.
func validAddress(s string) bool {
	colon := strings.LastIndexByte(s, ':')
	if len(s) > MaxAddress || colon < 1 {
		return false
	}
	port := s[colon+1:]
	if port == "" || len(port) > 5 || !allDigits(port) {
		return false
	}
	for i := range colon {
		if s[i] <= ' ' || s[i] >= 0x7f || s[i] == '/' {
			return false
		}
	}
	return true
}

// validNetworkName reports whether s has only letters, digits, "-" and ".". The name is part of the origin of
// checkpoints.
func validNetworkName(s string) bool {
	return s != "" && len(s) <= MaxNetworkName && allIDRunes(s)
}

// validBusinessID reports whether s is BusinessIDLen hexadecimal characters of either case.
func validBusinessID(s string) bool {
	return len(s) == BusinessIDLen && allHex(s)
}

// allHex reports whether s has only hexadecimal characters, of either case.
func allHex(s string) bool {
	for i := range len(s) {
		c := s[i] | 0x20
		if (c < 'a' || c > 'f') && (s[i] < '0' || s[i] > '9') {
			return false
		}
	}
	return true
}

// allIDRunes reports whether s has only letters, digits, "-" and ".".
func allIDRunes(s string) bool {
	for i := range len(s) {
		c := s[i]
		letter := 'a' <= c|0x20 && c|0x20 <= 'z'
		if !letter && (c < '0' || c > '9') && c != '-' && c != '.' {
			return false
		}
	}
	return true
}

// validAssignedID reports whether s has the form of identifiers that the ledger assigns: 16 digits.
func validAssignedID(s string) bool { return len(s) == AssignedIDLen && allDigits(s) }

// ValidProductKey reports whether s may be the product key of a device group: 1 to MaxProductKey letters, digits,
// "-", "." and "_". Without "/" and zero bytes it can be part of a key of state.
func ValidProductKey(s string) bool {
	return s != "" && len(s) <= MaxProductKey && !containsOther(s, "-._")
}

// ValidIotID reports whether s may be the IotId of a device: 1 to MaxIotID letters, digits, "-", ".", "_", ":" and "@".
func ValidIotID(s string) bool { return s != "" && len(s) <= MaxIotID && !containsOther(s, "-._:@") }

// containsOther reports whether s has a byte that is not a letter, not a digit and not in also.
func containsOther(s, also string) bool {
	for i := range len(s) {
		c := s[i]
		letter := 'a' <= c|0x20 && c|0x20 <= 'z'
		if letter || '0' <= c && c <= '9' {
			continue
		}
		other := true
		for j := range len(also) {
			other = other && also[j] != c
		}
		if other {
			return true
		}
	}
	return false
}
