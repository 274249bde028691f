package localnet

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"time"

	"ltl/console"
	"ltl/internal/ledger"
)

// ConsoleLink is an address that signs a browser in to the console as an account, once, for a few minutes.
func (n *Network) ConsoleLink(network ledger.Hash, a Account, now time.Time) string {
	return console.NewLink(n.Console, hex.EncodeToString(network[:]), &console.Key{ID: a.AccessKeyID, UID: a.UID,
		MAC: func(message string) []byte {
			mac := hmac.New(sha256.New, []byte(a.AccessKeySecret))
			mac.Write([]byte(message))
			return mac.Sum(nil)
		}}, now)
}
