package facade

import (
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"net/http"
	"slices"
	"strconv"
	"strings"
)

const (
	acs3Prefix    = "ACS3-"
	acs3Algorithm = "ACS3-HMAC-SHA256"
	// maxSignedHeaders bounds the list of signed headers.
	maxSignedHeaders = 64
)

// Headers of the ACS3 signature, in lower case.
const (
	headerAction      = "x-acs-action"
	headerVersion     = "x-acs-version"
	headerDate        = "x-acs-date"
	headerNonce       = "x-acs-signature-nonce"
	headerContentHash = "x-acs-content-sha256"
)

// authorization is a parsed Authorization header.
type authorization struct {
	credential, signature string
	// list is SignedHeaders as received; headers are its names in lower case, sorted.
	list    string
	headers []string
}

// parseAuthorization parses the header. The fields after the algorithm may be in any order.
func parseAuthorization(s string) (*authorization, *gatewayError) {
	algorithm, rest, _ := strings.Cut(s, " ")
	if algorithm != acs3Algorithm {
		return nil, gateway(codeSignatureMethod)
	}
	a := &authorization{}
	for part := range strings.SplitSeq(rest, ",") {
		name, v, ok := strings.Cut(strings.TrimSpace(part), "=")
		var to *string
		switch name {
		case "Credential":
			to = &a.credential
		case "SignedHeaders":
			to = &a.list
		case "Signature":
			to = &a.signature
		}
		if !ok || v == "" || to == nil || *to != "" {
			return nil, gateway(codeIncomplete)
		}
		*to = v
	}
	if a.credential == "" || a.list == "" || a.signature == "" {
		return nil, gateway(codeIncomplete)
	}
	a.headers = strings.Split(strings.ToLower(a.list), ";")
	slices.Sort(a.headers)
	if len(a.headers) > maxSignedHeaders || len(slices.Compact(slices.Clone(a.headers))) != len(a.headers) {
		return nil, gateway(codeIncomplete)
	}
	return a, nil
}

// signed returns the one value of a header that the signature covers; ok is false when it is absent, repeated or not
// covered.
func (a *authorization) signed(q *request, name string) (v string, ok bool) {
	values := q.header[http.CanonicalHeaderKey(name)]
	if len(values) != 1 {
		return "", false
	}
	_, ok = slices.BinarySearch(a.headers, name)
	return strings.TrimSpace(values[0]), ok
}

// acs3Credentials reads the credentials of an ACS3-signed request.
func (q *request) acs3Credentials(header string) (credentials, *gatewayError) {
	a, err := parseAuthorization(header)
	if err != nil {
		return credentials{}, err
	}
	c := credentials{accessKeyID: a.credential, acs3: a}
	for _, h := range [...]struct {
		name, parameter string
		to              *string
	}{{headerDate, "Timestamp", &c.timestamp}, {headerNonce, "SignatureNonce", &c.nonce}} {
		if len(q.header[http.CanonicalHeaderKey(h.name)]) == 0 {
			return c, missing(h.parameter)
		}
		v, ok := a.signed(q, h.name)
		if !ok || v == "" {
			return c, gateway(codeIncomplete)
		}
		*h.to = v
	}
	return c, nil
}

// appendCanonicalRequest appends the text that an ACS3 signature covers; list is the SignedHeaders in it.
func (q *request) appendCanonicalRequest(b []byte, a *authorization, list string) []byte {
	b = append(b, q.method...)
	b = append(b, "\n/\n"...)
	first := true
	for i := range q.params {
		p := &q.params[i]
		if !p.query {
			continue
		}
		if !first {
			b = append(b, '&')
		}
		first = false
		b = appendPercent(b, p.name)
		b = append(b, '=')
		b = appendPercent(b, p.value)
	}
	b = append(b, '\n')
	for _, name := range a.headers {
		b = append(b, name...)
		b = append(b, ':')
		b = append(b, q.headerValue(name)...)
		b = append(b, '\n')
	}
	b = append(b, '\n')
	b = append(b, list...)
	b = append(b, '\n')
	hash := sha256.Sum256(q.body)
	return hex.AppendEncode(b, hash[:])
}

// headerValue is the value of a header as it is signed. net/http stores Host and Content-Length apart from the other
// headers.
func (q *request) headerValue(name string) string {
	switch name {
	case "host":
		return q.host
	case "content-length":
		if len(q.header["Content-Length"]) == 0 {
			return strconv.Itoa(len(q.body))
		}
	}
	return strings.TrimSpace(strings.Join(q.header[http.CanonicalHeaderKey(name)], ","))
}

// verifyACS3 verifies the signature of headers, query and body, in constant time.
func (q *request) verifyACS3(key *accessKey, a *authorization, scratch []byte) ([]byte, *gatewayError) {
	sorted := strings.Join(a.headers, ";")
	b := q.appendCanonicalRequest(scratch[:0], a, sorted)
	toSign, want := acs3Signature(key.secret, b)
	ok := subtle.ConstantTimeCompare(want, []byte(a.signature)) == 1
	if !ok && sorted != a.list {
		// Some clients sign the list in the order in which they send it. Both forms cover the same headers.
		_, want = acs3Signature(key.secret, q.appendCanonicalRequest(nil, a, a.list))
		ok = subtle.ConstantTimeCompare(want, []byte(a.signature)) == 1
	}
	hash := sha256.Sum256(q.body)
	sent := q.header[http.CanonicalHeaderKey(headerContentHash)]
	if len(sent) > 0 && !strings.EqualFold(sent[0], hex.EncodeToString(hash[:])) {
		ok = false
	}
	if ok {
		return b, nil
	}
	e := gateway(codeSignature)
	e.message = "Specified signature does not match our calculation. server StringToSign is [" + toSign +
		"] server CanonicalRequest is [" + string(b) + "]"
	return b, e
}

// acs3Signature returns the string to sign of a canonical request and the hexadecimal signature.
func acs3Signature(secret, canonical []byte) (toSign string, signature []byte) {
	hash := sha256.Sum256(canonical)
	toSign = acs3Algorithm + "\n" + hex.EncodeToString(hash[:])
	mac := hmac.New(sha256.New, secret)
	mac.Write([]byte(toSign))
	return toSign, hex.AppendEncode(nil, mac.Sum(nil))
}
