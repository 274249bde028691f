package main

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"

	"github.com/spf13/cobra"

	"ltl/internal/localnet"
)

func newCall() *cobra.Command {
	var endpoint, id, secret, account string
	cmd := &cobra.Command{
		Use:   "call ACTION [NAME=VALUE]...",
		Short: "Call an Action of the LTL API, signed as the SDKs sign",
		Long: `Sends a signed POST request to a facade and prints the answer's body. It is a client like any other: it needs an AccessKey,
and takes that of the first account of --role in DIR/network.json unless --access-key-id is given.
A Value of @FILE is not special: values are sent as they stand.`,
		Example: "  ltl call GetData --dir ltl-data ProductKey=… Key=…",
		Args:    cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			parameters := map[string]string{}
			for _, arg := range args[1:] {
				name, value, ok := strings.Cut(arg, "=")
				if !ok || name == "" {
					return fmt.Errorf("%q is not NAME=VALUE", arg)
				}
				parameters[name] = value
			}
			caller := &localnet.Caller{Endpoint: strings.TrimSuffix(endpoint, "/"), AccessKeyID: id, Secret: secret}
			if err := completeCaller(cmd, caller, account); err != nil {
				return err
			}
			status, body, err := caller.Call(cmd.Context(), args[0], parameters)
			if err != nil {
				return err
			}
			return printAnswer(cmd, status, body)
		},
	}
	cmd.Flags().String(flagDir, "", "directory of a network that ltl up started")
	cmd.Flags().StringVar(&endpoint, "endpoint", "", "address of a facade, http://HOST:PORT (default from --dir)")
	cmd.Flags().StringVar(&id, "access-key-id", "", "AccessKey to sign with (default from --dir)")
	cmd.Flags().StringVar(&secret, "access-key-secret", "", "its secret")
	cmd.Flags().StringVar(&account, "role", localnet.RoleAdmin, "whose AccessKey to take from --dir: ADMIN, MEMBER or NONE")
	return cmd
}

// completeCaller fills in from --dir what was not given.
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
				return fmt.Errorf("no account of the network has the role %q", role)
			}
			caller.AccessKeyID, caller.Secret = account.AccessKeyID, account.AccessKeySecret
		}
	}
	if caller.Endpoint == "" || caller.AccessKeyID == "" || caller.Secret == "" {
		return errors.New("whom to call? give --dir, or --endpoint, --access-key-id and --access-key-secret")
	}
	return nil
}

// printAnswer prints the body of an answer; anything but success is an error of the command too.
func printAnswer(cmd *cobra.Command, status int, body []byte) error {
	answer, pretty, err := readAnswer(body)
	if err != nil {
		return fmt.Errorf("the facade answered with %d and something that is neither JSON nor XML: %.200s", status, body)
	}
	if _, err := io.WriteString(cmd.OutOrStdout(), strings.TrimRight(pretty, "\n")+"\n"); err != nil {
		return err
	}
	if status != http.StatusOK || !answer.Success {
		return fmt.Errorf("the call failed with HTTP status %d, code %s: %s", status, answer.Code, answer.Message)
	}
	return nil
}

// answer is what answers of all Actions have in common. Code is a number or, of a gateway error, a text.
type answer struct {
	Success bool
	Code    code
	Message string
}

type code string

// UnmarshalJSON takes a number and a text alike.
func (c *code) UnmarshalJSON(raw []byte) error {
	*c = code(bytes.Trim(raw, `"`))
	return nil
}

// readAnswer reads an answer and returns its text, JSON indented and XML as it came.
func readAnswer(body []byte) (a answer, text string, err error) {
	if bytes.HasPrefix(body, []byte("<")) { // Format=XML was asked for
		return a, string(body), xml.Unmarshal(body, &a)
	}
	var pretty bytes.Buffer
	if err := json.Indent(&pretty, body, "", "  "); err != nil {
		return a, "", err
	}
	return a, pretty.String(), json.Unmarshal(body, &a)
}
