package facade

import (
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"time"

	"ltl/internal/admission"
)

// memory is what bodies and answers may take together. Callers that have not shown an AccessKey yet share a part of
// their own, so that they cannot take it from those that have.
type memory struct {
	// anonymous is for bodies of requests whose signature is not verified yet, by address; known is for those whose
	// signature in the header is, by AccessKey; answers is for answers until they are written, by address.
	anonymous, known, answers *admission.Shares
	// holder returns the AccessKey id whose holder signed the header of a request, or "".
	holder func(*request) string
}

// newMemory has the bounds of limits.go.
func newMemory(holder func(*request) string) *memory {
	shares := func(total int64) *admission.Shares { return admission.NewShares(total, total/4, total, 0) }
	return &memory{anonymous: shares(maxBodyMemory), known: shares(maxBodyMemory), answers: shares(maxAnswerMemory),
		holder: holder}
}

// used is what is taken at present, in bytes.
func (m *memory) used() int64 { return m.anonymous.Used() + m.known.Used() + m.answers.Used() }

// account says whose part of which memory a body takes, once it is known.
func (m *memory) account(q *request, r *http.Request) {
	q.memory, q.owner = m.anonymous, addressOf(r.RemoteAddr)
	if id := m.holder(q); id != "" {
		q.memory, q.owner = m.known, id
	}
}

// callerOf replaces the address of a proxy that is trusted by the one that it says: the last of X-Forwarded-For that
// is not a trusted proxy's itself. What stands before it the caller may have made up.
func (f *Facade) callerOf(r *http.Request) {
	if len(f.proxies) == 0 {
		return
	}
	trusted := func(text string) (netip.Addr, bool) {
		a, err := netip.ParseAddr(strings.TrimSpace(text))
		if err != nil {
			return a, false
		}
		a = a.Unmap().WithZone("")
		return a, slices.ContainsFunc(f.proxies, func(p netip.Prefix) bool { return p.Contains(a) })
	}
	if _, ok := trusted(addressOf(r.RemoteAddr)); !ok {
		return
	}
	said := strings.Split(strings.Join(r.Header.Values("X-Forwarded-For"), ","), ",")
	for i := len(said) - 1; i >= max(0, len(said)-maxForwarded); i-- {
		a, ok := trusted(said[i])
		if !a.IsValid() {
			return
		}
		r.RemoteAddr = a.String()
		if !ok {
			return
		}
	}
}

// addressOf is the address without the port.
func addressOf(remote string) string {
	if host, _, err := net.SplitHostPort(remote); err == nil {
		return host
	}
	return remote
}

// atRate is the time until which n bytes must have come or gone since began.
func atRate(began time.Time, n int) time.Time {
	return began.Add(rateGrace + time.Duration(n)*time.Second/minRate)
}

// clip cuts text that is repeated to a caller, so that an answer cannot be much larger than most requests.
func clip(s string, most int) string {
	if len(s) <= most {
		return s
	}
	return s[:most]
}
