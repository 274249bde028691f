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

// newAudit makes `ltl audit`. The audit itself is in internal/audit; this file finds the copy and the processes to
// compare it with.
func newAudit() *cobra.Command {
	var from, stored, chain string
	cmd := &cobra.Command{
		Use:   "audit",
		Short: "Recompute a whole ledger and name the first thing that is wrong",
		Long: `Executes every block again, from the trust file on: links, roots, endorsements, policies, results and state
must come out the same. Reads from a running node or endorser, or with --store from a stopped process's data
directory or a backup. Compares the newest blocks with those of the other nodes and says how far the copy is behind.
Exits non-zero when anything is wrong, or when another node has another block at the same height. With --store and
no --identity it contacts no process.`,
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
	f := cmd.Flags()
	f.StringVar(&from, "from", "",
		"the copy to read: a node's id, an organisation's id, or the address of either (default the first node)")
	f.StringVar(&stored, "store", "", "data directory of a stopped process, or a backup, in place of --from")
	f.StringVar(&chain, "chain", "", "report on this chain only; all are checked, as they depend on one another")
	return cmd
}

// checkBackup compares the ledger of a directory with the manifest in it; a directory that is no backup has none.
func checkBackup(dir string) error {
	if _, err := backup.Check(dir); err != nil && !errors.Is(err, backup.ErrNoBackup) {
		return err
	}
	return nil
}

// runAudit audits the copy that the options name. Only a stored copy can be audited without a certificate, because
// every running process asks for one; the comparison with other nodes is left out then.
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
	var report *audit.Report
	err = withSession(cmd, func(s *session) error {
		p := s.participants(cmd.Context())
		report, err = s.auditCopy(p, from, stored)
		return err
	})
	return report, err
}

// auditCopy audits a stored ledger, or that of a running process, and compares it with the other nodes.
func (s *session) auditCopy(p participants, from, stored string) (*audit.Report, error) {
	if stored != "" {
		return withOthers(s, p, "", func(others []audit.Other) (*audit.Report, error) {
			return audit.Stored(s.cmd.Context(), stored, s.trust, others...)
		})
	}
	return withCopy(s, p, from, func(source audit.Other, others []audit.Other) (*audit.Report, error) {
		return audit.Peer(s.cmd.Context(), source.Ledger, s.trust, others...)
	})
}

// peer is a node or an endorser: name is the node's or the organisation's id.
type peer struct {
	address string
	role    identity.Role
	name    string
}

// find finds the node or endorser that people mean by a node's id, an organisation's id, or an address. An empty name
// is the first node.
func (p participants) find(name string) (peer, error) {
	for i, n := range p.nodes {
		if name == n.GetId() || name == n.GetAddress() || name == "" && i == 0 {
			return peer{n.GetAddress(), identity.RoleNode, n.GetId()}, nil
		}
	}
	for _, o := range p.organisations {
		if name == o.GetId() || name == "endorser/"+o.GetId() || name == o.GetEndorserAddress() {
			return peer{o.GetEndorserAddress(), identity.RoleEndorser, o.GetId()}, nil
		}
	}
	return peer{}, fmt.Errorf("%q is no node, organisation or address of the network; `ltl node list` and `ltl org "+
		"list` list the existing ones", name)
}

// dial connects to one process; the caller closes the connection.
func (s *session) dial(p peer) (*grpc.ClientConn, error) {
	credentials, err := s.credentials()
	if err != nil {
		return nil, err
	}
	conn, err := grpc.NewClient(p.address, credentials.DialOptions(p.role, p.name)...)
	if err != nil {
		return nil, fmt.Errorf("couldn't connect to %s: %w", p.address, err)
	}
	return conn, nil
}

// withCopy runs f with a connection to the process that people mean by from, and connections to all other nodes.
func withCopy[T any](
	s *session, p participants, from string, f func(source audit.Other, others []audit.Other) (*T, error),
) (_ *T, err error) {
	source, err := p.find(from)
	if err != nil {
		return nil, err
	}
	conn, err := s.dial(source)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, conn.Close()) }()
	return withOthers(s, p, source.address, func(others []audit.Other) (*T, error) {
		return f(audit.Other{Name: source.name, Ledger: ltlv1.NewLedgerClient(conn)}, others)
	})
}

// withOthers runs f with connections to all nodes but the one at an address.
func withOthers[T any](s *session, p participants, but string, f func([]audit.Other) (*T, error)) (_ *T, err error) {
	var others []audit.Other
	for _, n := range p.nodes {
		if n.GetAddress() == but {
			continue
		}
		conn, dialErr := s.dial(peer{n.GetAddress(), identity.RoleNode, n.GetId()})
		if dialErr != nil {
			return nil, dialErr
		}
		defer func() { err = errors.Join(err, conn.Close()) }()
		others = append(others, audit.Other{Name: n.GetId(), Ledger: ltlv1.NewLedgerClient(conn)})
	}
	return f(others)
}

// only leaves one chain in the report.
func only(report *audit.Report, chain string) error {
	for _, c := range report.Chains {
		if c.ID == chain {
			report.Chains = []audit.Chain{c}
			return nil
		}
	}
	return fmt.Errorf("there is no chain with the id %q; `ltl chain list` lists the existing ones", chain)
}

// auditTable prints a report for people: a line for each chain, the outcome, and the comparison.
func auditTable(w io.Writer, r *audit.Report) {
	fmt.Fprintln(w, "CHAIN\tHEIGHT\tTRANSACTIONS\tREFUSED\tNEWEST BLOCK HASH")
	for _, c := range r.Chains {
		fmt.Fprintf(w, "%s\t%d\t%d\t%d\t%s\n", c.ID, c.Height, c.Transactions, c.Refused, c.BlockHash)
	}
	fmt.Fprintf(w, "\n%s: %d blocks with %d transactions executed again in %s;\n",
		r.Source, r.Blocks, r.Transactions, r.Took.Round(time.Millisecond))
	fmt.Fprintln(w, "links, roots, endorsements, policies and results are right, from the genesis of the trust file on.")
	if r.Lacking > 0 {
		fmt.Fprintf(w, "The values of %d blocks, or some of them, are not in this copy; other processes may have them.\n",
			r.Lacking)
	}
	if c := r.Continues; c != nil {
		fmt.Fprintf(w, "By its genesis it continues network %s after %d blocks, which `ltl trust show` compares with a copy of that "+
			"ledger.\n", c.NetworkID, c.Blocks)
	}
	correctionTable(w, r)
	comparisonTable(w, r.Compared)
}

// shownCorrections is how many corrections are printed; the output as JSON has more.
const shownCorrections = 20

// correctionTable says which records were declared wrong.
func correctionTable(w io.Writer, r *audit.Report) {
	if r.Corrected == 0 {
		return
	}
	fmt.Fprintf(w, "\nRecords were declared wrong %d times:\n", r.Corrected)
	for i, c := range r.Corrections {
		if i == shownCorrections {
			fmt.Fprintln(w, "… (--output json lists the first 1000)")
			break
		}
		by := "its owner"
		if c.ByAdministrator {
			by = "the chain's administrator"
		}
		// The reason is a member's text: quoted, it can make no line that looks like the audit's.
		fmt.Fprintf(w, "declared wrong on %s by %s: %s of chain %s (Key %q, %q), replaced by %s: %q\n", formatTime(c.Time), by,
			c.Wrong, c.ChainID, c.Key, c.BusinessID, c.By, c.Reason)
	}
}

// comparisonTable says how far the copy is behind the other nodes.
func comparisonTable(w io.Writer, compared []audit.Comparison) {
	if len(compared) == 0 {
		fmt.Fprintln(w, "It was not compared with any other node: whether it lacks the newest blocks is not known.")
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
