package main

import (
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"ltl/client"
	"ltl/client/proof"
	"ltl/internal/ledger"
	"ltl/internal/rules"
	ltlv1 "ltl/proto/ltl/v1"
)

// Bounds of an export.
const (
	// exportChunk is how many records are read and written together; each chunk is synced.
	exportChunk = 256
	// exportReads is how many records are read at once, which keeps the nodes busy and no more.
	exportReads = 16
)

// errEnough ends the reading of blocks where the wanted time ends.
var errEnough = errors.New("enough")

// exportOptions are the options of `ltl export`.
type exportOptions struct {
	chain, out, format, account, proofs string
	from, to                            timeFlag
	resume                              bool
}

func newExport() *cobra.Command {
	var o exportOptions
	cmd := &cobra.Command{
		Use:   "export",
		Short: "Write the records of a chain to a file, JSON Lines or CSV, in the order of the chain",
		Long: `Writes one row for each record of a chain, in the order in which they were written: what it says, who wrote
it, when, in which block, who endorsed it, and whether it corrects another or was declared wrong since. --account takes the
records of one account, --from and --to those of blocks in a window of time, both ends included.

--resume goes on behind the last whole row of a file that an earlier run with the same options left; so it completes an
export that was stopped, and later adds what is new. --proofs writes the certificate of each record to a directory, as
ltl proof get does, and leaves out those that are there. Rows are what a node says: a certificate is what proves them.`,
		Example: "  ltl export --dir ltl-data --chain deliveries --out deliveries.csv --proofs certificates",
		Args:    cobra.NoArgs,
		RunE:    online(func(s *session, _ []string) error { return s.export(&o) }),
	}
	addConnection(cmd)
	f := cmd.Flags()
	f.StringVar(&o.chain, "chain", "", "id, code or name of the chain (required)")
	f.StringVar(&o.out, "out", "", "file to write (required)")
	f.StringVar(&o.format, "format", "", "jsonl or csv (default by the name of --out)")
	f.StringVar(&o.account, "account", "", "UID of the account whose records are wanted (default all)")
	f.Var(&o.from, "from", "time of the first block, RFC 3339 or YYYY-MM-DD (its start, UTC)")
	f.Var(&o.to, "to", "time of the last block")
	f.StringVar(&o.proofs, "proofs", "", "directory that gets a certificate of each record")
	f.BoolVar(&o.resume, "resume", false, "go on with the file of an earlier run")
	mustRequire(cmd, "chain", "out")
	return cmd
}

// wants says why a record is not wanted; nil for one that is.
func (o *exportOptions) wants(account string, at time.Time) error {
	switch {
	case o.account != "" && account != o.account:
		return fmt.Errorf("a record of account %s", account)
	case !o.from.IsZero() && at.Before(o.from.Time), !o.to.IsZero() && at.After(o.to.Time):
		return fmt.Errorf("a record of %s", formatTime(at))
	}
	return nil
}

// exportReport is what `ltl export` prints. Its JSON names are stable.
type exportReport struct {
	File string `json:"file"`
	Rows int    `json:"rows"`
	// Before is how many of them the file had before.
	Before int    `json:"before"`
	Proofs string `json:"proofs,omitempty"`
}

// export is one run of `ltl export`.
func (s *session) export(o *exportOptions) (err error) {
	format, err := formatOf(o.format, o.out)
	if err != nil {
		return err
	}
	chain, err := s.chain(o.chain)
	if err != nil {
		return err
	}
	file, err := createExport(o.out, format, o.resume)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, file.file.Close()) }()
	err = file.resume(func(r *exportRow) error {
		if r.Chain != chain.ChainID {
			return fmt.Errorf("a record of chain %s", r.Chain)
		}
		return o.wants(r.Account, time.UnixMilli(r.TimeMs))
	})
	if err != nil {
		return err
	}
	e := &exporter{session: s, o: o, chain: chain, file: file, report: exportReport{File: o.out, Before: file.rows,
		Proofs: o.proofs}, told: time.Now()}
	if o.proofs != "" {
		if e.trust, err = s.presentTrust(); err != nil {
			return err
		}
		if err := os.MkdirAll(o.proofs, 0o700); err != nil {
			return fmt.Errorf("couldn't make the directory of certificates: %w", err)
		}
	}
	if err := e.run(); err != nil {
		return fmt.Errorf("%s is written in part; --resume goes on with it: %w", o.out, err)
	}
	r := e.report
	return emitFields(s.cmd, r, field{"file", r.File}, field{"rows", r.Rows}, field{"of which before", r.Before})
}

// exporter reads the records of a chain and writes them to a file.
type exporter struct {
	*session
	o      *exportOptions
	chain  *chainRow
	file   *exportFile
	trust  *proof.Trust
	refs   []recordRef
	report exportReport
	told   time.Time
}

// recordRef is a record that is to be read.
type recordRef struct {
	id ledger.Hash
	// key and businessID find it on a proof chain, upload, dataKey and dataSeq on a collaboration chain.
	key, businessID  string
	upload           *ltlv1.UploadPhaseData
	dataKey, dataSeq string
	place            exportPlace
}

// run reads the blocks from where the file ends.
func (e *exporter) run() error {
	in := &ltlv1.BlocksRequest{ChainId: e.chain.ChainID, FromHeight: e.file.last.height}
	err := e.client.Ledger().Blocks(e.cmd.Context(), in, func(in *ltlv1.Block) error {
		b, err := client.ParseBlock(in)
		if err != nil {
			return err
		}
		if !e.o.to.IsZero() && b.Time.After(e.o.to.Time) {
			return errEnough // times of blocks never go back
		}
		for i := range b.Transactions {
			if err := e.take(b, i); err != nil {
				return err
			}
		}
		if len(e.refs) < exportChunk {
			return nil
		}
		return e.write()
	})
	if err != nil && !errors.Is(err, errEnough) {
		return err
	}
	return e.write()
}

// take takes the wanted records of a transaction that are not in the file.
func (e *exporter) take(b *client.Block, i int) error {
	t := &b.Transactions[i]
	if t.Code != client.CodeOK || e.o.wants(t.Transaction.GetAccountUid(), b.Time) != nil {
		return nil
	}
	ref := recordRef{id: t.ID, place: exportPlace{height: b.Height, index: uint32(i)}}
	add := func() {
		if e.file.rows == 0 || ref.place.after(e.file.last) {
			e.refs = append(e.refs, ref)
		}
	}
	if u := t.Transaction.GetUploadPhaseData(); u != nil {
		items, code := rules.PhaseItems(u)
		if code != rules.OK {
			return refused(code)
		}
		ref.upload = u
		for n, seq := range rules.DataSeqs(t.ID, items) {
			ref.dataKey, ref.dataSeq, ref.place.item = items[n].GetDataKey(), seq, uint32(n)
			add()
		}
		return nil
	}
	key, _, businessID, ok := rules.ProofRecord(t.Transaction, t.ID)
	if ok {
		ref.key, ref.businessID = key, businessID
		add()
	}
	return nil
}

// write reads the taken records, several at once, and writes them in their order, with their certificates before them.
func (e *exporter) write() error {
	rows, errs := make([]exportRow, len(e.refs)), make([]error, len(e.refs))
	var reading sync.WaitGroup
	free := make(chan struct{}, exportReads)
	for i := range e.refs {
		free <- struct{}{}
		reading.Go(func() {
			defer func() { <-free }()
			rows[i], errs[i] = e.read(&e.refs[i])
		})
	}
	reading.Wait()
	if err := errors.Join(errs...); err != nil {
		return err
	}
	for i := range rows {
		if err := e.file.add(&rows[i]); err != nil {
			return err
		}
	}
	e.refs, e.report.Rows = e.refs[:0], e.file.rows
	if time.Since(e.told) > progressInterval {
		e.told = time.Now()
		fmt.Fprintf(e.cmd.ErrOrStderr(), "%d rows, up to block %d\n", e.file.rows, e.file.last.height)
	}
	return e.file.flush()
}

// read reads a record, and writes its certificate where one is wanted.
func (e *exporter) read(ref *recordRef) (exportRow, error) {
	row, err := e.record(ref)
	if err == nil && row.TransactionHash != hex.EncodeToString(ref.id[:]) {
		err = fmt.Errorf("the node has another record in the place of transaction %x; audit the nodes", ref.id)
	}
	if err == nil && e.o.proofs != "" {
		err = e.certify(ref)
	}
	return row, err
}

// record reads a record by its names.
func (e *exporter) record(ref *recordRef) (exportRow, error) {
	ctx := e.cmd.Context()
	row := exportRow{Chain: e.chain.ChainID, Height: ref.place.height, Index: ref.place.index, Item: ref.place.item}
	if ref.upload == nil {
		found, err := e.client.Ledger().GetRecord(ctx, &ltlv1.GetRecordRequest{ChainCode: e.chain.ChainCode, Key: ref.key,
			BusinessId: ref.businessID})
		if err != nil {
			return row, err
		}
		r := found.GetRecord()
		row.Key, row.Value, row.BusinessID = r.GetKey(), r.GetValue(), ref.businessID
		row.fill(r)
		return row, refused(found.GetCode())
	}
	found, err := e.client.Ledger().GetPhaseRecord(ctx, &ltlv1.GetPhaseRecordRequest{ChainId: e.chain.ChainID,
		PhaseGroupId: ref.upload.GetPhaseGroupId(), PhaseId: ref.upload.GetPhaseId(), DataKey: ref.dataKey,
		DataSeq: ref.dataSeq})
	if err != nil {
		return row, err
	}
	r := found.GetRecord()
	row.Key, row.Value, row.BusinessID = r.GetKey(), r.GetDataValue(), ref.dataSeq
	row.PhaseGroupID, row.PhaseID = ref.upload.GetPhaseGroupId(), ref.upload.GetPhaseId()
	row.fill(r)
	return row, refused(found.GetCode())
}

// said is what records of both services say.
type said interface {
	GetAccountUid() string
	GetTimeMs() int64
	GetTransactionHash() []byte
	GetBlockHash() []byte
	GetDataHash() []byte
	GetIotId() string
	GetEndorsementNames() []string
	GetCorrects() *ltlv1.Correction
	GetDeclaredWrong() *ltlv1.DeclaredWrong
}

// fill takes over what records of both services say.
func (r *exportRow) fill(from said) {
	r.Account, r.TimeMs, r.IotID, r.Endorsers = from.GetAccountUid(), from.GetTimeMs(), from.GetIotId(),
		from.GetEndorsementNames()
	r.TransactionHash, r.BlockHash = hex.EncodeToString(from.GetTransactionHash()), hex.EncodeToString(from.GetBlockHash())
	r.ID, r.DataHash = r.Key[strings.LastIndexByte(r.Key, '_')+1:], hex.EncodeToString(from.GetDataHash())
	r.Corrects = hex.EncodeToString(from.GetCorrects().GetTransactionId())
	r.CorrectedBy = hex.EncodeToString(from.GetDeclaredWrong().GetTransactionHash())
}

// certify writes the certificate of a record, unless it is there.
func (e *exporter) certify(ref *recordRef) error {
	name := hex.EncodeToString(ref.id[:])
	if ref.upload != nil {
		name = fmt.Sprintf("%s-%d", name, ref.place.item)
	}
	path := filepath.Join(e.o.proofs, name+".json")
	if _, err := os.Stat(path); err == nil {
		return nil
	}
	c, err := e.certificate(ref.id, ref.dataKey, ref.dataSeq, e.trust)
	if err != nil {
		return err
	}
	if err := os.WriteFile(path+".new", c.file, 0o600); err != nil {
		return fmt.Errorf("couldn't write a certificate: %w", err)
	}
	if err := os.Rename(path+".new", path); err != nil {
		return fmt.Errorf("couldn't write a certificate: %w", err)
	}
	if fork, ok := errors.AsType[*client.ForkError](c.unsigned); ok {
		return e.forkError(path, c.Certificate, fork)
	}
	return nil
}
