package identity

import (
	"bytes"
	"crypto/ed25519"
	"crypto/hpke"
	"crypto/sha256"
	"crypto/x509"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

	"ltl/internal/ledger"
)

// Files of the transfer of sealing keys, in a facade's directory: the key that opens them, which never leaves it, and its
// public half, which the organisation that delegates gets.
const (
	transferKeyFile    = "transfer.key"
	transferPublicFile = "transfer.json"
)

// Domains of what the key of a facade's certificate signs, and of what sealing keys are bound to.
const (
	domainTransfer   = "ltl/transfer/v1\x00"
	domainSealedKeys = "ltl/sealedkeys/v1\x00"
)

// ErrTransfer is returned, wrapped, for a transfer of sealing keys that cannot be trusted or opened.
var ErrTransfer = errors.New("transfer of sealing keys refused")

// TransferKey is a facade's key for sealing keys that are sent to it. The facade's certificate vouches for it, so the file
// may come over any channel.
type TransferKey struct {
	Facade Identity
	public hpke.PublicKey
}

// transferFile is its file.
type transferFile struct {
	Certificate []byte `json:"certificate"`
	PublicKey   []byte `json:"publicKey"`
	// Signature is by the certificate's key over domainTransfer, the network, the facade's identity and the public key.
	Signature []byte `json:"signature"`
}

// sealedKeysFile is the file of sealed sealing keys; nothing in it is secret to who has not the facade's key.
type sealedKeysFile struct {
	NetworkID    []byte `json:"networkId"`
	Organisation string `json:"organisation"`
	Facade       string `json:"facade"`
	// Sealed is the keys one after the other, the one in force first, sealed by HPKE (RFC 9180, base mode) with
	// MLKEM768-X25519, HKDF-SHA256 and AES-256-GCM; the info is domainSealedKeys and the fields above.
	Sealed []byte `json:"sealed"`
}

// CreateTransferKey makes the key in a facade's directory, unless there is one, and returns the path of the file with its
// public half, which it writes again.
func CreateTransferKey(dir string, network ledger.Hash) (string, error) {
	own, err := ReadCertificate(dir)
	if err != nil {
		return "", err
	}
	if own.Identity.Role != RoleFacade {
		return "", fmt.Errorf("%w: %s is the directory of %s, and only a facade gets others' sealing keys", ErrTransfer, dir,
			own.Identity)
	}
	private, err := loadTransferKey(dir)
	if errors.Is(err, fs.ErrNotExist) {
		private, err = newTransferKey(dir)
	}
	if err != nil {
		return "", err
	}
	key, err := LoadKey(filepath.Join(dir, keyFile))
	if err != nil {
		return "", err
	}
	certificate, err := loadCertificate(filepath.Join(dir, certificateFile))
	if err != nil {
		return "", err
	}
	file := transferFile{Certificate: certificate.Raw, PublicKey: private.PublicKey().Bytes()}
	file.Signature = ed25519.Sign(key, transferText(network, own.Identity, file.PublicKey))
	text, err := json.MarshalIndent(file, "", "  ")
	if err != nil {
		return "", fmt.Errorf("encode the public half: %w", err)
	}
	path := filepath.Join(dir, transferPublicFile)
	return path, replace(path, append(text, '\n'))
}

func newTransferKey(dir string) (hpke.PrivateKey, error) {
	private, err := hpke.MLKEM768X25519().GenerateKey()
	if err != nil {
		return nil, fmt.Errorf("generate key: %w", err)
	}
	b, err := private.Bytes()
	if err != nil {
		return nil, fmt.Errorf("encode key: %w", err)
	}
	return private, errors.Join(writeNew(filepath.Join(dir, transferKeyFile), b, modeKey), syncDir(dir))
}

func loadTransferKey(dir string) (hpke.PrivateKey, error) {
	path := filepath.Join(dir, transferKeyFile)
	if err := checkSecret(path); err != nil {
		return nil, err
	}
	b, err := readBounded(path)
	if err != nil {
		return nil, err
	}
	private, err := hpke.MLKEM768X25519().NewPrivateKey(b)
	if err != nil {
		return nil, fmt.Errorf("%w: %s holds no key for transfers", ErrKeyFile, path)
	}
	return private, nil
}

// ReadTransferKey reads the public half of a facade's key, and checks that the facade's certificate vouches for it.
func (t *Trust) ReadTransferKey(path string) (*TransferKey, error) {
	b, err := readBounded(path)
	if err != nil {
		return nil, err
	}
	k, err := t.parseTransferKey(b)
	if err != nil {
		return nil, fmt.Errorf("%w: %s: %w; have it made with `ltl pki transfer-key`", ErrTransfer, path, err)
	}
	return k, nil
}

func (t *Trust) parseTransferKey(b []byte) (*TransferKey, error) {
	var file transferFile
	if err := decodeStrictly(b, &file); err != nil {
		return nil, err
	}
	certificate, err := x509.ParseCertificate(file.Certificate)
	if err != nil {
		return nil, fmt.Errorf("its certificate: %w", err)
	}
	id, _, err := t.verify(certificate, x509.ExtKeyUsageClientAuth, time.Now())
	switch {
	case err != nil:
		return nil, err
	case id.Role != RoleFacade:
		return nil, fmt.Errorf("it is of %s, which is no facade", id)
	case !ed25519.Verify(certificate.PublicKey.(ed25519.PublicKey), transferText(t.id, id, file.PublicKey), file.Signature):
		return nil, fmt.Errorf("the certificate of %s did not sign it for this network", id)
	}
	public, err := hpke.MLKEM768X25519().NewPublicKey(file.PublicKey)
	if err != nil {
		return nil, fmt.Errorf("its key: %w", err)
	}
	return &TransferKey{Facade: id, public: public}, nil
}

// ExportSealingKeys seals all sealing keys in an operator's directory, also the next one of a rotation, to a facade, and
// writes them to a file that must not exist yet.
func ExportSealingKeys(dir, organisation string, network ledger.Hash, to *TransferKey, path string) error {
	keys, err := LoadSealingKeys(dir)
	if err != nil {
		return err
	}
	next, err := LoadSealingKey(filepath.Join(dir, nextSealingKeyFile))
	if err == nil {
		keys = append(keys, next)
	} else if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if len(keys) > maxTransferKeys {
		return fmt.Errorf("%w: %s has %d sealing keys, and %d can be sent; delete those of backups that are gone", ErrTransfer,
			dir, len(keys), maxTransferKeys)
	}
	file := sealedKeysFile{NetworkID: network[:], Organisation: organisation, Facade: to.Facade.String()}
	file.Sealed, err = hpke.Seal(to.public, hpke.HKDFSHA256(), hpke.AES256GCM(), file.info(), bytes.Join(keys, nil))
	if err != nil {
		return fmt.Errorf("seal: %w", err)
	}
	text, err := json.MarshalIndent(file, "", "  ")
	if err != nil {
		return fmt.Errorf("encode: %w", err)
	}
	return writeNew(path, append(text, '\n'), modePublic)
}

// ImportSealingKeys opens what ExportSealingKeys sealed to the facade in dir, and puts the keys there, from where a running
// facade reads them. It returns the organisation whose they are, and how many.
func ImportSealingKeys(dir, path string, network ledger.Hash) (organisation string, n int, err error) {
	b, err := readBounded(path)
	if err != nil {
		return "", 0, err
	}
	own, err := ReadCertificate(dir)
	if err != nil {
		return "", 0, err
	}
	private, err := loadTransferKey(dir)
	if err != nil {
		return "", 0, err
	}
	file, keys, err := openSealedKeys(private, b)
	switch {
	case err != nil:
		return "", 0, fmt.Errorf("%w: %s: %w", ErrTransfer, path, err)
	case ledger.Hash(file.NetworkID) != network:
		return "", 0, fmt.Errorf("%w: %s is of another network", ErrTransfer, path)
	case file.Facade != own.Identity.String():
		return "", 0, fmt.Errorf("%w: %s is for %s, not for %s", ErrTransfer, path, file.Facade, own.Identity)
	}
	for _, key := range keys[1:] {
		if err := AddSealingKey(dir, key); err != nil {
			return "", 0, err
		}
	}
	return file.Organisation, len(keys), putSealingKeyOf(dir, file.Organisation, keys[0])
}

// openSealedKeys opens the content of a file of sealed keys.
func openSealedKeys(private hpke.PrivateKey, b []byte) (*sealedKeysFile, [][]byte, error) {
	file := &sealedKeysFile{}
	if err := decodeStrictly(b, file); err != nil {
		return nil, nil, err
	}
	if len(file.NetworkID) != sha256.Size || !ValidOrganisationID(file.Organisation) {
		return nil, nil, errors.New("it names no network or no organisation")
	}
	opened, err := hpke.Open(private, hpke.HKDFSHA256(), hpke.AES256GCM(), file.info(), file.Sealed)
	if err != nil {
		return nil, nil, errors.New("it was sealed to another key, or was changed")
	}
	if n := len(opened); n == 0 || n%SealingKeyLen != 0 || n > maxTransferKeys*SealingKeyLen {
		return nil, nil, fmt.Errorf("it holds %d bytes, which are no sealing keys", n)
	}
	return file, slices.Collect(slices.Chunk(opened, SealingKeyLen)), nil
}

// putSealingKeyOf makes key the one of another organisation in a facade's directory; a former one stays beside it.
func putSealingKeyOf(dir, organisation string, key []byte) error {
	path := filepath.Join(dir, SealingKeyOf(organisation))
	former, err := LoadSealingKey(path)
	if err == nil && bytes.Equal(former, key) {
		return nil
	}
	if err == nil {
		err = AddSealingKey(dir, former)
	} else if errors.Is(err, fs.ErrNotExist) {
		err = nil
	}
	if err != nil {
		return err
	}
	if err := AddSealingKey(dir, key); err != nil {
		return err
	}
	if err := os.Rename(filepath.Join(dir, sealingKeyName(key)), path); err != nil {
		return fmt.Errorf("rename: %w", err)
	}
	return syncDir(dir)
}

// Fingerprint is the SHA-256 of the public half in hexadecimal digits.
func (k *TransferKey) Fingerprint() string {
	hash := sha256.Sum256(k.public.Bytes())
	return hex.EncodeToString(hash[:])
}

func (f *sealedKeysFile) info() []byte {
	return appendTexts(append([]byte(domainSealedKeys), f.NetworkID...), f.Organisation, f.Facade)
}

func transferText(network ledger.Hash, facade Identity, public []byte) []byte {
	return append(appendTexts(append([]byte(domainTransfer), network[:]...), facade.String()), public...)
}

// appendTexts appends each text with its length in four bytes.
func appendTexts(b []byte, texts ...string) []byte {
	for _, s := range texts {
		b = append(binary.BigEndian.AppendUint32(b, uint32(len(s))), s...)
	}
	return b
}
