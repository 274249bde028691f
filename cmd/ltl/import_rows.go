package main

import (
	"bufio"
	"bytes"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strings"
	"unicode/utf8"
)

// Formats of files of records.
const (
	formatJSONL = "jsonl"
	formatCSV   = "csv"
	// maxRowBytes bounds a line of JSON: a value has 4096 bytes at most, and an export says more of a record.
	maxRowBytes = 1 << 20
)

// formatOf is the format of a file: the given one, or what its name says.
func formatOf(given, path string) (string, error) {
	switch given {
	case formatJSONL, formatCSV:
		return given, nil
	case "":
	default:
		return "", fmt.Errorf("--format is %q; it can be jsonl or csv", given)
	}
	switch strings.ToLower(filepath.Ext(path)) {
	case ".csv":
		return formatCSV, nil
	case ".jsonl", ".ndjson":
		return formatJSONL, nil
	}
	return "", fmt.Errorf("%s is neither .csv nor .jsonl; give --format", path)
}

// importRow is a record of a file.
type importRow struct {
	line                       int
	key, id, value, businessID string
	// wrong says what is wrong with the form of the row; empty for nothing.
	wrong string
}

// set sets the member of a column; other columns of an export say nothing that an import needs.
func (r *importRow) set(column, text string) {
	switch column {
	case "key":
		r.key = text
	case "id":
		r.id = text
	case "value":
		r.value = text
	case "businessId":
		r.businessID = text
	}
}

// check says what is missing.
func (r *importRow) check() {
	switch {
	case r.wrong != "":
	case r.key == "" && r.id == "":
		r.wrong = "the row has neither id nor key"
	case r.value == "":
		r.wrong = "the row has no value"
	case !utf8.ValidString(r.key + r.id + r.value + r.businessID):
		r.wrong = "the row is not UTF-8"
	}
}

// rowReader reads the records of a file one by one; io.EOF ends it. An error that is not one of a single row ends it,
// too.
type rowReader func() (importRow, error)

// newRowReader reads a file in one of the formats. A byte order mark before the text means nothing.
func newRowReader(file io.Reader, format string) (rowReader, error) {
	in := bufio.NewReader(file)
	if mark, err := in.Peek(3); err == nil && bytes.Equal(mark, []byte("\xef\xbb\xbf")) {
		in.Discard(3) //nolint:errcheck // they were peeked
	}
	if format == formatCSV {
		return csvRows(in)
	}
	return jsonRows(in), nil
}

// checkColumn refuses a column that no export has: it is one with a slip of the pen.
func checkColumn(name string) error {
	if slices.Contains(exportColumns(), name) {
		return nil
	}
	return fmt.Errorf("column %q is not known; a record has id or key, value, and businessId, and those of an export "+
		"are left out", name)
}

// csvRows reads CSV with a line of columns.
func csvRows(in io.Reader) (rowReader, error) {
	r := csv.NewReader(in)
	r.FieldsPerRecord = -1 // a row of another length is one refusal, not the end
	columns, err := r.Read()
	if err != nil {
		return nil, fmt.Errorf("couldn't read the line of columns: %w", err)
	}
	for i, name := range columns {
		if err := checkColumn(name); err != nil {
			return nil, err
		}
		if slices.Contains(columns[:i], name) {
			return nil, fmt.Errorf("two columns are called %q", name)
		}
	}
	return func() (row importRow, err error) {
		fields, err := r.Read()
		if wrong, ok := errors.AsType[*csv.ParseError](err); ok && errors.Is(err, csv.ErrBareQuote) {
			return importRow{line: wrong.StartLine, wrong: wrong.Error()}, nil // the next row begins on the next line
		}
		if err != nil {
			return row, err
		}
		row.line, _ = r.FieldPos(0)
		if len(fields) != len(columns) {
			row.wrong = fmt.Sprintf("the row has %d fields, and the first line %d columns", len(fields), len(columns))
			return row, nil
		}
		for i, text := range fields {
			row.set(columns[i], text)
		}
		row.check()
		return row, nil
	}, nil
}

// jsonRows reads one object per line; empty lines are left out.
func jsonRows(in io.Reader) rowReader {
	lines := bufio.NewReaderSize(in, maxRowBytes)
	at := 0
	return func() (row importRow, err error) {
		for err == nil {
			var text []byte
			text, err = lines.ReadSlice('\n')
			if at++; errors.Is(err, bufio.ErrBufferFull) {
				for errors.Is(err, bufio.ErrBufferFull) {
					_, err = lines.ReadSlice('\n')
				}
				if err == nil || errors.Is(err, io.EOF) {
					return importRow{line: at, wrong: fmt.Sprintf("the line has more than %d bytes", maxRowBytes)}, nil
				}
				break
			}
			if text = bytes.TrimSpace(text); len(text) == 0 || err != nil && !errors.Is(err, io.EOF) {
				continue
			}
			row = importRow{line: at}
			if err := row.parse(text); err != nil {
				row.wrong = err.Error()
			}
			row.check()
			return row, nil
		}
		if !errors.Is(err, io.EOF) {
			err = fmt.Errorf("line %d: %w", at, err)
		}
		return row, err
	}
}

// parse reads an object. The text of a number is taken as it stands.
func (r *importRow) parse(text []byte) error {
	if !utf8.Valid(text) {
		return errors.New("the line is not UTF-8")
	}
	var members map[string]json.RawMessage
	if err := json.Unmarshal(text, &members); err != nil {
		return fmt.Errorf("the line is no JSON object: %w", err)
	}
	for name, raw := range members {
		if err := checkColumn(name); err != nil {
			return err
		}
		var s string
		if err := json.Unmarshal(raw, &s); err != nil {
			if name == "value" && bytes.ContainsAny(raw[:1], "{[tfn") {
				return errors.New("value is neither a text nor a number")
			}
			s = string(raw)
		}
		r.set(name, s)
	}
	return nil
}
