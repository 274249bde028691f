package main

// consoleMutants are faults of the web console: who sees what, and who is signed in.
func consoleMutants() []mutant {
	one := func(name, fault, file, from, to, run string) mutant {
		return mutant{name, fault, []edit{{"console/" + file, from, to}}, "./console", run, long}
	}
	return []mutant{
		{"console-sees-all", "a member of a chain sees all of its transactions", []edit{{"internal/rules/sees.go",
			"\tif v.Administrator {\n\t\treturn true", "\tif v.UID != \"\" {\n\t\treturn true"}}, "./console", "TestSees", short},
		{"console-foreign-code", "a member sees records under every data type code", []edit{{"internal/rules/sees.go",
			"code != \"\" && code == v.TypeCode", "code != \"\""}}, "./console", "TestSees", short},
		one("console-links-sealed", "a block page says what other members' transactions are", "blocks.go",
			"if !r.sees(t.ID, t.Transaction, t.Code) {\n\t\trow.Sealed", "if t.Code == 0 {\n\t\trow.Sealed",
			"TestConsole/(Acts|Confinement)"),
		one("console-member-administers", "a member is taken for the administrator", "confine.go",
			"administrator: role == rules.RoleAdmin,", "administrator: role != \"\",", "TestConsole"),
		one("console-challenge-again", "a challenge is taken twice", "rate.go",
			"if end, ok := r.until[name]; ok && now.Before(end) {\n\t\treturn false",
			"if end, ok := r.until[name]; ok && now.Before(end) {\n\t\treturn true", "TestConsole/SignIn"),
		one("console-challenge-old", "a challenge does not grow old", "session.go",
			"return now.Sub(getMs(b)).Abs() <= challengeTime", "return true", "TestConsole/SignIn"),
		one("console-act-as", "a form is run without the form's nonce, so that it is executed as often as it is sent", "acts.go",
			`"console-" + nonce`, `"console-" + newNonce()`, "TestConsole/Acts"),
		one("console-stream-of-all", "a stream has the blocks of every chain", "live.go",
			"if s.chain != b.ChainID {", "if s.chain == \"\" {", "TestHub"),
		one("console-idle", "a session does not end by idleness", "session.go",
			"now.Sub(seen) > idleTime || ", "", "TestConsole/Sessions"),
		one("console-any-host", "the console answers under every host name", "console.go",
			"\treturn err == nil\n}\n\n// hostOf", "\treturn err == nil || host != \"\"\n}\n\n// hostOf", "TestConsole/Hosts"),
		one("console-open-redirect", "signing in leads to any address", "signin.go",
			"!strings.HasPrefix(path, Prefix) || ", "", "TestConsole/SignIn"),
		one("console-auditor-votes", "an auditor has the form of a vote", "proposals.go",
			" && v.own.cfg.Vote != nil\n", "\n", "TestConsole/Organisation"),
		one("console-any-link", "a link to another address signs in", "signin.go",
			"LinkMessage(v.network, v.origin(), a.keyID", "LinkMessage(v.network, \"http://127.0.0.1:1\", a.keyID",
			"TestConsole/(Links|Organisation)"),
		one("console-formula", "a cell of a saved table is a formula", "download.go",
			"return \"'\" + s", "return s", "TestConsole/Downloads"),
		one("console-other-copy", "an organisation's console reads from the nodes", "console.go",
			"c.ledger = c.ledger.At(own.endorser())", "c.ledger = c.ledger.At(\"\")", "TestConsole/Organisation"),
	}
}
