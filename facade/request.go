package facade

import (
	"cmp"
	"errors"
	"io"
	"net/http"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"ltl/internal/admission"
)

// endpoint is the path of all Actions.
const endpoint = "/"

// param is one decoded parameter of a request.
type param struct {
	name, value string
	// query is set for a parameter of the URL, and not for one of the body.
	query bool
}

// request is a parsed HTTP request, on which every later step works.
type request struct {
	method string
	// path is endpoint, or begins with evidencePrefix.
	path   string
	host   string
	header http.Header
	// params are sorted by name; no name occurs twice.
	params []param
	// body is the body as received; it is valid until release.
	body []byte
	// unread is the Content-Type of a body that holds no parameters; empty where there is none.
	unread string
	// reserved is what the body takes of memory, for owner.
	reserved int64
	memory   *admission.Shares
	owner    string
	// deadline sets until when the next bytes of a large body must come; nil where they come from memory.
	deadline func(time.Time) error
}

// get returns a parameter; ok is false when it is absent. It may be present and empty.
func (q *request) get(name string) (v string, ok bool) {
	i, ok := slices.BinarySearchFunc(q.params, name, func(p param, name string) int { return cmp.Compare(p.name, name) })
	if !ok {
		return "", false
	}
	return q.params[i].value, true
}

// parse reads the parameters in query and body. m is the memory of the large bodies of all requests.
func (q *request) parse(r *http.Request, m *memory) *gatewayError {
	q.method, q.path, q.host, q.header = r.Method, cmp.Or(r.URL.Path, endpoint), r.Host, r.Header
	if r.Method != http.MethodGet && r.Method != http.MethodPost {
		return gateway(codeMethod)
	}
	if q.path != endpoint && (!strings.HasPrefix(q.path, evidencePrefix) || len(q.path) > maxEchoedName) {
		return gateway(codeActionNotFound)
	}
	if len(r.URL.RawQuery) > maxQuery {
		return gateway(codeURLTooLong)
	}
	if err := q.parsePairs(r.URL.RawQuery, true); err != nil {
		return err
	}
	if err := q.readBody(r, m); err != nil {
		return err
	}
	q.unread = ""
	if len(q.body) > 0 && !isForm(r.Header["Content-Type"]) {
		q.unread = r.Header.Get("Content-Type")
	} else if len(q.body) > 0 {
		if err := q.parsePairs(string(q.body), false); err != nil {
			return err
		}
	}
	return q.sort()
}

// wantsXML reports whether Format is XML in a request that was not parsed to its end, so that its error has the right
// format. It looks at the parameters read so far, then at the query.
func (q *request) wantsXML(query string) bool {
	for i := range q.params {
		if q.params[i].name == "Format" {
			return strings.EqualFold(q.params[i].value, "XML")
		}
	}
	for pair := range strings.SplitSeq(query, "&") {
		if name, v, _ := strings.Cut(pair, "="); name == "Format" {
			return strings.EqualFold(v, "XML")
		}
	}
	return false
}

// isForm reports whether a body of this content type holds parameters. A body without a type does.
func isForm(contentType []string) bool {
	if len(contentType) == 0 || contentType[0] == "" {
		return true
	}
	media, _, _ := strings.Cut(contentType[0], ";")
	return strings.EqualFold(strings.TrimSpace(media), "application/x-www-form-urlencoded")
}

// sort sorts the parameters by name and refuses a name that occurs twice.
func (q *request) sort() *gatewayError {
	slices.SortFunc(q.params, func(a, b param) int { return cmp.Compare(a.name, b.name) })
	for i := 1; i < len(q.params); i++ {
		if q.params[i].name == q.params[i-1].name {
			return badParameter("Parameter " + clip(q.params[i].name, maxEchoedName) + " is given more than once.")
		}
	}
	return nil
}

// parsePairs parses name=value pairs joined by &.
func (q *request) parsePairs(s string, query bool) *gatewayError {
	for s != "" {
		var pair string
		pair, s, _ = strings.Cut(s, "&")
		if pair == "" {
			continue
		}
		if len(q.params) == maxParams {
			return badParameter("The request has too many parameters.")
		}
		rawName, rawValue, _ := strings.Cut(pair, "=")
		name, ok := unescape(rawName)
		if !ok || name == "" {
			return badParameter("A parameter's name is empty, wrongly percent-encoded, or not UTF-8.")
		}
		value, ok := unescape(rawValue)
		if !ok {
			return badParameter("The value of parameter " + clip(name, maxEchoedName) + " is wrongly percent-encoded or not UTF-8.")
		}
		q.params = append(q.params, param{name: name, value: value, query: query})
	}
	return nil
}

// unescape decodes percent-encoding, and + for a space. It refuses wrong encoding and results that are not UTF-8.
func unescape(s string) (string, bool) {
	plain := true
	for i := range len(s) {
		if c := s[i]; c == '%' || c == '+' || c >= utf8.RuneSelf {
			plain = false
			break
		}
	}
	if plain {
		return s, true
	}
	b := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		switch c := s[i]; c {
		case '+':
			b = append(b, ' ')
		case '%':
			if i+2 >= len(s) {
				return "", false
			}
			hi, lo := unhex(s[i+1]), unhex(s[i+2])
			if hi > 15 || lo > 15 {
				return "", false
			}
			b = append(b, hi<<4|lo)
			i += 2
		default:
			b = append(b, c)
		}
	}
	if !utf8.Valid(b) {
		return "", false
	}
	return string(b), true
}

// unhex is the value of a hexadecimal digit, or 255.
func unhex(c byte) byte {
	switch {
	case '0' <= c && c <= '9':
		return c - '0'
	case 'a' <= c && c <= 'f':
		return c - 'a' + 10
	case 'A' <= c && c <= 'F':
		return c - 'A' + 10
	}
	return 255
}

// readBody reads the whole body into q.body.
func (q *request) readBody(r *http.Request, m *memory) *gatewayError {
	q.body = q.body[:0]
	if r.Body == nil || r.Body == http.NoBody {
		return nil
	}
	if r.ContentLength > maxBody {
		return gateway(codeBodyTooLarge)
	}
	// Beyond maxSmallBody the buffer grows as bytes arrive: a length that is only announced must not use up the budget.
	if want := min(int(r.ContentLength)+1, maxSmallBody); want > cap(q.body) {
		if err := q.grow(want); err != nil {
			return err
		}
	}
	began := time.Now()
	for {
		if len(q.body) == cap(q.body) {
			if q.memory == nil && 2*cap(q.body) > maxSmallBody {
				m.account(q, r)
			}
			if err := q.grow(max(2*cap(q.body), 4096)); err != nil {
				return err
			}
		}
		if q.reserved > 0 && q.deadline != nil {
			_ = q.deadline(atRate(began, len(q.body))) // without it the server's own deadline holds
		}
		n, err := r.Body.Read(q.body[len(q.body):cap(q.body)])
		q.body = q.body[:len(q.body)+n]
		switch {
		case len(q.body) > maxBody:
			return gateway(codeBodyTooLarge)
		case errors.Is(err, io.EOF):
			if q.reserved > 0 && q.deadline != nil {
				_ = q.deadline(began.Add(readTimeout)) // the call goes on, and its connection must not end meanwhile
			}
			return nil
		case err != nil:
			return badParameter("The request's body could not be read to its end.")
		}
	}
}

// grow makes room for a body of n bytes, within the bounds of memory.
func (q *request) grow(n int) *gatewayError {
	n = min(n, maxBody+1)
	if n > maxSmallBody {
		more := int64(n) - q.reserved
		if !q.memory.Take(q.owner, "", more) {
			return gateway(codeThrottling)
		}
		q.reserved += more
	}
	b := make([]byte, len(q.body), n)
	copy(b, q.body)
	q.body = b
	return nil
}

// release gives back what the body has taken and clears the request.
func (q *request) release() {
	if q.reserved > 0 {
		q.memory.Give(q.owner, "", q.reserved)
	}
	body, params := q.body[:0], q.params
	if cap(body) > maxSmallBody {
		body = nil
	}
	if cap(params) > 64 {
		params = nil
	}
	clear(params)
	*q = request{body: body, params: params[:0]}
}
