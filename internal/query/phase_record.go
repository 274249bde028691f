package query

import (
	"context"
	"fmt"
	"sort"

	"ltl/internal/ledger"
	"ltl/internal/rules"
	"ltl/internal/store"
	ltlv1 "ltl/proto/ltl/v1"
)

// GetPhaseRecord implements ltlv1.LedgerServer.
func (s *server) GetPhaseRecord(
	ctx context.Context, in *ltlv1.GetPhaseRecordRequest,
) (*ltlv1.GetPhaseRecordResponse, error) {
	if err := s.fresh(ctx, in.GetConsistency()); err != nil {
		return nil, err
	}
	shelf, code, err := s.shelf(ctx, in.GetChainId(), in.GetAccountUid(), in.GetPhaseGroupId(), in.GetPhaseId(),
		in.GetDataKey())
	if err != nil || code != rules.OK {
		return &ltlv1.GetPhaseRecordResponse{Code: code}, failure(err)
	}
	lookup := rules.NewestKey(shelf.key)
	if in.GetDataSeq() != "" {
		if !rules.ValidDataSeq(in.GetDataSeq()) {
			return &ltlv1.GetPhaseRecordResponse{Code: rules.OutOfRange}, nil
		}
		lookup = rules.SequenceKey(shelf.key, in.GetDataSeq())
	}
	at, err := rules.Locate(s.store, shelf.chain.ID, lookup)
	if err != nil || at == nil {
		return &ltlv1.GetPhaseRecordResponse{Code: rules.NotFound}, failure(err)
	}
	record, err := s.phaseRecord(ctx, shelf, at)
	if err != nil {
		return nil, failure(err)
	}
	return &ltlv1.GetPhaseRecordResponse{Code: rules.OK, Record: record}, nil
}

// ListPhaseRecords implements ltlv1.LedgerServer.
func (s *server) ListPhaseRecords(
	ctx context.Context, in *ltlv1.ListPhaseRecordsRequest,
) (*ltlv1.ListPhaseRecordsResponse, error) {
	page, err := pageOf(in.GetPage(), in.GetSize())
	if err != nil {
		return nil, err
	}
	if err := s.fresh(ctx, in.GetConsistency()); err != nil {
		return nil, err
	}
	shelf, code, err := s.shelf(ctx, in.GetChainId(), in.GetAccountUid(), in.GetPhaseGroupId(), in.GetPhaseId(),
		in.GetDataKey())
	if err != nil || code != rules.OK {
		return &ltlv1.ListPhaseRecordsResponse{Code: code}, failure(err)
	}
	found, err := s.window(ctx, shelf.chain, shelf.key, in.GetStartMs(), in.GetEndMs())
	if err != nil {
		return nil, failure(err)
	}
	out := &ltlv1.ListPhaseRecordsResponse{Code: rules.OK, Total: found.count()}
	for i := page.from; i < min(page.to, out.Total); i++ {
		at, err := s.version(shelf.chain, shelf.key, found.at(i))
		if err != nil {
			return nil, failure(err)
		}
		record, err := s.phaseRecord(ctx, shelf, at)
		if err != nil {
			return nil, failure(err)
		}
		out.Records = append(out.Records, record)
	}
	return out, nil
}

// shelf is where the records of one phase and data key are found, and the phases that they may refer to.
type shelf struct {
	chain *rules.Chain
	phase *rules.Phase
	// memberID is that of the entry of the account that asks.
	memberID string
	// dataKey is the plain data key, key the complete Key.
	dataKey, key string
	// upload is the one that was read last: the records of a batch are adjacent. other is the one that related data was
	// read from last: a record often refers to several records of one batch.
	upload, other *upload
	// phases and seqs cache what was looked up for related data: phases by id, DataSeqs by Key and version.
	phases map[string]*rules.Phase
	seqs   map[keyVersion]string
}

type keyVersion struct {
	key     string
	version uint32
}

// upload is a transaction that holds phase records, with its block.
type upload struct {
	at       rules.Locator
	tx       *ltlv1.Transaction
	data     *ltlv1.UploadPhaseData
	items    []*ltlv1.PhaseItem
	seqs     []string
	id, hash ledger.Hash
	header   ledger.Header
	names    []string
}

// shelf checks whether the account may read the phase, and finds its records.
func (s *server) shelf(ctx context.Context, chainID, uid, groupID, phaseID, dataKey string) (*shelf, int32, error) {
	chain, member, code, err := s.collaboration(chainID, uid)
	if err != nil || code != rules.OK {
		return nil, code, err
	}
	if err := s.reader(ctx, chain); err != nil {
		return nil, 0, err
	}
	phase, err := rules.GetPhase(s.store, chain.ID, phaseID)
	if err != nil || phase == nil || phase.GroupID != groupID {
		return nil, rules.NotFound, err
	}
	plain, code := rules.PlainDataKey(chain, phase, dataKey)
	if code != rules.OK {
		return nil, code, nil
	}
	sh := &shelf{
		chain: chain, phase: phase, dataKey: plain, key: rules.PhaseKey(chain.Code, phase.Code, plain),
		phases: map[string]*rules.Phase{phase.ID: phase}, seqs: map[keyVersion]string{},
	}
	if member != nil { // an operator asks for no account
		sh.memberID = member.ID
	}
	return sh, rules.OK, nil
}

// phaseRecord reads a record from the block that holds it.
func (s *server) phaseRecord(ctx context.Context, sh *shelf, at *rules.Locator) (*ltlv1.PhaseRecord, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	u, err := s.uploadAt(&sh.upload, sh.chain, at)
	if err != nil {
		return nil, err
	}
	i, err := s.itemOf(sh.chain, sh.key, sh.dataKey, u, at.Version())
	if err != nil {
		return nil, err
	}
	item := u.items[i]
	digest := ledger.DataHash(item.GetPhaseData())
	r := &ltlv1.PhaseRecord{
		DataKey: item.GetDataKey(), DataSeq: u.seqs[i], DataValue: item.GetPhaseData(), Form: u.data.GetForm(),
		PhaseId:     sh.phase.ID,
		BlockHeight: at.Height, TransactionIndex: at.Index, TransactionHash: u.id[:], BlockHash: u.hash[:],
		PreviousHash: u.header.Previous[:],
		DataHash:     digest[:], TimeMs: u.header.TimeMs, IotId: u.data.GetDevice().GetIotId(),
		ProductKey: u.data.GetDevice().GetProductKey(),
		AccountUid: u.tx.GetAccountUid(), EndorsementNames: u.names,
	}
	r.Key, r.Corrects = sh.key, rules.CorrectionOf(u.tx)
	if r.Own, err = rules.UploadedBy(s.store, sh.chain.ID, u.id, sh.memberID); err != nil {
		return nil, err
	}
	if r.DeclaredWrong, err = s.phaseDeclaredWrong(sh, r.GetDataSeq()); err != nil {
		return nil, err
	}
	for _, d := range item.GetRelated() {
		related, err := s.related(ctx, sh, d, at)
		if err != nil {
			return nil, err
		}
		r.Related = append(r.Related, related)
	}
	return r, nil
}

// phaseDeclaredWrong reads how a record was declared wrong, for the last time; nil when it never was.
func (s *server) phaseDeclaredWrong(sh *shelf, dataSeq string) (*ltlv1.DeclaredWrong, error) {
	at, err := rules.LocatePhaseCorrection(s.store, sh.chain.ID, sh.key, dataSeq)
	if at == nil || err != nil {
		return nil, err
	}
	u, err := s.readUpload(sh.chain, at)
	if err != nil {
		return nil, err
	}
	c := rules.CorrectionOf(u.tx)
	phase, err := rules.GetPhase(s.store, sh.chain.ID, u.data.GetPhaseId())
	if err != nil || phase == nil || c == nil {
		return nil, fmt.Errorf("%w: transaction %d of block %d corrects no record: %w", store.ErrCorrupt, at.Index,
			at.Height, err)
	}
	key := rules.PhaseKey(sh.chain.Code, phase.Code, u.items[0].GetDataKey())
	return &ltlv1.DeclaredWrong{
		TransactionHash: u.id[:], Key: key, BusinessId: u.seqs[0], Reason: c.GetReason(), TimeMs: u.header.TimeMs,
		BlockHeight: at.Height, ByAdministrator: rules.ByAdministrator(c, key), Times: at.Extra,
	}, nil
}

// uploadAt returns the upload that a locator names. last caches the one that was read last.
func (s *server) uploadAt(last **upload, chain *rules.Chain, at *rules.Locator) (*upload, error) {
	if u := *last; u != nil && u.at.Height == at.Height && u.at.Index == at.Index {
		return u, nil
	}
	u, err := s.readUpload(chain, at)
	if err == nil {
		*last = u
	}
	return u, err
}

// readUpload reads the upload that a locator names.
func (s *server) readUpload(chain *rules.Chain, at *rules.Locator) (*upload, error) {
	payload, _, batch, header, hash, err := s.store.Transaction(chain.ID, at.Height, at.Index)
	if err != nil {
		return nil, err
	}
	tx, err := rules.Decode(payload)
	if err != nil {
		return nil, fmt.Errorf("%w: transaction %d of block %d: %w", store.ErrCorrupt, at.Index, at.Height, err)
	}
	u := &upload{at: *at, tx: tx, data: tx.GetUploadPhaseData(), id: ledger.TransactionID(payload), hash: hash,
		header: header}
	items, code := rules.PhaseItems(u.data)
	if code != rules.OK || len(items) == 0 {
		return nil, fmt.Errorf("%w: transaction %d of block %d holds no phase record", store.ErrCorrupt, at.Index, at.Height)
	}
	u.items, u.seqs = items, rules.DataSeqs(u.id, items)
	u.names, err = s.endorsers(chain, batch, payload)
	return u, err
}

// itemOf finds the item of an upload that is a version of a Key: items of one data key have consecutive versions.
func (s *server) itemOf(chain *rules.Chain, key, dataKey string, u *upload, version uint32) (int, error) {
	var same []int
	for i, item := range u.items {
		if item.GetDataKey() == dataKey {
			same = append(same, i)
		}
	}
	missing := fmt.Errorf("%w: version %d of key %q is not in transaction %d of block %d",
		store.ErrCorrupt, version, key, u.at.Index, u.at.Height)
	switch len(same) {
	case 0:
		return 0, missing
	case 1:
		return same[0], nil
	}
	first, err := rules.Locate(s.store, chain.ID, rules.SequenceKey(key, u.seqs[same[0]]))
	if err != nil {
		return 0, err
	}
	if first == nil || version < first.Version() || int(version-first.Version()) >= len(same) {
		return 0, missing
	}
	return same[version-first.Version()], nil
}

// related describes what a record refers to, by the present names of the phases.
func (s *server) related(
	ctx context.Context, sh *shelf, d *ltlv1.RelatedData, at *rules.Locator,
) (*ltlv1.RelatedRecord, error) {
	phase, ok := sh.phases[d.GetPhaseId()]
	if !ok {
		var err error
		if phase, err = rules.GetPhase(s.store, sh.chain.ID, d.GetPhaseId()); err != nil {
			return nil, err
		}
		if phase == nil {
			return nil, fmt.Errorf("%w: related phase %q is missing", store.ErrCorrupt, d.GetPhaseId())
		}
		sh.phases[phase.ID] = phase
	}
	dataKey, code := rules.PlainDataKey(sh.chain, phase, d.GetDataKey())
	if code != rules.OK {
		return nil, fmt.Errorf("%w: related data key %q", store.ErrCorrupt, d.GetDataKey())
	}
	digest := ledger.DataHash(d.GetPhaseData())
	r := &ltlv1.RelatedRecord{
		PhaseId: phase.ID, PhaseName: phase.Name, DataKey: rules.PhaseKey(sh.chain.Code, phase.Code,
			dataKey), DataSeq: d.GetDataSeq(),
		PhaseDataHash: digest[:],
	}
	if r.DataSeq != "" {
		return r, nil
	}
	newest, err := s.newestBefore(sh.chain, r.DataKey, at)
	if err != nil {
		return nil, err
	}
	place := keyVersion{r.DataKey, newest.Version()}
	if seq, ok := sh.seqs[place]; ok {
		r.DataSeq = seq
		return r, nil
	}
	if err := ctx.Err(); err != nil { // each of many related data may lie in an upload of its own
		return nil, err
	}
	u, err := s.uploadAt(&sh.other, sh.chain, newest)
	if err != nil {
		return nil, err
	}
	i, err := s.itemOf(sh.chain, r.DataKey, dataKey, u, newest.Version())
	if err != nil {
		return nil, err
	}
	r.DataSeq = u.seqs[i]
	sh.seqs[place] = r.DataSeq
	return r, nil
}

// newestBefore returns what was the newest record of a Key when the transaction at a place was executed: the last
// version in front of it. Versions are in order of their places, so it searches by halves.
func (s *server) newestBefore(chain *rules.Chain, key string, place *rules.Locator) (*rules.Locator, error) {
	newest, err := rules.Locate(s.store, chain.ID, rules.NewestKey(key))
	if err != nil {
		return nil, err
	}
	missing := fmt.Errorf("%w: key %q has no record before transaction %d of block %d",
		store.ErrCorrupt, key, place.Index, place.Height)
	if newest == nil {
		return nil, missing
	}
	before := func(l *rules.Locator) bool {
		return l.Height < place.Height || l.Height == place.Height && l.Index < place.Index
	}
	if before(newest) {
		return newest, nil
	}
	var found *rules.Locator
	var failed error
	sort.Search(int(newest.Version()), func(i int) bool {
		if failed != nil {
			return true
		}
		var l *rules.Locator
		if l, failed = s.version(chain, key, uint32(i)+1); failed != nil || !before(l) {
			return true
		}
		found = l
		return false
	})
	if failed == nil && found == nil {
		failed = missing
	}
	return found, failed
}
