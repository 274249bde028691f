package main

import (
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

	"ltl/client"
	"ltl/client/device"
	"ltl/internal/ledger"
	"ltl/internal/rules"
	ltlv1 "ltl/proto/ltl/v1"
)

// The states of an enrolment, as `ltl device list` prints them.
const (
	stateEnrolled = "enrolled"
	stateRevoked  = "revoked"
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
}

func showDevice(w io.Writer, r *deviceRow) {
	fmt.Fprintf(w, "product key\t%s\niot id\t%s\nkey type\t%s\norganisation\t%s\nstate\t%s\nenrolled in block\t%d of the system chain\n",
		r.ProductKey, r.IotID, r.KeyType, r.Organisation, r.State, r.EnrolledHeight)
}

func newDeviceEnroll() *cobra.Command {
	var names deviceNames
	var publicKey, aesKey string
	cmd := &cobra.Command{
		Use:   "enroll",
		Short: "Make a device's key known to the network, in the name of the operator's organisation",
		Long: `Makes a device's key known to the network. A public key (PEM: the bare key or a certificate) stands on the system chain, where
everybody can verify with it. An AES key is handed to the endorser of the operator's own organisation first, and stands on no chain; from
then on that endorser must sign each upload of the device. An enrolled key is never replaced. Enrolling an AES device again with the same
key hands the key to the endorser again, for one that lost it.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if (publicKey == "") == (aesKey == "") {
				return errors.New("which key does the device have? give --public-key or --aes-key, and not both")
			}
			enrolment := &ltlv1.EnrollDevice{ProductKey: names.productKey, IotId: names.iotID}
			secret, err := readEnrolledKey(enrolment, publicKey, aesKey)
			if err != nil {
				return err
			}
			return withClient(cmd, func(c *client.Client, con *connection) error {
				if err := enroll(cmd, c, con, enrolment, secret); err != nil {
					return err
				}
				row, err := deviceOf(cmd, c, &names)
				if err != nil {
					return fmt.Errorf("the device is enrolled, but couldn't be read afterwards: %w", err)
				}
				return emit(cmd, row, func(w io.Writer) { showDevice(w, row) })
			})
		},
	}
	names.flags(cmd, true)
	cmd.Flags().StringVar(&publicKey, "public-key", "", "file with the device's public key or certificate, in PEM")
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
			return nil, fmt.Errorf("%s holds a private %s key, which must not leave the device: give its public key with --public-key", aesKey, key.Type())
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

// enroll hands over the secret key, if there is one, and enrols the device. A device that the operator's organisation has enrolled
// already with a secret key is left at that: its endorser would have refused another one.
func enroll(cmd *cobra.Command, c *client.Client, con *connection, enrolment *ltlv1.EnrollDevice, secret []byte) error {
	if secret != nil {
		if err := c.PutDeviceKey(cmd.Context(), enrolment.GetProductKey(), enrolment.GetIotId(), secret); err != nil {
			return err
		}
		credentials, err := con.credentials()
		if err != nil {
			return err
		}
		own := credentials.Identity().Organisation
		known, err := devices(cmd, c, &deviceNames{enrolment.GetProductKey(), enrolment.GetIotId()})
		if err != nil || len(known) > 0 && known[0].Organisation == own && known[0].State == stateEnrolled && known[0].KeyType == string(device.AES) {
			return err
		}
	}
	_, err := submit(cmd.Context(), c, &ltlv1.Transaction{ChainId: ledger.SystemChain, Action: &ltlv1.Transaction_EnrollDevice{EnrollDevice: enrolment}},
		hint{rules.OutOfRange, `product key or device id has the wrong form (1 to 64 letters, digits, "-", "." and "_", in device ids also ":" and "@"), or the RSA key has another exponent than 65537`},
		hint{rules.Conflict, "the device is enrolled already, and a key is never replaced; `ltl device list` shows it"})
	return err
}

func newDeviceList() *cobra.Command {
	var names deviceNames
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List the devices that were ever enrolled, or some of them, oldest first",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return withClient(cmd, func(c *client.Client, _ *connection) error {
				rows, err := devices(cmd, c, &names)
				if err != nil {
					return err
				}
				return emit(cmd, rows, func(w io.Writer) {
					fmt.Fprintln(w, "PRODUCT KEY\tIOT ID\tKEY TYPE\tORGANISATION\tSTATE")
					for _, r := range rows {
						fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\n", r.ProductKey, r.IotID, r.KeyType, r.Organisation, r.State)
					}
				})
			})
		},
	}
	names.flags(cmd, false)
	return cmd
}

func newDeviceRevoke() *cobra.Command {
	var names deviceNames
	cmd := &cobra.Command{
		Use:   "revoke",
		Short: "End a device's enrolment for good, on all chains",
		Long: `Ends a device's enrolment for good: nothing that it signs is taken any more, on any chain, and it is not enrolled again under this
id. What it signed before stays. Only an operator of the organisation that enrolled it may do this.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return withClient(cmd, func(c *client.Client, _ *connection) error {
				_, err := submit(cmd.Context(), c, &ltlv1.Transaction{ChainId: ledger.SystemChain, Action: &ltlv1.Transaction_RevokeDevice{
					RevokeDevice: &ltlv1.RevokeDevice{ProductKey: names.productKey, IotId: names.iotID},
				}}, hint{rules.NotFound, fmt.Sprintf("no device %q of the product %q was ever enrolled", names.iotID, names.productKey)},
					hint{rules.Forbidden, "only an operator of the organisation that enrolled the device may revoke it: `ltl device list` tells which; give --identity"})
				if err != nil {
					return err
				}
				row, err := deviceOf(cmd, c, &names)
				if err != nil {
					return fmt.Errorf("the device is revoked, but couldn't be read afterwards: %w", err)
				}
				return emit(cmd, row, func(w io.Writer) { showDevice(w, row) })
			})
		},
	}
	names.flags(cmd, true)
	return cmd
}

// devices lists enrolments; names that are empty match all.
func devices(cmd *cobra.Command, c *client.Client, names *deviceNames) ([]deviceRow, error) {
	rows := []deviceRow{}
	for page := uint32(1); ; page++ {
		res, err := c.Ledger().ListEnrolments(cmd.Context(), &ltlv1.ListEnrolmentsRequest{
			ProductKey: names.productKey, IotId: names.iotID, Page: page, Size: pageSize,
		})
		if err != nil {
			return nil, err
		}
		if err := refused(res.GetCode()); err != nil {
			return nil, err
		}
		for _, d := range res.GetDevices() {
			rows = append(rows, deviceRowOf(d))
		}
		if len(res.GetDevices()) == 0 || uint64(len(rows)) >= res.GetTotal() {
			return rows, nil
		}
	}
}

func deviceRowOf(d *ltlv1.EnrolmentInfo) deviceRow {
	row := deviceRow{
		ProductKey: d.GetDevice().GetProductKey(), IotID: d.GetDevice().GetIotId(), Organisation: d.GetOrganisation(),
		State: stateEnrolled, EnrolledHeight: d.GetEnrolledHeight(),
	}
	if d.GetRevoked() {
		row.State = stateRevoked
	}
	switch d.GetDevice().GetKeyType() {
	case ltlv1.DeviceKeyType_DEVICE_KEY_TYPE_ECC_P256:
		row.KeyType = string(device.ECC)
	case ltlv1.DeviceKeyType_DEVICE_KEY_TYPE_RSA_2048:
		row.KeyType = string(device.RSA)
	case ltlv1.DeviceKeyType_DEVICE_KEY_TYPE_AES:
		row.KeyType = string(device.AES)
	}
	if der := d.GetDevice().GetPublicKey(); len(der) > 0 {
		row.PublicKey = string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}))
	}
	return row
}

// deviceOf reads one enrolment.
func deviceOf(cmd *cobra.Command, c *client.Client, names *deviceNames) (*deviceRow, error) {
	rows, err := devices(cmd, c, names)
	if err != nil {
		return nil, err
	}
	if len(rows) != 1 {
		return nil, fmt.Errorf("there are %d enrolments of the device %q of the product %q", len(rows), names.iotID, names.productKey)
	}
	return &rows[0], nil
}
