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

// maxAccessKeys is how many enabled AccessKeys an account may have.
const maxAccessKeys = 2

const watchTimeout = 20 * time.Second

// errDelivered ends a watch once everything up to now has arrived.
var errDelivered = errors.New("everything has been delivered")

// keyResult is an AccessKey as `ltl account key` prints it; the secret only where it was just made. Its JSON names are stable.
type keyResult struct {
	AccessKeyID     string `json:"accessKeyId"`
	AccessKeySecret string `json:"accessKeySecret,omitempty"`
	UID             string `json:"uid"`
	Disabled        bool   `json:"disabled"`
}

func (k keyResult) state() string {
	if k.Disabled {
		return "disabled"
	}
	return "enabled"
}

func newAccountKey() *cobra.Command {
	cmd := &cobra.Command{Use: "key", Short: "List, create, disable and enable AccessKeys"}
	cmd.AddCommand(newKeyList(), newKeyCreate(), newKeySwitch(true), newKeySwitch(false), newKeyReseal())
	return cmd
}

func newKeyList() *cobra.Command {
	return &cobra.Command{
		Use:   "list [UID]",
		Short: "List the AccessKeys of all accounts or of one, without their secrets",
		Args:  cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return withClient(cmd, func(c *client.Client, _ *connection) error {
				uid := ""
				if len(args) == 1 {
					account, err := accountOf(cmd, c, args[0])
					if err != nil {
						return err
					}
					uid = account.UID
				}
				rows, err := keysOf(cmd.Context(), c, uid)
				if err != nil {
					return err
				}
				return emit(cmd, rows, func(w io.Writer) {
					fmt.Fprintln(w, "ACCESSKEY ID\tUID\tSTATE")
					for _, r := range rows {
						fmt.Fprintf(w, "%s\t%s\t%s\n", r.AccessKeyID, r.UID, r.state())
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
				result, err := createKey(cmd, c, con, args[0])
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

func createKey(cmd *cobra.Command, c *client.Client, con *connection, uid string) (*keyResult, error) {
	ctx := cmd.Context()
	sealingKey, err := con.sealingKey()
	if err != nil {
		return nil, err
	}
	if _, err := accountOf(cmd, c, uid); err != nil {
		return nil, err
	}
	if err := roomForKey(ctx, c, uid); err != nil {
		return nil, err
	}
	id, secret := localnet.NewAccessKey()
	sealed, err := identity.Seal(sealingKey, id, secret)
	if err != nil {
		return nil, err
	}
	if err := enableKey(ctx, c, &ltlv1.AccessKey{AccessKeyId: id, AccountUid: uid, Sealed: sealed}); err != nil {
		return nil, err
	}
	return &keyResult{AccessKeyID: id, AccessKeySecret: secret, UID: uid}, nil
}

// roomForKey refuses one more enabled AccessKey for an account that has as many as it may have.
func roomForKey(ctx context.Context, c *client.Client, uid string) error {
	keys, err := keysOf(ctx, c, uid)
	if err != nil {
		return err
	}
	enabled := []string{}
	for _, k := range keys {
		if !k.Disabled {
			enabled = append(enabled, k.AccessKeyID)
		}
	}
	if len(enabled) >= maxAccessKeys {
		return fmt.Errorf("account %s has %d enabled AccessKeys, which is the most; disable one first: `ltl account key disable %s`", uid, len(enabled), enabled[0])
	}
	return nil
}

// enableKey stores an enabled AccessKey. Others may have done so for the same account since there was room: then it is taken back, since
// whoever comes last finds too many.
func enableKey(ctx context.Context, c *client.Client, key *ltlv1.AccessKey) error {
	if _, err := c.PutAccessKey(ctx, key); err != nil {
		return err
	}
	keys, err := keysOf(ctx, c, key.GetAccountUid())
	if err != nil {
		return err
	}
	enabled := 0
	for _, k := range keys {
		if !k.Disabled {
			enabled++
		}
	}
	if enabled <= maxAccessKeys {
		return nil
	}
	key.Disabled = true
	if _, err := c.PutAccessKey(ctx, key); err != nil {
		return fmt.Errorf("account %s has %d enabled AccessKeys, and the last one couldn't be disabled: %w", key.GetAccountUid(), enabled, err)
	}
	return fmt.Errorf("somebody else gave account %s an AccessKey at the same moment; `ltl account key list %s` shows what it has now", key.GetAccountUid(), key.GetAccountUid())
}

// newKeySwitch makes `ltl account key disable` or `enable`.
func newKeySwitch(disabled bool) *cobra.Command {
	use, short := "enable ACCESS-KEY-ID", "Enable a disabled AccessKey again, at all facades"
	if disabled {
		use, short = "disable ACCESS-KEY-ID", "Disable an AccessKey at all facades"
	}
	return &cobra.Command{
		Use:   use,
		Short: short,
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return withClient(cmd, func(c *client.Client, _ *connection) error {
				result, err := switchKey(cmd.Context(), c, args[0], disabled)
				if err != nil {
					return err
				}
				return emit(cmd, result, func(w io.Writer) {
					fmt.Fprintf(w, "AccessKey %s of account %s is %s\n", result.AccessKeyID, result.UID, result.state())
				})
			})
		},
	}
}

// switchKey disables or enables an AccessKey; doing it again changes nothing.
func switchKey(ctx context.Context, c *client.Client, id string, disabled bool) (*keyResult, error) {
	keys, err := accessKeys(ctx, c)
	if err != nil {
		return nil, err
	}
	key, ok := keys[id]
	if !ok {
		return nil, fmt.Errorf("there is no AccessKey %q; `ltl account key list` shows those there are", id)
	}
	if key.GetDisabled() != disabled {
		if !disabled {
			if err := roomForKey(ctx, c, key.GetAccountUid()); err != nil {
				return nil, err
			}
		}
		if key.Disabled = disabled; disabled {
			_, err = c.PutAccessKey(ctx, key)
		} else {
			err = enableKey(ctx, c, key)
		}
		if err != nil {
			return nil, err
		}
	}
	return &keyResult{AccessKeyID: id, UID: key.GetAccountUid(), Disabled: disabled}, nil
}

// keysOf reads the AccessKeys of an account, or of all with an empty uid, in the order of account and id.
func keysOf(ctx context.Context, c *client.Client, uid string) ([]keyResult, error) {
	keys, err := accessKeys(ctx, c)
	if err != nil {
		return nil, err
	}
	rows := []keyResult{}
	for id, k := range keys {
		if uid == "" || uid == k.GetAccountUid() {
			rows = append(rows, keyResult{AccessKeyID: id, UID: k.GetAccountUid(), Disabled: k.GetDisabled()})
		}
	}
	slices.SortFunc(rows, func(a, b keyResult) int {
		return cmp.Or(cmp.Compare(a.UID, b.UID), cmp.Compare(a.AccessKeyID, b.AccessKeyID))
	})
	return rows, nil
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
