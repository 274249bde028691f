package proof

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
)

// MaxCertificate is the largest certificate that is read, in bytes, and the largest other file of this package but a
// trust file.
const MaxCertificate = 2 << 20

// CertificateFormat is the name of the format of a Certificate in a file.
const CertificateFormat = "certificate/1"

// maxSigners bounds the endorsements of a certificate.
const maxSigners = 64

// Certificate is the content of a certificate; docs/evidence.md, section "Certificate". Nothing in it is checked
// before Verify.
type Certificate struct {
	// Payload is the transaction as its author encoded it.
	Payload []byte
	// Item is the number of the record in an upload of several records, from 0.
	Item int
	// Openings are the values that the certificate shows, in the order of their slots.
	Openings []Opening
	// BatchCount, BatchIndex and BatchPath lead from the transaction id to the root of its batch.
	BatchCount, BatchIndex uint64
	BatchPath              []byte
	Endorsements           []Endorsement
	Block                  Block
	// LogPath leads from the block to the root of Checkpoint, a signed note. Both are empty in a certificate without a
	// checkpoint.
	LogPath    []byte
	Checkpoint string
	// Info is for people, as JSON; no check looks at it. It may be nil.
	Info json.RawMessage
}

// Opening is a value of a record with its place in the transaction.
type Opening struct {
	// Slot is the place: 0 for the value of a proof, the number of the item for a record of a phase.
	Slot uint64
	// Salt is the random part of a value's commitment; nil for a record of a phase, which is in the payload.
	Salt []byte
	// Value is UTF-8.
	Value []byte
}

// Endorsement is one organisation's endorsement of the batch, as docs/bytes.md has it.
type Endorsement struct {
	Statement, Signature []byte
	Index                uint64
	Path                 []byte
	Height               uint64
	Flags                uint64
	Bitmap               []byte
}

// Block is the place of the transaction in its block.
type Block struct {
	Header []byte
	Index  uint64
	Result int32
	Path   []byte
}

// ParseCertificate reads a certificate. It takes one spelling of each only: names it does not know, names that stand
// twice, numbers that are no integers and base64 in another form are errors, except below info.
func ParseCertificate(b []byte) (*Certificate, error) {
	c, f := parseCertificate(b)
	if f != nil {
		return nil, f
	}
	return c, nil
}

func parseCertificate(b []byte) (*Certificate, *Failure) {
	c := &Certificate{}
	f := parseFile(b, CertificateFormat, c.read)
	return c, f
}

// parseFile reads a file of a format; read takes all fields but ltl out of it.
func parseFile(b []byte, format string, read func(*node)) *Failure {
	if len(b) > MaxCertificate {
		return fail("size", "the file has %d bytes; the limit is %d", len(b), MaxCertificate)
	}
	n, err := parseJSON(b)
	if err != nil {
		return fail("json", "the file is no JSON of the form that docs/evidence.md asks for: %v", err)
	}
	err = form(func() {
		if v := n.string("ltl"); v != format {
			panic(syntaxError{fmt.Sprintf("the format is %.40q, and %q is read here", v, format)})
		}
	})
	if err != nil {
		return fail("version", "%v", err)
	}
	if err := form(func() { read(n) }); err != nil {
		return fail("json", "the file does not have its form: %v", err)
	}
	return nil
}

// FormatOf returns the format that a file names, such as "certificate/1"; empty when it names none.
func FormatOf(b []byte) (format string) {
	if len(b) > MaxCertificate {
		return ""
	}
	n, err := parseJSON(b)
	if err == nil {
		err = form(func() { format = n.string("ltl") })
	}
	if err != nil {
		return ""
	}
	return format
}

// read takes all fields but ltl out of the file.
func (c *Certificate) read(n *node) {
	c.Payload = n.base64("payload")
	if n.has("item") {
		c.Item = int(n.count("item"))
		if c.Item == 0 || c.Item > maxBatch {
			badForm("%q is 0, which is written by leaving it out, or too large", "item")
		}
	}
	for _, o := range n.array("openings") {
		opening := Opening{Slot: o.count("slot"), Value: o.base64("value")}
		if o.has("salt") {
			if opening.Salt = o.base64("salt"); len(opening.Salt) != saltLen {
				badForm("%q does not have %d bytes", "salt", saltLen)
			}
		}
		c.Openings = append(c.Openings, opening)
		o.closed()
	}
	batch := n.object("batch")
	c.BatchCount, c.BatchIndex, c.BatchPath = batch.count("count"), batch.count("index"), batch.base64("path")
	batch.closed()
	all := n.array("endorsements")
	if len(all) == 0 || len(all) > maxSigners {
		badForm("there are %d endorsements; 1 to %d can be", len(all), maxSigners)
	}
	for _, e := range all {
		c.Endorsements = append(c.Endorsements, Endorsement{Statement: e.base64("statement"),
			Signature: e.base64("signature"), Index: e.count("index"), Path: e.base64("path"), Height: e.count("height"),
			Flags: e.count("flags"), Bitmap: e.base64("bitmap")})
		e.closed()
	}
	block := n.object("block")
	code := block.integer("result")
	if int64(int32(code)) != code {
		badForm("%q is no result code", "result")
	}
	c.Block = Block{Header: block.base64("header"), Index: block.count("index"), Result: int32(code),
		Path: block.base64("path")}
	block.closed()
	if n.has("checkpoint") || n.has("log") {
		log := n.object("log")
		c.LogPath, c.Checkpoint = log.base64("path"), n.string("checkpoint")
		log.closed()
		if c.Checkpoint == "" {
			badForm("%q is empty", "checkpoint")
		}
	}
	if info := n.field("info"); info != nil {
		c.Info = info.encode()
	}
	n.closed()
}

// Encode returns the certificate as a file.
func (c *Certificate) Encode() ([]byte, error) {
	type object = map[string]any
	text := base64.StdEncoding.EncodeToString
	openings, endorsements := []object{}, []object{}
	for _, o := range c.Openings {
		opening := object{"slot": o.Slot, "value": text(o.Value)}
		if o.Salt != nil {
			opening["salt"] = text(o.Salt)
		}
		openings = append(openings, opening)
	}
	for _, e := range c.Endorsements {
		endorsements = append(endorsements, object{"statement": text(e.Statement), "signature": text(e.Signature),
			"index": e.Index, "path": text(e.Path), "height": e.Height, "flags": e.Flags, "bitmap": text(e.Bitmap)})
	}
	file := object{
		"ltl": CertificateFormat, "payload": text(c.Payload), "openings": openings,
		"batch":        object{"count": c.BatchCount, "index": c.BatchIndex, "path": text(c.BatchPath)},
		"endorsements": endorsements,
		"block": object{"header": text(c.Block.Header), "index": c.Block.Index, "result": c.Block.Result,
			"path": text(c.Block.Path)},
	}
	if c.Item != 0 {
		file["item"] = c.Item
	}
	if c.Checkpoint != "" {
		file["log"], file["checkpoint"] = object{"path": text(c.LogPath)}, c.Checkpoint
	}
	if c.Info != nil {
		file["info"] = c.Info
	}
	b, err := json.Marshal(file)
	if err != nil {
		return nil, fmt.Errorf("encode the certificate: %w", err)
	}
	return append(b, '\n'), nil
}

// encode writes a value back as JSON.
func (n *node) encode() json.RawMessage {
	b, err := json.Marshal(n.plain())
	if err != nil {
		return nil // plain has nothing that JSON lacks
	}
	return b
}

func (n *node) plain() any {
	switch n.kind {
	case '{':
		m := map[string]any{}
		for i, name := range n.names {
			m[name] = n.items[i].plain()
		}
		return m
	case '[':
		all := []any{}
		for _, item := range n.items {
			all = append(all, item.plain())
		}
		return all
	case '"':
		return n.text
	case '0':
		return n.number
	default:
		return n.truth
	}
}
