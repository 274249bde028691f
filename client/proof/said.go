package proof

import "encoding/hex"

// Said is what a certificate says of itself. Its JSON names are stable.
type Said struct {
	TransactionHash string   `json:"transactionHash"`
	Chain           string   `json:"chain"`
	Height          uint64   `json:"height"`
	TimeMs          int64    `json:"timeMs"`
	Result          int32    `json:"result"`
	Key             string   `json:"key,omitempty"`
	BusinessID      string   `json:"businessId,omitempty"`
	Value           string   `json:"value,omitempty"`
	Account         string   `json:"account,omitempty"`
	Submitter       string   `json:"submitter"`
	Organisations   []string `json:"organisations"`
	// Corrects is the record that this one declares wrong and replaces; nil for none.
	Corrects *SaidCorrection `json:"corrects,omitempty"`
}

// SaidCorrection is a Correction as JSON. Its names are stable.
type SaidCorrection struct {
	TransactionHash string `json:"transactionHash"`
	Key             string `json:"key"`
	BusinessID      string `json:"businessId,omitempty"`
	Reason          string `json:"reason"`
	// ByAdministrator is set when it says that the chain's administrator declares another one's record wrong.
	ByAdministrator bool `json:"byAdministrator,omitempty"`
}

// Say is the correction as JSON; nil for none.
func (c *Correction) Say() *SaidCorrection {
	if c == nil {
		return nil
	}
	return &SaidCorrection{hex.EncodeToString(c.TransactionID), c.Key, c.BusinessID, c.Reason, c.ByAdministrator}
}

// Say reads what the certificate says. Nothing of it is checked: that is what Verify is for. It returns an error where
// a part has not its form.
func (c *Certificate) Say() (*Said, error) {
	t, err := readTransaction(c.Payload, c.Item)
	if err != nil {
		return nil, err
	}
	h, err := parseHeader(c.Block.Header)
	if err != nil {
		return nil, fail("header", "the block header does not have its form")
	}
	s := &Said{TransactionHash: hex.EncodeToString(t.ID[:]), Chain: h.Chain, Height: h.Height, TimeMs: h.TimeMs,
		Result: c.Block.Result, Account: t.Account, Submitter: t.Submitter, Organisations: []string{}}
	if t.Record != nil {
		s.Key, s.BusinessID = t.Record.Key, t.Record.BusinessID
		for _, o := range c.Openings {
			s.Value = string(o.Value)
		}
		s.Corrects = t.Record.Corrects.Say()
	}
	for _, e := range c.Endorsements {
		one, err := parseStatement(e.Statement)
		if err != nil {
			return nil, fail("statement", "an endorsement's statement does not have its form")
		}
		s.Organisations = append(s.Organisations, one.organisation)
	}
	return s, nil
}
