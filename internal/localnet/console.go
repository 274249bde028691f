package localnet

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"net/url"
	"strconv"
	"strings"
	"time"

	"ltl/console"
	"ltl/internal/ledger"
)

// linkTime is how long a link may be used; the console takes 15 minutes at most.
const linkTime = 14 * time.Minute

// ConsoleLink is an address that signs a browser in to the console as an account, once, for a few minutes. What is behind
// its # is not sent when it is opened; a script of the page sends it.
func (n *Network) ConsoleLink(network ledger.Hash, a Account, now time.Time) string {
	random := make([]byte, 16)
	rand.Read(random) // never fails: it ends the process instead
	nonce, until := hex.EncodeToString(random), strconv.FormatInt(now.Add(linkTime).UnixMilli(), 10)
	origin := strings.TrimSuffix(n.Console, console.Prefix)
	mac := hmac.New(sha256.New, []byte(a.AccessKeySecret))
	mac.Write([]byte(console.LinkMessage(hex.EncodeToString(network[:]), origin, a.AccessKeyID, nonce, until)))
	return n.Console + "enter#" + url.Values{"id": {a.AccessKeyID}, "random": {nonce}, "until": {until},
		"mac": {hex.EncodeToString(mac.Sum(nil))}}.Encode()
}
