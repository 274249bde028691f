package main

import (
	"bufio"
	"bytes"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
)

// maxExportBeginning is how much of a file without a whole row is looked at: more than a line of columns has.
const maxExportBeginning = 1024

// exportRow is a record as `ltl export` writes it. Its JSON names are stable, and the columns of CSV.
type exportRow struct {
	Chain string `json:"chain"`
	Key   string `json:"key"`
	// ID is the last part of Key: with it the record can be imported to another chain.
	ID string `json:"id"`
	// BusinessID is empty for a Key that holds one value; for a record of a phase it is the DataSeq.
	BusinessID string `json:"businessId,omitempty"`
	Value      string `json:"value"`
	Account    string `json:"account"`
	TimeMs     int64  `json:"timeMs"`
	Height     uint64 `json:"blockHeight"`
	Index      uint32 `json:"transactionIndex"`
	// Item is the place of the record in an upload of several to a phase.
	Item            uint32   `json:"item,omitempty"`
	TransactionHash string   `json:"transactionHash"`
	BlockHash       string   `json:"blockHash"`
	DataHash        string   `json:"dataHash"`
	IotID           string   `json:"iotId,omitempty"`
	Endorsers       []string `json:"endorsers"`
	PhaseGroupID    string   `json:"phaseGroupId,omitempty"`
	PhaseID         string   `json:"phaseId,omitempty"`
	// Corrects is the transaction whose record this one declares wrong, CorrectedBy the newest that declares this one
	// wrong.
	Corrects    string `json:"corrects,omitempty"`
	CorrectedBy string `json:"correctedBy,omitempty"`
}

// exportColumns are the columns of CSV, the names of exportRow in their order.
func exportColumns() []string {
	return []string{"chain", "key", "id", "businessId", "value", "account", "timeMs", "blockHeight", "transactionIndex",
		"item", "transactionHash", "blockHash", "dataHash", "iotId", "endorsers", "phaseGroupId", "phaseId",
		"corrects", "correctedBy"}
}

// exportPlace is the place of a record on its chain.
type exportPlace struct {
	height      uint64
	index, item uint32
}

func (p exportPlace) after(q exportPlace) bool {
	if p.height != q.height {
		return p.height > q.height
	}
	if p.index != q.index {
		return p.index > q.index
	}
	return p.item > q.item
}

func (r *exportRow) place() exportPlace { return exportPlace{r.Height, r.Index, r.Item} }

// appendTo appends the row in a format.
func (r *exportRow) appendTo(out *bytes.Buffer, format string) error {
	if format == formatJSONL {
		enc := json.NewEncoder(out)
		enc.SetEscapeHTML(false)
		return enc.Encode(r)
	}
	number := func(n uint64) string { return strconv.FormatUint(n, 10) }
	return appendCSV(out, []string{r.Chain, r.Key, r.ID, r.BusinessID, r.Value, r.Account, strconv.FormatInt(r.TimeMs, 10),
		number(r.Height), number(uint64(r.Index)), number(uint64(r.Item)), r.TransactionHash, r.BlockHash, r.DataHash,
		r.IotID, strings.Join(r.Endorsers, ";"), r.PhaseGroupID, r.PhaseID, r.Corrects, r.CorrectedBy})
}

func appendCSV(out *bytes.Buffer, fields []string) error {
	w := csv.NewWriter(out)
	if err := w.Write(fields); err != nil {
		return err
	}
	w.Flush()
	return w.Error()
}

// exportFile is the file of an export.
type exportFile struct {
	file   *os.File
	format string
	buffer bytes.Buffer
	// last is the place of the newest record in the file, rows their number.
	last exportPlace
	rows int
}

// createExport makes the file; it must not exist, unless resume goes on with it.
func createExport(path, format string, resume bool) (*exportFile, error) {
	flags := os.O_RDWR | os.O_CREATE
	if !resume {
		flags |= os.O_EXCL
	}
	file, err := os.OpenFile(path, flags, 0o600) // it holds values
	if errors.Is(err, os.ErrExist) {
		return nil, fmt.Errorf("%s exists; --resume goes on with it", path)
	}
	if err != nil {
		return nil, fmt.Errorf("couldn't write the export: %w", err)
	}
	return &exportFile{file: file, format: format}, nil
}

// resume reads the rows that an earlier run wrote, each of which must pass check, cuts off what it left unfinished, and
// goes on behind them. An empty file of CSV gets its line of columns.
func (e *exportFile) resume(check func(*exportRow) error) error {
	if _, err := e.file.Seek(0, io.SeekStart); err != nil {
		return err
	}
	read := e.readJSON
	if e.format == formatCSV {
		read = e.readCSV
	}
	whole, err := read(func(r *exportRow) error {
		if e.rows > 0 && !r.place().after(e.last) {
			return fmt.Errorf("row %d is not behind the one before it", e.rows+1)
		}
		e.last, e.rows = r.place(), e.rows+1
		return check(r)
	})
	if err != nil {
		return fmt.Errorf("%s is no export that this one goes on with: %w", e.file.Name(), err)
	}
	if whole == 0 {
		if err := e.mayBegin(); err != nil {
			return err
		}
	}
	if err := e.file.Truncate(whole); err != nil {
		return fmt.Errorf("couldn't cut off an unfinished row: %w", err)
	}
	if _, err := e.file.Seek(whole, io.SeekStart); err != nil {
		return err
	}
	if whole == 0 && e.format == formatCSV {
		if err := appendCSV(&e.buffer, exportColumns()); err != nil {
			return err
		}
		return e.flush()
	}
	return nil
}

// mayBegin refuses a file without a whole row that is not empty and not the beginning of an export: it is another file.
func (e *exportFile) mayBegin() error {
	found := make([]byte, maxExportBeginning)
	n, err := e.file.ReadAt(found, 0)
	if err != nil && !errors.Is(err, io.EOF) {
		return fmt.Errorf("couldn't read the export: %w", err)
	}
	begins := "{\"" + exportColumns()[0] + "\":"
	if e.format == formatCSV {
		begins = strings.Join(exportColumns(), ",")
	}
	if text := string(found[:n]); !strings.HasPrefix(begins, text) && !strings.HasPrefix(text, begins) {
		return fmt.Errorf("%s is no export, and nothing in it was changed; give another --out", e.file.Name())
	}
	return nil
}

// readJSON reads whole lines, and returns where the last of them ends.
func (e *exportFile) readJSON(each func(*exportRow) error) (whole int64, err error) {
	in := bufio.NewReader(e.file)
	for {
		line, err := in.ReadBytes('\n')
		if errors.Is(err, io.EOF) {
			return whole, nil
		}
		if err != nil {
			return 0, err
		}
		var r exportRow
		if err := json.Unmarshal(line, &r); err != nil {
			return 0, fmt.Errorf("row %d: %w", e.rows+1, err)
		}
		if err := each(&r); err != nil {
			return 0, err
		}
		whole += int64(len(line))
	}
}

// readCSV reads whole rows, and returns where the last of them ends. A value may hold the end of a line, so that a row
// ends where the reader of CSV says; one that was cut ends without a line feed, or inside quotes.
func (e *exportFile) readCSV(each func(*exportRow) error) (whole int64, err error) {
	info, err := e.file.Stat()
	if err != nil {
		return 0, err
	}
	ends := func(at int64) bool { // whether a line feed stands before an offset
		var b [1]byte
		_, err := e.file.ReadAt(b[:], at-1)
		return err == nil && b[0] == '\n'
	}
	in := csv.NewReader(io.NewSectionReader(e.file, 0, info.Size()))
	in.FieldsPerRecord = -1
	for first := true; ; first = false {
		fields, err := in.Read()
		cut := errors.Is(err, csv.ErrQuote) || err == nil && !ends(in.InputOffset())
		if errors.Is(err, io.EOF) || cut && in.InputOffset() == info.Size() {
			return whole, nil
		}
		if err != nil {
			return 0, err
		}
		if first {
			if strings.Join(fields, ",") != strings.Join(exportColumns(), ",") {
				return 0, errors.New("its first line has other columns")
			}
			whole = in.InputOffset()
			continue
		}
		r, err := parseCSVRow(fields)
		if err == nil {
			err = each(r)
		}
		if err != nil {
			return 0, fmt.Errorf("row %d: %w", e.rows+1, err)
		}
		whole = in.InputOffset()
	}
}

// parseCSVRow reads what a resumed export needs of a row.
func parseCSVRow(fields []string) (*exportRow, error) {
	if len(fields) != len(exportColumns()) {
		return nil, fmt.Errorf("%d fields", len(fields))
	}
	r := &exportRow{Chain: fields[0], Account: fields[5]}
	var index, item uint64
	var err [4]error
	r.TimeMs, err[0] = strconv.ParseInt(fields[6], 10, 64)
	r.Height, err[1] = strconv.ParseUint(fields[7], 10, 64)
	index, err[2] = strconv.ParseUint(fields[8], 10, 32)
	item, err[3] = strconv.ParseUint(fields[9], 10, 32)
	r.Index, r.Item = uint32(index), uint32(item)
	return r, errors.Join(err[:]...)
}

// add adds a row; flush writes the added ones.
func (e *exportFile) add(r *exportRow) error {
	e.last, e.rows = r.place(), e.rows+1
	return r.appendTo(&e.buffer, e.format)
}

// flush writes the rows that were added, and waits until they are on the disk.
func (e *exportFile) flush() error {
	if _, err := e.file.Write(e.buffer.Bytes()); err != nil {
		return fmt.Errorf("couldn't write the export: %w", err)
	}
	e.buffer.Reset()
	if err := e.file.Sync(); err != nil {
		return fmt.Errorf("couldn't write the export: %w", err)
	}
	return nil
}
