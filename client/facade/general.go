package facade

// generalActions is the table of the Actions about members, devices and resources of a chain of either service.
func generalActions() []action { return nil }
