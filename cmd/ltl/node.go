package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"ltl/internal/identity"
	"ltl/internal/localnet"
	"ltl/internal/rules"
	"ltl/node"
	ltlv1 "ltl/proto/ltl/v1"
)

const (
	flagWait = "wait"
	// defaultWait is how long a command waits for other organisations' approvals, and for a change of nodes to be carried
	// out; a new node may have much to fetch.
	defaultWait = 10 * time.Minute
	waitPoll    = 200 * time.Millisecond
)

// The kinds of members in Raft's configuration.
const (
	kindVoter   = "voter"
	kindLearner = "learner"
)

// errNotYet says that a change is recorded but not carried out yet.
var errNotYet = errors.New("the change is on the ledger, but Raft has not carried it out yet")

// newNode makes `ltl node`, which runs a node, and its subcommands, which change the nodes of a network.
func newNode() *cobra.Command {
	var r role
	var scrub time.Duration
	cmd := &cobra.Command{
		Use:   "node",
		Short: "Run a consensus node, until a signal",
		Args:  cobra.NoArgs,
		RunE:  func(cmd *cobra.Command, _ []string) error { return runNode(cmd.Context(), &r, scrub) },
	}
	r.flags(cmd, "data directory of the node (required)")
	scrubFlag(cmd, &scrub)
	cmd.AddCommand(newNodeList(), newNodePrepare(), newNodeAdd(), newNodeReplace(),
		newNodeMembership("promote", "Make a learner a voter, once it has caught up",
			"Makes a learner a voter, when its organisation and a majority approve: the change is proposed. It takes part in "+
				"elections and quorums once it has caught up.",
			ltlv1.NodeMembership_NODE_MEMBERSHIP_VOTER),
		newNodeMembership("demote", "Make a voter a learner",
			"Makes a voter a learner: it keeps the ledger and serves reads, and counts in no quorum.",
			ltlv1.NodeMembership_NODE_MEMBERSHIP_LEARNER),
		newNodeAddress(),
		newNodeMembership("remove", "Remove a node for good", `Removes a node for good: its id and keys cannot be used again. Its process stops by itself. To put another node in its
place, use ltl node replace, which keeps the number of voters. An operator of another organisation proposes the removal,
and enough of the others must approve; the same holds for demote.`, ltlv1.NodeMembership_NODE_MEMBERSHIP_REMOVED))
	return cmd
}

// runNode runs a node until ctx ends. A node whose ledger is damaged asks to be opened again, and then rebuilds it.
func runNode(ctx context.Context, r *role, scrub time.Duration) error {
	return r.run(identity.RoleNode, func(p *process) error {
		for {
			n, err := node.Open(ctx, node.Config{
				Dir: r.dir, Listen: r.listen, AdminListen: r.admin, Metrics: p.metrics, Tracer: p.tracer,
				Credentials: p.credentials, Trust: p.trust, ScrubInterval: scrub, Logger: p.logger,
			})
			if err != nil {
				return err
			}
			serveUntil(ctx.Done(), n.Restart())
			if err := n.Close(); err != nil || ctx.Err() != nil {
				return err
			}
		}
	})
}

// nodeRow is a node as `ltl node list` prints it. Its JSON names are stable.
type nodeRow struct {
	ID           string `json:"id"`
	Organisation string `json:"organisation"`
	Address      string `json:"address"`
	// Membership is what the ledger wants the node to be, Raft what it is in the leader's Raft configuration: voter,
	// learner, or empty when it is not in it.
	Membership string `json:"standing"`
	Raft       string `json:"raft"`
}

func newNodeList() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List the nodes that the system chain knows, and what they are in Raft",
		Args:  cobra.NoArgs,
		RunE: online(func(s *session, _ []string) error {
			res, err := s.client.Ledger().GetNetwork(s.cmd.Context(), &ltlv1.GetNetworkRequest{})
			if err != nil {
				return err
			}
			rows := make([]nodeRow, 0, len(res.GetNodes()))
			members := raftMembers(s.statusOfAll(s.cmd.Context()))
			for i, n := range res.GetNodes() {
				row := nodeRow{ID: n.GetId(), Organisation: n.GetOrganisation(), Address: n.GetAddress(), Raft: members[n.GetId()]}
				if i < len(res.GetMemberships()) {
					row.Membership = membershipName(res.GetMemberships()[i])
				}
				rows = append(rows, row)
			}
			return emitRows(s.cmd, rows, "NODE|ORGANISATION|ADDRESS|MEMBERSHIP|RAFT", func(r nodeRow) []any {
				return []any{r.ID, r.Organisation, r.Address, r.Membership, r.Raft}
			})
		}),
	}
	addConnection(cmd)
	return cmd
}

// raftMembers is the kind of each node in the leader's Raft configuration, by its id; empty when no node leads.
func raftMembers(rows []statusRow) map[string]string {
	members := map[string]string{}
	for _, r := range rows {
		if r.Role != roleLeader {
			continue
		}
		for _, m := range r.Members {
			if id, kind, ok := strings.Cut(m, " "); ok {
				members[id] = kind
			}
		}
	}
	return members
}

// newNodePrepare makes `ltl node prepare`. The store id that it makes is recorded with the node, so that a lost or
// copied directory is refused: it could hold an older vote or log than the network has counted.
func newNodePrepare() *cobra.Command {
	var dir, keys, trustPath, address string
	cmd := &cobra.Command{
		Use:   "prepare",
		Short: "Make the directory of a node that is to join, and the file that describes it",
		Long: `Makes the data directory of a node that is to join a running network, and describes the node in node.json
there, which holds no secret. Hand that file to an operator of the network, who adds the node with ltl node add or
ltl node replace. It has the signature of the node's key that the node is to join the network of the trust file, so no
other organisation can enter that key. The node's keys are made with ltl pki issue. A directory is prepared once: a node
that lost its directory comes back under another id.`,
		Example: `  ltl pki issue org1/node/node4 --ca pki/orgs/org1 --out pki/nodes/node4
  ltl node prepare --dir data/node4 --identity pki/nodes/node4 --trust trust.json --address node4.example:7000`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			trust, err := identity.LoadTrust(trustPath)
			if err != nil {
				return err
			}
			storeID, err := node.Prepare(dir)
			if err != nil {
				return err
			}
			n, err := identity.DescribeNode(trust, keys, dir, address, storeID)
			if err != nil {
				return err
			}
			file := dir + "/" + identity.NodeFile
			result := map[string]string{"id": n.GetId(), "organisation": n.GetOrganisation(), "directory": dir, "file": file}
			return emitFields(cmd, result, field{"node", n.GetId()}, field{"organisation", n.GetOrganisation()},
				field{"address", address}, field{"for `ltl node add`", file})
		},
	}
	cmd.Flags().StringVar(&dir, flagDir, "", "data directory to make (required)")
	cmd.Flags().StringVar(&keys, flagIdentity, "", "directory with the node's certificate and keys (required)")
	cmd.Flags().StringVar(&trustPath, flagTrust, "", "trust file of the network (required)")
	cmd.Flags().StringVar(&address, "address", "", "HOST:PORT at which the other nodes reach it (required)")
	mustRequire(cmd, flagDir, flagIdentity, flagTrust, "address")
	return cmd
}

func newNodeAdd() *cobra.Command {
	var learner bool
	cmd := &cobra.Command{
		Use:   "add FILE",
		Short: "Add a node to the network, from the node.json that ltl node prepare made",
		Long: `Adds a node to the network. FILE is the node.json that its organisation made with ltl node prepare. The
node fetches the ledger as a learner, and becomes a voter when it has caught up; with --learner it stays a learner.
A learner is its organisation's own act. A voter is proposed: its organisation and a majority must approve. The command
returns when all of that is done.`,
		Example: `  ltl node add data/node4/node.json --dir ltl-data`,
		Args:    cobra.ExactArgs(1),
	}
	onNodes(cmd, func(args []string) (*nodeChange, error) {
		want := ltlv1.NodeMembership_NODE_MEMBERSHIP_VOTER
		if learner {
			want = ltlv1.NodeMembership_NODE_MEMBERSHIP_LEARNER
		}
		return addition(args[0], want, "")
	})
	cmd.Flags().BoolVar(&learner, "learner", false, "it does not vote: it holds the ledger and serves reads")
	return cmd
}

func newNodeReplace() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "replace NODE FILE",
		Short: "Put a new node in the place of one whose disk or machine is lost",
		Long: `Puts a new node, from the node.json that ltl node prepare made, in the place of another one: the new one
fetches the ledger and becomes a voter, and then the old one is removed for good. One transaction records both. In the
place of a learner it is a further voter, which is proposed: its organisation and a majority must approve.`,
		Example: `  ltl node replace node2 data/node4/node.json --dir ltl-data`,
		Args:    cobra.ExactArgs(2),
	}
	onNodes(cmd, func(args []string) (*nodeChange, error) {
		return addition(args[1], ltlv1.NodeMembership_NODE_MEMBERSHIP_VOTER, args[0])
	})
	return cmd
}

// newNodeMembership makes promote, demote or remove: each records what the node is to be.
func newNodeMembership(use, short, long string, want ltlv1.NodeMembership) *cobra.Command {
	cmd := &cobra.Command{
		Use: use + " NODE", Short: short, Long: long, Args: cobra.ExactArgs(1),
		Example: "  ltl node " + use + " node4 --dir ltl-data",
	}
	onNodes(cmd, func(args []string) (*nodeChange, error) {
		tx := &ltlv1.Transaction{Action: &ltlv1.Transaction_ChangeNode{
			ChangeNode: &ltlv1.ChangeNode{Id: args[0], Membership: want},
		}}
		return &nodeChange{tx: tx, id: args[0], want: want}, nil
	})
	if want != ltlv1.NodeMembership_NODE_MEMBERSHIP_VOTER {
		addForce(cmd)
	}
	return cmd
}

// newNodeAddress makes `ltl node address`.
func newNodeAddress() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "address NODE HOST:PORT",
		Short: "Record that a node is reached at another address",
		Long: `Records that a node is reached at another address from now on. Nodes, endorsers and clients that hear of it
connect there, and nothing is restarted but the node itself. Record the new address first, and then start the node
there: until it answers at that address, the network is one node short.`,
		Example: `  ltl node address node4 node4.example:7100 --dir ltl-data`,
		Args:    cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			owner := func(s *session) (string, error) { return s.ownerOfNode(args[0]) }
			return withOwner(cmd, owner, func(s *session) error {
				result, err := s.submitToSystem(&ltlv1.Transaction{Action: &ltlv1.Transaction_SetNodeAddress{
					SetNodeAddress: &ltlv1.SetNodeAddress{Id: args[0], Address: args[1]},
				}}, nodeAdvice())
				if err != nil {
					return err
				}
				if s.network != nil {
					dir, _ := cmd.Flags().GetString(flagDir)
					switch here, err := localnet.MoveNode(dir, args[0], args[1]); {
					case err != nil:
						return fmt.Errorf("the address is on the ledger, do not repeat it: %w", err)
					case here:
						fmt.Fprintln(cmd.ErrOrStderr(), "ltl: the next start of `ltl up` runs the node there")
					}
				}
				height := result.GetBlockHeight()
				row := map[string]any{"id": args[0], "address": args[1], "blockHeight": height}
				return emitFields(cmd, row, field{"node", args[0]}, field{"address", args[1]},
					field{"recorded", fmt.Sprintf("block %d of the system chain", height)})
			})
		},
	}
	addConnection(cmd)
	return cmd
}

// nodeChange is a change of one node's membership. A node that it replaces is removed; empty for none.
type nodeChange struct {
	tx           *ltlv1.Transaction
	id, replaces string
	// organisation is the node's; empty where the ledger says it.
	organisation string
	want         ltlv1.NodeMembership
}

// addition reads the description of a node that is to be added.
func addition(path string, want ltlv1.NodeMembership, replaces string) (*nodeChange, error) {
	n, possession, err := identity.LoadNode(path)
	if err != nil {
		return nil, err
	}
	tx := &ltlv1.Transaction{Action: &ltlv1.Transaction_AddNode{
		AddNode: &ltlv1.AddNode{Node: n, Membership: want, Replaces: replaces, Possession: possession},
	}}
	return &nodeChange{tx: tx, id: n.GetId(), replaces: replaces, organisation: n.GetOrganisation(), want: want}, nil
}

// onNodes completes a command that makes one change of the nodes and waits until Raft has carried it out.
func onNodes(cmd *cobra.Command, changeOf func(args []string) (*nodeChange, error)) {
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		change, err := changeOf(args)
		if err != nil {
			return err
		}
		owner := func(s *session) (string, error) {
			if change.organisation != "" {
				return change.organisation, nil
			}
			return s.ownerOfNode(change.id)
		}
		return withOwner(cmd, owner, func(s *session) error { return s.changeNode(change) })
	}
	addConnection(cmd)
	addWait(cmd)
}

// changeNode makes a change of the nodes and prints it.
func (s *session) changeNode(change *nodeChange) error {
	if change.want != ltlv1.NodeMembership_NODE_MEMBERSHIP_VOTER && change.replaces == "" {
		if err := s.keepsQuorum(func(n *ltlv1.Node) bool { return n.GetId() == change.id }); err != nil {
			return err
		}
	}
	d, err := s.decide(change.tx, nodeAdvice())
	if err != nil || !d.made {
		return err
	}
	if left := time.Until(d.deadline); left > 0 {
		ctx, cancel := context.WithTimeout(s.cmd.Context(), left)
		defer cancel()
		if err := s.waitForNode(ctx, change); err != nil {
			return err
		}
	}
	want := membershipName(change.want)
	row := map[string]any{"id": change.id, "standing": want, "blockHeight": d.height}
	return emitFields(s.cmd, row, field{"node", change.id}, field{"membership", want},
		field{"recorded", fmt.Sprintf("block %d of the system chain", d.height)})
}

// waitForNode returns when the leader's Raft configuration shows the change.
func (s *session) waitForNode(ctx context.Context, change *nodeChange) error {
	for {
		if slices.ContainsFunc(s.statusOfAll(ctx), change.carriedOut) {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%w; is node %s running? `ltl node list` shows its progress, and the leader continues by "+
				"itself", errNotYet, change.id)
		case <-time.After(waitPoll):
		}
	}
}

// carriedOut reports whether r is the leader's status and its Raft configuration shows the change.
func (n *nodeChange) carriedOut(r statusRow) bool {
	if r.Role != roleLeader {
		return false
	}
	kinds := raftMembers([]statusRow{r})
	want := ""
	switch n.want {
	case ltlv1.NodeMembership_NODE_MEMBERSHIP_VOTER:
		want = kindVoter
	case ltlv1.NodeMembership_NODE_MEMBERSHIP_LEARNER:
		want = kindLearner
	}
	return kinds[n.id] == want && (n.replaces == "" || kinds[n.replaces] == "")
}

// nodeAdvice says what to do when a change of the nodes is refused.
func nodeAdvice() advice {
	return advice{
		rules.NotFound: "there is no such node or organisation in the network; `ltl node list` and `ltl org list` list " +
			"the existing ones",
		rules.OutOfRange: "an id has 1 to 32 characters, an address is HOST:PORT; `ltl node prepare` writes a file that " +
			"holds both",
		rules.QuotaExceeded: fmt.Sprintf("a network has at most %d nodes at a time, an organisation %d beyond those of "+
			"the genesis, and %d over its whole life", rules.MaxNodes, rules.MaxNodesOf, rules.MaxNodesEver),
		rules.Forbidden: adviceOperator,
	}
}

// membershipName is the word for what a node is on the ledger: voter, learner or removed.
func membershipName(s ltlv1.NodeMembership) string {
	return strings.ToLower(strings.TrimPrefix(s.String(), "NODE_MEMBERSHIP_"))
}
