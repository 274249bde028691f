package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"ltl/client"
	"ltl/internal/rules"
	ltlv1 "ltl/proto/ltl/v1"
)

// How long a record is tried again while the network is overloaded or does not answer: a fail-over takes seconds, and a
// process that is started again a minute at most.
const (
	writePatience = 2 * time.Minute
	writePause    = 100 * time.Millisecond
	maxWritePause = 2 * time.Second
)

// recordWriter writes records to a proof chain in the name of one account, each once, however often it is called.
type recordWriter struct {
	s     *session
	chain *chainRow
	// account is the UID in whose name records are written, typeCode its data type code on the chain.
	account, typeCode string
}

// recordWriterOf finds the chain, and the entry there that a user means by its UID or id; the administrator's for none.
func (s *session) recordWriterOf(chain, member string) (*recordWriter, error) {
	row, err := s.chain(chain)
	if err != nil {
		return nil, err
	}
	if row.Service != "proof" {
		return nil, fmt.Errorf("%s is a %s chain; records are imported and notarised on proof chains", row.Name, row.Service)
	}
	if member == "" {
		member = row.Administrator
	}
	m, err := s.member(row, member)
	if err != nil {
		return nil, err
	}
	return &recordWriter{s: s, chain: row, account: m.UID, typeCode: m.DataTypeCode}, nil
}

// withRecordWriter runs f in the name of an operator of the account's organisation.
func withRecordWriter(cmd *cobra.Command, chain, member string, f func(w *recordWriter) error) error {
	var w *recordWriter
	owner := func(s *session) (_ string, err error) {
		if w, err = s.recordWriterOf(chain, member); err != nil {
			return "", err
		}
		return s.ownerOfAccount(w.account)
	}
	return withOwner(cmd, owner, func(s *session) error {
		w.s = s
		return f(w)
	})
}

// recordOutcome is what became of a record.
type recordOutcome struct {
	// present is set when the record was on the chain before, with this value.
	present bool
	// code and message are those of the refusal; message is empty for none.
	code    int32
	message string
}

// write writes a record under a Key, with a BusinessId under a Key that takes several. The ledger takes a Key, or a Key
// with a BusinessId, once: what an earlier run wrote is found there, and compared.
func (w *recordWriter) write(ctx context.Context, key, value, businessID string) (recordOutcome, error) {
	tx := client.SetData(w.chain.ChainID, w.account, key, value)
	if businessID != "" {
		tx = client.AttachData(w.chain.ChainID, w.account, key, value)
		tx.GetAttachData().BusinessId = businessID
	}
	result, err := w.submit(ctx, tx)
	if err != nil {
		return recordOutcome{}, err
	}
	code, message := result.GetCode(), result.GetReason()
	switch {
	case code == rules.OK && message == "":
		return recordOutcome{}, nil
	case code == rules.DuplicateKey:
		return w.compare(ctx, key, value, businessID)
	case message == "":
		message = rules.Message(code)
	}
	return recordOutcome{code: code, message: message}, nil
}

// submit submits the same transaction until there is an outcome.
func (w *recordWriter) submit(ctx context.Context, tx *ltlv1.Transaction) (*ltlv1.Result, error) {
	deadline, pause := time.Now().Add(writePatience), writePause
	for {
		result, err := w.s.client.Submit(ctx, tx)
		again := errors.Is(err, client.ErrOverloaded) || errors.Is(err, client.ErrUnavailable)
		if !again || ctx.Err() != nil || time.Now().After(deadline) {
			return result, err
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(pause):
		}
		pause = min(2*pause, maxWritePause)
	}
}

// compare compares a record with the one that is on the chain in its place.
func (w *recordWriter) compare(ctx context.Context, key, value, businessID string) (recordOutcome, error) {
	found, err := w.s.client.Ledger().GetRecord(ctx, &ltlv1.GetRecordRequest{
		ChainCode: w.chain.ChainCode, Key: key, BusinessId: businessID,
	})
	if err != nil {
		return recordOutcome{}, err
	}
	if found.GetCode() == rules.OK && found.GetRecord().GetValue() == value {
		return recordOutcome{present: true}, nil
	}
	why := fmt.Sprintf("block %d has another value under this Key", found.GetRecord().GetBlockHeight())
	switch {
	case found.GetCode() != rules.OK: // a Key of SetData takes no record of AttachData, nor the reverse
		why = "the Key holds records of the other kind: one of SetData takes no second one (ltl import without --history)"
	case businessID != "":
		why = fmt.Sprintf("block %d has another value under this Key and BusinessId", found.GetRecord().GetBlockHeight())
	}
	return recordOutcome{code: rules.DuplicateKey, message: why}, nil
}
