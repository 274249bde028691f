package facade

import (
	"context"
	"strconv"

	"ltl/internal/rules"
)

// apiVersion and version are the two versions every request names.
const (
	apiVersion = "1.0.0"
	version    = "2019-05-10"
)

// parameterType says what a parameter's text must be.
type parameterType uint8

// The zero parameterType is text. typeInteger is 32 bits, typeLong 64.
const (
	typeInteger parameterType = iota + 1
	typeLong
)

// parameter is one parameter of an Action.
type parameter struct {
	name string
	kind parameterType
	// optional parameters may be absent; an optional number may be empty, too.
	optional bool
	// absent, if not 0, is the business code of a mandatory parameter's absence, in place of the gateway error.
	absent int32
}

// action is one row of the table of Actions.
type action struct {
	name   string
	params []parameter
	// chain is the parameter that holds the code of the chain acted on; empty for Actions about the account as a whole.
	chain string
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

// checkParameters refuses what lacks a mandatory parameter or has one of the wrong type.
func (a *action) checkParameters(q *request) error {
	for i := range a.params {
		p := &a.params[i]
		v, ok := q.get(p.name)
		if !ok {
			if !p.optional && p.absent == 0 {
				return missing(p.name)
			}
			continue
		}
		if v == "" && p.optional {
			continue
		}
		switch p.kind {
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
	key := parameter{name: "Key"}
	productKey := parameter{name: "ProductKey"}
	value := parameter{name: "Value", absent: rules.BadValue}
	businessID := parameter{name: "BusinessId", optional: true}
	start := parameter{name: "StartTime", kind: typeLong, optional: true}
	end := parameter{name: "EndTime", kind: typeLong, optional: true}
	return []action{
		{name: "ListProofChain", data: kindObject, run: listProofChain, params: []parameter{
			{name: "Num", kind: typeInteger}, {name: "Size", kind: typeInteger}, {name: "Name", optional: true}}},
		{name: "SetData", data: kindString, run: setData, chain: "ProductKey", params: []parameter{key, productKey, value}},
		{name: "GetData", data: kindString, run: getData, chain: "ProductKey", params: []parameter{businessID, key, productKey}},
		{name: "GetBlockChainInfo", data: kindString, run: getBlockChainInfo, chain: "ProductKey", params: []parameter{key, productKey, businessID}},
		{name: "AttachData", data: kindString, run: attachData, chain: "ProductKey", params: []parameter{key, productKey, value, businessID}},
		{name: "GetHistoryDataCount", data: kindString, run: getHistoryDataCount, chain: "ProductKey", params: []parameter{key, productKey, start, end}},
		{name: "GetHistoryDataList", data: kindObject, run: getHistoryDataList, chain: "ProductKey", params: []parameter{
			{name: "CurrentPage", kind: typeInteger}, key, {name: "PageSize", kind: typeInteger}, productKey, start, end}},
	}
}
