package csdk_test

import (
	"bytes"
	"context"
	"crypto/aes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"ltl/test/testkit/quick"
)

const (
	iotID      = "00FFFF098598F3BDD8221234"
	productKey = "hKpHMh2abcd"
	value      = "某公司某业务数据。"
)

// TestSDK builds the SDK and tests the library and both kinds of linking. It takes a copy of the source: what a test
// reads itself `go test` knows, and runs it again when that has changed.
func TestSDK(t *testing.T) {
	quick.Skip(t)
	if runtime.GOOS != "linux" {
		t.Skip("the SDK's tests need Linux, valgrind and mbedTLS")
	}
	for _, tool := range []string{"make", "gcc", "valgrind"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Fatalf("%v; scripts/install-deps.sh installs it", err)
		}
	}
	source, build := copySource(t), t.TempDir()
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	mk := exec.CommandContext(ctx, "make", "--no-print-directory", "-j2", "BUILD="+build, "test")
	mk.Dir, mk.Env = source, cleanEnviron()
	if out, err := mk.CombinedOutput(); err != nil {
		t.Fatalf("make test: %v; where a header is missing, scripts/install-deps.sh installs it\n%s", err, out)
	}
	for _, program := range []string{"ltl_demo", "ltl_demo_shared"} {
		d := demo(filepath.Join(build, "demo", program))
		t.Run(program+"/ECC", d.testECC)
		t.Run(program+"/AES", d.testAES)
		t.Run(program+"/refused", d.testRefused)
	}
}

// copySource copies what the library is built of.
func copySource(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	for _, part := range []string{"inc", "lib", "demo", "test"} {
		if err := os.CopyFS(filepath.Join(dir, part), os.DirFS(part)); err != nil {
			t.Fatal(err)
		}
	}
	makefile, err := os.ReadFile("Makefile")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "Makefile"), makefile, 0o600); err != nil {
		t.Fatal(err)
	}
	return dir
}

// cleanEnviron is the environment without what an outer make, or a user's shell, says to make.
func cleanEnviron() []string {
	var env []string
	for _, v := range os.Environ() {
		name, _, _ := strings.Cut(v, "=")
		switch name {
		case "MAKEFLAGS", "MFLAGS", "MAKELEVEL", "MAKEOVERRIDES", "CFLAGS", "LTL_IOT_ID", "LTL_KEY_FILE":
		default:
			env = append(env, v)
		}
	}
	return env
}

// demo is the path of a demonstration program.
type demo string

// run returns what the program printed: the parameters of an upload by their names, in the order of the manual.
func (d demo) run(t *testing.T, env []string, args ...string) map[string]string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), string(d), args...)
	cmd.Env = append(cleanEnviron(), env...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s %q: %v\n%s", d, args, err, &stderr)
	}
	parameters := map[string]string{}
	var names []string
	for line := range strings.Lines(string(out)) {
		name, text, _ := strings.Cut(strings.TrimSuffix(line, "\n"), "=")
		parameters[name] = text
		names = append(names, name)
	}
	if got := strings.Join(names, " "); got != "IotAuthType IotId IotIdServiceProvider IotDataDigest IotSignature" {
		t.Fatalf("the parameters are %s", got)
	}
	return parameters
}

// form is what every IotSignature looks like.
var form = regexp.MustCompile(`^3~2~([0-9A-F]{16})~([1-9][0-9]{12})~([A-Za-z0-9+/]+=*)$`)

// checkParameters checks all but the signature proper; it returns that, and the text that it must be over.
func checkParameters(t *testing.T, p map[string]string, payload string) (text string, signature []byte) {
	t.Helper()
	digest := sha256.Sum256([]byte(payload))
	want := strings.ToUpper(hex.EncodeToString(digest[:]))
	if p["IotAuthType"] != "ID2" || p["IotId"] != iotID || p["IotIdServiceProvider"] != productKey ||
		p["IotDataDigest"] != want {
		t.Errorf("the parameters for %q are %q", payload, p)
	}
	m := form.FindStringSubmatch(p["IotSignature"])
	if m == nil {
		t.Fatalf("IotSignature is %q", p["IotSignature"])
	}
	signature, err := base64.StdEncoding.DecodeString(m[3])
	if err != nil {
		t.Fatal(err)
	}
	return p["IotId"] + m[1] + m[2] + p["IotDataDigest"], signature
}

func writeKey(t *testing.T, content []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "key")
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func encode(t *testing.T, kind string, key any, marshal func(any) ([]byte, error)) []byte {
	t.Helper()
	der, err := marshal(key)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})
}

// testECC: both forms of a P-256 key in PEM sign what the ledger verifies, at the present time, and differently each
// time.
func (d demo) testECC(t *testing.T) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	sec1 := func(any) ([]byte, error) { return x509.MarshalECPrivateKey(key) }
	for _, raw := range [][]byte{encode(t, "PRIVATE KEY", key, x509.MarshalPKCS8PrivateKey),
		encode(t, "EC PRIVATE KEY", key, sec1)} {
		path := writeKey(t, raw)
		seen := map[string]bool{}
		for range 5 {
			from := time.Now().UnixMilli()
			p := d.run(t, nil, "--key", path, "--iot-id", iotID, "--product-key", productKey, "--value", value)
			text, signature := checkParameters(t, p, value)
			digest := sha256.Sum256([]byte(text))
			if !ecdsa.VerifyASN1(&key.PublicKey, digest[:], signature) {
				t.Errorf("%s does not sign %q", p["IotSignature"], text)
			}
			at, err := strconv.ParseInt(form.FindStringSubmatch(p["IotSignature"])[2], 10, 64)
			if err != nil || at < from || at > time.Now().UnixMilli() {
				t.Errorf("signed at %d, error %v; it was called at %d", at, err, from)
			}
			seen[p["IotSignature"]] = true
		}
		if len(seen) != 5 {
			t.Errorf("five calls gave %d signatures", len(seen))
		}
	}
}

// testAES: every size of AES key, named by the environment; the data and product key are the program's own.
func (d demo) testAES(t *testing.T) {
	for _, size := range []int{16, 24, 32} {
		secret := make([]byte, size)
		if _, err := rand.Read(secret); err != nil {
			t.Fatal(err)
		}
		path := writeKey(t, []byte(hex.EncodeToString(secret)+"\n"))
		p := d.run(t, []string{"LTL_KEY_FILE=" + path, "LTL_IOT_ID=" + iotID}, "--timestamp", "1582700146253")
		text, signature := checkParameters(t, p, "Proof-Data")
		block, err := aes.NewCipher(secret)
		if err != nil {
			t.Fatal(err)
		}
		digest := sha256.Sum256([]byte(text))
		want := append(digest[:], bytes.Repeat([]byte{aes.BlockSize}, aes.BlockSize)...)
		for at := 0; at < len(want); at += aes.BlockSize {
			block.Encrypt(want[at:], want[at:])
		}
		if !bytes.Equal(signature, want) || !strings.Contains(p["IotSignature"], "~1582700146253~") {
			t.Errorf("with a key of %d bytes: %s does not sign %q", size, p["IotSignature"], text)
		}
	}
}

// testRefused: what cannot be signed prints no parameters, and says why.
func (d demo) testRefused(t *testing.T) {
	rsaPrivate, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	aesKey, rsaKey := writeKey(t, []byte("2122232425262728292a2b2c2d2e2f30")),
		writeKey(t, encode(t, "PRIVATE KEY", rsaPrivate, x509.MarshalPKCS8PrivateKey))
	for want, args := range map[string][]string{
		"IotId":                {},
		"key file cannot":      {"--key", aesKey + "x", "--iot-id", iotID},
		"P-256":                {"--key", rsaKey, "--iot-id", iotID},
		"1 to 63":              {"--key", aesKey, "--iot-id", "~"},
		"userData":             {"--key", aesKey, "--iot-id", iotID, "--value", ""},
		"iotIdServiceProvider": {"--key", aesKey, "--iot-id", iotID, "--product-key", "a b"},
		"timestamp":            {"--key", aesKey, "--iot-id", iotID, "--timestamp", "1582700146"},
		"usage":                {"--key", aesKey},
	} {
		cmd := exec.CommandContext(t.Context(), string(d), args...)
		cmd.Env = cleanEnviron()
		var stderr bytes.Buffer
		cmd.Stderr = &stderr
		out, err := cmd.Output()
		var exit *exec.ExitError
		if !errors.As(err, &exit) || exit.ExitCode() < 1 || len(out) != 0 || !strings.Contains(stderr.String(), want) {
			t.Errorf("%q: %v, prints %q and says %q, which lacks %q", args, err, out, &stderr, want)
		}
	}
}
