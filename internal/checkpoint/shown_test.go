package checkpoint

import (
	"context"
	"crypto/ed25519"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"ltl/client/proof"
	"ltl/internal/ledger"
	"ltl/test/testkit/offline"
)

// parties are the signers of a network of keys only: organisations o1 and o2 with the nodes n1 and n2.
type parties struct {
	t       *testing.T
	network ledger.Hash
	trust   *proof.Trust
}

func newParties(t *testing.T) *parties {
	t.Helper()
	payload := offline.GenesisPayload(t, offline.Genesis("o1", "o2"))
	network := ledger.NetworkID(payload)
	file, err := json.Marshal(map[string]string{"network": "test.net", "networkId": hex.EncodeToString(network[:]),
		"genesis": base64.StdEncoding.EncodeToString(payload)})
	if err != nil {
		t.Fatal(err)
	}
	trust, err := proof.ParseTrust(file)
	if err != nil {
		t.Fatal(err)
	}
	return &parties{t, network, trust}
}

// keyOf is the key of a signer: "node/n1" has offline's key n0.
func keyOf(signer string) ed25519.PrivateKey {
	return offline.Key(map[string]string{"node/n1": "n0", "node/n2": "n1", "org/o1": "o1", "org/o2": "o2"}[signer])
}

// note is what a signer signs of a ledger's first blocks.
func (p *parties) note(signer string, c *copyOfLedger, size uint64) []byte {
	p.t.Helper()
	leaf := func(height uint64) (ledger.Hash, error) { return leafHash(c.forkOf(height), height), nil }
	root, err := (&tree{leaf: leaf}).root(context.Background(), size)
	if err != nil {
		p.t.Fatal(err)
	}
	signed, err := (&body{Origin(p.network, chain, 0), size, root}).sign(
		&cosigner{prefix(p.network) + signer, keyOf(signer), time.Unix(1_700_000_000, 0)})
	if err != nil {
		p.t.Fatal(err)
	}
	return signed
}

// open opens the signer of o1 over a copy.
func (p *parties) open(dir string, c *copyOfLedger, others *Others) *Signer {
	source := c.source()
	source.Network, source.Others = p.network, others
	source.Trust = func() (*proof.Trust, error) { return p.trust, nil }
	source.Key = func() (string, ed25519.PrivateKey, error) {
		return OrganisationName(p.network, "o1"), keyOf("org/o1"), nil
	}
	s := Open(filepath.Join(dir, Directory), true, source, quiet())
	p.t.Cleanup(func() { s.Close() })
	return s
}

// convicted are the signers that the files in a process' directory convict.
func (p *parties) convicted(dir string) map[string]bool {
	p.t.Helper()
	all := map[string]bool{}
	found := findings{filepath.Join(dir, FindingsDirectory)}
	for _, name := range found.list() {
		file, err := os.ReadFile(filepath.Join(found.dir, name))
		if err != nil {
			p.t.Fatal(err)
		}
		v := proof.VerifyMisbehaviour(file, p.trust)
		if v.Failure != nil || name != nameOf(v.Signer, v.Key) {
			p.t.Fatalf("%s: %v", name, v.Failure)
		}
		all[v.Signer] = true
	}
	return all
}

// TestShown runs seeded schedules: a signer that lies and one that does not sign checkpoints of honest and forked
// histories, which reach a process in any order, also before it has the blocks. The liar is convicted by a file, once a
// checkpoint of the process' own history that is as large is known, and no other ever is.
func TestShown(t *testing.T) {
	p := newParties(t)
	liars, asked := 0, 0
	schedules := uint64(150)
	if testing.Short() {
		schedules = 60
	}
	for seed := range schedules {
		random := rand.New(rand.NewPCG(seed, 5))
		dir := t.TempDir()
		own := &copyOfLedger{blocks: 1 + random.Uint64N(40), forkedAt: 1 << 40}
		fork := &copyOfLedger{fork: 1, forkedAt: random.Uint64N(40)}
		s := p.open(dir, own, &Others{Ask: func(_ context.Context, name, _ string, size uint64) ([]byte, error) {
			if random.IntN(2) == 0 {
				return nil, errors.New("away")
			}
			asked++
			return p.note(name, own, size), nil
		}})
		lied := false
		for range 6 {
			size, signer := 1+random.Uint64N(45), []string{"node/n1", "org/o2"}[random.IntN(2)]
			history := own
			if signer == "node/n1" && random.IntN(2) == 0 {
				history, lied = fork, lied || size > fork.forkedAt
			}
			if _, err := s.Show(t.Context(), p.note(signer, history, size)); err != nil {
				t.Fatalf("seed %d: %v", seed, err)
			}
			own.blocks += random.Uint64N(5)
		}
		own.blocks = 60
		for _, signer := range []string{"node/n1", "org/o2"} {
			if _, err := s.Show(t.Context(), p.note(signer, own, 60)); err != nil {
				t.Fatalf("seed %d: %v", seed, err)
			}
		}
		got := p.convicted(dir)
		if got["org/o2"] || got["org/o1"] || got["node/n1"] != lied {
			t.Fatalf("seed %d: convicted are %v; n1 lied is %v", seed, got, lied)
		}
		if lied != (s.Fault() != "") || lied && stopped(t, s) != 0 {
			t.Fatalf("seed %d: the fault is %q, stopped is %v: a liar stops itself only", seed, s.Fault(), stopped(t, s))
		}
		if lied {
			liars++
		}
	}
	if liars < 20 || asked < 20 {
		t.Errorf("%d liars and %d questions: too little was shown", liars, asked)
	}
}

// TestOwnKeyConvicted: a process that is shown another history under its own key makes the file that convicts it, and
// signs no more, also when it is started again, until the file is moved away.
func TestOwnKeyConvicted(t *testing.T) {
	p := newParties(t)
	dir := t.TempDir()
	own, fork := &copyOfLedger{blocks: 9}, &copyOfLedger{fork: 1}
	s := p.open(dir, own, nil)
	if _, err := s.Cosign(t.Context(), chain, 9); err != nil {
		t.Fatal(err)
	}
	files, err := s.Show(t.Context(), p.note("org/o1", fork, 7))
	if err != nil || len(files) != 1 || !p.convicted(dir)["org/o1"] {
		t.Fatalf("%d files, %v", len(files), err)
	}
	own.blocks = 20
	s.now = func() time.Time { return time.Now().Add(time.Minute) }
	refused := func(s *Signer) {
		t.Helper()
		_, err := s.Cosign(t.Context(), chain, 20)
		if !errors.Is(err, ErrConvicted) || stopped(t, s) != 1 || !strings.Contains(s.Fault(), FindingsDirectory) {
			t.Errorf("it signs: %v, fault %q", err, s.Fault())
		}
	}
	refused(s)
	s.Close()
	s = p.open(dir, own, nil)
	refused(s)
	if err := os.Rename(filepath.Join(dir, FindingsDirectory), filepath.Join(dir, "seen-to")); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Cosign(t.Context(), chain, 20); err != nil {
		t.Errorf("after the file was moved away: %v", err)
	}
}

// TestNothingShown: what is no checkpoint of a chain here is refused, and convicts none.
func TestNothingShown(t *testing.T) {
	p := newParties(t)
	own := &copyOfLedger{blocks: 9}
	s := p.open(t.TempDir(), own, nil)
	good := p.note("node/n1", own, 5)
	for name, note := range map[string]string{
		"nothing": "", "too large": string(good) + strings.Repeat("— stranger AAAAAAA=\n", 4000),
		"another chain":    strings.Replace(string(good), chain, "0000000000000043", 1),
		"a changed root":   strings.Replace(string(good), "\n5\n", "\n6\n", 1),
		"a stranger":       strings.Replace(string(good), "node/n1", "node/n7", 1),
		"no signature":     string(good[:strings.Index(string(good), "—")]),
		"a restored chain": strings.Replace(string(good), chain, chain+"/r1", 1),
	} {
		if files, err := s.Show(t.Context(), []byte(note)); !errors.Is(err, ErrShown) || len(files) != 0 {
			t.Errorf("%s: %v", name, err)
		}
	}
	if files, err := s.Show(t.Context(), good); err != nil || len(files) != 0 {
		t.Errorf("the copy's own checkpoint: %d files, %v", len(files), err)
	}
}
