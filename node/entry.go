package node

import (
	"errors"
	"fmt"

	"google.golang.org/protobuf/proto"

	ltlv1 "ltl/proto/ltl/v1"
)

// entryVersion is the format of the Raft entries that this program writes, and the only one that it knows.
const entryVersion = 1

// errEntry is wrapped by what decodeEntry returns for bytes that this program does not understand.
var errEntry = errors.New("unknown Raft entry")

// encodeEntry returns the bytes of a Raft entry: one byte of version, then the Entry.
func encodeEntry(e *ltlv1.Entry) ([]byte, error) {
	b := make([]byte, 1, 1+proto.Size(e))
	b[0] = entryVersion
	b, err := proto.MarshalOptions{}.MarshalAppend(b, e)
	if err != nil {
		return nil, fmt.Errorf("encode entry: %w", err)
	}
	return b, nil
}

// decodeEntry reads a Raft entry. It is strict: a field that this program does not know might change what the entry means, and
// a node that skips what others execute holds another ledger than they do.
func decodeEntry(b []byte) (*ltlv1.Entry, error) {
	if len(b) == 0 {
		return nil, fmt.Errorf("%w: it is empty", errEntry)
	}
	if b[0] != entryVersion {
		return nil, fmt.Errorf("%w: it has format version %d, this program knows version %d; it is a newer one that is needed", errEntry, b[0], entryVersion)
	}
	e := &ltlv1.Entry{}
	if err := proto.Unmarshal(b[1:], e); err != nil {
		return nil, fmt.Errorf("%w: %w", errEntry, err)
	}
	switch content := e.GetEntry().(type) {
	case *ltlv1.Entry_Batches:
		if unknownFields(e, content.Batches) || unknownInBatches(content.Batches.GetBatches()) {
			return nil, fmt.Errorf("%w: its batches have fields that this program does not know", errEntry)
		}
	case *ltlv1.Entry_AccessKey:
		if unknownFields(e, content.AccessKey) {
			return nil, fmt.Errorf("%w: its AccessKey has fields that this program does not know", errEntry)
		}
	default:
		return nil, fmt.Errorf("%w: it is of a type that this program does not know", errEntry)
	}
	return e, nil
}

func unknownFields(messages ...proto.Message) bool {
	for _, m := range messages {
		if len(m.ProtoReflect().GetUnknown()) > 0 {
			return true
		}
	}
	return false
}

func unknownInBatches(batches []*ltlv1.Batch) bool {
	for _, b := range batches {
		if unknownFields(b) {
			return true
		}
		for _, e := range b.GetEndorsements() {
			if unknownFields(e) {
				return true
			}
		}
	}
	return false
}
