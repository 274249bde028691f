package identity

import (
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime/debug"
	"time"

	"google.golang.org/protobuf/proto"

	"ltl/internal/ledger"
	"ltl/internal/rules"
	ltlv1 "ltl/proto/ltl/v1"
)

// ErrExists is returned, wrapped, by CreateNetwork for a directory that already holds a network, or part of one.
var ErrExists = errors.New("a network exists already")

// systemPolicy is the endorsement policy of the system chain of new networks: it has no submitter's organisation to
// ask.
const systemPolicy = "majority"

// Files of a network's directory.
const (
	trustFileName   = "trust.json"
	caCertificate   = "ca.pem"
	caKey           = "ca.key"
	signKeyFile     = "sign.key"
	sealingKeyFile  = "sealing.key"
	deviceKeyFile   = "devices.key"
	operatorName    = "operator"
	benchClientName = "bench"
)

// NetworkSpec describes a network to be made.
type NetworkSpec struct {
	// Network is the name of the network.
	Network       string
	Organisations []OrgSpec
	Nodes         []NodeSpec
	// Facades are the names of the facades; all belong to the first organisation.
	Facades []string
	// Created is the time of the genesis and the start of the certificates' validity; zero takes the present.
	Created time.Time
}

// OrgSpec describes an organisation; ID is 1 to 32 characters of a-z, 0-9 and "-".
type OrgSpec struct{ ID, Name, EndorserAddress string }

// NodeSpec describes a node.
type NodeSpec struct{ ID, Organisation, Address string }

// CreateNetwork makes keys, certificates and the trust file of a new network in dir, which must hold none yet. The
// trust file is written last: where it exists, everything else exists too.
//
// All keys of all organisations are made in one place, which suits one machine and tests. Each organisation then moves
// its own part of the directory to its machines.
func CreateNetwork(dir string, spec NetworkSpec) error {
	if spec.Created.IsZero() {
		spec.Created = time.Now()
		if err := checkClock(spec.Created, built()); err != nil {
			return err
		}
	}
	if _, err := os.Lstat(filepath.Join(dir, trustFileName)); !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%w: %s", ErrExists, filepath.Join(dir, trustFileName))
	}
	w := &networkWriter{dir: dir, created: spec.Created}
	nonce := make([]byte, rules.NonceLen)
	if _, err := rand.Read(nonce); err != nil {
		return fmt.Errorf("random bytes: %w", err)
	}
	genesis := &ltlv1.Genesis{Network: spec.Network, CreatedMs: spec.Created.UnixMilli(), Policy: systemPolicy}
	for _, o := range spec.Organisations {
		genesis.Organisations = append(genesis.Organisations, w.organisation(o))
	}
	for _, n := range spec.Nodes {
		genesis.Nodes = append(genesis.Nodes, w.node(n))
	}
	if w.err != nil {
		return w.failure()
	}
	payload, err := genesisPayload(genesis, nonce)
	if err != nil {
		return err
	}
	trust, err := NewTrust(payload)
	if err != nil {
		return fmt.Errorf("create network: %w", err)
	}
	first := spec.Organisations[0].ID // NewTrust refuses a network without organisations
	sealing := w.sealingKeys(spec.Organisations)
	for _, name := range spec.Facades {
		dir := filepath.Join("facades", name)
		w.member(dir, Identity{first, RoleFacade, name}, sealing[first])
		for _, o := range spec.Organisations[1:] { // which delegate to it
			w.write(w.path(dir, SealingKeyOf(o.ID)), sealing[o.ID], modeKey)
		}
	}
	w.member("operator", Identity{first, RoleOperator, operatorName}, sealing[first])
	for _, o := range spec.Organisations[1:] {
		w.member(filepath.Join("operators", o.ID), Identity{o.ID, RoleOperator, operatorName}, sealing[o.ID])
	}
	w.member(filepath.Join("clients", benchClientName), Identity{first, RoleClient, benchClientName}, nil)
	return w.finish(trust)
}

// built is when the source of this program was committed; zero where the build does not say.
func built() time.Time {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return time.Time{}
	}
	for _, s := range info.Settings {
		if s.Key == "vcs.time" {
			t, _ := time.Parse(time.RFC3339, s.Value)
			return t
		}
	}
	return time.Time{}
}

// checkClock refuses to make a network under a clock that shows a time before this program existed.
func checkClock(created, built time.Time) error {
	if created.Before(built) {
		return fmt.Errorf("the clock of this machine shows %s, and this program was built later, on %s: set the clock first, "+
			"because the network's time begins with it", created.UTC().Format(time.RFC3339), built.UTC().Format(time.RFC3339))
	}
	return nil
}

// genesisPayload encodes the genesis transaction; equal inputs give equal bytes. It is encoded once: everything later
// uses these bytes.
func genesisPayload(g *ltlv1.Genesis, nonce []byte) ([]byte, error) {
	payload, err := proto.MarshalOptions{Deterministic: true}.Marshal(&ltlv1.Transaction{
		Version:   1,
		ChainId:   ledger.SystemChain,
		Nonce:     nonce,
		CreatedMs: g.GetCreatedMs(),
		Action:    &ltlv1.Transaction_Genesis{Genesis: g},
	})
	if err != nil {
		return nil, fmt.Errorf("encode the genesis: %w", err)
	}
	return payload, nil
}

// networkWriter writes the files of a network; after the first error it writes nothing more.
type networkWriter struct {
	dir     string
	created time.Time
	err     error
}

func (w *networkWriter) path(parts ...string) string {
	return filepath.Join(append([]string{w.dir}, parts...)...)
}

func (w *networkWriter) do(step func() error) {
	if w.err == nil {
		w.err = step()
	}
}

func (w *networkWriter) write(path string, b []byte, mode os.FileMode) {
	w.do(func() error { return writeNew(path, b, mode) })
}

// failure is the error of the writer, with what to do about the files of an unfinished network.
func (w *networkWriter) failure() error {
	if errors.Is(w.err, fs.ErrExist) {
		return fmt.Errorf("%w, unfinished or without its trust file; move it away first: %w", ErrExists, w.err)
	}
	return fmt.Errorf("create network: %w", w.err)
}

func (w *networkWriter) organisation(o OrgSpec) *ltlv1.Organisation {
	w.do(func() error { return Identity{o.ID, RoleEndorser, o.ID}.Validate() })
	var der []byte
	w.do(func() (err error) {
		der, err = createAuthority(w.path("orgs", o.ID), o, w.created)
		return err
	})
	w.leaf(o.ID, w.path("orgs", o.ID, "endorser"), Identity{o.ID, RoleEndorser, o.ID})
	key := w.signKey(w.path("orgs", o.ID, "endorser"))
	w.do(func() error {
		_, err := CreateSealingKey(w.path("orgs", o.ID, "endorser", deviceKeyFile))
		return err
	})
	return &ltlv1.Organisation{Id: o.ID, Name: o.Name, CaCertificate: der, EndorserKey: key,
		EndorserAddress: o.EndorserAddress}
}

func (w *networkWriter) node(n NodeSpec) *ltlv1.Node {
	w.leaf(n.Organisation, w.path("nodes", n.ID), Identity{n.Organisation, RoleNode, n.ID})
	key := w.signKey(w.path("nodes", n.ID))
	return &ltlv1.Node{Id: n.ID, Organisation: n.Organisation, Address: n.Address, Key: key}
}

// member writes the directory of a facade, operator or client; sealing is nil for a role without a sealing key.
func (w *networkWriter) member(dir string, id Identity, sealing []byte) {
	w.leaf(id.Organisation, w.path(dir), id)
	if sealing != nil {
		w.write(w.path(dir, sealingKeyFile), sealing, modeKey)
	}
}

// sealingKeys makes a sealing key for each organisation.
func (w *networkWriter) sealingKeys(organisations []OrgSpec) map[string][]byte {
	keys := map[string][]byte{}
	for _, o := range organisations {
		key := make([]byte, SealingKeyLen)
		w.do(func() error {
			_, err := rand.Read(key)
			return err
		})
		keys[o.ID] = key
	}
	return keys
}

func (w *networkWriter) leaf(organisation, dir string, id Identity) {
	w.do(func() error { return Issue(w.path("orgs", organisation), dir, id, w.created) })
}

func (w *networkWriter) signKey(dir string) []byte {
	var public ed25519.PublicKey
	w.do(func() (err error) {
		public, err = CreateFirstSignKey(dir)
		return err
	})
	return public
}

func (w *networkWriter) finish(t *Trust) error {
	w.do(func() error {
		b, err := t.file().encode()
		if err != nil {
			return err
		}
		if err := syncTree(w.dir); err != nil {
			return err
		}
		return replace(w.path(trustFileName), b)
	})
	if w.err != nil {
		return w.failure()
	}
	return nil
}
