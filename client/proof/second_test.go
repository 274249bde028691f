package proof_test

import (
	"bytes"
	"crypto/ed25519"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math/big"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	evidence "ltl/client/proof"
	"ltl/test/testkit/quick"
)

// question is a line for client/verify-js/testdata/run.mjs, answer is what it says.
type question struct {
	Certificate []byte `json:"certificate,omitempty"`
	Trust       []byte `json:"trust,omitempty"`
	Key         []byte `json:"key,omitempty"`
	Message     []byte `json:"message,omitempty"`
	Signature   []byte `json:"signature,omitempty"`
	TrustOnly   bool   `json:"trustOnly,omitempty"`
	name        string
}

type answer struct {
	verdict
	Detail               string
	Platform, Arithmetic bool
	Taken                bool
}

// needNode skips a test in make check, which installs nothing, and in the run under the race detector. Elsewhere the
// test fails where there is no node.
func needNode(t *testing.T) {
	t.Helper()
	quick.Skip(t)
	if testing.Short() {
		t.Skip("the race detector sees nothing of JavaScript; the run without -short has it")
	}
	if _, err := exec.LookPath("node"); err != nil {
		t.Fatalf("%v; scripts/install-deps.sh installs it", err)
	}
}

// ask asks the verifier in JavaScript.
func ask(t *testing.T, questions []question) []answer {
	t.Helper()
	needNode(t)
	var in bytes.Buffer
	lines := json.NewEncoder(&in)
	for _, q := range questions {
		if err := lines.Encode(q); err != nil {
			t.Fatal(err)
		}
	}
	cmd := exec.CommandContext(t.Context(), "node", "../verify-js/testdata/run.mjs")
	cmd.Stdin = &in
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("node: %v\n%s", err, stderr.String())
	}
	all := make([]answer, len(questions))
	answers := json.NewDecoder(bytes.NewReader(out))
	for i := range all {
		if err := answers.Decode(&all[i]); err != nil {
			t.Fatal(err)
		}
	}
	return all
}

// TestSecondVerifier: the verifier in JavaScript, which was written from the documents, says the same as the package of
// all vectors, and of certificates in which one field or one bit is changed.
func TestSecondVerifier(t *testing.T) {
	needNode(t)
	v := readVectors(t)
	w := newWorld(t, 77, 3, 3)
	// One certificate of each kind and shape is changed; the others differ from these in numbers only.
	changed := map[string]bool{"SetData": true, "AttachData": true, "item of an upload": true, "list": true,
		"no record": true, "correction": true, "correction of a phase's record": true, "witnessed": true,
		"across a change of key": true, "the first 5 of 21": true, "two roots": true, "inconsistent at 5": true}
	var questions []question
	for _, c := range slices.Concat(v.Certificates, v.Files) {
		trust := []byte(v.Trust[c.Trust])
		questions = append(questions, question{name: c.Name, Certificate: []byte(c.File), Trust: trust})
		if !changed[c.Name] {
			continue
		}
		for name, file := range changes(t, w, []byte(c.File)) {
			questions = append(questions, question{name: c.Name + ", " + name, Certificate: file, Trust: trust})
		}
		for range 40 {
			i := w.rand.IntN(8 * len(c.File))
			file := []byte(c.File)
			file[i/8] ^= 1 << (i % 8)
			questions = append(questions, question{name: fmt.Sprintf("%s, bit %d of byte %d", c.Name, i%8, i/8),
				Certificate: file, Trust: trust})
		}
	}
	words := map[string]int{}
	for i, got := range ask(t, questions) {
		trust, err := evidence.ParseTrust(questions[i].Trust)
		if err != nil {
			t.Fatal(err)
		}
		want := verdictOfFile(questions[i].Certificate, trust)
		words[want.Word]++
		if !reflect.DeepEqual(got.verdict, want) {
			t.Errorf("%s: %+v (%s), want %+v", questions[i].name, got.verdict, got.Detail, want)
		}
	}
	if len(questions) < 1000 || len(words) < 15 {
		t.Errorf("only %d certificates with the words %v", len(questions), words)
	}
	t.Logf("%d certificates: %v", len(questions), words)
}

// TestSecondReaderOfTrust: the verifier in JavaScript takes the trust files that the package takes, of all vectors and
// of files in which one field is changed.
func TestSecondReaderOfTrust(t *testing.T) {
	needNode(t)
	v := readVectors(t)
	w := newWorld(t, 78, 3, 3)
	var questions []question
	var taken []bool
	add := func(name, file string) {
		_, err := evidence.ParseTrust([]byte(file))
		questions, taken = append(questions, question{name: name, Trust: []byte(file), TrustOnly: true}), append(taken, err == nil)
	}
	for _, f := range v.TrustFiles {
		add(f.Name, f.File)
	}
	for _, name := range slices.Sorted(maps.Keys(v.Trust)) {
		for change, file := range changes(t, w, []byte(v.Trust[name])) {
			add(name+", "+change, string(file))
		}
	}
	refused := 0
	for i, got := range ask(t, questions) {
		if !taken[i] {
			refused++
		}
		if got.Taken != taken[i] {
			t.Errorf("%s: taken is %v (%s), want %v: %s", questions[i].name, got.Taken, got.Detail, taken[i], questions[i].Trust)
		}
	}
	if refused < 500 || len(taken)-refused < 20 {
		t.Errorf("only %d trust files, of which %d are refused", len(taken), refused)
	}
}

// changes returns a file with one of its fields changed, by what was done.
func changes(t *testing.T, w *world, file []byte) map[string][]byte {
	all := map[string][]byte{}
	var root map[string]any
	decoder := json.NewDecoder(bytes.NewReader(file))
	decoder.UseNumber()
	if err := decoder.Decode(&root); err != nil {
		t.Fatal(err)
	}
	keep := func(name string) {
		b, err := json.Marshal(root)
		if err != nil {
			t.Fatal(err)
		}
		all[name] = b
	}
	var walk func(name string, value any, set func(any))
	walk = func(name string, value any, set func(any)) {
		for i, other := range others(w, value) {
			set(other)
			keep(fmt.Sprintf("%s changed %d", name, i))
		}
		set(value)
		switch value := value.(type) {
		case map[string]any:
			for _, field := range slices.Sorted(maps.Keys(value)) {
				old := value[field]
				delete(value, field)
				keep(name + "." + field + " absent")
				value[field] = old
				walk(name+"."+field, old, func(v any) { value[field] = v })
			}
			value["stranger"] = true
			keep(name + " with a stranger")
			delete(value, "stranger")
		case []any:
			for i, old := range value {
				walk(fmt.Sprintf("%s[%d]", name, i), old, func(v any) { value[i] = v })
			}
		}
	}
	walk("", root, func(v any) { root, _ = v.(map[string]any) })
	return all
}

// others returns what else a field could hold.
func others(w *world, value any) []any {
	switch value := value.(type) {
	case json.Number:
		n, _ := new(big.Int).SetString(string(value), 10)
		more, less := new(big.Int).Add(n, big.NewInt(1)), new(big.Int).Sub(n, big.NewInt(1))
		return []any{json.Number(more.String()), json.Number(less.String()), json.Number("0"), json.Number("-1"),
			json.Number("1e1"), json.Number("4294967296"), json.Number("9007199254740991"),
			json.Number("9007199254740992"), json.Number("1.0"), string(value), nil, true, []any{}}
	case string:
		all := []any{"", value + "AAAA", value + "=", "\u00e4" + value, nil, json.Number("1"), []any{value}}
		raw, err := base64.StdEncoding.DecodeString(value)
		if len(value) == 0 {
			return all
		}
		if err != nil {
			raw = []byte(value)
			for range 6 {
				changed := bytes.Clone(raw)
				changed[w.rand.IntN(len(raw))] = byte("\n 0a+="[w.rand.IntN(6)])
				all = append(all, strings.ToValidUTF8(string(changed), "?"))
			}
			return append(all, value+"\n", value[1:], value+value[len(value)/2:])
		}
		for range 12 {
			changed := bytes.Clone(raw)
			changed[w.rand.IntN(len(raw))] ^= 1 << w.rand.IntN(8)
			all = append(all, base64.StdEncoding.EncodeToString(changed))
		}
		for _, b := range [][]byte{raw[1:], raw[:len(raw)-1], append(bytes.Clone(raw), 0), append(raw[:len(raw):len(raw)], raw...)} {
			all = append(all, base64.StdEncoding.EncodeToString(b))
		}
		return all
	case []any:
		if len(value) == 0 {
			return []any{nil, map[string]any{}}
		}
		back := slices.Clone(value)
		slices.Reverse(back)
		return []any{nil, []any{}, value[1:], value[:len(value)-1], append(slices.Clone(value), value[0]), back,
			slices.Repeat(value, 65)}
	}
	return []any{nil, []any{}}
}

// TestSignaturesInJavaScript: WebCrypto and the arithmetic that stands in for it where a browser lacks Ed25519 agree
// with Go, also where S is not reduced or R has another encoding.
func TestSignaturesInJavaScript(t *testing.T) {
	w := newWorld(t, 5, 1, 1)
	order, _ := new(big.Int).SetString("7237005577332262213973186563042994240857116359379907606001950938285454250989", 10)
	key := w.keys["org1"]
	var questions []question
	for i := range 40 {
		message := fmt.Appendf(nil, "message %d", i)
		signature := ed25519.Sign(key, message)
		public := bytes.Clone(key.Public().(ed25519.PublicKey))
		switch i % 8 {
		case 1:
			signature[w.rand.IntN(64)] ^= 1 << w.rand.IntN(8)
		case 2:
			message = append(message, 0)
		case 3:
			s := bytes.Clone(signature[32:])
			slices.Reverse(s)
			new(big.Int).Add(new(big.Int).SetBytes(s), order).FillBytes(s)
			slices.Reverse(s)
			copy(signature[32:], s)
		case 4:
			public[w.rand.IntN(32)] ^= 1 << w.rand.IntN(8)
		case 5:
			signature[31] ^= 0x80
		case 6:
			// R is the neutral point in a second encoding, S is 0
			copy(signature, append(bytes.Repeat([]byte{0xff}, 32), make([]byte, 32)...))
			signature[0], signature[31] = 0xee, 0x7f
		}
		questions = append(questions, question{Key: public, Message: message, Signature: signature})
	}
	for i, got := range ask(t, questions) {
		q := questions[i]
		if want := ed25519.Verify(q.Key, q.Message, q.Signature); got.Platform != want || got.Arithmetic != want {
			t.Errorf("%d: %+v, want %v", i, got, want)
		}
	}
}

// TestCommandLineInJavaScript: main.mjs prints the verdict and ends with the status of docs/evidence.md.
func TestCommandLineInJavaScript(t *testing.T) {
	needNode(t)
	v := readVectors(t)
	dir := t.TempDir()
	write := func(name, content string) string {
		file := filepath.Join(dir, name)
		if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		return file
	}
	trust := write("trust.json", v.Trust["genesis"])
	files := map[string]string{"absent": filepath.Join(dir, "absent")}
	for _, c := range v.Certificates {
		files[c.Name] = write("record.json", c.File)
		status, strict := map[evidence.Outcome]int{evidence.Refused: 3, evidence.Invalid: 1}[c.Outcome], 0
		switch c.Name {
		case "SetData":
			strict = 1
		case "witnessed", "empty":
			strict = status
		case "refused":
			strict = 3
		default:
			continue
		}
		for arg, want := range map[string]int{"": status, "--strict": strict} {
			args := slices.DeleteFunc([]string{"../verify-js/main.mjs", files[c.Name], "--trust", trust, arg},
				func(s string) bool { return s == "" })
			out, code := run(t, args)
			var got verdict
			if err := json.Unmarshal(out, &got); err != nil || code != want || got.Outcome != c.Outcome || got.Word != c.Word {
				t.Errorf("%s %s: status %d and %s, want %d and %s", c.Name, arg, code, out, want, c.Outcome)
			}
		}
	}
	for _, args := range [][]string{{files["absent"], "--trust", trust}, {trust}, {trust, "--trust", files["SetData"]}} {
		if out, code := run(t, append([]string{"../verify-js/main.mjs"}, args...)); code != 2 || len(out) != 0 {
			t.Errorf("%v: status %d, want 2; it printed %s", args, code, out)
		}
	}
}

func run(t *testing.T, args []string) ([]byte, int) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "node", args...)
	out, err := cmd.Output()
	if _, ended := errors.AsType[*exec.ExitError](err); err != nil && !ended {
		t.Fatal(err)
	}
	return out, cmd.ProcessState.ExitCode()
}
