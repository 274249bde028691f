package facade

import (
	"context"
	"slices"
	"strconv"

	ltlv1 "ltl/proto/ltl/v1"
)

// apiVersion and version are the two versions every request names.
const (
	apiVersion = "1.0.0"
	version    = "2019-05-10"
)

// parameterType says what a parameter's text must be.
type parameterType uint8

// The zero parameterType is text. typeInteger is 32 bits, typeLong 64. typeList is a list in any of the forms of decodeList; whoever
// runs the Action finds it with call.list. typeRecords is a list of records in the same forms, which the Action reads itself.
const (
	typeInteger parameterType = iota + 1
	typeLong
	typeList
	typeRecords
)

// parameter is one parameter of an Action.
type parameter struct {
	name string
	kind parameterType
	// optional parameters may be absent; an optional number or list may be empty, too.
	optional bool
	// payload texts may have any length: the Action has a code for those that are too long. Other texts are bounded by maxText.
	payload bool
	// absent, if not 0, is the business code of a mandatory parameter's absence, in place of the gateway error.
	absent int32
}

// action is one row of the table of Actions.
type action struct {
	name   string
	params []parameter
	// chain is the parameter that names the chain acted on, by its code or, if it is BizChainId, by its identifier; empty for Actions
	// about the account as a whole.
	chain string
	// service is the service that a chain named by BizChainId must be of; unspecified if any will do.
	service ltlv1.ChainService
	// admin is set for Actions of the administrator only.
	admin bool
	// data is the form of Data: a failed call has "" where it is a string, and none where it is a structure.
	data kind
	run  func(*call) (value, error)
}

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
	// chainID is the chain that BizChainId names, once it is known to exist.
	chainID string
	// lists are the list parameters that the request has, decoded.
	lists []list
}

// text is a parameter's value; "" when it is absent.
func (c *call) text(name string) string {
	v, _ := c.q.get(name)
	return v
}

// number is a numeric parameter's value; its form has been checked.
func (c *call) number(name string) (n int64, present bool) {
	v := c.text(name)
	if v == "" {
		return 0, false
	}
	n, err := strconv.ParseInt(v, 10, 64)
	return n, err == nil
}

// checkParameters refuses a call that lacks a mandatory parameter or has one of the wrong type, and decodes its lists.
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
		switch p.kind {
		case 0:
			if len(v) > maxText && !p.payload {
				return invalid(p.name)
			}
		case typeInteger:
			if _, err := strconv.ParseInt(v, 10, 32); err != nil {
				return invalid(p.name)
			}
		case typeLong:
			if _, err := strconv.ParseInt(v, 10, 64); err != nil {
				return invalid(p.name)
			}
		}
	}
	return nil
}

// actions is the table of Actions.
func actions() []action {
	return slices.Concat(generalActions(), proofActions(), collaborationActions())
}

// bizChainID is the parameter that names the chain of all but the proof Actions.
const bizChainID = "BizChainId"

// pageParams are the parameters of a list that is read page by page.
func pageParams() []parameter {
	return []parameter{{name: "Num", kind: typeInteger}, {name: "Size", kind: typeInteger}}
}
