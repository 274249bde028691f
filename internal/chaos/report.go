package chaos

func (r *Results) page() ([]byte, error) { return nil, nil }
