package main

import (
	"cmp"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"ltl/client"
	"ltl/client/proof"
	"ltl/internal/rules"
	ltlv1 "ltl/proto/ltl/v1"
)

// Exit statuses of `ltl proof verify`, and exitFork of `ltl proof get` and `compare`, besides 0 and 1.
const (
	exitUnreadable = 2
	exitRefused    = 3
	exitFork       = 4
)

func newProof() *cobra.Command {
	cmd := &cobra.Command{Use: "proof", Short: "Certificates of records, which a stranger checks offline"}
	addConnection(cmd)
	cmd.AddCommand(newProofGet(), newProofVerify(), newProofShow(), newProofCompare())
	return cmd
}

// proofOptions name the record that a certificate is wanted for.
type proofOptions struct {
	chain, key, businessID, group, phase, transaction, out string
}

func newProofGet() *cobra.Command {
	var o proofOptions
	cmd := &cobra.Command{
		Use:   "get",
		Short: "Write the certificate of a record to a file",
		Long: `Fetches a record with the signatures and hashes that prove it, verifies all of it, and writes it as one file.
On a collaboration chain name the phase with --phase-group and --phase; --key is then the data key and --business-id
the DataSeq. Without --business-id the newest record is taken. --transaction HASH takes any transaction.
The exit status is 4 when the certificate is written and signers of checkpoints contradict each other: the message has
their checkpoints, of which two of one key convict it.`,
		Args: cobra.NoArgs,
		RunE: online(func(s *session, _ []string) error { return s.proofGet(o) }),
	}
	f := cmd.Flags()
	f.StringVar(&o.chain, "chain", "", "id, code or name of the chain")
	f.StringVar(&o.key, "key", "", "Key of the record, or data key in a phase")
	f.StringVar(&o.businessID, "business-id", "", "BusinessId of the record, or DataSeq in a phase")
	f.StringVar(&o.group, "phase-group", "", "id of the phase group, on a collaboration chain")
	f.StringVar(&o.phase, "phase", "", "id of the phase, on a collaboration chain")
	f.StringVar(&o.transaction, "transaction", "", "hash of the transaction, in place of --key")
	f.StringVar(&o.out, "out", "", "file to write")
	mustRequire(cmd, "out")
	return cmd
}

// proofResult is what `ltl proof get` prints. Its JSON names are stable.
type proofResult struct {
	Certificate     string `json:"certificate"`
	TransactionHash string `json:"transactionHash"`
	Bytes           int    `json:"bytes"`
	proofVerdict
}

func (s *session) proofGet(o proofOptions) error {
	id, dataKey, dataSeq, err := s.findRecord(o)
	if err != nil {
		return err
	}
	trust, err := s.presentTrust()
	if err != nil {
		return err
	}
	c, err := s.certificate(id, dataKey, dataSeq, trust)
	if err != nil {
		return err
	}
	var forked error
	if fork, ok := errors.AsType[*client.ForkError](c.unsigned); ok {
		forked = s.forkError(o.out, c.Certificate, fork)
	} else if c.unsigned != nil {
		fmt.Fprintf(s.cmd.ErrOrStderr(), "the certificate gets no checkpoint: %v\n", c.unsigned)
	}
	file, verdict := c.file, c.verdict
	if err := os.WriteFile(o.out, file, 0o644); err != nil {
		return fmt.Errorf("couldn't write the certificate: %w", err)
	}
	return cmp.Or(forked, emitSentence(s.cmd, proofResult{o.out, hex.EncodeToString(id[:]), len(file), newProofVerdict(verdict)},
		"%s holds the certificate of transaction %x: %s", o.out, id, verdict.Outcome))
}

// madeCertificate is a certificate of a record, verified.
type madeCertificate struct {
	*proof.Certificate
	file    []byte
	verdict *proof.Verdict
	// unsigned is why it has no checkpoint, or one on which signers contradict each other; nil for none of these.
	unsigned error
}

// certificate fetches the certificate of a record with the checkpoint for which most signers stand, and verifies it.
func (s *session) certificate(id [32]byte, dataKey, dataSeq string, trust *proof.Trust) (*madeCertificate, error) {
	ctx := s.cmd.Context()
	c, err := s.client.Ledger().Certificate(ctx, id, dataKey, dataSeq)
	if err != nil {
		return nil, err
	}
	made := &madeCertificate{Certificate: c, unsigned: s.client.Ledger().Certify(ctx, c, trust)}
	if c.Info, err = json.Marshal(map[string]string{"network": s.trust.Genesis().GetNetwork()}); err != nil {
		return nil, err
	}
	if made.file, err = c.Encode(); err != nil {
		return nil, err
	}
	if made.verdict = proof.Verify(made.file, trust); made.verdict.Failure != nil {
		return nil, fmt.Errorf("the node's answer does not verify, %w; ask again, and audit the nodes if it stays so",
			made.verdict.Failure)
	}
	return made, nil
}

// forkError says that signers of checkpoints contradict each other, and what the certificate in a file has
// nevertheless.
func (s *session) forkError(file string, c *proof.Certificate, fork *client.ForkError) error {
	has := "with the checkpoint for which more signers stand than for any other"
	if c.Checkpoint == "" {
		has = "without a checkpoint, as no one has more signers than the others"
	}
	return statusError{exitFork, fmt.Errorf("the certificate %s is written %s; but %w", file, has,
		s.writeForks(fork, strings.TrimSuffix(file, ".json")+"-misbehaviour.json"))}
}

// findRecord returns the hash of the wanted transaction, and data key and DataSeq of a record in a phase.
func (s *session) findRecord(o proofOptions) (id [32]byte, dataKey, dataSeq string, err error) {
	ctx, ledger := s.cmd.Context(), s.client.Ledger()
	if o.transaction != "" {
		b, err := hex.DecodeString(o.transaction)
		if err != nil || len(b) != len(id) {
			return id, "", "", errors.New("--transaction is no hash: give 64 hexadecimal characters")
		}
		return [32]byte(b), o.key, o.businessID, nil
	}
	if o.chain == "" || o.key == "" {
		return id, "", "", errors.New("which record? give --chain and --key, or --transaction")
	}
	chain, err := s.chain(o.chain)
	if err != nil {
		return id, "", "", err
	}
	if o.phase != "" || o.group != "" {
		found, err := ledger.GetPhaseRecord(ctx, &ltlv1.GetPhaseRecordRequest{ChainId: chain.ChainID, PhaseGroupId: o.group,
			PhaseId: o.phase, DataKey: o.key, DataSeq: o.businessID})
		if err != nil {
			return id, "", "", err
		}
		r := found.GetRecord()
		return transactionOf(r.GetTransactionHash()), r.GetDataKey(), r.GetDataSeq(), recordFound(found.GetCode())
	}
	found, err := ledger.GetRecord(ctx, &ltlv1.GetRecordRequest{ChainCode: chain.ChainCode, Key: o.key,
		BusinessId: o.businessID})
	if err != nil {
		return id, "", "", err
	}
	return transactionOf(found.GetRecord().GetTransactionHash()), "", "", recordFound(found.GetCode())
}

func recordFound(code int32) error {
	if code == rules.NotFound {
		return fmt.Errorf("%w on this chain under this key; check --chain, --key and --business-id", client.ErrNotRecorded)
	}
	return refused(code)
}

// transactionOf reads a hash of an answer; zeros when it has none.
func transactionOf(hash []byte) (id [32]byte) {
	copy(id[:], hash)
	return id
}

// presentTrust is the trust file with the keys of today.
func (s *session) presentTrust() (*proof.Trust, error) {
	keys, err := s.client.Ledger().PresentKeys(s.cmd.Context())
	if err != nil {
		return nil, err
	}
	encoded, err := s.trust.With(keys)
	if err != nil {
		return nil, err
	}
	return proof.ParseTrust(encoded)
}

// proofVerdict is a verdict as JSON. Its names are stable.
type proofVerdict struct {
	Outcome      proof.Outcome `json:"outcome"`
	Failure      string        `json:"failure,omitempty"`
	Detail       string        `json:"detail,omitempty"`
	Level        proof.Level   `json:"level,omitempty"`
	Reservations []string      `json:"reservations"`
	Result       int32         `json:"result,omitempty"`
	Chain        string        `json:"chain,omitempty"`
	Height       uint64        `json:"height,omitempty"`
	TimeMs       int64         `json:"timeMs,omitempty"`
	BlockHash    string        `json:"blockHash,omitempty"`
	Key          string        `json:"key,omitempty"`
	Value        string        `json:"value,omitempty"`
	DataHash     string        `json:"dataHash,omitempty"`
	// Withheld is set when the certificate does not show the value.
	Withheld  bool             `json:"withheld,omitempty"`
	Account   string           `json:"account,omitempty"`
	Endorsers []proof.Endorser `json:"endorsers,omitempty"`
	// Corrects is the record that this one declares wrong and replaces.
	Corrects *proof.SaidCorrection `json:"corrects,omitempty"`
	// Size is the number of blocks of the checkpoint, Signers whose signatures under it verified.
	Size    uint64         `json:"checkpointSize,omitempty"`
	Signers []proof.Signer `json:"checkpointSigners,omitempty"`
}

func newProofVerdict(v *proof.Verdict) proofVerdict {
	p := proofVerdict{Outcome: v.Outcome, Level: v.Level, Reservations: v.Reservations, Result: v.Result,
		Endorsers: v.Endorsers}
	if v.Failure != nil {
		p.Failure, p.Detail = v.Failure.Word, v.Failure.Detail
		return p
	}
	p.Chain, p.Height, p.TimeMs = v.Header.Chain, v.Header.Height, v.Header.TimeMs
	p.BlockHash, p.Account = hex.EncodeToString(v.Header.Hash[:]), v.Transaction.Account
	if c := v.Checkpoint; c != nil {
		p.Size, p.Signers = c.Size, c.Signers
	}
	if r := v.Transaction.Record; r != nil {
		p.Key, p.Value, p.Withheld = r.Key, string(v.Value), v.Withheld
		if !v.Withheld {
			p.DataHash = hex.EncodeToString(v.DataHash[:])
		}
		p.Corrects = r.Corrects.Say()
	}
	return p
}

func newProofVerify() *cobra.Command {
	var strict bool
	var language string
	cmd := &cobra.Command{
		Use:   "verify FILE",
		Short: "Check a certificate, or another file of evidence, offline, under the network's trust file",
		Long: `Reads the file and the trust file and nothing else; no connection is made. Says what the file proves and what it
does not: a certificate, a consistency file of two checkpoints, or a misbehaviour file, which convicts a signer of two
histories. The exit status is 0 for a valid file, also with reservations (1 with --strict), 3 for a sound certificate
of a transaction that the network refused, 1 for one that is not valid, and 2 for a file that cannot be read.`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if language != string(proof.English) && language != string(proof.Chinese) {
				return fmt.Errorf("--language is %q; it can be en or zh", language)
			}
			v, err := verifyFile(cmd, args[0])
			if err != nil {
				return statusError{exitUnreadable, err}
			}
			err = emit(cmd, v.json, func(w io.Writer) { fmt.Fprint(w, v.text(proof.Language(language))) })
			if err != nil {
				return err
			}
			return verdictError(v, strict)
		},
	}
	cmd.Flags().BoolVar(&strict, "strict", false, "take reservations for failures")
	cmd.Flags().StringVar(&language, "language", string(proof.English), "language of the words: en or zh")
	return cmd
}

// verifyFile verifies a file under the trust file that the options name.
func verifyFile(cmd *cobra.Command, path string) (*fileVerdict, error) {
	certificate, err := readCertificate(path)
	if err != nil {
		return nil, err
	}
	trust, err := offlineTrust(cmd)
	if err != nil {
		return nil, err
	}
	return verifyAny(certificate, trust), nil
}

// offlineTrust reads the trust file that the options name.
func offlineTrust(cmd *cobra.Command) (*proof.Trust, error) {
	path, err := trustPathOf(cmd)
	if err != nil {
		return nil, err
	}
	raw, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("couldn't read the trust file: %w", err)
	}
	return proof.ParseTrust(raw)
}

// readCertificate reads no more of a file than can be a certificate.
func readCertificate(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("couldn't read the certificate: %w", err)
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, proof.MaxCertificate+1))
	if err != nil {
		return nil, fmt.Errorf("couldn't read the certificate: %w", err)
	}
	return b, nil
}

// verdictError is nil for a verdict that ends with status 0.
func verdictError(v *fileVerdict, strict bool) error {
	switch {
	case v.outcome == proof.Refused:
		return statusError{exitRefused, fmt.Errorf("the network refused the transaction with code %d, so nothing was recorded",
			v.result)}
	case v.failure != nil:
		return fmt.Errorf("the file is not valid, %w; do not rely on it", v.failure)
	case strict && v.outcome != proof.Valid:
		return fmt.Errorf("the file is valid only with reservations: %v", v.reservations)
	}
	return nil
}

func newProofShow() *cobra.Command {
	return &cobra.Command{
		Use:   "show FILE",
		Short: "Print what a certificate says, without checking it",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			raw, err := readCertificate(args[0])
			if err != nil {
				return err
			}
			c, err := proof.ParseCertificate(raw)
			if err != nil {
				return fmt.Errorf("%s is no certificate: %w", args[0], err)
			}
			said, err := c.Say()
			if err != nil {
				return fmt.Errorf("%s: %w", args[0], err)
			}
			fields := []field{
				{"checked", "no; use ltl proof verify"}, {"transaction", said.TransactionHash},
				{"chain", said.Chain}, {"height", said.Height}, {"result", said.Result},
				{"key", said.Key}, {"business id", said.BusinessID}, {"value", fmt.Sprintf("%q", said.Value)},
				{"account", said.Account}, {"submitter", said.Submitter}, {"endorsers", said.Organisations},
			}
			if r := said.Corrects; r != nil {
				fields = append(fields, field{"corrects", r.TransactionHash}, field{"corrected key", r.Key},
					field{"reason", fmt.Sprintf("%q", r.Reason)}, field{"by the administrator", r.ByAdministrator})
			}
			return emitFields(cmd, said, fields...)
		},
	}
}
