package main

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"ltl/internal/identity"
	"ltl/internal/rules"
	ltlv1 "ltl/proto/ltl/v1"
)

// certRow is a certificate or a revocation, as `ltl cert` prints it. Its JSON names are stable.
type certRow struct {
	Identity string `json:"identity"`
	// KeyHash is the SHA-256 of the public key in hexadecimal digits; empty where the identity is revoked with every key.
	KeyHash string `json:"keyHash"`
	// KeyOnly says that the identity may continue with another key.
	KeyOnly bool       `json:"keyOnly"`
	Expires *time.Time `json:"expires,omitempty"`
}

// revoked names what a revocation covers.
func (r certRow) revoked() string {
	if r.KeyOnly {
		return "key"
	}
	return "identity"
}

func newCert() *cobra.Command {
	cmd := &cobra.Command{Use: "cert", Short: "Show, list and revoke certificates of processes and people"}
	addConnection(cmd)
	cmd.AddCommand(newCertShow(), newCertList(), newCertRevoke())
	return cmd
}

func newCertShow() *cobra.Command {
	return &cobra.Command{
		Use:   "show PATH",
		Short: "Show the identity in a certificate: a file, or a directory with tls.pem",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			row, err := readCert(args[0])
			if err != nil {
				return err
			}
			return emitFields(cmd, row,
				field{"identity", row.Identity}, field{"key (SHA-256)", row.KeyHash}, field{"expires", formatTime(*row.Expires)})
		},
	}
}

// readCert reads the certificate of a file, or of the directory of a process or operator.
func readCert(path string) (*certRow, error) {
	c, err := identity.ReadCertificate(path)
	if err != nil {
		return nil, err
	}
	hash, end := sha256.Sum256(c.Key), c.NotAfter.UTC()
	return &certRow{Identity: c.Identity.String(), KeyHash: hex.EncodeToString(hash[:]), Expires: &end}, nil
}

func newCertList() *cobra.Command {
	return &cobra.Command{
		Use:   "list",
		Short: "List the revoked identities and keys",
		Args:  cobra.NoArgs,
		RunE: online(func(s *session, _ []string) error {
			res, err := s.client.Ledger().GetNetwork(s.cmd.Context(), &ltlv1.GetNetworkRequest{})
			if err != nil {
				return err
			}
			rows := []certRow{}
			for _, r := range res.GetRevocations() {
				rows = append(rows, certRow{Identity: r.GetIdentity(), KeyHash: hex.EncodeToString(r.GetKeyHash()),
					KeyOnly: r.GetKeyOnly()})
			}
			return emitRows(s.cmd, rows, "IDENTITY|REVOKED|KEY (SHA-256)", func(r certRow) []any {
				return []any{r.Identity, r.revoked(), r.KeyHash}
			})
		}),
	}
}

func newCertRevoke() *cobra.Command {
	var keyOnly bool
	cmd := &cobra.Command{
		Use:   "revoke PATH|IDENTITY",
		Short: "Make the whole network refuse the holder of a certificate, for good",
		Long: `Revokes a certificate, given as a file or a directory with tls.pem, or an identity ORGANISATION/ROLE/NAME
whose certificate is not at hand. Every process refuses the holder as soon as it has read the revocation, also on
connections that are open, and the ledger executes no more transactions that name the identity as their submitter.
With --key-only the identity continues with another key: make that key first, with ltl pki renew --new-key. Nodes
and endorsers, whose names are fixed, can be revoked only with --key-only. Certificates that were renewed with the
same key are revoked with it.

Only an operator of the same organisation may do this. When the key of a certificate authority was stolen, use ltl
org rotate-ca and ltl org retire-ca.`,
		Example: `  ltl cert revoke pki/facades/facade1 --dir ltl-data
  ltl cert revoke org1/client/alice --dir ltl-data`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			row, err := revocationOf(args[0], keyOnly)
			if err != nil {
				return err
			}
			organisation, _, _ := strings.Cut(row.Identity, "/")
			return withOperator(cmd, organisation, func(s *session) error { return s.revoke(row, organisation) })
		},
	}
	cmd.Flags().BoolVar(&keyOnly, "key-only", false, "the identity may continue with a certificate for another key")
	return cmd
}

// revoke records a revocation and saves the trust file, so that processes that start refuse the holder before they
// have read the ledger.
func (s *session) revoke(row *certRow, organisation string) error {
	hash, err := hex.DecodeString(row.KeyHash)
	if err != nil {
		return err
	}
	a := orgChangeAdvice(organisation)
	a[rules.OutOfRange] = "a node's or endorser's certificate is revoked with --key-only and its file"
	if _, err := s.submitToSystem(&ltlv1.Transaction{
		Action: &ltlv1.Transaction_RevokeCertificate{RevokeCertificate: &ltlv1.RevokeCertificate{
			Identity: row.Identity, KeyHash: hash, KeyOnly: row.KeyOnly,
		}},
	}, a); err != nil {
		return err
	}
	if _, err := s.refreshTrust("the certificate was revoked"); err != nil {
		return err
	}
	return emitSentence(s.cmd, row, "the %s of %s is revoked", row.revoked(), row.Identity)
}

// revocationOf reads a certificate, or takes an identity as it is.
func revocationOf(name string, keyOnly bool) (*certRow, error) {
	if _, err := os.Stat(name); err == nil {
		row, err := readCert(name)
		if err == nil {
			row.KeyOnly, row.Expires = keyOnly, nil
		}
		return row, err
	}
	id, err := identity.Parse(name)
	if err != nil {
		return nil, fmt.Errorf("%s is neither a file or directory nor an identity: %w", name, err)
	}
	if keyOnly {
		return nil, errors.New("--key-only needs the certificate: give its file or directory")
	}
	return &certRow{Identity: id.String()}, nil
}
