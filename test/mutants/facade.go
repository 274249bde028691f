package main

// facadeMutants are faults of what the API answers.
func facadeMutants() []mutant {
	one := func(name, fault, file, from, to, run string) mutant {
		return mutant{name, fault, []edit{{"facade/" + file, from, to}}, "./facade", run, short}
	}
	return []mutant{
		one("refusal-locked", "a refused read does not say that the member is locked", "refusal_reason.go",
			"case m.GetStatus() != rules.StatusUnlock:", "case false:", "TestReadsSayWhyTheyAreForbidden"),
		one("refusal-administrator", "whatever a member is refused is called the administrator's", "refusal_reason.go",
			"case c.action.admin && !administrator:", "case !administrator:", "TestReadsSayWhyTheyAreForbidden"),
	}
}
