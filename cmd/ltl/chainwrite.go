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
	"ltl/internal/policy"
	"ltl/internal/rules"
	ltlv1 "ltl/proto/ltl/v1"
)

// chainOptions are what `ltl chain create` and `modify` may say of a chain.
type chainOptions struct {
	name, remark, edition, region, policy, administrator string
	organisations                                        []string
	effective, expires                                   timeFlag
	years                                                int
	capacity                                             sizeFlag
	count, members, phaseGroups, phases                  uint64
}

// flags adds the options that both commands have.
func (o *chainOptions) flags(cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringVar(&o.remark, "remark", "", "remark, at most 100 characters")
	f.StringVar(&o.edition, "edition", "standard", "standard or enterprise")
	f.StringVar(&o.region, "region", rules.DefaultRegion, "region")
	f.StringVar(&o.policy, "policy", policy.Default, "endorsement policy: terms submitter, any, majority, all, N-of, N-of(a,b), org(a), joined by &")
	f.StringSliceVar(&o.organisations, "organisations", nil, "organisations that endorse, in the order in which they are named")
	f.StringVar(&o.administrator, "administrator", "", "UID of the account that manages the chain")
	f.Var(&o.effective, "effective", "first moment of the package, RFC 3339 or YYYY-MM-DD (its first moment, UTC)")
	f.Var(&o.expires, "expires", "moment from which the chain takes no more writes, RFC 3339 or YYYY-MM-DD (its first moment, UTC)")
	o.capacity = rules.DefaultCapacityBytes
	f.Var(&o.capacity, "capacity-quota", "size of all values that the chain may hold, as 800GB or bytes")
	f.Uint64Var(&o.count, "count-quota", rules.DefaultCount, "records that the chain may hold")
	f.Uint64Var(&o.members, "member-quota", rules.DefaultMembers, "members that the chain may have, beside its administrator")
	f.Uint64Var(&o.phaseGroups, "phase-group-quota", rules.DefaultPhaseGroups, "phase groups that the chain may have")
	f.Uint64Var(&o.phases, "phase-quota", rules.DefaultPhases, "phases that a phase group may have")
}

func parseEdition(s string) (ltlv1.Edition, error) {
	v := ltlv1.Edition_value["EDITION_"+strings.ToUpper(s)]
	if v == 0 {
		return 0, fmt.Errorf("--edition is %q; it can be standard or enterprise", s)
	}
	return ltlv1.Edition(v), nil
}

// chainHints say what to do when a chain is refused.
func chainHints() []hint {
	return []hint{
		{rules.OutOfRange, "an option has the wrong form, the package ends before it begins, or the policy can never be met by the organisations of the chain for its administrator's; `ltl chain create --help` tells the forms"},
		{rules.NotFound, "no such account or organisation; `ltl account list` and `ltl org list` show those there are"},
		{rules.Forbidden, "only an operator may do this; give --identity DIRECTORY with an operator's certificate"},
	}
}

func newChainCreate() *cobra.Command {
	o := &chainOptions{}
	var service string
	cmd := &cobra.Command{
		Use:     "create NAME",
		Short:   "Create a business chain",
		Long:    "Creates a business chain. Its name is 2 to 30 characters. All endorse that are organisations of the network now, unless --organisations names others.",
		Example: `  ltl chain create deliveries --dir ltl-data --administrator 200000000000000001 --expires 2027-12-31 --capacity-quota 800GB`,
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			o.name = args[0]
			chain, err := o.creation(cmd, service, time.Now())
			if err != nil {
				return err
			}
			return withClient(cmd, func(c *client.Client, _ *connection) error {
				result, err := submit(cmd.Context(), c, &ltlv1.Transaction{
					ChainId: ledger.SystemChain, Action: &ltlv1.Transaction_CreateChain{CreateChain: chain},
				}, chainHints()...)
				if err != nil {
					return err
				}
				return emit(cmd, map[string]string{"bizChainId": result.GetOutput()}, func(w io.Writer) {
					fmt.Fprintf(w, "chain\t%s\n", result.GetOutput())
				})
			})
		},
	}
	o.flags(cmd)
	cmd.Flags().StringVar(&service, "service", "proof", "proof or collaboration; it never changes")
	cmd.Flags().IntVar(&o.years, "years", 1, "years until the package expires")
	cmd.MarkFlagsMutuallyExclusive("years", "expires")
	return cmd
}

// creation is the action of `ltl chain create`.
func (o *chainOptions) creation(cmd *cobra.Command, service string, now time.Time) (*ltlv1.CreateChain, error) {
	kind, err := parseService(service)
	if err != nil {
		return nil, err
	}
	edition, err := parseEdition(o.edition)
	if err != nil {
		return nil, err
	}
	if o.administrator == "" {
		return nil, errors.New("--administrator is missing: which account shall manage the chain? `ltl account list` shows them")
	}
	if !cmd.Flags().Changed("effective") {
		o.effective.Time = now
	}
	if !cmd.Flags().Changed("expires") {
		o.expires.Time = o.effective.AddDate(o.years, 0, 0)
	}
	for name, quota := range map[string]uint64{"capacity": uint64(o.capacity), "count": o.count, "member": o.members, "phase-group": o.phaseGroups, "phase": o.phases} {
		if quota == 0 { // for the ledger this would be the default
			return nil, fmt.Errorf("--%s-quota is 0; a new chain's is at least 1, `ltl chain modify` can lower it", name)
		}
	}
	return &ltlv1.CreateChain{
		Name: o.name, Remark: o.remark, Service: kind, Edition: edition, Region: o.region, Policy: o.policy,
		EffectiveMs: o.effective.UnixMilli(), ExpiredMs: o.expires.UnixMilli(), CapacityQuotaBytes: uint64(o.capacity), CountQuota: o.count,
		MemberQuota: o.members, PhaseGroupQuota: o.phaseGroups, PhaseQuota: o.phases, Organisations: o.organisations, AdministratorUid: o.administrator,
	}, nil
}

func newChainModify() *cobra.Command {
	o := &chainOptions{}
	cmd := &cobra.Command{
		Use:   "modify CHAIN",
		Short: "Change what an operator may change of a chain; what is not named stays",
		Long: `Changes a chain: its name, remark, edition, region, package (effective, expires), quotas, endorsement policy, organisations and
administrator. What no option names stays as it is. A quota below what is in use stops further use and removes nothing. A chain's
service, id and code never change.`,
		Example: `  ltl chain modify deliveries --dir ltl-data --expires 2028-12-31 --capacity-quota 2TB`,
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			change, err := o.modification(cmd)
			if err != nil {
				return err
			}
			return withClient(cmd, func(c *client.Client, _ *connection) error {
				row, err := chainOf(cmd, c, args[0])
				if err != nil {
					return err
				}
				change.ChainId = row.ChainID
				if _, err := submit(cmd.Context(), c, &ltlv1.Transaction{
					ChainId: ledger.SystemChain, Action: &ltlv1.Transaction_ModifyChain{ModifyChain: change},
				}, chainHints()...); err != nil {
					return err
				}
				if row, err = chainOf(cmd, c, row.ChainID); err != nil {
					return fmt.Errorf("the chain was changed, but couldn't be read afterwards: %w", err)
				}
				return emit(cmd, row, func(w io.Writer) { showChain(w, row) })
			})
		},
	}
	o.flags(cmd)
	cmd.Flags().StringVar(&o.name, "name", "", "name, 2 to 30 characters")
	for _, f := range []string{"edition", "region", "policy", "capacity-quota", "count-quota", "member-quota", "phase-group-quota", "phase-quota"} {
		cmd.Flags().Lookup(f).DefValue = "" // what is not given stays, so there is no default to show
	}
	return cmd
}

// modification is the action of `ltl chain modify`: exactly what was given.
func (o *chainOptions) modification(cmd *cobra.Command) (*ltlv1.ModifyChain, error) {
	m := &ltlv1.ModifyChain{Organisations: o.organisations}
	changed := cmd.Flags().Changed("organisations")
	text := func(name string, to **string, from *string) {
		if cmd.Flags().Changed(name) {
			*to, changed = from, true
		}
	}
	text("name", &m.Name, &o.name)
	text("remark", &m.Remark, &o.remark)
	text("region", &m.Region, &o.region)
	text("policy", &m.Policy, &o.policy)
	text("administrator", &m.AdministratorUid, &o.administrator)
	number := func(name string, to **uint64, from *uint64) {
		if cmd.Flags().Changed(name) {
			*to, changed = from, true
		}
	}
	number("capacity-quota", &m.CapacityQuotaBytes, (*uint64)(&o.capacity))
	number("count-quota", &m.CountQuota, &o.count)
	number("member-quota", &m.MemberQuota, &o.members)
	number("phase-group-quota", &m.PhaseGroupQuota, &o.phaseGroups)
	number("phase-quota", &m.PhaseQuota, &o.phases)
	moment := func(name string, to **int64, from timeFlag) {
		if cmd.Flags().Changed(name) {
			ms := from.UnixMilli()
			*to, changed = &ms, true
		}
	}
	moment("effective", &m.EffectiveMs, o.effective)
	moment("expires", &m.ExpiredMs, o.expires)
	if cmd.Flags().Changed("edition") {
		edition, err := parseEdition(o.edition)
		if err != nil {
			return nil, err
		}
		m.Edition, changed = &edition, true
	}
	if !changed {
		return nil, errors.New("what shall change? `ltl chain modify --help` shows the options")
	}
	return m, nil
}
