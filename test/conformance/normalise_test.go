package conformance

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"math/big"
	"regexp"
	"strings"
)

// normaliser replaces the texts of an example that differ between runs. Equal texts get equal replacements, numbered
// in the order in which they occur.
type normaliser struct {
	w    *world
	seen map[string]string
}

// changing matches texts that differ between runs. Each kind has a form, which its replacement has too.
var changing = regexp.MustCompile(`[0-9A-F]{8}-[0-9A-F]{4}-[0-9A-F]{4}-[0-9A-F]{4}-[0-9A-F]{12}` + // a RequestId
	`|3~2~[0-9A-F]{16}~[0-9]{13}~[A-Za-z0-9+/=]+` + // a device's signature
	`|\b[0-9a-f]{64}\b|\b[0-9A-F]{64}\b` + // a hash, a BusinessId, a DataSeq; a device's digest
	`|\b[0-9]{18}\b|\b[0-9]{16}\b|\b[0-9]{13}\b` + // a UID, an identifier, a time
	`|\b(?:product|Data|First|account)[0-9]{6}\b` + // names that the tests create
	`|\b00FFFF[0-9A-F]{18}\b` + // an IotId
	`|(?:BlockNumber"|blockHeight\\"): ?[0-9]+` + // a height
	`|Organisation [0-9](?:,Organisation [0-9])*`)

// normal replaces the texts that change.
func (n *normaliser) normal(s string) string {
	s = strings.ReplaceAll(s, n.w.proof.code, "HB5jyvZWzwcMFSFg")
	s = strings.ReplaceAll(s, n.w.collaboration.code, "z1E9FBwCfdc9ICk6")
	s = regexp.MustCompile(`HB5jyvZWzwcMFSFg_[0-9A-Z]{4}_[0-9a-f]{16}`).ReplaceAllString(s,
		"HB5jyvZWzwcMFSFg_0X58_80aa976ac4d64a97b0e3f1a7a509d4c0")
	s = regexp.MustCompile(`(z1E9FBwCfdc9ICk6)_[0-9A-F]{4}_`).ReplaceAllString(s, "${1}_5E9A_")
	s = regexp.MustCompile(`("DataTypeCode": |"code": )"[0-9A-Z]{4}"`).ReplaceAllString(s, `${1}"0X58"`)
	return changing.ReplaceAllStringFunc(s, n.replace)
}

// replace returns the replacement of one text.
func (n *normaliser) replace(old string) string {
	if now, known := n.seen[old]; known {
		return now
	}
	seed := sha256.Sum256(fmt.Appendf(nil, "%s %d", kindOf(old), len(n.seen)))
	digits := new(big.Int).SetBytes(seed[:]).String()
	now := ""
	switch kind := kindOf(old); kind {
	case "request":
		h := strings.ToUpper(hex.EncodeToString(seed[:16]))
		now = h[:8] + "-" + h[8:12] + "-" + h[12:16] + "-" + h[16:20] + "-" + h[20:]
	case "signature":
		now = "3~2~" + strings.ToUpper(hex.EncodeToString(seed[:8])) + "~1606379090866~" +
			base64.StdEncoding.EncodeToString(append(seed[:], seed[:]...))
	case "hash":
		now = hex.EncodeToString(seed[:])
		if strings.ContainsAny(old, "ABCDEF") {
			now = strings.ToUpper(now)
		}
	case "time":
		now = "16063790" + digits[:5]
	case "iot":
		now = "00FFFF" + strings.ToUpper(hex.EncodeToString(seed[:9]))
	case "height":
		now = old[:strings.LastIndexAny(old, ": ")+1] + "605349"
	case "endorsers":
		now = "Organisation 1,Organisation 2"
	case "name":
		now = strings.TrimRight(old, "0123456789") + digits[:6]
	default:
		now = digits[:len(old)]
	}
	n.seen[old] = now
	return now
}

// kindOf is the kind of a text that changing has matched.
func kindOf(s string) string {
	switch {
	case strings.Count(s, "-") == 4:
		return "request"
	case strings.HasPrefix(s, "3~"):
		return "signature"
	case strings.HasPrefix(s, "00FFFF"):
		return "iot"
	case strings.HasPrefix(s, "Organisation"):
		return "endorsers"
	case strings.Contains(s, ":"):
		return "height"
	case len(s) == 64:
		return "hash"
	case strings.ContainsAny(s, "oau"):
		return "name"
	case len(s) == 13:
		return "time"
	}
	return "number"
}
