// Package identity proves the identity of processes: identities, certificates, the trust file, roles on gRPC, and the
// sealing of AccessKey secrets.
//
// Every connection is mutual TLS 1.3. A certificate holds one URI, ltl://organisation/role/name, and is accepted only
// when it verifies under a certificate authority of the organisation that the URI names. All exported types may be
// used concurrently.
package identity

import (
	"errors"
	"fmt"
	"strings"
)

// Role is what a process does in the network.
type Role string

// The roles.
const (
	RoleNode     Role = "node"
	RoleEndorser Role = "endorser"
	RoleFacade   Role = "facade"
	RoleClient   Role = "client"
	RoleOperator Role = "operator"
)

// Roles lists every role.
func Roles() []Role {
	return []Role{RoleNode, RoleEndorser, RoleFacade, RoleClient, RoleOperator}
}

// serves reports whether a process of this role accepts connections: only such a certificate may be a TLS server's.
func (r Role) serves() bool { return r == RoleNode || r == RoleEndorser }

// ErrIdentity is returned, wrapped, for text that is not an identity.
var ErrIdentity = errors.New("not an identity")

// Identity names one process or person. The name of a node is the node's id; the name of an endorser is its
// organisation's id.
type Identity struct {
	Organisation string
	Role         Role
	Name         string
}

// String is "organisation/role/name".
func (i Identity) String() string { return i.Organisation + "/" + string(i.Role) + "/" + i.Name }

// uriScheme begins the URI in a certificate.
const uriScheme = "ltl://"

// URI is the form in a certificate.
func (i Identity) URI() string { return uriScheme + i.String() }

// Parse reads "organisation/role/name". Each identity has exactly one text.
func Parse(s string) (Identity, error) {
	parts := strings.Split(s, "/")
	if len(parts) != 3 {
		return Identity{}, fmt.Errorf("%w: %q is not organisation/role/name", ErrIdentity, s)
	}
	i := Identity{Organisation: parts[0], Role: Role(parts[1]), Name: parts[2]}
	return i, i.Validate()
}

// Validate checks the form of each part.
func (i Identity) Validate() error {
	if !ValidOrganisationID(i.Organisation) {
		return fmt.Errorf("%w: organisation %q must be 1 to %d characters of a-z, 0-9 and -",
			ErrIdentity, i.Organisation, MaxOrganisationID)
	}
	switch i.Role {
	case RoleNode, RoleEndorser, RoleFacade, RoleClient, RoleOperator:
	default:
		return fmt.Errorf("%w: unknown role %q", ErrIdentity, i.Role)
	}
	if !ValidName(i.Name) {
		const form = "of A-Z, a-z, 0-9, -, _ and ., and start with a letter or digit"
		return fmt.Errorf("%w: name %q must be 1 to %d characters %s", ErrIdentity, i.Name, MaxName, form)
	}
	if i.Role == RoleEndorser && i.Name != i.Organisation {
		return fmt.Errorf("%w: an organisation has one endorser, and its name is the organisation's id, not %q",
			ErrIdentity, i.Name)
	}
	return nil
}

// ValidOrganisationID reports whether id is 1 to MaxOrganisationID characters of a-z, 0-9 and -.
func ValidOrganisationID(id string) bool {
	if len(id) == 0 || len(id) > MaxOrganisationID {
		return false
	}
	for _, c := range []byte(id) {
		if (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '-' {
			return false
		}
	}
	return true
}

// ValidName reports whether name can be the last part of an identity. Such a name is also safe as a file name and in a
// URI.
func ValidName(name string) bool {
	if len(name) == 0 || len(name) > MaxName {
		return false
	}
	for i, c := range []byte(name) {
		letter := c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9'
		if !letter && (i == 0 || c != '-' && c != '_' && c != '.') {
			return false
		}
	}
	return true
}
