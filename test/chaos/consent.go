package chaos

import (
	"fmt"
	"strings"

	"ltl/client"
	ltlv1 "ltl/proto/ltl/v1"
)

// consent walks over a ledger and finds what was done to an honest organisation's things without it. It knows nothing of
// the rules: it knows whose each thing was before the malicious organisation began, and all that the honest ones
// submitted. What is accepted and names a thing of an honest organisation, or such a process as its submitter, must be
// among that.
type consent struct {
	malicious string
	// from is the number of blocks before the malicious organisation began.
	from int
	// Whose the things are: accounts by uid, AccessKeys by id, chains by id, type codes by chain code and code, products,
	// nodes.
	accounts, accessKeys, chains, codes, products, nodes map[string]string
	// acts are what honest operators did beside the callers, by transaction id; asked is what callers wrote.
	acts  map[string]*act
	asked map[[3]string]string
	// holdings is what honest organisations are to have in the end.
	holdings  map[string]string
	proposers map[string]string

	blocks, looked, foreign int
	found                   map[string]int // acts on the ledger, by transaction id
	check                   *Check
}

// owned is a thing with its owner.
type owned struct{ what, of, owner string }

func organisationOf(submitter string) string {
	organisation, _, _ := strings.Cut(submitter, "/")
	return organisation
}

// codeOf is the chain code and the data type code of a Key.
func codeOf(key string) string {
	parts := strings.SplitN(key, "_", 4)
	if len(parts) < 4 {
		return ""
	}
	return parts[1] + "_" + parts[2]
}

// see judges an accepted transaction in the block that was read last. It reports whether the callers' history is not
// about it.
func (c *consent) see(at BlockID, id string, tx *ltlv1.Transaction) (apart bool) {
	_, known := c.acts[id]
	if known {
		c.found[id]++
	}
	if c.blocks <= c.from {
		return known
	}
	c.looked++
	if known {
		c.expect(tx)
	}
	known = known || c.written(tx)
	things := append(c.things(tx), owned{"the submitter", tx.GetSubmitter(), organisationOf(tx.GetSubmitter())})
	for _, t := range things {
		if !known && t.owner != "" && t.owner != c.malicious {
			c.check.wrong("transaction %s at height %d of chain %s names %s %s, which is %s's, and no process of that "+
				"organisation made it: %.300s", id, at.Height, at.Chain, t.what, t.of, t.owner, fmt.Sprint(tx))
		}
	}
	c.learn(id, tx)
	mine := c.accounts[tx.GetAccountUid()] == c.malicious
	if mine {
		c.foreign++
	}
	return mine || c.acts[id] != nil
}

// written reports whether a caller of the run wrote a record.
func (c *consent) written(tx *ltlv1.Transaction) bool {
	action, key, business := SetData, tx.GetSetData().GetKey(), ""
	if a := tx.GetAttachData(); a != nil {
		action, key, business = Attach, a.GetKey(), a.GetBusinessId()
	}
	value, _ := client.ValueOf(tx)
	asked, ok := c.asked[[3]string{action, key, value}]
	return ok && (asked == "" || asked == business) && c.codes[codeOf(key)] == c.accounts[tx.GetAccountUid()]
}

// things are what a transaction names and an organisation owns.
func (c *consent) things(tx *ltlv1.Transaction) []owned {
	var out []owned
	name := func(what, of string, owners map[string]string) {
		if of != "" {
			out = append(out, owned{what, of, owners[of]})
		}
	}
	name("the account", tx.GetAccountUid(), c.accounts)
	name("the AccessKey", tx.GetAccessKeyId(), c.accessKeys)
	for _, device := range []*ltlv1.DeviceProof{tx.GetSetData().GetDevice(), tx.GetAttachData().GetDevice()} {
		name("the product", device.GetProductKey(), c.products)
	}
	name("a Key of the type code", codeOf(tx.GetSetData().GetKey()), c.codes)
	name("a Key of the type code", codeOf(tx.GetAttachData().GetKey()), c.codes)
	name("a Key of the type code", codeOf(tx.GetAttachData().GetCorrects().GetKey()), c.codes)
	switch {
	case tx.GetSetData() != nil, tx.GetAttachData() != nil, tx.GetRegisterDeviceGroup() != nil:
		name("the product", tx.GetRegisterDeviceGroup().GetProductKey(), c.products)
	case tx.GetAccountUid() != "": // the administrator's
		name("the chain", tx.GetChainId(), c.chains)
	default:
		out = append(out, c.systemThings(tx)...)
	}
	return out
}

// systemThings are the things that a transaction of the system chain changes.
func (c *consent) systemThings(tx *ltlv1.Transaction) []owned {
	one := func(what, of, owner string) []owned { return []owned{{what, of, owner}} }
	product := func(key string) []owned { return one("the product", key, c.products[key]) }
	organisation := func(id string) []owned { return one("the organisation", id, id) }
	node := func(id string) []owned { return one("the node", id, c.nodes[id]) }
	switch a := tx.GetAction().(type) {
	case *ltlv1.Transaction_CreateAccount:
		return organisation(a.CreateAccount.GetOrganisation())
	case *ltlv1.Transaction_PutAccessKey:
		return append(one("the account", a.PutAccessKey.GetAccountUid(), c.accounts[a.PutAccessKey.GetAccountUid()]),
			one("the AccessKey", a.PutAccessKey.GetId(), c.accessKeys[a.PutAccessKey.GetId()])...)
	case *ltlv1.Transaction_CreateChain:
		return one("the account", a.CreateChain.GetAdministratorUid(), c.accounts[a.CreateChain.GetAdministratorUid()])
	case *ltlv1.Transaction_ModifyChain:
		return one("the chain", a.ModifyChain.GetChainId(), c.chains[a.ModifyChain.GetChainId()])
	case *ltlv1.Transaction_ModifyOrganisation:
		return organisation(a.ModifyOrganisation.GetId())
	case *ltlv1.Transaction_RecoverOrganisation:
		return organisation(a.RecoverOrganisation.GetId())
	case *ltlv1.Transaction_AcceptMembership:
		return organisation(a.AcceptMembership.GetId())
	case *ltlv1.Transaction_RevokeCertificate:
		return organisation(organisationOf(a.RevokeCertificate.GetIdentity()))
	case *ltlv1.Transaction_EnrollDevice:
		return product(a.EnrollDevice.GetProductKey())
	case *ltlv1.Transaction_RevokeDevice:
		return product(a.RevokeDevice.GetProductKey())
	case *ltlv1.Transaction_RotateDeviceKey:
		return product(a.RotateDeviceKey.GetProductKey())
	case *ltlv1.Transaction_DeclareDeviceKey:
		return product(a.DeclareDeviceKey.GetProductKey())
	case *ltlv1.Transaction_ClaimProduct:
		return product(a.ClaimProduct.GetProductKey())
	case *ltlv1.Transaction_AssignProduct:
		return product(a.AssignProduct.GetProductKey())
	case *ltlv1.Transaction_AddNode:
		return append(organisation(a.AddNode.GetNode().GetOrganisation()), node(a.AddNode.GetReplaces())...)
	case *ltlv1.Transaction_ChangeNode:
		return node(a.ChangeNode.GetId())
	case *ltlv1.Transaction_SetNodeAddress:
		return node(a.SetNodeAddress.GetId())
	case *ltlv1.Transaction_Withdraw:
		id := fmt.Sprintf("%x", a.Withdraw.GetProposalId())
		return one("the proposal", id, c.proposers[id])
	case *ltlv1.Transaction_Propose, *ltlv1.Transaction_Approve, *ltlv1.Transaction_Reject, *ltlv1.Transaction_SetDelegates,
		*ltlv1.Transaction_LeaveNetwork:
		return nil // of the submitter's organisation
	}
	return one("what all organisations share", "by an act of its own", "all")
}

// learn notes whose the things are that a transaction made.
func (c *consent) learn(id string, tx *ltlv1.Transaction) {
	owner := organisationOf(tx.GetSubmitter())
	first := func(m map[string]string, key, owner string) {
		if m[key] == "" {
			m[key] = owner
		}
	}
	switch a := tx.GetAction().(type) {
	case *ltlv1.Transaction_CreateAccount:
		first(c.accounts, a.CreateAccount.GetUid(), a.CreateAccount.GetOrganisation())
	case *ltlv1.Transaction_PutAccessKey:
		first(c.accessKeys, a.PutAccessKey.GetId(), c.accounts[a.PutAccessKey.GetAccountUid()])
	case *ltlv1.Transaction_ClaimProduct:
		first(c.products, a.ClaimProduct.GetProductKey(), owner)
	case *ltlv1.Transaction_EnrollDevice:
		first(c.products, a.EnrollDevice.GetProductKey(), owner)
	case *ltlv1.Transaction_AddNode:
		first(c.nodes, a.AddNode.GetNode().GetId(), a.AddNode.GetNode().GetOrganisation())
	case *ltlv1.Transaction_Propose:
		c.proposers[id] = owner
	}
}

// expect notes what an act of an honest operator makes of the holdings.
func (c *consent) expect(tx *ltlv1.Transaction) {
	switch a := tx.GetAction().(type) {
	case *ltlv1.Transaction_CreateAccount:
		c.holdings["account "+a.CreateAccount.GetUid()] = accountWords(a.CreateAccount.GetName(), a.CreateAccount.GetType(),
			a.CreateAccount.GetOrganisation())
	case *ltlv1.Transaction_PutAccessKey:
		k := a.PutAccessKey
		c.holdings["AccessKey "+k.GetId()] = accessKeyWords(k.GetAccountUid(), k.GetState(), k.GetVersion(), k.GetCommitment())
	}
}

// finish compares what each copy has in the end with the holdings, and looks for the acts that were acknowledged.
func (c *consent) finish(copies map[string]map[string]string) {
	for id, a := range c.acts {
		c.looked++
		switch n := c.found[id]; {
		case n > 1:
			c.check.wrong("%s was accepted %d times", a, n)
		case n == 0 && a.acknowledged:
			c.check.wrong("%s was acknowledged and is not on the ledger", a)
		case a.refused != "":
			c.check.wrong("%s was refused: %s", a, a.refused)
		}
	}
	for _, name := range sortedKeys(copies) {
		has := copies[name]
		c.looked += len(c.holdings)
		for _, what := range sortedKeys(c.holdings) {
			if has[what] != c.holdings[what] {
				c.check.wrong("on %s %s is %q, and its owner had it %q", name, what, has[what], c.holdings[what])
			}
		}
		for _, what := range sortedKeys(has) {
			if _, ok := c.holdings[what]; !ok {
				c.check.wrong("on %s there is %s, %q, which its owner did not make", name, what, has[what])
			}
		}
	}
	c.check.Looked = c.looked
	c.check.What = fmt.Sprintf("transactions, acts and holdings on each copy; %d transactions of %s's own accounts", c.foreign,
		c.malicious)
}
