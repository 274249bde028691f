package client

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"ltl/client/proof"
)

// TestTwoHistories: signatures of one size and root are put under one text, those of another size are left out, and
// another root of the same size is reported with both texts beside what more signers stand for.
func TestTwoHistories(t *testing.T) {
	answer := func(size uint64, root byte, signer string) signed {
		return signed{&proof.Checkpoint{Size: size, Root: proof.Hash{root}}, "body\n\n— " + signer + " x\n"}
	}
	honest := []signed{answer(8, 1, "node1"), answer(9, 1, "node2"), answer(9, 1, "org1")}
	k := &collection{size: 9}
	if err := k.join(honest); err != nil || k.text != "body\n\n— node2 x\n— org1 x\n" {
		t.Fatalf("%q %v", k.text, err)
	}
	for _, more := range [][]signed{{answer(9, 2, "node3")}, {answer(9, 2, "node3"), answer(9, 3, "org2")}} {
		for _, all := range [][]signed{append(slices.Clone(more), honest...), append(slices.Clone(honest), more...)} {
			k := &collection{size: 9}
			err := k.join(all)
			if !errors.Is(err, ErrTwoHistories) || !strings.Contains(err.Error(), "node2") || !strings.Contains(err.Error(), "node3") {
				t.Errorf("another root: %v", err)
			}
			if k.text != "body\n\n— node2 x\n— org1 x\n" {
				t.Errorf("beside another root the text is %q", k.text)
			}
		}
	}
	k = &collection{size: 9}
	if err := k.join(append(honest, answer(9, 2, "node3"), answer(9, 2, "org3"))); !errors.Is(err, ErrTwoHistories) || k.text != "" {
		t.Errorf("as many stand for one root as for the other: %q, %v", k.text, err)
	}
	if err := (&collection{size: 9}).join(nil); !errors.Is(err, errNoCheckpoint) {
		t.Errorf("no answers: %v", err)
	}
}

// TestInventedSize: when a signer names a size that no copy has, always the same or another each time, the others make
// a checkpoint without it; those that have signed more are followed.
func TestInventedSize(t *testing.T) {
	for name, invented := range map[string]func(round int) uint64{
		"the same": func(int) uint64 { return 1 << 52 }, "another each time": func(round int) uint64 { return 1<<52 - uint64(round) },
		"none": func(int) uint64 { return 0 },
	} {
		round := 0
		held := []uint64{0, 9, 12} // what the honest signers have signed already; they have 20 blocks
		of, answers := gather(8, func(size uint64) (all []signed) {
			round++
			for i := range held {
				if size <= 20 {
					held[i] = max(held[i], size)
					all = append(all, signed{checkpoint: &proof.Checkpoint{Size: held[i]}})
				}
			}
			if lie := invented(round); lie >= size {
				all = append(all, signed{checkpoint: &proof.Checkpoint{Size: lie}})
			}
			return all
		})
		if of != 12 || len(answers) != 3 {
			t.Errorf("%s: %d answers of %d blocks after %d rounds", name, len(answers), of, round)
		}
	}
}
