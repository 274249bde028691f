package localnet

import (
	"crypto/rand"
	"math/big"
)

// The form of AccessKeys: that of the keys people know.
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

func randomText(n int) string {
	out := make([]byte, n)
	for i := range out {
		k, err := rand.Int(rand.Reader, big.NewInt(int64(len(alphanumeric))))
		if err != nil {
			panic(err) // crypto/rand never fails: it ends the process instead
		}
		out[i] = alphanumeric[k.Int64()]
	}
	return string(out)
}
