package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"ltl/client"
	"ltl/internal/identity"
	"ltl/internal/ledger"
	"ltl/internal/rules"
	"ltl/node"
	ltlv1 "ltl/proto/ltl/v1"
)

const (
	flagWait = "wait"
	// defaultWait is how long a change of nodes may take to be carried out; a new node may have much to fetch.
	defaultWait = 10 * time.Minute
	waitPoll    = 200 * time.Millisecond
)

// errNotYet says that a change is recorded, and not carried out yet.
var errNotYet = errors.New("the change stands on the ledger, and Raft has not carried it out yet")

func newNodePrepare() *cobra.Command {
	var dir, keys, address string
	cmd := &cobra.Command{
		Use:   "prepare",
		Short: "Make the directory of a node that is to join, and the file that describes it",
		Long: `Makes the data directory of a node that is to join a running network, and describes the node in node.json there, which holds nothing secret: hand
that file to an operator of the network, who enters it with ltl node add or ltl node replace. The node's keys are made with ltl pki issue. A
directory is prepared once: a node that lost it comes back under another id.`,
		Example: `  ltl pki issue org1/node/node4 --ca pki/orgs/org1 --out pki/nodes/node4
  ltl node prepare --dir data/node4 --identity pki/nodes/node4 --address node4.example:7000`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			incarnation, err := node.Prepare(dir)
			if err != nil {
				return err
			}
			n, err := identity.DescribeNode(keys, dir, address, incarnation)
			if err != nil {
				return err
			}
			file := dir + "/" + identity.NodeFile
			return emit(cmd, map[string]string{"id": n.GetId(), "organisation": n.GetOrganisation(), "directory": dir, "file": file}, func(w io.Writer) {
				fmt.Fprintf(w, "node\t%s\norganisation\t%s\naddress\t%s\nfor `ltl node add`\t%s\n", n.GetId(), n.GetOrganisation(), address, file)
			})
		},
	}
	cmd.Flags().StringVar(&dir, flagDir, "", "data directory to make (required)")
	cmd.Flags().StringVar(&keys, flagIdentity, "", "directory with the node's certificate and keys (required)")
	cmd.Flags().StringVar(&address, "address", "", "HOST:PORT at which the others reach it (required)")
	mustRequire(cmd, flagDir, flagIdentity, "address")
	return cmd
}

func newNodeAdd() *cobra.Command {
	var learner bool
	cmd := nodeChange(&cobra.Command{
		Use:   "add FILE",
		Short: "Add a node to the network, from the node.json that ltl node prepare made",
		Long: `Adds a node to the network. FILE is the node.json that its organisation made with ltl node prepare. The node fetches the ledger as a learner,
and becomes a voter when it has caught up; with --learner it stays one. The command returns when that is done.`,
		Example: `  ltl node add data/node4/node.json --dir ltl-data`,
		Args:    cobra.ExactArgs(1),
	}, func(args []string) (*ltlv1.Transaction, string, ltlv1.NodeStanding, error) {
		standing := ltlv1.NodeStanding_NODE_STANDING_VOTER
		if learner {
			standing = ltlv1.NodeStanding_NODE_STANDING_LEARNER
		}
		return addition(args[0], standing, "")
	})
	cmd.Flags().BoolVar(&learner, "learner", false, "it does not vote: it holds the ledger and serves reads")
	return cmd
}

func newNodeReplace() *cobra.Command {
	return nodeChange(&cobra.Command{
		Use:   "replace NODE FILE",
		Short: "Put a new node in the place of one whose disk or machine is gone",
		Long: `Puts a new node, from the node.json that ltl node prepare made, in the place of another one: the new one fetches the ledger, becomes a
voter, and then the old one is removed for good. Both happen by one transaction.`,
		Example: `  ltl node replace node2 data/node4/node.json --dir ltl-data`,
		Args:    cobra.ExactArgs(2),
	}, func(args []string) (*ltlv1.Transaction, string, ltlv1.NodeStanding, error) {
		return addition(args[1], ltlv1.NodeStanding_NODE_STANDING_VOTER, args[0])
	})
}

// addition reads the description of a node that is to be added.
func addition(path string, standing ltlv1.NodeStanding, replaces string) (*ltlv1.Transaction, string, ltlv1.NodeStanding, error) {
	n, err := identity.LoadNode(path)
	if err != nil {
		return nil, "", 0, err
	}
	return &ltlv1.Transaction{Action: &ltlv1.Transaction_AddNode{AddNode: &ltlv1.AddNode{Node: n, Standing: standing, Replaces: replaces}}}, n.GetId(), standing, nil
}

func newNodeStanding(use, short, long string, standing ltlv1.NodeStanding) *cobra.Command {
	return nodeChange(&cobra.Command{
		Use: use + " NODE", Short: short, Long: long, Args: cobra.ExactArgs(1),
		Example: "  ltl node " + use + " node4 --dir ltl-data",
	}, func(args []string) (*ltlv1.Transaction, string, ltlv1.NodeStanding, error) {
		return &ltlv1.Transaction{Action: &ltlv1.Transaction_ChangeNode{ChangeNode: &ltlv1.ChangeNode{Id: args[0], Standing: standing}}}, args[0], standing, nil
	})
}

// nodeChange makes a command that records one change of the nodes and waits until Raft has carried it out.
func nodeChange(cmd *cobra.Command, change func(args []string) (tx *ltlv1.Transaction, id string, standing ltlv1.NodeStanding, err error)) *cobra.Command {
	wait := cmd.Flags().Duration(flagWait, defaultWait, "how long to wait until it is carried out; 0 returns when it is recorded")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		tx, id, standing, err := change(args)
		if err != nil {
			return err
		}
		tx.ChainId = ledger.SystemChain
		return withClient(cmd, func(c *client.Client, con *connection) error {
			result, err := submit(cmd.Context(), c, tx, nodeHints()...)
			if err != nil {
				return err
			}
			if *wait > 0 {
				ctx, cancel := context.WithTimeout(cmd.Context(), *wait)
				defer cancel()
				if err := waitForStanding(ctx, c, con, id, standing, tx.GetAddNode().GetReplaces()); err != nil {
					return err
				}
			}
			row := map[string]any{"id": id, "standing": standingName(standing), "blockHeight": result.GetBlockHeight()}
			return emit(cmd, row, func(w io.Writer) {
				fmt.Fprintf(w, "node\t%s\nstanding\t%s\nrecorded\tblock %d of the system chain\n", id, standingName(standing), result.GetBlockHeight())
			})
		})
	}
	addConnection(cmd)
	return cmd
}

// waitForStanding returns when the leader's Raft configuration has the node as wanted, and the replaced one no more.
func waitForStanding(ctx context.Context, c *client.Client, con *connection, id string, standing ltlv1.NodeStanding, replaced string) error {
	for {
		for _, r := range askAll(ctx, c, con) {
			if r.Role != roleLeader {
				continue
			}
			has := func(id, kind string) bool { return slices.Contains(r.Members, id+" "+kind) }
			there := has(id, kindVoter) && standing == ltlv1.NodeStanding_NODE_STANDING_VOTER || has(id, kindLearner) && standing == ltlv1.NodeStanding_NODE_STANDING_LEARNER ||
				!has(id, kindVoter) && !has(id, kindLearner) && standing == ltlv1.NodeStanding_NODE_STANDING_REMOVED
			if there && (replaced == "" || !has(replaced, kindVoter) && !has(replaced, kindLearner)) {
				return nil
			}
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%w; is node %s running? `ltl node list` shows how far it is, the leader goes on by itself", errNotYet, id)
		case <-time.After(waitPoll):
		}
	}
}

// nodeHints say what to do when a change of the nodes is refused.
func nodeHints() []hint {
	return []hint{
		{rules.NotFound, "there is no such node or organisation in the network; `ltl node list` and `ltl org list` show those there are"},
		{rules.OutOfRange, "an id has 1 to 32 characters, an address is HOST:PORT; `ltl node prepare` writes a file that holds both"},
		{rules.QuotaExceeded, fmt.Sprintf("a network has at most %d nodes at a time, and %d ever", rules.MaxNodes, rules.MaxNodesEver)},
		{rules.Forbidden, "only an operator may do this; give --identity DIRECTORY with an operator's certificate"},
	}
}

// The kinds of members in Raft's configuration.
const (
	kindVoter   = "voter"
	kindLearner = "learner"
)

// standingName is the word for a standing.
func standingName(s ltlv1.NodeStanding) string {
	return strings.ToLower(strings.TrimPrefix(s.String(), "NODE_STANDING_"))
}
