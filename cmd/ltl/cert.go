package main

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"ltl/client"
	"ltl/internal/identity"
	"ltl/internal/ledger"
	"ltl/internal/rules"
	ltlv1 "ltl/proto/ltl/v1"
)

// certRow is a certificate, or what was revoked, as `ltl cert` prints it. Its JSON names are stable.
type certRow struct {
	Identity string `json:"identity"`
	// KeyHash is the SHA-256 of the public key in hexadecimal digits; empty where the identity was revoked whatever its key.
	KeyHash string `json:"keyHash"`
	// KeyOnly says that the identity may go on with another key.
	KeyOnly bool       `json:"keyOnly"`
	Expires *time.Time `json:"expires,omitempty"`
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
		Short: "Show whom a certificate names: a file, or a directory with tls.pem",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			row, err := readCert(args[0])
			if err != nil {
				return err
			}
			return emit(cmd, row, func(w io.Writer) {
				fmt.Fprintf(w, "identity\t%s\nkey (SHA-256)\t%s\nexpires\t%s\n", row.Identity, row.KeyHash, row.Expires.Format(time.RFC3339))
			})
		},
	}
}

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
		Short: "List what was revoked",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return withClient(cmd, func(c *client.Client, _ *connection) error {
				res, err := c.Ledger().GetNetwork(cmd.Context(), &ltlv1.GetNetworkRequest{})
				if err != nil {
					return err
				}
				rows := []certRow{}
				for _, r := range res.GetRevocations() {
					rows = append(rows, certRow{Identity: r.GetIdentity(), KeyHash: hex.EncodeToString(r.GetKeyHash()), KeyOnly: r.GetKeyOnly()})
				}
				return emit(cmd, rows, func(w io.Writer) {
					fmt.Fprintln(w, "IDENTITY\tREVOKED\tKEY (SHA-256)")
					for _, r := range rows {
						fmt.Fprintf(w, "%s\t%s\t%s\n", r.Identity, r.what(), r.KeyHash)
					}
				})
			})
		},
	}
}

func (r certRow) what() string {
	if r.KeyOnly {
		return "key"
	}
	return "identity"
}

func newCertRevoke() *cobra.Command {
	var keyOnly bool
	cmd := &cobra.Command{
		Use:   "revoke PATH|IDENTITY",
		Short: "Make the whole network refuse the holder of a certificate, for good",
		Long: `Revokes a certificate, given as a file or a directory with tls.pem, or an identity ORGANISATION/ROLE/NAME whose certificate is not at hand. Every
process refuses its holder from the moment at which it reads of it, also on connections that stand, and the ledger executes nothing more that
names the identity as its submitter. With --key-only the identity goes on with another key: make that first, with ltl pki renew
--new-key. Nodes and endorsers, whose names are fixed, are revoked in this way only. Certificates that were renewed with the same key go
with it.

Only an operator of the same organisation may do this. Whose certificate authority was stolen needs ltl org rotate-ca and retire-ca.`,
		Example: `  ltl cert revoke pki/facades/facade1 --dir ltl-data
  ltl cert revoke org1/client/alice --dir ltl-data`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			row, err := whatToRevoke(args[0], keyOnly)
			if err != nil {
				return err
			}
			organisation, _, _ := strings.Cut(row.Identity, "/")
			return withOperator(cmd, organisation, func(c *client.Client, con *connection) error {
				hash, err := hex.DecodeString(row.KeyHash)
				if err != nil {
					return err
				}
				if _, err := submit(cmd.Context(), c, &ltlv1.Transaction{
					ChainId: ledger.SystemChain, Action: &ltlv1.Transaction_RevokeCertificate{RevokeCertificate: &ltlv1.RevokeCertificate{
						Identity: row.Identity, KeyHash: hash, KeyOnly: row.KeyOnly,
					}},
				}, append(changeHints(organisation), hint{rules.OutOfRange, "a node's or endorser's certificate is revoked with --key-only and its file"})...); err != nil {
					return err
				}
				if _, err := organisations(cmd, c, con); err != nil {
					return fmt.Errorf("it was revoked, but the network couldn't be read afterwards: %w", err)
				}
				con.saveTrust(cmd)
				return emit(cmd, row, func(w io.Writer) {
					fmt.Fprintf(w, "the %s of %s is revoked\n", row.what(), row.Identity)
				})
			})
		},
	}
	cmd.Flags().BoolVar(&keyOnly, "key-only", false, "the identity may go on with a certificate for another key")
	return cmd
}

// whatToRevoke reads a certificate, or takes an identity as it is.
func whatToRevoke(what string, keyOnly bool) (*certRow, error) {
	if _, err := os.Stat(what); err == nil {
		row, err := readCert(what)
		if err == nil {
			row.KeyOnly, row.Expires = keyOnly, nil
		}
		return row, err
	}
	id, err := identity.Parse(what)
	if err != nil {
		return nil, fmt.Errorf("%s is neither a file or directory nor an identity: %w", what, err)
	}
	if keyOnly {
		return nil, errors.New("--key-only needs the certificate: give its file or directory")
	}
	return &certRow{Identity: id.String()}, nil
}
