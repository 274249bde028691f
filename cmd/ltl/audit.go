package main

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"google.golang.org/grpc"

	"ltl/internal/audit"
	"ltl/internal/backup"
	"ltl/internal/identity"
	ltlv1 "ltl/proto/ltl/v1"
)

func newAudit() *cobra.Command {
	var from, stored, chain string
	cmd := &cobra.Command{
		Use:   "audit",
		Short: "Recompute a whole ledger and name the first thing that is wrong",
		Long: `Executes every block again from the trust file on: links, roots, endorsements, policies, results and state must come out the
same. Reads from a running node or endorser, or with --store from a stopped process' data directory or a backup. Compares the newest blocks
with those of the other nodes and says how far the copy is behind. Exits non-zero when anything is wrong, or when another node
has another block at the same height. With --store and no --identity nobody is asked.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			report, err := runAudit(cmd, from, stored)
			if err == nil && stored != "" {
				err = checkBackup(stored)
			}
			if err != nil {
				return err
			}
			if chain != "" {
				if err := only(report, chain); err != nil {
					return err
				}
			}
			return emit(cmd, report, func(w io.Writer) { auditTable(w, report) })
		},
	}
	addConnection(cmd)
	cmd.Flags().StringVar(&from, "from", "", "whose copy: a node's id, an organisation's id, or the address of either (default the first node)")
	cmd.Flags().StringVar(&stored, "store", "", "data directory of a stopped process, or a backup, in place of --from")
	cmd.Flags().StringVar(&chain, "chain", "", "report on this chain only; all are checked, as they depend on one another")
	return cmd
}

// checkBackup holds the ledger that was audited against the manifest beside it, if it is a backup's.
func checkBackup(dir string) error {
	if _, err := backup.Check(dir); err != nil && !errors.Is(err, backup.ErrNoBackup) {
		return err
	}
	return nil
}

func runAudit(cmd *cobra.Command, from, stored string) (*audit.Report, error) {
	if stored != "" && from != "" {
		return nil, errors.New("give --from or --store, not both")
	}
	con, err := trustOf(cmd)
	if err != nil {
		return nil, err
	}
	if stored != "" && con.identity == "" {
		return audit.Stored(cmd.Context(), stored, con.trust)
	}
	if con, err = connectionOf(cmd); err != nil {
		return nil, err
	}
	credentials, err := con.credentials()
	if err != nil {
		return nil, err
	}
	m, err := con.ask(cmd.Context())
	if err != nil {
		return nil, err
	}
	if stored != "" {
		return withOthers(m, credentials, "", func(others []audit.Other) (*audit.Report, error) {
			return audit.Stored(cmd.Context(), stored, con.trust, others...)
		})
	}
	address, role, name, err := m.find(from)
	if err != nil {
		return nil, err
	}
	conn, err := grpc.NewClient(address, credentials.DialOptions(role, name)...)
	if err != nil {
		return nil, fmt.Errorf("couldn't connect to %s: %w", address, err)
	}
	report, err := withOthers(m, credentials, address, func(others []audit.Other) (*audit.Report, error) {
		return audit.Peer(cmd.Context(), ltlv1.NewLedgerClient(conn), con.trust, others...)
	})
	return report, errors.Join(err, conn.Close())
}

// withOthers runs f with connections to all nodes but the one at an address.
func withOthers[T any](m company, credentials *identity.Credentials, but string, f func([]audit.Other) (*T, error)) (_ *T, err error) {
	var others []audit.Other
	for _, n := range m.nodes {
		if n.GetAddress() == but {
			continue
		}
		conn, dialErr := grpc.NewClient(n.GetAddress(), credentials.DialOptions(identity.RoleNode, n.GetId())...)
		if dialErr != nil {
			return nil, fmt.Errorf("couldn't connect to %s: %w", n.GetAddress(), dialErr)
		}
		defer func() { err = errors.Join(err, conn.Close()) }()
		others = append(others, audit.Other{Name: n.GetId(), Ledger: ltlv1.NewLedgerClient(conn)})
	}
	return f(others)
}

// find finds the node or endorser that people mean by a node's id, an organisation's id, or an address.
func (m company) find(from string) (address string, role identity.Role, name string, err error) {
	for i, n := range m.nodes {
		if from == n.GetId() || from == n.GetAddress() || from == "" && i == 0 {
			return n.GetAddress(), identity.RoleNode, n.GetId(), nil
		}
	}
	for _, o := range m.organisations {
		if from == o.GetId() || from == "endorser/"+o.GetId() || from == o.GetEndorserAddress() {
			return o.GetEndorserAddress(), identity.RoleEndorser, o.GetId(), nil
		}
	}
	return "", "", "", fmt.Errorf("%q is no node, organisation or address of the network", from)
}

// only leaves one chain in the report.
func only(report *audit.Report, chain string) error {
	for _, c := range report.Chains {
		if c.ID == chain {
			report.Chains = []audit.Chain{c}
			return nil
		}
	}
	return fmt.Errorf("there is no chain with the id %q", chain)
}

func auditTable(w io.Writer, r *audit.Report) {
	fmt.Fprintln(w, "CHAIN\tHEIGHT\tTRANSACTIONS\tREFUSED\tNEWEST BLOCK HASH")
	for _, c := range r.Chains {
		fmt.Fprintf(w, "%s\t%d\t%d\t%d\t%s\n", c.ID, c.Height, c.Transactions, c.Refused, c.BlockHash)
	}
	fmt.Fprintf(w, "\n%s: %d blocks with %d transactions executed again in %s;\n", r.Source, r.Blocks, r.Transactions, r.Took.Round(time.Millisecond))
	fmt.Fprintln(w, "links, roots, endorsements, policies and results are right, from the genesis of the trust file on.")
	comparisonTable(w, r.Compared)
}

// comparisonTable says how far the copy is behind the other nodes.
func comparisonTable(w io.Writer, compared []audit.Comparison) {
	if len(compared) == 0 {
		fmt.Fprintln(w, "It was compared with no other node: whether it lacks the newest blocks is not known.")
		return
	}
	fmt.Fprintln(w, "\nCOMPARED WITH\tBEHIND BY\tWHERE")
	for _, c := range compared {
		var where []string
		for _, l := range c.Chains {
			where = append(where, fmt.Sprintf("%d of chain %s, which is at height %d there", l.Blocks, l.ChainID, l.Height))
		}
		behind := fmt.Sprintf("%d blocks", c.Behind)
		if c.Error != "" {
			behind, where = "not known", append(where, c.Error)
		}
		fmt.Fprintf(w, "%s\t%s\t%s\n", c.Name, behind, strings.Join(where, "; "))
	}
}
