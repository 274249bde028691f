package facade

import (
	"crypto/sha1"
	"crypto/subtle"
	"encoding/base64"
	"strings"
	"time"
)

const hexUpper = "0123456789ABCDEF"

// unreserved reports whether a byte stands for itself in percent-encoding.
func unreserved(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '-' || c == '_' || c == '.' || c == '~'
}

// appendPercent percent-encodes s once.
func appendPercent(b []byte, s string) []byte {
	for i := range len(s) {
		if c := s[i]; unreserved(c) {
			b = append(b, c)
		} else {
			b = append(b, '%', hexUpper[c>>4], hexUpper[c&15])
		}
	}
	return b
}

// appendPercentTwice percent-encodes the percent-encoding of s.
func appendPercentTwice(b []byte, s string) []byte {
	for i := range len(s) {
		if c := s[i]; unreserved(c) {
			b = append(b, c)
		} else {
			b = append(b, '%', '2', '5', hexUpper[c>>4], hexUpper[c&15])
		}
	}
	return b
}

// appendStringToSign writes what an RPC signature covers: the method and all parameters but Signature, wherever they came from.
func (q *request) appendStringToSign(b []byte) []byte {
	b = append(b, q.method...)
	b = append(b, "&%2F&"...)
	first := true
	for i := range q.params {
		p := &q.params[i]
		if p.name == "Signature" {
			continue
		}
		if !first {
			b = append(b, "%26"...)
		}
		first = false
		b = appendPercentTwice(b, p.name)
		b = append(b, "%3D"...)
		b = appendPercentTwice(b, p.value)
	}
	return b
}

// credentials are what a request says about itself, before anything of it is believed.
type credentials struct {
	accessKeyID, nonce, timestamp string
	// acs3 is set when the signature stands in the headers.
	acs3 *authorization
	// signature is the Base64 text of an RPC signature.
	signature string
}

// rpcCredentials collects the common parameters of an RPC-signed request.
func (q *request) rpcCredentials() (credentials, *gatewayError) {
	var c credentials
	for _, p := range [...]struct {
		name string
		to   *string
	}{{"AccessKeyId", &c.accessKeyID}, {"Signature", &c.signature}, {"SignatureNonce", &c.nonce}} {
		v, _ := q.get(p.name)
		if v == "" {
			return c, missing(p.name)
		}
		*p.to = v
	}
	method, ok := q.get("SignatureMethod")
	if !ok {
		return c, missing("SignatureMethod")
	}
	if !strings.EqualFold(method, "HMAC-SHA1") {
		return c, gateway(codeSignatureMethod)
	}
	version, ok := q.get("SignatureVersion")
	if !ok {
		return c, missing("SignatureVersion")
	}
	if version != "1.0" {
		return c, invalid("SignatureVersion")
	}
	if c.timestamp, ok = q.get("Timestamp"); !ok {
		if c.timestamp, ok = q.get("TimeStamp"); !ok {
			return c, missing("Timestamp")
		}
	}
	return c, nil
}

// verifyRPC compares an RPC signature with the one the secret gives. It does not tell by its duration how far they agree.
func (q *request) verifyRPC(key *accessKey, signature string, scratch []byte) ([]byte, *gatewayError) {
	b := q.appendStringToSign(scratch[:0])
	mac := key.sha1()
	mac.Write(b)
	var sum [sha1.Size]byte
	mac.Sum(sum[:0])
	key.putSHA1(mac)
	var want [28]byte
	base64.StdEncoding.Encode(want[:], sum[:])
	if subtle.ConstantTimeCompare(want[:], []byte(signature)) == 1 {
		return b, nil
	}
	e := gateway(codeSignature)
	// Existing clients compare the text behind the colon with their own string to sign, to tell a wrong secret.
	e.message += " server string to sign is:" + string(b)
	return b, e
}

// parseTimestamp reads YYYY-MM-DDThh:mm:ssZ and nothing else.
func parseTimestamp(s string) (time.Time, bool) {
	if len(s) != len("2006-01-02T15:04:05Z") {
		return time.Time{}, false
	}
	t, err := time.Parse("2006-01-02T15:04:05Z", s)
	return t, err == nil
}

// checkTimestamp refuses a timestamp that is malformed or too far from now.
func checkTimestamp(s string, now time.Time) *gatewayError {
	t, ok := parseTimestamp(s)
	if !ok {
		return gateway(codeTimestampFormat)
	}
	if d := now.Sub(t); d > timestampWindow || d < -timestampWindow {
		return gateway(codeTimestampExpired)
	}
	return nil
}
