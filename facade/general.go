package facade

import (
	"math"
	"strconv"

	"ltl/internal/rules"
)

// This file holds what Actions on several nouns share: pages, windows of time, and the form of names and identifiers.

// page is one page of a list: its number from 1, and its size.
type page struct{ num, size uint32 }

// page reads Num and Size.
func (c *call) page() (page, error) { return c.pageOf("Num", "Size") }

// pageOf reads the number and the size of a page from the parameters with these names.
func (c *call) pageOf(numberName, sizeName string) (page, error) {
	number, _ := c.number(numberName)
	size, _ := c.number(sizeName)
	if number < 1 {
		return page{}, malformed(numberName + " must be 1 or more.")
	}
	if size < 1 || size > maxPageSize {
		return page{}, malformed(sizeName + " must be 1 to 100.")
	}
	return page{uint32(number), uint32(size)}, nil
}

// data is the Data of a list: the rows of the page, and the number of rows on all pages.
func (p page) data(rows []value, total uint64) value {
	return object(field{"PageData", array(rows)}, longField("Size", uint64(p.size)), longField("Num", uint64(p.num)),
		longField("Total", total))
}

// rows turns each element into the value of its row.
func rows[T any](all []T, row func(T) value) []value {
	out := make([]value, 0, len(all))
	for _, one := range all {
		out = append(out, row(one))
	}
	return out
}

// Times from firstSecond up to lastSecond are taken for seconds: as milliseconds they lie in 1970 to 1973, as seconds in
// 2001 to 5138.
const (
	firstSecond = 1_000_000_000
	lastSecond  = 100_000_000_000
)

// window reads StartTime and EndTime; both results are 0 when there is no window. With one of them alone the window is
// open on the other side. limit bounds the length of a window with both, in milliseconds; 0 does not.
func (c *call) window(limit int64) (start, end int64, err error) {
	start, hasStart := c.number("StartTime")
	end, hasEnd := c.number("EndTime")
	for name, v := range map[string]int64{"StartTime": start, "EndTime": end} {
		if v >= firstSecond && v < lastSecond {
			return 0, 0, malformed(name + " must be in milliseconds since 1970; " + strconv.FormatInt(v, 10) +
				" looks like seconds: multiply it by 1000.")
		}
	}
	switch {
	case !hasStart && !hasEnd:
		return 0, 0, nil
	case !hasEnd:
		end, limit = math.MaxInt64-1, 0
	case !hasStart:
		limit = 0
	}
	switch {
	case start < 0 || end < 0 || start > end:
		return 0, 0, malformed("StartTime must not lie after EndTime, and neither before 1970.")
	case limit > 0 && end-start > limit:
		return 0, 0, malformed("The window from StartTime to EndTime must not exceed 30 days.")
	}
	// The ledger reads two zeros as no window, and nothing was recorded in 1970. It searches for the first record after
	// end, so that there must be a number after end.
	return start, min(max(end, 1), math.MaxInt64-1), nil
}

// checkName checks a parameter that is a name.
func (c *call) checkName(parameter string) error {
	if rules.ValidName(c.text(parameter)) {
		return nil
	}
	return malformed(parameter +
		" must be 2 to 30 Chinese characters, English letters, digits, '_', '-', '.', '(' or ')'.")
}

// checkRemark checks Remark; it may be absent.
func (c *call) checkRemark() error {
	if rules.ValidRemark(c.text("Remark")) {
		return nil
	}
	return malformed("Remark must not have more than 100 characters.")
}

// checkID checks a parameter that is an identifier. A text that cannot be an identifier names nothing, as message says.
func (c *call) checkID(parameter, message string) error {
	if isAssignedID(c.text(parameter)) {
		return nil
	}
	return newFormErrorMessage(rules.NotFound, message)
}

// isAssignedID reports whether s can be an identifier that the ledger assigned.
func isAssignedID(s string) bool { return decimal(s, assignedIDLen) }

// hexadecimal reports whether s is n hexadecimal digits of either case.
func hexadecimal(s string, n int) bool {
	if len(s) != n {
		return false
	}
	for i := range len(s) {
		if unhex(s[i]) > 15 {
			return false
		}
	}
	return true
}

// decimal reports whether s is n decimal digits.
func decimal(s string, n int) bool {
	if len(s) != n {
		return false
	}
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return false
		}
	}
	return true
}

// either is the name of a state that is on or off.
func either(on bool, yes, no string) string {
	if on {
		return yes
	}
	return no
}
