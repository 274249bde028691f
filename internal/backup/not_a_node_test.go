package backup

import (
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"ltl/node"
)

// TestNotANode: a node refuses to start on a backup's ledger. Beside nodes that have their Raft log it would execute
// the entries of the blocks that it holds a second time.
func TestNotANode(t *testing.T) {
	f := newFixture(t)
	f.write(3)
	backup, dir := t.TempDir(), t.TempDir()
	f.run(backup)
	if err := os.CopyFS(filepath.Join(dir, "ledger"), os.DirFS(filepath.Join(backup, ledgerName))); err != nil {
		t.Fatal(err)
	}
	f.network.StopNode(2)
	n, err := node.Open(t.Context(), node.Config{
		Dir: dir, Listen: f.trust.Genesis().GetNodes()[2].GetAddress(), Trust: f.trust, Logger: slog.New(slog.DiscardHandler),
		Fatal: func(error) {}, Credentials: f.network.Credentials("nodes/n3", f.trust),
	})
	if err == nil {
		t.Error("a node starts on a backup")
		if err := n.Close(); err != nil {
			t.Error(err)
		}
	} else if !strings.Contains(err.Error(), "empty directory") {
		t.Errorf("it is refused with %v", err)
	}
	f.network.RestartNode(2)
}
