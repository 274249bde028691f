package query

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"slices"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"ltl/internal/ledger"
	"ltl/internal/rules"
	"ltl/internal/store"
	ltlv1 "ltl/proto/ltl/v1"
)

// GetRecord implements ltlv1.LedgerServer.
func (s *server) GetRecord(ctx context.Context, in *ltlv1.GetRecordRequest) (*ltlv1.GetRecordResponse, error) {
	if err := s.fresh(ctx, in.GetConsistency()); err != nil {
		return nil, err
	}
	chain, code, err := s.readable(ctx, in.GetChainCode(), in.GetAccountUid(), in.GetKey())
	if err != nil || code != rules.OK {
		return &ltlv1.GetRecordResponse{Code: code}, failure(err)
	}
	key := rules.NewestKey(in.GetKey())
	if in.GetBusinessId() != "" {
		key = rules.BusinessKey(in.GetKey(), in.GetBusinessId())
	}
	at, err := rules.Locate(s.store, chain.ID, key)
	if err != nil {
		return nil, failure(err)
	}
	if at == nil {
		return &ltlv1.GetRecordResponse{Code: rules.NotFound}, nil
	}
	record, err := s.record(chain, at, at.Version())
	if err != nil {
		return nil, failure(err)
	}
	return &ltlv1.GetRecordResponse{Code: rules.OK, Record: record}, nil
}

// ListHistory implements ltlv1.LedgerServer.
func (s *server) ListHistory(ctx context.Context, in *ltlv1.ListHistoryRequest) (*ltlv1.ListHistoryResponse, error) {
	page, err := pageOf(in.GetPage(), in.GetSize())
	if err != nil {
		return nil, err
	}
	if err := s.fresh(ctx, in.GetConsistency()); err != nil {
		return nil, err
	}
	chain, code, err := s.readable(ctx, in.GetChainCode(), in.GetAccountUid(), in.GetKey())
	if err != nil || code != rules.OK {
		return &ltlv1.ListHistoryResponse{Code: code}, failure(err)
	}
	found, err := s.window(ctx, chain, in.GetKey(), in.GetStartMs(), in.GetEndMs())
	if err != nil {
		return nil, failure(err)
	}
	total := found.count()
	if in.GetStartMs() == 0 && in.GetEndMs() == 0 && total > MaxHistory {
		return &ltlv1.ListHistoryResponse{Code: rules.OutOfRange, Total: total}, nil
	}
	out := &ltlv1.ListHistoryResponse{Code: rules.OK, Total: total}
	for i := page.from; i < min(page.to, total); i++ {
		version := found.at(total - 1 - i)
		at, err := s.version(chain, in.GetKey(), version)
		if err != nil {
			return nil, failure(err)
		}
		record, err := s.record(chain, at, version)
		if err != nil {
			return nil, failure(err)
		}
		out.Records = append(out.Records, record)
	}
	return out, nil
}

// CountHistory implements ltlv1.LedgerServer.
func (s *server) CountHistory(ctx context.Context, in *ltlv1.CountHistoryRequest) (*ltlv1.CountHistoryResponse, error) {
	if err := s.fresh(ctx, in.GetConsistency()); err != nil {
		return nil, err
	}
	chain, code, err := s.readable(ctx, in.GetChainCode(), in.GetAccountUid(), in.GetKey())
	if err != nil || code != rules.OK {
		return &ltlv1.CountHistoryResponse{Code: code}, failure(err)
	}
	found, err := s.window(ctx, chain, in.GetKey(), in.GetStartMs(), in.GetEndMs())
	if err != nil {
		return nil, failure(err)
	}
	return &ltlv1.CountHistoryResponse{Code: rules.OK, Count: found.count()}, nil
}

// readable finds the chain and checks whether the caller's organisation and the account may read the Key there.
func (s *server) readable(ctx context.Context, chainCode, uid, key string) (*rules.Chain, int32, error) {
	chain, err := rules.ChainByCode(s.store, chainCode)
	if err != nil {
		return nil, 0, err
	}
	if chain == nil || chain.Service != ltlv1.ChainService_CHAIN_SERVICE_PROOF {
		return nil, rules.NotFound, nil
	}
	if err := s.reader(ctx, chain); err != nil {
		return nil, 0, err
	}
	code, err := rules.CanRead(s.store, chain, uid, key)
	if err != nil || code != rules.BadTypeCode {
		return chain, code, err
	}
	foreign, err := s.foreignTypeCode(chain, key)
	if foreign {
		code = rules.ForeignTypeCode
	}
	return chain, code, err
}

// foreignTypeCode reports whether the Key's data type code is unknown on this chain but belongs to another one. The
// rules see one chain only, so this is checked here.
func (s *server) foreignTypeCode(chain *rules.Chain, key string) (bool, error) {
	typeCode, code := rules.CheckKey(chain.Code, key)
	if code != rules.OK {
		return false, nil
	}
	chains, err := rules.ListChains(s.store)
	if err != nil {
		return false, err
	}
	for _, c := range chains {
		owner, err := rules.TypeCodeOwner(s.store, c, typeCode)
		if err != nil {
			return false, err
		}
		if owner != "" {
			return c.ID != chain.ID, nil
		}
	}
	return false, nil
}

// version locates a version that must exist.
func (s *server) version(chain *rules.Chain, key string, version uint32) (*rules.Locator, error) {
	at, err := rules.LocateVersion(s.store, chain.ID, key, version)
	if err == nil && at == nil {
		err = fmt.Errorf("%w: version %d of key %q is missing from the index", store.ErrCorrupt, version, key)
	}
	return at, err
}

// record reads a record from the block that holds it.
func (s *server) record(chain *rules.Chain, at *rules.Locator, version uint32) (*ltlv1.Record, error) {
	payload, _, batch, header, hash, err := s.store.Transaction(chain.ID, at.Height, at.Index)
	if err != nil {
		return nil, err
	}
	tx, err := rules.Decode(payload)
	if err != nil {
		return nil, fmt.Errorf("%w: transaction %d of block %d: %w", store.ErrCorrupt, at.Index, at.Height, err)
	}
	id := ledger.TransactionID(payload)
	r := &ltlv1.Record{
		IotId: rules.DeviceProofOf(tx).GetIotId(), ChainId: chain.ID, ChainName: chain.Name, BlockHeight: at.Height,
		TransactionIndex: at.Index, TransactionHash: id[:],
		BlockHash: hash[:], PreviousHash: header.Previous[:], TimeMs: header.TimeMs, Version: version,
		AccountUid: tx.GetAccountUid(),
	}
	var ok bool
	if r.Key, _, r.BusinessId, ok = rules.ProofRecord(tx, id); !ok {
		return nil, fmt.Errorf("%w: transaction %d of block %d holds no record", store.ErrCorrupt, at.Index, at.Height)
	}
	if r.Value, err = s.value(&header, at.Index); err != nil {
		return nil, err
	}
	digest := ledger.DataHash(r.Value)
	r.DataHash = digest[:]
	r.DataTypeCode, _ = rules.CheckKey(chain.Code, r.Key)
	r.Corrects = rules.CorrectionOf(tx)
	if r.DeclaredWrong, err = s.declaredWrong(chain, id); err != nil {
		return nil, err
	}
	r.EndorsementNames, err = s.endorsers(chain, batch, payload)
	return r, err
}

// declaredWrong reads how the record of a transaction was declared wrong, for the last time; nil when it never was.
func (s *server) declaredWrong(chain *rules.Chain, id ledger.Hash) (*ltlv1.DeclaredWrong, error) {
	at, err := rules.LocateCorrection(s.store, chain.ID, id)
	if at == nil || err != nil {
		return nil, err
	}
	payload, _, _, header, _, err := s.store.Transaction(chain.ID, at.Height, at.Index)
	if err != nil {
		return nil, err
	}
	tx, err := rules.Decode(payload)
	if err != nil || rules.CorrectionOf(tx) == nil {
		return nil, fmt.Errorf("%w: transaction %d of block %d corrects no record: %w", store.ErrCorrupt, at.Index,
			at.Height, err)
	}
	by := ledger.TransactionID(payload)
	key, _, businessID, _ := rules.ProofRecord(tx, by)
	c := rules.CorrectionOf(tx)
	return &ltlv1.DeclaredWrong{
		TransactionHash: by[:], Key: key, BusinessId: businessID, Reason: c.GetReason(), TimeMs: header.TimeMs,
		BlockHeight: at.Height, ByAdministrator: rules.ByAdministrator(c, key), Times: at.Extra,
	}, nil
}

// endorsers names the organisations that signed the transaction: first the chain's organisations, in their order, then
// those that have left the chain, in the order in which they joined the network. Execution has verified every
// endorsement in a block; here only the accepted transactions of each matter.
func (s *server) endorsers(chain *rules.Chain, batch *ltlv1.Batch, payload []byte) ([]string, error) {
	i := 0
	for i < len(batch.GetTransactions()) && !bytes.Equal(batch.GetTransactions()[i], payload) {
		i++
	}
	signed := map[string]bool{}
	for _, e := range batch.GetEndorsements() {
		statement, err := ledger.ParseStatement(e.GetStatement())
		if err != nil {
			return nil, fmt.Errorf("%w: endorsement in a stored block: %w", store.ErrCorrupt, err)
		}
		if ledger.Accepts(e.GetBitmap(), i) {
			signed[statement.Organisation] = true
		}
	}
	names, err := s.namesOf(chain.Organisations, signed)
	if err != nil || len(signed) == 0 {
		return names, err
	}
	network, err := rules.GetNetwork(s.store)
	if err != nil || network == nil {
		return names, err
	}
	former, err := s.namesOf(network.Organisations, signed)
	if names = append(names, former...); err != nil || len(signed) == 0 {
		return names, err
	}
	removed, err := s.namesOf(slices.Sorted(maps.Keys(signed)), signed) // from the network
	return append(names, removed...), err
}

// namesOf returns the display names of those organisations that signed, in the order of ids, and takes them out of
// signed.
func (s *server) namesOf(ids []string, signed map[string]bool) ([]string, error) {
	var names []string
	for _, id := range ids {
		if !signed[id] {
			continue
		}
		organisation, err := rules.GetOrganisation(s.store, id)
		if err != nil {
			return nil, err
		}
		if organisation == nil {
			return nil, fmt.Errorf("%w: organisation %q, which signed, is missing", store.ErrCorrupt, id)
		}
		names = append(names, organisation.Name)
		delete(signed, id)
	}
	return names, nil
}

// page is a half-open range of positions in a list.
type page struct{ from, to uint64 }

// holds reports whether the item at a position belongs to the page.
func (p page) holds(position uint64) bool { return p.from <= position && position < p.to }

func pageOf(number, size uint32) (page, error) {
	if number == 0 || size == 0 || size > MaxPage {
		return page{}, status.Errorf(codes.InvalidArgument, "page %d of size %d: pages count from 1, sizes are 1 to %d",
			number, size, MaxPage)
	}
	from := uint64(number-1) * uint64(size)
	return page{from: from, to: from + uint64(size)}, nil
}
