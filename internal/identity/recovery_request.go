package identity

import (
	"crypto/ed25519"
	"encoding/json"
	"errors"
	"fmt"

	"ltl/internal/ledger"
	ltlv1 "ltl/proto/ltl/v1"
)

// RecoveryRequest is what an organisation's recovery key is asked to sign on a machine without a network, and afterwards
// the signature too. It holds no secret. It is either a recovery, with an endorser key or an authority, or another
// recovery key.
type RecoveryRequest struct {
	NetworkID    []byte `json:"networkId"`
	Organisation string `json:"organisation"`
	// Number is that of the signature, as in ledger.Recovery.
	Number uint32 `json:"number"`
	// EndorserKey and Authority are the new ones, with the signatures by them.
	EndorserKey         []byte `json:"endorserKey,omitempty"`
	Possession          []byte `json:"possession,omitempty"`
	Authority           []byte `json:"authority,omitempty"`
	AuthorityPossession []byte `json:"authorityPossession,omitempty"`
	RetireAuthorities   bool   `json:"retireAuthorities,omitempty"`
	// RecoveryKey is the recovery key that takes the place of the one that signs.
	RecoveryKey []byte `json:"recoveryKey,omitempty"`
	// Signature is empty until the recovery key has signed.
	Signature []byte `json:"signature,omitempty"`
}

// LoadRecoveryRequest reads a request, signed or not, and checks its form.
func LoadRecoveryRequest(path string) (*RecoveryRequest, error) {
	b, err := readBounded(path)
	if err != nil {
		return nil, err
	}
	r, err := parseRecoveryRequest(b)
	if err != nil {
		return nil, fmt.Errorf("%s is no request to a recovery key: %w", path, err)
	}
	return r, nil
}

func parseRecoveryRequest(b []byte) (*RecoveryRequest, error) {
	r := &RecoveryRequest{}
	if err := decodeStrictly(b, r); err != nil {
		return nil, err
	}
	key, authority, recovery := len(r.EndorserKey) > 0, len(r.Authority) > 0, len(r.RecoveryKey) > 0
	_, sound := ledger.AuthorityKey(r.Authority)
	switch {
	case len(r.NetworkID) != len(ledger.Hash{}):
		return nil, errors.New("networkId is not 32 bytes")
	case !ValidOrganisationID(r.Organisation):
		return nil, errors.New("organisation is no id of an organisation")
	case recovery == (key || authority):
		return nil, errors.New("it asks for another recovery key and another change at once, or for nothing")
	case key && !ledger.ValidKey(r.EndorserKey), recovery && !ledger.ValidKey(r.RecoveryKey):
		return nil, errors.New("a key is no sound Ed25519 key")
	case authority && !sound, r.RetireAuthorities && !authority:
		return nil, errors.New("the certificate authority is none, or is missing")
	case len(r.Signature) != 0 && len(r.Signature) != ed25519.SignatureSize:
		return nil, errors.New("the signature has another length")
	}
	return r, nil
}

// Save writes the request to a file that must not exist yet.
func (r *RecoveryRequest) Save(path string) error {
	text, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return fmt.Errorf("encode the request: %w", err)
	}
	return writeNew(path, append(text, '\n'), modePublic)
}

// Sign signs the request with the recovery key.
func (r *RecoveryRequest) Sign(key ed25519.PrivateKey) {
	network := ledger.Hash(r.NetworkID)
	if len(r.RecoveryKey) > 0 {
		r.Signature = ledger.SignNewRecoveryKey(key, network, r.Organisation, r.Number, r.RecoveryKey)
		return
	}
	signed := ledger.Recovery{
		Network: network, Organisation: r.Organisation, Number: r.Number, EndorserKey: r.EndorserKey,
		Authority: r.Authority, RetireAuthorities: r.RetireAuthorities,
	}
	r.Signature = signed.Sign(key)
}

// Transaction is the transaction that a signed request makes.
func (r *RecoveryRequest) Transaction() *ltlv1.Transaction {
	if len(r.RecoveryKey) > 0 {
		return &ltlv1.Transaction{Action: &ltlv1.Transaction_ModifyOrganisation{ModifyOrganisation: &ltlv1.ModifyOrganisation{
			Id: r.Organisation, RecoveryKey: r.RecoveryKey, RecoverySignature: r.Signature,
		}}}
	}
	return &ltlv1.Transaction{Action: &ltlv1.Transaction_RecoverOrganisation{RecoverOrganisation: &ltlv1.RecoverOrganisation{
		Id: r.Organisation, EndorserKey: r.EndorserKey, Possession: r.Possession, Authority: r.Authority,
		RetireAuthorities: r.RetireAuthorities, Number: r.Number, Signature: r.Signature,
		AuthorityPossession: r.AuthorityPossession,
	}}}
}
