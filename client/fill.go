package client

import (
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"time"

	"google.golang.org/protobuf/proto"

	"ltl/internal/ledger"
	"ltl/internal/rules"
	ltlv1 "ltl/proto/ltl/v1"
)

// fill completes the transaction. Fields that are set stay.
func (c *Client) fill(tx *ltlv1.Transaction) error {
	if tx == nil {
		return errors.New("client: Submit needs a transaction, got nil")
	}
	if tx.Version == 0 {
		tx.Version = 1
	}
	if tx.Submitter == "" {
		tx.Submitter = c.submitter
	}
	if tx.CreatedMs == 0 {
		tx.CreatedMs = time.Now().UnixMilli()
	}
	if len(tx.Nonce) == 0 {
		tx.Nonce = make([]byte, nonceLen)
		if _, err := rand.Read(tx.Nonce); err != nil {
			return fmt.Errorf("client: nonce: %w", err)
		}
	}
	return commit(tx)
}

// commit makes the salts and commitments of a transaction's values. What is set stays.
func commit(tx *ltlv1.Transaction) error {
	for _, o := range tx.GetOpenings().GetOpenings() {
		if len(o.GetSalt()) == 0 {
			o.Salt = make([]byte, ledger.SaltLen)
			if _, err := rand.Read(o.Salt); err != nil {
				return fmt.Errorf("client: salt: %w", err)
			}
		}
	}
	rules.Commit(tx)
	return nil
}

// openingBytes is about what openings add to a message.
func openingBytes(all *ltlv1.Openings) (n int) {
	for _, o := range all.GetOpenings() {
		n += len(o.GetSalt()) + len(o.GetValue()) + openingFraming
	}
	return n
}

// encode returns the bytes of a transaction that are hashed, signed, ordered and stored: the same bytes each time,
// without the openings.
func encode(tx *ltlv1.Transaction) ([]byte, error) {
	if tx.GetOpenings() != nil {
		openings := tx.Openings
		tx.Openings = nil
		defer func() { tx.Openings = openings }()
	}
	payload, err := proto.MarshalOptions{Deterministic: true}.Marshal(tx)
	if err != nil {
		return nil, fmt.Errorf("client: encode transaction: %w", err)
	}
	return payload, nil
}

// openings returns those of a group's submissions, in their order; nil when none has any.
func (g *group) openings() []*ltlv1.Openings {
	some := func(s *submission) bool { return s.openings != nil }
	if !slices.ContainsFunc(g.submissions, some) {
		return nil
	}
	all := make([]*ltlv1.Openings, len(g.submissions))
	for i, s := range g.submissions {
		if all[i] = s.openings; all[i] == nil {
			all[i] = &ltlv1.Openings{}
		}
	}
	return all
}
