package identity

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"time"

	"google.golang.org/protobuf/proto"

	"ltl/internal/ledger"
	"ltl/internal/rules"
	ltlv1 "ltl/proto/ltl/v1"
)

// ContinuingFile is the name of the file with which an organisation describes itself and its nodes for a successor.
const ContinuingFile = "continuing.json"

// Continuing is an organisation that goes on in a successor, with its nodes there. Nothing in it is secret.
type Continuing struct {
	Organisation *ltlv1.Organisation
	Nodes        []*ltlv1.Node
}

// ContinuingSpec describes what CreateContinuing makes: an organisation, its nodes and the names of its facades.
type ContinuingSpec struct {
	OrgSpec
	Nodes   []NodeSpec
	Facades []string
	Created time.Time
}

// continuingFile is the content of ContinuingFile.
type continuingFile struct {
	ID              string      `json:"id"`
	Name            string      `json:"name"`
	EndorserAddress string      `json:"endorserAddress"`
	EndorserKey     string      `json:"endorserKey"`
	CACertificate   []byte      `json:"caCertificate"`
	Nodes           []trustNode `json:"nodes"`
}

// CreateContinuing makes all keys and certificates of an organisation for a successor in dir, which must hold none yet,
// and describes it in ContinuingFile there. None of the keys of the network before is used again: what was revoked there
// is not revoked in another network.
func CreateContinuing(dir string, spec *ContinuingSpec) (*Continuing, error) {
	if err := checkClock(spec.Created, built()); err != nil {
		return nil, err
	}
	w := &networkWriter{dir: dir, created: spec.Created}
	c := &Continuing{Organisation: w.organisation(spec.OrgSpec)}
	for _, n := range spec.Nodes {
		n.Organisation = spec.ID
		c.Nodes = append(c.Nodes, w.node(n))
	}
	sealing := w.sealingKeys([]OrgSpec{spec.OrgSpec})[spec.ID]
	for _, name := range spec.Facades {
		w.member(filepath.Join("facades", name), Identity{spec.ID, RoleFacade, name}, sealing)
	}
	w.member(operatorName, Identity{spec.ID, RoleOperator, operatorName}, sealing)
	f := continuingFile{ID: spec.ID, Name: spec.Name, EndorserAddress: spec.EndorserAddress,
		EndorserKey: hex.EncodeToString(c.Organisation.GetEndorserKey()), CACertificate: c.Organisation.GetCaCertificate(),
		Nodes: []trustNode{}}
	for _, n := range c.Nodes {
		f.Nodes = append(f.Nodes, newTrustNode(n))
	}
	w.do(func() error {
		text, err := json.MarshalIndent(f, "", "  ")
		if err != nil {
			return fmt.Errorf("encode the description: %w", err)
		}
		return writeNew(w.path(ContinuingFile), append(text, '\n'), modePublic)
	})
	w.do(func() error { return syncTree(dir) })
	if errors.Is(w.err, fs.ErrExist) {
		return nil, fmt.Errorf("%s holds keys already, which are never overwritten: %w", dir, w.err)
	}
	if w.err != nil {
		return nil, fmt.Errorf("create the keys for the successor: %w", w.err)
	}
	return c, nil
}

// LoadContinuing reads a description that CreateContinuing wrote.
func LoadContinuing(path string) (*Continuing, error) {
	b, err := readBounded(path)
	if err != nil {
		return nil, err
	}
	c, err := parseContinuing(b)
	if err != nil {
		return nil, fmt.Errorf("%s does not describe an organisation that continues; have it made with ltl network succeed "+
			"describe: %w", path, err)
	}
	return c, nil
}

func parseContinuing(b []byte) (*Continuing, error) {
	var f continuingFile
	if err := decodeStrictly(b, &f); err != nil {
		return nil, err
	}
	c := &Continuing{Organisation: &ltlv1.Organisation{Id: f.ID, Name: f.Name, EndorserAddress: f.EndorserAddress,
		CaCertificate: f.CACertificate}}
	var err error
	if c.Organisation.EndorserKey, err = hex.DecodeString(f.EndorserKey); err != nil {
		return nil, fmt.Errorf("endorserKey: %w", err)
	}
	if _, err := newOrganisation(c.Organisation); err != nil {
		return nil, err
	}
	for _, n := range f.Nodes {
		key, err := hex.DecodeString(n.Key)
		if err != nil || n.Organisation != f.ID {
			return nil, fmt.Errorf("node %q is of another organisation, or its key is not hexadecimal: %w", n.ID, err)
		}
		c.Nodes = append(c.Nodes, &ltlv1.Node{Id: n.ID, Organisation: n.Organisation, Address: n.Address, Key: key})
	}
	return c, nil
}

// Succession is the genesis of a successor, which its organisations sign one after the other.
type Succession struct {
	tx *ltlv1.Transaction
}

// successionFile is its file.
type successionFile struct {
	Genesis []byte `json:"genesis"`
}

// NewSuccession makes the genesis of a network that continues a predecessor. It returns ErrTrust, wrapped, when no process
// would trust that genesis once it is signed.
func NewSuccession(network string, created time.Time, p *ltlv1.Predecessor, all []*Continuing) (*Succession, error) {
	nonce := make([]byte, rules.NonceLen)
	rand.Read(nonce) // never fails: it ends the process instead
	g := &ltlv1.Genesis{Network: network, CreatedMs: created.UnixMilli(), Policy: systemPolicy, Predecessor: p}
	for _, c := range all {
		g.Organisations = append(g.Organisations, c.Organisation)
		g.Nodes = append(g.Nodes, c.Nodes...)
	}
	payload, err := genesisPayload(g, nonce)
	if err != nil {
		return nil, err
	}
	s, err := parseSuccession(payload)
	if err != nil {
		return nil, err
	}
	// Signed with keys made for that, it shows now whether it will be trusted.
	trial := &Succession{tx: proto.CloneOf(s.tx)}
	for _, o := range g.GetOrganisations() {
		_, key, err := ed25519.GenerateKey(rand.Reader)
		if err == nil {
			err = trial.Sign(o.GetId(), key)
		}
		if err != nil {
			return nil, err
		}
	}
	_, err = trial.Trust()
	return s, err
}

// LoadSuccession reads a genesis that is to be signed, and verifies the signatures that it has.
func LoadSuccession(path string) (*Succession, error) {
	b, err := readBounded(path)
	if err != nil {
		return nil, err
	}
	var f successionFile
	if err = decodeStrictly(b, &f); err == nil {
		var s *Succession
		if s, err = parseSuccession(f.Genesis); err == nil {
			return s, nil
		}
	}
	return nil, fmt.Errorf("%s is no genesis of a successor; have it made with ltl network succeed draft: %w", path, err)
}

func parseSuccession(payload []byte) (*Succession, error) {
	tx, err := rules.Decode(payload)
	if err != nil {
		return nil, err
	}
	g := tx.GetGenesis()
	if len(g.GetPredecessor().GetNetworkId()) != len(ledger.Hash{}) {
		return nil, errors.New("it names no predecessor")
	}
	for _, s := range g.GetSuccessions() {
		if err := rules.VerifySuccession(payload, g.GetPredecessor(), s); err != nil {
			return nil, err
		}
	}
	made := &Succession{tx: tx}
	if again, err := made.payload(); err != nil || !bytes.Equal(again, payload) {
		return nil, errors.Join(errors.New("its transaction holds more than a genesis"), err)
	}
	return made, nil
}

// Save replaces the file of a genesis that is to be signed.
func (s *Succession) Save(path string) error {
	payload, err := s.payload()
	if err != nil {
		return err
	}
	text, err := json.MarshalIndent(successionFile{payload}, "", "  ")
	if err != nil {
		return fmt.Errorf("encode the genesis: %w", err)
	}
	return replace(path, append(text, '\n'))
}

func (s *Succession) payload() ([]byte, error) {
	return genesisPayload(s.tx.GetGenesis(), s.tx.GetNonce())
}

// Genesis is its content; a copy.
func (s *Succession) Genesis() *ltlv1.Genesis { return proto.CloneOf(s.tx.GetGenesis()) }

// ID is a hash of what is signed, in hexadecimal: the same before and after each signature.
func (s *Succession) ID() (string, error) {
	unsigned := s.Genesis()
	unsigned.Successions = nil
	payload, err := genesisPayload(unsigned, s.tx.GetNonce())
	if err != nil {
		return "", err
	}
	id := ledger.NetworkID(payload)
	return hex.EncodeToString(id[:]), nil
}

// Sign adds the signature of an organisation, by its key of the predecessor, or replaces it.
func (s *Succession) Sign(organisation string, former ed25519.PrivateKey) error {
	payload, err := s.payload()
	if err != nil {
		return err
	}
	g := s.tx.GetGenesis()
	text, err := rules.SuccessionOf(payload, g.GetPredecessor(), organisation)
	if err != nil {
		return err
	}
	signed := map[string]*ltlv1.Succession{}
	for _, other := range g.GetSuccessions() {
		signed[other.GetOrganisation()] = other
	}
	signed[organisation] = &ltlv1.Succession{Organisation: organisation, FormerKey: former.Public().(ed25519.PublicKey),
		Signature: text.Sign(former)}
	g.Successions = nil
	for _, o := range g.GetOrganisations() {
		if other := signed[o.GetId()]; other != nil {
			g.Successions = append(g.Successions, other)
		}
	}
	if !slices.ContainsFunc(g.GetSuccessions(), func(other *ltlv1.Succession) bool {
		return other.GetOrganisation() == organisation
	}) {
		return fmt.Errorf("%q is no organisation of this genesis; have another one drafted with its description", organisation)
	}
	return nil
}

// Unsigned are the organisations that have not signed, in their order.
func (s *Succession) Unsigned() (ids []string) {
	for _, o := range s.tx.GetGenesis().GetOrganisations() {
		if !slices.ContainsFunc(s.tx.GetGenesis().GetSuccessions(),
			func(signed *ltlv1.Succession) bool { return signed.GetOrganisation() == o.GetId() }) {
			ids = append(ids, o.GetId())
		}
	}
	return ids
}

// Trust is the trust of the successor, once all of its organisations have signed.
func (s *Succession) Trust() (*Trust, error) {
	payload, err := s.payload()
	if err != nil {
		return nil, err
	}
	return NewTrust(payload)
}

// Matches reports whether the genesis describes the organisation and its nodes as c does.
func (s *Succession) Matches(c *Continuing) bool {
	own := &Continuing{}
	for _, o := range s.tx.GetGenesis().GetOrganisations() {
		if o.GetId() == c.Organisation.GetId() {
			own.Organisation = o
		}
	}
	for _, n := range s.tx.GetGenesis().GetNodes() {
		if n.GetOrganisation() == c.Organisation.GetId() {
			own.Nodes = append(own.Nodes, n)
		}
	}
	return proto.Equal(own.Organisation, c.Organisation) && slices.EqualFunc(own.Nodes, c.Nodes,
		func(a, b *ltlv1.Node) bool { return proto.Equal(a, b) })
}
