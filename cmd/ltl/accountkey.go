package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"ltl/client"
	"ltl/internal/identity"
	"ltl/internal/localnet"
	ltlv1 "ltl/proto/ltl/v1"
)

// maxAccessKeys is what an account may have, disabled ones included only while they are not replaced.
const maxAccessKeys = 2

const watchTimeout = 20 * time.Second

// errDelivered ends a watch once everything up to now has arrived.
var errDelivered = errors.New("everything has been delivered")

type keyResult struct {
	AccessKeyID     string `json:"accessKeyId"`
	AccessKeySecret string `json:"accessKeySecret,omitempty"`
	UID             string `json:"uid"`
	Disabled        bool   `json:"disabled"`
}

func newAccountKey() *cobra.Command {
	cmd := &cobra.Command{Use: "key", Short: "List, create and disable AccessKeys"}
	cmd.AddCommand(newKeyList(), newKeyCreate(), newKeyDisable())
	return cmd
}

func newKeyList() *cobra.Command {
	return &cobra.Command{
		Use:   "list [UID]",
		Short: "List the AccessKeys of all accounts or of one, without their secrets",
		Args:  cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return withClient(cmd, func(c *client.Client, _ *connection) error {
				keys, err := accessKeys(cmd.Context(), c)
				if err != nil {
					return err
				}
				rows := []keyResult{}
				for id, k := range keys {
					if len(args) == 0 || args[0] == k.GetAccountUid() {
						rows = append(rows, keyResult{AccessKeyID: id, UID: k.GetAccountUid(), Disabled: k.GetDisabled()})
					}
				}
				slices.SortFunc(rows, func(a, b keyResult) int {
					return cmp.Or(cmp.Compare(a.UID, b.UID), cmp.Compare(a.AccessKeyID, b.AccessKeyID))
				})
				return emit(cmd, rows, func(w io.Writer) {
					fmt.Fprintln(w, "ACCESSKEY ID\tUID\tDISABLED")
					for _, r := range rows {
						fmt.Fprintf(w, "%s\t%s\t%t\n", r.AccessKeyID, r.UID, r.Disabled)
					}
				})
			})
		},
	}
}

func newKeyCreate() *cobra.Command {
	return &cobra.Command{
		Use:   "create UID",
		Short: "Give an account an AccessKey; its secret is shown this once",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return withClient(cmd, func(c *client.Client, con *connection) error {
				result, err := createKey(cmd.Context(), c, con, args[0])
				if err != nil {
					return err
				}
				return emit(cmd, result, func(w io.Writer) {
					fmt.Fprintf(w, "AccessKey ID\t%s\nAccessKey secret\t%s\n\nThe secret is not stored in readable form anywhere: keep it now.\n", result.AccessKeyID, result.AccessKeySecret)
				})
			})
		},
	}
}

func createKey(ctx context.Context, c *client.Client, con *connection, uid string) (*keyResult, error) {
	sealingKey, err := con.sealingKey()
	if err != nil {
		return nil, err
	}
	if res, err := c.Ledger().GetAccount(ctx, &ltlv1.GetAccountRequest{Uid: uid}); err != nil {
		return nil, err
	} else if len(res.GetAccounts()) == 0 {
		return nil, fmt.Errorf("there is no account with the UID %q", uid)
	}
	keys, err := accessKeys(ctx, c)
	if err != nil {
		return nil, err
	}
	active := 0
	for _, k := range keys {
		if k.GetAccountUid() == uid && !k.GetDisabled() {
			active++
		}
	}
	if active >= maxAccessKeys {
		return nil, fmt.Errorf("account %s has %d AccessKeys already, which is the most; disable one first", uid, active)
	}
	id, secret := localnet.NewAccessKey()
	sealed, err := identity.Seal(sealingKey, id, secret)
	if err != nil {
		return nil, err
	}
	if _, err := c.PutAccessKey(ctx, &ltlv1.AccessKey{AccessKeyId: id, AccountUid: uid, Sealed: sealed}); err != nil {
		return nil, err
	}
	return &keyResult{AccessKeyID: id, AccessKeySecret: secret, UID: uid}, nil
}

func newKeyDisable() *cobra.Command {
	return &cobra.Command{
		Use:   "disable ACCESS-KEY-ID",
		Short: "Disable an AccessKey at all facades",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return withClient(cmd, func(c *client.Client, _ *connection) error {
				keys, err := accessKeys(cmd.Context(), c)
				if err != nil {
					return err
				}
				key, ok := keys[args[0]]
				if !ok {
					return fmt.Errorf("there is no AccessKey %q", args[0])
				}
				key.Disabled = true
				if _, err := c.PutAccessKey(cmd.Context(), key); err != nil {
					return err
				}
				return emit(cmd, keyResult{AccessKeyID: args[0], UID: key.GetAccountUid(), Disabled: true}, func(w io.Writer) {
					fmt.Fprintf(w, "AccessKey %s of account %s is disabled\n", args[0], key.GetAccountUid())
				})
			})
		},
	}
}

// accessKeys reads all AccessKeys, sealed as they are, by their id.
func accessKeys(ctx context.Context, c *client.Client) (map[string]*ltlv1.AccessKey, error) {
	ctx, cancel := context.WithTimeout(ctx, watchTimeout)
	defer cancel()
	keys := map[string]*ltlv1.AccessKey{}
	err := c.WatchAccessKeys(ctx, 0, func(k *ltlv1.AccessKey) error {
		if k == nil {
			return errDelivered
		}
		keys[k.GetAccessKeyId()] = k
		return nil
	})
	if !errors.Is(err, errDelivered) {
		return nil, fmt.Errorf("couldn't read the AccessKeys: %w", err)
	}
	return keys, nil
}
