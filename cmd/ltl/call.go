package main

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"ltl/internal/localnet"
)

// maxSecretFile bounds what is read of standard input for a secret.
const maxSecretFile = 4 << 10

// newCall makes `ltl call`. It goes the way of every API user, over HTTP and with an AccessKey, so that it tests the
// facade too.
func newCall() *cobra.Command {
	var endpoint, id, secret, secretFile, account string
	cmd := &cobra.Command{
		Use:   "call ACTION [NAME=VALUE]...",
		Short: "Call an Action of the LTL API, signed as the SDKs sign",
		Long: `Sends a signed POST request to a facade and prints the body of the response. It needs an AccessKey like
every client, and takes that of the first account with --role in DIR/network.json unless --access-key-id is given.
Values are sent as they are; @FILE has no special meaning.`,
		Example: "  ltl call GetData --dir ltl-data ProductKey=… Key=…",
		Args:    cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			parameters := map[string]string{}
			for _, arg := range args[1:] {
				name, value, ok := strings.Cut(arg, "=")
				if !ok || name == "" {
					return fmt.Errorf("%q is not NAME=VALUE; parameters follow the Action, as in Num=1", arg)
				}
				parameters[name] = value
			}
			caller := &localnet.Caller{Endpoint: strings.TrimSuffix(endpoint, "/"), AccessKeyID: id, Secret: secret}
			if secretFile != "" {
				text, err := readSecret(cmd, secretFile)
				if err != nil {
					return err
				}
				caller.Secret = text
			}
			if err := completeCaller(cmd, caller, account); err != nil {
				return err
			}
			status, body, err := caller.Call(cmd.Context(), args[0], parameters)
			if err != nil {
				return err
			}
			return printResponse(cmd, status, body)
		},
	}
	cmd.Flags().String(flagDir, "", "directory of a network that ltl up started")
	cmd.Flags().StringVar(&endpoint, "endpoint", "", "address of a facade, http://HOST:PORT (default from --dir)")
	cmd.Flags().StringVar(&id, "access-key-id", "", "AccessKey to sign with (default from --dir)")
	cmd.Flags().StringVar(&secret, "access-key-secret", "",
		"its secret; other users of this machine can read command lines, so prefer --access-key-secret-file")
	cmd.Flags().StringVar(&secretFile, "access-key-secret-file", "", "file that holds its secret; - is standard input")
	cmd.MarkFlagsMutuallyExclusive("access-key-secret", "access-key-secret-file")
	cmd.Flags().StringVar(&account, "role", localnet.RoleAdmin,
		"role of the account whose AccessKey is taken from --dir: ADMIN, MEMBER or NONE")
	return cmd
}

// readSecret reads a secret from a file, or from standard input for "-".
func readSecret(cmd *cobra.Command, path string) (string, error) {
	var raw []byte
	var err error
	if path == "-" {
		raw, err = io.ReadAll(io.LimitReader(cmd.InOrStdin(), maxSecretFile))
	} else {
		raw, err = os.ReadFile(path)
	}
	text := strings.TrimSpace(string(raw))
	if err == nil && text == "" {
		err = errors.New("it is empty")
	}
	if err != nil {
		return "", fmt.Errorf("couldn't read the secret from %s: %w", path, err)
	}
	return text, nil
}

// completeCaller takes from --dir the options that were not given.
func completeCaller(cmd *cobra.Command, caller *localnet.Caller, role string) error {
	if dir, _ := cmd.Flags().GetString(flagDir); dir != "" {
		n, err := localnet.Load(dir)
		if err != nil {
			return err
		}
		if caller.Endpoint == "" {
			caller.Endpoint = n.Endpoint
		}
		if caller.AccessKeyID == "" {
			account, ok := n.Account(strings.ToUpper(role))
			if !ok {
				return fmt.Errorf("no account of the network has the role %q; --role can be ADMIN, MEMBER or NONE", role)
			}
			caller.AccessKeyID, caller.Secret = account.AccessKeyID, account.AccessKeySecret
		}
	}
	if caller.Endpoint == "" || caller.AccessKeyID == "" || caller.Secret == "" {
		return errors.New("which facade and AccessKey? give --dir, or --endpoint, --access-key-id and " +
			"--access-key-secret-file")
	}
	return nil
}

// printResponse prints the body of a response; anything but success is an error of the command too.
func printResponse(cmd *cobra.Command, status int, body []byte) error {
	res, pretty, err := readResponse(body)
	if err != nil {
		return fmt.Errorf("the answer is neither JSON nor XML, is --endpoint a facade? HTTP status %d: %.200s", status, body)
	}
	if _, err := io.WriteString(cmd.OutOrStdout(), strings.TrimRight(pretty, "\n")+"\n"); err != nil {
		return err
	}
	if status != http.StatusOK || !res.Success {
		return fmt.Errorf("the call failed with HTTP status %d, code %s: %s", status, res.Code, res.Message)
	}
	return nil
}

// response is what the responses of all Actions have in common. Code is a number or, of a gateway error, a text.
type response struct {
	Success bool
	Code    code
	Message string
}

// code is the code of a response as text.
type code string

// UnmarshalJSON takes a number or a text.
func (c *code) UnmarshalJSON(raw []byte) error {
	*c = code(bytes.Trim(raw, `"`))
	return nil
}

// readResponse reads a response and returns its text, JSON indented and XML unchanged.
func readResponse(body []byte) (r response, text string, err error) {
	if bytes.HasPrefix(body, []byte("<")) { // Format=XML was asked for
		return r, string(body), xml.Unmarshal(body, &r)
	}
	var pretty bytes.Buffer
	if err := json.Indent(&pretty, body, "", "  "); err != nil {
		return r, "", err
	}
	return r, pretty.String(), json.Unmarshal(body, &r)
}
