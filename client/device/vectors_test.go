package device

import (
	"bytes"
	"testing"
)

// TestID2Vectors reproduces the auth codes that are published for ID2's client: with and without a challenge, with and
// without further text. Of these the package itself makes the last kind only.
func TestID2Vectors(t *testing.T) {
	secret := make([]byte, 16)
	for i := range secret {
		secret[i] = byte(0x21 + i)
	}
	const (
		id        = "2122232425262728292A2B2C"
		random    = "ABABABABABABABAB"
		challenge = "55B83408399FA660F05C82E4F25333DC"
		timestamp = "1512022279204"
	)
	for _, raw := range [][]byte{secret, []byte("2122232425262728292a2b2c2d2e2f30\n"),
		[]byte(" 2122232425262728292A2B2C2D2E2F30 \r\n")} {
		key, err := Parse(raw)
		if err != nil || key.Type() != AES || !bytes.Equal(key.Secret(), secret) {
			t.Fatalf("%q: %v %v", raw, key, err)
		}
		for _, v := range []struct {
			kind         int
			stamp, extra string
			want         string
		}{
			{0, challenge, "",
				"0~2~ABABABABABABABAB~55B83408399FA660F05C82E4F25333DC~" +
					"4sx4q/vZtJeBciBhpfzBwLaw7kXg4s2mmZxSoehsKtyXnA1nt3r97vPi1Bnh6fF1"},
			{2, challenge, "abcd1234",
				"2~2~ABABABABABABABAB~55B83408399FA660F05C82E4F25333DC~" +
					"PdEkTetZVHtD3+o64apuEnsgzwkqbJMfTJSMaHTSYFKXnA1nt3r97vPi1Bnh6fF1"},
			{1, timestamp, "",
				"1~2~ABABABABABABABAB~1512022279204~" +
					"8WFAQalYm+5++M4OKMtH2JOqsvOlS67rsX9ccSRpvWSXnA1nt3r97vPi1Bnh6fF1"},
			{3, timestamp, "abcd1234",
				"3~2~ABABABABABABABAB~1512022279204~" +
					"3vxizdS0JVOKSqnsR8VsZd0xUnL7Uo2S4ojSgXnoxI6XnA1nt3r97vPi1Bnh6fF1"},
		} {
			got, err := authCode(v.kind, id, random, v.stamp, v.extra, key.Sign)
			if err != nil || got != v.want {
				t.Errorf("kind %d:\n got %s, error %v\nwant %s", v.kind, got, err, v.want)
			}
		}
	}
}
