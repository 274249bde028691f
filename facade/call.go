package facade

import (
	"context"
	"errors"
	"strconv"
	"unicode/utf8"

	"ltl/client/proof"
	"ltl/internal/rules"
	ltlv1 "ltl/proto/ltl/v1"
)

// call is one authenticated request for a known Action.
type call struct {
	ctx     context.Context
	f       *Facade
	q       *request
	action  *action
	uid     string
	key     string
	nonce   string
	account *account
	// chainID is the chain that the request names, once it is known to exist.
	chainID string
	// verified is the checkpoint that what was read was checked against; nil for none.
	verified *proof.Checkpoint
	// typeCode is the data type code in the parameter Key; empty if it cannot be one.
	typeCode string
	// height is that of the block with what the call wrote.
	height uint64
	// lists are the list parameters of the request, decoded.
	lists []list
}

// checks is the order of refusals. Each check runs when all before it have passed, and the first that fails gives the
// result code. The manual lists the result codes (4.2.6) without an order. This is the order that docs/api.md promises:
// from what is cheap to check and concerns every call to what only the ledger knows, and form before existence.
//
//	step                        codes                   checked by
//	signature, time, nonce      gateway codes           Facade.authenticate
//	Action, Version             gateway codes           Facade.route
//	ApiVersion                  -113                    Facade.process
//	calls of the account        Throttling              run
//	account                     -339, -104              checkAccount
//	parameters: present, typed  Missing…, Invalid…      checkParameters
//	chain code and Key: form    -101, -102, -105        checkChain
//	chain and its service       404                     checkChain
//	calls on the chain          Throttling              run
//	member, lock, role, term    403                     ledger
//	type code                   -305, -115              ledger
//	phase and the right to it   404, 403                ledger
//	form of the values          400, 404, -103, -219    the Action
//	                            to -222
//	device parameters           -106, -118, -107,       the Action, with
//	                            -110, -111              rules.CheckDeviceProof
//	device, related data        403, 404                ledger
//	duplicates, quota           -317, -318, 409, 429    ledger
//
// A repeated upload gets its -317 or -318 before lock, term, device and quota: see internal/rules/repeat.go.
//
// The reasons of each place: a caller without a valid signature learns nothing about the network, one without rights
// on the chain nothing about its data. The Action and ApiVersion decide what the parameters mean. No parameter can
// make up for a wrong account. Every later check reads the parameters. A name must have its form before what it names
// can be missing. Type code and phase are part of the right to write. The digest and the signature of a device cover
// a value, which must therefore be valid. The last two steps need the state of the chain at the moment of the write.
//
// The ledger checks the form of a transaction before the rights of its author, because form needs no state. So an
// Action that finds a wrong form does not submit: it returns a formError, and action.first asks the ledger for the
// refusal that precedes it.
func (c *call) checks() [3]func(*call) error {
	return [...]func(*call) error{(*call).checkAccount, (*call).checkParameters, (*call).checkChain}
}

// run counts the call for its account, runs the checks that all Actions share, counts it for its chain, and runs the
// Action.
func (c *call) run() (value, error) {
	leave, err := c.admit(c.f.accountCalls, c.uid)
	if err != nil {
		return value{}, err
	}
	defer leave()
	for _, check := range c.checks() {
		if err := check(c); err != nil {
			return value{}, err
		}
	}
	if c.chainID != "" {
		leave, err := c.admit(c.f.chainCalls, c.chainID)
		if err != nil {
			return value{}, err
		}
		defer leave()
	}
	data, err := c.action.run(c)
	var form *formError
	if !errors.As(err, &form) {
		return data, c.explain(err)
	}
	if c.action.first != nil {
		if err := c.action.first(c); err != nil {
			return value{}, c.explain(err)
		}
	}
	return value{}, form.refusal
}

// checkAccount checks that the account may call Actions, on the chain that the request names if it names one.
func (c *call) checkAccount() error {
	account, err := c.f.accounts.get(c.ctx, c.uid)
	if err != nil {
		return err
	}
	c.account = account
	refusal := account.mayAct(c.text(c.action.chain))
	// Cached knowledge may be outdated, so that the account is read again. An account on no chain was read a moment ago.
	if refusal != nil && refusal.code == rules.NotRAM {
		if c.account, err = c.f.accounts.fresh(c.ctx, c.uid); err != nil {
			return err
		}
		refusal = c.account.mayAct(c.text(c.action.chain))
	}
	if refusal != nil {
		return refusal
	}
	return nil
}

// checkParameters checks that mandatory parameters are present and that all have their type, and decodes lists.
func (c *call) checkParameters() error {
	for i := range c.action.params {
		p := &c.action.params[i]
		v, ok := c.q.get(p.name)
		if ok && v == "" && p.optional {
			continue
		}
		if p.kind == typeRecords && !ok {
			ok = len(c.q.under(p.name)) > 0
		}
		if p.kind == typeList {
			l, present, err := c.q.decodeList(p.name)
			if err != nil {
				return err
			}
			if ok = present; ok {
				c.lists = append(c.lists, l)
			}
		}
		if !ok {
			if !p.optional && p.absent == 0 {
				return missing(p.name)
			}
			continue
		}
		var err error
		switch {
		case p.kind == typeInteger:
			_, err = strconv.ParseInt(v, 10, 32)
		case p.kind == typeLong:
			_, err = strconv.ParseInt(v, 10, 64)
		case p.kind == 0 && !p.payload && len(v) > maxText:
			return invalid(p.name)
		}
		if err != nil {
			return invalid(p.name)
		}
	}
	return nil
}

// checkChain finds the chain that the request names and sets chainID.
func (c *call) checkChain() error {
	switch c.action.chain {
	case bizChainID:
		return c.findChainByID()
	case chainCode:
		return c.findChainByCode()
	}
	return nil
}

// findChainByID finds the chain that BizChainId names. Whether the caller is a member of it is left to the ledger.
func (c *call) findChainByID() error {
	id := c.text(bizChainID)
	service, ok, err := c.f.chains.service(c.ctx, id)
	switch {
	case err != nil:
		return err
	case !ok:
		return newRefusal(rules.NotFound, "No business chain has the identifier given in BizChainId.")
	case c.action.service == ltlv1.ChainService_CHAIN_SERVICE_PROOF && service != c.action.service:
		return newRefusal(rules.NotFound, "The business chain given in BizChainId is not one of the proof service.")
	case c.action.service == ltlv1.ChainService_CHAIN_SERVICE_COLLABORATION && service != c.action.service:
		return newRefusal(rules.NotFound, "The business chain given in BizChainId is not one of the collaboration service.")
	}
	c.chainID = id
	return nil
}

// findChainByCode checks the form of ProductKey and Key and finds the chain. A wrong form of the type code in Key is
// not reported here: the caller's rights on the chain come first. See checks.
func (c *call) findChainByCode() error {
	chain := c.text(chainCode)
	if utf8.RuneCountInString(chain) != rules.ChainCodeLen {
		return refuse(rules.BadChainCode)
	}
	typeCode, code := rules.CheckKey(chain, c.text("Key"))
	switch code {
	case rules.OK, rules.BadTypeCode:
	case rules.BadChainCode: // inside Key; the one in ProductKey has the right length, so that the two differ
		return refuse(rules.ChainCodeDiffers)
	default:
		return refuse(code)
	}
	id, err := c.f.chains.id(c.ctx, chain)
	if err == nil && id == "" {
		err = newRefusal(rules.NotFound, "No business chain of the proof service has the code given in ProductKey.")
	}
	c.chainID, c.typeCode = id, typeCode
	return err
}

// text is the value of a parameter; "" when it is absent.
func (c *call) text(name string) string {
	v, _ := c.q.get(name)
	return v
}

// number is the value of a numeric parameter, whose form has been checked. present is false when it is absent or empty.
func (c *call) number(name string) (n int64, present bool) {
	v := c.text(name)
	if v == "" {
		return 0, false
	}
	n, err := strconv.ParseInt(v, 10, 64)
	return n, err == nil
}

// list is the list parameter of that name; empty when it is absent. The type of its elements has not been checked.
func (c *call) list(name string) list {
	for i := range c.lists {
		if c.lists[i].name == name {
			return c.lists[i]
		}
	}
	return list{name: name}
}

// remark is Remark for a change: nil when it is absent and the stored one stays. An empty one clears it.
func (c *call) remark() *string {
	if v, ok := c.q.get("Remark"); ok {
		return &v
	}
	return nil
}

// submit writes tx to the chain on behalf of the caller and waits until it is committed and executed. output is the
// identifier of what it created, if it creates anything.
func (c *call) submit(tx *ltlv1.Transaction) (output string, err error) {
	tx.ChainId, tx.AccountUid, tx.AccessKeyId, tx.SignatureNonce = c.chainID, c.uid, c.key, c.nonce
	result, err := c.f.net.Submit(c.ctx, tx)
	if err != nil {
		return "", err
	}
	if result.GetCode() == rules.OK && result.GetReason() == "" {
		c.height = result.GetBlockHeight()
		return result.GetOutput(), nil
	}
	return "", resultError(result)
}
