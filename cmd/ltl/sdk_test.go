package main

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"testing"

	sdkerrors "github.com/aliyun/alibaba-cloud-sdk-go/sdk/errors"
	"github.com/aliyun/alibaba-cloud-sdk-go/services/ltl"

	"ltl/internal/localnet"
	"ltl/internal/rules"
)

// TestOfficialSDK: a program written with the official Go SDK, only its Domain set, puts a record on the chain and
// reads back the value and its block.
func TestOfficialSDK(t *testing.T) {
	f := common.file(t)
	chain, member := proofChain(t, f), account(t, f, localnet.RoleMember)
	c := sdkClient(t, f, member)
	key, value := keyOf(chain, member, "sdk"), "温度 21 °C & humidity=40%"

	set := ltl.CreateSetDataRequest()
	set.ApiVersion, set.ProductKey, set.Key, set.Value = "1.0.0", chain.BizChainCode, key, value
	if res, err := c.SetData(set); err != nil || !res.Success || res.Code != 200 {
		t.Fatalf("SetData: %v, %+v", err, res)
	}
	get := ltl.CreateGetDataRequest()
	get.ApiVersion, get.ProductKey, get.Key = "1.0.0", chain.BizChainCode, key
	if res, err := c.GetData(get); err != nil || res.Data != value {
		t.Errorf("GetData: %v, %+v", err, res)
	}
	again := ltl.CreateSetDataRequest()
	again.ApiVersion, again.ProductKey, again.Key, again.Value = "1.0.0", chain.BizChainCode, key, "another"
	if res, err := c.SetData(again); err != nil || res.Success || res.Code != int(rules.DuplicateKey) {
		t.Errorf("SetData of a known Key: %v, %+v", err, res)
	}
	checkBlockChainInfo(t, c, f, chain.BizChainCode, key, value)
}

func checkBlockChainInfo(t *testing.T, c *ltl.Client, f *localnet.Network, code, key, value string) {
	t.Helper()
	req := ltl.CreateGetBlockChainInfoRequest()
	req.ApiVersion, req.ProductKey, req.Key = "1.0.0", code, key
	res, err := c.GetBlockChainInfo(req)
	if err != nil || !res.Success {
		t.Fatalf("GetBlockChainInfo: %v, %+v", err, res)
	}
	var data struct {
		BlockChainInfo struct {
			BlockHeight                                  uint64
			TransactionHash, BlockHash, PreviousHash     string
			DataHash, ChainName, EndorsementNames, IotID string
		} `json:"blockChainInfo"`
	}
	if err := json.Unmarshal([]byte(res.Data), &data); err != nil {
		t.Fatalf("GetBlockChainInfo: %v in %s", err, res.Data)
	}
	info := data.BlockChainInfo
	hash := sha256.Sum256([]byte(value))
	if info.DataHash != hex.EncodeToString(hash[:]) {
		t.Errorf("dataHash is %s, want %x", info.DataHash, hash)
	}
	if info.BlockHeight == 0 || len(info.TransactionHash) != 64 || len(info.BlockHash) != 64 ||
		len(info.PreviousHash) != 64 {
		t.Errorf("blockChainInfo is %+v", info)
	}
	// The member is org2's; the default policy needs its organisation and a majority of three.
	if names := strings.Split(info.EndorsementNames, ","); len(names) < 2 ||
		!strings.Contains(info.EndorsementNames, "Organisation 2") {
		t.Errorf("endorsed by %q", info.EndorsementNames)
	}
	// Every node has the block with this hash: an audit of any of them passes and ends in the same chain.
	for _, n := range f.Nodes {
		mustLTL(t, "audit", "--dir", common.dir, "--from", n.ID)
	}
}

// TestWrongSecret: the SDK's error names the wrong secret.
func TestWrongSecret(t *testing.T) {
	f := common.file(t)
	a := account(t, f, localnet.RoleAdmin)
	a.AccessKeySecret = "not it"
	req := ltl.CreateListProofChainRequest()
	req.ApiVersion, req.Num, req.Size = "1.0.0", "1", "10"
	_, err := sdkClient(t, f, a).ListProofChain(req)
	var server *sdkerrors.ServerError
	if !errors.As(err, &server) || server.HttpStatus() != http.StatusBadRequest ||
		server.ErrorCode() != "SignatureDoesNotMatch" {
		t.Fatalf("a wrong secret gives %v", err)
	}
	if !strings.Contains(server.Recommend(), "InvalidAccessKeySecret") {
		t.Errorf("the SDK recommends %q", server.Recommend())
	}
}
