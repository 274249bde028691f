package main

// evidenceMutants are faults of checkpoints, and of who is convicted by them.
func evidenceMutants() []mutant {
	return []mutant{
		{"latch-forgets", "a checkpoint is signed whatever was signed before", []edit{{"internal/checkpoint/signer.go",
			"if root != before.root {", "if root == (ledger.Hash{}) {"}},
			"./internal/checkpoint", "TestNeverTwoRoots", long},
		{"latch-later", "what was signed is not written to disk", []edit{{"internal/checkpoint/latch.go",
			"		err = os.Rename(temporary, filepath.Join(l.dir, chainID))\n", ""}}, "./internal/checkpoint",
			"TestNeverTwoRoots", long},
		{"latch-shared", "two processes sign with one memory", []edit{{"internal/checkpoint/latch.go",
			"unix.LOCK_EX|unix.LOCK_NB", "unix.LOCK_SH|unix.LOCK_NB"}}, "./internal/checkpoint", "TestLatchLost", short},
		{"convicts-others", "two signers are convicted by one checkpoint each", []edit{{"client/proof/misbehaviour.go",
			"		v.First.Signers[0].key != v.Second.Signers[0].key {\n", "		v.First.Size == 0 {\n"}}, "./client/proof",
			"TestVectors", short},
		{"convicts-unsigned", "lines that are not the convicted one's stand in the file", []edit{{"client/proof/misbehaviour.go",
			"if !signedOnce(m.First) || !signedOnce(m.Second) || ", "if "}}, "./client/proof", "TestVectors", short},
		{"convicts-continuation", "who signed a history and its continuation is convicted", []edit{{
			"client/proof/misbehaviour.go", "case within.Root == first.Root:", "case within.Root == first.Root && first.Size == 0:"}},
			"./client/proof", "TestMisbehaviours", short},
		{"chains-compared", "checkpoints of two chains are compared", []edit{{"client/proof/consistency.go",
			"if !ok || a.Origin != b.Origin {", "if !ok {"}}, "./client/proof", "TestVectors", short},
		{"lie-forgotten", "what a signer signed that this copy lacks is not kept", []edit{{"internal/checkpoint/shown.go",
			"			known.open = append(known.open, next)\n", "			known.open = append(known.open[:0], next)\n"}},
			"./internal/checkpoint", "TestShown", short},
		{"convicted-signs", "a key that was convicted signs on", []edit{{"internal/checkpoint/signer.go",
			"if s.stopFor(against); against != nil {", "if s.stopFor(against); against == errNote {"}}, "./internal/checkpoint",
			"TestOwnKeyConvicted", short},
		{"checkpoint-unsigned", "signatures of one height and of another make a majority together", []edit{
			{"client/proof/checkpoint.go", "nodes, both = nodes || n, both || n && o", "nodes, both = nodes || n, both || o"}},
			"./client/proof", "TestReplacedNodes", short},
		{"evidence-foreign", "the certificate of another account's transaction is given out", []edit{{"facade/evidence.go",
			"	if !viewer.Sees(", "	if tx == nil && !viewer.Sees("}}, "./test/conformance", "TestAPI/Parallel/Evidence", long},
		{"evidence-path", "a signature for the API is one for evidence", []edit{{"facade/acs3.go",
			"cmp.Or(q.path, endpoint)", "cmp.Or(endpoint, q.path)"}}, "./facade", "TestACS3Authentication", short},
	}
}
