package main

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"ltl/client/device"
	"ltl/internal/rules"
	ltlv1 "ltl/proto/ltl/v1"
)

// deviceKeyRow is a key of a device as `ltl device` prints it. Its JSON names are stable.
type deviceKeyRow struct {
	Number  uint32 `json:"number"`
	KeyType string `json:"keyType"`
	// From and Until are the heights of the system chain between which it counts, Until not included; 0 is no end yet.
	From  uint64 `json:"from"`
	Until uint64 `json:"until,omitempty"`
	// End is rotated, lost or compromised; empty while the key is in force.
	End string `json:"end,omitempty"`
	// Doubtful is the height from which what it signed is in doubt; 0 for none.
	Doubtful uint64 `json:"doubtful,omitempty"`
}

// words describe a key in one line.
func (k *deviceKeyRow) words() string {
	s := fmt.Sprintf("%s, counts from block %d of the system chain", k.KeyType, k.From)
	if k.Until != 0 {
		s += fmt.Sprintf(" until block %d: %s", k.Until, k.End)
	}
	if k.Doubtful != 0 {
		s += fmt.Sprintf("; what it signed since block %d is in doubt", k.Doubtful)
	}
	return s
}

func deviceKeyRowOf(k *ltlv1.DeviceKeyInfo) deviceKeyRow {
	row := deviceKeyRow{Number: k.GetNumber(), KeyType: deviceKeyType(k.GetKeyType()), From: k.GetFromHeight(),
		Until: k.GetUntilHeight(), Doubtful: k.GetDoubtfulHeight()}
	if k.GetEnd() != ltlv1.DeviceKeyEnd_DEVICE_KEY_END_UNSPECIFIED {
		row.End = strings.ToLower(strings.TrimPrefix(k.GetEnd().String(), "DEVICE_KEY_END_"))
	}
	return row
}

// deviceKeyType is the word for a type of key.
func deviceKeyType(kind ltlv1.DeviceKeyType) string {
	switch kind {
	case ltlv1.DeviceKeyType_DEVICE_KEY_TYPE_ECC_P256:
		return string(device.ECC)
	case ltlv1.DeviceKeyType_DEVICE_KEY_TYPE_RSA_2048:
		return string(device.RSA)
	case ltlv1.DeviceKeyType_DEVICE_KEY_TYPE_AES:
		return string(device.AES)
	}
	return ""
}

func newDeviceRotate() *cobra.Command {
	var names deviceNames
	var formerKey, newKey string
	cmd := &cobra.Command{
		Use:   "rotate",
		Short: "Give a device another key, which the former one and the new one sign",
		Long: `Gives a device another key. Both private keys sign the change, so no other party takes a device over without its
key. From then on only the new key counts; what the former one signed stays on the chains, judged by the former key. For
a device with an AES key --former-key is left out: its organisation declares the change.

Where the former key cannot sign, declare it lost and enrol the device with a new key: ltl device declare. A new AES key
is given in that way too. A device that makes both signatures itself uses Rotation of package client/device.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return withOwner(cmd, names.owner, func(s *session) error {
				if err := s.rotateDeviceKey(&names, formerKey, newKey); err != nil {
					return err
				}
				return s.showDevice(&names, "the device has another key")
			})
		},
	}
	names.flags(cmd, true)
	cmd.Flags().StringVar(&formerKey, "former-key", "", "file with the device's private key in force")
	cmd.Flags().StringVar(&newKey, "new-key", "", "file with the private key that takes its place (required)")
	mustRequire(cmd, "new-key")
	return cmd
}

// owner returns the organisation that has the device's product; empty when none has.
func (n *deviceNames) owner(s *session) (string, error) { return s.ownerOfProduct(n.productKey) }

func (s *session) rotateDeviceKey(names *deviceNames, formerFile, newFile string) error {
	rows, err := s.devices(names)
	if err != nil {
		return err
	}
	if len(rows) != 1 {
		return fmt.Errorf("no device %q of the product %q was ever enrolled; `ltl device list` shows those that were",
			names.iotID, names.productKey)
	}
	made, err := device.Load(newFile)
	if err != nil {
		return err
	}
	change, text, err := s.rotation(names, made, uint32(len(rows[0].Keys))+1)
	if err != nil {
		return err
	}
	if change.NewSignature, err = made.Sign(text); err != nil {
		return err
	}
	if formerFile != "" {
		former, err := device.Load(formerFile)
		if err != nil {
			return err
		}
		if change.FormerSignature, err = former.Sign(text); err != nil {
			return err
		}
	}
	_, err = s.submitToSystem(&ltlv1.Transaction{Action: &ltlv1.Transaction_RotateDeviceKey{RotateDeviceKey: change}},
		deviceKeyAdvice())
	return err
}

// rotation is the change of a device's key to a new one, without signatures, and the text that both keys sign.
func (s *session) rotation(names *deviceNames, made *device.Key, number uint32) (*ltlv1.RotateDeviceKey, []byte, error) {
	r := &device.Rotation{ProductKey: names.productKey, IotID: names.iotID, Number: number, Type: made.Type()}
	network := s.trust.NetworkID()
	r.NetworkID = network[:]
	change := &ltlv1.RotateDeviceKey{ProductKey: names.productKey, IotId: names.iotID,
		KeyType: ltlv1.DeviceKeyType_DEVICE_KEY_TYPE_ECC_P256}
	if r.Type == device.RSA {
		change.KeyType = ltlv1.DeviceKeyType_DEVICE_KEY_TYPE_RSA_2048
	}
	if r.Type != device.AES {
		pem, err := made.EncodePublic()
		if err != nil {
			return nil, nil, err
		}
		if _, r.Public, err = device.ParsePublic(pem); err != nil {
			return nil, nil, err
		}
	}
	change.PublicKey = r.Public
	text, err := r.Text()
	return change, text, err
}

func newDeviceDeclare() *cobra.Command {
	var names deviceNames
	var end string
	var number uint32
	var since uint64
	cmd := &cobra.Command{
		Use:   "declare",
		Short: "Declare a device's key lost or compromised; then the device can be enrolled with another one",
		Long: `Ends a device's key at once, on all chains: what it signs is refused from now on. The device keeps its id and its
history and is enrolled with another key: ltl device enroll. Records that the key signed stay. With --since, those in
blocks whose system height is that or higher are in doubt, as ltl device list says; a key that ended before can be
declared compromised too, with --number. Only an operator of the organisation that has the product may do this.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			ends := map[string]ltlv1.DeviceKeyEnd{"lost": ltlv1.DeviceKeyEnd_DEVICE_KEY_END_LOST,
				"compromised": ltlv1.DeviceKeyEnd_DEVICE_KEY_END_COMPROMISED}
			if ends[end] == 0 {
				return fmt.Errorf("--end is %q; it can be lost or compromised", end)
			}
			return withOwner(cmd, names.owner, func(s *session) error {
				_, err := s.submitToSystem(&ltlv1.Transaction{Action: &ltlv1.Transaction_DeclareDeviceKey{
					DeclareDeviceKey: &ltlv1.DeclareDeviceKey{ProductKey: names.productKey, IotId: names.iotID, Number: number,
						End: ends[end], SinceHeight: since},
				}}, deviceKeyAdvice())
				if err != nil {
					return err
				}
				return s.showDevice(&names, "the key is declared "+end)
			})
		},
	}
	names.flags(cmd, true)
	cmd.Flags().StringVar(&end, "end", "", "lost, or compromised where another party may have it (required)")
	cmd.Flags().Uint32Var(&number, "number", 0, "number of the key, as ltl device list prints it (default the newest)")
	cmd.Flags().Uint64Var(&since, "since", 0, "height of the system chain since which what it signed is in doubt "+
		"(default the present one)")
	mustRequire(cmd, "end")
	return cmd
}

func deviceKeyAdvice() advice {
	return advice{
		rules.NotFound: "no such device was ever enrolled; `ltl device list` shows those that were",
		rules.Forbidden: "the former and the new key must both sign, and an operator of the organisation that has the " +
			"product submits it: `ltl device product list` shows which; give --identity",
		rules.Conflict:   "the device has no key in force, or had this key before; `ltl device list` shows its keys",
		rules.OutOfRange: "the new key is no ECC or RSA key, or the device has no key of this number at that height",
	}
}
