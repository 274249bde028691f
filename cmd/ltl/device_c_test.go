package main

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/aliyun/alibaba-cloud-sdk-go/services/ltl"

	"ltl/internal/localnet"
	"ltl/internal/rules"
)

// TestDeviceInC: a device signs with the SDK in C, its business system uploads the data with the official Go SDK
// and reads them back; any other data under that signature are refused.
func TestDeviceInC(t *testing.T) {
	f := common.file(t)
	chain, member := proofChain(t, f), account(t, f, localnet.RoleMember)
	c, program := sdkClient(t, f, member), buildDemo(t)
	const product = "product-of-c"
	mustLTL(t, "device", "product", "claim", product, "--dir", common.dir, "--chain", chain.BizChainID, "--organisation",
		member.Organisation)
	group := ltl.CreateRegisterDeviceGroupRequest()
	group.ApiVersion, group.BizChainId, group.ProductKey = "1.0.0", chain.BizChainID, product
	group.AuthorizeType, group.DeviceGroupName, group.Remark = "ID2", "devices-in-C", ""
	if res, err := c.RegisterDeviceGroup(group); err != nil || !res.Success {
		t.Fatalf("RegisterDeviceGroup: %v, %+v", err, res)
	}
	for kind, iotID := range map[string]string{"ecc": "00FFFF098598F3BDD8221234", "aes": "00FFFF098598F3BDD8225678"} {
		t.Run(kind, func(t *testing.T) {
			key := filepath.Join(t.TempDir(), "key")
			enrolDevice(t, kind, key, product, iotID)
			d := cDevice{t: t, client: c, program: program, key: key, product: product, iotID: iotID}
			d.testUpload(chain, member, kind)
		})
	}
}

// buildDemo builds the demonstration program of the SDK in C, outside of the source. The test reads the source
// itself, so that `go test` runs it again when that has changed.
func buildDemo(t *testing.T) string {
	t.Helper()
	source, build := t.TempDir(), t.TempDir()
	const sdk = "../../client/device/c"
	for _, part := range []string{"inc", "lib", "demo"} {
		if err := os.CopyFS(filepath.Join(source, part), os.DirFS(filepath.Join(sdk, part))); err != nil {
			t.Fatal(err)
		}
	}
	makefile, err := os.ReadFile(filepath.Join(sdk, "Makefile"))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(source, "Makefile"), makefile, 0o600); err != nil {
		t.Fatal(err)
	}
	program := filepath.Join(build, "demo", "ltl_demo")
	mk := exec.CommandContext(t.Context(), "make", "--no-print-directory", "BUILD="+build, program)
	mk.Dir = source
	for _, v := range os.Environ() {
		if !strings.HasPrefix(v, "MAKE") && !strings.HasPrefix(v, "MFLAGS=") && !strings.HasPrefix(v, "CFLAGS=") {
			mk.Env = append(mk.Env, v)
		}
	}
	if out, err := mk.CombinedOutput(); err != nil {
		t.Fatalf("make: %v; scripts/install-deps.sh installs what is needed\n%s", err, out)
	}
	return program
}

// enrolDevice makes a key and enrols a device with it.
func enrolDevice(t *testing.T, kind, key, product, iotID string) {
	t.Helper()
	enrol := []string{"device", "enroll", "--dir", common.dir, "--product-key", product, "--iot-id", iotID}
	keygen := []string{"device", "keygen", "--type", kind, "--out", key}
	if kind == "aes" {
		enrol = append(enrol, "--aes-key", key)
	} else {
		keygen, enrol = append(keygen, "--public-out", key+".pub"), append(enrol, "--public-key", key+".pub")
	}
	mustLTL(t, keygen...)
	mustLTL(t, enrol...)
}

// cDevice is a device that signs with the program in C, and the business system that uploads for it.
type cDevice struct {
	t                                   *testing.T
	client                              *ltl.Client
	program, key, product, iotID, chain string
}

// sign runs the program. It returns the parameters that it printed.
func (d *cDevice) sign(value string) map[string]string {
	d.t.Helper()
	var stderr bytes.Buffer
	cmd := exec.CommandContext(d.t.Context(), d.program, "--key", d.key, "--iot-id", d.iotID, "--product-key",
		d.product, "--value", value)
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		d.t.Fatalf("ltl_demo: %v\n%s", err, &stderr)
	}
	p := map[string]string{}
	for line := range strings.Lines(string(out)) {
		name, text, _ := strings.Cut(strings.TrimSuffix(line, "\n"), "=")
		p[name] = text
	}
	return p
}

// set uploads a value under a Key with the parameters that the device printed, and returns the answer's code.
func (d *cDevice) set(p map[string]string, key, value string) (code int, message string) {
	d.t.Helper()
	r := ltl.CreateSetDataWithSignatureRequest()
	r.ApiVersion, r.ProductKey, r.Key, r.Value, r.IotIdSource = "1.0.0", d.chain, key, value, "2"
	r.IotAuthType, r.IotId, r.IotIdServiceProvider = p["IotAuthType"], p["IotId"], p["IotIdServiceProvider"]
	r.IotDataDigest, r.IotSignature = p["IotDataDigest"], p["IotSignature"]
	res, err := d.client.SetDataWithSignature(r)
	if err != nil || res.Success != (res.Code == 200) {
		d.t.Fatalf("SetDataWithSignature: %v, %+v", err, res)
	}
	return res.Code, res.Message
}

func (d *cDevice) testUpload(chain localnet.Chain, member localnet.Account, kind string) {
	t, value := d.t, "某公司某业务数据。"
	d.chain = chain.BizChainCode
	key, other := keyOf(chain, member, "c"+kind+"1"), keyOf(chain, member, "c"+kind+"2")
	p := d.sign(value)

	if code, _ := d.set(p, key, value+" "); code != int(rules.BadDigest) {
		t.Errorf("another value than the signed one: code %d", code)
	}
	foreign := d.sign("another value")
	foreign["IotDataDigest"] = p["IotDataDigest"]
	if code, message := d.set(foreign, key, value); code != int(rules.Forbidden) ||
		!strings.Contains(message, "not by the enrolled key") {
		t.Errorf("another value's signature: code %d, %s", code, message)
	}
	if code, message := d.set(p, key, value); code != 200 {
		t.Fatalf("upload: code %d, %s", code, message)
	}
	if code, message := d.set(p, other, value); code != int(rules.Forbidden) || !strings.Contains(message, "before") {
		t.Errorf("the same signature again: code %d, %s", code, message)
	}
	if code, message := d.set(d.sign(value), other, value); code != 200 {
		t.Errorf("the same value signed again: code %d, %s", code, message)
	}

	get := ltl.CreateGetDataRequest()
	get.ApiVersion, get.ProductKey, get.Key = "1.0.0", d.chain, key
	if res, err := d.client.GetData(get); err != nil || res.Data != value {
		t.Errorf("GetData: %v, %+v", err, res)
	}
	info := ltl.CreateGetBlockChainInfoRequest()
	info.ApiVersion, info.ProductKey, info.Key = "1.0.0", d.chain, key
	res, err := d.client.GetBlockChainInfo(info)
	if err != nil || !res.Success {
		t.Fatalf("GetBlockChainInfo: %v, %+v", err, res)
	}
	var data struct {
		BlockChainInfo struct{ IotID, DataHash string } `json:"blockChainInfo"`
	}
	if err := json.Unmarshal([]byte(res.Data), &data); err != nil {
		t.Fatal(err)
	}
	if got := data.BlockChainInfo; got.IotID != d.iotID || got.DataHash != strings.ToLower(p["IotDataDigest"]) {
		t.Errorf("the block's record is %+v", got)
	}
}
