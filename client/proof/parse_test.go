package proof_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os/exec"
	"strings"
	"testing"

	evidence "ltl/client/proof"
)

// TestOneSpelling: what encoding/json takes and two readers may understand in two ways is refused.
func TestOneSpelling(t *testing.T) {
	w := newWorld(t, 1, 2, 1)
	file := string(w.encoded(w.certificate(w.ordinary())))
	for name, one := range map[string]struct{ from, to, word string }{
		"another version":     {`"certificate/1"`, `"certificate/2"`, "version"},
		"a name twice":        {`"result":200`, `"result":200,"result":200`, "json"},
		"a name twice, info":  {`"ltl":`, `"info":{"a":1,"a":2},"ltl":`, "json"},
		"an unknown name":     {`"result":200`, `"result":200,"Result":429`, "json"},
		"unknown at the top":  {`"ltl":`, `"note":"","ltl":`, "json"},
		"a missing name":      {`,"result":200`, ``, "json"},
		"an exponent":         {`"result":200`, `"result":2e2`, "json"},
		"a fraction":          {`"result":200`, `"result":200.0`, "json"},
		"a leading zero":      {`"result":200`, `"result":0200`, "json"},
		"minus zero":          {`"flags":0`, `"flags":-0`, "json"},
		"negative":            {`"flags":0`, `"flags":-1`, "json"},
		"beyond 53 bits":      {`"height":3`, `"height":9007199254740992`, "json"},
		"beyond 64 bits":      {`"height":3`, `"height":18446744073709551619`, "json"},
		"null":                {`"flags":0`, `"flags":null`, "json"},
		"not a number":        {`"flags":0`, `"flags":NaN`, "json"},
		"text for a number":   {`"flags":0`, `"flags":"0"`, "json"},
		"item 0":              {`"ltl":`, `"item":0,"ltl":`, "json"},
		"result beyond 32":    {`"result":200`, `"result":4294967496`, "json"},
		"base64 unpadded":     {`=="`, `"`, "json"},
		"base64 URL alphabet": {`"path":"`, `"path":"-_-_`, "json"},
		"base64 line end":     {`"path":"`, `"path":"\n`, "json"},
		"base64 spare bits":   {`"bitmap":"8A=="`, `"bitmap":"8B=="`, "json"},
		"a comma too many":    {`"result":200`, `"result":200,`, "json"},
		"half a surrogate":    {`"ltl":`, `"info":{"a":"\ud800"},"ltl":`, "json"},
		"control character":   {`"ltl":`, "\"info\":{\"a\":\"\x01\"},\"ltl\":", "json"},
		"not UTF-8":           {`"ltl":`, "\"info\":{\"a\":\"\xff\"},\"ltl\":", "json"},
		"nested deeply":       {`"ltl":`, `"info":` + strings.Repeat("[", 40) + strings.Repeat("]", 40) + `,"ltl":`, "json"},
		"many names":          {`"ltl":`, `"info":{"0":0` + manyNames() + `},"ltl":`, "json"},
		"no endorsements":     {file[strings.Index(file, `"endorsements":[`):strings.Index(file, `"ltl":`)], `"endorsements":[],`, "json"},
	} {
		changed := strings.Replace(file, one.from, one.to, 1)
		if changed == file {
			t.Errorf("%s: nothing was changed", name)
		}
		_, err := evidence.ParseCertificate([]byte(changed))
		if err == nil || !strings.HasPrefix(err.Error(), one.word+":") {
			t.Errorf("%s: %v, want %s", name, err, one.word)
		}
	}
	for name, changed := range map[string]string{"byte order mark": "\ufeff" + file, "more after the end": file + "{}", "empty": "",
		"too large": file + strings.Repeat(" ", evidence.MaxCertificate)} {
		if _, err := evidence.ParseCertificate([]byte(changed)); err == nil {
			t.Errorf("%s: it is taken", name)
		}
	}
	if !json.Valid([]byte(strings.Replace(file, `"result":200`, `"result":200,"result":2e2`, 1))) {
		t.Error("encoding/json refuses it too, so the own reader has no reason")
	}
}

func manyNames() string {
	var b strings.Builder
	for i := range 64 {
		fmt.Fprintf(&b, `,"n%d":0`, i)
	}
	return b.String()
}

// FuzzVerify: no bytes crash the parser or the checks, and what parses has one encoding. What verifies is the
// certificate that the fuzzer began with.
func FuzzVerify(f *testing.F) {
	t := &testing.T{}
	w := newWorld(t, 1, 3, 3)
	trust := w.trust(nil)
	for kind := range 5 {
		s := w.ordinary()
		s.kind = kind
		f.Add(w.encoded(w.certificate(s)))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		c, err := evidence.ParseCertificate(b)
		v := evidence.Verify(b, trust)
		if err != nil {
			if v.Outcome != evidence.Invalid {
				t.Fatal("it verifies and does not parse")
			}
			return
		}
		encoded, err := c.Encode()
		if err != nil {
			t.Fatal(err)
		}
		again, err := evidence.ParseCertificate(encoded)
		if err != nil {
			t.Fatal(err)
		}
		twice, err := again.Encode()
		if err != nil || !bytes.Equal(encoded, twice) {
			t.Fatalf("it has two encodings: %v", err)
		}
		_, _ = c.Say()
		_ = v.Text(evidence.English)
	})
}

// TestTrustFile: a trust file that contradicts its genesis, or itself, is refused.
func TestTrustFile(t *testing.T) {
	w := newWorld(t, 5, 2, 2)
	w.newKey("org1new")
	good := string(w.trustFile(w.history(false)))
	if _, err := evidence.ParseTrust([]byte(good)); err != nil {
		t.Fatal(err)
	}
	org2 := keyText(w, "org2")
	for name, one := range map[string]struct{ from, to string }{
		"another network id":         {`"networkId":"`, `"networkId":"00`},
		"another name":               {`"network":"test"`, `"network":"other"`},
		"an unknown name":            {`"network":`, `"extra":1,"network":`},
		"another first key":          {keyText(w, "org1"), keyText(w, "org1")[2:] + "00"},
		"a key twice":                {keyText(w, "node2"), keyText(w, "node1")},
		"a key of two parties":       {keyText(w, "node2"), org2},
		"a key too short":            {keyText(w, "org1new"), keyText(w, "org1new")[2:]},
		"an organisation missing":    {`{"id":"org2"`, `{"id":"org3"`},
		"an organisation twice":      {`{"id":"org2"`, `{"id":"org1"`},
		"a node twice":               {`"id":"node2"`, `"id":"node1"`},
		"keys overlap":               {`"from":10`, `"from":9`},
		"a range that ends too soon": {`"until":10`, `"until":0`},
	} {
		changed := strings.Replace(good, one.from, one.to, 1)
		if changed == good {
			t.Errorf("%s: nothing was changed", name)
		}
		if _, err := evidence.ParseTrust([]byte(changed)); err == nil {
			t.Errorf("%s: it is taken", name)
		}
	}
}

// TestImports: the verifier reaches no network, and nothing else of this module.
func TestImports(t *testing.T) {
	out, err := exec.Command("go", "list", "-deps", ".").Output()
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range strings.Fields(string(out)) {
		if p == "net" || strings.HasPrefix(p, "net/") || strings.Contains(p, "grpc") || strings.HasPrefix(p, "ltl/") && p != "ltl/client/proof" {
			t.Errorf("the verifier depends on %s", p)
		}
	}
}
