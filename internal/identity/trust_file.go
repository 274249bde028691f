package identity

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	ltlv1 "ltl/proto/ltl/v1"
)

// trustFile is the content of trust.json. The genesis is authoritative; the other fields are a copy for people to read.
type trustFile struct {
	Network       string              `json:"network"`
	NetworkID     string              `json:"networkId"`
	Genesis       string              `json:"genesis"`
	Organisations []trustOrganisation `json:"organisations"`
	Nodes         []trustNode         `json:"nodes"`
	// Learned is what the ledger said since, at the time of writing; absent in the file of a new network.
	Learned *trustLearned `json:"learned,omitempty"`
	// History is whose keys signed at which heights, for certificates; absent in the file of a new network.
	History *KeyHistory `json:"history,omitempty"`
}

// trustLearned is a Membership. It is trusted as the file is.
type trustLearned struct {
	Height        uint64                `json:"height"`
	Organisations []learnedOrganisation `json:"organisations"`
	Revocations   []learnedRevocation   `json:"revocations"`
	Removed       []string              `json:"removed"`
}

type learnedOrganisation struct {
	trustOrganisation
	Authorities []string `json:"authorities"`
}

type learnedRevocation struct {
	Identity string `json:"identity"`
	KeyHash  string `json:"keyHash"`
	KeyOnly  bool   `json:"keyOnly"`
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

// LoadTrust reads a trust file. The fields for people must agree with the genesis; otherwise the error is ErrTrust,
// wrapped.
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

// Clone returns a trust that knows the same and learns apart from this one.
func (t *Trust) Clone() (*Trust, error) {
	b, err := t.Encode()
	if err != nil {
		return nil, err
	}
	return parseTrust(b)
}

func parseTrust(b []byte) (*Trust, error) {
	var f trustFile
	if err := decodeStrictly(b, &f); err != nil {
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
	if f.Learned != nil {
		m, err := f.Learned.membership()
		if err == nil {
			err = t.Update(m)
		}
		if err != nil {
			return nil, fmt.Errorf("%w: learned: %w", ErrTrust, err)
		}
	}
	t.history = f.History
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
		// Of a repeated field people read the first, and the decoder takes the last.
		err = errors.New("it has repeated fields, another order of fields, or bytes after its end")
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
		f.Organisations = append(f.Organisations, newTrustOrganisation(o))
	}
	for _, n := range t.genesis.GetNodes() {
		f.Nodes = append(f.Nodes, newTrustNode(n))
	}
	t.mu.RLock()
	defer t.mu.RUnlock()
	if t.membership != nil {
		f.Learned = newTrustLearned(t.membership)
	}
	f.History = t.history
	return f
}

func newTrustLearned(m *Membership) *trustLearned {
	l := &trustLearned{Height: m.Height, Organisations: []learnedOrganisation{}, Revocations: []learnedRevocation{},
		Removed: append([]string{}, m.Removed...)}
	for _, o := range m.Organisations {
		one := learnedOrganisation{trustOrganisation: newTrustOrganisation(o), Authorities: []string{}}
		for _, der := range m.authoritiesOf(o) {
			one.Authorities = append(one.Authorities, base64.StdEncoding.EncodeToString(der))
		}
		l.Organisations = append(l.Organisations, one)
	}
	for _, r := range m.Revocations {
		l.Revocations = append(l.Revocations, learnedRevocation{r.GetIdentity(), hex.EncodeToString(r.GetKeyHash()),
			r.GetKeyOnly()})
	}
	return l
}

// membership reads what newTrustLearned wrote.
func (l *trustLearned) membership() (*Membership, error) {
	m := &Membership{Height: l.Height, Removed: l.Removed}
	for _, o := range l.Organisations {
		made := &ltlv1.Organisation{Id: o.ID, Name: o.Name, EndorserAddress: o.EndorserAddress}
		var err error
		if made.EndorserKey, err = hex.DecodeString(o.EndorserKey); err != nil {
			return nil, fmt.Errorf("endorserKey of %q is not hexadecimal: %w", o.ID, err)
		}
		all := &ltlv1.Authorities{Organisation: o.ID}
		for _, text := range o.Authorities {
			der, err := base64.StdEncoding.Strict().DecodeString(text)
			if err != nil {
				return nil, fmt.Errorf("an authority of %q is not base64: %w", o.ID, err)
			}
			all.Certificates = append(all.Certificates, der)
			made.CaCertificate = der
		}
		m.Organisations, m.Authorities = append(m.Organisations, made), append(m.Authorities, all)
	}
	for _, r := range l.Revocations {
		hash, err := hex.DecodeString(r.KeyHash)
		if err != nil {
			return nil, fmt.Errorf("keyHash of %q is not hexadecimal: %w", r.Identity, err)
		}
		m.Revocations = append(m.Revocations, &ltlv1.RevokeCertificate{Identity: r.Identity, KeyHash: hash,
			KeyOnly: r.KeyOnly})
	}
	return m, nil
}

// Encode returns the trust file that SaveTrust writes.
func (t *Trust) Encode() ([]byte, error) { return t.file().encode() }

// SaveTrust replaces the trust file by one with what was learned of organisations and certificates.
func SaveTrust(path string, t *Trust) error {
	b, err := t.Encode()
	if err != nil {
		return err
	}
	return replace(path, b)
}

func newTrustOrganisation(o *ltlv1.Organisation) trustOrganisation {
	return trustOrganisation{
		ID: o.GetId(), Name: o.GetName(), EndorserAddress: o.GetEndorserAddress(),
		EndorserKey: hex.EncodeToString(o.GetEndorserKey()),
	}
}

func newTrustNode(n *ltlv1.Node) trustNode {
	return trustNode{
		ID: n.GetId(), Organisation: n.GetOrganisation(), Address: n.GetAddress(), Key: hex.EncodeToString(n.GetKey()),
	}
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

// sameJSON reports whether b is what encode makes, except for white space between its tokens.
func sameJSON(b []byte, want trustFile) bool {
	encoded, err := want.encode()
	if err != nil {
		return false
	}
	var got, expected bytes.Buffer
	return json.Compact(&got, b) == nil && json.Compact(&expected, encoded) == nil &&
		bytes.Equal(got.Bytes(), expected.Bytes())
}
