// Package localnet runs a whole network on one machine, as `ltl up` does: it makes keys and genesis on the first
// start, starts one child process per node, endorser and facade, creates the first accounts and chains, and describes
// all of it in network.json, from which every other subcommand takes its connections.
//
// It promises that a second start on the same directory continues the same ledger, that a directory is never run
// twice at the same time, and that no child outlives it. A Network value may be read concurrently; Run is called once
// per directory.
package localnet

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// NetworkFile is the name of the description inside a network's directory.
const NetworkFile = "network.json"

// Region is the region of the networks that this package makes; it is the one that the SDKs know for LTL.
const Region = "cn-shanghai"

// ErrNoNetwork is returned, wrapped, when a directory holds no network.json.
var ErrNoNetwork = errors.New("no network was started there")

// Network is the content of network.json. Its form is a contract with other tools.
type Network struct {
	Endpoint string `json:"endpoint"`
	// Console is the address of the web console; empty where there is none.
	Console   string     `json:"console,omitempty"`
	Region    string     `json:"region"`
	Chains    []Chain    `json:"chains"`
	Accounts  []Account  `json:"accounts"`
	Nodes     []Node     `json:"nodes"`
	Endorsers []Endorser `json:"endorsers"`
	Facades   []Facade   `json:"facades"`
	// Trust and Operator are paths: of the trust file, and of the operator's private key.
	Trust    string `json:"trust"`
	Operator string `json:"operator"`
	// Delegates are the facades to which the set-up had every organisation but the first delegate; empty when the network
	// was set up before.
	Delegates []string `json:"-"`
}

// Chain is one business chain; Service is "proof" or "collaboration".
type Chain struct {
	Service      string `json:"service"`
	Name         string `json:"name"`
	BizChainID   string `json:"bizChainId"`
	BizChainCode string `json:"bizChainCode"`
}

// Account is an account with its AccessKey. DataTypeCode is its code on the proof chain, empty when it has none.
type Account struct {
	Role            string `json:"role"`
	UID             string `json:"uid"`
	Name            string `json:"name"`
	Organisation    string `json:"organisation"`
	AccessKeyID     string `json:"accessKeyId"`
	AccessKeySecret string `json:"accessKeySecret"`
	DataTypeCode    string `json:"dataTypeCode"`
}

// Node is a node's process.
type Node struct {
	ID   string `json:"id"`
	GRPC string `json:"grpc"`
	PID  int    `json:"pid"`
	Dir  string `json:"dir"`
}

// Endorser is an endorser's process.
type Endorser struct {
	Organisation string `json:"organisation"`
	GRPC         string `json:"grpc"`
	PID          int    `json:"pid"`
	Dir          string `json:"dir"`
}

// Facade is a facade's process.
type Facade struct {
	HTTP string `json:"http"`
	PID  int    `json:"pid"`
}

// The roles of accounts in network.json.
const (
	RoleAdmin  = "ADMIN"
	RoleMember = "MEMBER"
	RoleNone   = "NONE"
)

// The services of chains in network.json.
const (
	ServiceProof         = "proof"
	ServiceCollaboration = "collaboration"
)

// Load reads DIR/network.json. It returns ErrNoNetwork, wrapped, when there is none.
func Load(dir string) (*Network, error) {
	raw, err := os.ReadFile(filepath.Join(dir, NetworkFile))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%s: %w (`ltl up --dir %s` starts one)", dir, ErrNoNetwork, dir)
	}
	if err != nil {
		return nil, fmt.Errorf("couldn't read the network's description: %w", err)
	}
	var n Network
	if err := json.Unmarshal(raw, &n); err != nil {
		return nil, fmt.Errorf("couldn't read %s: %w", filepath.Join(dir, NetworkFile), err)
	}
	return &n, nil
}

// Save writes DIR/network.json, readable by its owner only as it holds secrets. Readers see the old or the new content.
func (n *Network) Save(dir string) error { return SaveJSON(filepath.Join(dir, NetworkFile), n) }

// Account returns the first account of a role.
func (n *Network) Account(role string) (Account, bool) {
	for _, a := range n.Accounts {
		if a.Role == role {
			return a, true
		}
	}
	return Account{}, false
}

// Chain returns the chain of a service.
func (n *Network) Chain(service string) (Chain, bool) {
	for _, c := range n.Chains {
		if c.Service == service {
			return c, true
		}
	}
	return Chain{}, false
}

// Path makes a path of the description absolute: those in it may be relative to the network's directory.
func Path(dir, path string) string {
	if filepath.IsAbs(path) {
		return path
	}
	return filepath.Join(dir, path)
}

// SaveJSON replaces a file by value as JSON, readable by its owner only, in one step, and syncs it: later starts read the
// same decisions.
func SaveJSON(path string, value any) error {
	raw, err := json.MarshalIndent(value, "", "  ")
	if err != nil {
		return fmt.Errorf("couldn't encode %s: %w", path, err)
	}
	f, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".*") // CreateTemp gives mode 0600
	if err != nil {
		return fmt.Errorf("couldn't write %s: %w", path, err)
	}
	_, err = f.Write(append(raw, '\n'))
	err = errors.Join(err, f.Sync(), f.Close())
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err == nil {
		err = syncDir(filepath.Dir(path))
	}
	if err != nil {
		os.Remove(f.Name())
		return fmt.Errorf("couldn't write %s: %w", path, err)
	}
	return nil
}

// syncDir makes a rename in a directory durable.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
