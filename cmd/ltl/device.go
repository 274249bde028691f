package main

import (
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/spf13/cobra"

	"ltl/client/device"
	"ltl/internal/rules"
	ltlv1 "ltl/proto/ltl/v1"
)

const (
	modeSecret = 0o600
	modePublic = 0o644
)

// The states of an enrolment, as `ltl device list` prints them.
const (
	stateEnrolled = "enrolled"
	stateRevoked  = "revoked"
	// stateEnded: its key was declared lost or compromised, and it has no other yet.
	stateEnded = "key ended"
)

// deviceRow is an enrolled device as `ltl device` prints it. Its JSON names are stable.
type deviceRow struct {
	ProductKey string `json:"productKey"`
	IotID      string `json:"iotId"`
	// KeyType is ecc, rsa or aes.
	KeyType      string `json:"keyType"`
	Organisation string `json:"organisation"`
	State        string `json:"state"`
	// PublicKey is in PEM; empty for AES.
	PublicKey      string `json:"publicKey,omitempty"`
	EnrolledHeight uint64 `json:"enrolledHeight"`
	// Keys are all that the device has had, oldest first.
	Keys []deviceKeyRow `json:"keys"`
}

// deviceNames are the options that name a device.
type deviceNames struct{ productKey, iotID string }

// flags adds the options; all commands but the list require both.
func (n *deviceNames) flags(cmd *cobra.Command, required bool) {
	cmd.Flags().StringVar(&n.productKey, "product-key", "", "ProductKey of the device's group")
	cmd.Flags().StringVar(&n.iotID, "iot-id", "", "IotId of the device")
	if required {
		mustRequire(cmd, "product-key", "iot-id")
	}
}

// newDevice makes `ltl device`. keygen and sign need no network: they do what a device does.
func newDevice() *cobra.Command {
	cmd := &cobra.Command{Use: "device", Short: "Make devices' keys, enrol devices, and sign as one"}
	addConnection(cmd)
	cmd.AddCommand(newDeviceKeygen(), newDeviceEnroll(), newDeviceList(), newDeviceRevoke(), newDeviceSign(),
		newDeviceRotate(), newDeviceDeclare(), newDeviceProduct(), newDeviceGroup())
	return cmd
}

func newDeviceKeygen() *cobra.Command {
	var kind, out, publicOut string
	cmd := &cobra.Command{
		Use:   "keygen",
		Short: "Make a key for a device",
		Long: `Makes a key for a device. An ECC or RSA key is written in PEM (PKCS #8); its public part, with which the
device is enrolled, in PEM too. An AES key is written in hexadecimal digits. No file is overwritten.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			key, err := makeKey(device.Type(kind), out, publicOut)
			if err != nil {
				return err
			}
			result := map[string]string{"type": string(key.Type()), "file": out}
			if publicOut != "" {
				result["publicFile"] = publicOut
			}
			fields := []field{{"type", key.Type()}, {"key (secret)", out}}
			if publicOut != "" {
				fields = append(fields, field{"public key", publicOut})
			}
			return emitFields(cmd, result, fields...)
		},
	}
	cmd.Flags().StringVar(&kind, "type", string(device.ECC), "ecc (P-256), rsa (2048 bits) or aes (256 bits)")
	cmd.Flags().StringVar(&out, "out", "", "file to write the key to (required)")
	cmd.Flags().StringVar(&publicOut, "public-out", "", "file to write the public key to")
	mustRequire(cmd, "out")
	return cmd
}

// makeKey makes a key and writes it to new files: both or none.
func makeKey(kind device.Type, out, publicOut string) (*device.Key, error) {
	key, err := device.Generate(kind)
	if err != nil {
		return nil, err
	}
	var public []byte
	if publicOut != "" {
		if public, err = key.EncodePublic(); err != nil {
			return nil, err
		}
	}
	secret, err := key.Encode()
	if err != nil {
		return nil, err
	}
	if err := writeNewFile(out, secret, modeSecret); err != nil {
		return nil, err
	}
	if publicOut != "" {
		if err := writeNewFile(publicOut, public, modePublic); err != nil {
			return nil, errors.Join(err, os.Remove(out)) // the key has not been used yet
		}
	}
	return key, nil
}

// writeNewFile writes a file that must not exist yet: it could be the only copy of a key.
func writeNewFile(path string, content []byte, mode os.FileMode) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
	if err != nil {
		return fmt.Errorf("couldn't write a key: %w", err)
	}
	_, err = f.Write(content)
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return errors.Join(fmt.Errorf("couldn't write a key: %w", err), os.Remove(path))
	}
	return nil
}

func newDeviceEnroll() *cobra.Command {
	var names deviceNames
	var publicKey, aesKey, chain string
	cmd := &cobra.Command{
		Use:   "enroll",
		Short: "Enrol a device with its key, in the name of the operator's organisation",
		Long: `Enrols a device with its key. A public key (PEM: the bare key or a certificate) is recorded on the system
chain, so that every process can verify with it. An AES key is given to the endorser of the operator's own
organisation first, and is on no chain; from then on that endorser must sign each upload of the device. A key in
force is replaced with ltl device rotate; after ltl device declare the device is enrolled again with another key, under
its id and with its history. Enrolling an AES device again with the same key gives the key to the endorser again, in case
the endorser lost it.

A product that no organisation has claimed becomes the operator's organisation's; --chain assigns it to a chain, unless
it is assigned already.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if (publicKey == "") == (aesKey == "") {
				return errors.New("give the device's key with --public-key or --aes-key, and not both")
			}
			enrolment := &ltlv1.EnrollDevice{ProductKey: names.productKey, IotId: names.iotID}
			secret, err := readEnrolledKey(enrolment, publicKey, aesKey)
			if err != nil {
				return err
			}
			owner := func(s *session) (string, error) { return s.ownerOfProduct(names.productKey) }
			return withOwner(cmd, owner, func(s *session) error {
				if err := s.enroll(enrolment, secret); err != nil {
					return err
				}
				if err := s.assignEnrolled(names.productKey, chain); err != nil {
					return err
				}
				return s.showDevice(&names, "the device is enrolled")
			})
		},
	}
	names.flags(cmd, true)
	cmd.Flags().StringVar(&publicKey, "public-key", "", "file with the device's public key or certificate, in PEM")
	cmd.Flags().StringVar(&chain, "chain", "", "chain that the product is assigned to, if it is assigned to none, by id, "+
		"code or name")
	cmd.Flags().StringVar(&aesKey, "aes-key", "", "file with the device's AES key, bare or in hexadecimal")
	return cmd
}

// readEnrolledKey completes the enrolment by what the key file says, and returns the key if it is secret.
func readEnrolledKey(to *ltlv1.EnrollDevice, publicKey, aesKey string) (secret []byte, err error) {
	if aesKey != "" {
		key, err := device.Load(aesKey)
		if err != nil {
			return nil, err
		}
		if key.Type() != device.AES {
			return nil, fmt.Errorf("%s holds a private %s key, which must not leave the device: give its public key with "+
				"--public-key",
				aesKey, key.Type())
		}
		to.KeyType = ltlv1.DeviceKeyType_DEVICE_KEY_TYPE_AES
		return key.Secret(), nil
	}
	raw, err := os.ReadFile(publicKey)
	if err != nil {
		return nil, fmt.Errorf("couldn't read the public key: %w", err)
	}
	kind, der, err := device.ParsePublic(raw)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", publicKey, err)
	}
	to.KeyType, to.PublicKey = ltlv1.DeviceKeyType_DEVICE_KEY_TYPE_ECC_P256, der
	if kind == device.RSA {
		to.KeyType = ltlv1.DeviceKeyType_DEVICE_KEY_TYPE_RSA_2048
	}
	return nil, nil
}

// enroll hands over the secret key, if there is one, and enrols the device. It does not enrol a device again that the
// operator's organisation has enrolled with a secret key: the endorser has taken the key, so it is the same one.
func (s *session) enroll(enrolment *ltlv1.EnrollDevice, secret []byte) error {
	if secret != nil {
		if err := s.client.PutDeviceKey(s.cmd.Context(), enrolment.GetProductKey(), enrolment.GetIotId(),
			secret); err != nil {
			return err
		}
		credentials, err := s.credentials()
		if err != nil {
			return err
		}
		known, err := s.devices(&deviceNames{enrolment.GetProductKey(), enrolment.GetIotId()})
		if err != nil || len(known) > 0 && known[0].isSecretOf(credentials.Identity().Organisation) {
			return err
		}
	}
	_, err := s.submitToSystem(&ltlv1.Transaction{Action: &ltlv1.Transaction_EnrollDevice{EnrollDevice: enrolment}},
		advice{
			rules.OutOfRange: `product key or device id has the wrong form (1 to 64 letters, digits, "-", "." and "_", in device ids also ":" and "@"), ` +
				`or the RSA key has another exponent than 65537`,
			rules.Forbidden: "only an operator of the organisation that claimed the product may enrol its devices: `ltl device product list` shows which; give --identity",
			rules.Conflict:  "the device is enrolled already; `ltl device rotate` replaces its key, and `ltl device declare` ends it",
		})
	return err
}

// assignEnrolled assigns the product of a device that was enrolled to a chain, if it is assigned to none. Without a
// chain it says how to do that.
func (s *session) assignEnrolled(productKey, chain string) error {
	rows, err := s.products(productKey)
	if err != nil || len(rows) == 0 {
		return readBack("the device is enrolled", errors.Join(err, errors.New("its product is not listed")))
	}
	switch {
	case rows[0].Chain != "":
		return nil
	case chain == "":
		fmt.Fprintf(s.cmd.ErrOrStderr(), "ltl: the product is assigned to no chain yet: `ltl device product assign %s --chain "+
			"CHAIN`\n", productKey)
		return nil
	}
	row, err := s.chain(chain)
	if err != nil {
		return err
	}
	_, err = s.submitToSystem(&ltlv1.Transaction{Action: &ltlv1.Transaction_AssignProduct{
		AssignProduct: &ltlv1.AssignProduct{ProductKey: productKey, ChainId: row.ChainID},
	}}, productAdvice())
	return err
}

// isSecretOf reports whether the organisation has enrolled the device with a secret key and not revoked it.
func (r *deviceRow) isSecretOf(organisation string) bool {
	return r.Organisation == organisation && r.State == stateEnrolled && r.KeyType == string(device.AES)
}

func newDeviceList() *cobra.Command {
	var names deviceNames
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List the devices that were ever enrolled, or some of them, oldest first",
		Long: `Lists the devices that were ever enrolled, or those with a ProductKey or an IotId, oldest first. With --iot-id
also the keys that they have had, with the heights of the system chain between which each counts.`,
		Args: cobra.NoArgs,
		RunE: online(func(s *session, _ []string) error {
			rows, err := s.devices(&names)
			if err != nil {
				return err
			}
			return emit(s.cmd, rows, func(w io.Writer) { writeDevices(w, rows, names.iotID != "") })
		}),
	}
	names.flags(cmd, false)
	return cmd
}

// writeDevices writes a line for each device; with keys, another table with a line for each key that they have had.
func writeDevices(w io.Writer, rows []deviceRow, keys bool) {
	writeCells(w, "PRODUCT KEY", "IOT ID", "KEY TYPE", "ORGANISATION", "STATE")
	for _, r := range rows {
		writeCells(w, r.ProductKey, r.IotID, r.KeyType, r.Organisation, r.State)
	}
	if !keys || len(rows) == 0 {
		return
	}
	fmt.Fprintln(w)
	writeCells(w, "PRODUCT KEY", "KEY", "COUNTS")
	for _, r := range rows {
		for _, k := range r.Keys {
			writeCells(w, r.ProductKey, k.Number, k.words())
		}
	}
}

func newDeviceRevoke() *cobra.Command {
	var names deviceNames
	cmd := &cobra.Command{
		Use:   "revoke",
		Short: "End a device's enrolment for good, on all chains",
		Long: `Ends a device's enrolment for good: its signatures are refused from now on, on every chain, and it cannot
be enrolled again under this id; ltl device declare ends its key only. Its earlier records stay. Only an operator of the
organisation that has the device's product may do this.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return withOwner(cmd, names.owner, func(s *session) error {
				_, err := s.submitToSystem(&ltlv1.Transaction{Action: &ltlv1.Transaction_RevokeDevice{
					RevokeDevice: &ltlv1.RevokeDevice{ProductKey: names.productKey, IotId: names.iotID},
				}}, advice{
					rules.NotFound: fmt.Sprintf("no device %q of the product %q was ever enrolled; `ltl device list` shows those "+
						"that were",
						names.iotID, names.productKey),
					rules.Forbidden: "only an operator of the organisation that has the device's product may revoke it: `ltl " +
						"device product list` shows which; give --identity",
				})
				if err != nil {
					return err
				}
				return s.showDevice(&names, "the device is revoked")
			})
		},
	}
	names.flags(cmd, true)
	return cmd
}

// devices lists enrolments; names that are empty match all.
func (s *session) devices(names *deviceNames) ([]deviceRow, error) {
	read := func(page uint32) (*ltlv1.ListEnrolmentsResponse, error) {
		return s.client.Ledger().ListEnrolments(s.cmd.Context(), &ltlv1.ListEnrolmentsRequest{
			ProductKey: names.productKey, IotId: names.iotID, Page: page, Size: pageSize,
		})
	}
	return allPages(read, (*ltlv1.ListEnrolmentsResponse).GetDevices, deviceRowOf)
}

// deviceRowOf is an enrolment as it is printed.
func deviceRowOf(d *ltlv1.EnrolmentInfo) deviceRow {
	row := deviceRow{
		ProductKey: d.GetDevice().GetProductKey(), IotID: d.GetDevice().GetIotId(), Organisation: d.GetOrganisation(),
		State: stateEnrolled, EnrolledHeight: d.GetEnrolledHeight(),
	}
	for _, k := range d.GetKeys() {
		row.Keys = append(row.Keys, deviceKeyRowOf(k))
	}
	switch n := len(row.Keys); {
	case d.GetRevoked():
		row.State = stateRevoked
	case n > 0 && row.Keys[n-1].Until != 0:
		row.State = stateEnded
	}
	row.KeyType = deviceKeyType(d.GetDevice().GetKeyType())
	if der := d.GetDevice().GetPublicKey(); len(der) > 0 {
		row.PublicKey = string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}))
	}
	return row
}

// showDevice prints one enrolment after a change, done.
func (s *session) showDevice(names *deviceNames, done string) error {
	rows, err := s.devices(names)
	if err == nil && len(rows) != 1 {
		err = fmt.Errorf("there are %d enrolments of the device %q of the product %q", len(rows), names.iotID,
			names.productKey)
	}
	if err != nil {
		return readBack(done, err)
	}
	r := &rows[0]
	fields := []field{{"product key", r.ProductKey}, {"iot id", r.IotID}, {"key type", r.KeyType},
		{"organisation", r.Organisation}, {"state", r.State},
		{"enrolled in block", fmt.Sprintf("%d of the system chain", r.EnrolledHeight)}}
	for _, k := range r.Keys {
		fields = append(fields, field{fmt.Sprintf("key %d", k.Number), k.words()})
	}
	return emitFields(s.cmd, r, fields...)
}

func newDeviceSign() *cobra.Command {
	var names deviceNames
	var keyFile, value, file string
	var timestamp int64
	cmd := &cobra.Command{
		Use:   "sign",
		Short: "Sign data as a device does, and print the parameters to upload with it",
		Long: `Signs data as a device does, and prints the parameters that go into the upload in addition to the data and
IotIdSource. The signature covers every byte of one parameter's text: all of a file, including a newline at its end.`,
		Example: `  ltl device sign --key device.pem --iot-id 00FFFF098598F3BDD8221234 --product-key hKpHMh2abcd --value Proof-Data`,
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			payload, err := payloadOf(cmd, value, file)
			if err != nil {
				return err
			}
			key, err := device.Load(keyFile)
			if err != nil {
				return err
			}
			d, err := device.New(names.iotID, key.Sign)
			if err != nil {
				return err
			}
			at := time.Now()
			if cmd.Flags().Changed("timestamp") {
				at = time.UnixMilli(timestamp)
			}
			p, err := d.Sign(payload, names.productKey, at)
			if err != nil {
				return err
			}
			return emitFields(cmd, p, field{"IotAuthType", p.IotAuthType}, field{"IotId", p.IotID},
				field{"IotIdServiceProvider", p.IotIDServiceProvider},
				field{"IotDataDigest", p.IotDataDigest}, field{"IotSignature", p.IotSignature})
		},
	}
	names.flags(cmd, true)
	cmd.Flags().StringVar(&keyFile, "key", "", "file with the device's key (required)")
	cmd.Flags().StringVar(&value, "value", "", "text to sign")
	cmd.Flags().StringVar(&file, "file", "", "file with the text to sign")
	cmd.Flags().Int64Var(&timestamp, "timestamp", 0, "time of the signature in milliseconds since 1970 (default now)")
	mustRequire(cmd, "key")
	return cmd
}

// payloadOf is the text to sign.
func payloadOf(cmd *cobra.Command, value, file string) (string, error) {
	hasValue, hasFile := cmd.Flags().Changed("value"), cmd.Flags().Changed("file")
	switch {
	case hasValue == hasFile:
		return "", errors.New("give the text to sign with --value or --file, and not both")
	case hasValue:
		return value, nil
	}
	raw, err := os.ReadFile(file)
	if err != nil {
		return "", fmt.Errorf("couldn't read the text to sign: %w", err)
	}
	return string(raw), nil
}
