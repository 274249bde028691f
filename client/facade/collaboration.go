package facade

// collaborationActions is the table of the Actions of the collaboration service.
func collaborationActions() []action { return nil }
