package store

import (
	"fmt"
	"math"

	"google.golang.org/protobuf/encoding/protowire"

	"ltl/internal/ledger"
	ltlv1 "ltl/proto/ltl/v1"
)

// Field numbers of Block, Batch and Endorsement in proto/ltl/v1/ledger.proto.
const (
	fieldHeader      = 1
	fieldBatches     = 2
	fieldResults     = 3
	fieldChain       = 1
	fieldTransaction = 2
	fieldEndorsement = 3
	fieldStatement   = 1
	fieldSignature   = 2
	fieldIndex       = 3
	fieldPath        = 4
	fieldHeight      = 5
	fieldFlags       = 6
	fieldBitmap      = 7
)

// encodeBlock encodes exactly the fields that Block defines. Unknown fields of a peer or client are not stored, so
// that equal blocks are equal bytes. It copies every byte slice once, into one buffer.
func encodeBlock(b *ltlv1.Block) []byte {
	sizes := make([]int, len(b.GetBatches()))
	total := sizeBytes(b.GetHeader())
	for i, batch := range b.GetBatches() {
		sizes[i] = sizeBatch(batch)
		total += 1 + protowire.SizeBytes(sizes[i])
	}
	results := 0
	for _, r := range b.GetResults() {
		results += protowire.SizeVarint(protowire.EncodeZigZag(int64(r)))
	}
	total += 1 + protowire.SizeBytes(results)

	buf := appendBytes(make([]byte, 0, total), fieldHeader, b.GetHeader())
	for i, batch := range b.GetBatches() {
		buf = protowire.AppendTag(buf, fieldBatches, protowire.BytesType)
		buf = protowire.AppendVarint(buf, uint64(sizes[i]))
		buf = appendBatch(buf, batch)
	}
	if len(b.GetResults()) > 0 {
		buf = protowire.AppendTag(buf, fieldResults, protowire.BytesType)
		buf = protowire.AppendVarint(buf, uint64(results))
		for _, r := range b.GetResults() {
			buf = protowire.AppendVarint(buf, protowire.EncodeZigZag(int64(r)))
		}
	}
	return buf
}

// sizeBytes is the size of a field of bytes; empty fields are left out. All field numbers here take one byte.
func sizeBytes(v []byte) int {
	if len(v) == 0 {
		return 0
	}
	return 1 + protowire.SizeBytes(len(v))
}

func appendBytes(buf []byte, field protowire.Number, v []byte) []byte {
	if len(v) == 0 {
		return buf
	}
	buf = protowire.AppendTag(buf, field, protowire.BytesType)
	return protowire.AppendBytes(buf, v)
}

// sizeNumber is the size of a field with a number; 0 is left out.
func sizeNumber(v uint64) int {
	if v == 0 {
		return 0
	}
	return 1 + protowire.SizeVarint(v)
}

func appendNumber(buf []byte, field protowire.Number, v uint64) []byte {
	if v == 0 {
		return buf
	}
	buf = protowire.AppendTag(buf, field, protowire.VarintType)
	return protowire.AppendVarint(buf, v)
}

func sizeEndorsement(e *ltlv1.Endorsement) int {
	return sizeBytes(e.GetStatement()) + sizeBytes(e.GetSignature()) + sizeNumber(uint64(e.GetIndex())) +
		sizeBytes(e.GetPath()) + sizeNumber(e.GetHeight()) + sizeNumber(uint64(e.GetFlags())) + sizeBytes(e.GetBitmap())
}

func sizeBatch(b *ltlv1.Batch) int {
	n := 0
	if id := b.GetChainId(); id != "" {
		n += 1 + protowire.SizeBytes(len(id))
	}
	for _, tx := range b.GetTransactions() {
		n += 1 + protowire.SizeBytes(len(tx))
	}
	for _, e := range b.GetEndorsements() {
		n += 1 + protowire.SizeBytes(sizeEndorsement(e))
	}
	return n
}

func appendBatch(buf []byte, b *ltlv1.Batch) []byte {
	if id := b.GetChainId(); id != "" {
		buf = protowire.AppendTag(buf, fieldChain, protowire.BytesType)
		buf = protowire.AppendString(buf, id)
	}
	for _, tx := range b.GetTransactions() { // an empty transaction keeps its place
		buf = protowire.AppendTag(buf, fieldTransaction, protowire.BytesType)
		buf = protowire.AppendBytes(buf, tx)
	}
	for _, e := range b.GetEndorsements() {
		buf = protowire.AppendTag(buf, fieldEndorsement, protowire.BytesType)
		buf = protowire.AppendVarint(buf, uint64(sizeEndorsement(e)))
		buf = appendBytes(buf, fieldStatement, e.GetStatement())
		buf = appendBytes(buf, fieldSignature, e.GetSignature())
		buf = appendNumber(buf, fieldIndex, uint64(e.GetIndex()))
		buf = appendBytes(buf, fieldPath, e.GetPath())
		buf = appendNumber(buf, fieldHeight, e.GetHeight())
		buf = appendNumber(buf, fieldFlags, uint64(e.GetFlags()))
		buf = appendBytes(buf, fieldBitmap, e.GetBitmap())
	}
	return buf
}

// eachField calls fn with the fields of a message, of which all must be bytes.
func eachField(raw []byte, fn func(field protowire.Number, v []byte) error) error {
	for len(raw) > 0 {
		field, kind, n := protowire.ConsumeTag(raw)
		if n < 0 {
			return protowire.ParseError(n)
		}
		if kind != protowire.BytesType {
			return fmt.Errorf("field %d of type %d", field, kind)
		}
		v, m := protowire.ConsumeBytes(raw[n:])
		if m < 0 {
			return protowire.ParseError(m)
		}
		if err := fn(field, v[:len(v):len(v)]); err != nil {
			return err
		}
		raw = raw[n+m:]
	}
	return nil
}

// parseBlock is the inverse of encodeBlock. The result aliases raw, so that a read of one record of a large block does
// not copy the others.
func parseBlock(raw []byte) (*ltlv1.Block, error) {
	b := &ltlv1.Block{}
	err := eachField(raw, func(field protowire.Number, v []byte) error {
		switch field {
		case fieldHeader:
			b.Header = v
			return nil
		case fieldBatches:
			batch, err := parseBatch(v)
			b.Batches = append(b.Batches, batch)
			return err
		case fieldResults:
			for len(v) > 0 {
				r, n := protowire.ConsumeVarint(v)
				if n < 0 {
					return protowire.ParseError(n)
				}
				b.Results = append(b.Results, int32(protowire.DecodeZigZag(r&math.MaxUint32)))
				v = v[n:]
			}
			return nil
		}
		return fmt.Errorf("field %d of a block", field)
	})
	return b, err
}

// parseEndorsement fills in an endorsement.
func parseEndorsement(raw []byte, e *ltlv1.Endorsement) error {
	for len(raw) > 0 {
		field, kind, n := protowire.ConsumeTag(raw)
		if n < 0 {
			return protowire.ParseError(n)
		}
		raw = raw[n:]
		var text *[]byte
		switch field {
		case fieldStatement:
			text = &e.Statement
		case fieldSignature:
			text = &e.Signature
		case fieldPath:
			text = &e.Path
		case fieldBitmap:
			text = &e.Bitmap
		}
		if text != nil && kind == protowire.BytesType {
			v, m := protowire.ConsumeBytes(raw)
			if m < 0 {
				return protowire.ParseError(m)
			}
			*text, raw = v[:len(v):len(v)], raw[m:]
			continue
		}
		v, m := protowire.ConsumeVarint(raw)
		switch {
		case text != nil || kind != protowire.VarintType:
			return fmt.Errorf("field %d of type %d in an endorsement", field, kind)
		case m < 0:
			return protowire.ParseError(m)
		case field == fieldIndex && v <= math.MaxUint32:
			e.Index = uint32(v)
		case field == fieldHeight:
			e.Height = v
		case field == fieldFlags && v <= math.MaxUint32:
			e.Flags = uint32(v)
		default:
			return fmt.Errorf("field %d of an endorsement is %d", field, v)
		}
		raw = raw[m:]
	}
	return nil
}

func parseBatch(raw []byte) (*ltlv1.Batch, error) {
	b := &ltlv1.Batch{}
	err := eachField(raw, func(field protowire.Number, v []byte) error {
		switch field {
		case fieldChain:
			b.ChainId = string(v)
			return nil
		case fieldTransaction:
			b.Transactions = append(b.Transactions, v)
			return nil
		case fieldEndorsement:
			e := &ltlv1.Endorsement{}
			b.Endorsements = append(b.Endorsements, e)
			return parseEndorsement(v, e)
		}
		return fmt.Errorf("field %d of a batch", field)
	})
	if err == nil && b.ChainId != "" && !ledger.ValidChainID(b.ChainId) {
		err = fmt.Errorf("chain id %q of a batch", b.ChainId)
	}
	return b, err
}

// decodeBlock reads a stored block, whose checksum was right, and its header; bytes that do not decode are ErrCorrupt.
// The block aliases raw.
func decodeBlock(chainID string, height uint64, raw []byte) (*ltlv1.Block, ledger.Header, error) {
	b, err := parseBlock(raw)
	if err != nil {
		return nil, ledger.Header{}, fmt.Errorf("%w: block %d of chain %s: %w", ErrCorrupt, height, chainID, err)
	}
	h, err := checkHeader(chainID, height, b.GetHeader())
	if err != nil {
		return nil, ledger.Header{}, err
	}
	n := 0
	for _, batch := range b.GetBatches() {
		n += len(batch.GetTransactions())
	}
	if n != len(b.GetResults()) || n != int(h.Count) {
		return nil, ledger.Header{}, fmt.Errorf("%w: block %d of chain %s has %d transactions, %d results and the count %d",
			ErrCorrupt, height, chainID, n, len(b.GetResults()), h.Count)
	}
	return b, h, nil
}

// rawHeader finds the header in the first bytes of an encoded block.
func rawHeader(raw []byte) ([]byte, error) {
	field, kind, n := protowire.ConsumeTag(raw)
	if n < 0 || field != fieldHeader || kind != protowire.BytesType {
		return nil, fmt.Errorf("%w: a block that does not begin with its header", ErrCorrupt)
	}
	header, m := protowire.ConsumeBytes(raw[n:])
	if m < 0 {
		return nil, fmt.Errorf("%w: a block whose header is cut off", ErrCorrupt)
	}
	return header, nil
}

// checkHeader parses a stored header and checks that it is that of the wanted block.
func checkHeader(chainID string, height uint64, raw []byte) (ledger.Header, error) {
	h, err := ledger.ParseHeader(raw)
	if err != nil {
		return ledger.Header{}, fmt.Errorf("%w: block %d of chain %s: %w", ErrCorrupt, height, chainID, err)
	}
	if h.ChainID != chainID || h.Height != height {
		return ledger.Header{}, fmt.Errorf("%w: block %d of chain %s is at the place of block %d of chain %s",
			ErrCorrupt, h.Height, h.ChainID, height, chainID)
	}
	return h, nil
}
