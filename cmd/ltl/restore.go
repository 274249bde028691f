package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"
	"google.golang.org/grpc"

	"ltl/internal/audit"
	"ltl/internal/identity"
	"ltl/internal/ledger"
	"ltl/internal/rules"
	"ltl/internal/store"
	"ltl/node"
	ltlv1 "ltl/proto/ltl/v1"
)

// newerCopyTimeout bounds the search for processes that have more blocks than the copy.
const newerCopyTimeout = 5 * time.Second

// errNewerCopy says that another copy has more blocks than the one that is to be restored.
var errNewerCopy = errors.New("a newer copy exists; nothing was restored")

// restoreOptions are the options of `ltl restore`.
type restoreOptions struct {
	dir, from, keys, identity, trust, label string
	voters                                  []string
	acceptLoss                              bool
}

// newRestore makes `ltl restore`. The restored network has another restore epoch, which keeps directories of the
// former history out.
func newRestore() *cobra.Command {
	var o restoreOptions
	cmd := &cobra.Command{
		Use:   "restore",
		Short: "Make a node of a network that lost most of its nodes, from a copy of the ledger",
		Long: `Makes the directory of a node from a backup, or from the directory of a stopped endorser or node. Every
block is executed again. Run it once for each node with which the network restarts, always from copies of the same
blocks; then start them. The restored network has another restore epoch: a node that survived with its old directory
is refused, so that two histories never mix.

Endorsers and nodes that answer are asked first: when one has more blocks than the copy, nothing is restored,
because that process is the better source. A single node that lost its disk needs no restore: put another node in
its place with ltl node replace.`,
		Example: `  ltl restore --from backup --dir data/node1 --identity pki/nodes/node1 --trust trust.json`,
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			done, err := runRestore(cmd.Context(), &o)
			if err != nil {
				return err
			}
			return emitFields(cmd, done, field{"directory", o.dir}, field{"blocks", done.Blocks},
				field{"AccessKeys", done.AccessKeys},
				field{"starts with", strings.Join(done.Voters, ", ")}, field{"restore epoch", done.RestoreEpoch})
		},
	}
	f := cmd.Flags()
	f.StringVar(&o.from, "from", "", "the copy: a backup, or the directory of a stopped endorser or node (required)")
	f.StringVar(&o.keys, "access-keys-from", "",
		"a backup or a node's directory with the AccessKeys, when --from is an endorser's, which has none")
	f.StringVar(&o.dir, flagDir, "", "data directory of the node to make (required)")
	f.StringVar(&o.identity, flagIdentity, "", "directory with the node's certificate and keys (required)")
	f.StringVar(&o.trust, flagTrust, "", "trust file of the network (required)")
	f.StringSliceVar(&o.voters, "voters", nil,
		"nodes with which the network restarts; the same for each of them (default all voters of the ledger)")
	f.StringVar(&o.label, "label", "1", "distinguishes two restorations of the same blocks; the same for each node")
	f.BoolVar(&o.acceptLoss, "accept-loss", false,
		"restore although a process that answers has more blocks: they are lost")
	mustRequire(cmd, "from", flagDir, flagIdentity, flagTrust)
	return cmd
}

// runRestore makes the directory of one node. It opens the copies before it asks the network, as the copy names the
// processes to ask.
func runRestore(ctx context.Context, o *restoreOptions) (_ *node.Restored, err error) {
	trust, err := identity.LoadTrust(o.trust)
	if err != nil {
		return nil, err
	}
	credentials, err := identity.LoadCredentials(o.identity, trust, identity.WithLogger(quietLogger()))
	if err != nil {
		return nil, err
	}
	id := credentials.Identity()
	if id.Role != identity.RoleNode {
		return nil, fmt.Errorf("the certificate in %s is that of %s; a node's is needed: give --identity its directory",
			o.identity, id)
	}
	source, err := openCopy(o.from)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, source.Close()) }()
	cfg := node.RestoreConfig{
		Dir: o.dir, ID: id.Name, Source: source, Trust: trust, Voters: o.voters, Label: o.label, Logger: quietLogger(),
	}
	if o.keys != "" {
		keys, err := openCopy(o.keys)
		if err != nil {
			return nil, err
		}
		defer func() { err = errors.Join(err, keys.Close()) }()
		cfg.AccessKeys = keys
	}
	if !o.acceptLoss {
		if err := checkNoNewer(ctx, source, trust, credentials); err != nil {
			return nil, err
		}
	}
	return node.Restore(ctx, cfg)
}

// openCopy opens the ledger of a backup, or of a stopped node or endorser.
func openCopy(dir string) (*store.Store, error) {
	if err := checkBackup(dir); err != nil {
		return nil, err
	}
	path, err := audit.FindStore(dir)
	if err != nil {
		return nil, err
	}
	return store.Open(path, store.Options{Logger: slog.New(slog.DiscardHandler), Fatal: func(error) {}})
}

// checkNoNewer asks all endorsers and nodes that the copy names whether they have blocks that the copy lacks.
func checkNoNewer(ctx context.Context, source *store.Store, trust *identity.Trust, credentials *identity.Credentials) error {
	tip, _ := source.Tip(ledger.SystemChain) // its genesis is there
	if err := trust.Learn(source, tip.Header.Height, nil); err != nil {
		return err
	}
	organisations, err := rules.ListOrganisations(source)
	if err != nil {
		return err
	}
	nodes, err := rules.ListNodes(source)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, newerCopyTimeout)
	defer cancel()
	var mu sync.Mutex
	var more []string
	var asked sync.WaitGroup
	ask := func(name, address string, role identity.Role, peer string) {
		asked.Go(func() {
			have, err := sequenceOf(ctx, address, credentials.DialOptions(role, peer))
			if err == nil && have > source.Sequence() {
				mu.Lock()
				defer mu.Unlock()
				more = append(more, fmt.Sprintf("%s has %d", name, have))
			}
		})
	}
	for _, organisation := range organisations {
		ask("the endorser of "+organisation.ID, organisation.EndorserAddress, identity.RoleEndorser, organisation.ID)
	}
	for _, n := range nodes {
		if n.Membership != ltlv1.NodeMembership_NODE_MEMBERSHIP_REMOVED {
			ask("node "+n.ID, n.Address, identity.RoleNode, n.ID)
		}
	}
	asked.Wait()
	if len(more) > 0 {
		return fmt.Errorf("%w: the copy has %d blocks, %s; restore from there (stop it and give its directory to --from, "+
			"or bring the backup up to date with ltl backup --from), or lose those blocks with --accept-loss",
			errNewerCopy, source.Sequence(), strings.Join(more, ", "))
	}
	return nil
}

// sequenceOf asks a process how many blocks it has, of all chains.
func sequenceOf(ctx context.Context, address string, options []grpc.DialOption) (_ uint64, err error) {
	conn, err := grpc.NewClient(address, options...)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, conn.Close()) }()
	st, err := ltlv1.NewLedgerClient(conn).Status(ctx, &ltlv1.StatusRequest{})
	return st.GetSequence(), err
}
