package main

// openingMutants are about the values that payloads commit to, which are stored beside the blocks.
func openingMutants() []mutant {
	return []mutant{
		{"openings-unchecked", "an opening is stored whatever the commitment says", []edit{{"internal/store/openings.go",
			"one.GetSlot() != uint32(i) || !rules.Opens(chainID, v, one)", "one.GetSlot() != uint32(i) || v == nil"}},
			"./internal/store", "TestEntriesWithoutOpenings|TestDamagedOpenings", short},
		{"openings-not-replayed", "what a power cut took is not taken from the Raft log", []edit{{"internal/store/opening_repair.go",
			"\tif !s.tookOpenings {", "\tif true {"}}, "./internal/store", "TestOpeningsAfterPowerCut", short},
		{"openings-left-behind", "the damaged bytes of openings stay on disk", []edit{{"internal/store/openings.go",
			"w.wiped, before = append(w.wiped, before...), nil", "before = nil"}}, "./internal/store", "TestDamagedOpenings", short},
		{"openings-for-outsiders", "every organisation reads the values of every chain", []edit{{"internal/query/openings.go",
			"if chain == nil || caller.Role == identity.RoleNode ||", "if true ||"}}, "./internal/query",
			"TestOutsidersReadNoValue", long},
		{"openings-wiped-early", "good openings are overwritten before their new copy is committed", []edit{{
			"internal/store/openings.go", "\t\treturn w.s.segments.sync()\n", "\t\treturn w.s.wipe(w.wiped)\n"}},
			"./internal/store", "TestOpeningsWhileRepaired", short},
		{"openings-forgotten", "what a leader leaves out is lost", []edit{{"endorser/follow.go",
			"\t\t\terr = e.fillIn(group)\n", "\t\t\terr = nil\n"}}, "./endorser", "TestLeaderLeavesValuesOut", short},
		{"openings-pushed-out", "one organisation's proposals push out the others' values", []edit{{"endorser/kept.go",
			"o.bytes > most.bytes", "o.bytes < most.bytes"}}, "./endorser", "TestKeptShares", short},
		{"openings-nodes-only", "nodes fetch lost values from nodes only", []edit{{"node/sources.go",
			"append(n.nodeSources(), n.endorserSources()...)", "n.nodeSources()"}}, "./internal/query",
			"TestOutsidersReadNoValue", long},
	}
}
