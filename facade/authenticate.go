package facade

import (
	"cmp"
	"context"
	"crypto/sha1"
	"crypto/subtle"
	"encoding/base64"
	"hash/maphash"
	"net/http"
	"strings"
	"sync"
	"time"
)

// caller is the sender of a request whose signature has been verified.
type caller struct {
	*credentials
	key *accessKey
}

// authenticate verifies the signature and the time of a request and uses up its nonce.
func (f *Facade) authenticate(ctx context.Context, q *request, s *scratch) (*caller, error) {
	var c credentials
	var err *gatewayError
	if header := q.header["Authorization"]; len(header) == 1 && strings.HasPrefix(header[0], acs3Prefix) {
		c, err = q.acs3Credentials(header[0])
	} else {
		c, err = q.rpcCredentials()
	}
	if err != nil {
		return nil, err
	}
	if len(c.accessKeyID) > maxAccessKeyID {
		return nil, gateway(codeKeyNotFound)
	}
	if len(c.nonce) > maxSignatureNonce {
		return nil, invalid("SignatureNonce")
	}
	now := f.clock()
	if err := checkTimestamp(c.timestamp, now); err != nil {
		return nil, err
	}
	key, err := f.keys.lookup(ctx, c.accessKeyID)
	if err != nil {
		return nil, err
	}
	if c.acs3 != nil {
		s.buffer, err = q.verifyACS3(key, c.acs3, s.buffer)
	} else {
		s.buffer, err = q.verifyRPC(key, c.signature, s.buffer)
	}
	if err != nil {
		return nil, err
	}
	if !f.nonces.use(c.accessKeyID, c.nonce, now) {
		return nil, gateway(codeNonceUsed)
	}
	return &caller{credentials: &c, key: key}, nil
}

const hexUpper = "0123456789ABCDEF"

// unreserved reports whether percent-encoding keeps a byte as it is.
func unreserved(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' ||
		c == '-' || c == '_' || c == '.' || c == '~'
}

// appendPercent appends the percent-encoding of s.
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

// appendPercentTwice appends the percent-encoding of the percent-encoding of s.
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

// pieces appends an encoding of s to b. Whenever b is long, it hands b to yield and begins again: the encoding of a long
// value has several times its size. It reports whether yield wants more.
func pieces(b []byte, s string, encode func([]byte, string) []byte, yield func([]byte) bool) ([]byte, bool) {
	for len(s) > signPiece {
		b = encode(b, s[:signPiece])
		s = s[signPiece:]
		if !yield(b) {
			return b, false
		}
		b = b[:0]
	}
	return encode(b, s), true
}

// stringToSign hands the text that an RPC signature covers to yield, in pieces that are built in b, until yield returns
// false: the method, the path, and all parameters of query and body except Signature.
func (q *request) stringToSign(b []byte, yield func([]byte) bool) []byte {
	b = append(b[:0], q.method...)
	b = append(b, '&')
	b = appendPercent(b, cmp.Or(q.path, endpoint))
	b = append(b, '&')
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
		more := true
		if b, more = pieces(b, p.name, appendPercentTwice, yield); !more {
			return b
		}
		b = append(b, "%3D"...)
		if b, more = pieces(b, p.value, appendPercentTwice, yield); !more {
			return b
		}
		if len(b) > signPiece {
			if !yield(b) {
				return b
			}
			b = b[:0]
		}
	}
	yield(b)
	return b
}

// echo is the beginning of a text that a function hands out in pieces, for an error.
func echo(pieces func(yield func([]byte) bool)) string {
	var text []byte
	more := false
	pieces(func(part []byte) bool {
		n := min(len(part), maxEcho-len(text))
		text, more = append(text, part[:n]...), n < len(part)
		return !more
	})
	if more {
		return string(text) + "… (the rest is left out)"
	}
	return string(text)
}

// credentials are what a request claims about its sender, before verification.
type credentials struct {
	accessKeyID, nonce, timestamp string
	// acs3 is set when the signature is in the headers.
	acs3 *authorization
	// signature is the Base64 text of an RPC signature.
	signature string
}

// rpcCredentials reads the common parameters of an RPC-signed request.
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

// common returns Action or Version: of an ACS3-signed request from its signed header if it is there, else from the
// parameters, which are signed. If both are there, they must be equal.
func (q *request) common(c *credentials, name, header string) (string, *gatewayError) {
	v, ok := q.get(name)
	if c.acs3 != nil && len(q.header[http.CanonicalHeaderKey(header)]) > 0 {
		h, covered := c.acs3.signed(q, header)
		if !covered {
			return "", gateway(codeIncomplete)
		}
		if ok && v != h {
			return "", invalid(name)
		}
		return h, nil
	}
	if !ok {
		return "", missing(name)
	}
	return v, nil
}

// verifyRPC compares an RPC signature with the one that the secret gives, in constant time.
func (q *request) verifyRPC(key *accessKey, signature string, scratch []byte) ([]byte, *gatewayError) {
	mac := key.sha1()
	b := q.stringToSign(scratch, func(part []byte) bool {
		mac.Write(part)
		return true
	})
	var sum [sha1.Size]byte
	mac.Sum(sum[:0])
	key.putSHA1(mac)
	var want [28]byte
	base64.StdEncoding.Encode(want[:], sum[:])
	if subtle.ConstantTimeCompare(want[:], []byte(signature)) == 1 {
		return b, nil
	}
	e := gateway(codeSignature)
	// Existing clients compare the text after the colon with their own string to sign, to detect a wrong secret.
	e.message += " server string to sign is:" + echo(func(yield func([]byte) bool) { q.stringToSign(nil, yield) })
	return b, e
}

// parseTimestamp parses a timestamp of the form YYYY-MM-DDThh:mm:ssZ.
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

const (
	nonceShards = 16
	// noncesPerShard is the size at which a shard's younger generation becomes the older one; two generations are kept.
	noncesPerShard = maxNonces / nonceShards / 2
	// nonceLife is how long a nonce is remembered at least, unless maxNonces others came later. A timestamp may be ahead
	// of the clock by the window and is valid until it is behind by the window.
	nonceLife = 2 * timestampWindow
)

// nonces remembers the pairs of AccessKeyId and SignatureNonce that were used. It holds at most maxNonces and then
// forgets the oldest; the ledger refuses an older replay of a write, because it keeps all pairs. Entries are 64-bit
// keyed hashes: the probability of a false refusal is 2^-43 when full.
type nonces struct {
	seed maphash.Seed
	// limit is the size at which a shard's young generation becomes the old one.
	limit  int
	shards [nonceShards]nonceShard
}

type nonceShard struct {
	mu sync.Mutex
	// young takes new entries since began; old is the generation before.
	young, old map[uint64]struct{}
	began      time.Time
}

// newNonces remembers no nonces yet. After a restart of the facade, replays of writes are refused by the ledger only.
func newNonces() *nonces {
	n := &nonces{seed: maphash.MakeSeed(), limit: noncesPerShard}
	for i := range n.shards {
		n.shards[i].young = map[uint64]struct{}{}
		n.shards[i].old = map[uint64]struct{}{}
	}
	return n
}

// use records a pair; it returns false if the pair was used before.
func (n *nonces) use(accessKeyID, nonce string, now time.Time) bool {
	var h maphash.Hash
	h.SetSeed(n.seed)
	_, _ = h.WriteString(accessKeyID) // neither write can fail
	_ = h.WriteByte(0)
	_, _ = h.WriteString(nonce)
	sum := h.Sum64()
	s := &n.shards[sum%nonceShards]
	s.mu.Lock()
	defer s.mu.Unlock()
	if age := now.Sub(s.began); age > nonceLife || len(s.young) >= n.limit {
		s.young, s.old = s.old, s.young
		clear(s.young)
		s.began = now
	}
	if _, ok := s.young[sum]; ok {
		return false
	}
	if _, ok := s.old[sum]; ok {
		return false
	}
	s.young[sum] = struct{}{}
	return true
}
