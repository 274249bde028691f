package main

import (
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"ltl/internal/rules"
	ltlv1 "ltl/proto/ltl/v1"
)

// newNetworkRecordRestoration makes `ltl network record-restoration`.
func newNetworkRecordRestoration() *cobra.Command {
	var reason string
	var number uint32
	cmd := &cobra.Command{
		Use:   "record-restoration",
		Short: "Propose to record that the network was restored, the last step after ltl restore",
		Long: `Asks the nodes with which restore epoch they run and with how many blocks it began, and proposes to record that. A
majority of the organisations must approve. Until it is recorded, every process reports it, and no checkpoints are signed.
From then on what the former history had beyond those blocks is lost for good: its certificates end as abandoned.`,
		Example: `  ltl network record-restoration --reason "fire in the machine room" --dir ltl-data`,
		Args:    cobra.NoArgs,
		RunE: online(func(s *session, _ []string) error {
			if reason == "" {
				return errors.New("why was the network restored? give --reason, 1 to 200 characters that all can read")
			}
			said, err := s.restorationSaid()
			if err != nil {
				return err
			}
			if number == 0 {
				if number, err = s.nextRestoration(); err != nil {
					return err
				}
			}
			d, err := s.decide(&ltlv1.Transaction{Action: &ltlv1.Transaction_RecordRestoration{
				RecordRestoration: &ltlv1.RecordRestoration{Number: number, RestoreEpoch: said.epoch, Blocks: said.blocks,
					Reason: reason},
			}}, advice{rules.OutOfRange: "--reason has 1 to 200 characters"})
			if err != nil || !d.made {
				return err
			}
			return emitSentence(s.cmd, map[string]any{"number": number, "restoreEpoch": hex.EncodeToString(said.epoch),
				"blocks": said.blocks, "blockHeight": d.height},
				"restoration %d is recorded: %d blocks were kept; bring trust files up to date with ltl trust update", number,
				said.blocks)
		}),
	}
	cmd.Flags().StringVar(&reason, "reason", "", "why the network was restored, 1 to 200 characters that all can read (required)")
	cmd.Flags().Uint32Var(&number, "number", 0, "number of the restoration, above all that this network ever recorded, "+
		"also on a history that was lost (default the next one by the ledger)")
	addWait(cmd)
	return cmd
}

// nextRestoration is the number after that of the last recorded restoration.
func (s *session) nextRestoration() (uint32, error) {
	keys, err := s.client.Ledger().GetKeys(s.cmd.Context(), &ltlv1.GetKeysRequest{})
	if err != nil {
		return 0, err
	}
	next := uint32(1)
	for _, r := range keys.GetRestorations() {
		next = max(next, r.GetNumber()+1)
	}
	return next, nil
}

// saidRestoration is what nodes say of the restoration that they run after.
type saidRestoration struct {
	epoch  []byte
	blocks uint64
	// by are the organisations whose nodes all say so.
	by []string
}

// restorationsSaid asks all nodes, and returns what they say by organisation: the answer that most organisations give is
// the first. An organisation whose nodes contradict each other counts for none.
func (s *session) restorationsSaid() (said []saidRestoration, asked int) {
	nodes := s.participants(s.cmd.Context()).nodes
	owner, all := map[string]string{}, map[string][]string{}
	for _, n := range nodes {
		owner[n.GetId()] = n.GetOrganisation()
	}
	find := func(st *ltlv1.StatusResponse) int {
		i := slices.IndexFunc(said, func(r saidRestoration) bool {
			return string(r.epoch) == string(st.GetRestoreEpoch()) && r.blocks == st.GetRestoredBlocks()
		})
		if i < 0 {
			said, i = append(said, saidRestoration{epoch: st.GetRestoreEpoch(), blocks: st.GetRestoredBlocks()}), len(said)
		}
		return i
	}
	for _, a := range s.askAll(s.cmd.Context()) {
		if o := owner[a.peer]; o != "" && a.err == nil {
			r := &said[find(a.status)]
			if text := string(r.epoch) + fmt.Sprint(r.blocks); !slices.Contains(all[o], text) {
				all[o] = append(all[o], text)
				r.by = append(r.by, o)
			}
		}
	}
	for i := range said {
		said[i].by = slices.DeleteFunc(said[i].by, func(o string) bool { return len(all[o]) > 1 })
	}
	slices.SortStableFunc(said, func(a, b saidRestoration) int { return len(b.by) - len(a.by) })
	return said, len(all)
}

// restorationSaid is what more than half of the organisations whose nodes answer say.
func (s *session) restorationSaid() (*saidRestoration, error) {
	said, asked := s.restorationsSaid()
	switch {
	case asked == 0:
		return nil, errors.New("no node answers; start the nodes that were restored, and wait until one leads")
	case 2*len(said[0].by) <= asked:
		return nil, fmt.Errorf("the nodes contradict each other: %s; compare them with ltl status --output json",
			restorationsText(said))
	case len(said[0].epoch) == 0:
		return nil, errors.New("the nodes run on their first directories: this network was not restored, so there is nothing to " +
			"record")
	}
	return &said[0], nil
}

func restorationsText(said []saidRestoration) string {
	var parts []string
	for _, r := range said {
		text := "never restored"
		if len(r.epoch) > 0 {
			text = fmt.Sprintf("restored from %d blocks with the restore epoch %x", r.blocks, r.epoch)
		}
		parts = append(parts, fmt.Sprintf("those of %s say %s", strings.Join(r.by, ", "), text))
	}
	return strings.Join(parts, "; ")
}

// nodesConfirm refuses to approve the record of a restoration that the nodes do not report. The ledger cannot know
// whether there was one.
func (s *session) nodesConfirm(r *ltlv1.RecordRestoration) error {
	if force, _ := s.cmd.Flags().GetBool(flagForce); force || r == nil {
		return nil
	}
	said, asked := s.restorationsSaid()
	if asked > 0 && 2*len(said[0].by) > asked && string(said[0].epoch) == string(r.GetRestoreEpoch()) &&
		said[0].blocks == r.GetBlocks() {
		return nil
	}
	return fmt.Errorf("the nodes do not report this restoration, so it may never have been (%s); nothing was approved: reject "+
		"it, or give --%s if you know better", restorationsText(said), flagForce)
}
