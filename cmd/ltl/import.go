package main

import (
	"bufio"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash/maphash"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"ltl/client"
	"ltl/internal/ledger"
)

// Bounds of an import.
const (
	// importQueues is how many records are under way at once: the client makes batches of them, and more than this gains
	// little against one network. Records of one Key share a queue, so that they keep the order of the file.
	importQueues = 64
	// queueRows is how many rows wait in a queue, so that a row that is tried again does not stop the others at once.
	queueRows = 16
	// progressInterval is how often an import and an export say how far they are.
	progressInterval = 5 * time.Second
	// refusalsShown is how many refusals are printed where no file takes them.
	refusalsShown = 20
	// assignedIDLen is the length of a BusinessId that the ledger assigned.
	assignedIDLen = 16
)

// importOptions are the options of `ltl import`.
type importOptions struct {
	chain, account, format, source, refusals string
	history                                  bool
}

func newImport() *cobra.Command {
	var o importOptions
	cmd := &cobra.Command{
		Use:   "import FILE",
		Short: "Write the records of a CSV or JSON Lines file to a proof chain, each once",
		Long: `Writes each row of FILE as a record: CSV with a line of columns, or one JSON object per line. A row has id (the
last part of the Key) or the whole Key as key, value, and optionally businessId; id counts where key is none of this
chain. With a businessId, or with --history, the Key takes several records; without, it takes one for good. A file that
ltl export wrote can be imported.

Nothing is written twice: run the command again after any failure, and rows that are on the chain are counted as
present. With --history a row without businessId gets one that follows from the name of the file (or --source), its Key, and
how many such rows of the Key stand before it; so the name must stay, and rows be added only at the end. Two files of one
name are taken for one: a row that equals the one in its place counts as present and is NOT written. Give each file a
name of its own, or --source.

Rows that are refused are reported with their line, the code and the reason, on standard error or as JSON Lines in
--refusals; the others are written nevertheless, and the exit status is 1.`,
		Example: "  ltl import readings.csv --dir ltl-data --chain deliveries --account 254078665002175692 --history",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			format, err := formatOf(o.format, args[0])
			if err != nil {
				return err
			}
			return withRecordWriter(cmd, o.chain, o.account, func(w *recordWriter) error {
				return importFile(cmd, w, args[0], format, &o)
			})
		},
	}
	addConnection(cmd)
	f := cmd.Flags()
	f.StringVar(&o.chain, "chain", "", "id, code or name of the chain (required)")
	f.StringVar(&o.account, "account", "", "UID or member id in whose name rows are written (default the administrator)")
	f.StringVar(&o.format, "format", "", "jsonl or csv (default by the name of FILE)")
	f.BoolVar(&o.history, "history", false, "a Key takes several records, also where a row has no businessId")
	f.StringVar(&o.source, "source", "", "name that stands for FILE in the BusinessIds of --history (default its own)")
	f.StringVar(&o.refusals, "refusals", "", "file that gets the rows that are refused, as JSON Lines")
	mustRequire(cmd, "chain")
	return cmd
}

// importRefusal is a row that was not written. Its JSON names are stable.
type importRefusal struct {
	Line       int    `json:"line"`
	Key        string `json:"key,omitempty"`
	BusinessID string `json:"businessId,omitempty"`
	Code       int32  `json:"code,omitempty"`
	Message    string `json:"message"`
}

// importReport is what `ltl import` prints. Its JSON names are stable.
type importReport struct {
	Rows     int    `json:"rows"`
	Written  int    `json:"written"`
	Present  int    `json:"present"`
	Refused  int    `json:"refused"`
	Refusals string `json:"refusals,omitempty"`
}

// importJob is one run of an import.
type importJob struct {
	cmd    *cobra.Command
	writer *recordWriter
	// source is the name of the file in derived BusinessIds; history says whether rows get one.
	source  string
	history bool
	seed    maphash.Seed
	// seen counts the rows of each Key that had no BusinessId; only the reader of the file uses it.
	seen map[ledger.Hash]uint64

	mu       sync.Mutex
	report   importReport    // guarded by mu
	refusals *bufio.Writer   // guarded by mu; nil for standard error
	stop     func(err error) // ends the run
}

// importFile imports a file and prints the report.
func importFile(cmd *cobra.Command, w *recordWriter, path, format string, o *importOptions) (err error) {
	file, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("couldn't open the file of records: %w", err)
	}
	defer file.Close()
	next, err := newRowReader(file, format)
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	j := &importJob{cmd: cmd, writer: w, source: cmp.Or(o.source, filepath.Base(path)), history: o.history,
		seed: maphash.MakeSeed(), seen: map[ledger.Hash]uint64{}, report: importReport{Refusals: o.refusals}}
	if o.refusals != "" {
		if same, err := sameFile(file, o.refusals); same || err != nil {
			return errors.Join(err, fmt.Errorf("--refusals %s is the file that is imported; give another one", o.refusals))
		}
		out, err := os.Create(o.refusals)
		if err != nil {
			return fmt.Errorf("couldn't write the file of refusals: %w", err)
		}
		j.refusals = bufio.NewWriter(out)
		defer func() { err = errors.Join(err, j.refusals.Flush(), out.Close()) }()
	}
	if err := j.run(cmd.Context(), next); err != nil {
		return fmt.Errorf("%s was imported in part, %s: %w; run the command again, no record is written twice", path,
			j.said(), err)
	}
	r := j.report
	err = emitFields(cmd, r, field{"rows", r.Rows}, field{"written", r.Written}, field{"present before", r.Present},
		field{"refused", r.Refused})
	if err == nil && r.Refused > 0 {
		err = fmt.Errorf("%d of %d rows were refused; the others are on the chain", r.Refused, r.Rows)
	}
	return err
}

// sameFile reports whether a path is that of an open file.
func sameFile(file *os.File, path string) (bool, error) {
	is, err := file.Stat()
	if err != nil {
		return false, err
	}
	other, err := os.Stat(path)
	return err == nil && os.SameFile(is, other), nil
}

// run reads rows, and hands each to the queue of its Key. It returns when all queues are done.
func (j *importJob) run(ctx context.Context, next rowReader) error {
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	j.stop = stop
	var queues [importQueues]chan importRow
	var working, telling sync.WaitGroup
	for i := range queues {
		queues[i] = make(chan importRow, queueRows)
		working.Go(func() { j.queue(ctx, queues[i]) })
	}
	told := make(chan struct{})
	telling.Go(func() { j.tell(told) })
	err := j.read(ctx, next, &queues)
	for _, queue := range queues {
		close(queue)
	}
	working.Wait()
	close(told)
	telling.Wait()
	return cmp.Or(context.Cause(ctx), err)
}

// read reads the rows to the end of the file.
func (j *importJob) read(ctx context.Context, next rowReader, queues *[importQueues]chan importRow) error {
	for {
		row, err := next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		j.count(func(r *importReport) { r.Rows++ })
		if row.wrong != "" {
			j.refuse(&row, recordOutcome{message: row.wrong})
			continue
		}
		j.complete(&row)
		select {
		case queues[maphash.String(j.seed, row.key)%importQueues] <- row:
		case <-ctx.Done():
			return nil // its cause is the error
		}
	}
}

// complete gives a row its Key, where it has none of this chain, and its BusinessId under a Key that takes several
// records. A BusinessId that the ledger assigned cannot be given; one that follows from it takes its place. The value
// does not enter: a BusinessId is in the clear, and would tell a value that is withheld to all who can guess it.
func (j *importJob) complete(row *importRow) {
	if own := "_" + j.writer.chain.ChainCode + "_"; row.id != "" && !strings.Contains(row.key, own) {
		row.key = client.RecordKey(j.writer.chain.ChainCode, j.writer.typeCode, row.id)
	}
	assigned := len(row.businessID) == assignedIDLen
	if row.businessID != "" && !assigned || row.businessID == "" && !j.history {
		return
	}
	h := sha256.New()
	for _, s := range []string{"ltl import", j.source, row.key, row.businessID} {
		fmt.Fprintf(h, "%d:%s", len(s), s)
	}
	of := ledger.Hash(h.Sum(nil))
	if !assigned {
		fmt.Fprintf(h, "#%d", j.seen[of])
		j.seen[of]++
	}
	row.businessID = hex.EncodeToString(h.Sum(nil))
}

// queue writes the rows of a queue in their order.
func (j *importJob) queue(ctx context.Context, rows <-chan importRow) {
	for row := range rows {
		if ctx.Err() != nil {
			continue
		}
		out, err := j.writer.write(ctx, row.key, row.value, row.businessID)
		switch {
		case err != nil:
			j.stop(err)
		case out.message != "":
			j.refuse(&row, out)
		case out.present:
			j.count(func(r *importReport) { r.Present++ })
		default:
			j.count(func(r *importReport) { r.Written++ })
		}
	}
}

func (j *importJob) count(change func(*importReport)) {
	j.mu.Lock()
	defer j.mu.Unlock()
	change(&j.report)
}

// refuse reports a row that is not written.
func (j *importJob) refuse(row *importRow, out recordOutcome) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.report.Refused++
	switch {
	case j.refusals != nil:
		enc := json.NewEncoder(j.refusals)
		enc.SetEscapeHTML(false)
		err := enc.Encode(importRefusal{Line: row.line, Key: cmp.Or(row.key, row.id), BusinessID: row.businessID,
			Code: out.code, Message: out.message})
		if err != nil {
			j.stop(fmt.Errorf("couldn't write the file of refusals: %w", err))
		}
	case j.report.Refused <= refusalsShown:
		fmt.Fprintf(j.cmd.ErrOrStderr(), "line %d is refused with code %d: %s\n", row.line, out.code, out.message)
	case j.report.Refused == refusalsShown+1:
		fmt.Fprintln(j.cmd.ErrOrStderr(), "more rows are refused; --refusals FILE takes all of them")
	}
}

// said is how far the import is.
func (j *importJob) said() string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return fmt.Sprintf("%d rows read, %d written, %d present before, %d refused", j.report.Rows, j.report.Written,
		j.report.Present, j.report.Refused)
}

// tell says now and then how far the import is, until told is closed.
func (j *importJob) tell(told <-chan struct{}) {
	t := time.NewTicker(progressInterval)
	defer t.Stop()
	for {
		select {
		case <-told:
			return
		case <-t.C:
			fmt.Fprintln(j.cmd.ErrOrStderr(), j.said())
		}
	}
}
