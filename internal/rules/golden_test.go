package rules

import (
	"crypto/sha256"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"

	"ltl/internal/ledger"
	ltlv1 "ltl/proto/ltl/v1"
	"ltl/test/testkit/offline"
)

var rewrite = flag.Bool("rewrite", false, "rewrite the golden scripts")

// TestGolden runs testdata/*.txt. A script is a list of commands; every "block" or "system" is followed by what
// execution said and wrote, on lines that begin with ">". They pin results, writes and hashes byte for byte: a change
// here is a change of consensus.
func TestGolden(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatal("no scripts", err)
	}
	for _, name := range files {
		t.Run(filepath.Base(name), func(t *testing.T) {
			text, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			got := runScript(t, string(text))
			if *rewrite {
				if err := os.WriteFile(name, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			if got != string(text) {
				t.Errorf("differs; run with -rewrite and look at the difference:\n%s", firstDifference(string(text), got))
			}
		})
	}
}

func firstDifference(want, got string) string {
	a, b := strings.Split(want, "\n"), strings.Split(got, "\n")
	for i := range min(len(a), len(b)) {
		if a[i] != b[i] {
			return fmt.Sprintf("line %d\nwant %s\ngot  %s", i+1, a[i], b[i])
		}
	}
	return "one ends before the other"
}

// script is a run of a golden script.
type script struct {
	*world
	out     strings.Builder
	batches [][][]byte
	signed  []string
	last    *ltlv1.Transaction
	// proposals are the ids of those that were made, in order.
	proposals [][]byte
}

func runScript(t *testing.T, text string) string {
	s := &script{world: newWorld(t), batches: [][][]byte{nil}}
	for line := range strings.Lines(text) {
		if strings.HasPrefix(line, ">") {
			continue
		}
		s.out.WriteString(line)
		if f := strings.Fields(line); len(f) > 0 && f[0] != "#" {
			s.command(f)
		}
	}
	return s.out.String()
}

// command runs one line:
//
//	at MS                   the clocks of the endorsers after the start
//	signed ORG…             who endorses from now on; all until then
//	set|attach|member …     adds a transaction to the batch: ACCOUNT ID VALUE [BUSINESSID], or UID
//	account|chain|org …     adds one for the system chain: UID ORG TYPE, NAME ADMIN POLICY, ID
//	nonce N                 the transaction before was a signed request with this nonce
//	again                   adds the transaction before once more
//	noise                   adds bytes that are no transaction
//	batch                   begins another batch
//	block, system           executes and commits on the business or the system chain
func (s *script) command(f []string) {
	uids := map[string]string{"root": rootUID, "m1": m1UID, "m2": m2UID, "free": freeUID, "ghost": ghostUID}
	arg := func(i int) string {
		if i < len(f) {
			return f[i]
		}
		return ""
	}
	switch f[0] {
	case "at":
		ms, err := strconv.ParseInt(f[1], 10, 64)
		if err != nil {
			s.t.Fatal(err)
		}
		s.now = startMs + ms
	case "signed":
		s.signed = f[1:]
	case "set":
		s.add(s.tx(uids[f[1]], set(s.key(uids[f[1]], f[2]), arg(3))))
	case "attach":
		s.add(s.tx(uids[f[1]], attach(s.key(uids[f[1]], f[2]), arg(3), arg(4))))
	case "member":
		s.add(s.tx(uids[f[1]], member(uids[f[2]])))
	case "account":
		kind := ltlv1.AccountType(ltlv1.AccountType_value["ACCOUNT_TYPE_"+arg(3)])
		s.add(s.operator(account(strings.TrimPrefix(f[1], "-"), f[2], kind)))
	case "chain":
		c := proofChain()
		c.Name, c.AdministratorUid, c.Policy = f[1], uids[f[2]], strings.Join(f[3:], " ")
		s.add(s.operator(&ltlv1.Transaction_CreateChain{CreateChain: c}))
	case "org":
		s.add(s.operator(&ltlv1.Transaction_CreateOrganisation{CreateOrganisation: offline.Invitation(s.id, offline.Organisation(f[1]))}))
	case "accept":
		s.add(s.acceptance(f[1], f[1]))
	case "nonce":
		b := s.batches[len(s.batches)-1]
		s.last = proto.CloneOf(s.last)
		signed(s.last, f[1])
		b[len(b)-1] = marshal(s.t, s.last)
	case "again":
		s.add(s.last)
	case "noise":
		s.batches[len(s.batches)-1] = append(s.batches[len(s.batches)-1], []byte("noise"))
	case "batch":
		s.batches = append(s.batches, nil)
	case "block":
		s.run(s.chain.ID)
	case "system":
		s.run(ledger.SystemChain)
	default:
		if !s.administer(f, uids) && !s.collaborate(f, uids) && !s.reorganise(f) && !s.decideOn(f) {
			s.t.Fatalf("unknown command %q", f[0])
		}
	}
}

func (s *script) add(tx *ltlv1.Transaction) {
	s.last = tx
	s.batches[len(s.batches)-1] = append(s.batches[len(s.batches)-1], marshal(s.t, tx))
}

// run executes the batches and prints what came of it.
func (s *script) run(chainID string) {
	var batches []*ltlv1.Batch
	for _, p := range s.batches {
		signed := s.signed
		if signed == nil {
			signed = s.endorsers(chainID)
		}
		batches = append(batches, s.batch(chainID, p, signed...))
	}
	s.batches = [][][]byte{nil}
	x := s.execute(chainID, batches...)
	for i, b := range x.Results {
		for j, r := range b {
			fmt.Fprintf(&s.out, "> batch %d, %d: %d at %d/%d %s\n", i, j, r.GetCode(), r.GetBlockHeight(),
				r.GetTransactionIndex(), r.GetOutput())
		}
	}
	if x.Block == nil {
		s.out.WriteString("> no block\n")
		return
	}
	fmt.Fprintf(&s.out, "> block %d: time +%d, codes %v, hash %x\n", x.Header.Height, x.Header.TimeMs-startMs,
		x.Block.GetResults(), x.Hash)
	for _, w := range x.Writes {
		fmt.Fprintf(&s.out, "> %s = %s\n", showKey(w.Key), showValue(w))
	}
	for _, id := range x.NewChains {
		fmt.Fprintf(&s.out, "> new chain %s\n", id)
	}
	s.commit(chainID, x)
}

func showKey(k []byte) string {
	switch k[0] {
	case classTransaction:
		return fmt.Sprintf("T %x", k[1:9])
	case classCorrection:
		if strings.HasPrefix(string(k[1:]), PhaseKeyVersion+"_") { // the Key and DataSeq of a phase's record
			return fmt.Sprintf("%q", k)
		}
		return fmt.Sprintf("C %x", k[1:9])
	case classUploader:
		return fmt.Sprintf("O %x %s", k[1:9], k[33:])
	case classDeviceProof:
		return fmt.Sprintf("D %x", k[1:9])
	case classVersion:
		return fmt.Sprintf("V %s %x", k[1:len(k)-5], k[len(k)-5:])
	case prefixOutput[0]:
		return fmt.Sprintf("x/%x", k[2:10])
	}
	return fmt.Sprintf("%q", k)
}

func showValue(w ledger.Write) string {
	if c := w.Key[0]; 'A' <= c && c <= 'Z' {
		l, err := ParseLocator(w.Value)
		if err != nil {
			return err.Error()
		}
		if c == classTransaction {
			return fmt.Sprintf("%d/%d code %d", l.Height, l.Index, l.Code())
		}
		return fmt.Sprintf("%d/%d extra %x", l.Height, l.Index, l.Extra)
	}
	if u, err := parseUsage(w.Value); err == nil && w.Key[0] == prefixUsage[0] {
		return fmt.Sprintf("%+v", u)
	}
	if len(w.Value) > 32 {
		return fmt.Sprintf("%d bytes, SHA-256 %x", len(w.Value), sha256.Sum256(w.Value))
	}
	return fmt.Sprintf("%q", w.Value)
}
