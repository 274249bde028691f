package console

import (
	"strconv"
	"strings"
	"time"

	ltlv1 "ltl/proto/ltl/v1"
)

// alert is something about a chain that its members should know.
type alert struct {
	Chain *ltlv1.ChainInfo
	// Key is that of the sentence, Percent how much of a quota is used.
	Key     string
	Percent uint64
}

const (
	fullPercent = 80
	endsSoon    = 30 * 24 * time.Hour
)

// alertsOf are the alerts of one chain.
func alertsOf(c *ltlv1.ChainInfo, now time.Time) []alert {
	var out []alert
	q := c.GetChain()
	for key, p := range map[string]uint64{"alert.count": percent(c.GetUsedCount(), q.GetCountQuota()),
		"alert.capacity": percent(c.GetUsedBytes(), q.GetCapacityQuotaBytes())} {
		if p >= fullPercent {
			out = append(out, alert{c, key, p})
		}
	}
	switch end := time.UnixMilli(q.GetExpiredMs()); {
	case c.GetClosed():
		out = append(out, alert{c, "alert.closed", 0})
	case q.GetExpiredMs() > 0 && now.After(end):
		out = append(out, alert{c, "alert.ended", 0})
	case q.GetExpiredMs() > 0 && end.Sub(now) < endsSoon:
		out = append(out, alert{c, "alert.ends", 0})
	}
	return out
}

// percent is how much of a quota is used; 0 where there is no quota.
func percent(used, quota uint64) uint64 {
	if quota == 0 {
		return 0
	}
	return uint64(min(100, 100*float64(used)/float64(quota)))
}

// overviewView is the first page.
type overviewView struct {
	Chains        []*ltlv1.ChainInfo
	Total, Locked uint64
	Alerts        []alert
	UID           string
}

// overview shows the account's chains, and what needs attention.
func (v *visit) overview() (*view, error) {
	chains, locked, err := v.allChains()
	if err != nil {
		return nil, err
	}
	out := &overviewView{Chains: chains[:min(len(chains), pageSize)], Total: uint64(len(chains)), Locked: locked,
		UID: v.session.uid}
	for _, c := range chains {
		out.Alerts = append(out.Alerts, alertsOf(c, v.clock())...)
	}
	out.Alerts = out.Alerts[:min(len(out.Alerts), pageSize)]
	return &view{name: "overview", title: "overview.title", data: out}, nil
}

// allChains reads the chains of the account, at most maxChains.
func (v *visit) allChains() (all []*ltlv1.ChainInfo, locked uint64, err error) {
	for page := uint32(1); len(all) < maxChains; page++ {
		out, err := v.ledger.ListChains(v.r.Context(), &ltlv1.ListChainsRequest{AccountUid: v.session.uid, Page: page,
			Size: 100})
		if err != nil {
			return nil, 0, err
		}
		all, locked = append(all, out.GetChains()...), out.GetLocked()
		if len(out.GetChains()) < 100 {
			break
		}
	}
	return all, locked, nil
}

// chainsView is a page of chains.
type chainsView struct {
	By, Value     string
	Chains        []*ltlv1.ChainInfo
	Locked        uint64
	Pages         pager
	Searched, Any bool
}

// chains lists the account's chains, of which a search takes those that equal a text.
func (v *visit) chains() (*view, error) {
	all, locked, err := v.allChains()
	if err != nil {
		return nil, err
	}
	q := v.r.URL.Query()
	out := &chainsView{By: q.Get("by"), Value: strings.TrimSpace(q.Get("value")), Locked: locked, Any: len(all) > 0}
	if out.Value != "" {
		out.Searched = true
		all = matching(all, out.Value, func(c *ltlv1.ChainInfo) string {
			switch out.By {
			case "id":
				return c.GetChainId()
			case "code":
				return c.GetChainCode()
			}
			return c.GetChain().GetName()
		})
	}
	out.Pages = v.pagerOf(uint64(len(all)))
	out.Chains = all[min(out.Pages.first(), len(all)):min(out.Pages.first()+pageSize, len(all))]
	return &view{name: "chains", title: "chains.title", data: out}, nil
}

// matching are the elements whose text equals value.
func matching[T any](all []T, value string, text func(T) string) []T {
	var out []T
	for _, one := range all {
		if text(one) == value {
			out = append(out, one)
		}
	}
	return out
}

// pager is which page of a list is shown. Previous and Next are the addresses beside it; empty where there is none.
type pager struct {
	Number, Pages, Total uint64
	Previous, Next       string
}

// first is the place of the page's first row, from 0.
func (p pager) first() int { return int(p.Number-1) * pageSize }

// pagerOf reads the page's number from the query. The other parameters stay in the addresses.
func (v *visit) pagerOf(total uint64) pager {
	p := pager{Number: 1, Total: total, Pages: max(1, (total+pageSize-1)/pageSize)}
	if n, err := strconv.ParseUint(v.r.URL.Query().Get("page"), 10, 32); err == nil && n > 1 {
		p.Number = min(n, p.Pages)
	}
	at := func(number uint64) string {
		q := v.r.URL.Query()
		q.Set("page", strconv.FormatUint(number, 10))
		return v.r.URL.Path + "?" + q.Encode()
	}
	if p.Number > 1 {
		p.Previous = at(p.Number - 1)
	}
	if p.Number < p.Pages {
		p.Next = at(p.Number + 1)
	}
	return p
}

// chainView is the page of a chain.
type chainView struct {
	*ltlv1.ChainInfo
	Administrator bool
	Proof         bool
	Policy        string
	Usage         *ltlv1.GetChainResponse
	Quotas        []quota
	Blocks        []*blockRow
	Alerts        []alert
}

// quota is one limit of a chain and its use.
type quota struct {
	Key              string
	Used, Own, Limit uint64
	// Bytes is set where the numbers are sizes; HasOwn where the account's own use is known.
	Bytes, HasOwn bool
	Percent       uint64
}

// chainPage shows a chain: what it is, what of its quotas is used, its newest blocks.
func (v *visit) chainPage() (*view, error) {
	r := v.chain
	c, u := r.info.GetChain(), r.usage
	blocks, err := v.readBlocks(r.info.GetHeight()-min(r.info.GetHeight(), newestBlocks-1), newestBlocks)
	if err != nil {
		return nil, err
	}
	out := &chainView{ChainInfo: r.info, Administrator: r.administrator, Proof: r.proof(), Policy: c.GetPolicy(), Usage: u,
		Blocks: blocks, Alerts: alertsOf(r.info, v.clock())}
	own := func(key string, used, own, limit uint64, bytes bool) {
		out.Quotas = append(out.Quotas, quota{Key: key, Used: used, Own: own, Limit: limit, Bytes: bytes, HasOwn: true,
			Percent: percent(used, limit)})
	}
	own("quota.count", r.info.GetUsedCount(), u.GetOwnCount(), c.GetCountQuota(), false)
	own("quota.bytes", r.info.GetUsedBytes(), u.GetOwnBytes(), c.GetCapacityQuotaBytes(), true)
	more := func(key string, used, limit uint64) {
		out.Quotas = append(out.Quotas, quota{Key: key, Used: used, Limit: limit, Percent: percent(used, limit)})
	}
	if r.administrator {
		more("quota.members", u.GetUsedMembers(), c.GetMemberQuota())
		if !r.proof() {
			more("quota.groups", u.GetUsedPhaseGroups(), c.GetPhaseGroupQuota())
		}
	}
	return &view{name: "chain", title: "chain.title", data: out}, nil
}
