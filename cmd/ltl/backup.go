package main

import (
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"ltl/internal/audit"
	"ltl/internal/backup"
)

// newBackup makes `ltl backup`. The copying is in internal/backup; this file finds the source and the processes to
// compare it with.
func newBackup() *cobra.Command {
	var from, out string
	var noKeys bool
	cmd := &cobra.Command{
		Use:   "backup",
		Short: "Copy the ledger of a running network into a directory, or bring such a copy up to date",
		Long: `Copies all blocks and the sealed AccessKeys while the network serves. Every block is executed again before
it is kept, and the newest ones are compared with those of all nodes that answer. Run it again on the same directory
to bring the backup up to date; an interrupted run continues where it stopped. When the blocks of the source are
wrong, the error names the source and nothing of that run is kept. ltl audit --store DIRECTORY verifies a backup
without the network.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if out == "" {
				return errors.New("which directory? give --out DIRECTORY")
			}
			return withSession(cmd, func(s *session) error {
				cfg := backup.Config{Dir: out, Trust: s.trust}
				if !noKeys {
					cfg.AccessKeys = s.client.WatchSealed
				}
				report, err := s.backup(cfg, from)
				if err != nil {
					return err
				}
				return emit(cmd, report, func(w io.Writer) { backupTable(w, report) })
			})
		},
	}
	addConnection(cmd)
	cmd.Flags().StringVar(&from, "from", "",
		"the copy to read: a node's id, an organisation's id, or the address of either (default the node that has most "+
			"blocks)")
	cmd.Flags().StringVar(&out, "out", "", "directory of the backup: new, empty, or that of an earlier run (required)")
	cmd.Flags().BoolVar(&noKeys, "no-access-keys", false,
		"copy no AccessKeys and keep those that the backup has; they need an operator, and most nodes")
	return cmd
}

// backup copies the ledger of one process and compares the copy with the other nodes.
func (s *session) backup(cfg backup.Config, from string) (*backup.Report, error) {
	p := s.participants(s.cmd.Context())
	run := func(source audit.Other, others []audit.Other) (*backup.Report, error) {
		cfg.Source, cfg.Others = source, others
		return backup.Run(s.cmd.Context(), cfg)
	}
	if from != "" {
		return withCopy(s, p, from, run)
	}
	return withOthers(s, p, "", func(others []audit.Other) (*backup.Report, error) { return run(audit.Other{}, others) })
}

// backupTable prints a report for people: a line for each chain, the totals, and the comparison with each node.
func backupTable(w io.Writer, r *backup.Report) {
	fmt.Fprintln(w, "CHAIN\tHEIGHT\tTIME\tNEWEST BLOCK HASH")
	for _, c := range r.Chains {
		writeCells(w, c.ID, c.Height, formatTime(c.Time), c.BlockHash)
	}
	fmt.Fprintf(w, "\n%s: %d blocks, %d of them new, from %s, executed again in %s.\n",
		r.Dir, r.Blocks, r.Added, r.Source, r.Took.Round(time.Millisecond))
	if k := r.AccessKeys; k != nil {
		fmt.Fprintf(w, "%d sealed AccessKeys, as they were at %s.\n", k.Count, k.Time.Format(time.RFC3339))
	} else {
		fmt.Fprintln(w, "No AccessKeys.")
	}
	if len(r.ComparedWith) == 0 {
		fmt.Fprintln(w, "It was not compared with any other node: the next run does that.")
	}
	for _, c := range r.Compared {
		if c.Error != "" {
			fmt.Fprintf(w, "Not compared with %s: %s.\n", c.Name, c.Error)
		} else {
			fmt.Fprintf(w, "Compared with %s: no block differs; that node has %d newer ones by now.\n", c.Name, c.Behind)
		}
	}
}
