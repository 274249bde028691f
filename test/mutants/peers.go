package main

func lyingPeerMutants() []mutant {
	return []mutant{
		{"handshake-believes-one", "a node ends when one peer refuses it", []edit{{"node/handshake.go",
			"if believed || h.proves(out) {", "if believed || true {"}}, "./node", "TestOneLyingNodeEndsNoOther",
			short},
		{"terms-unbounded", "a peer raises the term as far as it likes", []edit{{"node/terms.go",
			"if term > latestTerm(g.now()) {", "if term == 0 {"}}, "./node", "TestTermGuard", short},
		{"handshake-stale-position", "a position that a node has reached meanwhile proves that it went back", []edit{{
			"node/handshake_proof.go", "out.GetCommit() > at.last &&", "out.GetCommit() > at.last-1 &&"}}, "./node",
			"TestRelayedPosition", short},
		{"two-leaders", "a second leader of a term is heard", []edit{{"node/terms.go",
			"now.Leader != \"\" && now.Leader != peer {", "false {"}}, "./node", "TestOneLeaderATerm", short},
	}
}
