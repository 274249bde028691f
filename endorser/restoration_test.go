package endorser

import (
	"fmt"
	"testing"

	ltlv1 "ltl/proto/ltl/v1"
)

// TestHeardEpochs: that the network was restored is known by the word of more than half of the organisations that have
// nodes, or of the own organisation's. Until it is known that it was not, no checkpoint is signed.
func TestHeardEpochs(t *testing.T) {
	recorded := func(epoch []byte) (bool, error) { return len(epoch) == 0 || string(epoch) == "old", nil }
	for _, one := range []struct {
		what string
		// says is what each organisation's nodes say, in order; "-" is silence.
		says       map[string][]string
		unrecorded bool
		sure       bool
	}{
		{"none is heard", map[string][]string{"org1": {"-"}, "org2": {"-"}, "org3": {"-"}}, false, false},
		{"never restored", map[string][]string{"org1": {""}, "org2": {""}, "org3": {""}}, false, true},
		{"all of a recorded restoration", map[string][]string{"org1": {"old"}, "org2": {"old"}, "org3": {"old"}}, false, true},
		{"one lies", map[string][]string{"org1": {""}, "org2": {"new"}, "org3": {""}}, false, true},
		{"one lies with three nodes", map[string][]string{"org1": {""}, "org2": {"new", "new", "new"}, "org3": {""}}, false, true},
		{"one lies, no other is heard", map[string][]string{"org1": {"-"}, "org2": {"new"}, "org3": {"-"}}, false, false},
		{"one lies, one is heard", map[string][]string{"org1": {"-"}, "org2": {"new"}, "org3": {""}}, false, false},
		{"only one is heard", map[string][]string{"org1": {"-"}, "org2": {"old"}, "org3": {"-"}}, false, true},
		{"restored", map[string][]string{"org1": {"new"}, "org2": {"new"}, "org3": {"new"}}, true, false},
		{"restored, one is silent", map[string][]string{"org1": {"-"}, "org2": {"new"}, "org3": {"new"}}, true, false},
		{"restored, one denies it", map[string][]string{"org1": {""}, "org2": {"new"}, "org3": {"new"}}, true, false},
		{"the own node says so alone", map[string][]string{"org1": {"new"}, "org2": {""}, "org3": {""}}, true, false},
		{"the own nodes contradict", map[string][]string{"org1": {"new", ""}, "org2": {""}, "org3": {""}}, false, true},
		{"half of four", map[string][]string{"org1": {""}, "org2": {"new"}, "org3": {"new"}, "org4": {""}}, false, false},
		{"two lies", map[string][]string{"org1": {""}, "org2": {"new"}, "org3": {"newer"}}, false, false},
	} {
		h := &heardEpochs{}
		var nodes []*source
		var organisations []string
		var answers []*ltlv1.StatusResponse
		for o, all := range one.says {
			for i, epoch := range all {
				nodes = append(nodes, &source{Peer: Peer{ID: fmt.Sprint(o, "-", i)}})
				organisations = append(organisations, o)
				answers = append(answers, &ltlv1.StatusResponse{RestoreEpoch: []byte(epoch), RestoredBlocks: uint64(len(epoch))})
				if epoch == "-" {
					answers[len(answers)-1] = nil
				}
			}
		}
		h.note(nodes, organisations, answers)
		for _, silent := range []bool{false, true} { // what was said stands while none answers
			said, sure, err := h.judge("org1", recorded)
			if err != nil || (said != nil) != one.unrecorded || sure != one.sure {
				t.Errorf("%s, silent afterwards %v: %+v, sure %v, %v", one.what, silent, said, sure, err)
			}
			h.note(nodes, organisations, make([]*ltlv1.StatusResponse, len(nodes)))
		}
	}
}
