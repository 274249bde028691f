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
	ltlv1 "ltl/proto/ltl/v1"
)

const pageSize = 100

type chainRow struct {
	ChainID       string    `json:"bizChainId"`
	ChainCode     string    `json:"bizChainCode"`
	Name          string    `json:"name"`
	Service       string    `json:"service"`
	Height        uint64    `json:"height"`
	Records       uint64    `json:"records"`
	Bytes         uint64    `json:"bytes"`
	Policy        string    `json:"policy"`
	Organisations []string  `json:"organisations"`
	Administrator string    `json:"administratorUid"`
	Effective     time.Time `json:"effective"`
	Expires       time.Time `json:"expires"`
}

func newChain() *cobra.Command {
	cmd := &cobra.Command{Use: "chain", Short: "List, create and show chains"}
	addConnection(cmd)
	cmd.AddCommand(newChainList(), newChainShow(), newChainCreate())
	return cmd
}

func newChainList() *cobra.Command {
	return &cobra.Command{
		Use:   "list",
		Short: "List all business chains",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return withClient(cmd, func(c *client.Client, _ *connection) error {
				rows, err := allChains(cmd, c)
				if err != nil {
					return err
				}
				return emit(cmd, rows, func(w io.Writer) {
					fmt.Fprintln(w, "CHAIN\tCODE\tNAME\tSERVICE\tHEIGHT\tRECORDS\tBYTES")
					for _, r := range rows {
						fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%d\t%d\t%d\n", r.ChainID, r.ChainCode, r.Name, r.Service, r.Height, r.Records, r.Bytes)
					}
				})
			})
		},
	}
}

func newChainShow() *cobra.Command {
	return &cobra.Command{
		Use:   "show CHAIN",
		Short: "Show one chain, by its id, code or name",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return withClient(cmd, func(c *client.Client, _ *connection) error {
				rows, err := allChains(cmd, c)
				if err != nil {
					return err
				}
				for _, r := range rows {
					if args[0] == r.ChainID || args[0] == r.ChainCode || args[0] == r.Name {
						return emit(cmd, r, func(w io.Writer) { showChain(w, r) })
					}
				}
				return fmt.Errorf("there is no chain with the id, code or name %q", args[0])
			})
		},
	}
}

func showChain(w io.Writer, r chainRow) {
	for _, line := range [][2]string{
		{"chain", r.ChainID}, {"code", r.ChainCode}, {"name", r.Name}, {"service", r.Service},
		{"height", fmt.Sprint(r.Height)}, {"records", fmt.Sprint(r.Records)}, {"bytes", fmt.Sprint(r.Bytes)},
		{"policy", r.Policy}, {"organisations", strings.Join(r.Organisations, ", ")}, {"administrator", r.Administrator},
		{"effective", r.Effective.Format(time.RFC3339)}, {"expires", r.Expires.Format(time.RFC3339)},
	} {
		fmt.Fprintf(w, "%s\t%s\n", line[0], line[1])
	}
}

// allChains reads all chains, page by page.
func allChains(cmd *cobra.Command, c *client.Client) ([]chainRow, error) {
	rows := []chainRow{}
	for page := uint32(1); ; page++ {
		res, err := c.Ledger().ListChains(cmd.Context(), &ltlv1.ListChainsRequest{Page: page, Size: pageSize})
		if err != nil {
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

func chainRowOf(info *ltlv1.ChainInfo) chainRow {
	c := info.GetChain()
	return chainRow{
		ChainID: info.GetChainId(), ChainCode: info.GetChainCode(), Name: c.GetName(),
		Service: strings.ToLower(strings.TrimPrefix(c.GetService().String(), "CHAIN_SERVICE_")),
		Height:  info.GetHeight(), Records: info.GetUsedCount(), Bytes: info.GetUsedBytes(),
		Policy: c.GetPolicy(), Organisations: c.GetOrganisations(), Administrator: c.GetAdministratorUid(),
		Effective: time.UnixMilli(c.GetEffectiveMs()).UTC(), Expires: time.UnixMilli(c.GetExpiredMs()).UTC(),
	}
}

func newChainCreate() *cobra.Command {
	chain := &ltlv1.CreateChain{}
	var service, edition string
	var years int
	cmd := &cobra.Command{
		Use:   "create NAME",
		Short: "Create a business chain",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			chain.Name = args[0]
			now := time.Now()
			chain.EffectiveMs, chain.ExpiredMs = now.UnixMilli(), now.AddDate(years, 0, 0).UnixMilli()
			return withClient(cmd, func(c *client.Client, con *connection) error {
				if err := completeChain(chain, service, edition, con); err != nil {
					return err
				}
				result, err := submit(cmd.Context(), c, &ltlv1.Transaction{
					ChainId: ledger.SystemChain, Action: &ltlv1.Transaction_CreateChain{CreateChain: chain},
				})
				if err != nil {
					return err
				}
				return emit(cmd, map[string]string{"bizChainId": result.GetOutput()}, func(w io.Writer) {
					fmt.Fprintf(w, "chain\t%s\n", result.GetOutput())
				})
			})
		},
	}
	f := cmd.Flags()
	f.StringVar(&service, "service", "proof", "proof or collaboration")
	f.StringVar(&edition, "edition", "standard", "standard or enterprise")
	f.StringVar(&chain.AdministratorUid, "administrator", "", "UID of the account that manages the chain (required)")
	f.StringVar(&chain.Remark, "remark", "", "remark")
	f.StringVar(&chain.Region, "region", "cn-shanghai", "region")
	f.StringVar(&chain.Policy, "policy", "submitter & majority", "endorsement policy")
	f.StringSliceVar(&chain.Organisations, "organisations", nil, "organisations that endorse (default all of the genesis)")
	f.IntVar(&years, "years", 1, "years until the package expires")
	f.Uint64Var(&chain.CountQuota, "count-quota", 100_000_000, "records the chain may hold")
	f.Uint64Var(&chain.CapacityQuotaBytes, "capacity-quota", 1<<40, "bytes of values the chain may hold")
	f.Uint64Var(&chain.MemberQuota, "member-quota", 100, "members the chain may have")
	f.Uint64Var(&chain.PhaseGroupQuota, "phase-group-quota", 100, "phase groups the chain may have")
	f.Uint64Var(&chain.PhaseQuota, "phase-quota", 1000, "phases the chain may have")
	return cmd
}

// completeChain turns words into the ledger's values and fills in defaults that need the network.
func completeChain(chain *ltlv1.CreateChain, service, edition string, con *connection) error {
	chain.Service = ltlv1.ChainService(ltlv1.ChainService_value["CHAIN_SERVICE_"+strings.ToUpper(service)])
	chain.Edition = ltlv1.Edition(ltlv1.Edition_value["EDITION_"+strings.ToUpper(edition)])
	if chain.Service == 0 || chain.Edition == 0 {
		return fmt.Errorf("--service %q or --edition %q is none of those that exist", service, edition)
	}
	if chain.AdministratorUid == "" {
		return errors.New("--administrator is missing: which account shall manage the chain? `ltl account list` shows them")
	}
	if len(chain.Organisations) == 0 {
		for _, o := range con.trust.Genesis().GetOrganisations() {
			chain.Organisations = append(chain.Organisations, o.GetId())
		}
	}
	return nil
}
