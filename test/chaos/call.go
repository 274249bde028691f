package chaos

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"ltl/internal/localnet"
)

// How callers try.
const (
	attemptTimeout = 10 * time.Second // a facade answers within 8
	maxAttempts    = 6
	firstBackOff   = 100 * time.Millisecond
	maxAnswer      = 1 << 20
	formType       = "application/x-www-form-urlencoded"
	historyPage    = 100
	replayUnit     = 150 * time.Microsecond // a replay comes up to 65536 of these after the answer: ten seconds
)

// answered is what one attempt brought.
type answered struct {
	// code is the ledger's number, or 0 and name the gateway's; both are empty when no answer came.
	code int
	name string
	data json.RawMessage
	// text is the answer, or the failure, for people.
	text string
}

// caller makes calls as one account, at any of several facades.
type caller struct {
	account   localnet.Account
	chain     localnet.Chain
	endpoints []string
	http      *http.Client
}

// key makes the Key of an id.
func (c *caller) key(id string) string {
	return "0001_" + c.chain.BizChainCode + "_" + c.account.DataTypeCode + "_" + id
}

// form is a signed request.
func (c *caller) form(o *Op) string {
	p := map[string]string{"ProductKey": c.chain.BizChainCode, "Key": o.Key}
	if o.BusinessID != "" {
		p["BusinessId"] = o.BusinessID
	}
	switch o.Action {
	case SetData, Attach:
		p["Value"] = o.Value
	case List:
		p["CurrentPage"], p["PageSize"] = "1", strconv.Itoa(historyPage)
	}
	signer := localnet.Caller{AccessKeyID: c.account.AccessKeyID, Secret: c.account.AccessKeySecret}
	return signer.Form(o.Action, p)
}

// send sends one request to one facade.
func (c *caller) send(ctx context.Context, endpoint, form string) answered {
	ctx, cancel := context.WithTimeout(ctx, attemptTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, endpoint+"/", strings.NewReader(form))
	if err != nil {
		return answered{text: err.Error()}
	}
	req.Header.Set("Content-Type", formType)
	res, err := c.http.Do(req)
	if err != nil {
		return answered{text: err.Error()}
	}
	defer res.Body.Close()
	body, err := io.ReadAll(io.LimitReader(res.Body, maxAnswer))
	if err != nil {
		return answered{text: err.Error()}
	}
	return parseAnswer(res.StatusCode, body)
}

// parseAnswer reads an answer of the API in one of its two forms.
func parseAnswer(status int, body []byte) answered {
	a := answered{text: fmt.Sprintf("%d %s", status, body)}
	var members struct{ Code, Data json.RawMessage }
	if json.Unmarshal(body, &members) != nil {
		a.name = "no JSON"
		return a
	}
	a.data = members.Data
	if json.Unmarshal(members.Code, &a.code) != nil && json.Unmarshal(members.Code, &a.name) != nil {
		a.name = "no Code"
	}
	return a
}

// sendTwice sends the same request to two facades at the same time, as a broken proxy would, and keeps the answer that
// says more.
func (c *caller) sendTwice(ctx context.Context, first, second, form string) answered {
	other := make(chan answered, 1)
	go func() { other <- c.send(ctx, second, form) }()
	a, b := c.send(ctx, first, form), <-other
	if b.code == 200 || a.code == 0 && b.code != 0 {
		a = b
	}
	if a.code == 0 && a.name == "SignatureNonceUsed" {
		a.name, a.text = "", "one of two copies was refused, the other has no answer" // the outcome of the call is unknown
	}
	return a
}

// judge says what an attempt means; final is false when a caller would try again.
func judge(o *Op, a answered) (outcome Outcome, final bool) {
	switch {
	case a.code == 200:
		return OK, true
	case a.code == -317 && o.writes():
		return Exists, true
	case a.code == 404 && !o.writes():
		return Absent, true
	case a.code == -320, a.code == 0 && slices.Contains([]string{"", "ServiceUnavailable", "Throttling"}, a.name):
		return Unknown, false
	case a.name == "InvalidAccessKeyId.NotFound": // a facade that has just started, see docs/operate/run.md
		return Unknown, false
	}
	return Wrong, true
}

// fill reads what a reading call was told into o.
func fill(o *Op, data json.RawMessage) error {
	var text string
	switch o.Action {
	case GetData:
		o.Read = make([]string, 1)
		return json.Unmarshal(data, &o.Read[0])
	case Count:
		err := json.Unmarshal(data, &text)
		if err == nil {
			o.Number, err = strconv.Atoi(text)
		}
		return err
	case List:
		var rows struct{ Data []struct{ Value string } }
		if err := json.Unmarshal(data, &rows); err != nil {
			return err
		}
		for _, r := range slices.Backward(rows.Data) {
			o.Read = append(o.Read, r.Value)
		}
	case ChainInfo:
		var info struct {
			BlockChainInfo struct {
				BlockHeight                uint64
				BlockHash, TransactionHash string
			}
		}
		err := json.Unmarshal(data, &text)
		if err == nil {
			err = json.Unmarshal([]byte(text), &info)
		}
		i := info.BlockChainInfo
		o.Proof = &Evidence{Height: i.BlockHeight, BlockHash: i.BlockHash, TransactionHash: i.TransactionHash}
		return err
	}
	return nil
}

// call makes a call with all its attempts, and keeps it in the history. pick chooses a facade for each attempt.
func (l *Load) call(ctx context.Context, c *caller, o *Op, attempts int, pick func() int) {
	l.history.begin(o)
	outcome, made, last := Unknown, 0, answered{}
	pause, form := firstBackOff, ""
	for made < attempts {
		made++
		i := pick() % len(c.endpoints)
		form = c.form(o)
		if o.Twice && made == 1 {
			last = c.sendTwice(ctx, c.endpoints[i], c.endpoints[(i+1)%len(c.endpoints)], form)
		} else {
			last = c.send(ctx, c.endpoints[i], form)
		}
		final := false
		if outcome, final = judge(o, last); final || ctx.Err() != nil {
			break
		}
		if wait(ctx, pause) != nil {
			break
		}
		pause *= 2
	}
	l.history.end(o, func() {
		o.Outcome, o.Attempts = outcome, made
		if o.Twice {
			o.Attempts++
		}
		if outcome == OK {
			if err := fill(o, last.data); err != nil {
				o.Outcome = Wrong
			}
		}
		if o.Outcome == Wrong || o.Outcome == Unknown {
			o.Detail = last.text
		}
	})
	if o.writes() && (outcome == OK || outcome == Exists) {
		l.acknowledged(o)
	}
	if o.Replayed {
		l.replay(ctx, c, form, time.Duration(pick())*replayUnit, pick())
	}
}

// replay sends the same request again after a while, as an attacker who recorded it could. It must write nothing twice,
// which the checks verify; its answer is not needed for that.
func (l *Load) replay(ctx context.Context, c *caller, form string, after time.Duration, facade int) {
	l.group.Go(func() {
		if wait(ctx, after) == nil {
			c.send(ctx, c.endpoints[facade%len(c.endpoints)], form)
		}
	})
}
