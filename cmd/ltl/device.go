package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/spf13/cobra"

	"ltl/client/device"
)

const (
	modeSecret = 0o600
	modePublic = 0o644
)

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

// mustRequire marks options as required.
func mustRequire(cmd *cobra.Command, names ...string) {
	for _, name := range names {
		if err := cmd.MarkFlagRequired(name); err != nil {
			panic(fmt.Sprintf("BUG: %v", err))
		}
	}
}

func newDevice() *cobra.Command {
	cmd := &cobra.Command{Use: "device", Short: "Make devices' keys, enrol devices, and sign as one"}
	addConnection(cmd)
	cmd.AddCommand(newDeviceKeygen(), newDeviceEnroll(), newDeviceList(), newDeviceRevoke(), newDeviceSign())
	return cmd
}

func newDeviceKeygen() *cobra.Command {
	var kind, out, publicOut string
	cmd := &cobra.Command{
		Use:   "keygen",
		Short: "Make a key for a device",
		Long: `Makes a key for a device. An ECC or RSA key is written in PEM (PKCS #8), its public part, which is what a device is enrolled with,
in PEM too. An AES key is written in hexadecimal digits. No file is overwritten.`,
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
			return emit(cmd, result, func(w io.Writer) {
				fmt.Fprintf(w, "type\t%s\nkey (secret)\t%s\n", key.Type(), out)
				if publicOut != "" {
					fmt.Fprintf(w, "public key\t%s\n", publicOut)
				}
			})
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
			return nil, errors.Join(err, os.Remove(out)) // nobody has seen this key
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

func newDeviceSign() *cobra.Command {
	var names deviceNames
	var keyFile, value, file string
	var timestamp int64
	cmd := &cobra.Command{
		Use:   "sign",
		Short: "Sign data as a device does, and print the parameters to upload with it",
		Long: `Signs data as a device does, and prints the parameters that go into the upload beside the data and IotIdSource. What is signed is
the text of one parameter, to the byte: of a file everything, also a newline at its end.`,
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
			return emit(cmd, p, func(w io.Writer) {
				fmt.Fprintf(w, "IotAuthType\t%s\nIotId\t%s\nIotIdServiceProvider\t%s\nIotDataDigest\t%s\nIotSignature\t%s\n",
					p.IotAuthType, p.IotID, p.IotIDServiceProvider, p.IotDataDigest, p.IotSignature)
			})
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
		return "", errors.New("what is to be signed? give --value or --file, and not both")
	case hasValue:
		return value, nil
	}
	raw, err := os.ReadFile(file)
	if err != nil {
		return "", fmt.Errorf("couldn't read what is to be signed: %w", err)
	}
	return string(raw), nil
}
