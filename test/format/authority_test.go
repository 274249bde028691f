package format

import (
	"bytes"
	"encoding/asn1"
	"errors"
	"slices"
)

// authorityKey reads the key of a certificate authority from its certificate as docs/bytes.md says.
func authorityKey(der []byte) ([]byte, error) {
	outer, rest, err := der1(der, 0x30)
	if err != nil || len(rest) > 0 {
		return nil, errors.Join(err, errors.New("not one element with the tag 30"))
	}
	b, _, err := der1(outer, 0x30)
	if err != nil {
		return nil, err
	}
	tags := []byte{2, 0x30, 0x30, 0x30, 0x30}
	if len(b) > 0 && b[0] == 0xa0 {
		tags = slices.Insert(tags, 0, 0xa0)
	}
	for _, tag := range tags {
		if _, b, err = der1(b, tag); err != nil {
			return nil, err
		}
	}
	before := []byte{0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00}
	if !bytes.HasPrefix(b, before) || len(b) < 44 {
		return nil, errors.New("no Ed25519 key")
	}
	return b[12:44], nil
}

// der1 splits off the first element, which has the tag.
func der1(b []byte, tag byte) (content, rest []byte, err error) {
	var v asn1.RawValue
	if rest, err = asn1.Unmarshal(b, &v); err != nil {
		return nil, nil, err
	}
	if b[0] != tag {
		return nil, nil, errors.New("another tag")
	}
	return v.Bytes, rest, nil
}
