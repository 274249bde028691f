package client_test

import (
	"crypto/ed25519"
	"errors"
	"path/filepath"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"ltl/client"
	"ltl/internal/identity"
	ltlv1 "ltl/proto/ltl/v1"
)

const nowhere = "127.0.0.1:1" // where nothing listens

// falseNetworks are what a node of org2 may say of the network, to cut off those who believe it or to be taken for others.
func falseNetworks(t *testing.T) map[string]func(*ltlv1.GetNetworkResponse) {
	authority, err := identity.CreateAuthority(t.TempDir(), "org1", time.Now())
	if err != nil {
		t.Fatal(err)
	}
	return map[string]func(*ltlv1.GetNetworkResponse){
		"addresses": func(in *ltlv1.GetNetworkResponse) {
			for _, n := range in.Nodes {
				n.Address = nowhere
			}
			for _, o := range in.Organisations {
				o.EndorserAddress = nowhere
			}
		},
		"an authority": func(in *ltlv1.GetNetworkResponse) { in.Organisations[0].CaCertificate = authority },
		"a key":        func(in *ltlv1.GetNetworkResponse) { in.Organisations[0].EndorserKey = in.Organisations[1].EndorserKey },
		"removed nodes": func(in *ltlv1.GetNetworkResponse) {
			in.Nodes, in.RemovedNodes = in.Nodes[1:2], []string{"n1", "n3"}
		},
		"removed organisations": func(in *ltlv1.GetNetworkResponse) {
			in.Organisations, in.Removed = in.Organisations[1:2], []string{"org1", "org3"}
		},
		"a revocation": func(in *ltlv1.GetNetworkResponse) {
			in.Revocations = []*ltlv1.RevokeCertificate{{Identity: "org1/endorser/endorser"}, {Identity: "org1/node/n1"}}
		},
		"a chain": func(in *ltlv1.GetNetworkResponse) {
			in.Chains[1].Chain.Policy, in.Chains[1].Chain.Organisations = "any", []string{"org2"}
		},
		"no chain": func(in *ltlv1.GetNetworkResponse) { in.Chains, in.TotalChains = in.Chains[:1], 0 },
		"nothing new": func(in *ltlv1.GetNetworkResponse) {
			in.Organisations, in.Chains[0].Height = in.Organisations[:3], 10
		},
		"a height": func(in *ltlv1.GetNetworkResponse) { in.Chains[0].Height = 1 << 62 },
		"no height": func(in *ltlv1.GetNetworkResponse) {
			in.Chains[0].Height = 0
		},
	}
}

// ofOrg1 opens a client of org1 that has a trust of its own and asks n2 first.
func (f *fake) ofOrg1() (*client.Client, *identity.Trust) {
	f.t.Helper()
	trust, err := identity.LoadTrust(filepath.Join(f.dir, "trust.json"))
	if err != nil {
		f.t.Fatal(err)
	}
	credentials, err := identity.LoadCredentials(filepath.Join(f.dir, "facades", "f1"), trust)
	if err != nil {
		f.t.Fatal(err)
	}
	return f.client(func(cfg *client.Config) {
		cfg.Trust, cfg.Credentials, cfg.PreferNode = trust, credentials, "n2"
	}), trust
}

// join has an organisation join the network.
func (f *fake) join(id string) {
	f.t.Helper()
	authority, err := identity.CreateAuthority(f.t.TempDir(), id, time.Now())
	if err != nil {
		f.t.Fatal(err)
	}
	key, _, err := ed25519.GenerateKey(nil)
	if err != nil {
		f.t.Fatal(err)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.joined = append(f.joined, &ltlv1.Organisation{Id: id, Name: id, EndorserAddress: nowhere, EndorserKey: key,
		CaCertificate: authority})
}

// TestFalseNetwork: what one node says of the network's members and chains changes nothing, whatever it is, and hides no
// true change.
func TestFalseNetwork(t *testing.T) {
	for name, lie := range falseNetworks(t) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := startFake(t, 3, "majority")
			f.nodes[1].network.Store(&lie)
			c, trust := f.ofOrg1()
			r, err := c.Submit(t.Context(), record("a", "1"))
			wantOK(t, r, err)
			f.join("org9")
			missing := record("a", "2")
			missing.ChainId = "1000000000000002"
			for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(50 * time.Millisecond) {
				_, _ = c.Submit(t.Context(), missing) // an unknown chain has the client ask again
				if _, ok := trust.Organisation("org9"); ok {
					break
				}
				if time.Now().After(deadline) {
					t.Fatal("an organisation that joined is not known")
				}
			}
			r, err = c.Submit(t.Context(), record("a", "3"))
			wantOK(t, r, err)
			for _, o := range f.trust.Genesis().Organisations {
				key, ok := trust.Organisation(o.Id)
				if !ok || string(key.EndorserKey) != string(o.EndorserKey) || string(key.CaCertificate) != string(o.CaCertificate) ||
					key.EndorserAddress != o.EndorserAddress {
					t.Errorf("%s is known as %v", o.Id, key)
				}
			}
			if trust.Height() > 11 {
				t.Errorf("the height is %d, want at most 11", trust.Height())
			}
		})
	}
}

// TestOwnOrganisationDecides: while only one node answers, and it lies, the client believes the endorser of its own
// organisation; without that, nothing.
func TestOwnOrganisationDecides(t *testing.T) {
	f := startFake(t, 3, "majority")
	lie := falseNetworks(t)["addresses"]
	f.nodes[1].network.Store(&lie)
	down := status.Error(codes.Unavailable, "down")
	f.nodes[0].readError.Store(&down)
	f.nodes[2].readError.Store(&down)
	for _, silent := range []bool{true, false} {
		f.endorsers[0].silent.Store(silent)
		c, trust := f.ofOrg1()
		r, err := c.Submit(t.Context(), record("a", "1"))
		if silent {
			if !errors.Is(err, client.ErrUnavailable) {
				t.Errorf("without its endorser: %v, %v; want ErrUnavailable", r, err)
			}
		} else {
			wantOK(t, r, err)
		}
		if o, ok := trust.Organisation("org1"); !ok || o.EndorserAddress == nowhere {
			t.Errorf("silent %v: its own endorser is at %v", silent, o)
		}
	}
}
