package console

import (
	"cmp"
	"context"
	"encoding/hex"
	"log/slog"
	"slices"
	"strconv"
	"sync"
	"time"

	"ltl/internal/identity"
	"ltl/internal/skew"
	ltlv1 "ltl/proto/ltl/v1"
)

// process is a node or an endorser, and what it said of itself.
type process struct {
	// Name is a node's id, or "endorser/" and the id of an organisation.
	Name, Organisation string
	// Status is nil when it did not answer.
	Status *ltlv1.StatusResponse
	// Behind is by how many blocks it is behind the newest that any process has.
	Behind uint64
	// Ahead is by how much its clock is ahead of the median of all organisations' clocks; valid when ClockKnown is set.
	// ClockWrong is set when it is far from it.
	Ahead                  time.Duration
	ClockKnown, ClockWrong bool
}

// Ill reports whether the process needs attention.
func (p *process) Ill() bool {
	return p.Status == nil || p.Status.GetFault() != "" || p.Status.GetUnrecorded() != "" ||
		p.Status.GetLacking() != "" || p.ClockWrong || p.Behind > farBehind
}

// Skew is by how much its clock is ahead, in seconds.
func (p *process) Skew() string { return strconv.FormatFloat(p.Ahead.Seconds(), 'f', 3, 64) }

// Role is the key of the sentence for its role.
func (p *process) Role() string {
	switch role := p.Status.GetRole(); role {
	case "leader", "follower", "candidate", "endorser":
		return "health.role." + role
	}
	return "health.role.other"
}

// farBehind is how many blocks a copy may be behind without being pointed out: a process is asked a moment before others.
const farBehind = 20

// tip is the newest block of a chain, and who has it.
type tip struct {
	Chain  string
	Height uint64
	Hash   string
	Time   time.Time
	Have   []string
	// Late are those that have an older one.
	Late []string
	// Differ is set when two copies have different blocks at one height.
	Differ bool
}

// answers are what all processes said.
type answers struct {
	Processes []*process
	// Clocks is the number of clocks beside the one of this machine; Here is by how much that is ahead of the median, and
	// HereWrong is set when it is far from it.
	Clocks    int
	Here      string
	HereWrong bool
	Tips      []tip
}

// ask asks every node and endorser for its status, at the same time, and returns within the limit.
func (v *visit) ask(network *ltlv1.GetNetworkResponse, limit time.Duration) (*answers, error) {
	out := &answers{}
	for _, n := range network.GetNodes() {
		out.Processes = append(out.Processes, &process{Name: n.GetId(), Organisation: n.GetOrganisation()})
	}
	for _, o := range network.GetOrganisations() {
		out.Processes = append(out.Processes, &process{Name: string(identity.RoleEndorser) + "/" + o.GetId(),
			Organisation: o.GetId()})
	}
	ctx, cancel := context.WithTimeout(v.r.Context(), limit)
	defer cancel()
	meter := skew.New(slog.New(slog.DiscardHandler), v.own.cfg.Identity.Organisation)
	var asked sync.WaitGroup
	for _, p := range out.Processes {
		asked.Go(func() {
			meter.Ask(p.Organisation, p.Name, func() int64 {
				sent := time.Now()
				st, err := v.ledger.Status(ctx, p.Name)
				if err != nil {
					return 0
				}
				p.Status, p.ClockKnown = st, st.GetClockMs() > 0
				p.Ahead = time.UnixMilli(st.GetClockMs()).Sub(sent.Add(time.Since(sent) / 2))
				return st.GetClockMs()
			})
		})
	}
	asked.Wait()
	here, clocks := meter.Skew()
	out.Clocks, out.Here = clocks, strconv.FormatFloat(here.Seconds(), 'f', 3, 64)
	out.HereWrong = clocks >= skew.Enough && here.Abs() >= skew.Suspicious
	newest := uint64(0)
	for _, p := range out.Processes {
		newest = max(newest, p.Status.GetSequence())
	}
	for _, p := range out.Processes {
		p.Behind = newest - p.Status.GetSequence()
		p.Ahead += here
		p.ClockWrong = p.ClockKnown && clocks >= skew.Enough && p.Ahead.Abs() >= skew.Suspicious
	}
	out.Tips = tipsOf(out.Processes)
	return out, v.r.Context().Err()
}

// tipsOf compares the newest blocks of the copies, chain by chain.
func tipsOf(all []*process) []tip {
	byChain := map[string]*tip{}
	hashes := map[string]string{}
	for _, p := range all {
		for _, c := range p.Status.GetChains() {
			t := byChain[c.GetChainId()]
			if t == nil {
				t = &tip{Chain: c.GetChainId()}
				byChain[t.Chain] = t
			}
			hash := hex.EncodeToString(c.GetBlockHash())
			if c.GetHeight() >= t.Height {
				t.Height, t.Hash, t.Time = c.GetHeight(), hash, time.UnixMilli(c.GetTimeMs())
			}
			at := t.Chain + " " + strconv.FormatUint(c.GetHeight(), 10)
			if hashes[at] != "" && hashes[at] != hash {
				t.Differ = true
			}
			hashes[at] = hash
		}
	}
	var out []tip
	for _, t := range byChain {
		for _, p := range all {
			for _, c := range p.Status.GetChains() {
				switch {
				case c.GetChainId() != t.Chain:
				case c.GetHeight() == t.Height:
					t.Have = append(t.Have, p.Name)
				default:
					t.Late = append(t.Late, p.Name)
				}
			}
		}
		out = append(out, *t)
	}
	slices.SortFunc(out, func(a, b tip) int { return cmp.Compare(a.Chain, b.Chain) })
	return out
}

// healthView is the page of all processes.
type healthView struct {
	*answers
	Memberships map[string]string
	Chains      []tip
	Pages       pager
}

// health shows every node and endorser: role, lag, clock, fault, and whether the copies agree.
func (v *visit) health() (*view, error) {
	network, err := v.ownNetwork()
	if err != nil {
		return nil, err
	}
	all, err := v.ask(network, processTime)
	if err != nil {
		return nil, err
	}
	out := &healthView{answers: all, Memberships: map[string]string{}, Pages: v.pagerOf(uint64(len(all.Tips)))}
	for i, n := range network.GetNodes() {
		if i < len(network.GetMemberships()) {
			out.Memberships[n.GetId()] = enumKey("membership.", network.GetMemberships()[i])
		}
	}
	from := min(out.Pages.first(), len(all.Tips))
	out.Chains = all.Tips[from:min(from+pageSize, len(all.Tips))]
	return &view{name: "own-health", title: "health.title", data: out}, nil
}
