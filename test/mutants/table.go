package main

import "time"

// mutant is one fault that the test suite must find.
type mutant struct {
	name  string
	fault string // in one sentence
	edits []edit
	// tests are the package and the pattern of the tests that must fail; limit is the time that they have.
	pkg, run string
	limit    time.Duration
}

// edit replaces a text that occurs exactly once in a file, named from the module's root.
type edit struct{ file, from, to string }

const (
	short = time.Minute
	long  = 4 * time.Minute
)

// table lists the faults. Those of the disk and of consensus come first, then what is signed and hashed, then the
// rules.
func table() []mutant {
	return append(append(append(diskMutants(), raftMutants()...), bytesMutants()...), rulesMutants()...)
}

func diskMutants() []mutant {
	return []mutant{
		{"store-no-sync", "the ledger's database is never synced", []edit{{"internal/store/open.go",
			"NoSync: o.NoSync, NoGrowSync", "NoSync: true, NoGrowSync"}}, "./internal/store", "TestRoundTrip", short},
		{"raft-no-sync", "the Raft log is never synced", []edit{{"node/raft_log.go",
			"NoSync: o.noSync,", "NoSync: true,"}}, "./test/faults", "TestDiskFaults/ext4/PowerCut", long},
		{"visible-before-commit", "what an entry changed is visible before it is on disk", []edit{{"internal/store/writer.go",
			"\t\treturn tx.Bucket([]byte(bucketMeta)).Put([]byte(keyHead), w.head.encode())",
			"\t\tdefer s.publish(w)\n\t\treturn tx.Bucket([]byte(bucketMeta)).Put([]byte(keyHead), w.head.encode())"}},
			"./internal/store", "TestFailStop", short},
		{"applied-index-later", "the applied index is written in a transaction of its own, after the blocks", []edit{
			{"internal/store/apply.go", "\t\t\tresults[i] = r\n\t\t\tw.head.applied = e.Index\n", "\t\t\tresults[i] = r\n"},
			{"internal/store/apply.go", "\tif err != nil {\n\t\treturn nil, err\n\t}\n\treturn results, nil\n",
				"\tif err != nil {\n\t\treturn nil, err\n\t}\n\treturn results, s.SetApplied(entries[len(entries)-1].Index)\n"},
		}, "./internal/store", "TestOneCommitAGroup|TestRestartAnywhere", short},
		{"store-goes-on", "after a failed commit the store goes on, as bbolt would", []edit{{"internal/store/store.go",
			"\ts.fail(err)\n\treturn fmt.Errorf(\"%w: %w\", ErrFailed, err)",
			"\treturn fmt.Errorf(\"%w: %w\", ErrFailed, err)"}},
			"./internal/store", "TestFailStop", short},
		{"raft-log-goes-on", "after a failed write the Raft log goes on", []edit{{"node/log_store.go",
			"\tif first {\n\t\tf.first = err\n\t}\n", ""}}, "./node", "TestLogStoreFailsStop|TestStableStore", short},
		{"no-watchdog", "a hanging disk is waited for", []edit{{"node/log_store.go",
			"f.fail(fmt.Errorf(\"%w: %s takes longer than %v\", errLogHangs, what, f.hangLimit))",
			"errLogHangs"}}, "./node", "TestLogStoreWatchdog", short},
		{"store-no-watchdog", "a commit of the ledger that hangs is waited for", []edit{{"internal/store/store.go",
			"hang := StartWatchdog(limit, func() { s.fail(",
			"hang := StartWatchdog(limit, func() { _ = ("}}, "./internal/store", "TestHangingCommit", short},
		{"store-checksum", "the checksum of a stored value is not compared", []edit{{"internal/store/format.go",
			"if n < 0 || binary.BigEndian.Uint32(sealed[n:]) != checksum(place, chainID, key, sealed[:n]) {", "if n < 0 {"}},
			"./internal/store", "TestByteFlips", long},
		{"index-checksum", "the checksum of an index page is not compared", []edit{{"internal/store/index_page.go",
			"if binary.BigEndian.Uint32(p[pageSize-crcLen:]) != crc32.Checksum(p[:pageSize-crcLen], castagnoli) {",
			"if len(p) < pageSize {"}},
			"./internal/store", "TestRunFlips", short},
		{"state-digest", "lost state is not noticed at the start", []edit{{"internal/store/open.go",
			"if sum != h.state {", "if sum != h.state && false {"}}, "./internal/store", "TestLostStateIsDamage", short},
		{"raft-checksum", "the checksum of a Raft entry is not compared", []edit{{"node/log_store.go",
			"if l.Index != index || sum != entrySum(l.Index, l.Term, l.Type, l.Data, l.Extensions) {",
			"if _ = sum; l.Index != index {"}},
			"./node", "TestLogStoreFlippedBytes|TestLogStoreCorruptIsNotAbsent", short},
		{"vote-checksum", "the checksum of term and vote is not compared", []edit{{"node/raft_log.go",
			"if n < 0 || binary.BigEndian.Uint32(sealed[n:]) != stableSum(key, sealed[:n]) {",
			"if n < 0 {"}}, "./node", "TestStableStore", short},
		{"store-corrupt-is-absent", "a block that must exist and is gone counts as one that never was",
			[]edit{{"internal/store/open.go",
				"return fmt.Errorf(\"%w: %s is missing\", ErrCorrupt, fmt.Sprintf(format, args...))",
				"return fmt.Errorf(\"%w: %s is missing\", ErrNotFound, fmt.Sprintf(format, args...))"}}, "./internal/store", "TestLostBlockIsDamage", short},
		{"raft-corrupt-is-absent", "an unreadable Raft entry counts as none", []edit{{"node/log_store.go",
			"return s.stop.fail(fmt.Errorf(\"%w: entry %d of %d to %d: %v\", errLogCorrupt, index, first, last, err))",
			"_, _ = first, last\n\t\treturn raft.ErrLogNotFound"}}, "./node", "TestLogStoreCorruptIsNotAbsent", short},
		{"raft-log-tail", "a Raft log that ends below what was executed is accepted", []edit{{"node/raft_log.go",
			"if l.last < o.minLast {", "if l.last < o.minLast && false {"}}, "./node", "TestLostTail", short},
		{"raft-log-gone-snapshot", "a node whose Raft log is gone, but that has a Raft snapshot, votes again",
			[]edit{{"node/node.go",
				"gone && (newest != nil || applied > 0) {", "gone && newest == nil && applied > 0 {"}}, "./node", "TestNothingIsMadeAnewOutOfNothing", short},
		{"rebuild-forgets-log", "a ledger is rebuilt though the Raft log does not reach what was executed",
			[]edit{{"node/node.go",
				"o.minLast = max(o.minLast, note.Applied)", "_ = note"}}, "./node", "TestOldLogIsNoBasis", short},
		{"rebuild-without-majority", "a damaged node leaves while the others are too few", []edit{{"node/rebuild.go",
			"if healthy <= voters/2 {", "if healthy < 0 {"}}, "./node", "TestDamagedStateWhileRunning", short},
		{"repair-by-word", "a damaged block is replaced by whatever a peer gives", []edit{{"internal/verify/verify.go",
			"if got := ledger.BlockHash(b.GetHeader()); got != hash {",
			"if got := ledger.BlockHash(b.GetHeader()); got != hash && false {"}}, "./internal/store", "TestScrubAndRepair", short},
		{"raft-log-gone", "a node whose Raft log is gone votes again", []edit{{"node/replica.go",
			"if applied := r.store.AppliedIndex(); applied > 0 {",
			"if applied := r.store.AppliedIndex(); applied > 0 && false {"}},
			"./node", "TestLostRaftLog", short},
	}
}

func raftMutants() []mutant {
	return []mutant{
		{"heartbeat-fast-path", "heartbeats go past Raft's loop", []edit{
			{"node/transport.go", "func (t *Transport) SetHeartbeatHandler(func(raft.RPC)) {}",
				"func (t *Transport) SetHeartbeatHandler(fn func(raft.RPC)) { t.fast = fn }"},
			{"node/transport.go", "\tmu      sync.Mutex\n\tclosed  bool\n\tconns ",
				"\tfast    func(raft.RPC)\n\tmu      sync.Mutex\n\tclosed  bool\n\tconns "},
			{"node/transport_server.go", "func (t *Transport) hand(ctx context.Context, rpc raft.RPC) error {\n",
				"func (t *Transport) hand(ctx context.Context, rpc raft.RPC) error {\n\tif a, ok := rpc.Command.(*raft.AppendEntriesRequest); ok && t.fast != nil && a.Term != 0 &&\n\t\ta.PrevLogEntry == 0 && a.PrevLogTerm == 0 && len(a.Entries) == 0 && a.LeaderCommitIndex == 0 {\n\t\tt.fast(rpc)\n\t\treturn nil\n\t}\n"},
		}, "./node", "TestHeartbeatRace", short},
		{"header-of-another", "a node may speak in another node's name", []edit{{"node/transport_server.go",
			"if string(h.GetId()) != string(peer) || !same(h.GetAddress()) || !same(named) {",
			"if !same(h.GetAddress()) || !same(named) {"}},
			"./node", "TestTransportForgedHeader", short},
		{"answer-of-another", "an answer of another node than the one asked counts", []edit{{"node/transport.go",
			"if len(h.ID) > 0 && string(h.ID) != string(id) {",
			"if len(h.ID) > 0 && false {"}}, "./node", "TestTransportWrongAddress|TestTransportCalls", short},
		{"ack-before-commit", "a batch is answered with success although Raft lost it", []edit{{"node/orderer.go",
			"\t\terr := future.Error()\n\t\tif err != nil {\n",
			"\t\terr := future.Error()\n\t\tif errors.Is(err, raft.ErrLeadershipLost) {\n\t\t\tgiven := make([][]*ltlv1.Result, len(group))\n\t\t\tfor i, p := range group {\n" +
				"\t\t\t\tfor range p.batch.GetTransactions() {\n\t\t\t\t\tgiven[i] = append(given[i], &ltlv1.Result{Code: rules.OK})\n\t\t\t\t}\n\t\t\t}\n" +
				"\t\t\to.reply(group, &store.EntryResult{Results: given}, nil)\n\t\t\treturn\n\t\t}\n\t\tif err != nil {\n"}}, "./node", "TestSimulation|TestLostLeadershipIsNoSuccess", long},
		{"read-without-leader-check", "a leader answers reads without asking whether it still leads", []edit{{"node/reads.go",
			"\tif err := d.confirm(ctx, s.raft, term); err != nil {\n\t\treturn 0, err\n\t}\n",
			"\t_ = term\n"}}, "./node", "TestSimulation|TestReadNeedsAMajority", long},
		{"read-by-minority", "one answer confirms that a leader leads", []edit{{"node/reads.go",
			"if yes > len(voters)/2 {", "if yes > 0 {"}}, "./node", "TestSimulation|TestReadNeedsAMajority", long},
		{"read-without-barrier", "a new leader answers reads before it has committed an entry", []edit{{"node/reads.go",
			"\treturn d.barriers.join(ctx)\n", "\treturn term, nil\n"}}, "./node", "TestSimulation|TestLeaderWithoutBlocksConfirmsNoRead", long},
		{"snapshot-term", "a Raft log that contradicts the installed snapshot is kept", []edit{{"node/snapshot_conflict.go",
			"return entry.Term != newest.Term, nil", "return false, nil"}}, "./node", "TestInstallSnapshotConflict|TestCheckSnapshotTerm", short},
		{"snapshot-lost-branch", "a lost branch of the Raft log is kept below a snapshot",
			[]edit{{"node/snapshot_conflict.go",
				"if err != nil || first == 0 || last >= newest.Index {",
				"if err != nil || first == 0 || last >= newest.Index || true {"}},
			"./node", "TestInstallSnapshotLostBranch|TestCheckSnapshotTerm", short},
		{"entry-skipped", "an entry that this program does not know is skipped", []edit{{"node/fsm.go",
			"\t\tif err != nil {\n\t\t\treturn f.halt(fmt.Errorf(\"entry %d",
			"\t\tif err != nil {\n\t\t\tcontinue\n\t\t}\n\t\tif false {\n\t\t\treturn f.halt(fmt.Errorf(\"entry %d"}},
			"./node", "TestUnknownEntryStops", short},
		{"catch-up-from-liars", "a peer's blocks are not held against the leader's snapshot",
			[]edit{{"node/catch_up_headers.go",
				"if got := ledger.BlockHash(header); got != want {", "if got := ledger.BlockHash(header); got != want && false {"}},
			"./node", "TestCatchUpFromWrongPeers|TestCatchUpFromHostilePeers", short},
		{"route-previous-hash", "headers need not stand on one another", []edit{{"node/catch_up_headers.go",
			"case h.Previous == below.hash: // zero below block 0",
			"case h.Previous == below.hash, known:"}}, "./node", "TestHeaderLinks", short},
		{"abandoned-is-written", "a batch whose caller was told that nothing was written is ordered",
			[]edit{{"node/orderer.go",
				"\t\tif p.abandoned {\n\t\t\tcontinue\n\t\t}\n", ""}}, "./node", "TestAbandonedBatchIsNotWritten", short},
		{"slow-leader-refuses", "a leader that is behind refuses for good what endorsers have seen more for",
			[]edit{{"node/orderer.go",
				"if refused, err = o.recheckEndorsements(ctx, b); err != nil {",
				"if err != nil {"}}, "./node", "TestSlowLeaderRefusesNothing", short},
		{"queue-without-bound", "the orderer's queue has no bound", []edit{{"node/orderer.go",
			"if len(o.queue) >= maxQueueItems || o.bytes+size > maxQueueBytes {",
			"if len(o.queue) >= maxQueueItems<<20 {"}}, "./node", "TestQueueIsBounded", short},
		{"verified-by-statement", "an endorsement is remembered as verified by its statement alone",
			[]edit{{"node/endorsement_cache.go",
				"for _, b := range [][]byte{e.GetStatement(), e.GetSignature(), key} {",
				"for _, b := range [][]byte{e.GetStatement()} {"}},
			"./node", "TestSharedVerification|TestEndorsementCacheIsBounded", short},
	}
}

func bytesMutants() []mutant {
	return []mutant{
		{"hash-by-concatenation", "what is hashed is put together without lengths", []edit{{"internal/ledger/ledger.go",
			"func writeBytes(h hash.Hash, b []byte) {\n\twriteUint32(h, len(b))\n",
			"func writeBytes(h hash.Hash, b []byte) {\n"}},
			"./internal/ledger", "IsInjective", short},
		{"hash-without-domain", "hashes of different things have no domain of their own", []edit{{"internal/ledger/ledger.go",
			"return sha256.Sum256(append(append(scratch[:0], domain...), b...))",
			"_ = domain\n\treturn sha256.Sum256(append(scratch[:0], b...))"}},
			"./internal/ledger", "TestDomainsAreSeparate|TestTransactionIDPrefix", short},
		{"merkle-without-prefix", "leaves and nodes of a Merkle tree are hashed alike", []edit{{"internal/ledger/merkle.go",
			"\tnodePrefix = 1\n", "\tnodePrefix = 0\n"}}, "./internal/ledger", "TestRoots", short},
		{"outcome-without-code", "a result code is not under the block's root", []edit{{"internal/ledger/ledger.go",
			"dst = binary.BigEndian.AppendUint32(dst, uint32(o.Code))", "dst = binary.BigEndian.AppendUint32(dst, 0)"}},
			"./internal/ledger", "TestEveryPartOfAnOutcomeCounts", short},
		{"verify-previous-hash", "verifying a store does not compare previous hashes", []edit{{"internal/verify/order.go",
			"case h.Previous != due.Previous:", "case h.Previous != due.Previous && false:"}}, "./internal/store", "TestVerifyFindsABrokenLink", short},
		{"append-header", "a peer's block is stored though execution gives another header",
			[]edit{{"internal/verify/verify.go",
				"if bytes.Equal(made.Block.GetHeader(), b.GetHeader()) {",
				"if _ = bytes.Equal; len(b.GetHeader()) > 0 {"}}, "./internal/store", "TestAppendRefusesMutations", short},
		{"append-results", "a peer's block is stored though execution gives other results",
			[]edit{{"internal/verify/verify.go",
				"if want[i] != have[i] {", "if want[i] != have[i] && false {"}}, "./internal/store", "TestAppendRefusesMutations", short},
		{"endorser-signs-refused", "an endorser signs what it refused", []edit{{"endorser/endorse.go",
			"ids[i], accepted[i] = ledger.TransactionID(payload), verdicts[i] == rules.OK",
			"ids[i], accepted[i] = ledger.TransactionID(payload), true"}},
			"./endorser", "TestEndorseSignsWhatItAccepts", short},
		{"endorser-submitter", "an endorser signs what one process proposes in another's name", []edit{{"endorser/endorse.go",
			"case tx.GetSubmitter() != name:", "case tx.GetSubmitter() != name && name == \"\":"}}, "./endorser", "TestEndorseSignsWhatItAccepts", short},
		{"endorser-signs-on-fault", "an endorser signs with a copy that is damaged", []edit{{"endorser/endorser.go",
			"\tif e.fault.CompareAndSwap(nil, &text) {\n", "\tif text == \"\" {\n"}}, "./endorser", "TestUnsoundCopyEndsSigning|TestBadBlockEndsSigning", short},
	}
}

func rulesMutants() []mutant {
	return []mutant{
		{"policy-skipped", "every batch with well-formed endorsements is endorsed", []edit{{"internal/rules/endorsements.go",
			"case q.Satisfied(subject, timely):", "case timely == timely:"}}, "./internal/rules", "TestWhichEndorsementsCount|TestPolicyInForce", short},
		{"policy-half", "half of the organisations are a majority", []edit{{"internal/policy/policy.go",
			"t.n = len(organisations)/2 + 1", "t.n = (len(organisations) + 1) / 2"}}, "./internal/policy", "TestSatisfied", short},
		{"policy-one-term", "only the last term of a policy counts", []edit{{"internal/policy/policy.go",
			"for _, t := range q.thresholds {\n\t\tif (signed & t.of).Len() < t.n {\n\t\t\treturn false",
			"for _, t := range q.thresholds[max(len(q.thresholds), 1)-1:] {\n\t\tif (signed & t.of).Len() < t.n {\n\t\t\treturn false"}},
			"./internal/policy", "TestSatisfied", short},
		{"signature-skipped", "an endorsement's signature is not verified", []edit{{"internal/rules/endorsements.go",
			" || verify(key, en) != nil {", " || verify == nil {"}},
			"./internal/rules", "TestWhichEndorsementsCount|TestVerifyIsAskedOnce", short},
		{"endorsement-of-another-batch", "an endorsement counts for another batch", []edit{{"internal/ledger/endorsement.go",
			"\tb = append(b, e.Root[:]...)\n", "\tb = append(b, make([]byte, len(e.Root))...)\n"}}, "./internal/rules", "TestWhichEndorsementsCount", short},
		{"endorsement-of-another-chain", "an endorsement counts on another chain", []edit{{"internal/ledger/endorsement.go",
			"\tb = append(b, e.ChainID...)\n", "\tb = append(b, make([]byte, len(e.ChainID))...)\n"}}, "./internal/rules", "TestWhichEndorsementsCount", short},
		{"endorsement-expiry", "an endorsement never expires", []edit{{"internal/rules/endorsements.go",
			"e.timeMs-s.ClockMs <= EndorsementLifeMs}", "e.timeMs-s.ClockMs != 1<<62}"}}, "./internal/rules", "TestWhichEndorsementsCount", short},
		{"duplicates", "a transaction that was executed before is executed again", []edit{{"internal/rules/execute.go",
			"if !found || err != nil {\n\t\treturn nil, err\n\t}\n\tr := &ltlv1.Result{Code: l.Code()",
			"if !found || err != nil || l.Height > 0 {\n\t\treturn nil, err\n\t}\n\tr := &ltlv1.Result{Code: l.Code()"}},
			"./internal/rules", "TestKnownTransactions", short},
		{"nonce", "a signed request may be used twice", []edit{{"internal/rules/apply.go",
			"\t\tcode = NonceUsed\n", "\t\tcode = form\n"}}, "./internal/rules", "TestNonce", short},
		{"repeat-unseen", "the retry of a written upload is refused like a new one", []edit{{"internal/rules/apply.go",
			"k.repeated != nil && act.actor != nil {", "k.repeated != nil && act.actor == nil {"}},
			"./internal/rules", "TestRepeatedProof|TestRepeatedPhase", short},
		{"repeat-tells-others", "the retry of another account's signed upload is answered", []edit{{"internal/rules/repeat.go",
			"if group == nil || group.OwnerID != act.actor.member.ID || err != nil {", "if group == nil || err != nil {"}},
			"./internal/rules", "TestNoRepeatOnPhase", short},
		{"time-goes-back", "a block may be older than the one below", []edit{{"internal/rules/rules.go",
			"max(in.TimeMs, in.PreviousTimeMs)", "in.TimeMs"}}, "./internal/rules", "TestTimeNeverGoesBack", short},
		{"refused-is-success", "a refused transaction is answered as written", []edit{{"client/write.go",
			"\t\t\tc.reply(s, results[i], nil)\n", "\t\t\tresults[i].Code = rules.OK\n\t\t\tc.reply(s, results[i], nil)\n"}},
			"./client", "TestRefusalByExecution", short},
	}
}
