package main

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"ltl/client"
	"ltl/internal/ledger"
	"ltl/internal/rules"
	ltlv1 "ltl/proto/ltl/v1"
)

const pageSize = 100

// The states of a chain's package.
const (
	stateActive  = "active"
	statePending = "pending"
	stateExpired = "expired"
)

// chainRow is a chain as `ltl chain list` and `show` print it. Its JSON names are stable.
type chainRow struct {
	ChainID            string    `json:"bizChainId"`
	ChainCode          string    `json:"bizChainCode"`
	Name               string    `json:"name"`
	Remark             string    `json:"remark"`
	Service            string    `json:"service"`
	Edition            string    `json:"edition"`
	Region             string    `json:"region"`
	State              string    `json:"state"`
	Height             uint64    `json:"height"`
	Records            uint64    `json:"records"`
	CountQuota         uint64    `json:"countQuota"`
	Bytes              uint64    `json:"bytes"`
	CapacityQuotaBytes uint64    `json:"capacityQuotaBytes"`
	MemberQuota        uint64    `json:"memberQuota"`
	PhaseGroupQuota    uint64    `json:"phaseGroupQuota"`
	PhaseQuota         uint64    `json:"phaseQuota"`
	Policy             string    `json:"policy"`
	Organisations      []string  `json:"organisations"`
	Administrator      string    `json:"administratorUid"`
	Effective          time.Time `json:"effective"`
	Expires            time.Time `json:"expires"`
	// Members (without the administrator) and PhaseGroups are those in use; only `show` counts them.
	Members     *uint64 `json:"members,omitempty"`
	PhaseGroups *uint64 `json:"phaseGroups,omitempty"`
}

func newChain() *cobra.Command {
	cmd := &cobra.Command{Use: "chain", Short: "List, show, create and modify chains, and list their type codes"}
	addConnection(cmd)
	cmd.AddCommand(newChainList(), newChainShow(), newChainCreate(), newChainModify(), newTypeCodes())
	return cmd
}

func newChainList() *cobra.Command {
	var service string
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List the business chains",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			want, err := parseService(service)
			if service != "" && err != nil {
				return err
			}
			return withClient(cmd, func(c *client.Client, _ *connection) error {
				rows, err := chains(cmd, c, want)
				if err != nil {
					return err
				}
				return emit(cmd, rows, func(w io.Writer) {
					fmt.Fprintln(w, "CHAIN\tCODE\tNAME\tSERVICE\tEDITION\tSTATE\tHEIGHT\tRECORDS\tSIZE\tEXPIRES")
					for _, r := range rows {
						fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\t%d\t%d\t%s\t%s\n",
							r.ChainID, r.ChainCode, r.Name, r.Service, r.Edition, r.State, r.Height, r.Records, formatSize(r.Bytes), formatTime(r.Expires))
					}
				})
			})
		},
	}
	cmd.Flags().StringVar(&service, "service", "", "only those of a service: proof or collaboration")
	return cmd
}

func newChainShow() *cobra.Command {
	return &cobra.Command{
		Use:   "show CHAIN",
		Short: "Show one chain, by its id, code or name",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return withClient(cmd, func(c *client.Client, _ *connection) error {
				row, err := chainOf(cmd, c, args[0])
				if err != nil {
					return err
				}
				return emit(cmd, row, func(w io.Writer) { showChain(w, row) })
			})
		},
	}
}

func showChain(w io.Writer, r *chainRow) {
	of := func(used *uint64, quota uint64) string {
		if used == nil {
			return fmt.Sprintf("at most %d", quota)
		}
		return fmt.Sprintf("%d of %d", *used, quota)
	}
	for _, line := range [][2]string{
		{"chain", r.ChainID}, {"code", r.ChainCode}, {"name", r.Name}, {"remark", r.Remark}, {"service", r.Service}, {"edition", r.Edition},
		{"region", r.Region}, {"state", r.State}, {"height", fmt.Sprint(r.Height)}, {"records", of(&r.Records, r.CountQuota)},
		{"size", formatSize(r.Bytes) + " of " + formatSize(r.CapacityQuotaBytes)}, {"members", of(r.Members, r.MemberQuota)},
		{"phase groups", of(r.PhaseGroups, r.PhaseGroupQuota)}, {"phases a group", of(nil, r.PhaseQuota)},
		{"policy", r.Policy}, {"organisations", strings.Join(r.Organisations, ", ")}, {"administrator", r.Administrator},
		{"effective", formatTime(r.Effective)}, {"expires", formatTime(r.Expires)},
	} {
		fmt.Fprintf(w, "%s\t%s\n", line[0], line[1])
	}
}

// chains reads the chains of a service (unspecified for all), page by page.
func chains(cmd *cobra.Command, c *client.Client, service ltlv1.ChainService) ([]chainRow, error) {
	rows := []chainRow{}
	for page := uint32(1); ; page++ {
		res, err := c.Ledger().ListChains(cmd.Context(), &ltlv1.ListChainsRequest{Service: service, Page: page, Size: pageSize})
		if err != nil {
			return nil, err
		}
		if err := refused(res.GetCode()); err != nil {
			return nil, err
		}
		for _, info := range res.GetChains() {
			rows = append(rows, chainRowOf(info))
		}
		if len(res.GetChains()) == 0 || uint64(len(rows)) >= res.GetTotal() {
			return rows, nil
		}
	}
}

// chainOf finds the chain that a user means by its id, code or name, and reads its use.
func chainOf(cmd *cobra.Command, c *client.Client, name string) (*chainRow, error) {
	if ledger.ValidChainID(name) { // a code or a name may have this form too, so that no chain of this id is no answer yet
		if row, err := readChain(cmd, c, name); row != nil || err != nil {
			return row, err
		}
	}
	all, err := chains(cmd, c, ltlv1.ChainService_CHAIN_SERVICE_UNSPECIFIED)
	if err != nil {
		return nil, err
	}
	var named []string
	for _, r := range all {
		if r.ChainCode == name {
			return readChain(cmd, c, r.ChainID)
		}
		if r.Name == name {
			named = append(named, r.ChainID)
		}
	}
	switch len(named) {
	case 0:
		return nil, fmt.Errorf("there is no chain with the id, code or name %q; `ltl chain list` shows those there are", name)
	case 1:
		return readChain(cmd, c, named[0])
	}
	return nil, fmt.Errorf("%d chains have the name %q; say which by its id: %s", len(named), name, strings.Join(named, ", "))
}

// readChain reads a chain by its id; nil when there is none.
func readChain(cmd *cobra.Command, c *client.Client, id string) (*chainRow, error) {
	res, err := c.Ledger().GetChain(cmd.Context(), &ltlv1.GetChainRequest{ChainId: id})
	if err != nil || res.GetCode() == rules.NotFound {
		return nil, err
	}
	if err := refused(res.GetCode()); err != nil {
		return nil, err
	}
	row := chainRowOf(res.GetChain())
	members, groups := res.GetUsedMembers(), res.GetUsedPhaseGroups()
	row.Members, row.PhaseGroups = &members, &groups
	return &row, nil
}

func chainRowOf(info *ltlv1.ChainInfo) chainRow {
	c := info.GetChain()
	row := chainRow{
		ChainID: info.GetChainId(), ChainCode: info.GetChainCode(), Name: c.GetName(), Remark: c.GetRemark(), Region: c.GetRegion(),
		Service: word(c.GetService().String()), Edition: word(c.GetEdition().String()),
		Height: info.GetHeight(), Records: info.GetUsedCount(), Bytes: info.GetUsedBytes(),
		CountQuota: c.GetCountQuota(), CapacityQuotaBytes: c.GetCapacityQuotaBytes(), MemberQuota: c.GetMemberQuota(),
		PhaseGroupQuota: c.GetPhaseGroupQuota(), PhaseQuota: c.GetPhaseQuota(),
		Policy: c.GetPolicy(), Organisations: c.GetOrganisations(), Administrator: c.GetAdministratorUid(),
		Effective: time.UnixMilli(c.GetEffectiveMs()).UTC(), Expires: time.UnixMilli(c.GetExpiredMs()).UTC(),
	}
	row.State = stateOf(row.Effective, row.Expires, time.Now())
	return row
}

// stateOf tells the state of a package by this machine's clock; the ledger judges by its blocks' time.
func stateOf(effective, expires, now time.Time) string {
	switch {
	case now.Before(effective):
		return statePending
	case now.Before(expires):
		return stateActive
	}
	return stateExpired
}

// word is the last word of an enumeration's constant, as people write it: CHAIN_SERVICE_PROOF is proof.
func word(constant string) string {
	return strings.ToLower(constant[strings.LastIndexByte(constant, '_')+1:])
}

var errService = errors.New("a chain's service is proof or collaboration")

func parseService(s string) (ltlv1.ChainService, error) {
	v := ltlv1.ChainService_value["CHAIN_SERVICE_"+strings.ToUpper(s)]
	if v == 0 {
		return 0, fmt.Errorf("--service is %q: %w", s, errService)
	}
	return ltlv1.ChainService(v), nil
}
