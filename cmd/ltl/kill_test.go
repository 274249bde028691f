package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/aliyun/alibaba-cloud-sdk-go/services/ltl"

	"ltl/client"
	"ltl/internal/identity"
	"ltl/internal/localnet"
	"ltl/internal/rules"
	ltlv1 "ltl/proto/ltl/v1"
)

// kills is how many processes are killed, each kind in turn.
const (
	kills         = 20
	killsShort    = 4
	httpCallers   = 4
	grpcCallers   = 4
	acksInBetween = 20
)

// journal is what the callers know: which records were acknowledged, and which have an unknown outcome.
type journal struct {
	mu           sync.Mutex
	acknowledged map[string]string // Key to value; guarded by mu
	unknown      map[string]string // guarded by mu
	lastAck      time.Time         // guarded by mu
	longestGap   time.Duration     // between two acknowledgements; guarded by mu
	acks         atomic.Int64
}

func (j *journal) note(key, value string, ok bool) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if ok {
		now := time.Now()
		if gap := now.Sub(j.lastAck); !j.lastAck.IsZero() && gap > j.longestGap {
			j.longestGap = gap
		}
		j.lastAck = now
		j.acknowledged[key] = value
		j.acks.Add(1)
	} else {
		j.unknown[key] = value
	}
}

// TestKillEverything kills leader, follower, endorser and facade repeatedly, under load through the SDK and
// through the client library. Afterwards every acknowledged record is on every node and endorser with its value, none
// is there twice, and an audit of each copy passes.
func TestKillEverything(t *testing.T) {
	n := start(t, t.TempDir(), "--restart")
	f := n.file(t)
	con := connectionTo(t, n, f)
	j := &journal{acknowledged: map[string]string{}, unknown: map[string]string{}}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var callers sync.WaitGroup
	startHTTPCallers(t, ctx, &callers, f, j)
	startGRPCCallers(t, ctx, &callers, con, f, j)

	operator := openClient(t, con)
	total := kills
	if testing.Short() {
		total = killsShort
	}
	for i := range total {
		before := j.acks.Load()
		await(t, "acknowledged records", func() bool { return j.acks.Load() >= before+acksInBetween })
		killOne(t, n, operator, i)
	}
	before := j.acks.Load()
	await(t, "acknowledged records after the last kill", func() bool { return j.acks.Load() >= before+acksInBetween })
	cancel()
	callers.Wait()
	t.Logf("%d records acknowledged, %d with an unknown outcome; the longest time without an acknowledgement was %s",
		len(j.acknowledged), len(j.unknown), j.longestGap.Round(time.Millisecond))
	checkCopies(t, sessionOf(con, operator), j)
	for _, from := range []string{"node1", "node2", "node3", "org1", "org2", "org3"} {
		mustLTL(t, "audit", "--dir", n.dir, "--from", from)
	}
}

// killOne kills the next process and waits until it runs again.
func killOne(t *testing.T, n *network, operator *client.Client, turn int) {
	t.Helper()
	f := n.file(t)
	leader := leaderOf(t, operator, f)
	var victim string
	switch turn % 4 {
	case 0:
		victim = leader
	case 1:
		victim = f.Nodes[turn%3].ID
		if victim == leader {
			victim = f.Nodes[(turn+1)%3].ID
		}
	case 2:
		victim = "endorser-" + f.Endorsers[turn/4%3].Organisation
	case 3:
		victim = "facade1"
	}
	pid := pids(f)[victim]
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		t.Fatalf("kill %s (%d): %v", victim, pid, err)
	}
	await(t, victim+" to run again", func() bool {
		now := pids(n.file(t))[victim]
		return now != pid && alive(now)
	})
}

// leaderOf asks until a node reports that it leads.
func leaderOf(t *testing.T, c *client.Client, f *localnet.Network) string {
	t.Helper()
	var leader string
	await(t, "a leader", func() bool {
		for _, node := range f.Nodes {
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			st, err := c.Ledger().Status(ctx, node.ID)
			cancel()
			if err == nil && st.GetRole() == "leader" {
				leader = node.ID
				return true
			}
		}
		return false
	})
	return leader
}

// startHTTPCallers write through the official SDK. A call that fails is not repeated: its outcome stays unknown.
func startHTTPCallers(t *testing.T, ctx context.Context, wg *sync.WaitGroup, f *localnet.Network, j *journal) {
	startHTTPCallersNamed(t, ctx, wg, f, j, "")
}

// startHTTPCallersNamed begins the ids of the Keys with a name.
func startHTTPCallersNamed(t *testing.T, ctx context.Context, wg *sync.WaitGroup, f *localnet.Network, j *journal, name string) {
	chain, member := proofChain(t, f), account(t, f, localnet.RoleMember)
	for i := range httpCallers {
		c := sdkClient(t, f, member)
		wg.Go(func() {
			for k := 0; ctx.Err() == nil; k++ {
				key, value := keyOf(chain, member, fmt.Sprintf("%sh%dn%d", name, i, k)), fmt.Sprintf("http %d %d", i, k)
				req := ltl.CreateSetDataRequest()
				req.ApiVersion, req.ProductKey, req.Key, req.Value = "1.0.0", chain.BizChainCode, key, value
				res, err := c.SetData(req)
				j.note(key, value, err == nil && res.Success)
				if err == nil && !res.Success {
					t.Errorf("SetData of a new Key is refused with %d: %s", res.Code, res.Message)
				}
				if err != nil { // the facade is down: do not spin
					pause(ctx, 20*time.Millisecond)
				}
			}
		})
	}
}

// startGRPCCallers write through the client library. A call whose outcome is unknown is repeated with the same
// transaction, as the library's documentation requires.
func startGRPCCallers(t *testing.T, ctx context.Context, wg *sync.WaitGroup, con *connection, f *localnet.Network, j *journal) {
	chain, admin := proofChain(t, f), account(t, f, localnet.RoleAdmin)
	c := openClient(t, con)
	for i := range grpcCallers {
		wg.Go(func() {
			for k := 0; ctx.Err() == nil; k++ {
				key, value := keyOf(chain, admin, fmt.Sprintf("g%dn%d", i, k)), fmt.Sprintf("grpc %d %d", i, k)
				tx := client.SetData(chain.BizChainID, admin.UID, key, value)
				result, err := c.Submit(ctx, tx)
				for (errors.Is(err, client.ErrUnavailable) || errors.Is(err, client.ErrOverloaded)) && ctx.Err() == nil {
					pause(ctx, 20*time.Millisecond)
					result, err = c.Submit(ctx, tx)
				}
				if err == nil && result.GetCode() != rules.OK {
					t.Errorf("SetData of a new Key is refused with %d: %s", result.GetCode(), rules.Message(result.GetCode()))
				}
				if err != nil && ctx.Err() == nil {
					t.Errorf("Submit: %v", err)
				}
				j.note(key, value, err == nil && result.GetCode() == rules.OK)
			}
		})
	}
}

func pause(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}

func connectionTo(t *testing.T, n *network, f *localnet.Network) *connection {
	t.Helper()
	trust, err := identity.LoadTrust(localnet.Path(n.dir, f.Trust))
	if err != nil {
		t.Fatal(err)
	}
	return &connection{network: f, trust: trust, identity: strings.TrimSuffix(localnet.Path(n.dir, f.Operator), "tls.key")}
}

// sessionOf is a session as the commands have one, without a command.
func sessionOf(con *connection, c *client.Client) *session {
	return &session{connection: con, client: c}
}

func openClient(t *testing.T, con *connection) *client.Client {
	t.Helper()
	c, err := con.open()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	})
	return c
}

// checkCopies reads every block of nodes and endorsers, of all of a new network when none is named, and compares
// the records with the journal.
func checkCopies(t *testing.T, s *session, j *journal, copies ...string) {
	t.Helper()
	if len(copies) == 0 {
		copies = []string{"node1", "node2", "node3", "org1", "org2", "org3"}
	}
	sequence := settled(t, s)
	for _, from := range copies {
		peer, err := s.participants(t.Context()).find(from)
		if err != nil {
			t.Fatal(err)
		}
		conn, err := s.dial(peer)
		if err != nil {
			t.Fatal(err)
		}
		found := recordsOf(t, ltlv1.NewLedgerClient(conn), sequence)
		if err := conn.Close(); err != nil {
			t.Error(err)
		}
		compare(t, from, found, j)
	}
}

func compare(t *testing.T, from string, found map[string][]string, j *journal) {
	t.Helper()
	for key, value := range j.acknowledged {
		if got := found[key]; len(got) != 1 || got[0] != value {
			t.Errorf("%s has %q under the acknowledged Key %s, want %q once", from, got, key, value)
		}
	}
	for key, values := range found {
		want, known := j.acknowledged[key]
		if !known {
			want, known = j.unknown[key]
		}
		if !known || len(values) != 1 || values[0] != want {
			t.Errorf("%s has %q under Key %s, want at most %q", from, values, key, want)
		}
	}
}

// settled waits until every copy has the same number of blocks, and returns it.
func settled(t *testing.T, s *session) uint64 {
	t.Helper()
	var sequence uint64
	await(t, "equal copies", func() bool {
		rows := s.statusOfAll(t.Context())
		for _, r := range rows {
			if r.Fault != "" || r.Sequence != rows[0].Sequence {
				return false
			}
		}
		sequence = rows[0].Sequence
		return true
	})
	return sequence
}

// recordsOf reads a copy's blocks and returns all values that were accepted, by Key, as soon as the copy has them all: it
// may have to fetch some.
func recordsOf(t *testing.T, peer ltlv1.LedgerClient, sequence uint64) (found map[string][]string) {
	t.Helper()
	await(t, "a copy to have all values", func() (all bool) {
		found, all = storedRecords(t, peer, sequence)
		return all
	})
	return found
}

// storedRecords reads what recordsOf returns, and reports whether the copy has all values.
func storedRecords(t *testing.T, peer ltlv1.LedgerClient, sequence uint64) (found map[string][]string, all bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), waitTimeout)
	defer cancel()
	stream, err := peer.Follow(ctx, &ltlv1.FollowRequest{Openings: true})
	if err != nil {
		t.Fatal(err)
	}
	found, all = map[string][]string{}, true
	for range sequence {
		res, err := stream.Recv()
		if err != nil {
			t.Fatal(err)
		}
		results := res.GetBlock().GetResults()
		for _, b := range res.GetBlock().GetBatches() {
			for i, payload := range b.GetTransactions() {
				code := results[0]
				results = results[1:]
				tx, err := rules.Decode(payload)
				if err != nil {
					t.Fatal(err)
				}
				if set := tx.GetSetData(); set != nil && code == rules.OK {
					if i >= len(b.GetOpenings()) || len(b.GetOpenings()[i].GetOpenings()) != 1 {
						all = false
						continue
					}
					value := string(b.GetOpenings()[i].GetOpenings()[0].GetValue())
					found[set.GetKey()] = append(found[set.GetKey()], value)
				}
			}
		}
	}
	return found, all
}
