package console

import (
	"crypto/rand"
	"encoding/hex"
	"net/url"
	"strconv"
	"time"
)

// linkMargin is by how much a link ends earlier than the console allows: the clocks of two processes differ.
const linkMargin = time.Minute

// NewLink is an address that signs a browser in as the holder of a key, once, for a few minutes. address is that of the
// console, network the network's id in hexadecimal digits. What is behind its # is not sent when it is opened; a script of
// the page sends it.
func NewLink(address, network string, key *Key, now time.Time) string {
	random := make([]byte, linkBytes)
	rand.Read(random) // never fails: it ends the process instead
	nonce, until := hex.EncodeToString(random), strconv.FormatInt(now.Add(linkTime-linkMargin).UnixMilli(), 10)
	origin := address[:max(0, len(address)-len(Prefix))]
	mac := hex.EncodeToString(key.MAC(LinkMessage(network, origin, key.ID, nonce, until)))
	return address + "enter#" + url.Values{"id": {key.ID}, "random": {nonce}, "until": {until}, "mac": {mac}}.Encode()
}
