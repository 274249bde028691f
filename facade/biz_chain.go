package facade

import (
	ltlv1 "ltl/proto/ltl/v1"
)

// chainInfo reads the chain and how much of its quotas is used, as the caller sees it.
func (c *call) chainInfo() (*ltlv1.GetChainResponse, error) {
	r, err := c.f.net.GetChain(c.ctx, &ltlv1.GetChainRequest{ChainId: c.chainID, AccountUid: c.uid})
	if err == nil {
		err = ledgerError(r.GetCode())
	}
	return r, err
}

// listProofChain is the Action ListProofChain.
func listProofChain(c *call) (value, error) {
	return c.listChains(ltlv1.ChainService_CHAIN_SERVICE_PROOF, func(chain *ltlv1.ChainInfo) value {
		return object(
			textField("RoleType", chain.GetRole()),
			textField("BizChainId", chain.GetChainId()),
			textField("DataTypeCode", chain.GetDataTypeCode()),
			textField("BizChainCode", chain.GetChainCode()),
			textField("Remark", chain.GetChain().GetRemark()),
			textField("Name", chain.GetChain().GetName()),
		)
	})
}

// listCollaborationChains is the Action ListMultiPartyCollaborationChain.
func listCollaborationChains(c *call) (value, error) {
	return c.listChains(ltlv1.ChainService_CHAIN_SERVICE_COLLABORATION, func(chain *ltlv1.ChainInfo) value {
		return object(
			textField("BizChainId", chain.GetChainId()),
			textField("RoleType", chain.GetRole()),
			textField("Remark", chain.GetChain().GetRemark()),
			textField("Name", chain.GetChain().GetName()),
		)
	})
}

// listChains returns a page of the account's chains of one service.
func (c *call) listChains(service ltlv1.ChainService, row func(*ltlv1.ChainInfo) value) (value, error) {
	p, err := c.page()
	if err != nil {
		return value{}, err
	}
	r, err := c.f.net.ListChains(c.ctx, &ltlv1.ListChainsRequest{
		AccountUid: c.uid, Service: service, Name: c.text("Name"), Page: p.num, Size: p.size,
	})
	if err == nil {
		err = ledgerError(r.GetCode())
	}
	if err != nil {
		return value{}, err
	}
	return p.data(rows(r.GetChains(), row), r.GetTotal()), nil
}

// describeResourceInfo is the Action DescribeResourceInfo. Its AuthorizeType is the edition, in Chinese. Whether the
// term is over is decided by the clock of this facade, because the blocks of a chain show it only after the next
// write.
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
