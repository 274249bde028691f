package localnet

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha1"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"io"
	"math/big"
	"net/http"
	"slices"
	"strings"
	"time"
)

// The constant parts of a request.
const (
	apiVersion   = "2019-05-10" // Version, of the API as a whole
	actionAPI    = "1.0.0"      // ApiVersion, of each Action
	formType     = "application/x-www-form-urlencoded"
	timestamp    = "2006-01-02T15:04:05Z"
	maxAnswer    = 16 << 20
	nonceBytes   = 16
	callTimeout  = time.Minute
	callEndpoint = "/"
)

// Caller calls Actions of the LTL API with an AccessKey, signed (HMAC-SHA1) as the official SDKs sign. It may be used
// concurrently.
type Caller struct {
	// Endpoint is the address of a facade, "http://host:port".
	Endpoint    string
	AccessKeyID string
	Secret      string
}

// Call calls an Action and returns the HTTP status and the body of the response. A refusal by the facade is no error
// here.
func (c *Caller) Call(ctx context.Context, action string, parameters map[string]string) (int, []byte, error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, c.Endpoint+callEndpoint,
		strings.NewReader(c.Form(action, parameters)))
	if err != nil {
		return 0, nil, fmt.Errorf("couldn't form the request: %w", err)
	}
	req.Header.Set("Content-Type", formType)
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, nil, fmt.Errorf("couldn't call %s: %w", action, err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(io.LimitReader(res.Body, maxAnswer))
	if err != nil {
		return 0, nil, fmt.Errorf("couldn't read the answer of %s: %w", action, err)
	}
	return res.StatusCode, body, nil
}

// Form returns the body of a signed POST request: the parameters, the common parameters, the signature.
func (c *Caller) Form(action string, parameters map[string]string) string {
	nonce := make([]byte, nonceBytes)
	rand.Read(nonce) // never fails: it ends the process instead
	all := map[string]string{
		"AccessKeyId":      c.AccessKeyID,
		"Action":           action,
		"ApiVersion":       actionAPI,
		"Format":           "JSON",
		"RegionId":         Region,
		"SignatureMethod":  "HMAC-SHA1",
		"SignatureNonce":   hex.EncodeToString(nonce),
		"SignatureVersion": "1.0",
		"Timestamp":        time.Now().UTC().Format(timestamp),
		"Version":          apiVersion,
	}
	for name, value := range parameters {
		all[name] = value
	}
	canonical := canonicalise(all)
	mac := hmac.New(sha1.New, []byte(c.Secret+"&"))
	mac.Write([]byte(http.MethodPost + "&%2F&" + percentEncode(canonical)))
	return canonical + "&Signature=" + percentEncode(base64.StdEncoding.EncodeToString(mac.Sum(nil)))
}

// canonicalise writes the parameters in the form that is signed: sorted, encoded, joined. It is a valid form body too.
func canonicalise(parameters map[string]string) string {
	pairs := make([]string, 0, len(parameters))
	names := make([]string, 0, len(parameters))
	for name := range parameters {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		pairs = append(pairs, percentEncode(name)+"="+percentEncode(parameters[name]))
	}
	return strings.Join(pairs, "&")
}

// percentEncode encodes every byte but RFC 3986's unreserved ones; net/url has no function that does exactly this.
func percentEncode(s string) string {
	const hexDigits = "0123456789ABCDEF"
	var b strings.Builder
	b.Grow(len(s) + len(s)/4)
	for _, c := range []byte(s) {
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', c == '-', c == '_', c == '.', c == '~':
			b.WriteByte(c)
		default:
			b.WriteByte('%')
			b.WriteByte(hexDigits[c>>4])
			b.WriteByte(hexDigits[c&15])
		}
	}
	return b.String()
}

// The form of AccessKeys: that of the cloud provider's keys.
const (
	accessKeyIDPrefix  = "LTAI"
	accessKeyIDRandom  = 20
	accessKeySecretLen = 30
	alphanumeric       = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
)

// NewAccessKey makes a random AccessKey.
func NewAccessKey() (id, secret string) {
	return accessKeyIDPrefix + randomText(accessKeyIDRandom), randomText(accessKeySecretLen)
}

// randomText returns n random letters and digits.
func randomText(n int) string {
	out := make([]byte, n)
	for i := range out {
		k, err := rand.Int(rand.Reader, big.NewInt(int64(len(alphanumeric))))
		if err != nil {
			panic(fmt.Sprintf("BUG: crypto/rand failed: %v", err)) // it ends the process instead of failing
		}
		out[i] = alphanumeric[k.Int64()]
	}
	return string(out)
}
