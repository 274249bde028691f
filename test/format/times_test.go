package format

import (
	"encoding/binary"
	"fmt"
	"testing"
)

// TestFloors: the time that the block above a header is not before, from the header and the newest correction.
func TestFloors(t *testing.T) {
	v := loadVectors(t)
	if len(v.Floors) == 0 {
		t.Error("no vectors")
	}
	for i, x := range v.Floors {
		chain, height := string(x.Header[33:49]), binary.BigEndian.Uint64(x.Header[49:])
		time, at := binary.BigEndian.Uint64(x.Header[57:]), binary.BigEndian.Uint64(x.Header[197:])
		floor := fmt.Sprint(time)
		if at < x.Height || at == x.Height && (chain == system || height == 0) {
			floor = x.ToMs
		}
		if floor != x.FloorMs {
			t.Errorf("header %d: %s, computed %s", i, x.FloorMs, floor)
		}
	}
}
