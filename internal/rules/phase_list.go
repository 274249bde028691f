package rules

import (
	"errors"
	"fmt"
	"strconv"

	ltlv1 "ltl/proto/ltl/v1"
)

// ErrPhaseList is returned, wrapped with the position and the fault, for a text that is not a list of phase data or
// related data.
var ErrPhaseList = errors.New("malformed list")

// ErrPhaseListLong is returned, wrapped, for a list of more than MaxPhaseItems phase data.
var ErrPhaseListLong = errors.New("too many items in the list")

// ParsePhaseDataList reads the text of a PhaseDataList: a JSON array, or a JSON object whose names are "0", "1", … or
// "1", "2", … in any order. Its elements are objects with dataKey, phaseData, dataSeq and relatedDataList; the latter
// is a list of objects with relatedPhaseId, relatedDataKey, relatedPhaseData and relatedDataSeq in either form. All
// are strings; null is the same as absent. Other members are skipped; a member that occurs twice is refused.
//
// The text may have MaxTransaction bytes and the list MaxPhaseItems elements. The values are not checked. The errors
// are ErrPhaseList and ErrPhaseListLong, wrapped. It does not use encoding/json, because nodes built with different
// releases of a library must read the same.
func ParsePhaseDataList(text string) ([]*ltlv1.PhaseItem, error) {
	return parseList(text, MaxPhaseItems, ErrPhaseListLong, readPhaseItem)
}

// ParseRelatedDataList reads the text of a RelatedDataList, with the rules of ParsePhaseDataList.
func ParseRelatedDataList(text string) ([]*ltlv1.RelatedData, error) {
	return parseList(text, MaxRelated, ErrPhaseList, readRelatedData)
}

func parseList[T any](text string, limit int, long error, element func(*jsonReader) (T, error)) ([]T, error) {
	if len(text) > MaxTransaction {
		return nil, fmt.Errorf("%w: %d bytes, at most %d are allowed", ErrPhaseList, len(text), MaxTransaction)
	}
	r := &jsonReader{s: text}
	list, err := readSequence(r, limit, long, element)
	if err != nil {
		return nil, err
	}
	if r.space(); r.at != len(r.s) {
		return nil, r.fault("the list should end here")
	}
	return list, nil
}

func readPhaseItem(r *jsonReader) (*ltlv1.PhaseItem, error) {
	item := &ltlv1.PhaseItem{}
	members := []jsonMember{{name: "dataKey", text: &item.DataKey}, {name: "phaseData", text: &item.PhaseData},
		{name: "dataSeq", text: &item.DataSeq}}
	members = append(members, jsonMember{name: "relatedDataList", read: func() (err error) {
		item.Related, err = readSequence(r, MaxRelated, ErrPhaseList, readRelatedData)
		return err
	}})
	return item, r.object(members)
}

func readRelatedData(r *jsonReader) (*ltlv1.RelatedData, error) {
	d := &ltlv1.RelatedData{}
	return d, r.object([]jsonMember{
		{name: "relatedPhaseId", text: &d.PhaseId}, {name: "relatedDataKey", text: &d.DataKey},
		{name: "relatedPhaseData", text: &d.PhaseData}, {name: "relatedDataSeq", text: &d.DataSeq},
	})
}

// readSequence reads an array, or an object with numbers as names, of at most limit elements. It returns the error
// long for more.
func readSequence[T any](r *jsonReader, limit int, long error, element func(*jsonReader) (T, error)) ([]T, error) {
	var list []T
	var numbers []int
	next := func() error {
		if len(list) == limit {
			return fmt.Errorf("%w: more than %d elements", long, limit)
		}
		v, err := element(r)
		list = append(list, v)
		return err
	}
	var err error
	r.space()
	switch r.peek() {
	case '[':
		err = r.series(']', next)
		return list, err
	case '{':
		err = r.series('}', func() error {
			n, err := r.number()
			numbers = append(numbers, n)
			if err != nil {
				return err
			}
			return next()
		})
	default:
		err = r.fault("a JSON array should stand here, or an object with the names \"0\", \"1\" and so on")
	}
	if err != nil {
		return nil, err
	}
	return inOrder(r, list, numbers)
}

// inOrder sorts the elements of an object with numbers as names by the numbers.
func inOrder[T any](r *jsonReader, list []T, numbers []int) ([]T, error) {
	first := 1
	for _, n := range numbers {
		first = min(first, n)
	}
	ordered, filled := make([]T, len(list)), make([]bool, len(list))
	for i, n := range numbers {
		if n -= first; n >= len(list) || filled[n] {
			return nil, r.fault("the names of the object that ends here must be 0, 1, 2, … or 1, 2, 3, …, each once")
		}
		ordered[n], filled[n] = list[i], true
	}
	return ordered, nil
}

// number reads the name of an element and the colon after it.
func (r *jsonReader) number() (int, error) {
	name, err := r.text()
	if err != nil {
		return 0, err
	}
	n, err := strconv.Atoi(name)
	if err != nil || n < 0 || strconv.Itoa(n) != name {
		return 0, r.fault("the name before this should be a number, as in \"0\", \"1\" and so on")
	}
	return n, r.expect(':')
}
