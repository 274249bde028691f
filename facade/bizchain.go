package facade

import (
	"ltl/internal/rules"
	ltlv1 "ltl/proto/ltl/v1"
)

// findChain finds the chain that BizChainId names. Whether it exists and is of the right service is told before all else; whether the
// caller takes part in it, is locked or lacks the role is judged by the ledger.
func (c *call) findChain() error {
	id := c.text(bizChainID)
	service, ok, err := c.f.directory.service(c.ctx, id)
	switch {
	case err != nil:
		return err
	case !ok:
		return refuseBecause(rules.NotFound, "No business chain has the identifier given in BizChainId.")
	case c.action.service == ltlv1.ChainService_CHAIN_SERVICE_PROOF && service != c.action.service:
		return refuseBecause(rules.NotFound, "The business chain given in BizChainId is not one of the proof service.")
	case c.action.service == ltlv1.ChainService_CHAIN_SERVICE_COLLABORATION && service != c.action.service:
		return refuseBecause(rules.NotFound, "The business chain given in BizChainId is not one of the collaboration service.")
	}
	c.chainID = id
	return nil
}

// chainFirst answers what is wrong with the chain, the caller's membership, lock or role, if anything is, and the form error else. The
// ledger is asked for it, so that a member of this very moment counts.
func (c *call) chainFirst(form *formError) error {
	if c.chainID == "" {
		return form.refusal
	}
	r, err := c.f.net.GetChain(c.ctx, &ltlv1.GetChainRequest{ChainId: c.chainID, AccountUid: c.uid})
	switch {
	case err != nil:
		return err
	case r.GetCode() != rules.OK:
		return ledgerError(r.GetCode())
	case c.action.admin && r.GetChain().GetRole() != rules.RoleAdmin:
		return notAdministrator()
	}
	return form.refusal
}

// notAdministrator is the refusal of an Action that only the administrator may call.
func notAdministrator() *businessError {
	return refuseBecause(rules.Forbidden, "Only the administrator of this business chain may do this.")
}

// submit writes tx to the chain that BizChainId names, on behalf of the caller, and waits until it is committed and executed. The
// output is what it created.
func (c *call) submit(tx *ltlv1.Transaction) (output string, err error) {
	tx.ChainId, tx.AccountUid, tx.AccessKeyId, tx.SignatureNonce = c.chainID, c.uid, c.key, c.nonce
	result, err := c.f.net.Submit(c.ctx, tx)
	if err != nil {
		return "", err
	}
	return result.GetOutput(), resultError(result)
}

// resultError turns the result of a transaction into the error to answer; nil for success. What an organisation gave as its reason is
// the message.
func resultError(result *ltlv1.Result) error {
	if result.GetReason() == "" {
		return ledgerError(result.GetCode())
	}
	code := result.GetCode()
	if code == rules.OK || code == rules.NotEndorsed {
		code = rules.Forbidden
	}
	return refuseBecause(code, result.GetReason())
}
