package main

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"ltl/internal/localnet"
)

// TestDeviceKeyLife: with commands only, a device gets another key, loses it, is enrolled with a third one of another
// type, and keeps its id and its history; the ledger is right for an auditor afterwards.
func TestDeviceKeyLife(t *testing.T) {
	f := common.file(t)
	chain, member := proofChain(t, f), account(t, f, localnet.RoleMember)
	dir := t.TempDir()
	const product = "product-of-keys"
	names := []string{"--product-key", product, "--iot-id", "meter"}
	file := func(name string) string { return filepath.Join(dir, name) }
	for _, key := range []string{"first", "second"} {
		mustLTL(t, "device", "keygen", "--out", file(key), "--public-out", file(key+".pub"))
	}
	mustLTL(t, "device", "keygen", "--type", "aes", "--out", file("third"))
	mustLTL(t, "device", "product", "claim", product, "--dir", common.dir, "--chain", chain.BizChainID, "--organisation",
		member.Organisation)
	mustLTL(t, "call", "RegisterDeviceGroup", "--dir", common.dir, "--role", "MEMBER", "AuthorizeType=ID2",
		"BizChainId="+chain.BizChainID, "DeviceGroupName=meters", "ProductKey="+product, "Remark=")
	enroll := append([]string{"device", "enroll", "--dir", common.dir}, names...)
	mustLTL(t, append(enroll, "--public-key", file("first.pub"))...)
	signed := func(key, id string) {
		t.Helper()
		uploadSigned(t, append([]string{"device", "sign", "--key", file(key), "--value", "21.5"}, names...),
			keyOf(chain, member, id+"1"), keyOf(chain, member, id+"2"), "21.5")
	}
	signed("first", "life1")

	rotate := append([]string{"device", "rotate", "--new-key", file("second")}, names...)
	if said := refusedLTL(t, append(rotate, "--dir", common.dir, "--former-key", file("second"))...); !strings.Contains(said,
		"must both have signed") {
		t.Errorf("signed twice by the new key: %q", said)
	}
	row := jsonOf[deviceRow](t, append(rotate, "--former-key", file("first"))...)
	if len(row.Keys) != 2 || row.Keys[0].End != "rotated" || row.Keys[0].Until != row.Keys[1].From || row.State != stateEnrolled {
		t.Errorf("rotated: %+v", row)
	}
	signed("second", "life2")
	if said := refusedLTL(t, append(enroll, "--aes-key", file("third"))...); !strings.Contains(said, "public key") {
		t.Errorf("an AES key while the second is in force: %q", said)
	}

	declare := append([]string{"device", "declare", "--end"}, names...)
	if said := refusedLTL(t, append(declare[:2:2], append([]string{"--end", "stolen", "--dir", common.dir},
		names...)...)...); !strings.Contains(said, "lost or compromised") {
		t.Errorf("another end: %q", said)
	}
	ended := jsonOf[deviceRow](t, append([]string{"device", "declare", "--end", "compromised"}, names...)...)
	if ended.State != stateEnded || ended.Keys[1].End != "compromised" || ended.Keys[1].Doubtful != ended.Keys[1].Until {
		t.Errorf("compromised: %+v", ended)
	}
	again := jsonOf[deviceRow](t, append([]string{"device", "enroll", "--aes-key", file("third")}, names...)...)
	if len(again.Keys) != 3 || again.State != stateEnrolled || again.KeyType != "aes" ||
		again.EnrolledHeight != row.EnrolledHeight {
		t.Errorf("enrolled again: %+v", again)
	}
	signed("third", "life3")
	table := mustLTL(t, append([]string{"device", "list", "--dir", common.dir}, names...)...)
	for _, want := range []string{": rotated", ": compromised; ", fmt.Sprintf("block %d of the system chain\n", again.Keys[2].From)} {
		if !strings.Contains(table, want) {
			t.Errorf("the list of the device's keys has no %q:\n%s", want, table)
		}
	}
	mustLTL(t, "audit", "--dir", common.dir) // which verifies what each key signed
}
