package main

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"ltl/internal/ledger"
	"ltl/internal/policy"
	"ltl/internal/rules"
	ltlv1 "ltl/proto/ltl/v1"
)

// The states of a chain: of its package, or closed while the organisation that owns it is not of the network any more.
const (
	stateActive  = "active"
	statePending = "pending"
	stateExpired = "expired"
	stateClosed  = "closed"
)

// What a chain does with records that too few organisations endorse while the network's time is behind.
const (
	timeStand  = "stand"
	timeRefuse = "refuse"
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
	Time               string    `json:"time"`
	// Members (without the administrator) and PhaseGroups are those in use; only `show` counts them.
	Members     *uint64 `json:"members,omitempty"`
	PhaseGroups *uint64 `json:"phaseGroups,omitempty"`
}

func newChain() *cobra.Command {
	cmd := &cobra.Command{Use: "chain", Short: "List, show, create and modify chains, and list their type codes"}
	addConnection(cmd)
	cmd.AddCommand(newChainList(), newChainShow(), newChainCreate(), newChainModify(), newChainAdopt(), newTypeCodes())
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
			return withSession(cmd, func(s *session) error {
				rows, err := s.chains(want)
				if err != nil {
					return err
				}
				const columns = "CHAIN|CODE|NAME|SERVICE|EDITION|STATE|HEIGHT|RECORDS|SIZE|EXPIRES"
				return emitRows(cmd, rows, columns, func(r chainRow) []any {
					return []any{
						r.ChainID, r.ChainCode, r.Name, r.Service, r.Edition, r.State, r.Height, r.Records, formatSize(r.Bytes),
						formatTime(r.Expires),
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
		RunE: online(func(s *session, args []string) error {
			row, err := s.chain(args[0])
			if err != nil {
				return err
			}
			return showChain(s.cmd, row)
		}),
	}
}

// showChain prints a chain with what it uses of each quota.
func showChain(cmd *cobra.Command, r *chainRow) error {
	of := func(used *uint64, quota uint64) string {
		if used == nil {
			return fmt.Sprintf("at most %d", quota)
		}
		return fmt.Sprintf("%d of %d", *used, quota)
	}
	state := r.State
	if state == stateClosed {
		state = "closed: its owner is not of the network any more; `ltl chain adopt` gives it to another administrator"
	}
	return emitFields(cmd, r,
		field{"chain", r.ChainID}, field{"code", r.ChainCode}, field{"name", r.Name}, field{"remark", r.Remark},
		field{"service", r.Service}, field{"edition", r.Edition}, field{"region", r.Region}, field{"state", state},
		field{"height", r.Height}, field{"records", of(&r.Records, r.CountQuota)},
		field{"size", formatSize(r.Bytes) + " of " + formatSize(r.CapacityQuotaBytes)},
		field{"members", of(r.Members, r.MemberQuota)},
		field{"phase groups", of(r.PhaseGroups, r.PhaseGroupQuota)}, field{"phases per group", of(nil, r.PhaseQuota)},
		field{"policy", r.Policy}, field{"organisations", strings.Join(r.Organisations, ", ")},
		field{"administrator", r.Administrator},
		field{"effective", formatTime(r.Effective)}, field{"expires", formatTime(r.Expires)})
}

// chains reads the chains of a service (unspecified for all).
func (s *session) chains(service ltlv1.ChainService) ([]chainRow, error) {
	read := func(page uint32) (*ltlv1.ListChainsResponse, error) {
		return s.client.Ledger().ListChains(s.cmd.Context(),
			&ltlv1.ListChainsRequest{Service: service, Page: page, Size: pageSize})
	}
	return allPages(read, (*ltlv1.ListChainsResponse).GetChains, chainRowOf)
}

// chain finds the chain that a user means by its id, code or name, and reads its use.
func (s *session) chain(name string) (*chainRow, error) {
	// A code or a name may have the form of an id, so that the search continues when no chain has this id.
	if ledger.ValidChainID(name) {
		if row, err := s.chainByID(name); row != nil || err != nil {
			return row, err
		}
	}
	all, err := s.chains(ltlv1.ChainService_CHAIN_SERVICE_UNSPECIFIED)
	if err != nil {
		return nil, err
	}
	var named []string
	for _, r := range all {
		if r.ChainCode == name {
			return s.chainByID(r.ChainID)
		}
		if r.Name == name {
			named = append(named, r.ChainID)
		}
	}
	switch len(named) {
	case 0:
		return nil, fmt.Errorf("there is no chain with the id, code or name %q; `ltl chain list` lists the existing ones",
			name)
	case 1:
		return s.chainByID(named[0])
	}
	return nil, fmt.Errorf("%d chains have the name %q; say which by its id: %s", len(named), name,
		strings.Join(named, ", "))
}

// chainByID reads a chain by its id; nil when there is none.
func (s *session) chainByID(id string) (*chainRow, error) {
	res, err := s.client.Ledger().GetChain(s.cmd.Context(), &ltlv1.GetChainRequest{ChainId: id})
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

// chainRowOf is a chain as it is printed. Its state is that of now, by the clock of this machine.
func chainRowOf(info *ltlv1.ChainInfo) chainRow {
	c := info.GetChain()
	row := chainRow{
		ChainID: info.GetChainId(), ChainCode: info.GetChainCode(), Name: c.GetName(), Remark: c.GetRemark(),
		Region:  c.GetRegion(),
		Service: word(c.GetService().String()), Edition: word(c.GetEdition().String()),
		Height: info.GetHeight(), Records: info.GetUsedCount(), Bytes: info.GetUsedBytes(),
		CountQuota: c.GetCountQuota(), CapacityQuotaBytes: c.GetCapacityQuotaBytes(), MemberQuota: c.GetMemberQuota(),
		PhaseGroupQuota: c.GetPhaseGroupQuota(), PhaseQuota: c.GetPhaseQuota(),
		Policy: c.GetPolicy(), Organisations: c.GetOrganisations(), Administrator: c.GetAdministratorUid(),
		Effective: time.UnixMilli(c.GetEffectiveMs()).UTC(), Expires: time.UnixMilli(c.GetExpiredMs()).UTC(),
	}
	if row.Time = timeRefuse; info.GetTimeStands() {
		row.Time = timeStand
	}
	if row.State = stateOf(row.Effective, row.Expires, time.Now()); info.GetClosed() {
		row.State = stateClosed
	}
	return row
}

// stateOf is the state of a package by this machine's clock; the ledger decides by its blocks' time.
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

// errService says which services a chain can have.
var errService = errors.New("a chain's service is proof or collaboration")

// parseService reads the value of --service.
func parseService(s string) (ltlv1.ChainService, error) {
	v := ltlv1.ChainService_value["CHAIN_SERVICE_"+strings.ToUpper(s)]
	if v == 0 {
		return 0, fmt.Errorf("--service is %q: %w", s, errService)
	}
	return ltlv1.ChainService(v), nil
}

// chainOptions are the options of `ltl chain create` and `modify`.
type chainOptions struct {
	name, remark, edition, region, policy, administrator string
	organisations                                        []string
	effective, expires                                   timeFlag
	years                                                int
	capacity                                             sizeFlag
	count, members, phaseGroups, phases                  uint64
	time                                                 string
}

// flags adds the options that both commands have.
func (o *chainOptions) flags(cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringVar(&o.remark, "remark", "", "remark, at most 100 characters")
	f.StringVar(&o.edition, "edition", "standard", "standard or enterprise")
	f.StringVar(&o.region, "region", rules.DefaultRegion, "region")
	f.StringVar(&o.policy, "policy", policy.Default,
		"endorsement policy: terms submitter, any, majority, all, N-of, N-of(a,b), org(a), joined by &")
	f.StringSliceVar(&o.organisations, "organisations", nil,
		"organisations that endorse, in the order in which they are named")
	f.StringVar(&o.administrator, "administrator", "", "UID of the account that manages the chain")
	f.Var(&o.effective, "effective", "start of the package, RFC 3339 or YYYY-MM-DD (its start, UTC)")
	f.Var(&o.expires, "expires",
		"time from which the chain takes no more writes, RFC 3339 or YYYY-MM-DD (its start, UTC)")
	o.capacity = rules.DefaultCapacityBytes
	f.Var(&o.capacity, "capacity-quota", "size of all values that the chain may hold, as 800GB or bytes")
	f.Uint64Var(&o.count, "count-quota", rules.DefaultCount, "records that the chain may hold")
	f.Uint64Var(&o.members, "member-quota", rules.DefaultMembers,
		"members that the chain may have, not counting its administrator")
	f.Uint64Var(&o.phaseGroups, "phase-group-quota", rules.DefaultPhaseGroups, "phase groups that the chain may have")
	f.Uint64Var(&o.phases, "phase-quota", rules.DefaultPhases, "phases that a phase group may have")
}

// parseEdition reads the value of --edition.
func parseEdition(s string) (ltlv1.Edition, error) {
	v := ltlv1.Edition_value["EDITION_"+strings.ToUpper(s)]
	if v == 0 {
		return 0, fmt.Errorf("--edition is %q; it can be standard or enterprise", s)
	}
	return ltlv1.Edition(v), nil
}

// chainAdvice says what to do when a chain is refused.
func chainAdvice() advice {
	return advice{
		rules.OutOfRange: "an option has the wrong form, the package ends before it begins, or the policy can never be " +
			"met by the organisations " +
			"of the chain for its administrator's; `ltl chain create --help` describes the forms",
		rules.NotFound:  "no such account or organisation; `ltl account list` and `ltl org list` list the existing ones",
		rules.Forbidden: adviceOperator,
	}
}

func newChainCreate() *cobra.Command {
	o := &chainOptions{}
	var service string
	cmd := &cobra.Command{
		Use:   "create NAME",
		Short: "Create a business chain",
		Long: `Creates a business chain. Its name is 2 to 30 characters. All present organisations of the network endorse
on it, unless --organisations names others.`,
		Example: `  ltl chain create deliveries --dir ltl-data --administrator 200000000000000001 --expires 2027-12-31 --capacity-quota 800GB`,
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			o.name = args[0]
			chain, err := o.creation(cmd, service, time.Now())
			if err != nil {
				return err
			}
			owner := func(s *session) (string, error) { return s.ownerOfAccount(o.administrator) }
			return withOwner(cmd, owner, func(s *session) error {
				result, err := s.submitToSystem(&ltlv1.Transaction{
					Action: &ltlv1.Transaction_CreateChain{CreateChain: chain},
				}, chainAdvice())
				if err != nil {
					return err
				}
				return emitFields(cmd, map[string]string{"bizChainId": result.GetOutput()}, field{"chain", result.GetOutput()})
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
		return nil, errors.New("--administrator is missing: give the UID of the account that manages the chain; `ltl " +
			"account list` lists the accounts")
	}
	if !cmd.Flags().Changed("effective") {
		o.effective.Time = now
	}
	if !cmd.Flags().Changed("expires") {
		o.expires.Time = o.effective.AddDate(o.years, 0, 0)
	}
	for name, quota := range map[string]uint64{
		"capacity": uint64(o.capacity), "count": o.count, "member": o.members, "phase-group": o.phaseGroups,
		"phase": o.phases,
	} {
		if quota == 0 { // for the ledger this would be the default
			return nil, fmt.Errorf("--%s-quota is 0; a new chain's is at least 1, `ltl chain modify` can lower it", name)
		}
	}
	return &ltlv1.CreateChain{
		Name: o.name, Remark: o.remark, Service: kind, Edition: edition, Region: o.region, Policy: o.policy,
		EffectiveMs: o.effective.UnixMilli(), ExpiredMs: o.expires.UnixMilli(), CapacityQuotaBytes: uint64(o.capacity),
		CountQuota:  o.count,
		MemberQuota: o.members, PhaseGroupQuota: o.phaseGroups, PhaseQuota: o.phases, Organisations: o.organisations,
		AdministratorUid: o.administrator,
	}, nil
}

func newChainModify() *cobra.Command {
	o := &chainOptions{}
	cmd := &cobra.Command{
		Use:   "modify CHAIN",
		Short: "Change what an operator may change of a chain; options that are not given change nothing",
		Long: `Changes a chain: its name, remark, edition, region, package (effective, expires), quotas, endorsement
policy, organisations and administrator. Options that are not given change nothing. A quota below what is in use
stops further use and removes nothing. A chain's service, id and code never change.

Policy, time, organisations and an administrator of another organisation are proposed: a majority of the chain's
organisations, its owner, and each organisation that is added or is to own the chain must approve.`,
		Example: `  ltl chain modify deliveries --dir ltl-data --expires 2028-12-31 --capacity-quota 2TB`,
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			change, err := o.modification(cmd)
			if err != nil {
				return err
			}
			var row *chainRow
			owner := func(s *session) (_ string, err error) {
				if row, err = s.chain(args[0]); err != nil {
					return "", err
				}
				return s.ownerOfAccount(row.Administrator)
			}
			return withOwner(cmd, owner, func(s *session) error {
				change.ChainId = row.ChainID
				d, err := s.decide(&ltlv1.Transaction{
					Action: &ltlv1.Transaction_ModifyChain{ModifyChain: change},
				}, chainAdvice())
				if err != nil || !d.made {
					return err
				}
				if row, err = s.chain(row.ChainID); err != nil {
					return readBack("the chain was changed", err)
				}
				return showChain(cmd, row)
			})
		},
	}
	o.flags(cmd)
	addWait(cmd)
	cmd.Flags().StringVar(&o.name, "name", "", "name, 2 to 30 characters")
	cmd.Flags().StringVar(&o.time, "time", "", "what happens to records that too few organisations endorse while the "+
		"network's time is behind: refuse, or stand to date them by it")
	for _, f := range []string{
		"edition", "region", "policy", "capacity-quota", "count-quota", "member-quota", "phase-group-quota", "phase-quota",
	} {
		cmd.Flags().Lookup(f).DefValue = "" // an option that is not given changes nothing, so that no default is shown
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
	switch o.time {
	case "":
	case timeStand, timeRefuse:
		stands := o.time == timeStand
		m.TimeStands, changed = &stands, true
	default:
		return nil, fmt.Errorf("--time %q is not known; it is %s or %s", o.time, timeRefuse, timeStand)
	}
	if !changed {
		return nil, errors.New("nothing to change; `ltl chain modify --help` shows the options")
	}
	return m, nil
}
