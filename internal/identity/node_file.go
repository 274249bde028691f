package identity

import (
	"crypto/ed25519"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"path/filepath"

	"ltl/internal/ledger"
	"ltl/internal/rules"
	ltlv1 "ltl/proto/ltl/v1"
)

// NodeFile is the name of a node's description in its data directory: what an operator needs to add the node to a
// network.
const NodeFile = "node.json"

// nodeFile is its content; nothing in it is secret.
type nodeFile struct {
	ID           string `json:"id"`
	Organisation string `json:"organisation"`
	Address      string `json:"address"`
	Key          string `json:"key"`
	Incarnation  string `json:"incarnation"`
	Possession   string `json:"possession"`
}

// DescribeNode writes node.json into dataDir, from the certificate and the signing key in keyDir, and returns the node.
// The key signs that the node is to join the network of the trust file; the key itself stays where it is.
func DescribeNode(trust *Trust, keyDir, dataDir, address string, storeID []byte) (*ltlv1.Node, error) {
	cert, err := loadCertificate(filepath.Join(keyDir, certificateFile))
	if err != nil {
		return nil, err
	}
	id, err := identityOf(cert)
	if err != nil {
		return nil, fmt.Errorf("%w: %s: %w", ErrCertificate, filepath.Join(keyDir, certificateFile), err)
	}
	if id.Role != RoleNode {
		return nil, fmt.Errorf("%w: the certificate in %s is that of %s, not of a node", ErrCertificate, keyDir, id)
	}
	key, err := LoadKey(filepath.Join(keyDir, signKeyFile))
	if err != nil {
		return nil, err
	}
	n := &ltlv1.Node{Id: id.Name, Organisation: id.Organisation, Address: address, Key: key.Public().(ed25519.PublicKey),
		StoreId: storeID}
	if err := checkAddress(address); err != nil {
		return nil, err
	}
	possession := ledger.SignNewNode(key, trust.NetworkID(),
		&ledger.NewNode{Organisation: n.GetOrganisation(), ID: n.GetId(), Key: n.GetKey(), StoreID: storeID})
	text, err := json.MarshalIndent(nodeFile{
		ID: n.GetId(), Organisation: n.GetOrganisation(), Address: address, Key: hex.EncodeToString(n.GetKey()),
		Incarnation: hex.EncodeToString(storeID), Possession: hex.EncodeToString(possession),
	}, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("encode the node: %w", err)
	}
	return n, writeNew(filepath.Join(dataDir, NodeFile), append(text, '\n'), modePublic)
}

// LoadNode reads a description that DescribeNode wrote, and returns the node and its key's signature. It does not verify
// the signature: the rules do.
func LoadNode(path string) (n *ltlv1.Node, possession []byte, err error) {
	b, err := readBounded(path)
	if err != nil {
		return nil, nil, err
	}
	var f nodeFile
	if err := json.Unmarshal(b, &f); err != nil {
		return nil, nil, fmt.Errorf("%s does not describe a node: %w", path, err)
	}
	n = &ltlv1.Node{Id: f.ID, Organisation: f.Organisation, Address: f.Address}
	if n.Key, err = hex.DecodeString(f.Key); err != nil || !ledger.ValidKey(n.Key) {
		return nil, nil, fmt.Errorf("%s: key is no sound Ed25519 key in hexadecimal digits", path)
	}
	if n.StoreId, err = hex.DecodeString(f.Incarnation); err != nil || len(n.StoreId) != rules.StoreIDLen {
		return nil, nil, fmt.Errorf("%s: incarnation is not %d bytes in hexadecimal digits; `ltl node prepare` writes this file",
			path, rules.StoreIDLen)
	}
	if possession, err = hex.DecodeString(f.Possession); err != nil || len(possession) != ed25519.SignatureSize {
		return nil, nil, fmt.Errorf("%s: possession is not %d bytes in hexadecimal digits; `ltl node prepare` writes this file",
			path, ed25519.SignatureSize)
	}
	return n, possession, nil
}
