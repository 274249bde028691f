package facade

import (
	"context"
	"errors"
	"net/http"

	"ltl/client"
	"ltl/internal/rules"
)

// Codes of gateway errors that do not carry a parameter's name.
const (
	codeMethod             = "UnsupportedHTTPMethod"
	codeActionNotFound     = "InvalidAction.NotFound"
	codeFormat             = "InvalidParameter.Format"
	codeParameter          = "InvalidParameter"
	codeURLTooLong         = "RequestURITooLong"
	codeBodyTooLarge       = "RequestBodyTooLarge"
	codeKeyNotFound        = "InvalidAccessKeyId.NotFound"
	codeKeyInactive        = "InvalidAccessKeyId.Inactive"
	codeSignature          = "SignatureDoesNotMatch"
	codeIncomplete         = "IncompleteSignature"
	codeSignatureMethod    = "InvalidSignatureMethod"
	codeNonceUsed          = "SignatureNonceUsed"
	codeTimestampExpired   = "InvalidTimeStamp.Expired"
	codeTimestampFormat    = "InvalidTimeStamp.Format"
	codeThrottling         = "Throttling"
	codeInternal           = "InternalError"
	codeServiceUnavailable = "ServiceUnavailable"
)

// gatewayError is a call that never reached the ledger's rules. Its code is text, its status is not 2xx.
type gatewayError struct {
	status        int
	code, message string
}

// Error is the message with its code.
func (e *gatewayError) Error() string { return e.code + ": " + e.message }

// gateway is the table of gateway errors: status and text of each code, as existing clients know them.
func gateway(code string) *gatewayError {
	e := &gatewayError{status: http.StatusBadRequest, code: code}
	switch code {
	case codeMethod:
		e.message = "This http method is not supported."
	case codeActionNotFound:
		e.status, e.message = http.StatusNotFound, "Specified api is not found, please check your url and method."
	case codeFormat:
		e.message = "Specified parameter format is not valid."
	case codeURLTooLong:
		e.status, e.message = http.StatusRequestURITooLong, "The URL is too long; send the parameters in a form body."
	case codeBodyTooLarge:
		e.status, e.message = http.StatusRequestEntityTooLarge, "The body is too large; at most 2 MiB are allowed."
	case codeKeyNotFound:
		e.status, e.message = http.StatusNotFound, "Specified access key is not found."
	case codeKeyInactive:
		e.message = "Specified access key is disabled."
	case codeSignature:
		e.message = "Specified signature is not matched with our calculation."
	case codeIncomplete:
		e.message = "The request signature does not conform to Aliyun standards."
	case codeSignatureMethod:
		e.message = "Specified signature method is not valid."
	case codeNonceUsed:
		e.message = "Specified signature nonce was used already."
	case codeTimestampExpired:
		e.message = "Specified time stamp or date value is expired."
	case codeTimestampFormat:
		e.message = "Specified time stamp or date value is not well formatted."
	case codeThrottling:
		e.message = "Request was denied due to request throttling."
	case codeServiceUnavailable:
		e.status, e.message = http.StatusServiceUnavailable, "The request has failed due to a temporary failure of the server."
	default:
		e.status, e.code = http.StatusInternalServerError, codeInternal
		e.message = "The request processing has failed due to some unknown error, exception or failure."
	}
	return e
}

// missing is the error of an absent mandatory parameter.
func missing(name string) *gatewayError {
	return &gatewayError{status: http.StatusBadRequest, code: "Missing" + name, message: name + " is mandatory for this action."}
}

// invalid is the error of a parameter of the wrong type, or of a common parameter with a value that is not supported.
func invalid(name string) *gatewayError {
	return &gatewayError{status: http.StatusBadRequest, code: "Invalid" + name, message: "Specified parameter " + name + " is not valid."}
}

// badParameter is the error of a request whose parameters cannot be told apart.
func badParameter(message string) *gatewayError {
	return &gatewayError{status: http.StatusBadRequest, code: codeParameter, message: message}
}

// advice is the Recommend member of a gateway error.
func advice(code string) string {
	switch code {
	case codeSignature, codeIncomplete:
		return "Check the AccessKey secret and compare the string to sign."
	case codeKeyNotFound, codeKeyInactive:
		return "Use an AccessKey that the operator of this network has created and not disabled."
	case codeNonceUsed:
		return "Sign every request anew, with a SignatureNonce of its own."
	case codeTimestampExpired, codeTimestampFormat:
		return "Set the clock; Timestamp is UTC in the form YYYY-MM-DDThh:mm:ssZ and counts for 15 minutes."
	case codeThrottling:
		return "Nothing was written; try again later."
	case codeServiceUnavailable:
		return "Try again; whether a write took effect is told by reading it."
	case codeInternal:
		return "Give the RequestId to the operator of this network."
	}
	return "Compare the request with the API document."
}

// businessError is a refusal by the rules of LTL: its code is a number and its status 200.
type businessError struct {
	code    int32
	message string
}

// Error is the message.
func (e *businessError) Error() string { return e.message }

// refuse is the refusal with a code's usual sentence.
func refuse(code int32) *businessError {
	return &businessError{code: code, message: rules.Message(code)}
}

// refuseBecause is the refusal with a sentence of its own.
func refuseBecause(code int32, message string) *businessError {
	return &businessError{code: code, message: message}
}

// formError says that a parameter's value is not what it must be. An Action returns it before it asks the ledger: what is wrong with
// the chain is told first.
type formError struct{ refusal *businessError }

// Error is the message of the refusal.
func (e *formError) Error() string { return e.refusal.message }

// malformed is the error of a parameter's value that has a wrong form; the message names the parameter.
func malformed(message string) *formError {
	return &formError{refuseBecause(rules.OutOfRange, message)}
}

// malformedAs is malformed with a code of its own and that code's usual sentence.
func malformedAs(code int32) *formError { return &formError{refuse(code)} }

// because gives a refusal with that code a sentence of its own; every other error, and none, stays as it is.
func because(err error, code int32, message string) error {
	var refusal *businessError
	if errors.As(err, &refusal) && refusal.code == code && refusal.message == rules.Message(code) {
		return refuseBecause(code, message)
	}
	return err
}

// ledgerError turns a result code that the ledger gave into the error to answer; nil for success.
func ledgerError(code int32) error {
	switch code {
	case rules.OK:
		return nil
	case rules.NonceUsed:
		return gateway(codeNonceUsed)
	case rules.NotEndorsed:
		return refuseBecause(rules.Forbidden, rules.Message(rules.NotEndorsed))
	case rules.EndorsementExpired:
		return gateway(codeServiceUnavailable)
	case rules.Duplicate, rules.Malformed:
		return gateway(codeInternal)
	}
	return refuse(code)
}

// gatewayOf is the one place that maps failures of the network to gateway errors.
func gatewayOf(err error) *gatewayError {
	var g *gatewayError
	switch {
	case errors.As(err, &g):
		return g
	case errors.Is(err, client.ErrOverloaded):
		return gateway(codeThrottling)
	case errors.Is(err, client.ErrHolderUnavailable):
		g = gateway(codeServiceUnavailable)
		g.message += " The endorser of the organisation that enrolled the device does not answer, and nobody else can verify its signature; nothing was written."
		return g
	case errors.Is(err, client.ErrUnavailable), errors.Is(err, client.ErrClosed),
		errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled):
		return gateway(codeServiceUnavailable)
	}
	return gateway(codeInternal)
}
