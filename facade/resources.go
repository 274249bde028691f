package facade

import (
	ltlv1 "ltl/proto/ltl/v1"
)

// chainInfo reads the chain with its use, as the caller sees it.
func (c *call) chainInfo() (*ltlv1.GetChainResponse, error) {
	r, err := c.f.net.GetChain(c.ctx, &ltlv1.GetChainRequest{ChainId: c.chainID, AccountUid: c.uid})
	if err == nil {
		err = ledgerError(r.GetCode())
	}
	return r, err
}

// describeResourceInfo is the Action DescribeResourceInfo. AuthorizeType is here the edition, in Chinese. A chain's blocks do not tell
// that its term is over before somebody tries to write, so that the facade's clock decides.
func describeResourceInfo(c *call) (value, error) {
	r, err := c.chainInfo()
	if err != nil {
		return value{}, err
	}
	chain := r.GetChain().GetChain()
	return object(
		textField("Status", either(c.f.clock().UnixMilli() < chain.GetExpiredMs(), "NORMAL", "EXPIRED")),
		textField("AuthorizeType", either(chain.GetEdition() == ltlv1.Edition_EDITION_ENTERPRISE, "企业版", "标准版")),
		field{"EffectiveTime", integer(chain.GetEffectiveMs())},
		field{"ExpiredTime", integer(chain.GetExpiredMs())},
		textField("Region", chain.GetRegion()),
	), nil
}

// describeCapacityInfo is the Action DescribeCapacityInfo.
func describeCapacityInfo(c *call) (value, error) {
	r, err := c.chainInfo()
	if err != nil {
		return value{}, err
	}
	info := r.GetChain()
	return object(
		longField("CountQuota", info.GetChain().GetCountQuota()),
		longField("MemberUsedCapacity", r.GetOwnBytes()),
		longField("CapacityQuota", info.GetChain().GetCapacityQuotaBytes()),
		longField("UsedCapacity", info.GetUsedBytes()),
		longField("UsedCount", info.GetUsedCount()),
		longField("MemberUsedCount", r.GetOwnCount()),
	), nil
}
