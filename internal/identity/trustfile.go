package identity

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
)

// trustFile is the content of trust.json. The genesis is authoritative; all else is a copy for people to read.
type trustFile struct {
	Network       string              `json:"network"`
	NetworkID     string              `json:"networkId"`
	Genesis       string              `json:"genesis"`
	Organisations []trustOrganisation `json:"organisations"`
	Nodes         []trustNode         `json:"nodes"`
}

type trustOrganisation struct {
	ID              string `json:"id"`
	Name            string `json:"name"`
	EndorserAddress string `json:"endorserAddress"`
	EndorserKey     string `json:"endorserKey"`
}

type trustNode struct {
	ID           string `json:"id"`
	Organisation string `json:"organisation"`
	Address      string `json:"address"`
	Key          string `json:"key"`
}

// LoadTrust reads a trust file. What people read in it must say what the genesis says; otherwise the answer is ErrTrust, wrapped.
func LoadTrust(path string) (*Trust, error) {
	b, err := readBounded(path)
	if err != nil {
		return nil, err
	}
	t, err := parseTrust(b)
	if err != nil {
		return nil, fmt.Errorf("trust file %s: %w", path, err)
	}
	return t, nil
}

func parseTrust(b []byte) (*Trust, error) {
	var f trustFile
	decoder := json.NewDecoder(bytes.NewReader(b))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&f); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrTrust, err)
	}
	payload, err := base64.StdEncoding.Strict().DecodeString(f.Genesis)
	if err != nil {
		return nil, fmt.Errorf("%w: genesis: %w", ErrTrust, err)
	}
	t, err := NewTrust(payload)
	if err != nil {
		return nil, err
	}
	want := t.file()
	switch {
	case f.NetworkID != want.NetworkID:
		err = fmt.Errorf("networkId is %q, the genesis has %q", f.NetworkID, want.NetworkID)
	case f.Network != want.Network:
		err = fmt.Errorf("network is %q, the genesis has %q", f.Network, want.Network)
	case !slices.Equal(f.Organisations, want.Organisations):
		err = errors.New("the organisations are not those of the genesis")
	case !slices.Equal(f.Nodes, want.Nodes):
		err = errors.New("the nodes are not those of the genesis")
	case !sameJSON(b, want):
		// A repeated field: people read the first, the decoder takes the last.
		err = errors.New("it has repeated fields, another order of fields, or something behind its end")
	}
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrTrust, err)
	}
	return t, nil
}

// file is the trust file of the genesis.
func (t *Trust) file() trustFile {
	f := trustFile{
		Network:       t.genesis.GetNetwork(),
		NetworkID:     hex.EncodeToString(t.id[:]),
		Genesis:       base64.StdEncoding.EncodeToString(t.payload),
		Organisations: []trustOrganisation{},
		Nodes:         []trustNode{},
	}
	for _, o := range t.genesis.GetOrganisations() {
		f.Organisations = append(f.Organisations, trustOrganisation{
			ID: o.GetId(), Name: o.GetName(), EndorserAddress: o.GetEndorserAddress(), EndorserKey: hex.EncodeToString(o.GetEndorserKey()),
		})
	}
	for _, n := range t.genesis.GetNodes() {
		f.Nodes = append(f.Nodes, trustNode{
			ID: n.GetId(), Organisation: n.GetOrganisation(), Address: n.GetAddress(), Key: hex.EncodeToString(n.GetKey()),
		})
	}
	return f
}

func (f trustFile) encode() ([]byte, error) {
	var b bytes.Buffer
	encoder := json.NewEncoder(&b)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	if err := encoder.Encode(f); err != nil {
		return nil, fmt.Errorf("encode the trust file: %w", err)
	}
	return b.Bytes(), nil
}

// sameJSON reports whether b is what encode makes, but for white space between its parts.
func sameJSON(b []byte, want trustFile) bool {
	encoded, err := want.encode()
	if err != nil {
		return false
	}
	var got, expected bytes.Buffer
	return json.Compact(&got, b) == nil && json.Compact(&expected, encoded) == nil && bytes.Equal(got.Bytes(), expected.Bytes())
}
