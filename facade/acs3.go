package facade

import (
	"cmp"
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

// canonicalRequest hands the text that an ACS3 signature covers to yield, in pieces that are built in b, until yield
// returns false; list is the SignedHeaders in it, body the hash of the body in hexadecimal.
func (q *request) canonicalRequest(b []byte, a *authorization, list, body string, yield func([]byte) bool) []byte {
	b = append(b[:0], q.method...)
	b = append(b, '\n')
	b = appendPath(b, cmp.Or(q.path, endpoint))
	b = append(b, '\n')
	first, more := true, true
	for i := range q.params {
		p := &q.params[i]
		if !p.query {
			continue
		}
		if !first {
			b = append(b, '&')
		}
		first = false
		if b, more = pieces(b, p.name, appendPercent, yield); !more {
			return b
		}
		b = append(b, '=')
		if b, more = pieces(b, p.value, appendPercent, yield); !more {
			return b
		}
		if len(b) > signPiece {
			if !yield(b) {
				return b
			}
			b = b[:0]
		}
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
	b = append(b, body...)
	yield(b)
	return b
}

// appendPath appends a path with each of its segments percent-encoded.
func appendPath(b []byte, path string) []byte {
	for i, segment := range strings.Split(path, "/") {
		if i > 0 {
			b = append(b, '/')
		}
		b = appendPercent(b, segment)
	}
	return b
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
	hash := sha256.Sum256(q.body)
	body := hex.EncodeToString(hash[:])
	sorted := strings.Join(a.headers, ";")
	toSign, ok := q.signedACS3(key, a, sorted, body, &scratch)
	sent := q.header[http.CanonicalHeaderKey(headerContentHash)]
	if len(sent) > 0 && !strings.EqualFold(sent[0], body) {
		ok = false
	}
	if ok {
		return scratch, nil
	}
	e := gateway(codeSignature)
	e.message = "Specified signature does not match our calculation. server StringToSign is [" + toSign +
		"] server CanonicalRequest is [" + echo(func(yield func([]byte) bool) {
		q.canonicalRequest(nil, a, sorted, body, yield)
	}) + "]"
	return scratch, e
}

// signedACS3 reports whether a signature is right for a body with this hash, and returns the text that it should be of.
// Some clients sign the list of headers in the order in which they send it, others sorted. Both cover the same headers.
func (q *request) signedACS3(key *accessKey, a *authorization, sorted, body string, scratch *[]byte) (toSign string,
	ok bool) {
	sign := func(list string) (string, bool) {
		hash := sha256.New()
		*scratch = q.canonicalRequest(*scratch, a, list, body, func(part []byte) bool {
			hash.Write(part)
			return true
		})
		text := acs3Algorithm + "\n" + hex.EncodeToString(hash.Sum(nil))
		mac := hmac.New(sha256.New, key.secret)
		mac.Write([]byte(text))
		want := hex.AppendEncode(nil, mac.Sum(nil))
		return text, subtle.ConstantTimeCompare(want, []byte(a.signature)) == 1
	}
	toSign, ok = sign(sorted)
	if !ok && sorted != a.list {
		_, ok = sign(a.list)
	}
	return toSign, ok
}

// headerHolder returns the AccessKey id whose holder has signed the header of a request, before its body has come: an
// ACS3 signature covers the body by the hash in a header. It returns "" where the header proves nothing. Everything is
// verified again with the body.
func (f *Facade) headerHolder(q *request) string {
	header, sent := q.header["Authorization"], q.header[http.CanonicalHeaderKey(headerContentHash)]
	if len(header) != 1 || len(sent) != 1 || !strings.HasPrefix(header[0], acs3Prefix) {
		return ""
	}
	c, err := q.acs3Credentials(header[0])
	if err != nil || checkTimestamp(c.timestamp, f.clock()) != nil {
		return ""
	}
	key, _, _ := f.keys.find(c.accessKeyID)
	if key == nil || key.disabled || q.sort() != nil { // the signature covers the sorted parameters
		return ""
	}
	var scratch []byte
	if _, ok := q.signedACS3(key, c.acs3, strings.Join(c.acs3.headers, ";"), strings.ToLower(sent[0]), &scratch); !ok {
		return ""
	}
	return c.accessKeyID
}
