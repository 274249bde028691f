package main

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"ltl/client"
	"ltl/client/proof"
)

func newProofCompare() *cobra.Command {
	var out string
	cmd := &cobra.Command{
		Use:   "compare A B",
		Short: "Show that two checkpoints are of one history, or who signed two",
		Long: `A and B are certificates, or files with a signed checkpoint, of one chain. When the smaller checkpoint is the
beginning of the larger, a consistency file is written, which is checked offline with ltl proof verify.
When it is not, the exit status is 4, and a misbehaviour file is written for each key that signed two histories; keep A
and B also when there is none.`,
		Args: cobra.ExactArgs(2),
		RunE: online(func(s *session, args []string) error { return s.proofCompare(args[0], args[1], out) }),
	}
	cmd.Flags().StringVar(&out, "out", "", "file to write")
	mustRequire(cmd, "out")
	return cmd
}

func (s *session) proofCompare(a, b, out string) error {
	first, err := readCheckpoint(a)
	if err != nil {
		return err
	}
	second, err := readCheckpoint(b)
	if err != nil {
		return err
	}
	trust, err := s.presentTrust()
	if err != nil {
		return err
	}
	made, err := s.client.Ledger().Compare(s.cmd.Context(), trust, first, second)
	if fork, ok := errors.AsType[*client.ForkError](err); ok {
		return s.writeForks(fork, out)
	}
	if err != nil {
		return err
	}
	file, err := made.Encode()
	if err != nil {
		return err
	}
	d := proof.VerifyConsistencyFile(file, trust)
	if d.Failure != nil {
		return fmt.Errorf("the nodes' answers do not verify, %w; ask again, and audit the nodes if it stays so", d.Failure)
	}
	if err := os.WriteFile(out, file, 0o644); err != nil {
		return fmt.Errorf("couldn't write the consistency file: %w", err)
	}
	return emitSentence(s.cmd, newComparisonVerdict(d),
		"%s shows that the first %d blocks of chain %s are those of its first %d: %s", out, d.From.Size, d.Chain, d.To.Size, d.Outcome)
}

// writeForks writes the files of an error that names two histories, and returns the error of the command.
func (s *session) writeForks(fork *client.ForkError, out string) error {
	if len(fork.Misbehaviours) == 0 {
		return statusError{exitFork, fmt.Errorf("%w; no key is known to have signed both: keep the two files, and show them to "+
			"the organisations of their signers", fork)}
	}
	var names []string
	for i, file := range fork.Misbehaviours {
		name := out
		if i > 0 {
			name = fmt.Sprintf("%s-%d.json", strings.TrimSuffix(out, ".json"), i+1)
		}
		if err := os.WriteFile(name, file, 0o644); err != nil {
			return fmt.Errorf("couldn't write the misbehaviour file: %w", err)
		}
		names = append(names, name)
	}
	return statusError{exitFork, fmt.Errorf("%w; each of these files convicts one signer, check them with ltl proof verify and "+
		"show them to the other organisations: %s", fork, strings.Join(names, ", "))}
}

// readCheckpoint reads the signed checkpoint in a certificate, in a consistency file (the later one), or in a file that
// has nothing else.
func readCheckpoint(path string) (string, error) {
	raw, err := readCertificate(path)
	if err != nil {
		return "", err
	}
	switch proof.FormatOf(raw) {
	case proof.CertificateFormat:
		c, err := proof.ParseCertificate(raw)
		if err == nil && c.Checkpoint == "" {
			err = errors.New("the certificate has no checkpoint; get it again with ltl proof get")
		}
		if err != nil {
			return "", fmt.Errorf("%s: %w", path, err)
		}
		return c.Checkpoint, nil
	case proof.ConsistencyFormat:
		c, err := proof.ParseConsistency(raw)
		if err != nil {
			return "", fmt.Errorf("%s: %w", path, err)
		}
		return c.To, nil
	}
	return string(raw), nil
}

// comparisonVerdict is a comparison as JSON. Its names are stable.
type comparisonVerdict struct {
	Outcome      proof.Outcome `json:"outcome"`
	Failure      string        `json:"failure,omitempty"`
	Detail       string        `json:"detail,omitempty"`
	Level        proof.Level   `json:"level,omitempty"`
	Reservations []string      `json:"reservations"`
	Chain        string        `json:"chain,omitempty"`
	From         uint64        `json:"from,omitempty"`
	To           uint64        `json:"to,omitempty"`
}

func newComparisonVerdict(d *proof.Comparison) comparisonVerdict {
	v := comparisonVerdict{Outcome: d.Outcome, Level: d.Level, Reservations: d.Reservations, Chain: d.Chain}
	if d.Failure != nil {
		v.Failure, v.Detail = d.Failure.Word, d.Failure.Detail
		return v
	}
	v.From, v.To = d.From.Size, d.To.Size
	return v
}

// convictionVerdict is a conviction as JSON. Its names are stable.
type convictionVerdict struct {
	Outcome      proof.Outcome `json:"outcome"`
	Failure      string        `json:"failure,omitempty"`
	Detail       string        `json:"detail,omitempty"`
	Reservations []string      `json:"reservations"`
	Kind         proof.Kind    `json:"kind,omitempty"`
	Signer       string        `json:"signer,omitempty"`
	Key          string        `json:"key,omitempty"`
	Chain        string        `json:"chain,omitempty"`
}

func newConvictionVerdict(v *proof.Conviction) convictionVerdict {
	made := convictionVerdict{Outcome: v.Outcome, Reservations: v.Reservations, Kind: v.Kind, Signer: v.Signer, Key: v.Key,
		Chain: v.Chain}
	if v.Failure != nil {
		made.Failure, made.Detail = v.Failure.Word, v.Failure.Detail
	}
	return made
}

// fileVerdict is what the verification of a file of any format found.
type fileVerdict struct {
	json    any
	text    func(proof.Language) string
	outcome proof.Outcome
	failure *proof.Failure
	// result is the code of a transaction; reservations are words.
	result       int32
	reservations []string
}

func verifyAny(file []byte, trust *proof.Trust) *fileVerdict {
	switch proof.FormatOf(file) {
	case proof.ConsistencyFormat:
		d := proof.VerifyConsistencyFile(file, trust)
		return &fileVerdict{newComparisonVerdict(d), d.Text, d.Outcome, d.Failure, 0, d.Reservations}
	case proof.MisbehaviourFormat:
		v := proof.VerifyMisbehaviour(file, trust)
		return &fileVerdict{newConvictionVerdict(v), v.Text, v.Outcome, v.Failure, 0, v.Reservations}
	}
	v := proof.Verify(file, trust)
	return &fileVerdict{newProofVerdict(v), v.Text, v.Outcome, v.Failure, v.Result, v.Reservations}
}
