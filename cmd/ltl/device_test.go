package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"ltl/client/device"
	"ltl/internal/localnet"
)

// TestDevicesOfOperators: devices with each type of key are made, enrolled, listed, used and revoked with commands
// only.
func TestDevicesOfOperators(t *testing.T) {
	f := common.file(t)
	chain, member := proofChain(t, f), account(t, f, localnet.RoleMember)
	dir := t.TempDir()
	const product = "commands-product"
	register := []string{"call", "RegisterDeviceGroup", "--dir", common.dir, "--role", "MEMBER", "AuthorizeType=ID2",
		"BizChainId=" + chain.BizChainID, "DeviceGroupName=commands", "ProductKey=" + product, "Remark="}
	if said := refusedLTL(t, register...); !strings.Contains(said, "ltl device product claim "+product+" --chain "+
		chain.BizChainID) {
		t.Errorf("an unclaimed product: %q", said)
	}
	claimed := jsonOf[productRow](t, "device", "product", "claim", product, "--chain", chain.BizChainID, "--organisation",
		member.Organisation)
	if claimed.Organisation != member.Organisation || claimed.Chain != chain.BizChainID || claimed.From == "" {
		t.Errorf("claimed as %+v", claimed)
	}
	mustLTL(t, register...)
	for _, kind := range []string{"ecc", "rsa", "aes"} {
		names := []string{"--product-key", product, "--iot-id", "commands-" + kind}
		key, public := filepath.Join(dir, kind+".key"), filepath.Join(dir, kind+".pem")
		keygen, enrol := []string{"device", "keygen", "--type", kind, "--out", key}, append([]string{"device", "enroll"},
			names...)
		if kind == "aes" {
			enrol = append(enrol, "--aes-key", key)
		} else {
			keygen, enrol = append(keygen, "--public-out", public), append(enrol, "--public-key", public)
		}
		if made := jsonOf[map[string]string](t, keygen...); made["type"] != kind || made["file"] != key {
			t.Errorf("keygen prints %v", made)
		}
		want := deviceRow{ProductKey: product, IotID: "commands-" + kind, KeyType: kind, Organisation: member.Organisation,
			State: stateEnrolled}
		check := func(what string, got deviceRow) {
			t.Helper()
			if got.EnrolledHeight == 0 || (got.PublicKey == "") != (kind == "aes") {
				t.Errorf("%s: %+v", what, got)
			}
			if len(got.Keys) != 1 || got.Keys[0].From == 0 || got.Keys[0].Until != 0 {
				t.Errorf("%s: keys %+v", what, got.Keys)
			}
			if got.EnrolledHeight, got.PublicKey, got.Keys = 0, "", nil; !reflect.DeepEqual(got, want) {
				t.Errorf("%s: %+v, want %+v", what, got, want)
			}
		}
		check("enrolled", jsonOf[deviceRow](t, enrol...))
		listed := jsonOf[[]deviceRow](t, append([]string{"device", "list"}, names...)...)
		if len(listed) != 1 {
			t.Fatalf("%d devices listed", len(listed))
		}
		check("listed", listed[0])
		value := "21.5 °C\n"
		file := filepath.Join(dir, "value")
		if err := os.WriteFile(file, []byte(value), 0o600); err != nil {
			t.Fatal(err)
		}
		// An AES key is given to the endorser again; any other enrolled key stays as it is.
		if kind == "aes" {
			check("enrolled again", jsonOf[deviceRow](t, enrol...))
		} else if said := refusedLTL(t, append(enrol, "--dir", common.dir)...); !strings.Contains(said, "enrolled already") {
			t.Errorf("enrolled again: %q", said)
		}
		uploadSigned(t, append([]string{"device", "sign", "--key", key, "--file", file}, names...),
			keyOf(chain, member, kind+"1"), keyOf(chain, member, kind+"2"), value)
		want.State = stateRevoked
		check("revoked", jsonOf[deviceRow](t, append([]string{"device", "revoke"}, names...)...))
	}
	if all := jsonOf[[]deviceRow](t, "device", "list", "--product-key", product); len(all) != 3 ||
		all[0].KeyType != "ecc" || all[2].KeyType != "aes" {
		t.Errorf("the product's devices: %+v", all)
	}
}

// uploadSigned signs with a command, and uploads the result with another: once, and not again under another Key.
func uploadSigned(t *testing.T, sign []string, key, other, value string) {
	t.Helper()
	p := jsonOf[device.Parameters](t, sign...)
	if p.IotDataDigest != device.Digest(value) || p.IotAuthType != "ID2" || !strings.HasPrefix(p.IotSignature, "3~2~") {
		t.Errorf("sign prints %+v", p)
	}
	call := []string{"call", "SetDataWithSignature", "--dir", common.dir, "--role", "MEMBER",
		"ProductKey=" + strings.Split(key, "_")[1], "Value=" + value, "IotIdSource=2"}
	for name, value := range p.Map() {
		call = append(call, name+"="+value)
	}
	mustLTL(t, append(call, "Key="+key)...)
	if said := refusedLTL(t, append(call, "Key="+other)...); !strings.Contains(said, "code 403") ||
		!strings.Contains(said, "before") {
		t.Errorf("the same signature again: %q", said)
	}
}

// TestDeviceFiles: key files are readable by their owner only and never overwritten; sign takes a time.
func TestDeviceFiles(t *testing.T) {
	dir := t.TempDir()
	key, public := filepath.Join(dir, "key"), filepath.Join(dir, "public")
	mustLTL(t, "device", "keygen", "--out", key, "--public-out", public)
	for path, mode := range map[string]os.FileMode{key: 0o600, public: 0o644} {
		if info, err := os.Stat(path); err != nil || info.Mode().Perm() != mode {
			t.Errorf("%s: %v %v, want mode %o", path, info.Mode(), err, mode)
		}
	}
	before, err := os.ReadFile(key)
	if err != nil {
		t.Fatal(err)
	}
	sign := []string{"device", "sign", "--key", key, "--iot-id", "d", "--product-key", "p"}
	var p device.Parameters
	out := mustLTL(t, append(sign, "--value", "Proof-Data", "--timestamp", "1599722505821", "--output", "json")...)
	if err := json.Unmarshal([]byte(out), &p); err != nil || !strings.Contains(p.IotSignature, "~1599722505821~") {
		t.Errorf("sign prints %q: %v", out, err)
	}
	if out := mustLTL(t, append(sign, "--value", "Proof-Data")...); !strings.Contains(out,
		"8240AB492AA29413C13D742F42AF258EBB835EBA8783FF8B812D6E117855EA2F") {
		t.Errorf("sign prints %q", out)
	}
	enrol := []string{"device", "enroll", "--product-key", "p", "--iot-id", "d", "--dir", common.dir}
	for _, c := range []struct {
		args []string
		want string
	}{
		{[]string{"device", "keygen", "--out", key}, "file exists"},
		{[]string{"device", "keygen", "--out", filepath.Join(dir, "new"), "--public-out", public}, "file exists"},
		{[]string{"device", "keygen", "--out", filepath.Join(dir, "new"), "--type", "des"}, "ecc, rsa or aes"},
		{[]string{"device", "keygen", "--out", filepath.Join(dir, "new"), "--type", "aes", "--public-out",
			filepath.Join(dir, "p")}, "no public part"},
		{[]string{"device", "keygen"}, "out"},
		{sign, "--value or --file"},
		{append(sign, "--value", "x", "--file", key), "not both"},
		{append(sign, "--value", ""), "empty payload"},
		{append(sign, "--value", "x", "--timestamp", "5"), "clock"},
		{[]string{"device", "sign", "--key", public, "--iot-id", "d", "--product-key", "p", "--value", "x"}, "private key"},
		{[]string{"device", "sign", "--key", key, "--iot-id", "a b", "--product-key", "p", "--value", "x"}, "IotId"},
		{enrol, "--public-key or --aes-key"},
		{append(enrol, "--public-key", public, "--aes-key", key), "not both"},
		{append(enrol, "--public-key", key), "public key or a certificate"},
		{append(enrol, "--aes-key", key), "--public-key"},
		{append(enrol, "--public-key", filepath.Join(dir, "none")), "no such file"},
		{[]string{"device", "enroll", "--product-key", "p/q", "--iot-id", "d", "--public-key", public, "--dir",
			common.dir}, "wrong form"},
		{[]string{"device", "revoke", "--product-key", "p", "--iot-id", "unknown", "--dir", common.dir}, "ever enrolled"},
		{[]string{"device", "list"}, "which network"},
	} {
		if said := refusedLTL(t, c.args...); !strings.Contains(said, c.want) ||
			strings.Count(strings.TrimSpace(said), "\n") > 0 {
			t.Errorf("ltl %s says %q, want one line with %q", strings.Join(c.args, " "), said, c.want)
		}
	}
	if _, err := os.Stat(filepath.Join(dir, "new")); err == nil {
		t.Error("a key was left behind although its public part could not be written")
	}
	if after, err := os.ReadFile(key); err != nil || string(after) != string(before) {
		t.Errorf("the first key was changed: %v", err)
	}
}

// TestDevicesOfOtherOrganisations: an operator enrols in the name of its own organisation, gives AES keys to its own
// endorser, and revokes only what its organisation enrolled.
func TestDevicesOfOtherOrganisations(t *testing.T) {
	dir := t.TempDir()
	operator, key := filepath.Join(dir, "operator"), filepath.Join(dir, "key")
	mustLTL(t, "pki", "issue", "org2/operator/ops", "--ca", filepath.Join(common.dir, "pki", "orgs", "org2"), "--out",
		operator)
	mustLTL(t, "device", "keygen", "--type", "aes", "--out", key)
	names := []string{"--product-key", "other-product", "--iot-id", "other"}
	if row := jsonOf[deviceRow](t,
		append([]string{"device", "enroll", "--aes-key", key, "--identity", operator},
			names...)...); row.Organisation != "org2" {
		t.Errorf("enrolled as %+v", row)
	}
	foreign := []string{"device", "product", "claim", "other-product", "--dir", common.dir, "--organisation", "org1"}
	if said := refusedLTL(t, foreign...); !strings.Contains(said, "organisation org2") {
		t.Errorf("org1 claims org2's product: %q", said)
	}
	revoke := append([]string{"device", "revoke", "--dir", common.dir, "--identity",
		filepath.Join(common.dir, "pki", "operator")}, names...)
	if said := refusedLTL(t, revoke...); !strings.Contains(said, "has the device's product") &&
		!strings.Contains(said, "belongs to organisation org2") {
		t.Errorf("another organisation's operator revokes: %q", said)
	}
	// org1's endorser refuses the key when it knows of the enrolment, and the ledger refuses the enrolment in any case.
	if said := refusedLTL(t, append([]string{"device", "enroll", "--aes-key", key, "--dir", common.dir, "--identity",
		filepath.Join(common.dir, "pki", "operator")}, names...)...); !strings.Contains(said, "organisation org2") {
		t.Errorf("another organisation's operator enrols: %q", said)
	}
	if row := jsonOf[deviceRow](t,
		append([]string{"device", "revoke", "--identity", operator}, names...)...); row.State != stateRevoked {
		t.Errorf("revoked as %+v", row)
	}
}

// TestMovedProduct: the others give a product to org1, which ends the key that org2 enrolled, and then enrols the device
// with its own.
func TestMovedProduct(t *testing.T) {
	common.file(t)
	dir := t.TempDir()
	theirs, ours := filepath.Join(dir, "theirs"), filepath.Join(dir, "ours")
	for _, key := range []string{theirs, ours} {
		mustLTL(t, "device", "keygen", "--type", "aes", "--out", key)
	}
	claimed := jsonOf[productRow](t, "device", "product", "claim", "squatted", "--organisation", "org2")
	if claimed.Organisation != "org2" {
		t.Fatalf("claimed as %+v", claimed)
	}
	device := []string{"--product-key", "squatted", "--iot-id", "d1"}
	enrol := append([]string{"device", "enroll", "--aes-key", theirs}, device...)
	if row := jsonOf[deviceRow](t, enrol...); row.Organisation != "org2" {
		t.Fatalf("enrolled as %+v", row)
	}
	moved := jsonOf[productRow](t, "device", "product", "move", "squatted", "--to", "org1")
	if moved.Organisation != "org1" || moved.Chain != "" {
		t.Errorf("moved as %+v", moved)
	}
	enrol = append([]string{"device", "enroll", "--aes-key", ours, "--dir", common.dir}, device...)
	if said := refusedLTL(t, enrol...); !strings.Contains(said, "ltl device declare") {
		t.Errorf("org2's key is in force: %q", said)
	}
	jsonOf[deviceRow](t, append([]string{"device", "declare", "--end", "lost"}, device...)...)
	enrol = append([]string{"device", "enroll", "--aes-key", ours}, device...)
	if row := jsonOf[deviceRow](t, enrol...); row.Organisation != "org1" || len(row.Keys) != 2 {
		t.Errorf("enrolled again as %+v", row)
	}
	if said := refusedLTL(t, "device", "product", "move", "no-product", "--to", "org1", "--dir",
		common.dir); !strings.Contains(said, "device product claim") {
		t.Errorf("a product that none has claimed: %q", said)
	}
}
