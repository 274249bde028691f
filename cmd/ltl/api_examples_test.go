package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"ltl/internal/localnet"
)

// TestAPIExamples: the programs in examples/api do the four things of the manual's sample project, in each language that
// this machine has: an upload, an upload signed by a device, a read, and what is known of the block.
func TestAPIExamples(t *testing.T) {
	f := common.file(t)
	chain, member := proofChain(t, f), account(t, f, localnet.RoleMember)
	const product, value = "examples-product", "21.5 °C"
	mustLTL(t, "device", "product", "claim", product, "--chain", chain.BizChainID, "--organisation", member.Organisation,
		"--dir", common.dir)
	mustLTL(t, "call", "RegisterDeviceGroup", "--dir", common.dir, "--role", "MEMBER", "AuthorizeType=ID2",
		"BizChainId="+chain.BizChainID, "DeviceGroupName=examples", "ProductKey="+product, "Remark=")
	dir := t.TempDir()
	key, public := filepath.Join(dir, "device.key"), filepath.Join(dir, "device.pem")
	mustLTL(t, "device", "keygen", "--out", key, "--public-out", public)
	mustLTL(t, "device", "enroll", "--product-key", product, "--iot-id", "example-1", "--public-key", public, "--dir",
		common.dir)
	for _, c := range []struct{ language, program, file string }{
		{"Python", "python3", "example.py"}, {"Node", "node", "example.mjs"}, {"Java", "java", "Example.java"},
	} {
		t.Run(c.language, func(t *testing.T) {
			program, err := exec.LookPath(c.program)
			if err != nil {
				t.Skipf("there is no %s here", c.program)
			}
			signed := mustLTL(t, "device", "sign", "--key", key, "--iot-id", "example-1", "--product-key", product, "--value",
				value, "--output", "json")
			cmd := exec.CommandContext(t.Context(), program, filepath.Join("..", "..", "examples", "api", c.file),
				chain.BizChainCode, member.DataTypeCode, "example-"+c.language, writeFile(t, "signed.json", signed), value)
			cmd.Env = append(os.Environ(), "LTL_ENDPOINT="+f.Endpoint, "LTL_ACCESS_KEY_ID="+member.AccessKeyID,
				"LTL_ACCESS_KEY_SECRET="+member.AccessKeySecret, "PYTHONIOENCODING=utf-8", "LC_ALL=C.UTF-8",
				"JAVA_TOOL_OPTIONS=-Dfile.encoding=UTF-8 -Dstdout.encoding=UTF-8 -XX:TieredStopAtLevel=1")
			out, err := cmd.CombinedOutput()
			if err != nil {
				t.Fatalf("%v\n%s", err, out)
			}
			for _, want := range []string{"uploaded 0001_" + chain.BizChainCode, "read 21.5 °C *()'!~ +&=\n", "block ",
				"endorsed by ", "signed by device example-1\n", "refused SetData: ", "-317"} {
				if !strings.Contains(string(out), want) {
					t.Errorf("it prints %q, which lacks %q", out, want)
				}
			}
		})
	}
}
