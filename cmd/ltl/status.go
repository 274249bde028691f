package main

import (
	"cmp"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"ltl/client"
	ltlv1 "ltl/proto/ltl/v1"
)

const statusTimeout = 3 * time.Second

// roleLeader is the role of a node that leads, in its status.
const roleLeader = "leader"

// errUnhealthy makes `ltl status` exit non-zero when it showed something wrong.
var errUnhealthy = errors.New("not well")

// healthOf names what is wrong.
func healthOf(rows []statusRow) error {
	var bad []string
	led := false
	for _, r := range rows {
		if r.Fault != "" {
			bad = append(bad, r.Peer)
		}
		led = led || r.Role == roleLeader
	}
	if !led {
		bad = append(bad, "no node leads")
	}
	if len(bad) > 0 {
		return fmt.Errorf("%w: %s", errUnhealthy, strings.Join(bad, ", "))
	}
	return nil
}

type chainTip struct {
	ChainID   string    `json:"chainId"`
	Height    uint64    `json:"height"`
	BlockHash string    `json:"blockHash"`
	Time      time.Time `json:"time"`
}

type statusRow struct {
	Peer         string     `json:"peer"`
	Role         string     `json:"role,omitempty"`
	Leader       string     `json:"leader,omitempty"`
	Term         uint64     `json:"term,omitempty"`
	AppliedIndex uint64     `json:"appliedIndex,omitempty"`
	Sequence     uint64     `json:"sequence"`
	Chains       []chainTip `json:"chains,omitempty"`
	// Fault says what is wrong; empty when nothing is.
	Fault string `json:"fault,omitempty"`
}

func newStatus() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "status",
		Short: "Show how every node and endorser is; fails when one is not well",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return withClient(cmd, func(c *client.Client, con *connection) error {
				rows := askAll(cmd.Context(), c, con)
				if err := emit(cmd, rows, func(w io.Writer) { statusTable(w, rows) }); err != nil {
					return err
				}
				return healthOf(rows)
			})
		},
	}
	addConnection(cmd)
	return cmd
}

// peersOf names every node and endorser of the trust file.
func peersOf(con *connection) (peers []string) {
	for _, n := range con.trust.Genesis().GetNodes() {
		peers = append(peers, n.GetId())
	}
	for _, o := range con.trust.Genesis().GetOrganisations() {
		peers = append(peers, "endorser/"+o.GetId())
	}
	return peers
}

// askAll asks every node and endorser of the trust file.
func askAll(ctx context.Context, c *client.Client, con *connection) []statusRow {
	peers := peersOf(con)
	rows := make([]statusRow, len(peers))
	for i, peer := range peers {
		ctx, cancel := context.WithTimeout(ctx, statusTimeout)
		res, err := c.Ledger().Status(ctx, peer)
		cancel()
		rows[i] = rowOf(peer, res, err)
	}
	return rows
}

func rowOf(peer string, res *ltlv1.StatusResponse, err error) statusRow {
	if err != nil {
		return statusRow{Peer: peer, Fault: err.Error()}
	}
	row := statusRow{
		Peer: peer, Role: res.GetRole(), Leader: res.GetLeader(), Term: res.GetTerm(),
		AppliedIndex: res.GetAppliedIndex(), Sequence: res.GetSequence(), Fault: res.GetFault(),
	}
	for _, c := range res.GetChains() {
		row.Chains = append(row.Chains, chainTip{
			ChainID: c.GetChainId(), Height: c.GetHeight(), BlockHash: hex.EncodeToString(c.GetBlockHash()), Time: time.UnixMilli(c.GetTimeMs()).UTC(),
		})
	}
	return row
}

func statusTable(w io.Writer, rows []statusRow) {
	fmt.Fprintln(w, "PROCESS\tROLE\tLEADER\tTERM\tAPPLIED\tBLOCKS\tFAULT")
	for _, r := range rows {
		fmt.Fprintf(w, "%s\t%s\t%s\t%d\t%d\t%d\t%s\n", r.Peer, r.Role, r.Leader, r.Term, r.AppliedIndex, r.Sequence, r.Fault)
	}
	fmt.Fprintln(w, "\nCHAIN\tHEIGHT\tBLOCK HASH\tTIME\tNEWEST BLOCK OF")
	var tips []chainTip
	holders := map[chainTip][]string{}
	for _, r := range rows {
		for _, c := range r.Chains {
			if holders[c] == nil {
				tips = append(tips, c)
			}
			holders[c] = append(holders[c], r.Peer)
		}
	}
	slices.SortStableFunc(tips, func(a, b chainTip) int { return cmp.Compare(a.ChainID, b.ChainID) })
	for _, c := range tips {
		who := strings.Join(holders[c], ", ")
		if len(holders[c]) == len(rows) {
			who = "all"
		}
		fmt.Fprintf(w, "%s\t%d\t%.16s…\t%s\t%s\n", c.ChainID, c.Height, c.BlockHash, c.Time.Format(time.RFC3339), who)
	}
}
