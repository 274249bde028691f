package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"ltl/internal/identity"
	"ltl/internal/localnet"
	ltlv1 "ltl/proto/ltl/v1"
)

const (
	// maxAccessKeys is how many enabled AccessKeys an account may have.
	maxAccessKeys = 2
	// maxReseals bounds the passes over all AccessKeys: other operators may make some meanwhile.
	maxReseals   = 10
	watchTimeout = 20 * time.Second
)

// errDelivered ends a watch once everything up to now has arrived.
var errDelivered = errors.New("everything has been delivered")

// keyResult is an AccessKey as `ltl account key` prints it; the secret only where it was just made. Its JSON names are
// stable.
type keyResult struct {
	AccessKeyID     string `json:"accessKeyId"`
	AccessKeySecret string `json:"accessKeySecret,omitempty"`
	UID             string `json:"uid"`
	Disabled        bool   `json:"disabled"`
}

// state is the word for what an AccessKey is: enabled or disabled.
func (k keyResult) state() string {
	if k.Disabled {
		return "disabled"
	}
	return "enabled"
}

// newAccountKey makes `ltl account key`. AccessKeys are not on the chains: nodes keep them sealed beside the ledger
// and facades watch them, so that every change reaches all facades without a restart.
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
		RunE: online(func(s *session, args []string) error {
			uid := ""
			if len(args) == 1 {
				account, err := s.account(args[0])
				if err != nil {
					return err
				}
				uid = account.UID
			}
			rows, err := s.keysOf(uid)
			if err != nil {
				return err
			}
			return emitRows(s.cmd, rows, "ACCESSKEY ID|UID|STATE", func(r keyResult) []any {
				return []any{r.AccessKeyID, r.UID, r.state()}
			})
		}),
	}
}

func newKeyCreate() *cobra.Command {
	return &cobra.Command{
		Use:   "create UID",
		Short: "Give an account an AccessKey; its secret is shown this once",
		Args:  cobra.ExactArgs(1),
		RunE: online(func(s *session, args []string) error {
			result, err := s.createKey(args[0])
			if err != nil {
				return err
			}
			return emitFields(s.cmd, result, field{"AccessKey ID", result.AccessKeyID},
				field{"AccessKey secret", result.AccessKeySecret},
				field{}, field{"The secret is stored nowhere in readable form: keep it now."})
		}),
	}
}

// createKey makes an AccessKey for an account. The secret leaves this process only on its output: the network gets it
// sealed with a key that nodes do not have.
func (s *session) createKey(uid string) (*keyResult, error) {
	sealingKey, err := s.sealingKey()
	if err != nil {
		return nil, err
	}
	if _, err := s.account(uid); err != nil {
		return nil, err
	}
	if err := s.roomForKey(uid); err != nil {
		return nil, err
	}
	id, secret := localnet.NewAccessKey()
	sealed, err := identity.Seal(sealingKey, id, secret)
	if err != nil {
		return nil, err
	}
	if err := s.enableKey(&ltlv1.AccessKey{AccessKeyId: id, AccountUid: uid, Sealed: sealed}); err != nil {
		return nil, err
	}
	return &keyResult{AccessKeyID: id, AccessKeySecret: secret, UID: uid}, nil
}

// enabledKeys are the ids of an account's enabled AccessKeys.
func (s *session) enabledKeys(uid string) ([]string, error) {
	keys, err := s.keysOf(uid)
	if err != nil {
		return nil, err
	}
	var enabled []string
	for _, k := range keys {
		if !k.Disabled {
			enabled = append(enabled, k.AccessKeyID)
		}
	}
	return enabled, nil
}

// roomForKey refuses one more enabled AccessKey for an account that has as many as it may have.
func (s *session) roomForKey(uid string) error {
	enabled, err := s.enabledKeys(uid)
	if err != nil {
		return err
	}
	if len(enabled) >= maxAccessKeys {
		return fmt.Errorf("account %s has %d enabled AccessKeys, which is the most; disable one first: `ltl account key "+
			"disable %s`",
			uid, len(enabled), enabled[0])
	}
	return nil
}

// enableKey stores an enabled AccessKey. Other operators may have enabled some for the same account since roomForKey:
// it counts again afterwards, and disables its own when there are too many.
func (s *session) enableKey(key *ltlv1.AccessKey) error {
	ctx, uid := s.cmd.Context(), key.GetAccountUid()
	if _, err := s.client.PutAccessKey(ctx, key); err != nil {
		return err
	}
	enabled, err := s.enabledKeys(uid)
	if err != nil || len(enabled) <= maxAccessKeys {
		return err
	}
	key.Disabled = true
	if _, err := s.client.PutAccessKey(ctx, key); err != nil {
		return fmt.Errorf("account %s has %d enabled AccessKeys, and the last one couldn't be disabled; run `ltl account "+
			"key disable %s`: %w",
			uid, len(enabled), key.GetAccessKeyId(), err)
	}
	return fmt.Errorf("another operator gave account %s an AccessKey at the same moment; `ltl account key list %s` "+
		"shows what it has now", uid, uid)
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
		RunE: online(func(s *session, args []string) error {
			result, err := s.switchKey(args[0], disabled)
			if err != nil {
				return err
			}
			return emitSentence(s.cmd, result, "AccessKey %s of account %s is %s", result.AccessKeyID, result.UID,
				result.state())
		}),
	}
}

// switchKey disables or enables an AccessKey; doing it again changes nothing.
func (s *session) switchKey(id string, disabled bool) (*keyResult, error) {
	keys, err := s.accessKeys()
	if err != nil {
		return nil, err
	}
	key, ok := keys[id]
	if !ok {
		return nil, fmt.Errorf("there is no AccessKey %q; `ltl account key list` lists the existing ones", id)
	}
	result := &keyResult{AccessKeyID: id, UID: key.GetAccountUid(), Disabled: disabled}
	if key.GetDisabled() == disabled {
		return result, nil
	}
	key.Disabled = disabled
	if disabled {
		_, err := s.client.PutAccessKey(s.cmd.Context(), key)
		return result, err
	}
	if err := s.roomForKey(key.GetAccountUid()); err != nil {
		return nil, err
	}
	return result, s.enableKey(key)
}

// keysOf reads the AccessKeys of an account, or of all with an empty uid, in the order of account and id.
func (s *session) keysOf(uid string) ([]keyResult, error) {
	keys, err := s.accessKeys()
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
func (s *session) accessKeys() (map[string]*ltlv1.AccessKey, error) {
	ctx, cancel := context.WithTimeout(s.cmd.Context(), watchTimeout)
	defer cancel()
	keys := map[string]*ltlv1.AccessKey{}
	err := s.client.WatchAccessKeys(ctx, 0, func(k *ltlv1.AccessKey) error {
		if k == nil {
			return errDelivered
		}
		keys[k.GetAccessKeyId()] = k
		return nil
	})
	if !errors.Is(err, errDelivered) {
		return nil, fmt.Errorf("couldn't read the AccessKeys; that needs an operator's certificate and most nodes: %w", err)
	}
	return keys, nil
}

// resealResult is what `ltl account key reseal` prints.
type resealResult struct {
	// Resealed counts the AccessKeys that were sealed again; Facades are the directories that got the key.
	Resealed int      `json:"resealed"`
	Facades  []string `json:"facades"`
	Prepared bool     `json:"prepared"`
}

func newKeyReseal() *cobra.Command {
	var facades []string
	var prepare bool
	cmd := &cobra.Command{
		Use:   "reseal",
		Short: "Replace the key that seals AccessKeys, and seal all AccessKeys with the new one",
		Long: `Makes a new sealing key, puts it into the directories of all facades, which load it without a restart,
seals every AccessKey with it, and uses it for new AccessKeys. Secrets and callers stay as they are, and nothing is
interrupted. The former key is kept beside the new one as sealing-FINGERPRINT.key, since backups are sealed with it;
delete it when no such backup is left.

Facades on other machines: run this with --prepare first, copy sealing.key.next from the operator's directory into
each facade's directory as sealing-next.key, and run it again without --prepare. An interrupted run continues where
it stopped. Do not disable or enable AccessKeys meanwhile.

A thief of the former key who also has a copy of a node's disk knows the secrets: then replace the AccessKeys, too.`,
		Example: `  ltl account key reseal --dir ltl-data`,
		Args:    cobra.NoArgs,
		RunE: online(func(s *session, _ []string) error {
			if len(facades) == 0 {
				found, err := filepath.Glob(filepath.Join(s.pki(), "facades", "*"))
				if err != nil {
					return err
				}
				facades = found
			}
			result, err := s.reseal(facades, prepare)
			if err != nil {
				return err
			}
			if result.Prepared {
				return emitSentence(s.cmd, result, "the next sealing key is ready for the facades: %s",
					filepath.Join(s.identity, "sealing.key.next"))
			}
			return emitSentence(s.cmd, result, "%d AccessKeys sealed with the new key, which %d facades have",
				result.Resealed, len(result.Facades))
		}),
	}
	cmd.Flags().StringArrayVar(&facades, "facade-dir", nil,
		"directory with a facade's sealing.key; once each; by default those of facades/ next to the trust file")
	cmd.Flags().BoolVar(&prepare, "prepare", false, "only make the next key and put it into the facades' directories")
	return cmd
}

// reseal replaces the sealing key in the operator's directory and in the facades' directories.
func (s *session) reseal(facades []string, prepare bool) (*resealResult, error) {
	next, err := identity.NextSealingKey(s.identity)
	if err != nil {
		return nil, err
	}
	result := &resealResult{Facades: facades, Prepared: prepare}
	if result.Facades == nil {
		result.Facades = []string{}
	}
	for _, dir := range facades {
		if err := identity.AddSealingKey(dir, next); err != nil {
			return nil, fmt.Errorf("couldn't put the new sealing key into a facade's directory; mend that and run it again: "+
				"%w", err)
		}
	}
	if prepare {
		return result, nil
	}
	former, err := identity.LoadSealingKeys(s.identity)
	if err != nil {
		return nil, err
	}
	keys := append([][]byte{next}, former...)
	for range maxReseals {
		n, err := s.resealOnce(keys)
		result.Resealed += n
		if err != nil {
			return nil, err
		}
		if n > 0 {
			continue
		}
		for _, dir := range append([]string{s.identity}, facades...) {
			if err := identity.PromoteSealingKey(dir, next); err != nil {
				return nil, err
			}
		}
		return result, nil
	}
	return nil, errors.New("other operators keep making AccessKeys with the former key; run it again when they have " +
		"finished")
}

// resealOnce seals with the first key every AccessKey that is not yet sealed with it, and counts them.
func (s *session) resealOnce(keys [][]byte) (int, error) {
	all, err := s.accessKeys()
	if err != nil {
		return 0, err
	}
	n := 0
	for id, k := range all {
		secret, at, err := identity.UnsealAny(keys, id, k.GetSealed())
		if err != nil {
			return n, fmt.Errorf("no key of this directory opens AccessKey %s of account %s; disable it and give the "+
				"account another: %w",
				id, k.GetAccountUid(), err)
		}
		if at == 0 {
			continue
		}
		sealed, err := identity.Seal(keys[0], id, secret)
		if err != nil {
			return n, err
		}
		key := &ltlv1.AccessKey{AccessKeyId: id, AccountUid: k.GetAccountUid(), Sealed: sealed, Disabled: k.GetDisabled()}
		if _, err := s.client.PutAccessKey(s.cmd.Context(), key); err != nil {
			return n, err
		}
		n++
	}
	return n, nil
}
