package main

import (
	"slices"
	"time"
)

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
	return slices.Concat(diskMutants(), raftMutants(), lyingPeerMutants(), announceMutants(), bytesMutants(),
		evidenceMutants(), rulesMutants(), submitterMutants(), restorationMutants(), ownerMutants(), nodesWordMutants(),
		timeMutants(), consoleMutants(), facadeMutants(), commandMutants(), openingMutants())
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

// announceMutants are of how followers hear of commits.
func announceMutants() []mutant {
	return []mutant{
		{"announced-early", "a commit is announced to followers that may lack the entry", []edit{{"node/transport_pipeline.go",
			"p.asked = c.index > p.sent", "p.asked = false"}}, "./node", "TestAnnounce$", short},
		{"announced-never", "a follower that asks before it is sent the entry is not told", []edit{{"node/transport_pipeline.go",
			"\tif p.asked {\n", "\tif false {\n"}}, "./node", "TestAnnounce$", short},
		{"announced-without-entry", "the announcement of a commit names no entry", []edit{{"node/transport_pipeline.go",
			"args.PrevLogEntry, args.PrevLogTerm, args.LeaderCommitIndex = c.index, c.term, c.index",
			"args.LeaderCommitIndex = c.index"}}, "./node", "TestAnnounce$", short},
		{"announcement-to-raft", "raft gets the answers to announcements", []edit{{"node/transport_pipeline.go",
			"if f.announces && err == nil {", "if false {"}}, "./node", "TestAnnounce$", short},
		{"no-announcement", "followers learn of a commit when raft's timer says so", []edit{{"node/transport_server.go",
			"\t\tt.Announce(id)\n", "\t\t_ = t\n"}}, "./node", "TestClusterReadsAtOnce", short},
		{"held-before-entries", "entries follow a pause without a sign of life first", []edit{{"node/transport_pipeline.go",
			"if p.held != nil && time.Since(p.last) > staleContact {", "if false {"}}, "./node", "TestHeldAppends", short},
	}
}

func raftMutants() []mutant {
	return []mutant{
		{"removed-leader-cut", "nodes of a removed organisation are refused before Raft has removed them", []edit{{
			"internal/identity/peer_certificate.go", "gone && (!ok || id.Role != RoleNode)", "gone"}},
			"./test/testkit", "TestLeadingOrganisationIsRemoved", long},
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
				"\t\to.queue = slices.Delete(o.queue, at, at+1)\n", ""}}, "./node", "TestAbandonedBatchIsNotWritten", short},
		{"slow-leader-refuses", "a leader that is behind refuses for good what endorsers have seen more for",
			[]edit{{"node/orderer.go",
				"if refused, err = o.recheckEndorsements(ctx, b); err != nil {",
				"if err != nil {"}}, "./node", "TestSlowLeaderRefusesNothing", short},
		{"queue-without-bound", "the orderer's queue has no bound", []edit{{"node/orderer.go",
			"return admission.NewShares(queue, queue/2, queue*3/4, own)",
			"return admission.NewShares(queue<<20, queue<<20, queue<<20, own)"}}, "./node", "TestQueueIsBounded", short},
		{"verified-by-statement", "an endorsement is remembered as verified by its statement alone",
			[]edit{{"internal/store/signatures.go",
				"for _, b := range [][]byte{e.GetStatement(), e.GetSignature(), key} {",
				"for _, b := range [][]byte{e.GetStatement()} {"}},
			"./internal/store", "TestSignatures", short},
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
		{"one-liar-stops-signing", "a bad block from one node ends an organisation's signing", []edit{{"endorser/follow.go",
			"case errors.Is(err, verify.ErrBadBlock) && e.accuse(e.nodes[at]):",
			"case errors.Is(err, verify.ErrBadBlock) && !e.accuse(e.nodes[at]) && false:"}}, "./endorser", "TestOneNodeWithBadBlocks", short},
		{"learners-outvote", "nodes are counted where organisations decide", []edit{{"endorser/nodes.go",
			"\treturn 2*voices > len(all)\n", "\t_ = voices\n\treturn 2*len(ids) > len(e.nodes)\n"}}, "./endorser", "TestLearnersDoNotOutvote", short},
	}
}

func submitterMutants() []mutant {
	return []mutant{
		{"submitter-forged", "a policy is met without the submitter's organisation", []edit{{"internal/policy/policy.go",
			"if !q.act && (s.Submitter == 0 || s.must()&^signed != 0) ||", "if !q.act && s.Required&^signed != 0 ||"}},
			"./internal/policy", "TestSatisfied|TestSubmitterEndorses", short},
		{"submitter-unasked", "execution and the leader ask for the account's organisation in place of the submitter's",
			[]edit{{"internal/rules/endorsements.go", "asked{submitter.organisation, account, holder}",
				"asked{account, account, holder}"}}, "./internal/rules", "TestSubmitterVouches|TestDelegateVouches", short},
		{"submitter-cached", "the judgement of a transaction holds for another submitter's", []edit{{
			"internal/rules/endorsements.go", "any == l.any && by == l.by {",
			"any == l.any && by.account == l.by.account && by.holder == l.by.holder {"}},
			"./internal/rules", "TestSubmitterVouches", short},
		{"submitter-of-acts", "on the system chain refusals stand in another organisation's name", []edit{{
			"internal/rules/needs.go", "if err == nil && !n.signed {", "if err != nil {"}},
			"./internal/rules", "TestSubmitterVouchesOnTheSystemChain", short},
		{"submitter-accepts", "an acceptance needs no signature to be judged in the newcomer's name", []edit{{
			"internal/rules/invitation.go", "!facts.Lapsed(e.timeMs) && e.accepts(o, facts, m)}, nil",
			"!facts.Lapsed(e.timeMs) && o != nil}, nil"}},
			"./internal/rules", "TestSubmitterVouchesOnTheSystemChain|TestAcceptMembership", short},
		{"submitter-recovers", "a recovery needs no signature to be judged in an organisation's name", []edit{{
			"internal/rules/recovery.go", "out.signed = e.recovers(id, facts, r)", "out.signed = facts != nil"}},
			"./internal/rules", "TestSubmitterVouchesOnTheSystemChain|TestRecovery", short},
		{"submitter-off-chain", "an endorser signs for a process whose organisation does not endorse on the chain", []edit{{
			"internal/rules/admit.go", "if e.chain != nil && !slices.Contains(", "if e.chain == nil && !slices.Contains("}},
			"./internal/rules", "TestSubmitterOffTheChain", short},
		{"submitter-alone", "the client goes on without its own endorser", []edit{{"client/votes.go",
			"= ch.quorum.Set(own.Organisation), ch.quorum.Set(s.organisation)",
			"= ch.quorum.All(), ch.quorum.Set(s.organisation)"},
			{"internal/policy/policy.go", "s.must()&^signed != 0)", "s.Submitter&signed == 0 || s.Required&^signed != 0)"}},
			"./client", "TestOwnEndorserIsNeeded|TestOwnEndorserIsWaitedFor", short},
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
		{"endorsement-expiry", "an endorsement never expires", []edit{{"internal/rules/clock.go",
			"max(timeMs, referenceMs)-clockMs <= c.lifeMs", "max(timeMs, referenceMs)-clockMs != 1<<62"}}, "./internal/rules", "TestWhichEndorsementsCount", short},
		{"clock-of-a-minority", "any organisation dates its batch", []edit{{"internal/rules/clock.go",
			"if isMajority(len(clocks), organisations) || ", "if len(clocks) > 0 || "}}, "./internal/rules", "TestBlockTime", short},
		{"reference-of-a-chain", "the majority of any chain moves the reference time", []edit{{"internal/rules/block_time.go",
			"if c.set.hasMajority(active) {", "if isMajority(len(c.set.votes), len(c.set.organisations)) {"}}, "./internal/rules",
			"TestOwnChainMovesNoReference", short},
		{"repeated-batch-dates", "a batch that is left out dates the block", []edit{{"internal/rules/block_time.go",
			"if !c.fresh || c.set.date.code != dated {", "if c.set == nil || c.set.date.code != dated {"}}, "./internal/rules",
			"TestRepeatedBatchGivesNoTime", short},
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
		{"time-goes-back", "a block may be older than the one below", []edit{{"internal/rules/block_time.go",
			"x.timeMs = max(x.timeMs, c.set.date.timeMs)", "x.timeMs = c.set.date.timeMs"}}, "./internal/rules", "TestTimeNeverGoesBack", short},
		{"decision-sent-directly", "what several organisations decide may be sent directly", []edit{{"internal/rules/needs.go",
			"case n.ballot != nil:\n\t\treturn e.refuse", "case n.owner == \"-\":\n\t\treturn e.refuse"}},
			"./internal/rules", "TestOwnersActs", short},
		{"target-votes", "an organisation votes on its own removal", []edit{{"internal/rules/needs.go",
			"Electorate: voters, Quorum: q, Excluded: x", "Electorate: n.Organisations, Quorum: q, Excluded: x"}},
			"./internal/rules", "TestVotesOfOthersDoNotCount", short},
		{"needed-skipped", "a quorum decides on what is another's", []edit{{"internal/rules/ballot.go",
			"for _, o := range b.Needed {\n\t\tif v :=", "for _, o := range b.Needed[:0] {\n\t\tif v :="}},
			"./internal/rules", "TestOwnersActs", short},
		{"stale-executed", "a proposal is executed though what it rests on has changed", []edit{{"internal/rules/proposal.go",
			"if stale || n.ballot == nil {", "if stale && n.ballot == nil {"}}, "./internal/rules", "TestProposalEnds", short},
		{"vote-of-a-twin", "a vote for another network counts", []edit{{"internal/rules/proposal.go",
			"if [32]byte(m.GetNetworkId()) != e.in.NetworkID {", "if len(m.GetNetworkId()) == 0 {"}},
			"./internal/rules", "TestProposalInTwinNetwork", short},
		{"refused-is-success", "a refused transaction is answered as written", []edit{{"client/write.go",
			"\t\t\tc.reply(s, results[i], nil)\n", "\t\t\tresults[i].Code = rules.OK\n\t\t\tc.reply(s, results[i], nil)\n"}},
			"./client", "TestRefusalByExecution", short},
	}
}

// nodesWordMutants believe what a node says of itself.
func nodesWordMutants() []mutant {
	return []mutant{
		{"leader-by-term", "a node that gives the newest term is the leader", []edit{{"client/leader.go",
			"return cmp.Or(b.named-a.named, cmp.Compare(b.term, a.term))", "return cmp.Compare(b.term, a.term)"}},
			"./client", "TestFalseLeader", short},
		{"leader-by-name", "a node leads because it says so first, though others lead by the word of more",
			[]edit{{"client/leader.go", "case at >= 0 && s.claims[at].named > 0:", "case at >= 0 && one.named > 1000:"}},
			"./client", "TestFalseLeaderIsSlow", short},
		{"epoch-by-one", "the word of one node of another restore epoch ends a node", []edit{{
			"node/handshake_proof.go", "2*len(saying) > len(all)", "len(saying) > 0"}}, "./node", "TestRestoreEpochs", short},
		{"network-by-word", "what one node says of the network's members and chains is believed", []edit{{
			"client/network.go", "n.hasNews(ctx)) {\n\t\tif in, err = n.confirm(ctx, request); err == nil {",
			"n.hasNews(ctx)) {\n\t\tif err == nil {"}}, "./client", "TestFalseNetwork", short},
		{"change-hidden", "what the node that was asked repeats is all that there is", []edit{{"client/network.go",
			"(!n.knows(in) || n.hasNews(ctx))", "!n.knows(in)"}}, "./client", "TestFalseNetwork", short},
		{"own-endorser-alone", "without agreement of the nodes any answer is believed", []edit{{"client/confirm.go",
			"a.organisation == own && a.height() >= n.trust.Height() {", "a.height() >= n.trust.Height() {"}},
			"./client", "TestOwnOrganisationDecides", short},
		{"invented-height", "the highest height of those that say the same is taken", []edit{{"client/confirm.go",
			"c.Height = max(low, known)", "c.Height = max(high, known)"}}, "./client", "TestFalseNetwork", short},
		{"blocks-by-word", "the highest number of blocks that any node reports is that of the ledger", []edit{{
			"client/leader.go", "s.sequence = uint64(max(rules.LowerMedian(slices.Collect(maps.Values(highest))), highest[own]))",
			"s.sequence = uint64(max(rules.LowerMedian([]int64{slices.Max(slices.Collect(maps.Values(highest)))}), highest[own]))"}},
			"./client", "TestPromisedBlocks", short},
		{"idle-liar", "a node that does not give the blocks that it reports is believed again at once", []edit{{
			"endorser/follow.go", "\t\t\t\tn.disbelieve(time.Now())\n", ""}}, "./endorser", "TestIdleLiar", short},
		{"empty-vote", "a statement that accepts nothing counts as a vote", []edit{{"client/endorse.go",
			"slices.Contains(v.accepted, true)", "slices.Contains(v.accepted, true) || len(v.accepted) > 0"}}, "./client", "TestVoteThatAcceptsNothing", short},
		{"secrets-withheld", "a node that withholds sealed secrets is waited for", []edit{{"client/keys.go",
			"func() { cancel(errWithholds) }", "func() {}"}}, "./client", "TestWithheldSecrets", short},
		{"reseal-by-word", "whatever a node gives as a sealed secret is taken", []edit{{"cmd/ltl/reseal.go",
			"committed := string(c[:]) == string(info.GetCommitment())", "committed := len(c) > 0"}},
			"./cmd/ltl", "TestResealAsksAnotherNode", long},
		{"answer-cut-off", "who leaves the network gets no answer", []edit{{"internal/identity/peer_connections.go",
			"c.usage != x509.ExtKeyUsageClientAuth {", "c.usage != x509.ExtKeyUsageClientAuth || true {"}},
			"./internal/identity", "TestAnswerBeforeTheEnd", short},
	}
}

// ownerMutants are faults of what belongs to whom on a business chain.
func ownerMutants() []mutant {
	return []mutant{
		{"entries-unbounded", "an organisation enters as much as it likes in the tables of all", []edit{{
			"internal/rules/entries.go", "n[in] >= most {", "n[in] > most {"}},
			"./internal/rules", "TestEntriesOfOneOrganisation", short},
		{"product-of-others", "any account registers any product", []edit{{"internal/rules/device.go",
			"if p.Organisation != a.Organisation {", "if p.Organisation == \"\" {"}}, "./internal/rules", "TestRegisterDeviceGroup", short},
		{"product-on-two-chains", "a text that was ahead counts again after its product moved", []edit{{"internal/rules/product.go",
			"+ MaxDeviceAheadMs + 1\n", "+ 1\n"}}, "./internal/rules", "TestMoveProduct", short},
		{"node-unsigned", "the key of a new node need not sign that it is to join", []edit{{"internal/rules/node.go",
			"case ledger.VerifyNewNode(e.in.NetworkID, &signed, a.GetPossession()) != nil:", "case signed.ID == \"\":"}},
			"./internal/rules", "TestNodeNeedsPossession", short},
		{"product-given-by-others", "who gets a product takes it by an act", []edit{{"internal/rules/product_move.go",
			"if owner == submitter && m.GetFormer() == owner &&", "if m.GetFormer() == owner &&"}},
			"./internal/rules", "TestGiveProduct|TestMoveProductRefusals", short},
		{"authority-unsigned", "the key of a certificate authority need not sign whose it is", []edit{{"internal/rules/authority.go",
			"if ledger.VerifyAuthority(der, possession, e.in.NetworkID, id) != nil {", "if len(possession) == 0 {"}},
			"./internal/rules", "TestAuthorityNeedsPossession", short},
		{"authority-by-bytes", "the owner of an authority's key is looked up by its certificate", []edit{{"internal/rules/authority.go",
			"return prefixAuthorityKey + hex.EncodeToString(key)", "return prefixAuthorityKey + hex.EncodeToString(key) + string(der)"}},
			"./internal/rules", "TestAuthorityKeyIsEnteredOnce", short},
		{"rotation-unsigned", "the former key need not sign a rotation", []edit{{"internal/rules/enrolment.go",
			"bySecret := former.Type == ltlv1.DeviceKeyType_DEVICE_KEY_TYPE_AES && len(r.GetFormerSignature()) == 0",
			"bySecret := len(r.GetFormerSignature()) == 0"}}, "./internal/rules", "TestRotateDeviceKey", short},
		{"ended-key-counts", "a key that was declared lost counts on", []edit{{"internal/rules/enrolment.go",
			"(k.Until == 0 || height < k.Until)", "(k.Until == 0 || height <= k.Until || i == len(v.Keys)-1)"}},
			"./internal/rules", "TestDeclareDeviceKey", short},
		{"succession-unsigned", "the signatures of a successor's genesis need not verify", []edit{{"internal/rules/succession.go",
			"	if err == nil {\n		err = text.Verify(", "	if err == nil && len(s.GetSignature()) == 0 {\n		err = text.Verify("}},
			"./internal/rules", "TestSuccession", short},
		{"succession-by-a-stranger", "a successor is signed by any key", []edit{{"internal/audit/succession.go",
			"\t\tdefault:\n\t\t\treturn", "\t\tcase \"\":\n\t\t\treturn"}}, "./internal/audit", "TestSuccession", short},
		{"correction-by-others", "any member declares any record wrong", []edit{{"internal/rules/correction.go",
			"if typeCode != a.member.TypeCode && a.member.Role != RoleAdmin {", "if typeCode == \"\" {"}},
			"./internal/rules", "TestCorrection", short},
		{"phase-correction-by-others", "any member declares any record of a phase wrong", []edit{{"internal/rules/phase_correction.go",
			"appendUploaderKey(e.key[:0], id, a.member.ID)); err != nil {", "appendTransactionKey(e.key[:0], id)); err != nil {"}},
			"./internal/rules", "TestPhaseCorrection", short},
		{"phase-correction-as-administrator", "any member declares a record of a phase wrong as the administrator", []edit{{
			"internal/rules/phase_correction.go", "found = a.member.Role == RoleAdmin", "found = true"}},
			"./internal/rules", "TestPhaseCorrection", short},
		{"phase-correction-of-another", "a correction names one transaction and another one's record", []edit{{
			"internal/rules/phase_correction.go", "!found || !samePlace(here, record) ||", "!found || !samePlace(record, record) ||"}},
			"./internal/rules", "TestPhaseCorrectionProperty", short},
	}
}

// restorationMutants are faults of what happens when a network was restored.
func restorationMutants() []mutant {
	return []mutant{
		{"restoration-of-more", "a restoration that kept more blocks than there are is recorded", []edit{{
			"internal/rules/restoration.go", "case r.GetBlocks() > e.in.Sequence:", "case false:"}},
			"./internal/rules", "TestRecordRestorationRefusals", short},
		{"restoration-without-last", "a restoration may have lost the record of the one before", []edit{{
			"internal/rules/restoration.go", "case r.GetBlocks() <= last.Recorded && len(all) > 0:", "case false:"}},
			"./internal/rules", "TestRecordRestorationRefusals", short},
		{"origin-of-before", "a signer goes back to the origin from before a restoration", []edit{{
			"internal/checkpoint/restoration.go", "if earlier >= uint64(at.Number) || ", "if "}},
			"./internal/checkpoint", "TestCosignAfterRestoration", short},
		{"kept-unchecked", "a signer does not compare what a restoration kept with what it signed", []edit{{
			"internal/checkpoint/restoration.go", "return err == nil && root == before.root, err", "return err == nil && len(root) > 0, err"}},
			"./internal/checkpoint", "TestCosignAfterRestoration", short},
		{"one-node-restores", "one node says alone that the network was restored", []edit{{"endorser/restoration.go",
			"2*count[said] > owners || o == own", "count[said] > 0 || o == own"}}, "./endorser", "TestHeardEpochs", short},
		{"lost-is-certified", "the first block that a restoration lost counts as kept", []edit{{"client/proof/restoration.go",
			"sequence >= r.blocks:", "sequence > r.blocks:"}}, "./client/proof", "TestVectors", short},
	}
}

// timeMutants are faults of the rules on time.
func timeMutants() []mutant {
	return []mutant{
		{"correction-again", "a chain's time goes back after each block that sees the correction", []edit{{"internal/rules/correct_time.go",
			"if h.SystemHeight < c.Height ||", "if h.SystemHeight <= c.Height ||"}}, "./internal/rules", "TestChainsThatSleep", short},
		{"correction-forward", "a correction need not be before the reference time", []edit{{"internal/rules/correct_time.go",
			"case to >= e.in.PreviousReferenceMs:", "case to < 0:"}}, "./internal/rules", "TestCorrectTimeRefusals", short},
		{"correction-any-time", "a correction may set any time", []edit{{"internal/rules/correct_time.go",
			"to > e.medianMs+MaxClockSpreadMs || to < e.medianMs-MaxCorrectionAgeMs", "to < 0"}}, "./internal/rules", "TestCorrectTimeRefusals", short},
		{"unexpired-former-key", "a replaced key votes on corrections for ever", []edit{{"internal/rules/endorsements.go",
			"if unexpired && v.inForce &&", "if unexpired &&"}}, "./internal/rules", "TestOnlyCorrectionsDoNotExpire", short},
		{"unexpired-all", "no vote and no proposal expires", []edit{{"internal/rules/correct_time.go",
			"return a.Propose.GetCorrectTime() != nil, nil", "return true, nil"}}, "./internal/rules", "TestOnlyCorrectionsDoNotExpire", short},
		{"former-key-ahead", "a key replaced while the time was ahead counts until then", []edit{{"internal/rules/correct_time.go",
			"until = min(until, c.ToMs)", "until = max(until, c.ToMs)"}}, "./internal/rules", "TestFormerKeyAfterCorrection", short},
		{"time-stands", "every chain's time stands", []edit{{"internal/rules/endorsements.go",
			"e.chain == nil || e.chain.TimeStands)", "true)"}}, "./internal/rules", "TestTimeStands", short},
		{"tick-by-few", "one organisation makes a Tick", []edit{{"internal/rules/tick.go", "policy.Of(len(n.Organisations)/2+1,",
			"policy.Of(1,"}}, "./internal/rules", "TestTickRefusals", short},
		{"tick-at-once", "a Tick may follow another at once", []edit{{"internal/rules/tick.go", "ahead < MinTickMs", "ahead < 0"}},
			"./internal/rules", "TestTickRefusals", short},
		{"endorser-writes", "an endorser may submit whatever an operator may", []edit{{"internal/rules/apply.go",
			"submitter.role != role {", "submitter.role != role && submitter.role != roleEndorser {"}}, "./internal/rules",
			"TestTickRefusals", short},
		{"tick-believed", "a node's word that a Tick is ordered ends the fault", []edit{{"endorser/tick.go",
			"if outcome == tickUnendorsed {", "if outcome != tickUnordered {"}}, "./endorser", "TestTickCensored", short},
		{"tick-forgotten", "what was signed before the start does not count as kept back", []edit{{"endorser/unseen.go",
			"if u.forgottenMs > expiredMs && u.forgottenMs <= beforeMs {", "if false {"}}, "./endorser", "TestTickAfterStart", short},
		{"tick-for-written", "a signature that is on the ledger counts as kept back", []edit{{"endorser/unseen.go",
			"!on || err != nil {", "true || on {"}}, "./endorser", "TestTickOnlyWhenNeeded", short},
		{"tick-ahead", "what a time that is ahead has ended is forgotten", []edit{{"endorser/tick.go",
			"min(reference, clock)", "reference"}}, "./endorser", "TestTickWhileAhead", short},
		{"order-back", "headers may set the reference time back anywhere on the system chain", []edit{{"internal/verify/order.go",
			"case !corrects && h.ReferenceMs < due.PreviousReferenceMs:", "case false:"}}, "./internal/verify", "TestOrderCorrected", short},
		{"submitter-unsigned", "a certificate need not have the signature of the submitter's organisation", []edit{{
			"client/proof/verify.go", "if !organisations[sender] && !v.signsItself() {", "if sender == \"/\" {"}},
			"./client/proof", "TestSubmitterSigned", short},
		{"submitter-anywhere", "an acceptance needs no endorsement on a business chain either", []edit{{
			"client/proof/verify.go", "return v.header.Chain == systemChain && (a ==", "return v.header.Chain != \"\" && (a =="}},
			"./client/proof", "TestSubmitterSigned", short},
		{"stands-unsaid", "a certificate does not say that the time stood", []edit{{"client/proof/verify.go",
			`v.reserve("time-stands")`, "return"}}, "./client/proof", "TestTimesOfCertificates", short},
		{"window-in-order", "queries take all versions to be in order of time", []edit{{"internal/query/window.go",
			"if i < len(corrections) {", "if i < len(corrections)-1 {"}}, "./test/adversary", "TestTimeAheadOfAllClocks", long},
	}
}
