package facade

import (
	"cmp"
	"context"
	"errors"
	"net/http"
	"strings"
	"time"

	"ltl/client"
	"ltl/internal/rules"
	ltlv1 "ltl/proto/ltl/v1"
)

// Codes of gateway errors. In codes about a parameter, anyName is replaced by its name.
const (
	anyName = "<Name>"

	codeMissing            = "Missing" + anyName
	codeInvalid            = "Invalid" + anyName
	codeParameter          = "InvalidParameter"
	codeFormat             = "InvalidParameter.Format"
	codeActionNotFound     = "InvalidAction.NotFound"
	codeMethod             = "UnsupportedHTTPMethod"
	codeKeyNotFound        = "InvalidAccessKeyId.NotFound"
	codeKeyInactive        = "InvalidAccessKeyId.Inactive"
	codeSignature          = "SignatureDoesNotMatch"
	codeIncomplete         = "IncompleteSignature"
	codeSignatureMethod    = "InvalidSignatureMethod"
	codeNonceUsed          = "SignatureNonceUsed"
	codeTimestampExpired   = "InvalidTimeStamp.Expired"
	codeTimestampFormat    = "InvalidTimeStamp.Format"
	codeURLTooLong         = "RequestURITooLong"
	codeBodyTooLarge       = "RequestBodyTooLarge"
	codeThrottling         = "Throttling"
	codeServiceUnavailable = "ServiceUnavailable"
	codeInternal           = "InternalError"
)

// GatewayError is the response to a call that did not reach the rules of the ledger. Its code is a name and its HTTP
// status is not 2xx.
type GatewayError struct {
	// Code and Message are those of Alibaba Cloud's gateway where it has the error, since SDKs compare them. In those of
	// a parameter, <Name> is replaced by its name. An empty Message is written for each case.
	Code    string
	Status  int
	Message string
	// Meaning is for the API document.
	Meaning string
	// Recommend tells the caller what to do. It is a member of the response.
	Recommend string
}

// GatewayErrors is the table of gateway errors. The API document is generated from it.
func GatewayErrors() []GatewayError {
	const bad = http.StatusBadRequest
	return []GatewayError{
		{codeMissing, bad, anyName + " is mandatory for this action.",
			"A mandatory parameter is absent.", "Send the parameter."},
		{codeInvalid, bad, "Specified parameter " + anyName + " is not valid.",
			"A parameter has the wrong type: no number, no list; or Version is not 2019-05-10.",
			"Compare the parameter with the API document."},
		{codeParameter, bad, "",
			"A parameter occurs twice, or is not well-formed percent-encoded UTF-8.", "Correct the encoding of the request."},
		{codeFormat, bad, "Specified parameter format is not valid.",
			"Format is neither JSON nor XML.", "Send JSON or XML as Format, or leave it out."},
		{codeActionNotFound, http.StatusNotFound, "Specified api is not found, please check your url and method.",
			"No Action has this name, or the path is none of this API.", "Compare with the names in the API document, capitals included."},
		{codeMethod, bad, "This http method is not supported.",
			"The method is neither GET nor POST, or not GET where evidence is read.", "Use GET, or POST for an Action."},
		{codeKeyNotFound, http.StatusNotFound, "Specified access key is not found.",
			"The AccessKey does not exist.", "Use an AccessKey that the operator of this network has created."},
		{codeKeyInactive, bad, "Specified access key is disabled.",
			"The AccessKey is disabled.", "Use another AccessKey, or ask the operator to enable this one."},
		{codeSignature, bad, "Specified signature is not matched with our calculation.",
			"The signature is wrong. Message has the text that should have been signed.",
			"Check the AccessKey secret and compare the string to sign."},
		{codeIncomplete, bad, "The request signature does not conform to Aliyun standards.",
			"The parameters or the header of the signature have the wrong form.", "Let an SDK sign the request."},
		{codeSignatureMethod, bad, "Specified signature method is not valid.",
			"SignatureMethod is not HMAC-SHA1.", "Use HMAC-SHA1, or the header with ACS3-HMAC-SHA256."},
		{codeNonceUsed, bad, "Specified signature nonce was used already.",
			"This AccessKey has used the SignatureNonce before.", "Sign every request again, with a new SignatureNonce."},
		{codeTimestampExpired, bad, "Specified time stamp or date value is expired.",
			"Timestamp differs from the median of the network's clocks by more than 15 minutes.", "Set the clock."},
		{codeTimestampFormat, bad, "Specified time stamp or date value is not well formatted.",
			"Timestamp does not have the form YYYY-MM-DDThh:mm:ssZ.", "Send UTC in the form YYYY-MM-DDThh:mm:ssZ."},
		{codeURLTooLong, http.StatusRequestURITooLong, "The URL is too long; send the parameters in a form body.",
			"The query has more than 2 MiB.", "Send the parameters in a form body."},
		{codeBodyTooLarge, http.StatusRequestEntityTooLarge, "The body is too large; at most 2 MiB are allowed.",
			"The body has more than 2 MiB.", "Split the batch."},
		{codeThrottling, bad, "Request was denied due to request throttling.",
			"Too many calls are under way, in all, of the account or on the chain; Message says which. Nothing was written.",
			"Try again after the seconds in the header Retry-After."},
		{codeServiceUnavailable, http.StatusServiceUnavailable,
			"The request has failed due to a temporary failure of the server.",
			"No majority answered in time. Whether a write took effect is not known.",
			"Read the record, or write again with the same BusinessId or DataSeq."},
		{codeInternal, http.StatusInternalServerError,
			"The request processing has failed due to some unknown error, exception or failure.",
			"The server has a fault.", "Give the RequestId to the operator of this network."},
	}
}

// gatewayError is the gateway error of one response.
type gatewayError struct {
	status                   int
	code, message, recommend string
	// row is the code in the table.
	row string
	// retryAfter is after how long a call that was throttled may be repeated; 0 leaves it open.
	retryAfter time.Duration
}

// Error is the code and the message.
func (e *gatewayError) Error() string { return e.code + ": " + e.message }

// gateway is the gateway error with that code. A code that is not in the table is an internal error.
func gateway(code string) *gatewayError { return gatewayNamed(code, "") }

// gatewayNamed is the gateway error with that code for the parameter with that name.
func gatewayNamed(code, name string) *gatewayError {
	table := GatewayErrors()
	row := &table[len(table)-1]
	for i := range table {
		if table[i].Code == code {
			row = &table[i]
			break
		}
	}
	e := &gatewayError{row: row.Code, status: row.Status, code: row.Code, message: row.Message, recommend: row.Recommend}
	if name != "" {
		e.code, e.message = strings.Replace(e.code, anyName, name, 1), strings.Replace(e.message, anyName, name, 1)
	}
	return e
}

// missing is the error of a mandatory parameter that is absent.
func missing(name string) *gatewayError { return gatewayNamed(codeMissing, name) }

// invalid is the error of a parameter of the wrong type, or of a common parameter whose value is not supported.
func invalid(name string) *gatewayError { return gatewayNamed(codeInvalid, name) }

// badParameter is the error of a request whose parameters cannot be read.
func badParameter(message string) *gatewayError {
	e := gateway(codeParameter)
	e.message = message
	return e
}

// businessError is a refusal by the rules of LTL: its code is a number and its HTTP status 200.
type businessError struct {
	code    int32
	message string
}

// Error is the message.
func (e *businessError) Error() string { return e.message }

// refuse is the refusal with the message that the table of result codes has for the code.
func refuse(code int32) *businessError { return newRefusal(code, rules.Message(code)) }

// newRefusal is a refusal with a message of its own.
func newRefusal(code int32, message string) *businessError {
	return &businessError{code: code, message: message}
}

// isRefusal reports whether err is a refusal with that code.
func isRefusal(err error, code int32) bool {
	var refusal *businessError
	return errors.As(err, &refusal) && refusal.code == code
}

// formError says that the value of a parameter has a wrong form. An Action returns it without asking the ledger; see
// checks for what precedes it.
type formError struct{ refusal *businessError }

// Error is the message of the refusal.
func (e *formError) Error() string { return e.refusal.message }

// malformed is a form error with the code OutOfRange; the message names the parameter.
func malformed(message string) *formError { return newFormErrorMessage(rules.OutOfRange, message) }

// newFormError is a form error with the usual message of its code.
func newFormError(code int32) *formError { return &formError{refuse(code)} }

// newFormErrorMessage is a form error with a message of its own.
func newFormErrorMessage(code int32, message string) *formError {
	return &formError{newRefusal(code, message)}
}

// withMessage replaces the usual message of a refusal with that code by a more specific one. Any other error is
// returned as it is.
func withMessage(err error, code int32, message string) error {
	if isRefusal(err, code) && err.Error() == rules.Message(code) {
		return newRefusal(code, message)
	}
	return err
}

// ledgerError turns a result code of the ledger into the error that the table of result codes has for it; nil for
// success.
func ledgerError(code int32) error {
	if code == rules.OK {
		return nil
	}
	row := rules.Describe(code)
	if row.Gateway != "" {
		return gateway(row.Gateway)
	}
	return newRefusal(cmp.Or(row.Answer, code), row.Message)
}

// resultError turns the result of a transaction into the error of the response; nil for success. A reason that an
// endorsing organisation gave is the message, or goes behind that of a gateway error.
func resultError(result *ltlv1.Result) error {
	if result.GetReason() == "" {
		return ledgerError(result.GetCode())
	}
	if name := rules.Describe(result.GetCode()).Gateway; name != "" {
		g := gateway(name)
		g.message += " " + result.GetReason()
		return g
	}
	code := cmp.Or(rules.Describe(result.GetCode()).Answer, result.GetCode())
	if code == rules.OK { // too few organisations endorsed, one of them for this reason
		code = rules.Forbidden
	}
	return newRefusal(code, result.GetReason())
}

// gatewayOf maps a failure of the network to a gateway error. No other place does.
func gatewayOf(err error) *gatewayError {
	var g *gatewayError
	switch {
	case errors.As(err, &g):
		return g
	case errors.Is(err, client.ErrOverloaded):
		return gateway(codeThrottling)
	case errors.Is(err, client.ErrHolderUnavailable):
		g = gateway(codeServiceUnavailable)
		g.message += " The endorser of the organisation that enrolled the device does not answer, and no other" +
			" endorser can verify the device's signature; nothing was written."
		return g
	case errors.Is(err, client.ErrClock):
		g = gateway(codeServiceUnavailable)
		g.message += " " + err.Error()
		return g
	case errors.Is(err, client.ErrUnavailable), errors.Is(err, client.ErrClosed),
		errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled):
		return gateway(codeServiceUnavailable)
	}
	return gateway(codeInternal)
}
