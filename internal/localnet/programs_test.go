package localnet

import (
	"log/slog"
	"path/filepath"
	"slices"
	"testing"
)

// TestMovedNode: a node whose address was changed on the ledger is started there, and network.json says so; the others
// stay where they are.
func TestMovedNode(t *testing.T) {
	n := &network{Options: Options{Dir: t.TempDir(), HTTP: "127.0.0.1:0", Nodes: 2, Orgs: 1, Logger: slog.Default()}}
	if err := n.prepare(); err != nil {
		t.Fatal(err)
	}
	second := n.nodes()[1].GetAddress()
	if here, err := MoveNode(n.Dir, "node1", "127.0.0.1:7"); here || err != nil {
		t.Errorf("before the node was ever started: %v, %v", here, err)
	}
	if err := makeDirectory(filepath.Join(n.nodeDir("node1"))); err != nil {
		t.Fatal(err)
	}
	if here, err := MoveNode(n.Dir, "node1", "127.0.0.1:7"); !here || err != nil {
		t.Errorf("%v, %v", here, err)
	}
	for i, want := range []string{"127.0.0.1:7", second} {
		if args := n.programs()[i].args; !slices.Equal(args[len(args)-2:], []string{"--listen", want}) {
			t.Errorf("node%d is started with %q, want --listen %s", i+1, args, want)
		}
	}
}
