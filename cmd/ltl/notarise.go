package main

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"ltl/client"
	"ltl/client/proof"
	"ltl/internal/localnet"
	"ltl/internal/rules"
	ltlv1 "ltl/proto/ltl/v1"
)

// maxManifest bounds a manifest: a certificate has some kilobytes, and 100,000 files are enough for one.
const maxManifest = 1 << 30

// notarisedFile is a file in a manifest. Its JSON names are stable.
type notarisedFile struct {
	// Name is the last part of the file's path; it says nothing that is checked, as a file may be renamed.
	Name   string `json:"name"`
	Size   int64  `json:"size"`
	SHA256 string `json:"sha256"`
	Key    string `json:"key"`
	// Certificate proves that the digest was recorded, when and by whom.
	Certificate json.RawMessage `json:"certificate"`
}

// manifest is what `ltl notarise` writes. Its JSON names are stable.
type manifest struct {
	Chain   string          `json:"chain"`
	Account string          `json:"account"`
	Files   []notarisedFile `json:"files"`
}

func newNotarise() *cobra.Command {
	var chain, account, path string
	cmd := &cobra.Command{
		Use:   "notarise FILE...",
		Short: "Record the digests of files on a proof chain, and keep their certificates in a manifest",
		Long: `Records the SHA-256 digest of each FILE, which is both the last part of the Key and the value; nothing else
of the file leaves this machine. The certificates of the records go to the manifest, with which ltl check shows later,
offline, that a file is the one that was recorded.

A digest is recorded once: run the command again after any failure, or with more files and the same manifest. Of a file
that was recorded before the manifest gets the certificate of the first record.`,
		Example: "  ltl notarise report.pdf data.tar --dir ltl-data --chain deliveries --manifest notarised.json",
		Args:    cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return withRecordWriter(cmd, chain, account, func(w *recordWriter) error { return w.notarise(cmd, path, args) })
		},
	}
	addConnection(cmd)
	f := cmd.Flags()
	f.StringVar(&chain, "chain", "", "id, code or name of the chain (required)")
	f.StringVar(&account, "account", "", "UID or member id in whose name it is done (default the administrator)")
	f.StringVar(&path, "manifest", "", "file of the certificates; one that is there gets more (required)")
	mustRequire(cmd, "chain", "manifest")
	return cmd
}

// notarise records the digests of files and adds them to the manifest.
func (w *recordWriter) notarise(cmd *cobra.Command, path string, files []string) error {
	lock, err := lockManifest(path)
	if err != nil {
		return err
	}
	defer lock.Close()
	m, err := readManifest(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		m = &manifest{Chain: w.chain.ChainID, Account: w.account}
	case err != nil:
		return err
	case m.Chain != w.chain.ChainID || m.Account != w.account:
		return fmt.Errorf("%s is a manifest of chain %s and account %s; give another --manifest", path, m.Chain, m.Account)
	}
	trust, err := w.s.presentTrust()
	if err != nil {
		return err
	}
	known := map[string]bool{}
	for _, f := range m.Files {
		known[f.SHA256] = true
	}
	for _, name := range files {
		digest, size, err := digestOf(name)
		if err != nil {
			return err
		}
		if known[digest] {
			continue
		}
		known[digest] = true
		f := notarisedFile{Name: filepath.Base(name), Size: size, SHA256: digest,
			Key: client.RecordKey(w.chain.ChainCode, w.typeCode, digest)}
		if f.Certificate, err = w.record(cmd, &f, trust); err != nil {
			return fmt.Errorf("%s is not in the manifest: %w; run the command again, no digest is recorded twice", name, err)
		}
		m.Files = append(m.Files, f)
		if err := m.write(path); err != nil {
			return err
		}
	}
	return emitSentence(cmd, m, "%s holds the certificates of %d files", path, len(m.Files))
}

// record records the digest of a file, and returns the certificate of the record.
func (w *recordWriter) record(cmd *cobra.Command, f *notarisedFile, trust *proof.Trust) (json.RawMessage, error) {
	ctx := cmd.Context()
	out, err := w.write(ctx, f.Key, f.SHA256, "")
	if err != nil {
		return nil, err
	}
	if out.message != "" {
		return nil, fmt.Errorf("the ledger refused it with code %d: %s", out.code, out.message)
	}
	found, err := w.s.client.Ledger().GetRecord(ctx, &ltlv1.GetRecordRequest{ChainCode: w.chain.ChainCode, Key: f.Key})
	if err == nil {
		err = refused(found.GetCode())
	}
	if err != nil {
		return nil, err
	}
	c, err := w.s.certificate(transactionOf(found.GetRecord().GetTransactionHash()), "", "", trust)
	if err != nil {
		return nil, err
	}
	if c.unsigned != nil {
		fmt.Fprintf(cmd.ErrOrStderr(), "the certificate of %s gets no checkpoint: %v\n", f.Name, c.unsigned)
	}
	return c.file, nil
}

// digestOf reads a file in pieces, and returns its SHA-256 digest in hexadecimal and its size.
func digestOf(path string) (digest string, size int64, err error) {
	file, err := os.Open(path)
	if err != nil {
		return "", 0, fmt.Errorf("couldn't read a file: %w", err)
	}
	defer file.Close()
	h := sha256.New()
	if size, err = io.Copy(h, file); err != nil {
		return "", 0, fmt.Errorf("couldn't read a file: %w", err)
	}
	return hex.EncodeToString(h.Sum(nil)), size, nil
}

func readManifest(path string) (*manifest, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("couldn't read the manifest: %w", err)
	}
	defer file.Close()
	m := &manifest{}
	if err := json.NewDecoder(io.LimitReader(file, maxManifest)).Decode(m); err != nil {
		return nil, fmt.Errorf("%s is no manifest: %w", path, err)
	}
	return m, nil
}

// lockManifest keeps other runs from a manifest until the file that it returns is closed: each would write what the
// others do not know.
func lockManifest(path string) (*os.File, error) {
	lock, err := os.OpenFile(path+".lock", os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("couldn't lock the manifest: %w", err)
	}
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		return nil, errors.Join(fmt.Errorf("another ltl notarise writes %s; wait for it, or give another --manifest", path),
			lock.Close())
	}
	return lock, nil
}

// write puts the manifest in the place of the one that is there, at once.
func (m *manifest) write(path string) error {
	if err := localnet.SaveJSON(path, m); err != nil {
		return fmt.Errorf("couldn't write the manifest: %w", err)
	}
	return nil
}

func newCheck() *cobra.Command {
	var path, account string
	var strict bool
	cmd := &cobra.Command{
		Use:   "check FILE...",
		Short: "Show offline that files are those that ltl notarise recorded",
		Long: `Computes the digest of each FILE, finds it in the manifest, and verifies its certificate under the trust
file; no connection is made, and the name of a file does not matter. The exit status is 1 when a file is not the one that was
recorded, or its certificate does not show that it is on the ledger (with --strict also one with any reservation).

It shows that the account in the column ACCOUNT recorded the digest, and no more: the maker of the manifest chose it. Give
--account, or compare it with one that you have from elsewhere.`,
		Example: "  ltl check report.pdf --manifest notarised.json --trust trust.json",
		Args:    cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			m, err := readManifest(path)
			if err != nil {
				return err
			}
			trust, err := offlineTrust(cmd)
			if err != nil {
				return err
			}
			if account != "" && account != m.Account {
				return fmt.Errorf("%s is a manifest of account %s, not of %s", path, m.Account, account)
			}
			return m.check(cmd, args, trust, strict)
		},
	}
	cmd.Flags().String(flagDir, "", "directory of a network that ltl up started, whose trust file is taken")
	cmd.Flags().String(flagTrust, "", "trust file of the network")
	cmd.Flags().StringVar(&path, "manifest", "", "file that ltl notarise wrote (required)")
	cmd.Flags().StringVar(&account, "account", "", "UID of the account that must have recorded the files (default any)")
	cmd.Flags().BoolVar(&strict, "strict", false, "take reservations for failures")
	mustRequire(cmd, "manifest")
	return cmd
}

// checkedFile is what `ltl check` prints of a file. Its JSON names are stable.
type checkedFile struct {
	File   string `json:"file"`
	SHA256 string `json:"sha256"`
	// Wrong says why the file is not shown to be one that was recorded; empty when it is.
	Wrong   string `json:"wrong,omitempty"`
	Chain   string `json:"chain,omitempty"`
	Height  uint64 `json:"height,omitempty"`
	TimeMs  int64  `json:"timeMs,omitempty"`
	Account string `json:"account,omitempty"`
	Outcome string `json:"outcome,omitempty"`
	// Reservations are the words of docs/evidence.md about what the certificate leaves open.
	Reservations []string `json:"reservations,omitempty"`
}

// check checks files against the certificates of the manifest.
func (m *manifest) check(cmd *cobra.Command, files []string, trust *proof.Trust, strict bool) error {
	certificates := map[string]json.RawMessage{}
	for _, f := range m.Files {
		certificates[f.SHA256] = f.Certificate
	}
	rows, wrong := []checkedFile{}, 0
	for _, name := range files {
		digest, _, err := digestOf(name)
		if err != nil {
			return err
		}
		row := checkedFile{File: name, SHA256: digest}
		if certificate, ok := certificates[digest]; ok {
			row.verify(certificate, trust, m, strict)
		} else {
			row.Wrong = "its content is not that of any file in the manifest"
		}
		if row.Wrong != "" {
			wrong++
		}
		rows = append(rows, row)
	}
	err := emitRows(cmd, rows, "FILE|RECORDED|BLOCK|ACCOUNT|RESULT", func(r checkedFile) []any {
		if r.Wrong != "" {
			return []any{r.File, "", "", "", r.Wrong}
		}
		result := strings.Join(append([]string{r.Outcome}, r.Reservations...), ", ")
		return []any{r.File, formatTime(time.UnixMilli(r.TimeMs)), r.Height, r.Account, result}
	})
	if err == nil && wrong > 0 {
		err = fmt.Errorf("%d of %d files are not shown to be what was recorded", wrong, len(files))
	}
	return err
}

// unproven are the reservations with which a certificate does not show that a record is on the ledger, or when.
var unproven = [...]string{"not-certified", "time-stands", "time-ahead"}

// verify verifies the certificate, and that it is one of a record of the digest, on the manifest's chain and by its
// account.
func (r *checkedFile) verify(certificate []byte, trust *proof.Trust, m *manifest, strict bool) {
	v := proof.Verify(certificate, trust)
	p := newProofVerdict(v)
	switch {
	case v.Failure != nil:
		r.Wrong = fmt.Sprintf("its certificate is not valid: %v", v.Failure)
		return
	case v.Outcome == proof.Refused || v.Result != rules.OK:
		r.Wrong = fmt.Sprintf("its certificate is of a transaction that the network refused with code %d", v.Result)
		return
	case p.Value != r.SHA256:
		r.Wrong = "its certificate is of another record"
		return
	case p.Chain != m.Chain || p.Account != m.Account:
		r.Wrong = "its certificate is of another chain or account than the manifest says"
		return
	case slices.ContainsFunc(v.Reservations, func(word string) bool { return slices.Contains(unproven[:], word) }):
		r.Wrong = fmt.Sprintf("its certificate does not show that the record is on the ledger, or when: %v", v.Reservations)
		return
	case strict && v.Outcome != proof.Valid:
		r.Wrong = fmt.Sprintf("its certificate is valid only with reservations: %v", v.Reservations)
		return
	}
	r.Chain, r.Height, r.TimeMs, r.Account, r.Outcome = p.Chain, p.Height, p.TimeMs, p.Account, string(v.Outcome)
	r.Reservations = v.Reservations
}
