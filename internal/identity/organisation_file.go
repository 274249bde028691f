package identity

import (
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"time"

	"ltl/internal/ledger"
	ltlv1 "ltl/proto/ltl/v1"
)

// OrganisationFile is the name of an organisation's description. An organisation that joins a network gives it to an
// operator of that network.
const OrganisationFile = "organisation.json"

// organisationFile is its content; nothing in it is secret.
type organisationFile struct {
	ID              string `json:"id"`
	Name            string `json:"name"`
	EndorserAddress string `json:"endorserAddress"`
	EndorserKey     string `json:"endorserKey"`
	CACertificate   string `json:"caCertificate"`
	// AuthorityPossession is the signature by the certificate's key that it is this organisation's in the network.
	AuthorityPossession string `json:"authorityPossession"`
}

// CreateOrganisation makes the certificate authority and the endorser's keys of an organisation that joins a network,
// in dir/orgs/<id>, which must hold no keys yet, and describes the organisation in organisation.json there, for that
// network alone.
func CreateOrganisation(dir string, network ledger.Hash, spec OrgSpec, created time.Time) (*ltlv1.CreateOrganisation, error) {
	own := filepath.Join(dir, "orgs", spec.ID)
	w := &networkWriter{dir: dir, created: created}
	o := w.organisation(spec)
	w.do(func() error {
		_, err := newOrganisation(o)
		return err
	})
	invited := &ltlv1.CreateOrganisation{Organisation: o}
	w.do(func() (err error) {
		invited.AuthorityPossession, err = SignAuthority(own, network, spec.ID)
		return err
	})
	w.do(func() error {
		text, err := json.MarshalIndent(organisationFile{
			ID: o.GetId(), Name: o.GetName(), EndorserAddress: o.GetEndorserAddress(),
			EndorserKey:         hex.EncodeToString(o.GetEndorserKey()),
			CACertificate:       base64.StdEncoding.EncodeToString(o.GetCaCertificate()),
			AuthorityPossession: base64.StdEncoding.EncodeToString(invited.GetAuthorityPossession()),
		}, "", "  ")
		if err != nil {
			return fmt.Errorf("encode the organisation: %w", err)
		}
		return writeNew(filepath.Join(own, OrganisationFile), append(text, '\n'), modePublic)
	})
	w.do(func() error { return syncTree(own) })
	if errors.Is(w.err, fs.ErrExist) {
		return nil, fmt.Errorf("%s holds keys already, which are never overwritten: %w", own, w.err)
	}
	if w.err != nil {
		return nil, fmt.Errorf("create organisation: %w", w.err)
	}
	return invited, nil
}

// LoadOrganisation reads a description that CreateOrganisation wrote for this network, and checks that the network could
// trust the organisation.
func LoadOrganisation(path string, network ledger.Hash) (*ltlv1.CreateOrganisation, error) {
	b, err := readBounded(path)
	if err != nil {
		return nil, err
	}
	var f organisationFile
	if err := decodeStrictly(b, &f); err != nil {
		return nil, fmt.Errorf("%s does not describe an organisation: %w", path, err)
	}
	o := &ltlv1.Organisation{Id: f.ID, Name: f.Name, EndorserAddress: f.EndorserAddress}
	if o.EndorserKey, err = hex.DecodeString(f.EndorserKey); err != nil {
		return nil, fmt.Errorf("%s: endorserKey is not hexadecimal: %w", path, err)
	}
	if o.CaCertificate, err = base64.StdEncoding.Strict().DecodeString(f.CACertificate); err != nil {
		return nil, fmt.Errorf("%s: caCertificate is not base64: %w", path, err)
	}
	if _, err := newOrganisation(o); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	possession, err := base64.StdEncoding.Strict().DecodeString(f.AuthorityPossession)
	if err != nil {
		return nil, fmt.Errorf("%s: authorityPossession is not base64: %w", path, err)
	}
	if ledger.VerifyAuthority(o.GetCaCertificate(), possession, network, o.GetId()) != nil {
		return nil, fmt.Errorf("%s was not made for this network, or was changed: its certificate authority did not sign "+
			"that it is of %s here; have it made with `ltl pki organisation` and this network's trust file", path, o.GetId())
	}
	return &ltlv1.CreateOrganisation{Organisation: o, AuthorityPossession: possession}, nil
}
