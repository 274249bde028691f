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
	"sync"
	"time"

	"github.com/spf13/cobra"

	"ltl/internal/identity"
	"ltl/internal/rules"
	"ltl/internal/skew"
	ltlv1 "ltl/proto/ltl/v1"
)

// statusTimeout bounds the answers of all processes together: they are asked at the same time.
const statusTimeout = 3 * time.Second

// roleLeader is the role of a node that leads, in its status.
const roleLeader = "leader"

// errUnhealthy makes `ltl status` exit non-zero when it shows a fault.
var errUnhealthy = errors.New("not well")

// healthOf names the processes that have a fault; nil when there are none and a node leads.
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

// chainTip is the newest block of a chain in one copy. Equal tips are equal values, which the table uses to group
// copies.
type chainTip struct {
	ChainID   string    `json:"chainId"`
	Height    uint64    `json:"height"`
	BlockHash string    `json:"blockHash"`
	Time      time.Time `json:"time"`
}

// statusRow is a process as `ltl status` prints it. Its JSON names are stable.
type statusRow struct {
	Peer         string     `json:"peer"`
	Role         string     `json:"role,omitempty"`
	Leader       string     `json:"leader,omitempty"`
	Term         uint64     `json:"term,omitempty"`
	AppliedIndex uint64     `json:"appliedIndex,omitempty"`
	Sequence     uint64     `json:"sequence"`
	Chains       []chainTip `json:"chains,omitempty"`
	// Members are the nodes in this node's Raft configuration, each as "id voter" or "id learner".
	Members []string `json:"members,omitempty"`
	// ClockAheadMs is by how many milliseconds its clock is ahead of the median of all that answered and of this
	// machine's; negative when it is behind.
	ClockAheadMs int64 `json:"clockAheadMs"`
	// RestoreEpoch is that of a node of a network that was restored, in hexadecimal digits, and RestoredBlocks the number
	// of blocks that it began with.
	RestoreEpoch   string `json:"restoreEpoch,omitempty"`
	RestoredBlocks uint64 `json:"restoredBlocks,omitempty"`
	// NetworkTime is the network's time in its copy: the later of the reference time and that of the system chain.
	NetworkTime time.Time `json:"networkTime,omitzero"`
	// Fault says what is wrong; empty when nothing is.
	Fault string `json:"fault,omitempty"`
}

func newStatus() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "status",
		Short: "Show the state of every node and endorser; fails when one is not well",
		Args:  cobra.NoArgs,
		RunE: online(func(s *session, _ []string) error {
			answers := s.askAll(s.cmd.Context())
			own := s.callersOrganisation()
			rows := statusRowsOf(answers, own)
			if err := emit(s.cmd, rows, func(w io.Writer) {
				statusTable(w, rows)
				clockNotes(w, answers, own)
				voterNote(w, s.participants(s.cmd.Context()))
			}); err != nil {
				return err
			}
			return healthOf(rows)
		}),
	}
	addConnection(cmd)
	return cmd
}

// answer is what one process said when it was asked for its status, or why it did not answer.
type answer struct {
	// peer is a node's id, or "endorser/" and an organisation's id.
	peer string
	// organisation is whose process it is.
	organisation string
	status       *ltlv1.StatusResponse
	// ahead is by how much its clock is ahead of this machine's; valid when the status has a clock.
	ahead time.Duration
	err   error
}

// ask fills in what the process says. Its clock is taken to have been read halfway between question and answer.
func (a *answer) ask(ask func() (*ltlv1.StatusResponse, error)) {
	sent := time.Now()
	a.status, a.err = ask()
	way := time.Since(sent)
	a.ahead = time.UnixMilli(a.status.GetClockMs()).Sub(sent.Add(way / 2)).Round(time.Millisecond)
}

// medianAhead returns by how much the median of all clocks, this machine's among them, is ahead of this machine's, and
// the number of clocks. As in internal/skew, an organisation other than the caller's own has one clock, the lower median
// of those of its processes: it can add nodes without the others' consent, and must not outvote them by that.
func medianAhead(answers []answer, own string) (ahead time.Duration, clocks int) {
	all := []int64{0}
	others := map[string][]int64{}
	for _, a := range answers {
		switch {
		case a.status.GetClockMs() <= 0:
		case a.organisation == own:
			all = append(all, int64(a.ahead))
		default:
			others[a.organisation] = append(others[a.organisation], int64(a.ahead))
		}
	}
	for _, of := range others {
		all = append(all, rules.LowerMedian(of))
	}
	return time.Duration(rules.LowerMedian(all)), len(all)
}

// askAll asks every node and endorser of the network at the same time, and returns within statusTimeout.
func (s *session) askAll(ctx context.Context) []answer {
	var answers []answer
	p := s.participants(ctx)
	for _, n := range p.nodes {
		answers = append(answers, answer{peer: n.GetId(), organisation: n.GetOrganisation()})
	}
	for _, o := range p.organisations {
		answers = append(answers, answer{peer: "endorser/" + o.GetId(), organisation: o.GetId()})
	}
	ctx, cancel := context.WithTimeout(ctx, statusTimeout)
	defer cancel()
	var asked sync.WaitGroup
	for i := range answers {
		asked.Go(func() {
			answers[i].ask(func() (*ltlv1.StatusResponse, error) { return s.client.Ledger().Status(ctx, answers[i].peer) })
		})
	}
	asked.Wait()
	return answers
}

// callersOrganisation is that of the caller's certificate.
func (s *session) callersOrganisation() string {
	own, err := identity.ReadCertificate(s.identity)
	if err != nil {
		return "" // it could be read when the session began
	}
	return own.Identity.Organisation
}

// statusOfAll is the status of every node and endorser, as it is printed.
func (s *session) statusOfAll(ctx context.Context) []statusRow {
	return statusRowsOf(s.askAll(ctx), s.callersOrganisation())
}

// statusRowsOf are the answers as they are printed to a caller of an organisation. Where at least three clocks are known, one that is far from their
// median is a fault.
func statusRowsOf(answers []answer, own string) []statusRow {
	rows := make([]statusRow, len(answers))
	median, clocks := medianAhead(answers, own)
	for i, a := range answers {
		rows[i] = statusRowOf(a)
		if a.status.GetClockMs() == 0 {
			continue
		}
		ahead := a.ahead - median
		rows[i].ClockAheadMs = ahead.Milliseconds()
		if rows[i].Fault == "" && clocks > 2 && ahead.Abs() >= skew.Suspicious {
			rows[i].Fault = fmt.Sprintf("its clock is %s, compared with the median of %d clocks; set it right, no restart "+
				"is needed", skew.Text(ahead), clocks)
		}
	}
	return rows
}

// clockNotes prints what no row says: a wrong clock of this machine, and a ledger that is ahead of the clocks.
func clockNotes(w io.Writer, answers []answer, own string) {
	median, clocks := medianAhead(answers, own)
	if clocks > 2 && median.Abs() >= skew.Suspicious {
		fmt.Fprintf(w, "\nThe clock of this machine is %s, compared with the median of %d clocks.\n", skew.Text(-median),
			clocks)
	}
	if ahead := time.Until(time.UnixMilli(networkMs(answers))); ahead >= skew.Suspicious {
		fmt.Fprintf(w, "\nThe network's time is %v ahead of this machine. Where that is more than two minutes nothing can be "+
			"written until\nthe clocks have come up to it, or the organisations have set it back with `ltl network "+
			"correct-time`.\n", ahead.Round(time.Second))
	}
}

// networkMs is the network's time by the word of the organisations, each of which has one voice whatever its processes
// say: the lower median; 0 when none is heard.
func networkMs(answers []answer) int64 {
	said := map[string][]int64{}
	for _, a := range answers {
		if ms := a.status.GetNetworkMs(); ms > 0 {
			said[a.organisation] = append(said[a.organisation], ms)
		}
	}
	var voices []int64
	for _, of := range said {
		voices = append(voices, rules.LowerMedian(of))
	}
	if len(voices) == 0 {
		return 0
	}
	return rules.LowerMedian(voices)
}

// statusRowOf is an answer as it is printed; a process that did not answer has the reason as its fault.
func statusRowOf(a answer) statusRow {
	if a.err != nil {
		return statusRow{Peer: a.peer, Fault: a.err.Error()}
	}
	row := statusRow{
		Peer: a.peer, Role: a.status.GetRole(), Leader: a.status.GetLeader(), Term: a.status.GetTerm(),
		AppliedIndex: a.status.GetAppliedIndex(), Sequence: a.status.GetSequence(),
		Fault:        cmp.Or(a.status.GetFault(), a.status.GetUnrecorded(), a.status.GetLacking()),
		RestoreEpoch: hex.EncodeToString(a.status.GetRestoreEpoch()), RestoredBlocks: a.status.GetRestoredBlocks(),
	}
	if ms := a.status.GetNetworkMs(); ms > 0 {
		row.NetworkTime = time.UnixMilli(ms).UTC()
	}
	for _, m := range a.status.GetMembers() {
		kind := kindLearner
		if m.GetVoter() {
			kind = kindVoter
		}
		row.Members = append(row.Members, m.GetId()+" "+kind)
	}
	for _, c := range a.status.GetChains() {
		row.Chains = append(row.Chains, chainTip{
			ChainID: c.GetChainId(), Height: c.GetHeight(), BlockHash: hex.EncodeToString(c.GetBlockHash()),
			Time: time.UnixMilli(c.GetTimeMs()).UTC(),
		})
	}
	return row
}

// clockText is a process's clock in the table: "ok" within a second.
func clockText(r statusRow) string {
	ahead := time.Duration(r.ClockAheadMs) * time.Millisecond
	switch {
	case r.Role == "": // it did not answer
		return ""
	case ahead.Abs() < time.Second:
		return "ok"
	}
	return skew.Text(ahead)
}

// statusTable prints the processes, and then the newest block of each chain with the processes that have it: two lines
// of one chain mean that copies are behind or differ.
func statusTable(w io.Writer, rows []statusRow) {
	fmt.Fprintln(w, "PROCESS\tROLE\tLEADER\tTERM\tAPPLIED\tBLOCKS\tCLOCK\tFAULT")
	for _, r := range rows {
		writeCells(w, r.Peer, r.Role, r.Leader, r.Term, r.AppliedIndex, r.Sequence, clockText(r), r.Fault)
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
		at := strings.Join(holders[c], ", ")
		if len(holders[c]) == len(rows) {
			at = "all"
		}
		writeCells(w, c.ChainID, c.Height, fmt.Sprintf("%.16s…", c.BlockHash), formatTime(c.Time), at)
	}
}
