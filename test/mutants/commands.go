package main

// commandMutants are faults of what goes in and out by commands.
func commandMutants() []mutant {
	one := func(name, fault, file, from, to, run string) mutant {
		return mutant{name, fault, []edit{{"cmd/ltl/" + file, from, to}}, "./cmd/ltl", run, long}
	}
	return []mutant{
		one("import-rows-alike", "rows of one Key are imported as one record", "import.go",
			"\t\tj.seen[of]++\n", "", "TestImportKilled"),
		one("import-order", "records of one Key are imported in any order", "import.go",
			"maphash.String(j.seed, row.key)%importQueues", "maphash.String(j.seed, row.businessID)%importQueues",
			"TestImportKilled"),
		one("export-half-row", "an export goes on behind half a row", "export_file.go",
			"e.file.Truncate(whole)", "e.file.Truncate(whole + 1)", "TestExport"),
		one("check-any-certificate", "a file is shown by the certificate of another one", "notarise.go",
			"case p.Value != r.SHA256:", "case p.Value == \"\":", "TestNotarise"),
	}
}
